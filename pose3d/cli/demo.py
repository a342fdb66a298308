"""`pose3d demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pose3d.cli._console import console, print_json, progress

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["demo"]


@click.command(epilog="Example: pose3d demo")
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="Folder for the three files.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison with the truth as JSON.")
def demo(folder: Path, as_json: bool) -> None:
    """Run the main job on an embedded sample and compare with its truth.

    A simulated animal walks for ten seconds in front of four cameras; the 2D poses have noise, outliers and gaps.
    Writes demo.nc (the result), demo.html (a report with pictures) and demo.mp4 (a 3D video).
    """
    from calibration.formats import load_rig
    from calibration.triangulation import prepare
    from pose3d.formats import load_poses2d, open_session
    from pose3d.formats.provenance import provenance_of
    from pose3d.pipeline import triangulate_session
    from pose3d.skeleton import load_skeleton
    from pose3d.synthetic import sample_folder
    from pose3d.visualization import skeleton_video, write_report

    sample = sample_folder("demo")
    rig, skeleton = load_rig(sample / "rig.toml"), load_skeleton(sample / "skeleton.toml")
    with console().status("Loading the geometry kernels (compiled once, about 10 s) ..."):
        prepare()
    poses2d = load_poses2d([sample / "poses2d.nc"], rig=rig)
    provenance = provenance_of([sample / "rig.toml", sample / "poses2d.nc"])
    result, page, video = folder / "demo.nc", folder / "demo.html", folder / "demo.mp4"
    with progress("Triangulating", poses2d.sizes["time"], "frames") as bar:
        triangulate_session(
            poses2d,
            rig,
            result,
            provenance=provenance,
            progress=lambda frames: bar.advance(bar.task_ids[0], frames),
        )
    with open_session(result) as session, open_session(sample / "truth.nc") as known:
        poses3d, truth = session.require("poses3d").load(), known.require("poses3d").load()
        with progress("Drawing the video", poses3d.sizes["time"], "frames") as bar:
            skeleton_video(
                poses3d,
                skeleton,
                video,
                rig=rig,
                on_progress=lambda done, _: bar.update(bar.task_ids[0], completed=done),
            )
        with console().status("Drawing the report ..."):
            write_report(
                page,
                poses3d=poses3d,
                poses2d=session.require("poses2d").load(),
                rig=rig,
                skeleton=skeleton,
                truth=truth,
                videos={"The animal in 3D": video},
                provenance=provenance,
                title="pose3d demo",
            )
    _tell(_comparison(poses3d, truth), [result, page, video], as_json=as_json)


def _comparison(poses3d: xr.Dataset, truth: xr.Dataset) -> dict[str, float]:
    """What the estimate is worth, as plain numbers: lengths in the rig's unit, shares from 0 to 1."""
    from pose3d.metrics import coverage, summary

    errors = summary(poses3d, truth, over=("time", "keypoint", "individual"))
    inside = coverage(poses3d, truth, 0.95, over=("time", "keypoint", "individual"))
    return {
        "median": float(errors["median"]),
        "p95": float(errors["p95"]),
        "rmse": float(errors["rmse"]),
        "missing": float(errors["missing"]),
        "coverage": float(inside),
    }


def _tell(comparison: dict[str, float], written: list[Path], *, as_json: bool) -> None:
    from rich.markup import escape

    if as_json:
        print_json({"against_truth": comparison, "written": [str(path) for path in written]})
        return
    to = console(result=True)
    to.print(
        f"Against the truth: median error {comparison['median']:.2f} mm, 95th percentile {comparison['p95']:.2f} mm; "
        f"{100 * comparison['missing']:.1f} % missing, each with its reason."
    )
    to.print(f"The 95 % error ellipsoids contain {100 * comparison['coverage']:.1f} % of the true positions.")
    for path in written:
        to.print(f"wrote [bold]{escape(str(path))}[/]")
    to.print(f"Next: open [bold]{escape(str(written[1]))}[/] in a browser.")
