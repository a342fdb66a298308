"""Following animals: a detector sees a window around the last detections instead of the whole image."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.detection.detector import Detector, RawDetections

__all__ = ["CroppingDetector"]

# Sides of windows are multiples of it, so that a video needs one or two sizes of network.
_STEP = 64


class CroppingDetector:
    """A detector that looks where the animal was, and at the whole image again when it is lost.

    Windows keep their size while the animal fits, since a network is made for each size.

    Args:
        detector: that looks at windows.
        margin: how far the window reaches beyond the keypoints, as a share of their extent.
        confidence: what counts as found; where less than half of the keypoints are, the animal is lost.
        individuals: how many animals there are. The window holds all of them, and where less than half of the keypoints
            are found so many times, one of them is lost.

    Raises:
        InvalidValueError: the detector gives fewer candidates than there are animals.
    """

    def __init__(
        self, detector: Detector, *, margin: float = 0.4, confidence: float = 0.3, individuals: int = 1
    ) -> None:
        if not 1 <= individuals <= detector.candidates:
            raise InvalidValueError(
                "individuals",
                expected=f"1 to {detector.candidates}, the number of candidates that the detector gives",
                got=str(individuals),
                remedy="Ask the detector for more candidates: twice as many as there are animals.",
            )
        self._detector = detector
        self._individuals = individuals
        self._margin = margin
        self._confidence = confidence
        self._pool = ThreadPoolExecutor(detector.parallel)
        self._size: tuple[int, int] | None = None
        # low and high corner of where it was, and its largest extent
        self._box: tuple[NDArray[np.float64], NDArray[np.float64], float] | None = None
        self.parallel = 1
        self.candidates = detector.candidates
        self.gives_covariance = detector.gives_covariance

    @property
    def keypoints(self) -> tuple[str, ...]:
        """Names of the keypoints."""
        return self._detector.keypoints

    def restart(self) -> None:
        """Forget where the animal was."""
        self._box = None
        self._size = None
        self._detector.restart()

    def detect(self, images: NDArray[np.uint8]) -> RawDetections:
        """See `Detector.detect`."""
        full = (images.shape[2], images.shape[1])
        window = self._window(full)
        if window is None:
            found = self._detect(images)
        else:
            left, top, width, height = window
            inside = self._detect(np.ascontiguousarray(images[:, top : top + height, left : left + width]))
            shift = np.array([left, top], dtype=np.float32)
            found = RawDetections(inside.position + shift, inside.confidence, inside.covariance)
            lost = np.flatnonzero(~self._seen(found))
            if len(lost):
                found = _replaced(found, lost, self._detect(images[lost]))
        self._follow(found)
        return found

    def _detect(self, images: NDArray[np.uint8]) -> RawDetections:
        """All sessions of the detector at once."""
        pieces = np.array_split(np.arange(len(images)), min(len(images), self._detector.parallel))
        return RawDetections.joined(list(self._pool.map(self._detector.detect, [images[piece] for piece in pieces])))

    def _seen(self, found: RawDetections) -> NDArray[np.bool_]:
        # the n-th candidate of half of the keypoints: n animals
        found_there = found.confidence[:, : self._individuals] >= self._confidence
        return np.asarray((found_there.mean(axis=-1) >= 0.5).all(axis=-1))

    def _follow(self, found: RawDetections) -> None:
        """The box of the last images in which all animals were seen."""
        seen = self._seen(found)
        if not seen[-1]:
            self._box = None
            return
        count = self._individuals
        sure = ((found.confidence[:, :count] >= self._confidence) & seen[:, None, None]).reshape(len(seen), -1)
        points = found.position[:, :count].astype(np.float64).reshape(len(seen), -1, 2)
        low = np.where(sure[..., None], points, np.inf).min(axis=1)[seen]
        high = np.where(sure[..., None], points, -np.inf).max(axis=1)[seen]
        self._box = low.min(axis=0), high.max(axis=0), max(float((high - low).max()), 1.0)

    def _window(self, full: tuple[int, int]) -> tuple[int, int, int, int] | None:
        """Left, top, width and height; None for the whole image."""
        if self._box is None:
            return None
        low, high, extent = self._box
        wanted = (high - low) + 2 * self._margin * extent
        if self._size is None or (wanted > self._size).any():
            self._size = tuple(int(-(-(side * 1.1) // _STEP)) * _STEP for side in wanted)  # type: ignore[assignment]
        assert self._size is not None
        width, height = (min(side, whole) for side, whole in zip(self._size, full, strict=True))
        if width * height > 0.8 * full[0] * full[1]:
            return None
        middle = (low + high) / 2
        left = int(np.clip(round(middle[0] - width / 2), 0, full[0] - width))
        top = int(np.clip(round(middle[1] - height / 2), 0, full[1] - height))
        return left, top, width, height


def _replaced(found: RawDetections, places: NDArray[np.intp], others: RawDetections) -> RawDetections:
    position, confidence = found.position.copy(), found.confidence.copy()
    position[places], confidence[places] = others.position, others.confidence
    covariance = None
    if found.covariance is not None and others.covariance is not None:
        covariance = found.covariance.copy()
        covariance[places] = others.covariance
    return RawDetections(position, confidence, covariance)
