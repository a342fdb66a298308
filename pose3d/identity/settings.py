"""How animals are told apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.errors import InvalidValueError

__all__ = ["MOST_INDIVIDUALS", "IdentitySettings"]

MOST_INDIVIDUALS = 64
"""More animals than this are not followed at once."""


@dataclass(frozen=True)
class IdentitySettings:
    """How animals are told apart across views and time.

    Attributes:
        individuals: how many animals there are, all of the time; 0: not known, as many as are seen.
        noise: standard deviation of a pixel coordinate at confidence 1; None: learned from the recording.
        minimum_confidence: keypoints with less confidence count as not seen.
        longest_absence: seconds (frames, where there is no frame rate) over which an animal that nobody sees is still
            expected where it was going; after that, and anyway at the end, pieces of track are linked by a global
            solution.
        shape: whether lengths between keypoints tell animals apart.
        appearance: whether the appearance of instances does, where they have one.
        trust_tracks: how much it counts, in units of log-likelihood, that the source put an instance into the same
            track as before.
        sure: probability above which two cameras alone are believed to show one animal; below, it is left open.
        pilot_frames: about so many frames, in blocks spread over the recording, are learned from.

    Raises:
        InvalidValueError: a setting is out of its range.
    """

    individuals: int = 0
    noise: float | None = None
    minimum_confidence: float = 0.05
    longest_absence: float = 1.0
    shape: bool = True
    appearance: bool = True
    trust_tracks: float = 2.0
    sure: float = 0.9
    pilot_frames: int = 600

    def __post_init__(self) -> None:
        rules = {
            "individuals": (f"0 (not known) to {MOST_INDIVIDUALS}", self.individuals in range(MOST_INDIVIDUALS + 1)),
            "noise": ("a positive number of pixels", self.noise is None or 0 < self.noise < np.inf),
            "minimum_confidence": ("0 to 1", 0 <= self.minimum_confidence <= 1),
            "longest_absence": ("a positive time", 0 < self.longest_absence < np.inf),
            "trust_tracks": ("a number from 0", 0 <= self.trust_tracks < np.inf),
            "sure": ("a probability from 0.5 to 1", 0.5 <= self.sure <= 1),
            "pilot_frames": ("at least 50 frames", self.pilot_frames >= 50),
        }
        for name, (expected, fine) in rules.items():
            if not fine:
                raise InvalidValueError(
                    f"IdentitySettings, {name}",
                    expected=expected,
                    got=str(getattr(self, name)),
                    remedy="Correct the setting.",
                )
