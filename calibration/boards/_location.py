"""From the corners that a finder proposes to those that are believed, located to a fraction of a pixel."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.boards._refinement import LocalShape, agrees, expected, local_shape, refine
from calibration.boards.geometry import Board

__all__ = ["DetectionStatus", "Location", "locate"]

# Of a board's corners at most this share may contradict their neighbors before all are mistrusted.
_CONTRADICTIONS = 0.25
# The step from black to white at a corner, as a share of what is usual on this board in this image: below the first a
# corner that was found is covered, or not there; above the second one that was not found is.
_COVERED, _PLAIN = 0.2, 0.4
# Corners that the finder missed are looked for beside those that it found, so many times.
_ROUNDS = 3


class DetectionStatus(IntEnum):
    """Why a board was not found; `OK` where it was."""

    OK = 0
    NOTHING_FOUND = 1
    TOO_FEW_CORNERS = 2
    ON_A_LINE = 3
    CONTRADICTORY = 4
    MIRRORED = 5
    LARGER_BOARD = 6

    @property
    def meaning(self) -> str:
        """The reason in words."""
        return _MEANINGS[self]


_MEANINGS = {
    DetectionStatus.OK: "found",
    DetectionStatus.NOTHING_FOUND: "no corner of the board was found",
    DetectionStatus.TOO_FEW_CORNERS: "too few corners of the board were found",
    DetectionStatus.ON_A_LINE: "the corners that were found lie on one line",
    DetectionStatus.CONTRADICTORY: "the corners that were found do not fit one board",
    DetectionStatus.MIRRORED: "the board is seen mirrored; the picture is flipped",
    DetectionStatus.LARGER_BOARD: "the chessboard in the picture has more squares than were named",
}


class Location(NamedTuple):
    """What became of proposed corners.

    Attributes:
        status: whether the board is believed to be there.
        seen: (n,) numbers of the corners.
        position: (n, 2) px.
        square: px, median height of a square in the image.
        rejected: how many of the proposed corners are not among `seen`.
        step: the usual step from black to white at its corners, as `refine` tells it.
    """

    status: DetectionStatus
    seen: NDArray[np.intp]
    position: NDArray[np.float64]
    square: float = float("nan")
    rejected: int = 0
    step: float = float("nan")


def locate(
    image: NDArray[np.uint8],
    board: Board,
    seen: NDArray[np.intp],
    position: NDArray[np.float64],
    *,
    least: int,
    uncertainty: float,
    inverted: bool,
) -> Location:
    """Check corners against each other, move them to where their edges cross, and find those beside them.

    Args:
        image: (height, width) gray.
        board: the board.
        seen: (n,) numbers of corners.
        position: (n, 2) px of these corners, roughly.
        least: with fewer corners the board counts as not found.
        uncertainty: px, how far off the positions may be.
        inverted: black and white are exchanged in the image against what is printed.
    """
    count = len(seen)
    if count < 4:
        return _failed(DetectionStatus.TOO_FEW_CORNERS if count else DetectionStatus.NOTHING_FOUND)
    shape = local_shape(board, seen, position)
    if shape is None:
        return _failed(DetectionStatus.ON_A_LINE)
    good = agrees(board, seen, position)
    seen, position = seen[good], position[good]
    if not good.all() and len(seen) >= 4:
        shape = local_shape(board, seen, position)
    if shape is None or len(seen) < (1 - _CONTRADICTIONS) * count:
        return _failed(DetectionStatus.CONTRADICTORY, count - len(seen))
    if np.linalg.det(shape.axes).mean() < 0:
        return _failed(DetectionStatus.MIRRORED)
    located, step = refine(image, board, seen, position, shape, uncertainty=uncertainty, inverted=inverted)
    usual = float(np.median(step))
    plain = np.isfinite(located).all(axis=-1) & (step > _COVERED * usual) & (step > 0)
    seen, position = seen[plain], located[plain]
    rejected = count - len(seen)
    if len(seen) >= 4:
        seen, position = _completed(image, board, seen, position, usual, inverted)
    if len(seen) < least:
        return _failed(DetectionStatus.TOO_FEW_CORNERS, rejected)
    shape = local_shape(board, seen, position)  # of what is left
    if shape is None:
        return _failed(DetectionStatus.ON_A_LINE, rejected)
    return Location(DetectionStatus.OK, seen, position, float(np.median(shape.height)), rejected, usual)


def _completed(
    image: NDArray[np.uint8],
    board: Board,
    seen: NDArray[np.intp],
    position: NDArray[np.float64],
    usual_step: float,
    inverted: bool,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The corners and those beside them that stand as clearly where they are expected."""
    for _ in range(_ROUNDS):
        shape = local_shape(board, seen, position)
        wanted = _beside(board, seen)
        forecast = None if shape is None or not len(wanted) else expected(board, seen, shape, wanted)
        if forecast is None:
            break
        place, around = forecast
        inside = np.asarray(((place > 1) & (place < np.array(image.shape[::-1]) - 2)).all(axis=-1))
        wanted, place, around = wanted[inside], place[inside], _those(around, inside)
        if not len(wanted):
            break
        width = max(1.0, 0.12 * float(np.median(around.height)))
        found, step = refine(image, board, wanted, place, around, uncertainty=width, inverted=inverted)
        near = np.linalg.norm(found - place, axis=-1) <= np.maximum(0.2 * around.height, 1.5)
        plain = near & (step > _PLAIN * usual_step)
        if not plain.any():
            break
        seen, position = np.append(seen, wanted[plain]), np.concatenate([position, found[plain]])
    order = np.argsort(seen, kind="stable")
    seen, position = seen[order], position[order]
    good = agrees(board, seen, position)
    return (seen[good], position[good]) if good.any() else (seen, position)


def _beside(board: Board, seen: NDArray[np.intp]) -> NDArray[np.intp]:
    """Corners that are missing and within one and a half squares of at least two that were seen."""
    missing = np.setdiff1d(np.arange(len(board.points)), seen)
    distance = np.linalg.norm(board.points[missing, None] - board.points[seen], axis=-1)
    return missing[(distance < 1.5 * board.square).sum(axis=1) >= 2]


def _those(shape: LocalShape, which: NDArray[np.bool_]) -> LocalShape:
    return LocalShape(shape.homography, shape.axes[which], shape.offset[which], shape.height[which])


def _failed(status: DetectionStatus, rejected: int = 0) -> Location:
    return Location(status, np.zeros(0, dtype=np.intp), np.zeros((0, 2)), rejected=rejected)
