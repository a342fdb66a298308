"""The section of the report that is about kinematics: tables of strides, and figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from html import escape

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from calibration.errors import InvalidValueError, MismatchError
from calibration.page import inline_figure, tiles, value_table
from pose3d.skeleton import Skeleton
from pose3d.visualization.kinematics_figures import (
    angle_figure,
    cycle_figure,
    gait_diagram,
    phase_figure,
    speed_figure,
    stick_figure,
)

__all__ = ["kinematics_pictures", "kinematics_section"]

# Measure of a stride: heading, meaning.
_MEASURES = (
    ("stride_duration", "duration s", "From contact to the next contact"),
    ("duty_factor", "duty factor %", "Share of the stride in which the foot is on the ground"),
    ("stride_length", "length {unit}", "From footprint to the next footprint; on a treadmill, on the belt"),
    ("step_width", "width {unit}", "From the partner's footprint before, across the direction of travel"),
    ("foot_clearance", "clearance {unit}", "Greatest height of the foot over the footprints"),
    ("stride_speed", "speed {unit}", "Stride length by duration"),
)
_CAPTIONS = {
    "speed": ("Speed of the body", "Band: one standard deviation, where the poses have a covariance."),
    "gait": ("Gait diagram", "A bar is a stance, from contact to lift-off; pale where its ends are less sure."),
    "phases": (
        "Touchdown of the legs",
        "In the stride of the leg on top: a dot per stride, the mean as arrow.",
    ),
    "angles": ("Joint angles", "Over time. Band: one standard deviation, where the poses have a covariance."),
    "cycles": ("Joint angles over the stride", "Mean and standard deviation over n strides; 0 % is contact."),
    "sticks": ("Stick figures of one stride", "From the side; left and right in their colors."),
}
_MOST_INDIVIDUALS = 4


def kinematics_pictures(
    kinematics: xr.Dataset, poses3d: xr.Dataset, skeleton: Skeleton | None, *, individual: str
) -> dict[str, Callable[[], Figure]]:
    """The figures of one individual, by name; drawing raises MismatchError where the data do not allow one.

    Args:
        kinematics: Kinematics Dataset.
        poses3d: what it is of.
        skeleton: edges for the stick figures, and the legs that angles belong to; they are left out where None.
        individual: name.
    """
    pictures: dict[str, Callable[[], Figure]] = {
        "speed": partial(speed_figure, kinematics, individual=individual),
        "gait": partial(gait_diagram, kinematics, individual=individual),
        "phases": partial(phase_figure, kinematics, individual=individual),
        "angles": partial(angle_figure, kinematics, individual=individual),
        "cycles": partial(cycle_figure, kinematics, individual=individual, skeleton=skeleton),
    }
    if skeleton is not None:
        pictures["sticks"] = partial(_one_stride, kinematics, poses3d, skeleton, individual)
    return pictures


def _one_stride(kinematics: xr.Dataset, poses3d: xr.Dataset, skeleton: Skeleton, individual: str) -> Figure:
    """Stick figures of the stride whose duration is the median one."""
    if "stride_start" not in kinematics:
        raise MismatchError("strides", expected="at least one", got="none", remedy="See the events of the gait.")
    own = np.flatnonzero(kinematics["stride_individual"].values.astype(str) == individual)
    if not len(own):
        raise MismatchError("strides", expected="at least one", got="none", remedy="See the events of the gait.")
    start, end = (kinematics[f"stride_{name}"].values[own] for name in ("start", "end"))
    row = int(np.argsort(end - start, kind="stable")[len(own) // 2])
    return stick_figure(
        poses3d,
        skeleton,
        individual=individual,
        start=float(start[row]),
        end=float(end[row]),
        up=_up(str(kinematics.attrs.get("gait_up", "z"))),
    )


def _up(name: str) -> np.ndarray:
    axis = np.zeros(3)
    axis["xyz".index(name[-1:])] = -1.0 if name.startswith("-") else 1.0
    return axis


def kinematics_section(kinematics: xr.Dataset, poses3d: xr.Dataset, skeleton: Skeleton | None) -> str:
    """Tiles, tables of strides and figures as HTML.

    Args:
        kinematics, poses3d, skeleton: as for `kinematics_pictures`.
    """
    names = [str(name) for name in poses3d["individual"].values]
    parts = ["<h2>Kinematics</h2>", _tiles(kinematics), _stride_table(kinematics, names), _gaits(kinematics, names)]
    for name in names[:_MOST_INDIVIDUALS]:
        if len(names) > 1:
            parts.append(f"<h3>{escape(name)}</h3>")
        for what, draw in kinematics_pictures(kinematics, poses3d, skeleton, individual=name).items():
            parts.append(_figure(draw, *_CAPTIONS[what]))
    if len(names) > _MOST_INDIVIDUALS:
        left = ", ".join(names[_MOST_INDIVIDUALS:])
        parts.append(f'<p class="note">Not drawn, to keep this page small: {escape(left)}.</p>')
    return "".join(parts)


def _figure(draw: Callable[[], Figure], heading: str, caption: str) -> str:
    """A figure with its caption; nothing where these data do not have what it shows."""
    try:
        content = inline_figure(draw(), caption)
    except (InvalidValueError, MismatchError):
        return ""
    return f"<figure><h3>{escape(heading)}</h3><figcaption>{escape(caption)}</figcaption>{content}</figure>"


def _tiles(kinematics: xr.Dataset) -> str:
    values: list[tuple[str, float, str]] = []
    if "body_speed" in kinematics:
        speed = kinematics["body_speed"]
        finite = speed.values[np.isfinite(speed.values)]
        if finite.size:
            values.append(("median speed of the body", float(np.median(finite)), str(speed.attrs.get("units", ""))))
    if "stride_duration" in kinematics and kinematics.sizes["stride"]:
        values.append(("strides", float(kinematics.sizes["stride"]), ""))
        duration = kinematics["stride_duration"].values
        values.append(("median duration of a stride", float(np.nanmedian(duration)), "s"))
    return tiles(values) if values else ""


def _stride_table(kinematics: xr.Dataset, individuals: list[str]) -> str:
    if "stride_duration_mean" not in kinematics:
        return '<p class="note">There are no strides: no legs are named, or no steps were found.</p>'
    columns = [("strides", "How many there are")]
    for measure, heading, meaning in _MEASURES:
        unit = str(kinematics[f"{measure}_mean"].attrs.get("units", ""))
        columns += [
            (heading.format(unit=unit), meaning),
            ("SD %" if heading.endswith("%") else "SD", "Standard deviation over the strides"),
        ]
    rows: list[tuple[str, list[object]]] = []
    for individual in individuals:
        for leg in map(str, kinematics["leg"].values):
            one = kinematics.sel(individual=individual, leg=leg)
            cells: list[object] = [int(np.nan_to_num(float(one["stride_duration_n"])))]
            for measure, _, _ in _MEASURES:
                cells += [float(one[f"{measure}_{kind}"]) for kind in ("mean", "sd")]
            rows.append((leg if len(individuals) == 1 else f"{individual}, {leg}", cells))
    return value_table("leg", columns, rows, caption="Strides of every leg: mean and standard deviation")


def _gaits(kinematics: xr.Dataset, individuals: list[str]) -> str:
    if "gait_class" not in kinematics:
        return ""
    whose = kinematics["gait_individual"].values.astype(str)
    told = []
    for individual in individuals:
        counts = Counter(kinematics["gait_class"].values.astype(str)[whose == individual].tolist())
        if counts:
            words = ", ".join(f"{gait.replace('_', ' ')} ({count})" for gait, count in counts.most_common())
            told.append(f"{individual}: {words}" if len(individuals) > 1 else words)
    return f"<p>Gait, by number of strides: {escape('; '.join(told))}.</p>" if told else ""
