"""`pose3d run` and `pose3d status`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from pose3d.cli._console import console, print_json
from pose3d.cli._stages import colored_state, outcome_as_json, run_stages_shown

if TYPE_CHECKING:
    from pose3d.pipeline.stages import StageOutcome

__all__ = ["run", "status"]

_PROJECT = click.Path(path_type=Path)


@click.command(epilog="Example: pose3d run mice")
@click.argument("project_path", metavar="PROJECT", type=_PROJECT)
@click.option("--session", "sessions", multiple=True, metavar="NAME", help="Only this session; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done, and why.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def run(project_path: Path, sessions: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Do all that is not done yet, for every session of a project.

    The rig from the board videos in PROJECT/calibration (when it is missing); 2D poses by the newest network in
    PROJECT/models; of several animals, who is who; 3D poses; overlay videos; a report. What is done and unchanged is
    skipped. A session that fails does not stop the others. After an interruption the same command goes on.
    """
    from pose3d.pipeline.stages import names_of
    from pose3d.project import find_project

    project = find_project(project_path)
    outcomes = run_stages_shown(project, sessions, dry_run=dry_run, quiet=as_json)
    failed = names_of(outcomes)
    if as_json:
        print_json({"stages": [outcome_as_json(one) for one in outcomes], "failed": failed})
    elif not dry_run:
        _conclude(outcomes, failed, project.root)
    if failed:
        raise click.exceptions.Exit(1)


@click.command(epilog="Example: pose3d status mice")
@click.argument("project_path", metavar="PROJECT", type=_PROJECT)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(project_path: Path, as_json: bool) -> None:
    """Say what there is of every session of a project: done, outdated and why, to do, or failed and why."""
    from rich.table import Table

    from pose3d.pipeline.project_run import run_project
    from pose3d.project import find_project

    outcomes = run_project(find_project(project_path), dry_run=True)
    if as_json:
        print_json({"stages": [outcome_as_json(one) for one in outcomes]})
        return
    table = Table("session", "stage", "state", "why", box=None, pad_edge=False)
    for one in outcomes:
        table.add_row(escape(one.group), one.stage, colored_state(one), escape(one.reason))
    console(result=True).print(table)


def _conclude(outcomes: list[StageOutcome], failed: list[str], root: Path) -> None:
    to = console(result=True)
    ran = sum(one.ran and one.group not in failed for one in outcomes)
    to.print(f"{ran} stages done now, {len(outcomes) - sum(one.ran for one in outcomes)} were not needed or not tried.")
    if failed:
        to.print(f"[red]failed:[/] {escape(', '.join(failed))}. Mend what the messages say and type the same again.")
    else:
        to.print(f"Next: open the reports in [bold]{escape(str(root / 'reports'))}[/] in a browser.")
