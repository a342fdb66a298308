"""Bundle adjustment of free points, from arrays to `PointAdjustment`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration._bundle_boards import BoardTerm
from calibration._bundle_checks import as_lengths, as_observations, as_sightings, check_boards, check_cameras
from calibration._bundle_covariance import covariance_of_points
from calibration._bundle_kernels import POSE
from calibration._bundle_points import PointTerm, Sightings, pack_points
from calibration._bundle_prior import PriorTerm
from calibration._bundle_problem import Layout, State, camera_table, pack_views, rows_of
from calibration._bundle_report import common, poses_of, told, uncertainty
from calibration._bundle_results import BoardFrames, PointAdjustment, RigidLengths
from calibration._bundle_robust import Fit, fit
from calibration._bundle_settings import OBSERVATIONS_PER_WORKER, BundleSettings, require
from calibration._bundle_solver import Problem, Term
from calibration._bundle_workers import Workers
from calibration.lens_models import LensModel
from calibration.rig import Rig

__all__ = ["run_points"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def run_points(
    rig: Rig,
    models: Mapping[str, LensModel] | None,
    layout: Layout,
    points: ArrayLike,
    position: ArrayLike,
    lengths: RigidLengths | None,
    boards: BoardFrames | None,
    prior: PriorTerm | None,
    settings: BundleSettings,
) -> PointAdjustment:
    """See `calibration.bundle.adjust_points`."""
    start, pixels = as_sightings(rig, points, position, settings)
    require("bend", not settings.bend, "False where points are adjusted", settings.bend)
    pairs, parts, values, precision = as_lengths(lengths, len(start))
    views = np.isfinite(pixels).all(axis=-1).sum(axis=-1)
    kept = np.asarray(np.isfinite(start).all(axis=-1) & (views >= 2))
    tied = kept[pairs].all(axis=1)
    chosen = np.flatnonzero(kept)
    require("points", len(chosen) > 0, "points with starting values that two cameras see", "none")
    rank = np.cumsum(kept) - 1
    pairs, parts = rank[pairs[tied]].reshape(-1, 2), parts[tied]
    n_labels = len(layout.labels)
    places, values = _unknown_lengths(start[chosen], pairs, parts, values, n_labels)
    sightings = pack_points(pixels[chosen], pairs, parts, places)
    frames = _frames(rig, boards, settings)
    seen = np.bincount(sightings.observation_camera, minlength=len(rig))
    seen = seen + (0 if frames is None else np.isfinite(frames.position[..., 0]).sum(axis=(1, 2)))
    check_cameras(rig, layout.first, seen)
    count = len(sightings.point) + (0 if frames is None else int(np.isfinite(frames.position[..., 0]).sum()))
    with Workers.for_work(settings.workers, count, OBSERVATIONS_PER_WORKER) as workers:
        use = np.ones(len(sightings.point), dtype=np.bool_)
        own = PointTerm(
            sightings, layout, workers, precision, values, places, use, np.ones(len(chosen), dtype=np.bool_)
        )
        terms: tuple[Term, ...] = (own,)
        board = _board_term(frames, layout, workers)
        terms += () if board is None else (board,)
        terms += () if prior is None else (prior,)
        known = board is not None or prior is not None or bool((places[parts] < 0).any())
        problem = Problem(
            layout,
            terms,
            n_labels + int((places >= 0).sum()),
            lengths=places,
            origin=-1 if known else _origin(layout),
        )
        state = State(
            camera_table(rig, layout),
            np.empty((0, 12)) if frames is None else rows_of(frames.world_from_board),
            np.empty((0, 3)) if frames is None else frames.board_points,
            np.ascontiguousarray(start[chosen][sightings.order]),
            values,
        )
        before = _extent(problem, state)
        result = fit(problem, state, settings, len(rig))
        result = _rescaled(problem, result, before)
        return _finish(rig, models, problem, own, board, result, settings, chosen, len(start))


def _unknown_lengths(
    start: Floats, pairs: Integers, parts: Integers, values: Floats, first: int
) -> tuple[Integers, Floats]:
    """Place of every length among the parameters (-1 where given or without pairs), and starting values."""
    places, values = np.full(len(values), -1, dtype=np.int64), values.copy()
    distance = np.sqrt(((start[pairs[:, 0]] - start[pairs[:, 1]]) ** 2).sum(axis=1))
    count = 0
    for part in np.flatnonzero(np.isnan(values)):
        own = distance[parts == part]
        if len(own):
            values[part], places[part] = np.median(own), first + count
            count += 1
    return places, values


def _frames(rig: Rig, boards: BoardFrames | None, settings: BundleSettings) -> BoardFrames | None:
    if boards is None:
        return None
    shape, pixels = as_observations(rig, boards.board_points, boards.world_from_board, boards.position, settings)
    return BoardFrames(shape, boards.world_from_board, pixels)


def _board_term(frames: BoardFrames | None, layout: Layout, workers: Workers) -> BoardTerm | None:
    if frames is None:
        return None
    views = pack_views(frames.position)
    check_boards(views, 3)
    return BoardTerm(views, layout, workers, -1, np.ones(len(views.corner), dtype=np.bool_), row=1)


def _origin(layout: Layout) -> int:
    """The only camera whose pose stays; -1 where two stay, or all move with their scale held by something else."""
    still = np.flatnonzero(layout.columns[:, 0] < 0)
    return int(still[0]) if len(still) == 1 and len(still) < len(layout.columns) else -1


def _extent(problem: Problem, state: State) -> float:
    """Root of the summed squared distances of the cameras from the one in which the scale begins."""
    if problem.origin < 0:
        return 1.0
    centers = _centers(state)
    return float(np.sqrt(((centers - centers[problem.origin]) ** 2).sum()))


def _centers(state: State) -> Floats:
    rotation, translation = state.table[:, POSE : POSE + 9].reshape(-1, 3, 3), state.table[:, POSE + 9 : POSE + 12]
    return np.asarray(-np.einsum("cji,cj->ci", rotation, translation))


def _rescaled(problem: Problem, result: Fit, before: float) -> Fit:
    """The same with the extent of the cameras that there was before; each step has kept it only to first order."""
    if problem.origin < 0:
        return result
    state = result.outcome.state
    factor = before / _extent(problem, state)
    centers = _centers(state)
    origin = centers[problem.origin]
    centers = origin + factor * (centers - origin)
    table = state.table.copy()
    rotation = table[:, POSE : POSE + 9].reshape(-1, 3, 3)
    moves = problem.layout.columns[:, 3] >= 0
    table[moves, POSE + 9 : POSE + 12] = -np.einsum("cij,cj->ci", rotation, centers)[moves]
    lengths = np.where(problem.lengths >= 0, factor * state.lengths, state.lengths)
    state = replace(state, table=table, points=origin + factor * (state.points - origin), lengths=lengths)
    return replace(result, outcome=replace(result.outcome, state=state))


def _finish(
    rig: Rig,
    models: Mapping[str, LensModel] | None,
    problem: Problem,
    own: PointTerm,
    board: BoardTerm | None,
    result: Fit,
    settings: BundleSettings,
    chosen: Integers,
    n_points: int,
) -> PointAdjustment:
    state, sightings = result.outcome.state, own.sightings
    covariance, parts = uncertainty(problem, result, settings)
    deviations = spread = None
    if covariance.full is not None:
        variance = np.diag(covariance.full)
        deviations = np.where(problem.lengths >= 0, np.sqrt(variance[problem.lengths]), 0.0) if len(variance) else None
        if settings.local_covariance:
            spread = np.full((n_points, 3, 3), np.nan)
            spread[chosen[sightings.order]] = covariance_of_points(own, parts[0], covariance.full)  # type: ignore[arg-type] # of this term
    residual, weight = told(rig, own, result.outcome.parts[0], result, "points")
    board_residual = None
    if board is not None:
        board_residual = board.views.spread(told(rig, board, result.outcome.parts[1], result, "corners")[0])
    points = np.full((n_points, 3), np.nan)
    points[chosen[sightings.order]] = np.where(own.active[:, None], state.points, np.nan)
    return PointAdjustment(
        **common(rig, models, problem, result, covariance),
        residuals=_widen(sightings, residual, chosen, n_points),
        weights=_widen(sightings, weight, chosen, n_points),
        points=points,
        lengths=state.lengths,
        length_deviations=deviations,
        point_covariance=spread,
        world_from_board=None if board is None else poses_of(state),
        board_residuals=board_residual,
        board_noise=None if board is None else result.noise[1],
    )


def _widen(sightings: Sightings, values: Floats, chosen: Integers, n_points: int) -> Floats:
    """(point, camera, ...) of all given points, of values (observation, ...)."""
    part = sightings.spread(values)
    result = np.full((n_points, *part.shape[1:]), np.nan)
    result[chosen] = part
    return result
