"""The path of a board: smooth, within the volume, seen by all cameras and by neighbors together."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.boards.geometry import Charuco
from calibration.errors import InvalidValueError
from calibration.rig import Rig
from calibration.synthetic import make_rig
from calibration.synthetic._views import front_seen
from calibration.synthetic.paths import BoardPath, make_board_path

BOARD = Charuco(7, 5, 50.0)


def points_of(path: BoardPath, time: np.ndarray) -> np.ndarray:
    pose = path(time)
    return np.einsum("fij,cj->fci", pose.rotation, BOARD.points) + pose.translation[:, None]


def seen_by(rig: Rig, path: BoardPath, time: np.ndarray) -> np.ndarray:
    """(camera, frame) whether a camera sees at least six corners from the front."""
    points = points_of(path, time)
    pixels = np.moveaxis(rig.project(points), 2, 0)
    inside = ((pixels >= 0) & (pixels < np.array(rig.cameras[0].size) - 1)).all(axis=-1).sum(axis=-1) >= 6
    return np.asarray(inside & front_seen(path(time), np.stack([camera.center for camera in rig]), points))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cameras", [1, 2, 3, 4, 6, 9, 16])
def test_every_camera_sees_the_board_often_and_all_are_connected(cameras: int, seed: int) -> None:
    rig = make_rig(cameras, size=(640, 480), focal_length=700, seed=seed)
    seen = seen_by(rig, make_board_path(rig, BOARD, duration=10.0, seed=seed), np.arange(120) / 12).astype(int)
    assert seen.sum(axis=1).min() >= 20
    linked = (seen @ seen.T) >= 3
    reached = np.linalg.matrix_power(linked.astype(np.int64), cameras) > 0
    assert reached.all(), "no camera stands alone"


def test_it_is_smooth_and_no_faster_than_people_move() -> None:
    path = make_board_path(make_rig(4), BOARD, duration=10.0, seed=1)
    points = points_of(path, np.arange(0, 10, 1e-3))
    speed = np.linalg.norm(np.diff(points, axis=0), axis=-1) * 1e3
    assert np.median(speed) < 400
    assert speed.max() < 1500
    jumps = np.linalg.norm(np.diff(points, n=2, axis=0), axis=-1)
    assert jumps.max() < 0.02  # mm in (1/1000 s)^2: 20 m/s^2, and no corner anywhere


def test_the_middle_stays_about_the_ball() -> None:
    path = make_board_path(make_rig(4), BOARD, duration=20.0, radius=100.0, seed=2)
    middle = points_of(path, np.arange(0, 20, 0.01)).mean(axis=1)
    assert np.linalg.norm(middle, axis=-1).max() < 170
    assert (np.ptp(middle, axis=0) > 100).all(), "and visits all of it"


def test_it_tilts_the_board_differently_against_every_camera() -> None:
    rig = make_rig(4, seed=3)
    time = np.arange(200) / 20
    path = make_board_path(rig, BOARD, duration=10.0, seed=3)
    seen = seen_by(rig, path, time)
    normal = -path(time).rotation[..., 2]
    for camera, frames in zip(rig, seen, strict=True):
        in_camera = normal[frames] @ camera.cam_from_world.rotation.T
        assert (np.ptp(in_camera[:, :2], axis=0) > 0.5).all()


def test_any_time_may_be_asked_for_also_a_little_outside() -> None:
    path = make_board_path(make_rig(3), BOARD, duration=5.0)
    assert path(1.0).translation.shape == (3,)
    assert path(np.zeros((2, 4))).rotation.shape == (2, 4, 3, 3)
    assert path(np.zeros(0)).translation.shape == (0, 3)
    np.testing.assert_array_equal(path([0.5, 1.5]).translation[1], path(1.5).translation)
    edge = points_of(path, np.array([-0.02, 0.0, 5.0, 5.02]))
    assert np.linalg.norm(edge[1] - edge[0], axis=-1).max() < 20
    assert np.linalg.norm(edge[3] - edge[2], axis=-1).max() < 20
    with pytest.raises(InvalidValueError, match="time"):
        path([0.0, np.nan])


def test_the_same_seed_gives_the_same_path() -> None:
    rig = make_rig(4)
    first, again, other = (make_board_path(rig, BOARD, seed=seed)(np.arange(5.0)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", ["duration", "radius", "tilt"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_numbers_out_of_range_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InvalidValueError, match=name):
        make_board_path(make_rig(2), BOARD, **{name: value})  # type: ignore[arg-type]  # none of them is the seed
