"""Poses with everything in them that a writer has to get right."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from calibration.triangulation import Status
from pose3d.datasets import POSES3D, poses2d, poses3d

CAMERAS = ("cam_1", "cam_2", "cam_10")


@pytest.fixture(scope="session")
def make_solid() -> Callable[..., xr.Dataset]:
    """A maker of Poses3D Datasets with all variables: gaps in the frames, missing points, bool and int8 flags."""

    def make(
        n_frames=7,
        keypoints=("nose", "tail, tip", "banane nan", "Öhr"),
        individuals=("anna", "ben/2"),
        frames=None,
        frame_rate=30.0,
        seed=0,
    ) -> xr.Dataset:
        rng = np.random.default_rng(seed)
        shape = (n_frames, len(keypoints), len(individuals))
        position = rng.normal(scale=300, size=(n_frames, 3, *shape[1:]))
        missing = rng.random(shape) < 0.3
        missing[:, -1, -1] = True
        position[np.repeat(missing[:, None], 3, axis=1)] = np.nan
        gone = np.where(missing, np.nan, 1.0)
        frames = 3 + 2 * np.arange(n_frames) if frames is None else frames
        solid = poses3d(
            position,
            np.where(missing, np.nan, rng.random(shape)),
            individuals=individuals,
            keypoints=keypoints,
            unit="mm",
            frames=frames,
            frame_rate=frame_rate,
            source_file="poses",
        ).assign_coords(camera=list(CAMERAS), space_=["x", "y", "z"])
        factor = rng.normal(size=(n_frames, 3, 3, *shape[1:]))
        inlier = rng.random((n_frames, 3, *shape[1:])) < 0.8
        more = {
            "reprojection_error": (rng.random(shape) * gone, "px"),
            "n_cameras": (np.where(missing, 0, 3).astype(np.int8), "1"),
            "status": (np.where(missing, Status.NO_CONSENSUS, Status.OK).astype(np.int8), "1"),
            "covariance": (np.einsum("tabki,tcbki->tacki", factor, factor) * gone[:, None, None], "mm^2"),
            "inlier": (inlier & ~missing[:, None], "1"),
        }
        for name, (values, units) in more.items():
            solid[name] = (POSES3D.variables[name].dims, values, {"units": units})
        solid["noise"] = ("camera", np.array([0.5, 1.0, 1.5]), {"units": "px"})
        return solid

    return make


@pytest.fixture(scope="session")
def make_flat() -> Callable[..., xr.Dataset]:
    """A maker of Poses2D Datasets of three cameras."""

    def make(n_frames=7, keypoints=("nose", "tail"), individuals=("anna",), seed=0, frame_rate=30.0) -> xr.Dataset:
        rng = np.random.default_rng(seed)
        position = rng.uniform(0, 640, size=(n_frames, 3, len(individuals), len(keypoints), 2))
        position[rng.random(position.shape[:-1]) < 0.2] = np.nan
        return poses2d(
            position,
            rng.random(position.shape[:-1]),
            cameras=CAMERAS,
            individuals=individuals,
            keypoints=keypoints,
            frame_rate=frame_rate,
            image_size=[[640, 480]] * 3,
        )

    return make
