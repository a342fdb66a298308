"""`load_poses3d`: a file of any known format becomes a Poses3D Dataset."""

from __future__ import annotations

import os
from pathlib import Path

import xarray as xr

from calibration.errors import FileFormatError, InvalidValueError, MismatchError
from pose3d.formats._registry3d import detect_format3d, named_format3d

__all__ = ["load_poses3d"]


def load_poses3d(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002 - the name users know from other libraries
    frame_rate: float | None = None,
    unit: str | None = None,
    individual: str | None = None,
) -> xr.Dataset:
    """3D poses from a file of any known format, found by its content.

    A result file of this project is opened and not loaded. DeepLabCut, Anipose, sleap-anipose and movement do not say
    the length unit, and the first three no frame rate: without `unit`, millimeters are assumed with a warning; without
    `frame_rate`, `time` holds frame numbers.

    Args:
        path: the file.
        format: a key of `POSE3D_FORMATS`; detected from the content if left out.
        frame_rate: frames per second; as the file says if left out, or unknown.
        unit: the length unit ("mm", "cm", "m", ...), where the file does not say it. Numbers are not converted.
        individual: of several individuals in the file, the one that is wanted; the name of the only one where the
            file does not name it.

    Returns:
        Poses3D: position (time, space, keypoint, individual) in the length unit, confidence in [0, 1], and what else
        the file has.

    Raises:
        FileFormatError: the file is missing, damaged, of no known format, or holds 2D poses.
        InvalidValueError: an argument is wrong, a value is infinite or out of range, or there are no frames or names.
        MismatchError: the file says another unit, or has no such individual.

    Warns:
        SuiteWarning: the unit is assumed, or something was left out.
    """
    file = Path(path)
    if not file.is_file():
        raise FileFormatError(
            file,
            expected="a file of 3D poses",
            got="a folder" if file.is_dir() else "no such file",
            remedy="Name the file in it." if file.is_dir() else "Check the path for spelling.",
        )
    known = detect_format3d(file) if format is None else named_format3d(format)
    poses = known.read(file, frame_rate=frame_rate, unit=unit)
    _check_any(poses, file)
    return poses if individual is None else _individual(poses, individual, file, named=known.names_individuals)


def _check_any(poses: xr.Dataset, file: Path) -> None:
    empty = [dim for dim in ("time", "keypoint", "individual") if not poses.sizes[dim]]
    if empty:
        raise InvalidValueError(
            f"3D poses {file}",
            expected="at least one frame, keypoint and individual",
            got=f"no {' and no '.join(empty).replace('time', 'frame')}",
            remedy="Export the poses again; the file may have been written without any.",
        )


def _individual(poses: xr.Dataset, individual: str, file: Path, *, named: bool) -> xr.Dataset:
    names = [str(name) for name in poses["individual"].values]
    if individual in names:
        return poses.sel(individual=[individual])
    if len(names) == 1 and not named:
        return poses.assign_coords(individual=[individual])
    raise MismatchError(
        f"{file}, individual '{individual}'",
        expected=f"one of {', '.join(names)}",
        got=f"'{individual}'",
        remedy="Use a name of the file.",
    )
