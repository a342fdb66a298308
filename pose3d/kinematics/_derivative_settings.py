"""How to differentiate; public as `pose3d.kinematics.DerivativeSettings`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from calibration.errors import InvalidValueError
from calibration.nearest import nearest_name

__all__ = ["METHODS", "DerivativeSettings", "Method"]

Method = Literal["automatic", "savgol", "central", "spline", "trajectory"]

METHODS: tuple[Method, ...] = ("automatic", "savgol", "central", "spline", "trajectory")

# The table of a filter holds what it does to every run that is shorter than its window: 65 MB of it.
_LARGEST_WINDOW = 201


@dataclass(frozen=True)
class DerivativeSettings:
    """How to differentiate positions in time.

    Attributes:
        method: "savgol" (Savitzky and Golay 1964): the derivative of the polynomial that fits a window best;
            "central": plain central differences, as `numpy.gradient` makes them, repeated for higher orders, which
            smooth nothing; "spline": a cubic smoothing spline for each run of frames, whose weights are those of the
            covariance; "trajectory": the polynomial through five frames, for positions that are smooth already, as
            those of `reconstruct`; "automatic": "trajectory" where the poses carry the smoothness that `reconstruct`
            learned, else "savgol".
        frames: length of the window of "savgol", odd. A cubic polynomial over n frames lets motion pass, to half its
            power, up to about 4 / (1.6 n - 6.2) of half the frame rate (Schafer, "What is a Savitzky-Golay filter?",
            2011): with 7 frames nearly all, with 11 at 100 Hz up to 17 Hz, with 21 up to 7 Hz.
        window: the same in seconds, instead of `frames` where given; at the least what the polynomial needs.
        polynomial: degree of the polynomial of "savgol".
        smoothing: of "spline", the weight of the integral of the squared second derivative, with frames as the unit of
            time and weights of 1 in the mean; None: found for each keypoint by generalized cross-validation (Craven
            and Wahba 1979).
        error_correlation: seconds (frames where the rate is not known) in which the correlation of the errors of a
            position falls to 1/e; 0: errors of different frames are independent. None: those of `reconstruct` where
            the poses carry its smoothness, else independent.

    Raises:
        InvalidValueError: a setting is out of its range.
    """

    method: Method = "automatic"
    frames: int = 7
    window: float | None = None
    polynomial: int = 3
    smoothing: float | None = None
    error_correlation: float | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            remedy = nearest_name(str(self.method), METHODS) or "Choose one of these."
            _refuse("method", f"one of {', '.join(METHODS)}", self.method, remedy)
        if not _is_whole(self.polynomial) or not 1 <= self.polynomial <= 8:
            _refuse("polynomial", "a degree from 1 to 8", self.polynomial)
        if not _is_whole(self.frames) or self.frames % 2 == 0 or not self.polynomial < self.frames <= _LARGEST_WINDOW:
            _refuse("frames", f"an odd number from {self.polynomial + 1} to {_LARGEST_WINDOW}", self.frames)
        for name in ("window", "smoothing"):
            if getattr(self, name) is not None and not 0 < _number(getattr(self, name)) < np.inf:
                _refuse(name, "a positive number", getattr(self, name))
        if self.error_correlation is not None and not 0 <= _number(self.error_correlation) < np.inf:
            _refuse("error_correlation", "a time from 0 on", self.error_correlation)

    def window_frames(self, step: float) -> int:
        """Length of the window where frames are so far apart.

        Raises:
            InvalidValueError: the window is too long.
        """
        if self.window is None:
            return self.frames
        least = self.polynomial + 1 + self.polynomial % 2
        frames = max(2 * round(self.window / (2.0 * step)) + 1, least)
        if frames > _LARGEST_WINDOW:
            _refuse("window", f"at most {_LARGEST_WINDOW} frames, {_LARGEST_WINDOW * step:g}", self.window)
        return frames


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _number(value: object) -> float:
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return float(value) if real else np.nan  # type: ignore[arg-type]


def _refuse(name: str, expected: str, got: object, remedy: str = "Correct the setting.") -> None:
    raise InvalidValueError(f"DerivativeSettings, {name}", expected=expected, got=str(got), remedy=remedy)
