"""DeepLabCut's layout of 3D poses: columns by scorer / [individuals] / bodyparts / coords (x, y, z), rows by frame."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import xarray as xr

from calibration.errors import InvalidValueError, OutputError
from calibration.files import atomic_path
from calibration.schema import check
from pose3d.datasets import POSES3D
from pose3d.formats._text_table import format_rows, header_line, pieces

__all__ = ["write_deeplabcut3d"]

_ORDER = ("time", "individual", "keypoint", "space")


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
            # Without times of creation the same poses give the same bytes.
            store.put("df_with_missing", table, format="table", track_times=False)
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
