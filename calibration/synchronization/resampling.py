"""2D positions at instants between frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.errors import InvalidValueError
from calibration.schema import as_floats

__all__ = ["resample_positions", "resample_values"]

# Seconds: what is closer than this to a frame is that frame, and its values stay exactly what they are.
_SAME = 1e-9


def resample_positions(
    position: ArrayLike, times: ArrayLike, at: ArrayLike, *, maximum_gap: float | None = None
) -> NDArray[np.float64]:
    """Positions (instant, ..., space) at instants between the frames of one camera.

    Cubic between four known positions (Lagrange's polynomial, so that the steps may differ), straight where there are
    only the two around the instant. Missing stays missing: a position is made only of two known ones, not farther
    apart than `maximum_gap`, and never beyond the first and last. At 60 frames per second a person's hand bends its
    path by up to 0.3 px within a frame, which a straight line would miss.

    Args:
        position: (frame, ..., space), NaN where missing; the whole position counts as missing where one axis is.
        times: (frame,) increasing seconds.
        at: (instant,) seconds.
        maximum_gap: seconds; 1.5 times the median frame interval by default, so that no dropped frame is bridged.

    Raises:
        InvalidValueError: the times do not increase, or shapes do not fit.
    """
    values = as_floats(position, "position")
    known = np.isfinite(values).all(-1, keepdims=True)
    return _resample(np.where(known, values, np.nan), times, at, maximum_gap, cubic=True)


def resample_values(
    values: ArrayLike, times: ArrayLike, at: ArrayLike, *, maximum_gap: float | None = None
) -> NDArray[np.float64]:
    """Confidence or covariance (instant, ...) at instants between frames, straight between two frames.

    Args:
        values: (frame, ...), NaN where missing.
        times, at, maximum_gap: as for `resample_positions`.

    Raises:
        InvalidValueError: the times do not increase, or shapes do not fit.
    """
    return _resample(as_floats(values, "values"), times, at, maximum_gap, cubic=False)


def _resample(
    values: NDArray[np.float64], times: ArrayLike, at: ArrayLike, maximum_gap: float | None, *, cubic: bool
) -> NDArray[np.float64]:
    stamps, instants = as_floats(times, "times"), as_floats(at, "instants")
    if stamps.shape != values.shape[:1] or not (np.diff(stamps) > 0).all():
        raise InvalidValueError(
            "times",
            expected=f"increasing seconds of {len(values)} frames",
            got=f"shape {stamps.shape}, {int((np.diff(stamps) <= 0).sum())} steps back",
            remedy="Give one time per frame, sorted.",
        )
    result = np.full((len(instants), *values.shape[1:]), np.nan)
    if not len(stamps):
        return result
    nearest = np.clip(np.searchsorted(stamps, instants), 1, max(1, len(stamps) - 1))
    nearest -= np.abs(stamps[nearest - 1] - instants) < np.abs(stamps[np.minimum(nearest, len(stamps) - 1)] - instants)
    nearest = np.minimum(nearest, len(stamps) - 1)
    same = np.abs(stamps[nearest] - instants) <= _SAME
    result[same] = values[nearest[same]]
    if len(stamps) < 2:
        return result
    limit = 1.5 * float(np.median(np.diff(stamps))) if maximum_gap is None else maximum_gap
    right = np.searchsorted(stamps, instants)
    between = ~same & (right > 0) & (right < len(stamps))
    between[between] = stamps[right[between]] - stamps[right[between] - 1] <= limit
    result[between] = _between(values, stamps, instants[between], right[between], limit if cubic else 0.0)
    return result


def _between(
    values: NDArray[np.float64],
    stamps: NDArray[np.float64],
    instants: NDArray[np.float64],
    right: NDArray[np.intp],
    limit: float,
) -> NDArray[np.float64]:
    tail = (slice(None), *[None] * (values.ndim - 1))
    share = ((instants - stamps[right - 1]) / (stamps[right] - stamps[right - 1]))[tail]
    straight = (1 - share) * values[right - 1] + share * values[right]
    around = right[:, None] + np.array([-2, -1, 0, 1])
    inside = (around[:, 0] >= 0) & (around[:, 3] < len(stamps))
    around = np.clip(around, 0, len(stamps) - 1)
    knots = stamps[around]
    inside &= (np.diff(knots, axis=1) <= limit).all(1)
    if not inside.any():
        return straight
    curved = np.zeros_like(straight[inside])
    for one in range(4):
        others = [other for other in range(4) if other != one]
        top = np.prod(instants[inside, None] - knots[inside][:, others], axis=1)
        bottom = np.prod(knots[inside][:, [one]] - knots[inside][:, others], axis=1)
        curved += (top / bottom)[tail] * values[around[inside, one]]
    straight[inside] = np.where(np.isfinite(curved), curved, straight[inside])
    return straight
