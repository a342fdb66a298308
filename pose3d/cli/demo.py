"""`pose3d demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pose3d.cli._console import console, print_json
from pose3d.cli._stages import run_stages_shown

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["demo"]


@click.command(epilog="Example: pose3d demo")
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results/demo"),
    show_default=True,
    help="Folder for the project; new, or that of an earlier demo.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison with the truth as JSON.")
def demo(folder: Path, as_json: bool) -> None:
    """Run the main job on an embedded recording and compare with its truth.

    A simulated mouse walks in front of four cameras. A small network finds its keypoints in the videos, they become 3D
    poses with the uncertainty of each, and videos and a report show them: `pose3d run` on a project that comes with
    pose3d.
    """
    from pose3d.formats import open_session
    from pose3d.pipeline.project_run import ProjectFiles
    from pose3d.pipeline.sample_project import SESSION, TRUTH_FILE, sample_project
    from pose3d.pipeline.stages import names_of

    project = sample_project(folder)
    outcomes = run_stages_shown(project, quiet=as_json)
    if names_of(outcomes):  # those that failed
        raise click.exceptions.Exit(1)
    files = ProjectFiles(project)
    result, page = files.result(SESSION), files.report(SESSION)
    with open_session(result) as session, open_session(project.root / TRUTH_FILE) as known:
        comparison = _comparison(session.require("poses3d").load(), known.require("poses3d").load())
    _tell(comparison, [result, page], as_json=as_json)


def _comparison(poses3d: xr.Dataset, truth: xr.Dataset) -> dict[str, float]:
    """What the estimate is worth, as plain numbers: lengths in the rig's unit, shares from 0 to 1."""
    from pose3d.metrics import body_length, coverage, summary

    over = ("time", "keypoint", "individual")
    errors = summary(poses3d, truth, over=over)
    inside = coverage(poses3d, truth, 0.95, over=over)
    places = truth["position"].isel(individual=0).transpose("time", "keypoint", "space").values
    return {
        "median": float(errors["median"]),
        "p95": float(errors["p95"]),
        "rmse": float(errors["rmse"]),
        "body_length": body_length(places),
        "missing": float(errors["missing"]),
        "coverage": float(inside),
    }


def _tell(comparison: dict[str, float], written: list[Path], *, as_json: bool) -> None:
    from rich.markup import escape

    if as_json:
        print_json({"against_truth": comparison, "written": [str(path) for path in written]})
        return
    to = console(result=True)
    share = 100 * comparison["median"] / comparison["body_length"]
    to.print(
        f"Against the truth: median error {comparison['median']:.2f} mm ({share:.1f} % of the length of the animal), "
        f"95th percentile {comparison['p95']:.2f} mm; {100 * comparison['missing']:.1f} % missing, each with a reason."
    )
    to.print(f"The 95 % error ellipsoids contain {100 * comparison['coverage']:.1f} % of the true positions.")
    for path in written:
        to.print(f"wrote [bold]{escape(str(path))}[/]")
    to.print(f"Next: open [bold]{escape(str(written[-1]))}[/] in a browser.")
