"""The content of a C3D file: where its frames begin and end, and the points in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError
from pose3d.formats._c3d_blocks import BLOCK, LAST_COUNTED
from pose3d.formats._c3d_parsing import Header, Parameters, Value, parse_header, parse_parameters
from pose3d.formats._detecting import describe

__all__ = ["C3DContent", "looks_like_c3d", "read_content"]

_WHAT = "a C3D file"
_REMEDY = "Copy or export the file again."
_KEY = 0x50
# The first byte is the number of a block, a small one; texts begin with larger bytes.
_FIRST_LETTER = 0x20
# Some programs write zeros before the first block.
_ZEROS_AT_MOST = 4096
_PARAMETER_BLOCKS_AT_MOST = 512


@dataclass(frozen=True)
class C3DContent:
    """What a file holds.

    Attributes:
        path: the file.
        points: (frame, point, 3) in the file's unit, NaN where missing.
        first_frame: number of the first frame, counted from 0.
        rate: frames per second.
        parameters: group -> name -> values.
    """

    path: Path
    points: NDArray[np.float64]
    first_frame: int
    rate: float
    parameters: Parameters

    def texts(self, group: str, name: str) -> list[str]:
        """The texts of a parameter and of what goes on in NAME2, NAME3, ...; empty where there is none."""
        return [value for part in _parts(self.parameters, group, name) if isinstance(part, list) for value in part]

    def numbers(self, group: str, name: str) -> NDArray[np.float64]:
        """The numbers of a parameter and of what goes on in NAME2, ..., joined along the last dimension."""
        return _numbers(self.parameters, group, name)

    @property
    def labels(self) -> list[str]:
        """One label per point; blank where the file has fewer labels than points."""
        found = self.texts("POINT", "LABELS")[: self.points.shape[1]]
        return found + [""] * (self.points.shape[1] - len(found))


def _parts(parameters: Parameters, group: str, name: str) -> list[Value]:
    known = parameters.get(group, {})
    parts, number = [], 1
    while (key := name if number == 1 else f"{name}{number}") in known:
        parts.append(known[key])
        number += 1
    return parts


def _numbers(parameters: Parameters, group: str, name: str) -> NDArray[np.float64]:
    parts = [part for part in _parts(parameters, group, name) if isinstance(part, np.ndarray)]
    if not parts or len({part.shape[:-1] for part in parts}) > 1:
        return np.empty(0)
    return np.concatenate(parts, axis=-1)


def _number(parameters: Parameters, group: str, name: str, otherwise: float) -> float:
    found = _numbers(parameters, group, name)
    return float(found.flat[0]) if found.size else otherwise


def looks_like_c3d(path: Path) -> bool:
    """True if a file begins like a C3D file; never raises."""
    try:
        return path.is_file() and _start(path) is not None
    except OSError:
        return False


def read_content(path: Path) -> C3DContent:
    """Read a whole file.

    Raises:
        FileFormatError: it is missing, no C3D file, damaged or cut off.
    """
    try:
        begin = _start(path)
    except OSError:
        begin = None
    if begin is None:
        raise FileFormatError(
            path,
            expected=_WHAT,
            got=describe(path, lacking="points"),
            remedy="A name that ends with .c3d does not make the format; check the path."
            if path.exists()
            else "Check the path for spelling.",
        )
    try:
        with path.open("rb") as file:
            file.seek(begin)
            head = file.read(_PARAMETER_BLOCKS_AT_MOST * BLOCK)
        header = parse_header(head)
        parameters = parse_parameters(head[(head[0] - 1) * BLOCK :], header.machine)
        header = _corrected(header, parameters)
    except (OSError, ValueError) as error:
        raise FileFormatError(path, expected=_WHAT, got=f"one that cannot be read: {error}", remedy=_REMEDY) from error
    first, last = _trial(header, parameters)
    points = _points(path, begin, header, last - first + 1)
    # Frames are counted from 1, but some programs begin with 0.
    return C3DContent(path, points, max(0, first - 1), header.rate, parameters)


def _start(path: Path) -> int | None:
    """Where the first block of a C3D file begins; None where it is no such file."""
    with path.open("rb") as file:
        start = file.read(_ZEROS_AT_MOST + 2)
    begin = len(start) - len(start.lstrip(b"\0"))
    known = start[begin + 1 : begin + 2] == bytes([_KEY]) and start[begin] < _FIRST_LETTER
    return begin if known else None


def _corrected(header: Header, parameters: Parameters) -> Header:
    """The header with what the parameters say better: they are what programs change.

    Raises:
        ValueError: a number makes no sense.
    """
    rate = _number(parameters, "POINT", "RATE", header.rate)
    scale = _number(parameters, "POINT", "SCALE", header.scale)
    start = int(_number(parameters, "POINT", "DATA_START", header.data_start)) or header.data_start
    if "POINT" not in parameters:
        raise ValueError("no parameters of points")
    if not (0 < rate < np.inf and np.isfinite(scale) and scale):
        raise ValueError(f"a rate of {rate:g} and a scale of {scale:g}")
    return replace(header, rate=rate, scale=scale, data_start=start)


def _trial(header: Header, parameters: Parameters) -> tuple[int, int]:
    """Numbers of the first and the last frame, counted from 1."""
    if LAST_COUNTED not in (header.first, header.last):
        return header.first, header.last
    # Numbers of two words, the lower first.
    words = [_numbers(parameters, "TRIAL", f"ACTUAL_{name}_FIELD").ravel() for name in ("START", "END")]
    first, last = (int(pair[0]) + (int(pair[1]) << 16) if len(pair) == 2 else 0 for pair in words)
    if 0 < first <= last:
        return first, last
    count = int(_number(parameters, "POINT", "FRAMES", 0.0))
    return header.first, max(header.last, header.first + count - 1)


def _points(path: Path, begin: int, header: Header, count: int) -> NDArray[np.float64]:
    """(frame, point, 3) positions, NaN where missing."""
    if count < 1 or not header.points:
        raise FileFormatError(
            path,
            expected=f"{_WHAT} with points",
            got=f"{max(count, 0)} frames of {header.points} points and {header.analog} analog numbers",
            remedy="Export the trial with its markers.",
        )
    real = header.scale < 0
    width = (4 * header.points + header.analog) * (4 if real else 2)
    place = begin + (header.data_start - 1) * BLOCK
    size = path.stat().st_size
    if place < BLOCK or size < place + count * width:
        raise FileFormatError(
            path,
            expected=f"{count} frames, as its header says",
            got=f"{max(0, (size - place) // width)}: the file seems to be cut off",
            remedy=_REMEDY,
        )
    rows = np.memmap(path, np.uint8, "r", offset=place, shape=(count, width))
    records = _records(rows, header, real=real)
    points = records[..., :3].astype(np.float64)
    missing = (records[..., 3] < 0) | (points == 0).all(axis=-1) | ~np.isfinite(points).all(axis=-1)
    points[missing] = np.nan
    return points if real else points * header.scale


def _records(rows: NDArray[np.uint8], header: Header, *, real: bool) -> NDArray[np.float32] | NDArray[np.int16]:
    """(frame, point, 4): x, y, z and what is negative where the point is missing."""
    content = np.ascontiguousarray(rows[:, : 4 * header.points * (4 if real else 2)])
    shape = (len(rows), header.points, 4)
    if real:
        return header.machine.reals(content).reshape(shape)
    return content.view(f"{header.machine.order}i2").reshape(shape)
