"""What the cameras report of moving animals: occlusion by bodies, noise, outliers, gaps, left for right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.rig import Rig
from calibration.synthetic import observe
from pose3d.skeleton import Skeleton
from pose3d.synthetic._quadruped import Capsules
from pose3d.synthetic.settings import SimulationSettings

__all__ = ["Detections", "detect", "occluded_by"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Networks are less precise on some images than on others: the spread of the logarithm of the noise.
_NOISE_SPREAD = 0.4
# A guess at a hidden keypoint is this many times less precise than a detection.
_GUESS_NOISE = 6.0
# Noise, relative to its usual size, at which confidence has fallen to one half.
_HALF_CONFIDENCE_NOISE = 4.0


@dataclass(frozen=True, eq=False)
class Detections:
    """Reported positions and what is true of them; the axes are (time, camera, individual, keypoint).

    Attributes:
        pixels: (..., 2) px, NaN where nothing is reported.
        confidence: in [0, 1]; 0 where nothing is reported.
        visible: the keypoint is in the image (it may be occluded).
        occluded: a body is between the camera and the keypoint.
        outlier: the reported position has nothing to do with the keypoint.
        swapped: the reported position is the one of the mirrored keypoint.
    """

    pixels: Array
    confidence: Array
    visible: Mask
    occluded: Mask
    outlier: Mask
    swapped: Mask


def detect(
    rig: Rig, points: Array, capsules: Capsules, skeleton: Skeleton, settings: SimulationSettings, *, seed: int
) -> Detections:
    """What `rig` reports of keypoints.

    Confidence falls with the noise that a position was given, has a random part, and is 1/3 on average for outliers: it
    tells something about the error, but not all.

    Args:
        rig: the cameras.
        points: (time, individual, keypoint, 3) in the rig's unit.
        capsules: the bodies, (time, individual x capsule).
        skeleton: names the mirrored pairs.
        settings: noise, outlier, dropout and swap rate, and occlusion.
        seed: of all random draws.
    """
    rng = np.random.default_rng([seed, 1])
    occluded = np.stack([occluded_by(capsules, camera.center, points) for camera in rig], axis=-1)
    precision = np.exp(_NOISE_SPREAD * (rng.standard_normal(occluded.shape) - _NOISE_SPREAD))
    if settings.occlusion == "guess":
        precision[occluded] *= _GUESS_NOISE
    observation = observe(
        rig,
        points,
        noise=settings.noise * precision,
        outlier_rate=settings.outlier_rate,
        dropout_rate=settings.dropout_rate,
        seed=seed,
    )
    pixels, confidence, outlier = observation.pixels, observation.confidence, observation.outlier
    confidence = np.where(outlier, confidence, confidence / (1 + (precision / _HALF_CONFIDENCE_NOISE) ** 2))
    if settings.occlusion == "drop":
        pixels, confidence, outlier = pixels.copy(), confidence.copy(), outlier & ~occluded
        pixels[occluded] = np.nan
        confidence[occluded] = 0.0
    # (time, individual, keypoint, camera) -> (time, camera, individual, keypoint)
    pixels = np.moveaxis(pixels, 3, 1).copy()
    confidence = np.moveaxis(confidence, 3, 1).copy()
    visible, occluded, outlier = (
        np.moveaxis(mask, 3, 1).copy() for mask in (observation.visible, occluded & observation.visible, outlier)
    )
    swapped = _swap(skeleton, settings.swap_rate, rng, (pixels, confidence, outlier))
    return Detections(pixels, confidence, visible, occluded, outlier, swapped)


def occluded_by(capsules: Capsules, center: Array, points: Array) -> Mask:
    """(time, individual, keypoint): is a capsule between the camera at `center` (3,) and the points (..., 3)?

    A keypoint is hidden where the segment from the camera to it comes closer to the axis of a capsule than its radius.
    """
    hidden = np.zeros(points.shape[:-1], dtype=bool)
    for index, radius in enumerate(capsules.radius):
        start, end = (ends[:, index, None, None, :] for ends in (capsules.start, capsules.end))
        hidden |= _segment_distance(center, points, start, end) < radius
    return hidden


def _segment_distance(p: Array, q: Array, a: Array, b: Array) -> Array:
    """Distance between the segments p-q and a-b, all (..., 3) (Ericson, Real-Time Collision Detection, 2005, 5.1.9)."""
    along, axis, between = q - p, b - a, p - a
    aa, ee = np.sum(along * along, axis=-1), np.sum(axis * axis, axis=-1)
    f, c, mixed = np.sum(axis * between, axis=-1), np.sum(along * between, axis=-1), np.sum(along * axis, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        determinant = aa * ee - mixed * mixed
        s = np.where(determinant > 0, np.clip((mixed * f - c * ee) / determinant, 0.0, 1.0), 0.0)
        t = np.clip((mixed * s + f) / ee, 0.0, 1.0)
        s = np.clip((mixed * t - c) / aa, 0.0, 1.0)
    return np.linalg.norm(between + s[..., None] * along - t[..., None] * axis, axis=-1)


def _swap(skeleton: Skeleton, rate: float, rng: np.random.Generator, arrays: tuple[Array | Mask, ...]) -> Mask:
    """Exchange mirrored keypoints in arrays (time, camera, individual, keypoint, ...) in place; returns where."""
    swapped = np.zeros(arrays[0].shape[:4], dtype=bool)
    for pair in skeleton.mirrored_pairs:
        left, right = (skeleton.keypoints.index(name) for name in pair)
        chosen = rng.random(swapped.shape[:3]) < rate
        swapped[..., left] = swapped[..., right] = chosen
        for array in arrays:
            kept = array[:, :, :, left][chosen].copy()
            array[:, :, :, left][chosen] = array[:, :, :, right][chosen]
            array[:, :, :, right][chosen] = kept
    return swapped
