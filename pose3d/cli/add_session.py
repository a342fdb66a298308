"""`pose3d add-session`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pose3d.cli._console import console, print_json

if TYPE_CHECKING:
    from pose3d.project import Project

__all__ = ["add_session"]


@click.command(
    "add-session", epilog="Example: pose3d add-session mice day1 left=D:/videos/1_left.mp4 right=D:/videos/1_right.mp4"
)
@click.argument("folder", metavar="PROJECT", type=click.Path(path_type=Path))
@click.argument("session")
@click.argument("videos", metavar="CAMERA=VIDEO... | FOLDER", nargs=-1, required=True)
@click.option("--link", is_flag=True, help="Make links instead of copies; the project can then not be moved.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def add_session(folder: Path, session: str, videos: tuple[str, ...], link: bool, as_json: bool) -> None:
    """Add a recording to a project.

    SESSION is a new name. The videos are named for each camera, or by a FOLDER whose files have the names of the
    cameras in their names. Videos inside the project stay where they are; others are copied to
    sessions/SESSION/CAMERA, or linked. Nothing is overwritten.
    """
    from calibration.video import open_video
    from pose3d import project as projects

    project = projects.find_project(folder)
    chosen = _videos(project, videos)
    sizes = {}
    for camera, path in chosen.items():
        # A video that cannot be read is better known now than after the copy.
        with open_video(path) as video:
            sizes[camera] = {
                "frames": len(video),
                "seconds": round(float(video.times[-1]), 3),
                "width": video.size[0],
                "height": video.size[1],
            }
    with console().status("Adding the videos ..."):
        result = projects.add_session(project, session, chosen, link=link)
    if as_json:
        added = {camera: {"video": place, **sizes[camera]} for camera, place in result.sessions[session].items()}
        print_json({"project": str(folder), "session": session, "cameras": added})
        return
    to_user = console(result=True)
    for camera, place in result.sessions[session].items():
        told = sizes[camera]
        text = f"{camera}: {place}, {told['frames']} frames, {told['seconds']} s, {told['width']}x{told['height']}"
        to_user.print(text, markup=False)


def _videos(project: Project, words: tuple[str, ...]) -> dict[str, Path]:
    from pose3d.project import videos_in_folder

    if len(words) == 1 and Path(words[0]).is_dir():
        return videos_in_folder(words[0], project.cameras)
    chosen: dict[str, Path] = {}
    for word in words:
        camera, equals, path = word.partition("=")
        if not equals or not path:
            raise click.UsageError(f"'{word}' is neither CAMERA=VIDEO nor a folder.")
        if camera in chosen:
            raise click.UsageError(f"Camera '{camera}' has two videos.")
        chosen[camera] = Path(path).expanduser()
    return chosen
