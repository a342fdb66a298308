"""Whether a csv file is whole: one that was cut off while it was copied may end inside a line, or inside a number."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

from calibration.errors import FileFormatError, SuiteWarning

__all__ = ["check_cells"]


def check_cells(path: Path, width: int) -> None:
    """Raise where a line has fewer cells than the header; pandas would fill it up with NaN.

    Args:
        path: a csv file that could be read before.
        width: the number of cells in the header.

    Raises:
        FileFormatError: a line has fewer cells; it is named by its number, which begins at 1.

    Warns:
        SuiteWarning: the last line does not end like a line, so that its last number may be cut off.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        for row in reader:
            # Empty lines are skipped when the table is read.
            if row and len(row) < width:
                raise FileFormatError(
                    f"{path}, line {reader.line_num}",
                    expected=f"{width} cells, as in the header",
                    got=f"{len(row)}: the file seems to be cut off",
                    remedy="Copy or export the file again.",
                )
    with path.open("rb") as binary:
        binary.seek(-1, 2)
        end = binary.read(1)
    if end not in b"\r\n":
        warnings.warn(
            f"{path}: the last line has no line end; the file may be cut off, and its last number with it",
            SuiteWarning,
            stacklevel=3,
        )
