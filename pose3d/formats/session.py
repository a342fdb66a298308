"""The result file: everything about one session in one netCDF file.

Its groups are /rig, /detections, /instances, /identity, /poses2d, /poses3d and /kinematics.

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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import netCDF4
import xarray as xr

from calibration.errors import FileFormatError, InvalidValueError, OutputError, SuiteError
from calibration.files import atomic_path
from calibration.rig import Rig
from calibration.schema import check
from pose3d.formats._netcdf import GrowingGroup, create_variables
from pose3d.formats._session_reading import SCHEMAS, open_group, places_of, read_errors, read_provenance, read_rig

__all__ = [
    "ROWS_AT_ONCE",
    "Session",
    "SessionWriter",
    "netcdf_errors_as_output_errors",
    "open_session",
    "save_session",
]

# The command that makes a part.
_MADE_BY = {
    "detections": "predict",
    "instances": "identify",
    "identity": "identify",
    "poses2d": "triangulate",
    "poses3d": "triangulate",
    "kinematics": "kinematics",
}
_SINGLE_PRECISION = {
    # what a network computed in single precision
    "detections": frozenset({"position", "confidence", "covariance", "affinity"}),
    "instances": frozenset({"covariance", "appearance"}),
    "identity": frozenset({"identity_confidence"}),
    "poses2d": frozenset[str](),
    "poses3d": frozenset({"confidence", "reprojection_error", "covariance", "residual", "view_probability"}),
}
# Dimensions of which there may be none: no tracks of a source, no risk that identities were exchanged.
_MAY_BE_EMPTY = {
    "instances": frozenset({"source_track"}),
    "identity": frozenset(SCHEMAS["identity"].dims) - {"time", "camera", "individual"},
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
        instances: Instances Dataset, or None.
        identity: Identity Dataset, or None.
        provenance: what the results were made from, or None.
    """

    path: Path
    rig: Rig | None = None
    poses2d: xr.Dataset | None = None
    poses3d: xr.Dataset | None = None
    provenance: dict[str, object] | None = None
    detections: xr.Dataset | None = None
    kinematics: xr.Dataset | None = None
    instances: xr.Dataset | None = None
    identity: xr.Dataset | None = None

    def require(self, name: str) -> xr.Dataset:
        """The Dataset of that name, "poses3d" for one, or an error that says what the file has instead.

        Raises:
            FileFormatError: the file does not have it.
        """
        dataset: xr.Dataset | None = getattr(self, name) if name in SCHEMAS else None
        if dataset is None:
            present = [f"/{key}" for key in ("rig", *SCHEMAS) if getattr(self, key) is not None]
            raise FileFormatError(
                self.path,
                expected=f"a result file with the group /{name}",
                got=f"only {', '.join(present)}",
                remedy=f"Give the file that holds it, or make it first with `pose3d {_MADE_BY.get(name, 'run')}`.",
            )
        return dataset

    def close(self) -> None:
        """Close the file; values that were not loaded can no longer be read."""
        for name in SCHEMAS:
            dataset: xr.Dataset | None = getattr(self, name)
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
        instances: xr.Dataset | None = None,
        identity: xr.Dataset | None = None,
    ) -> None:
        """Write the next rows of any of them.

        Args:
            poses2d, poses3d, detections, instances, identity: Datasets that go on where the last ones ended: the same
                names and variables, later frames. Attributes, and variables without time, are taken from the first
                ones: what an Identity says of the whole recording must be complete in its first rows.

        Raises:
            InvalidValueError: a Dataset does not follow its schema, or its frames are not later than the last.
            MismatchError: names, variables or the frame rate differ from the first rows.
            OutputError: the file cannot be written.
        """
        given = {
            "detections": detections,
            "instances": instances,
            "identity": identity,
            "poses2d": poses2d,
            "poses3d": poses3d,
        }
        for name, rows in given.items():
            if rows is None:
                continue
            subject = f"{self.path}, /{name}"
            check(rows, SCHEMAS[name], subject=subject, values=False)
            if name not in self._groups:
                self._groups[name] = GrowingGroup(
                    self._file.createGroup(name),
                    rows,
                    subject=subject,
                    compression=self._compression,
                    single_precision=_SINGLE_PRECISION[name],
                    may_be_empty=_MAY_BE_EMPTY.get(name, ()),
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
    instances: xr.Dataset | None = None,
    identity: xr.Dataset | None = None,
    provenance: Mapping[str, object] | None = None,
    compression: int = 0,
) -> None:
    """Write a result file at once. Datasets that are opened lazily are copied in pieces and need not fit into memory.

    Args:
        path: the file to write; it is replaced if it exists, and left as it is if anything goes wrong.
        rig, provenance, compression: see `SessionWriter`.
        poses2d, poses3d, instances, identity: the Datasets to save.

    Raises:
        InvalidValueError: a Dataset does not follow its schema or holds what netCDF cannot.
        OutputError: the file cannot be written: no permission, disk full.
    """
    with SessionWriter(path, rig=rig, provenance=provenance, compression=compression) as writer:
        given = {"instances": instances, "identity": identity, "poses2d": poses2d, "poses3d": poses3d}
        for name, dataset in given.items():
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
    with read_errors(file), netCDF4.Dataset(file) as content:
        places = places_of(content)
        provenance = read_provenance(content, file)
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
        rig = read_rig(file, places["rig"])
    datasets = {name: open_group(file, places[name], schema) for name, schema in SCHEMAS.items() if name in places}
    return Session(file, rig, provenance=provenance, **datasets)


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
