"""Board files: round trips, what other tools write, and messages for what is wrong."""

from pathlib import Path

import pytest

from calibration.boards import AprilGrid, Board, Charuco, Chessboard, load_board, save_board
from calibration.errors import FileFormatError, OutputError, SuiteWarning

BOARDS = [
    Chessboard(10, 7, 30.0),
    Chessboard(5, 8, 0.06, "m"),
    Charuco(8, 10, 24.0, marker=18.75, dictionary="DICT_5X5_100", legacy=True, inverted=True),
    AprilGrid(6, 5, 88.0, spacing=0.25, dictionary="DICT_APRILTAG_25h9", first_id=4, inverted=True),
]


@pytest.mark.parametrize("board", BOARDS, ids=str)
def test_a_board_is_the_same_after_writing_and_reading(board: Board, tmp_path: Path) -> None:
    save_board(board, tmp_path / "board.toml")
    assert load_board(tmp_path / "board.toml") == board
    again = tmp_path / "again.toml"
    save_board(load_board(tmp_path / "board.toml"), again)
    assert again.read_bytes() == (tmp_path / "board.toml").read_bytes()


def _load(text: str, folder: Path) -> Board:
    path = folder / "board.toml"
    path.write_text(text, encoding="utf-8")
    return load_board(path)


def test_what_is_not_said_is_the_default(tmp_path: Path) -> None:
    text = 'type = "charuco"\ncolumns = 8\nrows = 11\nsquare = 24\n'
    assert _load(text, tmp_path) == _load("[board]\n" + text, tmp_path) == Charuco(8, 11, 24.0)


def test_a_chessboard_may_be_counted_by_its_inner_corners(tmp_path: Path) -> None:
    text = 'type = "chessboard"\ninner_columns = 9\ninner_rows = 6\nsquare = 30\n'
    assert _load(text, tmp_path) == Chessboard(10, 7, 30.0)
    with pytest.raises(FileFormatError, match="either columns or inner_columns"):
        _load(text + "columns = 9\n", tmp_path)


def test_caliscopes_board_is_in_millimeters(tmp_path: Path) -> None:
    text = 'columns = 4\nrows = 5\ndictionary = "DICT_4X4_1000"\naruco_scale = 0.75\ninverted = true\nunits = "inch"\n'
    expected = Charuco(4, 5, 54.0, marker=40.5, dictionary="DICT_4X4_1000", inverted=True)
    assert _load(text + "square_size_override_cm = 5.4\n", tmp_path) == expected
    legacy = _load(text + "square_size_override_cm = 5.4\nlegacy_pattern = true\n", tmp_path)
    assert isinstance(legacy, Charuco)
    assert legacy.legacy
    with pytest.raises(FileFormatError, match="square_size_override_cm = a number, got nothing"):
        _load(text, tmp_path)


def test_sleap_aniposes_board_is_a_charuco_or_a_chessboard(tmp_path: Path) -> None:
    text = "board_x = 8\nboard_y = 11\nsquare_length = 24.0\n"
    assert _load(text, tmp_path) == Chessboard(8, 11, 24.0)
    markers = "marker_length = 18.75\nmarker_bits = 4\ndict_size = 1000\n"
    assert _load(text + markers, tmp_path) == Charuco(8, 11, 24.0, marker=18.75, dictionary="DICT_4X4_1000")
    with pytest.warns(SuiteWarning, match="whether the upper left square is black"):
        board = _load(text.replace("11", "10") + markers, tmp_path)
    assert board == Charuco(8, 10, 24.0, marker=18.75, dictionary="DICT_4X4_1000")


CHARUCO = 'type = "charuco"\ncolumns = 8\nrows = 11\nsquare = 24\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("columns = 8\nrows = 11\nsquare = 24\n", "expected type = one of chessboard, charuco, aprilgrid, got no type"),
        (CHARUCO.replace("charuco", "circles"), "got 'circles'"),
        (CHARUCO.replace("charuco", "3"), "got '3'"),
        (CHARUCO.replace("columns = 8\n", ""), "got no columns"),
        (CHARUCO + "merker = 18\n", "got 'merker'. Did you mean 'marker'?"),
        (CHARUCO + "color = 18\n", "got 'color'. Remove it."),
        (CHARUCO + "inner_rows = 18\n", "got 'inner_rows'"),
        (CHARUCO.replace("8", "8.5"), "expected columns = a whole number, got 8.5"),
        (CHARUCO.replace("24", '"24"'), "expected square = a number, got '24'"),
        (CHARUCO.replace("24", "true"), "expected square = a number, got True"),
        (CHARUCO.replace("24", "-24"), "charuco, square: expected a positive length in mm"),
        (CHARUCO + "legacy = 1\n", "expected legacy = true or false, got 1"),
        (CHARUCO + "unit = 3\n", "expected unit = text in quotes, got 3"),
        (CHARUCO + "marker = 30\n", "charuco, marker: expected a length below the square"),
        (CHARUCO + 'dictionary = "DICT_4X4_51"\n', "expected a dictionary that OpenCV knows"),
        (CHARUCO.replace("8", "80"), "at least 440 markers, got 50. Take DICT_4X4_1000"),
        ("board = 3\n", "expected a table [board], got 3"),
        ("columns = = 8\n", "expected a TOML file"),
        ("", "got no type"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError) as caught:
        _load(text, tmp_path)
    assert message in str(caught.value)
    assert str(tmp_path / "board.toml") in str(caught.value)


def test_no_file_a_folder_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="No such file"):
        load_board(tmp_path / "none.toml")
    with pytest.raises(FileFormatError, match="expected a board file"):
        load_board(tmp_path)
    (tmp_path / "video.toml").write_bytes(b"\xff\xfe\x00\x01" * 100)
    with pytest.raises(FileFormatError, match="expected a TOML file"):
        load_board(tmp_path / "video.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(FileFormatError, match="more than 1 MB"):
        load_board(tmp_path / "large.toml")


def test_a_board_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        save_board(BOARDS[0], tmp_path)
