"""Frame by frame: which pose and turn of each view is right, which views are wrong, and where the board was."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration._extrinsics_kernels import choose_in_frames, reduced_system, solve_positive
from calibration._extrinsics_pairs import LIMIT
from calibration._extrinsics_views import Views
from calibration.transforms import matrix_from_rotation_vector

__all__ = ["Consensus", "agree"]

Array = NDArray[np.float64]

# First the cameras stand where pairs have put them, which is right to half a degree; then where all views put them.
_FIRST_TOLERANCE = 9.0
_POLISH_STEPS = 4


class Consensus(NamedTuple):
    """What the cameras agree on.

    Attributes:
        rotation, translation: (camera, 3, 3), (camera, 3) of cam_from_world.
        board_rotation, board_translation: (frame, 3, 3), (frame, 3) of world_from_board, of the middle of the board;
            NaN where the cameras do not agree or none sees it.
        solution, turn: (view,) which pose and which turn of the board is right.
        used: (view,) False for views that disagree, and for all views of frames without agreement.
    """

    rotation: Array
    translation: Array
    board_rotation: Array
    board_translation: Array
    solution: NDArray[np.intp]
    turn: NDArray[np.intp]
    used: NDArray[np.bool_]


def agree(views: Views, rotations: Array, turns: Array, rotation: Array, translation: Array) -> Consensus:
    """Choose poses and turns by the votes of each frame, and polish all poses together; twice.

    A view is used if it agrees with more than half of the views of its frame. A frame that one camera sees alone has
    the pose with the smaller error in pixels.

    Args:
        views: poses of all views.
        rotations: of `turned_rotations`.
        turns: of `board_turns`.
        rotation, translation: (camera, 3, 3), (camera, 3) of cam_from_world, from the pairs.
    """
    for tolerance in (_FIRST_TOLERANCE, 1.0):
        chosen, cost, votes = _choose(views, rotations, rotation, translation, tolerance)
        seen = (views.row >= 0).sum(axis=0)
        used = (cost < LIMIT) & (2 * votes > seen)[views.frame]
        rotation, translation, board_rotation, board_translation = _polish(
            views, rotations, turns, chosen, used, rotation, translation
        )
    turn, usual = _usual_turn(views, turns, chosen[:, 1], used)
    board_rotation = board_rotation @ turns[usual]
    return Consensus(rotation, translation, board_rotation, board_translation, chosen[:, 0], turn, used)


def _choose(
    views: Views, rotations: Array, rotation: Array, translation: Array, tolerance: float
) -> tuple[NDArray[np.intp], Array, NDArray[np.intp]]:
    chosen, cost = np.zeros((len(views.camera), 2), dtype=np.intp), np.full(len(views.camera), np.inf)
    votes = np.zeros(views.row.shape[1], dtype=np.intp)
    choose_in_frames(
        views.row,
        np.ascontiguousarray(rotation),
        np.ascontiguousarray(translation),
        rotations,
        views.translation,
        views.turn_variance * tolerance,
        views.shift_variance * tolerance,
        views.excess,
        LIMIT,
        chosen,
        cost,
        votes,
    )
    return chosen, cost, votes


def _polish(
    views: Views,
    rotations: Array,
    turns: Array,
    chosen: NDArray[np.intp],
    used: NDArray[np.bool_],
    rotation: Array,
    translation: Array,
) -> tuple[Array, Array, Array, Array]:
    """Maximum likelihood of all poses from the poses of views and their covariance; boards are eliminated.

    Gauss-Newton on d = log(cam_from_board^-1 cam_from_world world_from_board) of every view, with the weight of its
    covariance and Cauchy's robust weight. The first camera stays where it is.
    """
    index = np.flatnonzero(used)
    camera = views.camera[index]
    frames, frame = np.unique(views.frame[index], return_inverse=True)
    solution, turn = chosen[index].T
    pose_r, pose_t = rotations[index, solution, turn], views.translation[index, solution]
    weight = _information(views, turns, index, solution, turn)
    board_r, board_t = _first_boards(camera, frame, len(frames), pose_r, pose_t, rotation, translation, weight)
    for _ in range(_POLISH_STEPS):
        moved_r = rotation[camera] @ board_r[frame]
        moved_t = np.einsum("vij,vj->vi", rotation[camera], board_t[frame]) + translation[camera]
        back = pose_r.swapaxes(1, 2)
        error = np.concatenate([_small_angles(back @ moved_r), np.einsum("vij,vj->vi", back, moved_t - pose_t)], axis=1)
        robust = 1 / (1 + np.einsum("vi,vij,vj->v", error, weight, error) / 6)
        jacobian = np.zeros((len(index), 6, 6))
        jacobian[:, :3, :3] = jacobian[:, 3:, 3:] = back
        jacobian[:, 3:, :3] = -back @ _cross_matrices(moved_t)
        by_camera, by_board = _solve(
            camera, frame, len(rotation), len(frames), weight * robust[:, None, None], jacobian, error
        )
        turned = matrix_from_rotation_vector(by_camera[:, :3])
        rotation = turned @ rotation
        translation = np.einsum("cij,cj->ci", turned, translation) + by_camera[:, 3:]
        board_t = board_t + np.einsum("fij,fj->fi", board_r, by_board[:, 3:])
        board_r = board_r @ matrix_from_rotation_vector(by_board[:, :3])
    all_r, all_t = np.full((views.row.shape[1], 3, 3), np.nan), np.full((views.row.shape[1], 3), np.nan)
    all_r[frames], all_t[frames] = board_r, board_t
    return rotation, translation, all_r, all_t


def _information(
    views: Views, turns: Array, index: NDArray[np.intp], solution: NDArray[np.intp], turn: NDArray[np.intp]
) -> Array:
    """(view, 6, 6) inverse covariance of the chosen poses, with the tolerance for lens and board."""
    covariance = views.covariance[index, solution]
    both = np.zeros((len(index), 6, 6))
    both[:, :3, :3] = both[:, 3:, 3:] = turns[turn]
    covariance = both @ covariance @ both.swapaxes(1, 2)
    distance2 = (views.translation[index, solution] ** 2).sum(axis=-1)
    floor = np.zeros((len(index), 6))
    floor[:, :3], floor[:, 3:] = np.deg2rad(0.05) ** 2, (0.0005**2 * distance2)[:, None]
    return np.asarray(np.linalg.inv(covariance + floor[:, :, None] * np.eye(6)), dtype=np.float64)


def _first_boards(
    camera: NDArray[np.intp],
    frame: NDArray[np.intp],
    count: int,
    pose_r: Array,
    pose_t: Array,
    rotation: Array,
    translation: Array,
    weight: Array,
) -> tuple[Array, Array]:
    """(frame, 3, 3), (frame, 3) chordal means over the cameras of where each puts the board."""
    back = rotation[camera].swapaxes(1, 2)
    strength = 1 / np.trace(np.linalg.inv(weight)[:, :3, :3], axis1=1, axis2=2)
    total, middle, sums = np.zeros((count, 3, 3)), np.zeros((count, 3)), np.zeros(count)
    np.add.at(total, frame, strength[:, None, None] * (back @ pose_r))
    np.add.at(middle, frame, strength[:, None] * np.einsum("vij,vj->vi", back, pose_t - translation[camera]))
    np.add.at(sums, frame, strength)
    left, _, right = np.linalg.svd(total)
    left[..., 2] *= np.linalg.det(left @ right)[:, None]
    return left @ right, middle / sums[:, None]


def _solve(
    camera: NDArray[np.intp],
    frame: NDArray[np.intp],
    cameras: int,
    frames: int,
    weight: Array,
    jacobian: Array,
    error: Array,
) -> tuple[Array, Array]:
    """Steps of cameras (camera, 6), 0 for the first, and of boards (frame, 6), whose derivative is the identity."""
    weighted = weight @ jacobian
    boards, gradient = np.zeros((frames, 6, 6)), np.zeros((frames, 6))
    np.add.at(boards, frame, weight)
    np.add.at(gradient, frame, np.einsum("vij,vj->vi", weight, error))
    eliminated = np.linalg.solve(boards[frame], np.concatenate([weighted, gradient[frame, :, None]], axis=-1))
    own, own_gradient = np.zeros((cameras, 6, 6)), np.zeros((cameras, 6))
    np.add.at(own, camera, jacobian.swapaxes(1, 2) @ weighted)
    np.add.at(own_gradient, camera, np.einsum("vij,vi->vj", weighted, error))
    normal, right = np.zeros((6 * cameras, 6 * cameras)), -own_gradient.ravel()
    for index in range(cameras):
        normal[6 * index : 6 * index + 6, 6 * index : 6 * index + 6] = own[index]
    order = np.argsort(frame, kind="stable")
    reduced_system(camera[order], frame[order], weighted[order], eliminated[order], normal, right)
    # A camera without a view that agrees has zeros here; a tiny ridge keeps it where it is.
    free, step = normal[6:, 6:] + 1e-12 * np.trace(normal) * np.eye(6 * cameras - 6), right
    step[:6] = 0.0
    if not solve_positive(free, step[6:]):
        step[:] = 0.0
    by_board = np.asarray(-np.linalg.solve(boards, gradient[..., None])[..., 0], dtype=np.float64)
    np.add.at(by_board, frame, -np.einsum("vij,vj->vi", eliminated[..., :6], step.reshape(cameras, 6)[camera]))
    return step.reshape(cameras, 6), by_board


def _small_angles(rotation: Array) -> Array:
    """(view, 3) rotation vectors of small rotations, to third order."""
    return 0.5 * np.stack(
        [
            rotation[:, 2, 1] - rotation[:, 1, 2],
            rotation[:, 0, 2] - rotation[:, 2, 0],
            rotation[:, 1, 0] - rotation[:, 0, 1],
        ],
        axis=-1,
    )


def _cross_matrices(vector: Array) -> Array:
    x, y, z = vector.T
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(-1, 3, 3)


def _usual_turn(
    views: Views, turns: Array, turn: NDArray[np.intp], used: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(view,) turns after turning the board of each frame, so that as few views as can be are turned; (frame,) how."""
    counts = np.zeros((views.row.shape[1], len(turns)), dtype=np.intp)
    np.add.at(counts, (views.frame[used], turn[used]), 1)
    usual = counts.argmax(axis=1)
    relative = turns[None].swapaxes(-1, -2) @ turns[:, None]  # [a, b]: turn a of a board that is turned by b
    table = np.argmin(((relative[:, :, None] - turns) ** 2).sum(axis=(-1, -2)), axis=-1)
    return np.asarray(table[turn, usual[views.frame]]), usual
