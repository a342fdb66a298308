"""What is measured of every stride, with standard deviations of first order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from pose3d.kinematics._gait_ground import Ground, smooth
from pose3d.kinematics._gait_legs import LegTracks, Timing, Walker, lost
from pose3d.kinematics.event_tables import CONTACT

__all__ = ["measured", "stride_places"]

Array = NDArray[np.float64]

# The share of a stance in which a foot is taken to stand still: it has come down and does not roll off yet.
_STILL = (0.3, 0.7)
_SMOOTHED = 5  # frames, for the height in swing


def stride_places(events: xr.Dataset, timing: Timing) -> dict[str, Array]:
    """The stances that the events (of one leg, by time) start, (stance,): contact, lift-off and next contact.

    Returns:
        `contact`, `lift_off`, `next` in places and `contact_time`, `lift_off_time`, `next_time` in seconds with their
        `..._std`; NaN where the lift-off is missing, where several follow, or where no contact follows.
    """
    time, std = (events[name].values.astype(np.float64) for name in ("event_time", "event_time_std"))
    contacts = np.flatnonzero(events["event_kind"].values == CONTACT)
    following = np.append(contacts[1:], -1)[: len(contacts)]
    lifts = np.where(contacts + 1 < len(time), contacts + 1, -1)
    # one lift-off between two contacts, or one after the last
    lone = np.where(following >= 0, following - contacts == 2, (lifts >= 0) & (len(time) - contacts == 2))
    result = {}
    for name, index in (("contact", contacts), ("lift_off", np.where(lone, lifts, -1)), ("next", following)):
        for column, values in (("_time", time), ("_std", std)):
            result[name + column] = np.where(index >= 0, values[index] if len(values) else np.nan, np.nan)
        result[name] = timing.place(result[name + "_time"])
    return result


def measured(
    walker: Walker,
    ground: Ground,
    timing: Timing,
    of_legs: dict[str, dict[str, Array]],
    partners: dict[str, str],
) -> tuple[pd.DataFrame, int]:
    """The strides of an individual, one a row, and how many contacts start none.

    Args:
        walker, ground, timing: tracks and what they stand on.
        of_legs: by leg, from `stride_places`.
        partners: the mirrored legs.
    """
    prints = {leg.leg.name: _footprints(leg, ground, timing.rate, of_legs[leg.leg.name]) for leg in walker.legs}
    tables, left_out = [], 0
    for leg in walker.legs:
        name, own = leg.leg.name, of_legs[leg.leg.name]
        table = _durations(own)
        lengths = _lengths(leg, ground, timing.rate, own, prints[name])
        steps = _steps(
            ground, own, prints[name], of_legs.get(partners.get(name, "")), prints.get(partners.get(name, ""))
        )
        for key, values in (lengths | steps).items():
            table[key] = values
        table["stride_speed"] = table["stride_length"] / table["stride_duration"]
        table["stride_speed_std"] = table["stride_speed"].abs() * np.hypot(
            table["stride_length_std"] / table["stride_length"], table["stride_duration_std"] / table["stride_duration"]
        )
        table.insert(0, "stride_leg", name)
        table.insert(1, "stride_individual", walker.name)
        followed = np.isfinite(own["next"])
        good = followed & np.isfinite(own["lift_off"]) & ~_gap_inside(leg, own)
        left_out += int((followed & ~good).sum())
        tables.append(table[good])
    return pd.concat(tables, ignore_index=True), left_out


def _durations(own: dict[str, Array]) -> pd.DataFrame:
    start, lift_off, end = (own[f"{name}_time"] for name in ("contact", "lift_off", "next"))
    # what is not known adds nothing to what is
    starts, lifts, ends = (np.nan_to_num(own[f"{name}_std"]) for name in ("contact", "lift_off", "next"))
    stride, stance = end - start, lift_off - start
    duty = stance / stride
    stride_std = np.hypot(starts, ends)
    return pd.DataFrame(
        {
            "stride_start": start,
            "stride_lift_off": lift_off,
            "stride_end": end,
            "stride_duration": stride,
            "stride_duration_std": stride_std,
            "stance_duration": stance,
            "stance_duration_std": np.hypot(starts, lifts),
            "swing_duration": end - lift_off,
            "swing_duration_std": np.hypot(lifts, ends),
            "duty_factor": duty,
            # derivatives, times the stride: by the start duty - 1, by the lift-off 1, by the end -duty
            "duty_factor_std": np.sqrt((1 - duty) ** 2 * starts**2 + lifts**2 + duty**2 * ends**2) / stride,
            "cadence": 60 / stride,
            "cadence_std": 60 / stride**2 * stride_std,
        }
    )


def _footprints(leg: LegTracks, ground: Ground, rate: float, own: dict[str, Array]) -> tuple[Array, Array]:
    """(stance, 3) where the foot stands, and (stance,) the standard deviation of a coordinate.

    A stance without lift-off is taken to be as long as the others are.
    """
    usual = own["lift_off"] - own["contact"]
    last = np.where(np.isfinite(usual), own["lift_off"], own["contact"] + _median(usual))
    size = last - own["contact"]
    track = ground.standing(leg.foot, rate)
    missing = lost(track)
    sums = np.concatenate([np.zeros((1, 3)), np.cumsum(np.where(missing[:, None], 0.0, track), axis=0)])
    counts = np.concatenate([[0], np.cumsum(~missing)])
    known = np.isfinite(size)
    first = np.where(known, np.ceil(own["contact"] + _STILL[0] * size), 0)
    stop = np.where(known, np.floor(own["contact"] + _STILL[1] * size) + 1, 0)
    first = np.clip(first, 0, len(track)).astype(np.int64)
    stop = np.clip(np.maximum(stop, first + known), 0, len(track)).astype(np.int64)
    count = np.maximum(counts[stop] - counts[first], 0)
    # a stance that the recording breaks off has no middle
    whole = known & (own["contact"] + _STILL[1] * size <= len(track) - 1)
    safe = np.where(whole & (count > 0), count, np.nan)
    mean = (sums[stop] - sums[first]) / safe[:, None]
    return mean, leg.noise / np.sqrt(safe)


def _lengths(
    leg: LegTracks, ground: Ground, rate: float, own: dict[str, Array], prints: tuple[Array, Array]
) -> dict[str, Array]:
    """Stride length and clearance. The belt's own uncertainty is one of scale, in all strides alike."""
    position, std = prints
    following = np.concatenate([position[1:], np.full((min(1, len(position)), 3), np.nan)])
    following_std = np.append(std[1:], np.nan)[: len(std)]
    way = following - position
    way = way - (way @ ground.up)[:, None] * ground.up
    length = np.linalg.norm(way, axis=1)
    duration = (own["next"] - own["contact"]) / rate
    clearance = _clearance(leg, ground, own, position, following)
    height_std = leg.noise * np.sqrt(_CENTER_VARIANCE)
    return {
        "stride_length": length,
        "stride_length_std": np.sqrt(std**2 + following_std**2 + (ground.belt_std * duration) ** 2),
        "foot_clearance": clearance,
        # at the highest point about half of each footprint counts
        "foot_clearance_std": np.sqrt(height_std**2 + 0.25 * (std**2 + following_std**2)),
    }


# Variance that is left of that of the noise in the middle of a parabola fitted to five places: 17/35.
_CENTER_VARIANCE = 17 / 35


def _clearance(leg: LegTracks, ground: Ground, own: dict[str, Array], before: Array, after: Array) -> Array:
    """(stance,) greatest height in the swing after it, over the line from footprint to footprint."""
    height = ground.height(smooth(leg.foot, _SMOOTHED))
    result = np.full(len(before), np.nan)
    low = np.stack([before @ ground.up, after @ ground.up], axis=1)
    usable = np.flatnonzero(np.isfinite(own["lift_off"] + own["next"] + low.sum(axis=1)))
    ends = np.stack([own["lift_off"], own["next"]], axis=1)[usable]
    if not len(usable):
        return result
    over = height - np.interp(np.arange(len(height)), ends.ravel(), low[usable].ravel())
    edges = np.clip(np.stack([np.ceil(ends[:, 0]), np.floor(ends[:, 1]) + 1], axis=1), 0, len(height))
    # of the pieces from edge to edge every other one is a swing; one more value, so that the last edge is inside
    pieces = np.fmax.reduceat(np.append(over, np.nan), edges.ravel().astype(np.int64))
    result[usable] = pieces[::2]
    return result


def _steps(
    ground: Ground,
    own: dict[str, Array],
    prints: tuple[Array, Array],
    other: dict[str, Array] | None,
    other_prints: tuple[Array, Array] | None,
) -> dict[str, Array]:
    """Step length and width: from the last footprint of the partner before the contact to the own one."""
    nothing = np.full(len(own["contact"]), np.nan)
    if other is None or other_prints is None or not len(other["contact"]) or not len(nothing):
        return dict.fromkeys(("step_length", "step_length_std", "step_width", "step_width_std"), nothing)
    before = np.searchsorted(other["contact"], own["contact"], side="right") - 1
    there = np.maximum(before, 0)
    # a partner that has not stepped for more than a stride is not what this step is relative to
    recent = own["contact"] - other["contact"][there] < 1.5 * _median(np.diff(own["contact"]))
    way = np.where((before >= 0)[:, None] & recent[:, None], prints[0] - other_prints[0][there], np.nan)
    place = np.clip(np.rint(own["contact"]), 0, len(ground.direction) - 1).astype(np.int64)
    onward = ground.direction[place]
    aside = np.cross(ground.up, onward)
    std = np.hypot(prints[1], other_prints[1][there])
    length, width = np.einsum("ij,ij->i", way, onward), np.abs(np.einsum("ij,ij->i", way, aside))
    return {
        "step_length": length,
        # a direction that is off by an angle makes of one a part of the other
        "step_length_std": np.where(np.isfinite(length), np.hypot(std, width * ground.direction_std), np.nan),
        "step_width": width,
        "step_width_std": np.where(np.isfinite(width), np.hypot(std, length * ground.direction_std), np.nan),
    }


def _gap_inside(leg: LegTracks, own: dict[str, Array]) -> NDArray[np.bool_]:
    """(stance,) whether the foot is missing for long until the next contact; short gaps have been filled."""
    missing = np.concatenate([[0], np.cumsum(~leg.valid)])
    size = len(leg.valid)
    first, last = (
        np.clip(np.nan_to_num(np.rint(own[name])), 0, size - 1).astype(np.int64) for name in ("contact", "next")
    )
    return np.asarray(missing[np.maximum(last, first) + 1] > missing[first])


def _median(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.nan
