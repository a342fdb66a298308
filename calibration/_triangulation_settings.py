"""How to triangulate; public as `calibration.triangulation.TriangulationSettings`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from calibration.errors import InvalidValueError

__all__ = ["TriangulationSettings", "is_whole", "require"]


@dataclass(frozen=True)
class TriangulationSettings:
    """How to triangulate.

    Attributes:
        method: "robust" or "linear".
        threshold: largest residual of an inlier in pixels; None: 4.5 times the noise, see `estimate_noise`.
        noise: standard deviation of a pixel coordinate at confidence 1, one number or one per camera; None: estimated
            from the residuals.
        minimum_confidence: a camera with less confidence in a point counts as not seeing it.
        minimum_angle: radians between the two widest rays in use, below which there is no point. At the default of one
            degree the depth is 57 times as uncertain as the other directions.
        seed: chooses the pairs of cameras where more than eight see a point; up to eight all pairs are tried. Chooses
            the points that the noise is learned from.
    """

    method: Literal["robust", "linear"] = "robust"
    threshold: float | None = None
    noise: float | tuple[float, ...] | None = None
    minimum_confidence: float = 0.0
    minimum_angle: float = float(np.deg2rad(1.0))
    seed: int = 0

    def __post_init__(self) -> None:
        require("method", self.method in ("robust", "linear"), "'robust' or 'linear'", self.method)
        numeric = self.threshold is None or (np.isfinite(self.threshold) and self.threshold > 0)
        require("threshold", bool(numeric), "a positive number of pixels", self.threshold)
        if self.noise is not None:
            sigma = np.asarray(self.noise, dtype=np.float64)
            fine = sigma.ndim <= 1 and bool(np.all(np.isfinite(sigma) & (sigma > 0)))
            require("noise", fine, "positive pixels, one number or one per camera", self.noise)
        require("minimum_confidence", 0 <= self.minimum_confidence <= 1, "0 to 1", self.minimum_confidence)
        angle = 0 <= self.minimum_angle < np.pi / 2
        require("minimum_angle", bool(angle), "radians from 0 to less than pi / 2", self.minimum_angle)
        require("seed", is_whole(self.seed, 0), "a whole number from 0", self.seed)


def is_whole(value: object, lowest: int) -> bool:
    """Whether a value is a whole number, at least `lowest`."""
    return isinstance(value, int | np.integer) and int(value) >= lowest


def require(subject: str, fine: bool, expected: str, got: object) -> None:
    """Raise InvalidValueError unless `fine`."""
    if not fine:
        raise InvalidValueError(
            f"triangulate, {subject}", expected=expected, got=str(got), remedy="Correct the argument."
        )
