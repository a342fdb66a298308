"""Which frames to label next: those where a network doubts, jumps, or contradicts itself between cameras.

A frame that is hard is often followed by many of its like, so suggestions keep apart in time, from each other and from
frames that have images already.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pose3d.metrics import far_steps

__all__ = ["doubt", "jumps", "spread_choice"]

Floats = NDArray[np.float64]


def doubt(confidence: Floats) -> Floats:
    """(n,) mean of 1 - confidence over everything but the first axis; what was not found is full doubt.

    Args:
        confidence: (n, ...) from 0 to 1, NaN where nothing was found.
    """
    missing = 1.0 - np.where(np.isfinite(confidence), confidence, 0.0)
    return missing.reshape(len(confidence), -1).mean(axis=1)


def jumps(first: Floats, second: Floats, far: float) -> Floats:
    """(n,) share of keypoints that moved further than `far` from a frame to the next; what is missing does not count.

    Two frames show the step out, not whether the keypoint came back: fast animals count as well; they are hard, too.
    `pose3d.metrics.jumps` looks at whole recordings.

    Args:
        first, second: (n, ..., 2) positions in pixels in a frame, and in the one after it.
        far: pixels.
    """
    moved = far_steps(first, second, far).reshape(len(first), -1)
    seen = np.isfinite(second - first).all(axis=-1).reshape(len(first), -1)
    return np.asarray(moved.sum(axis=1) / np.maximum(seen.sum(axis=1), 1))


def spread_choice(scores: Floats, times: Floats, count: int, taken: Sequence[float] = ()) -> list[int]:
    """Places of the highest scores that keep apart in time, the best first.

    A score counts less the nearer in time something chosen is: nothing at its very moment, 63 % at the distance that
    `count` frames evenly spread over the recording would have from each other.

    Args:
        scores: (n,) 0 for frames that are of no use.
        times: (n,) seconds.
        count: how many at most.
        taken: seconds of frames that have images already.
    """
    if not len(scores):
        return []
    distance = max(float(times.max() - times.min()) / max(count, 1), 1e-9)

    def apart(moment: float) -> Floats:
        return 1.0 - np.exp(-(((times - moment) / distance) ** 2))

    left = scores.astype(np.float64).copy()
    for moment in taken:
        left *= apart(moment)
    chosen: list[int] = []
    while len(chosen) < count and left.max() > 0:
        best = int(left.argmax())
        chosen.append(best)
        left *= apart(float(times[best]))
    return chosen
