"""From time stamps that one computer gave to the frames of all cameras to their clocks."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError, MismatchError
from calibration.synchronization.clocks import Clock, Synchronization, Timing
from calibration.synchronization.timing import timing_of

__all__ = ["read_timestamps", "synchronize_timestamps"]

_CAMERA_COLUMNS = ("camera", "cam", "cam_id", "camera_id", "port", "camera_name")
_TIME_COLUMNS = ("frame_time", "time", "timestamp", "t", "seconds")
_FRAME_COLUMNS = ("frame_index", "frame", "frame_number", "index")
_UNITS = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_LARGEST_FILE = 512 * 2**20
# Two cameras of one computer whose recordings do not touch are two recordings.
_LEAST_OVERLAP = 0.0


def read_timestamps(path: str | os.PathLike[str]) -> dict[str, NDArray[np.float64]]:
    """Times in seconds of the frames of every camera in a CSV file.

    Columns are found by name: the camera (`camera`, `cam_id`, `port`), the time (`time`, `timestamp`, `frame_time`;
    with a unit as in `time_ms` or `timestamp_ns`, else seconds), and the frame (`frame`, `frame_index`), by which the
    rows are sorted. Without a frame the rows count in the order of the file. Cameras that are only numbered, as
    caliscope does, are called `cam_0`, `cam_1`, as its calibration calls them. A file without a column of cameras,
    or with a single column of numbers, belongs to the camera that its name says: `top.csv`, `top_timestamps.csv`.

    Raises:
        FileFormatError: the file is missing, or has no times.
    """
    path = Path(path)
    rows = _rows(path)
    header = [cell.strip().casefold() for cell in rows[0]]
    if len(header) == 1 and _is_number(header[0]):
        return {_name_of(path): np.array([_number(row[0], path, line) for line, row in enumerate(rows, 1)])}
    time, scale = _time_column(header, path)
    camera = next((header.index(name) for name in _CAMERA_COLUMNS if name in header), None)
    frame = next((header.index(name) for name in _FRAME_COLUMNS if name in header), None)
    found: dict[str, list[tuple[float, float]]] = {}
    for line, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise _format_error(path, f"{len(header)} columns in line {line}", f"{len(row)}")
        name = _name_of(path) if camera is None else _camera_name(row[camera])
        place = float(line) if frame is None else _number(row[frame], path, line)
        found.setdefault(name, []).append((place, scale * _number(row[time], path, line)))
    if not found:
        raise _format_error(path, "at least one row of times", "a header alone")
    return {
        name: np.array([time for _, time in sorted(values, key=lambda one: one[0])]) for name, values in found.items()
    }


def synchronize_timestamps(
    stamps: Mapping[str, NDArray[np.float64]],
    *,
    reference: str | None = None,
    frame_rates: Mapping[str, float] | None = None,
    counts: Mapping[str, int] | None = None,
) -> Synchronization:
    """The clocks of cameras whose frames were stamped by one clock.

    Each camera's stamps are a straight line over its own time but for jitter, which the line averages out. The time of
    a camera runs at its frame rate as the video says it, or as measured where that is not given.

    Args:
        stamps: (frame,) seconds by camera, on one clock.
        reference: camera whose clock is to be the common one; the first by default.
        frame_rates: frames per second, by camera, that the camera's time is counted by; drift is measured against it.
        counts: number of frames in the video of each camera, to be compared with the number of stamps.

    Raises:
        InvalidValueError: stamps do not increase.
        MismatchError: the number of stamps is not that of frames, or recordings do not overlap.
    """
    _check_counts(stamps, counts or {})
    names = list(stamps)
    clocks = []
    for name in names:
        own = np.asarray(stamps[name], dtype=np.float64)
        timing = timing_of(own, subject=f"time stamps of camera '{name}'")
        rate = (frame_rates or {}).get(name)
        if rate is not None and timing.times is None:
            timing = Timing(rate, timing.count, timing.dropped)
        clocks.append(_fit(name, own, timing))
    _check_overlap(names, stamps)
    return Synchronization(tuple(clocks), names[0]).with_reference(reference or names[0])


def _fit(name: str, stamps: NDArray[np.float64], timing: Timing) -> Clock:
    """The line through the stamps over the camera's time; irregular frames are where their stamps say."""
    if timing.times is not None or timing.count < 3:
        return Clock(name, timing, offset=float(stamps[0]), offset_std=0.0, rate_std=0.0, method="timestamps")
    own = timing.at()
    centered = own - own.mean()
    squared = float(np.sum(centered**2))
    rate = float(np.sum(centered * (stamps - stamps.mean())) / squared)
    offset = float(stamps.mean() - rate * own.mean())
    deviation = stamps - (offset + rate * own)
    spread = float(np.sqrt(np.sum(deviation**2) / (len(own) - 2)))
    return Clock(
        name,
        timing,
        offset=offset,
        rate=rate,
        offset_std=spread * float(np.sqrt(1 / len(own) + own.mean() ** 2 / squared)),
        rate_std=spread / float(np.sqrt(squared)),
        method="timestamps",
        quality=float(np.mean(np.abs(deviation) < 0.5 * timing.interval)),
    )


def _check_counts(stamps: Mapping[str, NDArray[np.float64]], counts: Mapping[str, int]) -> None:
    for name, own in stamps.items():
        if name in counts and counts[name] != len(own):
            fitting = [other for other, count in counts.items() if count == len(own) and other != name]
            raise MismatchError(
                f"time stamps of camera '{name}'",
                expected=f"{counts[name]}, one for each frame of its video",
                got=f"{len(own)}" + (f", as many as the video of {', '.join(fitting)} has frames" if fitting else ""),
                remedy="Check that the stamps belong to this camera and recording, and that the video is not cut.",
            )


def _check_overlap(names: Sequence[str], stamps: Mapping[str, NDArray[np.float64]]) -> None:
    first, last = (names[int(choose([stamps[name][0] for name in names]))] for choose in (np.argmin, np.argmax))
    gap = float(stamps[last][0] - stamps[first][-1])
    if gap > _LEAST_OVERLAP:
        raise MismatchError(
            f"time stamps of cameras '{first}' and '{last}'",
            expected="recordings that overlap in time",
            got=f"'{last}' starts {gap:.3f} s after '{first}' ends",
            remedy="Check that the files are of the same recording, and that their times are of one clock.",
        )


def _rows(path: Path) -> list[list[str]]:
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8-sig") if size <= _LARGEST_FILE else ""
    except (OSError, UnicodeDecodeError) as error:
        raise _format_error(
            path, "a CSV file that can be read", str(getattr(error, "strerror", None) or error)
        ) from error
    if not text.strip():
        raise _format_error(path, "a CSV file with times", "an empty file" if size <= _LARGEST_FILE else "a huge file")
    try:
        dialect = ";" if text.split("\n", 1)[0].count(";") > text.split("\n", 1)[0].count(",") else ","
        return [row for row in csv.reader(text.splitlines(), delimiter=dialect) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise _format_error(path, "a CSV file", str(error)) from error


def _time_column(header: Sequence[str], path: Path) -> tuple[int, float]:
    """Which column holds the times, and how many seconds its unit has."""
    for index, name in enumerate(header):
        plain = re.sub(r"[\s\[\]()]+", "_", name).strip("_")
        stem, _, unit = plain.rpartition("_")
        if plain in _TIME_COLUMNS:
            return index, 1.0
        if unit in _UNITS and stem in _TIME_COLUMNS:
            return index, _UNITS[unit]
    raise _format_error(path, f"a column of times ({', '.join(_TIME_COLUMNS)})", f"the columns {', '.join(header)}")


def _camera_name(cell: str) -> str:
    name = cell.strip()
    return f"cam_{int(name)}" if name.isdecimal() else name


def _name_of(path: Path) -> str:
    return re.sub(r"[_\-. ]?(time_?stamps?|times?)$", "", path.stem, flags=re.IGNORECASE) or path.stem


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(cell: str, path: Path, line: int) -> float:
    if not _is_number(cell):
        raise _format_error(path, f"a number in line {line}", repr(cell))
    return float(cell)


def _format_error(path: Path, expected: str, got: str) -> FileFormatError:
    return FileFormatError(
        path,
        expected=expected,
        got=got,
        remedy="Write a table with the columns camera, frame and time, in seconds.",
    )
