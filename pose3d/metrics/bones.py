"""Bone lengths, and how constant they are: a check of 3D poses that needs no truth."""

from __future__ import annotations

import xarray as xr

from calibration.schema import check
from pose3d.datasets import POSES3D
from pose3d.kinematics import bodies
from pose3d.metrics.quantiles import quantiles
from pose3d.skeleton import Skeleton

__all__ = ["bone_lengths", "bone_statistics"]


def bone_lengths(poses: xr.Dataset, skeleton: Skeleton) -> xr.DataArray:
    """Distance between the ends of every edge, (time, edge, individual); NaN where an end is missing.

    Edges whose keypoints the poses lack are left out. The coordinate `edge` is "a-b". With the standard deviation they
    are in `pose3d.kinematics.bone_lengths`.

    Raises:
        InvalidValueError: the Dataset is no Poses3D.
        MismatchError: the poses have no edge of the skeleton.
    """
    check(poses, POSES3D)
    return bodies.bone_lengths(poses.drop_vars("covariance", errors="ignore"), skeleton)["bone_length"]


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
