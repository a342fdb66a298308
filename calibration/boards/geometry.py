"""Calibration boards as values: where their corners are, and which turns of them nobody can tell apart.

The frame of a board: the origin is its first corner, x points along its rows to the right, y down its columns, and z
into the board, away from the viewer. Corners are counted row by row. A camera in front of the board is at negative z.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from calibration.errors import InvalidValueError

__all__ = ["AprilGrid", "Board", "Charuco", "Chessboard"]


@dataclass(frozen=True)
class Board(ABC):
    """What all boards have in common.

    Attributes:
        columns, rows: how many squares (for an AprilGrid: tags) stand side by side and one below the other.
        square: edge of a square (for an AprilGrid: of the black border of a tag), in `unit`.
        unit: length unit.

    Raises:
        InvalidValueError: a number is not positive, or too small for a board.
    """

    columns: int
    rows: int
    square: float
    unit: str = "mm"

    kind: ClassVar[str]
    fewest: ClassVar[int] = 3

    def __post_init__(self) -> None:
        for name in ("columns", "rows"):
            value = getattr(self, name)
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= self.fewest
            _require(f"{self.kind}, {name}", bool(whole), f"a whole number from {self.fewest}", value)
            object.__setattr__(self, name, int(value))
        _require(f"{self.kind}, square", _is_positive(self.square), f"a positive length in {self.unit}", self.square)
        object.__setattr__(self, "square", float(self.square))
        _require(f"{self.kind}, unit", bool(str(self.unit).strip()), "a length unit", self.unit)

    @property
    @abstractmethod
    def points(self) -> NDArray[np.float64]:
        """(corner, 3) positions of the corners in the frame of the board; z is 0."""

    @property
    @abstractmethod
    def edges(self) -> NDArray[np.intp]:
        """(edge, 2) pairs of corners that are printed as the two ends of one edge of a square."""

    @property
    @abstractmethod
    def extent(self) -> tuple[float, float]:
        """Width and height of the printed pattern, outer edge to outer edge."""

    @property
    @abstractmethod
    def margin(self) -> tuple[float, float]:
        """Where the first corner lies, from the upper left outer corner of the printed pattern: right, down."""

    @property
    def symmetries(self) -> NDArray[np.intp]:
        """(turn, corner) reorderings of the corners that give the same picture; none for boards that can be told.

        Corner `symmetries[k, i]` of the board looks, after the turn, like corner `i`.
        """
        return np.zeros((0, len(self.points)), dtype=np.intp)

    @property
    def partial(self) -> bool:
        """Whether a board of which only a part is seen still tells which corner is which."""
        return True

    def __str__(self) -> str:
        return f"{self.kind} of {self.columns} x {self.rows}, {self.square:g} {self.unit}"


@dataclass(frozen=True)
class _Squares(Board):
    """Black and white squares; corners are those between four of them, which OpenCV numbers in the same order."""

    @property
    def points(self) -> NDArray[np.float64]:
        """(corner, 3) the inner corners."""
        return _grid(self.columns - 1, self.rows - 1, self.square)

    @property
    def edges(self) -> NDArray[np.intp]:
        """(edge, 2) neighbors in rows and in columns."""
        return _neighbors(self.columns - 1, self.rows - 1)

    @property
    def extent(self) -> tuple[float, float]:
        """Width and height of all squares."""
        return self.columns * self.square, self.rows * self.square

    @property
    def margin(self) -> tuple[float, float]:
        """One square each way."""
        return self.square, self.square


@dataclass(frozen=True)
class Chessboard(_Squares):
    """A chessboard; its upper left square is black. Corners are those between four squares.

    Attributes:
        columns, rows: number of squares (not of inner corners, of which there is one less each way).
    """

    kind: ClassVar[str] = "chessboard"

    @property
    def partial(self) -> bool:
        """False: the corners are counted from the edge, which must be seen."""
        return False

    @property
    def symmetries(self) -> NDArray[np.intp]:
        """(turn, corner) half a turn where columns + rows is even; quarter turns of odd squares as well."""
        order = np.arange((self.columns - 1) * (self.rows - 1)).reshape(self.rows - 1, self.columns - 1)
        turns = []
        if self.columns == self.rows and self.columns % 2:
            turns = [np.rot90(order, quarter) for quarter in (1, 2, 3)]
        elif (self.columns + self.rows) % 2 == 0:
            turns = [np.rot90(order, 2)]
        return np.array([turn.ravel() for turn in turns], dtype=np.intp).reshape(len(turns), order.size)


@dataclass(frozen=True)
class Charuco(_Squares):
    """A chessboard with an ArUco marker in every white square (OpenCV's ChArUco).

    Attributes:
        columns, rows: number of squares.
        marker: edge of a marker, in `unit`; three quarters of a square by default.
        dictionary: OpenCV's name of the dictionary, as DICT_4X4_50.
        legacy: the pattern of OpenCV before 4.6, whose upper left square is white where `rows` is even.
        inverted: printed with black and white exchanged.
    """

    marker: float = 0.0
    dictionary: str = "DICT_4X4_50"
    legacy: bool = False
    inverted: bool = False

    kind: ClassVar[str] = "charuco"
    fewest: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.marker:
            object.__setattr__(self, "marker", float(f"{0.75 * self.square:.12g}"))
        fits = _is_positive(self.marker) and self.marker < self.square
        _require("charuco, marker", fits, f"a length below the square of {self.square:g} {self.unit}", self.marker)
        object.__setattr__(self, "marker", float(self.marker))
        _require("charuco, dictionary", _is_name(self.dictionary), "a name as DICT_4X4_50", self.dictionary)


@dataclass(frozen=True)
class AprilGrid(Board):
    """A grid of AprilTags, as Kalibr prints it: tag 0 is at the lower left, and black squares fill the gaps' crossings.

    Corners are counted row by row over the whole grid, from the upper left, two in a row for every tag.

    Attributes:
        columns, rows: number of tags.
        square: edge of the black border of a tag.
        spacing: gap between two tags as a share of `square`.
        dictionary: OpenCV's name of the dictionary.
        first_id: id of the tag at the lower left.
        inverted: printed with black and white exchanged.
    """

    spacing: float = 0.3
    dictionary: str = "DICT_APRILTAG_36h11"
    first_id: int = 0
    inverted: bool = False

    kind: ClassVar[str] = "aprilgrid"
    fewest: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        fits = _is_positive(self.spacing) and self.spacing < 1
        _require("aprilgrid, spacing", fits, "a share between 0 and 1 of the edge of a tag", self.spacing)
        object.__setattr__(self, "spacing", float(self.spacing))
        _require("aprilgrid, dictionary", _is_name(self.dictionary), "a name as DICT_APRILTAG_36h11", self.dictionary)
        whole = isinstance(self.first_id, int | np.integer) and self.first_id >= 0
        _require("aprilgrid, first_id", whole, "a whole number from 0", self.first_id)

    @property
    def points(self) -> NDArray[np.float64]:
        """(corner, 3) the four corners of every tag, row by row over the grid."""
        x, y = (self._along(count) for count in (self.columns, self.rows))
        grid = np.zeros((len(y), len(x), 3))
        grid[..., 0], grid[..., 1] = x, y[:, None]
        return grid.reshape(-1, 3)

    @property
    def edges(self) -> NDArray[np.intp]:
        """(edge, 2) the four edges of every tag."""
        upper_left, upper_right, lower_right, lower_left = self.tag_corners.T
        ends = [(upper_left, upper_right), (upper_right, lower_right), (lower_right, lower_left)]
        return np.concatenate([np.stack(pair, axis=-1) for pair in [*ends, (lower_left, upper_left)]])

    @property
    def tag_corners(self) -> NDArray[np.intp]:
        """(tag, 4) corners of the tags in the order of their ids: upper left, upper right, lower right, lower left."""
        order = np.arange(4 * self.columns * self.rows).reshape(2 * self.rows, 2 * self.columns)
        corners = [order[0::2, 0::2], order[0::2, 1::2], order[1::2, 1::2], order[1::2, 0::2]]
        # ids grow from the lowest row upward
        return np.stack([each[::-1].ravel() for each in corners], axis=-1)

    @property
    def extent(self) -> tuple[float, float]:
        """Width and height with the black squares at the outer crossings."""
        step = self.square * (1 + self.spacing)
        outer = self.square * self.spacing
        return self.columns * step + outer, self.rows * step + outer

    @property
    def margin(self) -> tuple[float, float]:
        """One gap each way."""
        return self.square * self.spacing, self.square * self.spacing

    def _along(self, count: int) -> NDArray[np.float64]:
        starts = np.arange(count) * self.square * (1 + self.spacing)
        return np.stack([starts, starts + self.square], axis=-1).ravel()


def _grid(columns: int, rows: int, step: float) -> NDArray[np.float64]:
    grid = np.zeros((rows, columns, 3))
    grid[..., 0], grid[..., 1] = step * np.arange(columns), step * np.arange(rows)[:, None]
    return grid.reshape(-1, 3)


def _neighbors(columns: int, rows: int) -> NDArray[np.intp]:
    order = np.arange(columns * rows).reshape(rows, columns)
    along = np.stack([order[:, :-1].ravel(), order[:, 1:].ravel()], axis=-1)
    down = np.stack([order[:-1].ravel(), order[1:].ravel()], axis=-1)
    return np.concatenate([along, down])


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and 0 < float(value) < np.inf


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value.startswith("DICT_")


def _require(subject: str, fine: bool, expected: str, got: object) -> None:
    if not fine:
        raise InvalidValueError(subject, expected=expected, got=repr(got), remedy="Correct the board.")
