"""The world frame and the scale of a rig."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration import alignment
from calibration.boards import Chessboard
from calibration.errors import CalibrationError, InvalidValueError
from calibration.rig import Rig
from calibration.synthetic import make_points, make_rig
from calibration.transforms import RigidTransform

SEEDS = st.integers(0, 2**31 - 1)


def _pose(seed: int) -> RigidTransform:
    rng = np.random.default_rng(seed)
    return RigidTransform.from_rotation_vector(rng.normal(size=3), 100 * rng.normal(size=3))


@pytest.fixture(scope="module")
def rig() -> Rig:
    return make_rig(4)


@given(seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_what_the_cameras_see_does_not_depend_on_the_world_frame(seed: int) -> None:
    rig, new_from_world, points = make_rig(3, seed=seed % 7), _pose(seed), make_points(20, seed=seed % 100)
    moved = alignment.move_rig(rig, new_from_world)
    np.testing.assert_allclose(moved.project(new_from_world(points)), rig.project(points), atol=1e-8)


def test_scaling_moves_cameras_and_points_alike(rig: Rig) -> None:
    points = make_points(20)
    np.testing.assert_allclose(alignment.scale_rig(rig, 2.5).project(2.5 * points), rig.project(points), atol=1e-9)


@pytest.mark.parametrize("factor", [0.0, -1.0, np.nan, np.inf])
def test_a_scale_that_is_no_scale_is_refused(rig: Rig, factor: float) -> None:
    with pytest.raises(InvalidValueError, match="factor"):
        alignment.scale_rig(rig, factor)


@given(seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_a_board_on_the_ground_makes_a_right_handed_frame_with_z_out_of_its_face(seed: int) -> None:
    world_from_board, board = _pose(seed), Chessboard(6, 5, 20.0)
    new_from_world = alignment.frame_from_board(world_from_board)
    corners = new_from_world(world_from_board(board.points))
    np.testing.assert_allclose(corners[0], 0.0, atol=1e-9)
    np.testing.assert_allclose(corners[1], [20.0, 0.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(corners[:, 2], 0.0, atol=1e-9)
    in_front_of_the_face = world_from_board([0.0, 0.0, -1.0])
    np.testing.assert_allclose(new_from_world(in_front_of_the_face), [0.0, 0.0, 1.0], atol=1e-9)


@given(seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_three_points_make_the_frame_they_name(seed: int) -> None:
    truth = _pose(seed)
    origin, x, y = truth.inverse()([[0.0, 0, 0], [3.0, 0, 0], [1.0, 2.0, 0]])
    found = alignment.frame_from_points(origin, x, y)
    np.testing.assert_allclose(found.matrix, truth.matrix, atol=1e-9)


@pytest.mark.parametrize("third", [[2.0, 0, 0], [0.0, 0, 0], [2.0, 0.01, 0], [np.nan, 0, 0]])
def test_three_points_on_a_line_make_no_frame(third: list[float]) -> None:
    with pytest.raises(CalibrationError, match="three points that make a corner"):
        alignment.frame_from_points([0, 0, 0], [1, 0, 0], third)


@given(seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_the_ground_is_found_below_the_cameras_although_some_points_hover(seed: int) -> None:
    # In make_rig's world z points up and the cameras stand above z = 0.
    rig, rng = make_rig(5, seed=seed % 11), np.random.default_rng(seed)
    ground = np.concatenate([rng.uniform(-200, 200, (200, 2)), rng.normal(0, 0.5, (200, 1))], axis=1)
    ground[:30, 2] += rng.uniform(50, 150, 30)
    hidden = _pose(seed)
    found = alignment.frame_from_ground(alignment.move_rig(rig, hidden), hidden(ground))
    height = found(hidden(ground[30:]))[:, 2]
    assert np.abs(height).max() < 3.0
    assert found(hidden([0.0, 0.0, 100.0]))[2] == pytest.approx(100.0, abs=1.0)


@pytest.mark.parametrize(
    ("points", "got"), [([[0, 0, 0], [1, 0, 0]], "2 points"), (np.outer(np.arange(9.0), [1, 2, 0]), "along a line")]
)
def test_too_few_points_or_a_line_are_no_ground(rig: Rig, points: object, got: str) -> None:
    with pytest.raises(CalibrationError, match=got):
        alignment.frame_from_ground(rig, np.array(points))


def test_a_ground_between_the_cameras_is_refused_and_names_them(rig: Rig) -> None:
    wall = np.random.default_rng(0).uniform(-300, 300, (50, 3)) * [0.0, 1.0, 1.0]
    with pytest.raises(CalibrationError, match="cam_"):
        alignment.frame_from_ground(rig, wall)


@given(seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_up_becomes_z(seed: int) -> None:
    rig, up = make_rig(2, seed=seed % 5), np.random.default_rng(seed).normal(size=3)
    found = alignment.frame_from_up(rig, 9.81 * up)
    np.testing.assert_allclose(found.rotation @ up / np.linalg.norm(up), [0, 0, 1], atol=1e-9)


def test_up_without_a_direction_is_refused(rig: Rig) -> None:
    with pytest.raises(InvalidValueError, match="up"):
        alignment.frame_from_up(rig, [0, 0, 0])


def test_a_thrown_ball_tells_which_way_is_up() -> None:
    rng, time = np.random.default_rng(3), np.arange(40) / 100
    up = np.array([0.6, 0.0, 0.8])
    path = np.outer(time, [500.0, 200, 900]) - np.outer(time**2 / 2, 9810.0 * up) + rng.normal(0, 1.0, (40, 3))
    path[5] = np.nan
    found = alignment.up_from_fall(path, time)
    assert np.rad2deg(np.arccos(found @ up)) < 0.5


@pytest.mark.parametrize("count", [3, 40])
def test_what_does_not_fall_tells_nothing(count: int) -> None:
    time = np.arange(count) / 100
    path = np.outer(time, [500.0, 200, 900]) + np.random.default_rng(3).normal(0, 1.0, (count, 3))
    with pytest.raises(CalibrationError, match="gravity"):
        alignment.up_from_fall(path, time)
