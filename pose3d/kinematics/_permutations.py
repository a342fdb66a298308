"""Permutation tests with the largest statistic, and effect sizes of two samples."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product
from math import comb, lgamma

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "cliffs_delta",
    "difference_error",
    "hedges_g",
    "hedges_interval",
    "permutation_test",
    "statistic",
]

Floats = NDArray[np.float64]

_PIECE = 2**22
"""Numbers of a piece of permuted statistics, so that a million of them fit into memory."""


def statistic(a: Floats, b: Floats, *, paired: bool) -> Floats:
    """(...) Student's t of b against a, (unit, ...); Welch's where they are not paired. Infinite without spread."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num((b.mean(axis=0) - a.mean(axis=0)) / difference_error(a, b, paired=paired), posinf=np.inf)


def difference_error(a: Floats, b: Floats, *, paired: bool) -> Floats:
    """(...) standard error of the difference of the means of b and a, (unit, ...)."""
    if paired:
        return np.asarray((b - a).std(axis=0, ddof=1) / np.sqrt(len(a)))
    return np.sqrt(a.var(axis=0, ddof=1) / len(a) + b.var(axis=0, ddof=1) / len(b))


def permutation_test(
    a: Floats, b: Floats, *, paired: bool, resamples: int, seed: int, level: float
) -> tuple[Floats, float, float]:
    """Test that groups do not differ, over all columns at once.

    The groups of units are exchanged, or those within each pair, and the largest statistic over the columns is kept:
    the chance that any column of equal groups is called different is that of one test (Westfall and Young 1993). All
    arrangements are taken where there are few, else as many at random.

    Args:
        a, b: (unit, column), no value missing; pairs are of the same row.
        paired: whether they are pairs.
        resamples, seed: of the arrangements.
        level: of the limit.

    Returns:
        (column,) p values; the limit that the largest statistic stays below with `level`, infinite where there are too
        few arrangements to say; the smallest p value that is possible.
    """
    observed = np.abs(statistic(a, b, paired=paired))
    total = 2 ** len(a) if paired else comb(len(a) + len(b), len(a))
    exact = total <= resamples
    rng = np.random.default_rng(seed)
    largest = []
    for rows in _arrangements(len(a), len(b), paired, None if exact else rng, resamples, max(1, _PIECE // a.shape[1])):
        largest.append(_paired(b - a, rows) if paired else _unpaired(np.concatenate([a, b]), rows))
    drawn = np.concatenate(largest)
    # Arrangements that give the same statistic differ by rounding.
    beyond = (drawn[:, None] >= observed * (1 - 1e-9)).sum(axis=0)
    extra = 0 if exact else 1
    count = len(drawn) + extra
    allowed = int(np.floor((1 - level) * count + 1e-9)) - extra
    limit = float(np.sort(drawn)[len(drawn) - 1 - allowed]) if allowed >= 1 else np.inf
    # Without the sign an arrangement and its opposite are the same.
    twins = 2 if paired or len(a) == len(b) else 1
    return (beyond + extra) / count, limit, max(1, twins if exact else 1) / count


def hedges_g(a: Floats, b: Floats, *, paired: bool) -> Floats:
    """(...) standardized difference of b from a, (unit, ...), without the bias of few units.

    Unpaired it is in standard deviations of a group, the two pooled (Hedges 1981); paired, in those of the differences.
    NaN where there is no spread.
    """
    spread, freedom, _ = _scale(a, b, paired=paired)
    unbiased = np.exp(lgamma(freedom / 2) - lgamma((freedom - 1) / 2)) / np.sqrt(freedom / 2) if freedom > 1 else 1.0
    return np.asarray((b.mean(axis=0) - a.mean(axis=0)) / spread * unbiased)


def hedges_interval(a: Floats, b: Floats, *, paired: bool, level: float) -> tuple[float, float]:
    """Confidence interval of the standardized difference of b from a, (unit,): exact for normal values.

    It is that of the noncentral t distribution.
    """
    spread, freedom, scale = _scale(a, b, paired=paired)
    t = float((b.mean() - a.mean()) / spread) * scale
    if not np.isfinite(t):
        return np.nan, np.nan
    low, high = (_noncentrality(t, freedom, risk) / scale for risk in (0.5 + level / 2, 0.5 - level / 2))
    return low, high


def _scale(a: Floats, b: Floats, *, paired: bool) -> tuple[Floats, int, float]:
    """What a difference is measured in, NaN where it is zero; its degrees of freedom; and t by such a difference."""
    if paired:
        spread, freedom, scale = (b - a).std(axis=0, ddof=1), len(a) - 1, float(np.sqrt(len(a)))
    else:
        freedom = len(a) + len(b) - 2
        squares = a.var(axis=0, ddof=1) * (len(a) - 1) + b.var(axis=0, ddof=1) * (len(b) - 1)
        spread, scale = np.sqrt(squares / freedom), float(np.sqrt(len(a) * len(b) / (len(a) + len(b))))
    return np.where(spread > 0, spread, np.nan), freedom, scale


def cliffs_delta(a: Floats, b: Floats, *, paired: bool) -> float:
    """How much more often b is larger than a than smaller, -1 to 1; over all pairs, or those that belong together."""
    if paired:
        return float(np.sign(b - a).mean())
    ordered = np.sort(a)
    larger = np.searchsorted(ordered, b, side="left").sum()
    smaller = len(a) * len(b) - np.searchsorted(ordered, b, side="right").sum()
    return float(larger - smaller) / (len(a) * len(b))


def _noncentrality(t: float, freedom: float, chance: float) -> float:
    """The noncentrality with which Student's t is below `t` with this chance."""
    from scipy.optimize import brentq
    from scipy.stats import nct

    def excess(shift: float) -> float:
        below = float(nct.cdf(t, freedom, shift))
        # Far out, where the chance is 1 or 0, scipy may give no number.
        return (float(shift < t) if np.isnan(below) else below) - chance

    reach = 8 * (1 + abs(t) / np.sqrt(2 * freedom))
    return float(brentq(excess, t - reach, t + reach))


def _arrangements(
    first: int, second: int, paired: bool, rng: np.random.Generator | None, resamples: int, piece: int
) -> Iterator[Floats]:
    """Pieces of (arrangement, unit): signs of pairs, or 1 for a unit of the first group; all of them without `rng`."""
    if rng is None:
        if paired:
            rows = np.array(list(product((1.0, -1.0), repeat=first)))
        else:
            chosen = np.array(list(combinations(range(first + second), first)))
            rows = np.zeros((len(chosen), first + second))
            np.put_along_axis(rows, chosen, 1.0, axis=1)
        yield from (rows[at : at + piece] for at in range(0, len(rows), piece))
        return
    for at in range(0, resamples, piece):
        size = min(piece, resamples - at)
        if paired:
            yield rng.choice((1.0, -1.0), (size, first))
        else:
            yield (rng.permuted(np.tile(np.arange(first + second), (size, 1)), axis=1) < first).astype(np.float64)


def _paired(differences: Floats, signs: Floats) -> Floats:
    """(arrangement,) largest |t| over the columns of differences (pair, column) with these signs."""
    n = len(differences)
    mean = signs @ differences / n
    variance = np.maximum((differences**2).sum(axis=0) - n * mean**2, 0.0) / (n - 1)
    return _largest(mean, np.sqrt(variance / n))


def _unpaired(values: Floats, chosen: Floats) -> Floats:
    """(arrangement,) largest |t| over the columns of values (unit, column) where `chosen` is one group."""
    centered = values - values.mean(axis=0)
    squares, groups = centered**2, []
    for share in (chosen, 1.0 - chosen):
        n = share[0].sum()
        mean = share @ centered / n
        groups.append((mean, np.maximum(share @ squares / n - mean**2, 0.0) / (n - 1)))
    (mean_a, error_a), (mean_b, error_b) = groups
    return _largest(mean_b - mean_a, np.sqrt(error_a + error_b))


def _largest(difference: Floats, error: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.abs(difference) / error
    return np.nan_to_num(ratio, posinf=np.inf).max(axis=1)
