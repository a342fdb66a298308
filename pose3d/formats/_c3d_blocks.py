"""The binary layout of C3D files, as they are written here: header, parameters, frames of single-precision numbers.

The layout is that of the C3D User Guide (c3d.org), in its most common form: little-endian ("Intel") and real numbers.
Files are written without a library on purpose: ezc3d, which the tests read them with, holds a whole recording in memory
(some 400 bytes per point and frame) and drops what comes after frame 65535 without a word.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.errors import InvalidValueError

__all__ = ["AT_ONCE", "BLOCK", "LAST_COUNTED", "Parameter", "header", "parameter_section", "records", "texts"]

BLOCK = 512
LAST_COUNTED = 0xFFFF
"""The highest frame number that the header and a 16-bit parameter can hold."""
AT_ONCE = 255
"""How many values a parameter holds along a dimension; more go on in NAME2, NAME3, ..."""

_CHARACTERS, _BYTES, _INTEGERS, _REALS = -1, 1, 2, 4
_KINDS = {_BYTES: "<i1", _INTEGERS: "<u2", _REALS: "<f4"}
_FIRST_PARAMETER_BLOCK, _KEY, _INTEL, _LABELS_OF_FOUR = 2, 0x50, 84, 0x3039
# The number of blocks of the parameters is one byte.
_MOST_BLOCKS = 255
# The sign says that numbers are real; the size is the unit of the residuals, which are 0 here.
_SCALE = -1.0
_BESIDE_THE_ORIGIN = 1e-30


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        group, name: as in POINT:LABELS.
        kind: type of its values, as the file codes it.
        dims: sizes, the fastest first.
        content: its values as they stand in the file.
    """

    group: str
    name: str
    kind: int
    dims: tuple[int, ...]
    content: bytes

    @classmethod
    def integers(cls, group: str, name: str, values: Sequence[int], dims: tuple[int, ...] | None = None) -> Parameter:
        """16-bit integers from 0 to 65535, one without dimensions."""
        return cls._numbers(group, name, _INTEGERS, values, dims)

    @classmethod
    def small(cls, group: str, name: str, values: Sequence[int]) -> Parameter:
        """Bytes."""
        return cls._numbers(group, name, _BYTES, values, None)

    @classmethod
    def reals(cls, group: str, name: str, values: Sequence[float], dims: tuple[int, ...] | None = None) -> Parameter:
        """Real numbers of single precision."""
        return cls._numbers(group, name, _REALS, values, dims)

    @classmethod
    def _numbers(
        cls, group: str, name: str, kind: int, values: Sequence[float], dims: tuple[int, ...] | None
    ) -> Parameter:
        sizes = dims if dims is not None else () if len(values) == 1 else (len(values),)
        return cls(group, name, kind, sizes, np.asarray(values, dtype=_KINDS[kind]).tobytes())


def texts(group: str, name: str, values: Sequence[str]) -> list[Parameter]:
    """Texts as parameters NAME, NAME2, ..., with as many of them as a parameter can hold in each.

    Raises:
        InvalidValueError: a text is longer than 255 bytes.
    """
    made = []
    for number, start in enumerate(range(0, len(values), AT_ONCE), start=1):
        encoded = [value.encode() for value in values[start : start + AT_ONCE]]
        width = max(1, *(len(value) for value in encoded))
        if width > AT_ONCE:
            longest = max(values, key=len)
            raise InvalidValueError(
                f"{group}:{name}",
                expected=f"names of at most {AT_ONCE} bytes, which is what C3D files hold",
                got=f"'{longest[:40]}...' with {width}",
                remedy="Shorten the name.",
            )
        content = b"".join(value.ljust(width) for value in encoded)
        suffix = "" if number == 1 else str(number)
        made.append(Parameter(group, name + suffix, _CHARACTERS, (width, len(encoded)), content))
    return made


def parameter_section(parameters: Sequence[Parameter]) -> bytes:
    """The parameters as whole blocks, with the place where the data starts in POINT:DATA_START.

    Raises:
        InvalidValueError: they are more than the file can hold.
    """
    length = len(_entries(parameters, 0)) + 4
    blocks = -(-length // BLOCK)
    if blocks > _MOST_BLOCKS:
        raise InvalidValueError(
            "names and events",
            expected=f"at most {_MOST_BLOCKS * BLOCK} bytes of them, which is what C3D files hold",
            got=f"{length}",
            remedy="Write fewer events or keypoints into one file.",
        )
    start = struct.pack("<BBBB", 1, _KEY, blocks, _INTEL)
    return (start + _entries(parameters, _FIRST_PARAMETER_BLOCK + blocks)).ljust(blocks * BLOCK, b"\0")


def _entries(parameters: Sequence[Parameter], data_start: int) -> bytes:
    groups = list(dict.fromkeys(parameter.group for parameter in parameters))
    data = Parameter.integers("POINT", "DATA_START", [data_start])
    entries = []
    for number, group in enumerate(groups, start=1):
        entries.append(_entry(group, -number, b""))
        for each in (*parameters, data):
            if each.group == group:
                sizes = struct.pack(f"<bB{len(each.dims)}B", each.kind, len(each.dims), *each.dims)
                entries.append(_entry(each.name, number, sizes + each.content))
    return b"".join(entries) + b"\0\0"


def _entry(name: str, number: int, content: bytes) -> bytes:
    """A group (of a negative number) or a parameter (of its group's number); the last byte is an empty description."""
    # The offset to the next entry is counted from its own first byte.
    return (
        struct.pack("<bb", len(name), number)
        + name.encode("ascii")
        + struct.pack("<H", len(content) + 3)
        + content
        + b"\0"
    )


def header(points: int, first: int, last: int, rate: float, blocks: int) -> bytes:
    """The first block of the file.

    Args:
        points: how many points a frame has.
        first, last: numbers of the first and the last frame, counted from 1.
        rate: frames per second.
        blocks: how many blocks of parameters follow.
    """
    numbers = (points, 0, min(first, LAST_COUNTED), min(last, LAST_COUNTED), 0)
    start = struct.pack(
        "<BB5HfHHf", _FIRST_PARAMETER_BLOCK, _KEY, *numbers, _SCALE, _FIRST_PARAMETER_BLOCK + blocks, 0, rate
    )
    return start.ljust(298, b"\0") + struct.pack("<H", _LABELS_OF_FOUR) + bytes(BLOCK - 300)


def records(points: NDArray[np.float64]) -> bytes:
    """Frames of points (frame, point, 3) as the file has them: x, y, z, and -1 where missing, else 0."""
    found = np.asarray(np.isfinite(points).all(axis=-1))
    table = np.zeros((*points.shape[:2], 4), dtype="<f4")
    table[..., :3] = np.where(found[..., None], points, 0.0)
    # Many programs take a point at the very origin for a missing one.
    table[found & (table[..., :3] == 0).all(axis=-1), 0] = _BESIDE_THE_ORIGIN
    table[..., 3] = np.where(found, 0.0, -1.0)
    return table.tobytes()
