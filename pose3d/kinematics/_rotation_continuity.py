"""Continuity along time: angles without leaps by a full turn, quaternions without changes of sign.

Each run of rows that follow each other without a missing value is made continuous by itself: nothing is known of what
happened in a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pose3d.kinematics._rotation_kernels import keep_sign, unwrap

__all__ = ["continuous_quaternions", "in_windows", "unwrapped"]

Array = NDArray[np.float64]


def unwrapped(angles: xr.DataArray, slot: NDArray[np.int64]) -> xr.DataArray:
    """Angles in radians; each run begins above -pi and up to pi.

    Args:
        angles: with the dimension time first; lazy ones stay lazy.
        slot: (time,) places of the rows in the rhythm of the recording.
    """
    return _along_time(angles, slot, unwrap)


def continuous_quaternions(quaternions: xr.DataArray, slot: NDArray[np.int64]) -> xr.DataArray:
    """Quaternions along the last dimension; each run begins with a scalar part that is not negative."""
    return _along_time(quaternions, slot, keep_sign)


def in_windows(
    given: Sequence[xr.DataArray],
    slot: NDArray[np.int64],
    reach: int,
    work: Callable[..., Array],
    shape: tuple[int, ...],
) -> Any:
    """What work that looks at the rows around each makes of arrays, lazy where they are.

    Args:
        given: with the dimension time first.
        slot: (time,) places of the rows.
        reach: how many rows to either side the work looks at, at most.
        work: takes (time,) whether a row follows the one before it, and the arrays; gives (time, ...).
        shape: of the result, but for time.
    """
    joined = _joined(slot)
    if not len(slot):
        return np.empty((0, *shape))
    if given[0].chunks is None:
        return work(joined, *(each.values for each in given))
    import dask.array
    from dask.delayed import delayed

    array: Any = dask.array  # has types for a part of what it offers
    arrays = [each.data.rechunk(dict.fromkeys(range(1, each.ndim), -1)) for each in given]
    parts, first = [], 0
    for rows in given[0].data.chunks[0]:
        around = slice(max(first - reach, 0), first + rows + reach)
        whole = delayed(work)(joined[around], *(each[around] for each in arrays))
        part = delayed(_rows)(whole, first - around.start, rows)
        parts.append(array.from_delayed(part, (rows, *shape), np.float64))
        first += rows
    return array.concatenate(parts)


def _rows(values: Array, first: int, count: int) -> Array:
    return values[first : first + count]


def _joined(slot: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(time,) whether a row follows the one before it without a gap."""
    joined = np.zeros(len(slot), dtype=np.bool_)
    joined[1:] = np.diff(slot) == 1
    return joined


def _along_time(values: xr.DataArray, slot: NDArray[np.int64], kernel: Callable[..., None]) -> xr.DataArray:
    joined = _joined(slot)

    def follow(block: Array, row_follows: NDArray[np.bool_], before: Array | None) -> Array:
        result = np.array(block, np.float64, order="C")
        last = np.full_like(result[0], np.nan) if before is None else before.copy()
        inner = result.shape[-1] if kernel is keep_sign else 1
        kernel(result.reshape(len(result), -1, inner), row_follows, last.reshape(-1, inner))
        return result

    if values.chunks is None:
        return values.copy(data=follow(values.values, joined, None) if values.size else values.values)
    return values.copy(data=_lazily(values, joined, follow))


def _lazily(values: xr.DataArray, joined: NDArray[np.bool_], follow: Callable[..., Array]) -> Any:
    """The blocks one after the other: each needs to know how the one before it ended, and nothing else."""
    import dask.array
    from dask.delayed import delayed

    array: Any = dask.array  # has types for a part of what it offers
    blocks = values.data.rechunk(dict.fromkeys(range(1, values.ndim), -1))
    before, first, parts = None, 0, []
    for block, rows in zip(blocks.to_delayed().ravel(), blocks.chunks[0], strict=True):
        done = delayed(follow)(block, joined[first : first + rows], before)
        parts.append(array.from_delayed(done, (rows, *values.shape[1:]), values.dtype))
        before, first = delayed(_last)(done), first + rows
    return array.concatenate(parts)


def _last(block: Array) -> Array:
    """The last row, a copy that keeps no block alive."""
    return block[-1].copy()
