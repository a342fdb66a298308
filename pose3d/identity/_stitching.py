"""Pieces of track become animals: which piece goes on as which, for the whole recording at once.

That is a flow of least cost (Zhang, Li and Nevatia, CVPR 2008): every animal is a unit that flows from piece to piece;
a piece that is used earns what speaks for it, a link costs what speaks against it. As every vertex of the linear
program is whole, scipy's simplex solves it exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array

from pose3d.identity._tracks import Events, Pieces

__all__ = ["Links", "chains", "find_links", "piece_chains"]

Array = NDArray[np.float64]
Places = NDArray[np.int64]

# What a frame in which a piece was seen earns, and the most that counts of it.
_FRAME, _MOST = 0.5, 100.0
# What it costs an animal to appear, and to disappear, where their number is not known. A false track of a few frames is
# not worth it: at 0.5 a frame, a track of 20 frames.
_APPEAR = 5.0
# A link that says nothing more than that it was somewhere else.
_ANYWHERE = 6.0
# So many later pieces are tried as what a lost animal goes on as, beside those within the longest absence.
_LATER = 12


@dataclass(frozen=True, eq=False)
class Links:
    """Which pieces may go on as which.

    Attributes:
        start, end: (link,) pieces, as places in `Pieces`.
        cost: (link,) minus a logarithm of likelihood.
    """

    start: Places
    end: Places
    cost: Array


def find_links(
    pieces: Pieces, events: Events, *, radius: float, absence: float, arena: float, frames: Places | None = None
) -> Links:
    """All links that are possible.

    Args:
        pieces: sorted by number.
        events: where tracks may have been exchanged.
        radius: of an animal.
        absence: frames over which motion says where an animal is.
        arena: extent of where the animals are.
        frames: (row,) frame numbers; None: there is a row for every frame.
    """
    place = {int(number): index for index, number in enumerate(pieces.number)}
    start, end, cost = [], [], []

    def add(one: int, other: int, price: float) -> None:
        if one in place and other in place:
            start.append(place[one])
            end.append(place[other])
            cost.append(price)

    cut, grown = set(), set()
    for (_, _, a, b, after, other), odds in zip(events.row.tolist(), events.odds.tolist(), strict=True):
        add(a, after, max(-odds, 0.0))
        add(b, after, max(odds, 0.0))
        cut.add(a)
        grown.add(after)
        if other >= 0:
            add(b, other, max(-odds, 0.0))
            add(a, other, max(odds, 0.0))
            cut.add(b)
            grown.add(other)
    lost = [index for index, number in enumerate(pieces.number.tolist()) if number not in cut]
    born = [index for index, number in enumerate(pieces.number.tolist()) if number not in grown]
    for one, other, price in _by_motion(pieces, lost, born, frames, radius=radius, absence=absence, arena=arena):
        start.append(one)
        end.append(other)
        cost.append(price)
    return Links(np.array(start, np.int64), np.array(end, np.int64), np.array(cost, np.float64))


def _by_motion(
    pieces: Pieces,
    lost: list[int],
    born: list[int],
    frames: Places | None,
    *,
    radius: float,
    absence: float,
    arena: float,
) -> list[tuple[int, int, float]]:
    """Links from where animals were lost to where some appear later."""
    if not lost or not born:
        return []
    begins, ends = (rows if frames is None else frames[rows] for rows in (pieces.first, pieces.last))
    order = np.array(sorted(born, key=lambda index: pieces.first[index]), dtype=np.int64)
    first = begins[order]
    speed = np.linalg.norm(pieces.velocity, axis=-1)
    # of those that went astray at their end speeds say nothing, hence a median
    usual = max(2.0 * float(np.median(speed)), radius / max(absence, 1.0))
    links = []
    overlap = absence / 3.0
    # a piece that was never seen since it was cut is later than those that began before it: no link goes back
    gone = np.maximum(ends, begins - 1)
    for one in lost:
        # a track may hold on to what is nobody's for some frames after its successor began
        begin = int(np.searchsorted(first, gone[one] - overlap, side="right"))
        close = int(np.searchsorted(first, gone[one] + absence, side="right"))
        later = order[begin : max(close, begin + _LATER)]
        later = later[(ends[later] > gone[one]) & (later != one) & (begins[later] > begins[one])]
        if not len(later):
            continue
        gap = np.maximum((begins[later] - ends[one]).astype(np.float64), 1.0)
        ahead = np.minimum(gap, 0.3 * absence)  # nobody keeps a direction for longer
        with np.errstate(invalid="ignore"):
            off = pieces.start[later] - (pieces.end[one] + pieces.velocity[one] * ahead[:, None, None])
            distance = np.linalg.norm(off, axis=-1)
        known = np.isfinite(distance)
        mean = np.where(known, distance, 0.0).sum(-1) / np.maximum(known.sum(-1), 1)
        spread = np.minimum(np.hypot(0.5 * radius, usual * gap), arena)
        price = 0.5 * (mean / spread) ** 2 + 2.0 * np.log(np.maximum(spread / (0.5 * radius), 1.0))
        price[~known.any(-1)] = _ANYWHERE
        links += list(zip([one] * len(later), later.tolist(), np.minimum(price, 4 * _ANYWHERE).tolist(), strict=True))
    return links


def chains(pieces: Pieces, links: Links, seen: Places, *, individuals: int, rows: int) -> list[list[int]]:
    """The pieces of every animal, in the order of time; pieces that are no animal's are left out.

    Args:
        pieces: sorted by number.
        links: which may follow which.
        seen: (piece,) frames in which it was seen.
        individuals: how many there are at most; 0: not known.
        rows: frames of the recording.

    Returns:
        Places in `pieces`; the animal that was seen most comes first.
    """
    count, linked = len(pieces.number), len(links.start)
    if not count:
        return []
    # variables: the piece is used, an animal begins with it, ends with it, and the links
    earned = np.minimum(_FRAME * seen, _MOST) if not individuals else _FRAME * seen.astype(np.float64)
    appear = 0.0 if individuals else _APPEAR
    # an animal that is there from the beginning, or to the end, did not appear or disappear
    begin = np.where(pieces.first <= 1, 0.0, appear) + 1e-6 * pieces.first / max(rows, 1)
    finish = np.where(pieces.last >= rows - 2, 0.0, appear)
    price = np.concatenate([-earned, begin + 1e-3, finish + 1e-3, links.cost + 1e-6])
    each = np.arange(count)
    # what flows in, and what flows out, is what is used
    into = [(each, each, -1.0), (each, count + each, 1.0), (links.end, 3 * count + np.arange(linked), 1.0)]
    out = [(count + each, each, -1.0), (count + each, 2 * count + each, 1.0)]
    out.append((count + links.start, 3 * count + np.arange(linked), 1.0))
    row, column, value = (
        np.concatenate([np.broadcast_to(part[place], part[1].shape) for part in (*into, *out)]) for place in range(3)
    )
    total = len(price)
    balance = coo_array((value, (row, column)), shape=(2 * count, total)).tocsr()
    limit, most = None, None
    if individuals:
        begins = np.zeros(total)
        begins[count : 2 * count] = 1.0
        limit, most = coo_array(begins[None]).tocsr(), np.array([float(individuals)])
    solution = linprog(
        price, A_ub=limit, b_ub=most, A_eq=balance, b_eq=np.zeros(2 * count), bounds=(0.0, 1.0), method="highs-ds"
    )
    assert solution.x is not None, "nothing flowing at all is always possible"
    return _follow(solution.x > 0.5, links, count, seen)


def piece_chains(paths: Sequence[Sequence[int]], count: int) -> Places:
    """(piece,) the chain that each piece is in, -1 for none.

    Args:
        paths: the pieces of every chain.
        count: number of pieces.
    """
    chain = np.full(count, -1, np.int64)
    for number, path in enumerate(paths):
        chain[list(path)] = number
    return chain


def _follow(chosen: NDArray[np.bool_], links: Links, count: int, seen: Places) -> list[list[int]]:
    """The paths of a flow, the one that was seen most first."""
    taken = chosen[3 * count :]
    after = dict(zip(links.start[taken].tolist(), links.end[taken].tolist(), strict=True))
    paths = []
    for begin in np.flatnonzero(chosen[count : 2 * count]).tolist():
        path = [begin]
        while path[-1] in after:
            path.append(after[path[-1]])
        paths.append(path)
    return sorted(paths, key=lambda path: -int(seen[path].sum()))
