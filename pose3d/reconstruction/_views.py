"""What cameras saw of keypoints, in normalized image coordinates with their information, ready for the kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.rig import Rig
from calibration.triangulation import normalize_pixels

__all__ = ["Views", "camera_table", "covariance_floor", "make_views", "scaled_table", "view_table"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Views:
    """What cameras saw, over the axes (individual, time, keypoint, camera).

    Attributes:
        pixels: (..., 2) px, NaN where not seen.
        confidence: (...) 0 where not seen.
        table: (..., 6) place in normalized coordinates, the inverse of its covariance (xx, xy, yy) for noise of one
            pixel, or for the covariance that the poses have, and the root of the determinant of the covariance in px^2;
            0 where not seen.
    """

    pixels: Array
    confidence: Array
    table: Array


def make_views(poses2d: xr.Dataset, rig: Rig, *, minimum_confidence: float, floor: Array | None) -> Views:
    """The views of Poses2D whose cameras are those of the rig.

    Args:
        poses2d: Poses2D Dataset.
        rig: the cameras.
        minimum_confidence: less counts as not seen.
        floor: (keypoint,) variance in px^2 that is added to the covariances of the poses, None to ignore these.
    """
    order = ("individual", "time", "keypoint", "camera")
    pixels = np.array(poses2d["position"].transpose(*order, "space").values, dtype=np.float64)
    confidence = np.array(poses2d["confidence"].transpose(*order).values, dtype=np.float64)
    normalized, slope = normalize_pixels(rig, pixels)
    with np.errstate(invalid="ignore"):
        seen = np.isfinite(normalized[..., 0]) & (confidence > 0) & (confidence >= minimum_confidence)
    covariance = None
    if floor is not None and "covariance" in poses2d:
        covariance = poses2d["covariance"].transpose(*order, "space", "space_").values.astype(np.float64)
        seen &= np.isfinite(covariance).all((-1, -2))
        covariance = np.where(seen[..., None, None], covariance, np.eye(2)) + floor[:, None, None, None] * np.eye(2)
    table = view_table(normalized, slope, confidence, seen, covariance)
    return Views(np.where(seen[..., None], pixels, np.nan), np.where(seen, confidence, 0.0), table)


def view_table(
    normalized: Array, slope: Array, confidence: Array, seen: NDArray[np.bool_], covariance: Array | None = None
) -> Array:
    """(..., 6) see `Views.table`.

    Args:
        normalized, slope: (..., 2) and (..., 2, 2) of `calibration.triangulation.normalize_pixels`.
        confidence: (...) the inverse of the variance in px^2, where there is no covariance.
        seen: (...).
        covariance: (..., 2, 2) px^2.
    """
    table = np.empty((*confidence.shape, 6))
    table[..., :2] = normalized
    xx, xy, yy = confidence, np.zeros(()), confidence
    if covariance is None:
        with np.errstate(divide="ignore"):
            table[..., 5] = 1.0 / confidence
    else:
        determinant = covariance[..., 0, 0] * covariance[..., 1, 1] - covariance[..., 0, 1] ** 2
        xx, yy = covariance[..., 1, 1] / determinant, covariance[..., 0, 0] / determinant
        xy = -covariance[..., 0, 1] / determinant
        table[..., 5] = np.sqrt(determinant)
    a, b, c, d = slope[..., 0, 0], slope[..., 0, 1], slope[..., 1, 0], slope[..., 1, 1]
    table[..., 2] = a * a * xx + 2 * a * c * xy + c * c * yy
    table[..., 3] = a * b * xx + (a * d + b * c) * xy + c * d * yy
    table[..., 4] = b * b * xx + 2 * b * d * xy + d * d * yy
    table[~seen] = 0.0
    return table


def scaled_table(table: Array, deviation: Array) -> Array:
    """The table of views (..., keypoint, camera, 6) for noise of (keypoint, camera); a copy."""
    scaled = table.copy()
    # the last column stays: it is in units of the determinant at this noise
    scaled[..., 2:5] /= deviation[:, :, None] ** 2
    return scaled


def covariance_floor(poses2d: xr.Dataset) -> Array | None:
    """(keypoint,) what is added to the variances of the poses: their median; None where they have no covariances.

    A network, or several that agree, can be surer than is true: an ensemble of three that say the same has no variance
    at all. Half of what a typical position has stays.
    """
    if "covariance" not in poses2d:
        return None
    order = ("keypoint", "time", "individual", "camera", "space", "space_")
    covariance = poses2d["covariance"].transpose(*order).values
    variance = 0.5 * np.trace(covariance, axis1=-2, axis2=-1).reshape(len(covariance), -1)
    floor = np.array([np.median(one[np.isfinite(one)]) if np.isfinite(one).any() else 1.0 for one in variance])
    return np.maximum(floor, 1e-4)


def camera_table(rig: Rig) -> Array:
    """(camera, 12) rotation, by rows, and translation."""
    poses = [camera.cam_from_world for camera in rig]
    return np.stack([np.concatenate([pose.rotation.ravel(), pose.translation]) for pose in poses])
