"""Every view of a board by itself: which corners belong together, and its two poses with their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration._extrinsics_kernels import polish_poses, select_corners
from calibration._planar_pose import planar_poses
from calibration.boards.geometry import Board
from calibration.lens import Lens

__all__ = ["Views", "board_turns", "find_views"]

Array = NDArray[np.float64]

# Corners nearer than this to their homography are never left out: detectors are wrong by some tenths of a pixel, and
# a lens that is not refined yet by about one.
_FLOOR = 1.0
# Corners that are off by so many times the noise are called wrong: of a million right ones, four are.
_SIGMAS = 5.0
# A pixel noise below this is not believed, so that perfect corners (simulations) leave the votes some tolerance.
_LEAST_NOISE = 0.1
# Lens and board are not known exactly: no pose is better than 0.2 degrees and 0.2 % of its distance.
_LEAST_TURN = float(np.deg2rad(0.2))
_LEAST_SHIFT = 0.002
# The error in pixels speaks for one of the two poses, but no louder than this (in units of a squared deviation of six
# numbers): a lens that is slightly off makes the wrong pose fit better, and then the other cameras must win.
_LARGEST_EXCESS = 9.0
# What the lens is off by is not independent from corner to corner, so squared errors in units of the noise are too
# sure of themselves; they count by this share.
_TEMPER = 0.25
# Beyond half a right angle one standard deviation says nothing any more.
_LARGEST_TURN = float(np.deg2rad(45.0))


class Views(NamedTuple):
    """The views of a board that have a pose. Poses are those of the middle of the board: its corners minus `middle`.

    Attributes:
        camera, frame: (view,) which view it is.
        row: (camera, frame) number of the view, -1 where there is none.
        rotation, translation: (view, 2, 3, 3) and (view, 2, 3) of cam_from_board, the better one first.
        covariance: (view, 2, 6, 6) of a turn (rad) and a shift in the frame of the board.
        turn_variance, shift_variance: (view, 2) rad^2 and squared length, of the worst direction.
        excess: (view, 2) what the error in pixels says against a pose, 0 for the better one; infinite where there is
            none.
        inlier: (camera, frame, corner) corners that agree with their view.
        noise: (camera,) px.
        middle: (3,) of the corners in the frame of the board.
    """

    camera: NDArray[np.intp]
    frame: NDArray[np.intp]
    row: NDArray[np.intp]
    rotation: Array
    translation: Array
    covariance: Array
    turn_variance: Array
    shift_variance: Array
    excess: Array
    inlier: NDArray[np.bool_]
    noise: Array
    middle: Array


def find_views(lenses: Sequence[Lens], position: Array, board: Board, *, fewest: int, seed: int) -> Views:
    """Both poses of every view with at least `fewest` corners that agree with each other.

    Corners that agree are found by a homography (least median of squares). Then IPPE on those gives both poses, and
    Gauss-Newton on pixels polishes them.

    Args:
        lenses: of each camera.
        position: (camera, frame, corner, 2) px, NaN where not seen.
        board: the board.
        fewest: corners of a view.
        seed: of the subsets that homographies are tried from.
    """
    middle = board.points.mean(axis=0)
    points = np.ascontiguousarray(board.points - middle)
    camera, frame = np.nonzero(np.isfinite(position).all(axis=-1).sum(axis=-1) >= fewest)
    image, scale = _undistorted(lenses, camera, position[camera, frame])
    use = np.zeros(scale.shape, dtype=np.bool_)
    select_corners(np.ascontiguousarray(points[:, :2]), image, scale, fewest, _FLOOR, seed, use)
    enough = np.flatnonzero(use.sum(axis=-1) >= fewest)
    image, scale, use = image[enough], scale[enough], use[enough]
    rotation, translation, cost, covariance = _both_poses(points, image, scale, use)
    known = np.isfinite(cost[:, 0]) & np.isfinite(covariance[:, 0]).all(axis=(1, 2))
    camera, frame = camera[enough][known], frame[enough][known]
    rotation, translation, cost, covariance = (each[known] for each in (rotation, translation, cost, covariance))
    mean_square = cost[:, 0] / np.maximum(2 * use[known].sum(axis=-1) - 6, 1)
    noise = _noise(len(lenses), camera, mean_square)
    # a view that is blurred or bent is worse than its camera
    own_variance = np.maximum(noise[camera] ** 2, mean_square)
    covariance = covariance * own_variance[:, None, None, None]
    turn, shift = _variances(covariance, np.linalg.norm(translation, axis=-1))
    row = np.full(position.shape[:2], -1, dtype=np.intp)
    row[camera, frame] = np.arange(len(camera))
    inlier = np.zeros(position.shape[:3], dtype=np.bool_)
    distance = _distances(points, image[known], scale[known], rotation[:, 0], translation[:, 0])
    inlier[camera, frame] = distance < np.maximum(_FLOOR, _SIGMAS * np.sqrt(own_variance))[:, None]
    return Views(
        camera=camera,
        frame=frame,
        row=row,
        rotation=rotation,
        translation=translation,
        covariance=covariance,
        turn_variance=turn,
        shift_variance=shift,
        excess=_excess(cost, own_variance),
        inlier=inlier,
        noise=noise,
        middle=middle,
    )


def _undistorted(lenses: Sequence[Lens], camera: NDArray[np.intp], pixels: Array) -> tuple[Array, Array]:
    """(view, corner, 2) normalized coordinates, and (view, corner) how many pixels one unit of them is there."""
    image, scale = np.full(pixels.shape, np.nan), np.ones(pixels.shape[:-1])
    for index, lens in enumerate(lenses):
        own = camera == index
        image[own] = lens.undistort(pixels[own])
        with np.errstate(all="ignore"):
            scale[own] = np.sqrt(np.abs(np.linalg.det(lens.jacobian(image[own]))))
    scale[~np.isfinite(scale)] = 1.0
    return image, scale


def _both_poses(points: Array, image: Array, scale: Array, use: NDArray[np.bool_]) -> tuple[Array, Array, Array, Array]:
    """(view, 2, ...) rotations, translations, squared errors and covariance for a noise of one pixel, of both poses.

    The pose with the smaller error is the first one.
    """
    count = len(image)
    cost, covariance = np.full((count, 2), np.inf), np.full((count, 2, 6, 6), np.nan)
    if not count:
        return np.zeros((0, 2, 3, 3)), np.zeros((0, 2, 3)), cost, covariance
    poses = planar_poses(points, np.where(use[..., None], image, np.nan))
    rotation = np.stack([poses.best.rotation, poses.other.rotation], axis=1)
    translation = np.stack([poses.best.translation, poses.other.translation], axis=1)
    polish_poses(points, image, scale, use, rotation, translation, cost, covariance)
    cost[~np.isfinite(poses.error)] = np.inf
    order = np.argsort(cost, axis=1, kind="stable")
    views = np.arange(count)[:, None]
    return rotation[views, order], translation[views, order], cost[views, order], covariance[views, order]


def _distances(points: Array, image: Array, scale: Array, rotation: Array, translation: Array) -> Array:
    """(view, corner) px from where a pose puts the corners; NaN where they are not seen."""
    moved = points @ rotation.swapaxes(1, 2) + translation[:, None]
    with np.errstate(all="ignore"):
        return np.asarray(np.linalg.norm(moved[..., :2] / moved[..., 2:] - image, axis=-1) * scale)


def board_turns(board: Board) -> Array:
    """(turn, 3, 3) turns of the board about its middle that nobody can see; the first one is no turn.

    Turn k + 1 takes corner i to corner `symmetries[k, i]`. A view whose corners are reported in that order has, once
    put right, the pose that was found times the transpose of the turn.
    """
    points = board.points - board.points.mean(axis=0)
    turns = [np.eye(3)]
    for order in board.symmetries:
        turned = points[order]
        cosine, sine = (points * turned).sum(), (points[:, 0] * turned[:, 1] - points[:, 1] * turned[:, 0]).sum()
        angle = np.arctan2(sine, cosine)
        turns.append(np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]]))
    return np.stack(turns)


def _noise(cameras: int, camera: NDArray[np.intp], variance: Array) -> Array:
    """(camera,) px, from the median view of each camera; the common one where a camera has no view."""
    common = np.median(variance) if len(variance) else 1.0
    median = [np.median(variance[camera == index]) if (camera == index).any() else common for index in range(cameras)]
    return np.maximum(np.sqrt(np.array(median)), _LEAST_NOISE)


def _variances(covariance: Array, distance: Array) -> tuple[Array, Array]:
    fine = np.asarray(np.isfinite(covariance).all(axis=(2, 3)))
    values = np.where(fine[..., None, None], covariance, np.eye(6))
    turn = np.linalg.eigvalsh(values[..., :3, :3])[..., -1]
    shift = np.linalg.eigvalsh(values[..., 3:, 3:])[..., -1]
    return (
        np.clip(turn, 0.0, _LARGEST_TURN**2) + _LEAST_TURN**2,
        np.clip(shift, 0.0, (0.2 * distance) ** 2) + (_LEAST_SHIFT * distance) ** 2,
    )


def _excess(cost: Array, variance: Array) -> Array:
    with np.errstate(invalid="ignore"):
        excess = np.minimum(_TEMPER * (cost - cost[:, :1]) / variance[:, None], _LARGEST_EXCESS)
    excess[~np.isfinite(cost)] = np.inf
    return excess
