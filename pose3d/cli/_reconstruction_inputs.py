"""What the commands that make 3D poses of 2D poses have in common: options, reading, and further formats to write."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from calibration.errors import SuiteError
from pose3d.cli._console import console
from pose3d.cli._identity_inputs import Sources, find_animals
from pose3d.cli._paths import check_outputs, path_of

if TYPE_CHECKING:
    import xarray as xr

    from calibration.rig import Rig
    from pose3d.identity import IdentitySettings
    from pose3d.pipeline.identification import IdentitySummary
    from pose3d.skeleton import Skeleton

__all__ = [
    "Apart",
    "Files",
    "Recording",
    "input_options",
    "output_options",
    "read_recording",
    "take_files",
    "write_others",
]

_FILE = click.Path(path_type=Path)

_INPUTS = (
    click.option(
        "--rig", "rig_path", type=_FILE, required=True, help="Calibration file or folder; the format is detected."
    ),
    click.option(
        "--poses2d",
        "named",
        multiple=True,
        metavar="PATH...",
        help="Files or folders of 2D poses, or NAME=PATH by camera.",
    ),
    click.argument("more", nargs=-1, metavar=""),
    click.option("-o", "--output", type=_FILE, required=True, help="netCDF file to write."),
    click.option("--format", "format_", metavar="NAME", help="Format of the 2D poses instead of detecting it."),
    click.option("--rig-format", metavar="NAME", help="Format of the calibration instead of detecting it."),
    click.option("--keypoints", metavar="NAME", help="Keypoint set of OpenPose files: body_25, body_25b, coco_18 ..."),
    click.option("--unit", metavar="UNIT", help="Length unit of the calibration, where its file does not say it."),
    click.option("--frame-rate", type=click.FloatRange(0, min_open=True), help="Frames per second of the recording."),
    click.option(
        "--sync", "sync_path", type=_FILE, help="sync.toml of `pose3d sync`, for cameras not triggered together."
    ),
)
_OUTPUTS = (
    click.option(
        "--compression", type=click.IntRange(0, 9), default=0, show_default=True, help="zlib level of the file."
    ),
    click.option("--csv", type=_FILE, help="Also write a tidy CSV table."),
    click.option("--trc", type=_FILE, help="Also write a TRC file (OpenSim)."),
    click.option("--deeplabcut", type=_FILE, help="Also write the DeepLabCut 3D layout (.csv or .h5)."),
    click.option("--anipose", type=_FILE, help="Also write Anipose's pose-3d CSV."),
    click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON."),
)
# The option of each further format, and what writes it.
_WRITERS = {"csv": "write_csv", "trc": "write_trc", "deeplabcut": "write_deeplabcut3d", "anipose": "write_anipose3d"}


def input_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what to read, and the file to write."""
    for option in reversed(_INPUTS):
        command = option(command)
    return command


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how to write the result, and as what else."""
    for option in reversed(_OUTPUTS):
        command = option(command)
    return command


@dataclass(frozen=True)
class Files:
    """What the user named.

    Attributes:
        rig, sync: the calibration; the clocks, or None.
        poses2d: files or folders of 2D poses, or NAME=PATH.
        output: the result file.
        others: further files to write, by format; None where not wanted.
        format, rig_format, keypoints, unit, frame_rate: of what is read, None where it says so itself.
        compression: zlib level of the result file.
        as_json: whether the summary is printed as JSON.
    """

    rig: Path
    sync: Path | None
    poses2d: tuple[str, ...]
    output: Path
    others: dict[str, Path | None]
    format: str | None
    rig_format: str | None
    keypoints: str | None
    unit: str | None
    frame_rate: float | None
    compression: int
    as_json: bool

    @property
    def read(self) -> list[str | Path]:
        """All that is read, without the names of `NAME=PATH`."""
        return [self.rig, *([] if self.sync is None else [self.sync]), *map(path_of, self.poses2d)]


def take_files(options: dict[str, Any], *, further: Sequence[Path | None] = ()) -> Files:
    """Take the options of this module out of those of the command.

    Args:
        options: what click made of the command line; without these options afterwards.
        further: other files that the command reads.

    Raises:
        click.UsageError: no 2D poses are named, or a file to write is one that is read or written already.
    """
    named, more = options.pop("named"), options.pop("more")
    files = Files(
        rig=options.pop("rig_path"),
        sync=options.pop("sync_path"),
        poses2d=(*named, *more),
        format=options.pop("format_"),
        others={name: options.pop(name) for name in _WRITERS},
        **{name: options.pop(name) for name in ("output", "rig_format", "keypoints", "unit", "frame_rate")},
        **{name: options.pop(name) for name in ("compression", "as_json")},
    )
    if not files.poses2d:
        raise click.UsageError("Say where the 2D poses are: --poses2d PATH...")
    outputs = {"-o": files.output, **{f"--{name}": path for name, path in files.others.items()}}
    check_outputs([*files.read, *further], outputs)
    return files


@dataclass(frozen=True)
class Recording:
    """What was read.

    Attributes:
        poses2d: Poses2D Dataset, at common instants.
        rig: the cameras.
        provenance: of the result.
        identity, followed: who is who and what there is to say of it, where animals were told apart; or None.
    """

    poses2d: xr.Dataset
    rig: Rig
    provenance: dict[str, object]
    identity: xr.Dataset | None = None
    followed: IdentitySummary | None = None


@dataclass(frozen=True)
class Apart:
    """How animals are told apart that nobody told apart.

    Attributes:
        way: "automatic": where there are several and the files do not say who is who; "find" or "keep".
        settings: how, with their number.
        skeleton: of the animals, or None.
        anchors: file of what a person recognized, or None.
        stack: closes what is open, and removes files that are no result.
    """

    way: str
    settings: IdentitySettings
    skeleton: Skeleton | None
    anchors: Path | None
    stack: ExitStack


def read_recording(
    files: Files,
    settings: object,
    seed: int,
    *,
    ensemble: Sequence[Path] = (),
    further: Sequence[Path] = (),
    apart: Apart | None = None,
) -> Recording:
    """Read calibration and 2D poses, and load the kernels that all reconstruction starts with.

    Args:
        files: what the user named.
        settings, seed: what stands in the provenance.
        ensemble: 2D poses of other networks, of the same videos.
        further: other files that the result is made from.
        apart: how several animals are told apart; None: they are taken as the files have them.

    Raises:
        click.UsageError: a TRC file is wanted, and the frame rate is unknown; an ensemble of animals that are not told
            apart.
        SuiteError: a file cannot be read.
    """
    from calibration.formats import load_rig
    from calibration.triangulation import prepare
    from pose3d.formats.provenance import provenance_of

    rig = load_rig(files.rig, format=files.rig_format, unit=files.unit)
    found = None if apart is None else _told_apart(files, rig, apart)
    if found is not None and ensemble:
        raise click.UsageError("--ensemble needs animals that are told apart: do it with `pose3d identify` before.")
    with console().status("Reading the 2D poses ..."):
        # first, since to close a file closes it for all that read it
        who = _kept_identity(files) if found is None and apart is not None else None
        poses2d = _poses2d(files, rig, ensemble) if found is None else found[0]
        provenance = provenance_of([*files.read, *ensemble, *further], settings, seed)
    if files.others["trc"] is not None and "fps" not in poses2d.attrs:
        raise click.UsageError("--trc needs the frame rate, which the 2D poses do not tell: add --frame-rate.")
    with console().status("Loading the geometry kernels (compiled once, about 10 s) ..."):
        prepare()
    if found is not None:
        return Recording(poses2d, rig, provenance, *found[1:])
    return Recording(poses2d, rig, provenance, who)


def _kept_identity(files: Files) -> xr.Dataset | None:
    """The Identity that stands beside the 2D poses, to be kept beside the 3D poses; only of a file by itself."""
    from pose3d.formats import are_told_apart, open_session

    if len(files.poses2d) != 1 or files.sync is not None or not are_told_apart(list(files.poses2d)):
        return None
    with open_session(files.read[-1]) as session:
        return None if session.identity is None else session.identity.load()


def _poses2d(files: Files, rig: Rig, ensemble: Sequence[Path]) -> xr.Dataset:
    """2D poses whose individuals are the same in all cameras and frames."""
    members = [_loaded(files, rig, paths) for paths in (files.poses2d, *([str(path)] for path in ensemble))]
    poses2d = members[0] if len(members) == 1 else _combined(members)
    return poses2d if files.sync is None else _synchronized(poses2d, files.sync)


def _loaded(files: Files, rig: Rig, paths: Sequence[str]) -> xr.Dataset:
    from pose3d.formats import load_poses2d

    return load_poses2d(
        list(paths), rig=rig, format=files.format, frame_rate=files.frame_rate, keypoints=files.keypoints
    )


def _told_apart(files: Files, rig: Rig, apart: Apart) -> tuple[xr.Dataset, xr.Dataset, IdentitySummary] | None:
    """2D poses of animals that nobody told apart, with their Identity; None where somebody did, or there is one."""
    from pose3d.formats import are_told_apart, holds_candidates, read_anchors

    paths = list(files.poses2d)
    if apart.way == "keep" or (apart.way == "automatic" and are_told_apart(paths, format=files.format)):
        return None
    if apart.way == "automatic" and not _are_several(files, rig, apart, candidates=holds_candidates(paths)):
        return None
    anchors = () if apart.anchors is None else read_anchors(apart.anchors)
    sources = Sources(files.poses2d, files.format, files.frame_rate, files.keypoints, files.sync)
    return find_animals(
        sources,
        rig,
        files.output,
        apart.stack,
        skeleton=apart.skeleton,
        settings=apart.settings,
        anchors=anchors,
    )


def _are_several(files: Files, rig: Rig, apart: Apart, *, candidates: bool) -> bool:
    """Whether there is more than one animal in a camera.

    Where there are names that no two cameras share, or animals that nobody put together, only `load_instances` reads
    them. Of candidates the most probable ones are one animal's where nobody says that there are more, and where they
    are of this suite's networks, which order them so.
    """
    if candidates and apart.settings.individuals != 0:
        return apart.settings.individuals > 1
    from pose3d.formats import load_instances

    with warnings.catch_warnings(), console().status("Reading the 2D poses ..."):
        warnings.simplefilter("ignore")  # they are said again by who reads the files for good
        try:
            return int(_loaded(files, rig, files.poses2d).sizes["individual"]) > 1
        except SuiteError:
            if candidates:
                return True
        try:
            found = load_instances(list(files.poses2d), rig=rig, format=files.format, keypoints=files.keypoints)
            return int(found.sizes["instance"]) > 1
        except SuiteError:
            return False  # who reads them for good says what is wrong


def _combined(members: list[xr.Dataset]) -> xr.Dataset:
    """The 2D poses of several networks as one."""
    from pose3d.reconstruction import combine_ensemble

    return combine_ensemble(members)


def _synchronized(poses2d: xr.Dataset, path: Path) -> xr.Dataset:
    """The poses at common instants, by the clocks of the file."""
    from calibration.synchronization import load_synchronization
    from pose3d.reconstruction import apply_synchronization

    return apply_synchronization(poses2d, load_synchronization(path))


def write_others(files: Files) -> list[Path]:
    """Write the formats that were asked for from the finished file; returns all that is written, that file first."""
    from pose3d import formats

    wanted = {name: path for name, path in files.others.items() if path is not None}
    written = [files.output]
    if not wanted:
        return written
    with formats.open_session(files.output) as session:
        poses3d = session.require("poses3d")
        for name, path in wanted.items():
            with console().status(f"Writing {path} ..."):
                written += getattr(formats, _WRITERS[name])(poses3d, path)
    return written
