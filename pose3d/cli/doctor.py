"""`pose3d doctor`."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.markup import escape
from rich.table import Table

from pose3d.cli._console import console, print_json, print_table

__all__ = ["doctor"]

_COLORS = {"ok": "green", "missing": "yellow", "broken": "bold red"}


@click.command(epilog="Example: pose3d doctor")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool) -> None:
    """Report versions, optional parts, and how to get what is missing.

    Exits with 1 if something that every command needs is broken.
    """
    from pose3d.doctor import examine

    with console().status("Looking at the installation (compiles the geometry kernels on first use) ..."):
        findings = examine()
    broken = [finding for finding in findings if finding.state == "broken"]
    if as_json:
        print_json({"ok": not broken, "findings": [asdict(finding) for finding in findings]})
    else:
        table = Table(box=None, pad_edge=False)
        for column in ("", "", "state", "", "what to do"):
            table.add_column(column)
        previous = ""
        for finding in findings:
            group = "" if finding.group == previous else finding.group
            previous = finding.group
            state = f"[{_COLORS[finding.state]}]{finding.state}[/]"
            table.add_row(group, finding.name, state, escape(finding.detail), escape(finding.remedy))
        print_table(table)
    if broken:
        raise click.exceptions.Exit(1)
