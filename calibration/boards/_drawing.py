"""Boards as pictures: the pattern alone, and what was found of it in an image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.boards._pattern import black_rectangles
from calibration.boards.detection import Detection, as_gray
from calibration.boards.geometry import Board
from calibration.errors import InvalidValueError

__all__ = ["cover", "draw_board", "draw_detection"]


def draw_board(board: Board, pixels_per_unit: float, border: float = 0.0) -> NDArray[np.uint8]:
    """A picture of the printed pattern.

    Every pixel has the mean of what it covers, so edges are exact to a fraction of a pixel at any scale. The point
    (x, y) of the frame of the board is at pixel `((x, y) + margin + border) * pixels_per_unit - 0.5`, where `margin`
    is that of the board.

    Args:
        board: the board.
        pixels_per_unit: pixels per length unit of the board.
        border: width of the empty border on all sides, in the unit of the board: white, black if the board is
            inverted.

    Returns:
        (height, width) gray.

    Raises:
        InvalidValueError: the scale is not positive, the picture would be empty or above 200 million pixels, the
            border negative, or the dictionary too small or unknown.
    """
    width, height = (
        int(np.ceil((extent + 2 * border) * pixels_per_unit - 1e-9)) if 0 < pixels_per_unit < np.inf else 0
        for extent in board.extent
    )
    if not (0 <= border < np.inf and width > 0 and height > 0 and width * height <= 200_000_000):
        raise InvalidValueError(
            f"picture of a {board}",
            expected="a positive scale, a border from 0, and at most 200 million pixels",
            got=f"{pixels_per_unit} px per {board.unit} and a border of {border} {board.unit}",
            remedy="Correct the scale, or the unit of the board.",
        )
    black = cover((black_rectangles(board) + border) * pixels_per_unit, (height, width))
    ink = np.rint(255 * black).astype(np.uint8)
    inverted = bool(getattr(board, "inverted", False))
    return ink if inverted else 255 - ink


def cover(rectangles: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float32]:
    """(height, width) which share of every pixel is covered by rectangles that do not overlap.

    Args:
        rectangles: (n, 4) left, top, right, bottom in pixels from the upper left corner of the picture.
        shape: height and width of the picture.
    """
    covered = np.zeros(shape, dtype=np.float32)
    for x0, y0, x1, y1 in rectangles:
        rows, share_y = _covered(y0, y1, shape[0])
        columns, share_x = _covered(x0, x1, shape[1])
        covered[rows, columns] += share_y[:, None] * share_x
    return np.minimum(covered, 1)


def draw_detection(image: ArrayLike, detection: Detection) -> NDArray[np.uint8]:
    """A copy of an image with the corners that were found, joined in their order, from blue to red.

    A ring marks the first corner of those that are seen. Where the board was not found, the reason stands in the
    picture.

    Args:
        image: (height, width) gray or (height, width, 3), uint8.
        detection: what was found in it.

    Returns:
        (height, width, 3) RGB.

    Raises:
        InvalidValueError: the image is no uint8 picture.
    """
    pixels = np.asarray(image)
    gray = as_gray(pixels)
    color = pixels.copy() if pixels.ndim == 3 and pixels.shape[2] == 3 else np.repeat(gray[..., None], 3, axis=2)
    thickness = max(1, round(min(gray.shape) / 500))
    radius = 3 * thickness
    levels = np.linspace(30, 225, len(detection.position)).astype(np.uint8)
    shades = cv2.applyColorMap(levels[:, None], cv2.COLORMAP_TURBO)
    numbers = np.flatnonzero(detection.seen)
    # OpenCV draws at sixteenths of a pixel
    places = [(round(16 * x), round(16 * y)) for x, y in detection.position[numbers].tolist()]
    fine = {"lineType": cv2.LINE_AA, "shift": 4}
    for index, (number, place) in enumerate(zip(numbers, places, strict=True)):
        shade = [int(value) for value in shades[number, 0, ::-1]]
        if index:
            cv2.line(color, places[index - 1], place, shade, thickness, **fine)
        cv2.circle(color, place, 16 * radius, shade, thickness, **fine)
        if not index:
            cv2.circle(color, place, 40 * radius, shade, thickness, **fine)
    text = str(detection) if detection.found else detection.status.meaning
    height = 0.55 * max(1.0, min(gray.shape) / 600)
    (width, _), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, height, thickness)
    line = int(30 * height)
    color[: line + below + 2, : width + 10 * thickness] //= 4
    at = (5 * thickness, line - 2)
    cv2.putText(color, text, at, cv2.FONT_HERSHEY_SIMPLEX, height, (255, 255, 255), thickness, cv2.LINE_AA)
    return np.asarray(color, dtype=np.uint8)


def _covered(begin: float, end: float, count: int) -> tuple[slice, NDArray[np.float32]]:
    """The pixels that an interval touches, and how much of each it covers."""
    first, last = int(begin), min(int(np.ceil(end)), count)
    pixel = np.arange(first, last)
    share = np.minimum(pixel + 1, end) - np.maximum(pixel, begin)
    return slice(first, last), np.clip(share, 0, 1).astype(np.float32)
