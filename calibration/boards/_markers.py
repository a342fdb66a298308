"""ChArUco boards and AprilGrids in an image: finding markers, and the corners of the board that they tell."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.boards._pattern import dictionary_names, dictionary_of, marker_border
from calibration.boards.geometry import AprilGrid, Charuco

__all__ = ["Found", "charuco_corners", "find_markers", "grid_corners"]

# (n,) numbers of corners of the board, and (n, 2) px
Found = tuple[NDArray[np.intp], NDArray[np.float64]]
_NONE: Found = (np.zeros(0, dtype=np.intp), np.zeros((0, 2)))


def find_markers(
    image: NDArray[np.uint8], dictionary: str, *, first: int = 0, count: int | None = None, border: int = 1
) -> Found:
    """Ids and (n, 4, 2) px of the corners of markers, in the order of their codes; ids seen twice are left out.

    Args:
        image: (height, width) gray.
        dictionary: OpenCV's name.
        first, count: only ids from `first`, so many of them; a short list is read faster, and with fewer mistakes.
        border: width of the black border in cells.
    """
    parameters = cv2.aruco.DetectorParameters()
    parameters.markerBorderBits = border
    detector = cv2.aruco.ArucoDetector(_part_of(dictionary, first, count), parameters)
    corners, ids, _ = detector.detectMarkers(image)
    if ids is None or not len(ids):
        return np.zeros(0, dtype=np.intp), np.zeros((0, 4, 2))
    numbers, index, times = np.unique(ids.ravel(), return_index=True, return_counts=True)
    once = times == 1
    places = np.stack([corner.reshape(4, 2) for corner in corners]).astype(np.float64)
    return numbers[once].astype(np.intp) + first, places[index[once]]


def _part_of(name: str, first: int, count: int | None) -> cv2.aruco.Dictionary:
    whole = dictionary_of(name)
    if count is None:
        return whole
    # The smaller dictionaries of a family are the beginnings of the larger ones, and correct more wrong cells.
    family, _, size = name.rpartition("_")
    if size.isdigit():
        smaller = [dictionary_of(other) for other in dictionary_names() if other.startswith(f"{family}_")]
        whole = min(
            (each for each in smaller if len(each.bytesList) >= first + count), key=lambda each: len(each.bytesList)
        )
    return cv2.aruco.Dictionary(whole.bytesList[first : first + count], whole.markerSize, whole.maxCorrectionBits)


def charuco_corners(
    image: NDArray[np.uint8], board: Charuco, ids: NDArray[np.intp], corners: NDArray[np.float64]
) -> Found:
    """Corners of a ChArUco board next to markers that were found.

    Args:
        image: (height, width) gray, black on white.
        board: the board.
        ids: (marker,) their ids.
        corners: (marker, 4, 2) px in `image`.
    """
    if len(ids) < 1:
        return _NONE
    size = (board.columns, board.rows)
    pattern = cv2.aruco.CharucoBoard(size, board.square, board.marker, dictionary_of(board.dictionary))
    pattern.setLegacyPattern(board.legacy)
    parameters = cv2.aruco.CharucoParameters()
    # One marker beside a corner is enough: what does not fit is found when all corners are compared.
    parameters.minMarkers = 1
    detector = cv2.aruco.CharucoDetector(pattern, parameters)
    markers = [corner.reshape(1, 4, 2).astype(np.float32) for corner in corners]
    position, numbers, _, _ = detector.detectBoard(
        image, markerCorners=markers, markerIds=ids.astype(np.int32)[:, None]
    )
    if numbers is None or not len(numbers):
        return _NONE
    return numbers.ravel().astype(np.intp), position.reshape(-1, 2).astype(np.float64)


def grid_corners(board: AprilGrid, ids: NDArray[np.intp], corners: NDArray[np.float64]) -> Found:
    """Corners of an AprilGrid of the tags that were found.

    Which corner of a tag comes first differs between makers of tags; the one is taken with which the tags together
    make a plane grid.
    """
    number = ids - board.first_id
    inside = (number >= 0) & (number < board.columns * board.rows)
    if not inside.any():
        return _NONE
    place = board.tag_corners[number[inside]]
    turns = [np.roll(corners[inside], turn, axis=1) for turn in range(4)]
    usual = 2 if marker_border(board.dictionary) == 2 else 0
    errors = [_misfit(board, place, turned) for turned in turns]
    # a lone tag, or two in line, fit in every turn
    best = usual if errors[usual] <= 1.5 * min(errors) + 0.5 else int(np.argmin(errors))
    return place.ravel(), turns[best].reshape(-1, 2)


def _misfit(board: AprilGrid, place: NDArray[np.intp], corners: NDArray[np.float64]) -> float:
    """Median distance of the corners from a homography of the board, px."""
    if len(place) < 2:
        return 0.0
    points = board.points[place.ravel(), :2]
    position = corners.reshape(-1, 2)
    homography = np.asarray(cv2.findHomography(points, position, cv2.LMEDS)[0], dtype=np.float64)
    if homography.shape != (3, 3):  # none was found
        return float("inf")
    mapped = np.column_stack([points, np.ones(len(points))]) @ homography.T
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.linalg.norm(mapped[:, :2] / mapped[:, 2:] - position, axis=-1)
    return float(np.median(np.nan_to_num(distance, nan=np.inf)))
