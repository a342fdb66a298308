"""What a person confirmed after the fact: obeyed, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from calibration.errors import InvalidValueError
from calibration.schema import check
from pose3d.datasets import IDENTITY
from pose3d.identity.anchors import Anchor
from pose3d.identity.corrections import correct_identity
from pose3d.identity.linking import identify
from pose3d.identity.settings import IdentitySettings
from tests.pose3d.identity.identity_scenes import apart, bounce, made, owners, stage

BY_NAME = ("instance", "chain", "identity_status")
A, B = "individual_0", "individual_1"


@pytest.fixture(scope="module")
def scene() -> tuple[xr.Dataset, np.ndarray]:
    """Two that turn back unseen, so that they are exchanged from about the middle on."""
    paths, unseen = bounce()
    found, whose = made(paths, hidden=unseen)
    return identify(found, stage(), settings=IdentitySettings(individuals=2)), whose


@pytest.fixture(scope="module")
def calm() -> xr.Dataset:
    """Three that never meet."""
    found, _ = made(apart(120, 3))
    return identify(found, stage())


def animal(identity: xr.Dataset, whose: np.ndarray, row: int, name: str) -> int:
    who = identity["individual"].values.tolist().index(name)
    return int(owners(identity, whose)[row, :, who].max())


def assert_same(one: xr.Dataset, other: xr.Dataset, rows: slice = slice(None)) -> None:
    for name in BY_NAME:
        assert np.array_equal(one[name].isel(time=rows), other[name].isel(time=rows)), name


def test_a_correction_after_a_meeting_changes_what_comes_after_it_and_nothing_before(
    scene: tuple[xr.Dataset, np.ndarray],
) -> None:
    identity, whose = scene
    before, after = animal(identity, whose, 100, A), animal(identity, whose, 600, A)
    assert before != after  # it is wrong
    corrected, changed = correct_identity(identity, [Anchor(600, B, called=A)])
    check(corrected, IDENTITY)
    assert {animal(corrected, whose, row, A) for row in (5, 100, 299, 345, 500, 639)} == {before}
    ((first, last),) = changed
    assert 300 <= first <= 341
    assert last == 639
    assert_same(corrected, identity, slice(0, first))
    # what changed is that columns are exchanged, to the last bit
    for name in BY_NAME:
        one, other = identity[name].isel(time=slice(first, None)), corrected[name].isel(time=slice(first, None))
        assert np.array_equal(one.isel(individual=[1, 0]), other), name


def test_what_is_right_stays_as_it_is(scene: tuple[xr.Dataset, np.ndarray]) -> None:
    identity, _ = scene
    corrected, changed = correct_identity(identity, [Anchor(100, A, called=A)])
    assert changed == []
    assert_same(corrected, identity)


def test_what_is_confirmed_is_no_risk_any_more(scene: tuple[xr.Dataset, np.ndarray]) -> None:
    identity, _ = scene
    assert identity.sizes["risk"] == 1
    half, _ = correct_identity(identity, [Anchor(100, A, called=A)])
    assert half.sizes["risk"] == 1
    both, _ = correct_identity(half, [Anchor(600, B, called=A)])
    assert both.sizes["risk"] == 0


def test_one_after_the_other_is_as_both_at_once(scene: tuple[xr.Dataset, np.ndarray]) -> None:
    identity, _ = scene
    first, second = Anchor(100, A, called=A), Anchor(600, B, called=A)
    both, _ = correct_identity(identity, [first, second])
    one, _ = correct_identity(correct_identity(identity, [first])[0], [second])
    assert_same(both, one)
    np.testing.assert_allclose(both["identity_confidence"], one["identity_confidence"], rtol=1e-6)


def test_correcting_back_gives_what_was(scene: tuple[xr.Dataset, np.ndarray]) -> None:
    identity, _ = scene
    corrected, changed = correct_identity(identity, [Anchor(600, B, called=A)])
    back, again = correct_identity(corrected, [Anchor(600, A, called=B)])
    assert changed == again
    assert_same(back, identity)


def test_a_new_name_renames_the_animal_everywhere(calm: xr.Dataset) -> None:
    renamed, changed = correct_identity(calm, [Anchor(50, "Max", called=B)])
    assert renamed["individual"].values.tolist() == [A, "Max", "individual_2"]
    assert changed == []
    assert_same(renamed, calm)


def test_two_names_can_be_exchanged(calm: xr.Dataset) -> None:
    result, _ = correct_identity(calm, [Anchor(0, B, called=A), Anchor(0, A, called=B)])
    for name in BY_NAME:
        assert np.array_equal(result[name], calm[name].isel(individual=[1, 0, 2])), name


def test_a_person_is_obeyed_where_nothing_explains_it(calm: xr.Dataset) -> None:
    result, changed = correct_identity(calm, [Anchor(20, A, called=A), Anchor(70, "individual_2", called=A)])
    assert changed == [(70, 119)]
    assert np.array_equal(result["instance"][70:, :, 2], calm["instance"][70:, :, 0])
    assert_same(result, calm, slice(0, 70))


def test_every_frame_can_be_corrected_again_and_again(calm: xr.Dataset) -> None:
    """The last word counts."""
    names, identity = ["individual_2", B, A, "individual_2", A], calm
    called = A
    for name in names:
        identity, _ = correct_identity(identity, [Anchor(60, name, called=called)])
        called = name
        who = identity["individual"].values.tolist().index(name)
        assert np.array_equal(identity["instance"][60:, :, who], calm["instance"][60:, :, 0])
    assert_same(identity, calm)


def test_the_given_identity_is_not_changed(scene: tuple[xr.Dataset, np.ndarray]) -> None:
    identity, _ = scene
    copy = identity.copy(deep=True)
    correct_identity(identity, [Anchor(600, B, called=A)])
    xr.testing.assert_identical(identity, copy)


def test_no_anchors_change_nothing(scene: tuple[xr.Dataset, np.ndarray]) -> None:
    identity, _ = scene
    same, changed = correct_identity(identity, [])
    assert changed == []
    xr.testing.assert_identical(same, identity)


@pytest.mark.parametrize(
    ("anchors", "problem"),
    [
        ([Anchor(5000, A, called=B)], "not in the recording"),
        ([Anchor(10, A, called="nobody")], "'nobody', which is none of"),
        ([Anchor(320, A, called=B)], "not seen there"),
        ([Anchor(10, A, camera="cam_1", x=3.0, y=4.0)], "the name that the animal has now is needed"),
        ([Anchor(10, A, called=A), Anchor(10, A, called=B)], "contradicts"),
        ([Anchor(10, A, called=A), Anchor(10, B, called=A)], "contradicts"),
        ([Anchor(10, "x", called=A), Anchor(10, "y", called=B), Anchor(20, "z", called=A)], "one more: z"),
    ],
)
def test_what_makes_no_sense_is_refused(
    scene: tuple[xr.Dataset, np.ndarray], anchors: list[Anchor], problem: str
) -> None:
    with pytest.raises(InvalidValueError, match=problem):
        correct_identity(scene[0], anchors)
