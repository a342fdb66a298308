"""Checks of the settings of filters."""

from __future__ import annotations

import math

import numpy as np

from calibration.errors import InvalidValueError

__all__ = ["is_number", "is_whole", "require", "require_window"]


def is_number(value: object) -> bool:
    """Whether a value is a finite real number, and no bool."""
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return real and math.isfinite(value)  # type: ignore[arg-type]


def is_whole(value: object) -> bool:
    """Whether a value is a whole number, and no bool."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def require(subject: str, fine: bool, expected: str, got: object, remedy: str = "Correct the argument.") -> None:
    """Raise unless a setting is fine.

    Raises:
        InvalidValueError: it is not.
    """
    if not fine:
        raise InvalidValueError(subject, expected=expected, got=str(got), remedy=remedy)


def require_window(subject: str, frames: int) -> None:
    """Raise unless a number of frames can be a window around a frame.

    Raises:
        InvalidValueError: it is not odd or not positive.
    """
    fine = is_whole(frames) and frames > 0 and frames % 2 == 1
    require(subject, fine, "an odd number of frames, so that a frame can be in the middle", frames)
