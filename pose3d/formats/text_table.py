"""What the writers of text tables share: rows of numbers made fast, and one file per individual."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError, MismatchError

__all__ = ["FRAMES_AT_ONCE", "files_by_individual", "format_rows", "header_line", "pieces"]

# Rows that are made at once: a few megabytes of text.
FRAMES_AT_ONCE = 2048


def format_rows(columns: Sequence[NDArray[Any]], formats: Sequence[str], separator: str) -> list[str]:
    """The lines of a table; every cell is led by the separator, and empty where the value is NaN.

    One `%` for a whole row takes 2 microseconds for ten cells, a fifth of what pandas takes.

    Args:
        columns: equally long arrays of numbers, or of text that does not begin with "nan".
        formats: how each column is written, "%.9g" for example.
        separator: what stands before each cell.
    """
    if not columns or len(columns[0]) == 0:
        return []
    line = "".join(separator + form for form in formats)
    lines = map(line.__mod__, zip(*(column.tolist() for column in columns), strict=True))
    return "\n".join(lines).replace(f"{separator}nan", separator).split("\n")


def header_line(cells: Sequence[str]) -> str:
    """A line of a CSV file, with quotes where a name needs them."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def pieces(poses3d: xr.Dataset, variables: Sequence[str]) -> Iterator[xr.Dataset]:
    """The variables that the Dataset has of these, loaded piece by piece along time."""
    chosen = poses3d[[name for name in variables if name in poses3d]]
    for start in range(0, poses3d.sizes["time"], FRAMES_AT_ONCE):
        yield chosen.isel(time=slice(start, start + FRAMES_AT_ONCE)).load()


def files_by_individual(
    poses3d: xr.Dataset, path: str | os.PathLike[str], individual: str | None
) -> list[tuple[str, Path]]:
    """Which individual goes to which file, for formats that hold one.

    With one individual, or one chosen, it is `path` itself; with several, the name of each is added: `walk.trc`
    becomes `walk_anna.trc` and `walk_ben.trc`.

    Raises:
        MismatchError: the chosen individual is not there.
        InvalidValueError: two names become the same file name.
    """
    names = [str(name) for name in poses3d["individual"].values]
    target = Path(path)
    if individual is not None and individual not in names:
        raise MismatchError(
            f"individual '{individual}'",
            expected=f"one of {', '.join(names)}",
            got=f"'{individual}'",
            remedy="Use a name of the 3D poses.",
        )
    if individual is not None or len(names) == 1:
        return [(individual or names[0], target)]
    safe = [re.sub(r"[^\w.-]", "_", name) for name in names]
    files = [target.with_name(f"{target.stem}_{name}{target.suffix}") for name in safe]
    if len({file.name.lower() for file in files}) < len(files):
        raise InvalidValueError(
            target,
            expected="individuals whose names differ in letters or digits, since each gets its own file",
            got=", ".join(names),
            remedy="Rename the individuals, or write them one by one with individual=NAME.",
        )
    return list(zip(names, files, strict=True))
