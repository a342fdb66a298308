"""Simulated boards: what the cameras report, and that everything said to be true of it is."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.boards.geometry import AprilGrid, Board, Charuco, Chessboard
from calibration.corners import CORNERS, board_of
from calibration.errors import InvalidValueError
from calibration.schema import check
from calibration.synthetic import BoardScene, make_board_scene, make_rig
from calibration.transforms import RigidTransform

RIG = make_rig(4, seed=2)
CHARUCO = Charuco(7, 5, 40.0)
SYMMETRIC = Chessboard(7, 5, 40.0)


def world_points(scene: BoardScene, shape: np.ndarray | None = None) -> np.ndarray:
    points = scene.board.points if shape is None else shape
    pose = scene.world_from_board
    return np.einsum("fij,cj->fci", pose.rotation, points) + pose.translation[:, None]


@pytest.mark.parametrize("board", [CHARUCO, SYMMETRIC, AprilGrid(3, 2, 60.0)], ids=lambda board: board.kind)
def test_the_truth_is_the_projection_of_the_board(board: Board) -> None:
    scene = make_board_scene(RIG, board, frames=30, noise=0.0, seed=1)
    check(scene.corners, CORNERS)
    assert board_of(scene.corners) == board
    position = scene.corners["position"].to_numpy()
    expected = np.moveaxis(scene.rig.project(world_points(scene)), 2, 0)
    seen = np.isfinite(position[..., 0])
    assert 0.1 < seen.mean() < 1
    np.testing.assert_allclose(position[seen], expected[seen], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(scene.truth, position)
    assert not scene.outlier.any()
    assert not scene.turned.any()


def test_corners_are_seen_in_the_image_and_from_the_front_only() -> None:
    scene = make_board_scene(RIG, CHARUCO, frames=100, noise=0.0, radius=400.0, seed=3)
    points = world_points(scene)
    pixels = np.moveaxis(RIG.project(points), 2, 0)
    inside = ((pixels >= -0.5) & (pixels < np.array(RIG.cameras[0].size) - 0.5)).all(axis=-1)
    # Seen from the front, y turns clockwise from x in the image; the outer corners of the board tell.
    first, right, below = 0, CHARUCO.columns - 2, (CHARUCO.columns - 1) * (CHARUCO.rows - 2)
    along, down = (pixels[:, :, end] - pixels[:, :, first] for end in (right, below))
    front = along[..., 0] * down[..., 1] - along[..., 1] * down[..., 0] > 0
    seen = np.isfinite(scene.corners["position"].to_numpy()[..., 0])
    assert not (seen & ~inside).any()
    assert not (seen & ~front[..., None]).any()
    assert (seen.any(axis=-1) & ~seen.all(axis=-1)).any(), "a ChArUco board may be cut off"
    steep = front[..., None] & inside & ~seen
    centers = np.stack([camera.center for camera in RIG])
    toward = centers[:, None] - points.mean(axis=1)
    cosine = -(scene.world_from_board.rotation[..., 2] * toward).sum(axis=-1) / np.linalg.norm(toward, axis=-1)
    assert (cosine[steep.any(axis=-1)] <= np.cos(np.deg2rad(70)) + 1e-12).all()


def test_a_chessboard_is_seen_whole_or_not_at_all() -> None:
    scene = make_board_scene(RIG, SYMMETRIC, frames=100, radius=400.0, seed=3)
    seen = np.isfinite(scene.corners["position"].to_numpy()[..., 0])
    np.testing.assert_array_equal(seen.any(axis=-1), seen.all(axis=-1))
    assert 0 < seen.any(axis=-1).mean() < 1


def test_the_middle_of_the_board_stays_in_the_ball_and_every_camera_is_faced() -> None:
    scene = make_board_scene(RIG, CHARUCO, frames=200, radius=80.0, tilt=0.5, seed=4)
    middle = world_points(scene).mean(axis=1)
    assert np.linalg.norm(middle, axis=-1).max() <= 80.0 + 1e-9
    toward = np.stack([camera.center for camera in RIG])[:, None] - middle
    toward /= np.linalg.norm(toward, axis=-1, keepdims=True)
    angle = np.arccos(np.clip(-(scene.world_from_board.rotation[..., 2] * toward).sum(axis=-1), -1, 1))
    assert (angle.min(axis=0) <= 0.5 + 1e-9).all()
    assert set(angle.argmin(axis=0).tolist()) == set(range(len(RIG)))


def test_noise_outliers_and_missing_boards_are_as_asked_for() -> None:
    scene = make_board_scene(RIG, CHARUCO, frames=300, noise=0.4, outlier_rate=0.1, missing_rate=0.3, seed=5)
    complete = make_board_scene(RIG, CHARUCO, frames=300, noise=0.4, outlier_rate=0.1, seed=5)
    position = scene.corners["position"].to_numpy()
    seen = np.isfinite(position[..., 0])
    error = (position - scene.truth)[seen & ~scene.outlier]
    assert abs(error.std() / 0.4 - 1) < 0.02
    assert abs(error.mean()) < 0.02
    assert abs(scene.outlier[seen].mean() - 0.1) < 0.01
    assert np.median(np.linalg.norm((position - scene.truth)[scene.outlier], axis=-1)) > 100
    whole = np.isfinite(complete.corners["position"].to_numpy()[..., 0]).any(axis=-1)
    assert abs((~seen.any(axis=-1))[whole].mean() - 0.3) < 0.05
    assert not scene.outlier[~seen].any()
    assert np.isnan(scene.truth[~seen]).all()


@pytest.mark.parametrize("board", [SYMMETRIC, Chessboard(5, 5, 40.0)], ids=str)
def test_turned_boards_have_the_true_pixels_in_the_order_of_a_symmetry(board: Board) -> None:
    scene = make_board_scene(RIG, board, frames=100, noise=0.0, turn_rate=0.4, seed=6)
    position = scene.corners["position"].to_numpy()
    seen = np.isfinite(position[..., 0]).all(axis=-1)
    assert abs(scene.turned[seen].mean() - 0.4) < 0.1
    assert not scene.turned[~seen].any()
    used = set()
    for camera, frame in np.argwhere(seen):
        orders = [np.arange(len(board.points)), *board.symmetries]
        fits = [np.array_equal(position[camera, frame], scene.truth[camera, frame, order]) for order in orders]
        assert sum(fits) == 1
        assert scene.turned[camera, frame] == (not fits[0])
        used.add(fits.index(True))
    assert used == set(range(1 + len(board.symmetries)))


def test_a_bent_board_is_a_parabola_that_bulges_toward_the_viewer() -> None:
    flat, bent = (make_board_scene(RIG, CHARUCO, frames=20, noise=0.0, bend=bend, seed=7) for bend in (0.0, 5.0))
    assert flat.world_from_board == bent.world_from_board
    shape = CHARUCO.points.copy()
    x = (shape[:, 0] - shape[:, 0].mean()) / (np.ptp(shape[:, 0]) / 2)
    shape[:, 2] = -5.0 * (1 - x**2)
    both = np.isfinite(bent.truth[..., 0])
    expected = np.moveaxis(RIG.project(world_points(bent, shape)), 2, 0)
    np.testing.assert_allclose(bent.truth[both], expected[both], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(bent.corners["board_position"], CHARUCO.points)  # what is printed, not what is true


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    arguments = {"frames": 12, "outlier_rate": 0.1, "missing_rate": 0.1, "turn_rate": 0.2}
    first, again, other = (make_board_scene(RIG, SYMMETRIC, seed=seed, **arguments) for seed in (8, 8, 9))  # type: ignore[arg-type]  # frames is whole
    for name in ("truth", "outlier", "turned"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert first.corners.identical(again.corners)
    assert first.world_from_board == again.world_from_board
    assert isinstance(other.world_from_board, RigidTransform)
    assert first.world_from_board != other.world_from_board


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"missing_rate": 1.1}, "missing_rate"),
        ({"missing_rate": float("nan")}, "missing_rate"),
        ({"turn_rate": -0.1}, "turn_rate"),
        ({"turn_rate": 0.1}, "turn_rate.*can be told"),
        ({"outlier_rate": 2.0}, "outlier_rate"),
        ({"noise": -1.0}, "noise"),
        ({"frames": 0}, "frames"),
        ({"frames": 2.5}, "frames"),
        ({"radius": -1.0}, "radius"),
        ({"radius": float("nan")}, "radius"),
        ({"tilt": float("nan")}, "tilt"),
        ({"bend": float("inf")}, "bend"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(changes: dict[str, float], named: str) -> None:
    with pytest.raises(InvalidValueError, match=named):
        make_board_scene(RIG, CHARUCO, **changes)  # type: ignore[arg-type]  # wrong on purpose
