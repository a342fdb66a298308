"""Short gaps filled by interpolation."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from pose3d.filtering._checks import is_whole, require
from pose3d.filtering._tracks import filled_in, short_gaps, tracks_of

__all__ = ["fill_gaps"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def fill_gaps(
    poses: xr.Dataset, maximum_gap: int, *, method: Literal["cubic spline", "linear"] = "cubic spline"
) -> xr.Dataset:
    """Poses whose short gaps are filled; those that were there stay as they are.

    A gap that is longer than the maximum stays missing, and so does what is before the first and after the last
    position. The variable `filled` is 1 where a position was filled in, here or by an earlier filter. Rows that the
    Dataset does not have are not made up.

    The spline goes through all positions between two gaps that stay, and is free at its ends ("not a knot"); through
    two positions it is a line, through three a parabola. It follows the speed just before and after the gap, so where
    positions are noisy, smooth them first.

    Args:
        poses: Poses3D or Poses2D Dataset.
        maximum_gap: the most frames without a position in a gap that is filled.
        method: "cubic spline" or "linear", in time.

    Raises:
        InvalidValueError: the Dataset follows neither schema, or a setting is out of range.
    """
    fine = is_whole(maximum_gap) and maximum_gap >= 0
    require("fill_gaps, maximum_gap", fine, "a number of frames, 0 or more", maximum_gap)
    require("fill_gaps, method", method in ("cubic spline", "linear"), "'cubic spline' or 'linear'", method)
    tracks = tracks_of(poses)
    known, points = tracks.known, tracks.points
    wanted = short_gaps(known, tracks.slot, maximum_gap)
    for track in np.flatnonzero(wanted.any(axis=1)):
        if method == "linear":
            _linear(points[track], tracks.time, known[track], wanted[track])
        else:
            longer = np.diff(tracks.slot[known[track]]) - 1 > maximum_gap
            _spline(points[track], tracks.time, known[track], wanted[track], longer)
    settings: dict[str, object] = {"maximum_gap": int(maximum_gap), "method": method}
    return filled_in(poses, points, "fill_gaps", settings, filled=wanted)


def _linear(points: Array, time: Array, known: Mask, wanted: Mask) -> None:
    """Fill points (time, space)."""
    for dim in range(points.shape[1]):
        points[wanted, dim] = np.interp(time[wanted], time[known], points[known, dim])


def _spline(points: Array, time: Array, known: Mask, wanted: Mask, longer: Mask) -> None:
    """Fill points (time, space); `longer` says after which of the known ones a gap stays."""
    there, missing = np.flatnonzero(known), np.flatnonzero(wanted)
    bounds = np.concatenate([[0], np.flatnonzero(longer) + 1, [len(there)]])
    # which piece between gaps that stay every missing row is in
    piece = np.searchsorted(there[bounds[1:-1]], missing, side="right")
    pieces, first = np.unique(piece, return_index=True)
    for each, rows in zip(pieces.tolist(), np.split(missing, first[1:]), strict=True):
        own = there[bounds[each] : bounds[each + 1]]
        points[rows] = CubicSpline(time[own], points[own])(time[rows])
