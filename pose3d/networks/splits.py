"""Which images train, and which are held out.

Neighbors in a video, and the same animal in another, look alike: a network that has seen one of them knows the other
already. So images are held out by group, not one by one, wherever there are several groups.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calibration.errors import InvalidValueError

__all__ = ["folds", "holdout"]

Integers = NDArray[np.int64]


def folds(groups: Sequence[str], count: int, seed: int = 0) -> tuple[Integers, ...]:
    """The images (number) of each fold; groups stay together where there are enough of them.

    Groups are dealt out from the largest to the smallest, each to the fold that has the fewest images. With fewer
    groups than folds the images are dealt out one by one.

    Args:
        groups: (image,) name of the video, the animal or both.
        count: of folds.
        seed: of the order.

    Raises:
        InvalidValueError: there are fewer images than folds, or fewer than two folds.
    """
    if not 2 <= count <= len(groups):
        raise InvalidValueError(
            "folds",
            expected=f"2 to {len(groups)} folds of {len(groups)} images",
            got=str(count),
            remedy="Choose fewer folds, or label more images.",
        )
    rng = np.random.default_rng(seed)
    names, group = np.unique(np.array(groups, dtype=np.str_), return_inverse=True)
    if len(names) < count:
        group = np.arange(len(groups))
    sizes = np.bincount(group)
    order = rng.permutation(len(sizes))
    result: list[list[int]] = [[] for _ in range(count)]
    for one in order[np.argsort(-sizes[order], kind="stable")]:
        result[int(np.argmin([len(fold) for fold in result]))].extend(np.flatnonzero(group == one).tolist())
    return tuple(np.array(sorted(fold), dtype=np.int64) for fold in result)


def holdout(groups: Sequence[str], share: float, seed: int = 0) -> tuple[Integers, Integers]:
    """Images (number) to train on, and those held out: whole groups where that comes near the share.

    With a single group, or where the smallest group is more than twice the share, single images are held out.

    Args:
        groups: (image,) name of the video, the animal or both.
        share: of the images to hold out, 0 to below 1.
        seed: of the choice.

    Raises:
        InvalidValueError: the share is out of its range.
    """
    if not 0 <= share < 1:
        raise InvalidValueError(
            "share of held-out images", expected="0 to below 1", got=str(share), remedy="Choose 0.1 to 0.2."
        )
    total = len(groups)
    wanted = min(round(share * total), total - 2)
    if wanted < 1:
        return np.arange(total), np.empty(0, dtype=np.int64)
    rng = np.random.default_rng(seed)
    _, group = np.unique(np.array(groups, dtype=np.str_), return_inverse=True)
    sizes = np.bincount(group)
    if len(sizes) < 2 or sizes.min() > 2 * wanted:
        group = np.arange(total)
        sizes = np.ones(total, dtype=np.int64)
    chosen: list[int] = []
    for one in rng.permutation(len(sizes)):
        if len(chosen) >= wanted:
            break
        if len(chosen) + sizes[one] <= 2 * wanted:
            chosen.extend(np.flatnonzero(group == one).tolist())
    held_out = np.array(sorted(chosen), dtype=np.int64)
    return np.setdiff1d(np.arange(total), held_out), held_out
