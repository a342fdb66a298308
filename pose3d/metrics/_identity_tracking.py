"""The scores of trackers, from distances of poses: identities (IDF1), HOTA, and CLEAR (MOTA and its parts)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose3d.metrics._identity_matching import Distances, best_columns

__all__ = ["ALPHAS", "Clear", "Hota", "clear", "hota", "identity_pairs"]

Array = NDArray[np.float64]
Singles = NDArray[np.float32]
Mask = NDArray[np.bool_]
Places = NDArray[np.int64]

ALPHAS = np.arange(1, 20) / 20
"""(19,) similarities from which on HOTA takes two poses for one animal: 0.05 to 0.95."""

# Distances are kept in single precision; a similarity that misses a level by less is at the level.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Hota:
    """HOTA and its parts at every level.

    Attributes:
        hota, deta, assa, loca: (19,) in [0, 1], for `ALPHAS`; NaN where there are no animals at all.
    """

    hota: Array
    deta: Array
    assa: Array
    loca: Array


@dataclass(frozen=True)
class Clear:
    """What CLEAR counts in one camera.

    Attributes:
        match: (time, truth) the animal of the result that each one is followed by, -1 for none.
        error_sum: sum of the distances of those pairs.
        switch_rows, switch_truth: (switch,) where another one follows an animal of the truth than did before, and
            which animal that is.
        fragmentations: how often an animal of the truth is lost and found again.
    """

    match: Places
    error_sum: float
    switch_rows: Places
    switch_truth: Places
    fragmentations: int


def identity_pairs(sequences: Sequence[Distances]) -> tuple[Places, Array]:
    """Who is whom over the whole recording: the one-to-one assignment with the most frames within the threshold.

    Method: Ristani, Solera, Zou, Cucchiara, Tomasi, Performance measures and a data set for multi-target, multi-camera
    tracking (2016). The bipartite graph of the paper, with an extra node for everyone who is matched with nobody,
    comes down to this assignment because unmatched frames cost one each on either side.

    Returns:
        (truth,) the animal of the result, -1 for none; and (truth, result) the number of frames within the threshold.
    """
    from scipy.optimize import linear_sum_assignment

    together = np.zeros(sequences[0].distance.shape[1:])
    for one in sequences:
        together += (one.distance <= one.threshold).sum(axis=0)
    pairs = np.full(len(together), -1, dtype=np.int64)
    rows, columns = linear_sum_assignment(together, maximize=True)
    fits = together[rows, columns] > 0
    pairs[rows[fits]] = columns[fits]
    return pairs, together


def hota(sequences: Sequence[Distances]) -> Hota:
    """HOTA, detection, association and localization at every level; several cameras count as one recording.

    Method: Luiten, Ošep, Dendorfer, Torr, Geiger, Leal-Taixé, Leibe, HOTA: a higher order metric for evaluating
    multi-object tracking (2021). Similarity is max(0, 1 - distance / (2 threshold)). As in the authors' program, the
    animals of a frame are matched once, by similarity times how much the two are together in the recording, and not
    again for every level.
    """
    similar = [_similarity(one) for one in sequences]
    truths, results = (sum(getattr(one, name).sum(axis=0) for one in sequences) for name in _THERE)
    alike = np.zeros(sequences[0].distance.shape[1:])
    for values in similar:
        alike += _share_alike(values)
    whole = truths[:, None] + results - alike
    together = np.divide(alike, whole, out=np.zeros_like(alike), where=whole > 0)
    found, sums = np.zeros((*together.shape, len(ALPHAS) + 1)), np.zeros(len(ALPHAS) + 1)
    for values in similar:
        columns = best_columns(values * together.astype(np.float32))
        frames, rows = np.nonzero(columns >= 0)
        reached = values[frames, rows, columns[frames, rows]].astype(np.float64)
        levels = np.searchsorted(ALPHAS, reached + _ROUNDING, side="right")
        np.add.at(found, (rows, columns[frames, rows], levels), 1.0)
        sums += np.bincount(levels, reached, minlength=len(sums))
    # those of a level reach all lower ones
    pairs, sums = np.cumsum(found[..., :0:-1], axis=-1)[..., ::-1], np.cumsum(sums[:0:-1])[::-1]
    return _hota_of_counts(pairs, sums, truths, results)


def clear(one: Distances) -> Clear:
    """Follow every animal of the truth through the frames of a camera.

    Method: Bernardin, Stiefelhagen, Evaluating multiple object tracking performance: the CLEAR MOT metrics (2008). An
    animal stays with the one that followed it last while that is within the threshold, seen in between or not; the
    others are assigned so that as many as possible are matched, at the least sum of distances.
    """
    near: Mask = np.asarray(one.distance <= one.threshold)
    match = np.where(near.any(axis=2), near.argmax(axis=2) if near.size else 0, -1).astype(np.int64)
    # Where nobody is near two others there is nothing to choose; only the other frames are gone through one by one.
    hard = (near.sum(axis=2) > 1).any(axis=1) | (near.sum(axis=1) > 1).any(axis=1)
    match[hard] = -1
    _follow(one.distance, near, match, np.flatnonzero(hard))
    frames, rows = np.nonzero(match >= 0)
    error_sum = one.distance[frames, rows, match[frames, rows]].sum(dtype=np.float64)
    switched = np.zeros(match.shape, dtype=bool)
    lost = 0
    for truth in range(match.shape[1]):
        followed = np.flatnonzero(match[:, truth] >= 0)
        switched[followed[1:], truth] = np.diff(match[followed, truth]) != 0
        there = match[one.truth_there[:, truth], truth] >= 0
        ends = np.count_nonzero(there[:-1] & ~there[1:])
        # the last end is none where nobody followed it again
        lost += int(ends) - bool(ends and not there[-1])
    switch_rows, switch_truth = np.nonzero(switched)
    return Clear(match, float(error_sum), switch_rows, switch_truth, lost)


_THERE = ("truth_there", "result_there")


def _similarity(one: Distances) -> Singles:
    """(time, truth, result) 1 where poses are the same, 0 from twice the threshold on or where one is missing."""
    values = 1 - one.distance / np.float32(2 * one.threshold)
    return np.where(values > 0, values, np.float32(0))


def _share_alike(similar: Singles) -> Array:
    """(truth, result) sum over frames of the similarity, as a share of all that both are similar to in the frame."""
    whole = similar.sum(axis=2, keepdims=True) + similar.sum(axis=1, keepdims=True) - similar
    share = np.divide(similar, whole, out=np.zeros_like(similar), where=whole > 0)
    return share.sum(axis=0, dtype=np.float64)


def _hota_of_counts(pairs: Array, similarity: Array, truths: Array, results: Array) -> Hota:
    """HOTA of the number of frames (truth, result, level) in which two are matched, and the poses of each animal."""
    hits = pairs.sum(axis=(0, 1))
    everyone = truths.sum() + results.sum()
    if not everyone:
        nothing = np.full(len(ALPHAS), np.nan)
        return Hota(nothing, nothing, nothing, nothing)
    either = truths[:, None, None] + results[:, None] - pairs
    shares = np.divide(pairs, either, out=np.zeros_like(pairs), where=either > 0)
    some = np.maximum(hits, 1)
    deta = hits / (everyone - hits)
    assa = (pairs * shares).sum(axis=(0, 1)) / some
    loca = np.where(hits > 0, similarity / some, np.nan)
    return Hota(np.sqrt(deta * assa), deta, assa, loca)


def _follow(distance: Singles, near: Mask, match: Places, hard: Places) -> None:
    """Fill in the rows of `match` in which somebody is near two others, in the order of time."""
    count = match.shape[1]
    rows = np.arange(len(match))[:, None]
    before = np.maximum.accumulate(np.where(match >= 0, rows, -1), axis=0)[hard].tolist()
    recent = [-1] * count
    for place, row in enumerate(hard.tolist()):
        rows_before = map(max, before[place], recent)
        last = [int(match[then, who]) if then >= 0 else -1 for who, then in enumerate(rows_before)]
        found = _assign(distance[row], near[row], last)
        for who, other in found.items():
            match[row, who] = other
            recent[who] = row


def _assign(distance: Singles, near: Mask, last: Sequence[int]) -> dict[int, int]:
    """Who follows whom in a frame, by who followed last."""
    from scipy.optimize import linear_sum_assignment

    found: dict[int, int] = {}
    for who, other in enumerate(last):
        if other >= 0 and near[who, other] and other not in found.values():
            found[who] = other
    free = [who for who in range(len(near)) if who not in found and near[who].any()]
    if not free:
        return found
    others = [other for other in range(near.shape[1]) if other not in found.values()]
    left = near[np.ix_(free, others)]
    if left.any():
        cost = np.where(left, distance[np.ix_(free, others)], 0.0)
        # more than all distances together: as many as possible are matched
        cost = np.where(left, cost, 1.0 + 2 * len(free) * cost.max())
        for row, column in zip(*linear_sum_assignment(cost), strict=True):
            if left[row, column]:
                found[free[row]] = others[column]
    return found
