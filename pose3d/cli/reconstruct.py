"""`pose3d reconstruct`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pose3d.cli._console import console, plain_number, print_json, print_table, progress
from pose3d.cli._identity_inputs import identity_options
from pose3d.cli._identity_tables import identity_as_json, show_identity
from pose3d.cli._reconstruction_inputs import (
    Apart,
    Files,
    Recording,
    input_options,
    output_options,
    read_recording,
    take_files,
    write_others,
)
from pose3d.cli._reconstruction_tables import (
    Columns,
    decimals,
    digits,
    displaced_lines,
    percent,
    plain_row,
    plain_rows,
    statistics_table,
)

if TYPE_CHECKING:
    import xarray as xr
    from rich.table import Table

    from calibration.rig_uncertainty import RigUncertainty
    from pose3d.pipeline import ReconstructionSummary
    from pose3d.reconstruction import TrajectorySettings
    from pose3d.skeleton import Skeleton

__all__ = ["reconstruct"]

_FILE = click.Path(path_type=Path)
_POSITIVE = click.FloatRange(0, min_open=True)
_BY_CAMERA: Columns = {
    "used": ("used", percent),
    "explained": ("explained", percent),
    "median": ("median px", decimals),
    "p95": ("p95 px", decimals),
    "offset": ("offset px", decimals),
}


# The defaults are those of TrajectorySettings (a test compares them); they stand here so that --help loads nothing.
@click.command(
    epilog="Example: pose3d reconstruct --rig calibration.toml --poses2d poses/ -o session.nc --skeleton mouse.toml",
)
@input_options
@click.option("--skeleton", metavar="FILE|NAME", help="Skeleton (TOML), or a preset: body_25, body_25b, coco_17 ...")
@click.option(
    "--motion",
    type=click.Choice(["automatic", "velocity", "acceleration", "jerk"]),
    default="automatic",
    show_default=True,
    help="What stays constant where nothing happens; automatic: what held-out cameras like best.",
)
@click.option(
    "--smoothness",
    type=_POSITIVE,
    help="How suddenly the motion changes, unit/s^2, s^3, s^4 for the three motions [learned]",
)
@click.option("--no-bones", is_flag=True, help="Hold no lengths of bones.")
@click.option(
    "--bone-spread", type=_POSITIVE, default=0.01, show_default=True, help="Share by which a rigid bone varies."
)
@click.option(
    "--longest-gap", type=click.IntRange(0), default=60, show_default=True, help="Frames to bridge without cameras."
)
@click.option("--noise", type=_POSITIVE, help="Standard deviation of a pixel [learned]")
@click.option("--min-confidence", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Ignore less.")
@click.option("--no-repair", is_flag=True, help="Leave left and right as the 2D poses have them.")
@click.option("--lag", type=click.IntRange(0, 500), help="Frames later that count, as live; 0: none [whole recording]")
@click.option("--candidates", type=_FILE, help="Detections with the other peaks, to try where a camera disagrees.")
@click.option(
    "--ensemble", type=_FILE, multiple=True, help="2D poses of another network; where they disagree they count less."
)
@click.option("--with-rig-uncertainty", is_flag=True, help="Add that of cameras and clocks to the covariance.")
@identity_options
@click.option(
    "--identity",
    "way",
    type=click.Choice(["automatic", "find", "keep"]),
    default="automatic",
    show_default=True,
    help="Find out who is who; keep the names of the files; automatic: find where there are several and no names.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of random choices.")
@output_options
def reconstruct(
    skeleton: str | None,
    candidates: Path | None,
    ensemble: tuple[Path, ...],
    with_rig_uncertainty: bool,
    individuals: int | None,
    anchors_path: Path | None,
    way: str,
    **options: Any,
) -> None:
    """Make trajectories of 2D poses and a calibration: 3D poses that use the whole recording.

    Of every keypoint the motion is found that best explains what all cameras saw, smooth as far as the recording itself
    is, with bones of constant length where a skeleton names them, and with the uncertainty of every position. Noise,
    smoothness and bones are learned from the recording. Short gaps are bridged, and left and right exchanged where a
    camera took them for each other.

    Several animals are told apart first, across cameras and time, where the files do not say who is who: see
    `pose3d identify`.
    """
    from pose3d.identity import IdentitySettings
    from pose3d.skeleton import PRESETS, find_skeleton

    read = [] if skeleton is None or skeleton in PRESETS else [Path(skeleton)]
    read += [path for path in (candidates, anchors_path) if path is not None]
    files = take_files(options, further=[*read, *ensemble])
    settings = _settings(options)
    bones = None if skeleton is None else find_skeleton(skeleton)
    stated = {"trajectory": settings, "skeleton": None if bones is None else bones.name}
    uncertainty = _uncertainty(files) if with_rig_uncertainty else None
    with ExitStack() as stack:
        apart = Apart(way, IdentitySettings(individuals=individuals or 0), bones, anchors_path, stack)
        recording = read_recording(files, stated, settings.seed, ensemble=ensemble, further=read, apart=apart)
        if recording.identity is not None and candidates is not None:
            raise click.UsageError("--candidates are those of one animal; here several were told apart.")
        summary = _run(recording, files, bones, settings, candidates, uncertainty)
    written = write_others(files)
    if files.as_json:
        print_json(_as_json(summary, written) | identity_as_json(recording.followed))
    else:
        show_identity(recording.followed)
        _show(summary, bones is not None, written)


def _settings(options: dict[str, Any]) -> TrajectorySettings:
    from pose3d.reconstruction import TrajectorySettings

    if options["smoothness"] is not None and options["motion"] == "automatic":
        raise click.UsageError("--smoothness means something else for every motion: add --motion acceleration, say.")
    return TrajectorySettings(
        motion=options["motion"],
        smoothness=options["smoothness"],
        bones=not options["no_bones"],
        bone_spread=options["bone_spread"],
        longest_gap=options["longest_gap"],
        noise=options["noise"],
        minimum_confidence=options["min_confidence"],
        lag=options["lag"],
        repair_swaps=not options["no_repair"],
        seed=options["seed"],
    )


def _uncertainty(files: Files) -> RigUncertainty:
    """What `pose3d calibrate` wrote beside the rig."""
    from calibration.formats import load_rig_uncertainty

    return load_rig_uncertainty(files.rig)


def _run(
    recording: Recording,
    files: Files,
    skeleton: Skeleton | None,
    settings: TrajectorySettings,
    candidates: Path | None,
    uncertainty: RigUncertainty | None,
) -> ReconstructionSummary:
    from pose3d.formats import load_detections
    from pose3d.pipeline import reconstruct_session

    with progress("Learning (kernels are compiled once, 20 s) ...", recording.poses2d.sizes["time"], "frames") as bar:
        task = bar.task_ids[0]
        return reconstruct_session(
            recording.poses2d,
            recording.rig,
            files.output,
            skeleton=skeleton,
            settings=settings,
            candidates=None if candidates is None else load_detections(candidates),
            uncertainty=uncertainty,
            identity=recording.identity,
            provenance=recording.provenance,
            compression=files.compression,
            learned=lambda _: bar.update(task, description="Reconstructing"),
            progress=lambda frames: bar.advance(task, frames),
        )


def _show(summary: ReconstructionSummary, has_skeleton: bool, written: list[Path]) -> None:
    """The summary as tables and a few lines."""
    from rich.markup import escape

    to = console(result=True)
    to.print(
        f"{summary.frames} frames, {len(summary.cameras)} cameras, {summary.points.sizes['keypoint']} keypoints; "
        f"lengths in {escape(summary.unit)}; constant {summary.motion} where nothing happens"
    )
    if not has_skeleton:
        to.print("No bones are held and left and right are not told apart, since there is no --skeleton.")
    to.print("Errors are those of the 2D positions that were used.")
    print_table(statistics_table("camera", summary.by_camera(), _BY_CAMERA))
    for line in displaced_lines(summary):
        to.print(line)
    print_table(statistics_table("keypoint", summary.by_keypoint(), _by_keypoint(summary), total=summary.overall()))
    for reason, count in summary.missing.items():
        to.print(f"{count} points missing: {reason}")
    if summary.contradicted:
        where = ", ".join(f"{escape(name)} {count}" for name, count in summary.contradicted.items())
        to.print(f"Positions that all cameras contradict: {where}. Is the motion sudden there?")
    if summary.disagreements:
        to.print("Cameras that disagree with the others:")
        print_table(_disagreements(summary))
        if summary.disagreement_count > len(summary.disagreements):
            to.print(f"and {summary.disagreement_count - len(summary.disagreements)} shorter ones")
    for individual in summary.individuals if "bone_length" in summary.learned else ():
        title = "bone" if len(summary.individuals) == 1 else f"bone of {individual}"
        print_table(_bones(summary.learned.sel(individual=individual), title, summary.unit))
    for path in written:
        to.print(f"wrote [bold]{escape(str(path))}[/]")


def _by_keypoint(summary: ReconstructionSummary) -> Columns:
    noise, smoothness = (str(summary.learned[name].attrs["units"]) for name in ("noise", "smoothness"))
    return {
        "used": ("used", percent),
        "median": ("median px", decimals),
        "p95": ("p95 px", decimals),
        "noise": ("noise px" if noise == "px" else "noise factor", decimals),
        "deviation": (f"std {summary.unit}", digits),
        "smoothness": (f"smoothness {smoothness}", digits),
        "repaired": ("repaired", percent),
        "bridged": ("bridged", percent),
        "missing": ("missing", percent),
    }


def _disagreements(summary: ReconstructionSummary) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    several = len(summary.individuals) > 1
    for title in ("camera", "keypoint", *(["individual"] if several else []), "frames"):
        table.add_column(title)
    for each in summary.disagreements:
        names = (each.camera, each.keypoint, *([each.individual] if several else []))
        table.add_row(*map(escape, names), f"{each.first} to {each.last}")
    return table


def _bones(learned: xr.Dataset, title: str, unit: str) -> Table:
    known = learned[["bone_length", "bone_deviation", "bone_length_std"]].rename(bone=title)
    columns: Columns = {
        "bone_length": (f"length {unit}", digits),
        "bone_length_std": ("+-", digits),
        "bone_deviation": ("spread", digits),
    }
    return statistics_table(title, known, columns)


def _as_json(summary: ReconstructionSummary, written: list[Path]) -> dict[str, object]:
    """The summary as plain values; NaN becomes null."""
    learned = summary.learned
    content: dict[str, object] = {
        "frames": summary.frames,
        "unit": summary.unit,
        "individuals": list(summary.individuals),
        "motion": summary.motion,
        "all": plain_row(summary.overall()),
        "cameras": plain_rows("camera", summary.by_camera()),
        "displaced": list(summary.displaced()),
        "keypoints": plain_rows("keypoint", summary.by_keypoint()),
        "missing": summary.missing,
        "contradicted": summary.contradicted,
        "noise": _table_of(learned["noise"]),
        "smoothness": _table_of(learned["smoothness"]),
        "disagreements": [vars(each) for each in summary.disagreements],
        "disagreement_count": summary.disagreement_count,
    }
    if "bone_length" in learned:
        bones = {"length": "bone_length", "length_std": "bone_length_std", "spread": "bone_deviation"}
        content["bones"] = {name: _table_of(learned[variable]) for name, variable in bones.items()}
    return content | {"written": [str(path) for path in written]}


def _table_of(values: xr.DataArray) -> dict[str, object]:
    """Values of two dimensions by name, with their unit."""
    rows, columns = ([str(name) for name in values[dim].values] for dim in values.dims)
    return {
        "units": str(values.attrs["units"]),
        "values": {
            row: dict(zip(columns, map(plain_number, line), strict=True))
            for row, line in zip(rows, values.values.tolist(), strict=True)
        },
    }
