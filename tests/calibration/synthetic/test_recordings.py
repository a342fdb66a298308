"""Recordings of a board: videos, a table of frame times, and the truth about both."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from calibration.boards.geometry import Charuco, Chessboard
from calibration.corners import CORNERS, board_of
from calibration.errors import InvalidValueError, OutputError
from calibration.rig import Rig
from calibration.schema import check
from calibration.synthetic import make_rig
from calibration.synthetic.recordings import (
    TIMESTAMPS_FILE,
    BoardRecording,
    RecordingSettings,
    fitting_board,
    record_board,
    write_board_videos,
)
from calibration.synthetic.rendering import RenderSettings
from calibration.transforms import RigidTransform
from calibration.video import open_video

RIG = make_rig(3, size=(160, 120), focal_length=175, seed=1)
BOARD = Charuco(5, 4, 60.0)
SMALL = RecordingSettings(frames=12, frame_rate=2.0, late=3, drop_rate=0.2, seed=4)


@pytest.fixture(scope="module")
def recording() -> BoardRecording:
    return record_board(RIG, BOARD, SMALL)


@pytest.fixture(scope="module")
def folder(recording: BoardRecording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("recording") / "calibration"
    write_board_videos(recording, target)
    return target


def test_true_corners_are_those_of_the_board_when_the_picture_is_taken() -> None:
    truth = record_board(RIG, BOARD, RecordingSettings(frames=30, frame_rate=3.0, delay=0.05, bend=3.0, seed=2))
    position = check(truth.corners, CORNERS)["position"].to_numpy()
    assert board_of(truth.corners) == BOARD
    shape = truth.to_dataset()["shape"].to_numpy()
    assert np.ptp(shape[:, 2]) == pytest.approx(3.0 * (1 - 1 / 9))  # four columns of corners: none in the middle
    for index, camera in enumerate(RIG):
        for frame in np.flatnonzero(np.isfinite(truth.time[index])):
            expected = camera.project(truth.path(truth.time[index, frame])(shape))
            seen = np.isfinite(position[index, frame, :, 0])
            np.testing.assert_allclose(position[index, frame, seen], expected[seen], rtol=0, atol=1e-9)
            assert ((expected[seen] >= -0.5) & (expected[seen] < np.array(camera.size) - 0.5)).all()
    assert np.isnan(position[np.isnan(truth.time)]).all()
    assert np.isfinite(position[..., 0]).mean() > 0.2


def test_poses_are_those_at_the_instants(recording: BoardRecording) -> None:
    assert recording.world_from_board == recording.path(recording.instants)
    np.testing.assert_allclose(recording.instants, np.arange(12) / 2)


def test_cameras_start_late_drop_pictures_and_are_delayed_as_asked_for() -> None:
    settings = RecordingSettings(frames=400, frame_rate=40.0, late=6, drop_rate=0.1, delay=0.01, hand=0.0, seed=3)
    rig = make_rig(8, size=(160, 120), focal_length=175)
    truth = record_board(rig, BOARD, settings)
    taken = np.isfinite(truth.time)
    first = taken.argmax(axis=1)
    assert first[0] == 0
    assert first.max() <= 6
    assert len(set(first.tolist())) > 1
    lost = 1 - np.mean([row[start:].mean() for row, start in zip(taken, first, strict=True)])
    assert abs(lost - 0.1) < 0.02
    delay = truth.time - truth.instants
    np.testing.assert_allclose(np.nanmax(delay, axis=1), truth.delay, atol=1e-12)
    np.testing.assert_allclose(np.nanmin(delay, axis=1), truth.delay, atol=1e-12)
    assert truth.delay[0] == 0
    assert 0 < np.abs(truth.delay).max() <= 0.01
    assert truth.picture_count == taken.sum()


def test_the_hand_covers_some_corners_and_none_without_it() -> None:
    covered, free = (
        record_board(RIG, BOARD, RecordingSettings(frames=100, frame_rate=10.0, hand=hand, seed=5))
        for hand in (0.5, 0.0)
    )
    seen = np.isfinite(covered.corners["position"].to_numpy()[..., 0])
    share = covered.corners["occluded"].to_numpy()[seen].mean()
    assert 0.01 < share < 0.2
    assert not covered.corners["occluded"].to_numpy()[~seen].any()
    assert not free.corners["occluded"].any()
    np.testing.assert_array_equal(covered.corners["position"], free.corners["position"])


def test_videos_hold_the_pictures_that_the_truth_names(recording: BoardRecording, folder: Path) -> None:
    assert {file.name for file in folder.iterdir()} == {"cam_1.mp4", "cam_2.mp4", "cam_3.mp4", TIMESTAMPS_FILE}
    pictures = recording.corners["source_frame"].to_numpy()
    for index, camera in enumerate(RIG):
        with open_video(folder / f"{camera.name}.mp4") as video:
            assert video.size == camera.size
            assert video.frame_rate == pytest.approx(2.0)
            assert len(video) == np.isfinite(recording.time[index]).sum()
        numbers = pictures[index, np.isfinite(pictures[index])]
        np.testing.assert_array_equal(numbers, np.arange(len(numbers)))


def test_each_picture_shows_its_own_instant(recording: BoardRecording, folder: Path) -> None:
    """Paper is bright about the middle of the board at the time of the picture, not at that of another one."""
    pictures = recording.corners["source_frame"].to_numpy()
    sheet = np.array([[-1.35, -1.35, 0], [4.35, -1.35, 0], [4.35, 3.35, 0], [-1.35, 3.35, 0]]) * BOARD.square
    brightness: dict[int, list[float]] = {0: [], 1: [], 3: []}
    for index, camera in enumerate(RIG):
        with open_video(folder / f"{camera.name}.mp4", pixel_format="gray") as video:
            images = [frame.image for frame in video]
        for frame in np.flatnonzero(np.isfinite(pictures[index])):
            image = images[int(pictures[index, frame])]
            for ahead, found in brightness.items():
                pose = recording.path(recording.time[index, frame] + ahead / SMALL.frame_rate)
                places = np.rint(camera.project(pose(sheet)))
                inside = ((places >= 0) & (places < camera.size)).all(axis=-1)
                front = (camera.center - pose.translation) @ pose.rotation[:, 2] < -0.3 * 1000
                if front:
                    found += [float(image[int(y), int(x)]) for x, y in places[inside]]
    assert np.mean(brightness[0]) > np.mean(brightness[1]) + 15
    assert np.mean(brightness[0]) > np.mean(brightness[3]) + 15


def test_the_table_says_which_pictures_belong_together(recording: BoardRecording, folder: Path) -> None:
    with (folder / TIMESTAMPS_FILE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["sync_index", "cam_id", "frame_index", "frame_time"]
    assert len(rows) == recording.picture_count
    names = list(RIG.names)
    for row in rows:
        at = names.index(row["cam_id"]), int(row["sync_index"])
        assert float(row["frame_index"]) == recording.corners["source_frame"].to_numpy()[at]
        assert float(row["frame_time"]) == pytest.approx(recording.time[at], abs=1e-6)


def test_the_truth_survives_a_file(recording: BoardRecording, tmp_path: Path) -> None:
    truth = recording.to_dataset()
    truth.to_netcdf(tmp_path / "truth.nc", engine="netcdf4")
    with xr.open_dataset(tmp_path / "truth.nc") as written:
        read = check(written.load(), CORNERS)
    assert board_of(read) == BOARD
    pose = RigidTransform(read["board_rotation"].to_numpy(), read["board_translation"].to_numpy())
    assert pose == recording.world_from_board
    np.testing.assert_array_equal(read["position"], recording.corners["position"])
    np.testing.assert_array_equal(read["occluded"], recording.corners["occluded"])


def test_the_same_seed_gives_the_same_bytes(recording: BoardRecording, folder: Path, tmp_path: Path) -> None:
    write_board_videos(record_board(RIG, BOARD, SMALL), tmp_path)
    for file in folder.iterdir():
        assert file.read_bytes() == (tmp_path / file.name).read_bytes(), file.name


def test_progress_counts_pictures_and_cameras_may_differ(recording: BoardRecording, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    bright = {"cam_2": RenderSettings(brightness=3.0)}
    write_board_videos(
        recording, tmp_path, rendering=bright, on_progress=lambda done, total: seen.append((done, total))
    )
    assert [done for done, _ in seen] == list(range(1, recording.picture_count + 1))
    assert {total for _, total in seen} == {recording.picture_count}
    levels = {}
    for name in RIG.names:
        with open_video(tmp_path / f"{name}.mp4", pixel_format="gray") as video:
            levels[name] = float(np.mean([frame.image for frame in video]))
    assert levels["cam_2"] > 1.5 * max(levels["cam_1"], levels["cam_3"])


def test_a_folder_that_cannot_be_written_is_a_clear_error(recording: BoardRecording, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_board_videos(recording, tmp_path / "file")


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_the_fitting_board_is_as_wide_as_two_fifths_of_the_view_and_of_nice_squares(scale: float) -> None:
    rig: Rig = make_rig(4, distance=1000.0 * scale, size=(640, 480), focal_length=700)
    board = fitting_board(rig)
    view = 640 / 700 * 1000 * scale
    assert 0.3 < board.extent[0] / view < 0.43
    assert float(f"{board.square:.2g}") == board.square
    assert board.unit == rig.unit


def test_every_kind_of_board_can_be_recorded(tmp_path: Path) -> None:
    truth = record_board(RIG, Chessboard(6, 5, 50.0), RecordingSettings(frames=2, late=0))
    files = write_board_videos(truth, tmp_path)
    assert all(file.stat().st_size > 0 for file in files)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frames", 0),
        ("frames", 1.5),
        ("frame_rate", 0.0),
        ("frame_rate", float("inf")),
        ("exposure", -1.0),
        ("exposure", 0.1),
        ("late", 200),
        ("late", -1),
        ("drop_rate", 1.0),
        ("delay", -0.1),
        ("delay", float("nan")),
        ("hand", 1.5),
        ("bend", float("nan")),
        ("seed", -1),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InvalidValueError, match=name):
        RecordingSettings(**{name: value})  # type: ignore[arg-type]  # wrong on purpose
