"""3D poses as a tidy table: one row per frame, individual and keypoint."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.files import atomic_path
from calibration.schema import check
from calibration.triangulation import Status
from pose3d.datasets import POSES3D
from pose3d.formats._text_table import format_rows, header_line, pieces

__all__ = ["write_csv"]

_ORDER = ("time", "individual", "keypoint")
_STATUS_NAMES = {int(status): status.name.lower() for status in Status}


def write_csv(poses3d: xr.Dataset, path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Write 3D poses as a tidy CSV table.

    The columns are frame, time (s), individual, keypoint, x, y, z (the rig's unit, nine digits), confidence,
    reprojection_error (RMS over the cameras used, px), n_cameras, status (`ok`, or the reason why the position is missing)
    and std_x, std_y, std_z (standard deviations, the rig's unit); the last six columns only as far as the Dataset has
    them. Missing numbers are empty cells. 100,000 frames of 20 keypoints take 10 s and 190 MB.

    Args:
        poses3d: Poses3D Dataset; lazily opened ones are read piece by piece.
        path: the file to write.

    Returns:
        The file written.

    Raises:
        InvalidValueError: the Dataset does not follow the schema.
        OutputError: the file cannot be written.
    """
    check(poses3d, POSES3D, values=False)
    target = Path(path)
    names = [
        header_line([str(individual), str(keypoint)]).rstrip("\n")
        for individual in poses3d["individual"].values
        for keypoint in poses3d["keypoint"].values
    ]
    with atomic_path(target) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        for number, piece in enumerate(
            pieces(
                poses3d, ["position", "confidence", "reprojection_error", "n_cameras", "status", "covariance"]
            )
        ):
            columns = _columns(piece)
            if number == 0:
                stream.write(header_line(["frame", "time", "individual", "keypoint", *columns]))
            rows = format_rows(
                [values.ravel() for values, _ in columns.values()], [form for _, form in columns.values()], ","
            )
            starts = map("%d,%.12g,".__mod__, zip(piece["frame"].values.tolist(), piece["time"].values.tolist()))
            leads = (start + name for start in starts for name in names)
            stream.writelines(f"{lead}{row}\n" for lead, row in zip(leads, rows, strict=True))
    return (target,)
