"""`pose3d labels`: import, export, history, undo, redo, check, rename-keypoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from pose3d.cli._console import console, print_json, print_table

if TYPE_CHECKING:
    from pose3d.labeling import LabelStore
    from pose3d.project import Project

__all__ = ["labels"]

_PROJECT = click.argument("folder", metavar="PROJECT", type=click.Path(path_type=Path))
_FORMATS = "deeplabcut, lightning-pose, sleap, coco, cvat or cvat-coco."
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_AUTHOR = click.option("--author", metavar="NAME", help="Only edits of this author.")


@click.group(epilog="Example: pose3d labels import mice dlc-project")
def labels() -> None:
    """Import, export and look after the labels of a project."""


@labels.command("import", epilog="Example: pose3d labels import mice D:/openfield-Pranav-2018-10-30")
@_PROJECT
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--format", "name", metavar="FORMAT", help=f"Instead of detecting it: {_FORMATS}")
@click.option("--session", metavar="NAME", help="Session of the images; the name of their folder by default.")
@click.option("--camera", metavar="NAME", help="Camera of the images, where the name of their folder does not say it.")
@click.option("--keep", "collisions", flag_value="keep", help="Where labels differ, keep those that are there.")
@click.option("--replace", "collisions", flag_value="replace", help="Where labels differ, take the new ones.")
@_JSON
def import_(
    folder: Path,
    path: Path,
    name: str | None,
    session: str | None,
    camera: str | None,
    collisions: str | None,
    as_json: bool,
) -> None:
    """Import labels of another tool, and copy their images into the project.

    PATH is a file or folder of DeepLabCut, Lightning Pose, SLEAP, COCO or CVAT. Where labels differ from those that
    are there, nothing is imported, unless --keep or --replace says what to do. Every import can be undone.
    """
    from pose3d.pipeline.labels import import_labels

    with console().status(f"Importing {path} ..."):
        outcome = import_labels(
            _project(folder),
            path,
            format=name,
            session=session,
            camera=camera,
            collisions="keep" if collisions == "keep" else "replace" if collisions == "replace" else "refuse",
        )
    if as_json:
        print_json({"project": str(folder), "source": str(path), **vars(outcome)})
        return
    text = f"{outcome.images} new images, {outcome.added} new labels, {outcome.equal} were there already"
    more = {"replaced": outcome.replaced, "kept as they were": outcome.kept}
    console(result=True).print("".join([text, *(f", {count} {what}" for what, count in more.items() if count)]))


@labels.command(epilog="Example: pose3d labels export mice mice-for-sleap --format sleap")
@_PROJECT
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "name",
    required=True,
    metavar="FORMAT",
    help="deeplabcut, lightning-pose, sleap, coco, cvat, cvat-coco.",
)
@click.option("--annotator", metavar="NAME", help="Only what this one labeled.")
@click.option("--sessions", metavar="A,B,...", help="Only these sessions.")
@_JSON
def export(folder: Path, path: Path, name: str, annotator: str | None, sessions: str | None, as_json: bool) -> None:
    """Write the labels, and copies of their images, into a new folder PATH for another tool.

    What the format cannot hold is said in warnings.
    """
    from pose3d.pipeline.labels import export_labels

    chosen = None if sessions is None else [one.strip() for one in sessions.split(",")]
    with console().status(f"Exporting to {path} ..."):
        written = export_labels(_project(folder), path, name, annotator=annotator, sessions=chosen)
    count = int((written.visibility > 0).sum())
    if as_json:
        print_json({"project": str(folder), "format": name, "images": len(written), "labels": count, "path": str(path)})
        return
    console(result=True).print(f"{len(written)} images, {count} labels: {path}", markup=False)


@labels.command(epilog="Example: pose3d labels history mice --count 10")
@_PROJECT
@click.option("--count", type=click.IntRange(1), default=20, show_default=True, help="How many edits, newest first.")
@_JSON
def history(folder: Path, count: int, as_json: bool) -> None:
    """List the edits: who changed what, and when."""
    from rich.markup import escape
    from rich.table import Table

    with _store(folder, read_only=True) as store:
        edits = store.history(count)
    if as_json:
        print_json({"project": str(folder), "edits": [vars(edit) for edit in edits]})
        return
    table = Table("edit", "time (UTC)", "author", "what", "labels", "images", "note")
    for edit in edits:
        what = f"{edit.action} (undone)" if edit.reverted else edit.action
        cells = (edit.number, edit.time[:19].replace("T", " "), edit.author, what, edit.labels, edit.images, edit.note)
        table.add_row(*(escape(str(cell)) for cell in cells))
    print_table(table)


@labels.command(epilog="Example: pose3d labels undo mice")
@_PROJECT
@_AUTHOR
@_JSON
def undo(folder: Path, author: str | None, as_json: bool) -> None:
    """Undo the last edit that is not undone yet; `redo` takes it back."""
    _step(folder, "undo", author, as_json=as_json)


@labels.command(epilog="Example: pose3d labels redo mice")
@_PROJECT
@_AUTHOR
@_JSON
def redo(folder: Path, author: str | None, as_json: bool) -> None:
    """Redo the last edit that was undone, if nothing else was edited since."""
    _step(folder, "redo", author, as_json=as_json)


@labels.command(epilog="Example: pose3d labels check mice")
@_PROJECT
@_JSON
def check(folder: Path, as_json: bool) -> None:
    """Look for damage, missing images and labels outside of their image; exit with 1 where there is any."""
    with _store(folder, read_only=True) as store:
        found = store.check()
        labeled, images = store.labels(), store.images()
    count = int((labeled.visibility > 0).sum())
    if as_json:
        print_json({"project": str(folder), "images": len(images), "labels": count, "findings": list(found)})
    else:
        to_user = console(result=True)
        to_user.print(f"{len(images)} images, {count} labels; {len(found)} findings", markup=False)
        for text in found:
            to_user.print(f"  {text}", markup=False)
    if found:
        raise click.exceptions.Exit(1)


@labels.command("rename-keypoint", epilog="Example: pose3d labels rename-keypoint mice tail tail_base")
@_PROJECT
@click.argument("old")
@click.argument("new")
def rename_keypoint(folder: Path, old: str, new: str) -> None:
    """Give a keypoint another name in the labels, after it was renamed in project.toml."""
    from pose3d.labeling import LabelStore

    project = _project(folder)
    if new not in project.skeleton.keypoints:
        raise click.UsageError(f"Rename '{old}' to '{new}' in [skeleton] of {project.file} first.")
    # Without the skeleton of the project, which has the new name already.
    with LabelStore(project.labels_file) as store:
        store.rename_keypoint(old, new)
    with _store(folder):  # the two fit now, or an error says what is still different
        console(result=True).print(f"'{old}' is '{new}' in all labels.", markup=False)


def _project(folder: Path) -> Project:
    from pose3d.project import find_project

    return find_project(folder)


def _store(folder: Path, *, read_only: bool = False) -> LabelStore:
    from calibration.errors import FileFormatError
    from pose3d.labeling import LabelStore

    project = _project(folder)
    if not project.labels_file.exists():
        raise FileFormatError(
            project.labels_file,
            expected="the labels of the project",
            got="none yet",
            remedy="Extract frames (`pose3d extract-frames`) or import labels (`pose3d labels import`).",
        )
    return LabelStore(project.labels_file, project.skeleton, read_only=read_only)


def _step(folder: Path, action: Literal["undo", "redo"], author: str | None, *, as_json: bool) -> None:
    """One step back or forth in the history, and a line that says which."""
    with _store(folder) as store:
        edit = store.undo(author=author) if action == "undo" else store.redo(author=author)
    if as_json:
        print_json({"project": str(folder), "edit": None if edit is None else vars(edit)})
        return
    text = f"Nothing to {action}." if edit is None else f"{edit.note}: {edit.labels} labels changed."
    console(result=True).print(text, markup=False)
