"""Both poses of a flat board, against the truth and against OpenCV's IPPE."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration._planar_pose import homographies, planar_poses
from calibration.boards import Board, Charuco, Chessboard
from calibration.errors import InvalidValueError
from calibration.synthetic import make_board_scene, make_rig
from calibration.transforms import RigidTransform

BOARDS = [Chessboard(9, 6, 30.0), Charuco(8, 11, 20.0)]


def views(
    board: Board, *, noise: float = 0.0, frames: int = 60, seed: int = 0
) -> tuple[NDArray[np.float64], RigidTransform]:
    """Normalized corners (view, corner, 2) of the views that have four or more, and the true cam_from_board."""
    rig = make_rig(1, lens="brown5", seed=seed)
    scene = make_board_scene(rig, board, frames=frames, noise=noise, seed=seed)
    normalized = rig.cameras[0].lens.undistort(scene.corners["position"].values[0])
    enough = np.isfinite(normalized[..., 0]).sum(axis=-1) >= 4
    pose = rig.cameras[0].cam_from_world @ scene.world_from_board
    return normalized[enough], RigidTransform(pose.rotation[enough], pose.translation[enough])


@pytest.mark.parametrize("board", BOARDS, ids=str)
def test_without_noise_the_best_pose_is_the_true_one(board: Board) -> None:
    normalized, truth = views(board)
    found = planar_poses(board.points, normalized)
    np.testing.assert_allclose(found.best.rotation, truth.rotation, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.best.translation, truth.translation, rtol=1e-10, atol=1e-9)
    assert float(found.error[:, 0].max()) < 1e-13
    assert (found.error[:, 1] > found.error[:, 0]).all()


@pytest.mark.parametrize("board", BOARDS, ids=str)
def test_both_solutions_are_those_of_opencv(board: Board) -> None:
    """The homographies differ: ours minimizes the distance in the image, OpenCV's an algebraic one (hence 1e-3)."""
    normalized, _ = views(board, noise=0.3)
    found = planar_poses(board.points, normalized)
    for view, corners in enumerate(normalized):
        seen = np.isfinite(corners[:, 0])
        _, vectors, shifts, errors = cv2.solvePnPGeneric(
            board.points[seen], corners[seen], np.eye(3), None, flags=cv2.SOLVEPNP_IPPE
        )
        for place, pose in enumerate((found.best, found.other)):
            np.testing.assert_allclose(pose.rotation[view], cv2.Rodrigues(vectors[place])[0], rtol=0, atol=1e-3)
            np.testing.assert_allclose(pose.translation[view], shifts[place].ravel(), rtol=1e-3, atol=0.5)
            # OpenCV's mean is over both coordinates
            assert found.error[view, place] == pytest.approx(np.sqrt(2) * errors[place, 0], rel=2e-3)


def test_polished_poses_are_at_the_minimum() -> None:
    """Against OpenCV's iterative solution from the same start."""
    board = BOARDS[0]
    normalized, _ = views(board, noise=0.5, frames=20)
    plain, found = (planar_poses(board.points, normalized, steps=steps) for steps in (0, 15))
    assert (found.error <= plain.error + 1e-15).all()
    for view, corners in enumerate(normalized):
        seen = np.isfinite(corners[:, 0])
        vector, shift = cv2.solvePnPRefineLM(
            board.points[seen],
            corners[seen],
            np.eye(3),
            None,
            found.best.rotation_vector[view][:, None].copy(),
            found.best.translation[view][:, None].copy(),
            (cv2.TERM_CRITERIA_COUNT, 100, 0.0),
        )
        np.testing.assert_allclose(found.best.rotation[view], cv2.Rodrigues(vector)[0], rtol=0, atol=1e-6)
        np.testing.assert_allclose(found.best.translation[view], shift.ravel(), rtol=1e-6, atol=1e-5)


def test_a_frontal_board_has_one_pose_twice() -> None:
    board = BOARDS[0]
    middle_on_the_axis = np.array([[-105.0, -60.0, 900.0]])
    truth = RigidTransform(np.eye(3)[None], middle_on_the_axis)
    moved = truth(board.points)
    found = planar_poses(board.points, (moved[:, :2] / moved[:, 2:])[None])
    for pose in (found.best, found.other):
        np.testing.assert_allclose(pose.rotation, truth.rotation, rtol=0, atol=1e-5)
        np.testing.assert_allclose(pose.translation, truth.translation, rtol=0, atol=0.02)


def test_a_view_without_pose_has_an_infinite_error_and_leaves_the_others_alone() -> None:
    board = BOARDS[0]
    normalized, _ = views(board, noise=0.3, frames=8)
    alone = planar_poses(board.points, normalized)
    few, line, nothing = normalized[0].copy(), normalized[1].copy(), np.full_like(normalized[0], np.nan)
    few[3:] = np.nan
    line[8:] = np.nan  # the first row only
    point = np.zeros_like(few)
    found = planar_poses(board.points, np.concatenate([[few, line, nothing, point], normalized]))
    assert np.isinf(found.error[:4]).all()
    np.testing.assert_allclose(found.error[4:], alone.error, rtol=1e-9)
    np.testing.assert_allclose(found.best.matrix[4:], alone.best.matrix, rtol=0, atol=1e-8)


def test_homographies_are_those_of_opencv() -> None:
    board = BOARDS[0]
    normalized, _ = views(board, noise=0.3, frames=10)
    pixels = 1000 * normalized + [640, 512]
    found = homographies(board.points, pixels)
    for view, corners in enumerate(pixels):
        expected, _ = cv2.findHomography(board.points[:, :2], corners)
        np.testing.assert_allclose(found[view] / found[view, 2, 2], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("lift", "shape"), [(1.0, (2, 40, 2)), (0.0, (40, 2)), (0.0, (2, 39, 2))])
def test_bad_input_is_named(lift: float, shape: tuple[int, ...]) -> None:
    points = BOARDS[0].points + np.array([0.0, 0.0, lift])
    with pytest.raises(InvalidValueError):
        planar_poses(points, np.zeros(shape))
