"""sleap-anipose's 3D points (`points3d.h5`): one dataset `tracks` (frame, track, node, 3), without any names."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from calibration.errors import FileFormatError
from pose3d.datasets import poses3d
from pose3d.formats._hdf5 import open_hdf5, peek_hdf5
from pose3d.formats._tidy import UNNAMED_INDIVIDUAL
from pose3d.formats._units import length_unit
from pose3d.formats.pose3d_format import Pose3DFormat

__all__ = ["FORMAT", "read_sleap_anipose"]

_WHAT = "sleap-anipose's 3D points: tracks of shape (frames, tracks, nodes, 3)"


def read_sleap_anipose(
    path: str | os.PathLike[str], *, frame_rate: float | None = None, unit: str | None = None
) -> xr.Dataset:
    """Poses3D from sleap-anipose's 3D points.

    The file names nothing: individuals are individual_0, ... and keypoints keypoint_0, ..., in the order of the SLEAP
    project; `poses3d.assign_coords(keypoint=[...])` names them. It has no confidence (1 where there is a position),
    frame rate or unit.

    Args:
        path: the file.
        frame_rate: frames per second, where it is known.
        unit: the length unit, that of the calibration board.

    Raises:
        FileFormatError: the file is missing, damaged, or of another layout.
        InvalidValueError: `unit` is no length unit, the frame rate is not positive, or a position is infinite.

    Warns:
        SuiteWarning: no unit is given, and millimeters are assumed.
    """
    file = Path(path)
    with open_hdf5(file, _WHAT) as content:
        if not _fits(content):
            raise FileFormatError(
                file, expected=_WHAT, got=f"{', '.join(content)}", remedy="Triangulate with sleap-anipose again."
            )
        points = np.asarray(content["tracks"][()], dtype=np.float64)
    points[np.isnan(points).any(axis=-1)] = np.nan
    individuals = [f"{UNNAMED_INDIVIDUAL.removesuffix('0')}{number}" for number in range(points.shape[1])]
    return poses3d(
        points.transpose(0, 3, 2, 1),
        individuals=individuals,
        keypoints=[f"keypoint_{number}" for number in range(points.shape[2])],
        unit=length_unit(file, None, unit),
        frame_rate=frame_rate,
        source_software="sleap-anipose",
        source_file=str(file),
    )


def _fits(content: h5py.File) -> bool:
    tracks = content.get("tracks")
    # SLEAP's own analysis files have node_names beside.
    return isinstance(tracks, h5py.Dataset) and len(tracks.shape) == 4 and tracks.shape[-1] == 3 and len(content) == 1


FORMAT = Pose3DFormat(
    name="sleap-anipose",
    description="sleap-anipose's points3d.h5, without names of keypoints",
    suffixes=(".h5",),
    sniff=lambda path: peek_hdf5(path, _fits),
    read=read_sleap_anipose,
)
