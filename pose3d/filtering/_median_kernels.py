"""Medians of moving windows, compiled: a window that moves on by a frame loses a few values and gets a few."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from calibration.kernels import kept

__all__ = ["rolling_median", "rolling_spread"]

Array = NDArray[np.float64]
Places = NDArray[np.int64]
_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])

# a decorated kernel has the type of the function, whatever numba says of it
_jit: Callable[[_Kernel], _Kernel] = cast(Any, njit(nogil=True, error_model="numpy"))
_kept: Callable[[_Kernel], _Kernel] = cast(Any, kept(njit(nogil=True, error_model="numpy")))


@_kept
def rolling_median(points: Array, slot: Places, half: int) -> Array:
    """(track, time, space) medians of each coordinate of the positions at most `half` places away.

    NaN where the position itself is.

    Args:
        points: (track, time, space) positions, NaN where missing.
        slot: (time,) increasing places of the rows.
        half: how far the window reaches to either side.
    """
    tracks, rows, dims = points.shape
    result = np.full_like(points, np.nan)
    window = np.empty(min(2 * half + 1, rows))
    for track in range(tracks):
        for dim in range(dims):
            count = first = after = 0
            for row in range(rows):
                while slot[row] - slot[first] > half:
                    count = _take_out(window, count, points[track, first, dim])
                    first += 1
                while after < rows and slot[after] - slot[row] <= half:
                    count = _put_in(window, count, points[track, after, dim])
                    after += 1
                if not np.isnan(points[track, row, dim]):
                    middle = count // 2
                    result[track, row, dim] = window[middle]
                    if count % 2 == 0:
                        result[track, row, dim] = 0.5 * (window[middle - 1] + window[middle])
    return result


@_kept
def rolling_spread(points: Array, center: Array, slot: Places, half: int) -> Array:
    """(track, time) median distances of the positions at most `half` places away from the center of their window.

    Args:
        points, slot, half: as for `rolling_median`.
        center: (track, time, space) centers of the windows.
    """
    tracks, rows, dims = points.shape
    result = np.full((tracks, rows), np.nan)
    distances = np.empty(min(2 * half + 1, rows))
    for track in range(tracks):
        first = after = 0
        for row in range(rows):
            while slot[row] - slot[first] > half:
                first += 1
            while after < rows and slot[after] - slot[row] <= half:
                after += 1
            if np.isnan(points[track, row, 0]):
                continue
            count = 0
            for other in range(first, after):
                if not np.isnan(points[track, other, 0]):
                    total = 0.0
                    for dim in range(dims):
                        total += (points[track, other, dim] - center[track, row, dim]) ** 2
                    distances[count] = np.sqrt(total)
                    count += 1
            result[track, row] = np.median(distances[:count])
    return result


@_jit
def _put_in(window: Array, count: int, value: float) -> int:
    """Put a value into the sorted first `count` ones; return how many they are then."""
    if np.isnan(value):
        return count
    place = count
    while place > 0 and window[place - 1] > value:
        window[place] = window[place - 1]
        place -= 1
    window[place] = value
    return count + 1


@_jit
def _take_out(window: Array, count: int, value: float) -> int:
    """Take a value out of the sorted first `count` ones; return how many they are then."""
    if np.isnan(value):
        return count
    for place in range(np.searchsorted(window[:count], value), count - 1):
        window[place] = window[place + 1]
    return count - 1
