"""What an Identity Dataset says, short enough to draw and to tell, whatever its length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.schema import check
from pose3d.datasets import IDENTITY, flag_words

__all__ = ["SURE", "Overview", "Risk", "overview_of", "risks_of"]

Array = NDArray[np.float64]

SURE = 0.95
"""Less confidence than this is marked, and a risk above the rest to 1 is worth a look: one in twenty is the error that
people have agreed to live with."""

# What the values of `identity_status` are called, in the order in which they are counted here.
_STATES = ("seen", "one_camera_only", "two_cameras_do_not_tell", "not_seen")
_NUMBERS = {"seen": 0, "not_seen": 1, "one_camera_only": 2, "two_cameras_do_not_tell": 3}
_AT_ONCE = 65_536  # rows that are read at once


@dataclass(frozen=True)
class Risk:
    """A moment in which two animals may have been exchanged.

    Attributes:
        number: place in the list, from 1 on; the most probable one is first.
        probability: that they were.
        first, last: frame numbers.
        individual, other: names.
        reason: "close" or "unseen".
    """

    number: int
    probability: float
    first: int
    last: int
    individual: str
    other: str
    reason: str

    @property
    def pair(self) -> str:
        """Who, in words."""
        return f"{self.individual} and {self.other}"


@dataclass(frozen=True, eq=False)
class Overview:
    """An Identity Dataset in stretches of time.

    Attributes:
        individuals, cameras: names.
        frames: how many.
        time: (bin + 1,) where stretches begin and end.
        time_label: label of a time axis.
        seconds: what the recording lasts; NaN where no frame rate is known.
        seen, one_camera, ambiguous, absent: (bin, individual) shares of the frames of a stretch: seen by two cameras or
            more (of a single one, by it); by one of several; in a way that two cameras cannot tell; not at all.
        views: (bin, individual) mean number of cameras where it was seen.
        unsure: (bin, individual) share of the frames in which the confidence is below `SURE`.
        weight: (bin,) share of all frames.
        belonging, unassigned: (camera,) instances that are of somebody, and of nobody.
    """

    individuals: tuple[str, ...]
    cameras: tuple[str, ...]
    frames: int
    time: Array
    time_label: str
    seconds: float
    seen: Array
    one_camera: Array
    ambiguous: Array
    absent: Array
    views: Array
    unsure: Array
    weight: Array
    belonging: NDArray[np.int64]
    unassigned: NDArray[np.int64]

    def share(self, name: str) -> Array:
        """(individual,) share of all frames of one of the states, or of "unsure"."""
        values: Array = getattr(self, name)
        return np.asarray(self.weight @ values)

    @property
    def left_over(self) -> Array:
        """(camera,) share of the instances that are of nobody; NaN where a camera has none."""
        total = self.belonging + self.unassigned
        return np.where(total > 0, self.unassigned / np.maximum(total, 1), np.nan)


def overview_of(identity: xr.Dataset, *, bins: int = 300) -> Overview:
    """Count what an Identity Dataset says, in at most so many stretches of time. It need not be loaded.

    Raises:
        InvalidValueError: the Dataset breaks its schema.
    """
    check(identity, IDENTITY, values=False)
    frames = identity.sizes["time"]
    edges = np.linspace(0, frames, max(1, min(bins, frames)) + 1).astype(np.int64)
    totals, belonging, unassigned = _count(identity, edges)
    size = np.maximum(np.diff(edges), 1)[:, None]
    there = size - totals["not_seen"]
    time, label, seconds = _time(identity, edges)
    return Overview(
        individuals=tuple(str(name) for name in identity["individual"].values),
        cameras=tuple(str(name) for name in identity["camera"].values),
        frames=frames,
        time=time,
        time_label=label,
        seconds=seconds,
        seen=totals["seen"] / size,
        one_camera=totals["one_camera_only"] / size,
        ambiguous=totals["two_cameras_do_not_tell"] / size,
        absent=totals["not_seen"] / size,
        views=np.where(there > 0, totals["views"] / np.maximum(there, 1), 0.0),
        unsure=totals["unsure"] / size,
        weight=np.diff(edges) / max(frames, 1),
        belonging=belonging,
        unassigned=unassigned,
    )


def _count(
    identity: xr.Dataset, edges: NDArray[np.int64]
) -> tuple[dict[str, Array], NDArray[np.int64], NDArray[np.int64]]:
    """Sums over stretches of rows: (bin, individual) by name, and (camera,) instances of somebody and of nobody."""
    shape = (len(edges) - 1, identity.sizes["individual"])
    totals = {name: np.zeros(shape) for name in (*_STATES, "views", "unsure")}
    belonging, unassigned = (np.zeros(identity.sizes["camera"], np.int64) for _ in range(2))
    numbers = _status_numbers(identity)
    for start in range(0, identity.sizes["time"], _AT_ONCE):
        part = identity.isel(time=slice(start, start + _AT_ONCE))
        instance = part["instance"].transpose("time", "camera", "individual").values >= 0
        status = part["identity_status"].transpose("time", "individual").values
        confidence = part["identity_confidence"].transpose("time", "individual").values
        with np.errstate(invalid="ignore"):
            marks = {name: status == numbers[name] for name in _STATES} | {"unsure": confidence < SURE}
        marks["views"] = instance.sum(1)
        where = np.searchsorted(edges, np.arange(start, start + len(status)), side="right") - 1
        first = np.flatnonzero(np.diff(where, prepend=-1))
        for name, values in marks.items():
            totals[name][where[first]] += np.add.reduceat(values.astype(np.int64), first, axis=0)
        belonging += instance.sum((0, 2))
        if "further" in part:
            belonging += (part["further"].transpose("time", "camera", "individual").values >= 0).sum((0, 2))
        unassigned += part["unassigned"].transpose("time", "camera").values.sum(0)
    return totals, belonging, unassigned


def risks_of(identity: xr.Dataset, *, least: float = 0.0) -> list[Risk]:
    """The moments in which animals may have been exchanged, the most probable one first.

    Args:
        identity: Identity Dataset.
        least: smaller probabilities are left out.
    """
    columns = ("probability", "first", "last", "individual", "other", "reason")
    rows = zip(*(identity[f"risk_{name}"].values.tolist() for name in columns), strict=True)
    return [Risk(number, *row) for number, row in enumerate(rows, start=1) if row[0] >= least]


def _status_numbers(identity: xr.Dataset) -> dict[str, int]:
    """The value of every state, as the Dataset says; else as this suite writes it."""
    return _NUMBERS | {word: value for value, word in flag_words(identity["identity_status"]).items()}


def _time(identity: xr.Dataset, edges: NDArray[np.int64]) -> tuple[Array, str, float]:
    """Where stretches of rows begin and end in time, the label of the axis, and the duration in seconds."""
    time = identity["time"].values.astype(np.float64)
    rate = float(identity.attrs.get("fps", 0.0))
    in_frames = identity.attrs.get("time_unit") == "frames"
    if not len(time):
        return np.arange(len(edges), dtype=np.float64), "time (s)", float("nan")
    step = float(np.median(np.diff(time))) if len(time) > 1 else 1.0 / rate if rate > 0 else 1.0
    end = time[-1] + step
    places = np.append(time, end)[edges]
    if in_frames:
        return places, "frame", len(time) / rate if rate > 0 else float("nan")
    seconds = float(end - time[0])
    for limit, unit, name in ((3 * 3600.0, 3600.0, "h"), (600.0, 60.0, "min")):
        if seconds > limit:
            return places / unit, f"time ({name})", seconds
    return places, "time (s)", seconds
