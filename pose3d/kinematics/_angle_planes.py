"""Angles between two lines as they are seen along the normal of a plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pose3d.kinematics._angle_lines import (
    DEGENERATE,
    FOUND,
    MISSING,
    NEAR_SINGULAR,
    NEARLY_DEGENERATE,
    Ends,
    Lines,
    sources_of,
)
from pose3d.kinematics._rotation_frames import Frames, axes_of, covariances_of, ends_of, frames_in, turning, vectors_of
from pose3d.skeleton import Axis, Segment

__all__ = ["Plane", "angles_in_planes", "plane_ends"]

Array = NDArray[np.float64]
Codes = NDArray[np.int8]

# The part of a line that is in the plane below which rounding alone would turn it by more than 1e-10.
_PERPENDICULAR = 1e-6


class Plane(NamedTuple):
    """The plane of two axes, of a segment or of the world; an angle is positive from the first towards the second."""

    axes: tuple[Axis, Axis]
    segment: Segment | None


class _Seen(NamedTuple):
    """What there is of the angles in planes.

    Attributes:
        pairs: (plane, 2) the lines of each angle.
        which: (plane,) its segment; -1 for the world.
        vectors: (row, individual, plane, 2, 3) along the lines, in the world.
        basis: (row, individual, plane, 3, 3): columns are the two axes of the plane, and its normal, in the world.
        local: (row, individual, plane, 2, 3) along the lines, in these axes.
    """

    pairs: NDArray[np.int64]
    which: NDArray[np.int64]
    vectors: Array
    basis: Array
    local: Array


def plane_ends(planes: Mapping[int, Plane]) -> list[Ends]:
    """The lines of the segments of planes, each segment once, in the order of first use."""
    return ends_of(_segments(planes))


def angles_in_planes(
    position: Array, covariance: Array | None, lines: Lines, planes: Mapping[int, Plane]
) -> tuple[Array, Codes, Array | None]:
    """(row, individual, plane) angles, their status, and their standard deviations.

    Args:
        position, covariance: of a piece, see `_angle_lines.computed`.
        lines: two for each angle of the recording, then those of `plane_ends`.
        planes: by the place of the angle among all.
    """
    segments = _segments(planes)
    vectors, codes = vectors_of(position, lines)
    begin = vectors.shape[2] - 2 * len(segments)
    frames = frames_in(vectors[:, :, begin:], codes[:, :, begin:], axes_of(segments))
    places = np.array(list(planes))
    pairs = np.stack([2 * places, 2 * places + 1], axis=-1)
    which = np.array([segments.index(plane.segment) if plane.segment else -1 for plane in planes.values()])
    basis = _basis(frames, planes, which, position.shape[:2])
    local = np.einsum("tipls,tipsa->tipla", vectors[:, :, pairs], basis)
    seen = _Seen(pairs, which, vectors[:, :, pairs], basis, local)
    first, second = local[..., 0, :2], local[..., 1, :2]
    angle = np.arctan2(first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0], (first * second).sum(-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        length = np.linalg.norm(local[..., :2], axis=-1) / np.linalg.norm(local, axis=-1)
    status = _status(codes[:, :, pairs], frames, which, length.min(-1))
    angle[(status == MISSING) | (status == DEGENERATE)] = np.nan
    if covariance is None:
        return angle, status, None
    error = _errors(covariance, lines, begin, frames, seen)
    return angle, status, np.where(np.isnan(angle), np.nan, error)


def _segments(planes: Mapping[int, Plane]) -> list[Segment]:
    return list(dict.fromkeys(plane.segment for plane in planes.values() if plane.segment))


def _basis(frames: Frames, planes: Mapping[int, Plane], which: NDArray[np.int64], size: tuple[int, ...]) -> Array:
    """See `_Seen`."""
    basis = np.empty((*size, len(planes), 3, 3))
    for place, (plane, segment) in enumerate(zip(planes.values(), which, strict=True)):
        matrix = np.broadcast_to(np.eye(3), (*size, 3, 3)) if segment < 0 else frames.matrix[:, :, segment]
        first, second = (matrix[..., "xyz".index(axis)] for axis in plane.axes)
        basis[:, :, place] = np.stack([first, second, np.cross(first, second)], axis=-1)
    return basis


def _status(of_lines: Codes, frames: Frames, which: NDArray[np.int64], length: Array) -> Codes:
    """Missing before degenerate before what is nearly so, of the two lines, the segment and what is left in the plane.

    Args:
        of_lines: (row, individual, plane, 2).
        frames, which: the systems, and that of each plane.
        length: (row, individual, plane) what is left of a line in its plane, 0 to 1.
    """
    of_plane = np.full((*of_lines.shape[:-1], 1), FOUND, np.int8)
    for place, segment in enumerate(which):
        if segment >= 0:
            of_plane[:, :, place, 0] = frames.status[:, :, segment]
    with np.errstate(invalid="ignore"):
        flat = np.where(length > _PERPENDICULAR, FOUND, DEGENERATE)
        flat = np.where((flat == FOUND) & (length < np.sin(NEAR_SINGULAR)), NEARLY_DEGENERATE, flat)
    codes = np.concatenate([of_lines, of_plane, flat[..., None]], axis=-1)
    result = np.full(of_lines.shape[:-1], FOUND, np.int8)
    for code in (NEARLY_DEGENERATE, DEGENERATE, MISSING):
        result[(codes == code).any(-1)] = code
    return result


def _errors(covariance: Array, lines: Lines, begin: int, frames: Frames, seen: _Seen) -> Array:
    """(row, individual, plane) standard deviations: the lines move, and the plane turns with its segment.

    The lines of segments are those from `begin` on.
    """
    local = seen.local
    across = np.stack([-local[..., 1], local[..., 0], np.zeros_like(local[..., 0])], axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        across /= (local[..., :2] ** 2).sum(-1)[..., None]
    across[..., 0, :] *= -1  # the angle runs from the first line to the second
    gradient = np.zeros((*across.shape[:3], 1, 4, 3))
    gradient[..., 0, :2, :] = np.einsum("tipla,tipsa->tipls", across, seen.basis)
    members = np.full((len(seen.pairs), 4), -1)
    members[:, :2] = seen.pairs
    turned = np.flatnonzero(seen.which >= 0)
    if len(turned):
        segments = seen.which[turned]
        # a plane that turns by w moves the lines by -w x line in it
        about = -np.cross(seen.vectors, gradient[..., 0, :2, :]).sum(-2)[:, :, turned, None]
        gradient[:, :, turned, :, 2:] = turning(frames, segments, about)
        members[turned, 2:] = begin + 2 * segments[:, None] + [0, 1]
    variance = covariances_of(covariance, sources_of(lines, members), gradient)[..., 0, 0]
    return np.sqrt(np.maximum(variance, 0.0))
