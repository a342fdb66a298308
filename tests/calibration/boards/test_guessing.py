"""Which board is in the pictures, when another one was named."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.boards import AprilGrid, Board, Charuco, Chessboard, guess_board
from calibration.errors import InvalidValueError

Picture = Callable[[Board, Any], tuple[NDArray[np.uint8], NDArray[np.float64]]]


@pytest.fixture
def pictures(picture: Picture, view: Any) -> Callable[[Board], list[NDArray[np.uint8]]]:
    """Two pictures of a board."""
    return lambda board: [picture(board, view(seed=seed, size=(480, 360), tilt=30.0))[0] for seed in range(2)]


Pictures = Callable[[Board], list[NDArray[np.uint8]]]


def test_the_named_board_is_tried_first(pictures: Pictures) -> None:
    guess = guess_board(pictures(Chessboard(8, 6, 30.0)), Chessboard(8, 6, 30.0))
    assert guess.board == Chessboard(8, 6, 30.0)
    assert (guess.images, guess.looked_at) == (2, 2)
    assert "is in 2 of 2 images" in guess.message


@pytest.mark.parametrize(
    ("named", "words"),
    [
        (Chessboard(7, 4, 30.0), ["7 x 4 inner corners", "That is the number of inner corners", "8 x 5"]),
        (Chessboard(9, 6, 30.0), ["Give the squares, not one more: 8 x 5"]),
        (Chessboard(6, 4, 30.0), ["Found a chessboard of 8 x 5 squares", "You said a chessboard of 6 x 4 squares"]),
    ],
    ids=str,
)
def test_a_miscounted_chessboard_is_counted(named: Board, words: list[str], pictures: Pictures) -> None:
    guess = guess_board(pictures(Chessboard(8, 5, 30.0)), named)
    assert guess.board == Chessboard(8, 5, 30.0)
    assert all(word in guess.message for word in words)


@pytest.mark.parametrize(
    ("named", "shown", "words"),
    [
        (Charuco(6, 5, 24.0), Charuco(5, 6, 24.0), ["columns and rows are exchanged"]),
        (Charuco(5, 6, 24.0), Charuco(5, 6, 24.0, legacy=True), ["legacy is true"]),
        (Charuco(4, 5, 24.0), Charuco(5, 6, 24.0), ["charuco of 5 x 6 squares", "You said a charuco of 4 x 5"]),
        (
            Charuco(5, 6, 24.0, dictionary="DICT_5X5_50"),
            Charuco(5, 6, 24.0, dictionary="DICT_6X6_50"),
            ["DICT_6X6_50 are seen, ids 0-14", "dictionary is DICT_6X6_50"],
        ),
        (Chessboard(6, 4, 24.0), Charuco(5, 7, 24.0, inverted=True), ["it is a charuco"]),
        (
            AprilGrid(6, 6, 24.0),
            AprilGrid(3, 2, 24.0, dictionary="DICT_APRILTAG_25h9", first_id=2),
            ["dictionary is DICT_APRILTAG_25h9", "first_id is 2", "ids 2-7"],
        ),
    ],
    ids=["exchanged", "legacy", "size", "dictionary", "kind", "aprilgrid"],
)
def test_the_properties_of_boards_with_markers_are_found(
    named: Board, shown: Board, words: list[str], pictures: Pictures
) -> None:
    guess = guess_board(pictures(shown), named)
    assert guess.board == shown
    assert all(word in guess.message for word in words), guess.message


@pytest.mark.parametrize("named", [Chessboard(8, 6, 30.0), Chessboard(7, 5, 30.0)], ids=["same", "inner corners"])
def test_squares_with_markers_in_them_are_told_as_a_charuco(named: Board, pictures: Pictures) -> None:
    guess = guess_board(pictures(Charuco(8, 6, 30.0)), named)
    assert guess.board == Charuco(8, 6, 30.0)
    assert "it is a charuco, no chessboard" in guess.message


def test_without_a_board_it_is_said_that_there_is_none() -> None:
    guess = guess_board([np.full((120, 160), 90, dtype=np.uint8)], Chessboard(10, 7, 30.0))
    assert guess.board is None
    assert guess.images == 0
    assert "Neither a chessboard nor three markers" in guess.message


def test_pictures_are_needed() -> None:
    with pytest.raises(InvalidValueError, match="at least one"):
        guess_board([], Chessboard(10, 7, 30.0))
