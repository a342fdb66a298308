"""Header and parameters of C3D files of all three kinds of processors, parsed from bytes.

The layout is that of the C3D User Guide (c3d.org). Files are parsed here and not by a library: ezc3d, which the tests
compare with, crashes or waits forever on some damaged files, and reads what is left of a file that was cut off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pose3d.formats._c3d_blocks import BLOCK

__all__ = ["Header", "Machine", "Parameters", "Value", "parse_header", "parse_parameters"]

Value: TypeAlias = NDArray[np.float64] | list[str]
Parameters: TypeAlias = Mapping[str, Mapping[str, Value]]

_INTEL, _DEC, _MIPS = 84, 85, 86
_CHARACTERS, _BYTES, _INTEGERS, _REALS = -1, 1, 2, 4
_SIZES = {_CHARACTERS: 1, _BYTES: 1, _INTEGERS: 2, _REALS: 4}


@dataclass(frozen=True)
class Machine:
    """How numbers stand in a file.

    Attributes:
        order: "<" or ">".
        vax: real numbers are those of DEC's VAX.
    """

    order: str
    vax: bool

    @classmethod
    def of(cls, processor: int) -> Machine:
        """That of a processor as the file codes it.

        Raises:
            ValueError: there is none of that code.
        """
        if processor not in (_INTEL, _DEC, _MIPS):
            raise ValueError(f"processor type {processor}")
        return cls(">" if processor == _MIPS else "<", processor == _DEC)

    def integers(self, content: bytes) -> NDArray[np.int64]:
        """16-bit integers, without their sign."""
        return np.frombuffer(content, f"{self.order}u2").astype(np.int64)

    def reals(self, content: bytes | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Single-precision real numbers."""
        if not self.vax:
            return np.frombuffer(content, f"{self.order}f4").astype(np.float32)
        # The words are exchanged, and the exponent is larger by two.
        swapped = np.frombuffer(content, "<u2").reshape(-1, 2)[:, ::-1].copy()
        with np.errstate(invalid="ignore"):
            return (swapped.view("<f4")[:, 0] / 4).astype(np.float32)


@dataclass(frozen=True)
class Header:
    """The first block of a file.

    Attributes:
        machine: how numbers stand in the file.
        points: points per frame.
        analog: analog numbers per frame.
        first, last: frame numbers, counted from 1; 65535 for what is beyond.
        scale: negative where numbers are real, else what 1 stands for.
        data_start: number of the block where the frames begin, counted from 1.
        rate: frames per second.
    """

    machine: Machine
    points: int
    analog: int
    first: int
    last: int
    scale: float
    data_start: int
    rate: float


def parse_header(content: bytes) -> Header:
    """The header of a file that begins with `content`, which has the start of its parameters too.

    Raises:
        ValueError: it is cut off, or its processor is none.
    """
    place = (content[0] - 1) * BLOCK
    if len(content) < max(BLOCK, place + 4):
        raise ValueError("nothing after the first block")
    machine = Machine.of(content[place + 3])
    points, analog, first, last = machine.integers(content[2:10]).tolist()
    scale = float(machine.reals(content[12:16])[0])
    data_start = int(machine.integers(content[16:18])[0])
    return Header(machine, points, analog, first, last, scale, data_start, float(machine.reals(content[20:24])[0]))


def parse_parameters(section: bytes, machine: Machine) -> Parameters:
    """Parameters by group and name, names in capital letters; a number without dimensions is an array of one.

    Args:
        section: the blocks of the parameters, and maybe more.
        machine: how numbers stand in the file.

    Raises:
        ValueError: the section is cut off or damaged.
    """
    groups: dict[int, str] = {}
    found: dict[int, dict[str, Value]] = {}
    place = 4
    while place + 2 <= len(section):
        length, number = (int(value) for value in np.frombuffer(section[place : place + 2], "i1"))
        if length == 0 or number == 0:
            break
        # The sign of the length says that the parameter is locked.
        offset_place = place + 2 + abs(length)
        name = _text(section[place + 2 : offset_place]).upper()
        content = section[offset_place + 2 :]
        if not content:
            raise ValueError("parameters that are cut off")
        if number < 0:
            groups[-number] = name
        else:
            found.setdefault(number, {})[name] = _value(content, machine, name)
        offset = int(machine.integers(section[offset_place : offset_place + 2])[0])
        if offset == 0:
            break
        place = offset_place + offset
    return {groups[number]: values for number, values in found.items() if number in groups}


def _value(content: bytes, machine: Machine, name: str) -> Value:
    kind = int(np.frombuffer(content[:1], "i1")[0])
    dims = list(content[2 : 2 + content[1]]) if len(content) > 1 else [0]
    count = int(np.prod(dims, dtype=np.int64))
    size = _SIZES.get(kind, 0)
    start = 2 + len(dims)
    values = content[start : start + count * size]
    if not size or len(dims) < (content[1] if len(content) > 1 else 1) or len(values) < count * size:
        raise ValueError(f"a damaged parameter {name}")
    if kind == _CHARACTERS:
        width = dims[0] if dims else 1
        return [_text(values[place : place + width]) for place in range(0, count, width)] if count else []
    if kind == _REALS:
        numbers = machine.reals(values).astype(np.float64)
    elif kind == _INTEGERS:
        numbers = machine.integers(values).astype(np.float64)
    else:
        numbers = np.frombuffer(values, "u1").astype(np.float64)
    return numbers.reshape(dims or [1], order="F")


def _text(content: bytes) -> str:
    content = content.strip(b" \0\t\r\n")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")  # old files; never fails
