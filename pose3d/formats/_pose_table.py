"""The table of DeepLabCut, which Lightning Pose and Anipose share, as Poses2D.

Columns are named by levels: scorer, individuals (only with several animals), bodyparts, coords (x, y, likelihood). The
names of the levels and of the columns say what is what; their order says nothing.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import FileFormatError, SuiteWarning
from pose3d.datasets import POSES2D, poses2d
from pose3d.formats._tidy import UNNAMED_INDIVIDUAL, clean_confidence, clean_positions, frames_of_labels

__all__ = ["COORDS", "VARIANCES", "PoseTable", "candidates", "looks_2d", "poses_of_table"]

COORDS = ("x", "y", "likelihood")
VARIANCES = ("x_posterior_var", "y_posterior_var")
_LEVELS = {3: ("scorer", "bodyparts", "coords"), 4: ("scorer", "individuals", "bodyparts", "coords")}
_CANDIDATE = re.compile(r"(x|y|likelihood)_?(\d+)")


@dataclass(frozen=True)
class PoseTable:
    """A table with named columns.

    Attributes:
        levels: names of the levels of the column names; empty where the file has none.
        columns: one tuple of names per column, one name per level.
        rows: one label per row: a frame number, or the name of an image.
        values: (row, column) numbers, NaN where missing.
    """

    levels: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    rows: Sequence[object]
    values: NDArray[np.float64]

    def level(self, name: str) -> list[str] | None:
        """The names of one level, one per column; None where there is no such level."""
        known = self.levels if all(self.levels) else _LEVELS.get(len(self.levels), ())
        lowered = [level.casefold() for level in known]
        return [column[lowered.index(name)] for column in self.columns] if name in lowered else None


def looks_2d(table: PoseTable) -> bool:
    """True if the names of the columns are those of 2D poses."""
    coords = table.level("coords")
    return (
        coords is not None and table.level("bodyparts") is not None and {"x", "y"} <= set(coords) and "z" not in coords
    )


def candidates(table: PoseTable) -> int:
    """How many candidates per keypoint the table holds: Anipose keeps several, in columns x, x_2, x_3, ..."""
    coords = table.level("coords") or []
    return max([1, *(int(match[2]) for coord in coords if (match := _CANDIDATE.fullmatch(coord)))])


def poses_of_table(
    table: PoseTable, path: Path, software: str, *, camera: str | None = None, frame_rate: float | None = None
) -> xr.Dataset:
    """Poses2D of one camera.

    Individuals that have no such keypoint (DeepLabCut's unique bodyparts belong to the individual "single") are NaN
    there. Of several candidates, the first is taken, which is the one the network scored highest.

    Raises:
        FileFormatError: columns are missing, repeated or those of 3D poses; rows are no frames.
        InvalidValueError: a likelihood is out of [0, 1], or a position is infinite.
    """
    columns = _columns(table, path)
    individuals = list(dict.fromkeys(individual for individual, _, _ in columns))
    keypoints = list(dict.fromkeys(keypoint for _, keypoint, _ in columns))
    frames, order = frames_of_labels(table.rows, path)
    table = replace(table, values=table.values[order])

    def values(coord: str) -> NDArray[np.float64]:
        index = np.array([[columns.get((i, k, coord), -1) for k in keypoints] for i in individuals])
        return np.where(index >= 0, table.values[:, index], np.nan)

    position = clean_positions(np.stack([values("x"), values("y")], axis=-1))
    scored = any(coord == "likelihood" for _, _, coord in columns)
    confidence = clean_confidence(values("likelihood") if scored else None, position, path)
    dataset = poses2d(
        position[:, None],
        confidence[:, None],
        cameras=[camera or path.stem],
        individuals=individuals,
        keypoints=keypoints,
        frames=frames,
        frame_rate=frame_rate,
        source_software=software,
        source_file=str(path),
    )
    if any(coord == VARIANCES[0] for _, _, coord in columns):
        _add_covariance(dataset, values(VARIANCES[0]), values(VARIANCES[1]))
    return dataset


def _columns(table: PoseTable, path: Path) -> dict[tuple[str, str, str], int]:
    """Where (individual, keypoint, coordinate) stands."""
    bodyparts, coords = table.level("bodyparts"), table.level("coords")
    if bodyparts is None or coords is None or not looks_2d(table):
        raise _not_poses(path, coords)
    individuals = table.level("individuals") or [UNNAMED_INDIVIDUAL] * len(coords)
    kept = [index for index, coord in enumerate(coords) if coord in (*COORDS, *VARIANCES)]
    _check_scorers([(table.level("scorer") or [""] * len(coords))[index] for index in kept], path)
    count = candidates(table)
    if count > 1:
        warnings.warn(
            f"{path}: {count} candidates per keypoint; the first is used and the others are left out",
            SuiteWarning,
            stacklevel=2,
        )
    columns: dict[tuple[str, str, str], int] = {}
    for index in kept:
        key = (individuals[index], bodyparts[index], coords[index])
        if key in columns:
            raise FileFormatError(
                f"{path}, keypoint '{key[1]}' of '{key[0]}'",
                expected=f"one column '{key[2]}'",
                got="the same column twice",
                remedy="Remove or rename the repeated column.",
            )
        columns[key] = index
    _check_complete(columns, path)
    return columns


def _check_scorers(scorers: Sequence[str], path: Path) -> None:
    names = sorted(set(scorers))
    if len(names) > 1:
        raise FileFormatError(
            path,
            expected="poses by one scorer",
            got=f"{len(names)} scorers: {', '.join(names[:5])}",
            remedy="Save the table of one scorer to a file of its own.",
        )


def _check_complete(columns: dict[tuple[str, str, str], int], path: Path) -> None:
    for individual, keypoint, _ in columns:
        missing = [coord for coord in ("x", "y") if (individual, keypoint, coord) not in columns]
        if missing:
            raise FileFormatError(
                f"{path}, keypoint '{keypoint}' of '{individual}'",
                expected="the columns x and y",
                got=f"no column {' and '.join(missing)}",
                remedy="Export the table again with all its columns.",
            )


def _not_poses(path: Path, coords: Sequence[str] | None) -> FileFormatError:
    if coords is not None and "z" in coords:
        return FileFormatError(
            path,
            expected="2D poses (coords x, y, likelihood)",
            got="3D poses (coords with z)",
            remedy="Give the 2D poses of each camera, from before triangulation.",
        )
    found = "no such levels" if coords is None else f"coords {', '.join(map(repr, list(dict.fromkeys(coords))[:6]))}"
    return FileFormatError(
        path,
        expected="columns with the levels scorer, bodyparts and coords, the coords being x, y and likelihood",
        got=found,
        remedy="Export the poses again from the tool that made them, or name another format.",
    )


def _add_covariance(dataset: xr.Dataset, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    covariance = np.zeros((*x.shape, 2, 2))
    covariance[..., 0, 0], covariance[..., 1, 1] = x, y
    covariance[np.isnan(x) | np.isnan(y)] = np.nan
    dataset["covariance"] = (POSES2D.variables["covariance"].dims, covariance[:, None], {"units": "px^2"})
