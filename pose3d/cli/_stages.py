"""Running the stages of a project in front of somebody: what `pose3d run` and `pose3d demo` share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape

from pose3d.cli._console import progress

if TYPE_CHECKING:
    from rich.progress import Progress

    from pose3d.pipeline.stages import StageOutcome
    from pose3d.project import Project

__all__ = ["colored_state", "outcome_as_json", "run_stages_shown"]

_COLORS = {"done": "green", "failed": "red", "outdated": "yellow", "to do": "yellow", "changed by hand": "cyan"}


def run_stages_shown(
    project: Project, sessions: Sequence[str] = (), *, dry_run: bool = False, quiet: bool = False
) -> list[StageOutcome]:
    """Run a project with a progress bar, and a line for every stage unless it is to be quiet."""
    from pose3d.pipeline.project_run import run_project

    with progress("Starting", 1, "") as bar:
        return run_project(
            project,
            sessions=sessions,
            dry_run=dry_run,
            report=None if quiet else lambda outcome: _tell(outcome, bar),
            progress=lambda what, done, total: bar.update(
                bar.task_ids[0], description=what, completed=done, total=total
            ),
        )


def _tell(outcome: StageOutcome, bar: Progress) -> None:
    line = f"{escape(outcome.group)}: {outcome.stage}: {colored_state(outcome)}"
    bar.console.print(line + (f" ({escape(outcome.reason)})" if outcome.reason and not outcome.ran else ""))
    if outcome.note:
        bar.console.print(f"  {outcome.note}", markup=False)
    if outcome.state.value == "failed" and outcome.ran:
        bar.console.print(f"[red]{escape(outcome.reason)}[/]")
        if outcome.details:
            bar.console.print("This is a defect of pose3d; its details:\n" + escape(outcome.details))


def colored_state(outcome: StageOutcome) -> str:
    """Its state, in color."""
    color = _COLORS.get(outcome.state.value)
    return f"[{color}]{outcome.state.value}[/]" if color else outcome.state.value


def outcome_as_json(outcome: StageOutcome) -> dict[str, object]:
    """For programs."""
    return {
        "session": outcome.group,
        "stage": outcome.stage,
        "state": outcome.state.value,
        "ran": outcome.ran,
        "reason": outcome.reason,
        "note": outcome.note,
    }
