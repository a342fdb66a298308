"""What is printed black on a board, as rectangles: the one description that pictures and print files are made from."""

from __future__ import annotations

import difflib

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.boards.geometry import AprilGrid, Board, Charuco, Chessboard
from calibration.errors import InvalidValueError

__all__ = [
    "black_rectangles",
    "check_findable",
    "check_markers",
    "dictionary_names",
    "dictionary_of",
    "marker_border",
    "marker_ids",
    "marker_squares",
]


def dictionary_names() -> tuple[str, ...]:
    """OpenCV's names of its dictionaries; of two spellings of one name the mixed one."""
    names = [name for name in dir(cv2.aruco) if name.startswith("DICT_")]
    by_value = {getattr(cv2.aruco, name): name for name in sorted(names)}
    return tuple(sorted(by_value.values()))


def dictionary_of(name: str) -> cv2.aruco.Dictionary:
    """The dictionary of that name.

    Raises:
        InvalidValueError: OpenCV knows none of that name.
    """
    value = getattr(cv2.aruco, name, None) if name.startswith("DICT_") else None
    if value is None:
        near = difflib.get_close_matches(name, dictionary_names(), n=3, cutoff=0.3)
        raise InvalidValueError(
            "dictionary",
            expected="a dictionary that OpenCV knows",
            got=repr(name),
            remedy=f"Near are {', '.join(near or dictionary_names())}.",
        )
    return cv2.aruco.getPredefinedDictionary(value)


def check_markers(board: Board) -> None:
    """See that the dictionary of a board has as many markers as the board.

    Raises:
        InvalidValueError: it has fewer, or OpenCV does not know it.
    """
    if not isinstance(board, Charuco | AprilGrid):
        return
    needed = sum(marker_ids(board))
    has = len(dictionary_of(board.dictionary).bytesList)
    if has < needed:
        raise InvalidValueError(
            f"{board}, dictionary {board.dictionary}",
            expected=f"at least {needed} markers",
            got=str(has),
            remedy=_larger(board.dictionary, needed),
        )


def check_findable(board: Board) -> None:
    """See that finders can find a board: that a chessboard has four squares each way, and markers are enough.

    Raises:
        InvalidValueError: they cannot.
    """
    check_markers(board)
    if isinstance(board, Chessboard) and min(board.columns, board.rows) < 4:
        raise InvalidValueError(
            str(board),
            expected="at least 4 squares each way, of which smaller chessboards cannot be told from other things",
            got=f"{board.columns} x {board.rows}",
            remedy="Take a larger chessboard, or a charuco, which may be as small as 3 x 3.",
        )


def marker_ids(board: Charuco | AprilGrid) -> tuple[int, int]:
    """The lowest id of the markers of a board, and their number."""
    if isinstance(board, Charuco):
        return 0, len(marker_squares(board))
    return board.first_id, board.columns * board.rows


def marker_squares(board: Charuco) -> NDArray[np.intp]:
    """(marker, 2) column and row of the squares with a marker, in the order of their ids: row by row."""
    row, column = np.mgrid[: board.rows, : board.columns]
    # OpenCV before 4.6 began with a white square where the number of rows is even, and still does when told so.
    white = (row + column) % 2 == (0 if board.legacy and board.rows % 2 == 0 else 1)
    return np.stack([column[white], row[white]], axis=-1)


def marker_border(dictionary: str) -> int:
    """Width in cells of the black border of a tag of an AprilGrid: Kalibr prints AprilTags with two, not one."""
    return 2 if dictionary.startswith("DICT_APRILTAG") else 1


def black_rectangles(board: Board) -> NDArray[np.float64]:
    """(rectangle, 4) left, top, right, bottom of all that is black, from the upper left outer corner of the pattern.

    No two of them overlap. Of an inverted board these are the white ones.

    Raises:
        InvalidValueError: the dictionary has too few markers, or OpenCV does not know it.
    """
    check_markers(board)
    if isinstance(board, AprilGrid):
        return _aprilgrid(board)
    legacy_white = isinstance(board, Charuco) and board.legacy and board.rows % 2 == 0
    row, column = np.mgrid[: board.rows, : board.columns]
    black = (row + column) % 2 == (1 if legacy_white else 0)
    squares = _rectangles(board.square * np.stack([column[black], row[black]], axis=-1), board.square)
    if not isinstance(board, Charuco):
        return squares
    dictionary = dictionary_of(board.dictionary)
    start = board.square * marker_squares(board) + (board.square - board.marker) / 2
    markers = [_cells(dictionary, number, 1, board.marker, corner) for number, corner in enumerate(start)]
    return np.concatenate([squares, *markers])


def _aprilgrid(board: AprilGrid) -> NDArray[np.float64]:
    """The tags, and the squares where their gaps cross."""
    dictionary = dictionary_of(board.dictionary)
    gap, step = board.square * board.spacing, board.square * (1 + board.spacing)
    row, column = np.mgrid[: board.rows + 1, : board.columns + 1]
    parts = [_rectangles(step * np.stack([column.ravel(), row.ravel()], axis=-1), gap)]
    for number in range(board.columns * board.rows):
        up, right = divmod(number, board.columns)  # ids grow from the lower left
        corner = gap + step * np.array([right, board.rows - 1 - up], dtype=np.float64)
        border = marker_border(board.dictionary)
        # Kalibr's tags stand on their heads as seen by OpenCV.
        parts.append(_cells(dictionary, board.first_id + number, border, board.square, corner, turned=border == 2))
    return np.concatenate(parts)


def _cells(
    dictionary: cv2.aruco.Dictionary,
    number: int,
    border: int,
    edge: float,
    corner: NDArray[np.float64],
    turned: bool = False,
) -> NDArray[np.float64]:
    """The black cells of a marker; those side by side in a row are one rectangle."""
    count = dictionary.markerSize + 2 * border
    picture = dictionary.generateImageMarker(number, count, borderBits=border)
    black = np.pad(np.rot90(picture, 2 if turned else 0) == 0, ((0, 0), (1, 1)))
    change = np.diff(black.astype(np.int8), axis=1)
    row, begin = np.nonzero(change == 1)
    end = np.nonzero(change == -1)[1]
    cell = edge / count
    return np.asarray(np.stack([begin, row, end, row + 1], axis=-1) * cell + np.tile(corner, 2), dtype=np.float64)


def _rectangles(corner: NDArray[np.float64], edge: float) -> NDArray[np.float64]:
    return np.concatenate([corner, corner + edge], axis=-1)


def _larger(name: str, needed: int) -> str:
    """Which dictionary would do: one with markers of the same number of cells, or else any."""
    family = name.rpartition("_")[0]
    sizes = {other: len(dictionary_of(other).bytesList) for other in dictionary_names()}
    fit = sorted((size, other) for other, size in sizes.items() if size >= needed)
    same = [other for _, other in fit if other.startswith(family)]
    if not fit:
        return "Make the board smaller; no dictionary has as many."
    return f"Take {(same or [other for _, other in fit])[0]}, or make the board smaller."
