"""Coordinate systems of segments in a piece of a recording, and how they turn when their points move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose3d.kinematics._angle_kernels import line_covariances, line_vectors, systems
from pose3d.kinematics._angle_lines import MISSING, NEAR_SINGULAR, Ends, Lines, Sources
from pose3d.skeleton import Segment

__all__ = ["Frames", "axes_of", "covariances_of", "ends_of", "frames_in", "turning", "vectors_of"]

Array = NDArray[np.float64]
Codes = NDArray[np.int8]

_AXES = "xyz"


@dataclass(frozen=True, eq=False)
class Frames:
    """Systems of segments.

    Attributes:
        matrix: (row, individual, segment, 3, 3) world_from_segment, NaN where there is none.
        shape: (row, individual, segment, 3) length of the first line, and the parts of the second along and across it.
        status: (row, individual, segment), see `_angle_lines`.
        axes: (segment, 2) which axes the two lines are.
    """

    matrix: Array
    shape: Array
    status: Codes
    axes: NDArray[np.int64]


def ends_of(segments: Sequence[Segment]) -> list[Ends]:
    """The lines of segments, two of each: along the first axis, and in the plane of both."""
    return [axis[1:] for segment in segments for axis in (segment.first, segment.second)]


def axes_of(segments: Sequence[Segment]) -> NDArray[np.int64]:
    """(segment, 2) which axes the two lines are: 0 to 2 for x, y, z."""
    axes = [(_AXES.index(segment.first[0]), _AXES.index(segment.second[0])) for segment in segments]
    return np.array(axes, dtype=np.int64).reshape(-1, 2)


def vectors_of(position: Array, lines: Lines) -> tuple[Array, Codes]:
    """(row, individual, line, 3) vectors along lines, and the (row, individual, line) status."""
    vectors = np.empty((*position.shape[:2], len(lines.tail), 3))
    status = np.empty(vectors.shape[:-1], np.int8)
    line_vectors(position, lines, vectors, status)
    return vectors, status


def frames_in(vectors: Array, status: Codes, axes: NDArray[np.int64]) -> Frames:
    """The systems of segments from the vectors along their lines, (row, individual, 2 * segment, 3)."""
    pairs = vectors.reshape(*vectors.shape[:2], len(axes), 2, 3)
    codes = np.ascontiguousarray(_worse(status.reshape(*pairs.shape[:-1])))
    matrix, shape = np.empty((*codes.shape, 3, 3)), np.empty((*codes.shape, 3))
    systems(pairs, axes, float(np.sin(NEAR_SINGULAR)), matrix, shape, codes)
    return Frames(matrix, shape, codes, axes)


def _worse(status: Codes) -> Codes:
    """Over the last axis: a keypoint that is missing comes before lines without length."""
    return np.where((status == MISSING).any(-1), MISSING, status.max(-1)).astype(np.int8)


def turning(frames: Frames, which: NDArray[np.int64], along: Array) -> Array:
    """How turning about directions changes with the lines of segments.

    With the unit vectors a along the first axis, b in the plane of both lines and c = a x b, a segment whose first line
    moves by dp and second by dq turns about c by b.dp / |p|, about b by -c.dp / |p|, and about a by (c.dq - c.dp qa /
    |p|) / qb, with the parts qa and qb of the second line along a and b.

    Args:
        frames: the systems.
        which: (result,) the segment of each result.
        along: (row, individual, result, value, 3) directions in the world.

    Returns:
        (row, individual, result, value, 2, 3): what the turn about the direction gains with each of the two lines.
    """
    axes = frames.axes[which]
    matrix = frames.matrix[:, :, which]
    a, b = (_column(matrix, axes[:, place]) for place in (0, 1))
    # the system is right-handed, so that c is the third axis or against it
    c = np.cross(a, b)
    length, part, across = np.moveaxis(frames.shape[:, :, which, None], -1, 0)
    about_a, about_b, about_c = (np.einsum("...vi,...i->...v", along, axis) for axis in (a, b, c))
    a_per_q = about_a / across
    p_of_c = -(about_b + a_per_q * part) / length
    gradient = np.empty((*along.shape[:-1], 2, 3))
    gradient[..., 0, :] = p_of_c[..., None] * c[..., None, :] + (about_c / length)[..., None] * b[..., None, :]
    gradient[..., 1, :] = a_per_q[..., None] * c[..., None, :]
    return gradient


def _column(matrix: Array, axis: NDArray[np.int64]) -> Array:
    """(..., result, 3) the column of each result's matrix."""
    return np.take_along_axis(matrix, axis.reshape(*[1] * (matrix.ndim - 3), -1, 1, 1), axis=-1)[..., 0]


def covariances_of(covariance: Array, sources: Sources, gradient: Array) -> Array:
    """(row, individual, result, value, value) first-order covariances; see `_angle_kernels.line_covariances`."""
    rows, others, results, values = gradient.shape[:4]
    found = np.empty((rows, others, results, values, values))
    line_covariances(covariance, sources, gradient, found)
    return found
