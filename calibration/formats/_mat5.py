"""MATLAB's version 5 files (save -v6 and -v7), read with every length checked.

scipy's reader is not used: single changed bytes in an uncompressed file end the whole process with a segmentation fault
(scipy 1.17). Source of the layout: MathWorks, "MAT-File Format". Tests compare with scipy on good files.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_mat5", "variables_mat5"]

_HEADER_LENGTH = 128
_LARGEST_VARIABLE = 2**30
# Deeper nesting than any file of labels has; ends a file made to exhaust the stack.
_DEEPEST = 16
# Enough of a compressed variable to read its flags, dimensions and name.
_PEEK = 1024

_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {(16, "<"): "utf-8", (16, ">"): "utf-8", (17, "<"): "utf-16-le", (17, ">"): "utf-16-be"}
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMERIC_CLASSES = range(6, 16)
_COMPLEX = 0x0800


def variables_mat5(path: Path) -> frozenset[str]:
    """The names of the variables. Raises ValueError, struct.error or zlib.error if the file is damaged."""
    data = path.read_bytes()
    order = _byte_order(data)
    return frozenset(_Matrix(order, _opened(order, *element, _PEEK)).name for element in _top(data, order))


def read_mat5(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """The values of those variables among `names` that the file has, as plain values (see `matlab`).

    Raises ValueError, struct.error or zlib.error if the file is damaged.
    """
    data = path.read_bytes()
    order = _byte_order(data)
    result = {}
    for element in _top(data, order):
        name = _Matrix(order, _opened(order, *element, _PEEK)).name
        if name in names:
            result[name] = _Matrix(order, _opened(order, *element, _LARGEST_VARIABLE)).value(0)
    return result


def _byte_order(data: bytes) -> str:
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise ValueError("no mark of the byte order")
    return order


def _top(data: bytes, order: str) -> Iterator[tuple[int, memoryview]]:
    elements = _elements(memoryview(data)[_HEADER_LENGTH:], order)
    return ((kind, content) for kind, content in elements if kind in (_MATRIX, _COMPRESSED))


def _elements(data: memoryview, order: str, *, cut_off: bool = False) -> Iterator[tuple[int, memoryview]]:
    """Type and content of the elements that follow each other; `cut_off` lets the last one be incomplete."""
    position = 0
    while position + 8 <= len(data):
        kind, length = struct.unpack_from(f"{order}II", data, position)
        start = position + 8
        if kind >> 16:  # up to four bytes stand in the tag itself
            kind, length, start = kind & 0xFFFF, kind >> 16, position + 4
            if length > 4:
                raise ValueError(f"a small element of {length} bytes")
        if start + length > len(data) and not cut_off:
            raise ValueError(f"an element of {length} bytes where {len(data) - start} are left")
        yield kind, data[start : start + length]
        end = start + length
        position = position + 8 if start == position + 4 else end if kind == _COMPRESSED else end + -end % 8


def _opened(order: str, kind: int, content: memoryview, largest: int) -> memoryview:
    """The content of a matrix element, unpacked up to `largest` bytes if it is compressed."""
    if kind == _MATRIX:
        return content
    unpacked = memoryview(zlib.decompressobj().decompress(content, largest))
    if struct.unpack_from(f"{order}I", unpacked)[0] != _MATRIX:
        raise ValueError("something else than an array inside a compressed element")
    return unpacked[8:]


class _Matrix:
    """One array: flags, dimensions and name are read at once, the value when it is asked for."""

    def __init__(self, order: str, content: memoryview) -> None:
        self._order = order
        self._parts = _elements(content, order, cut_off=len(content) == _PEEK - 8)
        _, flags = next(self._parts, (0, memoryview(b"")))
        flag_bits = struct.unpack_from(f"{order}I", flags)[0] if len(flags) >= 4 else 0
        self._class = None if flag_bits & _COMPLEX else flag_bits & 0xFF
        _, dimensions = next(self._parts, (0, memoryview(b"")))
        self._shape = tuple(np.frombuffer(dimensions, f"{order}i4").tolist())
        _, name = next(self._parts, (0, memoryview(b"")))
        self.name = bytes(name).decode("latin-1")

    def value(self, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        if self._class == _CELL:
            return [self._inner(depth) for _ in range(self._count())]
        if self._class == _STRUCT:
            return self._structs(depth)
        if self._class == _CHAR:
            return self._text()
        if self._class in _NUMERIC_CLASSES:
            return self._numbers().astype(np.float64)
        return None

    def _count(self) -> int:
        if not self._shape or min(self._shape) < 0:
            raise ValueError(f"dimensions {self._shape}")
        count = 1
        for length in self._shape:
            count *= length
        return count

    def _next(self) -> tuple[int, memoryview]:
        part = next(self._parts, None)
        if part is None:
            raise ValueError("an array that ends too early")
        return part

    def _inner(self, depth: int) -> Any:
        kind, content = self._next()
        if kind != _MATRIX:
            raise ValueError(f"an element of type {kind} where an array should be")
        # MATLAB writes an empty element for what was never assigned.
        return _Matrix(self._order, content).value(depth + 1) if len(content) else np.zeros((0, 0))

    def _structs(self, depth: int) -> Any:
        width = int(np.frombuffer(self._next()[1], f"{self._order}i4")[0])
        text = bytes(self._next()[1])
        if width <= 0 or len(text) % width:
            raise ValueError("names of fields of no length")
        names = [text[at : at + width].split(b"\0")[0].decode("latin-1") for at in range(0, len(text), width)]
        # One struct must have something in it, or a count in the file alone could fill the memory.
        count = self._count() if names else 0
        structs = [{name: self._inner(depth) for name in names} for _ in range(count)]
        return structs[0] if len(structs) == 1 else structs

    def _text(self) -> str | list[str]:
        """Text, or a list of texts for a matrix of characters."""
        kind, content = self._next()
        codec = _TEXTS.get((kind, self._order))
        if codec is not None:
            characters = list(bytes(content).decode(codec))
        else:
            characters = [chr(code) for code in np.frombuffer(content, f"{self._order}{_NUMBERS[kind]}").tolist()]
        table = np.array(characters, dtype="U1").reshape(self._shape, order="F")
        rows = ["".join(row).rstrip() for row in table]
        return rows[0] if len(rows) == 1 else rows

    def _numbers(self) -> NDArray[Any]:
        kind, content = self._next()
        values = np.frombuffer(content, f"{self._order}{_NUMBERS[kind]}")
        return values.reshape(self._shape, order="F")
