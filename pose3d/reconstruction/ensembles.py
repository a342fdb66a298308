"""Several networks' 2D poses of the same videos as one, with the covariance of their disagreement."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import xarray as xr

from calibration.errors import InvalidValueError, MismatchError
from calibration.schema import check
from pose3d.datasets import POSES2D

__all__ = ["combine_ensemble"]


def combine_ensemble(members: Sequence[xr.Dataset]) -> xr.Dataset:
    """2D poses whose positions are the medians of the members', with the members' scatter about them as covariance.

    Where networks that were trained apart disagree, they err; how far they are apart tells by how much (Biderman et
    al., Lightning Pose, 2024). `reconstruct` takes the covariance in the place of the confidence and learns the factor
    by which errors are larger than the scatter.

    Args:
        members: Poses2D Datasets of the same frames, cameras, individuals and keypoints, at least two.

    Returns:
        Poses2D with `covariance`. Confidence is the mean of those of the members that see the keypoint. A keypoint that
        fewer than two members see is missing: nothing tells how uncertain it is.

    Raises:
        InvalidValueError: there are fewer than two members, or one is no Poses2D.
        MismatchError: they have other frames, cameras, individuals or keypoints.
    """
    if len(members) < 2:
        raise InvalidValueError(
            "ensemble", expected="2D poses of at least two networks", got=str(len(members)), remedy="Give more."
        )
    first = members[0]
    for number, member in enumerate(members):
        check(member, POSES2D, subject=f"member {number + 1} of the ensemble")
        for name in ("frame", "camera", "individual", "keypoint"):
            if list(member[name].values) != list(first[name].values):
                raise MismatchError(
                    f"{name} of member {number + 1} of the ensemble",
                    expected=f"as of the first: {_told(first, name)}",
                    got=_told(member, name),
                    remedy="Let all networks look at the same videos.",
                )
    dims = POSES2D.variables["position"].dims
    position = np.stack([member["position"].transpose(*dims).values for member in members]).astype(np.float64)
    confidence = np.stack([member["confidence"].transpose(*dims[:-1]).values for member in members])
    with np.errstate(invalid="ignore"):
        seen = np.isfinite(position).all(-1) & (confidence > 0)
    count = seen.sum(0)
    enough = count >= 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice encountered", RuntimeWarning)
        middle = np.nanmedian(np.where(seen[..., None], position, np.nan), axis=0)
    away = np.where(seen[..., None], position - middle, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = np.einsum("m...i,m...j->...ij", away, away) / (count - 1)[..., None, None]
        mean = np.where(seen, confidence, 0.0).sum(0) / count
    result = first.copy()
    result["position"] = (dims, np.where(enough[..., None], middle, np.nan), first["position"].attrs)
    result["confidence"] = (dims[:-1], np.where(enough, mean, 0.0), first["confidence"].attrs)
    result["covariance"] = (
        POSES2D.variables["covariance"].dims,
        np.where(enough[..., None, None], covariance, np.nan),
        {"units": "px^2"},
    )
    result = result.assign_coords(space_=["x", "y"])
    return result.assign_attrs(ensemble=len(members))


def _told(poses: xr.Dataset, name: str) -> str:
    values = list(poses[name].values)
    return f"{len(values)}: {', '.join(map(str, values[:4]))}" + (", ..." if len(values) > 4 else "")
