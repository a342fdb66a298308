"""When a camera disagrees with the others about a keypoint: stretches of frames, found piece by piece."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEWEST_FRAMES", "Disagreement", "DisagreementSearch"]

# Fewer frames in a row are noise and single outliers, which the reconstruction passes over.
FEWEST_FRAMES = 5
_MOST_LISTED = 10


@dataclass(frozen=True)
class Disagreement:
    """A stretch of frames in which a camera disagrees with the others about a keypoint.

    Attributes:
        camera, keypoint, individual: names.
        first, last: frame numbers.
        frames: how many there are.
    """

    camera: str
    keypoint: str
    individual: str
    first: int
    last: int
    frames: int


@dataclass(eq=False)
class DisagreementSearch:
    """Finds the longest disagreements of a recording that comes piece by piece, in constant memory.

    Attributes:
        cells: (camera, keypoint, individual) names of what is looked at, each along time.
        count: how many stretches of at least `FEWEST_FRAMES` frames ended so far.
        rows: (cell,) how many frames of disagreement there were, in stretches of any length.
    """

    cells: list[tuple[str, str, str]]
    count: int = 0
    rows: NDArray[np.int64] = field(init=False)
    _found: list[tuple[int, int, int, int]] = field(init=False, default_factory=list)
    _first: NDArray[np.int64] = field(init=False)
    _length: NDArray[np.int64] = field(init=False)
    _last_frame: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.rows, self._first, self._length = (np.zeros(len(self.cells), dtype=np.int64) for _ in range(3))

    def add(self, frames: NDArray[np.int64], disagrees: NDArray[np.bool_]) -> None:
        """Look at the frames that follow.

        Args:
            frames: (time,) frame numbers.
            disagrees: (time, cell) whether the camera disagrees.
        """
        if not len(frames):
            return
        self.rows += disagrees.sum(0)
        padded = np.zeros((disagrees.shape[1], len(frames) + 2), dtype=np.int8)
        padded[:, 1:-1] = disagrees.T
        change = np.diff(padded, axis=1)
        cell, start = np.nonzero(change > 0)
        end = np.nonzero(change < 0)[1]  # in the same order: every stretch that begins also ends
        joined = (start == 0) & (self._length[cell] > 0)
        length = end - start + np.where(joined, self._length[cell], 0)
        first = np.where(joined, self._first[cell], frames[start])
        # What was open and does not go on ended with the piece before.
        over = self._length > 0
        over[cell[joined]] = False
        self._end(zip(*self._open(np.flatnonzero(over)), strict=True))
        goes_on = end == len(frames)
        done = ~goes_on & (length >= FEWEST_FRAMES)
        self._end(zip(cell[done], first[done], frames[end[done] - 1], length[done], strict=True))
        self._length[:] = 0
        self._length[cell[goes_on]], self._first[cell[goes_on]] = length[goes_on], first[goes_on]
        self._last_frame = int(frames[-1])

    def longest(self) -> tuple[Disagreement, ...]:
        """The longest disagreements so far, longest first; those that have not ended count as well."""
        still = zip(*self._open(np.flatnonzero(self._length)), strict=True)
        found = heapq.nsmallest(_MOST_LISTED, [*self._found, *_ranked(still)])
        return tuple(Disagreement(*self.cells[cell], first, last, -length) for length, first, last, cell in found)

    def total(self) -> int:
        """How many disagreements there are, listed or not."""
        return self.count + int((self._length >= FEWEST_FRAMES).sum())

    def _open(self, cells: NDArray[np.intp]) -> tuple[NDArray[np.int64], ...]:
        """Cell, first frame, last frame and length of what is open in these cells."""
        last = np.full(len(cells), self._last_frame, dtype=np.int64)
        return cells.astype(np.int64), self._first[cells], last, self._length[cells]

    def _end(self, stretches: Iterable[tuple[int, int, int, int]]) -> None:
        ended = _ranked(stretches)
        self.count += len(ended)
        self._found = heapq.nsmallest(_MOST_LISTED, [*self._found, *ended])


def _ranked(stretches: Iterable[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Stretches (cell, first, last, length) that are long enough, as (-length, first, last, cell): longest first."""
    plain = (tuple(map(int, stretch)) for stretch in stretches)
    return [(-length, first, last, cell) for cell, first, last, length in plain if length >= FEWEST_FRAMES]
