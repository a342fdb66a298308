"""Frames to label next: hard ones, apart in time."""

import numpy as np

from pose3d.labeling.suggestions import doubt, jumps, spread_choice


def test_what_is_unsure_or_missing_is_doubt() -> None:
    confidence = np.array([[1.0, 1.0], [0.5, 0.7], [np.nan, 1.0]])
    np.testing.assert_allclose(doubt(confidence), [0.0, 0.4, 0.5])


def test_jumps_are_keypoints_that_move_too_far() -> None:
    first = np.zeros((2, 3, 2))
    second = np.array([[[3.0, 4], [0, 1], [0, 0]], [[np.nan, np.nan], [30, 0], [0, 0]]])
    np.testing.assert_allclose(jumps(first, second, 4.5), [1 / 3, 1 / 2])
    np.testing.assert_allclose(jumps(first, second * np.nan, 4.5), [0, 0])


def test_the_hardest_comes_first_and_its_neighbors_do_not() -> None:
    times = np.arange(100.0)
    scores = np.full(100, 0.1)
    scores[40:45] = [0.8, 0.9, 1.0, 0.9, 0.8]
    scores[80] = 0.7
    chosen = spread_choice(scores, times, 4)
    assert chosen[:2] == [42, 80]
    assert np.diff(sorted(chosen)).min() > 15
    # what has an image already keeps its neighbors away as well
    assert spread_choice(scores, times, 1, [42.0]) == [80]


def test_frames_of_no_use_are_not_chosen() -> None:
    assert spread_choice(np.array([0.0, 0.3, 0.0]), np.arange(3.0), 3) == [1]
    assert spread_choice(np.zeros(3), np.arange(3.0), 2) == []
    assert spread_choice(np.empty(0), np.empty(0), 2) == []
