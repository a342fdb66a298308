"""The positions of a Dataset as an array of tracks, and back: what all filters share."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.schema import check
from pose3d.datasets import POSES2D, POSES3D
from pose3d.rhythm import rhythm_of

__all__ = ["Tracks", "filled_in", "on_runs", "removed", "short_gaps", "smoothed", "tracks_of"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# What describes the positions as they were reconstructed, and no others.
_OF_POSITIONS = ("covariance", "reprojection_error", "residual", "inlier", "n_cameras")
# Runs of the same length are worked on together, as many as this many positions hold.
_BATCH = 1_000_000


@dataclass(frozen=True, eq=False)
class Tracks:
    """The way of every keypoint of every individual (and camera).

    Attributes:
        points: (track, time, space) positions, NaN in every coordinate where one is missing.
        slot: (time,) which place of the regular rhythm of the recording a row has, from 0 on; a skipped frame leaves a
            place free.
        time: (time,) as in the Dataset: seconds, or frame numbers.
        rate: places per second, NaN where the frame rate is not known.
        keypoint: (track,) index of the keypoint.
    """

    points: Array
    slot: NDArray[np.int64]
    time: Array
    rate: float
    keypoint: NDArray[np.intp]

    @property
    def known(self) -> Mask:
        """(track, time) True where there is a position."""
        return np.asarray(~np.isnan(self.points[..., 0]))


def tracks_of(poses: xr.Dataset) -> Tracks:
    """The tracks of a Poses3D or Poses2D Dataset; the arrays are copies.

    Raises:
        InvalidValueError: the Dataset follows neither schema, the times or frame numbers do not increase, or the frame
            rate is no positive number.
    """
    check(poses, POSES2D if "position" in poses and "camera" in poses["position"].dims else POSES3D)
    position = poses["position"]
    others = _others(poses)
    ordered = position.transpose(*others, "time", "space")
    sizes = ordered.shape[:-2]
    points = np.array(ordered.values, dtype=np.float64, order="C").reshape(math.prod(sizes), *ordered.shape[-2:])
    points[np.isnan(points).any(axis=-1)] = np.nan
    rhythm = rhythm_of(poses)
    rate = rhythm.rate if rhythm.unit == "s" else np.nan
    keypoint = np.indices(sizes)[others.index("keypoint")].ravel()
    return Tracks(points, rhythm.slot, poses["time"].values.astype(np.float64), rate, keypoint)


def _others(poses: xr.Dataset) -> list[str]:
    """The dimensions along which tracks lie side by side."""
    return [str(dim) for dim in poses["position"].dims if dim not in ("time", "space")]


def short_gaps(known: Mask, slot: NDArray[np.int64], maximum: int) -> Mask:
    """(track, time) True in rows without a position, between two that have one and at most `maximum` frames apart.

    Args:
        known: (track, time) True where there is a position.
        slot: (time,) places of the rows.
        maximum: the most frames without a position between the two; those that were skipped count.
    """
    count = known.shape[1]
    rows = np.arange(count)
    before = np.maximum.accumulate(np.where(known, rows, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, rows, count)[:, ::-1], axis=1)[:, ::-1]
    inside = ~known & (before >= 0) & (after < count)
    length = slot[np.minimum(after, count - 1)] - slot[np.maximum(before, 0)] - 1
    return np.asarray(inside & (length <= maximum))


def on_runs(tracks: Tracks, work: Callable[[Array], Array], *, extra: int = 0) -> Array:
    """(track, time, space) what `work` makes of every run of positions in successive frames.

    Args:
        tracks: what to work on.
        work: takes (run, time, space) positions of runs of the same length, and returns as many.
        extra: further positions per run that `work` needs memory for.
    """
    known, result = tracks.known, tracks.points.copy()
    joined = np.zeros_like(known)
    joined[:, 1:] = known[:, 1:] & known[:, :-1] & (np.diff(tracks.slot) == 1)
    track, start = np.nonzero(known & ~joined)
    ends = np.ones_like(known)
    ends[:, :-1] = ~joined[:, 1:]
    length = np.nonzero(known & ends)[1] - start + 1
    order = np.argsort(length, kind="stable")
    distinct, first = np.unique(length[order], return_index=True)
    for each, runs in zip(distinct.tolist(), np.split(order, first[1:]), strict=False):
        most = max(1, _BATCH // (each + extra))
        for begin in range(0, len(runs), most):
            some = runs[begin : begin + most]
            place = track[some, None], start[some, None] + np.arange(each)
            result[place] = work(tracks.points[place])
    return result


def removed(poses: xr.Dataset, points: Array, name: str, settings: dict[str, object]) -> xr.Dataset:
    """The Dataset with positions (track, time, space) some of which were taken out."""
    result = _with_positions(poses, points, name, settings)
    return _without_covariance(result, np.isnan(points[..., 0]))


def smoothed(
    poses: xr.Dataset,
    points: Array,
    name: str,
    settings: dict[str, object],
    *,
    covariance: Array | None = None,
    filled: Mask | None = None,
) -> xr.Dataset:
    """The Dataset with positions that were moved.

    Args:
        poses: what was filtered.
        points: (track, time, space) new positions.
        name, settings: for the record.
        covariance: (track, time, space, space) of the new positions.
        filled: (track, time) True where there was none before.
    """
    result = _with_positions(poses, points, name, settings)
    if filled is not None:
        result = _with_filled(result, filled)
    result = result.drop_vars([variable for variable in _OF_POSITIONS if variable in result])
    if covariance is not None:
        unit = f"{poses['position'].attrs.get('units', '')}^2"
        values = _as_array(poses, covariance, "space", "space_")
        schema = POSES2D if "camera" in values.dims else POSES3D
        result["covariance"] = values.transpose(*schema.variables["covariance"].dims).assign_attrs(units=unit)
        result = result.assign_coords(space_=poses["space"].values)
    used = {dim for variable in result.data_vars.values() for dim in variable.dims}
    return result.drop_vars([dim for dim in result.dims if dim not in used])


def filled_in(poses: xr.Dataset, points: Array, name: str, settings: dict[str, object], *, filled: Mask) -> xr.Dataset:
    """The Dataset with positions (track, time, space) some of which, `filled` (track, time), were put in."""
    return _without_covariance(_with_filled(_with_positions(poses, points, name, settings), filled), filled)


def _with_positions(poses: xr.Dataset, points: Array, name: str, settings: dict[str, object]) -> xr.Dataset:
    result = poses.copy()
    position = poses["position"]
    values = _as_array(poses, points, "space").transpose(*position.dims).values
    result["position"] = position.copy(data=values.astype(position.dtype, copy=False))
    if "filled" in poses:
        gone = _as_array(poses, np.isnan(points[..., 0]))
        result["filled"] = poses["filled"].where(~gone, 0).astype(poses["filled"].dtype)
    record = json.dumps([*_records(poses), {"filter": name, **settings}])
    return result.assign_attrs(filters=record)


def _records(poses: xr.Dataset) -> list[object]:
    try:
        earlier = json.loads(poses.attrs.get("filters", "[]"))
    except (TypeError, ValueError):
        earlier = None
    if not isinstance(earlier, list):
        raise InvalidValueError(
            "poses, attribute 'filters'",
            expected="a JSON list of the filters so far",
            got=str(poses.attrs["filters"])[:60],
            remedy="Delete the attribute, or rename it.",
        )
    return earlier


def _with_filled(result: xr.Dataset, filled: Mask) -> xr.Dataset:
    values = _as_array(result, filled)
    if "filled" in result:
        values = values | (result["filled"] != 0)
    dims = [dim for dim in result["position"].dims if dim != "space"]
    return result.assign(filled=values.transpose(*dims).astype(np.int8).assign_attrs(units="1"))


def _without_covariance(result: xr.Dataset, where: Mask) -> xr.Dataset:
    """The covariance is NaN there: a position that was removed has none, and of one that was filled it is unknown."""
    if "covariance" not in result or not where.any():
        return result
    covariance = result["covariance"]
    kept = covariance.where(~_as_array(result, where)).transpose(*covariance.dims)
    return result.assign(covariance=kept.assign_attrs(covariance.attrs))


def _as_array(poses: xr.Dataset, values: NDArray[np.generic], *last: str) -> xr.DataArray:
    """Values (track, time, ...) with their dimensions; the last ones have these names."""
    others = _others(poses)
    shape = [poses.sizes[dim] for dim in others]
    return xr.DataArray(values.reshape(*shape, *values.shape[1:]), dims=(*others, "time", *last))
