"""Long series made short enough to draw, without hiding spikes or gaps."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

__all__ = ["bin_quantiles", "envelope", "missing_share"]

Array = NDArray[np.float64]


def envelope(time: Array, values: Array, *, bins: int = 900) -> tuple[Array, Array]:
    """Fewer points that look the same as a line: the smallest and largest value of each bin of rows.

    Args:
        time: (n,) increasing.
        values: (n,), NaN where missing. A bin without a value stays a gap.
        bins: about half the number of points that are left; shorter series come back as they are.
    """
    if len(values) <= 2 * bins:
        return time, values
    edges = np.linspace(0, len(values), bins + 1).astype(np.int64)
    shorter_time, shorter = np.full(2 * bins, np.nan), np.full(2 * bins, np.nan)
    for index, (start, stop) in enumerate(itertools.pairwise(edges)):
        part = values[start:stop]
        known = np.flatnonzero(np.isfinite(part))
        shorter_time[2 * index : 2 * index + 2] = time[start], time[stop - 1]
        if len(known):
            low, high = known[np.argmin(part[known])], known[np.argmax(part[known])]
            pair = sorted((low, high))
            shorter_time[2 * index : 2 * index + 2] = time[start + pair[0]], time[start + pair[1]]
            shorter[2 * index : 2 * index + 2] = part[pair[0]], part[pair[1]]
    return shorter_time, shorter


def bin_quantiles(time: Array, values: Array, levels: tuple[float, ...], *, bins: int = 150) -> tuple[Array, Array]:
    """Quantiles over stretches of time of all values in them.

    Args:
        time: (n,).
        values: (n, ...), NaN where missing.
        levels: quantiles from 0 to 1.
        bins: how many stretches at most.

    Returns:
        Middle of the stretches (b,), and quantiles (b, level), NaN where a stretch has no value.
    """
    count = max(1, min(bins, len(values)))
    edges = np.linspace(0, len(values), count + 1).astype(np.int64)
    middle, result = np.full(count, np.nan), np.full((count, len(levels)), np.nan)
    for index, (start, stop) in enumerate(itertools.pairwise(edges)):
        part = np.asarray(values[start:stop], dtype=np.float64)
        part = part[np.isfinite(part)]
        middle[index] = time[start:stop].mean() if stop > start else np.nan
        if part.size:
            result[index] = np.quantile(part, levels)
    return middle, result


def missing_share(missing: NDArray[np.bool_], *, bins: int = 400) -> Array:
    """(bin, ...) share of rows of a mask (n, ...) that are true, in stretches of rows."""
    count = max(1, min(bins, len(missing)))
    edges = np.linspace(0, len(missing), count + 1).astype(np.int64)[:-1]
    if not len(missing):
        return np.zeros((1, *missing.shape[1:]))
    sizes = np.diff(np.append(edges, len(missing)))
    total = np.add.reduceat(missing.astype(np.float64), edges, axis=0)
    return np.asarray(total / sizes.reshape(-1, *(1,) * (missing.ndim - 1)))
