"""Confidence intervals by drawing groups of images again, with replacement (percentile bootstrap, Efron 1979).

Labels of one image, and images of one video, err together; drawing single labels would make intervals too narrow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Draws", "interval", "weighted_median"]

Floats = NDArray[np.float64]


class Draws:
    """How often each image is in each draw.

    Args:
        groups: (image,) number of the group of each image.
        count: draws.
        seed: of the draws.

    Attributes:
        weights: (draw, image); the first draw is the images as they are.
    """

    def __init__(self, groups: NDArray[np.integer], count: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        total = int(groups.max()) + 1 if len(groups) else 0
        drawn = rng.multinomial(total, np.full(total, 1 / max(total, 1)), size=count) if total else np.zeros((count, 0))
        whole = np.ones((1, total))
        self.weights: Floats = np.concatenate([whole, drawn])[:, groups].astype(np.float64)


def interval(values: Floats) -> dict[str, float | None]:
    """The value of the first draw, and the range of 95 % of the others; None where it cannot be said."""
    value, others = values[0], values[1:][np.isfinite(values[1:])]
    if not np.isfinite(value):
        return {"value": None, "low": None, "high": None}
    low, high = np.percentile(others, [2.5, 97.5]) if len(others) else (np.nan, np.nan)
    return {
        "value": float(value),
        "low": float(low) if np.isfinite(low) else None,
        "high": float(high) if np.isfinite(high) else None,
    }


def weighted_median(values: Floats, weights: Floats) -> Floats:
    """(draw,) medians of values (n,) with whole weights (draw, n), the mean of the middle two; NaN without any."""
    order = np.argsort(values)
    sums = np.cumsum(weights[:, order], axis=1)
    if not len(order):
        return np.full(len(weights), np.nan)
    total = sums[:, -1:]
    # places of the middle two, counted from 0: floor and ceiling of (total - 1) / 2
    low = (sums > np.floor((total - 1) / 2)).argmax(axis=1)
    high = (sums > np.ceil((total - 1) / 2)).argmax(axis=1)
    middle = (values[order][low] + values[order][high]) / 2
    return np.where(total[:, 0] > 0, middle, np.nan)
