"""The first rig is right on known truth, whatever is wrong with some views, and where it cannot be, that is said."""

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.boards.geometry import Board, Charuco, Chessboard
from calibration.camera import Camera
from calibration.errors import CalibrationError, InvalidValueError, MismatchError, SuiteWarning
from calibration.extrinsics import Extrinsics, ExtrinsicsSettings, estimate_extrinsics
from calibration.rig import Rig
from calibration.synthetic import make_rig
from calibration.synthetic.boards import BoardScene, make_board_scene
from calibration.transforms import RigidTransform, rotation_vector_from_matrix

ROOT = Path(__file__).parents[2]

Array = NDArray[np.float64]

BOARD = Chessboard(10, 7, 25.0)  # can be told from its half turn
HALF_TURN = Chessboard(10, 8, 25.0)
QUARTER_TURNS = Chessboard(7, 7, 25.0)
CHARUCO = Charuco(8, 6, 30.0)


def estimate(scene: BoardScene, position: Array | None = None, **settings: float) -> Extrinsics:
    rig = scene.rig
    pixels = scene.corners["position"].values if position is None else position
    chosen = ExtrinsicsSettings(**settings) if settings else None  # type: ignore[arg-type]
    sizes, lenses = [camera.size for camera in rig], [camera.lens for camera in rig]
    return estimate_extrinsics(rig.names, sizes, lenses, pixels, scene.board, settings=chosen)


def errors(true: Rig, found: Rig) -> tuple[float, float]:
    """Largest error of the rotations in degrees, and of the positions as a share of the distance of the cameras."""
    world_from_first = true.cameras[0].cam_from_world.inverse()
    angles, shifts = [], []
    for camera, estimated in zip(true, found, strict=True):
        wanted = camera.cam_from_world @ world_from_first
        got = estimated.cam_from_world
        angles.append(np.linalg.norm(rotation_vector_from_matrix(got.rotation @ wanted.rotation.T)))
        shifts.append(np.linalg.norm(estimated.center - wanted.inverse().translation) / np.linalg.norm(camera.center))
    return float(np.rad2deg(max(angles))), float(max(shifts))


def check(scene: BoardScene, found: Extrinsics, degrees: float = 1.0, share: float = 0.01) -> None:
    turn, shift = errors(scene.rig, found.rig)
    assert turn < degrees
    assert shift < share
    assert found.rig.names == scene.rig.names
    np.testing.assert_array_equal(found.rig.cameras[0].cam_from_world.rotation, np.eye(3))


def side_by_side(count: int, *, step: float, distance: float, focal_length: float) -> Rig:
    """Cameras at equal steps of azimuth (degrees) on one side of the origin, at equal height."""
    cameras = []
    for index, camera in enumerate(make_rig(count, distance=distance, focal_length=focal_length)):
        azimuth = np.deg2rad(step) * (index - (count - 1) / 2)
        back = np.array([-np.cos(azimuth), -np.sin(azimuth), 0.0])
        rotation = np.stack([[-np.sin(azimuth), np.cos(azimuth), 0.0], [0.0, 0.0, -1.0], back])
        pose = RigidTransform(rotation, -rotation @ (-distance * back))
        cameras.append(replace(camera, cam_from_world=pose))
    return Rig(tuple(cameras))


def rolled(rig: Rig, quarters: tuple[int, ...]) -> Rig:
    """The cameras turned about their optical axes by so many quarter turns."""
    cameras = []
    for camera, quarter in zip(rig, quarters, strict=True):
        turn = RigidTransform.from_rotation_vector([0, 0, quarter * np.pi / 2], np.zeros(3))
        cameras.append(replace(camera, cam_from_world=turn @ camera.cam_from_world))
    return Rig(tuple(cameras))


# --- known truth


@pytest.mark.parametrize("seed", range(100))
def test_the_rig_is_found_from_noisy_corners_with_outliers(seed: int) -> None:
    count = (2, 3, 4, 5, 6, 8, 12, 16)[seed % 8]
    dome = seed % 3 == 0
    rig = make_rig(max(count, 4), elevation=(0.2, 1.2) if dome else (0.35, 0.9), seed=seed)
    rig = rig.select(rig.names[:count])
    scene = make_board_scene(rig, BOARD, frames=40, outlier_rate=0.05, seed=seed)
    found = estimate(scene)
    check(scene, found, degrees=0.25, share=0.004)
    assert found.status == "ok"


@pytest.mark.parametrize("board", [BOARD, CHARUCO, QUARTER_TURNS], ids=str)
def test_the_boards_stand_where_they_were(board: Board) -> None:
    scene = make_board_scene(make_rig(6), board, frames=60, outlier_rate=0.05, seed=3)
    found = estimate(scene)
    first_from_world = scene.rig.cameras[0].cam_from_world
    wanted = (
        first_from_world.rotation
        @ (scene.world_from_board.rotation[found.frames] @ board.points.mean(axis=0))[..., None]
        + (
            scene.world_from_board.translation[found.frames] @ first_from_world.rotation.T
            + first_from_world.translation
        )[..., None]
    )
    got = found.world_from_board(board.points.mean(axis=0))
    assert np.linalg.norm(got - wanted[..., 0], axis=-1).max() < 5.0


def test_corners_of_the_boards_are_projected_to_where_they_were_seen() -> None:
    scene = make_board_scene(make_rig(6), HALF_TURN, frames=60, outlier_rate=0.05, turn_rate=0.3, seed=3)
    found = estimate(scene)
    points = found.world_from_board.rotation[:, None] @ HALF_TURN.points[:, :, None]
    points = points[..., 0] + found.world_from_board.translation[:, None]
    projected = np.moveaxis(found.rig.project(points), 2, 0)
    distance = np.linalg.norm(found.position[:, found.frames] - projected, axis=-1)
    inlier = np.isfinite(distance) & ~found.outlier[:, found.frames]
    assert np.sqrt(np.mean(distance[inlier] ** 2)) < 0.6  # sqrt(2) times the noise of 0.3 px, and a bit


@pytest.mark.parametrize("board", [HALF_TURN, QUARTER_TURNS], ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_turned_boards_are_put_right(board: Board, seed: int) -> None:
    scene = make_board_scene(
        make_rig(6, seed=seed), board, frames=60, outlier_rate=0.05, turn_rate=0.2, missing_rate=0.1, seed=seed
    )
    found = estimate(scene)
    check(scene, found)
    # The turn of a whole frame is free: all cameras agree after one and the same turn.
    orders = [np.arange(len(board.points)), *board.symmetries]
    for frame in found.frames:
        seen = np.isfinite(found.position[:, frame, 0, 0])
        inlier = np.isfinite(scene.truth[seen, frame]) & ~found.outlier[seen, frame][..., None]
        offs = [
            np.abs(np.where(inlier, found.position[seen, frame] - scene.truth[seen, frame][:, order], 0.0)).max()
            for order in orders
        ]
        assert min(offs) < 6.0


def test_the_turn_that_most_cameras_report_stays() -> None:
    scene = make_board_scene(make_rig(6), HALF_TURN, frames=60, turn_rate=0.1, seed=1)
    found = estimate(scene)
    wrong = found.turned.astype(bool) != scene.turned
    many = np.isfinite(found.position[..., 0, 0]).sum(axis=0) >= 2 * scene.turned.sum(axis=0) + 1
    assert many.sum() > 40
    assert not wrong[:, many].any()


@pytest.mark.parametrize("seed", range(6))
def test_a_camera_that_sees_the_board_in_five_frames_is_placed(seed: int) -> None:
    scene = make_board_scene(
        make_rig(6, seed=seed), HALF_TURN, frames=100, outlier_rate=0.05, turn_rate=0.2, missing_rate=0.1, seed=seed
    )
    position = scene.corners["position"].values.copy()
    seen = np.flatnonzero(np.isfinite(position[2, :, 0, 0]))
    position[2, seen[5:]] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SuiteWarning)
        found = estimate(scene, position)
    check(scene, found)


def test_two_cameras_that_never_see_the_board_together_are_connected_by_a_third() -> None:
    scene = make_board_scene(make_rig(6), BOARD, frames=80)
    position = scene.corners["position"].values[:3].copy()
    position[0, np.isfinite(position[2, :, 0, 0])] = np.nan
    scene = replace(scene, rig=scene.rig.select(scene.rig.names[:3]))
    found = estimate(scene, position)
    check(scene, found)
    assert found.overlap[0, 2] == 0
    assert min(found.overlap[0, 1], found.overlap[1, 2]) > 3


@pytest.mark.parametrize("seed", range(3))
def test_wrong_frames_are_left_out(seed: int) -> None:
    scene = make_board_scene(make_rig(6, seed=seed), BOARD, frames=100, seed=seed)
    position = scene.corners["position"].values.copy()
    rng = np.random.default_rng(seed)
    wrong = np.zeros(position.shape[:2], dtype=bool)
    for camera in range(6):
        frames = np.flatnonzero(rng.random(100) < 0.2)
        others = rng.permutation(100)[: len(frames)]
        wrong[camera, frames] = others != frames
        position[camera, frames] = scene.corners["position"].values[camera, others]
    found = estimate(scene, position)
    check(scene, found)
    kept = np.isfinite(found.position[..., 0, 0]) & wrong
    together = np.isfinite(found.position[..., 0, 0]).sum(axis=0) > 1
    assert not kept[:, together].any()


def test_rolled_cameras_of_different_resolutions_are_found() -> None:
    rig = rolled(make_rig(6, size=(1024, 1024)), (0, 1, 2, 3, 1, 2))
    cameras = list(rig)
    for index in (1, 4):
        lens = cameras[index].lens
        matrix = lens.camera_matrix * np.array([[0.5], [0.5], [1.0]])
        cameras[index] = replace(cameras[index], size=(512, 512), lens=replace(lens, camera_matrix=matrix))
    scene = make_board_scene(Rig(tuple(cameras)), BOARD, frames=60, outlier_rate=0.05)
    check(scene, estimate(scene))


def test_fisheye_lenses_are_found() -> None:
    scene = make_board_scene(make_rig(5, lens="fisheye", focal_length=700), CHARUCO, frames=60, outlier_rate=0.05)
    check(scene, estimate(scene))


def test_one_camera_alone_is_a_rig() -> None:
    scene = make_board_scene(make_rig(1), BOARD, frames=10)
    found = estimate(scene)
    assert len(found.frames) == 10
    assert found.pairs == ()


def test_the_same_input_gives_the_same_bytes_and_stays_as_it_was() -> None:
    scene = make_board_scene(make_rig(5), HALF_TURN, frames=40, outlier_rate=0.05, turn_rate=0.2)
    position = scene.corners["position"].values.copy()
    first, second = estimate(scene, position), estimate(scene, position)
    assert first.rig == second.rig
    assert first.world_from_board == second.world_from_board
    np.testing.assert_array_equal(first.position, second.position)
    np.testing.assert_array_equal(position, scene.corners["position"].values)


# --- against OpenCV


def stereo(scene: BoardScene, position: Array) -> RigidTransform:
    """The pose of the second camera to the first by OpenCV, from all frames that both see, every one believed."""
    both = np.isfinite(position[..., 0]).all(axis=(0, 2))
    points = [scene.board.points.astype(np.float32)] * int(both.sum())
    first, second = ([view.astype(np.float32)[:, None] for view in rows[both]] for rows in position[:2])
    a, b = scene.rig
    matrices = [camera.lens.camera_matrix.copy() for camera in (a, b)]
    coefficients = [camera.lens.coefficients.copy() for camera in (a, b)]
    answer = cv2.stereoCalibrate(
        points, first, second, matrices[0], coefficients[0], matrices[1], coefficients[1], a.size, None, None,
        flags=cv2.CALIB_FIX_INTRINSIC,
    )  # fmt: skip
    return RigidTransform(answer[5], answer[6].ravel())


def pair_scene(**trouble: float) -> BoardScene:
    rig = make_rig(6)
    return make_board_scene(rig.select(rig.names[:2]), HALF_TURN, frames=40, noise=0.3, seed=2, **trouble)


def test_on_clean_corners_it_agrees_with_opencv() -> None:
    scene = pair_scene()
    wanted = stereo(scene, scene.corners["position"].values)
    got = estimate(scene).rig.cameras[1].cam_from_world
    assert np.linalg.norm(rotation_vector_from_matrix(got.rotation @ wanted.rotation.T)) < np.deg2rad(0.1)
    assert np.linalg.norm(got.translation - wanted.translation) < 2.0


def test_it_is_right_where_opencv_is_misled() -> None:
    scene = pair_scene(outlier_rate=0.05, turn_rate=0.2)
    naive = stereo(scene, scene.corners["position"].values)
    true = scene.rig.cameras[1].cam_from_world @ scene.rig.cameras[0].cam_from_world.inverse()
    assert np.linalg.norm(rotation_vector_from_matrix(naive.rotation @ true.rotation.T)) > np.deg2rad(1.0)
    check(scene, estimate(scene))


# --- mirrored worlds


@pytest.mark.parametrize("tilt", [0.02, 0.1])
@pytest.mark.parametrize(("distance", "focal_length"), [(1000.0, 1400.0), (8000.0, 8000.0), (30000.0, 12000.0)])
@pytest.mark.parametrize("count", [2, 4])
def test_boards_that_are_nearly_frontal_give_the_right_rig_or_a_warning(
    tilt: float, distance: float, focal_length: float, count: int
) -> None:
    rig = side_by_side(count, step=12.0, distance=distance, focal_length=focal_length)
    for seed in range(3):
        scene = make_board_scene(rig, BOARD, frames=40, tilt=tilt, noise=0.4, outlier_rate=0.03, radius=150, seed=seed)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = estimate(scene)
        if errors(rig, found.rig)[0] > 2.5:
            assert found.status == "ambiguous"
        assert (found.status == "ambiguous") == any("ambiguous" in str(warning.message) for warning in caught)


def test_a_mirrored_world_is_called_ambiguous_and_says_what_to_film() -> None:
    rig = side_by_side(2, step=12.0, distance=30000.0, focal_length=12000.0)
    scene = make_board_scene(rig, BOARD, frames=40, tilt=0.02, noise=0.4, radius=150)
    with pytest.warns(SuiteWarning, match=r"cam_1 and cam_2 to each other are ambiguous.*tilted by 30 degrees"):
        found = estimate(scene)
    assert found.status == "ambiguous"
    assert found.pairs[0].ambiguity > 0.85


def test_tilted_boards_tell_the_same_cameras_apart_from_their_mirror_image() -> None:
    rig = side_by_side(2, step=12.0, distance=8000.0, focal_length=8000.0)
    found = estimate(make_board_scene(rig, BOARD, frames=40, tilt=0.7, noise=0.4, radius=150))
    assert found.status == "ok"
    assert found.pairs[0].ambiguity < 0.7


# --- cycles


def moved_for_one_pair(scene: BoardScene, start: int) -> Array:
    """From `start` on only the first two cameras see the board, and the second one was moved; before, never both."""
    position = scene.corners["position"].values.copy()
    second = scene.rig.cameras[1]
    moved = RigidTransform.from_rotation_vector([0.0, 0.15, 0.0], [20.0, 0.0, 0.0]) @ second.cam_from_world
    poses = scene.world_from_board
    points = (poses.rotation[start:, None] @ scene.board.points[:, :, None])[..., 0] + poses.translation[start:, None]
    position[1, start:] = replace(second, cam_from_world=moved).project(points)
    position[2:, start:] = np.nan
    position[1, :start][np.isfinite(position[0, :start, 0, 0])] = np.nan
    return position


def test_a_pair_that_contradicts_the_others_is_rejected_and_named() -> None:
    scene = make_board_scene(make_rig(6), BOARD, frames=140)
    with pytest.warns(SuiteWarning) as caught:
        found = estimate(scene, moved_for_one_pair(scene, 80))
    assert any("cam_1 - cam_2 contradicts" in str(warning.message) for warning in caught)
    check(scene, found)
    status = {pair.cameras: pair.status for pair in found.pairs}
    assert status["cam_1", "cam_2"] == "rejected"
    assert {pair for pair, value in status.items() if value == "rejected"} == {("cam_1", "cam_2")}
    worst = max(found.cycles, key=lambda cycle: cycle.turn_error)
    assert {"cam_1", "cam_2"} <= set(worst.cameras)
    assert worst.turn_error == pytest.approx(0.15, abs=0.02)
    good = [cycle for cycle in found.cycles if not {"cam_1", "cam_2"} <= set(cycle.cameras)]
    assert max(cycle.turn_error for cycle in good) < np.deg2rad(0.5)
    assert max(cycle.shift_error for cycle in good) < 5.0


def test_cycles_close_where_nothing_is_wrong() -> None:
    found = estimate(make_board_scene(make_rig(6), BOARD, frames=60))
    assert len(found.cycles) == 20  # all triangles
    assert max(cycle.turn_error for cycle in found.cycles) < np.deg2rad(0.5)
    assert all(pair.status == "used" and pair.support == pair.frames for pair in found.pairs)


def test_a_loop_without_triangles_is_a_cycle() -> None:
    scene = make_board_scene(make_rig(6), BOARD, frames=120)
    position = scene.corners["position"].values[:4].copy()
    # each frame is left to two neighbors of the square 1 - 2 - 3 - 4 - 1
    for frame in range(120):
        corner = frame % 4
        for camera in {0, 1, 2, 3} - {corner, (corner + 1) % 4}:
            position[camera, frame] = np.nan
    scene = replace(scene, rig=scene.rig.select(scene.rig.names[:4]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SuiteWarning)
        found = estimate(scene, position)
    assert [len(cycle.cameras) for cycle in found.cycles] == [4]
    check(scene, found)


# --- what cannot be done is said


def cut(position: Array) -> None:
    position[:3, 50:] = np.nan
    position[3:, :53] = np.nan


def blind(position: Array) -> None:
    position[4] = np.nan


def shifted(position: Array) -> None:
    position[4] = np.roll(position[4], 10, axis=0)


def nothing(position: Array) -> None:
    position[:] = np.nan


@pytest.mark.parametrize(
    ("break_it", "texts"),
    [
        (
            cut,
            [
                r"2 groups: cam_1, cam_2 and cam_3; cam_4, cam_5 and cam_6\.",
                r"No frame shows the board to one of cam_1.* and one of cam_4.*; closest:",
                r"closest: cam_\d at frame 4\d and cam_\d at frame 5\d",
                r"Frames in common: cam_1 \[\d+ \d+ \d+ 0 0 0\]",
                r"Film the board.* seen by cam_[123] together with cam_[456]",
            ],
        ),
        (blind, [r"cam_5 saw the board .* in no frame", r"seen by cam_5 together with any other camera"]),
        (
            shifted,
            [
                r"2 groups: .*; cam_5",
                r"cam_\d and cam_5 saw the board together in \d+ frames, of which [01] agrees?",
                r"frames are of the same instants",
            ],
        ),
        (nothing, [r"in no frame", r"Check the board's columns and rows"]),
    ],
)
def test_cameras_that_are_not_connected_are_told(break_it: Callable[[Array], None], texts: list[str]) -> None:
    scene = make_board_scene(make_rig(6), BOARD, frames=100)
    position = scene.corners["position"].values.copy()
    break_it(position)
    with pytest.raises(CalibrationError) as caught:
        estimate(scene, position)
    for text in texts:
        assert re.search(text, str(caught.value))


def test_a_video_that_ends_early_is_the_first_thing_said() -> None:
    scene = make_board_scene(make_rig(3), BOARD, frames=60)
    position = scene.corners["position"].values.copy()
    times = np.tile(np.arange(60) / 30, (3, 1))
    position[1, 15:], times[1, 15:] = np.nan, np.nan
    position[[0, 2], :15] = np.nan
    sizes, lenses = [camera.size for camera in scene.rig], [camera.lens for camera in scene.rig]
    with pytest.raises(CalibrationError) as caught:
        estimate_extrinsics(scene.rig.names, sizes, lenses, position, BOARD, times=times)
    assert caught.value.got.startswith(
        "the video of cam_2 ends at frame 14 (0.47 s), that of cam_1 at frame 59 (1.97 s)"
    )
    assert caught.value.remedy.startswith("If a video was cut or not copied whole, copy it again.")
    assert "[cam" not in str(caught.value)
    assert "{" not in str(caught.value)


def test_frames_are_named_as_the_corners_number_them_with_the_time_of_the_picture() -> None:
    scene = make_board_scene(make_rig(6), BOARD, frames=100)
    position = scene.corners["position"].values.copy()
    cut(position)
    rig, numbers = scene.rig, 1000 + 3 * np.arange(100)
    sizes, lenses = [camera.size for camera in rig], [camera.lens for camera in rig]
    times = np.tile(numbers / 30, (6, 1))

    def told(**names: object) -> str:
        with pytest.raises(CalibrationError) as caught:
            estimate_extrinsics(rig.names, sizes, lenses, position, BOARD, **names)  # type: ignore[arg-type]
        return str(caught.value)

    plain = re.search(r"closest: cam_\d at frame (\d+) and cam_\d at frame (\d+)", told())
    assert plain is not None
    early, late = int(plain[1]), int(plain[2])
    assert (early, late) == (49, 53)
    assert re.search(r"closest: cam_\d at frame 1147 and cam_\d at frame 1159", told(frame_numbers=numbers))
    named = told(frame_numbers=numbers, times=times)
    assert re.search(r"closest: cam_\d at frame 1147 \(38.23 s\) and cam_\d at frame 1159 \(38.63 s\)", named)
    assert "49" not in named.replace("1149", "")
    of_the_calendar = told(frame_numbers=numbers, times=times + 1.7e9)
    assert re.search(r"closest: cam_\d at frame 1147 and cam_\d at frame 1159", of_the_calendar)
    with pytest.raises(MismatchError, match="100 frame numbers"):
        estimate_extrinsics(rig.names, sizes, lenses, position, BOARD, frame_numbers=numbers[:5])


def test_cameras_tied_by_few_frames_are_warned_about() -> None:
    scene = make_board_scene(make_rig(6), BOARD, frames=100)
    position = scene.corners["position"].values.copy()
    position[2, np.flatnonzero(np.isfinite(position[2, :, 0, 0]))[4:]] = np.nan
    with pytest.warns(SuiteWarning, match=r"cam_3 is tied to the other cameras by pairs of at most [234] frames"):
        found = estimate(scene, position)
    assert any("cam_3 is tied" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"names": ["a"]}, MismatchError),
        ({"names": ["a", "a"]}, InvalidValueError),
        ({"sizes": [(1280, 1024), (0, 5)]}, InvalidValueError),
        ({"position": np.zeros((2, 3, 5, 2))}, InvalidValueError),
        ({"position": np.zeros((3, 54, 2))}, InvalidValueError),
        ({"position": np.full((2, 3, 54, 2), np.inf)}, InvalidValueError),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change: dict[str, object], error: type[Exception]) -> None:
    rig = make_rig(2)
    arguments: dict[str, object] = {
        "names": rig.names,
        "sizes": [camera.size for camera in rig],
        "lenses": [camera.lens for camera in rig],
        "position": np.zeros((2, 3, 54, 2)),
        "board": BOARD,
    }
    with pytest.raises(error):
        estimate_extrinsics(**(arguments | change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"), [("fewest_corners", 3), ("ambiguity", 1.5), ("contradiction", 0.0), ("seed", -1)]
)
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(InvalidValueError, match=name):
        ExtrinsicsSettings(**{name: value})  # type: ignore[arg-type]


# --- the numbers of the report


def test_the_numbers_go_to_a_dataset() -> None:
    found = estimate(make_board_scene(make_rig(5), HALF_TURN, frames=60, turn_rate=0.1))
    dataset = found.to_dataset()
    assert dict(dataset.sizes) == {"camera": 5, "other_camera": 5, "cycle": len(found.cycles)}
    np.testing.assert_array_equal(dataset["overlap"], found.overlap)
    np.testing.assert_array_equal(dataset["overlap"].values, dataset["overlap"].values.T)
    pair = found.pairs[0]
    assert float(dataset["support"].sel(camera=pair.cameras[0], other_camera=pair.cameras[1])) == pair.support
    assert dataset["turn_spread"].attrs["units"] == "rad"
    assert dataset.attrs["status"] == "ok"


def test_the_noise_is_that_of_the_pictures() -> None:
    found = estimate(make_board_scene(make_rig(4), BOARD, frames=80, noise=0.5, outlier_rate=0.05))
    np.testing.assert_allclose(found.noise, 0.5, rtol=0.1)


def test_wrong_corners_are_marked() -> None:
    scene = make_board_scene(make_rig(4), BOARD, frames=60, outlier_rate=0.05)
    found = estimate(scene)
    kept = np.isfinite(found.position[..., 0])
    far = np.linalg.norm(scene.corners["position"].values - scene.truth, axis=-1) > 5.0
    assert found.outlier[kept & far].all()
    assert found.outlier[kept & ~scene.outlier].mean() < 0.01


def test_a_camera_knows_its_name_and_size() -> None:
    scene = make_board_scene(make_rig(4), BOARD, frames=40)
    found = estimate(scene)
    for camera, wanted in zip(found.rig, scene.rig, strict=True):
        assert isinstance(camera, Camera)
        assert (camera.name, camera.size, camera.lens) == (wanted.name, wanted.size, wanted.lens)
    assert found.rig.unit == BOARD.unit


_DIGEST = """
import hashlib
from calibration.boards.geometry import Chessboard
from calibration.extrinsics import estimate_extrinsics
from calibration.synthetic import make_rig
from calibration.synthetic.boards import make_board_scene

scene = make_board_scene(make_rig(24), Chessboard(10, 7, 25.0), frames=60, outlier_rate=0.05)
cameras = list(scene.rig)
sizes, lenses = [camera.size for camera in cameras], [camera.lens for camera in cameras]
found = estimate_extrinsics(scene.rig.names, sizes, lenses, scene.corners["position"].values, scene.board)
poses = [camera.cam_from_world.matrix.tobytes() for camera in found.rig]
print(hashlib.sha256(b"".join([*poses, found.world_from_board.matrix.tobytes()])).hexdigest())
"""


def test_the_number_of_threads_changes_no_bit() -> None:
    digests = set()
    for threads in ("1", "2"):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        run = subprocess.run(
            [sys.executable, "-c", _DIGEST], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
        )
        digests.add(run.stdout)
    assert len(digests) == 1
