"""Events of the gait, against walkers whose steps are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calibration.errors import InvalidValueError
from pose3d.datasets import poses2d, poses3d
from pose3d.kinematics.gait import GaitSettings, gait_events
from pose3d.skeleton import Anatomy, Leg, Skeleton
from pose3d.synthetic import SimulationSettings, simulate
from pose3d.synthetic._quadruped import LIMBS
from tests.benchmarks.accuracy_gait import HEXAPODS, NAMES, SWINGS, hexapod, noisy, paired, quadruped, score

FLOATS = NDArray[np.float64]
Truth = dict[tuple[str, str], FLOATS]
TRIPOD = HEXAPODS["tripod"]


def truth_of(contacts: dict[str, FLOATS], lifts: dict[str, FLOATS], duration: float) -> Truth:
    kinds = {"contact": contacts, "lift_off": lifts}
    return {
        (leg, kind): times[(times > 0) & (times < duration - 0.01)]
        for kind, known in kinds.items()
        for leg, times in known.items()
    }


def moved(poses: xr.Dataset, change: FLOATS) -> xr.Dataset:
    """Poses with their positions (time, space, keypoint, individual) replaced."""
    return poses.assign(position=(poses["position"].dims, change, poses["position"].attrs))


def on_treadmill(poses: xr.Dataset, speed: float) -> xr.Dataset:
    position = poses["position"].values.copy()
    position[:, 0] -= speed * poses["time"].values[:, None, None]
    return moved(poses, position)


def times_of(events: xr.Dataset, leg: str, kind: str) -> FLOATS:
    own = (events["event_leg"].values == leg) & (events["event_kind"].values == kind)
    return events["event_time"].values[own]


@pytest.fixture(scope="module")
def walker() -> tuple[xr.Dataset, Truth, Skeleton]:
    poses, contacts, lifts, skeleton = hexapod(12, 100, TRIPOD, 0.6)
    return noisy(poses), truth_of(contacts, lifts, 12), skeleton


@pytest.mark.parametrize(("gait", "duty", "speed"), [("walk", 0.65, 800.0), ("trot", 0.5, 1200.0)])
def test_events_of_a_quadruped_are_within_a_frame(gait: str, duty: float, speed: float) -> None:
    scene = simulate(
        SimulationSettings(
            body_length=800, speed=speed, duration=60, gait=gait, duty_factor=duty, cameras=1, occlusion="none", seed=1
        )
    )
    events = gait_events(noisy(scene.poses3d), quadruped())
    truth = {}
    for limb in LIMBS:
        for kind in ("contact", "lift_off"):
            times = scene.gait[kind].values[scene.gait["step_limb"].values == limb]
            truth[limb, kind] = times[np.isfinite(times)]
    result = score(events, truth, 0.01)
    assert result["f1"] >= 0.99
    assert abs(result["contact_bias_ms"]) < 4
    assert abs(result["lift_off_bias_ms"]) < 4
    assert events.attrs["surface"] == "overground"


@pytest.mark.parametrize("name", HEXAPODS)
@pytest.mark.parametrize("duty", [0.55, 0.75])
def test_events_of_a_hexapod_are_within_a_frame(name: str, duty: float) -> None:
    poses, contacts, lifts, skeleton = hexapod(40, 100, HEXAPODS[name], duty)
    events = gait_events(noisy(poses), skeleton)
    assert score(events, truth_of(contacts, lifts, 40), 0.01)["f1"] >= 0.99
    assert abs(events["stride_period"].item() - 0.5) < 0.02


@pytest.mark.parametrize("name", SWINGS)
def test_other_swings_than_those_of_the_simulator_are_found_within_three_frames(name: str) -> None:
    poses, contacts, lifts, skeleton = hexapod(30, 100, TRIPOD, 0.65, period=0.53, swings=name)
    found = score(gait_events(noisy(poses), skeleton), truth_of(contacts, lifts, 30), 0.03)
    assert found["f1"] >= 0.99
    assert max(abs(found["contact_bias_ms"]), abs(found["lift_off_bias_ms"])) < 13


@pytest.mark.parametrize("method", ["speed", "height_speed", "zeni", "high_pass"])
def test_every_method_finds_every_step(walker: tuple[xr.Dataset, Truth, Skeleton], method: str) -> None:
    poses, truth, skeleton = walker
    events = gait_events(poses, skeleton, GaitSettings(method=method))
    # those that look at extremes are early or late by what they define a step to be
    result = score(events, truth, 0.02 if "speed" in method else 0.08)
    assert result["f1"] > 0.96
    assert set(events["event_method"].values.tolist()) == {method}


def test_extremes_are_where_their_definition_says() -> None:
    poses, _, lifts, skeleton = hexapod(20, 200, TRIPOD, 0.6)
    events = gait_events(poses, skeleton, GaitSettings(method="zeni"))
    # the foot is at its rear where it gets as fast as the body: 30 u^2 (1 - u)^2 = swing by stride
    share = np.linspace(0, 0.5, 100_001)
    at = share[np.argmin(np.abs(30 * share**2 * (1 - share) ** 2 - 0.4))] * 0.4 * 0.5
    late = paired(times_of(events, NAMES[0], "lift_off"), lifts[NAMES[0]] + at, 0.05)
    assert len(late) >= 38
    assert np.abs(late[1:-1]).max() < 0.003


def test_on_a_treadmill_the_events_are_the_same(walker: tuple[xr.Dataset, Truth, Skeleton]) -> None:
    poses, truth, skeleton = walker
    events = gait_events(on_treadmill(poses, 800), skeleton)
    assert events.attrs["surface"] == "treadmill"
    assert abs(events["belt_speed"].item() - 800) < 4 * events["belt_speed_std"].item() + 2
    np.testing.assert_allclose(events["travel_direction"].values[0], [1, 0, 0], atol=0.02)
    assert score(events, truth, 0.012)["f1"] > 0.99
    given_speed = gait_events(on_treadmill(poses, 800), skeleton, GaitSettings(belt_speed=800.0))
    assert given_speed["belt_speed"].item() == 800
    assert score(given_speed, truth, 0.012)["f1"] > 0.99


def test_contacts_and_lift_offs_take_turns(walker: tuple[xr.Dataset, Truth, Skeleton]) -> None:
    poses, _, skeleton = walker
    wild = moved(poses, poses["position"].values + np.random.default_rng(3).normal(0, 15, poses["position"].shape))
    for method in ("automatic", "zeni", "high_pass", "height_speed"):
        events = gait_events(wild, skeleton, GaitSettings(method=method))
        assert (np.diff(events["event_time"].values) >= 0).all()
        for leg in NAMES:
            own = events["event_leg"].values == leg
            kinds = events["event_kind"].values[own]
            assert (kinds[1:] != kinds[:-1]).all()
            assert (np.diff(events["event_time"].values[own]) > 0).all()


def test_confidence_and_standard_deviation_say_how_good_an_event_is() -> None:
    errors, told, sure = [], [], []
    for seed in range(4):
        poses, contacts, lifts, skeleton = hexapod(40, 100, TRIPOD, 0.6)
        events = gait_events(noisy(poses, seed), skeleton)
        for (leg, kind), times in truth_of(contacts, lifts, 40).items():
            found = times_of(events, leg, kind)
            own = (events["event_leg"].values == leg) & (events["event_kind"].values == kind)
            nearest = times[np.abs(times[:, None] - found).argmin(axis=0)]
            errors.append(found - nearest)
            told.append(events["event_time_std"].values[own])
            sure.append(events["event_confidence"].values[own])
    z = np.concatenate(errors) / np.concatenate(told)
    assert 0.85 < (np.abs(z) < 1.96).mean() < 0.999
    assert np.median(np.concatenate(sure)) > 0.9
    assert all(((values >= 0) & (values <= 1)).all() for values in sure)


@settings(max_examples=8)
@given(
    turn=st.tuples(*[st.floats(-np.pi, np.pi)]),
    shift=st.tuples(*[st.floats(-5000, 5000)] * 3),
    scale=st.sampled_from([0.001, 1.0, 25.4]),
)
def test_the_world_does_not_matter(turn: tuple[float], shift: tuple[float, float, float], scale: float) -> None:
    poses, *_, skeleton = hexapod(6, 100, TRIPOD, 0.6)
    poses = noisy(poses)
    rotation = Rotation.from_euler("z", turn[0]).as_matrix()
    position = np.einsum("ab,tbki->taki", rotation, poses["position"].values) + np.array(shift)[:, None, None]
    first = gait_events(poses, skeleton)
    second = gait_events(moved(poses, position * scale), skeleton)
    assert first["event_leg"].values.tolist() == second["event_leg"].values.tolist()
    np.testing.assert_allclose(first["event_time"], second["event_time"], atol=1e-6)


@pytest.mark.parametrize(("up", "axes"), [("x", (2, 0, 1)), ("y", (1, 2, 0)), ("-z", None)])
def test_up_is_found(walker: tuple[xr.Dataset, Truth, Skeleton], up: str, axes: tuple[int, int, int] | None) -> None:
    poses, truth, skeleton = walker
    position = poses["position"].values
    turned = position * np.array([1, -1, -1])[:, None, None] if axes is None else position[:, list(axes)]
    events = gait_events(moved(poses, turned), skeleton)
    assert events.attrs["up"] == up
    assert score(events, truth, 0.012)["f1"] > 0.99
    assert gait_events(moved(poses, turned), skeleton, GaitSettings(up="z")).attrs["up"] == "z"


def test_a_leg_that_is_missing_has_no_steps_and_says_why(walker: tuple[xr.Dataset, Truth, Skeleton]) -> None:
    poses, _, skeleton = walker
    position = poses["position"].values.copy()
    position[:, :, 2] = np.nan
    events = gait_events(moved(poses, position), skeleton)
    status = events["leg_status"].sel(leg=NAMES[2], individual="one")
    words = status.attrs["flag_meanings"].split()
    assert words[int(status)] == "missing"
    assert NAMES[2] not in events["event_leg"].values
    assert (events["leg_status"].drop_sel(leg=NAMES[2]) == 0).all()


def test_a_leg_that_stands_has_no_steps() -> None:
    poses, *_, skeleton = hexapod(5, 100, TRIPOD, 0.6)
    still = moved(poses, np.broadcast_to(poses["position"].values[:1], poses["position"].shape).copy())
    for noise in (still, noisy(still)):
        for method in ("automatic", "speed", "zeni", "high_pass", "height_speed"):
            events = gait_events(noise, skeleton, GaitSettings(method=method))
            assert events.sizes["event"] == 0
            assert (events["leg_status"] > 0).all()


@pytest.mark.parametrize("frames", [1, 2, 5, 12])
def test_what_is_too_short_has_no_steps(frames: int) -> None:
    poses, *_, skeleton = hexapod(5, 100, TRIPOD, 0.6)
    events = gait_events(poses.isel(time=slice(0, frames)), skeleton)
    assert (events["leg_status"] > 0).all() or events.sizes["event"] <= 12


def test_short_gaps_are_bridged_and_long_ones_are_not(walker: tuple[xr.Dataset, Truth, Skeleton]) -> None:
    poses, truth, skeleton = walker
    position = poses["position"].values.copy()
    position[300:306, :, 0] = np.nan
    position[600:700, :, 1] = np.nan
    events = gait_events(moved(poses, position), skeleton)
    times = {leg: events["event_time"].values[events["event_leg"].values == leg] for leg in NAMES[:2]}
    assert not ((times[NAMES[1]] > 6.0) & (times[NAMES[1]] < 6.99)).any()
    assert len(paired(times_of(events, NAMES[0], "contact"), truth[NAMES[0], "contact"], 0.03)) >= 23
    near = np.abs(events["event_time"].values - 3.03) < 0.04
    own = near & (events["event_leg"].values == NAMES[0])
    if own.any():
        assert events["event_confidence"].values[own].min() < 0.9


def test_frames_that_a_camera_dropped_are_left_free(walker: tuple[xr.Dataset, Truth, Skeleton]) -> None:
    poses, truth, skeleton = walker
    kept = np.delete(np.arange(poses.sizes["time"]), [200, 201, 202, 555])
    events = gait_events(poses.isel(time=kept), skeleton)
    assert score(events, truth, 0.012)["f1"] > 0.98


def test_lazy_poses_give_the_same(walker: tuple[xr.Dataset, Truth, Skeleton]) -> None:
    poses, _, skeleton = walker
    xr.testing.assert_identical(gait_events(poses.chunk(time=100), skeleton), gait_events(poses, skeleton))


def test_feet_can_be_named(walker: tuple[xr.Dataset, Truth, Skeleton]) -> None:
    poses, truth, _ = walker
    events = gait_events(poses, None, legs=[NAMES[0], Leg("other", NAMES[1])])
    assert set(events["event_leg"].values.tolist()) == {NAMES[0], "other"}
    few = {key: times for key, times in truth.items() if key[0] == NAMES[0]}
    own = events.isel(event=np.flatnonzero(events["event_leg"].values == NAMES[0]))
    assert score(own, few, 0.02)["f1"] > 0.98


def test_errors_say_what_to_do(walker: tuple[xr.Dataset, Truth, Skeleton]) -> None:
    poses, _, skeleton = walker
    with pytest.raises(InvalidValueError, match=r"Name the feet, as legs="):
        gait_events(poses, replace(skeleton, anatomy=Anatomy()))
    with pytest.raises(InvalidValueError, match="left_fore"):
        gait_events(poses, skeleton, legs=["left_for"])
    with pytest.raises(InvalidValueError, match="each once"):
        gait_events(poses, skeleton, legs=[NAMES[0], NAMES[0]])
    still = poses3d(np.zeros((5, 3, 1, 1)), individuals=["a"], keypoints=["k"], unit="mm")
    with pytest.raises(InvalidValueError, match="fps"):
        gait_events(still, None, legs=["k"])
    flat = poses2d(np.zeros((5, 1, 1, 1, 2)), cameras=["c"], individuals=["a"], keypoints=["k"], frame_rate=10)
    with pytest.raises(InvalidValueError, match="Poses2D"):
        gait_events(flat, None, legs=["k"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "magic"},
        {"surface": "ice"},
        {"up": "w"},
        {"period": 0.0},
        {"direction": (0, 0, 0)},
        {"belt_speed": np.nan},
        {"speed_noise": 0.0},
        {"switch_cost": 1.0},
        {"contrast": 1.0},
        {"longest_gap": -1.0},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidValueError, match=next(iter(wrong))):
        GaitSettings(**wrong)


def test_what_is_told_has_units(walker: tuple[xr.Dataset, Truth, Skeleton]) -> None:
    poses, _, skeleton = walker
    events = gait_events(poses, skeleton)
    assert all(variable.attrs.get("units") and variable.attrs.get("long_name") for variable in events.values())
    assert events["belt_speed"].attrs["units"] == "mm/s"
    np.testing.assert_allclose(events["event_frame"], events["event_time"] * 100, atol=0.5 + 1e-9)
