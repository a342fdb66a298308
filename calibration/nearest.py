"""The nearest of sorted numbers, times of frames mostly, and of names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["nearest_index", "nearest_name"]


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


def nearest_name(word: str, known: Iterable[str]) -> str:
    """'Did you mean ...?' with the known name that is spelled most alike, or an empty text."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"Did you mean '{close[0]}'?" if close else ""
