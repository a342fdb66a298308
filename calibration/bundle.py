"""Bundle adjustment: the cameras, lenses, boards and points that explain all that was seen best, and how sure that is.

The residuals are those of distorted pixels. Boards are eliminated frame by frame and points one by one (Schur
complement; Triggs et al., Bundle Adjustment - A Modern Synthesis, 2000), so that only the cameras are solved for
together.

Parameters of a pose are a small rotation (rx, ry, rz) in radians and a translation (tx, ty, tz), in the axes of the
camera and about its center, `x_cam -> exp(r) x_cam + t`: the center of the camera moves by -t. Those of a board are in
the axes of the board and about its first corner.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from calibration._bundle_boards import BoardTerm, Scale
from calibration._bundle_checks import (
    as_observations,
    check_boards,
    check_cameras,
    check_fixed,
    height_basis,
)
from calibration._bundle_points_run import run_points
from calibration._bundle_prior import make_prior
from calibration._bundle_problem import State, camera_table, make_layout, pack_views, rows_of
from calibration._bundle_report import finish_boards
from calibration._bundle_results import (
    BoardFrames,
    BoardPoses,
    BundleAdjustment,
    CameraPrior,
    PointAdjustment,
    RigidLengths,
)
from calibration._bundle_robust import fit, noise_of_views, weights
from calibration._bundle_settings import LOSS, OBSERVATIONS_PER_WORKER, BundleSettings, BundleStatus
from calibration._bundle_solver import Problem, Term
from calibration._bundle_start import fit_poses, starting_poses
from calibration._bundle_workers import Workers
from calibration.lens_models import LensModel
from calibration.rig import Rig
from calibration.transforms import RigidTransform

__all__ = [
    "LOSS",
    "BoardFrames",
    "BoardPoses",
    "BundleAdjustment",
    "BundleSettings",
    "BundleStatus",
    "CameraPrior",
    "PointAdjustment",
    "RigidLengths",
    "adjust_boards",
    "adjust_points",
    "fit_board_poses",
]


def adjust_boards(
    rig: Rig,
    board_points: ArrayLike,
    world_from_board: RigidTransform,
    position: ArrayLike,
    *,
    models: Mapping[str, LensModel] | None = None,
    fixed_poses: Collection[str] | None = None,
    fixed_boards: bool = False,
    prior: BundleAdjustment | PointAdjustment | CameraPrior | None = None,
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
        prior: an earlier adjustment of the same cameras to other observations, whose estimates count with the
            uncertainty that they had.
        settings: see `BundleSettings`.

    Raises:
        InvalidValueError: a shape or value is wrong.
        MismatchError: cameras or numbers of frames or corners do not fit together.
        CalibrationError: a camera with free parameters sees nothing, no camera sees three corners of a board, or
            nothing holds the world.
    """
    settings = settings or BundleSettings()
    shape, pixels = as_observations(rig, board_points, world_from_board, position, settings)
    fixed = (rig.names[0],) if fixed_poses is None else tuple(fixed_poses)
    check_fixed(fixed, otherwise=fixed_boards or prior is not None)
    layout = make_layout(rig, models, fixed)
    views = pack_views(pixels)
    counts = np.diff(views.start)
    check_cameras(rig, layout.first, np.bincount(views.camera, weights=counts, minlength=len(rig)).astype(np.int64))
    check_boards(views, 1 if fixed_boards else 3)
    n_labels = len(layout.labels)
    basis = height_basis(shape, views, fixed_boards=fixed_boards) if settings.bend else np.empty((0, 0))
    heights = n_labels if settings.bend else -1
    with Workers.for_work(settings.workers, len(views.corner), OBSERVATIONS_PER_WORKER) as workers:
        use = np.ones(len(views.corner), dtype=np.bool_)
        board = BoardTerm(views, layout, workers, heights, use, fixed_boards)
        terms: tuple[Term, ...] = (board,)
        if prior is not None:
            known = camera_table(prior.rig.select(rig.names), layout)
            terms = (board, make_prior(layout, known, prior.labels, prior.covariance))
        problem = Problem(layout, terms, n_labels + len(basis), heights, basis)
        state = State(camera_table(rig, layout), rows_of(world_from_board), shape, np.empty((0, 3)), np.empty(0))
        result = fit(problem, state, settings, len(rig))
        return finish_boards(rig, models, problem, board, result, settings)


def adjust_points(
    rig: Rig,
    points: ArrayLike,
    position: ArrayLike,
    *,
    models: Mapping[str, LensModel] | None = None,
    fixed_poses: Collection[str] | None = None,
    lengths: RigidLengths | None = None,
    boards: BoardFrames | None = None,
    prior: BundleAdjustment | PointAdjustment | CameraPrior | None = None,
    settings: BundleSettings | None = None,
) -> PointAdjustment:
    """Adjust cameras and free points to what the cameras saw of the points: keypoints of animals, or any matches.

    What fixes the scale is, in this order, a second camera whose pose stays, known lengths, boards, or a prior; where
    there is none of these, the cameras stay as far from the first as they were, in the root mean square.

    Args:
        rig: starting values of the cameras.
        points: (point, 3) starting values in the world, NaN where there is none: such points are left out.
        position: (point, camera, 2) px, NaN where unseen. Points that fewer than two cameras see, or are believed to
            see in the end, are left out.
        models, fixed_poses, prior, settings: as for `adjust_boards`.
        lengths: rigid lengths between the points.
        boards: frames of a board that take part.

    Raises:
        InvalidValueError: a shape or value is wrong.
        MismatchError: cameras or numbers of points do not fit together.
        CalibrationError: a camera with free parameters sees nothing, or nothing holds the world.
    """
    settings = settings or BundleSettings()
    fixed = (rig.names[0],) if fixed_poses is None else tuple(fixed_poses)
    check_fixed(fixed, otherwise=prior is not None)
    layout = make_layout(rig, models, fixed)
    known = None
    if prior is not None:
        table = camera_table(prior.rig.select(rig.names), layout)
        known = make_prior(layout, table, prior.labels, prior.covariance)
    return run_points(rig, models, layout, points, position, lengths, boards, known, settings)


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
    shape, pixels = as_observations(rig, board_points, stand_in if start is None else start, position, settings)
    layout = make_layout(rig, None, rig.names)
    views = pack_views(pixels)
    check_boards(views, 3 if start is not None else 4)
    starts = starting_poses(rig, shape, pixels) if start is None else (rows_of(start),)
    table, (loss, tuning), cameras = camera_table(rig, layout), LOSS[settings.loss], views.observation_camera()
    given = None if settings.noise is None else np.broadcast_to(np.asarray(settings.noise, float), len(rig)).copy()
    scale = Scale(loss, tuning, (np.ones(len(rig)) if given is None else given)[None])
    with Workers.for_work(settings.workers, len(views.corner), OBSERVATIONS_PER_WORKER) as workers:
        rough = given is None or len(starts) > 1
        fits = [fit_poses(table, layout, shape, views, one, scale, workers, rough=rough) for one in starts]
        last = fits[0]
        if len(fits) > 1:
            # fewer corners that cannot be seen from there, then the lower cost
            lost = [np.bincount(views.observation_frame(), ~one.use, len(one.cost)) for one in fits]
            other = (lost[1] < lost[0]) | ((lost[1] == lost[0]) & (fits[1].cost < fits[0].cost))
            poses = np.where(other[:, None], fits[1].poses, fits[0].poses)
            last = fit_poses(table, layout, shape, views, poses, scale, workers, rough=given is None)
        if given is None:
            squares = np.where(last.use, last.part.r2, np.nan)
            noise = noise_of_views(views, squares, len(rig), plain=settings.loss == "none")
            scale = replace(scale, sigma=noise[None])
            last = fit_poses(table, layout, shape, views, last.poses, scale, workers)
    seen = last.use & np.isfinite(last.part.r2)
    weight = weights(np.where(seen, last.part.r2, 0.0), scale.sigma[0, cameras], loss, tuning)
    return BoardPoses(
        world_from_board=RigidTransform(last.poses[:, :9].reshape(-1, 3, 3), last.poses[:, 9:]),
        residuals=views.spread(-last.part.residual),
        weights=views.spread(np.where(seen, weight, 0.0)),
        noise=scale.sigma[0],
        status=last.status,
    )
