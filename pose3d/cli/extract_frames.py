"""`pose3d extract-frames`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pose3d.cli._console import console, print_json

if TYPE_CHECKING:
    from pose3d.labeling.selection import ExtractionSettings
    from pose3d.project import Project

__all__ = ["extract_frames"]


@click.command("extract-frames", epilog="Example: pose3d extract-frames mice --count 20 --count day2=40")
@click.argument("folder", metavar="PROJECT", type=click.Path(path_type=Path))
@click.option(
    "--count",
    multiple=True,
    metavar="N|SESSION=N",
    help="Frames per video, for all or for one session (the others keep theirs).",
)
@click.option("--method", type=click.Choice(["kmeans", "uniform"]), help="Frames that differ, or evenly spread.")
@click.option("--sessions", metavar="A,B,...", help="Only these sessions.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def extract_frames(
    folder: Path, count: tuple[str, ...], method: str | None, sessions: str | None, as_json: bool
) -> None:
    """Choose frames to label and write them into the project.

    The cameras of a session give the same instants. What was extracted before stays and counts: a second run adds only
    what is missing. Options that are not given are those of project.toml.
    """
    from pose3d.pipeline import extraction
    from pose3d.project import find_project

    project = find_project(folder)
    settings = _settings(project, count, method)
    names = None if sessions is None else [name.strip() for name in sessions.split(",") if name.strip()]
    with console().status("Reading the videos ...") as status:
        done = extraction.extract_frames(
            project,
            settings,
            sessions=names,
            progress=lambda what, number, total: status.update(f"{what}: {number} of {total} frames"),
        )
    if as_json:
        found = [{**vars(one), "cameras": list(one.cameras), "notes": list(one.notes)} for one in done]
        print_json({"project": str(folder), "method": settings.method, "sessions": found})
        return
    to_user = console(result=True)
    for one in done:
        text = f"{one.session}: {one.added} images added, {one.present} were there; {one.instants} instants of "
        to_user.print(text + f"{len(one.cameras)} cameras", markup=False)
        for note in one.notes:
            to_user.print(f"  {note}", markup=False)


def _settings(project: Project, count: tuple[str, ...], method: str | None) -> ExtractionSettings:
    """The settings of the project, with what was typed instead."""
    from dataclasses import replace

    from pose3d.labeling.selection import ExtractionSettings

    settings = project.settings_of("extraction", ExtractionSettings)
    for word in count:
        session, equals, number = word.rpartition("=")
        if not number.isdigit():
            raise click.UsageError(f"--count {word}: expected a number, or SESSION=NUMBER.")
        if equals:
            settings = replace(settings, quotas={**settings.quotas, session: int(number)})
        else:
            settings = replace(settings, count=int(number))
    return settings if method is None else replace(settings, method="uniform" if method == "uniform" else "kmeans")
