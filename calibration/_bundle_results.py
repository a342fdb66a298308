"""What goes into and comes out of a bundle adjustment; public in `calibration.bundle`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration._bundle_settings import BundleStatus
from calibration.rig import Rig
from calibration.transforms import RigidTransform

__all__ = ["BoardFrames", "BoardPoses", "BundleAdjustment", "CameraPrior", "PointAdjustment", "RigidLengths"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Adjustment:
    """What all adjustments tell."""

    rig: Rig
    residuals: Floats
    weights: Floats
    noise: Floats
    cost: float
    iterations: int
    gradient_norm: float
    status: BundleStatus
    labels: tuple[tuple[str, str], ...]
    covariance: Floats | None
    undetermined: tuple[tuple[str, str], ...]

    def standard_deviations(self, camera: str) -> dict[str, float]:
        """Standard deviation of every free parameter of a camera; NaN where there is no covariance.

        Raises:
            MismatchError: the rig has no camera of that name.
        """
        self.rig[camera]  # raises where there is none
        values = np.full(len(self.labels), np.nan) if self.covariance is None else np.sqrt(np.diag(self.covariance))
        return {name: float(value) for (one, name), value in zip(self.labels, values, strict=True) if one == camera}


@dataclass(frozen=True, eq=False)
class CameraPrior:
    """What is known of cameras from elsewhere: values and how sure they are.

    Attributes:
        rig: the values.
        labels: (camera, parameter) of what is known.
        covariance: (parameter, parameter) of those.
    """

    rig: Rig
    labels: tuple[tuple[str, str], ...]
    covariance: Floats | None


@dataclass(frozen=True, eq=False)
class BundleAdjustment(_Adjustment):
    """The outcome of `adjust_boards`.

    Attributes:
        rig: the cameras.
        residuals: (camera, frame, corner, 2) px, observed minus projected; NaN where unseen, and where the camera could
            not see the corner where it is now.
        weights: (camera, frame, corner) in [0, 1] that the loss gave; 0 for what was left out, NaN where unseen.
        noise: (camera,) px, standard deviation of a coordinate.
        cost: half the sum of the losses of the residuals in units of the noise that they were measured with.
        iterations: steps that were tried.
        gradient_norm: largest component of the gradient, each divided by the root of its own curvature and by the root
            mean square of the weighed residuals: so far, in standard deviations, is a parameter at most from its best
            value with all others held.
        status: how it ended.
        labels: (camera, parameter) of the free parameters of the cameras.
        covariance: (parameter, parameter) of those; None where not asked for or where the status is SINGULAR.
        undetermined: labels of parameters that the observations do not determine.
        world_from_board: (frame,) poses of the board.
        board_points: (corner, 3); changed only where the bend was free.
        height_covariance: (corner, corner) of the heights; None where the bend was not free or there is no covariance.
        board_covariance: (frame, 6, 6) of the poses; None where not asked for or there is no covariance.
    """

    world_from_board: RigidTransform
    board_points: Floats
    height_covariance: Floats | None
    board_covariance: Floats | None


@dataclass(frozen=True, eq=False)
class PointAdjustment(_Adjustment):
    """The outcome of `adjust_points`; what is not listed is as in `BundleAdjustment`.

    Attributes:
        residuals: (point, camera, 2) px, observed minus projected.
        weights: (point, camera).
        points: (point, 3); NaN for points that are left out.
        lengths: (part,) of the rigid parts, given or estimated.
        length_deviations: (part,) standard deviations of those; 0 where given; None where there is no covariance.
        point_covariance: (point, 3, 3); None where not asked for or there is no covariance.
        world_from_board: (frame,) where boards took part, else None.
        board_residuals: (camera, frame, corner, 2) px, where boards took part, else None.
        board_noise: (camera,) px, of the corners, where boards took part, else None.
    """

    points: Floats
    lengths: Floats
    length_deviations: Floats | None
    point_covariance: Floats | None
    world_from_board: RigidTransform | None
    board_residuals: Floats | None
    board_noise: Floats | None


@dataclass(frozen=True, eq=False)
class BoardPoses:
    """The outcome of `fit_board_poses`.

    Attributes:
        world_from_board: (frame,).
        residuals: (camera, frame, corner, 2) px, observed minus projected; NaN where unseen, and where the camera could
            not see the corner where the board is now.
        weights: (camera, frame, corner) in [0, 1] that the loss gave; 0 for what was left out, NaN where unseen.
        noise: (camera,) px, given or measured.
        status: (frame,) values of `BundleStatus`.
    """

    world_from_board: RigidTransform
    residuals: Floats
    weights: Floats
    noise: Floats
    status: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BoardFrames:
    """Frames of a board that take part in an adjustment of points; see `adjust_boards`.

    Attributes:
        board_points: (corner, 3).
        world_from_board: (frame,) starting values.
        position: (camera, frame, corner, 2) px, NaN where unseen.
    """

    board_points: Floats
    world_from_board: RigidTransform
    position: Floats


@dataclass(frozen=True, eq=False)
class RigidLengths:
    """Distances between points that stay the same, as those of a bone in all frames.

    Attributes:
        pairs: (pair, 2) numbers of points.
        parts: (pair,) number of the rigid part that the distance is of, from 0.
        values: (part,) its length, in the unit of the rig; NaN where it is to be estimated.
        deviations: (part,) standard deviation of the distance about the length: how rigid it is. Where the length is
            estimated and the scale is free, it is the share of the starting length that counts.
    """

    pairs: NDArray[np.int64]
    parts: NDArray[np.int64]
    values: Floats
    deviations: Floats
