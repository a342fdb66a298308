"""DeepLabCut's poses: h5 and csv, of one animal or several, predicted or labeled by hand.

Columns are named scorer / [individuals] / bodyparts / coords, rows by frame number or by the name of the image
(labeled-data/m4s1/img0123.png is frame 123). Coordinates are in pixels with the center of the top-left pixel at
(0, 0), as here, see docs/pose-formats.md.
"""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import xarray as xr

from pose3d.formats._pandas_hdf5 import peek_table, read_table
from pose3d.formats._pose_csv import peek_pose_csv, read_pose_csv
from pose3d.formats._pose_table import candidates, looks_2d, poses_of_table
from pose3d.formats.lightning_pose import looks_like_lightning_pose
from pose3d.formats.pose_format import PoseFormat

__all__ = ["FORMAT", "read_deeplabcut"]

_HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")


def read_deeplabcut(
    path: str | os.PathLike[str], *, camera: str | None = None, frame_rate: float | None = None
) -> xr.Dataset:
    """Poses2D of one camera from DeepLabCut's h5 or csv file.

    Args:
        path: the file.
        camera: the name of the camera; the name of the file by default.
        frame_rate: frames per second, where it is known.

    Raises:
        FileFormatError: the file is missing, damaged, not of this format, or holds 3D poses or several videos.
        InvalidValueError: a likelihood is out of [0, 1], or a position is infinite.
    """
    file = Path(path)
    table = read_pose_csv(file) if _is_text(file) else read_table(file)
    return poses_of_table(table, file, "DeepLabCut", camera=camera, frame_rate=frame_rate)


def _is_text(path: Path) -> bool:
    return path.suffix.casefold() not in _HDF5_SUFFIXES and not h5py.is_hdf5(path)


def _sniff(path: Path) -> bool:
    table = peek_pose_csv(path)
    if table is not None:
        return looks_2d(table) and not looks_like_lightning_pose(table)
    table = peek_table(path)
    return table is not None and looks_2d(table) and candidates(table) == 1


FORMAT = PoseFormat(
    name="deeplabcut",
    description="DeepLabCut, h5 or csv, one animal or several, predicted or labeled",
    suffixes=(*_HDF5_SUFFIXES, ".csv"),
    sniff=_sniff,
    read=read_deeplabcut,
)
