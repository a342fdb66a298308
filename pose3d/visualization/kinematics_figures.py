"""Figures of kinematics: angles over time and over the stride, the gait diagram, stick figures, phases of the legs.

All functions return a `matplotlib.figure.Figure`; save it with `.savefig`. None touches matplotlib's global state.
Left is drawn in one color and right in another in all of them.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes
from numpy.typing import NDArray

from calibration.errors import MismatchError
from calibration.plots import GRID, INK, MUTED, PALETTE, categorical_colors, new_figure, plain, style_axes
from pose3d.skeleton import Skeleton
from pose3d.visualization._series import envelope
from pose3d.visualization._shapes import LONGEST_NAME, legend_above

__all__ = ["angle_figure", "cycle_figure", "gait_diagram", "phase_figure", "speed_figure", "stick_figure"]

Array = NDArray[np.float64]

_MOST_PANELS = 12
_LONGEST_DIAGRAM = 10.0  # seconds: bars of ten strides of a mouse are still as wide as a letter
_STICKS = 24
_LYING_STICKS = 8
_SIDE = re.compile(r"^(left|right|l|r)[_\- ]|^([LR])(?=[A-Z])|[_\- ](left|right|l|r)$", re.IGNORECASE)


def angle_figure(kinematics: xr.Dataset, *, individual: str) -> Figure:
    """Joint angles over time in degrees, left and right of a joint in one panel, with a band of one standard deviation.

    Args:
        kinematics: with `joint_angle` (time, angle, individual) in radians.
        individual: name.

    Raises:
        MismatchError: there is no angle, or every one is missing.
    """
    _require(kinematics, "joint_angle")
    angles = np.rad2deg(kinematics["joint_angle"].sel(individual=individual).transpose("angle", "time").values)
    spread = None
    if "joint_angle_std" in kinematics:
        spread = np.rad2deg(kinematics["joint_angle_std"].sel(individual=individual).transpose("angle", "time").values)
    there = np.isfinite(angles).any(axis=1)
    names = [str(name) for name, one in zip(kinematics["angle"].values, there, strict=True) if one]
    angles, spread = angles[there], None if spread is None else spread[there]
    if not np.isfinite(angles).any():
        raise MismatchError("joint angles", expected="one that is known", got="none", remedy="See what is missing.")
    panels = _panels(names)
    time, label = kinematics["time"].values, _time_label(kinematics)
    figure = new_figure(9.0, 0.4 + 1.35 * len(panels))
    rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, members) in zip(rows, panels.items(), strict=True):
        style_axes(axes, ylabel=f"{plain(title, 24)}\n(°)")
        for index in members:
            color = _color(names[index])
            if spread is not None:
                low, high = angles[index] - spread[index], angles[index] + spread[index]
                times, lower = envelope(time, low)
                axes.fill_between(times, lower, envelope(time, high)[1], color=color, alpha=0.2, linewidth=0)
            axes.plot(*envelope(time, angles[index]), color=color, linewidth=1.1, label=_side(names[index])[0] or None)
    band = ", band: ±1 standard deviation" if spread is not None else ""
    rows[0].set_title(f"Joint angles over time{band}", loc="left", fontsize=10, color=INK)
    _sides_legend(rows[0], [names[index] for members in panels.values() for index in members])
    style_axes(rows[-1], xlabel=label, ylabel=rows[-1].get_ylabel())
    return figure


def cycle_figure(kinematics: xr.Dataset, *, individual: str, skeleton: Skeleton | None = None) -> Figure:
    """Mean and standard deviation of every angle over the stride, 0 to 100 %, left and right in one panel.

    The stride is that of the leg on the side of the angle that is nearest to it in the skeleton.

    Args:
        kinematics: with `cycle_joint_angle_mean` and `_sd` (leg, cycle_phase, angle, individual) in radians.
        individual: name.
        skeleton: says which leg is near.

    Raises:
        MismatchError: there is no stride.
    """
    _require(kinematics, "cycle_joint_angle_mean")
    one = kinematics.sel(individual=individual)
    mean, sd, count = (
        one[f"cycle_joint_angle_{part}"].transpose("angle", "leg", "cycle_phase").values for part in ("mean", "sd", "n")
    )
    mean, sd = np.rad2deg(mean), np.rad2deg(sd)
    if not np.isfinite(mean).any():
        raise MismatchError("strides", expected="at least one", got="none", remedy="See the events of the gait.")
    names, legs = ([str(each) for each in kinematics[dim].values] for dim in ("angle", "leg"))
    panels, phase = _panels(names), kinematics["cycle_phase"].values
    columns = min(3, len(panels))
    figure = new_figure(9.0, 0.5 + 2.1 * -(-len(panels) // columns))
    grid = figure.subplots(-(-len(panels) // columns), columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for place, (axes, (title, members)) in enumerate(zip(grid.flat, panels.items(), strict=False)):
        style_axes(axes, xlabel="% of the stride", ylabel="°" if place % columns == 0 else "")
        strides = []
        for index in members:
            leg = _leg_of(names[index], legs, skeleton)
            middle, spread = mean[index, leg], sd[index, leg]
            color = _color(names[index])
            axes.fill_between(phase, middle - spread, middle + spread, color=color, alpha=0.2, linewidth=0)
            axes.plot(phase, middle, color=color, linewidth=1.5)
            strides.append(f"{plain(legs[leg], 12)} {int(np.nan_to_num(count[index, leg]).max(initial=0))}")
        axes.set_title(f"{plain(title, 18)} (n: {', '.join(strides)})", loc="left", fontsize=9, color=INK)
        axes.set_xlim(0, 100)
    _sides_legend(grid[0, 0], names)
    return figure


def gait_diagram(kinematics: xr.Dataset, *, individual: str, seconds: float = _LONGEST_DIAGRAM) -> Figure:
    """When which foot stands: a bar per stance, paler the less sure its ends are; the densest stretch of the recording.

    Args:
        kinematics: with events: `event_time`, `event_leg`, `event_kind`, `event_individual`, `event_confidence`.
        individual: name.
        seconds: longest stretch that is shown.

    Raises:
        MismatchError: there is no stance.
    """
    _require(kinematics, "event_time")
    events = kinematics.isel(event=kinematics["event_individual"].values.astype(str) == individual)
    legs = [str(leg) for leg in kinematics["leg"].values]
    stances = {leg: _stances(events, leg) for leg in legs}
    starts = np.concatenate([found[:, 0] for found in stances.values()]) if stances else np.empty(0)
    if not len(starts):
        raise MismatchError("events", expected="a foot that stands", got="none", remedy="See the events of the gait.")
    begin = _densest(np.sort(starts), seconds)
    figure = new_figure(9.0, 0.75 + 0.34 * len(legs))
    axes = figure.subplots()
    for row, leg in enumerate(legs):
        for start, end, confidence in stances[leg]:
            if end > begin and start < begin + seconds:
                axes.barh(
                    row, end - start, left=start, height=0.72, color=_color(leg), alpha=0.25 + 0.7 * confidence, lw=0
                )
    last = min(begin + seconds, max(found[:, 1].max() for found in stances.values() if len(found)))
    axes.set_xlim(begin, last)
    axes.set_ylim(len(legs) - 0.5, -0.5)
    style_axes(axes, xlabel=_time_label(kinematics), grid="x")
    axes.set_yticks(range(len(legs)), [plain(leg, LONGEST_NAME) for leg in legs], fontsize=8.5, color=INK)
    axes.tick_params(axis="y", length=0)
    return figure


def phase_figure(kinematics: xr.Dataset, *, individual: str) -> Figure:
    """When in the stride of a reference leg each other leg touches down: one dot per stride, and the mean as an arrow.

    Args:
        kinematics: with `touchdown` (gait_stride, leg), shares of the stride, and `gait_individual`.
        individual: name.

    Raises:
        MismatchError: there is no stride of the reference leg.
    """
    _require(kinematics, "touchdown")
    legs = [str(leg) for leg in kinematics["leg"].values]
    own = kinematics["gait_individual"].values.astype(str) == individual
    shares = kinematics["touchdown"].transpose("gait_stride", "leg").values[own]
    if not np.isfinite(shares).any():
        raise MismatchError("phases of the legs", expected="at least one", got="none", remedy="See the events.")
    steady = np.nanmax(np.abs(np.nan_to_num(shares)), axis=0) < 1e-9  # the reference leg itself
    seen = np.isfinite(shares).any(axis=0)
    reference = next((leg for leg, still, known in zip(legs, steady, seen, strict=True) if still and known), legs[0])
    figure = new_figure(6.4, 4.2)
    axes = figure.add_subplot(projection="polar")
    assert isinstance(axes, PolarAxes)
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    others = [leg for leg in legs if leg != reference]
    colors = categorical_colors(others)
    for ring, leg in enumerate(others):
        angles = 2 * np.pi * shares[:, legs.index(leg)]
        angles = angles[np.isfinite(angles)]
        if not len(angles):
            continue
        radius = 0.55 + 0.4 * (ring + 1) / max(1, len(others))
        axes.plot(angles, np.full(len(angles), radius), ".", color=colors[leg], alpha=0.45, markersize=4)
        mean = np.mean(np.exp(1j * angles))
        axes.annotate(
            "",
            (float(np.angle(mean)), radius * float(np.abs(mean))),
            (0, 0),
            arrowprops={"arrowstyle": "-|>", "color": colors[leg], "linewidth": 1.8},
        )
        axes.plot([], [], color=colors[leg], linewidth=2, label=plain(leg, LONGEST_NAME))
    axes.set_xticks(np.arange(4) * np.pi / 2, [f"0 %: {plain(reference, 24)}", "25 %", "50 %", "75 %"])
    axes.set_yticks([])
    axes.set_ylim(0, 1)
    axes.grid(color=GRID)
    axes.tick_params(labelsize=8.5, labelcolor=INK)
    axes.spines["polar"].set_color(GRID)
    axes.legend(loc="center left", bbox_to_anchor=(1.2, 0.5), frameon=False, fontsize=8.5, labelcolor=INK)
    return figure


def speed_figure(kinematics: xr.Dataset, *, individual: str, name: str = "body_speed") -> Figure:
    """Speed of the body over time, with a band of one standard deviation.

    Raises:
        MismatchError: there is no speed.
    """
    _require(kinematics, name)
    speed = kinematics[name].sel(individual=individual)
    time, values = kinematics["time"].values, speed.values
    if not np.isfinite(values).any():
        raise MismatchError("speed", expected="one that is known", got="none", remedy="See what is missing.")
    figure = new_figure(9.0, 2.3)
    axes = figure.subplots()
    axes.set_title(plain(f"Speed of the {speed.attrs.get('of', 'body')}"), loc="left", fontsize=10, color=INK)
    if f"{name}_std" in kinematics:
        spread = kinematics[f"{name}_std"].sel(individual=individual).values
        times, low = envelope(time, values - spread)
        axes.fill_between(times, low, envelope(time, values + spread)[1], color=PALETTE[0], alpha=0.2, linewidth=0)
    axes.plot(*envelope(time, values), color=PALETTE[0], linewidth=1.1)
    style_axes(axes, xlabel=_time_label(kinematics), ylabel=f"speed ({speed.attrs.get('units', '')})")
    return figure


def stick_figure(
    poses3d: xr.Dataset, skeleton: Skeleton, *, individual: str, start: float, end: float, up: Array | None = None
) -> Figure:
    """The skeleton from the side through one stretch of time, the ground below.

    The view is across the direction of travel. An upright body that does not travel, as on a treadmill, is spread out
    in time; of one that is longer than high, the pictures stand one below the other.

    Args:
        poses3d: Poses3D Dataset.
        skeleton: its edges are drawn.
        individual: name.
        start, end: of the stretch, as in the coordinate `time`.
        up: (3,) unit vector; z by default.

    Raises:
        MismatchError: no edge is known in this stretch.
    """
    names = [str(name) for name in poses3d["keypoint"].values]
    pairs = [(names.index(a), names.index(b)) for a, b in skeleton.edges if {a, b} <= set(names)]
    time = poses3d["time"].values
    points = poses3d["position"].sel(individual=individual).transpose("time", "keypoint", "space").values
    rows = np.flatnonzero((time >= start) & (time <= end) & np.isfinite(points).any(axis=(1, 2)))
    if not pairs or not len(rows) or not np.isfinite(points[rows][:, pairs]).all(axis=(-1, -2)).any():
        raise MismatchError(
            "stick figure", expected="an edge of the skeleton", got="none", remedy="See what is missing."
        )
    flat = _from_the_side(points[rows], np.array([0.0, 0.0, 1.0]) if up is None else up, skeleton, names)
    length, height = (
        float(np.nanmax(np.nanmax(part, axis=1) - np.nanmin(part, axis=1))) for part in (flat[..., 0], flat[..., 1])
    )
    lying, travels = length > 1.5 * height, np.ptp(np.nanmean(flat[..., 0], axis=1)) > length
    chosen = np.unique(np.linspace(0, len(rows) - 1, _LYING_STICKS if lying else _STICKS).astype(int))
    flat = flat[chosen]
    order = np.arange(len(chosen), dtype=np.float64)[:, None]
    if lying:
        flat[..., 1] -= 1.25 * height * order
    elif not travels:
        flat[..., 0] += 0.35 * length * order
    figure = new_figure(9.0, 4.4 if lying else 2.9)
    axes = figure.subplots()
    for row, pose in enumerate(flat):
        shade = 1.0 if lying else 0.35 + 0.65 * row / max(1, len(flat) - 1)
        colors = [_edge_color(names[a], names[b]) for a, b in pairs]
        axes.add_collection(LineCollection(list(pose[np.array(pairs)]), colors=colors, linewidths=1.1, alpha=shade))
        if lying:
            moment = float(time[rows[chosen[row]]] - start)
            axes.annotate(f"{moment:.2f} s", (1.0, float(np.nanmin(pose[:, 1]))), xycoords=("axes fraction", "data"),
                          fontsize=8, color=MUTED, ha="right", va="bottom")  # fmt: skip
    axes.autoscale_view()
    axes.set_aspect("equal")
    unit = str(poses3d["position"].attrs.get("units", ""))
    along = f"forward ({unit})" if lying or travels else f"forward, spread out in time ({unit})"
    style_axes(axes, xlabel=along, ylabel="" if lying else f"up ({unit})", grid="x" if lying else "both")
    if lying:
        axes.set_yticks([])
    return figure


def _edge_color(first: str, second: str) -> str:
    sides = {_side(name)[0] for name in (first, second)} - {""}
    return _color(next(iter(sides))) if len(sides) == 1 else MUTED


def _from_the_side(points: Array, up: Array, skeleton: Skeleton, names: Sequence[str]) -> Array:
    """(time, keypoint, 2) forward and upward coordinates; forward is where the body goes, or else looks."""
    middle = np.nanmean(points, axis=1)
    known = middle[np.isfinite(middle).all(axis=-1)]
    forward = known[-1] - known[0]
    forward = forward - up * (forward @ up)
    anatomy = skeleton.anatomy
    facing = np.zeros(3)
    if anatomy.rear and set(anatomy.rear + anatomy.front) <= set(names):
        rear, front = (
            np.nanmean(points[:, [names.index(name) for name in part]], axis=1)
            for part in (anatomy.rear, anatomy.front)
        )
        facing = np.nanmean(front - rear, axis=0)
        facing = facing - up * (facing @ up)
    size = np.nanmax(np.linalg.norm(points - middle[:, None], axis=-1))
    if np.linalg.norm(forward) < size and np.linalg.norm(facing) > 0.2 * size:
        forward = facing
    if not np.linalg.norm(forward) > 0:
        forward = np.cross(up, [0.0, 1.0, 0.0]) if abs(up[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    forward = forward / np.linalg.norm(forward)
    return np.stack([points @ forward, points @ up], axis=-1)


def _stances(events: xr.Dataset, leg: str) -> Array:
    """(stance, 3) contact, lift-off and the smaller confidence of both, of one leg."""
    mine = events.isel(event=events["event_leg"].values.astype(str) == leg)
    times, kinds = mine["event_time"].values, mine["event_kind"].values.astype(str)
    sure = mine["event_confidence"].values if "event_confidence" in mine else np.ones(len(times))
    order = np.argsort(times, kind="stable")
    found = [
        (times[a], times[b], min(sure[a], sure[b]))
        for a, b in pairwise(order)
        if kinds[a] == "contact" and kinds[b] == "lift_off"
    ]
    return np.array(found, dtype=np.float64).reshape(-1, 3)


def _densest(starts: Array, seconds: float) -> float:
    """Where the stretch with most starts begins."""
    counts = np.searchsorted(starts, starts + seconds) - np.arange(len(starts))
    return float(starts[int(np.argmax(counts))])


def _leg_of(angle: str, legs: Sequence[str], skeleton: Skeleton | None) -> int:
    """The leg whose strides an angle is shown over: of its side, and with the fewest edges in between."""
    side = _side(angle)[0]
    near = [index for index, leg in enumerate(legs) if _side(leg)[0] == side] or list(range(len(legs)))
    parts = {} if skeleton is None else {part.name: part.points for part in skeleton.anatomy.angles}
    feet = {} if skeleton is None else {leg.name: leg.foot for leg in skeleton.anatomy.legs}
    if skeleton is None or angle not in parts:
        return near[0]
    steps = _steps_from(parts[angle][1][0], skeleton)
    return min(near, key=lambda index: steps.get(feet.get(legs[index], legs[index]), len(skeleton.keypoints)))


def _steps_from(keypoint: str, skeleton: Skeleton) -> dict[str, int]:
    """How many edges each keypoint is away from one."""
    steps, unseen = {keypoint: 0}, deque([keypoint])
    while unseen:
        name = unseen.popleft()
        for other in (other for edge in skeleton.edges if name in edge for other in edge):
            if other not in steps:
                steps[other] = steps[name] + 1
                unseen.append(other)
    return steps


def _panels(names: Sequence[str]) -> dict[str, list[int]]:
    """Title of a panel -> angles in it; left and right are together."""
    panels: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        panels.setdefault(_side(name)[1], []).append(index)
    return dict(list(panels.items())[:_MOST_PANELS])


def _side(name: str) -> tuple[str, str]:
    """Whether a name is of the "left", the "right" or neither (""), and the name without it."""
    match = _SIDE.search(name)
    if match is None:
        return "", name.replace("_", " ")
    side = next(part for part in match.groups() if part).lower()
    rest = (name[: match.start()] + name[match.end() :]).replace("_", " ").strip()
    return ("left" if side.startswith("l") else "right"), rest


def _color(name: str) -> str:
    return {"left": PALETTE[0], "right": PALETTE[1], "": PALETTE[2]}[
        name if name in ("left", "right") else _side(name)[0]
    ]


def _sides_legend(axes: Axes, names: Sequence[str]) -> None:
    sides = [side for side in ("left", "right") if any(_side(name)[0] == side for name in names)]
    if len(sides) < 2:
        return
    for line in axes.get_lines():
        line.set_label("_")
    for side in sides:
        axes.plot([], [], color=_color(side), linewidth=2, label=side)
    legend_above(axes, 2)


def _time_label(kinematics: xr.Dataset) -> str:
    return "time (s)" if kinematics["time"].attrs.get("units") == "s" else "frame"


def _require(kinematics: xr.Dataset, name: str) -> None:
    if name not in kinematics:
        raise MismatchError(
            "kinematics",
            expected=f"a variable '{name}'",
            got=", ".join(sorted(map(str, kinematics.data_vars)))[:120] or "none",
            remedy="Compute it: `pose3d kinematics`.",
        )
