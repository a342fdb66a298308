"""Cameras refined by matched 2D points, as keypoints of animals, as far as those know better than the calibration.

The points of one small animal hardly tell a turn of a camera from a shift, nor the scale of the world. Alone they move
good cameras by 0.2 to 0.7 degrees to fit noise. So what was known of the cameras counts as well, with its uncertainty
(`calibration.bundle.CameraPrior`), and the refined cameras are taken only where they predict frames better that they
were not fitted to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.bundle import (
    BundleAdjustment,
    BundleSettings,
    BundleStatus,
    CameraPrior,
    PointAdjustment,
    RigidLengths,
    adjust_points,
)
from calibration.errors import CalibrationError, InvalidValueError, MismatchError
from calibration.lens_models import LensModel
from calibration.rig import Rig
from calibration.triangulation import triangulate
from pose3d.reconstruction import match_cameras

__all__ = ["CameraMove", "Refinement", "RefinementSettings", "prior_of_calibration", "prior_of_rig", "refine_rig"]

Array = NDArray[np.float64]

_POSE = ("rx", "ry", "rz", "tx", "ty", "tz")
# Poses of cameras follow from some hundred points as well as from a million: what remains is the bias of the detector.
_MOST_POINTS = 3000
# A bone is called rigid to this share of its length: skin and clothing move by a few percent.
_RIGIDITY = 0.03
# Sum over the six numbers of a pose of the squared move, in standard deviations of the prior, from which on a camera
# counts as one that was moved. Of rigs without error it was 1.1 at most, of cameras turned by 1 degree and shifted by
# 5 mm it was 9 or more (docs/accuracy.md).
_MOVED = 6.0
# Settled to a thousandth of a standard deviation. One point that slides along its rays can hold up the end for some
# hundred steps beyond that, and moves no camera.
_FIT = BundleSettings(loss="cauchy", gradient_tolerance=1e-3, maximum_iterations=400)
# Residuals of points that a rig cannot place at all count as this many pixels.
_LOST = 100.0


@dataclass(frozen=True)
class RefinementSettings:
    """What is believed of a calibration, and when a refined one is taken instead.

    Attributes:
        rotation: degrees, standard deviation of how a camera of an existing calibration is turned. A calibration is
            better when it is made; this covers what happens to cameras since.
        position: standard deviation of where it stands, as a share of its distance from the points: 2 mm at 1 m.
        calibration_factor: the standard deviations of a calibration just made count times this: corners of pictures err
            together, and focal lengths were seen to be off by 1 to 5 of their standard deviations (docs/accuracy.md).
        blocks: the frames are cut into so many blocks, each of which is left out once.
        gain: the error of left-out frames has to fall by this share at least, and by two standard errors of the blocks.
            With rigs without error it changed by -0.1 to +0.9 % (14 simulated recordings).
    """

    rotation: float = 0.2
    position: float = 0.002
    calibration_factor: float = 3.0
    blocks: int = 5
    gain: float = 0.01

    def __post_init__(self) -> None:
        for name in ("rotation", "position", "calibration_factor"):
            value = getattr(self, name)
            _require(name, bool(np.isfinite(value)) and value > 0, "a positive number", value)
        _require("blocks", self.blocks >= 2, "2 or more", self.blocks)
        _require("gain", 0 <= self.gain < 1, "a share from 0 to 1", self.gain)


@dataclass(frozen=True)
class CameraMove:
    """How far the points would move a camera.

    Attributes:
        name: of the camera.
        rotation: radians it is turned by, and the standard deviation of that.
        distance: in the rig's unit, by which it is shifted, and the standard deviation of that.
    """

    name: str
    rotation: tuple[float, float]
    distance: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Refinement:
    """A refined rig, or the one there was, where the points do not know better.

    Attributes:
        rig: the cameras to use.
        accepted: whether they are the refined ones.
        reason: why, in words.
        adjustment: the outcome of the fit to all frames, taken or not.
        before, after: (camera,) px, median reprojection error of left-out frames with the cameras that there were, and
            with those refined by the other frames; NaN where frames were too few.
        moves: of every camera, taken or not.
        points: number of points in use.
    """

    rig: Rig
    accepted: bool
    reason: str
    adjustment: PointAdjustment
    before: Array
    after: Array
    moves: tuple[CameraMove, ...]
    points: int


@dataclass(frozen=True, eq=False)
class _Task:
    """What stays the same in all fits."""

    rig: Rig
    prior: CameraPrior
    models: Mapping[str, LensModel] | None
    lengths: Mapping[tuple[str, str], float]
    keypoints: list[str]

    def fit(self, pixels: Array, start: Rig, *, covariance: bool) -> PointAdjustment:
        """The cameras by frames (time, individual, keypoint, camera, 2)."""
        chosen = pixels.reshape(-1, *pixels.shape[-2:])
        outcome = triangulate(start, chosen, covariance=False)
        return adjust_points(
            start,
            outcome.points,
            np.where(outcome.inliers[..., None], chosen, np.nan),
            models=self.models,
            # what nothing is known of stays: it is the camera whose frame the calibration is in
            fixed_poses=tuple(name for name in self.rig.names if (name, _POSE[0]) not in self.prior.labels),
            lengths=_rigid(self.lengths, self.keypoints, pixels.shape[0] * pixels.shape[1]),
            prior=self.prior,
            settings=replace(_FIT, covariance=covariance),
        )


def refine_rig(
    rig: Rig,
    poses2d: xr.Dataset,
    *,
    lengths: Mapping[tuple[str, str], float] | None = None,
    models: Mapping[str, LensModel] | None = None,
    prior: CameraPrior | None = None,
    minimum_confidence: float = 0.0,
    settings: RefinementSettings | None = None,
) -> Refinement:
    """Refine the poses (and the lenses with a model) of the cameras that have 2D poses.

    Args:
        rig: the calibration to start from.
        poses2d: Poses2D Dataset.
        lengths: by pair of keypoints, their distance in the rig's unit; NaN where it only stays the same.
        models: free parameters of lenses, by camera; the prior has to know them.
        prior: what is known of the cameras; `prior_of_rig` by default. Cameras whose pose it does not know stay.
        minimum_confidence: 2D positions with less are left out.
        settings: see there.

    Raises:
        MismatchError: cameras or keypoints do not fit.
        CalibrationError: the points do not determine the cameras.
    """
    settings = settings or RefinementSettings()
    poses2d, matched = match_cameras(poses2d, rig)
    _check_all(rig, matched)
    pixels = _frames(poses2d, minimum_confidence)
    if prior is None:
        prior = prior_of_rig(matched, _middle(matched, pixels), settings)
    keypoints = [str(name) for name in poses2d["keypoint"].values]
    task = _Task(matched, prior, models, lengths or {}, keypoints)
    first = task.fit(pixels, matched, covariance=False).rig
    task = replace(task, prior=_released(prior, first))
    adjusted = task.fit(pixels, first, covariance=True)
    refined = adjusted.rig
    errors = _held_out(task, pixels, refined, settings.blocks)
    accepted, reason = _judge(adjusted.status, errors, settings)
    return Refinement(
        rig=Rig(refined.cameras, unit=rig.unit, metadata=rig.metadata) if accepted else rig,
        accepted=accepted,
        reason=reason,
        adjustment=adjusted,
        before=_medians(errors[0]),
        after=_medians(errors[1]),
        moves=tuple(_move(matched, adjusted, name) for name in matched.names),
        points=int(np.isfinite(adjusted.points).all(axis=-1).sum()),
    )


def prior_of_rig(rig: Rig, middle: Array, settings: RefinementSettings | None = None) -> CameraPrior:
    """What is known of the poses of an existing calibration, whose file does not say how sure they are.

    Args:
        rig: the cameras.
        middle: (3,) of the points.
        settings: the standard deviations.
    """
    settings = settings or RefinementSettings()
    deviations = [
        value
        for camera in rig
        for value in [np.deg2rad(settings.rotation)] * 3
        + [settings.position * max(float(np.linalg.norm(camera.center - middle)), 1e-9)] * 3
    ]
    labels = tuple((name, parameter) for name in rig.names for parameter in _POSE)
    return CameraPrior(rig, labels, np.diag(np.square(deviations)))


def prior_of_calibration(
    adjustment: BundleAdjustment, settings: RefinementSettings | None = None
) -> CameraPrior | None:
    """What a calibration just made knows of its cameras and lenses; None where it has no covariance."""
    settings = settings or RefinementSettings()
    if adjustment.covariance is None:
        return None
    return CameraPrior(adjustment.rig, adjustment.labels, settings.calibration_factor**2 * adjustment.covariance)


def _released(prior: CameraPrior, fitted: Rig) -> CameraPrior:
    """The prior, less sure of cameras that the points have pulled away from it.

    A bump is no error of a calibration: a camera that has moved must neither be held nor pull the others along. Its
    standard deviations grow until the move is one of them.
    """
    assert prior.covariance is not None  # asked for where it was made
    factors = np.ones(len(prior.labels))
    for name in fitted.names:
        places = [prior.labels.index((name, each)) for each in _POSE if (name, each) in prior.labels]
        if not places:
            continue
        own = prior.covariance[np.ix_(places, places)]
        move = fitted[name].cam_from_world @ prior.rig[name].cam_from_world.inverse()
        step = np.concatenate([move.rotation_vector, move.translation])
        square = float(step @ np.linalg.solve(own, step))
        if square > _MOVED:
            factors[places] = np.sqrt(square / _MOVED)
    return replace(prior, covariance=prior.covariance * np.outer(factors, factors))


def _frames(poses2d: xr.Dataset, minimum_confidence: float) -> Array:
    """(time, individual, keypoint, camera, 2) px of frames spread over the recording, NaN where not believed."""
    ordered = poses2d.transpose("time", "individual", "keypoint", "camera", "space", ...)
    pixels = ordered["position"].values.astype(np.float64)
    confident = ordered["confidence"].values >= minimum_confidence
    pixels = np.where(confident[..., None], pixels, np.nan)
    seen = np.flatnonzero((np.isfinite(pixels).all(axis=-1).sum(axis=-1) >= 2).any(axis=(1, 2)))
    most = max(_MOST_POINTS // (pixels.shape[1] * pixels.shape[2]), 1)
    places = np.unique(np.linspace(0, max(len(seen) - 1, 0), most).astype(np.intp))
    return np.asarray(pixels[seen[places]] if len(seen) else pixels[:0])


def _middle(rig: Rig, pixels: Array) -> Array:
    points = triangulate(rig, pixels.reshape(-1, *pixels.shape[-2:]), covariance=False).points
    known = points[np.isfinite(points).all(axis=-1)]
    if not len(known):
        raise CalibrationError(
            "refinement by 2D poses",
            expected="points that two or more cameras agree on",
            got="none",
            remedy="Use the 2D poses of this rig, matched in time; of a rig that is far off make a new calibration.",
        )
    return np.asarray(np.median(known, axis=0))


def _held_out(task: _Task, pixels: Array, refined: Rig, blocks: int) -> tuple[Array, Array, NDArray[np.intp]]:
    """Residuals (2D position, camera) px of left-out frames before and after, and the block of each (2D position,).

    Empty where there are fewer frames than blocks.
    """
    rows = np.arange(len(pixels))
    parts = np.array_split(rows, blocks) if len(rows) >= blocks else []
    before, after, numbers = [np.empty((0, len(task.rig)))], [np.empty((0, len(task.rig)))], [np.empty(0, np.intp)]
    for number, part in enumerate(parts):
        others = task.fit(pixels[np.setdiff1d(rows, part)], refined, covariance=False)
        before.append(_residuals(task.rig, pixels[part]))
        after.append(_residuals(others.rig, pixels[part]))
        numbers.append(np.full(len(before[-1]), number))
    return np.concatenate(before), np.concatenate(after), np.concatenate(numbers)


def _residuals(rig: Rig, pixels: Array) -> Array:
    """(point, camera) px, of every position that at least one more camera saw; NaN elsewhere."""
    chosen = pixels.reshape(-1, *pixels.shape[-2:])
    seen = np.isfinite(chosen).all(axis=-1)
    seen &= (seen.sum(axis=-1) >= 2)[:, None]
    found = triangulate(rig, chosen, covariance=False).residuals
    return np.where(seen, np.minimum(np.nan_to_num(found, nan=_LOST), _LOST), np.nan)


def _judge(
    status: BundleStatus, errors: tuple[Array, Array, NDArray[np.intp]], settings: RefinementSettings
) -> tuple[bool, str]:
    """Whether to take the refined cameras, and why."""
    before, after, blocks = errors
    if status != BundleStatus.CONVERGED:
        return False, f"the fit has not come to its end ({status.meaning})"
    if not len(blocks):
        return False, f"fewer than {settings.blocks} frames have points, so that none could be left out as a check"
    changes = np.array(
        [
            np.log(max(float(np.nanmedian(after[own])), 1e-6) / max(float(np.nanmedian(before[own])), 1e-6))
            for number in range(settings.blocks)
            for own in (blocks == number,)
        ]
    )
    error = changes.std(ddof=1) / np.sqrt(len(changes))
    told = f"{np.nanmedian(before):.2f} -> {np.nanmedian(after):.2f} px"
    if changes.mean() < np.log1p(-settings.gain) and changes.mean() + 2 * error < 0:
        return True, f"left-out frames fit better ({told})"
    return False, f"left-out frames do not fit better by more than chance ({told})"


def _move(rig: Rig, adjusted: PointAdjustment, name: str) -> CameraMove:
    old, new = rig[name].cam_from_world, adjusted.rig[name].cam_from_world
    turn = (new @ old.inverse()).rotation_vector
    shift = new.rotation @ (adjusted.rig[name].center - rig[name].center)
    places = [adjusted.labels.index((name, each)) for each in _POSE if (name, each) in adjusted.labels]
    own = np.zeros((6, 6)) if not places else np.full((6, 6), np.nan)
    if places and adjusted.covariance is not None:
        own = adjusted.covariance[np.ix_(places, places)]
    return CameraMove(name, _along(turn, own[:3, :3]), _along(shift, own[3:, 3:]))


def _along(vector: Array, covariance: Array) -> tuple[float, float]:
    """Length of a vector and its standard deviation in that direction."""
    length = float(np.linalg.norm(vector))
    variance = vector @ covariance @ vector / length**2 if length > 0 else np.trace(covariance) / 3
    return length, float(np.sqrt(variance))


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


def _require(name: str, fine: bool, expected: str, got: object) -> None:
    if not fine:
        raise InvalidValueError(f"refinement, {name}", expected=expected, got=str(got), remedy="Correct the argument.")
