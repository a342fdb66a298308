"""Bone lengths, and how constant they are: a check of 3D poses that needs no truth."""

from __future__ import annotations

import numpy as np
import xarray as xr

from calibration.errors import MismatchError
from calibration.schema import check
from pose3d.datasets import POSES3D
from pose3d.metrics._statistics import quantiles
from pose3d.skeleton import Skeleton

__all__ = ["bone_lengths", "bone_statistics"]


def bone_lengths(poses: xr.Dataset, skeleton: Skeleton) -> xr.DataArray:
    """Distance between the ends of every edge, (time, edge, individual); NaN where an end is missing.

    Edges whose keypoints the poses lack are left out. The coordinate `edge` is "a-b".

    Raises:
        InvalidValueError: the Dataset is no Poses3D.
        MismatchError: the poses have no edge of the skeleton.
    """
    check(poses, POSES3D)
    names = [str(name) for name in poses["keypoint"].values]
    edges = [edge for edge in skeleton.edges if set(edge) <= set(names)]
    if not edges:
        raise MismatchError(
            f"skeleton '{skeleton.name}'",
            expected="edges between the keypoints of the poses",
            got=f"keypoints {', '.join(names[:8])}",
            remedy="Use the skeleton that the poses were made with.",
        )
    ends = [poses["position"].sel(keypoint=[edge[side] for edge in edges]).values for side in (0, 1)]
    return xr.DataArray(
        np.linalg.norm(ends[1] - ends[0], axis=1),
        dims=("time", "edge", "individual"),
        coords={
            "time": poses.coords["time"],
            "frame": poses.coords["frame"],
            "edge": [f"{a}-{b}" for a, b in edges],
            "individual": poses.coords["individual"],
        },
        attrs={"units": str(poses["position"].attrs.get("units", ""))},
        name="bone_length",
    )


def bone_statistics(poses: xr.Dataset, skeleton: Skeleton) -> xr.Dataset:
    """How constant bones are over time, (edge, individual): a check that needs no truth.

    Returns:
        `median`, `sd` and `spread` (1.4826 times the median absolute deviation: the standard deviation that outliers
        do not move) in the unit of the poses; `relative_spread`, spread by median; `missing`, the share of frames
        without the bone. NaN where a bone is never there.

    Raises:
        InvalidValueError, MismatchError: see `bone_lengths`.
    """
    length = bone_lengths(poses, skeleton)
    units = {"units": length.attrs["units"]}
    (median,) = quantiles(length, ("time",), (0.5,))
    (deviation,) = quantiles(abs(length - median), ("time",), (0.5,))
    spread = 1.4826 * deviation
    # Not .std: that of xarray 2025.7 warns where a bone is never there.
    sd = ((length - length.mean("time")) ** 2).mean("time") ** 0.5
    return xr.Dataset(
        {
            "median": median.assign_attrs(units),
            "sd": sd.assign_attrs(units),
            "spread": spread.assign_attrs(units),
            "relative_spread": (spread / median).assign_attrs(units="1"),
            "missing": length.isnull().mean("time").assign_attrs(units="1"),
        }
    )
