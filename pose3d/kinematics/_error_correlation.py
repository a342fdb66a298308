"""How alike the errors of a position are from frame to frame, and what that does to derivatives.

A linear filter with coefficients c makes of errors with variance P and autocorrelation rho the variance
P sum_kl c_k c_l rho(k - l) = P mean(|C(w)|^2 S(w)), where C is the Fourier transform of c and S that of rho. Errors
that are alike in successive frames cancel in a difference: to take them for independent would make the derivatives
of positions that were smoothed over many frames look many times less certain than they are.

Positions of `reconstruct` have the errors of a smoother: with information W per frame and the penalty L of the d-th
differences, the error has the spectrum 1 / (W + L |1 - exp(iw)|^(2d)). Its shape depends on W / L alone, and so does
P L, which is known: P is the variance of the position and L = 1 / (smoothness step^d)^2. So a table over P L tells
all. The motion itself has, as the smoother takes it, the spectrum 1 / (L |1 - exp(iw)|^(2d)): so it is known, too, how
much of the derivative (iw)^n a filter does not see, and that is a part of the error. At the ends of a run, and where
the smoothness followed the motion, all this is an approximation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError

__all__ = ["ErrorCorrelation", "frequencies", "lasting_errors", "model_order", "smoother_errors", "transfer_of"]

Array = NDArray[np.float64]
Transfer = NDArray[np.complex128]

# W / L from all but interpolated to smoothed over 10 000 frames (d = 2; 100 with d = 4).
_RATIOS = np.logspace(10.0, -16.0, 261)
_ORDERS = (1, 2, 3, 4)
# What is slower (rad per frame) a filter differentiates to rounding, which large motion would make much of.
_SLOW = 0.01


@dataclass(frozen=True, eq=False)
class ErrorCorrelation:
    """The spectra of errors, over one parameter, for errors of variance 1.

    Attributes:
        parameter: (node,) log of P L, increasing; one node where the correlation does not depend on it.
        noise: (node, frequency) of the errors that observations make, before they were smoothed.
        stopped: (node, frequency) share of the motion, and of these errors, that the smoother does not let pass.
        motion: (node, frequency) of the motion; 0 where nothing is known of it.
        differences: order of the differences that were smoothed; 0 where there was no smoother.
    """

    parameter: Array
    noise: Array
    stopped: Array
    motion: Array
    differences: int = 0

    def table(self, one: tuple[int, Transfer], other: tuple[int, Transfer]) -> Array:
        """(node,) factor from the variance of a position to the covariance of the errors of two derivatives.

        Args:
            one, other: order of the derivative, per frame, and (frequency,) the filter that finds it; see
                `transfer_of`.
        """
        angle, weight = _quadrature()
        (_, a), (_, b) = one, other
        left, right = (self._missed(order, transfer, angle) for order, transfer in (one, other))
        errors = (left * np.conj(right)).real * self.motion + (a * np.conj(b)).real * (
            1.0 - self.stopped
        ) ** 2 * self.noise
        return np.asarray(errors @ weight)

    def at_ends(self, order: int, distance: Array, parameter: Array) -> Array:
        """Factors by which variances of derivatives are larger near an end of a run than the variance there says.

        A smoother knows the place at an end less well, but the direction still less.

        Args:
            order: of the derivative.
            distance: frames to the nearer end.
            parameter: P L, of the same shape.
        """
        if not self.differences or not order:
            return np.ones(distance.shape)
        places, factors = _end_factors(self.differences, order)
        with np.errstate(divide="ignore"):
            ratio = np.interp(np.log(parameter), self.parameter, np.log(_RATIOS))
        return np.interp(distance * np.exp(ratio / (2 * self.differences)), places, factors)

    def of_sums(self, parameter: Array) -> Array:
        """Factors by which the variance of a sum over many frames is at most larger than if errors were independent."""
        return self.at(self.noise[:, 0], parameter)

    def _missed(self, order: int, transfer: Transfer, angle: Array) -> Transfer:
        """(node, frequency) by how much a derivative of the motion is found too large: by the filter, and smoothed."""
        wrong = np.where(angle < _SLOW, 0.0, transfer - (1j * angle) ** order)
        return np.asarray(wrong - transfer * self.stopped)

    def at(self, table: Array, parameter: Array) -> Array:
        """Values of a table of factors at other parameters P L of any shape; NaN where that is."""
        if len(table) == 1:
            return np.where(np.isnan(parameter), np.nan, table[0])
        with np.errstate(divide="ignore"):
            place = np.log(parameter)
        if (table > 0).all():
            return np.exp(np.interp(place, self.parameter, np.log(table)))
        return np.interp(place, self.parameter, table)


def transfer_of(coefficients: Array) -> Transfer:
    """(frequency,) Fourier transform of the coefficients (row,) of a filter, the middle row at time 0."""
    rows = np.arange(len(coefficients)) - (len(coefficients) - 1) / 2
    return np.asarray(np.exp(1j * np.outer(_quadrature()[0], rows)) @ coefficients)


def frequencies() -> Array:
    """(frequency,) rad per frame at which spectra and Fourier transforms are."""
    return _quadrature()[0]


@lru_cache(maxsize=len(_ORDERS))
def smoother_errors(order: int) -> ErrorCorrelation:
    """Errors of positions smoothed with a penalty of the differences of this order; the parameter is P L."""
    angle, weight = _quadrature()
    rough = (2.0 * np.sin(angle / 2.0)) ** (2 * order)
    spectrum = 1.0 / (_RATIOS[:, None] + rough)
    variance = spectrum @ weight
    noise = np.broadcast_to(1.0 / (_RATIOS * variance)[:, None], spectrum.shape)
    return ErrorCorrelation(np.log(variance), noise, rough * spectrum, 1.0 / rough / variance[:, None], order)


@lru_cache(maxsize=16)
def _end_factors(differences: int, order: int) -> tuple[Array, Array]:
    """Distances from an end, in units of (L / W)^(1 / 2d) frames, and factors of variances; 1 from the last on.

    Where the smoother averages over several frames its errors are the same for all strengths but for the unit of time.
    So one is enough, whose unit is ten frames; the covariance of its errors is an inverse.
    """
    unit, count = 10.0, 240
    rough = np.diff(np.eye(count), differences, axis=0)
    inverse = np.linalg.inv(np.eye(count) + unit ** (2 * differences) * rough.T @ rough)
    slopes: Array = np.eye(count)
    for _ in range(order):
        slopes = np.asarray(np.gradient(slopes, axis=0, edge_order=2))
    rows = slice(order, count // 2)  # repeated differences are not so good at the very end
    errors = np.einsum("ij,jk,ik->i", slopes, inverse, slopes)[rows]
    parameter = np.diag(inverse)[rows] * unit ** (2 * differences)
    correlation = smoother_errors(differences)
    power = order, np.asarray((1j * frequencies()) ** order, dtype=np.complex128)
    usual = parameter / unit ** (2 * differences) * correlation.at(correlation.table(power, power), parameter)
    ratio = np.interp(np.log(parameter), correlation.parameter, np.log(_RATIOS))
    places = np.arange(count)[rows] * np.exp(ratio / (2 * differences))
    factors = np.maximum(errors / usual, 1.0)
    known = np.minimum.accumulate(factors) == factors  # far away it oscillates a little about 1
    return np.append(places[known], places[known][-1] + 0.5), np.append(factors[known], 1.0)


@lru_cache(maxsize=16)
def lasting_errors(frames: float) -> ErrorCorrelation:
    """Errors whose correlation falls to 1/e in so many frames, and on exponentially."""
    angle, weight = _quadrature()
    kept = np.exp(-1.0 / frames)
    spectrum = (1.0 - kept**2) / (1.0 - 2.0 * kept * np.cos(angle) + kept**2)
    nothing = np.zeros((1, len(angle)))
    return ErrorCorrelation(np.zeros(1), spectrum[None] / (spectrum @ weight), nothing, nothing)


def model_order(smoothness: xr.DataArray) -> int:
    """Order of the differences that were white noise, as the units of the smoothness say: 3 for "mm/s^3".

    Raises:
        InvalidValueError: the units do not say it.
    """
    units = str(smoothness.attrs.get("units", ""))
    found = re.search(r"/\w+\^(\d+)$", units)
    if found is None or int(found[1]) not in _ORDERS:
        raise InvalidValueError(
            "poses, 'smoothness'",
            expected="units that end in the order of the motion, as mm/s^3",
            got=repr(units),
            remedy="Keep the attributes that `reconstruct` gave, or drop the variable 'smoothness'.",
        )
    return int(found[1])


@lru_cache(maxsize=1)
def _quadrature() -> tuple[Array, Array]:
    """Frequencies in (0, pi) and their weights, the sum of which is 1; dense near 0, where spectra are steep."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    edges = np.linspace(0.0, 1.0, 97)
    place = (edges[:-1, None] + np.diff(edges)[:, None] * (nodes + 1) / 2).ravel()
    share = (np.diff(edges)[:, None] * weights / 2).ravel()
    return np.pi * place**4, share * 4 * place**3
