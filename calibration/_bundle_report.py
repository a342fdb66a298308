"""From the last state of a bundle adjustment to what is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration._bundle_boards import BoardPart, BoardTerm, Scale
from calibration._bundle_checks import warn_left_out
from calibration._bundle_clusters import believe, widen
from calibration._bundle_covariance import Covariance, covariance_of, covariance_of_boards
from calibration._bundle_problem import State, rig_of
from calibration._bundle_results import BundleAdjustment
from calibration._bundle_robust import Fit, effective_noise, weights
from calibration._bundle_settings import LOSS, BundleSettings, BundleStatus
from calibration._bundle_solver import Part, Problem, Term
from calibration.lens_models import LensModel
from calibration.rig import Rig
from calibration.transforms import RigidTransform

__all__ = ["common", "finish_boards", "poses_of", "told", "uncertainty"]

Floats = NDArray[np.float64]


def finish_boards(
    rig: Rig,
    models: Mapping[str, LensModel] | None,
    problem: Problem,
    board: BoardTerm,
    result: Fit,
    settings: BundleSettings,
) -> BundleAdjustment:
    """The outcome of an adjustment of boards, which are the first term of the problem."""
    state = result.outcome.state
    covariance, parts = uncertainty(problem, result, settings, board)
    heights = boards = None
    if covariance.full is not None:
        if settings.bend:
            own = slice(problem.shape, problem.end)
            heights = covariance.full[own, own]
        if settings.local_covariance:
            boards = covariance_of_boards(board, parts[0], covariance.full)  # type: ignore[arg-type] # of this term
    residual, weight = told(rig, board, result.outcome.parts[0], result, "corners")
    return BundleAdjustment(
        **common(rig, models, problem, result, covariance),
        residuals=board.views.spread(residual),
        weights=board.views.spread(weight),
        world_from_board=poses_of(state),
        board_points=state.shape,
        height_covariance=heights,
        board_covariance=boards,
    )


def common(
    rig: Rig, models: Mapping[str, LensModel] | None, problem: Problem, result: Fit, covariance: Covariance
) -> dict[str, Any]:
    """What all adjustments tell."""
    outcome, labels = result.outcome, problem.layout.labels
    full = covariance.full
    return {
        "rig": rig_of(rig, outcome.state.table, problem.layout, models),
        "noise": result.noise[0],
        "cost": outcome.cost,
        "iterations": result.iterations,
        "gradient_norm": outcome.gradient_norm,
        "status": BundleStatus.SINGULAR if covariance.undetermined else outcome.status,
        "labels": labels,
        "covariance": None if full is None else full[: len(labels), : len(labels)],
        "undetermined": covariance.undetermined,
    }


def uncertainty(
    problem: Problem, result: Fit, settings: BundleSettings, board: BoardTerm | None = None
) -> tuple[Covariance, tuple[Part, ...]]:
    """Covariance of what is not eliminated, and the normal equations in units of the noise that it comes from.

    With a board, which is the first term then, corners of one frame may err together. That is not asked of points, nor
    of plain least squares with a given noise: such corners are said to be independent.
    """
    if not settings.covariance:
        return Covariance(None, ()), ()
    state = result.outcome.state
    plain = Scale(LOSS["none"][0], 1.0, effective_noise(problem, result))
    parts = problem.linearize(state, plain)
    known = settings.loss == "none" and settings.noise is not None
    if board is None or known:
        return covariance_of(problem, parts, state), parts
    own: BoardPart = parts[0]  # type: ignore[assignment] # of the first term
    believe(problem, board, result, own)
    covariance = covariance_of(problem, parts, state)
    if covariance.full is not None and not board.fixed and widen(problem, board, result, own, covariance.full):
        covariance = covariance_of(problem, parts, state)
    return covariance, parts


def told(rig: Rig, term: Term, part: Any, result: Fit, what: str) -> tuple[Floats, Floats]:
    """Residuals (observation, 2), observed minus projected, and weights (observation,); warns of what is not seen."""
    seen = term.use & np.isfinite(part.r2)
    scale = result.scale
    sigma = scale.sigma[term.row, term.observation_camera]
    weight = weights(np.where(seen, part.r2, 0.0), sigma, scale.loss, scale.tuning)
    warn_left_out(rig, term.observation_camera[np.isnan(part.r2)], what, stacklevel=5)
    return -part.residual, np.where(seen, weight, 0.0)


def poses_of(state: State) -> RigidTransform:
    """World_from_board (frame,) of a state."""
    return RigidTransform(state.poses[:, :9].reshape(-1, 3, 3), state.poses[:, 9:])
