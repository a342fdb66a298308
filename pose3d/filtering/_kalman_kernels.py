"""The Kalman filter and the Rauch-Tung-Striebel smoother of one track, compiled.

Position and velocity of `dims` coordinates that depend on each other are one state; columns side by side (`columns`)
share its covariance. Noise that is the same along every axis makes the axes independent: they are columns then, and the
state has one coordinate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from calibration.kernels import kept

__all__ = ["smooth_track"]

Array = NDArray[np.float64]
_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])

# a decorated kernel has the type of the function, whatever numba says of it
_jit: Callable[[_Kernel], _Kernel] = cast(Any, njit(nogil=True, error_model="numpy"))
_kept: Callable[[_Kernel], _Kernel] = cast(Any, kept(njit(nogil=True, error_model="numpy")))


@_kept
def smooth_track(
    time: Array,
    measured: NDArray[np.bool_],
    position: Array,
    noise: Array,
    density: float,
    start: int,
    mean: Array,
    spread: Array,
) -> bool:
    """Fill `mean` and `spread` after the row `start`, and smooth them from there to the end.

    Args:
        time: (row,) times.
        measured: (row,) True where there is a position; it is in the last row.
        position: (row, dims, columns) measured positions.
        noise: (row, dims, dims) their covariance.
        density: spectral density of the acceleration.
        start: the row where the state is known before.
        mean: (row, 2 dims, columns) of the state, positions first.
        spread: (row, 2 dims, 2 dims) its covariance.

    Returns:
        False where a covariance is not positive.
    """
    side = max(mean.shape[1], mean.shape[2])
    # matrices to work with; all of one type and layout, so that every function below is compiled once
    work = np.empty((5, side, side))
    ahead = np.empty((mean.shape[1], mean.shape[2]))
    for row in range(start + 1, len(time)):
        step = time[row] - time[row - 1]
        _predict(mean[row - 1], spread[row - 1], step, density, mean[row], spread[row])
        if measured[row] and not _update(mean[row], spread[row], position[row], noise[row], work):
            return False
    for row in range(len(time) - 2, start - 1, -1):
        step = time[row + 1] - time[row]
        if not _go_back(mean, spread, row, step, density, ahead, work):
            return False
    return True


@_jit
def _predict(mean: Array, spread: Array, step: float, density: float, new_mean: Array, new_spread: Array) -> None:
    """The state after a step of time in which it moved on with its velocity, disturbed by white acceleration."""
    dims = mean.shape[0] // 2
    for i in range(dims):
        for column in range(mean.shape[1]):
            new_mean[i, column] = mean[i, column] + step * mean[dims + i, column]
            new_mean[dims + i, column] = mean[dims + i, column]
        for j in range(dims):
            both = spread[i, dims + j] + spread[dims + i, j]
            fast = spread[dims + i, dims + j]
            new_spread[i, j] = spread[i, j] + step * both + step * step * fast
            new_spread[i, dims + j] = spread[i, dims + j] + step * fast
            new_spread[dims + j, i] = new_spread[i, dims + j]
            new_spread[dims + i, dims + j] = fast
    _add_noise(new_spread, dims, step, density)


@_jit
def _add_noise(spread: Array, dims: int, step: float, density: float) -> None:
    """Add the covariance of what white acceleration does to position and velocity in a step of time."""
    for i in range(dims):
        spread[i, i] += density * step**3 / 3
        spread[i, dims + i] += density * step**2 / 2
        spread[dims + i, i] += density * step**2 / 2
        spread[dims + i, dims + i] += density * step


@_jit
def _update(mean: Array, spread: Array, position: Array, noise: Array, work: Array) -> bool:
    """Bayes' rule for a measured position.

    With S = P + R of the positions, their new covariance is R S^-1 P: nothing is subtracted, so that no digits are lost
    where the prediction is much less certain than the measurement.
    """
    dims, columns, size = position.shape[0], position.shape[1], mean.shape[0]
    inverse, gain, share, old, rest = work[0], work[1], work[2], work[3], work[4]
    for i in range(dims):
        for j in range(dims):
            inverse[i, j] = spread[i, j] + noise[i, j]
    if not _invert(inverse, dims, share, rest):
        return False
    _put_product(gain, spread, inverse, size, dims, dims)
    for i in range(dims):
        for column in range(columns):
            rest[i, column] = position[i, column] - mean[i, column]
    _add_product(mean, 1.0, gain, rest, size, dims, columns)
    _put_product(share, noise, inverse, dims, dims, dims)
    _put_product(rest, share, spread, dims, dims, size)
    for i in range(size):
        for j in range(size):
            old[i, j] = spread[i, j]
    _add_product(spread, -1.0, gain, old, size, dims, size)
    for i in range(dims):
        for j in range(size):
            spread[i, j] = rest[i, j]
            spread[j, i] = rest[i, j]
    return True


@_jit
def _go_back(mean: Array, spread: Array, row: int, step: float, density: float, ahead: Array, work: Array) -> bool:
    """Turn the filtered state of a row into the smoothed one; that of the next row is smoothed.

    With the gain G = P F^T (F P F^T + Q)^-1, the covariance is written as (1 - G F) P (1 - G F)^T + G (Q + P_next) G^T:
    a sum of squares, which rounding cannot make negative.
    """
    size, columns = mean.shape[1], mean.shape[2]
    dims = size // 2
    here = spread[row]
    inverse, cross, gain, rest, inner = work[0], work[1], work[2], work[3], work[4]
    _predict(mean[row], here, step, density, ahead, inverse)
    if not _invert(inverse, size, cross, gain):
        return False
    for i in range(size):
        for j in range(dims):
            cross[i, j] = here[i, j] + step * here[i, dims + j]
            cross[i, dims + j] = here[i, dims + j]
    _put_product(gain, cross, inverse, size, size, size)
    for i in range(size):
        for column in range(columns):
            ahead[i, column] = mean[row + 1, i, column] - ahead[i, column]
    _add_product(mean[row], 1.0, gain, ahead, size, size, columns)
    for i in range(size):
        for j in range(dims):
            rest[i, j] = -gain[i, j]
            rest[i, dims + j] = -gain[i, dims + j] - step * gain[i, j]
        rest[i, i] += 1.0
    for i in range(size):
        for j in range(size):
            inner[i, j] = spread[row + 1, i, j]
    _add_noise(inner, dims, step, density)
    _put_product(cross, rest, here, size, size, size)
    _put_product(inverse, gain, inner, size, size, size)
    _put_symmetric(here, cross, rest, inverse, gain)
    return True


@_jit
def _put_product(result: Array, a: Array, b: Array, rows: int, inner: int, columns: int) -> None:
    """Put the product of the first `rows` and `inner` of a, and the first `inner` and `columns` of b into `result`."""
    for i in range(rows):
        for j in range(columns):
            result[i, j] = 0.0
    _add_product(result, 1.0, a, b, rows, inner, columns)


@_jit
def _add_product(result: Array, factor: float, a: Array, b: Array, rows: int, inner: int, columns: int) -> None:
    """Add `factor` times a product to `result`, see `_put_product`."""
    for i in range(rows):
        for k in range(inner):
            value = factor * a[i, k]
            for j in range(columns):
                result[i, j] += value * b[k, j]


@_jit
def _put_symmetric(result: Array, a: Array, b: Array, c: Array, d: Array) -> None:
    """Put a b^T + c d^T, which is symmetric, into `result`."""
    size = result.shape[0]
    for i in range(size):
        for j in range(i + 1):
            total = 0.0
            for k in range(size):
                total += a[i, k] * b[j, k] + c[i, k] * d[j, k]
            result[i, j] = total
            result[j, i] = total


@_jit
def _invert(matrix: Array, size: int, lower: Array, part: Array) -> bool:
    """Put the inverse of a positive definite matrix in its place, by Cholesky; False where it is not one."""
    if not _factor(matrix, size, lower):
        return False
    for column in range(size):
        for i in range(column, size):
            total = 1.0 if i == column else 0.0
            for k in range(column, i):
                total -= lower[i, k] * part[k, column]
            part[i, column] = total / lower[i, i]
    for i in range(size):
        for j in range(i + 1):
            total = 0.0
            for k in range(i, size):
                total += part[k, i] * part[k, j]
            matrix[i, j] = total
            matrix[j, i] = total
    return True


@_jit
def _factor(matrix: Array, size: int, lower: Array) -> bool:
    """Put the Cholesky factor of a matrix into `lower`; False where it has none."""
    for i in range(size):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            if i > j:
                lower[i, j] = total / lower[j, j]
            elif total > 0:
                lower[i, i] = np.sqrt(total)
            else:
                return False
    return True
