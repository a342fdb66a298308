"""What is learned of a recording before it is reconstructed; public as `pose3d.reconstruction.TrajectoryModel`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bones", "NoiseModel", "TrajectoryModel"]

Array = NDArray[np.float64]

# Of the deviation of a position from its frame alone: its square is the inverse of a condition number.
_LEAST = 3e-5


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """How 2D positions scatter about the truth: a Gaussian core, a wider Gaussian tail, and positions that are lost.

    The density of a 2D error e with covariance S is (1 - t - l) N(e; S) + t N(e; w S) + l / area: a redescending loss,
    whose weight of a view is how much more likely it is of the core than of what is lost.

    Attributes:
        deviation: (keypoint, camera) standard deviation of a pixel coordinate at confidence 1, px; where the 2D poses
            have covariances, the factor by which deviations are larger than these say.
        tail, lost: (keypoint,) shares t and l.
        width: (keypoint,) factor w of the variance of the tail.
        area: (keypoint,) of the image in units of 2 pi sqrt(det S) at confidence 1.
    """

    deviation: Array
    tail: Array
    width: Array
    lost: Array
    area: Array

    def loss(self) -> Array:
        """(keypoint, 3) the numbers the kernels need: tail over core, its variance, lost over core, all densities."""
        core = 1.0 - self.tail - self.lost
        return np.stack(
            [self.tail / core / self.width, self.width, np.maximum(self.lost, 1e-9) / core / self.area], axis=-1
        )

    def shares(self, squared: Array, spread: Array) -> tuple[Array, Array, Array]:
        """Probabilities of core, tail and lost of views, each (..., keypoint, camera).

        Args:
            squared: (..., keypoint, camera) squared Mahalanobis distances.
            spread: (..., keypoint, camera) root of the determinant of their covariance, see `Views.table`.
        """
        tail, width, lost = (column[:, None] for column in self.loss().T)
        lost = lost * spread
        with np.errstate(invalid="ignore"):
            core = np.exp(-0.5 * squared)
            wide = tail * np.exp(-0.5 * squared / width)
        total = core + wide + lost
        return core / total, wide / total, lost / total

    def cost(self, squared: Array, spread: Array) -> Array:
        """(..., keypoint, camera) minus the log likelihood of views, 0 for one that is where it should be.

        Args:
            squared, spread: as for `shares`.
        """
        tail, width, lost = (column[:, None] for column in self.loss().T)
        lost = lost * spread
        with np.errstate(invalid="ignore"):
            total = np.exp(-0.5 * squared) + tail * np.exp(-0.5 * squared / width) + lost
        return np.asarray(-np.log(total / (1.0 + tail + lost)))


@dataclass(frozen=True, eq=False)
class Bones:
    """Pairs of keypoints whose distance is held, softly.

    Attributes:
        pairs: (bone, 2) numbers of keypoints.
        length: (individual, bone) in the rig's unit; NaN where it could not be learned, and is not held.
        deviation: (individual, bone) by which the length varies.
        length_deviation: (individual, bone) standard deviation of the learned length.
    """

    pairs: NDArray[np.int64]
    length: Array
    deviation: Array
    length_deviation: Array


@dataclass(frozen=True, eq=False)
class TrajectoryModel:
    """What `reconstruct` knows of noise, motion and bones.

    Attributes:
        noise: of the 2D positions.
        smoothness: (individual, keypoint) standard deviation of the derivative that is white noise, see
            `TrajectorySettings.smoothness`.
        loosened: the factor by which smoothness is larger than by marginal likelihood.
        score: mean log predictive density of the views of held-out cameras; minus infinity where none was held out.
        interval: seconds (or frames) between frames, to which the smoothness refers.
        bones: None where no lengths are held.
        correlation: (keypoint, lag + 1) of the noise of a camera with that some frames later.
        alone: (individual, keypoint) typical variance, the sum over the axes, of a position from its frame alone; NaN
            where unknown.
        rounds: how many rounds of learning it took.
    """

    noise: NoiseModel
    smoothness: Array
    loosened: float
    score: float
    interval: float
    bones: Bones | None
    correlation: Array
    alone: Array
    rounds: int

    def least_smoothness(self, order: int) -> Array:
        """(individual, keypoint) below which smoothness is not taken.

        The smoother would average over hundreds of frames, and its normal matrix would be singular to rounding.
        """
        return np.asarray(_LEAST * np.sqrt(np.nan_to_num(self.alone) / 3) / self.interval**order)
