"""Bundle adjustment: the cameras, lenses and boards that explain all observed corners best, and how sure that is.

The residuals are those of distorted pixels. Boards are eliminated frame by frame (Schur complement; Triggs et al.,
Bundle Adjustment - A Modern Synthesis, 2000), so that only the cameras are solved for together.

Parameters of a pose are a small rotation (rx, ry, rz) in radians and a translation (tx, ty, tz), in the axes of the
camera and about its center, `x_cam -> exp(r) x_cam + t`: the center of the camera moves by -t. Those of a board are in
the axes of the board and about its first corner.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration._bundle_boards import BoardTerm, Scale
from calibration._bundle_covariance import camera_covariance
from calibration._bundle_problem import State, Views, camera_table, make_layout, pack_views, rig_of, rows_of
from calibration._bundle_robust import Fit, effective_noise, fit, noise_of_views, weights
from calibration._bundle_settings import LOSS, BundleSettings, BundleStatus, require
from calibration._bundle_solver import Problem
from calibration._bundle_start import fit_poses, residuals_of, starting_poses
from calibration._bundle_workers import Workers
from calibration.errors import CalibrationError, MismatchError, SuiteWarning
from calibration.lens_models import LensModel
from calibration.rig import Rig
from calibration.schema import as_floats
from calibration.transforms import RigidTransform

__all__ = [
    "LOSS",
    "BoardPoses",
    "BundleAdjustment",
    "BundleSettings",
    "BundleStatus",
    "adjust_boards",
    "fit_board_poses",
]

# Threads cost more than they gain below this many observations each.
_OBSERVATIONS_PER_WORKER = 5000


@dataclass(frozen=True, eq=False)
class BundleAdjustment:
    """The outcome of `adjust_boards`.

    Attributes:
        rig: the cameras.
        world_from_board: (frame,) poses of the board.
        board_points: (corner, 3); changed only where the bend was free.
        residuals: (camera, frame, corner, 2) px, observed minus projected; NaN where unseen, and where the camera could
            not see the corner where it is now.
        weights: (camera, frame, corner) in [0, 1] that the loss gave; 0 for what was left out, NaN where unseen.
        noise: (camera,) px, standard deviation of a coordinate.
        cost: half the sum of the losses of the residuals in units of the noise that they were measured with.
        iterations: steps that were tried.
        gradient_norm: largest component of the gradient, each divided by the root of its own curvature and by the root
            mean square of the weighed residuals: so far, in standard deviations, is a parameter at most from its best
            value with all others held.
        status: how it ended.
        labels: (camera, parameter) of the free parameters of the cameras.
        covariance: (parameter, parameter) of those; None where not asked for or where the status is SINGULAR.
        undetermined: labels of parameters that the observations do not determine.
    """

    rig: Rig
    world_from_board: RigidTransform
    board_points: NDArray[np.float64]
    residuals: NDArray[np.float64]
    weights: NDArray[np.float64]
    noise: NDArray[np.float64]
    cost: float
    iterations: int
    gradient_norm: float
    status: BundleStatus
    labels: tuple[tuple[str, str], ...]
    covariance: NDArray[np.float64] | None
    undetermined: tuple[tuple[str, str], ...]

    def standard_deviations(self, camera: str) -> dict[str, float]:
        """Standard deviation of every free parameter of a camera; NaN where there is no covariance."""
        self.rig[camera]  # raises where there is none
        values = np.full(len(self.labels), np.nan) if self.covariance is None else np.sqrt(np.diag(self.covariance))
        return {name: float(value) for (one, name), value in zip(self.labels, values, strict=True) if one == camera}


@dataclass(frozen=True, eq=False)
class BoardPoses:
    """The outcome of `fit_board_poses`.

    Attributes:
        world_from_board: (frame,).
        residuals: (camera, frame, corner, 2) px, observed minus projected; NaN where unseen, and where the camera could
            not see the corner where the board is now.
        weights: (camera, frame, corner) in [0, 1] that the loss gave; 0 for what was left out, NaN where unseen.
        noise: (camera,) px, given or measured.
        status: (frame,) values of `BundleStatus`.
    """

    world_from_board: RigidTransform
    residuals: NDArray[np.float64]
    weights: NDArray[np.float64]
    noise: NDArray[np.float64]
    status: NDArray[np.int64]


def adjust_boards(
    rig: Rig,
    board_points: ArrayLike,
    world_from_board: RigidTransform,
    position: ArrayLike,
    *,
    models: Mapping[str, LensModel] | None = None,
    fixed_poses: Collection[str] | None = None,
    fixed_boards: bool = False,
    settings: BundleSettings | None = None,
) -> BundleAdjustment:
    """Adjust cameras and boards to what the cameras saw of the board.

    Args:
        rig: starting values of the cameras.
        board_points: (corner, 3).
        world_from_board: (frame,) starting values.
        position: (camera, frame, corner, 2) px, NaN where unseen.
        models: which parameters of the lens of a camera are free; the lens of a camera without model stays.
        fixed_poses: names of cameras whose pose stays; the first camera by default, which fixes the world.
        fixed_boards: whether the boards stay where they are.
        settings: see `BundleSettings`.

    Raises:
        InvalidValueError: a shape or value is wrong.
        MismatchError: cameras or numbers of frames or corners do not fit together.
        CalibrationError: a camera with free parameters sees nothing, or no camera sees three corners of a board.
    """
    settings = settings or BundleSettings()
    shape, pixels = _as_observations(rig, board_points, world_from_board, position, settings)
    fixed = (rig.names[0],) if fixed_poses is None else tuple(fixed_poses)
    layout = make_layout(rig, models, fixed)
    views = pack_views(pixels)
    _check_seen(rig, views, layout.first, least=1 if fixed_boards else 3)
    n_labels = len(layout.labels)
    basis = _height_basis(shape, views, fixed_boards=fixed_boards) if settings.bend else np.empty((0, 0))
    with Workers.for_work(settings.workers, len(views.corner), _OBSERVATIONS_PER_WORKER) as workers:
        use = np.ones(len(views.corner), dtype=np.bool_)
        term = BoardTerm(views, layout, workers, n_labels if settings.bend else -1, use, fixed_boards)
        problem = Problem(layout, (term,), n_labels + len(basis), n_labels if settings.bend else -1, basis)
        state = State(camera_table(rig, layout), rows_of(world_from_board), shape, np.empty((0, 3)), np.empty(0))
        result = fit(problem, state, settings, len(rig))
        return _finish(rig, models, problem, result, settings)


def fit_board_poses(
    rig: Rig,
    board_points: ArrayLike,
    position: ArrayLike,
    start: RigidTransform | None = None,
    *,
    settings: BundleSettings | None = None,
) -> BoardPoses:
    """Poses of boards with the cameras held, as for frames that the calibration has not used; each frame by itself.

    Args:
        rig: the cameras.
        board_points: (corner, 3).
        position: (camera, frame, corner, 2) px, NaN where unseen.
        start: (frame,) world_from_board; by default from the camera that sees most corners of the frame, where of the
            two poses that a flat board has in one view the one is taken that ends at the lower cost in all views.
        settings: loss, noise and workers are used. Noise that is not given is measured: the boards are fitted with the
            loss at 1 px, then at the noise of that fit.

    Raises:
        InvalidValueError, MismatchError: as for `adjust_boards`.
        CalibrationError: no camera sees three corners of the board in a frame, or four where there is no start.
    """
    settings = settings or BundleSettings()
    n_frames = np.shape(position)[1] if np.ndim(position) == 4 else 0
    stand_in = RigidTransform(np.tile(np.eye(3), (n_frames, 1, 1)), np.zeros((n_frames, 3)))
    shape, pixels = _as_observations(rig, board_points, start or stand_in, position, settings)
    layout = make_layout(rig, None, rig.names)
    views = pack_views(pixels)
    _check_seen(rig, views, layout.first, least=3 if start is not None else 4)
    starts = starting_poses(rig, shape, pixels) if start is None else (rows_of(start),)
    table, (loss, tuning), cameras = camera_table(rig, layout), LOSS[settings.loss], views.observation_camera()
    given = None if settings.noise is None else np.broadcast_to(np.asarray(settings.noise, float), len(rig)).copy()
    sigma = np.ones(len(rig)) if given is None else given
    with Workers.for_work(settings.workers, len(views.corner), _OBSERVATIONS_PER_WORKER) as workers:
        fits = [fit_poses(table, shape, views, one, sigma, loss, tuning, workers) for one in starts]
        poses = fits[0][0]
        if len(fits) > 1:
            poses = np.where((fits[1][2] < fits[0][2])[:, None], fits[1][0], poses)
        if given is None:
            _, r2, _, _ = fit_poses(table, shape, views, poses, sigma, loss, tuning, workers)
            sigma = noise_of_views(views, r2, len(rig), plain=settings.loss == "none")
        poses, r2, _, status = fit_poses(table, shape, views, poses, sigma, loss, tuning, workers)
    residual = residuals_of(table, shape, views, poses)
    weight = np.where(np.isfinite(r2), weights(np.nan_to_num(r2), sigma[cameras], loss, tuning), 0.0)
    return BoardPoses(
        world_from_board=RigidTransform(poses[:, :9].reshape(-1, 3, 3), poses[:, 9:]),
        residuals=views.spread(-residual),
        weights=views.spread(weight),
        noise=sigma,
        status=status,
    )


def _finish(
    rig: Rig, models: Mapping[str, LensModel] | None, problem: Problem, result: Fit, settings: BundleSettings
) -> BundleAdjustment:
    """Residuals, covariance and status of the last state."""
    outcome, (term,) = result.outcome, problem.terms
    state, layout, views = outcome.state, problem.layout, term.views
    adjusted = rig_of(rig, state.table, layout, models)
    (part,) = outcome.parts
    seen = term.use & np.isfinite(part.r2)
    weight = weights(
        np.where(seen, part.r2, 0.0),
        result.scale.sigma[term.observation_camera],
        result.scale.loss,
        result.scale.tuning,
    )
    covariance: NDArray[np.float64] | None = None
    undetermined: tuple[tuple[str, str], ...] = ()
    if settings.covariance:
        plain = Scale(LOSS["none"][0], 1.0, effective_noise(problem, result, len(rig)))
        covariance, undetermined = camera_covariance(problem, problem.linearize(state, plain), state)
    _warn_left_out(rig, term.observation_camera[~seen])
    poses = state.poses
    return BundleAdjustment(
        rig=adjusted,
        world_from_board=RigidTransform(poses[:, :9].reshape(-1, 3, 3), poses[:, 9:]),
        board_points=state.shape,
        residuals=views.spread(-part.residual),
        weights=views.spread(np.where(seen, weight, 0.0)),
        noise=result.noise,
        cost=outcome.cost,
        iterations=result.iterations,
        gradient_norm=outcome.gradient_norm,
        status=BundleStatus.SINGULAR if undetermined else outcome.status,
        labels=layout.labels,
        covariance=covariance,
        undetermined=undetermined,
    )


def _as_observations(
    rig: Rig, board_points: ArrayLike, world_from_board: RigidTransform, position: ArrayLike, settings: BundleSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Board points (corner, 3) and positions (camera, frame, corner, 2), or an error."""
    shape = as_floats(board_points, "board points", ends=(3,), copy=True)
    pixels = as_floats(position, "position", ends=(2,))
    fine = shape.ndim == 2 and len(shape) >= 3 and bool(np.isfinite(shape).all())
    require("board points", fine, "finite numbers of shape (corner, 3), at least 3 corners", f"shape {shape.shape}")
    require("position", pixels.ndim == 4, "shape (camera, frame, corner, 2)", f"shape {pixels.shape}")
    infinite = int(np.isinf(pixels).sum())
    require("position", infinite == 0, "finite pixels, NaN where unseen", f"{infinite} infinities")
    poses = world_from_board.translation
    require("world_from_board", poses.ndim == 2, "one pose per frame", f"a batch of shape {poses.shape[:-1]}")
    expected = (len(rig), len(poses), len(shape), 2)
    if pixels.shape != expected:
        raise MismatchError(
            "bundle adjustment, position",
            expected=f"shape {expected}: {len(rig)} cameras, {len(poses)} poses of the board, {len(shape)} corners",
            got=f"shape {pixels.shape}",
            remedy="Give cameras, frames and corners in the same order and number everywhere.",
        )
    require("frames", len(poses) > 0, "at least one", "none")
    count = np.size(settings.noise) if settings.noise is not None else 1
    require("noise", count in (1, len(rig)), f"one number, or {len(rig)}: one per camera", f"{count} numbers")
    return shape, pixels


def _check_seen(rig: Rig, views: Views, first: NDArray[np.int64], *, least: int) -> None:
    """Raise where a camera with free parameters or a frame has nothing that determines it."""
    corners = np.diff(views.start)
    for index in np.flatnonzero((first >= 0) & (np.bincount(views.camera, minlength=len(rig)) == 0)):
        raise CalibrationError(
            f"camera '{rig.names[index]}'",
            expected="a board seen by the camera in at least one frame",
            got="none",
            remedy="Leave the camera out, or name it among the fixed poses and give it no lens model.",
        )
    best = np.zeros(views.n_frames, dtype=np.int64)
    np.maximum.at(best, views.frame, corners)
    few = np.flatnonzero(best < least)
    if len(few):
        raise CalibrationError(
            f"frame {few[0]}" + (f" (and {len(few) - 1} more)" if len(few) > 1 else ""),
            expected=f"at least {least} corners of the board seen by one camera",
            got=f"{best[few[0]]} at most",
            remedy="Leave out frames in which no camera sees so many.",
        )


def _height_basis(shape: NDArray[np.float64], views: Views, *, fixed_boards: bool) -> NDArray[np.float64]:
    """(corner, free) orthonormal basis of the heights that no pose of the board explains, of the corners that are seen.

    The constant and the two slopes are left out: they would be a shift and a turn of the board.
    """
    seen = np.bincount(views.corner, minlength=len(shape)) > 0
    basis = np.eye(len(shape))[:, seen]
    if fixed_boards:
        return basis
    flat = np.column_stack([np.ones(len(shape)), shape[:, 0], shape[:, 1]])[seen]
    require("bend", int(seen.sum()) > 3, "more than three corners that are seen", f"{int(seen.sum())}")
    complement = np.linalg.svd(flat, full_matrices=True)[0][:, 3:]
    return np.ascontiguousarray(basis @ complement)


def _warn_left_out(rig: Rig, cameras: NDArray[np.int64]) -> None:
    for index, count in enumerate(np.bincount(cameras, minlength=len(rig))):
        if count:
            warnings.warn(
                f"camera '{rig.names[index]}': {count} corners left out: they lie behind the camera or beyond the reach"
                " of its lens where board and camera are now",
                SuiteWarning,
                stacklevel=4,
            )
