"""The result file: everything about one session in one netCDF file.

Its groups are /rig, /detections, /poses2d, /poses3d and /kinematics.

The groups are plain Datasets: `xarray.open_dataset(path, group="poses3d")` and `xarray.open_datatree(path)` open them
without this package, and /poses3d has the layout of the movement package. What the results were made from stands in
the attribute `provenance`, as JSON. Nothing in the file depends on when or where it was written: the same input gives
the same bytes (with the same versions of netCDF and HDF5).

Positions are kept in double precision and 2D poses as they come; confidence, errors and covariance of 3D poses are
stored as float32, whose seven digits are more than they mean. The layout on disk was chosen by measurement, see
`pose3d.formats._netcdf`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import netCDF4
import xarray as xr
from xarray.backends import BackendArray
from xarray.core.indexing import ExplicitIndexer, IndexingSupport, LazilyIndexedArray, explicit_indexing_adapter

from calibration.errors import FileFormatError, InvalidValueError, OutputError, SuiteError
from calibration.files import atomic_path
from calibration.rig import Rig
from calibration.schema import Schema, Variable, check, check_values
from pose3d.datasets import DETECTIONS, KINEMATICS, POSES2D, POSES3D
from pose3d.formats._netcdf import GrowingGroup, create_variables

__all__ = [
    "ROWS_AT_ONCE",
    "Session",
    "SessionWriter",
    "netcdf_errors_as_output_errors",
    "open_session",
    "save_session",
]

_SCHEMAS: Mapping[str, Schema] = {
    "detections": DETECTIONS,
    "poses2d": POSES2D,
    "poses3d": POSES3D,
    "kinematics": KINEMATICS,
}
# The command that makes a part.
_MADE_BY = {
    "detections": "predict",
    "poses2d": "triangulate",
    "poses3d": "triangulate",
    "kinematics": "kinematics",
}
_SINGLE_PRECISION = {
    # what a network computed in single precision
    "detections": frozenset({"position", "confidence", "covariance"}),
    "poses2d": frozenset[str](),
    "poses3d": frozenset({"confidence", "reprojection_error", "covariance", "residual", "view_probability"}),
}
ROWS_AT_ONCE = 4096
"""Frames that are copied at once when a whole Dataset is saved: 12 MB of 6 cameras x 20 keypoints."""


@dataclass(frozen=True)
class Session:
    """An open result file. Values are read when they are used; `.load()` what is needed after it is closed.

    A context manager. A recording longer than memory is worked through in pieces:
    `session.poses2d.isel(time=slice(0, 4096)).load()`. Values that cannot be read because the file is damaged raise a
    FileFormatError when they are used.

    Attributes:
        path: the file.
        rig: the cameras, or None if the file has no group /rig.
        detections: Detections Dataset, or None.
        poses2d: Poses2D Dataset, or None.
        poses3d: Poses3D Dataset, or None.
        kinematics: Kinematics Dataset, or None.
        provenance: what the results were made from, or None.
    """

    path: Path
    rig: Rig | None = None
    poses2d: xr.Dataset | None = None
    poses3d: xr.Dataset | None = None
    provenance: dict[str, object] | None = None
    detections: xr.Dataset | None = None
    kinematics: xr.Dataset | None = None

    def require(self, name: str) -> xr.Dataset:
        """The Dataset of that name, "poses3d" for one, or an error that says what the file has instead.

        Raises:
            FileFormatError: the file does not have it.
        """
        dataset: xr.Dataset | None = getattr(self, name) if name in _SCHEMAS else None
        if dataset is None:
            present = [f"/{key}" for key in ("rig", *_SCHEMAS) if getattr(self, key) is not None]
            raise FileFormatError(
                self.path,
                expected=f"a result file with the group /{name}",
                got=f"only {', '.join(present)}",
                remedy=f"Give the file that holds it, or make it first with `pose3d {_MADE_BY.get(name, 'run')}`.",
            )
        return dataset

    def close(self) -> None:
        """Close the file; values that were not loaded can no longer be read."""
        for dataset in (self.detections, self.poses2d, self.poses3d, self.kinematics):
            if dataset is not None:
                dataset.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SessionWriter:
    """Writes a result file piece by piece along time, so that a recording longer than memory streams through.

    A context manager. The file appears under its name when the block ends without an error; after an error or an
    interrupt nothing of it is left and an older file of that name is untouched.

    Args:
        path: the file to write.
        rig: the cameras.
        provenance: what the results are made from, see `pose3d.formats.provenance_of`. The attribute of
            this name can be set until the block ends.
        compression: level of zlib from 1 to 9, or 0 for none: see `pose3d.formats._netcdf` for what it costs.

    Raises:
        OutputError: the file cannot be written: no permission, disk full.
        InvalidValueError: the compression is not from 0 to 9, or JSON cannot hold the provenance.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        rig: Rig | None = None,
        provenance: Mapping[str, object] | None = None,
        compression: int = 0,
    ) -> None:
        if compression not in range(10):
            raise InvalidValueError(
                "compression", expected="0 to 9", got=str(compression), remedy="0 is fast, 1 makes smaller files."
            )
        _as_json(provenance)  # better now than after hours of work
        self.path = Path(path)
        self.provenance = provenance
        self._rig = rig
        self._compression = compression
        self._stack = ExitStack()
        self._groups: dict[str, GrowingGroup] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            partial = stack.enter_context(atomic_path(self.path))
            stack.enter_context(netcdf_errors_as_output_errors(self.path))
            self._file = stack.enter_context(netCDF4.Dataset(partial, "w"))
            if self._rig is not None:
                create_variables(self._file.createGroup("rig"), self._rig.to_dataset(), subject=f"{self.path}, /rig")
            stack.callback(self._write_provenance)
            self._stack = stack.pop_all()
        return self

    def append(
        self,
        *,
        poses2d: xr.Dataset | None = None,
        poses3d: xr.Dataset | None = None,
        detections: xr.Dataset | None = None,
    ) -> None:
        """Write the next rows of any of them.

        Args:
            poses2d, poses3d, detections: Datasets that go on where the last ones ended: the same names and variables,
                later frames. Attributes, and variables without time, are taken from the first ones.

        Raises:
            InvalidValueError: a Dataset does not follow its schema, or its frames are not later than the last.
            MismatchError: names, variables or the frame rate differ from the first rows.
            OutputError: the file cannot be written.
        """
        for name, rows in (("detections", detections), ("poses2d", poses2d), ("poses3d", poses3d)):
            if rows is None:
                continue
            subject = f"{self.path}, /{name}"
            check(rows, _SCHEMAS[name], subject=subject, values=False)
            if name not in self._groups:
                self._groups[name] = GrowingGroup(
                    self._file.createGroup(name),
                    rows,
                    subject=subject,
                    compression=self._compression,
                    single_precision=_SINGLE_PRECISION[name],
                )
            self._groups[name].append(rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _write_provenance(self) -> None:
        if self.provenance is not None:
            self._file.setncattr("provenance", _as_json(self.provenance))


def _as_json(provenance: Mapping[str, object] | None) -> str:
    try:
        return json.dumps(provenance, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InvalidValueError(
            "provenance",
            expected="plain values that JSON can hold",
            got=str(error),
            remedy="Make it with pose3d.formats.provenance_of.",
        ) from error


def save_session(
    path: str | os.PathLike[str],
    *,
    rig: Rig | None = None,
    poses2d: xr.Dataset | None = None,
    poses3d: xr.Dataset | None = None,
    provenance: Mapping[str, object] | None = None,
    compression: int = 0,
) -> None:
    """Write a result file at once. Datasets that are opened lazily are copied in pieces and need not fit into memory.

    Args:
        path: the file to write; it is replaced if it exists, and left as it is if anything goes wrong.
        rig, provenance, compression: see `SessionWriter`.
        poses2d, poses3d: the Datasets to save.

    Raises:
        InvalidValueError: a Dataset does not follow its schema or holds what netCDF cannot.
        OutputError: the file cannot be written: no permission, disk full.
    """
    with SessionWriter(path, rig=rig, provenance=provenance, compression=compression) as writer:
        for name, dataset in (("poses2d", poses2d), ("poses3d", poses3d)):
            if dataset is not None:
                for start in range(0, max(1, dataset.sizes.get("time", 0)), ROWS_AT_ONCE):
                    writer.append(**{name: dataset.isel(time=slice(start, start + ROWS_AT_ONCE))})


def open_session(path: str | os.PathLike[str]) -> Session:
    """Open a result file. A file whose root is a Poses2D or Poses3D Dataset (one that movement saved) opens as well.

    Raises:
        FileFormatError: the file is missing, truncated or damaged, is no netCDF file, or holds no group of a session.
        InvalidValueError: a group does not follow its schema.
    """
    file = Path(path)
    with _read_errors(file), netCDF4.Dataset(file) as content:
        places = _places(content)
        provenance = _read_provenance(content, file)
        groups = [f"/{name}" for name in content.groups] + sorted(content.variables)
    if not places:
        raise FileFormatError(
            file,
            expected="a result file with the groups /rig, /detections, /poses2d or /poses3d",
            got=f"only {', '.join(groups)[:200]}" if groups else "an empty file",
            remedy="Check that this is a file written by this suite.",
        )
    rig = None
    if "rig" in places:
        rig = _read_rig(file, places["rig"])
    datasets = {name: _open_dataset(file, places[name], schema) for name, schema in _SCHEMAS.items() if name in places}
    return Session(file, rig, provenance=provenance, **datasets)


def _places(content: netCDF4.Dataset) -> dict[str, str]:
    """Where each part of a session stands in a file: its group."""
    places = {name: f"/{name}" for name in ("rig", *_SCHEMAS) if name in content.groups}
    if "position" in content.variables:
        dims = content.variables["position"].dimensions
        name = "detections" if "candidate" in dims else "poses2d" if "camera" in dims else "poses3d"
        places.setdefault(name, "/")
    return places


def _open_dataset(file: Path, group: str, schema: Schema) -> xr.Dataset:
    # 2D poses come from other programs as well; the others are our own.
    checked = schema.variables if schema is POSES2D else {}
    with _read_errors(file):
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
        with _read_errors(self._file):
            values = self._variable[key].values
        if self._schema is not None and values.dtype.kind in "fi" and values.size:
            check_values(values, self._name, self._schema, str(self._file))
        return values


def _read_rig(file: Path, group: str) -> Rig:
    with _read_errors(file), xr.open_dataset(file, group=group, engine="netcdf4") as dataset:
        content = dataset.load()
    try:
        return Rig.from_dataset(content)
    except SuiteError as error:
        raise FileFormatError(
            f"{file}, group {group}", expected="a calibrated rig", got=str(error), remedy="Write the file again."
        ) from error


def _read_provenance(content: netCDF4.Dataset, file: Path) -> dict[str, object] | None:
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
def _read_errors(file: Path) -> Iterator[None]:
    """Say of any error in reading a file that the file is at fault."""
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


def _is_netcdf_error(error: BaseException) -> bool:
    return isinstance(error, OSError | RuntimeError) and "NetCDF:" in str(error) and not isinstance(error, SuiteError)


@contextmanager
def netcdf_errors_as_output_errors(path: Path) -> Iterator[None]:
    """A full disk is only an "HDF error" to netCDF."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not _is_netcdf_error(error):
            raise
        raise OutputError(
            path,
            expected="to write the file completely",
            got=str(error),
            remedy="The disk may be full; nothing was changed under the final name.",
        ) from error
