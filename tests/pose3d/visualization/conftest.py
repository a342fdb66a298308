"""A small recording with known truth, made without triangulation: nothing here depends on how poses are computed."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import xarray as xr

from calibration.rig import Rig
from calibration.triangulation import Status
from pose3d.skeleton import Skeleton
from pose3d.synthetic import SimulationSettings, simulate

NOISE = 0.5  # mm
# Fewer keypoints than the animal has: figures with many names take long to draw.
KEYPOINTS = ("nose", "neck", "spine", "tail_base", "left_knee", "left_ankle", "right_knee", "right_ankle")

SKELETON = Skeleton(
    "mouse",
    KEYPOINTS,
    (
        *(("nose", "neck"), ("neck", "spine"), ("spine", "tail_base")),
        *(
            edge
            for side in ("left", "right")
            for edge in (("tail_base", f"{side}_knee"), (f"{side}_knee", f"{side}_ankle"))
        ),
    ),
    (("left_knee", "right_knee"), ("left_ankle", "right_ankle")),
)


@dataclass(frozen=True)
class Recording:
    rig: Rig
    skeleton: Skeleton
    poses2d: xr.Dataset
    poses3d: xr.Dataset
    truth: xr.Dataset


def make_recording(individuals: int = 1, duration: float = 0.6, seed: int = 1) -> Recording:
    scene = simulate(
        SimulationSettings(
            individuals=individuals,
            duration=duration,
            cameras=4,
            size=(320, 256),
            focal_length=350.0,
            noise=0.5,
            occlusion="none",
            seed=seed,
        )
    )
    rng = np.random.default_rng(seed)
    chosen = {"keypoint": list(KEYPOINTS)}
    truth, poses2d, labels = (data.sel(chosen) for data in (scene.poses3d, scene.poses2d, scene.labels2d))
    poses3d = truth.copy(deep=True)
    shape = poses3d["confidence"].shape
    missing = rng.random(shape) < 0.05
    noisy = truth["position"].values + rng.normal(0, NOISE, truth["position"].shape)
    poses3d["position"].values[:] = np.where(missing[:, None], np.nan, noisy)
    by_keypoint = poses3d["confidence"].dims
    poses3d["status"] = (by_keypoint, np.where(missing, int(Status.NO_CONSENSUS), 0), {"units": "1"})
    covariance = np.broadcast_to(NOISE**2 * np.eye(3)[None, :, :, None, None], (shape[0], 3, 3, *shape[1:]))
    poses3d["covariance"] = (
        ("time", "space", "space_", "keypoint", "individual"),
        np.where(missing[:, None, None], np.nan, covariance),
        {"units": "mm^2"},
    )
    seen = poses2d["position"].notnull().all("space") & ~labels["outlier"].astype(bool)
    inlier = seen.transpose("time", "camera", "keypoint", "individual").values & ~missing[:, None]
    poses3d = poses3d.assign_coords(camera=list(scene.rig.names))
    poses3d["inlier"] = (("time", "camera", "keypoint", "individual"), inlier)
    poses3d["n_cameras"] = (by_keypoint, inlier.sum(1), {"units": "1"})
    points = poses3d["position"].transpose("time", "keypoint", "individual", "space").values
    residual = (
        np.moveaxis(scene.rig.project(points), 3, 1)
        - poses2d["position"].transpose("time", "camera", "keypoint", "individual", "space").values
    )
    squared = np.where(inlier, (residual**2).sum(-1), 0.0).sum(1) / np.maximum(inlier.sum(1), 1)
    poses3d["reprojection_error"] = (by_keypoint, np.where(inlier.any(1), np.sqrt(squared), np.nan), {"units": "px"})
    return Recording(scene.rig, SKELETON, poses2d, poses3d, truth)


def reconstructed(scene: Recording) -> xr.Dataset:
    """The poses as a reconstruction of whole recordings writes them: with repairs, bridged positions and bones.

    Every tenth view of cam_1 was repaired; the neck is bridged in frames 10 to 19; what is missing is too uncertain.
    """
    poses3d = scene.poses3d.copy(deep=True)
    words = "triangulated seen_by_fewer_than_two_cameras no parallel behind too_uncertain"
    missing = poses3d["status"].values > 0
    poses3d["status"].values[missing] = 5
    poses3d["status"].attrs = {"flag_values": np.arange(6, dtype=np.int8), "flag_meanings": words}
    dims = poses3d["inlier"].dims
    kind = np.zeros(poses3d["inlier"].shape, dtype=np.int8)
    kind[::10, 0] = 1
    kind[::20, 0] = 2
    poses3d["repair"] = (dims, kind)
    poses3d["residual"] = (dims, np.where(poses3d["inlier"].values, 0.5, np.nan), {"units": "px"})
    bridged = np.zeros(poses3d["confidence"].shape, dtype=bool)
    bridged[10:20, 1] = ~missing[10:20, 1]
    poses3d["bridged"] = (poses3d["confidence"].dims, bridged, {"units": "1"})
    poses3d["inlier"].values[10:20, :, 1] = False
    poses3d["n_cameras"].values[bridged] = 0
    individuals = poses3d.sizes["individual"]
    poses3d = poses3d.assign_coords(bone=["nose-neck", "neck-spine", "tail_base-left_knee"])
    for name, values in (
        ("bone_length", (26.0, 30.0, np.nan)),
        ("bone_length_std", (0.13, 0.6, np.nan)),
        ("bone_deviation", (0.26, 3.0, np.nan)),
    ):
        poses3d[name] = (("bone", "individual"), np.repeat(np.array(values)[:, None], individuals, 1), {"units": "mm"})
    return poses3d.assign_attrs(reconstruction='{"motion": "velocity"}')


@pytest.fixture(scope="package")
def recording() -> Recording:
    return make_recording()


@pytest.fixture(scope="package")
def pair() -> Recording:
    """Two animals."""
    return make_recording(individuals=2, duration=0.3)


@pytest.fixture(scope="package")
def trajectory(recording: Recording) -> Recording:
    """The recording, reconstructed as a whole; its 2D poses hold what stood there before the repairs."""
    poses3d = reconstructed(recording)
    before = recording.poses2d.copy(deep=True)
    wrong = (poses3d["repair"] > 0).transpose("time", "camera", "individual", "keypoint").values
    before["position"].values[wrong] += 80.0
    return replace(recording, poses3d=poses3d, poses2d=before)


@pytest.fixture(scope="package")
def walk() -> Recording:
    """Two seconds of one animal."""
    return make_recording(duration=2.0)
