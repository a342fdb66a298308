"""`pose3d identify`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pose3d.cli._console import console, print_json
from pose3d.cli._identity_inputs import Sources, follow_animals, identity_options, read_animals
from pose3d.cli._identity_tables import identity_as_json, show_identity
from pose3d.cli._paths import check_outputs, path_of

if TYPE_CHECKING:
    from pose3d.pipeline.identification import IdentitySummary

__all__ = ["identify"]

_FILE = click.Path(path_type=Path)
_POSITIVE = click.FloatRange(0, min_open=True)


# The defaults are those of IdentitySettings (a test compares them); they stand here so that --help loads nothing.
@click.command(
    epilog="Example: pose3d identify --rig rig.toml --poses2d poses/ -o who.nc --individuals 4\n\n"
    "Corrections: pose3d identify who.nc -o corrected.nc --anchors anchors.csv"
)
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@click.option("--poses2d", "named", multiple=True, metavar="PATH...", help="Files or folders, or NAME=PATH by camera.")
@click.option("--rig", "rig_path", type=_FILE, help="Calibration; without it, one camera is followed in its image.")
@click.option("-o", "--output", type=_FILE, required=True, help="netCDF file to write.")
@identity_options
@click.option("--skeleton", metavar="FILE|NAME", help="Skeleton whose edges tell animals apart, or a preset.")
@click.option("--format", "format_", metavar="NAME", help="Format of the 2D poses instead of detecting it.")
@click.option("--rig-format", metavar="NAME", help="Format of the calibration instead of detecting it.")
@click.option("--keypoints", metavar="NAME", help="Keypoint set of OpenPose files: body_25, body_25b, coco_18 ...")
@click.option("--unit", metavar="UNIT", help="Length unit of the calibration, where its file does not say it.")
@click.option("--frame-rate", type=_POSITIVE, help="Frames per second of the recording.")
@click.option("--sync", "sync_path", type=_FILE, help="sync.toml, for cameras not triggered together.")
@click.option("--noise", type=_POSITIVE, help="Standard deviation of a pixel [learned]")
@click.option("--min-confidence", type=click.FloatRange(0, 1), default=0.05, show_default=True, help="Ignore less.")
@click.option(
    "--absence", type=_POSITIVE, default=1.0, show_default=True, help="Seconds for which motion says where it is."
)
@click.option("--no-shape", is_flag=True, help="Lengths between keypoints say nothing.")
@click.option("--no-appearance", is_flag=True, help="What instances look like says nothing.")
@click.option(
    "--trust-tracks", type=click.FloatRange(0), default=2.0, show_default=True, help="What tracks of the source count."
)
@click.option(
    "--sure", type=click.FloatRange(0.5, 1), default=0.9, show_default=True, help="Below, two cameras leave it open."
)
@click.option("--compression", type=click.IntRange(0, 9), default=0, show_default=True, help="zlib level of the file.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def identify(
    paths: tuple[str, ...],
    named: tuple[str, ...],
    rig_path: Path | None,
    output: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Find out who is who among several animals, across cameras and time.

    Instances of all cameras are grouped by how well their rays meet, together with the animals that are followed; where
    two might have been exchanged, the whole recording decides, and the moment is listed. Written are /poses2d, with one
    name per animal in all cameras and frames, and /identity, with the confidence of every frame.

    With --anchors and a file that this command wrote, only names are found again.
    """
    sources = (*named, *paths)
    if not sources:
        raise click.UsageError("Say where the 2D poses are: --poses2d PATH...")
    read = [path_of(text) for text in sources]
    others = [path for path in (rig_path, options["anchors_path"], options["sync_path"]) if path is not None]
    check_outputs([*read, *others], {"-o": output})
    if _was_identified(sources):
        _check_correction(rig_path, options)
        summary, changed = _correct(Path(sources[0]), output, options["anchors_path"], options["compression"])
    else:
        summary, changed = _find(sources, [*read, *others], rig_path, output, options), None
    if as_json:
        told = identity_as_json(summary) | {"written": [str(output)]}
        print_json(told if changed is None else told | {"changed": changed})
        return
    show_identity(summary)
    if changed is not None:
        runs = ", ".join(f"{first} to {last}" for first, last in changed[:8])
        console(result=True).print(f"Frames with other names now: {runs or 'none'}" + (" ..." if changed[8:] else ""))
    console(result=True).print(f"wrote [bold]{output}[/]")


def _check_correction(rig_path: Path | None, options: dict[str, Any]) -> None:
    """A correction needs anchors, and finds nothing but names."""
    if options["anchors_path"] is None:
        raise click.UsageError("In this file animals were told apart: say with --anchors what to correct.")
    given = {"--rig": rig_path, "--individuals": options["individuals"], "--skeleton": options["skeleton"]}
    given |= {"--noise": options["noise"], "--sync": options["sync_path"]}
    ignored = [name for name, value in given.items() if value is not None]
    if ignored:
        raise click.UsageError(f"A correction finds names again and nothing else: leave out {', '.join(ignored)}.")


def _was_identified(sources: tuple[str, ...]) -> bool:
    """Whether the only source is a file that has an Identity."""
    from calibration.errors import SuiteError
    from pose3d.formats import open_session

    if len(sources) != 1 or not Path(sources[0]).is_file():
        return False
    try:
        with open_session(sources[0]) as session:
            return session.identity is not None
    except SuiteError:
        return False  # who reads it says what is wrong


def _find(
    sources: tuple[str, ...], read: list[Path], rig_path: Path | None, output: Path, options: dict[str, Any]
) -> IdentitySummary:
    from calibration.formats import load_rig
    from pose3d.formats import read_anchors
    from pose3d.formats.provenance import provenance_of
    from pose3d.identity import IdentitySettings
    from pose3d.skeleton import PRESETS, find_skeleton

    # what is wrong in it is better told now than later
    anchors = () if options["anchors_path"] is None else read_anchors(options["anchors_path"])
    skeleton = options["skeleton"]
    bones = None if skeleton is None else find_skeleton(skeleton)
    rig = None if rig_path is None else load_rig(rig_path, format=options["rig_format"], unit=options["unit"])
    settings = IdentitySettings(
        individuals=options["individuals"] or 0,
        noise=options["noise"],
        minimum_confidence=options["min_confidence"],
        longest_absence=options["absence"],
        shape=not options["no_shape"],
        appearance=not options["no_appearance"],
        trust_tracks=options["trust_tracks"],
        sure=options["sure"],
    )
    given = Sources(sources, options["format_"], options["frame_rate"], options["keypoints"], options["sync_path"])
    own = [] if skeleton is None or skeleton in PRESETS else [Path(skeleton)]
    with ExitStack() as stack:
        instances = read_animals(given, rig, bones, settings.individuals, output, stack)
        return follow_animals(
            instances,
            rig,
            output,
            skeleton=bones,
            settings=settings,
            anchors=anchors,
            sync=options["sync_path"],
            provenance=provenance_of([*read, *own], settings),
            compression=options["compression"],
        )


def _correct(
    source: Path, output: Path, anchors_path: Path, compression: int
) -> tuple[IdentitySummary, list[tuple[int, int]]]:
    from pose3d.formats import read_anchors
    from pose3d.formats.provenance import provenance_of
    from pose3d.pipeline.correction import correct_session

    anchors = read_anchors(anchors_path)
    if not anchors:
        raise click.UsageError(f"{anchors_path} has a header and no line: there is nothing to correct.")
    with console().status("Finding names again ..."):
        return correct_session(
            source,
            output,
            anchors,
            provenance=provenance_of([source, anchors_path]),
            compression=compression,
        )
