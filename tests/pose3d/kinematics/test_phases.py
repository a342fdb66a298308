"""Phases and gaits of walkers whose steps are known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import circmean

from calibration.errors import InvalidValueError
from pose3d.kinematics.event_tables import make_events
from pose3d.kinematics.gait import gait_events
from pose3d.kinematics.gait_phases import gait_classes, phase_differences, phases
from pose3d.kinematics.gait_strides import strides
from pose3d.skeleton import Anatomy, Leg, Skeleton
from tests.benchmarks.accuracy_gait import HEXAPODS, NAMES, hexapod, noisy

FOUR = ("left_fore", "right_fore", "left_hind", "right_hind")
# (left fore, right fore, left hind, right hind) when each meets the ground, and duty factors
GAITS = {
    "lateral_sequence_walk": ((0.25, 0.75, 0.0, 0.5), 0.7),
    "diagonal_sequence_walk": ((0.75, 0.25, 0.0, 0.5), 0.7),
    "trot": ((0.5, 0.0, 0.0, 0.5), 0.5),
    "pace": ((0.0, 0.5, 0.0, 0.5), 0.5),
    "bound": ((0.5, 0.5, 0.0, 0.0), 0.3),
    "pronk": ((0.0, 0.0, 0.0, 0.0), 0.3),
    "gallop": ((0.4, 0.55, 0.0, 0.15), 0.3),
}


def made(touchdown: tuple[float, ...], duty: float, names: tuple[str, ...], jitter: float = 0.0) -> xr.Dataset:
    """Strides of 0.5 s, 20 of each leg, with what `gait_classes` looks at."""
    rng = np.random.default_rng(0)
    rows = []
    for name, phase in zip(names, touchdown, strict=True):
        contacts = 0.5 * (np.arange(21) + phase + rng.normal(0, jitter, 21))
        rows += [(name, first, last) for first, last in pairwise(contacts)]
    return xr.Dataset(
        {
            "stride_leg": ("stride", np.array([row[0] for row in rows])),
            "stride_individual": ("stride", np.full(len(rows), "one")),
            "stride_start": ("stride", np.array([row[1] for row in rows])),
            "stride_end": ("stride", np.array([row[2] for row in rows])),
            "duty_factor": ("stride", np.full(len(rows), duty)),
        }
    )


@pytest.mark.parametrize("name", GAITS)
def test_gaits_of_four_legs_have_their_names(name: str) -> None:
    found = gait_classes(made(*GAITS[name], FOUR, jitter=0.01))
    inner = found["gait_class"].values[1:-1]
    assert (inner == name).all()
    assert (found["gait_confidence"].values[1:-1] > 0.5).all()
    assert name in found.attrs["classes"].split()
    assert "Hildebrand" in found.attrs["source"]


@pytest.mark.parametrize("name", HEXAPODS)
def test_gaits_of_six_legs_have_their_names(name: str) -> None:
    found = gait_classes(made(HEXAPODS[name], 0.6, NAMES, jitter=0.01))
    assert (found["gait_class"].values[1:-1] == name).all()


@pytest.mark.parametrize(("duty", "name"), [(0.62, "walk"), (0.38, "run"), (0.5, "unclear")])
def test_two_legs_walk_or_run(duty: float, name: str) -> None:
    found = gait_classes(made((0.0, 0.5), duty, ("left", "right")))
    assert (found["gait_class"].values == name).all()


def test_what_is_between_gaits_is_unclear() -> None:
    between = gait_classes(made((0.375, 0.875, 0.0, 0.5), 0.7, FOUR))  # a lateral walk, half way to a trot
    assert (between["gait_class"].values == "unclear").all()
    assert (between["gait_confidence"].values < 0.5).all()
    strange = gait_classes(made((0.1, 0.3, 0.0, 0.25), 0.6, FOUR))
    assert (strange["gait_class"].values == "unclear").all()


def test_a_leg_that_does_not_step_leaves_the_gait_unclear() -> None:
    three = made(*GAITS["trot"], FOUR)
    lame = three.isel(
        stride=np.flatnonzero((three["stride_leg"].values != FOUR[1]) | (three["stride_start"].values < 3))
    )
    words = gait_classes(lame)["gait_class"].values
    assert (words[1:5] == "trot").all()
    assert (words[8:] == "unclear").all()
    assert np.isnan(gait_classes(lame)["touchdown"].values[8:, 1]).all()


def test_the_order_of_legs_comes_from_names_or_pairs_or_is_given() -> None:
    odd = ("a", "b", "c", "d")
    table = made(*GAITS["pace"], odd)
    with pytest.raises(InvalidValueError, match="order"):
        gait_classes(table)
    assert (gait_classes(table, order=odd)["gait_class"].values[1:-1] == "pace").all()
    skeleton = Skeleton(
        "animal", odd, mirrored_pairs=(("a", "b"), ("c", "d")), anatomy=Anatomy(legs=tuple(Leg(n, n) for n in odd))
    )
    assert gait_classes(table, skeleton)["leg"].values.tolist() == list(odd)
    flies = ("R3", "L1", "R1", "L3", "L2", "R2")
    assert gait_classes(made((0.0,) * 6, 0.6, flies))["leg"].values.tolist() == ["L1", "R1", "L2", "R2", "L3", "R3"]
    with pytest.raises(InvalidValueError, match="got x"):
        gait_classes(table, order=("a", "b", "c", "x"))


def test_phases_grow_from_contact_to_contact() -> None:
    poses, contacts, *_ = hexapod(6, 100, HEXAPODS["wave"], 0.7)
    leg = NAMES[1]
    own = contacts[leg][contacts[leg] >= 0]
    events = make_events(own, np.rint(own * 100), [leg] * len(own), ["one"] * len(own), ["contact"] * len(own))
    found = phases(poses, events)["phase"].sel(leg=leg, individual="one")
    expected = 2 * np.pi * np.mod((poses["time"].values - own[0]) / 0.5, 1.0)
    inside = np.isfinite(found.values)
    apart = np.angle(np.exp(1j * (found.values - expected)))
    assert np.abs(apart[inside]).max() < 1e-9
    assert np.array_equal(inside, (poses["time"].values >= own[0]) & (poses["time"].values < own[-1]))
    assert found.attrs["units"] == "rad"
    assert ((found.values[inside] >= 0) & (found.values[inside] < 2 * np.pi)).all()


def test_over_a_pause_no_phase_is_known() -> None:
    poses, *_ = hexapod(8, 100, HEXAPODS["wave"], 0.7)
    times = np.array([0.5, 1.0, 1.5, 2.0, 5.0, 5.5, 6.0])
    events = make_events(times, times * 100, [NAMES[0]] * 7, ["one"] * 7, ["contact"] * 7)
    found = phases(poses, events)["phase"].values[:, 0, 0]
    assert np.isnan(found[201:499]).all()
    assert np.isfinite(found[50:199]).all()


@pytest.mark.parametrize("method", ["events", "hilbert"])
@pytest.mark.parametrize("name", HEXAPODS)
def test_phase_differences_are_those_of_the_gait(name: str, method: str) -> None:
    poses, *_, skeleton = hexapod(12, 100, HEXAPODS[name], 0.6)
    walked = noisy(poses)
    events = gait_events(walked, skeleton) if method == "events" else None
    found = phase_differences(phases(walked, events, skeleton, method=method), NAMES[4])
    apart = np.angle(np.exp(1j * (found["phase_difference"].values[:, 0] - 2 * np.pi * np.array(HEXAPODS[name]))))
    assert np.abs(apart).max() < 2 * np.pi * 0.02
    assert found["phase_concentration"].values.min() > 0.9
    assert found["phase_difference_n"].values.min() > 1000


@given(st.lists(st.floats(0, 6.28), min_size=3, max_size=20), st.floats(0, 6.28))
def test_differences_are_circular_means(values: list[float], shift: float) -> None:
    own = np.array(values)
    both = np.stack([np.mod(own + shift, 2 * np.pi), own], axis=1)[:, :, None]
    table = xr.Dataset(
        {"phase": (("time", "leg", "individual"), both)}, coords={"leg": ["a", "b"], "individual": ["one"]}
    )
    found = phase_differences(table)
    expected = circmean(both[:, 0, 0] - both[:, 1, 0])
    apart = np.angle(np.exp(1j * (found["phase_difference"].sel(leg="b").item() - expected)))
    assert abs(apart) < 1e-6
    assert found["phase_concentration"].sel(leg="b").item() == pytest.approx(1)


def test_legs_without_phases_have_no_difference() -> None:
    table = xr.Dataset(
        {"phase": (("time", "leg", "individual"), np.array([[[0.1], [np.nan]], [[0.2], [np.nan]]]))},
        coords={"leg": ["a", "b"], "individual": ["one"]},
    )
    found = phase_differences(table)
    assert np.isnan(found["phase_difference"].sel(leg="b").item())
    assert found["phase_difference_n"].sel(leg="b").item() == 0
    with pytest.raises(InvalidValueError, match="one of a, b"):
        phase_differences(table, "c")


def test_the_method_must_be_known() -> None:
    poses, *_, skeleton = hexapod(2, 100, HEXAPODS["wave"], 0.7)
    with pytest.raises(InvalidValueError, match="without events"):
        phases(poses)
    with pytest.raises(InvalidValueError, match="'hilbert'"):
        phases(poses, None, skeleton, method="hilbrt")


def test_from_poses_to_the_name_of_the_gait() -> None:
    poses, *_, skeleton = hexapod(20, 100, HEXAPODS["tetrapod"], 0.7)
    walked = noisy(poses)
    found = gait_classes(strides(walked, gait_events(walked, skeleton), skeleton), skeleton)
    assert (found["gait_class"].values[1:-1] == "tetrapod").mean() > 0.95
