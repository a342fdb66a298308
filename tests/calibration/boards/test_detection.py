"""Boards found in pictures with known corners: where they are, in which order, and why not."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.boards import (
    AprilGrid,
    Board,
    Charuco,
    Chessboard,
    Detection,
    DetectionSettings,
    DetectionStatus,
    detect_board,
    draw_board,
)
from calibration.boards._chessboards import continues, in_order
from calibration.errors import InvalidValueError

Picture = Callable[[Board, Any], tuple[NDArray[np.uint8], NDArray[np.float64]]]

BOARDS = [
    Chessboard(10, 7, 30.0),
    Chessboard(9, 7, 30.0),
    Chessboard(6, 6, 30.0),
    Chessboard(7, 7, 30.0),
    Charuco(8, 11, 24.0),
    Charuco(8, 10, 24.0, legacy=True, dictionary="DICT_5X5_1000"),
    Charuco(5, 4, 54.0, inverted=True, dictionary="DICT_4X4_1000"),
    Charuco(6, 5, 24.0, dictionary="DICT_APRILTAG_16h5"),
    AprilGrid(6, 6, 88.0),
    AprilGrid(5, 4, 40.0, dictionary="DICT_APRILTAG_25h9", first_id=3, inverted=True),
    AprilGrid(4, 3, 40.0, dictionary="DICT_6X6_50"),
]


def _error(detection: Detection, board: Board, truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances from the truth, in the best of the orders that nobody can tell apart."""
    orders = [truth, *(truth[turn] for turn in board.symmetries)]
    return min((np.linalg.norm(detection.position - order, axis=1) for order in orders), key=np.nanmax)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: f"{board}-{getattr(board, 'dictionary', '')}")
def test_corners_are_where_they_are_and_in_the_printed_order(board: Board, picture: Picture, view: Any) -> None:
    errors = []
    for seed in range(3):
        image, truth = picture(board, view(seed=seed))
        detection = detect_board(image, board)
        assert detection.found, detection
        assert detection.seen.all()
        assert detection.inverted == getattr(board, "inverted", False)
        errors.append(_error(detection, board, truth))
    # per coordinate; measured: 0.01 to 0.05 px
    assert np.sqrt(np.mean(np.square(errors)) / 2) < 0.07
    assert np.max(errors) < 0.6


def test_no_chessboard_is_seen_turned_or_mirrored(picture: Picture, view: Any) -> None:
    board = Chessboard(8, 5, 30.0)
    for seed in range(40):
        image, truth = picture(board, view(seed=seed, size=(480, 360), tilt=45.0, fill=(0.7, 0.95)))
        detection = detect_board(image, board)
        assert detection.found
        assert np.linalg.norm(detection.position - truth, axis=1).max() < 1.0


@pytest.mark.parametrize("board", [Chessboard(8, 5, 30.0), Chessboard(9, 6, 30.0)], ids=str)
def test_the_order_does_not_depend_on_that_of_the_finder(board: Chessboard, picture: Picture, view: Any) -> None:
    # finders differ in where they begin, between versions of OpenCV, and between one image and the next
    image, truth = picture(board, view(seed=2))
    grid = truth.reshape(board.rows - 1, board.columns - 1, 2)
    for given in (grid, grid[::-1], grid[:, ::-1], grid[::-1, ::-1]):
        ordered, printed = in_order(image, board, given.reshape(-1, 2))
        np.testing.assert_array_equal(ordered, truth)
        assert printed == 1.0


@pytest.mark.parametrize("board", [Chessboard(9, 7, 30.0), Chessboard(7, 7, 30.0)], ids=str)
def test_a_symmetric_board_begins_where_its_first_row_goes_to_the_right(
    board: Board, picture: Picture, view: Any
) -> None:
    largest = 90.0 if len(board.symmetries) == 1 else 45.0
    for seed in range(5):
        image, _ = picture(board, view(seed=seed))
        position = detect_board(image, board).position.reshape(board.rows - 1, board.columns - 1, 2)
        x, y = (position[:, -1] - position[:, 0]).mean(axis=0)
        assert abs(np.rad2deg(np.arctan2(y, x))) <= largest + 8.0


def test_a_symmetric_board_with_the_other_colors_is_found(picture: Picture, view: Any) -> None:
    image, truth = picture(Chessboard(9, 7, 30.0), view(seed=1))
    detection = detect_board(255 - image, Chessboard(9, 7, 30.0))
    assert detection.found
    assert detection.inverted
    assert np.nanmax(_error(detection, Chessboard(9, 7, 30.0), truth)) < 0.5


@pytest.mark.parametrize("board", [Charuco(8, 11, 24.0), AprilGrid(5, 6, 30.0)], ids=str)
def test_a_part_of_a_board_with_markers_is_enough(board: Board, picture: Picture, view: Any) -> None:
    found = 0
    for seed in range(4):
        image, truth = picture(board, view(seed=seed, fill=(1.3, 1.6), tilt=30.0, whole=False))
        detection = detect_board(image, board)
        inside = ((truth > 2) & (truth < np.array(image.shape[::-1]) - 3)).all(axis=1)
        assert not (detection.seen & ~inside).any()
        if inside.sum() > 20:
            found += 1
            assert detection.found
            assert detection.seen[inside].mean() > 0.7
            assert np.nanmax(np.linalg.norm(detection.position - truth, axis=1)) < 1.0
    assert found >= 2


def test_covered_corners_are_not_reported(picture: Picture, view: Any) -> None:
    board = Charuco(8, 11, 24.0)
    image, truth = picture(board, view(seed=3))
    low, high = np.percentile(truth, [35, 60], axis=0).astype(int)
    image[low[1] : high[1], low[0] : high[0]] = 128
    covered = ((truth > low + 3) & (truth < high - 4)).all(axis=1)
    assert covered.any()
    detection = detect_board(image, board)
    assert detection.found
    assert not detection.seen[covered].any()
    assert np.nanmax(np.linalg.norm(detection.position - truth, axis=1)) < 1.0


@pytest.mark.parametrize("board", [Charuco(8, 11, 24.0), AprilGrid(6, 6, 24.0)], ids=str)
def test_a_print_with_exchanged_colors_is_found_although_not_told(board: Board, picture: Picture, view: Any) -> None:
    image, truth = picture(board, view(seed=4))
    detection = detect_board(255 - image, board)
    assert detection.found
    assert detection.inverted
    assert "black and white exchanged" in detection.tried[-1]
    assert np.nanmax(np.linalg.norm(detection.position - truth, axis=1)) < 0.6
    assert not detect_board(255 - image, board, DetectionSettings(patient=False)).found


@pytest.mark.parametrize(
    "board", [Chessboard(10, 7, 30.0), Charuco(5, 7, 24.0), AprilGrid(4, 4, 24.0)], ids=lambda board: board.kind
)
def test_a_board_in_the_dark_is_found(board: Board, picture: Picture, view: Any) -> None:
    image, truth = picture(board, view(seed=5, dark=20, bright=40, noise=0.7))
    detection = detect_board(image, board)
    assert detection.found, detection
    assert np.nanmedian(_error(detection, board, truth)) < 0.3


def test_an_aprilgrid_made_by_others_is_read_in_its_own_orientation(picture: Picture, view: Any) -> None:
    # tags with a border of one cell, each the right way up for OpenCV: neither is Kalibr's
    board = AprilGrid(4, 3, 40.0)
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    image = np.full((400, 500), 255, dtype=np.uint8)
    for row, column in np.ndindex(4, 5):
        image[16 + 104 * row : 40 + 104 * row, 16 + 104 * column : 40 + 104 * column] = 0
    for number in range(12):
        row, column = 2 - number // 4, number % 4
        tag = dictionary.generateImageMarker(number, 80, borderBits=1)
        image[40 + 104 * row : 120 + 104 * row, 40 + 104 * column : 120 + 104 * column] = tag
    detection = detect_board(image, board)
    assert detection.found
    expected = board.points[:, :2] * 2 + 39.5
    assert np.nanmax(np.linalg.norm(detection.position - expected, axis=1)) < 0.7
    assert "border of 1" in detection.tried[-1]


@pytest.mark.parametrize("board", [Chessboard(10, 7, 30.0), Charuco(8, 11, 24.0)], ids=str)
def test_large_pictures_are_searched_small_and_located_in_full(board: Board, picture: Picture, view: Any) -> None:
    image, truth = picture(board, view(seed=6, size=(1920, 1440), blur=1.5))
    reduced = detect_board(image, board)
    full = detect_board(image, board, DetectionSettings(search_size=10_000))
    assert reduced.found
    assert "reduced" in reduced.tried[-1]
    assert "reduced" not in full.tried[-1]
    errors = [np.sqrt(np.mean(_error(found, board, truth) ** 2) / 2) for found in (reduced, full)]
    assert errors[0] < max(1.2 * errors[1], 0.06)


@pytest.mark.parametrize("board", BOARDS[:1] + BOARDS[4:5] + BOARDS[8:9], ids=lambda board: board.kind)
def test_where_there_is_no_board_it_is_told_what_was_tried(board: Board) -> None:
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 255, (240, 320), dtype=np.uint8), (0, 0), 2.0)
    detection = detect_board(image, board)
    assert not detection.found
    assert np.isnan(detection.position).all()
    assert detection.position.shape == (len(board.points), 2)
    assert len(detection.tried) == len(set(detection.tried)) >= 3
    assert any("equalized" in way for way in detection.tried)
    assert str(detection).startswith(detection.status.meaning)
    assert len(detect_board(image, board, DetectionSettings(patient=False)).tried) == 1


def test_a_mirrored_picture_of_a_board_with_markers_is_no_detection(picture: Picture, view: Any) -> None:
    board = Charuco(8, 11, 24.0)
    image, _ = picture(board, view(seed=7))
    assert not detect_board(np.ascontiguousarray(image[:, ::-1]), board).found


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        (Charuco(9, 11, 24.0), Charuco(8, 11, 24.0)),
        (Charuco(11, 8, 24.0), Charuco(8, 11, 24.0)),
        (Charuco(8, 10, 24.0, legacy=True), Charuco(8, 10, 24.0)),
        (Charuco(8, 11, 24.0, dictionary="DICT_5X5_50"), Charuco(8, 11, 24.0)),
        (Chessboard(9, 6, 24.0), Chessboard(10, 7, 24.0)),
        (AprilGrid(5, 6, 24.0), AprilGrid(6, 6, 24.0)),
    ],
    ids=str,
)
def test_another_board_is_not_taken_for_the_named_one(named: Board, shown: Board, picture: Picture, view: Any) -> None:
    image, _ = picture(shown, view(seed=8, tilt=20.0))
    detection = detect_board(image, named, DetectionSettings(patient=False))
    assert not detection.found


@pytest.mark.parametrize("inner", [(8, 6), (9, 5), (7, 5)], ids=str)
def test_a_part_of_a_larger_chessboard_is_not_taken_for_a_board(
    inner: tuple[int, int], picture: Picture, view: Any
) -> None:
    board = Chessboard(10, 7, 30.0)
    image, truth = picture(board, view(seed=11, tilt=30.0))
    part = Chessboard(inner[0] + 1, inner[1] + 1, 30.0)
    grid = truth.reshape(6, 9, 2)[: inner[1], : inner[0]].reshape(-1, 2)
    assert continues(image, part, np.arange(len(grid)), grid, step=30.0, inverted=False)
    assert not continues(image, board, np.arange(len(truth)), truth, step=30.0, inverted=False)


def test_corners_on_one_line_are_not_enough() -> None:
    board = Charuco(8, 11, 24.0)
    image = draw_board(board, 2.0, border=24.0)
    strip = np.full_like(image, 255)
    strip[: 48 + 2 * 48] = image[: 48 + 2 * 48]  # one row of inner corners
    detection = detect_board(strip, board)
    assert detection.status is DetectionStatus.ON_A_LINE
    assert np.isnan(detection.position).all()


def test_color_pictures_are_taken_in_either_order(picture: Picture, view: Any) -> None:
    board = Charuco(5, 4, 24.0)
    image, _ = picture(board, view(seed=9))
    gray = detect_board(image, board)
    color = detect_board(np.repeat(image[..., None], 3, axis=2), board)
    np.testing.assert_array_equal(gray.position, color.position)


def test_the_same_picture_gives_the_same_bytes(picture: Picture, view: Any) -> None:
    for board in (Chessboard(10, 7, 30.0), Charuco(8, 11, 24.0), AprilGrid(4, 4, 24.0)):
        image, _ = picture(board, view(seed=10))
        first, second = (detect_board(image, board) for _ in range(2))
        assert first.position.tobytes() == second.position.tobytes()


@pytest.mark.parametrize(
    "image",
    [np.zeros((10, 10)), np.zeros((0, 10), dtype=np.uint8), np.zeros((4, 5, 4), dtype=np.uint8), "picture.png"],
    ids=["float", "empty", "four channels", "text"],
)
def test_what_is_no_picture_is_refused(image: object) -> None:
    with pytest.raises(InvalidValueError, match="image: expected uint8"):
        detect_board(image, Chessboard(10, 7, 30.0))  # type: ignore[arg-type]


def test_a_chessboard_that_is_too_small_for_finders_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="at least 4 squares each way"):
        detect_board(np.zeros((40, 40), dtype=np.uint8), Chessboard(9, 3, 30.0))


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (20, 20)])
@pytest.mark.parametrize("board", [Chessboard(10, 7, 30.0), Charuco(5, 4, 24.0), AprilGrid(4, 4, 24.0)], ids=str)
def test_tiny_pictures_have_no_board(size: tuple[int, int], board: Board) -> None:
    assert not detect_board(np.full(size, 100, dtype=np.uint8), board).found


@pytest.mark.parametrize("settings", [{"search_size": 10}, {"minimum_corners": 3}, {"search_size": 1000.5}])
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError, match="DetectionSettings"):
        DetectionSettings(**settings)
