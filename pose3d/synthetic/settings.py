"""What to simulate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calibration.errors import InvalidValueError
from calibration.synthetic import LENSES
from pose3d.synthetic._quadruped import GAITS

__all__ = ["OCCLUSIONS", "SimulationSettings"]

OCCLUSIONS = ("guess", "drop", "none")


@dataclass(frozen=True)
class SimulationSettings:
    """What to simulate; every default is a plausible mouse.

    Attributes:
        individuals: number of animals, animal_1, animal_2, ...; they follow each other on one circuit.
        duration: in seconds.
        frame_rate: frames per second.
        body_length: nose to tail base, in mm.
        speed: mean walking speed in mm/s; each animal's swings by 25 %.
        stride: stride length in body lengths.
        duty_factor: share of the stride in which a foot is on the ground.
        gait: "walk" or "trot".
        cameras: number of cameras, cam_1, cam_2, ...
        distance: of the cameras from the middle of the floor, in mm; None is far enough to see everything.
        size: width and height of the images in pixels.
        focal_length: in pixels.
        lens: one of `calibration.synthetic.LENSES`.
        noise: RMS noise of visible keypoints in pixels, per axis.
        outlier_rate: share of the reported positions that are anywhere in the image.
        dropout_rate: share of the positions in the image that are not reported.
        swap_rate: share of the mirrored pairs, per camera and frame, whose left and right are exchanged.
        occlusion: "guess", "drop" or "none": what the detector does with keypoints behind a body.
        seed: of all random draws.

    Raises:
        InvalidValueError: a setting is out of its range.
    """

    individuals: int = 1
    duration: float = 10.0
    frame_rate: float = 100.0
    body_length: float = 80.0
    speed: float = 150.0
    stride: float = 0.6
    duty_factor: float = 0.65
    gait: str = "walk"
    cameras: int = 6
    distance: float | None = None
    size: tuple[int, int] = (1280, 1024)
    focal_length: float = 1400.0
    lens: str = "brown5"
    noise: float = 1.0
    outlier_rate: float = 0.05
    dropout_rate: float = 0.05
    swap_rate: float = 0.0
    occlusion: str = "guess"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("individuals", "cameras"):
            _check(name, getattr(self, name), "a whole number from 1", _whole)
        for name in ("duration", "frame_rate", "body_length", "speed", "stride", "focal_length"):
            _check(name, getattr(self, name), "a positive number", lambda value: 0 < value < np.inf)
        for name in ("outlier_rate", "dropout_rate", "swap_rate"):
            _check(name, getattr(self, name), "a share from 0 to 1", lambda value: 0 <= value <= 1)
        _check("duty_factor", self.duty_factor, "a share between 0 and 1", lambda value: 0.05 <= value <= 0.95)
        _check(
            "size", self.size, "two whole numbers of pixels", lambda value: len(value) == 2 and all(map(_whole, value))
        )
        _check("noise", self.noise, "pixels from 0", lambda value: 0 <= value < np.inf)
        _check("distance", self.distance, "a positive length", lambda value: value is None or 0 < value < np.inf)
        _check("seed", self.seed, "a whole number from 0", lambda value: value >= 0 and value == int(value))
        _check("duration", self.duration, "at least one frame", lambda _: self.frame_count >= 1)
        for name, known in (("gait", tuple(GAITS)), ("lens", LENSES), ("occlusion", OCCLUSIONS)):
            _check(name, getattr(self, name), f"one of {', '.join(known)}", lambda value, known=known: value in known)

    @property
    def frame_count(self) -> int:
        """Number of frames."""
        return round(self.duration * self.frame_rate)

    @property
    def stride_length(self) -> float:
        """Distance from one contact of a foot to its next, in mm."""
        return self.stride * self.body_length


def _whole(value: float) -> bool:
    return value >= 1 and value == int(value)


def _check(name: str, value: object, expected: str, fits: Callable[..., bool]) -> None:
    try:
        good = bool(fits(value))
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise InvalidValueError(name, expected=expected, got=repr(value), remedy="Change the setting.")
