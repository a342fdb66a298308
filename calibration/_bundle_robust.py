"""The noise of every camera, measured while adjusting, and the loss that follows it.

The loss starts wide, as the residuals of the starting values are, and shrinks with the noise that is measured after
each round, until both agree: outliers cannot pull while the start is still off, and good points are not taken for them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration._bundle_boards import BoardTerm, Scale
from calibration._bundle_problem import State, Views
from calibration._bundle_settings import LOSS, BundleSettings
from calibration._bundle_solver import Outcome, Problem, minimize

__all__ = ["Fit", "curvature_of", "effective_noise", "fit", "measure", "noise_of_views", "weights"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_MAXIMUM_ROUNDS = 20
# Rounds but the last need not be exact: a step of half a standard deviation is far below the noise to be measured.
_EARLY_LAST_STEP, _EARLY_TOLERANCE, _EARLY_ITERATIONS = 0.5, 1.0, 15
_SAME_NOISE = 0.01
# Of plain least squares, whose start is taken for good; of the others, 1e-3.
_FIRST_DAMPING = 1e-4
# The second moment is taken within so many sigma; of Gaussian noise in two coordinates 1.1 % lie beyond.
_CUT2 = 9.0
_FEW = 50
# Below it a residual is rounding.
_SMALLEST_NOISE = 1e-6
# Weight of an observation that is believed; Gaussian noise goes below once in a million times.
_TRUSTED = 0.25
_MEDIAN_OF_SQUARE = 2.0 * np.log(2.0)


@dataclass(frozen=True, eq=False)
class Fit:
    """The end of an adjustment.

    Attributes:
        outcome: of the last round.
        scale: that the last round measured residuals with.
        noise: (row, camera) measured at the end.
        iterations: of all rounds.
    """

    outcome: Outcome
    scale: Scale
    noise: Floats
    iterations: int


def fit(problem: Problem, state: State, settings: BundleSettings, n_cameras: int) -> Fit:
    """Adjust until the noise stays the same, then until the gradient vanishes."""
    loss, tuning = LOSS[settings.loss]
    rows = 1 + max(term.row for term in problem.terms)
    given = None
    if settings.noise is not None:
        given = np.broadcast_to(np.asarray(settings.noise, dtype=np.float64), (rows, n_cameras)).copy()
    if settings.loss == "none":
        scale = Scale(loss, tuning, np.ones((rows, n_cameras)) if given is None else given)
        outcome = _last(problem, state, scale, settings, _FIRST_DAMPING)
        noise = measure(problem, outcome, scale, plain=True) if given is None else given
        return Fit(outcome, scale, noise, outcome.iterations)
    lowest = np.full((rows, n_cameras), _SMALLEST_NOISE) if given is None else given
    scale = Scale(loss, tuning, _start(problem, state, lowest))
    iterations, damping = 0, 1e-3
    for _ in range(_MAXIMUM_ROUNDS):
        outcome = minimize(
            problem,
            state,
            scale,
            iterations=_EARLY_ITERATIONS,
            tolerance=_EARLY_TOLERANCE,
            damping=damping,
            last_step=_EARLY_LAST_STEP,
        )
        state, iterations, damping = outcome.state, iterations + outcome.iterations, min(outcome.damping, 1e-3)
        before, sigma = scale.sigma, np.maximum(_pooled(problem, measure(problem, outcome, scale)), lowest)
        if given is not None:  # down to it, never up again
            sigma = np.minimum(sigma, before)
            sigma = np.where(sigma < 1.5 * given, given, sigma)
        scale = replace(scale, sigma=sigma)
        problem.take_back()
        if (np.abs(sigma / before - 1.0) < _SAME_NOISE).all():
            break
    for term, part in zip(problem.terms, outcome.parts, strict=True):
        own = scale.sigma[term.row, term.observation_camera]
        term.leave_out(weights(np.nan_to_num(part.r2, nan=np.inf), own, loss, tuning) > _TRUSTED)
    outcome = _last(problem, state, scale, settings, damping)
    noise = measure(problem, outcome, scale) if given is None else given
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


def _start(problem: Problem, state: State, lowest: Floats) -> Floats:
    """The scale of the residuals before the first step."""
    parts = problem.linearize(state, Scale(0, 1.0, np.ones(lowest.shape)))
    squares, group = problem.squares(parts, lowest.shape[1])
    sigma = _by_group(squares, group, lowest.size, cut=False).reshape(lowest.shape)
    return np.maximum(_pooled(problem, sigma), lowest)


def _pooled(problem: Problem, sigma: Floats) -> Floats:
    """One noise for all cameras where points are free.

    There a camera that happens to fit best would get ever more weight, until it fits exactly.
    """
    sigma = sigma.copy()
    for term in problem.terms:
        if term.pooled:
            sigma[term.row] = np.median(sigma[term.row])
    return sigma


def measure(problem: Problem, outcome: Outcome, scale: Scale, *, plain: bool = False) -> Floats:
    """(row, camera) standard deviation of a pixel coordinate.

    The second moment of the residuals within three sigma, corrected for what lies beyond and for the parameters that
    were fitted to them; plain: of all residuals.
    """
    rows, n_cameras = scale.sigma.shape
    squares, group = problem.squares(outcome.parts, n_cameras)
    freedom = problem.freedom(outcome.parts, rows, n_cameras)
    return np.stack(
        [
            _measured(squares[own], group[own] - row * n_cameras, freedom[row], plain=plain)
            for row in range(rows)
            for own in (group // n_cameras == row,)
        ]
    )


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
    sigma = _by_group(squares, cameras, n_cameras, cut=True) / np.sqrt(freedom)
    return np.maximum(sigma, _SMALLEST_NOISE)


def _by_group(squares: Floats, group: Integers, n_groups: int, *, cut: bool) -> Floats:
    """Robust standard deviation per group; a group with few points gets that of all."""
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(n_groups + 1))
    result = np.full(n_groups, _robust(squares, cut=cut))
    for place in range(n_groups):
        own = squares[order[bounds[place] : bounds[place + 1]]]
        if len(own) >= _FEW:
            result[place] = _robust(own, cut=cut)
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


def effective_noise(problem: Problem, result: Fit) -> Floats:
    """(row, camera) noise with which plain least squares would be as uncertain as what was done.

    The asymptotic variance of an M-estimator over that of least squares (Huber 1964) is E psi^2 / (E psi')^2; both are
    taken over the residuals of each camera, outliers included, so that it grows by those too.
    """
    scale = result.scale
    rows, n_cameras = scale.sigma.shape
    if scale.loss == LOSS["none"][0]:
        return result.noise
    squares, group = problem.squares(result.outcome.parts, n_cameras)
    sigma = scale.sigma.ravel()
    s, weight = squares / sigma[group] ** 2, weights(squares, sigma[group], scale.loss, scale.tuning)
    count = np.bincount(group, minlength=len(sigma))
    power = np.bincount(group, weights=0.5 * s * weight**2, minlength=len(sigma))
    bend = np.bincount(group, weights=0.5 * (_slope(s, weight, scale) + weight), minlength=len(sigma))
    freedom = problem.freedom(result.outcome.parts, rows, n_cameras).ravel()
    few = count < _FEW
    base = np.where(few, max(int(count.sum()), 1), np.maximum(count, 1))
    mean_power = np.where(few, power.sum(), power / freedom) / base
    mean_bend = np.maximum(np.where(few, bend.sum(), bend) / base, 1e-3)
    return np.asarray((sigma * np.sqrt(mean_power) / mean_bend).reshape(scale.sigma.shape))


def curvature_of(board: BoardTerm, result: Fit) -> Floats:
    """(observation,) mean of the two curvatures of the loss at each corner; 1 where least squares has it, 0 unseen."""
    scale, squares = result.scale, result.outcome.parts[0].r2
    seen = board.use & np.isfinite(squares)
    if scale.loss == LOSS["none"][0]:
        return np.where(seen, 1.0, 0.0)
    sigma = scale.sigma[board.row, board.observation_camera]
    s = np.where(seen, squares, 0.0) / sigma**2
    weight = weights(s, np.ones_like(s), scale.loss, scale.tuning)
    return np.where(seen, 0.5 * (_slope(s, weight, scale) + weight), 0.0)


def _slope(s: Floats, weight: Floats, scale: Scale) -> Floats:
    """Derivative of the influence along the residual."""
    c2 = scale.tuning**2
    if scale.loss == LOSS["cauchy"][0]:
        return np.asarray(weight * (c2 - s) / (c2 + s))
    if scale.loss == LOSS["huber"][0]:
        return np.where(s <= c2, 1.0, 0.0)
    return np.where(s < c2, (1.0 - s / c2) * (1.0 - 5.0 * s / c2), 0.0)
