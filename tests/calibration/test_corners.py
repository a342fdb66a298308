"""Corners: the constructor fills in what is left out, the schema refuses what breaks it, the board comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from calibration.boards.geometry import AprilGrid, Board, Charuco, Chessboard
from calibration.corners import CORNERS, board_of, corners, join_corners
from calibration.errors import InvalidValueError, MismatchError
from calibration.schema import check

BOARDS = [
    Chessboard(6, 5, 24.0),
    Charuco(5, 4, 30.0, "cm", marker=22.0, dictionary="DICT_5X5_100", legacy=True, inverted=True),
    AprilGrid(3, 2, 0.04, "m", spacing=0.25, first_id=7),
]
BOARD = BOARDS[0]
POSITION = np.random.default_rng(0).uniform(0, 400, (2, 3, len(BOARD.points), 2))
SIZE = [(640, 480), (800, 600)]


def make(position: np.ndarray = POSITION, **changes: object) -> xr.Dataset:
    arguments: dict[str, object] = {"board": BOARD, "cameras": ["left", "right"], "image_size": SIZE}
    return corners(position, **(arguments | changes))  # type: ignore[arg-type]  # tests pass wrong ones too


def test_what_is_given_stands_in_it() -> None:
    position = POSITION.copy()
    position[0, 1, 4] = np.nan
    picture = [[0, 1, np.nan], [3, 4, 5]]
    time = [[0.0, 0.1, np.nan], [0.01, 0.11, 0.21]]
    dataset = make(position, frames=[4, 7, 9], source_frame=picture, time=time, sources=["a.mp4", "b.mp4"])
    assert dataset["position"].dims == ("camera", "frame", "corner", "space")
    np.testing.assert_array_equal(dataset["position"], position)
    np.testing.assert_array_equal(dataset["source_frame"], picture)
    np.testing.assert_array_equal(dataset["time"], time)
    np.testing.assert_array_equal(dataset["image_size"], SIZE)
    np.testing.assert_array_equal(dataset["board_position"], BOARD.points)
    assert dataset["frame"].values.tolist() == [4, 7, 9]
    assert dataset["camera"].values.tolist() == ["left", "right"]
    assert dataset["board_position"].attrs["units"] == "mm"
    assert dataset.attrs["sources"] == '["a.mp4", "b.mp4"]'


def test_frames_pictures_and_times_are_counted_where_they_are_not_given() -> None:
    dataset = make()
    assert dataset["frame"].values.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(dataset["source_frame"], [[0, 1, 2]] * 2)
    np.testing.assert_array_equal(dataset["time"], [[0, 1, 2]] * 2)
    dataset = make(frames=[10, 20, 30])
    np.testing.assert_array_equal(dataset["source_frame"], [[10, 20, 30]] * 2)


def test_the_input_is_not_shared() -> None:
    position = POSITION.copy()
    dataset = make(position)
    before = dataset["position"].values.copy()
    position[:] = 0
    np.testing.assert_array_equal(dataset["position"], before)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.kind)
def test_the_board_comes_back_also_from_a_file(board: Board, tmp_path: Path) -> None:
    dataset = corners(np.full((1, 2, len(board.points), 2), 5.0), board=board, cameras=["a"], image_size=[(64, 48)])
    assert board_of(dataset) == board
    assert type(board_of(dataset)) is type(board)
    dataset.to_netcdf(tmp_path / "corners.nc", engine="netcdf4")
    with xr.open_dataset(tmp_path / "corners.nc") as written:
        read = check(written.load(), CORNERS)
    assert board_of(read) == board
    np.testing.assert_array_equal(read["position"], dataset["position"])
    assert read["board_position"].attrs["units"] == board.unit


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"cameras": ["left"]}, "1 cameras"),
        ({"cameras": ["left", "left"]}, "repeated: left"),
        ({"cameras": ["left", " "]}, "not blank"),
        ({"position": POSITION[:, :, :-1]}, "shape"),
        ({"position": POSITION[0]}, "shape"),
        ({"position": np.where(POSITION > 300, np.inf, POSITION)}, "infinite"),
        ({"position": [["x"]]}, "numbers"),
        ({"image_size": [(640, 0), (800, 600)]}, "image_size"),
        ({"frames": [0, 1, 1]}, "repeated: 1"),
        ({"frames": [-1, 0, 1]}, "frame"),
        ({"frames": [0.0, 1.0, 2.0]}, "frame"),
        ({"frames": ["a", "b", "c"]}, "frame"),
        ({"source_frame": np.full((2, 3), -1.0)}, "source_frame"),
        ({"time": np.full((2, 3), np.inf)}, "time"),
        ({"frames": [0, 1]}, "frame"),
        ({"time": np.zeros((3, 2))}, "time"),
        ({"source_frame": np.zeros(3)}, "source_frame"),
        ({"image_size": [640, 480]}, "image_size"),
    ],
)
def test_what_breaks_the_schema_is_refused_by_name(changes: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidValueError, match=named):
        make(**changes)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    "text", [None, "", "[]", "5", '{"type": "dartboard"}', '{"type": "chessboard", "columns": 5}', '{"columns": 5}']
)
def test_a_board_that_is_none_is_a_clear_error(text: str | None) -> None:
    dataset = make()
    dataset.attrs.pop("board")
    if text is not None:
        dataset.attrs["board"] = text
    with pytest.raises(InvalidValueError, match="'board'"):
        board_of(dataset)


def test_more_variables_are_allowed() -> None:
    dataset = make()
    dataset["occluded"] = (("camera", "frame", "corner"), np.zeros(POSITION.shape[:3], dtype=bool))
    assert check(dataset, CORNERS) is dataset


def test_joined_corners_are_those_of_both_one_behind_the_other() -> None:
    first = make(frames=[4, 7, 9], sources=["a.mp4", "b.mp4"])
    second = make(POSITION[:, :2] + 1.0, frames=[0, 5], time=[[0.5, 0.6], [0.7, 0.8]])
    joined = join_corners(first, second)
    assert joined["frame"].values.tolist() == [4, 7, 9, 10, 15]
    np.testing.assert_array_equal(joined["position"].values[:, :3], POSITION)
    np.testing.assert_array_equal(joined["position"].values[:, 3:], POSITION[:, :2] + 1.0)
    np.testing.assert_array_equal(joined["time"].values[:, 3:], [[0.5, 0.6], [0.7, 0.8]])
    np.testing.assert_array_equal(joined["image_size"], SIZE)
    assert board_of(joined) == BOARD
    assert check(joined, CORNERS) is joined


def test_cameras_that_the_second_has_not_see_nothing_in_its_frames() -> None:
    second = corners(POSITION[1:], board=BOARD, cameras=["right"], image_size=SIZE[1:])
    joined = join_corners(make(), second)
    assert joined["camera"].values.tolist() == ["left", "right"]
    assert np.isnan(joined["position"].values[0, 3:]).all()
    assert np.isnan(joined["source_frame"].values[0, 3:]).all()
    np.testing.assert_array_equal(joined["position"].values[1, 3:], POSITION[1])


def test_cameras_are_matched_by_name_not_by_order() -> None:
    second = corners(POSITION[::-1], board=BOARD, cameras=["right", "left"], image_size=SIZE[::-1])
    np.testing.assert_array_equal(join_corners(make(), second)["position"].values[:, 3:], POSITION)


@pytest.mark.parametrize("empty", ["first", "second"])
def test_nothing_is_joined_to_something(empty: str) -> None:
    parts = [make(), make()]
    place = 0 if empty == "first" else 1
    parts[place] = parts[place].isel(frame=slice(0, 0))
    joined = join_corners(*parts)
    assert joined["frame"].values.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(joined["position"], POSITION)


def test_the_parts_are_left_as_they_were() -> None:
    first, second = make(), make()
    before = first.copy(deep=True), second.copy(deep=True)
    joined = join_corners(first, second)
    joined["position"].values[:] = 0.0
    xr.testing.assert_identical(first, before[0])
    xr.testing.assert_identical(second, before[1])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"board": Chessboard(6, 5, 25.0)}, "board"),
        ({"cameras": ["left", "top"]}, "camera 'top'"),
        ({"image_size": [(640, 480), (800, 601)]}, r"camera 'right'.*800, 600"),
    ],
)
def test_parts_that_do_not_fit_are_not_joined(changes: dict[str, object], named: str) -> None:
    with pytest.raises(MismatchError, match=named):
        join_corners(make(), make(**changes))


def test_what_is_no_corners_dataset_is_not_joined() -> None:
    with pytest.raises(InvalidValueError, match="Corners"):
        join_corners(make(), make().drop_vars("time"))
