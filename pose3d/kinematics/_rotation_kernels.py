"""Rotations along time, compiled."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from calibration.kernels import kept

__all__ = ["keep_sign", "slopes", "unwrap"]

Array = NDArray[np.float64]
Places = NDArray[np.int64]
_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])

# a decorated kernel has the type of the function, whatever numba says of it
_jit: Callable[[_Kernel], _Kernel] = cast(Any, njit(nogil=True, error_model="numpy"))
_kept: Callable[[_Kernel], _Kernel] = cast(Any, kept(njit(nogil=True, error_model="numpy")))


@_kept
def unwrap(values: Array, joined: NDArray[np.bool_], before: Array) -> None:
    """Add full turns to angles, in place, so that none is further than half a turn from the one before.

    Args:
        values: (time, track, 1) in radians, NaN where missing.
        joined: (time,) whether the row follows the one before it without a gap.
        before: (track, 1) the row before the first one; NaN for none.
    """
    for track in range(values.shape[1]):
        last = before[track, 0]
        for row in range(len(values)):
            value = values[row, track, 0]
            if joined[row] and not math.isnan(last):
                value += 2 * math.pi * np.rint((last - value) / (2 * math.pi))
            else:
                value -= 2 * math.pi * (np.ceil((value + math.pi) / (2 * math.pi)) - 1)
            values[row, track, 0] = last = value


@_kept
def keep_sign(values: Array, joined: NDArray[np.bool_], before: Array) -> None:
    """Change the sign of quaternions, in place, so that none is opposite to the one before.

    Args:
        values: (time, track, 4) quaternions, the scalar part last; NaN where missing.
        joined, before: as for `unwrap`, (track, 4).
    """
    for track in range(values.shape[1]):
        for row in range(len(values)):
            along = values[row, track, 3]
            follows = joined[row] and not math.isnan(before[track, 3])
            if follows:
                along = 0.0
                for part in range(4):
                    along += values[row, track, part] * before[track, part]
            for part in range(4):
                if along < 0:
                    values[row, track, part] = -values[row, track, part]
                before[track, part] = values[row, track, part]


@_kept
def slopes(
    matrix: Array,
    covariance: Array,
    joined: NDArray[np.bool_],
    shares: Array,
    most: float,
    in_world: bool,
    found: Array,
    spread: Array,
) -> None:
    """How fast systems turn: slopes of the rotation vectors from each row to those of a window around it.

    A window lies within a run of rows without a gap; near the ends of a run it reaches further to the other side.

    Args:
        matrix: (time, track, 3, 3) world_from_segment, NaN where missing.
        covariance: (time, track, 3, 3) of small turns about the axes of the segment; (0, 0, 0, 0) for none.
        joined: (time,) whether the row follows the one before it without a gap.
        shares: (length, length) by the place of the row in the window, the shares of the rotation vectors in the slope.
        most: a turn between two rows of a window by more than this, in radians, is not told from one the other way.
        in_world: whether the covariances are those of slopes that are told in the world.
        found: (time, track, 3) the slopes along the axes of the segment are written.
        spread: (time, track, 3, 3) their covariances along the same axes, where there are such; errors of rows are
            independent.
    """
    rows, length = len(matrix), len(shares)
    turn, own = np.empty(3), np.empty((3, 3))
    for track in range(matrix.shape[1]):
        begin = end = 0
        for row in range(rows):
            if row >= end:
                begin, end = row, _end_of_run(matrix, joined, row, track)
            total = found[row, track]
            total[:] = np.nan
            if len(covariance):
                spread[row, track] = np.nan
            if end - begin < length:
                continue
            first = min(max(row - length // 2, begin), end - length)
            share = shares[row - first]
            total[:] = 0.0
            for place in range(length):
                angle = _rotation_vector(matrix[row, track], matrix[first + place, track], turn)
                for axis in range(3):
                    total[axis] += share[place] * turn[axis] if angle <= most else np.nan
            if len(covariance):
                _slope_spread(matrix, covariance, (row, first, track), share, spread[row, track], own)
                if in_world:  # the slope is told in a system that has an error of its own
                    for i in range(3):
                        j, k = (i + 1) % 3, (i + 2) % 3
                        own[i, j] += total[k]
                        own[i, k] -= total[j]
                _add_spread(own, covariance[row, track], spread[row, track])


@_jit
def _slope_spread(
    matrix: Array, covariance: Array, place: tuple[int, int, int], share: Array, spread: Array, own: Array
) -> None:
    """Write the part of the covariance that other rows have, and how the slope changes with a turn of the row itself.

    `place` is the row, the first row of its window, and the track.
    """
    row, first, track = place
    turn = np.empty(3)
    spread[:] = 0.0
    own[:] = 0.0
    for other in range(len(share)):
        if first + other != row:
            angle = _rotation_vector(matrix[row, track], matrix[first + other, track], turn)
            _add_other(turn, angle, share[other], covariance[first + other, track], spread, own)


@_jit
def _end_of_run(matrix: Array, joined: NDArray[np.bool_], row: int, track: int) -> int:
    """The row after the last one of the run that begins at a row; the row itself where it is missing."""
    end = row
    while end < len(matrix) and not math.isnan(matrix[end, track, 0, 0]) and (end == row or joined[end]):
        end += 1
    return end


@_jit
def _add_other(turn: Array, angle: float, share: float, covariance: Array, total: Array, own: Array) -> None:
    """Add what the error of another row does, and to `own` how the slope changes with a turn of the row itself."""
    jacobian = np.empty((3, 3))
    _inverse_jacobian(turn, angle, jacobian)
    for a in range(3):
        for b in range(3):
            jacobian[a, b] *= share
    for a in range(3):
        for b in range(3):
            own[a, b] -= jacobian[b, a]  # the transposed one, and the other way
    _add_spread(jacobian, covariance, total)


@_jit
def _rotation_vector(start: Array, end: Array, vector: Array) -> float:
    """Write the rotation vector from one system to another, in the first or in the second; return its length."""
    trace = 0.0
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        vector[i] = 0.0
        for axis in range(3):
            trace += start[axis, i] * end[axis, i]
            vector[i] += start[axis, k] * end[axis, j] - start[axis, j] * end[axis, k]
        vector[i] *= 0.5
    sine = math.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2)
    angle = math.atan2(sine, 0.5 * (trace - 1.0))
    for axis in range(3):
        vector[axis] *= angle / sine if sine > 1e-12 else 1.0
    return angle


@_jit
def _inverse_jacobian(vector: Array, angle: float, result: Array) -> None:
    """Write how a rotation vector changes with a small turn in the system after it (Sola 2018, equation 144)."""
    quadratic = 1.0 / 12.0
    if angle > 1e-3:
        quadratic = 1.0 / angle**2 - 0.5 / (angle * math.tan(0.5 * angle))
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        for other in range(3):
            result[i, other] = quadratic * vector[i] * vector[other]
        result[i, i] += 1.0 - quadratic * angle**2
        result[i, j] -= 0.5 * vector[k]
        result[i, k] += 0.5 * vector[j]


@_jit
def _add_spread(factor: Array, covariance: Array, total: Array) -> None:
    """Add factor @ covariance @ factor.T."""
    for a in range(3):
        for b in range(3):
            for i in range(3):
                for j in range(3):
                    total[a, b] += factor[a, i] * covariance[i, j] * factor[b, j]
