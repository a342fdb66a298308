"""DeepLabCut's layout of 3D poses: columns by scorer / [individuals] / bodyparts / coords (x, y, z), rows by frame."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from calibration.errors import FileFormatError, InvalidValueError, OutputError
from calibration.files import atomic_path
from calibration.schema import check
from pose3d.datasets import POSES3D
from pose3d.datasets import poses3d as make_poses3d
from pose3d.formats._pandas_hdf5 import peek_table, read_table
from pose3d.formats._pose_csv import peek_pose_csv, read_pose_csv
from pose3d.formats._pose_table import PoseTable
from pose3d.formats._tidy import UNNAMED_INDIVIDUAL, frames_of_labels
from pose3d.formats._units import length_unit
from pose3d.formats.pose3d_format import Pose3DFormat
from pose3d.formats.text_table import format_rows, header_line, pieces

__all__ = ["FORMAT", "read_deeplabcut3d", "write_deeplabcut3d"]

_ORDER = ("time", "individual", "keypoint", "space")
_AXES = ("x", "y", "z")
_HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")
_REMEDY = "Export the 3D poses again from the tool that made them."


def read_deeplabcut3d(
    path: str | os.PathLike[str], *, frame_rate: float | None = None, unit: str | None = None
) -> xr.Dataset:
    """Poses3D from DeepLabCut's 3D table, h5 or csv, of one animal or several.

    The file has neither confidence (it is 1 where there is a position) nor frame rate nor unit.

    Args:
        path: the file.
        frame_rate: frames per second, where it is known.
        unit: the length unit, that of the squares of the calibration board.

    Raises:
        FileFormatError: the file is missing, damaged, or not a table of 3D poses.
        InvalidValueError: `unit` is no length unit, the frame rate is not positive, or a position is infinite.

    Warns:
        SuiteWarning: no unit is given, and millimeters are assumed.
    """
    file = Path(path)
    text = file.suffix.casefold() not in _HDF5_SUFFIXES and not h5py.is_hdf5(file)
    table = read_pose_csv(file, also=("z",)) if text else read_table(file)
    columns = _places(table, file)
    individuals = list(dict.fromkeys(individual for individual, _, _ in columns))
    keypoints = list(dict.fromkeys(keypoint for _, keypoint, _ in columns))
    frames, order = frames_of_labels(table.rows, file)
    values = np.concatenate([table.values[order], np.full((len(order), 1), np.nan)], axis=1)
    # -1: the last column, which is missing; not every individual has every keypoint.
    index = [[[columns.get((i, k, axis), -1) for i in individuals] for k in keypoints] for axis in _AXES]
    position = values[:, np.array(index)]
    position[np.isnan(position).any(axis=1)[:, None].repeat(3, axis=1)] = np.nan
    return make_poses3d(
        position,
        individuals=individuals,
        keypoints=keypoints,
        unit=length_unit(file, None, unit),
        frames=frames,
        frame_rate=frame_rate,
        source_software="DeepLabCut",
        source_file=str(file),
    )


def _looks_3d(table: PoseTable | None) -> bool:
    coords = None if table is None else table.level("coords")
    return (
        coords is not None and set(_AXES) <= set(coords) and table is not None and table.level("bodyparts") is not None
    )


def _places(table: PoseTable, file: Path) -> dict[tuple[str, str, str], int]:
    """Where (individual, keypoint, axis) stands."""
    bodyparts, coords = table.level("bodyparts"), table.level("coords")
    if bodyparts is None or coords is None or not _looks_3d(table):
        raise FileFormatError(
            file,
            expected="3D poses: columns with the levels scorer, bodyparts and coords, the coords being x, y and z",
            got="no such levels" if coords is None else f"coords {', '.join(list(dict.fromkeys(coords))[:6])}",
            remedy="Triangulate 2D poses first; `pose3d triangulate` does it.",
        )
    individuals = table.level("individuals") or [UNNAMED_INDIVIDUAL] * len(coords)
    columns: dict[tuple[str, str, str], int] = {}
    for place, key in enumerate(zip(individuals, bodyparts, coords, strict=True)):
        if key[2] not in _AXES:
            continue
        if key in columns:
            raise FileFormatError(
                f"{file}, keypoint '{key[1]}' of '{key[0]}'",
                expected=f"one column '{key[2]}'",
                got="the same column twice",
                remedy="Keep the poses of one scorer, and one column of each name.",
            )
        columns[key] = place
    for individual, keypoint, _ in list(columns):
        missing = [axis for axis in _AXES if (individual, keypoint, axis) not in columns]
        if missing:
            raise FileFormatError(
                f"{file}, keypoint '{keypoint}' of '{individual}'",
                expected="the columns x, y and z",
                got=f"no column {' and '.join(missing)}",
                remedy=_REMEDY,
            )
    return columns


def _sniff(path: Path) -> bool:
    return _looks_3d(peek_pose_csv(path) or peek_table(path))


FORMAT = Pose3DFormat(
    name="deeplabcut",
    description="DeepLabCut 3D, h5 or csv, one animal or several",
    suffixes=(*_HDF5_SUFFIXES, ".csv"),
    sniff=_sniff,
    read=read_deeplabcut3d,
)


def write_deeplabcut3d(
    poses3d: xr.Dataset, path: str | os.PathLike[str], *, scorer: str = "pose3d"
) -> tuple[Path, ...]:
    """Write 3D poses as DeepLabCut does: `.csv`, or `.h5` with the table `df_with_missing` for `pandas.read_hdf`.

    With several individuals the columns have the level `individuals`, as in multi-animal projects. Missing positions
    are empty cells or NaN; the index holds the frame numbers.

    Args:
        poses3d: Poses3D Dataset; for `.csv`, what is not in memory is read piece by piece.
        path: the file to write; its ending says in which form.
        scorer: what stands on the level `scorer`, in DeepLabCut the name of the network.

    Returns:
        The file written.

    Raises:
        InvalidValueError: the Dataset does not follow the schema, or the ending is another.
        OutputError: the file cannot be written, or PyTables, which pandas needs for `.h5`, is not installed.
    """
    check(poses3d, POSES3D, values=False)
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in (".csv", ".h5"):
        raise InvalidValueError(
            target, expected="a name that ends with .csv or .h5", got=f"'{target.suffix}'", remedy="Rename the file."
        )
    with atomic_path(target) as partial:
        (_write_csv if suffix == ".csv" else _write_h5)(poses3d, partial, scorer)
    return (target,)


def _columns(poses3d: xr.Dataset, scorer: str) -> dict[str, list[str]]:
    """Level -> the name on it of every column."""
    individuals = [str(name) for name in poses3d["individual"].values]
    keypoints = [str(name) for name in poses3d["keypoint"].values]
    names = [(individual, keypoint, axis) for individual in individuals for keypoint in keypoints for axis in "xyz"]
    levels = {"scorer": [scorer] * len(names)}
    if len(individuals) > 1:
        levels["individuals"] = [individual for individual, _, _ in names]
    levels["bodyparts"] = [keypoint for _, keypoint, _ in names]
    levels["coords"] = [axis for _, _, axis in names]
    return levels


def _write_csv(poses3d: xr.Dataset, partial: Path, scorer: str) -> None:
    with partial.open("w", encoding="utf-8", newline="\n") as stream:
        for level, names in _columns(poses3d, scorer).items():
            stream.write(header_line([level, *names]))
        started = False
        for piece in pieces(poses3d, ["position"]):
            values = piece["position"].transpose(*_ORDER).values.reshape(piece.sizes["time"], -1)
            columns = [piece["frame"].values, *values.T]
            rows = format_rows(columns, ["%d", *["%.9g"] * values.shape[1]], ",")
            if not started and np.isnan(values[0]).all():
                # pandas takes a row of empty cells below the header for the names of the index, and drops it.
                rows[0] = f",{columns[0][0]}" + ",NaN" * values.shape[1]
            started = True
            stream.writelines(f"{row[1:]}\n" for row in rows)


def _write_h5(poses3d: xr.Dataset, partial: Path, scorer: str) -> None:
    import pandas as pd

    levels = _columns(poses3d, scorer)
    # As objects, which PyTables stores; it does not know pandas' own string type.
    columns = pd.MultiIndex.from_arrays([np.array(names, dtype=object) for names in levels.values()], names=[*levels])
    values = poses3d["position"].transpose(*_ORDER).values.reshape(poses3d.sizes["time"], -1)
    table = pd.DataFrame(values, index=pd.Index(poses3d["frame"].values), columns=columns)
    try:
        with pd.HDFStore(partial, mode="w") as store:
            # Without times of creation, which an index for searching would have, the same poses give the same bytes.
            store.put("df_with_missing", table, format="table", track_times=False, index=False)
    except ImportError as error:
        raise OutputError(
            partial.name,
            expected="the package 'tables', with which pandas writes HDF5",
            got="not installed",
            remedy="Install it (pip install 'pose3d-suite[formats]'), or write .csv.",
        ) from error
    except RuntimeError as error:  # PyTables says so of a full disk
        raise OutputError(
            partial.name,
            expected="to write the file completely",
            got=str(error),
            remedy="Check free space and permissions; nothing was changed under the final name.",
        ) from error
