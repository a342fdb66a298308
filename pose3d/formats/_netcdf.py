"""A Dataset as the variables of a netCDF group that grows along time.

xarray's own writer cannot append along a dimension, so the variables are made here, in the way xarray reads them back:
text as strings, bool as int8 with `dtype = "bool"`, further coordinates named in `coordinates`, NaN as it is and
without a fill value (a fill value makes readers compare and copy every number).

The layout was measured on 100,000 frames x 20 keypoints x 6 cameras (288 MB of 2D poses; 156 MB of 3D poses, without
residuals; processor seconds):

| layout | write | read the 2D poses | file |
|---|---|---|---|
| plain | 0.22 | 0.05 | 441 MB |
| with checksums (Fletcher 32) | 0.31 | 0.14 | 444 MB |
| zlib 1 with shuffle, flags only | 0.35 | 0.05 | 430 MB |
| zlib 1 with shuffle, 3D and flags | 2.3 | 0.05 | 405 MB |
| zlib 1 with shuffle, all | 6.5 | 0.9 | 339 MB |

Noise does not compress: a quarter less disk costs more than the triangulation itself. The default is therefore no
compression, and checksums, which turn a damaged disk block into an error instead of a wrong number. Chunks of 64 kB to
1 MB are equally fast, 4 MB takes twice as long; 256 kB wastes least at the end of a short recording.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import netCDF4
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError, MismatchError

__all__ = ["GrowingGroup", "create_variables"]

_CHUNK_BYTES = 1 << 18
# Chunks are at most as long as the first rows that come, so that a short recording makes a small file, but never
# so short that a recording that comes frame by frame falls apart into chunks of one.
_SHORTEST_CHUNK = 64
_TEXT = "OSTU"  # kinds of type
_Level = Literal[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]


def create_variables(
    group: netCDF4.Dataset,
    first: xr.Dataset,
    *,
    subject: str,
    compression: int = 0,
    single_precision: Collection[str] = (),
    may_be_empty: Collection[str] = (),
) -> None:
    """Create the dimensions, attributes and variables of `first` in a group, and fill those without time.

    Args:
        group: a netCDF4 Dataset or Group open for writing; dimensions that it has already are taken as they are.
        first: the first rows; `time` becomes an unlimited dimension of length 0.
        subject: what to name in errors.
        compression: level of zlib, 0 for none.
        single_precision: variables to store as float32.
        may_be_empty: dimensions of which there may be none.

    Raises:
        InvalidValueError: a variable or attribute is of a type that netCDF cannot hold, or a dimension other than time
            and these has length 0.
    """
    empty = [str(dim) for dim, length in first.sizes.items() if length == 0 and dim not in ("time", *may_be_empty)]
    if empty:
        raise InvalidValueError(
            f"{subject}, dimension {', '.join(empty)}",
            expected="at least one name",
            got="none",
            remedy="Leave the poses out, or look why nothing was read.",
        )
    for dim, length in first.sizes.items():
        if dim not in group.dimensions:
            group.createDimension(str(dim), None if dim == "time" else length)
    _set_attributes(group, first.attrs, subject)
    for name, array in first.variables.items():
        where = f"{subject}, '{name}'"
        dims = [str(dim) for dim in array.dims]
        variable: netCDF4.Variable[Any]
        if array.dtype.kind in _TEXT:
            variable = group.createVariable(str(name), str, dims)
        else:
            stored = _stored_type(array.dtype, where, single=name in single_precision)
            grows = "time" in dims
            variable = group.createVariable(
                str(name),
                stored,
                dims,
                compression="zlib" if compression and grows else None,
                complevel=cast(_Level, compression),
                fletcher32=grows,
                chunksizes=_chunk_shape(array, stored) if grows else None,
            )
        variable.set_auto_maskandscale(False)
        _set_attributes(variable, _attributes_of(first, name), where)
        if "time" not in dims:
            variable[...] = _stored_values(array, variable.dtype)


def _set_attributes(
    owner: netCDF4.Dataset | netCDF4.Variable[Any], attributes: Mapping[Hashable, object], subject: str
) -> None:
    """Set attributes; those that are None say nothing and are left out."""
    for name, value in attributes.items():
        if value is not None:
            owner.setncattr(str(name), _plain_attribute(value, f"{subject}, attribute '{name}'"))


class GrowingGroup:
    """A group that grows along time.

    Args:
        group: an empty netCDF4 group open for writing.
        first: the first rows, which say what the variables are. They are not written yet.
        subject, compression, single_precision, may_be_empty: see `create_variables`.
    """

    def __init__(
        self,
        group: netCDF4.Group,
        first: xr.Dataset,
        *,
        subject: str,
        compression: int = 0,
        single_precision: Collection[str] = (),
        may_be_empty: Collection[str] = (),
    ) -> None:
        create_variables(
            group,
            first,
            subject=subject,
            compression=compression,
            single_precision=single_precision,
            may_be_empty=may_be_empty,
        )
        self._group = group
        self._subject = subject
        self._layout = _Layout.of(first)
        self._length = 0
        self._last_frame = -1

    def append(self, rows: xr.Dataset) -> None:
        """Write the next rows.

        Raises:
            InvalidValueError: their frames are not later than the last.
            MismatchError: names, variables or the frame rate differ from the first rows.
        """
        difference = self._layout.difference(_Layout.of(rows))
        if difference is not None:
            raise MismatchError(
                self._subject,
                expected="every piece with the variables, names and frame rate of the first",
                got=difference,
                remedy="Reindex the pieces to the same names before writing.",
            )
        frames = rows["frame"].values
        if len(frames) == 0:
            return
        if frames[0] <= self._last_frame:
            raise InvalidValueError(
                self._subject,
                expected=f"frames after {self._last_frame}",
                got=f"frame {frames[0]}",
                remedy="Write the pieces in order, each frame once.",
            )
        new = slice(self._length, self._length + len(frames))
        for name, array in rows.variables.items():
            if "time" in array.dims:
                variable = self._group.variables[str(name)]
                place = tuple(new if dim == "time" else slice(None) for dim in array.dims)
                variable[place] = _stored_values(array, variable.dtype)
        self._length += len(frames)
        self._last_frame = int(frames[-1])


@dataclass(frozen=True)
class _Layout:
    """What must be the same in all rows of a group."""

    variables: frozenset[str]
    names: dict[str, list[str]]
    frame_rate: object

    @classmethod
    def of(cls, dataset: xr.Dataset) -> _Layout:
        return cls(
            variables=frozenset(map(str, dataset.variables)),
            names={str(dim): [str(label) for label in dataset[dim].values] for dim in dataset.dims if dim != "time"},
            frame_rate=dataset.attrs.get("fps"),
        )

    def difference(self, other: _Layout) -> str | None:
        """What differs, in words, or None."""
        if self.variables != other.variables:
            return f"{', '.join(sorted(self.variables ^ other.variables))} in one of them only"
        for dim, labels in self.names.items():
            if other.names.get(dim) != labels:
                return f"{dim} {', '.join(other.names.get(dim, ['missing']))[:200]}"
        if self.frame_rate != other.frame_rate:
            return f"{other.frame_rate} frames per second"
        return None


def _plain_attribute(value: object, subject: str) -> object:
    if isinstance(value, bool | np.bool_):
        return np.int8(value)
    if isinstance(value, str | int | float | np.number):
        return value
    if isinstance(value, list | tuple | np.ndarray):
        array = np.asarray(value)
        if array.dtype.kind in "iuf" and array.ndim <= 1:
            return array
        if array.ndim == 1 and all(isinstance(item, str) for item in array.tolist()):
            return [str(item) for item in array]
    raise InvalidValueError(
        subject,
        expected="text, a number, or a list of one of them",
        got=f"{type(value).__name__}: {str(value)[:60]}",
        remedy="Convert it, to JSON for example, or delete the attribute before saving.",
    )


def _attributes_of(dataset: xr.Dataset, name: Hashable) -> dict[Hashable, object]:
    array = dataset.variables[name]
    attributes = dict(array.attrs)
    if array.dtype.kind == "b":
        attributes["dtype"] = "bool"
    if name not in dataset.coords:
        further = [
            str(other)
            for other, coordinate in dataset.coords.items()
            if other not in coordinate.dims and set(coordinate.dims) <= set(array.dims)
        ]
        if further:
            attributes["coordinates"] = " ".join(further)
    return attributes


def _stored_type(dtype: np.dtype[np.generic], subject: str, *, single: bool) -> np.dtype[Any]:
    if dtype.kind == "b":
        return np.dtype(np.int8)
    if dtype.kind == "f":
        return np.dtype(np.float32 if single or dtype.itemsize <= 4 else np.float64)
    if dtype.kind in "iu":
        return dtype
    raise InvalidValueError(
        subject,
        expected="numbers, bool or text",
        got=f"type {dtype}",
        remedy="Convert the variable, or drop it before saving.",
    )


def _stored_values(array: xr.Variable, stored: type[str] | np.dtype[Any]) -> NDArray[Any]:
    values = np.asarray(array.values)
    if values.dtype.kind in _TEXT:
        return np.array([str(item) for item in values.ravel()], dtype=object).reshape(values.shape)
    return values.astype(stored, copy=False)


def _chunk_shape(array: xr.Variable, stored: np.dtype[Any]) -> list[int]:
    row_bytes = stored.itemsize
    for dim, length in zip(array.dims, array.shape, strict=True):
        row_bytes *= 1 if dim == "time" else length
    length = array.shape[array.dims.index("time")]
    rows = max(1, min(_CHUNK_BYTES // row_bytes, max(length, _SHORTEST_CHUNK)))
    return [rows if dim == "time" else length for dim, length in zip(array.dims, array.shape, strict=True)]
