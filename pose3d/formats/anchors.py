"""Anchors in a csv file: one line per animal and frame that a person has confirmed.

Columns `frame`, `individual` (who it is) and either `called` (the name that it has now) or `camera`, `x` and `y` (a
point on it, px). Both kinds may be in one file; cells that do not apply are empty. Other columns are an error.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

from calibration.errors import FileFormatError, InvalidValueError
from calibration.files import atomic_path
from pose3d.identity.anchors import Anchor

__all__ = ["read_anchors", "write_anchors"]

_COLUMNS = tuple(field.name for field in fields(Anchor))
_NEEDED = ("frame", "individual")
_WHAT = "lines with the columns frame, individual and either called or camera, x, y"
_REMEDY = "Correct the line; a spreadsheet program may have changed the file."


def read_anchors(path: str | os.PathLike[str]) -> tuple[Anchor, ...]:
    """The anchors in a csv file, by frame.

    Raises:
        FileFormatError: the file is missing, cut off or of another format, a cell is wrong, or two anchors contradict
            each other.
    """
    file = Path(path)
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            found = list(_anchors(csv.reader(stream), file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise FileFormatError(file, expected=_WHAT, got=reason, remedy="Check the path and the file.") from error
    _check_contradictions(found, file)
    return tuple(sorted(dict.fromkeys(found), key=lambda anchor: anchor.frame))


def write_anchors(path: str | os.PathLike[str], anchors: Iterable[Anchor]) -> None:
    """Write anchors to a csv file; a file of that name is replaced.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_path(Path(path)) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for anchor in anchors:
            values = (getattr(anchor, name) for name in _COLUMNS)
            writer.writerow("" if value is None else value for value in values)


def _check_contradictions(anchors: Sequence[Anchor], path: Path) -> None:
    """Raise where one animal has two names, or one name is given to two animals."""
    who: dict[tuple[object, ...], str] = {}
    called: dict[tuple[int, str], str] = {}
    for anchor in anchors:
        place = (anchor.frame, anchor.called, anchor.camera, anchor.x, anchor.y)
        first = who.setdefault(place, anchor.individual)
        if first != anchor.individual:
            raise _contradiction(path, anchor.frame, "one individual for one animal", first, anchor.individual)
        if anchor.called is not None:
            other = called.setdefault((anchor.frame, anchor.individual), anchor.called)
            if other != anchor.called:
                expected = f"one animal that is '{anchor.individual}'"
                raise _contradiction(path, anchor.frame, expected, other, anchor.called)


def _contradiction(path: Path, frame: int, expected: str, first: str, second: str) -> FileFormatError:
    return FileFormatError(
        f"{path}, frame {frame}",
        expected=expected,
        got=f"'{first}' and '{second}'",
        remedy="Delete the wrong line.",
    )


def _anchors(lines: Iterator[list[str]], path: Path) -> Iterator[Anchor]:
    header = [name.strip().casefold() for name in next(lines, [])]
    if len(header) == 1 and ";" in header[0]:
        raise FileFormatError(
            path,
            expected="commas between the cells",
            got="semicolons",
            remedy="Save it as CSV with commas, and with points in decimal numbers.",
        )
    odd = [name for name in header if name not in _COLUMNS]
    lacking = [name for name in _NEEDED if name not in header]
    if lacking or odd or len(set(header)) < len(header):
        got = f"no {' and no '.join(lacking)}" if lacking else f"the columns {', '.join(header)}"[:100]
        raise FileFormatError(path, expected=_WHAT, got=got, remedy="Write the names of the columns in the first line.")
    for number, line in enumerate(lines, start=2):
        if not any(cell.strip() for cell in line):
            continue
        subject = f"{path}, line {number}"
        if len(line) != len(header):
            raise FileFormatError(
                subject, expected=f"{len(header)} cells, as in the header", got=str(len(line)), remedy=_REMEDY
            )
        cells = {name: cell.strip() for name, cell in zip(header, line, strict=True)}
        try:
            yield _anchor(cells, subject)
        except InvalidValueError as error:
            raise FileFormatError(subject, expected=error.expected, got=error.got, remedy=_REMEDY) from error


def _anchor(cells: Mapping[str, str], subject: str) -> Anchor:
    return Anchor(
        frame=_whole(cells["frame"], subject),
        individual=cells["individual"],
        called=cells.get("called") or None,
        camera=cells.get("camera") or None,
        x=_number(cells.get("x", ""), f"{subject}, x"),
        y=_number(cells.get("y", ""), f"{subject}, y"),
    )


def _whole(cell: str, subject: str) -> int:
    if not (cell.isascii() and cell.isdecimal()):
        raise FileFormatError(f"{subject}, frame", expected="a frame number", got=repr(cell[:40]), remedy=_REMEDY)
    return int(cell)


def _number(cell: str, subject: str) -> float | None:
    if not cell:
        return None
    with suppress(ValueError):
        return float(cell)
    raise FileFormatError(subject, expected="a number of pixels", got=repr(cell[:40]), remedy=_REMEDY)
