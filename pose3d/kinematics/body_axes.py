"""The axis of the body, and poses as the body sees them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.schema import check
from pose3d.datasets import POSES3D
from pose3d.kinematics._combinations import Floats, axis_of, combined, framewise, labeled, unit_of
from pose3d.kinematics._poses import check_poses, is_flat, point_weights
from pose3d.kinematics.masses import center_of_mass
from pose3d.kinematics.segments import segment_frames
from pose3d.skeleton import Point, Skeleton

__all__ = ["Origin", "body_axis", "body_centered"]

Origin = Literal["axis", "center_of_mass"]

_VERTICAL = 1e-6
"""An axis with less than this share of its length in the ground plane has no direction there."""


def body_axis(poses: xr.Dataset, skeleton: Skeleton) -> xr.Dataset:
    """The direction in which the body points: from the rear to the front that the anatomy says.

    Returns:
        `body_axis` (time, space, individual), a unit vector; `body_yaw` (time, individual), its direction in the ground
        plane from x to y, from -pi to pi (z is up); `body_pitch` (time, individual), its angle above the ground plane;
        all with `_std`, of the vector along each axis. Of Poses2D: the axis, and its direction in the image.
        `body_axis_status`: 0; 1 where a point is missing, 2 where front and rear are at the same place, 3 where the
        axis is vertical and has no yaw.

    Raises:
        InvalidValueError: the Dataset is neither Poses3D nor Poses2D, the skeleton has no axis, or the poses lack its
            keypoints.
    """
    check_poses(poses)
    rear, front = point_weights(poses, axis_of(skeleton))
    step = front - rear
    used = step != 0

    def compute(position: Floats, covariance: Floats | None) -> tuple[NDArray[np.generic], ...]:
        vector = combined(position, step[None])[..., 0]
        if covariance is None:
            return _directions(vector)
        return *_directions(vector), *_deviations(vector, covariance[..., used] @ step[used] ** 2)

    named: dict[str, tuple[str, ...]] = {"body_axis": ("space",), "body_yaw": ()}
    if not is_flat(poses):
        named["body_pitch"] = ()
    outputs = {"body_axis_status": ()} | named
    if "covariance" in poses:
        outputs |= {f"{name}_std": dims for name, dims in named.items()}
    sizes = {"space": poses.sizes["space"]}
    found = framewise(poses, compute, outputs, sizes, {"body_axis_status": np.int8})
    told = {
        "body_axis": ("1", "direction from the rear to the front of the body"),
        "body_yaw": ("rad", "direction of the body, from x to y"),
        "body_pitch": ("rad", "angle of the body above the ground plane"),
        "body_axis_status": ("1", "why the direction is missing"),
    }
    return labeled(poses, found, told, {"body_axis_status": "found point_missing no_length vertical"})


def body_centered(
    poses: xr.Dataset,
    skeleton: Skeleton,
    *,
    origin: Origin | Point = "axis",
    orientation: str = "heading",
) -> xr.Dataset:
    """Poses in the coordinates of the body: x to its front, y to its left, z up.

    Args:
        poses: Poses3D.
        skeleton: its anatomy says where front and rear are.
        origin: "axis" for the middle between rear and front, "center_of_mass", or names of keypoints, whose middle it
            is.
        orientation: "heading" turns about the vertical only, so that a body that rears up is still seen to rear up;
            "axis" lays x along the axis of the body and keeps y level; the name of a segment takes its system (x to the
            front, y up, z to the right), so that the body does not roll either.

    Returns:
        Poses3D with the variables of `poses`; `covariance` is turned with the positions. It counts the errors of each
        keypoint, and none of the origin and the axes, which come from the same keypoints. A frame without origin or
        axes has no positions.

    Raises:
        InvalidValueError: the Dataset is no Poses3D, the skeleton has no axis or no such segment, the poses lack its
            keypoints, the origin is unknown, or see `center_of_mass`.
    """
    check(poses, POSES3D, values=False)
    if isinstance(origin, str) and origin not in ("axis", "center_of_mass"):
        raise InvalidValueError(
            "origin of body coordinates",
            expected='"axis", "center_of_mass", or a tuple of keypoints',
            got=repr(origin),
            remedy=f"Write a single keypoint as a tuple: ({origin!r},).",
        )
    turn = _body_from_world(poses, skeleton, orientation)
    moved = poses["position"] - _origin(poses, skeleton, origin)
    found = {"position": xr.dot(turn, moved, dim="space").rename(body="space")}
    if "covariance" in poses:
        half = xr.dot(turn, poses["covariance"], dim="space")
        found["covariance"] = xr.dot(half, turn.rename(body="body_", space="space_"), dim="space_").rename(
            body="space", body_="space_"
        )
    unit = unit_of(poses)
    told = {"position": (unit, "position in the coordinates of the body"), "covariance": (f"{unit}^2", "covariance")}
    ordered = {
        name: array.transpose(*POSES3D.variables[name].dims).assign_coords(space=poses["space"].values)
        for name, array in found.items()
    }
    return poses.assign(labeled(poses, ordered, told).data_vars).assign_attrs(coordinates="body")


def _body_from_world(poses: xr.Dataset, skeleton: Skeleton, orientation: str) -> xr.DataArray:
    """(time, body, space, individual) rotations into the coordinates of the body."""
    bare = poses.drop_vars("covariance", errors="ignore")
    if orientation not in ("heading", "axis"):
        frames = segment_frames(bare, skeleton, [orientation])["world_from_segment"].isel(segment=0, drop=True)
        x, y, z = (frames.sel(axis=axis, drop=True) for axis in "xyz")
        return xr.concat([x, -z, y], dim="body")
    rear, front = point_weights(poses, axis_of(skeleton))

    def compute(position: Floats, _covariance: Floats | None) -> tuple[NDArray[np.generic], ...]:
        return (_upright(combined(position, (front - rear)[None])[..., 0], level=orientation == "heading"),)

    outputs = {"turn": ("body", "space")}
    return framewise(bare, compute, outputs, {"body": 3, "space": 3})["turn"]


def _origin(poses: xr.Dataset, skeleton: Skeleton, origin: Origin | Point) -> xr.DataArray:
    """(time, space, individual) the origin of the coordinates of the body."""
    if origin == "center_of_mass":
        return center_of_mass(poses.drop_vars("covariance", errors="ignore"), skeleton)["center_of_mass"]
    points = axis_of(skeleton) if isinstance(origin, str) else (tuple(origin),)
    middle = point_weights(poses, points).mean(axis=0)

    def compute(position: Floats, _covariance: Floats | None) -> tuple[NDArray[np.generic], ...]:
        return (combined(position, middle[None])[..., 0],)

    return framewise(poses[["position"]], compute, {"origin": ("space",)}, {"space": 3})["origin"]


def _directions(vector: Floats) -> tuple[NDArray[np.generic], ...]:
    """Status, unit vector, yaw and, in space, pitch of vectors (..., space)."""
    length, level = np.linalg.norm(vector, axis=-1), np.linalg.norm(vector[..., :2], axis=-1)
    turned = level > _VERTICAL * length
    status = np.select([~np.isfinite(length), length == 0, ~turned], [1, 2, 3], 0).astype(np.int8)
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = vector / length[..., None]
    yaw = np.where(turned, np.arctan2(vector[..., 1], vector[..., 0]), np.nan)
    if vector.shape[-1] == 2:
        return status, unit, yaw
    return status, unit, yaw, np.where(length > 0, np.arctan2(vector[..., 2], level), np.nan)


def _deviations(vector: Floats, covariance: Floats) -> list[Floats]:
    """Standard deviations of what `_directions` tells, for vectors with covariance (..., space, space)."""
    length, level = np.linalg.norm(vector, axis=-1), np.linalg.norm(vector[..., :2], axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = vector / length[..., None]
        slope = (np.eye(vector.shape[-1]) - unit[..., :, None] * unit[..., None, :]) / length[..., None, None]
        around = np.zeros_like(vector)
        around[..., 0], around[..., 1] = -vector[..., 1] / level**2, vector[..., 0] / level**2
        slopes = [around]
        if vector.shape[-1] == 3:
            above = -vector * (vector[..., 2] / (level * length**2))[..., None]
            above[..., 2] = level / length**2
            slopes.append(above)
    axis = np.sqrt(np.einsum("...ia,...ab,...ib->...i", slope, covariance, slope, optimize=True))
    return [axis, *(np.sqrt(np.einsum("...a,...ab,...b->...", each, covariance, each)) for each in slopes)]


def _upright(axis: Floats, *, level: bool) -> Floats:
    """(..., 3, 3) rotations into a system whose x is along an axis (..., 3), made level or not, and whose y is level.

    NaN where the axis is vertical.
    """
    across, length = np.linalg.norm(axis[..., :2], axis=-1), np.linalg.norm(axis, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ahead = axis[..., :2] / np.where(across > _VERTICAL * length, across, np.nan)[..., None]
        front = axis / length[..., None]
    zero = 0.0 * ahead[..., 0]
    left = np.stack([-ahead[..., 1], ahead[..., 0], zero], axis=-1)
    if level:
        front = np.stack([ahead[..., 0], ahead[..., 1], zero], axis=-1)
    return np.stack([front, left, np.cross(front, left)], axis=-2)
