"""The part of an image around an animal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["window_around"]

# Pixels kept around an animal, as a share of its size, and at least.
_AROUND, _LEAST = 0.4, 40


def window_around(points: NDArray[np.float64], image: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is around points (n, 2), in the shape of the image; all of it without any."""
    height, width = image.shape[:2]
    known = points[np.isfinite(points).all(axis=1)]
    if not len(known):
        return 0, 0, width, height
    inside = known.clip((0, 0), (width - 1, height - 1))
    low, high = inside.min(axis=0), inside.max(axis=0)
    half = np.maximum((high - low) / 2 * (1 + _AROUND), _LEAST)
    half[:] = max(half[0], half[1] * width / height), max(half[1], half[0] * height / width)
    half = np.minimum(half, [width / 2, height / 2])
    middle = np.clip((low + high) / 2, half, [width - half[0], height - half[1]])
    left, top = np.floor(middle - half).astype(int)
    right, bottom = np.ceil(middle + half).astype(int)
    return max(int(left), 0), max(int(top), 0), min(int(right), width), min(int(bottom), height)
