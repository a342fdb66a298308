"""Corners in a netCDF file: what `pose3d calibrate` keeps beside the rig, and may start from."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import xarray as xr

from calibration.corners import CORNERS, board_of
from calibration.errors import FileFormatError, MismatchError, OutputError, SuiteError
from calibration.files import atomic_path
from calibration.schema import check

__all__ = ["load_corners", "save_corners"]

# zlib is the one compression that netCDF4 and h5py both read whichever is imported first.
_PACKED = {"zlib": True, "complevel": 4, "shuffle": True}
_HOW = "Give the corners.nc of a calibration, or detect the corners again."


def save_corners(corners: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Write a Corners Dataset, completely or not at all.

    Raises:
        InvalidValueError: the Dataset does not follow the schema.
        OutputError: the file cannot be written.
    """
    check(corners, CORNERS, subject=str(path))
    board_of(corners)
    # NaN stays as it is: a fill value would make readers compare and copy every number.
    encoding = {
        name: {"_FillValue": None, **(_PACKED if array.ndim > 1 else {})}
        for name, array in corners.variables.items()
        if array.dtype.kind in "fiu"
    }
    with atomic_path(path) as partial:
        try:
            corners.to_netcdf(partial, engine="netcdf4", encoding=encoding)
        except (RuntimeError, ValueError) as error:
            raise OutputError(
                path, expected="to write the corners", got=str(error), remedy="Check free space and the attributes."
            ) from error


def load_corners(path: str | os.PathLike[str]) -> xr.Dataset:
    """The Corners Dataset of a file, in memory and checked.

    Raises:
        FileFormatError: the file is missing, damaged, or holds no Corners.
        InvalidValueError: the Dataset in it does not follow the schema.
        MismatchError: the corners are not those of its board.
    """
    file = Path(path)
    if not file.is_file():
        raise FileFormatError(
            file, expected="a netCDF file of corners", got="no such file", remedy="Check the path for spelling."
        )
    try:
        with xr.open_dataset(file, engine="netcdf4", decode_times=False) as opened:
            dataset = opened.load()
    except (OSError, RuntimeError, ValueError) as error:
        raise FileFormatError(file, expected="a netCDF file of corners", got=str(error), remedy=_HOW) from error
    missing = [name for name in (*CORNERS.coordinates, *CORNERS.variables) if name not in dataset.variables]
    if missing:
        raise FileFormatError(
            file,
            expected="a Corners Dataset",
            got=f"a netCDF file without '{missing[0]}'",
            remedy=_HOW,
        )
    check(dataset, CORNERS, subject=str(file))
    try:
        points = board_of(dataset).points
    except SuiteError as error:
        raise FileFormatError(f"{file}, attribute 'board'", expected="a board", got=error.got, remedy=_HOW) from error
    stored = dataset["board_position"].values
    if stored.shape != points.shape or not np.allclose(stored, points, rtol=0, atol=1e-6 * np.abs(points).max()):
        raise MismatchError(
            file,
            expected=f"the {len(points)} corners of its board, {board_of(dataset)}",
            got=f"{len(stored)} corners elsewhere",
            remedy=_HOW,
        )
    return dataset
