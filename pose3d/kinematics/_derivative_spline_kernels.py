"""Cubic smoothing splines on regular knots, compiled.

A spline is the sum of coefficients times cubic B-splines, one knot a frame: in frame i it is
(c_i + 4 c_(i+1) + c_(i+2)) / 6, its first derivative (c_(i+2) - c_i) / 2, and so on. It minimizes
sum w (y - f)^2 + smoothing integral f''^2, whose normal matrix X^T W X + smoothing E has four bands. E says in the same
words what is known of f before it is seen, so that the inverse of the matrix is the covariance of the coefficients
after it (G. Wahba, "Bayesian 'confidence intervals' for the cross-validated smoothing spline", 1983).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from calibration.kernels import kept

__all__ = ["BANDS", "fit_spline"]

Array = NDArray[np.float64]
_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])

BANDS = 5
"""Diagonals of the inverse that are found: the third derivative takes five coefficients."""

# a decorated kernel has the type of the function, whatever numba says of it
_jit: Callable[[_Kernel], _Kernel] = cast(Any, njit(nogil=True, error_model="numpy"))
_kept: Callable[[_Kernel], _Kernel] = cast(Any, kept(njit(nogil=True, error_model="numpy")))


@_kept
def fit_spline(y: Array, weight: Array, smoothing: float, coefficients: Array, inverse: Array) -> tuple[float, float]:
    """The spline of a run; returns the weighted sum of squared residuals and the trace of the smoother.

    Args:
        y: (row, space) positions.
        weight: (row,) of them.
        smoothing: of the integral of the squared second derivative.
        coefficients: (row + 2, space) to be filled.
        inverse: (row + 2, BANDS) to be filled with the diagonals of the inverse of the normal matrix.
    """
    rows, space = y.shape
    matrix = _normal_matrix(weight, smoothing)
    coefficients[:] = 0.0
    for row in range(rows):
        for s in range(space):
            for k, value in enumerate((1.0, 4.0, 1.0)):
                coefficients[row + k, s] += weight[row] * value / 6.0 * y[row, s]
    _factor(matrix)
    _solve(matrix, coefficients)
    _invert(matrix, inverse)
    squares = trace = 0.0
    for row in range(rows):
        for s in range(space):
            value = coefficients[row, s] + 4.0 * coefficients[row + 1, s] + coefficients[row + 2, s]
            squares += weight[row] * (y[row, s] - value / 6.0) ** 2
        share = inverse[row, 0] + 16.0 * inverse[row + 1, 0] + inverse[row + 2, 0]
        share += 8.0 * inverse[row, 1] + 8.0 * inverse[row + 1, 1] + 2.0 * inverse[row, 2]
        trace += weight[row] * share / 36.0
    return squares, trace


@_jit
def _normal_matrix(weight: Array, smoothing: float) -> Array:
    """(row + 2, BANDS) diagonals of the upper half."""
    rows = len(weight)
    matrix = np.zeros((rows + 2, BANDS))
    value = np.array([1.0, 4.0, 1.0]) / 6.0
    early, late = np.array([1.0, -2.0, 1.0, 0.0]), np.array([0.0, 1.0, -2.0, 1.0])
    for row in range(rows):
        for a in range(3):
            for b in range(a, 3):
                matrix[row + a, b - a] += weight[row] * value[a] * value[b]
    for row in range(rows - 1):
        for a in range(4):
            for b in range(a, 4):
                # the integral of the square of what goes straight from one second derivative to the next
                mixed = 0.5 * (early[a] * late[b] + late[a] * early[b])
                matrix[row + a, b - a] += smoothing / 3.0 * (early[a] * early[b] + mixed + late[a] * late[b])
    return matrix


@_jit
def _factor(matrix: Array) -> None:
    """L D L^T in place: D in the first column, below it L."""
    count = len(matrix)
    for i in range(count):
        for k in range(1, min(BANDS, count - i)):
            factor = matrix[i, k] / matrix[i, 0]
            for m in range(k, min(BANDS, count - i)):
                matrix[i + k, m - k] -= factor * matrix[i, m]
        for k in range(1, min(BANDS, count - i)):
            matrix[i, k] /= matrix[i, 0]


@_jit
def _solve(factor: Array, values: Array) -> None:
    """Solve in place for (row, space) right-hand sides."""
    count, space = values.shape
    for i in range(count):
        for k in range(1, min(BANDS, count - i)):
            for s in range(space):
                values[i + k, s] -= factor[i, k] * values[i, s]
    for i in range(count - 1, -1, -1):
        for s in range(space):
            values[i, s] /= factor[i, 0]
            for k in range(1, min(BANDS, count - i)):
                values[i, s] -= factor[i, k] * values[i + k, s]


@_jit
def _invert(factor: Array, inverse: Array) -> None:
    """Diagonals of the inverse (K. Takahashi et al. 1973), from the last row up."""
    count = len(factor)
    for i in range(count - 1, -1, -1):
        for j in range(min(BANDS, count - i) - 1, -1, -1):
            total = 1.0 / factor[i, 0] if j == 0 else 0.0
            for k in range(1, min(BANDS, count - i)):
                low, high = min(k, j), max(k, j)
                total -= factor[i, k] * inverse[i + low, high - low]
            inverse[i, j] = total
        for j in range(min(BANDS, count - i), BANDS):
            inverse[i, j] = 0.0
