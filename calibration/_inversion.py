"""Inverting what `calibration.lens` bends: increasing functions of a radius, and one-to-one maps of a disc."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["first_failure", "invert_in_disc", "invert_increasing", "positive_roots"]

Map = Callable[[NDArray[np.float64]], NDArray[np.float64]]

# 3 to 6 Newton steps are usual; near the edge of the disc, where the slope may vanish, they are halved.
_MAXIMUM_STEPS = 60
_SMALLEST_SHARE_OF_STEP = 1e-3
_RADII_CHECKED = 2048


def invert_in_disc(
    function: Map,
    jacobian: Map,
    target: NDArray[np.float64],
    start: NDArray[np.float64],
    *,
    radius: float,
    aim: float,
    tolerance: float,
) -> NDArray[np.float64]:
    """The points (n, 2) of a disc that `function` maps to `target` (n, 2), NaN where none is found.

    Damped Newton method. A step is halved until it brings the image closer and stays in the disc, so no second solution
    beyond the disc can be reached.

    Args:
        function, jacobian: the map (n, 2) -> (n, 2), one-to-one on the disc, and its derivative (n, 2, 2).
        target: finite values of the map.
        start: points of the disc, near the solution.
        radius: of the disc around 0.
        aim: distance from the target at which no further step is made.
        tolerance: distance from the target at which a point counts as found; larger than `aim`, because rounding may
            keep it from getting there.
    """
    result = start.copy()
    difference = function(result) - target
    error, share = np.hypot(*difference.T), np.ones(len(target))
    active = np.arange(len(target))
    for _ in range(_MAXIMUM_STEPS):
        active = active[(error[active] > aim) & (share[active] > _SMALLEST_SHARE_OF_STEP)]
        if not len(active):
            break
        step = _solve_2x2(jacobian(result[active]), difference[active])
        trial = result[active] - share[active, None] * step
        off = function(trial) - target[active]
        better = (np.hypot(*off.T) < error[active]) & (np.hypot(*trial.T) <= radius)
        share[active] = np.where(better, np.minimum(1.0, 2 * share[active]), share[active] / 2)
        taken = active[better]
        result[taken], difference[taken], error[taken] = trial[better], off[better], np.hypot(*off[better].T)
    result[~(error <= tolerance)] = np.nan
    return result


def invert_increasing(
    function: Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]],
    target: NDArray[np.float64],
    upper: float,
) -> NDArray[np.float64]:
    """Arguments (n,) in [0, upper] where `function` has the value `target` (n,), to 1e-9 of `upper`; `upper` beyond.

    Newton's method; a step that leaves the bracket is replaced by a bisection.

    Args:
        function: gives value and slope; grows from 0 at 0.
        target: finite values, at least 0.
        upper: end of the interval.
    """
    low, high = np.zeros_like(target), np.full_like(target, upper)
    x = np.where(target >= function(high)[0], upper, np.minimum(target, upper))
    for _ in range(_MAXIMUM_STEPS):
        value, slope = function(x)
        below = value < target
        low, high = np.where(below, x, low), np.where(below, high, x)
        newton = x - (value - target) / slope
        following = np.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
        if bool((np.abs(following - x) <= 1e-9 * upper).all()):
            return following
        x = following
    return x


def first_failure(holds: Callable[[NDArray[np.float64]], NDArray[np.bool_]], limit: float) -> float:
    """The largest of many radii up to `limit` below which `holds` is true throughout; `limit` where it always is."""
    low, high = 0.0, limit
    for _ in range(2):  # the second round refines the interval of the first
        radii = np.linspace(low, high, _RADII_CHECKED + 1)[1:]
        failures = np.flatnonzero(~holds(radii))
        if not len(failures):
            return high
        low, high = float(radii[failures[0] - 1]) if failures[0] else low, float(radii[failures[0]])
    return low


def positive_roots(polynomial: NDArray[np.float64]) -> NDArray[np.float64]:
    """The real roots in (0, 1000) of a polynomial, highest power first, whose constant term is not 0."""
    # Of 1 / root, because the highest coefficient may be tiny where the constant term is not.
    inverse = np.roots(polynomial[::-1])
    real = inverse[np.abs(inverse.imag) <= 1e-9 * np.abs(inverse)].real
    return np.asarray(1 / real[real > 1e-3])


def _solve_2x2(matrix: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    (a, b), (c, d) = np.moveaxis(matrix, (-2, -1), (0, 1))
    determinant = a * d - b * c
    x, y = vector[..., 0], vector[..., 1]
    return np.stack([(d * x - b * y) / determinant, (a * y - c * x) / determinant], axis=-1)
