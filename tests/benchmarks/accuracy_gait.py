"""How well steps are found, against known truth. Run by hand:

    python tests/benchmarks/accuracy_gait.py [--json]

Simulated: a quadruped of 800 mm that walks and trots, 60 s, with 5 mm of noise on every coordinate; and a hexapod of
the same size, also with swings of other shapes than the simulator has. Real, where there are recordings: a person on a
treadmill (43 events) and one overground (13), as others annotated them; thresholds of feet that roll were chosen on
these two. An event is right within a frame (simulated), 30 ms (other swings) or 50 ms (real).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pose3d.datasets import poses3d
from pose3d.formats import load_poses3d, read_c3d_events
from pose3d.kinematics.event_tables import events_from_c3d
from pose3d.kinematics.gait import GaitSettings, gait_events
from pose3d.kinematics.gait_phases import gait_classes
from pose3d.kinematics.gait_strides import strides
from pose3d.skeleton import Anatomy, Leg, Skeleton
from pose3d.synthetic import SimulationSettings, simulate
from pose3d.synthetic._quadruped import LIMBS, QUADRUPED

FLOATS = NDArray[np.float64]
Row = dict[str, float]
METHODS = ("automatic", "speed", "height_speed", "zeni", "high_pass")
WALKS = (
    ("walk", 0.65, 800.0),
    ("walk", 0.75, 600.0),
    ("walk", 0.55, 1000.0),
    ("trot", 0.5, 1200.0),
    ("trot", 0.6, 1000.0),
)
HEXAPODS = {
    "tripod": (0.0, 0.5, 0.5, 0.0, 0.0, 0.5),
    "tetrapod": (2 / 3, 1 / 3, 1 / 3, 0.0, 0.0, 2 / 3),
    "wave": (1 / 3, 5 / 6, 1 / 6, 2 / 3, 0.0, 0.5),
}
NAMES = ("left_fore", "right_fore", "left_mid", "right_mid", "left_hind", "right_hind")
NOISE = 5.0  # mm


def _least_jerk(swing: FLOATS) -> FLOATS:
    return swing**3 * (10 - 15 * swing + 6 * swing**2)


def _lift(swing: FLOATS) -> FLOATS:
    return 16 * swing**2 * (1 - swing) ** 2 * 40


# How far a foot is on its way and how high, in mm, by the share of the swing that is over. The first is that of the
# simulator, on which the method was made; the others were not looked at then.
SWINGS: dict[str, Callable[[FLOATS], tuple[FLOATS, FLOATS]]] = {
    "least jerk": lambda swing: (_least_jerk(swing), _lift(swing)),
    "late": lambda swing: (_least_jerk(swing**1.4), _lift(swing)),
    "sine of acceleration": lambda swing: (swing - np.sin(2 * np.pi * swing) / (2 * np.pi), _lift(swing)),
    "constant acceleration": lambda swing: (
        np.where(swing < 0.5, 2 * swing**2, 1 - 2 * (1 - swing) ** 2),
        _lift(swing),
    ),
    "cosine": lambda swing: ((1 - np.cos(np.pi * swing)) / 2, _lift(swing)),
    "cosine, low": lambda swing: ((1 - np.cos(np.pi * swing)) / 2, _lift(swing) / 4),
    "lift with a jump": lambda swing: (_least_jerk(swing), 40 * np.sin(np.pi * swing)),
}
MARKERS = {
    "treadmill_events.c3d": ("MT2", ("LASIS", "RASIS", "LPSIS", "RPSIS")),
    "test_small.c3d": ("TOE", ("LASI", "RASI", "SACR")),
}
KINDS = ("contact", "lift_off")
Truth = dict[tuple[str, str], FLOATS]


def quadruped() -> Skeleton:
    hips = {"fore_paw": "shoulder", "hind_paw": "hip"}

    def hip(limb: str) -> str:
        side, rest = limb.split("_", 1)
        return f"{side}_{hips[rest]}"

    legs = tuple(Leg(limb, limb, hip=(hip(limb),)) for limb in LIMBS)
    return replace(QUADRUPED, anatomy=Anatomy(legs=legs, rear=("tail_base",), front=("neck",)))


def hexapod(
    duration: float,
    rate: float,
    phases: tuple[float, ...],
    duty: float,
    *,
    period: float = 0.5,
    stride: float = 400.0,
    swings: str = "least jerk",
) -> tuple[xr.Dataset, dict[str, FLOATS], dict[str, FLOATS], Skeleton]:
    """Poses of a straight walker, its contacts and lift-offs by leg, and its skeleton."""
    time = np.arange(round(duration * rate)) / rate
    speed = stride / period
    feet, contacts, lifts = [], {}, {}
    for index, (name, phase) in enumerate(zip(NAMES, phases, strict=True)):
        turns = time / period - phase
        number, share = np.floor(turns), turns - np.floor(turns)
        swing = np.clip((share - duty) / (1 - duty), 0, 1)
        along, lift = SWINGS[swings](swing)
        onward = (number + phase + duty / 2 + along) * stride + (1 - index // 2) * 150
        feet.append(np.stack([onward, np.full_like(time, 150 - 300 * (index % 2)), lift], axis=-1))
        contacts[name] = (np.arange(np.floor(turns[0]), np.ceil(turns[-1])) + phase) * period
        lifts[name] = contacts[name] + duty * period
    body = np.stack([speed * time, 0 * time, 150 + 0 * time], axis=-1)
    ahead = np.array([100.0, 0, 0])
    ends = [body + ahead, body - ahead]
    position = np.stack([*feet, *ends], axis=-1)[..., None]
    keypoints = (*NAMES, "head", "abdomen")
    poses = poses3d(position, individuals=["one"], keypoints=keypoints, unit="mm", frame_rate=rate)
    skeleton = Skeleton(
        "hexapod",
        keypoints,
        mirrored_pairs=tuple((NAMES[i], NAMES[i + 1]) for i in (0, 2, 4)),
        anatomy=Anatomy(legs=tuple(Leg(name, name) for name in NAMES), rear=("abdomen",), front=("head",)),
    )
    return poses, contacts, lifts, skeleton


def noisy(poses: xr.Dataset, seed: int = 0) -> xr.Dataset:
    noise = np.random.default_rng(seed).normal(0, NOISE, poses["position"].shape)
    return poses.assign(position=(poses["position"] + noise).assign_attrs(poses["position"].attrs))


def paired(found: FLOATS, truth: FLOATS, tolerance: float) -> FLOATS:
    """Differences of events that belong together, nearest first, each once."""
    order = sorted(
        (abs(a - b), i, j) for i, a in enumerate(truth) for j, b in enumerate(found) if abs(a - b) <= tolerance + 1e-9
    )
    used: tuple[set[int], set[int]] = (set(), set())
    errors = []
    for _, i, j in order:
        if i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
            errors.append(found[j] - truth[i])
    return np.array(errors)


def score(events: xr.Dataset, truth: Truth, tolerance: float) -> Row:
    """Precision, recall, F1 and timing in ms; truth by leg and kind."""
    hits, right, expected = [], 0, 0
    by_kind: dict[str, list[FLOATS]] = {}
    for (leg, kind), times in truth.items():
        own = (events["event_leg"].values == leg) & (events["event_kind"].values == kind)
        errors = paired(events["event_time"].values[own], times, tolerance)
        hits.append(errors)
        by_kind.setdefault(kind, []).append(errors)
        right += len(errors)
        expected += len(times)
    count = events.sizes["event"]
    every = 1000 * np.concatenate(hits)
    row = {
        "events": float(expected),
        "precision": right / max(count, 1),
        "recall": right / expected,
        "f1": 2 * right / (count + expected),
        "median_abs_ms": float(np.median(np.abs(every))) if right else np.nan,
    }
    for kind, errors in by_kind.items():
        one = 1000 * np.concatenate(errors)
        row[f"{kind}_bias_ms"] = float(np.median(one)) if len(one) else np.nan
    return row


def simulated() -> dict[str, Row]:
    rows, skeleton = {}, quadruped()
    for rate in (100.0, 200.0):
        for gait, duty, speed in WALKS:
            scene = simulate(
                SimulationSettings(
                    body_length=800,
                    speed=speed,
                    duration=60,
                    frame_rate=rate,
                    gait=gait,
                    duty_factor=duty,
                    cameras=1,
                    occlusion="none",
                    seed=1,
                )
            )
            poses, steps = noisy(scene.poses3d), scene.gait
            truth = {}
            for limb in LIMBS:
                for kind in KINDS:
                    times = steps[kind].values[steps["step_limb"].values == limb]
                    truth[limb, kind] = times[np.isfinite(times)]
            for method in METHODS:
                events = gait_events(poses, skeleton, GaitSettings(method=method))
                row = score(events, truth, 1 / rate)
                row["f1_within_10_ms"] = score(events, truth, 0.01)["f1"]
                if method == "automatic":
                    row |= lengths(strides(poses, events, skeleton), steps)
                rows[f"{gait}, duty factor {duty:g}, {rate:g} Hz, {method}"] = row
    return rows


def lengths(found: xr.Dataset, steps: xr.Dataset) -> Row:
    """Errors of stride lengths, in percent."""
    errors = []
    for limb in LIMBS:
        own = steps.isel(step=np.flatnonzero(steps["step_limb"].values == limb))
        mine = found.isel(stride=np.flatnonzero(found["stride_leg"].values == limb))
        true = np.linalg.norm(np.diff(own["footprint"].values, axis=0), axis=1)
        for start, length in zip(mine["stride_start"].values, mine["stride_length"].values, strict=True):
            step = int(np.nanargmin(np.abs(own["contact"].values - start)))
            if step < len(true) and np.isfinite(length):
                errors.append(100 * (length / true[step] - 1))
    return {
        "stride_length_bias_percent": float(np.mean(errors)),
        "stride_length_median_abs_percent": float(np.median(np.abs(errors))),
    }


def six_legs() -> dict[str, Row]:
    rows = {}
    for name, phases in HEXAPODS.items():
        for duty in (0.55, 0.75):
            poses, contacts, lifts, skeleton = hexapod(60, 100, phases, duty)
            events = gait_events(noisy(poses), skeleton)
            truth = {}
            for kind, known in (("contact", contacts), ("lift_off", lifts)):
                for leg, times in known.items():
                    truth[leg, kind] = times[(times > 0) & (times < 60)]
            row = score(events, truth, 0.01)
            classes = gait_classes(strides(noisy(poses), events, skeleton), skeleton)["gait_class"].values
            row["share_of_strides_in_class"] = float((classes == name).mean())
            rows[f"{name}, duty factor {duty:g}, 100 Hz"] = row
    return rows


def other_swings() -> dict[str, Row]:
    rows = {}
    for name in SWINGS:
        poses, contacts, lifts, skeleton = hexapod(60, 100, HEXAPODS["tripod"], 0.65, period=0.53, swings=name)
        truth = {
            (leg, kind): times[(times > 0) & (times < 59.99)]
            for kind, known in (("contact", contacts), ("lift_off", lifts))
            for leg, times in known.items()
        }
        events = gait_events(noisy(poses), skeleton)
        rows[name] = score(events, truth, 0.03) | {"f1_within_10_ms": score(events, truth, 0.01)["f1"]}
    return rows


def poses_of_file(path: Path, toe: str, hips: tuple[str, ...]) -> tuple[xr.Dataset, list[Leg], Truth]:
    """Feet and hips of a person, its legs, and the events in the file."""
    poses, told = load_poses3d(path), read_c3d_events(path)
    poses = poses.sel(keypoint=[*(side + part for side in "LR" for part in ("HEE", toe)), *hips])
    legs = [Leg(side, side[0] + toe, side[0] + "HEE", side[0] + toe, hips) for side in ("Left", "Right")]
    known = events_from_c3d(told, poses, legs={"Left": "Left", "Right": "Right"})
    truth = {}
    for side in ("Left", "Right"):
        for kind in KINDS:
            own = (known["event_leg"].values == side) & (known["event_kind"].values == kind)
            truth[side, kind] = known["event_time"].values[own]
    return poses, legs, truth


def real(folder: Path) -> dict[str, Row]:
    rows = {}
    for name, markers in MARKERS.items():
        poses, legs, truth = poses_of_file(folder / name, *markers)
        for method in METHODS:
            found = gait_events(poses, None, GaitSettings(method=method), legs=legs)
            rows[f"{name}, {method}"] = score(found, truth, 0.05)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    result = {"simulated": simulated(), "six legs": six_legs(), "other swings": other_swings()}
    data = Path(os.environ.get("POSE3D_REAL_DATA", Path(__file__).parents[3] / "shared" / "data")) / "treadmill_gait"
    if data.is_dir():
        result["real"] = real(data)
    if chosen.json:
        json.dump(result, sys.stdout, indent=1)
        return
    for title, rows in result.items():
        print(title)
        for name, row in rows.items():
            print(f"  {name}: " + ", ".join(f"{key} {value:.4g}" for key, value in row.items()))


if __name__ == "__main__":
    main()
