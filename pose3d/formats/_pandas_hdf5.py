"""Tables that pandas stored in HDF5 (DeepLabCut, Anipose), read with h5py and without unpickling anything.

pandas writes two layouts. "fixed": one dataset per level of the column names and per block of values. "table": one
compound dataset, with the column names as a pickled list in an attribute, which `plain_pickle` reads as data. Values
that pandas stored as pickled objects are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError
from calibration.formats.plain_pickle import NotPlainDataError, plain_data
from pose3d.formats._hdf5 import open_hdf5, peek_hdf5, text, texts
from pose3d.formats._pose_table import PoseTable

__all__ = ["peek_table", "read_table"]

# The name that DeepLabCut gives to its table, in case there are several.
_USUAL_KEY = "df_with_missing"
_WHAT = "a table of poses stored by pandas (DeepLabCut, Anipose)"


class _CannotReadError(Exception):
    """What is in the way, for the message of the FileFormatError that it becomes."""


def read_table(path: Path) -> PoseTable:
    """The table in a file written by pandas.

    Raises:
        FileFormatError: the file is damaged, has no such table or several, or stores it as pickled objects.
    """
    with open_hdf5(path, _WHAT) as file:
        try:
            return _read_group(_choose(file))
        except _CannotReadError as error:
            got = str(error)
    raise FileFormatError(
        path,
        expected=_WHAT,
        got=got,
        remedy="Give the csv file that the same tool writes beside it, or export the poses again.",
    )


def peek_table(path: Path) -> PoseTable | None:
    """The table without its values, or None where there is none that can be read."""
    found: list[PoseTable] = []

    def look(file: h5py.File) -> bool:
        try:
            found.append(_read_group(_choose(file), values=False))
        except _CannotReadError:
            return False
        return True

    return found[0] if peek_hdf5(path, look) else None


def _choose(file: h5py.File) -> h5py.Group:
    groups = {
        name: group for name, group in file.items() if isinstance(group, h5py.Group) and "pandas_type" in group.attrs
    }
    if len(groups) > 1 and _USUAL_KEY not in groups:
        raise _CannotReadError(f"several tables: {', '.join(groups)}")
    if not groups:
        raise _CannotReadError("no table of pandas")
    return groups.get(_USUAL_KEY, next(iter(groups.values())))


def _read_group(group: h5py.Group, *, values: bool = True) -> PoseTable:
    kind = text(group.attrs["pandas_type"])
    if kind == "frame":
        return _read_fixed(group, values=values)
    if kind == "frame_table":
        return _read_appendable(group, values=values)
    raise _CannotReadError(f"a '{kind}' of pandas")


def _read_fixed(group: h5py.Group, *, values: bool) -> PoseTable:
    levels: tuple[str, ...] = ()
    columns, blocks = [], []
    for block in range(int(group.attrs["nblocks"])):
        levels, names = _multi_index(group, f"block{block}_items")
        columns += names
        if values:
            blocks.append(_fixed_values(group[f"block{block}_values"]))
    rows = _fixed_rows(group) if values else []
    return PoseTable(levels, tuple(columns), rows, _join(blocks, len(rows), len(columns)))


def _multi_index(group: h5py.Group, name: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    if text(group.attrs[f"{name}_variety"]) != "multi":
        raise _CannotReadError("columns with one level of names")
    levels, columns = [], []
    for level in range(int(group.attrs[f"{name}_nlevels"])):
        dataset = group[f"{name}_level{level}"]
        _refuse_objects(dataset)
        levels.append(_level_name(dataset.attrs.get("name", b"")))
        # -1 stands for a missing name.
        names = [*texts(dataset), ""]
        columns.append([names[code] for code in group[f"{name}_label{level}"][()]])
    return tuple(levels), list(zip(*columns, strict=True))


def _level_name(value: object) -> str:
    # None is stored as its pickle.
    name = text(value)
    return "" if name == "N." else name


def _fixed_rows(group: h5py.Group) -> list[Any]:
    if text(group.attrs["axis1_variety"]) == "multi":
        _, labels = _multi_index(group, "axis1")
        return ["/".join(label) for label in labels]
    return _row_labels(group["axis1"][()], text(group["axis1"].attrs.get("kind", b"")))


def _fixed_values(dataset: h5py.Dataset) -> NDArray[np.float64]:
    _refuse_objects(dataset)
    if "shape" in dataset.attrs:
        # pandas stores an empty array as one element, with its shape in an attribute.
        return np.empty((0, 0))
    array = _numeric(dataset[()])
    return array if dataset.attrs.get("transposed", 0) else array.T


def _read_appendable(group: h5py.Group, *, values: bool) -> PoseTable:
    dataset = group["table"]
    names = [name for name in dataset.dtype.names if name.startswith("values_block_")]
    columns = [column for name in names for column in _pickled_columns(dataset.attrs[f"{name}_kind"])]
    levels = _appendable_levels(group, len(columns[0]))
    if not values:
        return PoseTable(levels, tuple(columns), [], np.empty((0, len(columns))))
    content = dataset[()]
    blocks = [_numeric(content[name]).reshape(len(content), -1) for name in names]
    rows = _row_labels(content["index"], text(dataset.attrs.get("index_kind", b"")))
    return PoseTable(levels, tuple(columns), rows, _join(blocks, len(rows), len(columns)))


def _pickled_columns(attribute: object) -> Iterator[tuple[str, ...]]:
    names = _pickled(attribute)
    if not isinstance(names, list) or not all(isinstance(name, tuple) for name in names):
        raise _CannotReadError("columns with one level of names")
    for name in names:
        yield tuple(str(part) for part in name)


def _appendable_levels(group: h5py.Group, count: int) -> tuple[str, ...]:
    """The names of the levels, which pandas keeps as {1: {"names": [...]}}; empty texts where it has not."""
    info = _pickled(group.attrs["info"]) if "info" in group.attrs else {}
    axis = info.get(1, {}) if isinstance(info, dict) else {}
    names = axis.get("names") if isinstance(axis, dict) else None
    return tuple(str(name or "") for name in names) if isinstance(names, list | tuple) else ("",) * count


def _pickled(attribute: object) -> Any:
    data = attribute.encode() if isinstance(attribute, str) else attribute
    if not isinstance(data, bytes):
        raise _CannotReadError("names of columns in an unknown form")
    try:
        return plain_data(data)
    except NotPlainDataError as error:
        raise _CannotReadError(f"names of columns as a pickle that is not read ({error})") from error


def _row_labels(labels: NDArray[Any], kind: str) -> list[Any]:
    if kind and kind not in ("integer", "float", "string"):
        raise _CannotReadError(f"rows named by {kind} instead of frames")
    return [text(label) for label in labels] if labels.dtype.kind in "SO" else labels.tolist()


def _numeric(array: NDArray[Any]) -> NDArray[np.float64]:
    if array.dtype.kind not in "fiub":
        raise _CannotReadError("values that are not numbers")
    return array.astype(np.float64)


def _refuse_objects(dataset: h5py.Dataset) -> None:
    if text(dataset.attrs.get("PSEUDOATOM", b"")) == "object" or dataset.dtype.kind == "O":
        raise _CannotReadError("values stored as pickled objects, which are never loaded")


def _join(blocks: list[NDArray[np.float64]], rows: int, columns: int) -> NDArray[np.float64]:
    if not rows or not blocks:
        return np.empty((0, columns))
    values = np.concatenate(blocks, axis=1)
    if values.shape != (rows, columns):
        raise _CannotReadError(f"a damaged table: {rows} rows and {columns} columns, but {values.shape} values")
    return values
