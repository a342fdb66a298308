"""What frames show of a rig that was fitted without them: cross-validation over blocks of frames.

Neighbors in time show nearly the same, so that frames are left out in blocks. Where that takes most views of a camera
at once, its frames are dealt out one by one instead: a rig must be left that the prediction is of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration._joint_fit import JointFit
from calibration._rig_start import Start, board_views
from calibration.bundle import BundleAdjustment, fit_board_poses
from calibration.triangulation import triangulate

__all__ = ["HeldOut", "hold_out"]

Array = NDArray[np.float64]

# Corners that the robust loss gives less weight than this, in left-out frames, are outliers: of two cameras nobody else
# could tell.
_BELIEVED = 0.2
# The gradient at which a fit without a block is ended: a hundredth of a standard deviation changes no prediction.
_TOLERANCE = 0.01
# A block that has more than this share of the views of a camera leaves too little of it.
_LARGEST_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What frames show of a rig that was fitted without them.

    Attributes:
        residuals: (camera, frame, corner, 2) px, observed minus projected; only the pose of the board was fitted. NaN
            where nothing was seen, and of cameras that the other frames do not tie to the first one.
        points: (frame, corner, 3) corners triangulated by that rig, without outliers; the triangulation knows nothing
            of the board. NaN where fewer than two cameras see them.
    """

    residuals: Array
    points: Array


def hold_out(start: Start, joint: JointFit, adjustment: BundleAdjustment, folds: int) -> HeldOut | None:
    """Leave out each block of frames once; the fit of the others starts at that of all. None with too few frames.

    Args:
        start: the frames.
        joint: how they were adjusted.
        adjustment: the outcome.
        folds: number of blocks.
    """
    views = board_views(start.position)
    several = np.flatnonzero(views.sum(axis=0) > (len(start.rig) > 1))
    if len(several) < 2 * folds:
        return None
    residuals = np.full(start.position.shape, np.nan)
    points = np.full((*start.position.shape[1:3], 3), np.nan)
    noise = tuple(adjustment.noise.tolist())
    settings = replace(joint.settings, covariance=False, noise=noise, gradient_tolerance=_TOLERANCE)
    joint = replace(joint, settings=settings)
    blocks = _blocks(views[:, several], folds)
    begin = replace(start, rig=adjustment.rig, world_from_board=adjustment.world_from_board)
    for left_out in (several[blocks == fold] for fold in range(folds)):
        kept = np.setdiff1d(np.arange(len(start.frames)), left_out)
        tied = _tied(views[:, kept])
        fitted = joint.run(begin, kept, held=[name for name, one in zip(start.rig.names, tied, strict=True) if not one])
        left_out = left_out[views[np.ix_(tied, left_out)].any(axis=0)]
        if not len(left_out):
            continue
        poses, shown = begin.at(left_out)
        shown[~tied] = np.nan
        seen_again = fit_board_poses(fitted.rig, fitted.board_points, shown, start=poses)
        residuals[:, left_out] = seen_again.residuals
        if len(start.rig) > 1:
            believed = np.where(seen_again.weights[..., None] > _BELIEVED, shown, np.nan)
            found = triangulate(fitted.rig, np.moveaxis(believed, 0, 2), method="linear", noise=1.0, covariance=False)
            points[left_out] = found.points
    return HeldOut(residuals, points)


def _blocks(views: NDArray[np.bool_], folds: int) -> NDArray[np.intp]:
    """(frame,) number of the block of each frame, from what each camera sees (camera, frame)."""
    count = views.shape[1]
    blocks = np.arange(count) * folds // count
    for seen in views[np.argsort(-views.sum(axis=1), kind="stable")]:  # those with fewest views have the last word
        own = np.flatnonzero(seen)
        if len(own) and np.bincount(blocks[own]).max() > _LARGEST_SHARE * len(own):
            blocks[own] = np.arange(len(own)) % folds
    return blocks


def _tied(views: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(camera,) whether frames (camera, frame) tie a camera to the first one, directly or through others."""
    together = views.astype(np.intp) @ views.T.astype(np.intp) > 0
    tied = np.arange(len(views)) == 0
    for _ in range(len(views)):
        tied |= together[tied].any(axis=0)
    return np.asarray(tied)
