"""Filters along time, compiled: rows lie as in memory, so that a row of all tracks is worked on at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from calibration.kernels import kept

__all__ = ["distances_to_ends", "filter_lengths", "filter_rows", "windows_of_rows"]

Array = NDArray[np.float64]
Links = NDArray[np.bool_]
Places = NDArray[np.int32]
_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])

# a decorated kernel has the type of the function, whatever numba says of it
_jit: Callable[[_Kernel], _Kernel] = cast(Any, njit(nogil=True, error_model="numpy"))
_kept: Callable[[_Kernel], _Kernel] = cast(Any, kept(njit(nogil=True, error_model="numpy")))


@_kept
def filter_rows(x: Array, link: Links, first: int, last: int, ends: Array, result: Array) -> None:
    """Filter the rows from `first` to `last`; NaN where there is no position, or the run is too short.

    Args:
        x: (row, track) NaN where missing, with two half windows more on both sides where there are rows.
        link: (row,) whether a row is the frame after the one before.
        first, last: which rows.
        ends: (length, place, row of the window) coefficients, see `Filter`.
        result: (last - first, track) to be filled.
    """
    before, after = _linked(link, ends.shape[0])
    for row in range(first, last):
        _filter_row(x, row, before, after, ends, result[row - first])


@_kept
def filter_lengths(x: Array, link: Links, first: int, last: int, ends: Array, result: Array) -> None:
    """Lengths over space of what is filtered, without an array of it.

    Args:
        x: (row, outer, space, inner) as for `filter_rows`.
        link, first, last, ends: as for `filter_rows`.
        result: (last - first, outer, inner) to be filled.
    """
    rows, outer, space, inner = x.shape
    flat = x.reshape(rows, outer * space * inner)
    before, after = _linked(link, ends.shape[0])
    buffer = np.empty(outer * space * inner)
    for row in range(first, last):
        _filter_row(flat, row, before, after, ends, buffer)
        for a in range(outer):
            _lengths(buffer[a * space * inner : (a + 1) * space * inner], inner, result[row - first, a])


@_kept
def windows_of_rows(x: Array, link: Links, first: int, last: int, frames: int, result: Places) -> None:
    """Which coefficients `filter_rows` takes: length - 1 times `frames`, plus the place; -1 where there is no position.

    Args:
        x, link, first, last: as for `filter_rows`.
        frames: of the window.
        result: (last - first, track) to be filled.
    """
    before, after = _linked(link, frames)
    for row in range(first, last):
        for track in range(x.shape[1]):
            if np.isnan(x[row, track]):
                result[row - first, track] = -1
            else:
                length, place = _window(x, row, track, before, after, frames)
                result[row - first, track] = (length - 1) * frames + place


@_kept
def distances_to_ends(x: Array, link: Links, first: int, last: int, most: int, result: Array) -> None:
    """Frames from each position to the nearer end of its run, at most so many.

    Args:
        x, link, first, last: as for `filter_rows`, with so many rows more on both sides.
        most: larger ones are not told apart.
        result: (last - first, track) to be filled.
    """
    rows, tracks = x.shape
    count = np.zeros(tracks, np.int64)
    for row in range(rows):
        for track in range(tracks):
            known = not np.isnan(x[row, track])
            follows = row > 0 and link[row] and known and not np.isnan(x[row - 1, track])
            count[track] = min(count[track] + 1, most) if follows else 0
            if first <= row < last:
                result[row - first, track] = count[track]
    count[:] = 0
    for row in range(rows - 1, -1, -1):
        for track in range(tracks):
            known = not np.isnan(x[row, track])
            follows = row < rows - 1 and link[row + 1] and known and not np.isnan(x[row + 1, track])
            count[track] = min(count[track] + 1, most) if follows else 0
            if first <= row < last:
                result[row - first, track] = min(result[row - first, track], count[track])


@_jit
def _linked(link: Links, frames: int) -> tuple[Places, Places]:
    """How many rows before and after each follow without a gap, as far as a window could reach."""
    rows = len(link)
    before, after = np.zeros(rows, np.int32), np.zeros(rows, np.int32)
    for row in range(1, rows):
        if link[row]:
            before[row] = min(before[row - 1] + 1, frames - 1)
    for row in range(rows - 2, -1, -1):
        if link[row + 1]:
            after[row] = min(after[row + 1] + 1, frames - 1)
    return before, after


@_jit
def _filter_row(x: Array, row: int, before: Places, after: Places, ends: Array, result: Array) -> None:
    frames = ends.shape[0]
    half = frames // 2
    tracks = x.shape[1]
    whole = before[row] >= half and after[row] >= half
    if whole:
        inside = ends[frames - 1, half]
        _many(x, row, inside, result)
        if not _missing(result):
            return
    for track in range(tracks):
        if whole and not np.isnan(result[track]):
            continue
        value = np.nan
        if not np.isnan(x[row, track]):
            length, place = _window(x, row, track, before, after, frames)
            value = 0.0
            start = row - place
            for k in range(length):
                value += ends[length - 1, place, k] * x[start + k, track]
        result[track] = value


@_jit
def _missing(values: Array) -> int:
    """How many are NaN; a sum without branches, which is fast."""
    count = 0
    for value in values:
        count += value != value
    return count


@_jit
def _lengths(values: Array, inner: int, result: Array) -> None:
    """Roots of the sums of squares of (space, inner) values in a row."""
    for b in range(inner):
        result[b] = values[b] ** 2
    for at in range(inner, len(values), inner):
        for b in range(inner):
            result[b] += values[at + b] ** 2
    for b in range(inner):
        result[b] = np.sqrt(result[b])


@_jit
def _many(x: Array, row: int, inside: Array, result: Array) -> None:
    """The sum over the window; a row of all tracks stays in the nearest cache."""
    frames, half, tracks = len(inside), len(inside) // 2, x.shape[1]
    for track in range(tracks):
        result[track] = inside[0] * x[row - half, track]
    for k in range(1, frames):
        factor, values = inside[k], x[row - half + k]
        for track in range(tracks):
            result[track] += factor * values[track]


@_jit
def _window(x: Array, row: int, track: int, before: Places, after: Places, frames: int) -> tuple[int, int]:
    """Length of the window of a position, at most `frames`, and the place of the position in it."""
    most, half = frames - 1, frames // 2
    back = 0
    while back < before[row] and not np.isnan(x[row - back - 1, track]):
        back += 1
    ahead = 0
    while ahead < after[row] and not np.isnan(x[row + ahead + 1, track]):
        ahead += 1
    if back + ahead < most:
        return back + ahead + 1, back
    if back < half:
        return frames, back
    if ahead < half:
        return frames, most - ahead
    return frames, half
