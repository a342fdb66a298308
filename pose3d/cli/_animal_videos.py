"""The part of `pose3d simulate` that renders videos of the animals, and labels of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from calibration.errors import InvalidValueError, OutputError
from calibration.files import atomic_path
from pose3d.cli._console import console, progress

if TYPE_CHECKING:
    from pose3d.synthetic import Scene
    from pose3d.synthetic.rendering import PictureSettings

__all__ = ["AnimalPlan", "animal_files", "animal_options", "plan_animals", "take_animal_options", "write_animals"]

_FOLDER = "videos"
_TRUTH = "truth2d.nc"
_SESSION = "simulated"

# The defaults are those of PictureSettings (a test compares them).
_OPTIONS = (
    click.option(
        "--videos-of",
        default="all",
        type=click.Choice(["all", "animals", "board"]),
        help="What --videos shows.",
        show_default=True,
    ),
    click.option("--clutter", default=6, type=click.IntRange(0, 100), help="Things on the floor.", show_default=True),
    click.option(
        "--labels",
        type=click.IntRange(1),
        help="Also make a project with the true labels of so many frames of each camera.",
    ),
)
_NAMES = ("videos_of", "clutter", "labels")


def animal_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of this module to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_animal_options(options: dict[str, object]) -> dict[str, Any]:
    """Take the options of this module out of those of the command."""
    return {name: options.pop(name) for name in _NAMES}


@dataclass(frozen=True)
class AnimalPlan:
    """How to render, and how many frames of each camera to label (None: no labels)."""

    settings: PictureSettings
    labels: int | None


def plan_animals(
    options: Mapping[str, Any], pictures: Mapping[str, Any], *, frame_rate: float, frame_count: int
) -> AnimalPlan | None:
    """The settings, before any work is done; None where no videos of animals are wanted.

    Args:
        options: of `take_animal_options`.
        pictures: of `take_board_options`: exposure, defocus and noise hold for all videos.
        frame_rate: frames per second; frame_count: of all frames.

    Raises:
        UsageError: a setting is out of its range, or labels are asked for without videos of animals.
    """
    if not pictures["videos"] or options["videos_of"] == "board":
        if options["labels"] is not None:
            raise click.UsageError("--labels takes its images from the videos of the animals; give --videos too.")
        return None
    from pose3d.synthetic.rendering import PictureSettings

    try:
        settings = PictureSettings(
            exposure=pictures["exposure"] / 1000,
            defocus=pictures["defocus"],
            noise=pictures["image_noise"],
            clutter=options["clutter"],
        )
    except InvalidValueError as error:
        option = {"noise": "image-noise"}.get(error.subject, error.subject)
        raise click.UsageError(f"--{option}: expected {error.expected}. {error.remedy}") from error
    if settings.exposure * frame_rate >= 1:
        raise click.UsageError(
            f"--exposure: expected less than the {1000 / frame_rate:g} ms between two frames of --frame-rate."
        )
    if options["labels"] is not None and options["labels"] > frame_count:
        raise click.UsageError(f"--labels: expected 1 to {frame_count} frames, as many as a video has.")
    return AnimalPlan(settings, options["labels"])


def animal_files(names: tuple[str, ...], plan: AnimalPlan) -> dict[str, str]:
    """What is written of cameras of these names: file -> content."""
    files = {
        **{f"{_FOLDER}/{name}.mp4": f"the animals, as {name} sees them" for name in names},
        _TRUTH: "true pixels of every keypoint in /poses2d, what each camera sees in /visibility",
    }
    if plan.labels is not None:
        files["project.toml"] = "a project with these videos"
        files["labels.sqlite"] = "its labels, all of them true; their images are in labels/frames"
    return files


def write_animals(output: Path, scene: Scene, plan: AnimalPlan, provenance: Mapping[str, object]) -> None:
    """Render the animals of a scene, and write `animal_files`."""
    from pose3d.formats import save_session
    from pose3d.synthetic.pixel_truth import true_poses2d, true_visibility
    from pose3d.synthetic.videos import write_animal_videos

    total = scene.settings.frame_count * len(scene.rig)
    with progress("Filming animals", total, "pictures") as bar:
        write_animal_videos(
            scene,
            output / _FOLDER,
            plan.settings,
            on_progress=lambda done, _: bar.update(bar.task_ids[0], completed=done),
        )
    with console().status("Looking what is hidden ..."):
        visibility = true_visibility(scene, plan.settings)
    with atomic_path(output / _TRUTH) as partial:
        save_session(partial, poses2d=true_poses2d(scene), provenance=provenance, compression=1)
        visibility.to_dataset().to_netcdf(
            partial, mode="a", group="visibility", engine="netcdf4", encoding={"visibility": {"zlib": True}}
        )
    if plan.labels is not None:
        _write_project(output, scene, plan, visibility)


def _write_project(output: Path, scene: Scene, plan: AnimalPlan, visibility: Any) -> None:
    from pose3d.labeling import LabelStore
    from pose3d.pipeline.projects import default_settings
    from pose3d.project import Project, save_project
    from pose3d.synthetic.labels import ANNOTATOR, labels_of_scene, write_label_images

    videos = {name: f"{_FOLDER}/{name}.mp4" for name in scene.rig.names}
    root = output.absolute()
    labels = labels_of_scene(
        scene, plan.labels or 1, videos=videos, root=root, session=_SESSION, settings=plan.settings,
        visibility=visibility,
    )  # fmt: skip
    write_label_images(labels)
    _remove_old(root / "labels.sqlite")
    with LabelStore.create(root / "labels.sqlite", scene.skeleton, author=ANNOTATOR) as store:
        store.import_labels(labels, note="pose3d simulate")
    save_project(
        Project(
            root,
            root.name,
            scene.skeleton,
            scene.rig.names,
            {_SESSION: videos},
            default_settings(scene.skeleton, scene.settings.individuals),
        )
    )


def _remove_old(path: Path) -> None:
    """Remove the labels of an earlier simulation, but nothing that a person did."""
    from pose3d.labeling import LabelStore
    from pose3d.synthetic.labels import ANNOTATOR

    if not path.exists():
        return
    with LabelStore(path, read_only=True) as store:
        people = [name for name in store.annotators() if name != ANNOTATOR]
    if people:
        raise OutputError(
            path,
            expected="no labels, or only those of an earlier simulation",
            got=f"labels of {', '.join(people)}",
            remedy="Choose another folder; nothing that a person labeled is overwritten.",
        )
    path.unlink()
