"""What the user sees: messages, warnings, progress bars and tables. Everything but results goes to standard error."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from calibration.errors import SuiteError, SuiteWarning

__all__ = ["console", "plain_number", "print_error", "print_json", "print_table", "progress", "showing_warnings"]


def console(*, result: bool = False) -> Console:
    """A console on standard output for results, on standard error for everything else."""
    return Console(file=sys.stdout if result else sys.stderr, highlight=False, soft_wrap=True)


def print_error(error: SuiteError | str) -> None:
    """Show an error, its four parts on lines of their own."""
    to = console()
    if isinstance(error, SuiteError):
        to.print(f"[bold red]Error[/]: {escape(error.subject)}")
        to.print(f"  expected: {escape(error.expected)}")
        to.print(f"  got:      {escape(error.got)}")
        to.print(f"  [bold]{escape(error.remedy)}[/]")
    else:
        to.print(f"[bold red]Error[/]: {escape(error)}")


def print_json(content: Mapping[str, object]) -> None:
    """One JSON object on standard output."""
    sys.stdout.write(json.dumps(content, indent=2, allow_nan=False, default=str) + "\n")


def plain_number(value: float) -> float | None:
    """A number as JSON knows it: null where it is missing or infinite."""
    return float(value) if abs(value) < float("inf") else None


def print_table(table: Table) -> None:
    """A table on standard output, as wide as it needs where the output is no terminal."""
    to = console(result=True)
    if not to.is_terminal:
        to = Console(file=sys.stdout, width=160)
    to.print(table)


@contextmanager
def progress(description: str, total: int, unit: str) -> Iterator[Progress]:
    """A progress bar on standard error with one task; advance it with `bar.advance(bar.task_ids[0], n)`."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(), transient=True) as bar:
        bar.add_task(description, total=total)
        yield bar


@contextmanager
def showing_warnings(*, everything: bool) -> Iterator[None]:
    """Show our own warnings as one line each, once each; those of libraries only if `everything`."""
    seen: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = str(message)
        if text in seen or not (everything or issubclass(category, SuiteWarning)):
            return
        seen.add(text)
        place = "" if issubclass(category, SuiteWarning) else f" ({category.__name__}, {filename}:{lineno})"
        console().print(f"[yellow]Warning[/]: {escape(text)}{escape(place)}")

    warnings.simplefilter("always")
    original = warnings.showwarning
    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = original
