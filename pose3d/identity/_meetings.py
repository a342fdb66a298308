"""Where two animals may have been exchanged, as steps in the history of names."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pose3d.identity._naming import Step
from pose3d.identity._stitching import Links, piece_chains
from pose3d.identity._tracks import Events, Pieces

__all__ = ["find_meetings"]


def _meeting(first_row: int, last_row: int, first: int, second: int, odds: float, *, unseen: bool) -> Step:
    """A meeting of two chains, as the logarithm of the odds that they were not exchanged."""
    price = np.logaddexp(0.0, np.array([-odds, odds]))
    return Step(last_row + 1, first, second, price, begin=first_row, unseen=unseen)


def find_meetings(
    pieces: Pieces, events: Events, links: Links, paths: list[list[int]], frames: NDArray[np.int64] | None = None
) -> list[Step]:
    """All meetings, in the order of time.

    Args:
        pieces: sorted by number.
        events: times at which tracks were close.
        links: which piece may follow which.
        paths: the chains, as places in `pieces`.
        frames: (row,) frame numbers; None: there is a row for every frame.
    """
    chain = piece_chains(paths, len(pieces.number))
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
        meetings.append(_meeting(begin, end, int(one), int(two), odds if straight else -odds, unseen=False))
    meetings += _gaps(pieces, links, paths, frames)
    return sorted(meetings, key=lambda step: (step.row, step.first, step.second))


def _gaps(pieces: Pieces, links: Links, paths: list[list[int]], frames: NDArray[np.int64] | None) -> list[Step]:
    """Two chains that were unseen at the same time: each may go on as the other."""
    price = dict(zip(zip(links.start.tolist(), links.end.tolist(), strict=True), links.cost.tolist(), strict=True))
    gaps: list[tuple[int, int, int, int, int]] = []
    begins, ends = (rows if frames is None else frames[rows] for rows in (pieces.first, pieces.last))
    for number, path in enumerate(paths):
        for one, other in pairwise(path):
            if begins[other] > ends[one] + 1:
                gaps.append((int(pieces.last[one]), int(pieces.first[other]), number, one, other))
    gaps.sort()
    meetings = []
    for index, (_, found, number, one, other) in enumerate(gaps):
        for lost2, found2, number2, one2, other2 in gaps[index + 1 :]:
            if lost2 >= found:
                break
            if number2 == number or lost2 >= min(found, found2):
                continue
            crossed = price.get((one, other2)), price.get((one2, other))
            if crossed[0] is None or crossed[1] is None:
                continue
            odds = crossed[0] + crossed[1] - price[one, other] - price[one2, other2]
            meetings.append(_meeting(lost2, min(found, found2) - 1, number, number2, odds, unseen=True))
    return meetings
