"""3D poses as a tidy table: one row per frame, individual and keypoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.files import atomic_path
from calibration.schema import check
from calibration.triangulation import Status
from pose3d.datasets import POSES3D, flag_words
from pose3d.formats.text_table import format_rows, header_line, pieces

__all__ = ["write_csv"]

_ORDER = ("time", "individual", "keypoint")
_STATUS_NAMES = {int(status): status.name.lower() for status in Status}
# Positions have nine digits, a micrometer in a kilometer; the others have six, which is more than they mean.
_FORMATS = {"confidence": "%.6g", "reprojection_error": "%.6g", "n_cameras": "%d"}


def write_csv(poses3d: xr.Dataset, path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Write 3D poses as a tidy CSV table.

    The columns are frame, time (s), individual, keypoint, x, y, z (the rig's unit, nine digits), confidence,
    reprojection_error (RMS over the cameras used, px), n_cameras, status ("ok", or why the position is missing; what
    is no `calibration.triangulation.Status` has the word of the attribute `flag_meanings`), and
    std_x, std_y, std_z (standard deviations, the rig's unit); those from reprojection_error on only as far as the
    Dataset has them. Missing numbers are empty cells.

    Args:
        poses3d: Poses3D Dataset; what is not in memory is read piece by piece.
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
        columns = [name for name, _, _ in _columns(poses3d.isel(time=slice(0, 0)))]
        stream.write(header_line(["frame", "time", "individual", "keypoint", *columns]))
        for piece in pieces(poses3d, ("position", *_FORMATS, "status", "covariance")):
            _, formats, values = zip(*_columns(piece), strict=True)
            starts = format_rows([piece["frame"].values, piece["time"].values], ["%d", "%.12g"], ",")
            leads = (f"{start[1:]},{name}" for start in starts for name in names)
            rows = format_rows(values, formats, ",")
            stream.writelines(f"{lead}{row}\n" for lead, row in zip(leads, rows, strict=True))
    return (target,)


def _columns(poses3d: xr.Dataset) -> list[tuple[str, str, NDArray[Any]]]:
    """Name, format and values of the columns after the names."""
    columns: list[tuple[str, str, NDArray[Any]]] = []
    position = poses3d["position"].transpose("space", *_ORDER).values
    columns += ((axis, "%.9g", values.ravel()) for axis, values in zip("xyz", position, strict=True))
    for name, form in _FORMATS.items():
        if name in poses3d:
            columns.append((name, form, poses3d[name].transpose(*_ORDER).values.ravel()))
    if "status" in poses3d:
        codes = poses3d["status"].transpose(*_ORDER).values.ravel()
        names = flag_words(poses3d["status"]) | _STATUS_NAMES
        columns.append(
            ("status", "%s", np.array([names.get(code, str(code)) for code in codes.tolist()], dtype=object))
        )
    if "covariance" in poses3d:
        covariance = poses3d["covariance"].transpose("space", "space_", *_ORDER).values
        columns += ((f"std_{axis}", "%.6g", np.sqrt(covariance[i, i]).ravel()) for i, axis in enumerate("xyz"))
    return columns
