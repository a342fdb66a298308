"""`pose3d refine`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pose3d.cli._console import console, plain_number, print_json, print_table
from pose3d.cli._networks import prepare_backend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pose3d.pipeline.suggestions import SuggestedFrame

__all__ = ["refine"]


@click.command(epilog="Example: pose3d refine mice --count 10")
@click.argument("folder", metavar="PROJECT", type=click.Path(path_type=Path))
@click.option("--run", "name", metavar="NAME", help="The network; the newest by default.")
@click.option("--count", type=click.IntRange(1), default=10, show_default=True, help="Instants to add per session.")
@click.option("--sessions", metavar="A,B,...", help="Only these sessions.")
@click.option("--look-at", type=click.IntRange(2), default=200, show_default=True, help="Instants to try per session.")
@click.option("--rig", type=click.Path(path_type=Path), help="Calibration, to compare cameras with.")
@click.option("--json", "as_json", is_flag=True, help="Print what was added as JSON.")
def refine(
    folder: Path, name: str | None, count: int, sessions: str | None, look_at: int, rig: Path | None, as_json: bool
) -> None:
    """Choose the frames to label next: where the network is unsure, jumps, or the cameras disagree.

    Their images are added to the labels of the project, in all cameras of the session. Label them, then train again.
    The calibration of the project, calibration/rig.toml, is used where it is there.
    """
    prepare_backend()
    from pose3d.pipeline.evaluation import find_run
    from pose3d.pipeline.suggestions import suggest_frames
    from pose3d.project import find_project

    project = find_project(folder)
    own = project.root / "calibration" / "rig.toml"
    with console().status("Loading the network ...") as status:
        suggested, done = suggest_frames(
            project,
            find_run(project, name),
            count,
            sessions=None if sessions is None else [one.strip() for one in sessions.split(",") if one.strip()],
            looked_at=look_at,
            rig=rig or (own if own.exists() else None),
            progress=lambda what, number, total: status.update(f"{what}: {number} of {total} frames"),
        )
    if as_json:
        print_json(
            {
                "project": str(folder),
                "suggested": [_as_json(one) for one in suggested],
                "images": sum(one.added for one in done),
            }
        )
        return
    _show(suggested)
    to_user = console(result=True)
    for one in done:
        for note in one.notes:
            to_user.print(f"{one.session}: {note}", markup=False)
    to_user.print(
        f"{sum(one.added for one in done)} images added. Label them, then: pose3d train {folder}", markup=False
    )


def _as_json(one: SuggestedFrame) -> dict[str, object]:
    values = {key: plain_number(getattr(one, key)) for key in ("doubt", "jumps", "apart")}
    return {"session": one.session, "frames": dict(one.frames), "reason": one.reason, **values}


def _show(suggested: Sequence[SuggestedFrame]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("session", "frames", "why", "unsure", "jumps", "cameras disagree")
    for one in suggested:
        frames = ", ".join(f"{camera} {frame}" for camera, frame in one.frames.items())
        apart = "–" if one.apart != one.apart else f"{one.apart:.0%}"
        cells = (one.session, frames, one.reason, f"{one.doubt:.0%}", f"{one.jumps:.0%}", apart)
        table.add_row(*map(escape, cells))
    print_table(table)
