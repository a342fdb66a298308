"""`pose3d board`: the files it makes, what it says, and what it refuses."""

import json
from pathlib import Path

import pytest

from calibration.boards import AprilGrid, Charuco, Chessboard, load_board
from pose3d.cli import main


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


def test_the_example_of_the_help_makes_a_pdf_and_a_board_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "board.pdf"
    command = ["board", "--type", "charuco", "--columns", 8, "--rows", 11, "--square", 24, "-o", path]
    assert run(*command) == 0
    assert path.read_bytes().startswith(b"%PDF")
    assert load_board(tmp_path / "board.toml") == Charuco(8, 11, 24.0)
    out, err = capsys.readouterr()
    assert err == ""
    assert "charuco of 8 x 11, 24 mm: 70 corners, 7 x 10 between the squares" in out
    assert "A4, 210 x 297 mm" in out
    assert "DICT_4X4_50" in out
    assert "How to film it" in out
    assert "30 to 60 s" in out
    assert "Lock focus" in out


def test_all_options_reach_the_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.png"
    options = ["--marker", 1.5, "--dictionary", "DICT_5X5_100", "--legacy", "--inverted", "--unit", "cm"]
    command = ["board", "--columns", 6, "--rows", 8, "--square", 2, *options, "--page", "letter", "--dpi", 100]
    assert run(*command, "-o", path, "--json") == 0
    expected = Charuco(6, 8, 2.0, "cm", marker=1.5, dictionary="DICT_5X5_100", legacy=True, inverted=True)
    assert load_board(tmp_path / "a.toml") == expected
    summary = json.loads(capsys.readouterr().out)
    assert summary["board"]["type"] == "charuco"
    assert summary["page"] == "letter"
    assert summary["pattern_size_mm"] == [120.0, 160.0]
    assert summary["dpi"] == 100.0
    assert summary["warnings"] == []
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_dictionary_is_the_smallest_that_has_enough_markers(tmp_path: Path) -> None:
    assert run("board", "--columns", 14, "--rows", 19, "--square", 10, "-o", tmp_path / "b.pdf") == 0
    assert load_board(tmp_path / "b.toml") == Charuco(14, 19, 10.0, dictionary="DICT_4X4_250")


def test_an_aprilgrid(tmp_path: Path) -> None:
    options = ["--type", "aprilgrid", "--columns", 5, "--rows", 4, "--square", 30, "--spacing", 0.25, "--first-id", 3]
    assert run("board", *options, "-o", tmp_path / "b.pdf") == 0
    assert load_board(tmp_path / "b.toml") == AprilGrid(5, 4, 30.0, spacing=0.25, first_id=3)


def test_a_symmetric_chessboard_is_made_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--type", "chessboard", "--rows", 7, "--square", 20]
    assert run("board", *options, "--columns", 9, "-o", tmp_path / "b.pdf") == 0
    assert load_board(tmp_path / "b.toml") == Chessboard(9, 7, 20.0)
    warning = capsys.readouterr().err
    assert "Warning" in warning
    assert "Make it 10 x 7, or a charuco" in warning
    assert run("board", *options, "--columns", 10, "-o", tmp_path / "told.pdf") == 0
    assert "Warning" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--columns", 20, "--rows", 11, "--dictionary", "DICT_4X4_50"], 1, "Take DICT_4X4_250"),
        (["--columns", 8, "--rows", 11, "--dictionary", "4X4"], 1, "a name as DICT_4X4_50"),
        (["--columns", 8, "--rows", 11, "--square", 30, "--page", "A4"], 1, "Take page A3"),
        (["--columns", 1, "--rows", 11], 1, "a whole number from 2"),
        (["--columns", 8, "--rows", 11, "--unit", "parsec"], 1, "one of mm"),
        (["--columns", 8, "--rows", 11, "--type", "chessboard", "--marker", 3], 2, "--marker belongs to charuco"),
        (["--columns", 8, "--rows", 11, "--spacing", 0.3], 2, "--spacing belongs to aprilgrid"),
        (["--columns", 8, "--rows", 11, "--square", -3], 2, "--square"),
        (["--columns", 8], 2, "--rows"),
    ],
)
def test_what_cannot_be_made_leaves_no_file(
    options: list[object], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    square = [] if "--square" in options else ["--square", 5]
    assert run("board", *square, *options, "-o", tmp_path / "b.pdf") == code
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["b.svg", "b.toml", "b"])
def test_other_files_than_pdf_and_png_are_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("board", "--columns", 8, "--rows", 11, "--square", 5, "-o", tmp_path / name) == 2
    assert "name a .pdf or a .png" in capsys.readouterr().err


def test_the_file_of_another_board_is_replaced_only_when_that_is_said(tmp_path, capsys):
    output = tmp_path / "board.pdf"
    words = ("board", "--type", "charuco", "--rows", "11", "--square", "24", "-o", output)
    assert run(*words, "--columns", "8") == 0
    assert run(*words, "--columns", "8") == 0
    before = (tmp_path / "board.toml").read_bytes()
    assert run(*words, "--columns", "6") == 1
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "board.toml").read_bytes() == before
    assert run(*words, "--columns", "6", "--force") == 0
    assert (tmp_path / "board.toml").read_bytes() != before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--square", 2], "Squares of 2 mm are very small: a tenth of a millimeter in the print is 5 %"),
        (["--square", 200, "--page", "1700x2300"], "larger than A0"),
    ],
)
def test_a_board_that_is_hardly_printed_is_made_with_a_warning(
    options: list[object], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("board", "--columns", 8, "--rows", 11, *options, "-o", tmp_path / "b.pdf") == 0
    assert said in " ".join(capsys.readouterr().err.split())


def test_squares_that_no_printer_can_make_are_refused_with_what_to_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("board", "--columns", 8, "--rows", 11, "--square", 0.01, "-o", tmp_path / "b.pdf") == 1
    shown = " ".join(capsys.readouterr().err.split())
    assert "expected: at least 0.5 mm" in shown
    assert "Check --square and --unit" in shown
    assert list(tmp_path.iterdir()) == []


def test_a_dictionary_that_does_not_exist_is_told_with_those_that_are_near(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("board", "--columns", 8, "--rows", 11, "--square", 24, "-o", tmp_path / "b.pdf")
    assert run(*words, "--dictionary", "DICT_4X4_60") == 1
    assert "DICT_4X4_50" in capsys.readouterr().err
