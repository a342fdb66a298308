"""Pieces of track become animals: the flow of least cost against all divisions, and what links cost."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose3d.identity._meetings import find_meetings
from pose3d.identity._stitching import Links, chains, find_links
from pose3d.identity._tracks import Events, Pieces

NOTHING = Events(np.zeros((0, 6), np.int64), np.zeros(0))


def pieces(*spans: tuple[int, int, float, float]) -> Pieces:
    """Of first and last frame, and where they are at both ends, mm along x."""
    count = len(spans)
    first, last, start, end = (np.array([span[place] for span in spans]) for place in range(4))
    middle = np.zeros((count, 2, 3))
    middle[:, 1, 1] = 10.0
    return Pieces(
        np.arange(count),
        first.astype(int),
        last.astype(int),
        middle + start[:, None, None] * [1.0, 0, 0],
        middle + end[:, None, None] * [1.0, 0, 0],
        np.zeros((count, 3)),
        np.ones((count, 2)),
        np.zeros((count, 0, 3)),
    )


def seen(some: Pieces) -> np.ndarray:
    return some.last - some.first + 1


def linked(some: Pieces, events: Events = NOTHING) -> Links:
    return find_links(some, events, radius=50.0, absence=30.0, arena=500.0)


# the flow


def paths(count: int, follows: dict[int, list[int]]) -> Iterator[list[list[int]]]:
    """All sets of paths that share no piece."""

    def more(place: int, made: list[list[int]]) -> Iterator[list[list[int]]]:
        if place == count:
            yield [list(path) for path in made]
            return
        yield from more(place + 1, made)  # not used
        yield from more(place + 1, [*made, [place]])
        for index, path in enumerate(made):
            if place in follows.get(path[-1], []):
                yield from more(place + 1, [*made[:index], [*path, place], *made[index + 1 :]])

    return more(0, [])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(0, 3))
def test_chains_are_the_best_of_all(seed: int, count: int, individuals: int) -> None:
    rng = np.random.default_rng(seed)
    first = np.sort(rng.integers(0, 200, count))
    some = pieces(*[(begin, begin + int(rng.integers(1, 60)), 0.0, 0.0) for begin in first.tolist()])
    possible = [(a, b) for a in range(count) for b in range(a + 1, count) if rng.random() < 0.6]
    links = Links(
        np.array([a for a, _ in possible], int),
        np.array([b for _, b in possible], int),
        rng.exponential(8, len(possible)),
    )
    frames = seen(some)
    rows = 260
    found = chains(some, links, frames, individuals=individuals, rows=rows)

    cost = dict(zip(possible, links.cost.tolist(), strict=True))
    appear = 0.0 if individuals else 5.0
    earned = 0.5 * frames if individuals else np.minimum(0.5 * frames, 100.0)

    def price(division: list[list[int]]) -> float:
        total = 0.0
        for path in division:
            total += (appear if some.first[path[0]] > 1 else 0.0) + (appear if some.last[path[-1]] < rows - 2 else 0.0)
            total -= earned[path].sum()
            total += sum(cost[pair] for pair in itertools.pairwise(path))
        return total

    follows: dict[int, list[int]] = {}
    for a, b in possible:
        follows.setdefault(a, []).append(b)
    best = min(price(each) for each in paths(count, follows) if not individuals or len(each) <= individuals)
    assert price(found) == pytest.approx(best, abs=0.02)  # ties are decided by a thousandth
    assert not individuals or len(found) <= individuals
    assert len({piece for path in found for piece in path}) == sum(map(len, found))


def test_the_animal_that_was_seen_most_comes_first() -> None:
    some = pieces((0, 50, 0, 0), (0, 200, 300, 300), (0, 120, -300, -300))
    assert chains(some, linked(some), seen(some), individuals=3, rows=201) == [[1], [2], [0]]


def test_no_pieces_are_no_animals() -> None:
    some = pieces()
    assert chains(some, linked(some), seen(some), individuals=0, rows=10) == []


def test_a_false_track_is_no_animal() -> None:
    some = pieces((0, 299, 0, 0), (100, 108, 200, 200))
    assert chains(some, linked(some), seen(some), individuals=0, rows=300) == [[0]]


# links


def test_pieces_go_on_where_they_were_lost() -> None:
    some = pieces((0, 100, 0, 0), (0, 100, 200, 200), (110, 299, 195, 200), (112, 299, 4, 0))
    assert chains(some, linked(some), seen(some), individuals=2, rows=300) == [[1, 2], [0, 3]]


def test_a_long_absence_is_bridged() -> None:
    some = pieces((0, 400, 0, 0), (2000, 2999, 300, 300))
    assert chains(some, linked(some), seen(some), individuals=1, rows=3000) == [[0, 1]]


def test_no_piece_goes_on_as_one_that_began_before_it_ended() -> None:
    some = pieces((0, 100, 0, 0), (90, 299, 0, 0))
    assert not len(linked(some).start)


def test_links_never_lead_in_a_circle() -> None:
    """A track that nobody sees meets one that is new, and is cut with it: its new piece ends before it begins.

    If it could go on as the newcomer did, the flow would have a circle that nobody enters, and the piece be lost.
    """
    some = pieces((0, 95, 0, 0), (97, 110, 5, 5), (111, 95, 0, 0), (111, 299, 5, 5))
    events = Events(np.array([[103, 110, 0, 1, 2, 3]]), np.array([2.0]))
    links = linked(some, events)
    assert (links.end > links.start).all()
    found = chains(some, links, np.array([96, 14, 0, 189]), individuals=1, rows=300)
    assert found in ([[0, 3]], [[1, 3]])


def test_at_a_meeting_both_ways_are_possible_at_the_price_of_the_odds() -> None:
    some = pieces((0, 100, 0, 0), (0, 100, 50, 50), (101, 200, 0, 0), (101, 200, 50, 50))
    events = Events(np.array([[95, 100, 0, 1, 2, 3]]), np.array([-3.0]))
    links = linked(some, events)
    price = dict(zip(zip(links.start.tolist(), links.end.tolist(), strict=True), links.cost.tolist(), strict=True))
    assert price == {(0, 2): 3.0, (1, 2): 0.0, (1, 3): 3.0, (0, 3): 0.0}
    found = chains(some, links, seen(some), individuals=2, rows=201)
    assert sorted(found) == [[0, 3], [1, 2]]
    (step,) = find_meetings(some, events, links, found)
    # as the chains go, they are not exchanged with odds of 3
    assert step.price == pytest.approx(np.logaddexp(0.0, [-3.0, 3.0]))
    assert (step.begin, step.row, step.unseen) == (95, 101, False)


def test_two_that_were_unseen_at_a_time_may_have_been_exchanged() -> None:
    some = pieces((0, 100, 0, 0), (0, 102, 50, 50), (120, 299, 3, 0), (125, 299, 48, 50))
    links = linked(some)
    found = chains(some, links, seen(some), individuals=2, rows=300)
    (step,) = find_meetings(some, NOTHING, links, found)
    assert step.unseen
    assert (step.begin, step.row) == (102, 120)  # from where the second was last seen
    assert step.price[0] < step.price[1]


def test_those_unseen_one_after_the_other_were_not_exchanged() -> None:
    some = pieces((0, 100, 0, 0), (0, 130, 50, 50), (120, 299, 0, 0), (150, 299, 50, 50))
    links = linked(some)
    found = chains(some, links, seen(some), individuals=2, rows=300)
    assert find_meetings(some, NOTHING, links, found) == []
