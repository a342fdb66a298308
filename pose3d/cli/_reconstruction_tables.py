"""How the commands that make 3D poses of 2D poses show their summaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pose3d.cli._console import plain_number

if TYPE_CHECKING:
    import xarray as xr
    from rich.table import Table

    from pose3d.pipeline import ReconstructionSummary

__all__ = [
    "Columns",
    "decimals",
    "digits",
    "displaced_lines",
    "percent",
    "plain_row",
    "plain_rows",
    "statistics_table",
]

# Variable of the statistics -> title, and how a number is shown.
Columns = Mapping[str, tuple[str, Callable[[float], str]]]


def percent(value: float) -> str:
    """A share."""
    return _or_dash(value, f"{100 * value:.1f} %")


def decimals(value: float) -> str:
    """A number of pixels."""
    return _or_dash(value, f"{value:.2f}")


def digits(value: float) -> str:
    """A number of any size."""
    return _or_dash(value, f"{value:.3g}")


def _or_dash(value: float, text: str) -> str:
    return text if abs(value) < float("inf") else "-"


def statistics_table(dim: str, statistics: xr.Dataset, columns: Columns, total: xr.Dataset | None = None) -> Table:
    """A table with a row for every name along a dimension.

    Args:
        dim: the dimension.
        statistics: variables (dim).
        columns: which of them to show.
        total: the same of everything, shown last where it is there.
    """
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_footer=total is not None)
    table.add_column(dim, footer="all" if total is not None else "")
    for name, (title, shown) in columns.items():
        footer = shown(total[name].item()) if total is not None and name in total else ""
        table.add_column(title, justify="right", footer=footer)
    for label in statistics[dim].values:
        row = statistics.sel({dim: label})
        table.add_row(escape(str(label)), *(shown(row[name].item()) for name, (_, shown) in columns.items()))
    return table


def displaced_lines(summary: ReconstructionSummary) -> list[str]:
    """A line about every camera that sees everything elsewhere than the others do."""
    from rich.markup import escape

    lines = []
    for camera in summary.displaced():
        x, y = (round(value) for value in summary.offset.sel(camera=camera).values.tolist())
        lines.append(
            f"camera {escape(camera)} sees everything ({x:+d}, {y:+d}) px from where the others do: its calibration or "
            "its clock is off"
        )
    return lines


def plain_rows(dim: str, statistics: xr.Dataset) -> dict[str, object]:
    """The statistics by name, for JSON."""
    return {str(label): plain_row(statistics.sel({dim: label})) for label in statistics[dim].values}


def plain_row(row: xr.Dataset) -> dict[str, float | None]:
    """Numbers of a Dataset without dimensions, for JSON: null where one is missing."""
    return {str(name): plain_number(row[name].item()) for name in row.data_vars}
