"""Honest confidence and covariance: what a network says of itself, corrected by what held-out images show.

The height of a peak is turned into the probability that the position is nearer to the truth than a threshold, by a
line that never falls (isotonic regression). Covariances are multiplied by one number, so that the squared distance to
the truth, in units of them, has the median that two dimensions have by chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.networks.decoding import Candidates

__all__ = ["ConfidenceCalibration", "apply"]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ConfidenceCalibration:
    """How confidence and covariance of a network are corrected; plain numbers.

    Attributes:
        threshold: pixels of the image; confidence is the probability of an error below it.
        logits: heights of peaks, increasing, at least one.
        probabilities: what they mean; between them in a straight line, beyond them the last.
        covariance_scale: factor of the covariances.
        count: labeled keypoints it was found with.
        error_before: expected calibration error of the plain sigmoid of the heights, 0 to 1.
        error_after: of the corrected probability, on images that were left out when it was found.

    Raises:
        InvalidValueError: numbers are out of order or range.
    """

    threshold: float
    logits: tuple[float, ...]
    probabilities: tuple[float, ...]
    covariance_scale: float = 1.0
    count: int = 0
    error_before: float = 0.0
    error_after: float = 0.0

    def __post_init__(self) -> None:
        logits, probabilities = np.asarray(self.logits, dtype=float), np.asarray(self.probabilities, dtype=float)
        rules = {
            "threshold": ("a distance above 0", 0 < self.threshold < np.inf),
            "logits": ("increasing numbers", len(logits) > 0 and bool((np.diff(logits) > 0).all())),
            "probabilities": (
                "one per height, from 0 to 1, never falling",
                probabilities.shape == logits.shape
                and bool((np.diff(probabilities) >= 0).all() and (abs(probabilities - 0.5) <= 0.5).all()),
            ),
            "covariance_scale": ("a factor above 0", 0 < self.covariance_scale < np.inf),
        }
        for name, (expected, fine) in rules.items():
            if not fine:
                raise InvalidValueError(
                    f"calibration of confidence, {name}",
                    expected=expected,
                    got=repr(getattr(self, name))[:80],
                    remedy="Train or evaluate again; the file was changed.",
                )

    def probability(self, logit: NDArray[np.floating]) -> Floats:
        """Of an error below the threshold; 0 where there is no peak (-inf)."""
        found = np.interp(logit, self.logits, self.probabilities)
        return np.where(np.isfinite(logit), found, 0.0).astype(np.float32)

    def apply(self, candidates: Candidates) -> tuple[Floats, Floats]:
        """See `apply`."""
        covariance = candidates.covariance * np.float32(self.covariance_scale)
        return self.probability(candidates.logit), covariance


def apply(candidates: Candidates, calibration: ConfidenceCalibration | None) -> tuple[Floats, Floats]:
    """Confidence (image, candidate, keypoint) from 0 to 1, and covariance (..., 2, 2) in squared pixels of the image.

    Args:
        candidates: what was decoded.
        calibration: of the network; without one the sigmoid of the height of the peak, and covariances as decoded.
    """
    if calibration is not None:
        return calibration.apply(candidates)
    height = np.where(np.isfinite(candidates.logit), candidates.logit, -np.inf).astype(np.float64)
    with np.errstate(over="ignore"):
        return (1.0 / (1.0 + np.exp(-height))).astype(np.float32), candidates.covariance
