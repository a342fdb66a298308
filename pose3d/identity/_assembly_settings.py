"""How candidates become animals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.errors import InvalidValueError

__all__ = ["AssemblySettings"]


@dataclass(frozen=True)
class AssemblySettings:
    """How keypoint candidates of one view are put together.

    Attributes:
        minimum_confidence: candidates with less confidence are counted, not used.
        pilot_frames: about so many frames, in blocks spread over the recording, are learned from.
        geometry: whether distances and directions between keypoints count, as learned from the recording.
        affinity: weight of affinities, where there are some, against geometry at 1.
        tolerance: where there are more animals than asked for, two parts without a common keypoint are joined unless
            the pairs between them speak against it by more than this, on average, in units of log-likelihood.

    Raises:
        InvalidValueError: a setting is out of its range.
    """

    minimum_confidence: float = 0.05
    pilot_frames: int = 600
    geometry: bool = True
    affinity: float = 2.0
    tolerance: float = 1.0

    def __post_init__(self) -> None:
        rules = {
            "minimum_confidence": ("0 to 1", 0 <= self.minimum_confidence <= 1),
            "pilot_frames": ("at least 1 frame", self.pilot_frames >= 1),
            "affinity": ("a weight from 0", 0 <= self.affinity < np.inf),
            "tolerance": ("a number from 0", 0 <= self.tolerance < np.inf),
        }
        for name, (expected, fine) in rules.items():
            if not fine:
                raise InvalidValueError(
                    f"AssemblySettings, {name}",
                    expected=expected,
                    got=str(getattr(self, name)),
                    remedy="Correct the setting.",
                )
