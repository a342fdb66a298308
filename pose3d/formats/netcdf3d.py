"""3D poses in this project's own netCDF files: the group /poses3d of a result file, or a file of nothing else.

The file is opened, not loaded: values are read when they are used.
"""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import xarray as xr

from pose3d.formats._gapless import with_frame_rate
from pose3d.formats._hdf5 import peek_hdf5
from pose3d.formats._units import length_unit, plain_unit
from pose3d.formats.pose3d_format import Pose3DFormat
from pose3d.formats.session import open_session

__all__ = ["FORMAT", "read_netcdf3d"]


def read_netcdf3d(
    path: str | os.PathLike[str], *, frame_rate: float | None = None, unit: str | None = None
) -> xr.Dataset:
    """Poses3D in a netCDF file of this project; values are read from the file when they are used.

    Args:
        path: the file.
        frame_rate: frames per second instead of the one in the file.
        unit: the length unit, where the file does not say it.

    Raises:
        FileFormatError: the file is missing, damaged, or has no 3D poses.
        InvalidValueError: the Dataset in it does not follow the schema, or the frame rate is not positive.
        MismatchError: the file says another unit.
    """
    poses = open_session(path).require("poses3d")
    stated = str(poses["position"].attrs.get("units", ""))
    if unit is not None or not stated:
        found = length_unit(path, plain_unit(stated) or stated or None, unit)
        poses = poses.assign(position=poses["position"].assign_attrs(units=found))
    if not poses.attrs.get("source_file"):
        poses = poses.assign_attrs(source_file=str(Path(path)))
    return with_frame_rate(poses, frame_rate)


def _sniff(path: Path) -> bool:
    return peek_hdf5(path, _has_poses)


def _has_poses(file: h5py.File) -> bool:
    if "poses3d" in file:
        return True
    return {"position", "frame", "keypoint", "individual", "space"} <= set(file) and file["space"].shape == (3,)


FORMAT = Pose3DFormat(
    name="netcdf",
    description="this project's netCDF: the 3D poses of a result file",
    suffixes=(".nc", ".nc4"),
    sniff=_sniff,
    read=read_netcdf3d,
    names_individuals=True,
)
