"""Poses of boards in the world with the cameras held: starting values from single views, then each fitted by itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration._bundle_kernels import evaluate_views, fit_frames
from calibration._bundle_problem import Views, rows_of
from calibration._bundle_workers import Workers
from calibration._planar_pose import planar_poses
from calibration.rig import Rig
from calibration.transforms import RigidTransform

__all__ = ["fit_poses", "residuals_of", "starting_poses"]

Floats = NDArray[np.float64]

_ITERATIONS = 100


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
        poses = planar_poses(plane, camera.lens.undistort(position[index, frames]))
        world_from_cam, plane_from_board = camera.cam_from_world.inverse(), board_from_plane.inverse()
        for place, cam_from_plane in enumerate((poses.best, poses.other)):
            world_from_board = world_from_cam @ cam_from_plane @ plane_from_board
            rotations[place, frames] = world_from_board.rotation
            translations[place, frames] = world_from_board.translation
    return tuple(rows_of(RigidTransform(one, two)) for one, two in zip(rotations, translations, strict=True))


def fit_poses(
    table: Floats, shape: Floats, views: Views, start: Floats, sigma: Floats, loss: int, tuning: float, workers: Workers
) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
    """Poses (frame, 12), squared residuals (observation,) px^2, costs (frame,) and status (frame,) from one start."""
    poses = start.copy()
    use = np.ones(len(views.corner), dtype=np.bool_)
    r2, cost, status = np.empty(len(use)), np.empty(len(poses)), np.empty(len(poses), dtype=np.int64)

    def work(begin: int, end: int) -> None:
        fit_frames(
            begin,
            end,
            table,
            poses,
            shape,
            views.frame_start,
            views.camera,
            views.start,
            views.corner,
            views.pixels,
            use,
            sigma,
            loss,
            tuning,
            _ITERATIONS,
            r2,
            cost,
            status,
        )

    workers.split(work, len(poses))
    return poses, r2, cost, status


def residuals_of(table: Floats, shape: Floats, views: Views, poses: Floats) -> Floats:
    """(observation, 2) projected minus observed, px; NaN where the camera cannot see the corner."""
    n_cameras, n_views, n = len(table), len(views.camera), len(views.corner)
    places, sizes = np.full((n_cameras, 18), -1), np.full(n_cameras, 6)
    residual = np.empty((n, 2))
    evaluate_views(
        0,
        n_views,
        table,
        poses,
        shape,
        places,
        sizes,
        views.camera,
        views.frame,
        views.start,
        views.corner,
        views.pixels,
        np.ones(n, dtype=np.bool_),
        np.ones(n_cameras),
        0,
        1.0,
        False,
        np.empty((n_views, 6, 6)),
        np.empty((n_views, 6)),
        np.empty(n_views),
        np.empty(n_views, dtype=np.int64),
        np.empty(n),
        residual,
        np.empty((0, 0)),
    )
    return residual
