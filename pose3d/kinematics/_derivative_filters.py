"""Linear filters that differentiate: what they do inside a run of frames, at its ends, and to runs that are short."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Filter", "central_filter", "polynomial_filter"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Filter:
    """Coefficients, per frame^order.

    Attributes:
        ends: (length - 1, place, 2 half + 1) coefficients at a place of a run that is as long as that, or shorter than
            the window; those of the last length are for the ends of all longer runs, and their middle for what is
            inside. NaN where the run is too short.
    """

    ends: Array

    @property
    def half(self) -> int:
        """Rows to either side that it needs inside a run."""
        return (self.ends.shape[-1] - 1) // 2

    @property
    def inside(self) -> Array:
        """(2 half + 1,) coefficients inside a run."""
        return self.ends[-1, self.half]

    def times(self, other: Filter) -> Filter:
        """What the two make of independent errors: their covariance is the sum of these times the variances."""
        return Filter(self.ends * other.ends)

    def centered(self, length: int, place: int) -> Array:
        """Coefficients at a place of a run (of the last length for longer ones), with that place in their middle."""
        result = np.zeros(4 * self.half + 1)
        first = 2 * self.half - place
        result[first : first + length] = self.ends[length - 1, place, :length]
        return result


@lru_cache(maxsize=32)
def polynomial_filter(frames: int, degree: int, order: int) -> Filter:
    """The derivative of the polynomial that fits a window best (A. Savitzky and M. J. E. Golay, 1964).

    Within half a window of the ends of a run the polynomial is that of the first or last whole window. A run that is
    shorter than the window is one polynomial; it needs one frame more than its degree.
    """
    ends = np.full((frames, frames, frames), np.nan)
    for length in range(degree + 1, frames + 1):
        # from -1 to 1, so that powers stay apart
        scale = max((length - 1) / 2, 1.0)
        place = (np.arange(length) - (length - 1) / 2) / scale
        basis = np.polynomial.legendre.legvander(place, degree)
        fit = np.linalg.pinv(basis)
        raised = [np.polynomial.legendre.legder(row, order) for row in np.eye(degree + 1)]
        slopes = np.stack([np.polynomial.legendre.legval(place, row) for row in raised], axis=-1)
        ends[length - 1, :length, :length] = slopes @ fit / scale**order
        ends[length - 1, :, length:] = 0.0
    return Filter(ends)


@lru_cache(maxsize=16)
def central_filter(order: int, half: int) -> Filter:
    """Central differences, `numpy.gradient` repeated as often as the order says.

    Within `order` rows of the ends, where that would be wrong (the second derivative of a parabola half of what it
    is), it is the plain difference of the first or last order + 1 rows: for the first derivative the same.

    Args:
        order: of the derivative.
        half: of the window, at least the order; more only for the same window as another order.
    """
    inside = np.ones(1)
    plain = np.ones(1)
    for _ in range(order):
        inside = np.convolve(inside, [-0.5, 0.0, 0.5])
        plain = np.convolve(plain, [-1.0, 1.0])
    frames = 2 * half + 1
    ends = np.full((frames, frames, frames), np.nan)
    for length in range(order + 1, frames + 1):
        ends[length - 1] = 0.0
        for place in range(length):
            row, rest = ends[length - 1, place], length - 1 - place
            if min(place, rest) >= order:
                row[place - order : place + order + 1] = inside
            elif place != rest:
                row[: order + 1] = plain * (place < rest)
                row[length - order - 1 : length] += plain * (place > rest)
            else:  # both, so that time may run backward
                row[: order + 1] += plain / 2
                row[length - order - 1 : length] += plain / 2
    return Filter(ends)
