"""Corners at common instants: what pictures taken half a frame apart show, moved to the mean of their times.

Pictures are matched nearest to nearest, so that those of one instant are up to half a frame apart. A board that is
carried moves by several pixels meanwhile. In a simulated recording (3 cameras, 30 frames per second, clocks known, one
camera 0.45 frames late, 0.1 px of noise) that put a camera 31 mm off; with corners interpolated it is 3 mm.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.boards.geometry import Board
from calibration.synchronization.resampling import resample_positions

__all__ = ["Moved", "to_common_instants"]

# The path of the board between pictures farther apart than this is anybody's guess: hands turn in half a second.
_LONGEST_GAP = 0.25
# Shares of a frame interval: a view that cannot be moved is kept where it is closer than this to its instant (a board
# carried at 1 m/s moves 1.5 mm in a twentieth of a frame of 1/30 s).
_CLOSE = 0.05
# Where fewer of the views can be moved, pictures were looked at too sparsely, and the others are better than nothing.
_LEAST_MOVED = 0.5


class Moved(NamedTuple):
    """Corners at common instants.

    Attributes:
        position: (camera, instant, corner, 2) px.
        time: (camera, instant) seconds of the corners; of the pictures where they are left as they were.
        left: how many views could not be moved and are far from their instants.
        kept: whether those are kept.
        apart: seconds, the median distance of those from their instants.
    """

    position: NDArray[np.float64]
    time: NDArray[np.float64]
    left: int
    kept: bool
    apart: float


def to_common_instants(
    position: NDArray[np.float64], times: NDArray[np.float64], board: Board, interval: float
) -> Moved:
    """Interpolate the corners of every camera between its pictures.

    Args:
        position: (camera, instant, corner, 2) px, NaN where not seen.
        times: (camera, instant) seconds on one clock, NaN without a picture.
        board: the board; neighboring views of one that looks the same turned are turned alike before.
        interval: seconds between two pictures of the recording.
    """
    known = np.isfinite(times)
    count = np.maximum(known.sum(axis=0), 1)
    instants = np.where(known, times, 0.0).sum(axis=0) / count
    shift = np.where(known, np.abs(times - instants), 0.0)
    result = np.full(position.shape, np.nan)
    for camera, rows in enumerate(known):
        own = _turned_alike(position[camera, rows], times[camera, rows], board)
        result[camera, rows] = resample_positions(own, times[camera, rows], instants[rows], maximum_gap=_LONGEST_GAP)
    seen, moved = _views(position), _views(result)
    fixed = seen & ~moved
    close = fixed & (shift <= _CLOSE * interval)
    far = fixed & ~close
    keep = bool(moved.sum() < _LEAST_MOVED * seen.sum())
    left = close | far if keep else close
    result[left] = position[left]
    time = np.where(known, np.where(left, times, instants), np.nan)
    return Moved(result, time, int(far.sum()), keep, float(np.median(shift[far])) if far.any() else 0.0)


def _views(position: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(position[..., 0]).any(axis=-1))


def _turned_alike(position: NDArray[np.float64], times: NDArray[np.float64], board: Board) -> NDArray[np.float64]:
    """Views (picture, corner, 2), each in the order of corners in which it is nearest to the one before."""
    if not len(board.symmetries):
        return position
    result = position.copy()
    seen = np.flatnonzero(_views(position))
    for before, now in pairwise(seen):
        if times[now] - times[before] > _LONGEST_GAP:
            continue
        orders = [result[now], *(result[now][order] for order in board.symmetries)]
        away = [np.nanmean(np.linalg.norm(each - result[before], axis=-1)) for each in orders]
        result[now] = orders[int(np.nanargmin(away))]
    return result
