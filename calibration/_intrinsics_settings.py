"""How to calibrate a lens; public as `calibration.intrinsics.IntrinsicsSettings`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.errors import InvalidValueError

__all__ = ["IntrinsicsSettings", "require"]


@dataclass(frozen=True)
class IntrinsicsSettings:
    """How to calibrate a lens.

    Attributes:
        maximum_views: so many views are used; of more, those that cover the image and the tilts best.
        minimum_views: fewer do not make a calibration.
        minimum_corners: a view with fewer is left out.
        outlier_threshold: a corner that is off by more, in standard deviations of a coordinate, is left out. Of good
            corners with Gaussian noise 1 in 25,000 is beyond 4.5.
        view_threshold: a view whose median error is so many times that of all views is left out.
        seed: of the samples that find corners that do not fit.
    """

    maximum_views: int = 80
    minimum_views: int = 3
    minimum_corners: int = 6
    outlier_threshold: float = 4.5
    view_threshold: float = 4.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, lowest in (("maximum_views", 3), ("minimum_views", 1), ("minimum_corners", 4), ("seed", 0)):
            value = getattr(self, name)
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= lowest
            require(name, bool(whole), f"a whole number from {lowest}", value)
        for name in ("outlier_threshold", "view_threshold"):
            value = getattr(self, name)
            require(name, bool(np.isfinite(value) and value > 1), "a number above 1", value)


def require(subject: str, fine: bool, expected: str, got: object) -> None:
    """Raise InvalidValueError unless `fine`."""
    if not fine:
        raise InvalidValueError(
            f"lens calibration, {subject}", expected=expected, got=str(got), remedy="Correct the argument."
        )
