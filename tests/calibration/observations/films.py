"""Small films of a flat board whose corners are known in every picture."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.boards import Charuco

SIZE = (320, 240)
SQUARE = 36
BOARD = Charuco(columns=5, rows=4, square=20.0, dictionary="DICT_4X4_50")

Place = tuple[float, float, float] | None


def picture(place: Place, *, board: Charuco = BOARD, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """A gray wall with the board at (x, y) px of its upper left corner, turned by degrees; None leaves it out."""
    wall = np.full((size[1], size[0]), 150, dtype=np.uint8)
    if place is None:
        return wall
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, board.dictionary))
    pattern = cv2.aruco.CharucoBoard((board.columns, board.rows), board.square, board.marker, dictionary)
    sheet = pattern.generateImage((board.columns * SQUARE, board.rows * SQUARE))
    sheet = 255 - sheet if board.inverted else sheet
    matrix = _image_from_sheet(place)
    kind = cv2.INTER_LINEAR
    covered = cv2.warpAffine(np.full_like(sheet, 255), matrix, size, flags=kind)
    shown = cv2.warpAffine(sheet, matrix, size, flags=kind)
    return np.where(covered == 255, shown, wall).astype(np.uint8)


def truth(place: Place) -> NDArray[np.float64]:
    """(corner, 2) pixels of the corners, NaN where there is no board."""
    if place is None:
        return np.full((len(BOARD.points), 2), np.nan)
    sheet = (BOARD.points[:, :2] / BOARD.square + 1) * SQUARE - 0.5
    matrix = _image_from_sheet(place)
    return np.asarray(sheet @ matrix[:, :2].T + matrix[:, 2])


def _image_from_sheet(place: tuple[float, float, float]) -> NDArray[np.float64]:
    x, y, degrees = place
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, x], [s, c, y]])


def moving(count: int, *, seen: Sequence[int] | range | None = None, start: float = 5.0) -> list[Place]:
    """The board on its way through the picture, in the pictures `seen` only."""
    return [
        (start + 90 * n / max(1, count - 1), 20 + 8 * np.sin(n), 4 * np.cos(n)) if seen is None or n in seen else None
        for n in range(count)
    ]
