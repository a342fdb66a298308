"""The nearest of sorted numbers: times of frames, mostly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["nearest_index"]


def nearest_index(
    values: NDArray[np.floating] | NDArray[np.integer], among: NDArray[np.floating] | NDArray[np.integer]
) -> NDArray[np.intp]:
    """(n,) place, in sorted numbers, of the one nearest to each value; of two equally near ones the smaller.

    Args:
        values: (n,) numbers.
        among: (m,) increasing, at least one.
    """
    after = np.searchsorted(among, values).clip(0, len(among) - 1)
    before = (after - 1).clip(0)
    return np.where(np.abs(among[after] - values) < np.abs(among[before] - values), after, before)
