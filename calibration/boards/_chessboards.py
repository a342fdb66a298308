"""Chessboards in an image: finding the corners, and telling in which of the possible orders they are."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.boards._refinement import expected, local_shape, refine, sampled
from calibration.boards.geometry import Chessboard

__all__ = ["continues", "find_fast", "find_larger", "find_thorough", "in_order"]

# Beyond the last corner there is another one if the step from black to white is this share of what is usual.
_GOES_ON = 0.4


def find_fast(image: NDArray[np.uint8], board: Chessboard) -> NDArray[np.float64] | None:
    """(corner, 2) px in one of the possible orders, by the finder of quadrangles; None where there is no board.

    Every speck of noise is a contour to it: a dark picture of 1280 x 720 px takes 0.4 s, smoothed 0.01 s, and no board
    is lost.
    """
    flags = cv2.CALIB_CB_ADAPTIVE_THRESH | cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_FAST_CHECK
    found, corners = cv2.findChessboardCorners(cv2.GaussianBlur(image, (0, 0), 0.8), _size(board), flags=flags)
    return corners.reshape(-1, 2).astype(np.float64) if found else None


def find_thorough(image: NDArray[np.uint8], board: Chessboard) -> NDArray[np.float64] | None:
    """As `find_fast`, by the sector-based finder: it stands blur, noise, glare and small squares, and takes 0.2 s."""
    found, corners = cv2.findChessboardCornersSB(image, _size(board), flags=cv2.CALIB_CB_NORMALIZE_IMAGE)
    return corners.reshape(-1, 2).astype(np.float64) if found else None


def find_larger(image: NDArray[np.uint8]) -> tuple[int, int] | None:
    """Columns and rows of squares of the chessboard in an image, whatever its size; None where there is none."""
    flags = cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_LARGER
    found, corners, _ = cv2.findChessboardCornersSBWithMeta(image, (3, 3), flags)
    if not found:
        return None
    # the finder gives the rows one after the other, and does not say how long they are: the longest stretch is that
    # from the end of one row to the beginning of the next
    grid = np.asarray(corners, dtype=np.float64).reshape(-1, 2)
    for columns in range(3, len(grid) // 3 + 1):
        if len(grid) % columns == 0 and _is_grid(grid.reshape(-1, columns, 2)):
            return columns + 1, len(grid) // columns + 1
    return None


def _is_grid(grid: NDArray[np.float64]) -> bool:
    """Whether every corner is about where its neighbors in the row and the column say."""
    step = np.linalg.norm(np.diff(grid, axis=1), axis=-1).min()
    bend = max(float(np.linalg.norm(np.diff(grid, 2, axis=axis), axis=-1).max()) for axis in (0, 1))
    return bend < 0.5 * step


def in_order(
    image: NDArray[np.uint8], board: Chessboard, corners: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """The corners in the order of the board, and the share of them around which black and white are as printed.

    Rows run to the right of columns as on the board: nobody sees it from behind. Of the orders that are left, the one
    with a black upper left square is right. Where two or four have one, the first row goes as far to the right in the
    image as possible.

    Args:
        image: (height, width) gray.
        board: the board.
        corners: (corner, 2) px, in rows of the board's length.
    """
    grid = corners.reshape(board.rows - 1, board.columns - 1, 2)
    along, down = grid[:, -1] - grid[:, 0], grid[-1] - grid[0]
    if np.cross(np.append(along.mean(axis=0), 0), np.append(down.mean(axis=0), 0))[2] < 0:
        grid = grid[:, ::-1]
    turns = range(4) if board.columns == board.rows else (0, 2)
    candidates = [np.rot90(grid, turn) for turn in turns]
    shares = [_printed(image, candidate) for candidate in candidates]
    fits = [share >= max(shares) - 1e-9 for share in shares]
    to_the_right = [_direction(candidate) for candidate in candidates]
    best = max(range(len(candidates)), key=lambda index: (fits[index], to_the_right[index]))
    return candidates[best].reshape(-1, 2).copy(), shares[best]


def continues(
    image: NDArray[np.uint8],
    board: Chessboard,
    seen: NDArray[np.intp],
    position: NDArray[np.float64],
    *,
    step: float,
    inverted: bool,
) -> bool:
    """Whether black and white squares go on beyond one side of the board: it is a part of a larger one.

    Args:
        image: (height, width) gray.
        board: the board.
        seen: (n,) numbers of its corners.
        position: (n, 2) px.
        step: what is usual at its corners from black to white, as `refine` tells it.
        inverted: black and white are exchanged in the image.
    """
    larger = Chessboard(board.columns + 2, board.rows + 2, board.square, board.unit)
    numbers = np.arange(len(larger.points)).reshape(larger.rows - 1, larger.columns - 1)
    own = numbers[1:-1, 1:-1].ravel()[seen]
    sides = [numbers[0, 1:-1], numbers[-1, 1:-1], numbers[1:-1, 0], numbers[1:-1, -1]]
    around = np.concatenate(sides)
    shape = local_shape(larger, own, position)
    forecast = None if shape is None else expected(larger, own, shape, around)
    if forecast is None:
        return False
    width = max(1.0, 0.12 * float(np.median(forecast[1].height)))
    found, beyond = refine(image, larger, around, *forecast, uncertainty=width, inverted=inverted)
    plain = np.isfinite(found).all(axis=-1) & (beyond > _GOES_ON * step)
    return any(plain[np.isin(around, side)].mean() > 0.5 for side in sides)


def _size(board: Chessboard) -> tuple[int, int]:
    return board.columns - 1, board.rows - 1


def _direction(grid: NDArray[np.float64]) -> float:
    """Cosine of the angle between the rows and the x axis of the image."""
    along = (grid[:, -1] - grid[:, 0]).mean(axis=0)
    return float(along[0] / np.linalg.norm(along))


def _printed(image: NDArray[np.uint8], grid: NDArray[np.float64]) -> float:
    """Share of the corners whose four squares are black and white as printed, if this is the order."""
    along, down = np.gradient(grid, axis=1) / 2, np.gradient(grid, axis=0) / 2
    gray = []
    for x, y in ((-1, -1), (1, 1), (1, -1), (-1, 1)):
        place = np.moveaxis(grid + x * along + y * down, -1, 0).astype(np.float32)
        gray.append(sampled(image, *np.ascontiguousarray(place)))
    upper_left, lower_right, upper_right, lower_left = gray
    row, column = np.mgrid[: grid.shape[0], : grid.shape[1]]
    # the squares to the upper left and the lower right of the first corner are black, of the next one white
    darker = (upper_right + lower_left - upper_left - lower_right) * np.where((row + column) % 2, -1, 1)
    return float((darker > 0).mean())
