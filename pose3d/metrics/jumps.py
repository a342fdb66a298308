"""Keypoints that leap: positions in an image that no animal can have taken, found without knowing the truth.

What a network gets wrong often shows in time. It takes one ear for the other for a frame, and comes back. Fast animals
move far from frame to frame as well, but they do not come back at once. So a *jump* is a step that is too far, followed
within a few frames by the way back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.errors import InvalidValueError

__all__ = ["JUMP_SHARE", "body_length", "far_steps", "jump_limits", "jumps"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# A step is far from this share of the length of the body on. `refine` uses it too.
JUMP_SHARE = 0.25
# It is back when it is nearer to where it came from than this share of how far it had gone.
_BACK = 0.5
# Median length of a step of normal noise with a standard deviation of 1 along x and along y.
_MEDIAN_STEP = 1.1774


def body_length(position: ArrayLike) -> float:
    """Typical length of an animal: median over frames of the diagonal of the box around its keypoints.

    Frames in which fewer than half of the keypoints are known have no say: a part of a body is short.

    Args:
        position: (time, keypoint, 2) pixels of one animal in one camera, or (time, keypoint, 3) in the world; NaN where
            missing.

    Returns:
        In the unit of the positions; NaN where no frame has two keypoints.
    """
    points = np.asarray(position, dtype=np.float64)
    known: Mask = np.asarray(np.isfinite(points).all(axis=-1))
    enough: Mask = known.sum(axis=1) >= max(2, (points.shape[1] + 1) // 2)
    if not enough.any():
        return float("nan")
    there = known[enough][..., None]
    high = np.where(there, points[enough], -np.inf).max(axis=1)
    low = np.where(there, points[enough], np.inf).min(axis=1)
    return float(np.median(np.linalg.norm(high - low, axis=-1)))


def jump_limits(position: ArrayLike, length: float, *, share: float = JUMP_SHARE, deviations: float = 6.0) -> Array:
    """(...) pixels from which on a step of a keypoint from one frame to the next is far.

    The larger of two: a share of the length of the body, and a number of robust standard deviations of the keypoint's
    own steps (from their median, so that jumps have no say). The second matters where frames are few per second or
    animals fast, so that far steps are usual.

    Args:
        position: (time, ..., 2) pixels, NaN where missing.
        length: of the body in pixels; NaN where unknown, then only the deviations count.
        share: of the length.
        deviations: how many.

    Raises:
        InvalidValueError: share or deviations are not positive.
    """
    for name, value in (("share", share), ("deviations", deviations)):
        if not value > 0:
            raise InvalidValueError(
                f"jumps, {name}", expected="a number above 0", got=str(value), remedy="Leave it out, or give another."
            )
    steps = np.linalg.norm(np.diff(np.asarray(position, dtype=np.float64), axis=0), axis=-1)
    flat = steps.reshape(len(steps), -1)
    typical = np.array([np.median(one[np.isfinite(one)]) if np.isfinite(one).any() else np.nan for one in flat.T])
    spread = deviations * typical.reshape(steps.shape[1:]) / _MEDIAN_STEP
    limits = np.fmax(spread, share * length)
    return np.where(np.isfinite(limits), limits, np.inf)


def far_steps(first: ArrayLike, second: ArrayLike, limit: ArrayLike) -> Mask:
    """(...) True where a keypoint moved further than the limit; what is missing did not.

    Args:
        first, second: (..., 2) pixels in a frame and in a later one.
        limit: pixels, of the shape of the result or one that spreads to it.
    """
    step = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.linalg.norm(step, axis=-1) > np.asarray(limit))


def jumps(
    position: ArrayLike, limit: ArrayLike, *, frames: Sequence[int] | NDArray[np.int64] | None = None, longest: int = 3
) -> Mask:
    """(time, ...) True where a keypoint is away: it went too far in one frame, and came back within a few.

    A position counts where at most `longest` frames lie between a step out that is longer than the limit, and one back
    that is longer than the limit too, and where the keypoint is then nearer to where it was than half of either way. A
    leap that lasts longer cannot be told from an animal that moved, and is no jump here; neither is what has no
    neighbor to compare with.

    Args:
        position: (time, ..., 2) pixels, NaN where missing.
        limit: pixels, one or (...), see `jump_limits`.
        frames: (time,) increasing frame numbers, where some are left out; 0, 1, 2, ... by default.
        longest: frames that a jump lasts at most.

    Raises:
        InvalidValueError: `longest` is less than 1.
    """
    if longest < 1:
        raise InvalidValueError("jumps, longest", expected="1 or more frames", got=str(longest), remedy="Give 3, say.")
    points = np.asarray(position, dtype=np.float64)
    numbers = np.arange(len(points)) if frames is None else np.asarray(frames, dtype=np.int64)
    result = np.zeros(points.shape[:-1], dtype=bool)
    for lasting in range(1, min(longest, len(points) - 2) + 1):
        count = len(points) - lasting - 1
        # rows: the last before, the first and the last away, the first after
        before, after = points[:count], points[lasting + 1 :]
        out, back = points[1 : count + 1], points[lasting : lasting + count]
        away = far_steps(before, out, limit) & far_steps(back, after, limit)
        away &= (numbers[lasting + 1 :] - numbers[:count] == lasting + 1).reshape(-1, *(1,) * (away.ndim - 1))
        shorter = np.minimum(np.linalg.norm(out - before, axis=-1), np.linalg.norm(after - back, axis=-1))
        away &= ~far_steps(before, after, _BACK * shorter)
        for part in range(lasting):
            result[1 + part : 1 + part + count] |= away & np.isfinite(points[1 + part : 1 + part + count]).all(axis=-1)
    return result
