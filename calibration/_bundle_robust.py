"""The noise of every camera, measured while adjusting, and the loss that follows it.

The loss starts wide, as the residuals of the starting values are, and shrinks with the noise that is measured after
each round, until both agree: outliers cannot pull while the start is still off, and good points are not taken for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration._bundle_boards import Scale
from calibration._bundle_problem import State, Views
from calibration._bundle_settings import LOSS, BundleSettings
from calibration._bundle_solver import Outcome, Problem, minimize

__all__ = ["Fit", "effective_noise", "fit", "measure", "noise_of_views", "weights"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_MAXIMUM_ROUNDS = 20
# Rounds but the last need not be exact: a step of half a standard deviation is far below the noise to be measured.
_EARLY_LAST_STEP, _EARLY_TOLERANCE, _EARLY_ITERATIONS = 0.5, 1.0, 15
_SAME_NOISE = 0.01
# The second moment is taken within so many sigma; of Gaussian noise in two coordinates 1.1 % lie beyond.
_CUT2 = 9.0
_FEW = 50
# Below it a residual is rounding.
_SMALLEST_NOISE = 1e-6
# Of the noise of a camera to that of the others: where points are free, few views do not tell more.
_LARGEST_RATIO = 10.0
_MEDIAN_OF_SQUARE = 2.0 * np.log(2.0)


@dataclass(frozen=True, eq=False)
class Fit:
    """The end of an adjustment.

    Attributes:
        outcome: of the last round.
        scale: that the last round measured residuals with.
        noise: (camera,) measured at the end.
        iterations: of all rounds.
    """

    outcome: Outcome
    scale: Scale
    noise: Floats
    iterations: int


def fit(problem: Problem, state: State, settings: BundleSettings, n_cameras: int) -> Fit:
    """Adjust until the noise stays the same, then until the gradient vanishes."""
    loss, tuning = LOSS[settings.loss]
    given = None if settings.noise is None else np.broadcast_to(np.asarray(settings.noise, float), n_cameras).copy()
    iterations, damping = 0, 1e-3
    if settings.loss == "none":
        sigma = np.ones(n_cameras) if given is None else given
        outcome = _last(problem, state, Scale(loss, tuning, sigma), settings, 1e-4)
        noise = measure(problem, outcome, n_cameras, plain=True) if given is None else given
        return Fit(outcome, Scale(loss, tuning, sigma), noise, outcome.iterations)
    lowest = np.full(n_cameras, _SMALLEST_NOISE) if given is None else given
    sigma = _start(problem, state, lowest, n_cameras)
    for _ in range(_MAXIMUM_ROUNDS):
        outcome = minimize(
            problem,
            state,
            Scale(loss, tuning, sigma),
            iterations=_EARLY_ITERATIONS,
            tolerance=_EARLY_TOLERANCE,
            damping=damping,
            last_step=_EARLY_LAST_STEP,
        )
        state, iterations, damping = outcome.state, iterations + outcome.iterations, min(outcome.damping, 1e-3)
        before, sigma = sigma, np.maximum(measure(problem, outcome, n_cameras), lowest)
        if given is not None:
            sigma = np.maximum(np.minimum(sigma, before), given)
            sigma = np.where(sigma < 1.5 * given, given, sigma)
        if (np.abs(sigma / before - 1.0) < _SAME_NOISE).all():
            break
    scale = Scale(loss, tuning, sigma)
    outcome = _last(problem, state, scale, settings, damping)
    noise = measure(problem, outcome, n_cameras) if given is None else given
    return Fit(outcome, scale, noise, iterations + outcome.iterations)


def _last(problem: Problem, state: State, scale: Scale, settings: BundleSettings, damping: float) -> Outcome:
    return minimize(
        problem,
        state,
        scale,
        iterations=settings.maximum_iterations,
        tolerance=settings.gradient_tolerance,
        damping=damping,
    )


def _start(problem: Problem, state: State, lowest: Floats, n_cameras: int) -> Floats:
    """The scale of the residuals before the first step."""
    parts = problem.linearize(state, Scale(0, 1.0, np.ones(n_cameras)))
    squares, cameras = problem.squares(parts)
    return np.maximum(_by_camera(squares, cameras, n_cameras, cut=False), lowest)


def measure(problem: Problem, outcome: Outcome, n_cameras: int, *, plain: bool = False) -> Floats:
    """(camera,) standard deviation of a pixel coordinate.

    The second moment of the residuals within three sigma, corrected for what lies beyond and for the parameters that
    were fitted to them; plain: of all residuals.
    """
    squares, cameras = problem.squares(outcome.parts)
    return _measured(squares, cameras, problem.freedom(outcome.parts, n_cameras), plain=plain)


def noise_of_views(views: Views, squares: Floats, n_cameras: int, *, plain: bool) -> Floats:
    """The same where only the poses of the boards were fitted to squared residuals (observation,), NaN where unseen."""
    cameras, seen = views.observation_camera(), np.isfinite(squares)
    count = 2.0 * np.bincount(cameras[seen], minlength=n_cameras)
    freedom = np.maximum(1.0 - views.board_parameters() / np.maximum(count, 1.0), 0.05)
    return _measured(squares[seen], cameras[seen], freedom, plain=plain)


def _measured(squares: Floats, cameras: Integers, freedom: Floats, *, plain: bool) -> Floats:
    n_cameras = len(freedom)
    if plain:
        count = np.bincount(cameras, minlength=n_cameras)
        total = np.bincount(cameras, weights=squares, minlength=n_cameras)
        pooled = total.sum() / max(float((2 * count * freedom).sum()), 1.0)
        own = total / np.maximum(2 * count * freedom, 1.0)
        return np.sqrt(np.maximum(np.where(count >= _FEW, own, pooled), _SMALLEST_NOISE**2))
    sigma = _by_camera(squares, cameras, n_cameras, cut=True) / np.sqrt(freedom)
    typical = float(np.median(sigma))
    return np.maximum(np.clip(sigma, typical / _LARGEST_RATIO, typical * _LARGEST_RATIO), _SMALLEST_NOISE)


def _by_camera(squares: Floats, cameras: Integers, n_cameras: int, *, cut: bool) -> Floats:
    """Robust standard deviation per camera; a camera with few points gets that of all."""
    pooled = _robust(squares, cut=cut)
    order = np.argsort(cameras, kind="stable")
    bounds = np.searchsorted(cameras[order], np.arange(n_cameras + 1))
    result = np.full(n_cameras, pooled)
    for camera in range(n_cameras):
        own = squares[order[bounds[camera] : bounds[camera + 1]]]
        if len(own) >= _FEW:
            result[camera] = _robust(own, cut=cut)
    return result


def _robust(squares: Floats, *, cut: bool) -> float:
    if not len(squares):
        return 1.0
    square = float(np.median(squares)) / _MEDIAN_OF_SQUARE
    if cut:
        # of a squared radius that is exponential with mean 2, the mean below the cut
        beyond = float(np.exp(-_CUT2 / 2))
        expected = 2.0 - _CUT2 * beyond / (1.0 - beyond)
        for _ in range(10):
            inside = squares[squares < _CUT2 * square]
            before, square = square, float(inside.mean()) / expected if len(inside) else square
            if abs(square - before) < 1e-4 * square:
                break
    return float(np.sqrt(max(square, _SMALLEST_NOISE**2)))


def weights(squares: Floats, sigma: Floats, loss: int, tuning: float) -> Floats:
    """Weight in (0, 1] that the loss gives to squared residuals."""
    s, c2 = squares / sigma**2, tuning * tuning
    if loss == LOSS["cauchy"][0]:
        return np.asarray(c2 / (c2 + s))
    if loss == LOSS["huber"][0]:
        return np.minimum(1.0, tuning / np.sqrt(np.maximum(s, 1e-300)))
    if loss == LOSS["tukey"][0]:
        return np.asarray(np.maximum(1.0 - s / c2, 0.0) ** 2)
    return np.ones_like(s)


def effective_noise(problem: Problem, result: Fit, n_cameras: int) -> Floats:
    """(camera,) noise with which plain least squares would be as uncertain as what was done.

    The asymptotic variance of an M-estimator over that of least squares (Huber 1964) is E psi^2 / (E psi')^2; both are
    taken over the residuals of each camera, outliers included, so that it grows by those too.
    """
    if result.scale.loss == LOSS["none"][0]:
        return result.noise
    squares, cameras = problem.squares(result.outcome.parts)
    s = squares / result.scale.sigma[cameras] ** 2
    weight = weights(squares, result.scale.sigma[cameras], result.scale.loss, result.scale.tuning)
    slope = _slope(s, weight, result.scale)
    count = np.maximum(np.bincount(cameras, minlength=n_cameras), 1)
    power = np.bincount(cameras, weights=0.5 * s * weight**2, minlength=n_cameras) / count
    bend = np.bincount(cameras, weights=0.5 * (slope + weight), minlength=n_cameras) / count
    few = np.bincount(cameras, minlength=n_cameras) < _FEW
    own = np.sqrt(power / problem.freedom(result.outcome.parts, n_cameras)) / np.maximum(bend, 1e-3)
    pooled = float(np.sqrt(power.mean())) / max(float(bend.mean()), 1e-3)
    return np.asarray(result.scale.sigma * np.where(few, pooled, own))


def _slope(s: Floats, weight: Floats, scale: Scale) -> Floats:
    """Derivative of the influence along the residual."""
    c2 = scale.tuning**2
    if scale.loss == LOSS["cauchy"][0]:
        return np.asarray(weight * (c2 - s) / (c2 + s))
    if scale.loss == LOSS["huber"][0]:
        return np.where(s <= c2, 1.0, 0.0)
    return np.where(s < c2, (1.0 - s / c2) * (1.0 - 5.0 * s / c2), 0.0)
