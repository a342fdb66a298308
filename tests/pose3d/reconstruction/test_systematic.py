"""The uncertainty of rig and clocks in the covariance of trajectories."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from calibration.errors import InvalidValueError
from calibration.rig_uncertainty import RigUncertainty, move_cameras
from pose3d.metrics import coverage
from pose3d.reconstruction import TrajectorySettings, reconstruct
from pose3d.synthetic import Scene, SimulationSettings, simulate

EVERYTHING = ("time", "keypoint", "individual")
EXACT = TrajectorySettings(lasting_noise=False)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return simulate(SimulationSettings(duration=0.5, cameras=4, seed=1, outlier_rate=0.0, occlusion="none"))


def labels_of(scene: Scene) -> tuple[list[tuple[str, str]], np.ndarray]:
    """Parameters of the cameras, and their deviations: a milliradian, 0.7 mm, one pixel."""
    poses = [(name, part) for name in scene.rig.names[1:] for part in ("rx", "ry", "rz", "tx", "ty", "tz")]
    focal = [(name, "f") for name in scene.rig.names]
    deviation = [1e-3 if part.startswith("r") else 0.7 for _, part in poses] + [1.0] * len(focal)
    return poses + focal, np.array(deviation)


def test_ellipsoids_hold_the_truth_over_calibrations(scene: Scene) -> None:
    labels, deviation = labels_of(scene)
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(12):
        rig = move_cameras(scene.rig, labels, rng.normal(size=len(deviation)) * deviation)
        uncertainty = RigUncertainty.of(rig, tuple(labels), np.diag(deviation**2))
        # errors of a rig last as well: without knowing of them, they would be taken for noise that does
        honest = reconstruct(scene.poses2d, rig, uncertainty=uncertainty, settings=EXACT)
        naive = reconstruct(scene.poses2d, rig, settings=EXACT)
        shares.append([float(coverage(one, scene.poses3d, over=EVERYTHING)) for one in (honest, naive)])
    honest_share, naive_share = np.mean(shares, axis=0)
    assert 0.88 < honest_share < 0.995
    assert naive_share < 0.7


def test_positions_stay(scene: Scene) -> None:
    labels, deviation = labels_of(scene)
    uncertainty = RigUncertainty.of(scene.rig, tuple(labels), np.diag(deviation**2))
    with_it, without = (
        reconstruct(scene.poses2d, scene.rig, uncertainty=uncertainty),
        reconstruct(scene.poses2d, scene.rig),
    )
    xr.testing.assert_identical(with_it["position"], without["position"])
    more = with_it["covariance"] - without["covariance"]
    values = np.linalg.eigvalsh(more.transpose("time", "keypoint", "individual", "space", "space_").values)
    assert (values > -1e-9).all()
    assert np.median(values[..., -1]) > 0.1


def test_an_exact_rig_adds_nothing(scene: Scene) -> None:
    uncertainty = RigUncertainty.of(scene.rig, (), np.zeros((0, 0)))
    exact = reconstruct(scene.poses2d, scene.rig, uncertainty=uncertainty)
    xr.testing.assert_allclose(exact["covariance"], reconstruct(scene.poses2d, scene.rig)["covariance"])


def test_uncertain_clocks_blur_what_moves(scene: Scene) -> None:
    poses2d = scene.poses2d.copy()
    late = {name: {"offset_std_s": 0.004 if name == "cam_2" else None} for name in scene.rig.names}
    poses2d.attrs["synchronization"] = json.dumps({"cameras": late})
    uncertainty = RigUncertainty.of(scene.rig, (), np.zeros((0, 0)))
    blurred = reconstruct(poses2d, scene.rig, uncertainty=uncertainty)
    added = blurred["covariance"] - reconstruct(scene.poses2d, scene.rig)["covariance"]
    amount = np.sqrt(
        np.trace(added.transpose("time", "keypoint", "individual", "space", "space_").values, axis1=-2, axis2=-1)
    )
    speed = np.linalg.norm(np.gradient(scene.poses3d["position"].values, 0.01, axis=0), axis=1)
    fast, slow = speed > np.quantile(speed, 0.8), speed < np.quantile(speed, 0.2)
    assert np.median(amount[fast]) > 3 * np.median(amount[slow])
    # one of four cameras is off by 4 ms: a part of the way that the point goes meanwhile
    assert 0.1 < np.median(amount[fast] / (0.004 * speed[fast])) < 1.0


def test_it_does_not_go_with_a_lag(scene: Scene) -> None:
    uncertainty = RigUncertainty.of(scene.rig, (), np.zeros((0, 0)))
    with pytest.raises(InvalidValueError, match="lag"):
        reconstruct(scene.poses2d, scene.rig, uncertainty=uncertainty, settings=TrajectorySettings(lag=2))
