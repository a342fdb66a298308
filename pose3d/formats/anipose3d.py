"""Anipose's pose-3d CSV: six columns for each keypoint, then the world frame and the frame number."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from calibration.files import atomic_path
from pose3d.formats._export import by_individual, row_blocks

__all__ = ["write_anipose3d"]


def write_anipose3d(poses3d: xr.Dataset, path: str | os.PathLike[str], *, individual: str | None = None) -> list[Path]:
    """Write the columns NAME_x, _y, _z, _error (px), _ncams, _score of every keypoint, M_ij, center_i and fnum.

    M and center map the rig's world to the frame of the file: they are the identity and zero.

    Args:
        poses3d: Poses3D Dataset; may be lazily loaded.
        path: the file to write; `_NAME` is added to its name where there are several individuals.
        individual: only this one.

    Returns:
        The written files.

    Raises:
        InvalidValueError: the Dataset does not follow the schema, or has no such individual.
        OutputError: a file cannot be written.
    """
    written = []
    for target, poses in by_individual(poses3d, path, individual):
        with atomic_path(target) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            for number, block in enumerate(row_blocks(poses)):
                _rows(block).to_csv(file, index=False, header=number == 0, lineterminator="\n")
        written.append(target)
    return written


def _rows(poses: xr.Dataset) -> pd.DataFrame:
    columns: dict[str, object] = {}
    nothing = xr.full_like(poses["confidence"], np.nan)
    for keypoint in poses["keypoint"].values:
        one = poses.sel(keypoint=keypoint)
        for axis in "xyz":
            columns[f"{keypoint}_{axis}"] = one["position"].sel(space=axis).values
        columns[f"{keypoint}_error"] = one.get("reprojection_error", nothing.sel(keypoint=keypoint)).values
        columns[f"{keypoint}_ncams"] = one.get("n_cameras", nothing.sel(keypoint=keypoint)).values
        columns[f"{keypoint}_score"] = one["confidence"].values
    for row in range(3):
        for column in range(3):
            columns[f"M_{row}{column}"] = float(row == column)
    columns |= {f"center_{axis}": 0.0 for axis in range(3)}
    columns["fnum"] = poses["frame"].values
    return pd.DataFrame(columns)
