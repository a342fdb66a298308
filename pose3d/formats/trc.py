"""TRC, the marker file of OpenSim and Motion Analysis: tab-separated text, one individual a file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import FileFormatError, InvalidValueError
from calibration.files import atomic_path
from pose3d.datasets import poses3d as make_poses3d
from pose3d.formats._export import by_individual, row_blocks, table_of

__all__ = ["read_trc", "write_trc"]

_UNITS = ("mm", "cm", "m")
_KEYS = (
    "DataRate",
    "CameraRate",
    "NumFrames",
    "NumMarkers",
    "Units",
    "OrigDataRate",
    "OrigDataStartFrame",
    "OrigNumFrames",
)
# OpenSim's world is Y-up: where z is up, (x, y, z) becomes (y, z, x), which keeps it right-handed.
_Y_UP_FROM = {"y": (0, 1, 2), "z": (1, 2, 0)}


def write_trc(
    poses3d: xr.Dataset, path: str | os.PathLike[str], *, individual: str | None = None, up: str = "y"
) -> list[Path]:
    """Write a TRC file for each individual; a missing position is three empty cells, as OpenSim expects.

    Frame numbers count from 1 in the file.

    Args:
        poses3d: Poses3D Dataset with a frame rate; may be lazily loaded.
        path: the file to write; `_NAME` is added to its name where there are several individuals.
        individual: only this one.
        up: the axis of the rig's world that points up; "z" is turned to OpenSim's y.

    Returns:
        The written files.

    Raises:
        InvalidValueError: the Dataset does not follow the schema, has no frame rate or another unit than mm, cm or m.
        OutputError: a file cannot be written.
    """
    rate, unit = poses3d.attrs.get("fps"), str(poses3d["position"].attrs.get("units", ""))
    for subject, fine, expected, got, remedy in (
        ("frame rate", rate is not None, "the frame rate", "none", "Give it when the 2D poses are read."),
        ("unit", unit in _UNITS, " or ".join(_UNITS), f"'{unit}'", "Convert the calibration to one of these."),
        ("up", up in _Y_UP_FROM, "'y' or 'z'", f"'{up}'", "Say which axis of the world points up."),
    ):
        if not fine:
            raise InvalidValueError(f"{path}, {subject}", expected=expected, got=got, remedy=remedy)
    written = []
    for target, poses in by_individual(poses3d, path, individual):
        with atomic_path(target) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            file.write(_header(target, poses, float(rate or 0.0), unit))
            for block in row_blocks(poses):
                turned = block["position"].isel(space=list(_Y_UP_FROM[up])).values
                block["position"] = (block["position"].dims, turned, block["position"].attrs)
                file.writelines(_lines(block))
        written.append(target)
    return written


def _header(path: Path, poses: xr.Dataset, rate: float, unit: str) -> str:
    count, markers = poses.sizes["time"], [str(name) for name in poses["keypoint"].values]
    start = int(poses["frame"].values[0]) + 1 if count else 1
    values = (f"{rate:g}", f"{rate:g}", count, len(markers), unit, f"{rate:g}", start, count)
    axes = "\t".join(f"X{i}\tY{i}\tZ{i}" for i in range(1, len(markers) + 1))
    return (
        f"PathFileType\t4\t(X/Y/Z)\t{path.name}\n"
        + "\t".join(_KEYS)
        + "\n"
        + "\t".join(map(str, values))
        + "\n"
        + "Frame#\tTime\t"
        + "\t\t\t".join(markers)
        + "\t\t\n"
        + f"\t\t{axes}\n\n"
    )


def _lines(poses: xr.Dataset) -> list[str]:
    frames, times = poses["frame"].values, poses["time"].values
    return [
        f"{frame + 1}\t{time:.9g}\t" + "\t".join("" if value != value else f"{value:.9g}" for value in row) + "\n"
        for frame, time, row in zip(frames, times, table_of(poses).tolist(), strict=True)
    ]


def read_trc(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read a TRC file as Poses3D with one individual, `individual_0`; axes and unit are those of the file.

    Raises:
        FileFormatError: the file cannot be read, is no TRC file, or is cut off.
    """
    file = Path(path)
    try:
        lines = file.read_text(encoding="utf-8-sig", errors="strict").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(file, "a TRC file", str(error), "Check the path and that the file is text.") from error
    if len(lines) < 5 or not lines[0].startswith("PathFileType"):
        got = "an empty file" if not lines else f"'{lines[0][:60]}'"
        raise _wrong(file, "a first line 'PathFileType'", got, "Give a TRC file.")
    settings = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=False))
    markers = [name.strip() for name in lines[3].split("\t")[2:] if name.strip()]
    numbers = _numbers(file, [line for line in lines[5:] if line.strip()], len(markers))
    rate = _rate(file, settings)
    unit = settings.get("Units", "").strip()
    if unit not in _UNITS:
        raise _wrong(file, f"Units {' or '.join(_UNITS)}", f"'{unit}'", "Correct the third line of the file.")
    count = _declared(file, settings)
    if count != len(numbers):
        raise _wrong(file, f"{count} frames, as it says", str(len(numbers)), "Export it again; it may be cut off.")
    position = numbers[:, 2:].reshape(len(numbers), len(markers), 3).transpose(0, 2, 1)[..., None]
    return make_poses3d(
        np.where(np.isnan(position).any(1, keepdims=True), np.nan, position),
        individuals=["individual_0"],
        keypoints=markers,
        unit=unit,
        frames=numbers[:, 0].astype(np.int64) - 1,
        frame_rate=rate,
        source_software="TRC",
        source_file=str(file),
    )


def _numbers(file: Path, lines: list[str], markers: int) -> NDArray[np.float64]:
    """(row, 2 + 3 * marker) cells, NaN where empty."""
    width = 2 + 3 * markers
    result = np.full((len(lines), width), np.nan)
    for row, line in enumerate(lines):
        cells = line.rstrip("\n").split("\t")
        if len(cells) > width and not "".join(cells[width:]).strip():
            cells = cells[:width]  # trailing tabs
        if len(cells) > width or len(cells) < 2:
            raise _wrong(file, f"{width} cells in a row", f"{len(cells)} in row {row + 1}", "Export the file again.")
        try:
            result[row, : len(cells)] = [float(cell) if cell.strip() else np.nan for cell in cells]
        except ValueError as error:
            raise _wrong(file, "numbers", f"row {row + 1}: {error}", "Export the file again.") from error
    if np.isnan(result[:, 0]).any() or bool((np.diff(result[:, 0]) <= 0).any()):
        raise _wrong(file, "increasing frame numbers", "missing or repeated ones", "Number the frames.")
    return result


def _rate(file: Path, settings: dict[str, str]) -> float:
    try:
        return float(settings["DataRate"])
    except (KeyError, ValueError) as error:
        raise _wrong(file, "a number DataRate", str(error), "Correct the third line of the file.") from error


def _declared(file: Path, settings: dict[str, str]) -> int:
    try:
        return int(settings["NumFrames"])
    except (KeyError, ValueError) as error:
        raise _wrong(file, "a number NumFrames", str(error), "Correct the third line of the file.") from error


def _wrong(file: Path, expected: str, got: str, remedy: str) -> FileFormatError:
    return FileFormatError(file, expected=expected, got=got, remedy=remedy)
