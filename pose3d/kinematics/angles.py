"""Angles between lines of the body: at points, between lines, in a plane, to a direction and to a plane."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from calibration.errors import InvalidValueError
from pose3d.kinematics._angle_kernels import angle_errors
from pose3d.kinematics._angle_kernels import angles as angles_between
from pose3d.kinematics._angle_lines import (
    Ends,
    Lines,
    Output,
    as_vector,
    chosen,
    computed,
    lines_between,
    named_point,
    sources_of,
    status_attributes,
)
from pose3d.kinematics._angle_planes import Plane, angles_in_planes, plane_ends
from pose3d.kinematics._poses import check_poses, is_flat, keypoint_names
from pose3d.kinematics._rotation_continuity import unwrapped
from pose3d.rhythm import rhythm_of
from pose3d.skeleton import WORLD, Angle, Point, Skeleton

__all__ = ["angle_to_axis", "angle_to_plane", "joint_angles"]

Array = NDArray[np.float64]
Codes = NDArray[np.int8]
Direction = ArrayLike | tuple[str | Point, str | Point]


def joint_angles(
    poses: xr.Dataset,
    skeleton: Skeleton,
    *,
    angles: Sequence[str | Angle] | None = None,
    unwrap: bool = True,
) -> xr.Dataset:
    """The angles of a skeleton.

    - Of three points: at the middle one, from 0 to pi; pi where they are a straight line.
    - Of four points: between the line from the first to the second and that from the third to the fourth, from 0 to pi.
    - In the plane of two axes, of a segment or of the world: from one line to the other, both projected onto the plane;
      positive from the first axis towards the second. Of three points, the lines run from the middle one to the first
      and to the third. Above -pi and up to pi, or unwrapped.

    Args:
        poses: Poses3D; Poses2D where no angle is in a plane of a segment. Lazy ones give lazy results.
        skeleton: its angles are told; where it has none, those of three points at every keypoint that two edges meet.
        angles: names, or further angles; by default all whose keypoints the poses have.
        unwrap: whether angles with a sign go on beyond pi, in each run of frames without a gap by itself.

    Returns:
        `joint_angle` (time, angle, individual) in rad, of 2D poses (time, camera, angle, individual), and
        `joint_angle_status`, alike: why there is none, or that a line is within 10 degrees of being perpendicular to
        its plane. `joint_angle_std` where the poses have covariance, first order; near 0 and pi of angles without sign
        it also counts the errors that leave the plane of the two lines, see `_angle_kernels.angle_errors`. Errors of
        different keypoints count as independent.

    Raises:
        InvalidValueError: the Dataset is neither Poses3D nor Poses2D, a name is unknown, there is no angle, or 2D poses
            have none in that plane.
    """
    check_poses(poses)
    parts = _chosen(poses, skeleton, angles)
    planes = {place: _plane(poses, skeleton, part) for place, part in enumerate(parts) if part.axis is not None}
    ends = [line for part in parts for line in _lines(part)]
    work = _work(poses, ends, planes)
    result = _dataset(poses, work, [part.name for part in parts], "joint_angle", "angle")
    if planes and unwrap:  # angles from 0 to pi stay as they are
        values = result["joint_angle"]
        result["joint_angle"] = unwrapped(values, rhythm_of(poses).slot)
    return result


def angle_to_axis(poses: xr.Dataset, start: str | Point, end: str | Point, axis: Direction) -> xr.Dataset:
    """The angle between a line of the body and a direction, from 0 to pi.

    Args:
        poses: Poses3D or Poses2D; lazy ones give lazy results.
        start, end: keypoints, or tuples of them whose middle it is: the line runs from one to the other.
        axis: a vector in the world (in the image of 2D poses), or the two points that the direction runs between.

    Returns:
        `angle_to_axis` (time, individual), of 2D poses (time, camera, individual), in rad, with `angle_to_axis_std` and
        `angle_to_axis_status` as in `joint_angles`.

    Raises:
        InvalidValueError: a keypoint is unknown, or the vector has no length.
    """
    ends = [(named_point(start), named_point(end)), _direction(poses, axis, "axis")]
    return _dataset(poses, _work(poses, ends, {}), None, "angle_to_axis", "angle to the axis")


def angle_to_plane(poses: xr.Dataset, start: str | Point, end: str | Point, normal: Direction) -> xr.Dataset:
    """The angle between a line of the body and a plane, from -pi/2 to pi/2: positive on the side of the normal.

    Args:
        poses, start, end: as for `angle_to_axis`.
        normal: a vector in the world, or two points: what is perpendicular to the plane.

    Returns:
        `angle_to_plane`, `angle_to_plane_std`, `angle_to_plane_status`, as `angle_to_axis`.

    Raises:
        InvalidValueError: see `angle_to_axis`.
    """
    ends = [(named_point(start), named_point(end)), _direction(poses, normal, "normal")]
    result = _dataset(poses, _work(poses, ends, {}), None, "angle_to_plane", "angle to the plane")
    angle = result["angle_to_plane"]
    return result.assign(angle_to_plane=(np.pi / 2 - angle).assign_attrs(angle.attrs))


def _chosen(poses: xr.Dataset, skeleton: Skeleton, wanted: Sequence[str | Angle] | None) -> list[Angle]:
    anatomy = skeleton.anatomy
    known = anatomy.angles or _at_joints(skeleton)
    if wanted is None:
        names = set(keypoint_names(poses))
        known = anatomy.select(names).angles if anatomy.angles else _at_joints(skeleton.select(sorted(names)))
    parts = chosen(known, wanted, f"skeleton '{skeleton.name}'", "angles")
    segments = {WORLD, *(segment.name for segment in anatomy.segments)}
    for part in parts:
        problem = part.problem(segments)
        if problem is not None:
            raise InvalidValueError(
                f"angle '{part.name}'", expected=problem[0], got=problem[1], remedy="Correct its definition."
            )
    return parts


def _at_joints(skeleton: Skeleton) -> tuple[Angle, ...]:
    """Angles at the keypoints that exactly two edges meet, in the order of the skeleton."""
    result = []
    for keypoint in skeleton.keypoints:
        others = [b if a == keypoint else a for a, b in skeleton.edges if keypoint in (a, b)]
        if len(set(others)) == 2 == len(others):
            result.append(Angle(keypoint, ((others[0],), (keypoint,), (others[1],))))
    return tuple(result)


def _lines(angle: Angle) -> tuple[Ends, Ends]:
    if len(angle.points) == 3:
        first, middle, last = angle.points
        return (middle, first), (middle, last)
    start, end, other_start, other_end = angle.points
    return (start, end), (other_start, other_end)


def _plane(poses: xr.Dataset, skeleton: Skeleton, angle: Angle) -> Plane:
    assert angle.axis is not None
    if is_flat(poses) and (angle.plane_of != WORLD or "z" in angle.axis):
        raise InvalidValueError(
            f"angle '{angle.name}'",
            expected="the plane of x and y of the world, which is the image, in 2D poses",
            got=f"{angle.axis[0]} and {angle.axis[1]} of '{angle.plane_of}'",
            remedy="Leave the angle out, or reconstruct first.",
        )
    return Plane(angle.axis, None if angle.plane_of == WORLD else skeleton.anatomy.segment(angle.plane_of))


def _direction(poses: xr.Dataset, direction: Direction, subject: str) -> Ends:
    if isinstance(direction, tuple | list) and any(isinstance(each, str | tuple) for each in direction):
        if len(direction) != 2:
            raise InvalidValueError(
                subject, expected="a vector or two points", got=str(direction), remedy="Give two points."
            )
        return named_point(direction[0]), named_point(direction[1])
    return as_vector(poses, direction, subject)


def _work(
    poses: xr.Dataset, ends: Sequence[Ends], planes: dict[int, Plane]
) -> Callable[[Array, Array | None], tuple[NDArray[np.generic], ...]]:
    """What `computed` calls: the angles between pairs of lines, and of those with a plane in it."""
    lines = lines_between(poses, [*ends, *plane_ends(planes)])
    count = len(ends) // 2
    pairs = np.arange(2 * count).reshape(-1, 2)
    first, second = pairs.T.copy()
    sources = sources_of(lines, pairs)

    def work(position: Array, covariance: Array | None, /) -> tuple[NDArray[np.generic], ...]:
        found = np.empty((*position.shape[:2], count))
        status = np.empty(found.shape, np.int8)
        angles_between(position, lines, first, second, found, status)
        error = None
        if covariance is not None:
            error = np.empty_like(found)
            angle_errors(position, covariance, lines, pairs, sources, found, error)
        if planes:
            _put_in_planes(position, covariance, lines, planes, (found, status, error))
        return (found, status) if error is None else (found, status, error)

    return work


def _put_in_planes(
    position: Array,
    covariance: Array | None,
    lines: Lines,
    planes: dict[int, Plane],
    target: tuple[Array, Codes, Array | None],
) -> None:
    places = list(planes)
    found = angles_in_planes(position, covariance, lines, planes)
    target[0][..., places], target[1][..., places] = found[0], found[1]
    if target[2] is not None:
        target[2][..., places] = found[2]


def _dataset(
    poses: xr.Dataset,
    work: Callable[[Array, Array | None], tuple[NDArray[np.generic], ...]],
    names: Sequence[str] | None,
    variable: str,
    title: str,
) -> xr.Dataset:
    """The results along the dimension angle, or without it where there are no names."""
    shape = ("angle", "individual"), (1 if names is None else len(names), poses.sizes["individual"])
    outputs = [Output(*shape), Output(*shape, np.int8), *([Output(*shape)] if "covariance" in poses else [])]
    value, status, *error = computed(poses, work, outputs)
    result = xr.Dataset(
        {
            variable: value.assign_attrs(units="rad", long_name=title),
            f"{variable}_status": status.assign_attrs(status_attributes("angle")),
        }
    )
    if error:
        result[f"{variable}_std"] = error[0].assign_attrs(units="rad", long_name=f"standard deviation of the {title}")
    return result.isel(angle=0) if names is None else result.assign_coords(angle=list(names))
