"""How steps are found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calibration.errors import InvalidValueError

__all__ = ["METHODS", "SURFACES", "UPWARD", "GaitSettings"]

METHODS = ("automatic", "speed", "height_speed", "zeni", "high_pass")
SURFACES = ("automatic", "overground", "treadmill")
UPWARD = ("automatic", "x", "y", "z", "-x", "-y", "-z")


@dataclass(frozen=True)
class GaitSettings:
    """How steps are found. Lengths of time that are not in seconds are shares of the usual stride.

    Attributes:
        method: "speed", "height_speed", "zeni" or "high_pass" (see `gait_events`), or "automatic".
        surface: "overground", "treadmill", or "automatic": whether the body gets anywhere.
        up: the axis that points upward, or "automatic": from the feet to the body; z where that does not say it.
        direction: direction of travel in space; found where None.
        belt_speed: of the treadmill, in the unit of the poses per second; found from the feet where None.
        period: of a stride in seconds; found where None.
        longest_gap: of missing positions, in seconds, over which a foot is interpolated. In 0.1 s a foot of a person
            moves a tenth of a stride; what is longer may hide a step.
        speed_noise: of the smoothed speed, as share of the fast speed of the foot: the window of the smoothing is the
            shortest that gets there.
        longest_window: of the smoothing. A window of 0.12 strides keeps 0.9 of the amplitude of a swing.
        shortest_phase: of stance or swing; what is shorter is no step.
        switch_cost: how much evidence a step needs, as share of that of a usual swing.
        contrast: how many times faster a foot swings than it stands, at least, for its speed to tell the two apart.
            Noise alone seems to have a contrast of 2.

    Raises:
        InvalidValueError: a setting is out of its range.
    """

    method: str = "automatic"
    surface: str = "automatic"
    up: str = "automatic"
    direction: tuple[float, float, float] | None = None
    belt_speed: float | None = None
    period: float | None = None
    longest_gap: float = 0.1
    speed_noise: float = 0.04
    longest_window: float = 0.12
    shortest_phase: float = 0.06
    switch_cost: float = 0.2
    contrast: float = 3.5

    def __post_init__(self) -> None:
        for name, known in (("method", METHODS), ("surface", SURFACES), ("up", UPWARD)):
            _check(name, getattr(self, name), f"one of {', '.join(known)}", lambda value, known=known: value in known)
        for name in ("speed_noise", "longest_window", "shortest_phase"):
            _check(name, getattr(self, name), "a share above 0 and below 0.5", lambda value: 0 < value < 0.5)
        _check("longest_gap", self.longest_gap, "seconds from 0", lambda value: 0 <= value < np.inf)
        _check("switch_cost", self.switch_cost, "a share from 0 to below 1", lambda value: 0 <= value < 1)
        _check("contrast", self.contrast, "a ratio above 1", lambda value: 1 < value < np.inf)
        _check("period", self.period, "seconds above 0", lambda value: value is None or 0 < value < np.inf)
        _check("belt_speed", self.belt_speed, "a finite speed", lambda value: value is None or np.isfinite(value))
        if self.surface == "overground" and self.belt_speed is not None:
            _check("belt_speed", self.belt_speed, "none, on a surface that is overground", lambda _: False)
        _check("direction", self.direction, "three numbers, not all 0", lambda value: value is None or _points(value))


def _points(value: tuple[float, ...]) -> bool:
    return len(value) == 3 and 0 < float(np.linalg.norm(value)) < np.inf


def _check(name: str, value: object, expected: str, fits: Callable[..., bool]) -> None:
    try:
        good = bool(fits(value))
    except (TypeError, ValueError):
        good = False
    if not good:
        raise InvalidValueError(f"gait, {name}", expected=expected, got=repr(value), remedy="Change the setting.")
