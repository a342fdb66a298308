"""Printing boards at true scale, as PDF or PNG, with a ruler to check the print with and a file that says what it is.

The PDF is made of rectangles in millimeters, so it has no resolution; it asks viewers not to scale it. The PNG says
its dots per inch. What a printer driver makes of that is measured with the ruler.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.boards._drawing import cover, draw_board, draw_detection
from calibration.boards._page import PAGES, Page, lay_out, millimeters
from calibration.boards.files import save_board
from calibration.boards.geometry import Board
from calibration.errors import InvalidValueError
from calibration.files import atomic_path

__all__ = ["PAGES", "Printout", "draw_board", "draw_detection", "millimeters", "write_board_pdf", "write_board_png"]

_POINT = 72 / 25.4
_LARGEST_PICTURE = 200_000_000


@dataclass(frozen=True)
class Printout:
    """A board that was made ready for the printer.

    Attributes:
        board: the board.
        path: the file to print.
        board_path: the file beside it that says what the board is, for `load_board`.
        page: name of the paper size.
        page_size: width and height of the paper as the board lies on it, mm.
        pattern_size: width and height of the pattern, outer edge to outer edge, mm.
        dpi: dots per inch of a PNG; None for a PDF.
    """

    board: Board
    path: Path
    board_path: Path
    page: str
    page_size: tuple[float, float]
    pattern_size: tuple[float, float]
    dpi: float | None = None


def write_board_pdf(board: Board, path: str | os.PathLike[str], *, page: str | None = None) -> Printout:
    """Write a board as PDF of one page at true scale, and its board file beside it.

    Args:
        board: the board.
        path: the PDF to write; the board file has the same name with `.toml`.
        page: name of a paper size (`PAGES`), or WIDTHxHEIGHT in mm; the smallest of A4 to A0 that holds the board by
            default. It lies where the board fits only so.

    Raises:
        InvalidValueError: the board is too large for the page, or its unit or dictionary is not known.
        OutputError: a file cannot be written.
    """
    layout = lay_out(board, page)
    with atomic_path(path) as partial:
        partial.write_bytes(_pdf(layout))
    return _finished(board, Path(path), layout, None)


def write_board_png(
    board: Board, path: str | os.PathLike[str], *, page: str | None = None, dpi: float = 300.0
) -> Printout:
    """Write a board as PNG of a page at true scale, and its board file beside it.

    Args:
        board: the board.
        path: the PNG to write; the board file has the same name with `.toml`.
        page: see `write_board_pdf`.
        dpi: dots per inch, which the file says too.

    Raises:
        InvalidValueError: see `write_board_pdf`; or the resolution is not above 20 dpi, or too high for the page.
        OutputError: a file cannot be written.
    """
    layout = lay_out(board, page)
    # the file counts whole pixels per meter, and that is what the picture is drawn by
    per_meter = round(dpi / 0.0254) if 20 <= dpi < 1e6 else 0
    width, height = (round(length * per_meter / 1000) for length in layout.size)
    if not 0 < width * height <= _LARGEST_PICTURE:
        raise InvalidValueError(
            f"dpi of a page of {layout.size[0]:g} x {layout.size[1]:g} mm",
            expected="from 20, and at most 200 million dots",
            got=f"{dpi:g}",
            remedy="Take another resolution, or a PDF, which has none.",
        )
    data = _png(_raster(layout, per_meter / 1000, (height, width)), per_meter)
    with atomic_path(path) as partial:
        partial.write_bytes(data)
    return _finished(board, Path(path), layout, dpi)


def _finished(board: Board, path: Path, layout: Page, dpi: float | None) -> Printout:
    board_path = path.with_suffix(".toml")
    save_board(board, board_path)
    left, top, right, bottom = (float(edge) for edge in layout.board)
    return Printout(board, path, board_path, layout.name, layout.size, (right - left, bottom - top), dpi)


def _pdf(page: Page) -> bytes:
    """A PDF of rectangles and text in the standard font that all viewers have. The same page gives the same bytes."""
    width, height = page.size
    # millimeters from the upper left corner from here on
    parts = [f"{_POINT:.9f} 0 0 {-_POINT:.9f} 0 {height * _POINT:.6f} cm"]
    if len(page.frame):
        parts += ["0 g", *_paths(page.frame), "1 g", *_paths(page.ink)]
    else:
        parts += ["0 g", *_paths(page.ink)]
    parts += ["0 g", *_paths(page.marks)]
    for left, baseline, size, text in page.texts:
        safe = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        # letters are about 0.72 of the size of a font
        parts.append(f"BT /F {size / 0.72:.4f} Tf 1 0 0 -1 {left:.4f} {baseline:.4f} Tm ({safe}) Tj ET")
    content = "\n".join(parts).encode("latin-1", "replace")
    box = f"[0 0 {width * _POINT:.6f} {height * _POINT:.6f}]"
    fonts = "/Resources << /Font << /F 5 0 R >> >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /ViewerPreferences << /PrintScaling /None >> >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox {box} /Contents 4 0 R {fonts} >>".encode(),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    data, places = b"%PDF-1.6\n%\xe2\xe3\xcf\xd3\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    return data + end + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(data))


def _paths(rectangles: NDArray[np.float64]) -> list[str]:
    """All rectangles as one area, so that no hairlines show between neighbors."""
    lines = [f"{x0:.5f} {y0:.5f} {x1 - x0:.5f} {y1 - y0:.5f} re" for x0, y0, x1, y1 in rectangles]
    return [*lines, "f"]


def _raster(page: Page, scale: float, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """(height, width) the page at so many pixels per millimeter."""
    paper = np.full(shape, 255, dtype=np.uint8)
    left, top = np.maximum(np.floor(page.board[:2] * scale).astype(int) - 1, 0)
    right, bottom = np.ceil(page.board[2:] * scale).astype(int) + 1
    ink = cover(page.ink * scale - [left, top, left, top], (bottom - top, right - left))
    if len(page.frame):
        frame = cover(page.frame * scale, shape)
        paper = 255 - np.rint(255 * frame).astype(np.uint8)
        paper[top:bottom, left:right] += np.rint(255 * ink).astype(np.uint8)
    else:
        paper[top:bottom, left:right] -= np.rint(255 * ink).astype(np.uint8)
    paper = np.minimum(paper, 255 - np.rint(255 * cover(page.marks * scale, shape)).astype(np.uint8))
    for x, y, size, text in page.texts:
        # letters of this font are 21 units high at scale 1
        cv2.putText(
            paper,
            text,
            (round(x * scale), round(y * scale)),
            cv2.FONT_HERSHEY_SIMPLEX,
            size * scale / 21,
            0,
            max(1, round(size * scale / 12)),
            cv2.LINE_AA,
        )
    return paper


def _png(image: NDArray[np.uint8], per_meter: int) -> bytes:
    """A PNG that says how many pixels a meter has."""
    done, encoded = cv2.imencode(".png", image)
    assert done
    data = encoded.tobytes()
    body = b"pHYs" + struct.pack(">IIB", per_meter, per_meter, 1)
    chunk = struct.pack(">I", 9) + body + struct.pack(">I", zlib.crc32(body))
    header = 8 + 25  # signature and IHDR
    return data[:header] + chunk + data[header:]
