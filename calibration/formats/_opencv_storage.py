"""OpenCV's FileStorage (YAML and XML) and ROS camera files, as plain values.

OpenCV's own reader is not used: it is C++ that was not made for untrusted files, it prints its errors to the terminal,
and it does not read files without its header line, as ROS writes them.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, NoReturn
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError
from calibration.formats._reading import read_text
from calibration.formats._yaml_subset import parse_yaml, scalar

__all__ = ["read_storage"]

# Deeper nesting than any calibration has; ends a file made to exhaust the stack.
_DEEPEST = 32


def read_storage(path: Path) -> dict[str, Any]:
    """The content of a file: mappings as dict, sequences as list, matrices as float64 (rows, columns[, channels]).

    Raises:
        FileFormatError: the file is missing, broken, or uses what OpenCV does not write.
    """
    text = read_text(path)
    content = _Xml(path).read(text) if text.lstrip().startswith("<") else parse_yaml(text, str(path))
    if not isinstance(content, dict):
        raise FileFormatError(
            path,
            expected="named values such as camera_matrix",
            got="a list" if isinstance(content, list) else repr(content)[:60],
            remedy="Check that this is a calibration.",
        )
    return {key: _with_matrices(value, f"{path}, '{key}'") for key, value in content.items()}


def _with_matrices(value: Any, subject: str) -> Any:
    if isinstance(value, list):
        return [_with_matrices(item, subject) for item in value]
    if not isinstance(value, dict):
        return value
    # ROS writes rows, cols and data without OpenCV's tag; OpenCV 5 writes vectors as sizes and data.
    if {"rows", "cols", "data"} <= set(value):
        return _matrix([value["rows"], value["cols"]], value["data"], subject)
    if {"sizes", "data"} <= set(value):
        return _matrix(value["sizes"], value["data"], subject)
    return {key: _with_matrices(item, f"{subject}, '{key}'") for key, item in value.items()}


def _matrix(sizes: Any, data: Any, subject: str) -> NDArray[np.float64]:
    shape = sizes if isinstance(sizes, list) else [sizes]
    # In XML a single number does not look like a list, and no number like nothing.
    values = data if isinstance(data, list) else [] if data is None else [data]
    if all(type(size) is int and size >= 0 for size in shape) and all(type(item) in (int, float) for item in values):
        count = math.prod(shape)
        channels = max(1, len(values) // count) if count else 1
        if len(values) == count * channels:
            return np.array(values, dtype=np.float64).reshape(*shape, *([channels] if channels > 1 else []))
    raise FileFormatError(
        subject,
        expected="a matrix: rows, cols, and as many numbers in data",
        got=f"sizes {shape!r}, data {repr(data)[:40]}",
        remedy="Correct it, or save or copy the file again if it was cut off.",
    )


class _Xml:
    """Reads <opencv_storage>. A document type is refused, and with it the entities that make small files grow."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._root: list[tuple[str, Any]] = []
        self._open: list[list[tuple[str, Any]]] = [self._root]
        self._names: list[str] = []
        self._text: list[str] = [""]
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    def read(self, text: str) -> Any:
        try:
            self._parser.Parse(text, True)
        except expat.ExpatError as error:
            self._fail(f"XML that breaks off or is wrong ({error})")
        name, content = self._root[0]
        if name != "opencv_storage":
            self._fail(f"the root <{name}>")
        return content

    def _fail(self, got: str) -> NoReturn:
        raise FileFormatError(
            self._path,
            expected="XML as OpenCV's FileStorage writes it, with the root <opencv_storage>",
            got=got,
            remedy="Save the file again with OpenCV, or copy it again if it was cut off.",
        )

    def _refuse_doctype(self, name: str, *_: object) -> None:
        self._fail(f"a document type '{name}'")

    def _start(self, name: str, _: dict[str, str]) -> None:
        if len(self._names) > _DEEPEST:
            self._fail(f"more than {_DEEPEST} levels")
        self._names.append(name)
        self._open.append([])
        self._text.append("")

    def _characters(self, text: str) -> None:
        self._text[-1] += text

    def _end(self, name: str) -> None:
        children, text = self._open.pop(), self._text.pop().strip()
        self._names.pop()
        value: Any
        if not children:
            value = _from_text(text)
        elif all(child == "_" for child, _ in children):
            value = [item for _, item in children]
        else:
            names = [child for child, _ in children]
            repeated = sorted({child for child in names if names.count(child) > 1})
            if repeated:
                self._fail(f"<{repeated[0]}> more than once in <{name}>")
            value = dict(children)
        self._open[-1].append((name, value))


def _from_text(text: str) -> Any:
    """A scalar, text in quotes, or several of these as a list."""
    parts = re.findall(r'"[^"]*"|[^\s"]+', text)
    if len(parts) > 1:
        return [scalar(part) for part in parts]
    return scalar(parts[0]) if parts else None
