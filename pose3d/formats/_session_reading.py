"""The groups of a result file, opened: values are read when they are used, and say which file is at fault."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import netCDF4
import xarray as xr
from xarray.backends import BackendArray
from xarray.core.indexing import ExplicitIndexer, IndexingSupport, LazilyIndexedArray, explicit_indexing_adapter

from calibration.errors import FileFormatError, SuiteError
from calibration.rig import Rig
from calibration.schema import Schema, Variable, check, check_values
from pose3d.datasets import DETECTIONS, IDENTITY, INSTANCES, KINEMATICS, POSES2D, POSES3D

__all__ = ["SCHEMAS", "open_group", "places_of", "read_errors", "read_provenance", "read_rig"]

SCHEMAS: Mapping[str, Schema] = {
    "detections": DETECTIONS,
    "instances": INSTANCES,
    "identity": IDENTITY,
    "poses2d": POSES2D,
    "poses3d": POSES3D,
    "kinematics": KINEMATICS,
}
"""What may be in a result file beside the rig: the names of the groups, and what they follow."""


def places_of(content: netCDF4.Dataset) -> dict[str, str]:
    """Where each part of a session stands in a file: its name -> its group."""
    places = {name: f"/{name}" for name in ("rig", *SCHEMAS) if name in content.groups}
    if "position" in content.variables:
        dims = content.variables["position"].dimensions
        known = {"candidate": "detections", "instance": "instances", "camera": "poses2d"}
        name = next((name for dim, name in known.items() if dim in dims), "poses3d")
        places.setdefault(name, "/")
    return places


def open_group(file: Path, group: str, schema: Schema) -> xr.Dataset:
    """The Dataset in a group; nothing but its coordinates is read.

    Raises:
        FileFormatError: the file is damaged.
        InvalidValueError: the group does not follow the schema.
    """
    # 2D poses come from other programs as well; the others are our own.
    checked = schema.variables if schema is POSES2D else {}
    with read_errors(file):
        content = xr.open_dataset(file, group=group, engine="netcdf4", cache=False)
        guarded = {
            name: xr.Variable(
                array.dims,
                LazilyIndexedArray(_GuardedArray(array, file, str(name), checked.get(str(name)))),
                array.attrs,
                array.encoding,
            )
            for name, array in content.variables.items()
            if name not in content.indexes
        }
        dataset = content.assign(guarded)
    dataset.set_close(content.close)
    return check(dataset, schema, subject=f"{file}, group {group}", values=False)


class _GuardedArray(BackendArray):
    """A lazily read variable that says which file is at fault when it cannot be read or has values out of range."""

    def __init__(self, variable: xr.Variable, file: Path, name: str, schema: Variable | None) -> None:
        self._name = name
        self._schema = schema
        self.shape = variable.shape
        self.dtype = variable.dtype
        self._variable = variable
        self._file = file

    def __getitem__(self, key: ExplicitIndexer) -> object:
        return explicit_indexing_adapter(key, self.shape, IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[object, ...]) -> object:
        with read_errors(self._file):
            values = self._variable[key].values
        if self._schema is not None and values.dtype.kind in "fi" and values.size:
            check_values(values, self._name, self._schema, str(self._file))
        return values


def read_rig(file: Path, group: str) -> Rig:
    """The cameras.

    Raises:
        FileFormatError: the file is damaged, or holds no calibrated rig.
    """
    with read_errors(file), xr.open_dataset(file, group=group, engine="netcdf4") as dataset:
        content = dataset.load()
    try:
        return Rig.from_dataset(content)
    except SuiteError as error:
        raise FileFormatError(
            f"{file}, group {group}", expected="a calibrated rig", got=str(error), remedy="Write the file again."
        ) from error


def read_provenance(content: netCDF4.Dataset, file: Path) -> dict[str, object] | None:
    """What the results were made from; None where the file does not say.

    Raises:
        FileFormatError: it is no JSON object.
    """
    if "provenance" not in content.ncattrs():
        return None
    text = str(content.getncattr("provenance"))
    with suppress(json.JSONDecodeError):
        found = json.loads(text)
        if isinstance(found, dict):
            return found
    raise FileFormatError(
        f"{file}, attribute 'provenance'", expected="a JSON object", got=text[:80], remedy="Write the file again."
    )


@contextmanager
def read_errors(file: Path) -> Iterator[None]:
    """Say of any error in reading a file that the file is at fault.

    Raises:
        FileFormatError: it is missing, or cannot be read.
    """
    if not file.is_file():
        raise FileFormatError(
            file,
            expected="a netCDF file",
            got="a folder" if file.is_dir() else "no such file",
            remedy="Check the path for spelling.",
        )
    try:
        yield
    except SuiteError:
        raise
    # What netCDF4 and xarray raise where bytes of a file are changed at random.
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> FileFormatError:
    size = file.stat().st_size if file.is_file() else 0
    reason = str(error).partition("\n")[0][:100]
    return FileFormatError(
        file,
        expected="a complete netCDF-4 file",
        got="an empty file" if size == 0 else f"{size} bytes that cannot be read ({reason})",
        remedy="It may be truncated, or of another format under this name; write or copy it again.",
    )
