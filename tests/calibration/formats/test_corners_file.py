"""Corners come back from their file as they were, and a file of something else is told."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from calibration.boards import AprilGrid, Board, Charuco, Chessboard
from calibration.corners import board_of, corners
from calibration.errors import FileFormatError, InvalidValueError, MismatchError, OutputError
from calibration.formats.corners_file import load_corners, save_corners

BOARDS = [
    Chessboard(columns=6, rows=5, square=30.0),
    Charuco(columns=5, rows=4, square=20.0, dictionary="DICT_4X4_100", legacy=True, inverted=True, unit="cm"),
    AprilGrid(columns=3, rows=2, square=88.0),
]


def some_corners(board: Board = BOARDS[0]) -> xr.Dataset:
    rng = np.random.default_rng(1)
    position = rng.uniform(0, 600, (2, 4, len(board.points), 2))
    position[0, 1] = np.nan
    return corners(
        position,
        board=board,
        cameras=["top", "ß"],
        image_size=[[640, 480], [1280, 720]],
        frames=[26, 27, 30, 31],
        source_frame=[[0, 1, np.nan, 3], [0, 1, 2, 3]],
        time=[[0.0, 0.1, np.nan, 0.3], [0.0, 0.1, 0.2, 0.3]],
        sources=["top.mp4", "ß.mp4"],
    )


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.kind)
def test_corners_come_back_bit_for_bit(board: Board, tmp_path: Path) -> None:
    dataset = some_corners(board)
    save_corners(dataset, tmp_path / "new" / "corners.nc")
    loaded = load_corners(tmp_path / "new" / "corners.nc")
    xr.testing.assert_identical(loaded, dataset)
    assert board_of(loaded) == board
    assert not loaded.chunks


def test_the_same_corners_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.nc", "b.nc"):
        save_corners(some_corners(), tmp_path / name)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_missing_corners_take_no_room(tmp_path: Path) -> None:
    dataset = corners(np.full((4, 500, 20, 2), np.nan), board=BOARDS[0], cameras=list("abcd"), image_size=[[9, 9]] * 4)
    save_corners(dataset, tmp_path / "a.nc")
    assert (tmp_path / "a.nc").stat().st_size < 60_000


def test_what_is_no_corners_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no such file"):
        load_corners(tmp_path / "none.nc")
    (tmp_path / "text.nc").write_text("corners")
    with pytest.raises(FileFormatError, match=r"text\.nc"):
        load_corners(tmp_path / "text.nc")
    xr.Dataset({"position": ("x", [1.0])}).to_netcdf(tmp_path / "other.nc")
    with pytest.raises(FileFormatError, match="without 'camera'"):
        load_corners(tmp_path / "other.nc")


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    save_corners(some_corners(), path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(FileFormatError, match=r"a\.nc"):
        load_corners(path)


def test_corners_of_another_board_than_the_one_named_are_refused(tmp_path: Path) -> None:
    dataset = some_corners()
    dataset["board_position"] = dataset["board_position"] * 2
    save_corners(dataset, tmp_path / "a.nc")
    with pytest.raises(MismatchError, match="20 corners of its board"):
        load_corners(tmp_path / "a.nc")
    some_corners().drop_attrs(deep=False).to_netcdf(tmp_path / "b.nc")
    with pytest.raises(FileFormatError, match="attribute 'board'"):
        load_corners(tmp_path / "b.nc")


def test_wrong_corners_are_not_written(tmp_path: Path) -> None:
    dataset = some_corners()
    dataset["position"][0, 0, 0, 0] = np.inf
    with pytest.raises(InvalidValueError, match="infinite"):
        save_corners(dataset, tmp_path / "a.nc")
    with pytest.raises(InvalidValueError, match="attribute 'board'"):
        save_corners(some_corners().drop_attrs(deep=False), tmp_path / "a.nc")
    with pytest.raises(OutputError, match="a folder"):
        save_corners(some_corners(), tmp_path)
    assert list(tmp_path.iterdir()) == []
