"""What `video` and `report` do with a file that holds 2D positions alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from calibration.errors import FileFormatError

if TYPE_CHECKING:
    import xarray as xr

    from pose3d.formats import Session
    from pose3d.skeleton import Skeleton

__all__ = ["camera_video", "found_in_2d", "skeleton_for"]


def camera_video(text: str) -> tuple[str, Path]:
    """Camera and video of "CAMERA=VIDEO".

    Raises:
        click.UsageError: it is not of that form.
    """
    camera, _, path = text.partition("=")
    if not (camera and path):
        raise click.UsageError(f"--on wants CAMERA=VIDEO, as cam_1=videos/cam_1.mp4; got '{text}'.")
    return camera, Path(path)


def found_in_2d(session: Session) -> xr.Dataset:
    """The detections of a file without 3D poses, else its 2D poses.

    Raises:
        FileFormatError: it has neither, nor 3D poses.
    """
    for found in (session.detections, session.poses2d):
        if found is not None:
            return found
    raise FileFormatError(
        session.path,
        expected="a file with 2D or 3D positions: the groups /detections, /poses2d or /poses3d",
        got="only /rig",
        remedy="Give the detections.nc of `pose3d predict`, or the session.nc of `pose3d triangulate`.",
    )


def skeleton_for(name: str | None, result: Path, keypoints: list[str]) -> Skeleton | None:
    """The skeleton that was asked for; else that of the project around the file, if it is one of these keypoints.

    Raises:
        FileFormatError: the skeleton that was asked for cannot be read.
    """
    from pose3d.project import find_project
    from pose3d.skeleton import find_skeleton

    if name:
        return find_skeleton(name)
    try:
        skeleton = find_project(result.parent).skeleton
    except FileFormatError:
        return None
    return skeleton if set(keypoints) <= set(skeleton.keypoints) else None
