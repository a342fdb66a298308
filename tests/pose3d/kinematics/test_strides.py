"""Strides of walkers whose steps are known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from calibration.errors import MismatchError
from pose3d.kinematics._gait_regularity import autocorrelation, symmetry_index
from pose3d.kinematics.event_tables import events_from_table, events_table, make_events
from pose3d.kinematics.gait import GaitSettings, gait_events
from pose3d.kinematics.gait_strides import gait_summary, strides
from pose3d.skeleton import Skeleton
from tests.benchmarks.accuracy_gait import HEXAPODS, NAMES, hexapod, noisy

MEASURES = (
    "stride_duration",
    "stance_duration",
    "swing_duration",
    "duty_factor",
    "cadence",
    "stride_length",
    "step_length",
    "step_width",
    "stride_speed",
    "foot_clearance",
)
DUTY, STRIDE, PERIOD, LIFT, WIDTH = 0.6, 400.0, 0.5, 40.0, 300.0
TRUE = {
    "stride_duration": PERIOD,
    "stance_duration": DUTY * PERIOD,
    "swing_duration": (1 - DUTY) * PERIOD,
    "duty_factor": DUTY,
    "cadence": 120.0,
    "stride_length": STRIDE,
    "step_length": STRIDE / 2,
    "step_width": WIDTH,
    "stride_speed": STRIDE / PERIOD,
    "foot_clearance": LIFT,
}
Walk = tuple[xr.Dataset, xr.Dataset, Skeleton]


def exact(poses: xr.Dataset, contacts: dict[str, np.ndarray], lifts: dict[str, np.ndarray]) -> xr.Dataset:
    """The true events."""
    rows = [
        (time, leg, kind)
        for kind, known in (("contact", contacts), ("lift_off", lifts))
        for leg, times in known.items()
        for time in times
        if 0 <= time <= poses["time"].values[-1]
    ]
    time, leg, kind = zip(*rows, strict=True)
    return make_events(time, np.rint(np.array(time) * 100), leg, ["one"] * len(rows), kind, deviation=[0.0] * len(rows))


@pytest.fixture(scope="module")
def walk() -> Walk:
    """A walker without noise, with its true events."""
    poses, contacts, lifts, skeleton = hexapod(10, 100, HEXAPODS["tripod"], DUTY)
    return poses, exact(poses, contacts, lifts), skeleton


def treadmill(poses: xr.Dataset) -> xr.Dataset:
    position = poses["position"].values.copy()
    position[:, 0] -= STRIDE / PERIOD * poses["time"].values[:, None, None]
    return poses.assign(position=(poses["position"].dims, position, poses["position"].attrs))


def test_without_noise_everything_is_exact(walk: Walk) -> None:
    found = strides(*walk)
    assert found.sizes["stride"] >= 6 * 18
    for name, value in TRUE.items():
        known = found[name].values[np.isfinite(found[name].values)]
        assert len(known) > 100
        np.testing.assert_allclose(known, value, rtol=0.02 if name == "foot_clearance" else 1e-6, err_msg=name)


def test_on_a_treadmill_the_way_of_the_belt_is_added(walk: Walk) -> None:
    poses, events, skeleton = walk
    found = strides(treadmill(poses), events, skeleton)
    for name in ("stride_length", "step_width", "stride_speed"):
        known = found[name].values[np.isfinite(found[name].values)]
        np.testing.assert_allclose(known, TRUE[name], rtol=1e-3, err_msg=name)
    slower = strides(treadmill(poses), events, skeleton, GaitSettings(belt_speed=400.0))
    assert abs(float(slower["stride_length"].median()) - 200) < 1


def test_standard_deviations_are_those_of_many_repetitions() -> None:
    poses, contacts, lifts, skeleton = hexapod(6, 100, HEXAPODS["tripod"], DUTY)
    truth = exact(poses, contacts, lifts)
    rng = np.random.default_rng(0)
    found = []
    for seed in range(40):
        table = events_table(truth)
        table["time"] += rng.normal(0, 0.004, len(table))
        table["time_std"] = 0.004
        found.append(strides(noisy(poses, seed), events_from_table(table, poses), skeleton).isel(stride=slice(6, 50)))
    for name in MEASURES:
        values = np.stack([one.sortby(["stride_leg", "stride_end"])[name].values for one in found])
        told = np.sqrt(np.nanmean(np.stack([one[f"{name}_std"].values for one in found]) ** 2))
        seen = np.sqrt(np.nanmean(np.nanvar(values, axis=0)))
        # the highest of several places near the top varies less than each of them
        low = 0.55 if name == "foot_clearance" else 0.85
        assert low < seen / told < 1.15, name


def test_stride_length_is_within_a_percent_at_5_mm_noise() -> None:
    poses, *_, skeleton = hexapod(40, 100, HEXAPODS["tetrapod"], 0.7)
    walked = noisy(poses)
    found = strides(walked, gait_events(walked, skeleton), skeleton)
    assert abs(float(found["stride_length"].mean()) / STRIDE - 1) < 0.002
    assert (np.abs(found["stride_length"].values / STRIDE - 1) < 0.01).mean() > 0.85
    assert abs(float(found["duty_factor"].mean()) - 0.7) < 0.02


@settings(max_examples=6)
@given(turn=st.floats(-np.pi, np.pi), scale=st.sampled_from([0.001, 2.0]))
def test_lengths_go_with_the_unit_and_not_with_the_world(turn: float, scale: float) -> None:
    poses, contacts, lifts, skeleton = hexapod(4, 100, HEXAPODS["tripod"], DUTY)
    events = exact(poses, contacts, lifts)
    rotation = Rotation.from_euler("z", turn).as_matrix()
    position = np.einsum("ab,tbki->taki", rotation, poses["position"].values) * scale
    turned = poses.assign(position=(poses["position"].dims, position, poses["position"].attrs))
    first, second = strides(poses, events, skeleton), strides(turned, events, skeleton)
    for name in MEASURES:
        factor = scale if first[name].attrs["units"].startswith("mm") else 1.0
        np.testing.assert_allclose(second[name], first[name] * factor, rtol=1e-6, atol=1e-9)


def test_a_stride_with_a_gap_or_without_its_lift_off_is_left_out(walk: Walk) -> None:
    poses, events, skeleton = walk
    whole = strides(poses, events, skeleton)
    position = poses["position"].values.copy()
    position[300:330, :, 0] = np.nan
    gap = strides(poses.assign(position=(poses["position"].dims, position)), events, skeleton)
    lost = whole.sizes["stride"] - gap.sizes["stride"]
    assert lost == gap.attrs["left_out"]
    assert 1 <= lost <= 2
    lift = np.flatnonzero((events["event_kind"].values == "lift_off") & (events["event_leg"].values == NAMES[0]))[3]
    few = strides(poses, events.drop_isel(event=lift), skeleton)
    assert few.sizes["stride"] == whole.sizes["stride"] - 1
    assert few.attrs["left_out"] == 1


def test_too_few_events_make_no_stride(walk: Walk) -> None:
    poses, events, skeleton = walk
    for count in (0, 1, 2):
        found = strides(poses, events.isel(event=slice(0, count)), skeleton)
        assert found.sizes["stride"] == 0
        assert found["stride_length"].attrs["units"] == "mm"
        assert gait_summary(found, poses, skeleton).sizes["leg"] == 0


def test_without_partners_there_are_no_steps(walk: Walk) -> None:
    poses, events, _ = walk
    found = strides(poses, events)
    assert np.isnan(found["step_length"].values).all()
    assert np.isfinite(found["stride_length"].values).mean() > 0.9


def test_events_of_others_are_refused(walk: Walk) -> None:
    poses, events, skeleton = walk
    strange = events.assign(event_individual=("event", np.full(events.sizes["event"], "two")))
    with pytest.raises(MismatchError, match="one of one"):
        strides(poses, strange, skeleton)
    with pytest.raises(MismatchError, match="leg"):
        strides(poses, events, skeleton, legs=[NAMES[0]])


def test_a_summary_counts_and_compares(walk: Walk) -> None:
    poses, events, skeleton = walk
    found = strides(poses, events, skeleton)
    limping = found.copy(deep=True)
    left = found["stride_leg"].values == NAMES[0]
    limping["stance_duration"][left] *= 1.1
    summary = gait_summary(limping, poses, skeleton)
    one = summary.sel(leg=NAMES[0], individual="one")
    assert one["stance_duration_mean"].item() == pytest.approx(1.1 * DUTY * PERIOD)
    assert one["stance_duration_symmetry"].item() == pytest.approx(100 * 0.1 / 1.05)
    assert summary["stance_duration_symmetry"].sel(leg=NAMES[1]).item() == pytest.approx(-100 * 0.1 / 1.05)
    assert one["stance_duration_n"].item() == left.sum()
    assert one["stance_duration_cv"].item() == pytest.approx(0, abs=1e-9)
    assert summary["stride_duration_symmetry"].attrs["units"] == "%"


def test_a_body_that_bounces_alike_in_every_step_is_regular() -> None:
    poses, contacts, lifts, skeleton = hexapod(10, 100, HEXAPODS["tripod"], DUTY)
    found = strides(poses, exact(poses, contacts, lifts), skeleton)
    time = poses["time"].values
    result = {}
    for name, bounce in {
        "steps alike": 5 * np.cos(4 * np.pi * time / PERIOD),
        "strides alike": 5 * np.cos(2 * np.pi * time / PERIOD),
        "noise": np.random.default_rng(0).normal(0, 5, len(time)),
    }.items():
        position = poses["position"].values.copy()
        position[:, 2, 6:] += bounce[:, None, None]
        summary = gait_summary(found, poses.assign(position=(poses["position"].dims, position)), skeleton)
        result[name] = summary["stride_regularity"].item(), summary["step_regularity"].item()
    assert min(result["steps alike"]) > 0.95
    assert result["strides alike"][0] > 0.95
    assert result["strides alike"][1] < 0.2
    assert max(result["noise"]) < 0.5


def test_symmetry_index_and_autocorrelation_follow_their_definitions() -> None:
    index = symmetry_index(np.array([1.0, 3.0, np.nan, 0.0]), np.array([1.0, 1.0, 1.0, 0.0]))
    np.testing.assert_allclose(index, [0.0, 100.0, np.nan, np.nan])
    signal = np.random.default_rng(0).normal(size=50)
    centered = signal - signal.mean()
    direct = [np.mean(centered[: 50 - lag] * centered[lag:]) for lag in range(6)]
    np.testing.assert_allclose(autocorrelation(signal, 5), np.array(direct) / direct[0])


def test_lazy_poses_give_the_same(walk: Walk) -> None:
    poses, events, skeleton = walk
    xr.testing.assert_identical(strides(poses.chunk(time=100), events, skeleton), strides(poses, events, skeleton))


def test_what_is_told_has_units(walk: Walk) -> None:
    found = strides(*walk)
    assert all(variable.attrs.get("units") and variable.attrs.get("long_name") for variable in found.values())
    assert found["stride_speed"].attrs["units"] == "mm/s"
    assert set(found) >= {"stride_start", "stride_end", "stride_leg", "stride_individual", *MEASURES}
