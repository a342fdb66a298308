"""Frames to label: the same instants in all cameras, evenly spread or as different as they can be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.errors import InvalidValueError
from pose3d.labeling.selection import (
    ExtractionSettings,
    common_instants,
    select_kmeans,
    select_uniform,
    small_gray,
)


def clock(count: int, rate: float, lost: tuple[int, ...] = ()) -> np.ndarray:
    return np.delete(np.arange(count) / rate, lost)


def test_equal_clocks_give_equal_frames() -> None:
    instants = common_instants([clock(100, 30), clock(100, 30)])
    assert instants.frames.tolist() == [[n, n] for n in range(100)]
    assert instants.passed_over == 0


def test_frames_are_paired_by_time_not_by_number() -> None:
    instants = common_instants([clock(60, 60), clock(20, 20)])
    np.testing.assert_allclose(instants.frames[:, 0] / 60, instants.frames[:, 1] / 20)
    assert instants.frames[:, 1].tolist() == list(range(20))  # each frame of the slow camera once


def test_a_frame_is_used_once_where_intervals_vary() -> None:
    jitter = np.random.default_rng(0).uniform(0, 0.03, 200)
    instants = common_instants([clock(200, 30) + jitter, clock(200, 30)])
    assert (np.diff(instants.frames, axis=0) > 0).all()
    assert instants.passed_over == 200 - len(instants) > 0


def test_moments_of_lost_frames_are_passed_over() -> None:
    second = clock(100, 30, lost=(40, 41, 42))
    instants = common_instants([clock(100, 30), second])
    assert instants.passed_over == 3
    assert not {40, 41, 42} & set(instants.frames[:, 0].tolist())
    assert instants.frames[-1].tolist() == [99, 96]
    np.testing.assert_allclose(second[instants.frames[:, 1]], instants.times)


def test_moments_end_with_the_shortest_video() -> None:
    assert common_instants([clock(100, 30), clock(50, 30)]).frames[-1].tolist() == [49, 49]
    assert common_instants([clock(50, 30), clock(100, 30)]).frames[-1].tolist() == [49, 49]


def test_videos_of_one_frame() -> None:
    assert common_instants([clock(1, 30)]).frames.tolist() == [[0]]
    assert common_instants([clock(1, 30), clock(10, 30)]).frames.tolist() == [[0, 0]]


@given(count=st.integers(1, 30), length=st.integers(1, 200), before=st.integers(0, 10))
def test_uniform_fills_up_to_the_count_with_new_moments(count: int, length: int, before: int) -> None:
    times = np.arange(length) / 30
    taken = np.random.default_rng(before).choice(length, min(before, length), replace=False).tolist()
    chosen = select_uniform(times, count, taken)
    assert len(set(chosen)) == len(chosen) == max(min(count, length) - len(taken), 0)
    assert not set(chosen) & set(taken)
    assert chosen == sorted(chosen)


def test_uniform_is_even_in_time_not_in_numbers() -> None:
    times = np.concatenate([np.arange(90) / 90, 1 + np.arange(30) / 10])  # 1 s at 90 Hz, 3 s at 10 Hz
    chosen = times[select_uniform(times, 8)]
    np.testing.assert_allclose(np.diff(chosen), 3.9 / 8, atol=0.11)


def test_uniform_fills_the_largest_gap_first() -> None:
    times = np.arange(101.0)
    assert select_uniform(times, 3, taken=[0, 40]) == [100]
    assert select_uniform(times, 4, taken=[0, 40]) == [70, 100]


def scenes(sizes: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of scenes of these lengths, with a little noise, in mixed order, and the scene of each."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    looks = rng.integers(0, 200, (len(sizes), 64))
    return (looks[names] + rng.integers(0, 8, (len(names), 64))).astype(np.uint8), names


def test_kmeans_takes_one_of_each_scene_however_short() -> None:
    features, names = scenes((300, 200, 60, 12, 6))
    assert sorted(names[select_kmeans(features, 5)]) == [0, 1, 2, 3, 4]


def test_kmeans_leaves_out_scenes_that_are_taken() -> None:
    features, names = scenes((100, 100, 50, 50))
    taken = [int(np.flatnonzero(names == scene)[3]) for scene in (0, 2)]
    assert sorted(names[select_kmeans(features, 4, taken)]) == [1, 3]
    assert select_kmeans(features, 2, taken) == []


def test_kmeans_gives_the_same_frames_again() -> None:
    features, _ = scenes((100, 50, 25))
    assert select_kmeans(features, 10, seed=4) == select_kmeans(features, 10, seed=4)


def test_kmeans_never_takes_the_same_picture_twice() -> None:
    features = np.repeat(scenes((1, 1, 1))[0], 20, axis=0)
    chosen = select_kmeans(features, 10)
    assert len(np.unique(features[chosen], axis=0)) == len(chosen) == 3


def test_kmeans_takes_all_where_there_are_few() -> None:
    features, _ = scenes((2, 2))
    assert select_kmeans(features, 10) == [0, 1, 2, 3]


def test_small_pictures_have_a_bounded_size_and_the_same_mean() -> None:
    image = np.random.default_rng(0).integers(0, 256, (480, 640), dtype=np.uint8)
    small = small_gray(image, 1000)
    assert small.size <= 1000
    assert small.shape[1] / small.shape[0] == pytest.approx(640 / 480, rel=0.1)
    assert small.mean() == pytest.approx(image.mean(), abs=0.5)
    np.testing.assert_array_equal(small_gray(image, 480 * 640), image)
    assert small_gray(image[:2], 16).size <= 16


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"count": 0}, "count: expected at least one frame, got 0"),
        ({"quotas": {"day1": -1}}, "quotas, 'day1'"),
        ({"method": "random"}, "expected kmeans or uniform, got random"),
        ({"start": 0.6, "stop": 0.5}, "0 <= start < stop <= 1"),
        ({"pixels": 1}, "at least 16"),
        ({"candidates": 1}, "at least two"),
    ],
)
def test_settings_out_of_range(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        ExtractionSettings(**wrong)
