"""`pose3d video`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from pose3d.cli._console import console, progress
from pose3d.cli._paths import check_outputs

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["video"]

_FILE = click.Path(path_type=Path)


@click.command(
    epilog="Examples: pose3d video session.nc -o skeleton.mp4;  "
    "pose3d video session.nc --on cam_1=cam_1.mp4 -o overlay.mp4"
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
def video(result: Path, output: Path, skeleton_name: str | None, source: str | None, first_frame: int) -> None:
    """Draw a result file as a video: the skeletons in 3D, or the 2D and reprojected 3D poses on a camera's video."""
    from calibration.errors import FileFormatError
    from pose3d.formats import open_session
    from pose3d.skeleton import find_skeleton
    from pose3d.visualization import overlay_video, skeleton_video

    camera, _, path = (source or "").partition("=")
    if source and not (camera and path):
        raise click.UsageError(f"--on wants CAMERA=VIDEO, as cam_1=videos/cam_1.mp4; got '{source}'.")
    check_outputs([result, skeleton_name, path or None], {"-o": output})
    skeleton = find_skeleton(skeleton_name) if skeleton_name else None
    with open_session(result) as session:
        poses3d = session.require("poses3d")
        with progress("Drawing", poses3d.sizes["time"], "frames") as bar:

            def show(done: int, total: int) -> None:
                bar.update(bar.task_ids[0], completed=done, total=total)

            if source:
                if session.rig is None:
                    raise FileFormatError(
                        result,
                        expected="a result file with the group /rig",
                        got="none",
                        remedy="Make it with `pose3d triangulate`, which keeps the calibration with the result.",
                    )
                rig = session.rig
                flat = None if session.poses2d is None else _count_from(session.poses2d, first_frame)
                solid = _count_from(poses3d, first_frame)
                overlay_video(path, flat, solid, rig, camera, output, skeleton=skeleton, on_progress=show)
            else:
                skeleton_video(poses3d, skeleton, output, rig=session.rig, on_progress=show)
    console(result=True).print(f"wrote [bold]{escape(str(output))}[/]")


def _count_from(poses: xr.Dataset, first_frame: int) -> xr.Dataset:
    """The poses from that frame on, which becomes frame 0, as videos count."""
    if first_frame == 0:
        return poses
    import numpy as np

    kept = poses.isel(time=np.flatnonzero(poses["frame"].values >= first_frame))
    return kept.assign_coords(frame=kept["frame"] - first_frame)
