"""TRC files (Track Row Column, of Motion Analysis) as OpenSim reads them: marker positions of one individual.

The layout is documented in OpenSim's user guide, "Marker (.trc) Files". Three things in it are not obvious:

- Frames are counted from 1 and `OrigDataStartFrame` is the number of the frame at time 0, so that frame f of a
  recording has the number f + 1.
- OpenSim splits lines at tabs and drops what follows the last one if it is empty. Every cell is therefore followed by a
  tab, or a missing last marker would make the row too short.
- A missing marker is three empty cells. Frames that the recording lacks are written as rows without markers, since many
  programs count rows.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import FileFormatError, InvalidValueError, SuiteWarning
from calibration.files import atomic_path
from calibration.schema import check
from pose3d.datasets import POSES3D
from pose3d.datasets import poses3d as make_poses3d
from pose3d.formats._gapless import gapless, known_rate, with_frame_rate
from pose3d.formats._tidy import UNNAMED_INDIVIDUAL
from pose3d.formats._units import length_unit
from pose3d.formats.pose3d_format import Pose3DFormat
from pose3d.formats.text_table import files_by_individual, format_rows

__all__ = ["FORMAT", "read_trc", "write_trc"]

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
# Where x, y, z of the world stand in a file whose second axis points up: (x, y, z) -> (y, z, x), a rotation.
_TO_FILE = {"z": (0, 1, 2), "y": (1, 2, 0)}
_FROM_FILE = {"z": (0, 1, 2), "y": (2, 0, 1)}
_UNITS = {"mm": "mm", "cm": "cm", "m": "m", "millimeters": "mm", "centimeters": "cm", "meters": "m"}


def write_trc(
    poses3d: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    individual: str | None = None,
    frame_rate: float | None = None,
    up: Literal["z", "y"] = "z",
) -> tuple[Path, ...]:
    """Write 3D poses as TRC files, one per individual, in the unit of the poses.

    Args:
        poses3d: Poses3D Dataset; what is not in memory is read piece by piece.
        path: the file to write; with several individuals the name of each is added to its name.
        individual: write only this one, to `path` itself.
        frame_rate: frames per second, where the Dataset does not know it.
        up: the axis that points up in the file, for poses whose z axis points up. "z" writes the axes as they are; "y",
            which OpenSim's models want, writes (x, y, z) as (y, z, x).

    Returns:
        The files written.

    Raises:
        InvalidValueError: the Dataset does not follow the schema or has no frame, its unit is not mm, cm or m, or its
            frame rate is not known.
        MismatchError: there is no such individual.
        OutputError: a file cannot be written.
    """
    check(poses3d, POSES3D, values=False)
    unit = str(poses3d["position"].attrs.get("units", ""))
    if unit not in _UNITS.values():
        raise InvalidValueError(
            path, expected="a length unit that OpenSim knows: mm, cm or m", got=f"'{unit}'", remedy="Convert the rig."
        )
    axes = _axes(_TO_FILE, up)
    rate = known_rate(poses3d, path, frame_rate, "TRC files")
    files = files_by_individual(poses3d, path, individual)
    markers = _marker_names([str(name) for name in poses3d["keypoint"].values])
    for name, file in files:
        one = poses3d["position"].sel(individual=name).transpose("time", "keypoint", "space")
        with atomic_path(file) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(_header(poses3d, file.name, markers, rate))
            for rows in _rows(one, _times(poses3d, frame_rate), axes):
                stream.writelines(f"{row}\t\n" for row in rows)
    return tuple(file for _, file in files)


def _axes(table: Mapping[str, tuple[int, ...]], up: str) -> tuple[int, ...]:
    if up not in table:
        raise InvalidValueError("up", expected="'z' or 'y'", got=f"'{up}'", remedy="Name the axis that points up.")
    return table[up]


def _marker_names(names: Sequence[str]) -> list[str]:
    markers = [re.sub(r"\s+", "_", name) for name in names]
    changed = [name for name, marker in zip(names, markers, strict=True) if name != marker]
    if changed:
        warnings.warn(
            f"blanks in keypoint names are written as '_' to TRC: {', '.join(changed)}", SuiteWarning, stacklevel=3
        )
    return markers


def _header(poses: xr.Dataset, name: str, markers: Sequence[str], rate: float) -> str:
    frames = poses["frame"].values
    length = int(frames[-1] - frames[0]) + 1
    unit = poses["position"].attrs["units"]
    values = (f"{rate:.12g}", f"{rate:.12g}", length, len(markers), unit, f"{rate:.12g}", 1, length)
    numbered = (f"{axis}{number}" for number in range(1, len(markers) + 1) for axis in "XYZ")
    lines = (
        f"PathFileType\t4\t(X/Y/Z)\t{name}",
        "\t".join(_KEYS),
        "\t".join(map(str, values)),
        "Frame#\tTime\t" + "".join(f"{marker}\t\t\t" for marker in markers),
        "\t\t" + "".join(f"{label}\t" for label in numbered),
        "",
    )
    return "\n".join(lines) + "\n"


def _times(poses: xr.Dataset, frame_rate: float | None) -> NDArray[np.float64]:
    """(time,) seconds; by the given rate, or as the Dataset knows them."""
    return poses["frame"].values / frame_rate if frame_rate is not None else poses["time"].values


def _rows(position: xr.DataArray, times: NDArray[np.float64], axes: tuple[int, ...]) -> Iterator[list[str]]:
    """Lines of the table, piece by piece, from the first frame to the last without a gap."""
    frames = position["frame"].values
    for numbers, points in gapless(position, frames):
        columns = [numbers + 1, np.interp(numbers, frames, times), *points[..., axes].reshape(len(numbers), -1).T]
        formats = ["%d", "%.12g", *["%.9g"] * (len(columns) - 2)]
        yield [row[1:] for row in format_rows(columns, formats, "\t")]


def read_trc(
    path: str | os.PathLike[str], *, individual: str = UNNAMED_INDIVIDUAL, up: Literal["z", "y"] = "z"
) -> xr.Dataset:
    """Read a TRC file.

    Frames are counted from 0, as everywhere in this package: 1 is subtracted, unless the file itself counts from 0. The
    times are those in the file. Missing cells are NaN, and a marker with one missing coordinate is missing.

    Args:
        path: the file.
        individual: the name for whom it is of.
        up: the axis that points up in the file; "y" turns the axes so that z points up, which undoes what `write_trc`
            does.

    Raises:
        FileFormatError: the file is missing, empty, truncated, or no TRC file.
        InvalidValueError: two markers have the same name; values are infinite.
    """
    file = Path(path)
    axes = _axes(_FROM_FILE, up)
    lines = _lines(file)
    rate, unit, n_frames, n_markers = _read_header(file, lines)
    labels = next((number for number, line in enumerate(lines) if line.startswith("Frame#")), None)
    if labels is None:
        raise _broken(file, "a line of marker names that begins with 'Frame#'", "none")
    markers = [cell.strip() for cell in lines[labels].split("\t")[2:] if cell.strip()]
    if len(markers) != n_markers:
        raise _broken(file, f"{n_markers} markers, as line 3 says", f"{len(markers)} names")
    table = _read_table(file, lines, labels + 2, n_markers)
    if len(table) < n_frames:
        raise _broken(file, f"{n_frames} frames, as line 3 says", f"{len(table)} rows")
    points = table[:, 2:].reshape(len(table), len(markers), 3)[..., axes]
    points[np.isnan(points).any(-1)] = np.nan
    poses = make_poses3d(
        points.transpose(0, 2, 1)[..., None],
        individuals=[individual],
        keypoints=markers,
        unit=unit,
        frames=_frames(file, table[:, 0]),
        frame_rate=rate,
        source_software="TRC",
        source_file=str(file),
    )
    if np.isfinite(table[:, 1]).all():
        poses = poses.assign_coords(time=("time", table[:, 1], poses["time"].attrs))
    return poses


def _lines(file: Path) -> list[str]:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise FileFormatError(
            file, expected="a TRC file", got=error.strerror or str(error), remedy="Check the path for spelling."
        ) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # old files; never fails
    if not text.startswith("PathFileType"):
        raise _broken(
            file, "a TRC file, which begins with 'PathFileType'", repr(text[:30]) if text else "an empty file"
        )
    return text.splitlines(keepends=True)


def _read_header(file: Path, lines: Sequence[str]) -> tuple[float, str, int, int]:
    """Frame rate, unit, number of frames and of markers."""
    if len(lines) < 3:
        raise _broken(file, "a header of 5 lines", f"{len(lines)} lines")
    keys, values = (re.split(r"\t+", line.strip()) for line in lines[1:3])
    header = dict(zip(keys, (value.strip() for value in values), strict=False))
    try:
        rate, n_frames, n_markers = float(header["DataRate"]), int(header["NumFrames"]), int(header["NumMarkers"])
        unit = _UNITS[header["Units"].lower()]
    except (KeyError, ValueError) as error:
        got = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise _broken(
            file, "DataRate, NumFrames, NumMarkers, and Units that are mm, cm or m, in lines 2 and 3", got
        ) from error
    if not 0 < rate < np.inf or n_frames < 1 or n_markers < 1:
        raise _broken(file, "a positive DataRate, NumFrames and NumMarkers", f"{rate:g}, {n_frames}, {n_markers}")
    return rate, unit, n_frames, n_markers


def _read_table(file: Path, lines: Sequence[str], first: int, n_markers: int) -> NDArray[np.float64]:
    """(row, 2 + 3 * marker) numbers, NaN where a cell is empty."""
    width = 2 + 3 * n_markers
    rows = []
    for number, line in enumerate(lines[first:], start=first + 1):
        if not line.strip():
            continue
        cells = line.rstrip("\r\n").split("\t")
        if len(cells) < width and not line.endswith(("\n", "\r")):
            raise _broken(file, f"{width} cells in the last row", f"{len(cells)}: the file seems to be cut off")
        try:
            row = [float(cell) if cell.strip() else np.nan for cell in cells]
        except ValueError as error:
            raise _broken(file, "numbers between tabs", f"{error} in line {number}") from error
        if not np.isnan(row[width:]).all():
            raise _broken(file, f"at most {width} cells in a row", f"{len(cells)} in line {number}")
        rows.append(row[:width] + [np.nan] * (width - len(row)))
    return np.array(rows, dtype=np.float64).reshape(-1, width)


def _frames(file: Path, numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    whole = np.isfinite(numbers).all() and bool((numbers == np.round(numbers)).all())
    if not whole or numbers[0] < 0 or bool((np.diff(numbers) <= 0).any()):
        raise _broken(file, "increasing frame numbers in the first column", f"{numbers[:5]} ...")
    return numbers.astype(np.int64) - (1 if numbers[0] >= 1 else 0)


def _broken(file: Path, expected: str, got: str) -> FileFormatError:
    return FileFormatError(
        file, expected=expected, got=got, remedy="The file may be cut off or edited; export it again."
    )


def _read(path: Path, *, frame_rate: float | None = None, unit: str | None = None) -> xr.Dataset:
    poses = read_trc(path)
    length_unit(path, str(poses["position"].attrs["units"]), unit)
    return with_frame_rate(poses, frame_rate)


def _sniff(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(16).removeprefix(b"\xef\xbb\xbf").startswith(b"PathFileType")
    except OSError:
        return False


FORMAT = Pose3DFormat(
    name="trc",
    description="TRC (Track Row Column), as OpenSim reads it",
    suffixes=(".trc",),
    sniff=_sniff,
    read=_read,
)
