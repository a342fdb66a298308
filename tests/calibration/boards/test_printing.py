"""Printed boards: their scale, read from the files themselves, and that what is printed is found again."""

import re
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.boards import (
    AprilGrid,
    Board,
    Charuco,
    Chessboard,
    detect_board,
    load_board,
    write_board_pdf,
    write_board_png,
)
from calibration.boards._drawing import cover
from calibration.errors import InvalidValueError, OutputError

BOARDS = [
    Chessboard(10, 7, 25.0),
    Charuco(8, 11, 24.0),
    Charuco(8, 10, 24.0, legacy=True),
    Charuco(5, 4, 3.0, "cm", inverted=True, dictionary="DICT_6X6_1000"),
    AprilGrid(6, 6, 24.0),
    AprilGrid(4, 5, 24.0, inverted=True, first_id=7, dictionary="DICT_APRILTAG_16h5"),
]
_POINT = 25.4 / 72
Drawn = tuple[NDArray[np.float64], list[tuple[float, NDArray[np.float64]]], list[str]]


def _read_pdf(path: Path) -> Drawn:
    """Page size in mm; areas in the order they are painted, as gray and (n, 4) rectangles in mm; texts."""
    data = path.read_bytes()
    assert data.startswith(b"%PDF-1.6")
    box = re.search(rb"/MediaBox \[([^]]*)\]", data)
    stream = re.search(rb"stream\n(.*?)\nendstream", data, re.DOTALL)
    assert box is not None
    assert stream is not None
    size = np.array([float(word) for word in box[1].split()[2:]]) * _POINT
    matrix: NDArray[np.float64] | None = None
    gray, pending, areas, texts = 0.0, [], [], []
    for line in stream[1].decode("latin-1").splitlines():
        words = line.split()
        if words[-1] == "cm":
            matrix = np.array(words[:6], dtype=float).reshape(3, 2)
        elif words[-1] == "g":
            gray = float(words[0])
        elif words[-1] == "re":
            pending.append([float(word) for word in words[:4]])
        elif words[-1] == "f":
            x, y, width, height = np.array(pending).T
            assert matrix is not None
            corners = np.stack([np.stack([x, y]), np.stack([x + width, y + height])]).transpose(0, 2, 1)
            points = (corners @ matrix[:2] + matrix[2]) * _POINT
            points[..., 1] = size[1] - points[..., 1]  # from the top, as in pictures
            areas.append((gray, np.concatenate([points[0], points[1]], axis=1)))
            pending = []
        else:
            found = re.search(r"\((.*)\) Tj", line)
            assert found is not None
            texts.append(found[1].replace("\\(", "(").replace("\\)", ")"))
    return size, areas, texts


def _pixels(drawn: Drawn, scale: float) -> NDArray[np.uint8]:
    """A PDF as a viewer shows it, at so many pixels per mm."""
    size, areas, _ = drawn
    shape = (round(size[1] * scale), round(size[0] * scale))
    paper = np.ones(shape, dtype=np.float32)
    for gray, rectangles in areas:
        share = cover(rectangles * scale, shape)
        paper += share * (gray - paper)
    return np.rint(255 * paper).astype(np.uint8)


def _as_camera(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """No lens makes edges as hard as a printer does."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.7), dtype=np.uint8)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: f"{board}-{getattr(board, 'dictionary', '')}")
def test_a_pdf_has_its_true_scale_and_is_found_again(board: Board, tmp_path: Path) -> None:
    printout = write_board_pdf(board, tmp_path / "board.pdf")
    assert load_board(printout.board_path) == board
    drawn = _read_pdf(printout.path)
    np.testing.assert_allclose(drawn[0], printout.page_size, atol=1e-4)
    pixels_per_mm = 6.0
    detection = detect_board(_as_camera(_pixels(drawn, pixels_per_mm)), board)
    assert detection.found, detection
    assert detection.seen.all()
    # distances between all corners in millimeters
    unit = 10.0 if board.unit == "cm" else 1.0
    found = (detection.position + 0.5) / pixels_per_mm
    printed = board.points[:, :2] * unit
    offset = found - printed
    assert np.abs(offset - offset.mean(axis=0)).max() < 0.015


def test_the_ruler_of_a_pdf_is_100_mm_long(tmp_path: Path) -> None:
    _, areas, texts = _read_pdf(write_board_pdf(BOARDS[0], tmp_path / "board.pdf").path)
    gray, marks = areas[-1]
    assert gray == 0.0
    ticks = marks[1:]
    middle = (ticks[:, 0] + ticks[:, 2]) / 2
    np.testing.assert_allclose(middle - middle[0], np.arange(101), atol=2e-5)
    assert "100 mm" in texts
    assert any("chessboard of 10 x 7, 25 mm" in text for text in texts)
    assert any("Print at 100 %" in text and "250 x 175 mm" in text for text in texts)


def test_viewers_are_asked_not_to_scale(tmp_path: Path) -> None:
    assert b"/PrintScaling /None" in write_board_pdf(BOARDS[0], tmp_path / "board.pdf").path.read_bytes()


def test_a_pdf_says_where_its_objects_are(tmp_path: Path) -> None:
    data = write_board_pdf(BOARDS[1], tmp_path / "board.pdf").path.read_bytes()
    start = int(data.rsplit(b"startxref\n", 1)[1].split()[0])
    assert data[start:].startswith(b"xref\n0 6\n")
    places = [int(line[:10]) for line in data[start:].splitlines()[3:8]]
    for number, place in enumerate(places, start=1):
        assert data[place:].startswith(b"%d 0 obj" % number)
    stream = re.search(rb"/Length (\d+) >>\nstream\n(.*?)\nendstream", data, re.DOTALL)
    assert stream is not None
    assert int(stream[1]) == len(stream[2])


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: f"{board}-{getattr(board, 'dictionary', '')}")
def test_a_png_says_its_resolution_and_is_found_again(board: Board, tmp_path: Path) -> None:
    printout = write_board_png(board, tmp_path / "board.png", dpi=130.0)
    data = printout.path.read_bytes()
    place = data.index(b"pHYs")
    x, y, in_meters = struct.unpack(">IIB", data[place + 4 : place + 13])
    assert (x, y, in_meters) == (round(130 / 0.0254), round(130 / 0.0254), 1)
    assert zlib.crc32(data[place : place + 13]) == struct.unpack(">I", data[place + 13 : place + 17])[0]
    image = cv2.imread(str(printout.path), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    assert image.shape[::-1] == tuple(round(length * x / 1000) for length in printout.page_size)
    detection = detect_board(_as_camera(image), board)
    assert detection.found, detection
    assert detection.seen.all()
    unit = 10.0 if board.unit == "cm" else 1.0
    offset = detection.position / (x / 1000) - board.points[:, :2] * unit
    assert np.abs(offset - offset.mean(axis=0)).max() < 0.02


def test_the_same_board_gives_the_same_bytes(tmp_path: Path) -> None:
    for write, name in ((write_board_pdf, "a.pdf"), (write_board_png, "a.png")):
        first = write(BOARDS[4], tmp_path / name).path.read_bytes()
        assert write(BOARDS[4], tmp_path / f"again-{name}").path.read_bytes() == first


@pytest.mark.parametrize(
    ("board", "page", "name", "size"),
    [
        (Charuco(8, 11, 24.0), None, "a4", (210.0, 297.0)),
        (Chessboard(11, 8, 22.0), None, "a4", (297.0, 210.0)),
        (Charuco(8, 11, 30.0), None, "a3", (297.0, 420.0)),
        (Charuco(8, 11, 54.0), None, "a1", (594.0, 841.0)),
        (Chessboard(5, 4, 5.0), None, "a4", (210.0, 297.0)),
        (Chessboard(10, 7, 25.0), "Letter", "letter", (279.4, 215.9)),
        (Chessboard(10, 7, 25.0), "600x400", "600x400", (600.0, 400.0)),
    ],
)
def test_the_page_is_the_smallest_that_holds_the_board(
    board: Board, page: str | None, name: str, size: tuple[float, float], tmp_path: Path
) -> None:
    printout = write_board_pdf(board, tmp_path / "board.pdf", page=page)
    assert (printout.page, printout.page_size) == (name, size)
    _, areas, _ = _read_pdf(printout.path)
    everything = np.concatenate([rectangles for _, rectangles in areas])
    assert (everything[:, :2] >= 4.5).all()
    assert (everything[:, 2:] <= np.array(size) - 4.5).all()


def test_a_board_that_does_not_fit_says_what_would(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=r"Take page A3, or squares of at most 24\.2 mm") as caught:
        write_board_pdf(Charuco(8, 11, 30.0), tmp_path / "board.pdf", page="A4")
    assert not list(tmp_path.iterdir())
    largest = float(re.findall(r"at most ([\d.]+) mm", str(caught.value))[0])
    write_board_pdf(Charuco(8, 11, largest), tmp_path / "board.pdf", page="A4")
    with pytest.raises(InvalidValueError, match="page A0"):
        write_board_pdf(Charuco(8, 11, 200.0), tmp_path / "board.pdf")


@pytest.mark.parametrize(
    ("page", "dpi", "message"),
    [
        ("A9", 300.0, "one of a4"),
        ("0x10", 300.0, "WIDTHxHEIGHT"),
        ("A4", 10.0, "from 20"),
        ("A4", float("nan"), "from 20"),
        ("A0", 600.0, "200 million dots"),
    ],
)
def test_pages_and_resolutions_that_make_no_sense(page: str, dpi: float, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=message):
        write_board_png(Chessboard(5, 4, 10.0), tmp_path / "board.png", page=page, dpi=dpi)
    assert not list(tmp_path.iterdir())


def test_a_board_that_nobody_finds_is_not_printed(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="at least 4 squares each way"):
        write_board_pdf(Chessboard(9, 3, 10.0), tmp_path / "board.pdf")


def test_a_unit_that_is_no_length_cannot_be_printed(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="unit: expected one of mm"):
        write_board_pdf(Chessboard(5, 4, 10.0, "squares"), tmp_path / "board.pdf")


def test_a_print_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_board_pdf(BOARDS[0], tmp_path)
