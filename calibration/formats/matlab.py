"""MATLAB's .mat files as plain values: those of `save -v6`, `-v7` and `-v7.3` (HDF5).

Structs become dicts, cells and struct arrays lists, char arrays text, and numbers float64 arrays in MATLAB's
orientation. Objects (tables, strings of class `string`, function handles) have no plain value and become None.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.errors import FileFormatError
from calibration.formats._mat5 import read_mat5, variables_mat5

if TYPE_CHECKING:
    import h5py

__all__ = ["matlab_variables", "read_matlab"]

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Bytes 0 to 115 of a version 5 file are text; those of a version 7.3 file too, with HDF5 from byte 512.
_VERSION_5 = b"MATLAB 5.0 MAT-file"
_VERSION_73 = b"MATLAB 7.3 MAT-file"
# What the two readers raise for files that are cut off or have bytes changed; h5py hands on what HDF5 says in many
# types.
_DAMAGE = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    OSError,
    struct.error,
    zlib.error,
)


def matlab_variables(path: Path) -> frozenset[str]:
    """The names of the variables in a .mat file; empty if it is none, or is damaged. Never raises."""
    version = _version(path)
    try:
        if version == 5:
            return variables_mat5(path)
        if version == 73:
            import h5py

            with h5py.File(path, "r") as file:
                return frozenset(file)
    except _DAMAGE:
        return frozenset()
    return frozenset()


def read_matlab(path: Path, names: Iterable[str]) -> dict[str, Any]:
    """The values of those variables among `names` that the file has.

    Raises:
        FileFormatError: the file is missing, no .mat file, or damaged.
    """
    wanted = tuple(names)
    version = _version(path)
    if version is None:
        raise FileFormatError(
            path,
            expected="a MATLAB file (.mat, version 5 to 7.3)",
            got=_without_version(path),
            remedy="Check the path, or save it again in MATLAB with save(..., '-v7').",
        )
    try:
        return read_mat5(path, wanted) if version == 5 else _read_73(path, wanted)
    except _DAMAGE as error:
        raise FileFormatError(
            path,
            expected="a complete MATLAB file",
            got=f"one that cannot be read ({type(error).__name__}: {error})",
            remedy="Copy the file again, or save it again in MATLAB.",
        ) from error


def _version(path: Path) -> int | None:
    try:
        with path.open("rb") as file:
            head = file.read(520)
    except OSError:
        return None
    if head.startswith(_VERSION_5):
        return 5
    # h5py itself and some exporters write no MATLAB header in front.
    if head.startswith((_VERSION_73, _HDF5_SIGNATURE)):
        return 73
    return None


def _without_version(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    if not path.exists():
        return "no such file"
    return "an empty file" if path.stat().st_size == 0 else "a file without MATLAB's header"


def _read_73(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    import h5py

    with h5py.File(path, "r") as file:
        return {name: _plain_hdf5(file, file[name], depth=0) for name in names if name in file}


def _plain_hdf5(file: h5py.File, item: Any, depth: int) -> Any:
    import h5py

    # References may form a ring in a file made for it.
    if depth > 16:
        raise ValueError("nested too deeply")
    if isinstance(item, h5py.Group):
        fields = {name: _plain_hdf5(file, item[name], depth + 1) for name in item}
        lengths = {len(value) for name, value in fields.items() if _holds_references(item[name])}
        # A struct array keeps one array of references per field.
        if len(fields) and len(lengths) == 1 and all(_holds_references(item[name]) for name in item):
            return [{name: values[index] for name, values in fields.items()} for index in range(lengths.pop())]
        return fields
    if _holds_references(item):
        return [_plain_hdf5(file, file[reference], depth + 1) for reference in item[()].T.ravel(order="F")]
    if item.attrs.get("MATLAB_class") == b"char":
        rows = ["".join(map(chr, row)).rstrip() for row in item[()].T.tolist()]
        return rows[0] if len(rows) == 1 else rows
    if item.attrs.get("MATLAB_empty"):
        return np.zeros((0, 0))
    return np.asarray(item[()]).T.astype(np.float64) if item.dtype.kind in "biuf" else None


def _holds_references(item: Any) -> bool:
    import h5py

    return isinstance(item, h5py.Dataset) and h5py.check_ref_dtype(item.dtype) is not None
