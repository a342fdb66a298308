"""What a detector is: keypoints by name, and possible places of each in images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Detector", "RawDetections"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class RawDetections:
    """Possible places of every keypoint in images, the most probable first.

    Attributes:
        position: (n, candidate, keypoint, 2) x and y in pixels, the center of the top-left pixel is (0, 0); NaN where
            there is none.
        confidence: (n, candidate, keypoint) in [0, 1]; 0 where there is none, NaN where the image is missing.
        covariance: (n, candidate, keypoint, 2, 2) px^2, or None where the detector does not know it.
    """

    position: Floats
    confidence: Floats
    covariance: Floats | None = None

    def __len__(self) -> int:
        return len(self.position)

    @classmethod
    def missing(cls, images: int, candidates: int, keypoints: int, *, covariance: bool) -> Self:
        """Those of images that could not be decoded."""
        shape = (images, candidates, keypoints)

        def empty(*ends: int) -> Floats:
            return np.full((*shape, *ends), np.nan, dtype=np.float32)

        return cls(empty(2), empty(), empty(2, 2) if covariance else None)

    @classmethod
    def joined(cls, parts: Sequence[RawDetections]) -> Self:
        """One after the other; all with covariances or none."""
        covariances = [part.covariance for part in parts if part.covariance is not None]
        return cls(
            np.concatenate([part.position for part in parts]),
            np.concatenate([part.confidence for part in parts]),
            np.concatenate(covariances) if covariances else None,
        )


@runtime_checkable
class Detector(Protocol):
    """Finds keypoints in images.

    Attributes:
        keypoints: their names.
        candidates: how many places of a keypoint it gives.
        gives_covariance: whether it tells how uncertain places are.
        parallel: how many threads may call `detect` at once; 1 where it remembers what earlier images showed.
    """

    @property
    def keypoints(self) -> tuple[str, ...]:
        """Names of the keypoints."""

    @property
    def candidates(self) -> int:
        """How many places of a keypoint it gives."""

    @property
    def gives_covariance(self) -> bool:
        """Whether it tells how uncertain places are."""

    @property
    def parallel(self) -> int:
        """How many threads may call `detect` at once."""

    def detect(self, images: NDArray[np.uint8]) -> RawDetections:
        """Possible places of keypoints in images (n, height, width, 3) RGB, which follow each other in a video."""

    def restart(self) -> None:
        """Forget what earlier images showed: other images follow."""
