"""What the cameras would see of a truth in 3D, to score animals that were followed in 2D."""

from __future__ import annotations

import numpy as np
import xarray as xr

from calibration.errors import MismatchError
from calibration.rig import Rig
from calibration.schema import check
from pose3d.datasets import POSES3D, poses2d

__all__ = ["projected_truth"]


def projected_truth(truth: xr.Dataset, rig: Rig) -> xr.Dataset:
    """Poses2D of true 3D positions: their pixels in every camera, NaN outside the images.

    A camera sees through bodies here: an animal that is hidden behind another is in the truth all the same, and counts
    as missed where the result does not have it. The result is loaded, 16 bytes for every position and camera.

    Raises:
        InvalidValueError: the Dataset is no Poses3D.
        MismatchError: its unit is not that of the rig.
    """
    check(truth, POSES3D)
    unit = str(truth["position"].attrs.get("units", ""))
    if unit != rig.unit:
        raise MismatchError("truth and rig", expected="the same unit", got=f"{unit} and {rig.unit}", remedy="Convert.")
    points = truth["position"].transpose("time", "individual", "keypoint", "space").values
    pixels = np.moveaxis(rig.project(points), 3, 1)
    # positions count from the center of the first pixel
    sizes = np.array([camera.size for camera in rig.cameras], dtype=np.float64)[:, None, None]
    with np.errstate(invalid="ignore"):
        inside = ((pixels >= -0.5) & (pixels <= sizes - 0.5)).all(axis=-1, keepdims=True)
    return poses2d(
        np.where(inside, pixels, np.nan),
        cameras=[camera.name for camera in rig.cameras],
        individuals=[str(name) for name in truth["individual"].values],
        keypoints=[str(name) for name in truth["keypoint"].values],
        frames=truth["frame"].values,
        frame_rate=truth.attrs.get("fps"),
        source_file=str(truth.attrs.get("source_file", "")),
    )
