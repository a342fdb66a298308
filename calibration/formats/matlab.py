"""MATLAB's .mat files as plain values: version 5 to 7 through scipy, 7.3 (HDF5) through h5py.

Structs become dicts, cells and struct arrays lists, char arrays text, and numbers float64 arrays in MATLAB's
orientation. Objects (tables, strings of class `string`, function handles) have no plain value and become None.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.errors import FileFormatError

if TYPE_CHECKING:
    import h5py

__all__ = ["matlab_variables", "read_matlab"]

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Bytes 0 to 115 of a version 5 file are text; those of a version 7.3 file too, with HDF5 from byte 512.
_VERSION_5 = b"MATLAB 5.0 MAT-file"
_VERSION_73 = b"MATLAB 7.3 MAT-file"
# What scipy and h5py were seen to raise for files that are cut off or have bytes changed.
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
    zlib.error,
)


def matlab_variables(path: Path) -> frozenset[str]:
    """The names of the variables in a .mat file; empty if it is none, or is damaged. Never raises."""
    version = _version(path)
    try:
        if version == 5:
            import scipy.io

            with warnings.catch_warnings(action="ignore"):
                return frozenset(name for name, _, _ in scipy.io.whosmat(path))
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
        return _read_5(path, wanted) if version == 5 else _read_73(path, wanted)
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


def _read_5(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    import scipy.io

    # scipy warns of objects it cannot represent; they become None here.
    with warnings.catch_warnings(action="ignore"):
        content = scipy.io.loadmat(path, variable_names=names, struct_as_record=True, squeeze_me=False)
    return {name: _plain(content[name]) for name in names if name in content}


def _plain(value: Any) -> Any:
    if not isinstance(value, np.ndarray) or type(value).__name__ in ("MatlabOpaque", "MatlabFunction", "MatlabObject"):
        return None
    if value.dtype.names is not None:
        structs = [{name: _plain(item[name]) for name in value.dtype.names} for item in value.ravel(order="F")]
        return structs[0] if len(structs) == 1 else structs
    if value.dtype == object:
        return [_plain(item) for item in value.ravel(order="F")]
    if value.dtype.kind == "U":
        return str(value.ravel()[0]) if value.size == 1 else [str(item) for item in value.ravel()]
    return value.astype(np.float64) if value.dtype.kind in "biuf" else None


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
        return "".join(map(chr, item[()].T.ravel().tolist()))
    if item.attrs.get("MATLAB_empty"):
        return np.zeros((0, 0))
    return np.asarray(item[()]).T.astype(np.float64) if item.dtype.kind in "biuf" else None


def _holds_references(item: Any) -> bool:
    import h5py

    return isinstance(item, h5py.Dataset) and h5py.check_ref_dtype(item.dtype) is not None
