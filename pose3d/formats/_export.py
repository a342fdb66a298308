"""What writers of 3D poses share: one file per individual where a format holds only one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.schema import check
from pose3d.datasets import POSES3D

__all__ = ["FRAMES_AT_ONCE", "by_individual", "row_blocks", "table_of"]

# Rows of text are made in blocks, so that a long recording is never in memory as text: 20 keypoints give 5 MB.
FRAMES_AT_ONCE = 2048


def by_individual(
    poses3d: xr.Dataset, path: str | os.PathLike[str], individual: str | None
) -> Iterator[tuple[Path, xr.Dataset]]:
    """The path and Dataset (without the dimension individual) of every file to write.

    Args:
        poses3d: Poses3D Dataset.
        path: the file. Of several individuals each gets its own: `walk.trc` becomes `walk_mouse1.trc`.
        individual: only this one, under the name as it is.

    Raises:
        InvalidValueError: the Dataset does not follow the schema, or has no such individual.
    """
    check(poses3d, POSES3D, values=False)
    names = [str(name) for name in poses3d["individual"].values]
    if individual is not None and individual not in names:
        raise InvalidValueError(
            f"{path}, individual",
            expected=f"one of: {', '.join(names)}",
            got=f"'{individual}'",
            remedy="Correct the name.",
        )
    file = Path(path)
    for name in names if individual is None else [individual]:
        alone = len(names) == 1 or individual is not None
        target = file if alone else file.with_name(f"{file.stem}_{_as_file_name(name)}{file.suffix}")
        yield target, poses3d.sel(individual=name)


def _as_file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)


def row_blocks(poses: xr.Dataset) -> Iterator[xr.Dataset]:
    """The Dataset in loaded pieces along time."""
    for first in range(0, poses.sizes["time"], FRAMES_AT_ONCE):
        yield poses.isel(time=slice(first, first + FRAMES_AT_ONCE)).load()


def table_of(poses: xr.Dataset) -> NDArray[np.float64]:
    """(time, keypoint * 3) positions of one individual, x, y, z of the first keypoint first."""
    return np.asarray(poses["position"].transpose("time", "keypoint", "space").values.reshape(poses.sizes["time"], -1))
