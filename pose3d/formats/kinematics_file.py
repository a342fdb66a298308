"""The group /kinematics of a result file, added piece by piece; everything else in the file stays as it is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import netCDF4
import xarray as xr

from calibration.files import atomic_path
from calibration.schema import check
from pose3d.datasets import KINEMATICS
from pose3d.formats._group_copy import copy_content
from pose3d.formats._netcdf import GrowingGroup, create_variables
from pose3d.formats.session import ROWS_AT_ONCE, netcdf_errors_as_output_errors

__all__ = ["KinematicsWriter"]

_GROUP = "kinematics"


class KinematicsWriter:
    """Writes a result file with the group /kinematics, piece by piece along time.

    A context manager. The file appears under its name when the block ends without an error; after an error or an
    interrupt nothing of it is left and an older file of that name is untouched.

    Args:
        target: the file to write; it may be `source` itself.
        source: a result file whose other groups are copied; an older group /kinematics is left out. Where None, the
            file holds `poses3d`.
        poses3d: what a new file holds in /poses3d.
        provenance: what the kinematics are made from and how; stands in the attribute of that name of the group.
        compression: level of zlib from 1 to 9, or 0 for none.

    Raises:
        OutputError: the file cannot be written: no permission, disk full.
    """

    def __init__(
        self,
        target: str | os.PathLike[str],
        *,
        source: str | os.PathLike[str] | None = None,
        poses3d: xr.Dataset | None = None,
        provenance: Mapping[str, object] | None = None,
        compression: int = 0,
    ) -> None:
        self.path = Path(target)
        self._source, self._poses3d, self._compression = source, poses3d, compression
        self._provenance = json.dumps(provenance, allow_nan=False, ensure_ascii=False) if provenance else None
        self._stack = ExitStack()
        self._growing: GrowingGroup | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            partial = stack.enter_context(atomic_path(self.path))
            stack.enter_context(netcdf_errors_as_output_errors(self.path))
            file = stack.enter_context(netCDF4.Dataset(partial, "w"))
            if self._source is not None:
                with netCDF4.Dataset(self._source) as source:
                    copy_content(source, file, without=(_GROUP,))
            elif self._poses3d is not None:
                self._write_poses(file, self._poses3d)
            self._group = file.createGroup(_GROUP)
            if self._provenance is not None:
                self._group.setncattr("provenance", self._provenance)
            self._stack = stack.pop_all()
        return self

    def _write_poses(self, file: netCDF4.Dataset, poses3d: xr.Dataset) -> None:
        subject = f"{self.path}, /poses3d"
        growing = GrowingGroup(file.createGroup("poses3d"), poses3d, subject=subject, compression=self._compression)
        for start in range(0, max(1, poses3d.sizes["time"]), ROWS_AT_ONCE):
            growing.append(poses3d.isel(time=slice(start, start + ROWS_AT_ONCE)))

    def append(self, rows: xr.Dataset) -> None:
        """Write the next rows of what there is for every frame.

        Raises:
            InvalidValueError: their frames are not later than the last.
            MismatchError: names, variables or the frame rate differ from the first rows.
            OutputError: the file cannot be written.
        """
        subject = f"{self.path}, /{_GROUP}"
        check(rows, KINEMATICS, subject=subject, values=False)
        if self._growing is None:
            self._growing = GrowingGroup(
                self._group,
                rows,
                subject=subject,
                compression=self._compression,
                single_precision=[str(name) for name in rows.data_vars if str(name).endswith("_std")],
            )
        self._growing.append(rows)

    def add(self, tables: xr.Dataset) -> None:
        """Write what is not there for every frame: events, strides, cycles.

        Names along dimensions that are there already are those of the rows.

        Raises:
            InvalidValueError: a variable is of a type that netCDF cannot hold.
        """
        present = [name for name in tables.variables if str(name) in self._group.variables]
        create_variables(
            self._group,
            tables.drop_vars(present),
            subject=f"{self.path}, /{_GROUP}",
            may_be_empty=[str(dim) for dim in tables.dims],
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
