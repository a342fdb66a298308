"""Looks, anchors and names of the source over a recording, and how sure it all is."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from pose3d.identity.anchors import Anchor
from pose3d.identity.linking import identify
from pose3d.identity.settings import IdentitySettings
from tests.pose3d.identity.identity_scenes import (
    animals_of,
    apart,
    bounce,
    made,
    owners,
    runs,
    stage,
)


def assert_right(identity: xr.Dataset, whose: np.ndarray, animals: int) -> None:
    """Every animal has one name, and its own."""
    assert sorted(map(sorted, animals_of(identity, whose))) == [[animal] for animal in range(animals)]


# looks


def exchanged(result: xr.Dataset, whose: np.ndarray) -> bool:
    return any(len(runs(result, whose, who)) > 1 for who in range(2))


LOOKS = np.array([[0.0, 0.0, 0.0], [2.5, -2.5, 2.5]])


def met(*, sizes: tuple[float, float] = (60.0, 60.0), looks: np.ndarray | None = None) -> tuple[xr.Dataset, np.ndarray]:
    """Two that run at each other and turn back where nobody sees it, so that motion says they passed each other."""
    paths, unseen = bounce()
    return made(paths, hidden=unseen, sizes=sizes, looks=looks)


def test_motion_alone_exchanges_two_that_turn_back_unseen() -> None:
    found, whose = met()
    result = identify(found, stage(), settings=IdentitySettings(individuals=2))
    assert exchanged(result, whose)
    assert result.sizes["risk"] >= 1  # and says that it may be wrong
    first, last = int(result["risk_first"][0]), int(result["risk_last"][0])
    assert first <= 335
    assert last >= 305
    assert {str(result["risk_individual"][0].values), str(result["risk_other"][0].values)} == {
        "individual_0",
        "individual_1",
    }


def test_sizes_put_it_right() -> None:
    found, whose = met(sizes=(60.0, 78.0))
    assert not exchanged(identify(found, stage(), settings=IdentitySettings(individuals=2)), whose)


def test_sizes_say_nothing_where_they_are_not_asked() -> None:
    found, whose = met(sizes=(60.0, 78.0))
    result = identify(found, stage(), settings=IdentitySettings(individuals=2, shape=False))
    assert exchanged(result, whose)


def test_appearance_puts_it_right() -> None:
    found, whose = met(looks=LOOKS)
    assert not exchanged(identify(found, stage(), settings=IdentitySettings(individuals=2)), whose)
    ignored = IdentitySettings(individuals=2, appearance=False)
    assert exchanged(identify(found, stage(), settings=ignored), whose)


def test_appearance_that_does_not_differ_says_nothing() -> None:
    found, whose = met(looks=np.zeros((2, 4)))
    assert exchanged(identify(found, stage(), settings=IdentitySettings(individuals=2)), whose)


# anchors and names


def point_on(found: xr.Dataset, whose: np.ndarray, row: int, animal: int) -> tuple[float, float]:
    place = int(np.flatnonzero(whose[row, 0] == animal)[0])
    x, y = found["position"].values[row, 0, place, 5]
    return float(x) + 2.0, float(y)


def anchor(found: xr.Dataset, whose: np.ndarray, row: int, animal: int, name: str) -> Anchor:
    x, y = point_on(found, whose, row, animal)
    return Anchor(int(found["frame"][row]), name, camera=str(found["camera"].values[0]), x=x, y=y)


def named(result: xr.Dataset, whose: np.ndarray, row: int) -> dict[str, int]:
    every = owners(result, whose)[row].max(0)
    return {str(name): int(animal) for name, animal in zip(result["individual"].values, every, strict=True)}


def test_anchors_put_it_right() -> None:
    found, whose = met()
    anchors = [anchor(found, whose, 20, 0, "Max"), anchor(found, whose, 600, 0, "Max")]
    result = identify(found, stage(), settings=IdentitySettings(individuals=2), anchors=anchors)
    assert not exchanged(result, whose)
    assert named(result, whose, 20)["Max"] == named(result, whose, 600)["Max"] == 0


def test_anchors_are_obeyed_against_all_evidence() -> None:
    """Nobody comes near anybody, and a person says that they were exchanged all the same."""
    found, whose = made(apart(200, 3))
    anchors = [
        anchor(found, whose, 10, 0, "Max"),
        anchor(found, whose, 10, 1, "Moritz"),
        anchor(found, whose, 150, 1, "Max"),
    ]
    result = identify(found, stage(), anchors=anchors)
    assert named(result, whose, 10)["Max"] == named(result, whose, 149)["Max"] == 0
    assert named(result, whose, 150)["Max"] == named(result, whose, 199)["Max"] == 1
    assert named(result, whose, 150)["Moritz"] == 0


def test_names_of_tracks_that_agree_are_taken_over() -> None:
    found, whose = made(apart(100, 3), track=np.zeros((100, 4, 3)), track_names=("Anna", "Bert", "Carl"))
    found["track"].values[:] = whose
    result = identify(found, stage())
    assert named(result, whose, 50) == {"Anna": 0, "Bert": 1, "Carl": 2}


def test_tracks_that_the_source_exchanged_are_not_followed_against_clear_geometry() -> None:
    found, whose = made(apart(200, 3), track=np.zeros((200, 4, 3)), track_names=("Anna", "Bert", "Carl"))
    track = whose.copy()
    track[80:] = np.array([1, 0, 2, -1])[whose[80:]]
    found["track"].values[:] = track
    for trust in (0.0, 2.0, 50.0):
        assert_right(identify(found, stage(), settings=IdentitySettings(trust_tracks=trust)), whose, 3)


def test_names_of_tracks_that_do_not_agree_are_not_taken_over() -> None:
    found, whose = made(apart(100, 2), track=np.zeros((100, 4, 2)), track_names=("Anna", "Bert"))
    found["track"].values[:] = np.random.default_rng(0).integers(0, 2, whose.shape)
    result = identify(found, stage())
    assert_right(result, whose, 2)
    assert set(result["individual"].values) == {"individual_0", "individual_1"}


# how sure it is


def strolls(frames: int, animals: int, seed: int) -> np.ndarray:
    """(time, animal, 2) animals that walk about as chance has it, kept together by a weak spring."""
    rng = np.random.default_rng(seed)
    place, speed, push = rng.normal(0, 80, (animals, 2)), np.zeros((animals, 2)), np.zeros((animals, 2))
    places = np.empty((frames, animals, 2))
    for row in range(frames):
        push += -push / 8 + rng.normal(0, 0.08, push.shape)
        speed += -speed / 30 - 0.0012 * place + push
        place = place + speed
        places[row] = place
    return places


@pytest.mark.slow
def test_exchanges_are_as_frequent_as_they_are_said_to_be() -> None:
    """Two that look alike are unseen again and again, each time for one to three seconds."""
    said, were = [], []
    for seed in range(4):
        rng, unseen, row = np.random.default_rng(seed), np.zeros((9000, 1, 2), bool), 120
        while row < 8800:
            length = int(rng.integers(35, 90))
            unseen[row : row + length] = True
            row += length + int(rng.integers(60, 100))
        found, whose = made(strolls(9000, 2, seed), hidden=unseen, seed=seed)
        result = identify(found, stage(), settings=IdentitySettings(individuals=2, shape=False))
        animal = owners(result, whose).max(1)
        for first, last, risk in zip(
            *(result[f"risk_{name}"].values for name in ("first", "last", "probability")), strict=True
        ):
            before, after = animal[first - 1, 0], animal[last + 1, 0]
            if min(before, after) >= 0:
                said.append(float(risk))
                were.append(before != after)
    assert len(said) > 200
    assert sum(were) == pytest.approx(sum(said), abs=25)  # three standard deviations of about 100 of 248
    sure = np.array(said) < 0.3
    assert sum(np.array(were)[sure]) <= sum(np.array(said)[sure]) + 6
