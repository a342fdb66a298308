"""The nearest of sorted numbers, against the distance to every one of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.nearest import nearest_index

NUMBERS = st.lists(st.integers(-1000, 1000), min_size=1, max_size=30)


@given(NUMBERS, st.sets(st.integers(-1000, 1000), min_size=1, max_size=30))
def test_it_is_the_one_with_the_smallest_distance(values: list[int], among: set[int]) -> None:
    """argmin takes the first of several, which is the smaller of two equally near ones."""
    given_, sorted_ = np.array(values, dtype=float), np.array(sorted(among), dtype=float)
    expected = np.abs(given_[:, None] - sorted_).argmin(axis=1)
    np.testing.assert_array_equal(nearest_index(given_, sorted_), expected)


@pytest.mark.parametrize("among", [[5], [0, 10]])
def test_values_beyond_the_ends_take_the_ends(among: list[int]) -> None:
    places = nearest_index(np.array([-100, 100]), np.array(among))
    assert places.tolist() == [0, len(among) - 1]
