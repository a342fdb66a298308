"""2D poses in this project's own netCDF files: the group /poses2d of a result file, or a file of nothing else.

A file of detections gives the most probable place of every keypoint.

The file is opened, not loaded: values are read when they are used.
"""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import xarray as xr

from calibration.errors import FileFormatError
from pose3d.datasets import poses2d_of_detections
from pose3d.formats._hdf5 import peek_hdf5
from pose3d.formats.pose_format import PoseFormat
from pose3d.formats.poses_as_instances import as_lazy_instances
from pose3d.formats.session import open_session

__all__ = ["FORMAT", "load_detections", "read_netcdf"]


def load_detections(path: str | os.PathLike[str]) -> xr.Dataset:
    """Detections in a netCDF file of this project, as `pose3d predict` writes them; values are read when used.

    Raises:
        FileFormatError: the file is missing, damaged, or has no detections.
        InvalidValueError: the Dataset in it does not follow the schema.
    """
    return open_session(path).require("detections")


def read_netcdf(path: str | os.PathLike[str]) -> xr.Dataset:
    """Poses2D of all cameras in a netCDF file of this project; values are read from the file when they are used.

    Raises:
        FileFormatError: the file is missing, damaged, or has no 2D poses.
        InvalidValueError: the Dataset in it does not follow the schema.
    """
    session = open_session(path)
    if session.poses2d is None and session.detections is not None:
        dataset = poses2d_of_detections(session.detections)
    else:
        dataset = session.require("poses2d")
    return dataset if dataset.attrs.get("source_file") else dataset.assign_attrs(source_file=str(Path(path)))


def _read_instances(path: str | os.PathLike[str]) -> xr.Dataset:
    """Instances of all cameras: the group /instances, else the individuals of /poses2d; values are read when used."""
    session = open_session(path)
    if session.instances is not None:
        dataset = session.instances
    elif session.poses2d is not None:
        dataset = as_lazy_instances(session.poses2d)
    elif session.detections is not None and session.detections.sizes["candidate"] == 1:
        dataset = as_lazy_instances(poses2d_of_detections(session.detections))
    elif session.detections is not None:
        raise FileFormatError(
            path,
            expected="animals",
            got=f"{session.detections.sizes['candidate']} candidates per keypoint, not assembled to animals",
            remedy="Read them with load_candidates and assemble them.",
        )
    else:
        dataset = session.require("instances")
    return dataset if dataset.attrs.get("source_file") else dataset.assign_attrs(source_file=str(Path(path)))


def _sniff(path: Path) -> bool:
    return peek_hdf5(path, _has_poses)


def _has_poses(file: h5py.File) -> bool:
    # the table of instances in a SLEAP project is no group
    if "poses2d" in file or "detections" in file or isinstance(file.get("instances"), h5py.Group):
        return True
    # 3D poses may have cameras as well, in their residuals.
    return {"position", "camera", "keypoint"} <= set(file) and not ("space" in file and file["space"].shape == (3,))


FORMAT = PoseFormat(
    name="netcdf",
    description="this project's netCDF, 2D poses of all cameras",
    suffixes=(".nc", ".nc4"),
    sniff=_sniff,
    read=read_netcdf,
    names_cameras=True,
    read_instances=_read_instances,
)
