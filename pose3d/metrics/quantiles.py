"""Statistics of what is not missing."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import xarray as xr

__all__ = ["quantiles"]


def quantiles(values: xr.DataArray, over: tuple[Hashable, ...], levels: Sequence[float]) -> list[xr.DataArray]:
    """Quantiles of what is not NaN; NaN, without a warning, where nothing is left."""
    kept = [dim for dim in values.dims if dim not in over]
    flat = values.transpose(*over, *kept).values.reshape(-1, *(values.sizes[dim] for dim in kept))
    if not len(flat):
        flat = np.full((1, *flat.shape[1:]), np.nan)
    # NaN sorts last; filling with infinity keeps NumPy from warning of columns without a value.
    count = np.isfinite(flat).sum(axis=0)
    ordered = np.sort(flat, axis=0)
    coords = {name: coord for name, coord in values.coords.items() if set(coord.dims) <= set(kept)}
    results = []
    for level in levels:
        place = level * np.maximum(count - 1, 0)
        low = np.floor(place).astype(np.intp)
        high = np.minimum(low + 1, np.maximum(count - 1, 0))
        pair = [np.take_along_axis(ordered, index[None], axis=0)[0] for index in (low, high)]
        results.append(xr.DataArray(pair[0] + (place - low) * (pair[1] - pair[0]), dims=kept, coords=coords))
    return results
