"""`pose3d kinematics`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pose3d.cli._console import console, print_json, progress
from pose3d.cli._kinematics_tables import as_json, show
from pose3d.cli._paths import check_outputs

if TYPE_CHECKING:
    import xarray as xr

    from pose3d.kinematics import KinematicsSettings
    from pose3d.skeleton import Leg, Skeleton

__all__ = ["kinematics"]

_FILE = click.Path(path_type=Path)
# The choices are those of the settings (a test compares them); they stand here so that --help loads nothing.
_QUANTITIES = (
    "velocity, speed, acceleration, jerk, curvature, body_speed, body_axis, center_of_mass, bone_lengths, "
    "joint_angles, joint_coordinates, gait"
)
_OPTIONS = (
    click.option("-o", "--output", type=_FILE, help="netCDF file to write.  [default: IN itself, a result file]"),
    click.option("--skeleton", help="TOML file with a skeleton, or a preset.  [default: that of the project of IN]"),
    click.option("--leg", "legs", multiple=True, metavar="NAME=FOOT[,HEEL[,TOE]]", help="A leg, by its keypoints."),
    click.option("--only", metavar="NAMES", help=f"What the group is to hold, with commas: {_QUANTITIES}."),
    click.option(
        "--derivatives",
        type=click.Choice(["automatic", "savgol", "central", "spline", "trajectory"]),
        default="automatic",
        show_default=True,
        help="How to differentiate.",
    ),
    click.option(
        "--window", type=click.FloatRange(0, min_open=True), help="Of savgol, in seconds.  [default: 7 frames]"
    ),
    click.option(
        "--method",
        type=click.Choice(["automatic", "speed", "height_speed", "zeni", "high_pass"]),
        default="automatic",
        show_default=True,
        help="How to find steps.",
    ),
    click.option(
        "--surface",
        type=click.Choice(["automatic", "overground", "treadmill"]),
        default="automatic",
        show_default=True,
        help="What is walked on.",
    ),
    click.option("--belt-speed", type=float, help="Of a treadmill, in the length unit per second.  [default: found]"),
    click.option(
        "--up",
        type=click.Choice(["automatic", "x", "y", "z", "-x", "-y", "-z"]),
        default="automatic",
        show_default=True,
        help="The axis that points up.",
    ),
    click.option("--events", "events_path", type=_FILE, help="Events to use instead of finding them: CSV or C3D."),
    click.option("--format", "format_", metavar="NAME", help="Format of IN instead of detecting it."),
    click.option("--frame-rate", type=click.FloatRange(0, min_open=True), help="Frames per second of IN."),
    click.option("--unit", metavar="UNIT", help="Length unit of IN, where it does not say it."),
    click.option("--save-events", type=_FILE, help="Also write the events as a CSV table that can be edited."),
    click.option("--csv", "csv_folder", type=_FILE, help="Also write everything as tidy CSV tables into this folder."),
    click.option("--parquet", "parquet_folder", type=_FILE, help="The same as Parquet."),
    click.option("--mot", type=_FILE, help="Also write the joint angles as an OpenSim motion file."),
    click.option("--c3d", type=_FILE, help="Also write positions, events and joint angles as C3D."),
    click.option("--trc", type=_FILE, help="Also write the positions for OpenSim, with y up."),
    click.option("--marker-set", type=_FILE, help="Also write an OpenSim marker set (.xml) with their names."),
    click.option("--figures", "figures_folder", type=_FILE, help="Also write the figures as PNG into this folder."),
    click.option("--json", "json_wanted", is_flag=True, help="Print the summary as JSON."),
)


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(
    epilog="Example: pose3d kinematics results/walk.nc --csv tables\n\n"
    "A file of another program: pose3d kinematics trial.c3d -o trial.nc --leg left=LANK,LHEE,LTOE "
    "--leg right=RANK,RHEE,RTOE"
)
@click.argument("source", metavar="IN", type=_FILE)
@_options
def kinematics(source: Path, output: Path | None, json_wanted: bool, **options: Any) -> None:
    """Compute velocities, joint angles, gait and what else moves, with the uncertainty of every number.

    IN is a result file, to which the group /kinematics is added, or 3D poses of another program (movement, DeepLabCut,
    Anipose, TRC, C3D); then -o names the file to write. Angles, joints, legs and masses are those of the skeleton: its
    TOML file names them, and presets have them.
    """
    from pose3d.formats import open_session

    own = options["format_"] is None and source.suffix.lower() == ".nc" and _is_result(source)
    if output is None and not own:
        raise click.UsageError(f"{source} is no result file, to which the kinematics could be added: add -o OUT.nc")
    target = output or source
    _check_paths(source, target, own, options)
    settings = _settings(options)
    if own:
        with open_session(source) as session:
            poses3d = _with_frame_rate(session.require("poses3d"), options["frame_rate"])
            _work(poses3d, source, target, settings, options, own=True, json_wanted=json_wanted)
        return
    from pose3d.formats import load_poses3d

    with console().status(f"Reading {source} ..."):
        poses3d = load_poses3d(
            source, format=options["format_"], frame_rate=options["frame_rate"], unit=options["unit"]
        )
    _work(poses3d, source, target, settings, options, own=False, json_wanted=json_wanted)


def _is_result(source: Path) -> bool:
    """Whether a netCDF file has the group /poses3d; one that cannot be read is taken for one, and the error is told."""
    import netCDF4

    try:
        with netCDF4.Dataset(source) as content:
            return "poses3d" in content.groups or "position" not in content.variables
    except OSError:
        return True


def _check_paths(source: Path, target: Path, own: bool, options: dict[str, Any]) -> None:
    names = ("mot", "c3d", "trc", "marker_set", "save_events")
    outputs = {f"--{name.replace('_', '-')}": options[name] for name in names}
    read = [options["events_path"], *([] if own and target == source else [source])]
    check_outputs(read, {"-o": target, **outputs})
    check_outputs([source], outputs)


def _settings(options: dict[str, Any]) -> KinematicsSettings:
    from calibration.errors import InvalidValueError
    from pose3d.kinematics import DerivativeSettings, GaitSettings, KinematicsSettings

    try:
        chosen = {} if options["only"] is None else {"quantities": tuple(options["only"].replace(" ", "").split(","))}
        return KinematicsSettings(
            **chosen,
            derivatives=DerivativeSettings(method=options["derivatives"], window=options["window"]),
            gait=GaitSettings(
                method=options["method"],
                surface=options["surface"],
                up=options["up"],
                belt_speed=options["belt_speed"],
            ),
        )
    except InvalidValueError as error:
        raise click.UsageError(str(error)) from error


def _work(
    poses3d: xr.Dataset,
    source: Path,
    target: Path,
    settings: KinematicsSettings,
    options: dict[str, Any],
    *,
    own: bool,
    json_wanted: bool,
) -> None:
    from pose3d.formats.provenance import provenance_of
    from pose3d.pipeline import kinematics_session

    skeleton = _skeleton(options["skeleton"], source, poses3d, options["legs"])
    given = options["events_path"]
    if given is not None and "gait" not in settings.quantities:
        raise click.UsageError("--events is for the gait, which --only leaves out.")
    events = None if given is None else _read_events(given, poses3d, skeleton)
    inputs = [source, *([] if given is None else [given])]
    with progress("Kinematics", poses3d.sizes["time"], "frames") as bar:
        summary = kinematics_session(
            poses3d,
            target,
            skeleton=skeleton,
            settings=settings,
            source=source if own else None,
            events=events,
            provenance=provenance_of(inputs, settings),
            progress=lambda frames: bar.advance(bar.task_ids[0], frames),
        )
    written = [target, *_write_others(target, skeleton, options)]
    if json_wanted:
        print_json(as_json(summary, written))
    else:
        show(summary, written)


def _skeleton(name: str | None, source: Path, poses3d: xr.Dataset, legs: tuple[str, ...]) -> Skeleton | None:
    """The skeleton that is named, or that of the project around the file, with the legs that are named."""
    from dataclasses import replace

    from calibration.errors import SuiteError
    from pose3d.project import find_project
    from pose3d.skeleton import Skeleton, find_skeleton

    skeleton = None
    if name is not None:
        skeleton = find_skeleton(name)
    else:
        try:
            skeleton = find_project(source.absolute().parent).skeleton
        except SuiteError:
            console().print(
                "No skeleton is given: --skeleton names a file or a preset, and says what angles there are."
            )
    if not legs:
        return skeleton
    known = [str(keypoint) for keypoint in poses3d["keypoint"].values]
    base, own = skeleton or Skeleton("poses", tuple(known)), tuple(map(_leg, legs))
    try:
        pairs = (*base.mirrored_pairs, *_pairs(own, {name for pair in base.mirrored_pairs for name in pair}))
        return replace(base, mirrored_pairs=pairs, anatomy=replace(base.anatomy, legs=own))
    except SuiteError as error:
        raise click.UsageError(str(error)) from error


def _pairs(legs: tuple[Leg, ...], paired: set[str]) -> list[tuple[str, str]]:
    """Feet of legs whose names differ by left and right, but for those that have a partner."""
    by_name = {leg.name.lower(): leg.foot for leg in legs}
    found = [(foot, by_name.get(name.replace("left", "right", 1))) for name, foot in by_name.items() if "left" in name]
    return [(a, b) for a, b in found if b is not None and a != b and not {a, b} & paired]


def _leg(text: str) -> Leg:
    from pose3d.skeleton import Leg

    name, equals, parts = text.partition("=")
    keypoints = [part.strip() or None for part in parts.split(",")]
    if not equals or not name.strip() or not keypoints[0] or len(keypoints) > 3:
        raise click.UsageError(f"--leg {text}: write NAME=FOOT, NAME=FOOT,HEEL or NAME=FOOT,HEEL,TOE.")
    heel, toe = [*keypoints[1:], None, None][:2]
    return Leg(name.strip(), keypoints[0], heel, toe)


def _read_events(path: Path, poses3d: xr.Dataset, skeleton: Skeleton | None) -> xr.Dataset:
    """Events from a table, or from a C3D file."""
    import pandas as pd

    from calibration.errors import FileFormatError, InvalidValueError
    from pose3d.formats import read_c3d_events
    from pose3d.kinematics import events_from_c3d, events_from_table

    try:
        if path.suffix.lower() == ".c3d":
            return events_from_c3d(read_c3d_events(path), poses3d, skeleton)
        return events_from_table(pd.read_csv(path), poses3d)
    except InvalidValueError as error:
        raise FileFormatError(
            f"{path}, {error.subject}", expected=error.expected, got=error.got, remedy=error.remedy
        ) from error
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise FileFormatError(
            path,
            expected="a CSV table with the columns time, leg and kind, with commas between them, or a C3D file",
            got=str(error).partition("\n")[0],
            remedy="Write one with --save-events, and edit it.",
        ) from error


def _with_frame_rate(poses3d: xr.Dataset, rate: float | None) -> xr.Dataset:
    """The poses of a result file with the frame rate that they lack."""
    from pose3d.datasets import time_coordinates

    if rate is None or poses3d.attrs.get("fps") == rate:
        return poses3d
    if "fps" in poses3d.attrs:
        raise click.UsageError(f"--frame-rate {rate:g}: the file says {poses3d.attrs['fps']:g} frames per second.")
    timed = poses3d.assign_coords(time_coordinates(poses3d.sizes["time"], poses3d["frame"].values, rate))
    return timed.assign_attrs(fps=rate, time_unit="seconds")


def _write_others(target: Path, skeleton: Skeleton | None, options: dict[str, Any]) -> list[Path]:
    """The further files that were asked for, from the finished one."""
    from pose3d.formats import open_session
    from pose3d.pipeline import KinematicsFiles, export_kinematics

    wanted = KinematicsFiles(
        events=options["save_events"],
        csv=options["csv_folder"],
        parquet=options["parquet_folder"],
        mot=options["mot"],
        c3d=options["c3d"],
        trc=options["trc"],
        marker_set=options["marker_set"],
        figures=options["figures_folder"],
    )
    with open_session(target) as session, console().status("Writing tables and pictures ..."):
        return export_kinematics(session.require("kinematics"), session.require("poses3d"), wanted, skeleton=skeleton)
