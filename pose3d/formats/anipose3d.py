"""Anipose's table of 3D poses (`pose-3d/*.csv`): one row per frame, six columns per keypoint, one individual."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.files import atomic_path
from calibration.schema import check
from pose3d.datasets import POSES3D
from pose3d.formats._text_table import files_by_individual, format_rows, header_line, pieces

__all__ = ["write_anipose3d"]

# After x, y, z of a keypoint: Anipose's name, ours, format.
_QUALITIES = (("error", "reprojection_error", "%.6g"), ("ncams", "n_cameras", "%.1f"), ("score", "confidence", "%.6g"))
# Anipose can turn the world by M about center when it triangulates; ours is not turned.
_FRAME_OF_WORLD = {f"M_{row}{column}": f"{float(row == column)}" for row in range(3) for column in range(3)} | {
    f"center_{axis}": "0.0" for axis in range(3)
}


def write_anipose3d(
    poses3d: xr.Dataset, path: str | os.PathLike[str], *, individual: str | None = None
) -> tuple[Path, ...]:
    """Write 3D poses as Anipose's tables, one per individual.

    The columns are `KEYPOINT_x`, `_y`, `_z`, `_error`, `_ncams`, `_score` of every keypoint, the constant `M_00` to
    `M_22` and `center_0` to `center_2` (the identity), and `fnum`, the frame number. Two mean almost what they mean in
    Anipose: `error` is the RMS over the cameras that were used, there the mean; `score` is the mean confidence of these
    cameras, there the lowest. Missing positions are empty cells in all six columns.

    Args:
        poses3d: Poses3D Dataset; what is not in memory is read piece by piece.
        path: the file to write; with several individuals the name of each is added to its name.
        individual: write only this one, to `path` itself.

    Returns:
        The files written.

    Raises:
        InvalidValueError: the Dataset does not follow the schema.
        MismatchError: there is no such individual.
        OutputError: a file cannot be written.
    """
    check(poses3d, POSES3D, values=False)
    files = files_by_individual(poses3d, path, individual)
    for name, file in files:
        _write(poses3d.sel(individual=name), file)
    return tuple(file for _, file in files)


def _write(poses3d: xr.Dataset, file: Path) -> None:
    names = ("x", "y", "z", *(name for name, _, _ in _QUALITIES))
    header = [f"{keypoint}_{name}" for keypoint in poses3d["keypoint"].values for name in names]
    formats = ["%.9g"] * 3 + [form for _, _, form in _QUALITIES]
    constants = ",".join(_FRAME_OF_WORLD.values())
    with atomic_path(file) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(header_line([*header, *_FRAME_OF_WORLD, "fnum"]))
        for piece in pieces(poses3d, ["position", *(ours for _, ours, _ in _QUALITIES)]):
            columns = _values(piece).reshape(piece.sizes["time"], -1).T
            rows = format_rows([*columns], formats * piece.sizes["keypoint"], ",")
            frames = piece["frame"].values.tolist()
            stream.writelines(f"{row[1:]},{constants},{frame}\n" for row, frame in zip(rows, frames, strict=True))


def _values(piece: xr.Dataset) -> NDArray[np.float64]:
    """(time, keypoint, 6) numbers in the order of the columns, NaN in all of them where the position is missing."""
    position = piece["position"].transpose("time", "keypoint", "space").values
    values = np.full((*position.shape[:2], 6), np.nan)
    values[..., :3] = position
    for place, (_, ours, _) in enumerate(_QUALITIES, start=3):
        if ours in piece:
            values[..., place] = piece[ours].transpose("time", "keypoint").values
    values[np.isnan(position).any(-1)] = np.nan
    return values
