"""`pose3d simulate`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from calibration.errors import InvalidValueError, OutputError
from calibration.files import atomic_path, write_text
from pose3d.cli._animal_videos import (
    animal_files,
    animal_options,
    plan_animals,
    take_animal_options,
    write_animals,
)
from pose3d.cli._board_videos import (
    board_files,
    board_options,
    check_folder,
    plan_videos,
    summary,
    take_board_options,
    write_board_videos,
)
from pose3d.cli._console import console, print_json, progress

if TYPE_CHECKING:
    from calibration.synthetic.recordings import BoardRecording
    from pose3d.synthetic import Scene, SimulationSettings

__all__ = ["simulate"]

_FILES = {
    "rig.toml": "the cameras",
    "skeleton.toml": "keypoints, edges, mirrored pairs and bones",
    "poses2d.nc": "what the detector reports, in /poses2d",
    "truth.nc": "true positions in /poses3d, steps in /gait, what is true of each 2D position in /labels2d",
}
_INSTANCES = {"instances.nc": "the same of a detector that does not know who is who, in /instances"}

# The defaults are those of SimulationSettings (a test compares them); they stand here so that --help loads nothing.
_SHARE = click.FloatRange(0.0, 1.0)
_POSITIVE = click.FloatRange(0.0, min_open=True)


@click.command(
    epilog="Example: pose3d simulate -o demo --seed 1 --cameras 4 --individuals 2 --false-rate 0.05\n\n"
    "With board videos: pose3d simulate -o rig --videos --cameras 4 --size 640 480 --focal-length 700"
)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder to write to.")
@click.option("--seed", default=0, type=click.IntRange(0), help="Seed of all random draws.", show_default=True)
@click.option("--individuals", default=1, type=click.IntRange(1), help="Number of animals.", show_default=True)
@click.option(
    "--paths",
    type=click.Choice(["shared", "crossing"]),
    help="Do animals follow each other, or do they meet?  [default: crossing, of several]",
)
@click.option(
    "--huddles",
    type=click.FloatRange(0.0, 0.8),
    help="Share of the time in which crossing animals stand together.  [default: 0.15, of several]",
)
@click.option(
    "--size-spread",
    type=click.FloatRange(0.0, 0.2),
    help="How much animals differ in size and proportions, as a share.  [default: 0.06, of several that cross]",
)
@click.option("--duration", default=10.0, type=_POSITIVE, help="Seconds.", show_default=True)
@click.option("--frame-rate", default=100.0, type=_POSITIVE, help="Frames per second.", show_default=True)
@click.option("--body-length", default=80.0, type=_POSITIVE, help="Nose to tail base, mm.", show_default=True)
@click.option("--speed", default=150.0, type=_POSITIVE, help="Mean walking speed, mm/s.", show_default=True)
@click.option("--stride", default=0.6, type=_POSITIVE, help="Stride length, body lengths.", show_default=True)
@click.option(
    "--duty-factor", default=0.65, type=_SHARE, help="Share of a stride with ground contact.", show_default=True
)
@click.option(
    "--gait", default="walk", type=click.Choice(["walk", "trot"]), help="Order of the feet.", show_default=True
)
@click.option("--cameras", default=6, type=click.IntRange(1), help="Number of cameras.", show_default=True)
@click.option("--distance", type=_POSITIVE, help="Of the cameras from the middle, mm.  [default: sees everything]")
@click.option(
    "--size", default=(1280, 1024), type=click.IntRange(1), nargs=2, help="Width and height, px.", show_default=True
)
@click.option("--focal-length", default=1400.0, type=_POSITIVE, help="Pixels.", show_default=True)
@click.option(
    "--lens",
    default="brown5",
    type=click.Choice(["pinhole", "brown4", "brown5", "brown8", "brown12", "brown14", "fisheye"]),
    help="Lens model; the number counts its distortion coefficients.",
    show_default=True,
)
@click.option("--noise", default=1.0, type=click.FloatRange(0.0), help="RMS noise per axis, px.", show_default=True)
@click.option("--outlier-rate", default=0.05, type=_SHARE, help="Share of wrong 2D positions.", show_default=True)
@click.option("--dropout-rate", default=0.05, type=_SHARE, help="Share of missing 2D positions.", show_default=True)
@click.option("--swap-rate", default=0.0, type=_SHARE, help="Share of left-right pairs exchanged.", show_default=True)
@click.option("--missed-rate", default=0.0, type=_SHARE, help="Share of animals missed by a camera.", show_default=True)
@click.option(
    "--false-rate",
    default=0.0,
    type=_SHARE,
    help="Animals that are none in instances.nc, per camera and frame, as a share of the animals.",
    show_default=True,
)
@click.option(
    "--occlusion",
    default="guess",
    type=click.Choice(["guess", "drop", "none"]),
    help="Keypoints behind a body: guessed with 6 times the noise, not reported, or seen through it.",
    show_default=True,
)
@board_options
@animal_options
@click.option("--force", is_flag=True, help="Overwrite files of an earlier simulation.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def simulate(output: Path, force: bool, as_json: bool, **options: object) -> None:
    """Make a rig and moving animals with known truth, and videos of them and of a calibration board.

    Quadrupeds walk on curved paths in front of calibrated cameras, and a detector with known faults reports their
    keypoints. Written are rig.toml, skeleton.toml, poses2d.nc and truth.nc; the same options give the same files.
    Several animals meet on crossing paths, and instances.nc is what a detector reports that does not know who is who.

    With --videos the cameras film, too. videos/ gets the animals, with the true pixels in truth2d.nc. A board is
    carried through the same cameras: calibration/ gets the video of each, board.toml and timestamps.csv, all that
    `pose3d calibrate` needs, and board_truth.nc says what it should find. With --labels the folder becomes a project
    with true labels, so that a network can be trained without labeling anything.
    """
    animals, videos = take_animal_options(options), take_board_options(options)
    frame_rate, duration = (float(str(options[name])) for name in ("frame_rate", "duration"))
    # A duration or rate that is no number is told when the settings are made.
    frame_count = round(frame_rate * duration) if frame_rate * duration < 1e12 else 0
    animal_plan = plan_animals(animals, videos, frame_rate=frame_rate, frame_count=frame_count)
    with_board = videos["videos"] and animals["videos_of"] != "animals"
    files = dict(_FILES)
    if _has_instances(options):
        files |= _INSTANCES
    if animal_plan is not None:
        files |= animal_files(_camera_names(options), animal_plan)
    if with_board:
        files |= board_files(_camera_names(options))
    present = [name for name in files if (output / name).exists()]
    if present and not force:
        raise OutputError(
            output,
            expected="a folder without an earlier simulation",
            got=", ".join(present),
            remedy="Choose another folder, or overwrite them with --force.",
        )
    plan = plan_videos(videos | {"videos": with_board}, seed=int(str(options["seed"])))
    if plan is not None:
        check_folder(output, files)
    scene = _run(options)
    with console().status("Writing ..."):
        provenance = _write(scene, output, with_instances=_has_instances(options))
    if animal_plan is not None:
        write_animals(output, scene, animal_plan, provenance)
    recording = None if plan is None else write_board_videos(output, scene.rig, plan)
    _report(scene, recording, output, files, as_json=as_json)


def _report(
    scene: Scene, recording: BoardRecording | None, output: Path, files: dict[str, str], *, as_json: bool
) -> None:
    shares = {name: float(scene.labels2d[name].mean()) for name in ("visible", "occluded", "outlier", "swapped")}
    shares["missing"] = float(scene.poses2d["position"].isnull().any("space").mean())
    sizes = {name: (output / name).stat().st_size for name in files}
    if as_json:
        content: dict[str, object] = {
            "folder": str(output),
            "files": [{"name": name, "content": files[name], "bytes": size} for name, size in sizes.items()],
            "settings": dataclasses.asdict(scene.settings),
            "shares": shares,
        }
        print_json(content | ({} if recording is None else {"videos": summary(recording)}))
        return
    to = console(result=True)
    to.print(
        f"{scene.settings.frame_count} frames, {len(scene.rig)} cameras, {len(scene.skeleton.keypoints)} keypoints"
    )
    to.print("2D positions: " + ", ".join(f"{share:.1%} {name}" for name, share in shares.items()))
    if recording is not None:
        to.print(f"{recording.picture_count} pictures of a {escape(str(recording.board))}")
    for name, size in sizes.items():
        to.print(f"{escape(str(output / name))}  ({size / 1000:.0f} kB)  {files[name]}")


def _has_instances(options: dict[str, object]) -> bool:
    """Is it a question who is who?"""
    return options["individuals"] != 1 or bool(options["missed_rate"]) or bool(options["false_rate"])


def _camera_names(options: dict[str, object]) -> tuple[str, ...]:
    """The names that `make_rig` gives, known before anything is made."""
    return tuple(f"cam_{number}" for number in range(1, int(str(options["cameras"])) + 1))


def _run(options: dict[str, object]) -> Scene:
    from pose3d.synthetic import SimulationSettings
    from pose3d.synthetic import simulate as run

    try:
        settings = SimulationSettings(**options)  # type: ignore[arg-type]  # click has converted and named them
        with progress("Simulating", settings.frame_count, "frames") as bar:
            return run(settings, on_progress=lambda done, _: bar.update(bar.task_ids[0], completed=done))
    except InvalidValueError as error:
        raise click.UsageError(str(error)) from error


def _write(scene: Scene, folder: Path, *, with_instances: bool) -> dict[str, object]:
    """Write the scene; returns its provenance."""
    from calibration.formats import save_rig
    from pose3d.formats import save_session
    from pose3d.formats.provenance import provenance_of
    from pose3d.skeleton import skeleton_text

    provenance = provenance_of((), settings=_settings(scene.settings), seed=scene.settings.seed)
    save_rig(scene.rig, folder / "rig.toml")
    write_text(folder / "skeleton.toml", skeleton_text(scene.skeleton))
    save_session(folder / "poses2d.nc", poses2d=scene.poses2d, provenance=provenance, compression=1)
    truth = {"gait": scene.gait, "labels2d": scene.labels2d}
    if with_instances:
        save_session(folder / "instances.nc", instances=scene.instances, provenance=provenance, compression=1)
        truth["labels_instances"] = scene.instance_truth
    with atomic_path(folder / "truth.nc") as partial:
        save_session(partial, rig=scene.rig, poses3d=scene.poses3d, provenance=provenance, compression=1)
        for group, dataset in truth.items():
            encoding = {
                name: {"zlib": True, "complevel": 1} for name, data in dataset.items() if data.dtype.kind in "fbi"
            }
            dataset.to_netcdf(partial, mode="a", group=group, engine="netcdf4", encoding=encoding)
    return provenance


def _settings(settings: SimulationSettings) -> dict[str, object]:
    return dataclasses.asdict(settings) | {"size": list(settings.size)}
