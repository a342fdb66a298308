"""Tracks made smooth: positions and velocities of points in one camera at any time."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SmoothTrack", "smooth"]

# A parabola through seven frames: noise falls to 0.58 of itself and depends little on where between frames one reads.
# With raw samples the mean of two neighbors has 0.7 of the noise, and every fit is pulled to half frames.
_HALF_WIDTH = 3
_FEWEST = 5
_OUTLIER = 5.0  # robust standard deviations from the running median
_WIDEST_GAP = 1.5  # frames


@dataclass(frozen=True, eq=False)
class SmoothTrack:
    """Points of one camera over its own time.

    Attributes:
        times: (frame,) seconds.
        interval: seconds from frame to frame.
        value: (frame, point, 2) smoothed, NaN where too little is known.
        slope: (frame, point, 2) per second.
        noise: robust standard deviation of the raw positions around the smooth ones, px.
    """

    times: NDArray[np.float64]
    interval: float
    value: NDArray[np.float64]
    slope: NDArray[np.float64]
    noise: float

    def read(self, times: NDArray[np.float64], points: NDArray[np.intp]) -> NDArray[np.float64]:
        """(sample, 2) positions of points (sample,) at times (sample,); NaN where there are none."""
        if len(self.times) < 2:
            return np.full((len(times), 2), np.nan)
        right = np.clip(np.searchsorted(self.times, times), 1, len(self.times) - 1)
        step = self.times[right] - self.times[right - 1]
        share = (times - self.times[right - 1]) / step
        outside = (share < 0) | (share > 1) | (step > _WIDEST_GAP * self.interval)
        s, h = share[:, None], step[:, None]
        left_value, right_value = self.value[right - 1, points], self.value[right, points]
        left_slope, right_slope = self.slope[right - 1, points], self.slope[right, points]
        found = (
            (1 + 2 * s) * (1 - s) ** 2 * left_value
            + s * (1 - s) ** 2 * h * left_slope
            + s**2 * (3 - 2 * s) * right_value
            - s**2 * (1 - s) * h * right_slope
        )
        found[outside] = np.nan
        return found

    @property
    def speed(self) -> NDArray[np.float64]:
        """(frame, point) px per frame interval."""
        return np.linalg.norm(self.slope, axis=-1) * self.interval


def smooth(times: NDArray[np.float64], position: NDArray[np.float64], interval: float) -> SmoothTrack:
    """The smooth track of positions (frame, point, 2) at times (frame,).

    What lies far from the running median of seven frames is left out first; then a parabola is fitted to the known
    ones of seven frames around every frame.
    """
    raw = _without_outliers(position)
    moments = np.zeros((5, *raw.shape[:2]))
    sums = np.zeros((3, *raw.shape))
    known = np.asarray(np.isfinite(raw).all(-1))
    filled = np.where(known[..., None], raw, 0.0)
    for shift in range(-_HALF_WIDTH, _HALF_WIDTH + 1):
        here, there = _overlap(len(raw), shift)
        ahead = ((times[there] - times[here]) / interval)[:, None]
        weight = known[there] * (np.abs(ahead) < _HALF_WIDTH + 0.5)
        for power in range(5):
            moments[power, here] += weight * ahead**power
        for power in range(3):
            sums[power, here] += (weight * ahead**power)[..., None] * filled[there]
    enough = (moments[0] >= _FEWEST) & known
    matrix = np.stack([np.stack([moments[row + column] for column in range(3)], -1) for row in range(3)], -2)
    matrix[~enough] = np.eye(3)
    solved = np.linalg.solve(matrix, np.moveaxis(sums, 0, -2))
    solved[~enough] = np.nan
    rest = np.abs(raw - solved[..., 0, :])
    # seven-point parabola: what is left of white noise has sqrt(1 - 1/3) of its spread
    spread = 1.4826 * float(np.nanmedian(rest)) / np.sqrt(2 / 3) if enough.any() else np.nan
    return SmoothTrack(times, interval, solved[..., 0, :], solved[..., 1, :] / interval, spread)


def _overlap(length: int, shift: int) -> tuple[slice, slice]:
    """Rows that have a row `shift` later, and those later rows."""
    return slice(max(0, -shift), length - max(0, shift)), slice(max(0, shift), length - max(0, -shift))


def _without_outliers(position: NDArray[np.float64]) -> NDArray[np.float64]:
    raw = np.where(np.isfinite(position).all(-1, keepdims=True), position, np.nan)
    stack = np.full((2 * _HALF_WIDTH + 1, *raw.shape), np.nan)
    for shift in range(-_HALF_WIDTH, _HALF_WIDTH + 1):
        here, there = _overlap(len(raw), shift)
        stack[shift + _HALF_WIDTH, here] = raw[there]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nothing but NaN around a frame
        away = np.linalg.norm(raw - np.nanmedian(stack, axis=0), axis=-1)
        limit = _OUTLIER * 1.4826 * np.nanmedian(away)
    far = away > max(limit, 1e-6) if np.isfinite(limit) else np.zeros(away.shape, dtype=bool)
    return np.where(far[..., None], np.nan, raw)
