"""Means of waveforms with intervals and bands, where values may be missing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["intervals", "measurement_deviation", "unit_means"]

Floats = NDArray[np.float64]


def unit_means(values: Floats, whose: NDArray[np.str_] | None) -> tuple[Floats, Floats, Floats]:
    """What counts as independent: means of individuals, or the rows themselves.

    Args:
        values: (row, ...), NaN where missing.
        whose: (row,) names of individuals; None where there is one, whose rows count.

    Returns:
        (unit, ...) values, and (...) the standard deviation within individuals and that between them; the latter is NaN
        where there is one.
    """
    if whose is None:
        return values, _sd(values), np.full(values.shape[1:], np.nan)
    names = np.unique(whose)
    parts = [values[whose == name] for name in names]
    counts = np.stack([np.isfinite(part).sum(axis=0) for part in parts])
    means = np.stack([_mean(part) for part in parts])
    squares = np.stack([np.nansum((part - mean) ** 2, axis=0) for part, mean in zip(parts, means, strict=True)])
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.maximum(counts - 1, 0).sum(axis=0)
        within = np.where(freedom > 0, squares.sum(axis=0) / freedom, np.nan)
        # The mean of an individual varies by its few strides, too (one-way analysis of variance, random effects).
        noise = _mean(np.where(counts > 0, within / counts, np.nan))
        between = np.sqrt(np.maximum(_sd(means) ** 2 - np.nan_to_num(noise), 0.0))
    return means, np.sqrt(within), between


def measurement_deviation(values: Floats, errors: Floats, whose: NDArray[np.str_] | None) -> Floats:
    """(...) standard deviation of the mean by the errors of measurement of the rows, independent of each other."""
    known = np.where(np.isfinite(values), errors**2, np.nan)
    groups = [known] if whose is None else [known[whose == name] for name in np.unique(whose)]
    with np.errstate(divide="ignore", invalid="ignore"):
        count = [np.isfinite(group).sum(axis=0) for group in groups]
        variance = [np.nansum(group, axis=0) / n**2 for group, n in zip(groups, count, strict=True)]
    some = np.stack(variance)
    return np.asarray(np.sqrt(np.nansum(some, axis=0)) / np.maximum(np.isfinite(some).sum(axis=0), 1)).astype(
        np.float64
    )


def intervals(
    units: Floats, measured: Floats | None, level: float, resamples: int, seed: int, *, bootstrap: bool
) -> tuple[Floats, Floats, tuple[Floats, Floats, Floats, Floats]]:
    """Mean, standard error, and ends of the interval at each phase and of the band over all.

    Args:
        units: (unit, phase, ...) independent of each other, NaN where missing.
        measured: (phase, ...) the least standard error, or None.
        level: of intervals and bands.
        resamples, seed: of the draws.
        bootstrap: resample units instead of taking Student's distribution.
    """
    from scipy.stats import norm, t

    count = np.isfinite(units).sum(axis=0)
    mean = _mean(units)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = _sd(units) / np.sqrt(count)
    if measured is not None:
        error = np.fmax(error, measured)
    chance = 0.5 + level / 2
    freedom = np.maximum(count - 1, 1)
    factor = np.where(count > 1, t.ppf(chance, freedom), norm.ppf(chance))
    reach = np.maximum(_reach(units, 1 - level), factor.max(axis=0))
    low, high = mean - factor * error, mean + factor * error
    if bootstrap and len(units) > 1:
        picked = np.random.default_rng(seed).integers(0, len(units), (resamples, len(units)))
        means = np.stack([_mean(units[rows]) for rows in picked])
        means = np.where(np.isfinite(means), means, mean)  # a resample in which no unit has a value there
        low, high = np.quantile(means, [1 - chance, chance], axis=0)
    return mean, error, (low, high, mean - reach * error, mean + reach * error)


def _reach(units: Floats, risk: float) -> Floats:
    """(...) how many standard errors to both sides of the mean (unit, phase, ...) hold a whole waveform.

    The largest Student's t over a smooth waveform, by its expected Euler characteristic (Worsley 1994), with the
    roughness that the residuals have: the length of the way of the unit vector of residuals (Telschow and Schwartzman
    2022, "Gaussian kinematic formula"). Unlike draws with the correlation of few units, it holds for few units. Where
    waveforms are so rough that phases count as independent, Bonferroni's limit is the smaller one.
    """
    from scipy.optimize import brentq
    from scipy.stats import t

    count, phases = len(units), units.shape[1]
    if count < 2:
        return np.zeros(units.shape[2:])
    residual = np.nan_to_num(units - _mean(units)).reshape(count, phases, -1)
    length = np.linalg.norm(residual, axis=0)
    unit = residual / np.where(length > 0, length, 1.0)
    cosine = np.sum(unit[:, 1:] * unit[:, :-1], axis=0)
    way = np.arccos(np.where(length[1:] * length[:-1] > 0, cosine, 1.0).clip(-1.0, 1.0)).sum(axis=0)
    freedom = count - 1
    independent = float(t.ppf(1 - risk / (2 * phases), freedom))

    def excess(limit: float, walked: float) -> float:
        crossing = walked / (2 * np.pi) * (1 + limit**2 / freedom) ** (-(freedom - 1) / 2)
        return 2 * (float(t.sf(limit, freedom)) + crossing) - risk

    limits = [
        independent if excess(independent, walked) >= 0 else brentq(excess, 0.0, independent, args=(walked,))
        for walked in way
    ]
    return np.array(limits).reshape(units.shape[2:])


def _mean(values: Floats) -> Floats:
    """Mean of what is there along the first axis; NaN, without a warning, where nothing is."""
    count = np.isfinite(values).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.nansum(values, axis=0) / np.where(count > 0, count, np.nan))


def _sd(values: Floats) -> Floats:
    """Standard deviation of what is there along the first axis; NaN where there is one value or none."""
    count = np.isfinite(values).sum(axis=0)
    squares = np.nansum((values - _mean(values)) ** 2, axis=0)
    return np.sqrt(squares / np.where(count > 1, count - 1, np.nan))
