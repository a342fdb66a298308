"""Medians of groups, without a loop over them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["group_medians"]


def group_medians(values: NDArray[np.float64], groups: NDArray[np.intp]) -> NDArray[np.float64]:
    """(sample,) the median of the values of each sample's group; groups are numbered from 0, and may be empty."""
    if not len(values):
        return values
    order = np.lexsort((values, groups))
    starts = np.searchsorted(groups[order], np.arange(groups.max() + 2))
    middle = np.maximum(starts[:-1] + starts[1:] - 1, 0) / 2
    low, high = values[order][np.floor(middle).astype(np.intp)], values[order][np.ceil(middle).astype(np.intp)]
    return ((low + high) / 2)[groups]
