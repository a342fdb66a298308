"""Anipose's table of 3D poses (`pose-3d/*.csv`): one row per frame, six columns per keypoint, one individual."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import FileFormatError
from calibration.files import atomic_path
from calibration.schema import check
from pose3d.datasets import POSES3D
from pose3d.datasets import poses3d as make_poses3d
from pose3d.formats._csv_cells import check_cells
from pose3d.formats._detecting import describe
from pose3d.formats._tidy import UNNAMED_INDIVIDUAL, frames_of_labels
from pose3d.formats._units import length_unit
from pose3d.formats.pose3d_format import Pose3DFormat
from pose3d.formats.text_table import files_by_individual, format_rows, header_line, pieces

__all__ = ["FORMAT", "read_anipose3d", "write_anipose3d"]

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


def read_anipose3d(
    path: str | os.PathLike[str], *, frame_rate: float | None = None, unit: str | None = None
) -> xr.Dataset:
    """Poses3D from Anipose's table of 3D poses: with `reprojection_error` (error), `n_cameras` and confidence (score).

    Confidence is 0 where Anipose gives a position without a score: no two cameras saw the keypoint, and the position
    was filled in. Without any score it is 1. The file does not know its frame rate and unit.

    Args:
        path: the file.
        frame_rate: frames per second, where it is known.
        unit: the length unit, that of the calibration board.

    Raises:
        FileFormatError: the file is missing, damaged, or not a table of Anipose's 3D poses.
        InvalidValueError: `unit` is no length unit, the frame rate is not positive, or a value is infinite or out of
            range.

    Warns:
        SuiteWarning: no unit is given, and millimeters are assumed.
    """
    file = Path(path)
    keypoints, table = _read_table(file)
    frames, order = frames_of_labels(table["fnum"].tolist(), file)
    table = table.iloc[order]
    position = np.stack([_columns(table, keypoints, axis) for axis in "xyz"], axis=1)
    missing = np.asarray(np.isnan(position).any(axis=1))
    position[missing[:, None].repeat(3, axis=1)] = np.nan
    scores = _columns(table, keypoints, "score")
    scored = bool(np.isfinite(scores).any())
    poses = make_poses3d(
        position[..., None],
        np.where(missing, 0.0, np.nan_to_num(scores))[..., None] if scored else None,
        individuals=[UNNAMED_INDIVIDUAL],
        keypoints=keypoints,
        unit=length_unit(file, None, unit),
        frames=frames,
        frame_rate=frame_rate,
        source_software="Anipose",
        source_file=str(file),
    )
    errors = np.where(missing, np.nan, _columns(table, keypoints, "error"))
    if np.isfinite(errors).any():
        poses["reprojection_error"] = (POSES3D.variables["reprojection_error"].dims, errors[..., None], {"units": "px"})
    cameras = _columns(table, keypoints, "ncams")
    if np.isfinite(cameras).any():
        counts = np.nan_to_num(cameras).astype(np.int16)
        poses["n_cameras"] = (POSES3D.variables["n_cameras"].dims, counts[..., None], {"units": "1"})
    return check(poses, POSES3D, subject=str(file))


def _keypoints(names: Sequence[str]) -> list[str]:
    """Keypoints of a header, in its order; none where it is not Anipose's."""
    known = set(names)
    found = [name[:-2] for name in names if name.endswith("_x") and {f"{name[:-2]}_y", f"{name[:-2]}_z"} <= known]
    return found if "fnum" in known else []


def _header(path: Path) -> list[str]:
    """The first line of a csv file; empty where it is none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            # A line as long as this is none of a table.
            line = next(csv.reader(islice(file, 1)), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
    return [name.strip() for name in line]


def _read_table(file: Path) -> tuple[list[str], pd.DataFrame]:
    names = _header(file)
    keypoints = _keypoints(names)
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if not keypoints or twice:
        raise FileFormatError(
            file,
            expected="Anipose's table of 3D poses, with columns KEYPOINT_x, _y, _z and fnum, each once",
            got=f"repeated: {', '.join(twice[:5])}" if twice else describe(file),
            remedy="Give a file of the folder pose-3d.",
        )
    try:
        table = pd.read_csv(file, encoding="utf-8-sig", skipinitialspace=True)
        check_cells(file, len(names))
        table.columns = pd.Index(names)
        table.attrs["file"] = str(file)
        return keypoints, table
    except (pd.errors.ParserError, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(
            file, expected="a table of numbers", got=f"lines of another form ({error})", remedy="Export it again."
        ) from error


def _columns(table: pd.DataFrame, keypoints: Sequence[str], name: str) -> NDArray[np.float64]:
    """(time, keypoint) numbers of one quantity; NaN where a keypoint has no such column."""
    wanted = [f"{keypoint}_{name}" for keypoint in keypoints]
    try:
        return table.reindex(columns=wanted).to_numpy(dtype=np.float64)
    except ValueError as error:
        raise FileFormatError(
            f"{table.attrs['file']}, columns KEYPOINT_{name}",
            expected="numbers or nothing",
            got=str(error),
            remedy="Export the file again.",
        ) from error


FORMAT = Pose3DFormat(
    name="anipose",
    description="Anipose's table of 3D poses (pose-3d/*.csv)",
    suffixes=(".csv",),
    sniff=lambda path: bool(_keypoints(_header(path))),
    read=read_anipose3d,
)
