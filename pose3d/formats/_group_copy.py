"""A netCDF file copied group by group, so that one of its groups can be left out and written anew.

netCDF cannot delete a group. What is copied keeps its types, chunks, filters and attributes; values go through in
pieces along the first dimension, so that memory stays small.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import netCDF4

__all__ = ["copy_content"]

_BYTES_AT_ONCE = 1 << 25


def copy_content(source: netCDF4.Dataset, target: netCDF4.Dataset, *, without: Collection[str] = ()) -> None:
    """Copy attributes, dimensions, variables and groups.

    Args:
        source: a Dataset or Group that is open for reading.
        target: an empty one that is open for writing.
        without: names of groups right inside `source` that are left out.
    """
    target.setncatts({name: source.getncattr(name) for name in source.ncattrs()})
    for name, dimension in source.dimensions.items():
        target.createDimension(name, None if dimension.isunlimited() else dimension.size)
    for name, variable in source.variables.items():
        _copy_variable(variable, target, name)
    for name, group in source.groups.items():
        if name not in without:
            copy_content(group, target.createGroup(name))


def _copy_variable(source: netCDF4.Variable[Any], target: netCDF4.Dataset, name: str) -> None:
    filters: Any = source.filters()
    chunks = source.chunking()
    text = source.dtype is str
    layout: dict[str, Any] = {
        "compression": "zlib" if (filters or {}).get("zlib") else None,
        "complevel": (filters or {}).get("complevel", 4),
        "shuffle": bool((filters or {}).get("shuffle")),
        "fletcher32": bool((filters or {}).get("fletcher32")),
        "chunksizes": chunks if isinstance(chunks, list) and not text else None,
        "fill_value": source.getncattr("_FillValue") if "_FillValue" in source.ncattrs() else None,
    }
    copy: netCDF4.Variable[Any] = target.createVariable(name, source.datatype, source.dimensions, **layout)
    copy.setncatts({key: source.getncattr(key) for key in source.ncattrs() if key != "_FillValue"})
    for variable in (source, copy):
        variable.set_auto_maskandscale(False)
    if not source.dimensions:
        copy[...] = source[...]
        return
    length = source.shape[0]
    row = 64 if text else source.dtype.itemsize
    for size in source.shape[1:]:
        row *= size
    rows = max(1, _BYTES_AT_ONCE // max(1, row))
    if not text and isinstance(chunks, list):
        rows = max(1, rows // chunks[0]) * chunks[0]  # whole chunks are read once
    for start in range(0, length, rows):
        piece = slice(start, min(length, start + rows))
        copy[piece] = source[piece]
