"""The layout of DeepLabCut's 3D results: columns scorer, (individuals,) bodyparts, coords."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from calibration.errors import InvalidValueError, OutputError
from calibration.files import atomic_path
from calibration.schema import check
from pose3d.datasets import POSES3D

__all__ = ["write_deeplabcut3d"]

_KEY = "df_with_missing"  # the name under which DeepLabCut looks for the table


def write_deeplabcut3d(poses3d: xr.Dataset, path: str | os.PathLike[str], *, scorer: str = "pose3d") -> list[Path]:
    """Write the DeepLabCut 3D layout as .csv or .h5; rows are frame numbers.

    The level `individuals` is there where there are several, as in multi-animal projects.

    Args:
        poses3d: Poses3D Dataset.
        path: the file; its ending chooses the format.
        scorer: the name on the first level.

    Returns:
        The written file.

    Raises:
        InvalidValueError: the Dataset does not follow the schema, or the ending is another.
        OutputError: the file cannot be written, or .h5 is asked for without the package tables.
    """
    check(poses3d, POSES3D, values=False)
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in (".csv", ".h5"):
        raise InvalidValueError(target, expected=".csv or .h5", got=f"'{suffix}'", remedy="Change the ending.")
    table = _table(poses3d, scorer)
    with atomic_path(target) as partial:
        if suffix == ".csv":
            table.to_csv(partial, lineterminator="\n")
        else:
            try:
                table.to_hdf(partial, key=_KEY, mode="w", format="table")
            except ImportError as error:
                raise OutputError(
                    target,
                    expected="the package tables, which pandas writes .h5 with",
                    got=str(error),
                    remedy="python -m pip install tables, or write .csv.",
                ) from error
    return [target]


def _table(poses3d: xr.Dataset, scorer: str) -> pd.DataFrame:
    individuals = [str(name) for name in poses3d["individual"].values]
    keypoints = [str(name) for name in poses3d["keypoint"].values]
    position = poses3d["position"].transpose("time", "individual", "keypoint", "space").values
    levels: list[list[str]] = [[scorer], individuals, keypoints, ["x", "y", "z"]]
    names = ["scorer", "individuals", "bodyparts", "coords"]
    if len(individuals) == 1:
        del levels[1], names[1]
    return pd.DataFrame(
        np.asarray(position.reshape(len(position), -1)),
        index=poses3d["frame"].values,
        columns=pd.MultiIndex.from_product(levels, names=names),
    )
