"""Derivatives by smoothing splines, one for each run of frames, with the covariance of what they give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from pose3d.kinematics._derivative_jets import Rows, end_gains
from pose3d.kinematics._derivative_spline_kernels import BANDS, fit_spline
from pose3d.kinematics._error_correlation import ErrorCorrelation, frequencies

__all__ = ["SplineJet", "Splines"]

Array = NDArray[np.float64]

_LEAST_ROWS = 5  # of a run: three parameters of the spline and the noise are not found in less
# Smoothing between hardly any and that over about 100 frames; more would make the normal matrix singular to rounding.
_RANGE = (1e-4, 1e8)
_LEARNED_ROWS = 20_000  # of a track; more do not make the smoothing better known
_TOLERANCE = 0.05  # of the logarithm of the smoothing

# (coefficient of row, ...) of the derivatives in a frame, first coefficient one frame before; of the third the mean of
# those on both sides.
_FUNCTIONALS = np.array(
    [
        [0.0, 1 / 6, 4 / 6, 1 / 6, 0.0],
        [0.0, -0.5, 0.0, 0.5, 0.0],
        [0.0, 1.0, -2.0, 1.0, 0.0],
        [-0.5, 1.0, 0.0, -1.0, 0.5],
    ]
)
_THIRD_AT_START, _THIRD_AT_END = np.array([0.0, -1, 3, -3, 1]), np.array([-1.0, 3, -3, 1, 0])


@dataclass(frozen=True)
class Splines:
    """Derivatives by smoothing splines.

    Attributes:
        step: time from frame to frame.
        smoothing: see `DerivativeSettings`.
        correlation: of the errors of positions; None where those of different frames are independent.
    """

    step: float
    smoothing: float | None
    correlation: ErrorCorrelation | None

    def jet(self, rows: Rows) -> SplineJet:
        """The splines of all tracks."""
        count, space, tracks = rows.position.shape
        inverse = np.full((count, len(_FUNCTIONALS), len(_FUNCTIONALS), tracks), np.nan)
        values = np.full((len(_FUNCTIONALS), count, space, tracks), np.nan)
        smoothing = np.full(tracks, np.nan)
        for track in range(tracks):
            y, weight = _weighted(rows, track)
            runs = list(_runs(y, weight, rows.link))
            if not runs:
                continue
            mean = float(np.mean(np.concatenate([weight[run] for run in runs])))
            smoothing[track] = self.smoothing or _best_smoothing([(y[run], weight[run] / mean) for run in runs])
            for run in runs:
                found, spread = _fit(y[run], weight[run] / mean, smoothing[track])
                values[:, run, :, track] = found
                inverse[run, :, :, track] = spread / mean
        return SplineJet(rows, self, values, inverse, smoothing)


@dataclass(frozen=True, eq=False)
class SplineJet:
    """The jet of rows by splines.

    Attributes:
        rows: what was fitted.
        splines: how.
        values: (order, row, space, track) derivatives per frame^order.
        spread: (row, order, order, track) their covariance along an axis with the mean variance.
        smoothing: (track,) what was taken.
    """

    rows: Rows
    splines: Splines
    values: Array
    spread: Array
    smoothing: Array

    def value(self, order: int) -> Array:
        """See `Jet`."""
        return self.values[order, self.rows.first : self.rows.last] / self.splines.step**order

    def covariance(self, order: int, other: int) -> Array:
        """See `Jet`."""
        rows, step = self.rows, self.splines.step
        assert rows.covariance is not None
        now = rows.covariance[rows.first : rows.last]
        mean = np.einsum("tiij->tj", now) / now.shape[1]
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.splines.correlation is None:
                factor = self.spread[rows.first : rows.last, order, other] / mean
            else:
                factor = self._lasting(self.splines.correlation, order, other, mean / rows.deviation**2)
        return now * factor[:, None, None] / step ** (order + other)

    def _lasting(self, correlation: ErrorCorrelation, order: int, other: int, parameter: Array) -> Array:
        """(row, track) factor of variances for errors that are not independent, as it is far from the ends."""
        angle = frequencies()
        value, second = (2.0 + np.cos(angle)) / 3.0, 2.0 * np.cos(angle) - 2.0
        derivatives = [value, 1j * np.sin(angle), second, second * 1j * np.sin(angle)]
        result = np.full(parameter.shape, np.nan)
        for track, smoothing in enumerate(self.smoothing):
            if np.isfinite(smoothing):
                fit = value / (value**2 + smoothing * second**2 * value)
                table = correlation.table((order, derivatives[order] * fit), (other, derivatives[other] * fit))
                result[:, track] = correlation.at(table, parameter[:, track])
        rows = self.rows
        known = np.ascontiguousarray(rows.position[:, 0])
        return result * end_gains(correlation, order, other, parameter, known, rows.link, rows.first, rows.last)


def _weighted(rows: Rows, track: int) -> tuple[Array, Array]:
    """(row, space) positions, and (row,) their weights, NaN where one is unknown."""
    y = np.ascontiguousarray(rows.position[:, :, track])
    if rows.covariance is None:
        weight = np.ones(len(y))
    else:
        with np.errstate(divide="ignore"):
            weight = y.shape[1] / np.einsum("tii->t", rows.covariance[..., track])
    weight[~np.isfinite(weight) | np.isnan(y).any(axis=1)] = np.nan
    return y, weight


def _runs(y: Array, weight: Array, link: NDArray[np.bool_]) -> Iterator[slice]:
    """Runs of successive frames that are long enough."""
    known = np.isfinite(weight)
    joined = np.zeros(len(y) + 1, dtype=bool)
    joined[1:-1] = known[1:] & known[:-1] & link[1:]
    starts = np.flatnonzero(known & ~joined[:-1])
    ends = np.flatnonzero(known & ~joined[1:]) + 1
    for first, last in zip(starts.tolist(), ends.tolist(), strict=True):
        if last - first >= _LEAST_ROWS:
            yield slice(first, last)


def _best_smoothing(runs: list[tuple[Array, Array]]) -> float:
    """By generalized cross-validation over the first runs."""
    learned, rows = [], 0
    for y, weight in runs:
        part = y[: _LEARNED_ROWS - rows], weight[: _LEARNED_ROWS - rows]
        rows += len(part[0])
        if len(part[0]) >= _LEAST_ROWS:
            learned.append(part)

    def score(logarithm: float) -> float:
        squares = trace = 0.0
        for y, weight in learned:
            room = np.empty((len(y) + 2, y.shape[1])), np.empty((len(y) + 2, BANDS))
            more = fit_spline(y, weight, float(np.exp(logarithm)), *room)
            squares, trace = squares + more[0], trace + more[1]
        return float(np.log(squares + np.finfo(float).tiny) - 2 * np.log(rows - trace))

    found = minimize_scalar(score, bounds=tuple(np.log(_RANGE)), method="bounded", options={"xatol": _TOLERANCE})
    return float(np.exp(found.x))


def _fit(y: Array, weight: Array, smoothing: float) -> tuple[Array, Array]:
    """(order, row, space) derivatives of a run, and (row, order, order) their covariance for weights that are true."""
    rows, space = y.shape
    coefficients, inverse = np.empty((rows + 2, space)), np.empty((rows + 2, BANDS))
    fit_spline(y, weight, smoothing, coefficients, inverse)
    functionals = np.repeat(_FUNCTIONALS[None], rows, axis=0)
    functionals[0, 3], functionals[-1, 3] = _THIRD_AT_START, _THIRD_AT_END
    # from one coefficient before the first to one after the last
    padded = np.zeros((rows + 4, space))
    padded[1:-1] = coefficients
    around = np.lib.stride_tricks.sliding_window_view(padded, BANDS, axis=0)
    values = np.einsum("rnk,rsk->nrs", functionals, around)
    banded = np.zeros((rows + 4, BANDS))
    banded[1:-1] = inverse
    covariance = np.empty((rows, BANDS, BANDS))
    for a in range(BANDS):
        for b in range(a, BANDS):
            covariance[:, a, b] = covariance[:, b, a] = banded[a : a + rows, b - a]
    return values, np.einsum("rnk,rkl,rml->rnm", functionals, covariance, functionals)
