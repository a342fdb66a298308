"""Cameras refined by matched 2D points, as keypoints of animals, with rigid lengths as soft constraints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.bundle import BoardFrames, BundleSettings, CameraPrior, PointAdjustment, RigidLengths, adjust_points
from calibration.errors import MismatchError
from calibration.lens_models import LensModel
from calibration.rig import Rig
from calibration.triangulation import triangulate
from pose3d.reconstruction import match_cameras

__all__ = ["Refinement", "refine_rig"]

Array = NDArray[np.float64]

# Poses of cameras follow from some hundred points as well as from a million: what remains is the bias of the detector.
_MOST_POINTS = 4000
# A bone is called rigid to this share of its length: skin and clothing move by a few percent.
_RIGIDITY = 0.03


@dataclass(frozen=True, eq=False)
class Refinement:
    """A refined rig.

    Attributes:
        rig: the cameras.
        adjustment: the outcome.
        before, after: (camera,) px, median reprojection error of the points before and after.
        points: number of points in use.
    """

    rig: Rig
    adjustment: PointAdjustment
    before: Array
    after: Array
    points: int


def refine_rig(
    rig: Rig,
    poses2d: xr.Dataset,
    *,
    lengths: Mapping[tuple[str, str], float] | None = None,
    models: Mapping[str, LensModel] | None = None,
    boards: BoardFrames | None = None,
    prior: CameraPrior | None = None,
    minimum_confidence: float = 0.0,
) -> Refinement:
    """Refine the poses (and the lenses with a model) of the cameras that have 2D poses.

    Args:
        rig: the calibration to start from.
        poses2d: Poses2D Dataset.
        lengths: by pair of keypoints, their distance in the rig's unit; NaN where it only stays the same.
        models: free parameters of lenses, by camera.
        boards: frames of a board that take part.
        prior: what is known of the cameras from elsewhere.
        minimum_confidence: 2D positions with less are left out.

    Raises:
        MismatchError: cameras or keypoints do not fit.
        CalibrationError: the points do not determine the cameras.
    """
    poses2d, matched = match_cameras(poses2d, rig)
    _check_all(rig, matched)
    keypoints = [str(name) for name in poses2d["keypoint"].values]
    ordered = poses2d.transpose("time", "individual", "keypoint", "camera", "space", ...)
    pixels = ordered["position"].values.astype(np.float64)
    confident = ordered["confidence"].values >= minimum_confidence
    pixels = np.where(confident[..., None], pixels, np.nan)
    per_row = pixels.shape[1] * pixels.shape[2]
    rows = np.unique(np.linspace(0, len(pixels) - 1, max(_MOST_POINTS // per_row, 1)).astype(np.intp))
    chosen = pixels[rows].reshape(-1, len(matched), 2)
    outcome = triangulate(matched, chosen, covariance=False)
    believed = np.where(outcome.inliers[..., None], chosen, np.nan)
    rigid = _rigid(lengths or {}, keypoints, len(rows) * pixels.shape[1])
    adjusted = adjust_points(
        matched,
        outcome.points,
        believed,
        models=models,
        lengths=rigid,
        boards=boards,
        prior=prior,
        settings=BundleSettings(loss="cauchy"),
    )
    return Refinement(
        rig=Rig(adjusted.rig.cameras, unit=rig.unit, metadata=rig.metadata),
        adjustment=adjusted,
        before=_medians(np.where(outcome.inliers, outcome.residuals, np.nan)),
        after=_medians(np.hypot(adjusted.residuals[..., 0], adjusted.residuals[..., 1])),
        points=int(np.isfinite(adjusted.points).all(axis=-1).sum()),
    )


def _check_all(rig: Rig, matched: Rig) -> None:
    missing = [name for name in rig.names if name not in matched.names]
    if missing:
        raise MismatchError(
            f"camera '{missing[0]}'",
            expected="2D poses of every camera of the rig",
            got="none",
            remedy="Add its 2D poses; a camera that is not refined would no longer fit to the others.",
        )


def _rigid(lengths: Mapping[tuple[str, str], float], keypoints: list[str], groups: int) -> RigidLengths | None:
    """Each length in each pose (one of `groups` sets of keypoints)."""
    if not lengths:
        return None
    for name in {name for pair in lengths for name in pair}:
        if name not in keypoints:
            raise MismatchError(
                f"--length, keypoint '{name}'",
                expected=f"one of {', '.join(keypoints)}",
                got=f"'{name}'",
                remedy="Use the names in the 2D poses.",
            )
    starts = np.arange(groups) * len(keypoints)
    ends = np.array([[keypoints.index(name) for name in pair] for pair in lengths])
    values = np.array(list(lengths.values()), dtype=np.float64)
    typical = np.where(np.isfinite(values), values, np.nanmean(values) if np.isfinite(values).any() else 1.0)
    return RigidLengths(
        pairs=(starts[:, None, None] + ends).reshape(-1, 2),
        parts=np.tile(np.arange(len(ends)), groups),
        values=values,
        deviations=_RIGIDITY * typical,
    )


def _medians(residuals: Array) -> Array:
    """(camera,) median over the points; NaN for a camera that sees none."""
    return np.array([np.nanmedian(each) if np.isfinite(each).any() else np.nan for each in residuals.T])
