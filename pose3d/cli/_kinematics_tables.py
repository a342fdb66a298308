"""What `pose3d kinematics` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

from pose3d.cli._console import console, plain_number, print_table

if TYPE_CHECKING:
    from pose3d.pipeline import KinematicsSummary

__all__ = ["as_json", "show"]

# Measure of a stride: heading, and by how much it is multiplied for people.
_COLUMNS = {
    "stride_duration": ("duration s", 1.0),
    "duty_factor": ("duty factor %", 100.0),
    "stride_length": ("length", 1.0),
    "step_width": ("width", 1.0),
    "stride_speed": ("speed", 1.0),
    "cadence": ("strides/min", 1.0),
}


def show(summary: KinematicsSummary, written: Sequence[Path]) -> None:
    """A table of the strides and a few lines."""
    from rich.markup import escape
    from rich.table import Table

    to = console(result=True)
    names = [name for name in summary.variables if not name.endswith("_std")]
    to.print(f"{summary.frames} frames: {escape(', '.join(names))}")
    for quantity, reason in summary.left_out.items():
        to.print(f"left out: {escape(quantity)} ({escape(reason)})")
    steps = summary.steps
    if "stride_start" in steps:
        table = Table("leg", "strides", box=None, header_style="bold")
        several = steps.sizes["individual"] > 1
        if several:
            table.add_column("of")
        for name, (heading, _) in _COLUMNS.items():
            unit = str(steps[f"{name}_mean"].attrs.get("units", ""))
            named = heading if " " in heading or "/" in heading else f"{heading} {unit}"
            table.add_column(f"{named} (SD)", justify="right")
        for row in _rows(summary):
            factors = [factor for _, factor in _COLUMNS.values()]
            pairs = zip(row.measures.values(), factors, strict=True)
            cells = [f"{_number(mean * factor)} ({_number(sd * factor)})" for (mean, sd), factor in pairs]
            own = [escape(row.individual)] if several else []
            table.add_row(escape(row.leg), str(row.strides), *own, *cells)
        print_table(table)
        for individual, counts in _gaits(summary).items():
            told = ", ".join(f"{gait.replace('_', ' ')} {count}" for gait, count in counts.items())
            to.print(f"gait{f' of {escape(individual)}' if several else ''} (strides): {escape(told)}")
    for path in written:
        to.print(f"wrote [bold]{escape(str(path))}[/]")


def as_json(summary: KinematicsSummary, written: Sequence[Path]) -> dict[str, object]:
    """The summary as plain values; NaN becomes null."""
    steps = summary.steps
    rows = [
        {"leg": row.leg, "individual": row.individual, "strides": row.strides}
        | {name: {"mean": plain_number(mean), "sd": plain_number(sd)} for name, (mean, sd) in row.measures.items()}
        for row in _rows(summary)
    ]
    return {
        "frames": summary.frames,
        "variables": dict(summary.variables),
        "left_out": dict(summary.left_out),
        "events": int(steps.sizes.get("event", 0)),
        "strides": int(steps.sizes.get("stride", 0)),
        "gait": {name: dict(counts) for name, counts in _gaits(summary).items()},
        "legs": rows,
        "units": {name: str(steps[f"{name}_mean"].attrs["units"]) for name in _COLUMNS if f"{name}_mean" in steps},
        "written": [str(path) for path in written],
    }


@dataclass(frozen=True)
class _Row:
    """The strides of a leg: how many, and mean and standard deviation of each measure."""

    leg: str
    individual: str
    strides: int
    measures: dict[str, tuple[float, float]]


def _rows(summary: KinematicsSummary) -> list[_Row]:
    steps = summary.steps
    if "stride_duration_mean" not in steps:
        return []
    rows = []
    for individual in map(str, steps["individual"].values):
        for leg in map(str, steps["leg"].values):
            one = steps.sel(leg=leg, individual=individual)
            count = float(one["stride_duration_n"])
            measures = {name: (float(one[f"{name}_mean"]), float(one[f"{name}_sd"])) for name in _COLUMNS}
            rows.append(_Row(leg, individual, 0 if isnan(count) else int(count), measures))
    return rows


def _gaits(summary: KinematicsSummary) -> dict[str, Counter[str]]:
    steps = summary.steps
    if "gait_class" not in steps:
        return {}
    found: dict[str, Counter[str]] = {}
    for individual, gait in zip(steps["gait_individual"].values, steps["gait_class"].values, strict=True):
        found.setdefault(str(individual), Counter())[str(gait)] += 1
    return found


def _number(value: float) -> str:
    return "-" if isnan(value) else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
