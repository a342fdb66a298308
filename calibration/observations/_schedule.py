"""Which instants are looked at: first evenly spread ones, then more where boards move.

Nothing here depends on the number of workers, so that the result does not either.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from calibration.observations._worker import Sight

__all__ = ["coarse_instants", "finer_instants", "patient_pictures", "pieces"]

# How long it takes to look for a board in a picture, in pictures decoded: 15 to 40 ms against 1 to 3 (1280 x 720).
_LOOK = 15
# Work of a piece, in pictures decoded: about a second, so that the progress moves and the cores end together.
_PIECE = 600
# But every piece opens the file anew, which reads all of it.
_MOST_PIECES = 16
# Pictures that patience is tried with first, and the share of them in which it must find a board to go on.
_PROBES = 12
_WORTH = 0.25


def coarse_instants(picture: NDArray[np.int64], key_frames: Sequence[NDArray[np.intp]], count: int) -> NDArray[np.intp]:
    """Instants spread evenly, one from each of at most `count` stretches of equal length.

    Of a stretch the instant with pictures of the most cameras is taken; among those the one that takes the least
    decoding, which is at a key frame of all where they have them together.

    Args:
        picture: (camera, instant) index of the picture, -1 where a camera has none.
        key_frames: of each camera, the pictures that can be read without others.
        count: the most instants.
    """
    total = picture.shape[1]
    if total <= count:
        return np.arange(total)
    decoding = np.zeros(total)
    for row, keys in zip(picture, key_frames, strict=True):
        behind = row - keys[np.clip(np.searchsorted(keys, row, side="right") - 1, 0, None)]
        decoding += np.where(row >= 0, behind, 0)
    missing = (picture < 0).sum(axis=0)
    bounds = np.linspace(0, total, count + 1).round().astype(np.intp)
    stretch = np.repeat(np.arange(count), np.diff(bounds))
    order = np.lexsort((np.arange(total), decoding, missing, stretch))
    first = np.flatnonzero(np.diff(stretch[order], prepend=-1))
    return np.sort(order[first])


def finer_instants(
    looked: NDArray[np.intp],
    seen: NDArray[np.bool_],
    still: NDArray[np.bool_],
    counts: NDArray[np.bool_],
    *,
    target: int,
    limit: int,
    alone: bool = False,
) -> NDArray[np.intp]:
    """Further instants, evenly spread between those already looked at where the board is and moves.

    Three kinds of views are counted, since a rig needs all of them: of each camera together with another one (`target`
    of them), of each camera at all (half as many), and of each pair of cameras (a quarter). What lacks most gets most.
    A camera that stands alone needs `target` views of its own.

    Args:
        looked: (n,) instants that were looked at, increasing.
        seen: (camera, n) whether the camera saw the board.
        still: (n - 1,) whether nothing moved from one of them to the next.
        counts: (n,) whether the view is another one than before, and counts as one.
        target: views wanted per camera.
        limit: the most instants to look at, with those that were.
        alone: whether cameras have nothing to do with each other.
    """
    gap = np.diff(looked) - 1
    budget = limit - len(looked)
    if budget <= 0 or not gap.any():
        return np.zeros(0, dtype=np.intp)
    extra = np.zeros(len(gap))
    for views, wanted in _kinds_of_views(seen, target, alone=alone):
        count = int((views & counts).sum())
        live = (views[:-1] | views[1:]) & ~still & (gap > 0)
        if count < wanted and live.any():
            extra[live] = np.maximum(extra[live], (wanted - count) / live.sum())
    extra = np.minimum(extra, gap)
    extra *= min(1.0, budget / max(extra.sum(), 1.0))
    # whole numbers of the same sum, as even as they can be
    number = np.diff(np.floor(np.cumsum(extra) + 1e-6), prepend=0).astype(np.intp)
    between = [
        looked[i] + np.round(np.arange(1, n + 1) * (gap[i] + 1) / (n + 1)).astype(np.intp)
        for i, n in enumerate(number)
        if n
    ]
    return np.concatenate(between) if between else np.zeros(0, dtype=np.intp)


def _kinds_of_views(seen: NDArray[np.bool_], target: int, *, alone: bool) -> list[tuple[NDArray[np.bool_], int]]:
    if alone:
        return [(row, target) for row in seen]
    shared = seen.sum(axis=0) >= 2
    kinds = [(row & shared, target) for row in seen]
    kinds += [(row, target // 2) for row in seen]
    kinds += [(first & second, target // 4) for first, second in combinations(seen, 2)]
    return kinds


def patient_pictures(sight: NDArray[np.int8], patient: NDArray[np.bool_], *, target: int) -> NDArray[np.bool_]:
    """Pictures of a camera without a board that are worth a second look with patience, which takes many times longer.

    Only a camera that lacks views is worth it; and there the pictures beside those with a board, if there are any.
    A dozen is tried first, and the others only if that finds the board in a quarter of them.

    Args:
        sight: (n,) `Sight` of the pictures, in order; -1 where there is none.
        patient: (n,) whether they were looked at with patience already.
        target: views wanted of this camera.
    """
    none = np.zeros(len(sight), dtype=np.bool_)
    seen = sight == Sight.BOARD
    tries, hits = int(patient.sum()), int((patient & seen).sum())
    if seen.sum() >= target or (tries and hits < tries * _WORTH):
        return none
    with_picture = np.flatnonzero(sight >= 0)
    around = np.concatenate([[False], seen[with_picture], [False]])
    beside = none.copy()
    beside[with_picture] = around[:-2] | around[2:]
    promising = np.flatnonzero((sight == Sight.NO_BOARD) & ~patient & (beside if beside.any() else True))
    if not tries:
        promising = promising[
            np.unique(np.linspace(0, len(promising) - 1, _PROBES).round().astype(int))[: len(promising)]
        ]
    chosen = none.copy()
    chosen[promising] = True
    return chosen


def pieces(pictures: NDArray[np.int64], key_frames: NDArray[np.intp]) -> list[NDArray[np.int64]]:
    """Pictures of one camera, in order, cut into pieces for workers; cut where little has to be decoded twice.

    Args:
        pictures: (n,) indices of the pictures to look at, increasing.
        key_frames: pictures that decoding can start from.
    """
    if not len(pictures):
        return []
    starts = key_frames[np.searchsorted(key_frames, pictures, side="right") - 1]
    again = pictures - starts + 1  # to be decoded when a piece starts here
    going_on = np.minimum(np.diff(pictures, prepend=pictures[0]), again)
    cost = going_on + _LOOK
    size = max(_PIECE, (cost.sum() + again[0]) / _MOST_PIECES)
    cuts, work = [], float(again[0])
    for index, more in enumerate(cost):
        if work >= size and again[index] - going_on[index] <= size / 4:
            cuts.append(index)
            work = float(again[index])
        work += more
    return np.split(pictures, cuts)
