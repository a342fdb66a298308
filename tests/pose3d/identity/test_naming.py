"""Names over time: the most probable history, and what anchors do to it, against all histories that there are."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.errors import InvalidValueError
from pose3d.identity._anchoring import anchored_steps, check_agreement, place_names
from pose3d.identity._naming import Step, names_at, ordered_steps, solve_names

SEEDS = st.integers(0, 10**6)


def meeting(row: int, first: int, second: int, odds: float) -> Step:
    """Of which `odds` are the logarithm of the odds of no exchange."""
    return Step(row, first, second, np.logaddexp(0.0, np.array([-odds, odds])), begin=row - 3)


def random_steps(rng: np.random.Generator, count: int, meetings: int) -> list[Step]:
    steps = []
    for row in np.sort(rng.integers(5, 100, meetings)).tolist():
        if rng.random() < 0.6 and count > 1:
            a, b = sorted(rng.choice(count, 2, replace=False).tolist())
            steps.append(meeting(row, a, b, rng.normal(0, 2)))
        else:
            price = rng.exponential(1.5, count)
            steps.append(Step(row, int(rng.integers(count)), -1, price - price.min()))
    return ordered_steps(steps)


def every_history(count: int, steps: list[Step]) -> tuple[np.ndarray, np.ndarray]:
    """(history, step) which exchanges, and (history,) its cost."""
    choices = list(product(*[(False, True) if step.second >= 0 else (False,) for step in steps]))
    costs = []
    for choice in choices:
        names, cost = list(range(count)), 0.0
        for step, swap in zip(steps, choice, strict=True):
            if step.second < 0:
                cost += step.price[names[step.first]]
            else:
                cost += step.price[int(swap)]
                if swap:
                    names[step.first], names[step.second] = names[step.second], names[step.first]
        costs.append(cost)
    return np.array(choices), np.array(costs)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 4), st.integers(1, 9))
def test_the_history_is_the_most_probable_one_and_probabilities_are_exact(seed: int, count: int, meetings: int) -> None:
    steps = random_steps(np.random.default_rng(seed), count, meetings)
    found = solve_names(count, steps)
    choices, costs = every_history(count, steps)
    own = np.flatnonzero((choices == found.exchanged).all(1))
    assert costs[own[0]] == pytest.approx(costs.min(), abs=1e-9)
    share = np.exp(costs.min() - costs)
    share /= share.sum()
    for place, step in enumerate(steps):
        right = share[choices[:, place] == found.exchanged[place]].sum() if step.second >= 0 else 1.0
        assert found.probability[place] == pytest.approx(right, abs=1e-9)


def test_nothing_that_happens_changes_no_name() -> None:
    history = solve_names(3, [])
    assert names_at([], history, np.array([2, 0]), np.array([5, 7])).tolist() == [2, 0]


def test_one_meeting_by_itself_keeps_its_odds() -> None:
    history = solve_names(2, [meeting(10, 0, 1, 1.5)])
    assert not history.exchanged[0]
    assert history.probability[0] == pytest.approx(1 / (1 + np.exp(-1.5)))


def test_names_change_from_the_frame_of_the_step_on() -> None:
    steps = [meeting(10, 0, 1, -5.0)]
    history = solve_names(2, steps)
    assert names_at(steps, history, np.zeros(4, int), np.array([0, 9, 10, 99])).tolist() == [0, 0, 1, 1]


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(2, 5), st.integers(0, 12))
def test_anchors_are_obeyed_against_all_evidence(seed: int, count: int, meetings: int) -> None:
    rng = np.random.default_rng(seed)
    fixed = []
    for row in np.sort(rng.choice(110, 4, replace=False)).tolist():
        chains, names = rng.permutation(count), rng.permutation(count)
        fixed += [(row, int(chain), int(name)) for chain, name in zip(chains, names, strict=True)][: rng.integers(1, 3)]
    steps = ordered_steps([*random_steps(rng, count, meetings), *anchored_steps(fixed, count)])
    history = solve_names(count, steps)
    for row, chain, name in fixed:
        assert names_at(steps, history, np.array([chain]), np.array([row])).tolist() == [name]
    assert (np.sort(history.names, axis=1) == np.arange(count)).all()


@pytest.mark.parametrize("count", [7, 10, 24])
def test_anchors_are_obeyed_where_not_all_assignments_can_be_kept(count: int) -> None:
    """So many animals meet so often that the most probable histories alone are too many."""
    rng = np.random.default_rng(count)
    steps = []
    for row in range(1, 61):
        a, b = sorted(rng.choice(count, 2, replace=False).tolist())
        steps.append(meeting(row, a, b, rng.normal(0, 0.5)))
    fixed = [(30, chain, (chain + 3) % count) for chain in range(count)] + [(70, 0, 5), (70, 1, 0)]
    steps = ordered_steps([*steps, *anchored_steps(fixed, count)])
    history = solve_names(count, steps)
    for row, chain, name in fixed:
        assert names_at(steps, history, np.array([chain]), np.array([row])).tolist() == [name]


def test_an_anchor_puts_the_exchange_at_the_doubtful_meeting() -> None:
    """Of two meetings the one of which the odds are even explains it, and the sure one stays as it was."""
    steps = ordered_steps([meeting(10, 0, 1, 6.0), meeting(20, 0, 1, 0.2), *anchored_steps([(50, 0, 1)], 2)])
    history = solve_names(2, steps)
    at = names_at(steps, history, np.zeros(4, int), np.array([5, 15, 25, 60]))
    assert at.tolist() == [0, 0, 1, 1]


def test_an_anchor_before_and_one_after_make_what_is_between_sure() -> None:
    doubtful = meeting(20, 0, 1, 0.2)
    steps = ordered_steps([doubtful, *anchored_steps([(10, 0, 0), (30, 0, 0)], 2)])
    history = solve_names(2, steps)
    assert history.probability[steps.index(doubtful)] > 1 - 1e-9


def test_it_does_not_matter_in_which_order_steps_come() -> None:
    rng = np.random.default_rng(4)
    steps = random_steps(rng, 4, 12)
    other = ordered_steps([steps[place] for place in rng.permutation(len(steps))])
    rows = np.arange(0, 110)
    for chain in range(4):
        one, two = (names_at(each, solve_names(4, each), np.full(110, chain), rows) for each in (steps, other))
        assert np.array_equal(one, two)


# names of anchors


NUMBERED = ("individual_0", "individual_1", "individual_2")


def test_a_new_name_takes_the_place_of_the_one_that_its_animal_has_where_it_was_seen_first() -> None:
    """Later it may be on another chain, as chains may be exchanged; before, there is nothing that says so."""
    found = [(50, 0, "Max", 0), (60, 0, "Max", 0), (1, 2, "Max", 2)]
    fixed, called, renamed = place_names(found, NUMBERED)
    assert called == ("individual_0", "individual_1", "Max")
    assert [name for _, _, name in fixed] == [2, 2, 2]
    assert renamed == [2]


def test_the_name_that_was_seen_first_in_a_place_gets_it() -> None:
    _, called, _ = place_names([(50, 1, "Moritz", 1), (3, 1, "Max", 1), (50, 0, "Max", 0)], NUMBERED[:2])
    assert called == ("Moritz", "Max")


def test_a_name_that_is_there_already_renames_nobody() -> None:
    fixed, called, renamed = place_names([(5, 0, "individual_1", 0)], NUMBERED)
    assert (fixed, called, renamed) == ([(5, 0, 1)], NUMBERED, [])


def test_new_names_after_a_meeting_say_nothing_about_what_happened_before() -> None:
    """Who has the new names before it, nobody has said: the risk stays what it was."""
    doubtful = meeting(10, 0, 1, 1.5)
    before = solve_names(2, [doubtful])
    fixed, _, renamed = place_names([(30, 0, "ada", 0), (30, 1, "bob", 1)], NUMBERED[:2])
    steps = ordered_steps([doubtful, *anchored_steps(fixed, 2, renamed)])
    after = solve_names(2, steps)
    place = steps.index(doubtful)
    assert after.probability[place] == pytest.approx(before.probability[0], abs=1e-3)
    assert not after.exchanged.any()


def test_new_names_before_and_after_a_meeting_decide_it() -> None:
    doubtful = meeting(10, 0, 1, 1.5)
    fixed, _, renamed = place_names([(5, 0, "ada", 0), (30, 1, "ada", 1)], NUMBERED[:2])
    steps = ordered_steps([doubtful, *anchored_steps(fixed, 2, renamed)])
    history = solve_names(2, steps)
    assert history.exchanged[steps.index(doubtful)]
    assert history.probability[steps.index(doubtful)] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("found", [[(3, 0, "a"), (3, 0, "b")], [(3, 0, "a"), (3, 1, "a")]])
def test_anchors_of_a_frame_that_contradict_each_other_are_refused(found: list[tuple[int, int, str]]) -> None:
    with pytest.raises(InvalidValueError, match="contradicts"):
        check_agreement(found)


def test_more_names_than_animals_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="at most 2 individuals"):
        place_names([(1, 0, "a", 0), (2, 1, "b", 1), (3, 0, "c", 0)], NUMBERED[:2])
