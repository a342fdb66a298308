"""Which pictures are looked at: evenly spread ones first, then those between where boards are and move."""

import numpy as np
import pytest

from calibration.observations._schedule import coarse_instants, finer_instants, patient_pictures, pieces
from calibration.observations._worker import Sight

ALL_KEYS = np.arange(10_000)
NO, YES = int(Sight.NO_BOARD), int(Sight.BOARD)


def test_a_short_recording_is_looked_at_whole() -> None:
    assert coarse_instants(np.tile(np.arange(111), (4, 1)), [ALL_KEYS] * 4, 300).tolist() == list(range(111))


@pytest.mark.parametrize(("total", "count"), [(1000, 300), (301, 300), (36_000, 300), (7, 3)])
def test_a_long_one_is_looked_at_evenly(total: int, count: int) -> None:
    chosen = coarse_instants(np.tile(np.arange(total), (2, 1)), [np.zeros(1, dtype=int)] * 2, count)
    assert len(chosen) == count
    assert np.diff(chosen).min() >= 1
    assert np.diff(chosen).max() <= 2 * np.ceil(total / count)


def test_instants_of_all_cameras_are_preferred_and_then_key_frames() -> None:
    picture = np.tile(np.arange(100), (2, 1))
    picture[1, ::2] = -1
    assert (coarse_instants(picture, [ALL_KEYS] * 2, 10) % 2 == 1).all()
    keys = np.arange(0, 100, 12)
    chosen = coarse_instants(np.tile(np.arange(100), (2, 1)), [keys] * 2, 8)
    assert np.isin(chosen, keys).all()


def finer(seen: list[list[int]], **kwargs: int) -> list[int]:
    array = np.array(seen, dtype=bool)
    looked = np.arange(array.shape[1]) * 10
    still, counts = np.zeros(len(looked) - 1, dtype=bool), np.ones(len(looked), dtype=bool)
    return finer_instants(looked, array, still, counts, **{"target": 40, "limit": 1000, **kwargs}).tolist()


def test_more_is_looked_at_only_beside_instants_with_a_board() -> None:
    more = finer([[0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 1, 0, 0]])
    assert more
    assert min(more) > 20
    assert max(more) < 50
    assert finer([[0] * 7, [0] * 7]) == []


def test_a_camera_with_enough_views_gets_no_more() -> None:
    assert finer([[1] * 50, [1] * 50], target=40) == []
    assert len(finer([[1] * 50, [1] * 50], target=60)) >= 10


def test_the_camera_that_lacks_views_gets_them_where_it_sees_the_board() -> None:
    seen = [[1] * 50, [1] * 50, [0] * 20 + [1] * 4 + [0] * 26]
    more = finer(seen, target=40)
    assert more
    assert min(more) > 190
    assert max(more) < 240


def test_the_limit_is_kept() -> None:
    assert len(finer([[1] * 50, [1] * 50], target=500, limit=80)) == 30
    assert finer([[1] * 50, [1] * 50], target=500, limit=50) == []


def test_between_instants_where_nothing_moved_nothing_new_is_to_be_seen() -> None:
    seen, looked = np.ones((2, 6), dtype=bool), np.arange(6) * 10
    still = np.array([True, True, False, True, True])
    counts = np.array([True, False, False, True, False, False])
    more = finer_instants(looked, seen, still, counts, target=40, limit=100)
    assert more.min() > 20
    assert more.max() < 30


def test_looking_closer_never_repeats_an_instant() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        looked = np.sort(rng.choice(500, 60, replace=False))
        seen = rng.random((3, 60)) < 0.4
        more = finer_instants(
            looked, seen, rng.random(59) < 0.3, rng.random(60) < 0.8, target=int(rng.integers(5, 300)), limit=300
        )
        assert len(np.unique(more)) == len(more)
        assert not np.isin(more, looked).any()


def test_patience_is_tried_on_a_dozen_pictures_and_goes_on_where_it_pays() -> None:
    sight = np.array(([YES] + [NO] * 3) * 20)
    none = np.zeros(len(sight), dtype=bool)
    first = patient_pictures(sight, none, target=100)
    assert first.sum() == 12
    beside = np.isin(np.arange(len(sight)) % 4, (1, 3))
    assert beside[first].all()
    assert not patient_pictures(sight, first, target=100).any()
    better = np.where(first, YES, sight)
    assert patient_pictures(better, first, target=100).sum() > 12
    assert not patient_pictures(better, first, target=20).any()


def test_where_no_board_was_seen_at_all_patience_is_tried_all_over() -> None:
    chosen = np.flatnonzero(patient_pictures(np.full(100, NO), np.zeros(100, dtype=bool), target=100))
    assert chosen[[0, -1]].tolist() == [0, 99]
    few = patient_pictures(np.array([NO, int(Sight.UNREADABLE), -1]), np.zeros(3, dtype=bool), target=9)
    assert few.tolist() == [True, False, False]


@pytest.mark.parametrize("keys", [[0], list(range(0, 5000, 250)), list(range(5000))])
@pytest.mark.parametrize("step", [1, 7, 100])
def test_pieces_hold_every_picture_once_and_cost_little_to_begin(keys: list[int], step: int) -> None:
    pictures = np.arange(3, 5000, step)
    parts = pieces(pictures, np.array(keys))
    assert np.concatenate(parts).tolist() == pictures.tolist()
    assert len(parts) <= 20
    if keys != [0]:
        assert len(parts) >= 2
    starts = [part[0] for part in parts[1:]]
    again = sum(start - max(key for key in keys if key <= start) for start in starts)
    assert again <= 0.25 * (15 * len(pictures) + 5000)


def test_a_long_video_with_one_key_frame_stays_in_one_piece() -> None:
    assert len(pieces(np.arange(0, 36_000, 120), np.zeros(1, dtype=int))) == 1
    assert pieces(np.zeros(0, dtype=int), np.zeros(1, dtype=int)) == []
