"""From a labeled Dataset to tables: which variables share one, and what its columns are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.datasets import flag_words

__all__ = ["Column", "Table", "tables_of"]

# Labels along these stand beside each other, as x, y, z.
_BESIDE = ("space", "space_", "component")
# Rows that are made at once: some megabytes.
_ROWS_AT_ONCE = 1 << 15
_WITHOUT_UNIT = ("", "1", "frames")
_ANGLE = re.compile(r"\brad(?:ians?)?(?:\^(\d))?(?=$|/)")
_MEANINGS = {
    "frame": "frame number in the recording, from 0",
    "time": "time",
    "keypoint": "name of the keypoint",
    "individual": "name of the animal or person",
    "event": "number of the event, from 0",
    "stride": "number of the stride, from 0",
}


@dataclass(frozen=True)
class Column:
    """One column of a piece of a table.

    Attributes:
        name: with the unit at its end, where there is one.
        meaning: for people.
        unit: empty where there is none.
        values: one per row: numbers, bool, or text as objects.
    """

    name: str
    meaning: str
    unit: str
    values: NDArray[Any]


@dataclass(frozen=True)
class Table:
    """The variables of a Dataset that share their dimensions.

    Attributes:
        name: of its file, as `by_frame_and_keypoint`.
        dims: those whose labels make the rows; the first varies slowest.
        content: the variables, with coordinates along every dimension.
    """

    name: str
    dims: tuple[str, ...]
    content: xr.Dataset

    def pieces(self) -> Iterator[list[Column]]:
        """The columns, piece by piece along the first dimension; one without rows if there are none."""
        length = self.content.sizes[self.dims[0]] if self.dims else 1
        others = int(np.prod([self.content.sizes[dim] for dim in self.dims[1:]], dtype=np.int64))
        step = max(1, _ROWS_AT_ONCE // max(1, others))
        for start in range(0, max(1, length), step):
            piece = self.content.isel({self.dims[0]: slice(start, start + step)}) if self.dims else self.content
            yield _columns(piece.load(), self.dims)


def tables_of(dataset: xr.Dataset) -> list[Table]:
    """The tables of a Dataset, in the order of its variables.

    Raises:
        InvalidValueError: it has no variable, or two columns get the same name.
    """
    if not dataset.data_vars:
        raise InvalidValueError(
            "tables", expected="a Dataset with variables", got="none", remedy="Compute something first."
        )
    orders: dict[frozenset[str], tuple[str, ...]] = {}
    groups: dict[tuple[str, ...], list[Hashable]] = {}
    for name, variable in dataset.data_vars.items():
        own = sorted((str(dim) for dim in variable.dims if dim not in _BESIDE), key=lambda dim: dim != "time")
        # The first variable says the order for all of the same dimensions.
        groups.setdefault(orders.setdefault(frozenset(own), tuple(own)), []).append(name)
    short = Counter(_title(dims, individual=False) for dims in groups)
    tables = []
    for dims, names in groups.items():
        content = dataset[names]
        lacking = {dim: np.arange(content.sizes[dim]) for dim in dims if dim not in content.coords}
        name = _title(dims, individual=short[_title(dims, individual=False)] > 1)
        tables.append(Table(name, dims, content.assign_coords(lacking)))
    for table in tables:
        _check_names(table)
    return tables


def _title(dims: Sequence[str], *, individual: bool) -> str:
    """The name of a table: the individual is not named where that is clear enough."""
    kept = [dim for dim in dims if individual or dim != "individual"] or list(dims)
    words = ["frame" if dim == "time" else dim for dim in kept]
    if not words:
        return "summary"
    return "by_" + ("_and_".join(filter(None, ("_".join(words[:-1]), words[-1]))))


def _check_names(table: Table) -> None:
    empty = table.content.isel({dim: slice(0, 0) for dim in table.dims})
    counts = Counter(column.name for column in _columns(empty, table.dims))
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise InvalidValueError(
            f"table {table.name}",
            expected="variables whose names differ from those of the coordinates",
            got=f"two columns '{twice[0]}'",
            remedy="Rename a variable.",
        )


def _columns(piece: xr.Dataset, dims: Sequence[str]) -> list[Column]:
    rows = [_coordinate(piece[name], dims, piece) for name in _row_names(piece, dims)]
    further = [
        _coordinate(coordinate, dims, piece)
        for name, coordinate in piece.coords.items()
        if name not in (*dims, *_BESIDE, "frame") and coordinate.dims and set(coordinate.dims) <= set(dims)
    ]
    values = [column for name in piece.data_vars for column in _variable(piece[name], dims)]
    return [*rows, *further, *values]


def _row_names(piece: xr.Dataset, dims: Sequence[str]) -> Iterator[str]:
    """Coordinates that say which row it is: of the time the frame as well, or alone where time is no more than that."""
    for dim in dims:
        numbered = dim == "time" and "frame" in piece.coords and piece["frame"].dims == ("time",)
        if numbered:
            yield "frame"
        if not (numbered and piece["time"].attrs.get("units") == "frames"):
            yield dim


def _coordinate(coordinate: xr.DataArray, dims: Sequence[str], piece: xr.Dataset) -> Column:
    values, unit = _plain(coordinate)
    own = [dim for dim in dims if dim in coordinate.dims]
    order = [coordinate.dims.index(dim) for dim in own]
    spread = values.transpose(order).reshape([piece.sizes[dim] if dim in own else 1 for dim in dims])
    everywhere = np.broadcast_to(spread, [piece.sizes[dim] for dim in dims]).ravel()
    return Column(_with_unit(str(coordinate.name), unit), _meaning(coordinate), unit, everywhere)


def _variable(variable: xr.DataArray, dims: Sequence[str]) -> Iterator[Column]:
    beside = [dim for dim in _BESIDE if dim in variable.dims]
    array = variable.transpose(*dims, *beside)
    values, unit = _plain(array)
    labels = [
        [str(label) for label in array[dim].values]
        if dim in array.coords
        else [str(i) for i in range(array.sizes[dim])]
        for dim in beside
    ]
    for place in product(*(range(array.sizes[dim]) for dim in beside)):
        label = "".join(names[index] for names, index in zip(labels, place, strict=True))
        name = f"{variable.name}_{label}" if label else str(variable.name)
        meaning = f"{_meaning(variable)}, {label}" if label else _meaning(variable)
        where = (slice(None),) * len(dims) + place
        yield Column(_with_unit(name, unit), meaning, unit, values[where].ravel())


def _plain(array: xr.DataArray) -> tuple[NDArray[Any], str]:
    """Values and unit, with angles in degrees, codes as words, and text as objects."""
    unit = str(array.attrs.get("units", "")).strip()
    values = np.asarray(array.values)
    words = flag_words(array)
    if words:
        return np.array([words.get(code, str(code)) for code in values.ravel().tolist()], dtype=object).reshape(
            values.shape
        ), ""
    if values.dtype.kind not in "fiub":
        return np.array([str(item) for item in values.ravel().tolist()], dtype=object).reshape(values.shape), ""
    angle = _ANGLE.search(unit)
    if angle is not None and values.dtype.kind == "f":
        power = int(angle[1] or 1)
        factor = np.float64(180.0 / np.pi) ** power
        return values * factor, unit[: angle.start()] + f"deg{f'^{power}' if power > 1 else ''}" + unit[angle.end() :]
    return values, "" if unit in _WITHOUT_UNIT else unit


def _with_unit(name: str, unit: str) -> str:
    return f"{name}_{unit}" if unit else name


def _meaning(array: xr.DataArray) -> str:
    name = str(array.name)
    given = array.attrs.get("long_name") or array.attrs.get("description")
    return str(given or _MEANINGS.get(name, name.replace("_", " ")))
