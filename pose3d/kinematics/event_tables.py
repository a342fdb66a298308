"""Events of the gait as a Dataset: made, turned into a table that a person can edit, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from calibration.errors import InvalidValueError
from calibration.nearest import nearest_name
from pose3d.rhythm import times_are_seconds
from pose3d.skeleton import Leg, Skeleton

__all__ = ["CONTACT", "LIFT_OFF", "events_from_c3d", "events_from_table", "events_table", "make_events"]

CONTACT = "contact"
LIFT_OFF = "lift_off"
KINDS = (CONTACT, LIFT_OFF)

_COLUMNS = ("time", "frame", "leg", "individual", "kind", "confidence", "time_std", "method")
_ATTRIBUTES: Mapping[str, dict[str, str]] = {
    "event_time": {"long_name": "time of the event", "units": "s"},
    "event_frame": {"long_name": "nearest frame", "units": "1"},
    "event_leg": {"long_name": "leg", "units": "1"},
    "event_individual": {"long_name": "individual", "units": "1"},
    "event_kind": {"long_name": "contact with the ground, or lift-off from it", "units": "1"},
    "event_confidence": {"long_name": "confidence from 0 to 1", "units": "1"},
    "event_time_std": {"long_name": "standard deviation of the time", "units": "s"},
    "event_method": {"long_name": "how it was found", "units": "1"},
}
_BEYOND = 0.1  # seconds: events lie between frames, and their times are not exact
# What C3D files call the events, in small letters without blanks.
_C3D_KINDS = {"footstrike": CONTACT, "initialcontact": CONTACT, "footoff": LIFT_OFF, "toeoff": LIFT_OFF}


def make_events(
    time: ArrayLike,
    frame: ArrayLike,
    leg: ArrayLike,
    individual: ArrayLike,
    kind: ArrayLike,
    *,
    confidence: ArrayLike | None = None,
    deviation: ArrayLike | None = None,
    method: ArrayLike | str = "given",
) -> xr.Dataset:
    """Events, sorted by time; all arguments are (event,).

    Args:
        time: in seconds.
        frame: the nearest frames.
        leg, individual: names.
        kind: "contact" or "lift_off".
        confidence: from 0 to 1; 1 where None.
        deviation: standard deviation of the time in seconds; NaN, for not known, where None.
        method: how they were found.

    Raises:
        InvalidValueError: a time is missing, a kind is unknown, or a confidence is out of [0, 1].
    """
    times = np.asarray(time, dtype=np.float64)
    count = len(times)
    kinds = np.asarray(kind, dtype=str)
    wrong = sorted(set(kinds.tolist()) - set(KINDS))
    if wrong:
        raise InvalidValueError(
            "events, kind",
            expected=" or ".join(KINDS),
            got=wrong[0],
            remedy=nearest_name(wrong[0], KINDS) or "Correct it.",
        )
    sure = np.ones(count) if confidence is None else np.asarray(confidence, dtype=np.float64)
    if not np.isfinite(times).all() or not ((sure >= 0) & (sure <= 1)).all():
        raise InvalidValueError(
            "events",
            expected="a time, and a confidence from 0 to 1, for every event",
            got="missing or other values",
            remedy="Fill in the times, and leave out confidences that are not known.",
        )
    columns = {
        "event_time": times,
        "event_frame": np.asarray(frame, dtype=np.int64),
        "event_leg": np.asarray(leg, dtype=str),
        "event_individual": np.asarray(individual, dtype=str),
        "event_kind": kinds,
        "event_confidence": sure,
        "event_time_std": np.full(count, np.nan) if deviation is None else np.asarray(deviation, dtype=np.float64),
        "event_method": np.broadcast_to(np.asarray(method, dtype=str), count),
    }
    order = np.lexsort((columns["event_leg"], columns["event_individual"], times))
    return xr.Dataset({name: ("event", values[order], _ATTRIBUTES[name]) for name, values in columns.items()})


def events_table(events: xr.Dataset) -> pd.DataFrame:
    """One row per event, with the columns time, frame, leg, individual, kind, confidence, time_std and method."""
    return pd.DataFrame({name: events[f"event_{name}"].values for name in _COLUMNS})


def events_from_table(table: pd.DataFrame, poses: xr.Dataset | None = None) -> xr.Dataset:
    """Events from a table as `events_table` makes it, for instance after a person has edited it.

    Only time, leg and kind are needed. Rows may be in any order.

    Args:
        table: with these columns.
        poses: what the events are of: gives the frames, nearest to the times, and checks times and individuals.
            Without poses the frames are those of the table, or -1.

    Raises:
        InvalidValueError: a column is missing, or values are as `make_events` does not want them, a time is not within
            the recording, or the poses do not have an individual.
    """
    for name in ("time", "leg", "kind"):
        if name not in table:
            columns = [str(column) for column in table.columns]
            raise InvalidValueError(
                "table of events",
                expected=f"a column '{name}'",
                got=", ".join(columns),
                remedy=nearest_name(name, columns) or "Add the column.",
            )
    time = pd.to_numeric(table["time"], errors="coerce").to_numpy(dtype=np.float64)
    if poses is not None:
        _check_times(time, poses)
    known = [str(name) for name in poses["individual"].values] if poses is not None else []
    individual = table.get("individual", pd.Series(known[0] if known else "", index=table.index)).astype(str).to_numpy()
    strangers = sorted(set(individual) - set(known)) if known else []
    if strangers:
        raise InvalidValueError(
            "table of events, individual",
            expected=f"one of {', '.join(known)}",
            got=strangers[0],
            remedy=nearest_name(strangers[0], known) or "Correct the name.",
        )
    confidence = table["confidence"].fillna(1.0).to_numpy(dtype=np.float64) if "confidence" in table else None
    return make_events(
        time,
        _frames(table, time, poses),
        table["leg"].astype(str).to_numpy(),
        individual,
        table["kind"].astype(str).str.strip().str.lower().to_numpy(),
        confidence=confidence,
        deviation=table["time_std"].to_numpy(dtype=np.float64) if "time_std" in table else None,
        method=table["method"].fillna("given").astype(str).to_numpy() if "method" in table else "given",
    )


def _check_times(time: NDArray[np.float64], poses: xr.Dataset) -> None:
    times = poses["time"].values.astype(np.float64)
    if not times_are_seconds(poses):
        times = times / float(poses.attrs.get("fps", 1.0))
    outside = time[(time < times.min(initial=np.inf) - _BEYOND) | (time > times.max(initial=-np.inf) + _BEYOND)]
    if len(outside):
        raise InvalidValueError(
            "table of events, time",
            expected=f"seconds from {times[0]:g} to {times[-1]:g}, as the recording has them",
            got=f"{outside[0]:g}",
            remedy="Correct the times; frames follow from them.",
        )


def events_from_c3d(
    c3d_events: xr.Dataset,
    poses: xr.Dataset,
    skeleton: Skeleton | None = None,
    *,
    legs: Mapping[str, str] | None = None,
) -> xr.Dataset:
    """Events of the gait from those of a C3D file (`pose3d.formats.read_c3d_events`); others are left out.

    Args:
        c3d_events: `event_time` (s), `event_label` ("Foot Strike", "Foot Off", ...), `event_context` ("Left", "Right").
        poses: of the same file; they give the individual (the first) and the frames.
        skeleton: its legs are told apart by the side in their names.
        legs: which leg a context is of, as {"Left": "left_leg"}; by default the only leg of the skeleton whose name
            starts with that word or its first letter, and the word in small letters without a skeleton.

    Raises:
        InvalidValueError: the skeleton has no leg, or several, for a context.
    """
    labels = ["".join(str(label).split()).lower() for label in c3d_events["event_label"].values]
    fits = np.array([label in _C3D_KINDS for label in labels], dtype=bool)
    contexts = c3d_events["event_context"].values.astype(str)[fits]
    names = {context: _leg_of(context, skeleton, legs) for context in dict.fromkeys(contexts.tolist())}
    time = c3d_events["event_time"].values.astype(np.float64)[fits]
    return make_events(
        time,
        _frames(pd.DataFrame(), time, poses),
        [names[context] for context in contexts.tolist()],
        np.full(len(time), str(poses["individual"].values[0]), dtype=np.object_),
        [_C3D_KINDS[label] for label, fit in zip(labels, fits, strict=True) if fit],
        method="c3d",
    )


def _leg_of(context: str, skeleton: Skeleton | None, legs: Mapping[str, str] | None) -> str:
    if legs is not None and context in legs:
        return legs[context]
    if skeleton is None:
        return context.lower()
    own: Sequence[Leg] = skeleton.anatomy.legs
    side = [leg.name for leg in own if leg.name.lower().startswith(context.lower())]
    side = side or [leg.name for leg in own if leg.name.startswith(context[:1].upper())]
    if len(side) != 1:
        raise InvalidValueError(
            f"C3D events, context '{context}'",
            expected="one leg of that side",
            got=", ".join(side) or ", ".join(leg.name for leg in own) or "no legs",
            remedy=f"Say which leg it is, as legs={{'{context}': '...'}}.",
        )
    return side[0]


def _frames(table: pd.DataFrame, time: NDArray[np.float64], poses: xr.Dataset | None) -> NDArray[np.int64]:
    """The frames of the table; where they are missing those nearest in time, or -1 without poses."""
    if poses is None or not poses.sizes["time"]:
        nearest = np.full(len(time), -1.0)
    else:
        times = poses["time"].values.astype(np.float64)
        rate = float(poses.attrs.get("fps", 1.0))
        if not times_are_seconds(poses):
            times = times / rate
        nearest = np.interp(time, times, poses["frame"].values.astype(np.float64))
    use_given = poses is None and "frame" in table
    given = pd.to_numeric(table["frame"], errors="coerce").to_numpy(dtype=np.float64) if use_given else nearest
    return np.rint(np.nan_to_num(np.where(np.isfinite(given), given, nearest), nan=-1.0)).astype(np.int64)
