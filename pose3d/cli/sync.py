"""`pose3d sync`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from pose3d.cli._console import console, plain_number, print_json, print_table
from pose3d.cli._paths import check_outputs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

    from calibration.rig import Rig
    from calibration.synchronization import Clock, Synchronization, Timing, Track

__all__ = ["sync"]

_FILE = click.Path(path_type=Path)
_Value = TypeVar("_Value")
_STYLES = {"verified": "green", "not verified": "yellow", "contradicted": "bold red"}


@click.command(
    epilog="Example: pose3d sync sessions/monday --rig calibration/rig.toml --poses2d sessions/monday/poses",
)
@click.argument("session", type=_FILE)
@click.option("--rig", "rig_path", type=_FILE, help="Calibration file or folder; makes motion exact, and verifies.")
@click.option("--poses2d", "named", multiple=True, metavar="PATH...", help="2D poses, or NAME=PATH by camera.")
@click.argument("more", nargs=-1, metavar="")
@click.option("--timestamps", "stamps", multiple=True, type=_FILE, help="CSV of frame times [SESSION/*timestamps*.csv]")
@click.option(
    "--method",
    type=click.Choice(["auto", "timestamps", "audio", "led", "motion"]),
    default="auto",
    show_default=True,
    help="What to synchronize by; auto takes the first that works.",
)
@click.option("--led", "lights", multiple=True, metavar="CAMERA=X,Y,W,H", help="Region of the light [searched]")
@click.option("--reference", metavar="CAMERA", help="Camera whose clock is the common one [the first]")
@click.option("--max-offset", type=click.FloatRange(0, min_open=True), help="Largest offset to look for, seconds.")
@click.option("--no-drift", is_flag=True, help="Motion: do not look for drift and dropped frames.")
@click.option("--frame-rate", type=click.FloatRange(0, min_open=True), help="Of 2D poses without a video.")
@click.option("--min-confidence", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Ignore less.")
@click.option("--format", "format_", metavar="NAME", help="Format of the 2D poses instead of detecting it.")
@click.option("--keypoints", metavar="NAME", help="Keypoint set of OpenPose files: body_25, body_25b, coco_18 ...")
@click.option("-o", "--output", type=_FILE, help="File to write  [SESSION/sync.toml]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def sync(
    session: Path,
    rig_path: Path | None,
    named: tuple[str, ...],
    more: tuple[str, ...],
    stamps: tuple[Path, ...],
    method: str,
    lights: tuple[str, ...],
    reference: str | None,
    max_offset: float | None,
    no_drift: bool,
    frame_rate: float | None,
    min_confidence: float,
    format_: str | None,
    keypoints: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Find offset, drift and dropped frames of the cameras of a session.

    SESSION is a folder with a video per camera. Clocks are found by time stamps, by the motion of 2D poses, by sound,
    or by a blinking light; with a calibration and 2D poses they are verified by epipolar residuals. The result,
    sync.toml, is applied by `pose3d triangulate --sync`.
    """
    target = output or session / "sync.toml"
    check_outputs([rig_path, *stamps], {"-o": target})
    from calibration.formats import load_rig
    from calibration.synchronization import Recording, find_videos, save_synchronization, synchronize_recording

    rig = None if rig_path is None else load_rig(rig_path)
    with console().status("Reading the session ..."):
        videos = _named(find_videos(session), [] if rig is None else rig.names)
        poses = _poses([*named, *more], rig, format_=format_, keypoints=keypoints, frame_rate=frame_rate)
        timing = _timing(videos, poses)
        recording = Recording(
            timing=timing,
            videos=videos,
            stamps=_named(_stamps(session, stamps, method), timing),
            tracks=_tracks(poses, timing, min_confidence),
            rig=rig,
            regions=_named(dict(_region(text) for text in lights), timing),
        )
    with console().status("Synchronizing ..."):
        found = synchronize_recording(
            recording, method=method, reference=reference, maximum_offset=max_offset, drift=not no_drift
        )
    save_synchronization(found, target)
    if as_json:
        print_json(_as_json(found, target))
    else:
        _show(found, target, command=_next(rig_path, [*named, *more], target))


def _named(values: Mapping[str, _Value], names: Iterable[str]) -> dict[str, _Value]:
    """The values under those of the names that are spelled alike but for case, separators and leading zeros."""
    known = {_spelled(name): name for name in names}
    return {known.get(_spelled(name), name): value for name, value in values.items()}


def _spelled(name: str) -> str:
    return re.sub(r"\d+", lambda digits: str(int(digits[0])), re.sub(r"[\W_]+", "", name.casefold()))


def _poses(
    paths: Sequence[str], rig: Rig | None, *, format_: str | None, keypoints: str | None, frame_rate: float | None
) -> xr.Dataset | None:
    if not paths:
        return None
    from pose3d.formats import load_poses2d

    return load_poses2d(paths, rig=rig, format=format_, frame_rate=frame_rate, keypoints=keypoints)


def _timing(videos: Mapping[str, Path], poses: xr.Dataset | None) -> dict[str, Timing]:
    """When frames were taken, by the videos, or by the frame rate of the poses where there are none."""
    from calibration.synchronization import Timing, video_timing

    if videos or poses is None:
        return {name: video_timing(path) for name, path in videos.items()}
    if "fps" not in poses.attrs:
        raise click.UsageError("There are no videos in the session, and the poses tell no rate: add --frame-rate.")
    count = int(poses["frame"].values[-1]) + 1
    return {str(name): Timing(float(poses.attrs["fps"]), count) for name in poses["camera"].values}


def _tracks(poses: xr.Dataset | None, timing: Mapping[str, Timing], minimum_confidence: float) -> dict[str, Track]:
    if poses is None:
        return {}
    from pose3d.reconstruction import tracks_of_poses

    of_video = {_spelled(name): name for name in timing}
    names = [of_video.get(_spelled(str(name)), str(name)) for name in poses["camera"].values]
    poses = poses.assign_coords(camera=names)
    return tracks_of_poses(poses, dict(timing), minimum_confidence=minimum_confidence)


def _stamps(session: Path, given: Sequence[Path], method: str) -> dict[str, NDArray[np.float64]]:
    from calibration.synchronization import read_timestamps

    files = list(given)
    if not files and method in ("auto", "timestamps"):
        files = sorted(file for file in session.glob("*.csv") if re.search("time_?stamps?", file.stem.casefold()))
    stamps: dict[str, NDArray[np.float64]] = {}
    for file in files:
        stamps |= read_timestamps(file)
    return stamps


def _region(text: str) -> tuple[str, tuple[int, int, int, int]]:
    found = re.fullmatch(r"(.+)=(\d+),(\d+),(\d+),(\d+)", text)
    if found is None:
        raise click.UsageError(f"--led {text}: write CAMERA=X,Y,WIDTH,HEIGHT in whole pixels.")
    x, y, width, height = (int(number) for number in found.groups()[1:])
    return found[1], (x, y, width, height)


def _show(found: Synchronization, target: Path, *, command: str) -> None:
    """One row per camera, what was noticed, and what to type next."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("camera")
    for title in ("offset ms", "offset frames", "drift ppm", "dropped"):
        table.add_column(title, justify="right")
    for title in ("found by", "verdict"):
        table.add_column(title)
    for clock in found:
        rate = clock.timing.frame_rate
        numbers = (
            _with_error(1000 * clock.offset, 1000 * clock.offset_std, 2),
            _with_error(clock.offset_frames, clock.offset_std * rate, 3),
            _with_error(clock.drift, clock.rate_std * 1e6, 1),
        )
        style = _STYLES[clock.verification.status]
        told = f"[{style}]{_verdict(clock, found.reference)}[/]"
        table.add_row(escape(clock.camera), *numbers, str(clock.timing.number_dropped), clock.method, told)
    to = console(result=True)
    to.print(f"A camera with a positive offset started after {escape(found.reference)}, the reference.")
    print_table(table)
    for clock in found:
        if clock.timing.dropped:
            shown = ", ".join(f"{number} before frame {frame}" for frame, number in clock.timing.dropped[:10])
            more = len(clock.timing.dropped) - 10
            to.print(f"{escape(clock.camera)} dropped {shown}" + (f", and at {more} more places" if more > 0 else ""))
        if clock.timing.times is not None:
            to.print(f"{escape(clock.camera)}: frames come irregularly; their own times are kept")
    to.print(f"wrote [bold]{escape(str(target))}[/]")
    wrong = [clock.camera for clock in found if clock.verification.status == "contradicted"]
    if wrong:
        to.print(
            f"next: do not use this. Look at the time stamps or events of {escape(', '.join(wrong))}, and try again."
        )
    else:
        to.print(f"next: {escape(command)}")


def _with_error(value: float, deviation: float, digits: int) -> str:
    """The value with its standard deviation, where that is known and not 0 as that of the reference."""
    known = 0 < deviation < float("inf")
    return f"{value:.{digits}f}" + (f" ± {deviation:.{digits}f}" if known else "")


def _verdict(clock: Clock, reference: str) -> str:
    """What the epipolar residuals say of a clock."""
    check = clock.verification
    if clock.camera == reference:
        words = "reference"
    else:
        words = {
            "verified": "verified",
            "not verified": "not verified: nothing independent tells",
            "contradicted": "wrong",
        }[check.status]
    if abs(check.error) < float("inf"):
        words += f", {check.error:+.2f} ± {check.error_std:.2f} frames left"
    if abs(check.after) < float("inf"):
        words += f", rays miss by {check.before:.2f} px before, {check.after:.2f} px after"
    return words


def _next(rig: Path | None, poses: Sequence[str], target: Path) -> str:
    """What to type to use the clocks."""
    where = "RIG.toml" if rig is None else str(rig)
    what = " ".join(poses) or "POSES"
    return f"pose3d triangulate --rig {where} --poses2d {what} --sync {target} -o RESULT.nc"


def _as_json(found: Synchronization, target: Path) -> dict[str, object]:
    """Plain values; NaN becomes null."""
    cameras: dict[str, object] = {}
    for clock in found:
        check, timing = clock.verification, clock.timing
        cameras[clock.camera] = {
            "offset_s": clock.offset,
            "offset_frames": clock.offset_frames,
            "offset_std_s": plain_number(clock.offset_std),
            "rate": clock.rate,
            "drift_ppm": clock.drift,
            "drift_std_ppm": plain_number(clock.rate_std * 1e6),
            "frame_rate": timing.frame_rate,
            "frames": timing.count,
            "dropped": [list(pair) for pair in timing.dropped],
            "irregular": timing.times is not None,
            "method": clock.method,
            "quality": clock.quality,
            "verification": {
                "status": check.status,
                "error_frames": plain_number(check.error),
                "error_std_frames": plain_number(check.error_std),
                "before_px": plain_number(check.before),
                "after_px": plain_number(check.after),
            },
        }
    return {"reference": found.reference, "cameras": cameras, "written": str(target)}
