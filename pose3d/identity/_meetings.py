"""Where two animals may have been exchanged, as steps in the history of names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose3d.identity._naming import Step
from pose3d.identity._stitching import Links
from pose3d.identity._tracks import Events, Pieces

__all__ = ["Meeting", "find_meetings", "meeting_step"]


@dataclass(frozen=True, eq=False)
class Meeting:
    """A time at which two chains of pieces may have been exchanged.

    Attributes:
        first_row, last_row: frames.
        first, second: chains; `second` is -1 where an animal was lost and somebody found later, by itself.
        odds: logarithm of the odds that they were not exchanged.
        reason: "close" or "unseen".
    """

    first_row: int
    last_row: int
    first: int
    second: int
    odds: float
    reason: str


def meeting_step(meeting: Meeting) -> Step:
    """The meeting as a step of the history of names."""
    price = np.logaddexp(0.0, np.array([-meeting.odds, meeting.odds]))
    return Step(meeting.last_row + 1, meeting.first, meeting.second, price)


def find_meetings(pieces: Pieces, events: Events, links: Links, paths: list[list[int]]) -> list[Meeting]:
    """All meetings, in the order of time.

    Args:
        pieces: sorted by number.
        events: times at which tracks were close.
        links: which piece may follow which.
        paths: the chains, as places in `pieces`.
    """
    chain = np.full(len(pieces.number), -1, np.int64)
    for number, path in enumerate(paths):
        chain[path] = number
    place = {int(number): index for index, number in enumerate(pieces.number)}
    meetings = []
    for (begin, end, a, b, after, other), odds in zip(events.row.tolist(), events.odds.tolist(), strict=True):
        one, two = chain[place[a]], chain[place[b]]
        goes_on = chain[place[after]] if after in place else -1
        if one < 0 or two < 0 or one == two or goes_on not in (one, two):
            continue
        if other >= 0 and other in place and chain[place[other]] not in (-1, two if goes_on == one else one):
            continue
        straight = goes_on == one
        meetings.append(Meeting(begin, end, int(one), int(two), odds if straight else -odds, "close"))
    meetings += _gaps(pieces, links, paths)
    return sorted(meetings, key=lambda meeting: (meeting.last_row, meeting.first, meeting.second))


def _gaps(pieces: Pieces, links: Links, paths: list[list[int]]) -> list[Meeting]:
    """Two chains that were unseen at the same time: each may go on as the other."""
    price = dict(zip(zip(links.start.tolist(), links.end.tolist(), strict=True), links.cost.tolist(), strict=True))
    gaps: list[tuple[int, int, int, int, int]] = []
    for number, path in enumerate(paths):
        for one, other in zip(path, path[1:], strict=False):
            if pieces.first[other] > pieces.last[one] + 1:
                gaps.append((int(pieces.last[one]), int(pieces.first[other]), number, one, other))
    gaps.sort()
    meetings = []
    for index, (lost, found, number, one, other) in enumerate(gaps):
        for lost2, found2, number2, one2, other2 in gaps[index + 1 :]:
            if lost2 >= found:
                break
            if number2 == number or lost2 >= min(found, found2):
                continue
            crossed = price.get((one, other2)), price.get((one2, other))
            if crossed[0] is None or crossed[1] is None:
                continue
            odds = crossed[0] + crossed[1] - price[one, other] - price[one2, other2]
            meetings.append(Meeting(lost2 + 1, min(found, found2) - 1, number, number2, odds, "unseen"))
    return meetings


def labels_of_pieces(names: NDArray[np.int64], rows: NDArray[np.int64], path: list[int], pieces: Pieces) -> list[int]:
    """Names of the pieces of a chain, from the names after every step and the frames of the steps."""
    at = np.searchsorted(rows, pieces.first[path], side="right") - 1
    return [int(names[step]) if step >= 0 else -1 for step in at]
