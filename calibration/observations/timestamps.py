"""Tables of frame times: which picture of which camera was taken when.

Two forms are read, told apart by their columns:

- caliscope's `sync_index, cam_id, frame_index, frame_time`: pictures of one `sync_index` belong together;
- `camera, frame, time`: pictures are matched by their times, in seconds on one clock.

`frame` may be left out where the rows are all pictures of a camera in order. Columns may have the other usual names.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError

__all__ = ["CameraStamps", "read_timestamps"]

_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "camera": ("camera", "cam_id", "cam", "port", "camera_id", "camera_name"),
    "frame": ("frame", "frame_index", "frame_number", "frame_id"),
    "time": ("time", "frame_time", "timestamp", "time_s", "seconds"),
    "instant": ("sync_index", "instant", "sync"),
}
_HOW = "Give a CSV with the columns camera, frame, time (seconds on one clock), or sync_index, cam_id, frame_index."


@dataclass(frozen=True)
class CameraStamps:
    """The rows of one camera, in the order of its pictures.

    Attributes:
        frame: (row,) number of the picture as the file counts, or None where it does not say.
        time: (row,) seconds, or None.
        instant: (row,) number of the instant, shared by the pictures that belong together, or None.
    """

    frame: NDArray[np.int64] | None
    time: NDArray[np.float64] | None
    instant: NDArray[np.int64] | None


def read_timestamps(path: str | os.PathLike[str]) -> dict[str, CameraStamps]:
    """Camera (as the file calls it) -> its rows.

    Raises:
        FileFormatError: the file is missing or no such table; a number cannot be read; an instant or a picture of a
            camera stands in it twice; times go backward.
    """
    file = Path(path)
    header, rows = _read_rows(file)
    places = {kind: _place(header, names) for kind, names in _COLUMNS.items()}
    if places["camera"] is None or (places["time"] is None and places["instant"] is None):
        raise FileFormatError(
            file, expected="a table of frame times", got=f"the columns {', '.join(header)}", remedy=_HOW
        )
    if not rows:
        raise FileFormatError(file, expected="rows below the header", got="none", remedy=_HOW)
    columns = {
        kind: _numbers(file, rows, place, whole=kind != "time")
        for kind, place in places.items()
        if kind != "camera" and place is not None
    }
    cameras = np.array([row[places["camera"]].strip() for row in rows])
    return {
        str(name): _stamps_of(file, str(name), {kind: values[cameras == name] for kind, values in columns.items()})
        for name in dict.fromkeys(cameras.tolist())
    }


def _read_rows(file: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            sample = stream.read(4096)
            stream.seek(0)
            delimiter = ";" if sample.count(";") > sample.count(",") else "," if "," in sample else "\t"
            lines = [line for line in csv.reader(stream, delimiter=delimiter) if any(cell.strip() for cell in line)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise FileFormatError(file, expected="a table of frame times", got=str(reason), remedy=_HOW) from error
    header = [cell.strip().casefold() for cell in lines[0]] if lines else []
    for number, line in enumerate(lines[1:], start=2):
        if len(line) < len(header):
            raise FileFormatError(
                f"{file}, row {number}",
                expected=f"{len(header)} cells",
                got=f"{len(line)}",
                remedy="The file is probably cut off; copy it again or delete the row.",
            )
    return header, lines[1:]


def _place(header: Sequence[str], names: Sequence[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _numbers(file: Path, rows: Sequence[Sequence[str]], place: int, *, whole: bool) -> NDArray[np.float64]:
    values = np.empty(len(rows))
    for number, row in enumerate(rows):
        try:
            values[number] = float(row[place])
            fine = bool(np.isfinite(values[number])) and not (whole and values[number] != int(values[number]))
        except ValueError:
            fine = False
        if not fine:
            raise FileFormatError(
                f"{file}, row {number + 2}",
                expected="a whole number" if whole else "seconds",
                got=f"'{row[place]}'",
                remedy="Correct the cell or delete the row.",
            )
    return values


def _stamps_of(file: Path, camera: str, columns: Mapping[str, NDArray[np.float64]]) -> CameraStamps:
    by = next(kind for kind in ("frame", "time", "instant") if kind in columns)
    order = np.argsort(columns[by], kind="stable")
    frame, time, instant = (columns[kind][order] if kind in columns else None for kind in ("frame", "time", "instant"))
    for name, values in (("frame", frame), ("sync_index", instant)):
        if values is not None and len(np.unique(values)) < len(values):
            unique, counts = np.unique(values, return_counts=True)
            raise FileFormatError(
                f"{file}, camera '{camera}'",
                expected=f"each {name} once",
                got=f"{name} {unique[counts > 1][0]:.0f} repeated",
                remedy="Delete what is doubled; one picture belongs to one instant.",
            )
    for name, values in (("time", time), ("sync_index", instant)):
        if values is not None and bool((np.diff(values) < 0).any()):
            row = int(np.argmax(np.diff(values) < 0)) + 1
            raise FileFormatError(
                f"{file}, camera '{camera}'",
                expected=f"a {name} that grows from picture to picture",
                got=f"{values[row]:g} after {values[row - 1]:g}",
                remedy="The clock was set back or the rows are mixed up; correct the file.",
            )
    return CameraStamps(
        None if frame is None else frame.astype(np.int64),
        time,
        None if instant is None else instant.astype(np.int64),
    )
