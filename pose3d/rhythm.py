"""When the rows of poses are: the regular rhythm of a recording, with the places of frames that are missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError

__all__ = ["Rhythm", "rhythm_of", "times_are_seconds"]


@dataclass(frozen=True, eq=False)
class Rhythm:
    """When the rows of a recording are.

    Attributes:
        slot: (time,) which place of the regular rhythm a row has, from 0 on; a frame that is missing leaves its place
            free.
        step: from one place to the next, in `unit`.
        unit: "s", or "frame" where the frame rate is not known.
    """

    slot: NDArray[np.int64]
    step: float
    unit: str

    @property
    def rate(self) -> float:
        """Places per `unit`."""
        return 1.0 / self.step


def rhythm_of(poses: xr.Dataset) -> Rhythm:
    """When the rows are. Frames that are missing, by number or by time, are seen.

    Raises:
        InvalidValueError: times or frame numbers do not increase, or the frame rate is no positive number.
    """
    frame, time = (poses[name].values.astype(np.float64) for name in ("frame", "time"))
    for name, values in (("frame", frame), ("time", time)):
        if not (np.isfinite(values).all() and (np.diff(values) > 0).all()):
            raise InvalidValueError(
                f"poses, '{name}'",
                expected="values that increase from row to row",
                got="missing, repeated or falling values",
                remedy="Sort the rows by frame and keep one row per frame.",
            )
    rate = poses.attrs.get("fps")
    known = isinstance(rate, int | float | np.number) and not isinstance(rate, bool)
    if rate is not None and not (known and 0 < float(rate) < np.inf):
        raise InvalidValueError(
            "poses, attribute 'fps'",
            expected="a positive number of frames per second",
            got=str(rate),
            remedy="Set it to the rate at which the videos were recorded.",
        )
    in_seconds = rate is not None and times_are_seconds(poses)
    # Frames that a camera dropped are missing from the times only: their numbers were never given.
    steps = np.diff(time * float(rate) if in_seconds and rate is not None else frame)
    lengths, counts = np.unique(np.maximum(np.rint(steps), 1), return_counts=True)
    usual = float(lengths[counts.argmax()]) if len(lengths) else 1.0
    slot = np.zeros(len(frame), dtype=np.int64)
    slot[1:] = np.cumsum(np.maximum(np.rint(steps / usual), 1))
    if rate is None:
        return Rhythm(slot, usual, "frame")
    return Rhythm(slot, usual / float(rate), "s")


def times_are_seconds(poses: xr.Dataset) -> bool:
    """Whether `time` holds seconds: by its unit, or, where that was lost, by the attribute of movement."""
    unit = poses["time"].attrs.get("units")
    return unit == "s" if unit is not None else poses.attrs.get("time_unit") == "seconds"
