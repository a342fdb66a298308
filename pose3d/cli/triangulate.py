"""`pose3d triangulate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pose3d.cli._console import console, plain_number, print_json, print_table, progress
from pose3d.cli._reconstruction_inputs import (
    input_options,
    output_options,
    read_recording,
    take_files,
    write_others,
)
from pose3d.cli._reconstruction_tables import Columns, decimals, percent, plain_row, plain_rows, statistics_table

if TYPE_CHECKING:
    from pose3d.pipeline import TriangulationSummary

__all__ = ["triangulate"]

_BY_CAMERA: Columns = {
    "used": ("used", percent),
    "rms": ("RMS px", decimals),
    "median": ("median px", decimals),
    "p95": ("p95 px", decimals),
    "missing_2d": ("2D NaN", percent),
}
_BY_KEYPOINT: Columns = {**_BY_CAMERA, "missing_3d": ("3D NaN", percent), "threshold": ("threshold px", decimals)}


@click.command(
    epilog="Example: pose3d triangulate --rig calibration.toml --poses2d poses/ -o session.nc --csv session.csv",
)
@input_options
@click.option("--method", type=click.Choice(["robust", "linear"]), default="robust", show_default=True)
@click.option(
    "--threshold", type=click.FloatRange(0, min_open=True), help="Largest error of an inlier, px [4.5 x noise]"
)
@click.option("--noise", type=click.FloatRange(0, min_open=True), help="Standard deviation of a pixel [estimated]")
@click.option("--min-confidence", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Ignore less.")
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses camera pairs beyond eight cameras.")
@click.option("--no-covariance", is_flag=True, help="Leave out the covariance of the positions.")
@output_options
def triangulate(
    method: str,
    threshold: float | None,
    noise: float | None,
    min_confidence: float,
    seed: int,
    no_covariance: bool,
    **options: Any,
) -> None:
    """Make 3D poses of 2D poses and a calibration, frame by frame.

    Cameras are found by name: the names of the calibration are looked for in the paths of the 2D poses. Outliers are
    recognized by the other cameras; every missing point says why it is missing.
    """
    files = take_files(options)
    from calibration.triangulation import TriangulationSettings
    from pose3d.pipeline import triangulate_session

    settings = TriangulationSettings(
        method="linear" if method == "linear" else "robust",
        threshold=threshold,
        noise=noise,
        minimum_confidence=min_confidence,
        seed=seed,
    )
    recording = read_recording(files, settings, seed)
    with progress("Triangulating", recording.poses2d.sizes["time"], "frames") as bar:
        summary = triangulate_session(
            recording.poses2d,
            recording.rig,
            files.output,
            settings=settings,
            covariance=not no_covariance,
            provenance=recording.provenance,
            compression=files.compression,
            progress=lambda frames: bar.advance(bar.task_ids[0], frames),
        )
    written = write_others(files)
    if files.as_json:
        print_json(_as_json(summary, written))
    else:
        _show(summary, written)


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
    by_keypoint = summary.histogram.summary(("keypoint",))
    by_keypoint["threshold"] = ("keypoint", noise.threshold)
    to.print("Errors are those of the 2D positions that were used.")
    print_table(statistics_table("camera", summary.histogram.summary(("camera",)), _BY_CAMERA))
    print_table(statistics_table("keypoint", by_keypoint, _BY_KEYPOINT, total=overall))
    for reason, count in summary.reasons().items():
        to.print(f"{count} points missing: {reason}")
    for path in written:
        to.print(f"wrote [bold]{escape(str(path))}[/]")


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
            keypoint: plain_number(value)
            for keypoint, value in zip(summary.histogram.keypoints, noise.threshold, strict=True)
        },
        "all": plain_row(summary.histogram.summary(())),
        "cameras": plain_rows("camera", summary.histogram.summary(("camera",))),
        "keypoints": plain_rows("keypoint", summary.histogram.summary(("keypoint",))),
        "missing": summary.reasons(),
        "written": [str(path) for path in written],
    }
