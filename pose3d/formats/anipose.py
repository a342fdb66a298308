"""Anipose's 2D poses (folders `pose-2d`, `pose-2d-filtered`).

They are DeepLabCut's h5, with several candidates per keypoint where its configuration asks for them (columns x, x_2,
x_3, ...; the network scored the first highest).
Without candidates the files are DeepLabCut's in every respect and are detected as such.
"""

from __future__ import annotations

import os
from pathlib import Path

import xarray as xr

from pose3d.formats._pandas_hdf5 import peek_table, read_table
from pose3d.formats._pose_table import candidates, looks_2d, poses_of_table
from pose3d.formats.pose_format import PoseFormat

__all__ = ["FORMAT", "read_anipose"]


def read_anipose(
    path: str | os.PathLike[str], *, camera: str | None = None, frame_rate: float | None = None
) -> xr.Dataset:
    """Poses2D of one camera from Anipose's 2D h5 file; the first of several candidates, with a SuiteWarning.

    Args:
        path: the file.
        camera: the name of the camera; the name of the file by default.
        frame_rate: frames per second, where it is known.

    Raises:
        FileFormatError: the file is missing, damaged, not of this format, or holds 3D poses.
        InvalidValueError: a likelihood is out of [0, 1], or a position is infinite.
    """
    file = Path(path)
    return poses_of_table(read_table(file), file, "Anipose", camera=camera, frame_rate=frame_rate)


def _sniff(path: Path) -> bool:
    table = peek_table(path)
    return table is not None and looks_2d(table) and candidates(table) > 1


FORMAT = PoseFormat(
    name="anipose",
    description="Anipose 2D h5, raw or filtered, also with several candidates per keypoint",
    suffixes=(".h5", ".hdf5"),
    sniff=_sniff,
    read=read_anipose,
)
