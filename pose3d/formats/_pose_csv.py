"""The csv of DeepLabCut and Lightning Pose: some lines of column names, each with the name of its level in front."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calibration.errors import FileFormatError
from pose3d.formats._csv_cells import check_cells
from pose3d.formats._pose_table import COORDS, VARIANCES, PoseTable
from pose3d.formats._tidy import last_number

__all__ = ["peek_pose_csv", "read_pose_csv"]

_LEVELS = ("scorer", "individuals", "bodyparts", "coords")
_WHAT = "a csv table of poses, whose first lines begin with scorer, bodyparts and coords"
_REMEDY = "Export the poses again from the tool that made them; a spreadsheet program may have changed the file."


def read_pose_csv(path: Path, *, also: tuple[str, ...] = ()) -> PoseTable:
    """The table of a csv file.

    Args:
        path: the file.
        also: names of coords whose numbers are wanted beyond those of poses; other columns are NaN.

    Raises:
        FileFormatError: the file is missing, empty, cut off or not of this layout, or a cell is no number.
    """
    header = _read_header(path)
    if header is None:
        raise FileFormatError(path, expected=_WHAT, got=_what_it_is(path), remedy=_REMEDY)
    levels, lines, leading = header
    frame = _read_rows(path, len(lines), len(lines[0]), leading)
    columns = tuple(zip(*(line[leading:] for line in lines), strict=True))
    coords = [column[levels.index("coords")] for column in columns]
    values = np.full((len(frame), len(columns)), np.nan)
    for index, coord in enumerate(coords):
        # Other columns are not used, and may be text: `set` of Lightning Pose.
        if coord in (*COORDS, *VARIANCES, *also):
            subject = f"{path}, column {' / '.join(columns[index])}"
            values[:, index] = _numbers(frame[leading + index], subject, len(lines))
    rows = ["/".join(map(str, label)) for label in zip(*(frame[column] for column in range(leading)), strict=True)]
    return PoseTable(levels, columns, rows, values)


def peek_pose_csv(path: Path) -> PoseTable | None:
    """The names of the columns of a csv file, without rows; None where they are not of this layout."""
    header = _read_header(path)
    if header is None:
        return None
    levels, lines, leading = header
    columns = tuple(zip(*(line[leading:] for line in lines), strict=True))
    return PoseTable(levels, columns, [], np.empty((0, len(columns))))


def _read_header(path: Path) -> tuple[tuple[str, ...], list[list[str]], int] | None:
    """Names of the levels, their lines, and how many leading columns name the row; None if it is no header."""
    lines: list[list[str]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for line in csv.reader(file):
                if not line or line[0].strip().casefold() not in _LEVELS:
                    break
                lines.append([cell.strip() for cell in line])
                if len(lines) == len(_LEVELS):
                    break
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    levels = tuple(line[0].casefold() for line in lines)
    if not {"bodyparts", "coords"} <= set(levels) or len({len(line) for line in lines}) > 1:
        return None
    # Labeled images may be named in three columns: folder, video, image. The header is empty over all but the first.
    leading = 1
    while leading < len(lines[0]) and not any(line[leading] for line in lines):
        leading += 1
    return levels, lines, leading


def _what_it_is(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(60)
    except OSError as error:
        return error.strerror or str(error)
    return f"a file that begins with {start!r}" if start.strip() else "an empty file"


def _read_rows(path: Path, skipped: int, width: int, leading: int) -> pd.DataFrame:
    try:
        frame = pd.read_csv(
            path,
            header=None,
            skiprows=skipped,
            names=range(width),
            dtype=dict.fromkeys(range(leading), str),
            encoding="utf-8-sig",
            low_memory=False,
        )
    except pd.errors.EmptyDataError:
        return pd.DataFrame(columns=range(width))
    except (pd.errors.ParserError, UnicodeDecodeError, ValueError) as error:
        raise FileFormatError(path, expected=_WHAT, got=f"lines of another form ({error})", remedy=_REMEDY) from error
    if not isinstance(frame.index, pd.RangeIndex):
        # pandas takes cells beyond the header for an index.
        raise FileFormatError(path, expected=f"{width} cells per line, as in the header", got="more", remedy=_REMEDY)
    check_cells(path, width)
    # pandas writes the name of the index, where it has one, on a line of its own.
    named = (
        len(frame) > 0 and frame.iloc[0, leading:].isna().all() and last_number(str(frame.iat[0, leading - 1])) is None
    )
    return frame.iloc[1:] if named else frame


def _numbers(column: pd.Series, subject: str, skipped: int) -> NDArray[np.float64]:
    if column.dtype.kind in "fiub":
        return column.to_numpy(dtype=np.float64)
    numeric = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.isnan(numeric) & column.notna().to_numpy()
    if bad.any():
        row = int(np.argmax(bad))
        raise FileFormatError(
            f"{subject}, line {int(column.index[row]) + skipped + 1}",
            expected="a number or nothing",
            got=repr(str(column.iloc[row]))[:80],
            remedy=_REMEDY,
        )
    return numeric
