"""`pose3d evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pose3d.cli._console import console, print_json
from pose3d.cli._networks import prepare_backend, print_folds, print_metrics

if TYPE_CHECKING:
    from pose3d.project import Project

__all__ = ["evaluate"]


@click.command(epilog="Example: pose3d evaluate mice --run run1")
@click.argument("folder", metavar="PROJECT", type=click.Path(path_type=Path))
@click.option("--run", "name", metavar="NAME", help="The network, or the name given to --folds; the newest by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as JSON.")
def evaluate(folder: Path, name: str | None, as_json: bool) -> None:
    """Measure a trained network on the images that it was not trained on, and write its report.

    Labels that were corrected since it was trained count as they are now. Where two people labeled the same images,
    their distance is shown beside the errors of the network.
    """
    prepare_backend()
    from pose3d.networks.run_files import load_run
    from pose3d.pipeline.evaluation import evaluate_run, find_run, fold_runs
    from pose3d.pipeline.network_report import write_run_report
    from pose3d.project import find_project

    project = find_project(folder)
    if name is not None and fold_runs(project, name):
        told = _folds(project, name)
        page = None
    else:
        path = find_run(project, name)
        with console().status(f"Evaluating {path.name} ..."):
            told, comparison = evaluate_run(project, path)
            page = write_run_report(project, load_run(path), comparison)
    if as_json:
        print_json({**told, "report": None if page is None else str(page)})
        return
    if page is None:
        print_folds(told)
    else:
        print_metrics(told["held_out"], f"Errors of {told['run']} on images that were held out")
    _show_more(told, page)


def _folds(project: Project, name: str) -> dict[str, Any]:
    from pose3d.networks.evaluation import EvaluationSettings
    from pose3d.pipeline.evaluation import compare_run, evaluate_folds, fold_runs, save_folds

    settings = project.settings_of("evaluation", EvaluationSettings)
    done = []
    for path in fold_runs(project, name):
        with console().status(f"Evaluating {path.name} ..."):
            done.append((path.name, compare_run(project, path)[1]))
    told = evaluate_folds(project, name, done, settings)
    save_folds(project, told)
    return told


def _show_more(told: Mapping[str, Any], page: Path | None) -> None:
    to_user = console(result=True)
    if told.get("train") and told["train"]["rmse"]["value"] is not None:
        to_user.print(f"RMSE on images of training: {told['train']['rmse']['value']:.2f} px", markup=False)
    human = told["human"]
    if human is not None:
        text = f"Two people on the same {human['pairs']} images: RMSE {human['overall']['rmse']:.2f} px"
        to_user.print(f"{text}, median {human['overall']['median']:.2f} px", markup=False)
    confidence = told.get("confidence")
    if confidence is not None:
        text = f"Confidence is the probability of an error below {confidence['threshold']:.1f} px; it is off by "
        before, after = confidence["error_before"], confidence["error_after"]
        to_user.print(f"{text}{after:.1%} on average ({before:.1%} before calibration)", markup=False)
    if page is not None:
        to_user.print(f"Report: {page}", markup=False)
