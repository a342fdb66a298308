"""2D poses and the clocks of their cameras: the motion that tells the clocks, and poses at common instants."""

from __future__ import annotations

import json
import warnings

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import MismatchError, SuiteWarning
from calibration.nearest import nearest_index
from calibration.schema import check
from calibration.synchronization import Clock, Synchronization, Timing, Track, resample_positions, resample_values
from pose3d.datasets import POSES2D

__all__ = ["apply_synchronization", "camera_frames", "tracks_of_poses"]

# Half a thousandth of a frame: what is off by less is not interpolated, so that a recording that was triggered
# together keeps its numbers.
_NEGLIGIBLE = 5e-4


def apply_synchronization(poses2d: xr.Dataset, synchronization: Synchronization) -> xr.Dataset:
    """The 2D poses of all cameras at the instants of the reference camera's frames, by interpolation.

    `frame` stays the frame number of the reference camera's file, `time` becomes seconds of its clock. Positions are
    interpolated as `calibration.synchronization.resample_positions` says, confidence straight; a gap stays a gap, and
    nothing is made up beyond the ends of a recording. The attribute `synchronization` says what was done.

    Args:
        poses2d: Poses2D Dataset, whose frame numbers are those of each camera's own file.
        synchronization: clocks of all its cameras.

    Raises:
        InvalidValueError: the Dataset does not follow the schema.
        MismatchError: a camera has no clock, or poses and clock are of recordings of different lengths.
    """
    check(poses2d, POSES2D, values=False)
    names = [str(name) for name in poses2d["camera"].values]
    clocks = [synchronization[name] for name in names]
    base = synchronization[synchronization.reference]
    frames = poses2d["frame"].values.astype(np.int64)
    for clock in clocks:
        _check_length(poses2d, clock, frames)
    instants = base.reference_time(frames)
    result = poses2d.copy()
    for name in ("position", "confidence", "covariance"):
        if name in poses2d:
            result[name] = poses2d[name].copy(data=_at(poses2d[name], clocks, frames, instants))
    _warn_of_no_overlap(poses2d, result, names)
    result = result.assign_coords(time=("time", instants, {"units": "s"}))
    told = json.dumps({"reference": base.camera, "cameras": {clock.camera: _told(clock) for clock in clocks}})
    return result.assign_attrs(time_unit="seconds", fps=float(base.timing.frame_rate), synchronization=told)


def camera_frames(poses2d: xr.Dataset, camera: str, times: NDArray[np.float64]) -> NDArray[np.int64]:
    """(time,) number, in a camera's own file, of the frame nearest to each instant; -1 where it has none.

    These are the numbers in `frame` unless the poses were brought to the instants of another camera.

    Args:
        poses2d: Poses2D Dataset.
        camera: its name.
        times: (frames of the file,) seconds, increasing; they count for cameras whose frames come irregularly.
    """
    numbers = poses2d["frame"].values.astype(np.int64)
    told = json.loads(poses2d.attrs.get("synchronization", "{}")).get("cameras", {}).get(camera)
    if told is None:
        return np.where(numbers < len(times), numbers, -1)
    timing = Timing(
        float(told["frame_rate"]),
        len(times),
        tuple(pair for pair in map(tuple, told["dropped"]) if pair[0] < len(times)),
        times - times[0] if told["irregular"] else None,
    )
    taken = Clock(camera, timing, float(told["offset_s"]), float(told["rate"])).reference_time()
    instants = poses2d["time"].values
    nearest = nearest_index(instants, taken)
    near = np.abs(taken[nearest] - instants) <= (0.5 + _NEGLIGIBLE) * timing.interval
    return np.where(near, nearest, -1)


def tracks_of_poses(
    poses2d: xr.Dataset, timing: dict[str, Timing], *, minimum_confidence: float = 0.0
) -> dict[str, Track]:
    """The keypoints of all individuals as moving points, by camera.

    Args:
        poses2d: Poses2D Dataset, whose frame numbers are those of each camera's own file.
        timing: of the frames of each camera; cameras without are left out.
        minimum_confidence: positions with less are left out.

    Raises:
        MismatchError: there are poses of frames that a camera's file does not have.
    """
    frames = poses2d["frame"].values.astype(np.int64)
    tracks = {}
    for name in map(str, poses2d["camera"].values):
        if name not in timing:
            continue
        one = poses2d.sel(camera=name)
        position = one["position"].transpose("time", "individual", "keypoint", "space").values.astype(np.float64)
        confidence = one["confidence"].transpose("time", "individual", "keypoint").values
        with np.errstate(invalid="ignore"):
            position = np.where(((confidence > 0) & (confidence >= minimum_confidence))[..., None], position, np.nan)
        seen = np.flatnonzero(np.isfinite(position).any(axis=(1, 2, 3)))
        if len(seen) and frames[seen[-1]] >= timing[name].count:
            raise _too_long(name, int(frames[seen[-1]]) + 1, timing[name].count)
        points = np.full((timing[name].count, position.shape[1] * position.shape[2], 2), np.nan)
        inside = frames < timing[name].count
        points[frames[inside]] = position[inside].reshape(int(inside.sum()), -1, 2)
        tracks[name] = Track(timing[name], points)
    return tracks


def _told(clock: Clock) -> dict[str, object]:
    """What `camera_frames` and a reader need to know of a clock."""
    return {
        "offset_s": clock.offset,
        # JSON has no NaN
        "offset_std_s": clock.offset_std if np.isfinite(clock.offset_std) else None,
        "rate": clock.rate,
        "method": clock.method,
        "frame_rate": clock.timing.frame_rate,
        "dropped": [list(pair) for pair in clock.timing.dropped],
        "irregular": clock.timing.times is not None,
    }


def _at(
    array: xr.DataArray, clocks: list[Clock], frames: NDArray[np.int64], instants: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The values (time, camera, ...) of every camera at the instants."""
    values = array.transpose(*POSES2D.variables[str(array.name)].dims).values.astype(np.float64)
    result = np.empty_like(values)
    for index, clock in enumerate(clocks):
        own = clock.timing.at(frames)
        wanted = clock.camera_time(instants)
        near = np.abs(wanted - own) < _NEGLIGIBLE * clock.timing.interval
        wanted = np.where(near, own, wanted)
        gap = 1.5 * clock.timing.interval
        resample = resample_positions if array.name == "position" else resample_values
        result[:, index] = resample(values[:, index], own, wanted, maximum_gap=gap)
    return result


def _check_length(poses2d: xr.Dataset, clock: Clock, frames: NDArray[np.int64]) -> None:
    seen = np.flatnonzero(
        poses2d["position"].sel(camera=clock.camera).notnull().any(("individual", "keypoint", "space"))
    )
    if len(seen) and frames[seen[-1]] >= clock.timing.count:
        raise _too_long(clock.camera, int(frames[seen[-1]]) + 1, clock.timing.count)


def _too_long(name: str, poses: int, count: int) -> MismatchError:
    return MismatchError(
        f"2D poses of camera '{name}'",
        expected=f"poses of at most {count} frames, as its video has",
        got=f"poses up to frame {poses - 1}",
        remedy="Check that poses, videos and synchronization are of the same recording.",
    )


def _warn_of_no_overlap(before: xr.Dataset, after: xr.Dataset, names: list[str]) -> None:
    for name in names:
        had = bool(np.isfinite(before["position"].sel(camera=name)).any())
        if had and not bool(np.isfinite(after["position"].sel(camera=name)).any()):
            warnings.warn(
                f"camera {name}: no position at the time of the reference camera's frames; their recordings do not "
                "overlap by the synchronization",
                SuiteWarning,
                stacklevel=3,
            )
