"""Finding a board in one image.

The search runs on a reduced picture, the corners are then located in the full one. What is found is believed only if
it hangs together: corners where their neighbors say, black and white as printed, the board seen from its front. An
image in which the board is not found at once is tried again with more patience: with a slower finder, markers at full
size, with equalized contrast, with black and white exchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.boards._chessboards import continues, find_fast, find_thorough, in_order
from calibration.boards._location import DetectionStatus, locate
from calibration.boards._markers import Found, charuco_corners, find_markers, grid_corners
from calibration.boards._pattern import check_findable, marker_border, marker_ids
from calibration.boards.geometry import AprilGrid, Board, Charuco, Chessboard
from calibration.errors import InvalidValueError

__all__ = ["Detection", "DetectionSettings", "DetectionStatus", "as_gray", "detect_board"]

# A found chessboard has at least so many corners with black and white around them as printed; glare takes some.
_PRINTED = 0.9
# So many of its corners are located; one under a reflection does not cost the others.
_WHOLE = 0.9


@dataclass(frozen=True)
class DetectionSettings:
    """How a board is searched for.

    Attributes:
        search_size: longest side in px of the picture that the board is searched in; larger ones are reduced for the
            search, not for locating the corners. Raise it where squares are below 10 px in the reduced picture.
        patient: whether a board that is not found at once is tried again: chessboards with a slower finder and with
            equalized contrast, markers at full size, with equalized contrast, and with black and white exchanged.
            That takes 3 to 50 times as long where there is no board.
        minimum_corners: fewer corners of a board are not reported; of a chessboard, which is found whole or not at
            all, fewer than 90 % are not.
    """

    search_size: int = 1280
    patient: bool = True
    minimum_corners: int = 6

    def __post_init__(self) -> None:
        for name, least in (("search_size", 64), ("minimum_corners", 4)):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
                raise InvalidValueError(
                    f"DetectionSettings, {name}",
                    expected=f"a whole number from {least}",
                    got=repr(value),
                    remedy="Correct the setting.",
                )


@dataclass(frozen=True, eq=False)
class Detection:
    """What was found of a board in one image.

    Attributes:
        position: (corner, 2) px, NaN for corners that were not found; all NaN unless `found`.
        status: whether the board was found, or why not.
        tried: the ways it was searched, in order; the last one is that which found it.
        inverted: black and white are exchanged in the image, as seen against a board that is printed black on white.
        square: px, height of a square as it is seen, median; NaN where nothing was found.
        rejected: number of corners that were found and not believed.
    """

    position: NDArray[np.float64]
    status: DetectionStatus
    tried: tuple[str, ...]
    inverted: bool = False
    square: float = float("nan")
    rejected: int = 0

    @property
    def found(self) -> bool:
        """Whether the board was found."""
        return self.status is DetectionStatus.OK

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(corner,) whether a corner was found."""
        return np.asarray(np.isfinite(self.position).all(axis=-1))

    def __str__(self) -> str:
        if self.found:
            return f"{int(self.seen.sum())} of {len(self.seen)} corners, {self.tried[-1]}"
        return f"{self.status.meaning} (tried: {', '.join(self.tried)})"


@dataclass(frozen=True)
class _Attempt:
    """One way to search.

    Attributes:
        name: what it is called.
        exchanged: whether black and white are taken for exchanged against what is printed.
        find: gives the corners in px of the full picture.
        uncertainty: px, how far they may be off.
    """

    name: str
    exchanged: bool
    find: Callable[[], Found]
    uncertainty: float


def detect_board(image: ArrayLike, board: Board, settings: DetectionSettings | None = None) -> Detection:
    """Find a board in an image.

    Args:
        image: (height, width) gray or (height, width, 3) RGB or BGR, uint8.
        board: the board.
        settings: how to search.

    Returns:
        The corners in the order of the board. Boards whose picture is the same after a turn (`Board.symmetries`) are
        given in that of the possible orders whose first row goes most to the right in the image.

    Raises:
        InvalidValueError: the image is no uint8 picture, the dictionary of the board is too small or unknown, or the
            board is a chessboard of fewer than 4 squares one way.
    """
    settings = DetectionSettings() if settings is None else settings
    gray = as_gray(image)
    check_findable(board)
    tried: list[str] = []
    failure: Detection | None = None
    for attempt in _attempts(gray, board, settings):
        tried.append(attempt.name)
        result = _judged(gray, board, settings, attempt)
        if result.found:
            return _with_tried(result, tried)
        if failure is None or failure.status is DetectionStatus.NOTHING_FOUND:
            failure = result
    assert failure is not None
    return _with_tried(failure, tried)


def as_gray(image: ArrayLike) -> NDArray[np.uint8]:
    """The picture as (height, width) uint8.

    Raises:
        InvalidValueError: it is no picture of uint8.
    """
    pixels = np.asarray(image)
    flat = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3))
    if pixels.dtype != np.uint8 or not flat or 0 in pixels.shape:
        raise InvalidValueError(
            "image",
            expected="uint8 of shape (height, width) or (height, width, 3)",
            got=f"{pixels.dtype} of shape {pixels.shape}",
            remedy="Convert the picture; 16-bit images need to be scaled to 0 ... 255.",
        )
    if pixels.ndim == 3:
        # green is where red and blue meet, so the order of the colors does not matter
        pixels = pixels[..., 1] if pixels.shape[2] == 3 else pixels[..., 0]
    return np.ascontiguousarray(pixels)


def _attempts(gray: NDArray[np.uint8], board: Board, settings: DetectionSettings) -> Iterator[_Attempt]:
    """Ways to search, the likely and cheap ones first; pictures are made when their turn comes."""
    scale = min(1.0, settings.search_size / max(gray.shape))
    small = gray
    if scale < 1:
        small = np.asarray(cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    exact = (small.shape[1] / gray.shape[1], small.shape[0] / gray.shape[0])
    if isinstance(board, Chessboard):
        yield from _chessboard_attempts(gray, small, exact, board, settings)
    else:
        assert isinstance(board, Charuco | AprilGrid)
        yield from _marker_attempts(gray, small, exact, board, settings)


def _chessboard_attempts(
    gray: NDArray[np.uint8],
    small: NDArray[np.uint8],
    scale: tuple[float, float],
    board: Chessboard,
    settings: DetectionSettings,
) -> Iterator[_Attempt]:
    numbers = np.arange(len(board.points))

    def attempt(name: str, image: NDArray[np.uint8], fast: bool, at: tuple[float, float]) -> _Attempt:
        def find() -> Found:
            corners = (find_fast if fast else find_thorough)(image, board)
            return (numbers[:0], np.zeros((0, 2))) if corners is None else (numbers, _enlarged(corners, at))

        # quadrangles are joined where their corners are near: up to 4.4 px off the crossing in a real recording
        return _Attempt(name, False, find, (2.5 if fast else 1.0) / min(at))

    size = "" if small is gray else ", reduced"
    yield attempt(f"quadrangles{size}", small, True, scale)
    if not settings.patient:
        return
    yield attempt(f"sectors{size}", small, False, scale)
    yield attempt(f"sectors, equalized contrast{size}", _equalized(small), False, scale)


def _marker_attempts(
    gray: NDArray[np.uint8],
    small: NDArray[np.uint8],
    scale: tuple[float, float],
    board: Charuco | AprilGrid,
    settings: DetectionSettings,
) -> Iterator[_Attempt]:
    def attempt(name: str, image: NDArray[np.uint8], inverted: bool, at: tuple[float, float], border: int) -> _Attempt:
        def find() -> Found:
            picture = 255 - image if inverted else image
            ids, corners = find_markers(picture, board.dictionary, first=first, count=count, border=border)
            corners = _enlarged(corners, at)
            if isinstance(board, AprilGrid):
                return grid_corners(board, ids, corners)
            return charuco_corners(255 - gray if inverted else gray, board, ids, corners)

        return _Attempt(name, inverted != board.inverted, find, 1.0 if isinstance(board, Charuco) else 1.5 / min(at))

    first, count = marker_ids(board)
    usual = marker_border(board.dictionary) if isinstance(board, AprilGrid) else 1
    borders = [usual] if isinstance(board, Charuco) else [usual, 3 - usual]
    size = "" if small is gray else ", reduced"
    told = board.inverted
    yield attempt(f"markers{_words(told, board)}{size}", small, told, scale, usual)
    if not settings.patient:
        return
    if small is not gray:
        yield attempt(f"markers{_words(told, board)}", gray, told, (1.0, 1.0), usual)
    flat = _equalized(gray)
    for border in borders:
        note = "" if border == usual else f", border of {border}"
        for inverted in (told, not told):
            if border != usual or inverted != told:
                yield attempt(f"markers{_words(inverted, board)}{note}", gray, inverted, (1.0, 1.0), border)
            yield attempt(
                f"markers{_words(inverted, board)}{note}, equalized contrast", flat, inverted, (1.0, 1.0), border
            )


def _words(inverted: bool, board: Charuco | AprilGrid) -> str:
    if inverted == board.inverted:
        return ""
    return ", black and white exchanged" if inverted else ", black and white not exchanged"


def _judged(gray: NDArray[np.uint8], board: Board, settings: DetectionSettings, attempt: _Attempt) -> Detection:
    """Search, locate the corners that were found, and say whether they are to be believed."""
    seen, position = attempt.find()
    exchanged, printed = attempt.exchanged, 1.0
    position_in_order = position
    if isinstance(board, Chessboard) and len(seen):
        position_in_order, printed = in_order(gray, board, position)
        if len(board.symmetries) and printed < 0.5:  # its upper left square is white in every order
            exchanged, printed = True, 1 - printed
    least = settings.minimum_corners if board.partial else int(np.ceil(_WHOLE * len(board.points)))
    location = locate(
        gray,
        board,
        seen,
        position_in_order,
        least=least,
        uncertainty=attempt.uncertainty,
        inverted=exchanged,
    )
    status = location.status
    if status is DetectionStatus.OK and printed < _PRINTED:
        status = DetectionStatus.CONTRADICTORY
    if (
        status is DetectionStatus.OK
        and isinstance(board, Chessboard)
        and continues(gray, board, location.seen, location.position, step=location.step, inverted=exchanged)
    ):
        status = DetectionStatus.LARGER_BOARD
    result = np.full((len(board.points), 2), np.nan)
    if status is DetectionStatus.OK:
        result[location.seen] = location.position
    inverted = exchanged != bool(getattr(board, "inverted", False))
    return Detection(result, status, (), inverted, location.square, location.rejected)


def _with_tried(detection: Detection, tried: list[str]) -> Detection:
    return Detection(**{**vars(detection), "tried": tuple(tried)})


def _enlarged(corners: NDArray[np.float64], scale: tuple[float, float]) -> NDArray[np.float64]:
    """Pixels of the full picture of pixels of the reduced one; centers of pixels are whole numbers in both."""
    return (corners + 0.5) / scale - 0.5


def _equalized(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Contrast made the same everywhere."""
    return np.asarray(cv2.createCLAHE(clipLimit=4.0, tileGridSize=(8, 8)).apply(image), dtype=np.uint8)
