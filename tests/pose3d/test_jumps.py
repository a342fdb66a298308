"""Jumps: a keypoint that goes too far in one frame and comes back at once is found; an animal that runs is not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.metrics import body_length, far_steps, jump_limits, jumps


def path(count: int = 60, speed: float = 2.0) -> NDArray[np.float64]:
    """(time, keypoint, 2) of two keypoints, 100 px apart, that move along x with noise of 0.5 px."""
    rng = np.random.default_rng(0)
    start = np.array([[0.0, 50.0], [100.0, 50.0]])
    way = np.arange(count)[:, None, None] * np.array([speed, 0.0])
    return start + way + rng.normal(0, 0.5, (count, 2, 2))


def limits(position: NDArray[np.float64]) -> NDArray[np.float64]:
    return jump_limits(position, body_length(position))


def test_the_frames_in_which_a_keypoint_is_elsewhere_are_found_and_no_others() -> None:
    position = path()
    truth = np.zeros((60, 2), dtype=bool)
    truth[7, 0] = truth[30:32, 1] = truth[45:48, 0] = True
    position[truth] += (0.0, 80.0)
    np.testing.assert_array_equal(jumps(position, limits(position)), truth)


def test_swapped_keypoints_are_both_found() -> None:
    position = path()
    position[20] = position[20, ::-1]
    assert np.argwhere(jumps(position, limits(position))).tolist() == [[20, 0], [20, 1]]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda position: position[30:] + np.array([0.0, 80.0]), id="it stays there"),
        pytest.param(
            lambda position: position[30:] + np.arange(30)[:, None, None] * np.array([90.0, 0.0]), id="it runs"
        ),
        pytest.param(lambda position: position[30:] + np.array([20.0, 0.0]), id="it is near"),
    ],
)
def test_an_animal_that_moves_does_not_jump(change) -> None:
    position = path()
    position[30:] = change(position)
    assert not jumps(position, 26.0).any()


def test_a_leap_that_lasts_longer_than_asked_for_is_none() -> None:
    position = path()
    position[20:24, 0] += (0.0, 80.0)
    assert not jumps(position, limits(position)).any()
    assert jumps(position, limits(position), longest=4)[:, 0].sum() == 4


def test_frames_that_are_left_out_are_no_neighbors() -> None:
    position = path()
    position[30, 0] += (0.0, 80.0)
    frames = np.arange(60)
    assert jumps(position, limits(position), frames=frames + 500)[30, 0]
    frames[30:] += 1
    assert not jumps(position, limits(position), frames=frames).any()


def test_what_is_missing_does_not_jump_and_hides_nothing_else() -> None:
    position = path()
    position[31, 0] = np.nan
    position[30, 0] += (0.0, 80.0)
    position[30, 1] += (0.0, 80.0)
    assert np.argwhere(jumps(position, limits(position))).tolist() == [[30, 1]]
    assert not jumps(np.full((5, 2, 2), np.nan), 1.0).any()
    assert jumps(np.zeros((2, 1, 2)), 1.0).shape == (2, 1)


def test_the_limit_is_a_quarter_of_the_body_or_six_deviations_of_usual_steps() -> None:
    rng = np.random.default_rng(1)
    calm = rng.normal(0, 1, (4000, 1, 2)).cumsum(axis=0)
    np.testing.assert_allclose(jump_limits(calm, 100.0), [25.0])
    np.testing.assert_allclose(jump_limits(10 * calm, 100.0), [60.0], rtol=0.05)
    np.testing.assert_allclose(jump_limits(10 * calm, np.nan), [60.0], rtol=0.05)
    assert jump_limits(np.full((3, 1, 2), np.nan), np.nan).tolist() == [np.inf]
    # every tenth position is far off: the limit hardly knows
    calm[::10] += 500
    np.testing.assert_allclose(jump_limits(calm, np.nan), [6.0], rtol=0.25)


def test_the_body_is_the_diagonal_of_the_box_around_it_in_the_usual_frame() -> None:
    position = np.tile(np.array([[0.0, 0.0], [30.0, 40.0], [10.0, 10.0], [20.0, 30.0]]), (9, 1, 1))
    position[0, 1] = (3000.0, 4000.0)  # an outlier
    position[5:, 1:] = np.nan  # a part of the body says nothing of its length
    assert body_length(position) == pytest.approx(50.0)
    assert np.isnan(body_length(np.full((4, 2, 2), np.nan)))


def test_a_far_step_is_one_over_the_limit() -> None:
    second = np.array([[3.0, 4.0], [3.0, 4.1], [np.nan, 0.0]])
    assert far_steps(np.zeros((3, 2)), second, 5.0).tolist() == [False, True, False]


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="longest"):
        jumps(path(), 10.0, longest=0)
    with pytest.raises(InvalidValueError, match="deviations"):
        jump_limits(path(), 100.0, deviations=0)
    with pytest.raises(InvalidValueError, match="share"):
        jump_limits(path(), 100.0, share=-1)
