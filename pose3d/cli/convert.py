"""`pose3d convert`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pose3d.cli._console import console, print_json
from pose3d.cli._paths import check_outputs

if TYPE_CHECKING:
    from calibration.rig import Rig

__all__ = ["convert"]

_FILE = click.Path(path_type=Path)
# Ending: (format, function of pose3d.formats that writes 3D poses so); the first of an ending is taken without --to.
_POSES = {
    ".csv": {"csv": "write_csv", "deeplabcut": "write_deeplabcut3d", "anipose": "write_anipose3d"},
    ".trc": {"trc": "write_trc"},
    ".h5": {"deeplabcut": "write_deeplabcut3d"},
    ".c3d": {"c3d": "write_c3d"},
    ".nc": {"netcdf": "save_session"},
}
# Those that need a frame rate.
_RATED = ("trc", "c3d")


@click.command(
    epilog="Examples: pose3d convert camera_array.toml calibration.toml --to anipose; "
    "pose3d convert walk.c3d walk.trc; pose3d convert pose-3d/walk.csv walk.nc --unit mm --frame-rate 100",
)
@click.argument("source", metavar="IN", type=_FILE)
@click.argument("target", metavar="OUT", type=_FILE)
@click.option("--from", "from_", metavar="FORMAT", help="Format of IN instead of detecting it.")
@click.option("--to", metavar="FORMAT", help="Format of OUT instead of the one its ending says.")
@click.option("--unit", metavar="UNIT", help="Length unit of IN (after --scale), where it does not say it.")
@click.option("--scale", type=click.FloatRange(0, min_open=True), help="Multiply all lengths of a calibration by this.")
@click.option(
    "--frame-rate", type=click.FloatRange(0, min_open=True), help="Frames per second of 3D poses that do not say it."
)
@click.option("--individual", metavar="NAME", help="Of 3D poses of several individuals, this one; or its name.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def convert(
    source: Path,
    target: Path,
    from_: str | None,
    to: str | None,
    unit: str | None,
    scale: float | None,
    frame_rate: float | None,
    individual: str | None,
    as_json: bool,
) -> None:
    """Convert a calibration or 3D poses, or take one of them out of a result file.

    Where OUT ends with .csv, .trc, .h5, .c3d or .nc, IN is a file of 3D poses: a result file (.nc), netCDF of
    movement, DeepLabCut 3D, Anipose pose-3d, sleap-anipose, TRC or C3D. Else OUT is a calibration, and IN one of any
    format (file or folder) or a result file. What OUT's format cannot hold is an error.
    """
    check_outputs([source], {"OUT": target})
    if target.suffix.lower() in _POSES:
        if scale is not None:
            raise click.UsageError("--scale is for calibrations.")
        summary = _convert_poses(
            source, target, to, {"format": from_, "unit": unit, "frame_rate": frame_rate, "individual": individual}
        )
    elif frame_rate is not None or individual is not None:
        raise click.UsageError(
            f"--frame-rate and --individual are for 3D poses; {target.name} is to be a calibration "
            f"(3D poses end with {', '.join(_POSES)})."
        )
    elif source.suffix.lower() == ".nc":
        if from_ is not None or unit is not None or scale is not None:
            raise click.UsageError("--from, --unit and --scale are for calibrations; a result file says its own unit.")
        summary = _convert_result(source, target, to)
    else:
        summary = _convert_rig(source, target, from_=from_, to=to, unit=unit, scale=scale)
    if as_json:
        print_json(summary)
        return
    to_user = console(result=True)
    to_user.print(str(summary["text"]), markup=False)
    written = summary["written"]
    for path in written if isinstance(written, list) else ():
        to_user.print(f"wrote {path}", markup=False)


def _convert_rig(
    source: Path, target: Path, *, from_: str | None, to: str | None, unit: str | None, scale: float | None
) -> dict[str, object]:
    from calibration.formats import detect_format, load_rig, save_rig
    from calibration.formats.units import scaled

    found = from_ if from_ is not None else detect_format(source)
    rig = load_rig(source, format=found, unit=unit)
    rig = rig if scale is None else scaled(rig, scale)
    save_rig(rig, target, format=to)
    return _rig_summary(rig, source, target, found, to)


def _rig_summary(rig: Rig, source: Path, target: Path, found: str, to: str | None) -> dict[str, object]:
    from calibration.formats import detect_format

    written = detect_format(target) if to is None else to
    return {
        "text": f"{len(rig)} cameras ({', '.join(rig.names)}), read as {found}, lengths in {rig.unit}; "
        f"written as {written}",
        "input": str(source),
        "from": found,
        "to": written,
        "cameras": list(rig.names),
        "unit": rig.unit,
        "written": [str(target)],
    }


def _convert_result(source: Path, target: Path, to: str | None) -> dict[str, object]:
    from calibration.errors import InvalidValueError
    from calibration.formats import save_rig
    from pose3d.formats import open_session

    with open_session(source) as session:
        rig = session.rig
    if rig is None:
        raise InvalidValueError(
            source,
            expected="a result file with a calibration",
            got="one without",
            remedy=f"Name the calibration file, or for the poses an output that ends with {', '.join(_POSES)}.",
        )
    save_rig(rig, target, format=to)
    return _rig_summary(rig, source, target, "result file", to)


def _convert_poses(source: Path, target: Path, to: str | None, reading: dict[str, Any]) -> dict[str, object]:
    from pose3d import formats

    writers = _POSES[target.suffix.lower()]
    if to is not None and to not in writers:
        raise click.UsageError(f"--to {to} does not fit {target.name}: {', '.join(writers)} end so.")
    name = next(iter(writers)) if to is None else to
    with console().status(f"Reading {source} ..."):
        found = reading["format"] or formats.detect_format3d(source).name
        poses3d = formats.load_poses3d(source, **reading | {"format": found})
    with closing(poses3d), console().status(f"Writing {target} ..."):
        if name in _RATED and "fps" not in poses3d.attrs:
            raise click.UsageError(
                f"{target.name} needs the frame rate, which {source.name} does not say: add --frame-rate."
            )
        if name == "netcdf":
            provenance = formats.provenance_of([source], {"convert": reading | {"format": found}})
            formats.save_session(target, poses3d=poses3d, provenance=provenance)
            written: tuple[Path, ...] = (target,)
        else:
            written = getattr(formats, writers[name])(poses3d, target)
        frames, keypoints = poses3d.sizes["time"], poses3d.sizes["keypoint"]
        unit = str(poses3d["position"].attrs["units"])
    return {
        "text": f"3D poses of {frames} frames and {keypoints} keypoints, read as {found}, lengths in {unit}; "
        f"written as {name}",
        "input": str(source),
        "from": found,
        "to": name,
        "frames": frames,
        "keypoints": keypoints,
        "individuals": [str(name) for name in poses3d["individual"].values],
        "unit": unit,
        "written": [str(path) for path in written],
    }
