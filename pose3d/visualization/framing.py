"""Whether to follow animals with the eye, and along which path."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["roams", "smooth_path"]

Array = NDArray[np.float64]

# The eye follows the animals where they roam an area this many times as large as they are.
_ROAMING = 1.5
_SMOOTHING_SECONDS = 0.7
_SAMPLE = 400  # frames that are enough to know how large the animals are


def roams(points: Array) -> bool:
    """Whether points (time, individual, keypoint, 3) cover an area much larger than in any one frame."""
    every = max(1, len(points) // _SAMPLE)
    sample = points[::every]
    return _extent(sample[None]) > _ROAMING * _extent(sample)


def smooth_path(points: Array, frame_rate: float) -> Array:
    """(time, 3) smooth path of the middle of points (time, individual, keypoint, 3); gaps are bridged straight."""
    flat = points.reshape(len(points), -1, 3)
    rows = np.flatnonzero(np.isfinite(flat).all(axis=-1).any(axis=-1))
    if not len(rows):
        return np.zeros((len(points), 3))
    middle = np.nanmedian(flat[rows], axis=1)
    path = np.stack([np.interp(np.arange(len(points)), rows, middle[:, axis]) for axis in range(3)], axis=-1)
    half = max(1, round(_SMOOTHING_SECONDS * frame_rate / 2))
    window = np.hanning(2 * half + 3)[1:-1]
    padded = np.pad(path, [(half, half), (0, 0)], mode="edge")
    return np.stack([np.convolve(padded[:, axis], window / window.sum(), mode="valid") for axis in range(3)], axis=-1)


def _extent(points: Array) -> float:
    """Median over the first axis of the largest side of the box around the points (n, ..., 3); 0 without points."""
    rows = points.reshape(len(points), -1, 3)
    rows = rows[np.isfinite(rows).all(axis=-1).any(axis=-1)]
    if not len(rows):
        return 0.0
    low, high = np.nanpercentile(rows, (1, 99), axis=1)
    return float(np.median((high - low).max(axis=-1)))
