"""`pose3d report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from pose3d.cli._console import console
from pose3d.cli._paths import check_outputs
from pose3d.cli._two_d import camera_video, found_in_2d

if TYPE_CHECKING:
    from calibration.findings import Verdict
    from pose3d.formats import Session

__all__ = ["report"]

_FILE = click.Path(path_type=Path)


@click.command(
    epilog="Examples: pose3d report session.nc -o session.html --skeleton skeleton.toml;  "
    "pose3d report detections.nc --on top=top.mp4 -o report.html"
)
@click.argument("result", type=_FILE)
@click.option("-o", "--output", type=_FILE, required=True, help="HTML file to write.")
@click.option("--skeleton", "skeleton_name", metavar="TOML|PRESET", help="Skeleton that joins the keypoints in 3D.")
@click.option("--truth", "truth_path", type=_FILE, help="Result file with the true positions, to compare with.")
@click.option("--video", "videos", multiple=True, type=_FILE, help="Video to show in the report; may be repeated.")
@click.option(
    "--on",
    "sources",
    multiple=True,
    metavar="CAMERA=VIDEO",
    help="2D alone: show the worst frames out of this video; may be repeated.",
)
@click.option("--min-confidence", type=click.FloatRange(0, 1), help="2D alone: less counts as not found [0.1]")
def report(
    result: Path,
    output: Path,
    skeleton_name: str | None,
    truth_path: Path | None,
    videos: tuple[Path, ...],
    sources: tuple[str, ...],
    min_confidence: float | None,
) -> None:
    """Write the HTML report of a result file: a verdict, tables and pictures, in one file.

    Of 3D poses it has a 3D view. Of 2D positions alone (detections.nc of `pose3d predict`) it tells per camera and
    keypoint what is found, how sure it is and what jumps, and shows the worst frames.
    """
    on = dict(camera_video(text) for text in sources)
    check_outputs([result, skeleton_name, truth_path, *videos, *on.values()], {"-o": output})
    from pose3d.formats import open_session

    with open_session(result) as session, console().status("Drawing the report ..."):
        if session.poses3d is None and not truth_path:
            verdict = _report_2d(session, output, videos, on, min_confidence)
        elif on or min_confidence is not None:
            raise click.UsageError("--on and --min-confidence are for files with 2D positions alone, as detections.nc.")
        else:
            verdict = _report_3d(session, output, skeleton_name, truth_path, videos)
    to = console(result=True)
    to.print(f"verdict: [bold]{escape(verdict.level.words)}[/]. {escape(verdict.headline)}")
    to.print(f"wrote [bold]{escape(str(output))}[/]")


def _report_2d(
    session: Session, output: Path, videos: tuple[Path, ...], on: dict[str, Path], min_confidence: float | None
) -> Verdict:
    from pose3d.visualization import write_detection_report
    from pose3d.visualization.detection_overlay import MINIMUM_CONFIDENCE

    return write_detection_report(
        output,
        found_in_2d(session),
        videos=on,
        shown={video.stem: video for video in videos},
        minimum_confidence=MINIMUM_CONFIDENCE if min_confidence is None else min_confidence,
        provenance=session.provenance,
        title=session.path.stem,
    )


def _report_3d(
    session: Session, output: Path, skeleton_name: str | None, truth_path: Path | None, videos: tuple[Path, ...]
) -> Verdict:
    from contextlib import ExitStack

    from pose3d.formats import open_session
    from pose3d.skeleton import find_skeleton
    from pose3d.visualization import write_report

    with ExitStack() as stack:
        truth = stack.enter_context(open_session(truth_path)).require("poses3d") if truth_path else None
        return write_report(
            output,
            poses3d=session.require("poses3d"),
            poses2d=session.poses2d,
            kinematics=session.kinematics,
            identity=session.identity,
            rig=session.rig,
            skeleton=find_skeleton(skeleton_name) if skeleton_name else None,
            truth=truth,
            videos={video.stem: video for video in videos},
            provenance=session.provenance,
            title=session.path.stem,
        )
