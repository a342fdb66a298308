"""Anchors: who an animal is in a frame, as a person has confirmed it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.errors import InvalidValueError

__all__ = ["Anchor"]


@dataclass(frozen=True)
class Anchor:
    """Who an animal is in one frame. The animal is told by the name it has now, or by a point on it in one camera.

    Attributes:
        frame: the number of the frame.
        individual: who it is.
        called: the name that it has in that frame now.
        camera: the camera in which the point is.
        x, y: the point, px in the images of that camera.

    Raises:
        InvalidValueError: the frame is negative, a name is blank, the animal is told in both ways or in neither, or the
            point is incomplete.
    """

    frame: int
    individual: str
    called: str | None = None
    camera: str | None = None
    x: float | None = None
    y: float | None = None

    def __post_init__(self) -> None:
        point = (self.camera, self.x, self.y)
        whole = all(value is not None for value in point)
        rules = {
            "frame": ("a frame number from 0 on", isinstance(self.frame, int | np.integer) and self.frame >= 0),
            "individual": ("a name", isinstance(self.individual, str) and bool(self.individual.strip())),
            "called": ("a name", self.called is None or bool(self.called.strip())),
            "camera": ("the name of a camera", self.camera is None or bool(self.camera.strip())),
            "x, y": ("pixels", all(value is None or np.isfinite(value) for value in (self.x, self.y))),
            "called, camera, x, y": (
                "either the name it has now, or all of camera, x and y",
                whole if self.called is None else all(value is None for value in point),
            ),
        }
        for names, (expected, fine) in rules.items():
            if not fine:
                given = ", ".join(repr(getattr(self, name)) for name in names.split(", "))
                raise InvalidValueError(
                    f"anchor of '{self.individual}' in frame {self.frame}, {names}",
                    expected=expected,
                    got=given,
                    remedy="Correct the anchor.",
                )
