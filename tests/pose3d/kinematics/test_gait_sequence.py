"""The sequence of steps, against all sequences there are."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pose3d.kinematics._gait_refining import shared
from pose3d.kinematics._gait_sequence_kernels import best_sequence

NONE = np.zeros((2, 2))


def value(chosen: tuple[int, ...], place: np.ndarray, lifts: np.ndarray, evidence: np.ndarray, end: float) -> float:
    """What a sequence is worth with a cost of 0.3; -inf where it is none."""
    if not chosen:
        return abs(end)
    own = lifts[list(chosen)]
    if (own[1:] == own[:-1]).any() or (np.diff(place[list(chosen)]) < 2).any():
        return -np.inf
    edges = np.concatenate([[0.0], evidence[list(chosen)], [end]])
    standing = np.concatenate([[own[0]], ~own])  # stance before a lift-off and after a contact
    return float((np.diff(edges) * np.where(standing, 1, -1)).sum() - 0.3 * len(chosen))


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.floats(0.1, 6), st.booleans(), st.floats(-1, 1, allow_subnormal=False)), min_size=1, max_size=8
    ),
    st.floats(-1, 1),
)
def test_no_sequence_is_worth_more(candidates: list[tuple[float, bool, float]], last: float) -> None:
    place = np.cumsum([candidate[0] for candidate in candidates])
    lifts = np.array([candidate[1] for candidate in candidates])
    evidence = np.cumsum([candidate[2] for candidate in candidates])
    end = float(evidence[-1] + last)
    found = tuple(np.flatnonzero(best_sequence(place, lifts, evidence, end, 0.3, 2.0, NONE)).tolist())
    every = [chosen for size in range(len(place) + 1) for chosen in combinations(range(len(place)), size)]
    best = max(value(chosen, place, lifts, evidence, end) for chosen in every)
    assert value(found, place, lifts, evidence, end) >= best - 1e-9


def test_usual_lengths_decide_between_equals() -> None:
    place = np.array([10.0, 30.0, 34.0, 50.0])
    lifts = np.array([False, True, True, False])
    evidence = np.array([-1.0, 0.0, 0.0, -1.0])
    prior = np.array([[np.log(24.0), 0.05], [0.0, 0.0]])
    chosen = best_sequence(place, lifts, evidence, 0.0, 0.1, 1.0, prior)
    assert chosen.tolist() == [True, False, True, True]


def test_rests_that_differ_by_noise_are_drawn_together_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    alike = [rng.normal(1.3, 0.1, 1) for _ in range(8)]
    drawn = [rest[0] for rest, _ in shared(alike, [np.array([0.1])] * 8)]
    assert np.std(drawn) < 0.5 * np.std(alike)
    apart = [np.array([value]) for value in (0.6, 0.8, 1.0, 1.2, 1.4, 1.6)]
    kept = [rest[0] for rest, _ in shared(apart, [np.array([0.01])] * 6)]
    np.testing.assert_allclose(kept, np.concatenate(apart), atol=0.01)
