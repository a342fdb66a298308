"""Any labeled Dataset as tidy tables, CSV or Parquet: one table for all variables of the same dimensions.

A row is one combination of the labels along the dimensions; x, y and z stand beside each other. The unit is part of
a column's name, and angles are in degrees, since tables are for people. `columns.csv` says what each column means.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import xarray as xr

from calibration.errors import InvalidValueError, OutputError
from calibration.files import atomic_path, write_text
from pose3d.formats._table_columns import Column, Table, tables_of
from pose3d.formats.text_table import format_rows, header_line

__all__ = ["write_tables"]

_Write: TypeAlias = Callable[[Sequence[Column]], None]
_FORMATS = {"f": "%.9g", "i": "%d", "u": "%d", "b": "%d"}


def write_tables(
    dataset: xr.Dataset,
    folder: str | os.PathLike[str],
    *,
    format: Literal["csv", "parquet"] = "csv",  # noqa: A002
) -> tuple[Path, ...]:
    """Write a Dataset as tidy tables, and what their columns mean as `columns.csv`.

    Variables that share their dimensions share a table, which is named by them: `by_frame_and_keypoint.csv`,
    `by_event.csv`; `summary.csv` for numbers without dimensions. The dimension `individual` is in the name only where
    two tables would get the same. Labels along `space` become columns `position_x_mm`, `position_y_mm`,
    `position_z_mm`. Variables with `flag_meanings` are written as words. Missing numbers are empty cells, or null.

    Args:
        dataset: any Dataset whose variables are numbers, bool or text; what is not in memory is read piece by piece.
        folder: where the tables are written; it is made, and other files in it stay.
        format: "csv", or "parquet" (needs pyarrow).

    Returns:
        The files written, `columns.csv` last.

    Raises:
        InvalidValueError: the Dataset has no variable, two columns get the same name, or the format is another.
        OutputError: a file cannot be written, or pyarrow is not installed.
    """
    writers = {"csv": _csv, "parquet": _parquet}
    if format not in writers:
        raise InvalidValueError(
            "format", expected=" or ".join(writers), got=f"'{format}'", remedy="Use one of these names."
        )
    target = Path(folder)
    written, lines = [], [header_line(["table", "column", "meaning", "unit"])]
    for table in tables_of(dataset):
        file = target / f"{table.name}.{format}"
        with atomic_path(file) as partial:
            columns = _write(table, partial, writers[format])
        written.append(file)
        lines += (header_line([file.name, column.name, column.meaning, column.unit]) for column in columns)
    write_text(target / "columns.csv", "".join(lines))
    return (*written, target / "columns.csv")


def _write(table: Table, partial: Path, writer: Callable[[Path, Sequence[Column]], Iterator[_Write]]) -> list[Column]:
    """Write a table, and return the columns of its first piece."""
    pieces = table.pieces()
    first = next(pieces)
    with contextmanager(writer)(partial, first) as write:
        write(first)
        for columns in pieces:
            write(columns)
    return first


def _csv(partial: Path, first: Sequence[Column]) -> Iterator[_Write]:
    with partial.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(header_line([column.name for column in first]))

        def write(columns: Sequence[Column]) -> None:
            parts = [
                _cells(list(alike), text=text)
                for text, alike in groupby(columns, key=lambda column: column.values.dtype.kind == "O")
            ]
            stream.writelines("".join(row)[1:] + "\n" for row in zip(*parts, strict=True))

        yield write


def _cells(columns: Sequence[Column], *, text: bool) -> list[str]:
    """The cells of neighboring columns, row by row, each led by a comma."""
    if not text:
        return format_rows([column.values for column in columns], [_FORMATS[c.values.dtype.kind] for c in columns], ",")
    # Names come again and again: each is quoted once.
    values = {value for column in columns for value in set(column.values.tolist())}
    quoted = {value: header_line([value])[:-1] if value else "" for value in values}
    rows = zip(*([quoted[value] for value in column.values.tolist()] for column in columns), strict=True)
    return ["," + ",".join(row) for row in rows]


def _parquet(partial: Path, first: Sequence[Column]) -> Iterator[_Write]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise OutputError(
            partial.name,
            expected="the package pyarrow, which writes Parquet",
            got="not installed",
            remedy="Install it (pip install 'pose3d-suite[formats]'), or write csv.",
        ) from error

    def batch(columns: Sequence[Column]) -> pa.Table:
        arrays = [
            pa.array(column.values.tolist(), type=pa.string())
            if column.values.dtype.kind == "O"
            else pa.array(np.ascontiguousarray(column.values), from_pandas=True)
            for column in columns
        ]
        return pa.table(arrays, names=[column.name for column in columns])

    with pq.ParquetWriter(partial, batch(first).schema) as writer:
        yield lambda columns: writer.write_table(batch(columns))
