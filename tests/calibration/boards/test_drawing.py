"""Pictures of boards: the same as OpenCV's where it draws them, exact at any scale, and Kalibr's tags."""

import cv2
import numpy as np
import pytest

from calibration.boards import AprilGrid, Board, Charuco, Chessboard, detect_board, draw_board, draw_detection
from calibration.boards._pattern import black_rectangles, dictionary_names, dictionary_of
from calibration.errors import InvalidValueError


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("size", [(8, 11), (8, 10), (5, 4), (4, 5)])
@pytest.mark.parametrize("dictionary", ["DICT_4X4_50", "DICT_6X6_250", "DICT_ARUCO_ORIGINAL"])
def test_a_charuco_board_is_drawn_as_opencv_draws_it(size: tuple[int, int], legacy: bool, dictionary: str) -> None:
    predefined = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, dictionary))
    cells = 8 * (predefined.markerSize + 2)  # everything is whole numbers of pixels, so both are exact
    board = Charuco(*size, square=4.0, marker=3.0, dictionary=dictionary, legacy=legacy)
    reference = cv2.aruco.CharucoBoard(size, 4.0, 3.0, predefined)
    reference.setLegacyPattern(legacy)
    expected = reference.generateImage((size[0] * cells, size[1] * cells))
    np.testing.assert_array_equal(draw_board(board, cells / 4), expected)


def test_the_upper_left_square_of_a_chessboard_is_black() -> None:
    picture = draw_board(Chessboard(4, 3, 1.0), 2.0)
    assert picture.tolist()[0] == [0, 0, 255, 255] * 2
    assert picture.shape == (6, 8)


@pytest.mark.parametrize("scale", [3.1, 7.77])
def test_every_pixel_has_the_mean_of_what_it_covers(scale: float) -> None:
    board = Charuco(5, 4, 10.0, inverted=True)
    fine = draw_board(board, 8 * scale, border=8.0)
    coarse = draw_board(board, scale, border=8.0).astype(float)
    height, width = fine.shape[0] // 8, fine.shape[1] // 8
    mean = fine[: 8 * height, : 8 * width].reshape(height, 8, width, 8).mean(axis=(1, 3))
    assert np.abs(mean - coarse[:height, :width]).max() < 1.0


def test_an_inverted_board_is_the_negative() -> None:
    plain, inverted = (draw_board(Charuco(5, 4, 10.0, inverted=flag), 5.0, border=4.0) for flag in (False, True))
    np.testing.assert_array_equal(plain, 255 - inverted)


def test_tags_are_kalibrs() -> None:
    # the code of tag 0 of the family 36h11, highest bit first, which Kalibr prints row by row inside two black cells
    code = 0xD5D628584
    bits = np.array([(code >> (35 - place)) & 1 for place in range(36)]).reshape(6, 6)
    picture = draw_board(AprilGrid(2, 3, 10.0, spacing=0.3), 1.0)
    lowest = picture[3 + 26 : 3 + 36, 3:13]
    np.testing.assert_array_equal(lowest, np.pad(bits, 2) * 255)
    # black squares where the gaps cross
    assert not picture[:3, :3].any()
    assert not picture[13:16, 13:16].any()
    assert picture[:3, 3:13].all()


@pytest.mark.parametrize(
    "board", [Chessboard(10, 7, 3.0), Charuco(8, 10, 3.0, legacy=True), AprilGrid(3, 4, 3.0)], ids=str
)
def test_rectangles_do_not_overlap_and_stay_inside(board: Board) -> None:
    left, top, right, bottom = black_rectangles(board).T
    assert (left >= -1e-9).all()
    assert (top >= -1e-9).all()
    assert (right <= board.extent[0] + 1e-9).all()
    assert (bottom <= board.extent[1] + 1e-9).all()
    wide = np.minimum.outer(right, right) - np.maximum.outer(left, left)
    high = np.minimum.outer(bottom, bottom) - np.maximum.outer(top, top)
    overlap = np.where((wide > 1e-9) & (high > 1e-9), wide * high, 0.0)
    np.fill_diagonal(overlap, 0.0)
    assert overlap.max() == 0.0


def test_the_dictionaries_are_known_once_each() -> None:
    names = dictionary_names()
    assert len(names) == 22
    assert "DICT_APRILTAG_36h11" in names
    assert len(dictionary_of("DICT_ARUCO_MIP_36h12").bytesList) == 250


@pytest.mark.parametrize("family", ["DICT_4X4", "DICT_5X5", "DICT_6X6", "DICT_7X7"])
def test_small_dictionaries_are_the_beginnings_of_large_ones(family: str) -> None:
    # detection reads the markers of a large dictionary with a smaller one where it has enough
    largest = dictionary_of(f"{family}_1000").bytesList
    for size in (50, 100, 250):
        np.testing.assert_array_equal(dictionary_of(f"{family}_{size}").bytesList, largest[:size])


def test_a_dictionary_that_is_too_small_names_one_that_is_not() -> None:
    with pytest.raises(InvalidValueError, match=r"at least 110 markers, got 50\. Take DICT_4X4_250"):
        draw_board(Charuco(20, 11, 10.0), 1.0)
    with pytest.raises(InvalidValueError, match="Near are DICT_5X5_"):
        draw_board(Charuco(8, 11, 10.0, dictionary="DICT_5X5"), 1.0)
    with pytest.raises(InvalidValueError, match="at least 31 markers"):
        draw_board(AprilGrid(5, 4, 10.0, dictionary="DICT_APRILTAG_16h5", first_id=11), 1.0)
    with pytest.raises(InvalidValueError, match="no dictionary has as many"):
        draw_board(Charuco(100, 100, 10.0), 1.0)


@pytest.mark.parametrize(("scale", "border"), [(0.0, 0.0), (-1.0, 0.0), (np.nan, 0.0), (1e5, 0.0), (1.0, -1.0)])
def test_a_picture_that_cannot_be_drawn(scale: float, border: float) -> None:
    with pytest.raises(InvalidValueError, match="a positive scale"):
        draw_board(Chessboard(10, 7, 30.0), scale, border)


def test_a_detection_is_drawn_on_a_copy() -> None:
    board = Charuco(5, 4, 30.0)
    picture = draw_board(board, 2.0, border=30.0)
    before = picture.copy()
    detection = detect_board(picture, board)
    drawn = draw_detection(picture, detection)
    assert drawn.shape == (*picture.shape, 3)
    np.testing.assert_array_equal(picture, before)
    x, y = np.rint(detection.position).astype(int).T
    # each corner is ringed in color: red, green and blue differ
    colored = np.ptp(drawn.astype(int), axis=2) > 30
    for at_x, at_y in zip(x, y, strict=True):
        assert colored[at_y - 5 : at_y + 6, at_x - 5 : at_x + 6].any()
    nothing = np.full((200, 300), 90, dtype=np.uint8)
    assert draw_detection(nothing, detect_board(nothing, board)).max() > 200  # the reason, in white
