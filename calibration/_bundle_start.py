"""Poses of boards in the world with the cameras held: starting values from single views, then each fitted by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration._bundle_boards import BoardPart, BoardTerm, Scale
from calibration._bundle_problem import Layout, State, Views, move_poses, rows_of
from calibration._bundle_settings import BundleStatus
from calibration._bundle_workers import Workers
from calibration._planar_pose import homographies, planar_poses
from calibration.rig import Rig
from calibration.transforms import RigidTransform

__all__ = ["PosesFit", "fit_poses", "starting_poses"]

Floats = NDArray[np.float64]

# Outliers of a view: a distance of so many medians. Of Gaussian noise 1 in 20,000 is that far off.
_FAR = 3.8
# An outlier stands out so far, or bends the homography by some five pixels, here in normalized coordinates. A lens that
# is not known well does neither.
_ALONE, _COARSE = 10.0, 5e-3
# Of five corners none is an outlier once in three times where a fifth of all are.
_TRIALS, _CORNERS_PER_TRIAL = 30, 5
_ITERATIONS = 100
_LARGEST_DAMPING = 1e12
_LAST_STEP = 1e-6
_COST_ROUNDING = 1e-14
# A block that is still not positive definite with so much on its diagonal never will be.
_HOPELESS = 1e6
# Steps that are refused because corners leave the image of the lens, before those corners are left out instead.
_PATIENCE = 4


def starting_poses(rig: Rig, shape: Floats, position: Floats) -> tuple[Floats, ...]:
    """Two candidates (frame, 12) of world_from_board: both solutions of the view with the most corners of each frame.

    A frame in which no view has a pose gets the identity.
    """
    n_frames = position.shape[1]
    flat = shape - shape.mean(axis=0)
    axes = np.linalg.svd(flat)[2]
    axes[2] *= np.linalg.det(axes)
    plane = flat @ axes.T
    plane[:, 2] = 0.0
    board_from_plane = RigidTransform(axes.T, shape.mean(axis=0))
    seen = np.isfinite(position).all(axis=-1).sum(axis=-1)
    camera_of = seen.argmax(axis=0)
    rotations, translations = np.tile(np.eye(3), (2, n_frames, 1, 1)), np.zeros((2, n_frames, 3))
    for index, camera in enumerate(rig):
        frames = np.flatnonzero((camera_of == index) & (seen[index] >= 4))
        if not len(frames):
            continue
        poses = planar_poses(plane, _without_outliers(plane, camera.lens.undistort(position[index, frames])))
        world_from_cam, plane_from_board = camera.cam_from_world.inverse(), board_from_plane.inverse()
        for place, cam_from_plane in enumerate((poses.best, poses.other)):
            world_from_board = world_from_cam @ cam_from_plane @ plane_from_board
            rotations[place, frames] = world_from_board.rotation
            translations[place, frames] = world_from_board.translation
    return tuple(rows_of(RigidTransform(one, two)) for one, two in zip(rotations, translations, strict=True))


def _without_outliers(plane: Floats, image: Floats) -> Floats:
    """Image corners (view, corner, 2) without those that disagree with the others: NaN.

    Where a homography of all corners leaves one of them far off, homographies of a few corners are tried, and that with
    the smallest median distance decides (least median of squares; Rousseeuw 1984).
    """
    distance = _distances(homographies(plane, image), plane, image)
    distance = _filled(distance)
    median = np.nanmedian(distance, axis=1)
    suspect = np.flatnonzero((np.nanmax(distance, axis=1) > _ALONE * median) | (median > _COARSE))
    if not len(suspect):
        return image
    rng, best = np.random.default_rng(0), np.full(len(suspect), np.inf)
    views, cleaned = image[suspect], image.copy()
    for _ in range(_TRIALS):
        lots = np.where(np.isfinite(views[..., 0]), rng.random(views.shape[:2]), np.inf)
        chosen = lots <= np.sort(lots, axis=1)[:, _CORNERS_PER_TRIAL - 1 : _CORNERS_PER_TRIAL]
        found = homographies(plane, np.where(chosen[..., None], views, np.nan), steps=0)
        distance = _filled(_distances(found, plane, views))
        median = np.asarray(np.nanmedian(distance, axis=1))
        better = np.flatnonzero(median < best)
        best[better] = median[better]
        far = distance[better] >= _FAR * median[better, None]
        cleaned[suspect[better]] = np.where(far[..., None], np.nan, views[better])
    return cleaned


def _distances(homography: Floats, plane: Floats, image: Floats) -> Floats:
    with np.errstate(all="ignore"):
        mapped = np.einsum("vij,cj->vci", homography, np.column_stack([plane[:, :2], np.ones(len(plane))]))
        distance = np.sqrt(((mapped[..., :2] / mapped[..., 2:] - image) ** 2).sum(axis=-1))
    # a homography that is none is as bad as can be
    return np.asarray(np.where(np.isfinite(image[..., 0]) & ~np.isfinite(distance), np.inf, distance))


def _filled(distance: Floats) -> Floats:
    """With a number in views that have none, so that a median over them is silent."""
    empty = np.asarray(np.isnan(distance).all(axis=1))
    return np.where(empty[:, None], 0.0, distance)


@dataclass(frozen=True, eq=False)
class PosesFit:
    """Boards fitted one by one.

    Attributes:
        poses: (frame, 12) world_from_board.
        cost: (frame,).
        status: (frame,) values of `BundleStatus`.
        part: normal equations at the end.
        use: (observation,) whether it counted.
    """

    poses: Floats
    cost: Floats
    status: NDArray[np.int64]
    part: BoardPart
    use: NDArray[np.bool_]


def fit_poses(
    table: Floats,
    layout: Layout,
    shape: Floats,
    views: Views,
    start: Floats,
    scale: Scale,
    workers: Workers,
    *,
    rough: bool = False,
) -> PosesFit:
    """Levenberg-Marquardt for every frame by itself, all frames at once.

    A frame is done where its step would be shorter than a millionth of a standard deviation of unit noise. Rough is
    near enough to tell which of two poses is right, and how large the noise is.
    """
    last_step, iterations = (0.03, 8) if rough else (_LAST_STEP, _ITERATIONS)
    term = BoardTerm(views, layout, workers, -1, np.ones(len(views.corner), dtype=np.bool_))
    state = State(table, start, shape, np.empty((0, 3)), np.empty(0))
    part = term.linearize(state, scale)
    if part.unseen:
        term.use &= np.isfinite(part.r2)
        part = term.linearize(state, scale)
    observed = views.observation_frame()
    count = np.bincount(observed, minlength=views.n_frames)
    damping, refused = np.full(len(start), 1e-4), np.zeros(len(start), dtype=np.int64)
    cost, done, lost_pose = (
        _of_frames(views, part.view_cost),
        np.zeros(len(start), np.bool_),
        np.zeros(len(start), bool),
    )
    for _ in range(iterations):
        term.reduce(part, state, damping, 0)
        step = term.back_substitute(part, np.empty(0))
        fine = np.isfinite(step).all(axis=1)
        lost_pose = ~fine & (damping > _HOPELESS)
        slope = -(part.gradient * step).sum(axis=1)
        done = fine & (damping < 1.0) & (slope <= last_step**2 + _COST_ROUNDING * np.maximum(cost, count))
        active = ~done & ~lost_pose & (damping < _LARGEST_DAMPING)
        if not active.any():
            break
        moved = replace(state, poses=move_poses(state.poses, np.where((active & fine)[:, None], step, 0.0)))
        following = term.linearize(moved, scale)
        unseen = _of_frames(views, following.view_unseen)
        after = _of_frames(views, following.view_cost)
        taken = active & fine & (unseen == 0) & (after < cost)
        refused = np.where(taken | (unseen == 0), 0, refused + active)
        damping = np.where(taken, np.maximum(0.1 * damping, 1e-10), np.where(active, 10.0 * damping, damping))
        stuck = refused > _PATIENCE  # what they do not see does not belong to the board
        if stuck.any():
            term.use &= np.isfinite(following.r2) | ~stuck[observed]
            refused[stuck] = 0
            # what is left out is left out where they are now, too
            moved = replace(state, poses=np.where(taken[:, None], moved.poses, state.poses))
            following, taken = term.linearize(moved, scale), np.ones_like(taken)
        state = replace(state, poses=np.where(taken[:, None], moved.poses, state.poses))
        _take_back(following, part, ~taken[views.frame], ~taken[observed])
        part = following
        cost = _of_frames(views, part.view_cost)
    status = np.where(
        done, BundleStatus.CONVERGED, np.where(lost_pose, BundleStatus.SINGULAR, BundleStatus.NOT_CONVERGED)
    )
    return PosesFit(state.poses, cost, status.astype(np.int64), part, term.use)


def _take_back(part: BoardPart, before: BoardPart, view: NDArray[np.bool_], observation: NDArray[np.bool_]) -> None:
    """Put the normal equations of some views, and their observations, back to what they were before."""
    for name in ("matrix", "vector", "view_cost", "view_unseen"):
        getattr(part, name)[view] = getattr(before, name)[view]
    for name in ("r2", "residual"):
        getattr(part, name)[observation] = getattr(before, name)[observation]


def _of_frames(views: Views, values: Floats | NDArray[np.int64]) -> Floats:
    """(frame,) sums of values (view,)."""
    return np.asarray(np.bincount(views.frame, weights=values, minlength=views.n_frames))
