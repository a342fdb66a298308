"""Work along time in pieces: of arrays in memory on all processors, of those of Dask only when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.processors import available_processors

__all__ = ["Work", "in_pieces", "labeled"]

Array = NDArray[np.float64]
Links = NDArray[np.bool_]

# Takes the rows of the inputs, which of them follow the one before without a gap, the first and last of the rows to
# work on (the others are around them), and the arrays to fill.
Work = Callable[[list[Array], Links, int, int, list[Array]], None]

# Bytes of a piece of the first input: few enough for the cache that is shared, many enough that calls do not count.
_PIECE = 4e6


def in_pieces(
    work: Work, inputs: Sequence[xr.DataArray], link: Links, halo: int | None, shapes: Sequence[tuple[int, ...]]
) -> list[Any]:
    """Arrays (time, ...) that are filled piece by piece; those of Dask where an input is one.

    Args:
        work: what fills a piece.
        inputs: with time as the first dimension; rows are converted to 64 bit, in one piece, where they are not.
        link: (time,) whether a row is the frame after the one before.
        halo: rows around a piece that the work needs; None for all there are.
        shapes: of the results, without time.
    """
    length = inputs[0].sizes["time"]
    lazy = [values for values in inputs if values.chunks is not None]
    if lazy:
        return _lazy_pieces(work, inputs, link, halo, shapes, dict(lazy[0].chunksizes)["time"])
    arrays = [values.values for values in inputs]
    results = [np.empty((length, *shape)) for shape in shapes]
    width = 8 * math.prod(arrays[0].shape[1:])
    size = length if halo is None else max(int(_PIECE / max(width, 1)), 4 * halo, 256)

    def fill(first: int) -> None:
        last = min(first + size, length)
        rows = _around(first, last, length, halo)
        parts = [np.ascontiguousarray(values[rows], dtype=np.float64) for values in arrays]
        work(parts, link[rows], first - rows.start, last - rows.start, [result[first:last] for result in results])

    starts = range(0, length, max(size, 1))
    with ThreadPoolExecutor(min(available_processors(), max(len(starts), 1))) as pool:
        for _ in pool.map(fill, starts):
            pass
    return list(results)


def _around(first: int, last: int, length: int, halo: int | None) -> slice:
    return slice(0, length) if halo is None else slice(max(first - halo, 0), min(last + halo, length))


def _lazy_pieces(
    work: Work,
    inputs: Sequence[xr.DataArray],
    link: Links,
    halo: int | None,
    shapes: Sequence[tuple[int, ...]],
    chunks: Sequence[int],
) -> list[Any]:
    import dask.array
    from dask.delayed import delayed

    arrays_of: Any = dask.array

    length = len(link)

    def fill(parts: list[Any], linked: Links, first: int, last: int) -> list[Array]:
        found = [np.empty((last - first, *shape)) for shape in shapes]
        arrays = [np.ascontiguousarray(part, dtype=np.float64) for part in parts]
        work(arrays, linked, first, last, found)
        return found

    ends = np.cumsum([0, *(chunks if halo is not None else (length,))]).tolist()
    pieces: list[list[Any]] = [[] for _ in shapes]
    for first, last in pairwise(ends):
        rows = _around(first, last, length, halo)
        parts = [values.isel(time=rows).data for values in inputs]
        found = delayed(fill)(parts, link[rows], first - rows.start, last - rows.start)
        for number, shape in enumerate(shapes):
            piece = arrays_of.from_delayed(found[number], (last - first, *shape), dtype=np.float64)
            pieces[number].append(piece)
    return [arrays_of.concatenate(some, axis=0) for some in pieces]


def labeled(
    data: Any, dims: Sequence[str], poses: xr.Dataset, attributes: Mapping[str, object], **more: Any
) -> xr.DataArray:
    """Data with the coordinates of the poses along these dimensions."""
    coords = {name: values for name, values in poses.coords.items() if set(values.dims) <= set(dims)}
    return xr.DataArray(data, dims=tuple(dims), coords=coords | more, attrs=dict(attributes))
