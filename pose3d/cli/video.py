"""`pose3d video`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from pose3d.cli._console import console, progress
from pose3d.cli._paths import check_outputs
from pose3d.cli._two_d import camera_video, found_in_2d, skeleton_for

if TYPE_CHECKING:
    import xarray as xr

    from pose3d.formats import Session

__all__ = ["video"]

_FILE = click.Path(path_type=Path)


@click.command(
    epilog="Examples: pose3d video session.nc -o skeleton.mp4;  "
    "pose3d video session.nc --on cam_1=cam_1.mp4 -o overlay.mp4;  "
    "pose3d video detections.nc --on top=top.mp4 -o overlay.mp4"
)
@click.argument("result", type=_FILE)
@click.option("-o", "--output", type=_FILE, required=True, help="Video file to write (.mp4).")
@click.option("--skeleton", "skeleton_name", metavar="TOML|PRESET", help="Skeleton that joins the keypoints.")
@click.option("--on", "source", metavar="CAMERA=VIDEO", help="Draw on the video of this camera instead of in 3D.")
@click.option(
    "--first-frame",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Frame number of the video's first frame.",
)
@click.option("--min-confidence", type=click.FloatRange(0, 1), help="2D alone: draw no keypoint with less [0.1]")
@click.option("--trail", type=click.IntRange(0), metavar="N", help="2D alone: show the way of the last N frames [10]")
@click.option(
    "--color-by",
    type=click.Choice(["keypoint", "confidence", "individual"]),
    help="2D alone: what colors mean [keypoint; individual where there are several]",
)
def video(
    result: Path,
    output: Path,
    skeleton_name: str | None,
    source: str | None,
    first_frame: int,
    min_confidence: float | None,
    trail: int | None,
    color_by: str | None,
) -> None:
    """Draw a result file as a video: skeletons in 3D, or 2D positions and reprojected 3D poses on a camera's video.

    A file with 2D positions alone (detections.nc of `pose3d predict`) is drawn on the video: a dot per keypoint, its
    way in the last frames, bones where a skeleton is given or the file lies in a project, and less probable places as
    small dots.
    """
    from pose3d.formats import open_session

    on = camera_video(source) if source else None
    check_outputs([result, skeleton_name, on[1] if on else None], {"-o": output})
    looks = {"minimum_confidence": min_confidence, "trail": trail, "color_by": color_by}
    given = {name: value for name, value in looks.items() if value is not None}
    with open_session(result) as session:
        if session.poses3d is not None and given:
            raise click.UsageError(
                "--min-confidence, --trail and --color-by are for files with 2D positions alone, as detections.nc."
            )
        found = session.poses3d if session.poses3d is not None else found_in_2d(session)
        with progress("Drawing", found.sizes["time"], "frames") as bar:

            def show(done: int, total: int) -> None:
                bar.update(bar.task_ids[0], completed=done, total=total)

            if session.poses3d is not None:
                _draw_3d(session, session.poses3d, output, skeleton_name, on, first_frame, show)
            else:
                _draw_2d(session, found, output, skeleton_name, on, first_frame, given, show)
    console(result=True).print(f"wrote [bold]{escape(str(output))}[/]")


def _draw_3d(
    session: Session,
    poses3d: xr.Dataset,
    output: Path,
    skeleton_name: str | None,
    on: tuple[str, Path] | None,
    first_frame: int,
    show: Callable[[int, int], None],
) -> None:
    from calibration.errors import FileFormatError
    from pose3d.skeleton import find_skeleton
    from pose3d.visualization import overlay_video, skeleton_video

    skeleton = find_skeleton(skeleton_name) if skeleton_name else None
    if on is None:
        skeleton_video(poses3d, skeleton, output, rig=session.rig, on_progress=show)
        return
    if session.rig is None:
        raise FileFormatError(
            session.path,
            expected="a result file with the group /rig",
            got="none",
            remedy="Make it with `pose3d triangulate`, which keeps the calibration with the result.",
        )
    camera, path = on
    flat = None if session.poses2d is None else _count_from(session.poses2d, first_frame)
    solid = _count_from(poses3d, first_frame)
    overlay_video(path, flat, solid, session.rig, camera, output, skeleton=skeleton, on_progress=show)


def _draw_2d(
    session: Session,
    found: xr.Dataset,
    output: Path,
    skeleton_name: str | None,
    on: tuple[str, Path] | None,
    first_frame: int,
    looks: Mapping[str, object],
    show: Callable[[int, int], None],
) -> None:
    from pose3d.visualization import DetectionOverlaySettings, detection_video

    cameras = [str(name) for name in found["camera"].values]
    if on is None:
        name = cameras[0] if cameras else "CAMERA"
        raise click.UsageError(
            f"{session.path} has 2D positions alone: say on which video to draw them, --on {name}=VIDEO "
            f"(cameras: {', '.join(cameras)}). `pose3d triangulate` makes 3D poses."
        )
    skeleton = skeleton_for(skeleton_name, session.path, [str(name) for name in found["keypoint"].values])
    settings = DetectionOverlaySettings(**looks)  # type: ignore[arg-type] # click checked the values
    camera, path = on
    numbered = _count_from(found, first_frame)
    detection_video(path, numbered, camera, output, skeleton=skeleton, settings=settings, on_progress=show)


def _count_from(poses: xr.Dataset, first_frame: int) -> xr.Dataset:
    """The poses from that frame on, which becomes frame 0, as videos count."""
    if first_frame == 0:
        return poses
    import numpy as np

    kept = poses.isel(time=np.flatnonzero(poses["frame"].values >= first_frame))
    return kept.assign_coords(frame=kept["frame"] - first_frame)
