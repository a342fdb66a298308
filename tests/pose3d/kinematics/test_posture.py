"""Posture: components of movements that are known, the same in every run, and gaps that stay gaps."""

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.transform import Rotation

from calibration.errors import InvalidValueError
from pose3d.datasets import poses3d
from pose3d.kinematics.body_axes import body_centered
from pose3d.kinematics.posture import PostureSettings, posture_components, postures
from pose3d.skeleton import Anatomy, Skeleton

WORM = Skeleton(
    "worm",
    ("rear", "front", "left", "right", "top"),
    (("rear", "front"),),
    (("left", "right"),),
    anatomy=Anatomy(rear=("rear",), front=("front",)),
)
REST = np.array([(-50, 0, 0), (50, 0, 0), (0, 20, 0), (0, -20, 0), (0, 0, 30)], dtype=float)
TWO = PostureSettings(components=2)


def walking(frames: int = 400, *, noise: float = 0.0, individuals: int = 2) -> tuple[xr.Dataset, np.ndarray]:
    """A body that spreads its sides (10 mm) and nods its top (4 mm) while it walks and turns; and how far."""
    rng = np.random.default_rng(0)
    amounts = rng.standard_normal((frames, individuals, 2)) * (10, 4)
    position = np.broadcast_to(REST, (frames, individuals, 5, 3)).copy()
    position[..., 2, 1] += amounts[..., 0] / np.sqrt(2)
    position[..., 3, 1] -= amounts[..., 0] / np.sqrt(2)
    position[..., 4, 2] += amounts[..., 1]
    for number in range(individuals):
        turn = Rotation.from_euler("z", np.linspace(0, 7, frames)[:, None] * (number + 1))
        position[:, number] = np.einsum("tab,tkb->tka", turn.as_matrix(), position[:, number])
        position[:, number] += np.cumsum(rng.normal(0, 5, (frames, 1, 3)), axis=0)
    position += rng.normal(0, 1, position.shape) * noise
    names = [f"i{number}" for number in range(individuals)]
    made = poses3d(np.moveaxis(position, (3, 2, 1), (1, 2, 3)), individuals=names, keypoints=WORM.keypoints, unit="mm")
    return made, amounts


def test_known_movements_are_found_with_their_scores() -> None:
    poses, amounts = walking()
    found = posture_components(poses, WORM, TWO)
    np.testing.assert_allclose(found["explained_variance_ratio"].sum(), 1.0)
    np.testing.assert_allclose(found["posture_sd"], [10, 4], rtol=0.1)
    spread = found["posture_component"].sel(component=1)
    assert abs(spread.sel(space="y", keypoint="left").item()) == pytest.approx(np.sqrt(0.5), abs=1e-3)
    assert found["posture_component"].sel(component=2, space="z", keypoint="top").item() == pytest.approx(1, abs=1e-3)
    assert found["posture_score"].dims == ("time", "component", "individual")
    scores = found["posture_score"].transpose("time", "individual", "component").values
    for number in range(2):
        correlation = np.corrcoef(scores[..., number].ravel(), amounts[..., number].ravel())[0, 1]
        assert abs(correlation) > 0.999
    assert found["posture_score"].attrs["units"] == found["posture_mean"].attrs["units"] == "mm"
    assert found["posture_score"].attrs["fitted_poses"] == 800


def test_components_are_an_independent_decomposition() -> None:
    poses, _ = walking(noise=3.0)
    found = posture_components(poses, WORM, PostureSettings(components=4))
    centered = body_centered(poses, WORM)["position"].transpose("time", "individual", "space", "keypoint")
    rows = centered.values.reshape(-1, 15)
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    np.testing.assert_allclose(found["posture_sd"] ** 2, values[::-1][:4])
    np.testing.assert_allclose(found["explained_variance_ratio"], values[::-1][:4] / values.sum())
    components = found["posture_component"].values.reshape(4, 15)
    np.testing.assert_allclose(abs(np.sum(components * vectors[:, ::-1][:, :4].T, axis=1)), 1)
    np.testing.assert_allclose(components @ components.T, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(found["posture_score"].mean(["time", "individual"]), 0, atol=1e-9)


def test_the_sign_is_that_of_the_largest_coordinate() -> None:
    poses, _ = walking(noise=1.0)
    found = posture_components(poses, WORM, PostureSettings(components=3))["posture_component"]
    flat = found.values.reshape(3, -1)
    assert (flat[np.arange(3), np.abs(flat).argmax(axis=1)] > 0).all()
    backward = poses.isel(time=slice(None, None, -1)).assign_coords(time=poses["time"], frame=poses["frame"])
    again = posture_components(backward, WORM, PostureSettings(components=3))["posture_component"]
    np.testing.assert_allclose(again, found, atol=1e-9)


def test_gaps_stay_gaps_and_do_not_count() -> None:
    poses, _ = walking(noise=1.0)
    broken = poses.copy(deep=True)
    broken["position"][10:20, :, 3, 1] = np.nan
    found = posture_components(broken, WORM, TWO)
    missing = found["posture_score"].isnull().any("component")
    assert missing.sum() == 10
    assert missing[10:20, 1].all()
    assert found["posture_score"].attrs["fitted_poses"] == 790
    without = posture_components(broken, WORM, PostureSettings(2, keypoints=("rear", "front", "left", "top")))
    assert not without["posture_score"].isnull().any()


def test_standard_deviations_are_those_of_many_draws() -> None:
    poses, _ = walking(3, noise=1.0, individuals=1)
    found = posture_components(walking(noise=1.0)[0], WORM, TWO)
    rng = np.random.default_rng(2)
    root = rng.normal(size=(5, 3, 3))
    covariance = np.einsum("kab,kcb->ack", root, root)
    one = body_centered(poses, WORM).isel(time=[0])
    noise = np.einsum("kab,tkb->tak", root, rng.standard_normal((20000, 5, 3)))[..., None]
    many = poses3d(one["position"].values + noise, individuals=["i0"], keypoints=WORM.keypoints, unit="mm")
    scores = [
        np.einsum("tak,ak->t", many["position"].values[..., 0], found["posture_component"].values[number])
        for number in range(2)
    ]
    dims = ("time", "space", "space_", "keypoint", "individual")
    repeated = poses.assign(covariance=(dims, np.broadcast_to(covariance[None, ..., None], (3, 3, 3, 5, 1)).copy()))
    # taken as they are: the components are of these very poses, so they are given again
    told = repeated.assign_attrs(coordinates="body")
    std = posture_components(told, WORM, PostureSettings(1))
    direction = std["posture_component"].values[0]
    expected = np.sqrt(np.einsum("ak,abk,bk->", direction, covariance, direction))
    np.testing.assert_allclose(std["posture_score_std"], expected)
    assert np.std(scores[0]) == pytest.approx(
        np.sqrt(
            np.einsum(
                "ak,abk,bk->", found["posture_component"][0].values, covariance, found["posture_component"][0].values
            )
        ),
        rel=0.03,
    )


def test_few_poses_are_fitted_and_all_scored() -> None:
    poses, _ = walking(1000)
    found = posture_components(poses, WORM, PostureSettings(2, most_frames=300))
    assert found["posture_score"].attrs["fitted_poses"] == 286
    assert found["posture_score"].notnull().all()
    whole = posture_components(poses, WORM, TWO)
    np.testing.assert_allclose(found["posture_sd"], whole["posture_sd"], rtol=0.15)


def test_lazy_poses_give_the_same_lazily() -> None:
    poses, _ = walking(noise=1.0)
    lazy = posture_components(poses.chunk(time=90), WORM, TWO)
    assert lazy["posture_score"].chunks
    xr.testing.assert_allclose(lazy.compute(), posture_components(poses, WORM, TWO))


def test_components_as_poses() -> None:
    poses, _ = walking(noise=1.0)
    found = posture_components(poses, WORM, TWO)
    shown = postures(found, (-1.0, 0.0, 1.0))
    assert shown.dims == ("component", "amount", "space", "keypoint")
    np.testing.assert_allclose(shown.sel(amount=0.0, component=1), found["posture_mean"])
    step = (shown.sel(amount=1.0) - shown.sel(amount=-1.0)) / 2
    np.testing.assert_allclose(np.sqrt((step**2).sum(["space", "keypoint"])), found["posture_sd"])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (PostureSettings(keypoints=("rear", "frnt")), "Did you mean 'front'"),
        (PostureSettings(components=0), "one at least"),
        (PostureSettings(components=16), "more complete poses"),
    ],
)
def test_wrong_settings_are_refused(settings: PostureSettings, expected: str) -> None:
    with pytest.raises(InvalidValueError, match=expected):
        posture_components(walking()[0], WORM, settings)


def test_poses_without_movement_or_without_whole_frames_are_refused() -> None:
    poses, _ = walking(20)
    still = poses.assign(position=poses["position"].isel(time=[0] * 20).assign_coords(poses["position"].coords))
    with pytest.raises(InvalidValueError, match="all the same"):
        posture_components(still.isel(individual=[0]), WORM, TWO)
    poses["position"][:, :, 2] = np.nan
    with pytest.raises(InvalidValueError, match="left is missing in 100%"):
        posture_components(poses, WORM, TWO)
