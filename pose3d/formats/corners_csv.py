"""caliscope's 2D points of all cameras (`xy.csv`, `xy_<tracker>.csv`): one line per point.

Columns `sync_index` (the frame: an instant that all cameras share), `cam_id`, `keypoint_id`, `img_loc_x`, `img_loc_y`
and, in new versions, `object_id` (the individual). Old versions call them `port` and `point_id`. Points come from
OpenCV, so the center of the top-left pixel is (0, 0), as here. Cameras are called cam_<id>, as where caliscope's
calibration is read, keypoints keypoint_<id>, individuals object_<id>. The points have no score.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import FileFormatError
from pose3d.datasets import poses2d
from pose3d.formats._csv_cells import check_cells
from pose3d.formats._tidy import clean_positions, keypoint_names
from pose3d.formats.pose_format import PoseFormat

__all__ = ["FORMAT", "read_corners_csv"]

_ALIASES = {"port": "cam_id", "point_id": "keypoint_id"}
_NEEDED = ("sync_index", "cam_id", "keypoint_id", "img_loc_x", "img_loc_y")
_REMEDY = "Export the points again from caliscope; a spreadsheet program may have changed the file."


def read_corners_csv(
    path: str | os.PathLike[str], *, keypoints: str | Sequence[str] | None = None, frame_rate: float | None = None
) -> xr.Dataset:
    """Poses2D of all cameras in caliscope's table of 2D points.

    Args:
        path: the csv file.
        keypoints: names of the keypoints in the order of their ids, or the name of a preset; keypoint_<id> by default.
        frame_rate: frames per second, where it is known.

    Raises:
        FileFormatError: the file is missing, damaged or not of this format, or a point is there twice.
        InvalidValueError: a position is infinite, or `keypoints` does not fit the file.
    """
    file = Path(path)
    table = _read(file)
    object_id = table["object_id"] if "object_id" in table else pd.Series(0, index=table.index)
    frames, rows = np.unique(_ids(table["sync_index"], file), return_inverse=True)
    cameras, camera = np.unique(_ids(table["cam_id"], file), return_inverse=True)
    objects, individual = np.unique(_ids(object_id.rename("object_id"), file), return_inverse=True)
    points, keypoint = np.unique(_ids(table["keypoint_id"], file), return_inverse=True)
    position = np.full((len(frames), len(cameras), len(objects), len(points), 2), np.nan)
    place = np.ravel_multi_index((rows, camera, individual, keypoint), position.shape[:-1])
    _check_unique(place, table, file)
    position.reshape(-1, 2)[place] = table[["img_loc_x", "img_loc_y"]].to_numpy(dtype=np.float64)
    unnamed = [f"keypoint_{number}" for number in points]
    names = unnamed if keypoints is None else keypoint_names(keypoints, len(unnamed), file)
    return poses2d(
        clean_positions(position),
        cameras=[f"cam_{number}" for number in cameras],
        individuals=[f"object_{number}" for number in objects],
        keypoints=names,
        frames=frames,
        frame_rate=frame_rate,
        source_software="caliscope",
        source_file=str(file),
    )


def _read(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, encoding="utf-8-sig", low_memory=False)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        # pandas' own errors are ValueErrors.
        raise FileFormatError(
            path, expected="caliscope's table of 2D points (xy.csv)", got=str(error).strip(), remedy=_REMEDY
        ) from error
    width = len(table.columns)
    table = table.rename(columns=_ALIASES)
    missing = [name for name in _NEEDED if name not in table]
    if missing or table.empty:
        raise FileFormatError(
            path,
            expected=f"lines with the columns {', '.join(_NEEDED)}",
            got=f"no {', no '.join(missing)}" if missing else "no lines",
            remedy=_REMEDY,
        )
    broken = [name for name in (*_NEEDED, "object_id") if name in table and table[name].dtype.kind not in "iuf"]
    if broken:
        raise FileFormatError(f"{path}, {broken[0]}", expected="numbers", got="text", remedy=_REMEDY)
    if table.iloc[-1][list(_NEEDED)].isna().any():
        raise FileFormatError(
            f"{path}, last line", expected="a whole line", got="one that is cut off", remedy="Copy the file again."
        )
    check_cells(path, width)
    return table


def _ids(column: pd.Series, path: Path) -> NDArray[np.int64]:
    values = column.to_numpy(dtype=np.float64)
    wrong = ~np.isfinite(values) | (values != np.round(values)) | (values < 0)
    if wrong.any():
        line = int(np.argmax(wrong))
        raise FileFormatError(
            f"{path}, line {line + 2}, {column.name}",
            expected="a whole number, at least 0",
            got=str(values[line]),
            remedy=_REMEDY,
        )
    return values.astype(np.int64)


def _check_unique(place: NDArray[np.intp], table: pd.DataFrame, path: Path) -> None:
    order = np.argsort(place, kind="stable")
    repeated = order[1:][np.diff(place[order]) == 0]
    if repeated.size:
        line = int(repeated.min())
        row = table.iloc[line]
        raise FileFormatError(
            f"{path}, line {line + 2}",
            expected="every point once per frame and camera",
            got=f"point {row['keypoint_id']:g} of camera {row['cam_id']:g} at {row['sync_index']:g} again",
            remedy="Keep one line per point.",
        )


def _sniff(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            first = file.readline(4096).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return False
    names = [name.strip().strip('"') for name in first.split(",")]
    return {_ALIASES.get(name, name) for name in names} >= set(_NEEDED)


FORMAT = PoseFormat(
    name="corners-csv",
    description="caliscope xy.csv, the 2D points of all cameras",
    suffixes=(".csv",),
    sniff=_sniff,
    read=read_corners_csv,
    names_cameras=True,
    names_keypoints=False,
)
