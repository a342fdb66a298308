"""netCDF files of the movement package: poses whose dimensions it names in the plural, or, later, in the singular.

The files know their frame rate (attribute `fps`) where their times are seconds, but no unit; `position` may say it in
the attribute `units`. movement writes NaN as the confidence of poses that have none.
"""

from __future__ import annotations

import os
from collections.abc import Set as AbstractSet
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import FileFormatError
from pose3d.datasets import poses3d
from pose3d.formats._detecting import describe
from pose3d.formats._gapless import with_frame_rate
from pose3d.formats._hdf5 import DAMAGE, peek_hdf5
from pose3d.formats._tidy import clean_confidence
from pose3d.formats._units import length_unit, plain_unit
from pose3d.formats.pose3d_format import Pose3DFormat

__all__ = ["FORMAT", "read_movement"]

_WHAT = "a netCDF file of the movement package with 3D poses"
_SINGULAR = {"keypoints": "keypoint", "individuals": "individual"}
_ORDER = ("time", "keypoint", "individual", "space")
# What files of this project have and movement has not.
_OURS = frozenset({"frame", "camera", "candidate"})
_CLASSIC = b"CDF"
# Times fit a frame rate where they are off by less than this part of a frame.
_FITS = 0.01


def read_movement(
    path: str | os.PathLike[str], *, frame_rate: float | None = None, unit: str | None = None
) -> xr.Dataset:
    """Poses3D in a netCDF file of the movement package.

    Confidence that is NaN beside a position becomes 1: nobody scored it.

    Args:
        path: the file.
        frame_rate: frames per second instead of the one in the file.
        unit: the length unit, where `position` has no attribute `units`.

    Raises:
        FileFormatError: the file is missing, damaged, or has no 3D poses.
        InvalidValueError: `unit` is no length unit, the frame rate is not positive, or a value is infinite or out of
            range.
        MismatchError: the file says another unit.

    Warns:
        SuiteWarning: nobody says the unit, and millimeters are assumed.
    """
    file = Path(path)
    content = _load(file)
    position = content["position"].transpose(*_ORDER)
    values = position.values.astype(np.float64)
    values[np.isnan(values).any(axis=-1)] = np.nan
    scores = content["confidence"].transpose(*_ORDER[:-1]).values if "confidence" in content else None
    frames, rate = _frames(content)
    poses = poses3d(
        values.transpose(0, 3, 1, 2),
        clean_confidence(scores, values, file),
        individuals=[str(name) for name in content["individual"].values],
        keypoints=[str(name) for name in content["keypoint"].values],
        unit=length_unit(file, plain_unit(str(position.attrs.get("units", ""))), unit),
        frames=frames,
        frame_rate=rate,
        source_software=str(content.attrs.get("source_software") or "movement"),
        source_file=str(file),
    )
    if rate is not None and not np.allclose(poses["time"], content["time"], rtol=0.0, atol=_FITS / rate):
        # Not one frame every 1 / rate seconds: the times of the file count.
        poses = poses.assign_coords(time=("time", content["time"].values.astype(np.float64), {"units": "s"}))
    return with_frame_rate(poses, frame_rate)


def _load(file: Path) -> xr.Dataset:
    """The Dataset in the file, with dimensions in the singular."""
    try:
        with xr.open_dataset(file, engine="netcdf4", decode_timedelta=False) as opened:
            content = opened.load()
    except DAMAGE as error:
        raise FileFormatError(
            file,
            expected=_WHAT,
            got=describe(file, lacking="3D poses"),
            remedy="Copy or save the file again; it may be cut off.",
        ) from error
    content = content.rename({plural: name for plural, name in _SINGULAR.items() if plural in content.dims})
    position = content.get("position")
    fits = position is not None and set(position.dims) == set(_ORDER) and position.sizes["space"] == 3
    named = all(dim in content.coords for dim in ("time", "keypoint", "individual"))
    if position is None or not fits or not named:
        raise FileFormatError(
            file,
            expected=f"{_WHAT}: position by time, space (of 3), keypoints and individuals, and the names of these",
            got="no position" if position is None else ", ".join(f"{dim} {n}" for dim, n in position.sizes.items()),
            remedy="Save 3D poses; 2D poses are triangulated first.",
        )
    return content


def _frames(content: xr.Dataset) -> tuple[NDArray[np.int64], float | None]:
    """Frame numbers, and the rate where times are seconds."""
    times = content["time"].values.astype(np.float64)
    in_frames = str(content.attrs.get("time_unit", "")).startswith("frame")
    rate = content.attrs.get("fps")
    if in_frames:
        numbers, known = times, None
    elif rate is not None and float(rate) > 0:
        numbers, known = times * float(rate), float(rate)
    else:
        # Seconds at an unknown rate: that of most of them.
        known = float(1.0 / np.median(np.diff(times))) if len(times) > 1 else None
        numbers = times * (known or 1.0)
    whole = np.round(numbers)
    counts = np.isfinite(whole).all() and bool((np.diff(whole) > 0).all()) and (not len(whole) or whole[0] >= 0)
    if not counts:
        whole = np.arange(len(times), dtype=np.float64)
    return whole.astype(np.int64), known


def _sniff(path: Path) -> bool:
    if peek_hdf5(path, lambda file: _is_movement(set(file), _length(file))):
        return True
    try:
        with path.open("rb") as file:
            if file.read(3) != _CLASSIC:
                return False
        with netCDF4.Dataset(path) as content:
            space = content.dimensions.get("space")
            return _is_movement(set(content.variables), 0 if space is None else len(space))
    except DAMAGE:
        return False


def _length(file: h5py.File) -> int:
    return int(file["space"].shape[0]) if "space" in file else 0


def _is_movement(names: AbstractSet[str], length: int) -> bool:
    named = names & {*_SINGULAR, *_SINGULAR.values()}
    return "position" in names and length == 3 and len(named) >= 2 and not names & _OURS


FORMAT = Pose3DFormat(
    name="movement",
    description="netCDF of the movement package",
    suffixes=(".nc", ".nc4"),
    sniff=_sniff,
    read=read_movement,
    names_individuals=True,
)
