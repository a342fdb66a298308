"""What affinities of a detector say: scores that are not probabilities become log-likelihood ratios."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import isotonic_regression

__all__ = ["AffinityScores", "learn_affinities"]

Table = NDArray[np.float32]

_BINS = 25
_FEWEST = 50  # pairs of either kind, before their ratio counts as known
_LARGEST = 4.0  # one affinity alone can be wrong: so much it may say, in units of log-likelihood


@dataclass(frozen=True, eq=False)
class AffinityScores:
    """Scores of affinities.

    Attributes:
        edges: (edge, 2) numbers of keypoints.
        table: (edge, bin) score of every affinity from 0 to 1.
    """

    edges: NDArray[np.int64]
    table: Table

    def scores(self, affinity: NDArray[np.floating]) -> Table:
        """(time, camera, edge, candidate, candidate) scores of affinities; NaN where an affinity is."""
        known = np.isfinite(affinity)
        place = np.clip(np.where(known, affinity, 0.0) * _BINS, 0, _BINS - 1).astype(np.intp)
        found = self.table[np.arange(len(self.table))[:, None, None], place]
        return np.where(known, found, np.float32(np.nan))


def learn_affinities(
    affinity: NDArray[np.floating], usable: NDArray[np.bool_], edges: NDArray[np.int64], weight: float
) -> AffinityScores:
    """How often an affinity occurs where two candidates prefer each other, against all others.

    Only pairs count that both had a choice. The ratio never falls with the affinity. Where too few pairs had a choice,
    the affinity is taken for a probability.

    Args:
        affinity: (time, camera, edge, candidate, candidate).
        usable: (time, camera, candidate, keypoint) which candidates take part.
        edges: (edge, 2) numbers of keypoints.
        weight: of the scores.
    """
    table = np.empty((len(edges), _BINS), np.float32)
    middle = (np.arange(_BINS) + 0.5) / _BINS
    for edge, (first, second) in enumerate(edges):
        pair = usable[..., first][..., :, None] & usable[..., second][..., None, :]
        values = np.where(pair & np.isfinite(affinity[:, :, edge]), affinity[:, :, edge], -1.0)
        known = values >= 0
        choice = known & (known.sum(-1, keepdims=True) > 1) & (known.sum(-2, keepdims=True) > 1)
        preferred = (values == values.max(-1, keepdims=True, initial=-1.0)) & (
            values == values.max(-2, keepdims=True, initial=-1.0)
        )
        same, other = (_counts(values[choice & kind]) for kind in (preferred, ~preferred))
        if min(same.sum(), other.sum()) < _FEWEST:
            score = np.log(middle / (1 - middle))
        else:
            ratio = np.log(((same + 0.5) / (same.sum() + 0.5)) / ((other + 0.5) / (other.sum() + 0.5)))
            score = isotonic_regression(ratio, weights=np.sqrt(same + other + 0.1)).x
        table[edge] = weight * np.clip(score, -_LARGEST, _LARGEST)
    return AffinityScores(edges, table)


def _counts(values: NDArray[np.floating]) -> NDArray[np.float64]:
    counted, _ = np.histogram(values, bins=_BINS, range=(0, 1))
    return gaussian_filter1d(counted.astype(np.float64), 1.0, mode="nearest")
