"""`pose3d new`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from pose3d.cli._console import console, print_json

__all__ = ["new"]


@click.command(epilog="Example: pose3d new mice --cameras left,right,top --skeleton mouse.toml")
@click.argument("folder", metavar="NAME", type=click.Path(path_type=Path))
@click.option("--cameras", required=True, metavar="A,B,...", help="Names of the cameras, with commas between.")
@click.option("--skeleton", required=True, metavar="PRESET|FILE", help="The keypoints: a preset, or a TOML file.")
@click.option(
    "--individuals",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="How many animals there are in a picture; 0: not known.",
)
@click.option("--title", metavar="TEXT", help="What reports call the project; the name of the folder by default.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def new(folder: Path, cameras: str, skeleton: str, individuals: int, title: str | None, as_json: bool) -> None:
    """Make a project: a folder with a file project.toml that holds the skeleton, the cameras and all settings.

    NAME is a new folder. Nothing that exists is overwritten.
    """
    from pose3d.pipeline.projects import new_project
    from pose3d.skeleton import find_skeleton

    names = [name.strip() for name in cameras.split(",") if name.strip()]
    project = new_project(folder, cameras=names, skeleton=find_skeleton(skeleton), name=title, individuals=individuals)
    if as_json:
        print_json(
            {
                "project": str(folder),
                "cameras": list(project.cameras),
                "keypoints": list(project.skeleton.keypoints),
                "individuals": individuals,
                "written": [str(folder / project.file.name)],
            }
        )
        return
    to_user = console(result=True)
    count = len(project.skeleton.keypoints)
    to_user.print(
        f"Project with {len(names)} cameras and {count} keypoints: {folder / project.file.name}", markup=False
    )
    first = shlex.quote(f"{names[0]}=VIDEO")
    to_user.print(f"Next: pose3d add-session {shlex.quote(str(folder))} SESSION {first} ...", markup=False)
