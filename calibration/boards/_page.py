"""The page that a board is printed on: what stands where, in millimeters from its upper left corner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.boards._pattern import black_rectangles, check_findable
from calibration.boards.geometry import AprilGrid, Board, Charuco
from calibration.errors import InvalidValueError

__all__ = ["PAGES", "Page", "lay_out", "millimeters"]

# width and height in mm, upright
PAGES: dict[str, tuple[float, float]] = {
    "a4": (210.0, 297.0),
    "a3": (297.0, 420.0),
    "a2": (420.0, 594.0),
    "a1": (594.0, 841.0),
    "a0": (841.0, 1189.0),
    "letter": (215.9, 279.4),
    "legal": (215.9, 355.6),
    "tabloid": (279.4, 431.8),
}
_AUTOMATIC = ("a4", "a3", "a2", "a1", "a0")
_MILLIMETERS = {"mm": 1.0, "cm": 10.0, "dm": 100.0, "m": 1000.0, "in": 25.4, "inch": 25.4, "um": 1e-3, "µm": 1e-3}

# Most printers leave 4.2 mm of every edge white.
_EDGE = 5.0
_RULER = 100.0
# Dots of a printer of 600 dpi are 0.04 mm wide, and ink runs as far. Of a square of 0.5 mm that is a twelfth of its
# edge; a cell of its marker has two dots.
_SMALLEST_SQUARE = 0.5
# Below the pattern: the ruler with its ticks, and two lines of text.
_STRIP = 20.0
_TEXT = 2.8


@dataclass(frozen=True, eq=False)
class Page:
    """A page ready to be drawn.

    Attributes:
        name: of the paper size; "custom" where it is none that has a name.
        size: width and height, mm.
        board: (4,) left, top, right, bottom of the outer edges of the pattern, mm.
        frame: (4,) the black area around an inverted pattern; empty otherwise.
        ink: (rectangle, 4) what is black; of an inverted pattern, what is white.
        marks: (rectangle, 4) the ruler, black.
        texts: left end and baseline in mm, height of the letters in mm, and the text.
    """

    name: str
    size: tuple[float, float]
    board: NDArray[np.float64]
    frame: NDArray[np.float64]
    ink: NDArray[np.float64]
    marks: NDArray[np.float64]
    texts: tuple[tuple[float, float, float, str], ...]


def millimeters(board: Board) -> float:
    """Millimeters per length unit of the board.

    Raises:
        InvalidValueError: its unit is no length that can be printed.
    """
    if board.unit not in _MILLIMETERS:
        raise InvalidValueError(
            f"{board}, unit",
            expected=f"one of {', '.join(_MILLIMETERS)}",
            got=repr(board.unit),
            remedy="Give the lengths of the board in one of these.",
        )
    return _MILLIMETERS[board.unit]


def lay_out(board: Board, page: str | None = None) -> Page:
    """A page with the board, a ruler and what the board is.

    Args:
        board: the board.
        page: name of a paper size, or WIDTHxHEIGHT in mm; the smallest of A4 to A0 that is large enough by default.

    Raises:
        InvalidValueError: the board is too large for the page, too small to be found, or the page, unit or dictionary
            is not known.
    """
    check_findable(board)
    scale = millimeters(board)
    if board.square * scale < _SMALLEST_SQUARE:
        raise InvalidValueError(
            f"{board}, square",
            expected=f"at least {_SMALLEST_SQUARE:g} mm, of which a printer can still make an edge",
            got=f"{board.square * scale:g} mm",
            remedy="Check --square and --unit; 20 to 40 mm suit an A4 page.",
        )
    pattern = scale * np.array(board.extent)
    frame = 0.25 * board.square * scale if getattr(board, "inverted", False) else 0.0
    needed = pattern + 2 * (frame + _EDGE) + [0.0, _STRIP]
    needed[0] = max(needed[0], _RULER + 2 * _EDGE)
    name, (width, height) = _choose(board, page, (float(needed[0]), float(needed[1])))
    corner = np.array([(width - pattern[0]) / 2, _EDGE + frame + (height - needed[1]) / 2])
    around = np.concatenate([corner - frame, corner + pattern + frame])
    left, below = (width - max(_RULER, min(pattern[0], width - 2 * _EDGE))) / 2, around[3]
    marks, numbers = _ruler(left, below + 3.0)
    lines = [
        (left, below + 14.0, _TEXT, _description(board)),
        (left, below + 18.0, _TEXT, f"Print at 100 % (actual size). {_check(board, pattern)}"),
    ]
    ink = black_rectangles(board) * scale + np.tile(corner, 2)
    framed = around[None] if frame else np.zeros((0, 4))
    edges = np.concatenate([corner, corner + pattern])
    return Page(name, (width, height), edges, framed, ink, marks, tuple(numbers + lines))


def _choose(board: Board, page: str | None, needed: tuple[float, float]) -> tuple[str, tuple[float, float]]:
    """The paper, lying where the board fits only so."""
    names = _AUTOMATIC if page is None else (page.lower(),)
    for name in names:
        upright = PAGES.get(name) or _custom(name)
        for size in (upright, upright[::-1]):
            if needed[0] <= size[0] + 1e-6 and needed[1] <= size[1] + 1e-6:
                return name, size
    largest = PAGES.get(names[-1]) or _custom(names[-1])
    share = max(
        min(
            (size[0] - 2 * _EDGE) / (needed[0] - 2 * _EDGE),
            (size[1] - 2 * _EDGE - _STRIP) / (needed[1] - 2 * _EDGE - _STRIP),
        )
        for size in (largest, largest[::-1])
    )
    larger = [name for name in _AUTOMATIC if max(PAGES[name]) >= max(needed) and min(PAGES[name]) >= min(needed)]
    advice = f"Take page {larger[0].upper()}, or s" if larger and page is not None else "S"
    # rounded down to a tenth, so that what is advised fits
    square = np.floor(10 * board.square * share * (1 - 1e-9)) / 10
    raise InvalidValueError(
        f"page {names[-1].upper()}",
        expected=f"room for {needed[0]:.0f} x {needed[1]:.0f} mm: the {board}, margins of {_EDGE:g} mm, and the ruler",
        got=f"{largest[0]:g} x {largest[1]:g} mm",
        remedy=f"{advice}quares of at most {square:g} {board.unit}, or fewer of them.",
    )


def _custom(name: str) -> tuple[float, float]:
    width, _, height = name.partition("x")
    try:
        size = float(width), float(height)
    except ValueError:
        size = (0.0, 0.0)
    if not all(0 < length <= 5000 for length in size):  # a PDF ends at 5080 mm
        raise InvalidValueError(
            "page",
            expected=f"one of {', '.join(PAGES)}, or WIDTHxHEIGHT in mm, as 600x400",
            got=repr(name),
            remedy="Leave it out to have it chosen.",
        )
    return size


def _ruler(left: float, top: float) -> tuple[NDArray[np.float64], list[tuple[float, float, float, str]]]:
    """A ruler of 100 mm with a tick at every millimeter; ticks are 0.2 mm wide and stand in the middle of theirs."""
    marks = [(left - 0.1, top - 0.1, left + _RULER + 0.1, top + 0.1)]
    for tick in range(int(_RULER) + 1):
        length = 4.0 if tick % 10 == 0 else 3.0 if tick % 5 == 0 else 2.0
        marks.append((left + tick - 0.1, top + 0.1, left + tick + 0.1, top + length))
    numbers = [(left + tick + 0.4, top + 6.6, 2.2, f"{tick}") for tick in range(0, int(_RULER), 10)]
    return np.array(marks), [*numbers, (left + _RULER + 0.4, top + 6.6, 2.2, "100 mm")]


def _description(board: Board) -> str:
    parts = [str(board)]
    if isinstance(board, Charuco):
        parts += [f"marker {board.marker:g} {board.unit}", board.dictionary]
        parts += ["legacy pattern"] * board.legacy + ["inverted"] * board.inverted
    if isinstance(board, AprilGrid):
        parts += [f"spacing {board.spacing:g}", board.dictionary, f"ids from {board.first_id}"]
        parts += ["inverted"] * board.inverted
    return ", ".join(parts)


def _check(board: Board, pattern: NDArray[np.float64]) -> str:
    what = "Outer edges of the pattern" if isinstance(board, AprilGrid) else "All squares together"
    return f"{what}: {pattern[0]:g} x {pattern[1]:g} mm."
