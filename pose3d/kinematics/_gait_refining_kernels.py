"""The mean of swings that are laid over each other, compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from calibration.kernels import kept

__all__ = ["mean_swing"]

Array = NDArray[np.float64]
_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])

# a decorated kernel has the type of the function, whatever numba says of it
_kept: Callable[[_Kernel], _Kernel] = cast(Any, kept(njit(nogil=True, error_model="numpy")))


@_kept
def mean_swing(
    track: Array,
    up: Array,
    origin: Array,
    onward: Array,
    quarter: Array,
    unit: Array,
    found: Array,
    stance: Array,
    first: float,
    width: float,
    bins: int,
) -> tuple[Array, Array]:
    """(bin, 2) mean way onward and upward by the time from the quarter, and (bin,) how many places are in it.

    Args:
        track: (place, 3) of the foot.
        up: (3,).
        origin, onward: (swing, 3) where the foot rests, and unit vectors of its way.
        quarter, unit: (swing,) place that is time 0, and places in a unit of time; negative where time runs backward.
        found: (swing,) about when the rest begins or ends.
        stance: (swing,) so many places of the rest are looked at.
        first, width, bins: start of the first bin, and width and number of all, in units.
    """
    sums, counts = np.zeros((bins, 2)), np.zeros(bins)
    for swing in range(len(quarter)):
        ends = quarter[swing] + unit[swing] * first, quarter[swing] + unit[swing] * (first + width * bins)
        start, stop = max(int(np.ceil(min(ends))), 0), min(int(np.floor(max(ends))), len(track) - 1)
        sign = 1.0 if unit[swing] > 0 else -1.0
        for place in range(start, stop + 1):
            number = int(np.floor(((place - quarter[swing]) / unit[swing] - first) / width))
            if number < 0 or number >= bins or sign * (found[swing] - place) >= stance[swing]:
                continue
            along = 0.0
            above = 0.0
            for axis in range(3):
                apart = track[place, axis] - origin[swing, axis]
                along += apart * onward[swing, axis]
                above += apart * up[axis]
            if not np.isnan(along + above):
                sums[number, 0] += along
                sums[number, 1] += above
                counts[number] += 1.0
    for number in range(bins):
        if counts[number] > 0:
            sums[number] /= counts[number]
    return sums, counts
