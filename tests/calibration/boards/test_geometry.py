"""Boards as values: corners, edges, and the turns that nobody can tell apart."""

import numpy as np
import pytest

from calibration.boards import AprilGrid, Board, Charuco, Chessboard
from calibration.errors import InvalidValueError

BOARDS = [Chessboard(10, 7, 30.0), Chessboard(7, 7, 1.0), Charuco(8, 11, 24.0), AprilGrid(6, 5, 88.0, spacing=0.25)]


@pytest.mark.parametrize("board", BOARDS, ids=str)
def test_corners_are_counted_row_by_row_from_the_upper_left(board: Board) -> None:
    points = board.points
    assert points[0].tolist() == [0.0, 0.0, 0.0]
    assert (points[:, 2] == 0).all()
    assert np.lexsort((points[:, 0], points[:, 1])).tolist() == list(range(len(points)))


@pytest.mark.parametrize("board", BOARDS, ids=str)
def test_edges_are_one_square_long_and_along_an_axis(board: Board) -> None:
    run = np.abs(board.points[board.edges[:, 1]] - board.points[board.edges[:, 0]])
    assert run.max(axis=1) == pytest.approx(board.square)
    assert run.min(axis=1) == pytest.approx(0.0)
    assert len({tuple(sorted(edge)) for edge in board.edges.tolist()}) == len(board.edges)


@pytest.mark.parametrize("board", BOARDS, ids=str)
def test_the_corners_lie_within_the_pattern(board: Board) -> None:
    corner = board.points[:, :2] + board.margin
    assert (corner > 0).all()
    assert (corner < board.extent).all()
    # the margin is the same on the opposite side
    assert board.extent - corner.max(axis=0) == pytest.approx(board.margin)


@pytest.mark.parametrize(
    ("columns", "rows", "turns"), [(10, 7, 0), (9, 6, 0), (9, 7, 1), (10, 8, 1), (8, 8, 1), (7, 7, 3)]
)
def test_a_chessboard_has_the_turns_that_keep_its_picture(columns: int, rows: int, turns: int) -> None:
    board = Chessboard(columns, rows, 2.0)
    assert len(board.symmetries) == turns
    black = np.add.outer(np.arange(rows), np.arange(columns)) % 2 == 0
    same = sum(np.array_equal(np.rot90(black, quarter), black) for quarter in (1, 2, 3))
    assert same == turns
    for turn in board.symmetries:
        # a turn keeps all distances
        moved = board.points[turn]
        assert np.linalg.norm(moved[1:] - moved[:-1], axis=1) == pytest.approx(
            np.linalg.norm(board.points[1:] - board.points[:-1], axis=1)
        )


def test_boards_with_markers_can_be_told_from_a_part() -> None:
    assert [board.partial for board in BOARDS] == [False, False, True, True]
    assert not len(Charuco(7, 7, 1.0).symmetries)


def test_the_tags_of_an_aprilgrid_begin_at_the_lower_left() -> None:
    board = AprilGrid(3, 2, 10.0, spacing=0.5)
    first, second, fourth = (board.points[board.tag_corners[number], :2] for number in (0, 1, 3))
    assert first.tolist() == [[0, 15], [10, 15], [10, 25], [0, 25]]
    assert second.tolist() == [[15, 15], [25, 15], [25, 25], [15, 25]]
    assert fourth.tolist() == [[0, 0], [10, 0], [10, 10], [0, 10]]


@pytest.mark.parametrize(
    ("kind", "arguments", "subject"),
    [
        (Chessboard, (2, 7, 1.0), "chessboard, columns"),
        (Chessboard, (10, 7.5, 1.0), "chessboard, rows"),
        (Chessboard, (10, 7, 0.0), "chessboard, square"),
        (Chessboard, (10, 7, float("nan")), "chessboard, square"),
        (Chessboard, (10, 7, 1.0, " "), "chessboard, unit"),
        (Charuco, (8, 11, 24.0, "mm", 24.0), "charuco, marker"),
        (Charuco, (8, 11, 24.0, "mm", 18.0, "4X4_50"), "charuco, dictionary"),
        (AprilGrid, (6, 6, 88.0, "mm", 1.0), "aprilgrid, spacing"),
        (AprilGrid, (6, 6, 88.0, "mm", 0.3, "DICT_APRILTAG_36h11", -1), "aprilgrid, first_id"),
    ],
)
def test_a_board_that_cannot_be_names_what_is_wrong(
    kind: type[Board], arguments: tuple[object, ...], subject: str
) -> None:
    with pytest.raises(InvalidValueError, match=f"^{subject}: expected"):
        kind(*arguments)  # type: ignore[arg-type]
