"""Board files: a small TOML table that says what is printed; those of two other tools are read as well.

    [board]
    type = "charuco"        # or "chessboard", "aprilgrid"
    columns = 8             # squares side by side; for an aprilgrid: tags
    rows = 11
    square = 24.0           # edge of a square (of the black border of a tag)
    unit = "mm"
    marker = 18.0           # charuco: edge of a marker
    dictionary = "DICT_4X4_50"
    legacy = false          # charuco: pattern of OpenCV before 4.6
    inverted = false        # black and white exchanged
    spacing = 0.3           # aprilgrid: gap between tags, as a share of their edge
    first_id = 0            # aprilgrid: id of the tag at the lower left

A chessboard may give `inner_columns` and `inner_rows`, the corners between squares, instead of `columns` and `rows`.
"""

from __future__ import annotations

import difflib
import os
import tomllib
import warnings
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import tomli_w

from calibration.boards._pattern import check_markers
from calibration.boards.geometry import AprilGrid, Board, Charuco, Chessboard
from calibration.errors import FileFormatError, InvalidValueError, SuiteWarning
from calibration.files import write_text

__all__ = ["load_board", "save_board"]

_KINDS: Mapping[str, type[Board]] = {kind.kind: kind for kind in (Chessboard, Charuco, AprilGrid)}
_LARGEST_FILE = 2**20
_WHOLE = frozenset({"columns", "rows", "inner_columns", "inner_rows", "first_id"})
_FLAGS = frozenset({"legacy", "inverted"})
_TEXTS = frozenset({"unit", "dictionary"})


def load_board(path: str | os.PathLike[str]) -> Board:
    """Read a board from a TOML file: this package's, caliscope's `charuco.toml`, or sleap-anipose's `board.toml`.

    Lengths of the two others come out in millimeters. sleap-anipose does not say whether a ChArUco board has the
    pattern of old versions of OpenCV; where that matters, today's is assumed with a SuiteWarning.

    Raises:
        FileFormatError: the file is missing, broken, no board file, or a value is missing, unknown, or wrong.
    """
    source = Path(path)
    data = _read(source)
    table = data.get("board", data)
    if not isinstance(table, dict):
        raise _wrong(source, "a table [board]", repr(table), "Write the values of the board below [board].")
    board: Board
    try:
        if "aruco_scale" in table:
            board = _caliscope(source, table)
        elif "board_x" in table:
            board = _anipose(source, table)
        else:
            board = _own(source, table)
        check_markers(board)
    except InvalidValueError as error:
        raise FileFormatError(
            f"{source}, {error.subject}", expected=error.expected, got=error.got, remedy=error.remedy
        ) from error
    return board


def save_board(board: Board, path: str | os.PathLike[str]) -> None:
    """Write a board as TOML, for `load_board`.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, tomli_w.dumps({"board": {"type": board.kind, **asdict(board)}}))


def _read(source: Path) -> dict[str, Any]:
    try:
        if source.stat().st_size > _LARGEST_FILE:
            raise _wrong(source, "a small TOML file", "more than 1 MB", "Give the file of the board.")
        return tomllib.loads(source.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise _wrong(
            source, "a board file", error.strerror or str(error), "Make one with `pose3d board`, or check the path."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _wrong(
            source, "a TOML file", str(error), "Correct that line, or make one with `pose3d board`."
        ) from error


def _own(source: Path, table: Mapping[str, Any]) -> Board:
    """This package's own keys."""
    name = str(table.get("type", ""))
    if name not in _KINDS:
        raise _wrong(
            source,
            f"type = one of {', '.join(_KINDS)}",
            repr(table["type"]) if "type" in table else "no type",
            "Say which kind of board it is.",
        )
    kind = _KINDS[name]
    known = [field.name for field in fields(kind)]
    alternatives = ["inner_columns", "inner_rows"] if kind is Chessboard else []
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key == "type":
            continue
        if key not in known and key not in alternatives:
            near = difflib.get_close_matches(key, [*known, *alternatives], n=1)
            remedy = f"Did you mean '{near[0]}'?" if near else "Remove it."
            raise _wrong(source, f"the keys {', '.join(['type', *known, *alternatives])}", f"'{key}'", remedy)
        values[key] = _typed(source, key, value)
    for key in ("columns", "rows"):
        inner = values.pop(f"inner_{key}", None)
        if inner is not None and key in values:
            raise _wrong(
                source, f"either {key} or inner_{key}", "both", f"Keep {key}, which counts squares; delete inner_{key}."
            )
        if inner is not None:
            values[key] = inner + 1
    missing = [key for key in ("columns", "rows", "square") if key not in values]
    if missing:
        raise _wrong(source, "columns, rows and square", f"no {' and no '.join(missing)}", "Add what is missing.")
    return kind(**values)


def _typed(source: Path, key: str, value: object) -> object:
    """The value, if it is of the type that its key asks for."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if key in _FLAGS:
        fine, wanted = isinstance(value, bool), "true or false"
    elif key in _TEXTS:
        fine, wanted = isinstance(value, str), "text in quotes"
    elif key in _WHOLE:
        fine, wanted = is_number and isinstance(value, int), "a whole number"
    else:
        fine, wanted = is_number, "a number"
    if not fine:
        raise _wrong(source, f"{key} = {wanted}", repr(value), "Correct the value.")
    return value


def _caliscope(source: Path, table: Mapping[str, Any]) -> Charuco:
    """Keys of caliscope; the square has been measured, else its size on paper is not known well enough."""
    square = 10 * _number(source, table, "square_size_override_cm")
    return Charuco(
        columns=_count(source, table, "columns"),
        rows=_count(source, table, "rows"),
        square=square,
        marker=square * _number(source, table, "aruco_scale"),
        dictionary=_text(source, table, "dictionary"),
        legacy=_flag(source, table, "legacy_pattern"),
        inverted=_flag(source, table, "inverted"),
    )


def _anipose(source: Path, table: Mapping[str, Any]) -> Board:
    """sleap-anipose's keys: a ChArUco board, or without markers a chessboard."""
    columns, rows = _count(source, table, "board_x"), _count(source, table, "board_y")
    square = _number(source, table, "square_length")
    if "marker_length" not in table:
        return Chessboard(columns, rows, square)
    bits, size = _count(source, table, "marker_bits"), _count(source, table, "dict_size")
    board = Charuco(
        columns,
        rows,
        square,
        marker=_number(source, table, "marker_length"),
        dictionary=f"DICT_{bits}X{bits}_{size}",
    )
    if rows % 2 == 0:
        warnings.warn(
            f"{source}: the file does not say whether the upper left square is black; it is taken to be. "
            "If it is white, set legacy = true in a file of `save_board`.",
            SuiteWarning,
            stacklevel=3,
        )
    return board


def _count(source: Path, table: Mapping[str, Any], key: str) -> int:
    return int(_checked(source, table, key, int, "a whole number"))


def _number(source: Path, table: Mapping[str, Any], key: str) -> float:
    return float(_checked(source, table, key, (int, float), "a number"))


def _text(source: Path, table: Mapping[str, Any], key: str) -> str:
    return str(_checked(source, table, key, str, "text in quotes"))


def _flag(source: Path, table: Mapping[str, Any], key: str) -> bool:
    return bool(_checked(source, {key: False, **table}, key, bool, "true or false"))


def _checked(source: Path, table: Mapping[str, Any], key: str, kind: type | tuple[type, ...], wanted: str) -> Any:
    value = table.get(key)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        got = "nothing" if value is None else repr(value)
        raise _wrong(source, f"{key} = {wanted}", got, "Measure it on the board and add it.")
    return value


def _wrong(source: Path, expected: str, got: str, remedy: str) -> FileFormatError:
    return FileFormatError(source, expected=expected, got=got, remedy=remedy)
