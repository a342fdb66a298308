"""`pose3d report`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from pose3d.cli._console import console
from pose3d.cli._paths import check_outputs

__all__ = ["report"]

_FILE = click.Path(path_type=Path)


@click.command(epilog="Example: pose3d report session.nc -o session.html --skeleton skeleton.toml")
@click.argument("result", type=_FILE)
@click.option("-o", "--output", type=_FILE, required=True, help="HTML file to write.")
@click.option("--skeleton", "skeleton_name", metavar="TOML|PRESET", help="Skeleton that joins the keypoints.")
@click.option("--truth", "truth_path", type=_FILE, help="Result file with the true positions, to compare with.")
@click.option("--video", "videos", multiple=True, type=_FILE, help="Video to show in the report; may be repeated.")
def report(
    result: Path, output: Path, skeleton_name: str | None, truth_path: Path | None, videos: tuple[Path, ...]
) -> None:
    """Write the HTML report of a result file: a verdict, tables, pictures and a 3D view, in one file."""
    check_outputs([result, skeleton_name, truth_path, *videos], {"-o": output})
    from contextlib import ExitStack

    from pose3d.formats import open_session
    from pose3d.skeleton import find_skeleton
    from pose3d.visualization import write_report

    with ExitStack() as stack:
        session = stack.enter_context(open_session(result))
        truth = stack.enter_context(open_session(truth_path)).require("poses3d") if truth_path else None
        stack.enter_context(console().status("Drawing the report ..."))
        verdict = write_report(
            output,
            poses3d=session.require("poses3d"),
            poses2d=session.poses2d,
            rig=session.rig,
            skeleton=find_skeleton(skeleton_name) if skeleton_name else None,
            truth=truth,
            videos={video.stem: video for video in videos},
            provenance=session.provenance,
            title=result.stem,
        )
    to = console(result=True)
    to.print(f"verdict: [bold]{escape(verdict.level.words)}[/]. {escape(verdict.headline)}")
    to.print(f"wrote [bold]{escape(str(output))}[/]")
