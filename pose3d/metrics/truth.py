"""Errors against truth, and coverage of the covariance.

Rules for missing values, the same in every function:

- Truth says what counts. Its frames, keypoints and individuals are those of the result, and where it is NaN nothing is
  counted.
- Where truth is known and the estimate is NaN or has no such frame, keypoint or individual, the position is missing:
  it enters `missing` and counts against `percentage_correct`, and no error is made up for it.
- Frames are matched by frame number, keypoints and individuals by name. Where estimate and truth have one individual
  each, it is the same one, whatever its name.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from calibration.errors import InvalidValueError, MismatchError
from calibration.schema import check
from pose3d.datasets import POSES3D
from pose3d.metrics.quantiles import quantiles

__all__ = [
    "Alignment",
    "align",
    "coverage",
    "percentage_correct",
    "position_error",
    "procrustes",
    "summary",
]

Array = NDArray[np.float64]
Alignment = Literal["none", "rigid", "similarity", "rigid per frame", "similarity per frame"]

_DIMS = ("time", "keypoint", "individual")
_ALIGNMENTS = ("none", "rigid", "similarity", "rigid per frame", "similarity per frame")
# Over everything but the keypoint: one number per keypoint.
_PER_KEYPOINT = ("time", "individual")


def position_error(estimate: xr.Dataset, truth: xr.Dataset, *, alignment: Alignment = "none") -> xr.DataArray:
    """Distance between estimated and true positions, (time, keypoint, individual), in the unit of both.

    Args:
        estimate: Poses3D.
        truth: Poses3D; the result has its frames, keypoints and individuals.
        alignment: what is taken out first: "none"; the "rigid" motion or the "similarity" (scale too) of the whole
            recording and all individuals; or those of every frame and individual ("rigid per frame", as in the
            Procrustes-aligned errors of human pose estimation).

    Returns:
        NaN where one of both is missing, or where an alignment is not determined (fewer than three positions).

    Raises:
        InvalidValueError: a Dataset is no Poses3D, or the alignment is unknown.
        MismatchError: they have no frame, keypoint or individual in common, or differ in their unit.
    """
    aligned = align(estimate, truth, alignment=alignment)
    error = np.linalg.norm(aligned["position"].values - truth["position"].values, axis=1)
    return xr.DataArray(
        error,
        dims=_DIMS,
        coords={name: truth.coords[name] for name in (*_DIMS, "frame")},
        attrs={"units": str(truth["position"].attrs.get("units", ""))},
        name="position_error",
    )


def summary(
    estimate: xr.Dataset,
    truth: xr.Dataset,
    *,
    alignment: Alignment = "none",
    over: Sequence[Hashable] = _PER_KEYPOINT,
) -> xr.Dataset:
    """Mean, median, 95th percentile and RMS of the position error, and the share of missing positions.

    Args:
        estimate, truth: Poses3D.
        alignment: see `position_error`.
        over: dimensions of (time, keypoint, individual) to put together; time and individual by default, which leaves
            one number per keypoint.

    Returns:
        `mean`, `median`, `p95`, `rmse` in the unit of both, over the positions that both have, NaN where there are
        none; `missing`, the share of the true positions that the estimate lacks; `count`, the number of true positions.

    Raises:
        InvalidValueError, MismatchError: see `position_error`.
    """
    error = position_error(estimate, truth, alignment=alignment)
    over = tuple(over)
    known = truth["position"].notnull().all("space")
    units = {"units": error.attrs["units"]}
    levels = quantiles(error, over, (0.5, 0.95))
    total = known.sum(over)
    return xr.Dataset(
        {
            "mean": error.mean(over).assign_attrs(units),
            "median": levels[0].assign_attrs(units),
            "p95": levels[1].assign_attrs(units),
            "rmse": ((error**2).mean(over) ** 0.5).assign_attrs(units),
            "missing": ((known & error.isnull()).sum(over) / total.where(total > 0)).assign_attrs(units="1"),
            "count": total.assign_attrs(units="1"),
        }
    )


def percentage_correct(
    estimate: xr.Dataset,
    truth: xr.Dataset,
    threshold: float,
    *,
    alignment: Alignment = "none",
    over: Sequence[Hashable] = _PER_KEYPOINT,
) -> xr.DataArray:
    """PCK: share of the true positions that the estimate has within `threshold` (closed); missing is not correct.

    Args:
        estimate, truth: Poses3D.
        threshold: in the unit of both.
        alignment: see `position_error`.
        over: dimensions to put together, see `summary`.

    Raises:
        InvalidValueError: the threshold is not positive, or see `position_error`.
        MismatchError: see `position_error`.
    """
    if not threshold > 0:
        raise InvalidValueError(
            "threshold", expected="a positive length", got=str(threshold), remedy="Give it in the unit of the poses."
        )
    error = position_error(estimate, truth, alignment=alignment)
    known = truth["position"].notnull().all("space")
    total = known.sum(tuple(over))
    share = (error <= threshold).sum(tuple(over)) / total.where(total > 0)
    return share.rename("percentage_correct").assign_attrs(units="1", threshold=threshold)


def coverage(
    estimate: xr.Dataset, truth: xr.Dataset, level: float = 0.95, *, over: Sequence[Hashable] = _PER_KEYPOINT
) -> xr.DataArray:
    """Share of the true positions inside the ellipsoid of the estimate's covariance that should hold `level` of them.

    A position counts where truth, estimate and its covariance are there. The ellipsoid is that of a Gaussian: squared
    Mahalanobis distance up to the quantile of the chi-squared distribution with three degrees of freedom. A covariance
    that is not positive definite holds nothing.

    Raises:
        InvalidValueError: the estimate has no covariance, the level is not between 0 and 1, or see `position_error`.
        MismatchError: see `position_error`.
    """
    from scipy.special import chdtri

    if not 0 < level < 1:
        raise InvalidValueError("level", expected="a share between 0 and 1", got=str(level), remedy="Give 0.95, say.")
    if "covariance" not in estimate:
        raise InvalidValueError(
            "estimate",
            expected="a variable 'covariance'",
            got=f"only {', '.join(map(str, estimate.data_vars))}",
            remedy="Triangulate with covariance=True.",
        )
    matched = _matched(estimate, truth)
    covariance = matched["covariance"].transpose(*_DIMS, "space", "space_").values
    difference = (matched["position"] - truth["position"].values).transpose(*_DIMS, "space").values
    counted = np.isfinite(difference).all(-1) & np.isfinite(covariance).all((-1, -2))
    inside = np.zeros(counted.shape, dtype=bool)
    inside[counted] = _squared_mahalanobis(difference[counted], covariance[counted]) <= chdtri(3, 1 - level)
    coords = {name: truth.coords[name] for name in _DIMS}
    total = xr.DataArray(counted, dims=_DIMS, coords=coords).sum(tuple(over))
    share = xr.DataArray(inside, dims=_DIMS, coords=coords).sum(tuple(over)) / total.where(total > 0)
    return share.rename("coverage").assign_attrs(units="1", level=level)


def align(estimate: xr.Dataset, truth: xr.Dataset, *, alignment: Alignment = "none") -> xr.Dataset:
    """The estimate, on truth's frames, keypoints and individuals, moved onto truth as `alignment` says.

    Only position and confidence are kept; a position is NaN where the estimate has none.

    Raises:
        InvalidValueError, MismatchError: see `position_error`.
    """
    if alignment not in _ALIGNMENTS:
        raise InvalidValueError(
            "alignment", expected=f"one of: {', '.join(_ALIGNMENTS)}", got=repr(alignment), remedy="Change it."
        )
    check(truth, POSES3D)
    matched = _matched(estimate, truth)[["position", "confidence"]]
    if alignment == "none":
        return matched
    order = ("time", "individual", "keypoint", "space")
    source = matched["position"].transpose(*order)
    target = truth["position"].transpose(*order).values
    whole = not alignment.endswith("per frame")
    shape = (1, 1, -1, 3) if whole else source.shape
    rotation, translation, scale = procrustes(
        source.values.reshape(shape), target.reshape(shape), scale=alignment.startswith("similarity")
    )
    moved = (
        scale[..., None, None] * np.einsum("...ij,...nj->...ni", rotation, source.values) + translation[..., None, :]
    )
    return matched.assign(position=source.copy(data=moved).transpose(*matched["position"].dims))


def procrustes(source: ArrayLike, target: ArrayLike, *, scale: bool = False) -> tuple[Array, Array, Array]:
    """The motion that brings points onto others: minimizes the sum of |scale rotation source + translation - target|².

    Method: Umeyama, Least-squares estimation of transformation parameters between two point patterns (1991). Mirror
    images are not used.

    Args:
        source, target: (..., point, 3); points that are NaN in one of both are left out.
        scale: whether to scale too; 1 otherwise.

    Returns:
        Rotation (..., 3, 3), translation (..., 3) and scale (...); NaN where fewer than three points are left.
    """
    a, b = np.broadcast_arrays(np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64))
    known = (np.isfinite(a) & np.isfinite(b)).all(-1, keepdims=True)
    count = known.sum(-2).astype(np.float64)
    count[count < 3] = np.nan
    mean_a, mean_b = (np.where(known, values, 0.0).sum(-2) / count for values in (a, b))
    a, b = (np.where(known, values - mean[..., None, :], 0.0) for values, mean in ((a, mean_a), (b, mean_b)))
    determined = np.isfinite(count)[..., None]
    u, singular, vt = np.linalg.svd(np.where(determined, np.swapaxes(b, -1, -2) @ a, np.eye(3)))
    singular[..., 2] *= np.sign(np.linalg.det(u) * np.linalg.det(vt))
    u[..., :, 2] *= np.sign(np.linalg.det(u) * np.linalg.det(vt))[..., None]
    rotation = np.where(determined, u @ vt, np.nan)
    factor = np.ones(count.shape[:-1])
    if scale:
        with np.errstate(invalid="ignore", divide="ignore"):
            factor = singular.sum(-1) / np.square(a).sum((-1, -2))
    factor = np.where(determined[..., 0, 0], factor, np.nan)
    return rotation, mean_b - factor[..., None] * np.einsum("...ij,...j->...i", rotation, mean_a), factor


def _matched(estimate: xr.Dataset, truth: xr.Dataset) -> xr.Dataset:
    """The estimate with truth's frames, keypoints and individuals; NaN where it has none."""
    check(estimate, POSES3D)
    check(truth, POSES3D)
    units = [data["position"].attrs.get("units") for data in (estimate, truth)]
    if units[0] != units[1]:
        raise MismatchError(
            "estimate and truth", expected="the same unit", got=f"{units[0]} and {units[1]}", remedy="Convert one."
        )
    rows = {}
    for dim, label in (("time", "frame"), ("keypoint", "keypoint"), ("individual", "individual")):
        have, want = (pd.Index(data.coords[label].values) for data in (estimate, truth))
        rows[dim] = np.asarray(have.get_indexer(want))
        if dim == "individual" and len(have) == len(want) == 1:
            rows[dim] = np.zeros(1, dtype=np.intp)
        if (rows[dim] < 0).all():
            raise MismatchError(
                f"{label} of estimate and truth",
                expected=f"some in common, such as {want[0]}" if len(want) else "some in the truth",
                got=f"{', '.join(map(str, have[:5]))} in the estimate",
                remedy="Rename or renumber one of them; are they of the same recording?",
            )
    kept = [name for name in ("position", "confidence", "covariance") if name in estimate]
    matched = estimate[kept].isel({dim: np.maximum(row, 0) for dim, row in rows.items()})
    matched = matched.drop_vars([name for name in (*_DIMS, "frame") if name in matched.coords])
    for dim, row in rows.items():
        matched = matched.where(xr.DataArray(row >= 0, dims=dim))
    matched = matched.assign_coords({name: truth.coords[name] for name in (*_DIMS, "frame")})
    return matched.assign({name: matched[name].transpose(*POSES3D.variables[name].dims) for name in kept})


def _squared_mahalanobis(difference: Array, covariance: Array) -> Array:
    """(n,) of differences (n, 3) and covariances (n, 3, 3); infinite where the covariance is not positive definite."""
    values, vectors = np.linalg.eigh((covariance + np.swapaxes(covariance, -1, -2)) / 2)
    along = np.einsum("nij,ni->nj", vectors, difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        squared = (along**2 / values).sum(-1)
    return np.where((values > 0).all(-1), squared, np.inf)
