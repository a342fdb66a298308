"""Frames and their rate: for files that need a rate, that count rows, or whose rate the caller knows better."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.datasets import time_coordinates
from pose3d.formats.text_table import FRAMES_AT_ONCE

__all__ = ["gapless", "known_rate", "with_frame_rate"]


def known_rate(poses3d: xr.Dataset, path: str | os.PathLike[str], frame_rate: float | None, kind: str) -> float:
    """The frame rate of 3D poses for a file that needs one.

    Args:
        poses3d: Poses3D Dataset.
        path: the file that is to be written, for the errors.
        frame_rate: frames per second as the caller gave it; as the Dataset says if None.
        kind: what the file is called, as in "TRC files".

    Raises:
        InvalidValueError: there is no frame, or the rate is not known or not positive.
    """
    if not poses3d.sizes["time"]:
        raise InvalidValueError(
            path, expected="3D poses of at least one frame", got="none", remedy="Check how they were made."
        )
    rate = float(poses3d.attrs.get("fps", np.nan) if frame_rate is None else frame_rate)
    if not 0 < rate < np.inf:
        raise InvalidValueError(
            path,
            expected=f"a frame rate, which {kind} need",
            got="none in the 3D poses" if frame_rate is None else str(frame_rate),
            remedy="Give frame_rate= (--frame-rate on the command line).",
        )
    return rate


def gapless(values: xr.DataArray, frames: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Frame numbers and values (frame, ...), piece by piece, NaN in frames that are not there.

    Args:
        values: with `time` as its first dimension.
        frames: (time,) their increasing frame numbers.
    """
    for start in range(int(frames[0]), int(frames[-1]) + 1, FRAMES_AT_ONCE):
        stop = min(start + FRAMES_AT_ONCE, int(frames[-1]) + 1)
        known = slice(*np.searchsorted(frames, (start, stop)))
        piece = np.full((stop - start, *values.shape[1:]), np.nan)
        piece[frames[known] - start] = values.isel(time=known).values
        yield np.arange(start, stop), piece


def with_frame_rate(poses: xr.Dataset, frame_rate: float | None) -> xr.Dataset:
    """Poses whose times are frame / rate; as they are where the rate is None or what they have already.

    Raises:
        InvalidValueError: the rate is not positive.
    """
    if frame_rate is None or poses.attrs.get("fps") == frame_rate:
        return poses
    timed = poses.assign_coords(time_coordinates(poses.sizes["time"], poses["frame"].values, frame_rate))
    return timed.assign_attrs(fps=float(frame_rate), time_unit="seconds")
