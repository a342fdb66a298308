"""Poses as what kinematics work on: positions and covariance of points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.nearest import nearest_name
from calibration.schema import check
from pose3d.datasets import POSES2D, POSES3D
from pose3d.skeleton import Point

__all__ = ["at_points", "check_poses", "covariance_at_points", "is_flat", "keypoint_names", "point_weights"]


def check_poses(poses: xr.Dataset) -> xr.Dataset:
    """The Dataset, if it is Poses3D or Poses2D; values are not read.

    Raises:
        InvalidValueError: it follows neither schema.
    """
    if not isinstance(poses, xr.Dataset):
        raise InvalidValueError(
            "poses",
            expected="a Poses3D or Poses2D Dataset",
            got=type(poses).__name__,
            remedy="Make one with pose3d.poses3d(...), or open a file with pose3d.load_poses3d.",
        )
    return check(poses, POSES2D if is_flat(poses) else POSES3D, values=False)


def is_flat(poses: xr.Dataset) -> bool:
    """Whether the poses are those in images."""
    return "position" in poses and "camera" in poses["position"].dims


def keypoint_names(poses: xr.Dataset) -> list[str]:
    """Names of the keypoints, in their order."""
    return [str(name) for name in poses["keypoint"].values]


def at_points(poses: xr.Dataset, points: Sequence[Point]) -> xr.DataArray:
    """Positions of points, with the dimension `point` instead of `keypoint`; a point is the middle of its keypoints.

    Nothing is loaded where the Dataset is not. The point is missing where one of its keypoints is.

    Raises:
        InvalidValueError: a keypoint is unknown.
    """
    position = poses["position"]
    return _combined(position, point_weights(poses, points))


def covariance_at_points(poses: xr.Dataset, points: Sequence[Point]) -> xr.DataArray | None:
    """Covariance of points, with `point` instead of `keypoint`; None where the poses have none.

    Errors of different keypoints count as independent.

    Raises:
        InvalidValueError: a keypoint is unknown.
    """
    if "covariance" not in poses:
        return None
    return _combined(poses["covariance"], point_weights(poses, points) ** 2)


def point_weights(poses: xr.Dataset, points: Sequence[Point]) -> NDArray[np.float64]:
    """(point, keypoint) shares of the keypoints in the points."""
    names = keypoint_names(poses)
    weights = np.zeros((len(points), len(names)))
    for row, point in enumerate(points):
        for name in point:
            if name not in names:
                raise InvalidValueError(
                    "poses, keypoints",
                    expected=f"a keypoint '{name}'",
                    got=", ".join(names[:12]) + (", ..." if len(names) > 12 else ""),
                    remedy=nearest_name(name, names) or "Correct the name, or use the skeleton of these poses.",
                )
            weights[row, names.index(name)] += 1.0 / len(point)
    return weights


def _combined(values: xr.DataArray, weights: NDArray[np.float64]) -> xr.DataArray:
    """Weighted sums over keypoints; single keypoints are picked, so that their values stay as they are."""
    parts = []
    for row in weights:
        used = np.flatnonzero(row)
        part = (
            values.isel(keypoint=int(used[0])) * row[used[0]] if len(used) > 1 else values.isel(keypoint=int(used[0]))
        )
        for index in used[1:]:
            part = part + values.isel(keypoint=int(index)) * row[index]
        parts.append(part.drop_vars("keypoint", errors="ignore"))
    combined = xr.concat(parts, dim="point", coords="minimal", compat="override", join="override")
    return combined.assign_attrs(values.attrs)
