"""A jet: positions and their derivatives at the same moments, with the covariance of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pose3d.kinematics._derivative_filters import Filter
from pose3d.kinematics._derivative_kernels import distances_to_ends, filter_rows, windows_of_rows
from pose3d.kinematics._error_correlation import ErrorCorrelation, transfer_of

__all__ = ["MOST_FROM_END", "Differences", "FilterJet", "Jet", "Rows", "end_gains"]

Array = NDArray[np.float64]

MOST_FROM_END = 64
"""Frames from the end of a run that are looked at: smoothers that average over more are not used on motion."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a recording, and some around them.

    Attributes:
        position: (row, space, track), NaN where missing.
        covariance: (row, space, space, track), or None.
        link: (row,) whether a row is the frame after the one before.
        first, last: the rows that are wanted.
        deviation: (track,) of the differences of the motion, see `Differences.deviations`.
    """

    position: Array
    covariance: Array | None
    link: NDArray[np.bool_]
    first: int
    last: int
    deviation: Array


class Jet(Protocol):
    """Derivatives of rows."""

    def value(self, order: int) -> Array:
        """(row, space, track) derivatives of an order; of order 0 the positions as the method has them."""

    def covariance(self, order: int, other: int) -> Array:
        """(row, space, space, track) covariance of the derivatives of two orders."""


@dataclass(frozen=True, eq=False)
class Differences:
    """Derivatives by linear filters.

    Attributes:
        filter: the filter of an order.
        step: time from frame to frame.
        correlation: of the errors of positions; None where those of different frames are independent.
        order: of the differences that the correlation of smoothed positions depends on.
    """

    filter: Callable[[int], Filter]
    step: float
    correlation: ErrorCorrelation | None
    _tables: dict[tuple[int, int, int], Array] = field(default_factory=dict)

    def halo(self, *orders: int) -> int:
        """Rows to either side that it needs."""
        needed = 2 * max(self.filter(order).half for order in orders)
        smoothed = self.correlation is not None and self.correlation.differences
        return max(needed, MOST_FROM_END) if smoothed else needed

    def values(self, order: int, rows: Array, link: NDArray[np.bool_], first: int, last: int, result: Array) -> None:
        """Fill in derivatives (last - first, track) of rows (row, track)."""
        filter_rows(rows, link, first, last, self.scaled(order), result)

    def scaled(self, order: int) -> Array:
        """Coefficients per time^order."""
        return self.filter(order).ends / self.step**order

    def variances(
        self, order: int, rows: Array, variance: Array, link: NDArray[np.bool_], first: int, last: int,
        deviation: Array, result: Array,
    ) -> None:  # fmt: skip
        """Fill in variances (last - first, track) of derivatives.

        Args:
            order, rows, link, first, last: as for `values`.
            variance: (row, track) of the positions.
            deviation: (track,) of the differences of the motion.
            result: to be filled.
        """
        if self.correlation is None:
            self.independent(order, order, rows, variance, link, first, last, result)
        else:
            now = variance[first:last]
            parameter = now / deviation**2
            result[:] = now * self.gains(order, order, parameter, rows, link, first, last)

    def independent(
        self, order: int, other: int, rows: Array, variance: Array, link: NDArray[np.bool_], first: int, last: int,
        result: Array,
    ) -> None:  # fmt: skip
        """Fill in covariances (last - first, track) of the derivatives of two orders, of independent errors."""
        # what is known without a variance must not cut the run, but has no certainty
        known = np.where(np.isnan(variance), np.inf, variance)
        known[np.isnan(rows)] = np.nan
        both = self.filter(order).times(self.filter(other))
        with np.errstate(invalid="ignore"):
            filter_rows(known, link, first, last, both.ends / self.step ** (order + other), result)
        result[~np.isfinite(result)] = np.nan

    def windows(self, order: int, rows: Array, link: NDArray[np.bool_], first: int, last: int) -> NDArray[np.int32]:
        """(last - first, track) see `windows_of_rows`."""
        windows = np.empty((last - first, rows.shape[1]), dtype=np.int32)
        windows_of_rows(rows, link, first, last, 2 * self.filter(order).half + 1, windows)
        return windows

    def gains(
        self, order: int, other: int, parameter: Array, rows: Array, link: NDArray[np.bool_], first: int, last: int
    ) -> Array:
        """Factors by which the variance of positions is multiplied, of the shape of the parameter.

        Args:
            order, other: of the derivatives.
            parameter: (last - first, track) see `ErrorCorrelation`.
            rows, link, first, last: as for `values`.
        """
        windows = self.windows(order, rows, link, first, last)
        assert self.correlation is not None
        kinds = np.unique(windows[windows >= 0])
        result = np.full(parameter.shape, np.nan)
        for kind in kinds.tolist():
            where = windows == kind
            table = self._table(order, other, kind)
            result[where] = self.correlation.at(table, parameter[where])
        return result * end_gains(self.correlation, order, other, parameter, rows, link, first, last)

    def _table(self, order: int, other: int, kind: int) -> Array:
        key = (order, other, kind)
        if key not in self._tables:
            assert self.correlation is not None
            transfers = []
            for each in (order, other):
                one = self.filter(each)
                length, place = divmod(kind, 2 * one.half + 1)
                transfers.append((each, transfer_of(one.centered(length + 1, place))))
            self._tables[key] = self.correlation.table(*transfers) / self.step ** (order + other)
        return self._tables[key]


def end_gains(
    correlation: ErrorCorrelation, order: int, other: int, parameter: Array, rows: Array, link: NDArray[np.bool_],
    first: int, last: int,
) -> Array:  # fmt: skip
    """Factors of the covariance of two derivatives near the ends of runs; arguments as for `Differences.gains`."""
    if not correlation.differences:
        return np.ones(parameter.shape)
    distance = np.empty(parameter.shape)
    distances_to_ends(rows, link, first, last, MOST_FROM_END, distance)
    result, near = np.ones(parameter.shape), distance < MOST_FROM_END
    one, two = (correlation.at_ends(each, distance[near], parameter[near]) for each in (order, other))
    result[near] = np.sqrt(one * two)
    return result


@dataclass(frozen=True, eq=False)
class FilterJet:
    """The jet of rows by linear filters; those of all orders have the same window."""

    rows: Rows
    differences: Differences

    def value(self, order: int) -> Array:
        """See `Jet`."""
        rows, (count, space, tracks) = self.rows, self.rows.position.shape
        result = np.empty((rows.last - rows.first, space * tracks))
        flat = rows.position.reshape(count, space * tracks)
        self.differences.values(order, flat, rows.link, rows.first, rows.last, result)
        return result.reshape(len(result), space, tracks)

    def covariance(self, order: int, other: int) -> Array:
        """See `Jet`."""
        rows, differences = self.rows, self.differences
        space, tracks = rows.position.shape[1:]
        assert rows.covariance is not None
        result = np.empty((rows.last - rows.first, space, space, tracks))
        if differences.correlation is not None:
            now = rows.covariance[rows.first : rows.last]
            gains = self._gains(order, other, np.einsum("tiij->tij", now))
            return now * gains
        part = np.empty((rows.last - rows.first, tracks))
        for a, b in combinations_with_replacement(range(space), 2):
            differences.independent(
                order, other, rows.position[:, a], rows.covariance[:, a, b], rows.link, rows.first, rows.last, part
            )
            result[:, a, b] = part
            result[:, b, a] = part
        return result

    def _gains(self, order: int, other: int, variance: Array) -> Array:
        """(row, space, space, track) factors of covariances; those between axes are between those of the axes."""
        rows, differences = self.rows, self.differences
        known = np.ascontiguousarray(rows.position[:, 0])
        one = np.empty(variance.shape)
        for axis in range(variance.shape[1]):
            parameter = variance[:, axis] / rows.deviation**2
            one[:, axis] = differences.gains(order, other, parameter, known, rows.link, rows.first, rows.last)
        if order == other:
            root = np.sqrt(one)
            return root[:, :, None] * root[:, None, :]
        return 0.5 * (one[:, :, None] + one[:, None, :])
