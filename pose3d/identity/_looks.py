"""What tells animals apart besides where they are: lengths between keypoints, and appearance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose3d.identity._learning import CHI_SQUARE_MEDIAN
from pose3d.identity._tracks import Pieces, Rows

__all__ = ["ROUNDS", "Features", "Looks", "name_costs", "piece_features"]

Array = NDArray[np.float64]
Places = NDArray[np.int64]

# Frames that are as good as one independent look.
_LOOK = 50.0
# Pieces of one animal differ for reasons that last (posture, a keypoint that slips) by more than the blocks in them
# say: by this factor of the variance where fewer pieces than `_ENOUGH` show by how much.
_LASTING, _ENOUGH = 3.0, 8
# Animals differ in a feature where they do by so many times the variance of its errors: 1 % by chance, of four.
_SIGNIFICANT = 3.8
# Features are not independent of each other; and no look decides all alone.
_SHARE, _MOST = 0.5, 12.0
# Rounds of naming pieces and learning from them what every animal looks like.
ROUNDS = 3


class Looks:
    """Sums of the appearance of every piece of track, as a recording goes by.

    Args:
        wanted: whether instances have an appearance that counts.
    """

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._sum: dict[int, Array] = {}
        self._square: dict[int, Array] = {}
        self._count: dict[int, float] = {}

    def add(self, rows: Rows, first: int, appearance: Array | None) -> None:
        """Add the rows of some frames.

        Args:
            rows: of these frames.
            first: number of the first frame.
            appearance: (time, camera, instance, feature), NaN where not known.
        """
        if not self._wanted or appearance is None:
            return
        row, camera = np.nonzero(rows.instance >= 0)
        values = appearance[rows.time[row] - first, camera, rows.instance[row, camera]]
        known = np.isfinite(values).all(-1)
        tracks, values = rows.track[row][known], values[known]
        for track in np.unique(tracks).tolist():
            own = values[tracks == track]
            self._sum[track] = self._sum.get(track, 0.0) + own.sum(0)
            self._square[track] = self._square.get(track, 0.0) + (own**2).sum(0)
            self._count[track] = self._count.get(track, 0.0) + len(own)

    def of(self, numbers: Places) -> tuple[Array, Array, Array]:
        """(piece, feature) number of looks, mean, and variance of one look; no feature where there is no appearance."""
        width = len(next(iter(self._sum.values()))) if self._sum else 0
        count, mean, variance = (np.zeros((len(numbers), width)) for _ in range(3))
        for place, number in enumerate(numbers.tolist()):
            if number in self._count:
                n = self._count[number]
                count[place] = n / _LOOK
                mean[place] = self._sum[number] / n
                variance[place] = np.maximum(self._square[number] / n - mean[place] ** 2, 0.0)
        return count, mean, variance


@dataclass(frozen=True, eq=False)
class Features:
    """What pieces of track look like.

    Attributes:
        mean: (piece, feature) NaN where not known.
        variance: (piece, feature) of that mean.
        between: (feature,) variance between animals; 0 where they do not differ.
        middle: (feature,) mean of the animals.
    """

    mean: Array
    variance: Array
    between: Array
    middle: Array

    @property
    def tells(self) -> bool:
        """Whether any feature tells animals apart."""
        return bool((self.between > 0).any())


def piece_features(pieces: Pieces, looks: Looks, seeds: Places, chains: Places, *, shape: bool) -> Features:
    """What every piece of track looks like, and by how much animals differ.

    How sure a mean is comes from how blocks of frames differ within a piece, and from how pieces of a chain differ,
    which is more: what lasts for seconds, as posture, does not average out.

    Args:
        pieces, looks: of the tracks.
        seeds: (piece,) number of the animal, of one sure piece for each; -1 for others.
        chains: (piece,) chain of each by motion alone, -1 for none.
        shape: whether lengths count.
    """
    count, mean, squares = (pieces.lengths[..., part] for part in range(3))
    # of pieces shorter than two blocks nothing is known about how blocks differ
    long = count >= 2.0
    between = _pooled(np.where(long, squares, 0.0).sum(0), np.where(long, count - 1.0, 0.0).sum(0))
    seen, look, spread = looks.of(pieces.number)
    within = _pooled((spread * seen).sum(0), seen.sum(0))
    lengths = count.shape[1] if shape else 0
    counts = np.concatenate([count[:, :lengths], seen], axis=1)
    means = np.concatenate([mean[:, :lengths], look], axis=1)
    single = np.concatenate([between[:lengths], within])
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = single / counts
    usable = (counts > 0) & np.isfinite(variance) & (single > 0)
    means, variance = np.where(usable, means, np.nan), np.where(usable, variance, np.inf)
    variance = variance * _lasting(means, variance, chains)
    animals, middle = _animals(means, variance, seeds)
    return Features(means, variance, animals, middle)


def _lasting(mean: Array, variance: Array, chains: Places) -> Array:
    """(feature,) by how much more pieces of one chain differ than their blocks say."""
    squares: list[Array] = []
    for chain in np.unique(chains[chains >= 0]).tolist():
        own = chains == chain
        weight = np.where(np.isfinite(mean[own]), 1.0 / variance[own], 0.0)
        value = np.where(weight > 0, mean[own], 0.0)
        rest = weight.sum(0) - weight
        middle = _divided((weight * value).sum(0) - weight * value, rest)
        both = (weight > 0) & (rest > 0)
        spread = _divided(1.0, weight) + _divided(1.0, rest)
        squares.append(np.where(both, _divided((value - middle) ** 2, spread), np.nan))
    every = np.concatenate(squares) if squares else np.zeros((0, mean.shape[1]))
    result = np.full(mean.shape[1], _LASTING)
    for feature in range(mean.shape[1]):
        told = every[:, feature][np.isfinite(every[:, feature])]
        if len(told) >= _ENOUGH:
            # a median, since some pieces are of another animal than their chain says
            result[feature] = max(float(np.median(told)) / CHI_SQUARE_MEDIAN, 1.0)
    return result


def _animals(mean: Array, variance: Array, seeds: Places) -> tuple[Array, Array]:
    """(feature,) variance between animals beyond what errors explain, 0 where that is not significant; and the mean."""
    chosen = np.isfinite(mean) & (seeds >= 0)[:, None]
    number = chosen.sum(0)
    middle = _divided(np.where(chosen, mean, 0.0).sum(0), number.astype(np.float64))
    spread = _divided(np.where(chosen, (mean - middle) ** 2, 0.0).sum(0), np.maximum(number - 1.0, 0.0))
    error = _divided(np.where(chosen, variance, 0.0).sum(0), number.astype(np.float64))
    significant = (number >= 2) & (spread > _SIGNIFICANT * error)
    return np.where(significant, spread - error, 0.0), middle


def _divided(numerator: Array | float, denominator: Array) -> Array:
    return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=denominator > 0)


def _pooled(squares: Array, freedom: Array) -> Array:
    return _divided(squares, freedom)


def name_costs(features: Features, names: Places, count: int) -> Array:
    """(piece, name) what speaks against a piece being of that name, from the pieces that have it.

    A piece is compared with the others of a name, without itself, and with what is known of animals in general where
    there is little of them.

    Args:
        features: of the pieces.
        names: (piece,) name of each, -1 for none.
        count: number of names.
    """
    chosen = features.between > 0
    mean, variance = features.mean[:, chosen], features.variance[:, chosen]
    between, middle = features.between[chosen], features.middle[chosen]
    cost = np.zeros((len(mean), count))
    if count < 2 or not mean.size:
        return cost
    told = np.isfinite(mean)
    weight = np.where(told, 1.0 / variance, 0.0)
    value = np.where(told, mean, 0.0)
    for name in range(count):
        own = (names == name)[:, None]
        total = (weight * own).sum(0)[None] - weight * own + 1.0 / between
        center = ((weight * value * own).sum(0)[None] - weight * value * own + middle / between) / total
        spread = np.where(told, variance, 1.0) + 1.0 / total
        off = np.where(told, (value - center) ** 2 / spread + np.log(spread), 0.0)
        cost[:, name] = 0.5 * _SHARE * off.sum(1)
    return np.minimum(cost - cost.min(axis=1, keepdims=True), _MOST)
