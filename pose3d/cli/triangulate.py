"""`pose3d triangulate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pose3d.cli._console import console, print_json, print_table, progress
from pose3d.cli._paths import check_outputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from rich.table import Table

    from pose3d.pipeline import TriangulationSummary

__all__ = ["triangulate"]

_FILE = click.Path(path_type=Path)


@click.command(
    epilog="Example: pose3d triangulate --rig calibration.toml --poses2d poses/ -o session.nc --csv session.csv",
)
@click.option(
    "--rig", "rig_path", type=_FILE, required=True, help="Calibration file or folder; the format is detected."
)
@click.option(
    "--poses2d", "named", multiple=True, metavar="PATH...", help="Files or folders of 2D poses, or NAME=PATH by camera."
)
@click.argument("more", nargs=-1, metavar="")
@click.option("-o", "--output", type=_FILE, required=True, help="netCDF file to write.")
@click.option("--format", "format_", metavar="NAME", help="Format of the 2D poses instead of detecting it.")
@click.option("--rig-format", metavar="NAME", help="Format of the calibration instead of detecting it.")
@click.option("--keypoints", metavar="NAME", help="Keypoint set of OpenPose files: body_25, body_25b, coco_18 ...")
@click.option("--unit", metavar="UNIT", help="Length unit of the calibration, where its file does not say it.")
@click.option("--frame-rate", type=click.FloatRange(0, min_open=True), help="Frames per second of the recording.")
@click.option("--sync", "sync_path", type=_FILE, help="sync.toml of `pose3d sync`, for cameras not triggered together.")
@click.option("--method", type=click.Choice(["robust", "linear"]), default="robust", show_default=True)
@click.option(
    "--threshold", type=click.FloatRange(0, min_open=True), help="Largest error of an inlier, px [4.5 x noise]"
)
@click.option("--noise", type=click.FloatRange(0, min_open=True), help="Standard deviation of a pixel [estimated]")
@click.option("--min-confidence", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Ignore less.")
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses camera pairs beyond eight cameras.")
@click.option("--no-covariance", is_flag=True, help="Leave out the covariance of the positions.")
@click.option("--compression", type=click.IntRange(0, 9), default=0, show_default=True, help="zlib level of the file.")
@click.option("--csv", type=_FILE, help="Also write a tidy CSV table.")
@click.option("--trc", type=_FILE, help="Also write a TRC file (OpenSim).")
@click.option("--deeplabcut", type=_FILE, help="Also write the DeepLabCut 3D layout (.csv or .h5).")
@click.option("--anipose", type=_FILE, help="Also write Anipose's pose-3d CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def triangulate(
    rig_path: Path,
    named: tuple[str, ...],
    more: tuple[str, ...],
    output: Path,
    format_: str | None,
    rig_format: str | None,
    keypoints: str | None,
    unit: str | None,
    frame_rate: float | None,
    sync_path: Path | None,
    method: str,
    threshold: float | None,
    noise: float | None,
    min_confidence: float,
    seed: int,
    no_covariance: bool,
    compression: int,
    csv: Path | None,
    trc: Path | None,
    deeplabcut: Path | None,
    anipose: Path | None,
    as_json: bool,
) -> None:
    """Make 3D poses of 2D poses and a calibration, frame by frame.

    Cameras are found by name: the names of the calibration are looked for in the paths of the 2D poses. Outliers are
    recognized by the other cameras; every missing point says why it is missing.
    """
    paths = [*named, *more]
    if not paths:
        raise click.UsageError("Say where the 2D poses are: --poses2d PATH...")
    outputs = {"-o": output, "--csv": csv, "--trc": trc, "--deeplabcut": deeplabcut, "--anipose": anipose}
    check_outputs([rig_path, *_files(paths), sync_path], outputs)
    from calibration.formats import load_rig
    from calibration.triangulation import TriangulationSettings, prepare
    from pose3d.formats import load_poses2d
    from pose3d.formats.provenance import provenance_of
    from pose3d.pipeline import triangulate_session

    settings = TriangulationSettings(
        method="linear" if method == "linear" else "robust",
        threshold=threshold,
        noise=noise,
        minimum_confidence=min_confidence,
        seed=seed,
    )
    rig = load_rig(rig_path, format=rig_format, unit=unit)
    with console().status("Reading the 2D poses ..."):
        poses2d = load_poses2d(paths, rig=rig, format=format_, frame_rate=frame_rate, keypoints=keypoints)
        if sync_path is not None:
            poses2d = _synchronized(poses2d, sync_path)
        read = [rig_path] if sync_path is None else [rig_path, sync_path]
        provenance = provenance_of([*read, *_files(paths)], settings, seed)
    if trc is not None and "fps" not in poses2d.attrs:
        raise click.UsageError("--trc needs the frame rate, which the 2D poses do not tell: add --frame-rate.")
    with console().status("Loading the geometry kernels (compiled once, about 10 s) ..."):
        prepare()
    with progress("Triangulating", poses2d.sizes["time"], "frames") as bar:
        summary = triangulate_session(
            poses2d,
            rig,
            output,
            settings=settings,
            covariance=not no_covariance,
            provenance=provenance,
            compression=compression,
            progress=lambda frames: bar.advance(bar.task_ids[0], frames),
        )
    written = [output, *_write_others(output, csv=csv, trc=trc, deeplabcut=deeplabcut, anipose=anipose)]
    if as_json:
        print_json(_as_json(summary, written))
    else:
        _show(summary, written)


def _synchronized(poses2d: xr.Dataset, path: Path) -> xr.Dataset:
    """The poses at common instants, by the clocks of the file."""
    from calibration.synchronization import load_synchronization
    from pose3d.reconstruction import apply_synchronization

    return apply_synchronization(poses2d, load_synchronization(path))


def _files(paths: Sequence[str]) -> list[str]:
    """The paths of `NAME=PATH`."""
    return [text if Path(text).exists() or "=" not in text else text.split("=", 1)[1] for text in paths]


def _write_others(output: Path, **targets: Path | None) -> list[Path]:
    """Write the formats that were asked for from the finished file."""
    from pose3d import formats

    writers = {"csv": "write_csv", "trc": "write_trc", "deeplabcut": "write_deeplabcut3d", "anipose": "write_anipose3d"}
    wanted = {name: path for name, path in targets.items() if path is not None}
    if not wanted:
        return []
    written: list[Path] = []
    with formats.open_session(output) as session:
        poses3d = session.require("poses3d")
        for name, path in wanted.items():
            with console().status(f"Writing {path} ..."):
                written += getattr(formats, writers[name])(poses3d, path)
    return written


def _show(summary: TriangulationSummary, written: list[Path]) -> None:
    """The summary as two tables and a few lines."""
    from rich.markup import escape

    to = console(result=True)
    overall = summary.histogram.summary(())
    noise = summary.noise
    to.print(
        f"{summary.frames} frames, {len(summary.cameras)} cameras, {len(summary.histogram.keypoints)} keypoints; "
        f"lengths in {escape(summary.unit)}"
    )
    by_camera = summary.histogram.summary(("camera",))
    by_keypoint = summary.histogram.summary(("keypoint",))
    by_keypoint["threshold"] = ("keypoint", noise.threshold)
    to.print("Errors are those of the 2D positions that were used.")
    print_table(_table("camera", by_camera))
    print_table(_table("keypoint", by_keypoint, total=overall))
    for reason, count in summary.reasons().items():
        to.print(f"{count} points missing: {reason}")
    for path in written:
        to.print(f"wrote [bold]{escape(str(path))}[/]")


def _table(dim: str, statistics: xr.Dataset, total: xr.Dataset | None = None) -> Table:
    from rich.markup import escape
    from rich.table import Table

    columns = {"used": "used", "rms": "RMS px", "median": "median px", "p95": "p95 px", "missing_2d": "2D NaN"}
    if dim == "keypoint":
        columns |= {"missing_3d": "3D NaN", "threshold": "threshold px"}
    table = Table(box=None, pad_edge=False, show_footer=total is not None)
    footer = "all" if total is not None else ""
    table.add_column(dim, footer=footer)
    for name, title in columns.items():
        table.add_column(
            title,
            justify="right",
            footer=_number(name, total[name].item()) if total is not None and name in total else "",
        )
    for label in statistics[dim].values:
        row = statistics.sel({dim: label})
        table.add_row(escape(str(label)), *(_number(name, row[name].item()) for name in columns))
    return table


def _number(name: str, value: float) -> str:
    if not abs(value) < float("inf"):
        return "-"
    return f"{value:.2f}" if name in ("rms", "median", "p95", "threshold") else f"{100 * value:.1f} %"


def _as_json(summary: TriangulationSummary, written: list[Path]) -> dict[str, object]:
    """The summary as plain values; NaN becomes null."""
    noise = summary.noise
    return {
        "frames": summary.frames,
        "unit": summary.unit,
        "noise_px": {
            keypoint: dict(zip(summary.cameras, map(float, sigma), strict=True))
            for keypoint, sigma in zip(summary.histogram.keypoints, noise.sigma, strict=True)
        },
        "threshold_px": {
            keypoint: float(value) if value < float("inf") else None
            for keypoint, value in zip(summary.histogram.keypoints, noise.threshold, strict=True)
        },
        "all": _plain_row(summary.histogram.summary(())),
        "cameras": _plain_rows("camera", summary.histogram.summary(("camera",))),
        "keypoints": _plain_rows("keypoint", summary.histogram.summary(("keypoint",))),
        "missing": summary.reasons(),
        "written": [str(path) for path in written],
    }


def _plain_rows(dim: str, statistics: xr.Dataset) -> dict[str, object]:
    return {str(label): _plain_row(statistics.sel({dim: label})) for label in statistics[dim].values}


def _plain_row(row: xr.Dataset) -> dict[str, float | None]:
    values = {str(name): float(row[name].item()) for name in row.data_vars}
    return {name: None if value != value else value for name, value in values.items()}
