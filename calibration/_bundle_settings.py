"""How to adjust, and how it ended; public as `calibration.bundle.BundleSettings` and `BundleStatus`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np

from calibration.errors import InvalidValueError

__all__ = ["LOSS", "OBSERVATIONS_PER_WORKER", "BundleSettings", "BundleStatus", "require"]

# name: number in the kernels, and where the loss bends, in units of the noise. The residual of a point is that of both
# its coordinates together. At these values the losses give away 5 % of the precision of pure Gaussian noise.
LOSS: dict[str, tuple[int, float]] = {"none": (0, 1.0), "cauchy": (1, 3.0), "huber": (2, 1.7), "tukey": (3, 5.5)}

# Threads cost more than they gain below this many observations each.
OBSERVATIONS_PER_WORKER = 5000


class BundleStatus(IntEnum):
    """How an adjustment ended."""

    CONVERGED = 0
    NOT_CONVERGED = 1
    SINGULAR = 2

    @property
    def meaning(self) -> str:
        """The status in words."""
        return _MEANINGS[self]


_MEANINGS = {
    BundleStatus.CONVERGED: "converged",
    BundleStatus.NOT_CONVERGED: "not converged",
    BundleStatus.SINGULAR: "some parameters are not determined by the observations",
}


@dataclass(frozen=True)
class BundleSettings:
    """How to adjust.

    Attributes:
        loss: "none" is plain least squares. The others bound the pull of outliers: "cauchy" and "tukey" until it
            vanishes, "huber" until it stays the same.
        noise: standard deviation of a pixel coordinate, one number or one per camera; None: measured from the
            residuals. With loss "none", None weighs all cameras alike.
        maximum_iterations: of each of the rounds between which the noise is measured again.
        gradient_tolerance: the adjustment has converged where `BundleAdjustment.gradient_norm` is below it.
        bend: whether the height of every corner over the plane of the board is estimated.
        covariance: whether that of the cameras is computed. Corners of one frame of a board may err together; with loss
            "none" and a given noise they are independent.
        local_covariance: whether that of every board or point is computed too.
        workers: threads; as many as processors by default. The result does not depend on it.
    """

    loss: Literal["none", "cauchy", "huber", "tukey"] = "cauchy"
    noise: float | tuple[float, ...] | None = None
    maximum_iterations: int = 100
    gradient_tolerance: float = 1e-5
    bend: bool = False
    covariance: bool = True
    local_covariance: bool = False
    workers: int | None = None

    def __post_init__(self) -> None:
        require("loss", self.loss in LOSS, f"one of {', '.join(LOSS)}", self.loss)
        if self.noise is not None:
            sigma = np.asarray(self.noise, dtype=np.float64)
            fine = sigma.ndim <= 1 and bool(np.all(np.isfinite(sigma) & (sigma > 0)))
            require("noise", fine, "positive pixels, one number or one per camera", self.noise)
        require("maximum_iterations", self.maximum_iterations >= 1, "at least 1", self.maximum_iterations)
        tolerance = np.isfinite(self.gradient_tolerance) and self.gradient_tolerance > 0
        require("gradient_tolerance", bool(tolerance), "a positive number", self.gradient_tolerance)
        require("workers", self.workers is None or self.workers >= 1, "at least 1 thread", self.workers)


def require(subject: str, fine: bool, expected: str, got: object) -> None:
    """Raise InvalidValueError unless `fine`."""
    if not fine:
        raise InvalidValueError(
            f"bundle adjustment, {subject}", expected=expected, got=str(got), remedy="Correct the argument."
        )
