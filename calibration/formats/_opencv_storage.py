"""OpenCV's FileStorage (YAML and XML) and ROS camera files, as plain values.

OpenCV's own reader is not used: it is C++ that was not made for untrusted files, it prints its errors to the terminal,
and it does not read files without its header line, as ROS writes them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NoReturn
from xml.parsers import expat

import numpy as np

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
    # ROS writes the same three keys without OpenCV's tag.
    if {"rows", "cols", "data"} <= set(value):
        return _matrix(value, subject)
    return {key: _with_matrices(item, f"{subject}, '{key}'") for key, item in value.items()}


def _matrix(value: dict[str, Any], subject: str) -> np.ndarray:
    rows, columns, data = value["rows"], value["cols"], value["data"]
    data = [data] if isinstance(data, int | float) else data or []
    if isinstance(rows, int) and isinstance(columns, int) and rows >= 0 and columns >= 0 and isinstance(data, list):
        count = rows * columns
        channels = len(data) // count if count else 1
        if len(data) == count * channels and all(type(item) in (int, float) for item in data):
            shape = (rows, columns) if channels <= 1 else (rows, columns, channels)
            return np.array(data, dtype=np.float64).reshape(shape)
    raise FileFormatError(
        subject,
        expected="a matrix: rows, cols, and as many numbers in data",
        got=f"rows {rows!r}, cols {columns!r}, data {repr(data)[:40]}",
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
