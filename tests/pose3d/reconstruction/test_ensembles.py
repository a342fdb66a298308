"""Several networks' 2D poses as one, with the covariance of their disagreement."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError, MismatchError
from pose3d.datasets import poses2d
from pose3d.metrics import coverage, position_error
from pose3d.reconstruction import combine_ensemble, reconstruct
from pose3d.synthetic import Scene, SimulationSettings, simulate

EVERYTHING = ("time", "keypoint", "individual")


def member(position: NDArray[np.float64], confidence: NDArray[np.float64] | None = None) -> xr.Dataset:
    """Positions (time, camera, individual, keypoint, 2) of cameras a, b and keypoints k0, k1, ..."""
    names = [f"k{number}" for number in range(position.shape[3])]
    return poses2d(position, confidence, cameras=["a", "b"], individuals=["one"], keypoints=names, frame_rate=100.0)


def random_position(seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(0, 500, (5, 2, 1, 3, 2))


def test_position_is_the_median_and_covariance_the_scatter_about_it() -> None:
    base = random_position()
    shifts = np.array([[0.0, 0.0], [1.0, 2.0], [-3.0, 1.0]])
    joint = combine_ensemble([member(base + shift) for shift in shifts])
    middle = np.median(shifts, axis=0)
    np.testing.assert_allclose(joint["position"].values, base + middle)
    away = shifts - middle
    expected = away.T @ away / 2
    np.testing.assert_allclose(joint["covariance"].values, np.broadcast_to(expected, (5, 2, 1, 3, 2, 2)))
    assert joint["covariance"].attrs["units"] == "px^2"
    assert joint.attrs["ensemble"] == 3


def test_the_order_of_the_members_does_not_matter() -> None:
    members = [member(random_position(seed)) for seed in range(4)]
    for name in ("position", "covariance", "confidence"):
        np.testing.assert_allclose(combine_ensemble(members)[name], combine_ensemble(members[::-1])[name])


def test_one_wrong_member_does_not_move_the_position_but_tells() -> None:
    base = random_position()
    joint = combine_ensemble([member(base), member(base + 0.1), member(base + 80.0)])
    assert np.abs(joint["position"].values - base).max() < 0.2
    assert (joint["covariance"].values[..., 0, 0] > 1000).all()


def test_what_one_member_sees_alone_is_missing() -> None:
    base = random_position()
    other = base.copy()
    other[2, 0, 0, 1] = np.nan
    joint = combine_ensemble([member(base), member(other)])
    assert np.isnan(joint["position"].values[2, 0, 0, 1]).all()
    assert joint["confidence"].values[2, 0, 0, 1] == 0
    assert int(joint["position"].isnull().any("space").sum()) == 1


def test_members_have_to_be_of_the_same_frames_and_names() -> None:
    base = random_position()
    with pytest.raises(MismatchError, match="frame of member 2"):
        combine_ensemble([member(base), member(base[:3])])
    with pytest.raises(MismatchError, match="keypoint of member 2"):
        combine_ensemble([member(base), member(base[..., :2, :])])
    with pytest.raises(InvalidValueError, match="at least two networks"):
        combine_ensemble([member(base)])


@pytest.fixture(scope="module")
def scene() -> Scene:
    return simulate(SimulationSettings(duration=1.0, cameras=4, seed=5, outlier_rate=0.0, dropout_rate=0.0))


def test_disagreement_is_a_better_weight_than_none(scene: Scene) -> None:
    """Networks that err together by an amount that changes from view to view: where they err, they disagree."""
    rng = np.random.default_rng(1)
    truth = scene.rig.project(scene.poses3d["position"].transpose("time", "individual", "keypoint", "space").values)
    clean = np.moveaxis(truth, 3, 1)
    deviation = np.exp(rng.normal(0.0, 1.0, clean.shape[:-1]))[..., None]
    seen = scene.poses2d.copy()
    seen["confidence"] = seen["confidence"] * 0 + 1.0

    def network() -> xr.Dataset:
        noise = deviation * rng.normal(size=clean.shape)
        return seen.assign(position=(seen["position"].dims, clean + noise, seen["position"].attrs))

    joint = combine_ensemble([network() for _ in range(5)])
    weighted = reconstruct(joint, scene.rig)
    plain = reconstruct(joint.drop_vars("covariance"), scene.rig)
    better, worse = (float(position_error(solid, scene.poses3d).mean()) for solid in (weighted, plain))
    assert better < 0.9 * worse
    assert 0.9 < float(coverage(weighted, scene.poses3d, over=EVERYTHING)) < 0.99
    assert weighted["noise"].attrs["units"] == "1"  # the factor by which the scatter is too small
