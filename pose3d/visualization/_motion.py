"""Are the videos in step? How the residuals of each camera lie along the motion of the keypoints."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Motion"]

Array = NDArray[np.float64]

# A shift between cameras is estimated from keypoints that move at least so many pixels per frame.
_LEAST_MOTION = 0.3
_LEAST_SAMPLES = 100
# More samples than this add computing time, but hardly knowledge: neighboring ones are alike.
_MOST_SAMPLES = 20_000
_STRETCHES = 10
_ITERATIONS = 30
# How much a shift explains is seen where it matters: in the quarter of the samples with the fastest motion.
_FAST = 0.75


class Motion:
    """Collects residuals and velocities of moving keypoints, and estimates by how many frames each camera is ahead.

    A camera that is d frames ahead reports a keypoint d times its motion per frame away from where it should be, along
    the motion. A camera that is calibrated wrongly, or whose detections are biased, reports it away by an offset that
    does not depend on the motion. So residual = d * velocity + offset is fitted, by least absolute distances, which
    outliers hardly move. Differences between `half` frames before and after leave out the frame itself, so that the
    noise of its 3D position does not bias the ratio.
    """

    def __init__(self, cameras: int, half: int) -> None:
        self._half = half
        self._residuals: list[list[NDArray[np.float32]]] = [[] for _ in range(cameras)]
        self._velocities: list[list[NDArray[np.float32]]] = [[] for _ in range(cameras)]

    def add(self, residual: Array, projected: Array, frames: NDArray[np.int64]) -> None:
        """Take residuals and projections (time, camera, individual, keypoint, 2) of consecutive rows."""
        half = self._half
        even = (frames[2 * half :] - frames[: -2 * half]) == 2 * half
        velocity = (projected[2 * half :] - projected[: -2 * half])[even] / (2 * half)
        middle = residual[half:-half][even]
        known = np.isfinite(middle).all(axis=-1)
        with np.errstate(invalid="ignore"):
            moving = known & (np.hypot(velocity[..., 0], velocity[..., 1]) > _LEAST_MOTION)
        for camera in range(len(self._residuals)):
            self._residuals[camera].append(middle[:, camera][moving[:, camera]].astype(np.float32))
            self._velocities[camera].append(velocity[:, camera][moving[:, camera]].astype(np.float32))

    def shifts(self) -> Array:
        """(camera, 3) estimate and standard error in frames, and explained share; NaN where too little moves.

        The explained share says by how much the median distance of the residuals from their offset shrinks, in fast
        motion, when the shift is taken out: 0 where it explains nothing, 1 where it explains everything.
        """
        result = np.full((len(self._residuals), 3), np.nan)
        for camera, pair in enumerate(zip(self._residuals, self._velocities, strict=True)):
            residual, velocity = (
                np.concatenate([np.zeros((0, 2), np.float32), *parts]).astype(np.float64) for parts in pair
            )
            if len(residual) >= _LEAST_SAMPLES:
                step = -(-len(residual) // _MOST_SAMPLES)
                result[camera] = _fit_with_error(residual[::step], velocity[::step])
        return result


def _fit_with_error(residual: Array, velocity: Array) -> tuple[float, float, float]:
    """Shift, its standard error and the explained share, of samples (n, 2) in the order of time.

    The standard error is that of a jackknife over stretches of time: neighboring samples are not independent, and where
    the motion is so even that offset and shift cannot be told apart, it becomes large.
    """
    shift, _ = _fit(residual, velocity)
    stretch = np.arange(len(residual)) * _STRETCHES // len(residual)
    without = np.array([_fit(residual[stretch != n], velocity[stretch != n])[0] for n in range(_STRETCHES)])
    error = np.sqrt((_STRETCHES - 1) * np.mean((without - without.mean()) ** 2))
    speed = np.linalg.norm(velocity, axis=1)
    fast = speed >= np.quantile(speed, _FAST)
    before, after = (_typical_distance((residual - factor * velocity)[fast]) for factor in (0.0, shift))
    return shift, float(error), 1 - after / before if before > 0 else 0.0


def _fit(residual: Array, velocity: Array) -> tuple[float, Array]:
    """Shift and offset (2,) that minimize the sum of |residual - shift * velocity - offset|, by reweighting."""
    shift, offset = 0.0, np.median(residual, axis=0)
    for _ in range(_ITERATIONS):
        distance = np.linalg.norm(residual - shift * velocity - offset, axis=1)
        # Below a tenth of the typical distance all weigh the same, so that no weight is infinite.
        weight = 1 / np.maximum(distance, max(0.1 * float(np.median(distance)), 1e-9))
        weight /= weight.sum()
        mean_residual, mean_velocity = weight @ residual, weight @ velocity
        centered = velocity - mean_velocity
        spread = float(weight @ (centered**2).sum(axis=1))
        slope = float(weight @ (centered * (residual - mean_residual)).sum(axis=1))
        shift = slope / spread if spread > 0 else 0.0
        offset = mean_residual - shift * mean_velocity
    return shift, offset


def _typical_distance(residual: Array) -> float:
    """Median distance from the median."""
    return float(np.median(np.linalg.norm(residual - np.median(residual, axis=0), axis=1)))
