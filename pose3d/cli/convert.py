"""`pose3d convert`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
}


@click.command(
    epilog="Example: pose3d convert camera_array.toml calibration.toml --to anipose",
)
@click.argument("source", metavar="IN", type=_FILE)
@click.argument("target", metavar="OUT", type=_FILE)
@click.option("--from", "from_", metavar="FORMAT", help="Format of IN instead of detecting it.")
@click.option("--to", metavar="FORMAT", help="Format of OUT instead of the one its ending says.")
@click.option("--unit", metavar="UNIT", help="Length unit of IN (after --scale), where it does not say it.")
@click.option("--scale", type=click.FloatRange(0, min_open=True), help="Multiply all lengths by this.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def convert(
    source: Path,
    target: Path,
    from_: str | None,
    to: str | None,
    unit: str | None,
    scale: float | None,
    as_json: bool,
) -> None:
    """Convert a calibration, or take one or the 3D poses out of a result file.

    IN is a calibration (file or folder) of any format, or a result file (.nc). OUT is a calibration; of a result file
    also a table of its 3D poses, where it ends with .csv, .trc or .h5. What OUT's format cannot hold is an error.
    """
    check_outputs([source], {"OUT": target})
    if source.suffix.lower() == ".nc":
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
    from pose3d import formats

    with formats.open_session(source) as session:
        writers = _POSES.get(target.suffix.lower())
        if writers is None:
            rig = session.rig
            if rig is None:
                raise InvalidValueError(
                    source,
                    expected="a result file with a calibration",
                    got="one without",
                    remedy="Name the calibration file, or for the poses an output that ends with .csv, .trc or .h5.",
                )
            save_rig(rig, target, format=to)
            return _rig_summary(rig, source, target, "result file", to)
        if to is not None and to not in writers:
            raise click.UsageError(f"--to {to} does not fit {target.name}: {', '.join(writers)} end so.")
        name = next(iter(writers)) if to is None else to
        poses3d = session.require("poses3d")
        with console().status(f"Writing {target} ..."):
            written = getattr(formats, writers[name])(poses3d, target)
        frames, keypoints = poses3d.sizes["time"], poses3d.sizes["keypoint"]
    return {
        "text": f"3D poses of {frames} frames and {keypoints} keypoints, written as {name}",
        "input": str(source),
        "from": "result file",
        "to": name,
        "frames": frames,
        "keypoints": keypoints,
        "written": [str(path) for path in written],
    }
