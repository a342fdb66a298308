"""Phases of legs in their strides, what they are to each other, and the name of the gait that makes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.signal import butter, hilbert, sosfiltfilt

from calibration.errors import InvalidValueError
from calibration.nearest import nearest_name
from pose3d.kinematics._gait_classes import CLASSES, SOURCES, Pattern, classified, order_of_legs
from pose3d.kinematics._gait_ground import along, walkers_of
from pose3d.kinematics._gait_legs import LegTracks, Timing, legs_of, runs_of, timing_of
from pose3d.kinematics._gait_settings import GaitSettings
from pose3d.kinematics.event_tables import CONTACT
from pose3d.kinematics.treadmill import found_ground
from pose3d.skeleton import Leg, Skeleton

__all__ = ["gait_classes", "phase_differences", "phases"]

Array = NDArray[np.float64]

# The band of Hilbert phases around the frequency of strides: an octave up and down.
_BAND = (0.5, 2.0)
# Longest stride that phases are told over, by the usual one: over a pause no phase is known.
_LONGEST = 2.5
# A contact belongs to a stride when it is within this share of it from its middle; legs in step may be a bit outside.
_OF_STRIDE = 0.75


def phases(
    poses: xr.Dataset,
    events: xr.Dataset | None = None,
    skeleton: Skeleton | None = None,
    settings: GaitSettings | None = None,
    *,
    method: str = "events",
    legs: Sequence[str | Leg] | None = None,
) -> xr.Dataset:
    """The phase of every leg in its stride over time, from 0 at contact to 2 pi at the next one.

    Args:
        poses: Poses3D; with the method "events" only its times count.
        events: from `gait_events`; needed by the method "events".
        skeleton, settings, legs: as for `gait_events`; for the method "hilbert", where the tracks are looked at.
        method: "events", linear in time between contacts; or "hilbert", the angle of the analytic signal of the place
            of the foot to the front of the body, band-passed within an octave of the frequency of strides: 0 where the
            foot is farthest to the front.

    Returns:
        `phase` (time, leg, individual) in rad, from 0 to 2 pi; NaN before the first contact and after the last, over
        pauses (strides 2.5 times as long as usual), and where the foot is missing.

    Raises:
        InvalidValueError: the poses are not Poses3D or have no frame rate, the method is unknown or lacks its events,
            or there is no such leg.
    """
    if method not in ("events", "hilbert") or (method == "events" and events is None):
        raise InvalidValueError(
            "phases, method",
            expected="'events' with events, or 'hilbert'",
            got=f"'{method}'" + (" without events" if method == "events" else ""),
            remedy="Give the events that gait_events found."
            if method == "events"
            else nearest_name(method, ["events", "hilbert"]) or "Choose one.",
        )
    timing = timing_of(poses)
    individuals = [str(name) for name in poses["individual"].values]
    if method == "events":
        assert events is not None
        names = list(
            dict.fromkeys(
                events["leg"].values.tolist() if "leg" in events.coords else events["event_leg"].values.tolist()
            )
        )
        found = _from_events(events, timing, names, individuals)
    else:
        feet = legs_of(poses, skeleton, legs)
        names = [leg.name for leg in feet]
        found = _from_tracks(
            poses, skeleton, feet, timing, individuals, GaitSettings() if settings is None else settings
        )
    return xr.Dataset(
        {"phase": (("time", "leg", "individual"), found, {"long_name": "phase in the stride", "units": "rad"})},
        coords={
            "time": poses["time"],
            "frame": poses["frame"],
            "leg": np.array(names, dtype=str),
            "individual": np.array(individuals, dtype=str),
        },
        attrs={"method": method},
    )


def phase_differences(phases: xr.Dataset, reference: str | None = None) -> xr.Dataset:
    """How far every leg is behind a reference leg, on average over time.

    Args:
        phases: from `phases`.
        reference: name of a leg; the first by default.

    Returns:
        `phase_difference` (leg, individual): the circular mean, from 0 to 2 pi, of the phase of the reference minus
        that of the leg: what the reference has of its stride when the leg meets the ground; `phase_concentration`, the
        length of the mean resultant, 1 where the difference never changes and 0 where it is anything (K. V. Mardia and
        P. E. Jupp, Directional Statistics (2000)); `phase_difference_n`, how many frames both phases are known in.

    Raises:
        InvalidValueError: there is no such leg.
    """
    names = [str(name) for name in phases["leg"].values]
    chosen = names[0] if reference is None and names else reference
    if chosen not in names:
        raise InvalidValueError(
            "phase_differences, reference",
            expected=f"one of {', '.join(names)}",
            got=str(chosen),
            remedy=nearest_name(str(chosen), names) or "Name a leg.",
        )
    phase = phases["phase"].transpose("time", "leg", "individual").values
    apart = phase[:, [names.index(str(chosen))]] - phase
    known = np.isfinite(apart)
    count = known.sum(axis=0)
    total = np.where(known, np.exp(1j * np.nan_to_num(apart)), 0).sum(axis=0)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan + 0j), where=count > 0)
    angle = np.mod(np.angle(mean), 2 * np.pi)
    dims = ("leg", "individual")
    return xr.Dataset(
        {
            "phase_difference": (
                dims,
                np.where(angle >= 2 * np.pi, 0.0, angle),
                {"long_name": f"phase behind {chosen}", "units": "rad"},
            ),
            "phase_concentration": (
                dims,
                np.abs(mean),
                {"long_name": "length of the mean resultant of the phase difference", "units": "1"},
            ),
            "phase_difference_n": (dims, count, {"long_name": "frames with both phases", "units": "1"}),
        },
        coords={"leg": phases["leg"], "individual": phases["individual"]},
        attrs={"reference": str(chosen)},
    )


def gait_classes(
    strides: xr.Dataset, skeleton: Skeleton | None = None, *, order: Sequence[str] | None = None
) -> xr.Dataset:
    """The gait in every stride of a reference leg: by its duty factors and by when the other legs meet the ground.

    Two legs walk or run (on the ground for more or less than half of the stride). Four legs walk (in lateral or in
    diagonal sequence), trot, pace, bound, gallop or pronk (M. Hildebrand, Science 150 (1965) and BioScience 39 (1989)).
    Six legs go in tripods, tetrapods or in a metachronal wave (D. M. Wilson, Annual Review of Entomology 11 (1966);
    C. S. Mendes et al., eLife 2 (2013)). Other numbers of legs have no classes.

    Args:
        strides: from `strides`.
        skeleton: says which legs are mirrored.
        order: names of the legs, left and right in turn from the front to the rear; by default from the skeleton, whose
            first leg of each mirrored pair is left, and whose pairs are in their order, or by the words of their names
            (fore, front, mid, hind, rear; left, right; L1 to R3).

    Returns:
        Over `stride`, those of the reference leg (left rear): `stride_individual`, `stride_start`, `stride_end`,
        `gait_class` ("unclear" where no class is near or several are as near), `gait_confidence` (0 to 1: how much
        nearer the class is than others) and `touchdown` (stride, leg): when each leg meets the ground, as share of the
        stride of the reference, NaN where it does not.

    Raises:
        InvalidValueError: the order of the legs cannot be told.
    """
    named = list(dict.fromkeys(strides["stride_leg"].values.tolist()))
    legs = order_of_legs(named, skeleton) if order is None else list(order)
    unknown = [leg for leg in legs if leg not in named]
    if order is not None and unknown:
        raise InvalidValueError(
            "gait_classes, order",
            expected=f"legs out of {', '.join(named)}",
            got=unknown[0],
            remedy=nearest_name(unknown[0], named) or "Correct the name.",
        )
    patterns, rows = [], []
    for name in dict.fromkeys(strides["stride_individual"].values.tolist()):
        own = strides.isel(stride=np.flatnonzero(strides["stride_individual"].values == name))
        pattern, index = _patterns(own, legs)
        patterns.append(pattern)
        rows += [(name, own["stride_start"].values[i], own["stride_end"].values[i]) for i in index]
    touchdown = np.concatenate([np.zeros((0, len(legs))), *(pattern.touchdown for pattern in patterns)])
    duty = np.concatenate([np.zeros((0, len(legs))), *(pattern.duty for pattern in patterns)])
    words, sure = classified(Pattern(touchdown, duty))
    return xr.Dataset(
        {
            "stride_individual": ("stride", np.array([row[0] for row in rows], dtype=str), {"units": "1"}),
            "stride_start": ("stride", np.array([row[1] for row in rows], dtype=float), {"units": "s"}),
            "stride_end": ("stride", np.array([row[2] for row in rows], dtype=float), {"units": "s"}),
            "gait_class": ("stride", words, {"long_name": "gait", "units": "1"}),
            "gait_confidence": ("stride", sure, {"long_name": "confidence from 0 to 1", "units": "1"}),
            "touchdown": (
                ("stride", "leg"),
                touchdown,
                {"long_name": "contact, as share of the stride of the reference leg", "units": "1"},
            ),
        },
        coords={"leg": np.array(legs, dtype=str)},
        attrs={"classes": " ".join(CLASSES.get(len(legs), ())), "source": SOURCES.get(len(legs), "")},
    )


def _patterns(own: xr.Dataset, legs: Sequence[str]) -> tuple[Pattern, NDArray[np.int64]]:
    """When legs meet the ground in the strides of the reference, and for what share of them they stand."""
    leg_of = own["stride_leg"].values
    start, end, duty = (own[name].values for name in ("stride_start", "stride_end", "duty_factor"))
    # the left rear one; of two legs the left one
    reference = legs[-2] if len(legs) > 1 else (legs[0] if legs else "")
    index = np.flatnonzero(leg_of == reference)
    touchdown, duties = np.full((len(index), len(legs)), np.nan), np.full((len(index), len(legs)), np.nan)
    for column, leg in enumerate(legs):
        mine = np.flatnonzero(leg_of == leg)
        if not len(mine) or not len(index):
            continue
        # contacts that end a stride count too; that nearest to the middle of the stride is of it
        contacts = np.unique(np.concatenate([start[mine], end[mine]]))
        middle = 0.5 * (start + end)[index]
        after = np.clip(np.searchsorted(contacts, middle), 1, len(contacts) - 1)
        before = contacts[after - 1]
        when = np.where(middle - before < contacts[after] - middle, before, contacts[after])
        length = (end - start)[index]
        own_time = np.mod((when - start[index]) / length, 1.0)
        touchdown[:, column] = np.where(np.abs(when - middle) < _OF_STRIDE * length, own_time, np.nan)
        stride = np.clip(np.searchsorted(start[mine], middle) - 1, 0, len(mine) - 1)
        duties[:, column] = duty[mine][stride]
    return Pattern(touchdown, duties), index


def _from_events(events: xr.Dataset, timing: Timing, names: list[str], individuals: list[str]) -> Array:
    result = np.full((len(timing.time), len(names), len(individuals)), np.nan)
    contact = events["event_kind"].values == CONTACT
    time = events["event_time"].values
    for row, leg in enumerate(names):
        for column, individual in enumerate(individuals):
            own = contact & (events["event_leg"].values == leg) & (events["event_individual"].values == individual)
            contacts = np.sort(time[own])
            if len(contacts) > 1:
                result[:, row, column] = _between(contacts, timing.time)
    return result


def _between(contacts: Array, time: Array) -> Array:
    """(time,) phase, linear between contacts."""
    number = np.searchsorted(contacts, time, side="right") - 1
    inside = (number >= 0) & (number < len(contacts) - 1)
    here = np.clip(number, 0, len(contacts) - 2)
    length = np.diff(contacts)
    inside &= length[here] <= _LONGEST * np.median(length)
    share = (time - contacts[here]) / length[here]
    return np.where(inside, 2 * np.pi * np.minimum(share, np.nextafter(1, 0)), np.nan)


def _from_tracks(
    poses: xr.Dataset,
    skeleton: Skeleton | None,
    feet: Sequence[Leg],
    timing: Timing,
    individuals: list[str],
    settings: GaitSettings,
) -> Array:
    walkers, up = walkers_of(poses, individuals, skeleton, feet, timing, settings)
    result = np.full((len(timing.time), len(feet), len(individuals)), np.nan)
    for column, walker in enumerate(walkers):
        ground = found_ground(walker, timing.rate, up, settings)
        for row, leg in enumerate(walker.legs):
            phase = _hilbert(leg, along(leg.foot - leg.hip, ground.direction), ground.period, timing.rate)
            result[:, row, column] = phase[timing.slot]
    return result


def _hilbert(leg: LegTracks, onward: Array, period: float, rate: float) -> Array:
    """(place,) angle of the analytic signal, from 0 to 2 pi, of runs of at least two strides."""
    result = np.full(len(onward), np.nan)
    high = min(_BAND[1] / period, 0.45 * rate)
    sections = butter(2, (_BAND[0] / period, high), btype="band", fs=rate, output="sos")
    for start, stop in runs_of(leg.valid & np.isfinite(onward)):
        if stop - start < max(2 * period * rate, 30):
            continue
        reach = min(stop - start - 1, round(2 * period * rate))
        passed = sosfiltfilt(sections, onward[start:stop], padlen=reach)
        angle = np.mod(np.angle(hilbert(passed)), 2 * np.pi)
        result[start:stop] = np.where(angle >= 2 * np.pi, 0.0, angle)
    return result
