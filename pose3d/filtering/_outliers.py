"""Filters that take positions out: by confidence, and by distance from the neighbors in time."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from scipy.special import gammaincinv

from pose3d.filtering._checks import is_number, require, require_window
from pose3d.filtering._median_kernels import rolling_median, rolling_spread
from pose3d.filtering._tracks import removed, smoothed, tracks_of

__all__ = ["filter_by_confidence", "hampel_filter"]


def filter_by_confidence(poses: xr.Dataset, minimum: float) -> xr.Dataset:
    """Poses without the positions whose confidence is below a minimum: they become NaN.

    A confidence that is missing (NaN) counts as below. Confidence itself stays, so that it can be seen why a position
    is not there.

    Args:
        poses: Poses3D or Poses2D Dataset.
        minimum: the least confidence of a position that stays, from 0 to 1.

    Raises:
        InvalidValueError: the Dataset follows neither schema, or the minimum is out of range.
    """
    fine = is_number(minimum) and 0 <= minimum <= 1
    require("filter_by_confidence, minimum", fine, "a number from 0 to 1", minimum)
    tracks = tracks_of(poses)
    order = [dim for dim in poses["position"].dims if dim not in ("time", "space")]
    confidence = poses["confidence"].transpose(*order, "time").values.reshape(tracks.known.shape)
    enough = confidence >= minimum
    points = np.where(enough[..., None], tracks.points, np.nan)
    return removed(poses, points, "filter_by_confidence", {"minimum": float(minimum)})


def hampel_filter(
    poses: xr.Dataset,
    frames: int,
    *,
    deviations: float = 5.0,
    least: float = 0.0,
    replace: Literal["nan", "median"] = "nan",
) -> xr.Dataset:
    """Poses without outliers: positions far from the median of their neighbors in time.

    The median of a window is that of each coordinate. The spread of the window is the median distance of its positions
    from that median, divided by what it is for normal noise with a standard deviation of 1 in every coordinate (0.67 in
    one dimension, 1.18 in two, 1.54 in three): a standard deviation of one coordinate that outliers hardly move. A
    position is an outlier where its own distance is more than `deviations` of them. At the ends the window is cut; it
    never reaches beyond. Where fewer than three positions are in a window, nothing is removed.

    The filter is that of F. R. Hampel, "The influence curve and its role in robust estimation", JASA 69 (1974), for
    distances of vectors instead of single coordinates.

    Args:
        poses: Poses3D or Poses2D Dataset.
        frames: length of the window, odd; outliers that last for half of it or longer stay.
        deviations: how many robust standard deviations of a coordinate are too far.
        least: no position nearer than this to the median is an outlier, in the unit of the positions. It matters where
            positions are rounded: where half of a window is in the very same place, its spread is 0.
        replace: "nan" takes outliers out; "median" puts the median in their place.

    Raises:
        InvalidValueError: the Dataset follows neither schema, or a setting is out of range.
    """
    require_window("hampel_filter, frames", frames)
    require("hampel_filter, deviations", is_number(deviations) and deviations > 0, "a number above 0", deviations)
    require("hampel_filter, least", is_number(least) and least >= 0, "a distance of 0 or more", least)
    require("hampel_filter, replace", replace in ("nan", "median"), "'nan' or 'median'", replace)
    tracks = tracks_of(poses)
    half = frames // 2
    median = rolling_median(tracks.points, tracks.slot, half)
    dims = tracks.points.shape[-1]
    # the median of the distribution of lengths of normal vectors (chi)
    spread = rolling_spread(tracks.points, median, tracks.slot, half) / np.sqrt(2 * gammaincinv(dims / 2, 0.5))
    distance = np.linalg.norm(tracks.points - median, axis=-1)
    with np.errstate(invalid="ignore"):
        outlier = (distance > deviations * spread) & (distance > least)
    points = np.where(outlier[..., None], median if replace == "median" else np.nan, tracks.points)
    settings: dict[str, object] = {
        "frames": int(frames),
        "deviations": float(deviations),
        "least": float(least),
        "replace": replace,
    }
    return (smoothed if replace == "median" else removed)(poses, points, "hampel_filter", settings)
