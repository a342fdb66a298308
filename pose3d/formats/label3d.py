"""Label3D's and DANNCE's labels (`*_dannce.mat`): 2D labels of all cameras in the cell `labelData`.

MATLAB counts pixels from 1: the center of the top-left pixel is (1, 1), so 1 is subtracted, as from the principal
point where the calibration in the same file is read. Keypoints have no names in it and are called keypoint_0, ...

Rows of the cameras belong together by `data_sampleID`, the clock that all cameras share. Where the cameras agree on
which of their frames (`data_frame`) a sample is, that is the frame number; where they do not, frames were dropped and
the sample is.

Label3D exports as 2D labels the projections of the points it triangulated from what was clicked, not the clicks.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import FileFormatError, SuiteWarning
from calibration.formats.matlab import matlab_variables, read_matlab
from pose3d.datasets import poses2d
from pose3d.formats._tidy import UNNAMED_INDIVIDUAL, clean_positions, keypoint_names
from pose3d.formats.pose_format import PoseFormat

__all__ = ["FORMAT", "read_label3d"]

_WHAT = "a file exported by Label3D, with a cell 'labelData' of structs with data_2d, data_frame and data_sampleID"
_REMEDY = "Export it from Label3D again (exportDannce)."
_FIRST_PIXEL = 1.0


def read_label3d(
    path: str | os.PathLike[str], *, keypoints: str | Sequence[str] | None = None, frame_rate: float | None = None
) -> xr.Dataset:
    """Poses2D of all cameras in a file exported by Label3D.

    Args:
        path: the .mat file.
        keypoints: names of the keypoints in the file's order, or the name of a preset; keypoint_0, ... by default.
        frame_rate: frames per second, where it is known.

    Raises:
        FileFormatError: the file is missing, damaged, without labels, or its cameras do not fit together.
        InvalidValueError: a position is infinite, or `keypoints` does not fit the file.
    """
    file = Path(path)
    content = read_matlab(file, ("labelData", "camnames"))
    labels = _structs(content.get("labelData"), file)
    cameras = _camera_names(content.get("camnames"), len(labels), file)
    positions = [_positions(label, f"{file}, camera '{name}'") for name, label in zip(cameras, labels, strict=True)]
    samples = [
        _numbers(label, "data_sampleID", len(rows), f"{file}, camera '{name}'")
        for name, label, rows in zip(cameras, labels, positions, strict=True)
    ]
    count = {rows.shape[1] for rows in positions}
    if len(count) > 1:
        raise FileFormatError(
            file,
            expected="the same keypoints in all cameras",
            got=f"{', '.join(map(str, sorted(count)))} keypoints",
            remedy=_REMEDY,
        )
    clock = np.unique(np.concatenate(samples))
    merged = np.full((len(clock), len(cameras), 1, count.pop(), 2), np.nan)
    for index, (ids, rows) in enumerate(zip(samples, positions, strict=True)):
        merged[np.searchsorted(clock, ids), index, 0] = rows
    unnamed = [f"keypoint_{index}" for index in range(merged.shape[3])]
    names = unnamed if keypoints is None else keypoint_names(keypoints, len(unnamed), file)
    return poses2d(
        clean_positions(merged - _FIRST_PIXEL),
        cameras=cameras,
        individuals=[UNNAMED_INDIVIDUAL],
        keypoints=names,
        frames=_frames(clock, samples, cameras, labels, file),
        frame_rate=frame_rate,
        source_software="Label3D",
        source_file=str(file),
    )


def _structs(found: Any, path: Path) -> list[dict[str, Any]]:
    structs = [found] if isinstance(found, dict) else found
    if not isinstance(structs, list) or not structs or not all(isinstance(struct, dict) for struct in structs):
        raise FileFormatError(
            path,
            expected=_WHAT,
            got="no 'labelData'" if found is None else "a 'labelData' of another kind",
            remedy=_REMEDY,
        )
    return structs


def _camera_names(stored: Any, count: int, path: Path) -> list[str]:
    if stored is None:
        # As the reader of calibrations calls them, which also says so.
        return [f"Camera{index + 1}" for index in range(count)]
    names = [stored] if isinstance(stored, str) else list(stored)
    names = [name[0] if isinstance(name, list) and len(name) == 1 else name for name in names]
    if len(names) != count or not all(isinstance(name, str) for name in names):
        raise FileFormatError(
            f"{path}, camnames",
            expected=f"{count} names, one per cell of labelData",
            got=str(names)[:80],
            remedy="Correct camnames in MATLAB and save the file again.",
        )
    return names


def _positions(label: dict[str, Any], subject: str) -> NDArray[np.float64]:
    """(row, keypoint, 2) labels, in MATLAB's pixels."""
    data = label.get("data_2d")
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] % 2 or data.size == 0:
        raise FileFormatError(
            f"{subject}, data_2d",
            expected="one row per labeled frame, with x and y of every keypoint",
            got=f"shape {data.shape}" if isinstance(data, np.ndarray) else "nothing",
            remedy=_REMEDY,
        )
    return data.reshape(len(data), -1, 2)


def _numbers(label: dict[str, Any], name: str, count: int, subject: str) -> NDArray[np.int64]:
    data = label.get(name)
    values = data.ravel() if isinstance(data, np.ndarray) else np.empty(0)
    if len(values) != count or not np.array_equal(values, np.round(values)) or len(np.unique(values)) < count:
        raise FileFormatError(
            f"{subject}, {name}",
            expected=f"{count} different whole numbers, one per row of data_2d",
            got=f"{len(values)}, {len(np.unique(values))} of them different",
            remedy=_REMEDY,
        )
    return values.astype(np.int64)


def _frames(
    clock: NDArray[np.int64],
    samples: list[NDArray[np.int64]],
    cameras: list[str],
    labels: list[dict[str, Any]],
    path: Path,
) -> NDArray[np.int64]:
    """The frame number of each sample."""
    frames = np.full((len(cameras), len(clock)), -1, dtype=np.int64)
    for index, (name, label) in enumerate(zip(cameras, labels, strict=True)):
        numbers = _numbers(label, "data_frame", len(samples[index]), f"{path}, camera '{name}'")
        frames[index, np.searchsorted(clock, samples[index])] = numbers
    highest = frames.max(axis=0)
    agreed = bool(((frames == highest) | (frames == -1)).all()) and bool((np.diff(highest) > 0).all())
    if agreed:
        return highest
    warnings.warn(
        f"{path}: the cameras number their frames differently; frames are called by data_sampleID, which they share",
        SuiteWarning,
        stacklevel=3,
    )
    return clock


def _sniff(path: Path) -> bool:
    return path.is_file() and "labelData" in matlab_variables(path)


FORMAT = PoseFormat(
    name="label3d",
    description="Label3D and DANNCE *_dannce.mat, the labels of all cameras",
    suffixes=(".mat",),
    sniff=_sniff,
    read=read_label3d,
    names_cameras=True,
    names_keypoints=False,
)
