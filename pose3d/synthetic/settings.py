"""What to simulate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calibration.synthetic import LENSES
from pose3d.synthetic._checks import check_setting, is_whole
from pose3d.synthetic._quadruped import GAITS

__all__ = ["OCCLUSIONS", "PATHS", "SimulationSettings"]

OCCLUSIONS = ("guess", "drop", "none")
PATHS = ("shared", "crossing")

# What crossing animals do where nothing else is asked for.
_HUDDLES, _SIZE_SPREAD = 0.15, 0.06


@dataclass(frozen=True)
class SimulationSettings:
    """What to simulate; every default is a plausible mouse.

    Attributes:
        individuals: number of animals, animal_1, animal_2, ...
        paths: "shared": they follow each other on one circuit and never meet; "crossing": each has a circuit of its own
            and its own speed, and all pass near the middle, where bodies may pass through each other. None: crossing
            where there are several animals.
        huddles: share of the time in which crossing animals stand together in the middle; None: 0.15 of several. A foot
            that is in the air when its animal stops is so until the animal goes on.
        size_spread: standard deviation, as a share, of body length and proportions between animals; None: 0.06 of
            several crossing ones, else 0.
        duration: in seconds.
        frame_rate: frames per second.
        body_length: nose to tail base, in mm.
        speed: mean walking speed in mm/s; each animal's swings by 25 %. Means of crossing animals differ by up to 25 %,
            and stops come off them.
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
        missed_rate: share of the animals, per camera and frame, of which nothing is reported.
        false_rate: instances of no animal per camera and frame, as a share of the number of animals: poses at a wrong
            place, and mixtures of two animals.
        occlusion: "guess", "drop" or "none": what the detector does with keypoints behind a body.
        seed: of all random draws.

    Raises:
        InvalidValueError: a setting is out of its range.
    """

    individuals: int = 1
    paths: str | None = None
    huddles: float | None = None
    size_spread: float | None = None
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
    missed_rate: float = 0.0
    false_rate: float = 0.0
    occlusion: str = "guess"
    seed: int = 0

    def __post_init__(self) -> None:
        rules: tuple[tuple[str, str, Callable[..., bool]], ...] = (
            ("individuals cameras", "a whole number from 1", is_whole),
            ("duration frame_rate body_length speed stride focal_length", "a positive number", _positive),
            ("outlier_rate dropout_rate swap_rate missed_rate false_rate", "a share from 0 to 1", _share),
            ("duty_factor", "a share between 0 and 1", lambda value: 0.05 <= value <= 0.95),
            ("huddles", "a share from 0 to 0.8", lambda value: value is None or 0 <= value <= 0.8),
            ("size_spread", "a share from 0 to 0.2", lambda value: value is None or 0 <= value <= 0.2),
            ("size", "two whole numbers of pixels", lambda value: len(value) == 2 and all(map(is_whole, value))),
            ("noise", "pixels from 0", lambda value: 0 <= value < np.inf),
            ("distance", "a positive length", lambda value: value is None or _positive(value)),
            ("seed", "a whole number from 0", lambda value: value >= 0 and value == int(value)),
            ("duration", "at least one frame", lambda _: self.frame_count >= 1),
        )
        for names, expected, fits in rules:
            for name in names.split():
                check_setting(name, getattr(self, name), expected, fits)
        choices = {"gait": tuple(GAITS), "lens": LENSES, "occlusion": OCCLUSIONS, "paths": PATHS}
        for name, known in choices.items():
            value = getattr(self, name)
            fine = value in known or (name == "paths" and value is None)
            check_setting(name, value, f"one of {', '.join(known)}", lambda _, fine=fine: fine)
        if self.huddles:
            check_setting(
                "huddles", self.huddles, "0 on shared paths: animals huddle where theirs cross", self._crosses
            )

    def _crosses(self, _: object = None) -> bool:
        return self.paths == "crossing" or (self.paths is None and self.individuals > 1)

    @property
    def chosen_paths(self) -> str:
        """`paths`, or what it is where None."""
        return "crossing" if self._crosses() else "shared"

    @property
    def chosen_huddles(self) -> float:
        """`huddles`, or what it is where None."""
        return (_HUDDLES if self._crosses() and self.individuals > 1 else 0.0) if self.huddles is None else self.huddles

    @property
    def chosen_spread(self) -> float:
        """`size_spread`, or what it is where None."""
        if self.size_spread is None:
            return _SIZE_SPREAD if self._crosses() and self.individuals > 1 else 0.0
        return self.size_spread

    @property
    def frame_count(self) -> int:
        """Number of frames."""
        return round(self.duration * self.frame_rate)

    @property
    def stride_length(self) -> float:
        """Distance from one contact of a foot to its next, in mm."""
        return self.stride * self.body_length


def _positive(value: float) -> bool:
    return 0 < value < np.inf


def _share(value: float) -> bool:
    return 0 <= value <= 1
