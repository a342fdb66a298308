"""Images that several people labeled: one label out of all of theirs, and how far they are apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pose3d.labeling.labels import Labels, Visibility

__all__ = ["annotator_distances", "one_per_image"]


def one_per_image(labels: Labels) -> Labels:
    """Every image once: the mean of the positions that annotators gave, the most frequent visibility.

    A keypoint that only some labeled is as they labeled it. Where as many say one thing as another, the first in the
    order visible, occluded, absent counts.
    """
    rows: dict[str, list[int]] = {}
    for row, frame in enumerate(labels.frames):
        rows.setdefault(frame.image, []).append(row)
    if len(rows) == len(labels):
        return labels
    position, visibility = labels.position.copy(), labels.visibility.copy()
    for several in rows.values():
        said = labels.visibility[several]
        votes = np.array([(said == one).sum(axis=0) for one in list(Visibility)[1:]])
        visibility[several[0]] = np.where(votes.any(axis=0), 1 + votes.argmax(axis=0), Visibility.UNLABELED)
        placed = np.isin(visibility[several[0]], (Visibility.VISIBLE, Visibility.OCCLUDED))
        there = np.isfinite(labels.position[several])
        total = np.where(there, labels.position[several], 0).sum(axis=0)
        count = there.sum(axis=0)
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        position[several[0]] = np.where(placed[..., None], mean, np.nan)
    first = [several[0] for several in rows.values()]
    names = [" and ".join(sorted({labels.annotator[row] for row in several})) for several in rows.values()]
    whole = replace(labels, position=position, visibility=visibility)
    return replace(whole.select(first), annotator=tuple(names))


def annotator_distances(labels: Labels) -> NDArray[np.float64]:
    """(pair, individual, keypoint) distance in pixels between every two annotators of the same image.

    NaN where one of the two gave no position.
    """
    rows: dict[str, list[int]] = {}
    for row, frame in enumerate(labels.frames):
        rows.setdefault(frame.image, []).append(row)
    pairs = [(a, b) for several in rows.values() for place, a in enumerate(several) for b in several[place + 1 :]]
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    return np.asarray(np.linalg.norm(labels.position[first] - labels.position[second], axis=-1))
