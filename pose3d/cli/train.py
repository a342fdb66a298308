"""`pose3d train`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pose3d.cli._console import console, print_json
from pose3d.cli._networks import TrainingBar, prepare_backend, print_folds, print_metrics

if TYPE_CHECKING:
    from pose3d.pipeline.training_inputs import TrainingOptions
    from pose3d.project import Project

__all__ = ["train"]


@click.command(epilog="Example: pose3d train mice --backbone efficientnet_lite0 --steps 3000")
@click.argument("folder", metavar="PROJECT", type=click.Path(path_type=Path))
@click.option("--run", "name", metavar="NAME", help="Name of the network: run1, run2, ... by default.")
@click.option("--backbone", metavar="NAME", help="mobilenetv2_0.35, efficientnet_lite0, resnet50, ...")
@click.option("--steps", type=click.IntRange(1), metavar="N", help="Batches of images.")
@click.option("--weights", metavar="imagenet|none|FILE", help="What the backbone starts from.")
@click.option("--missing", type=click.Choice(["unknown", "absent"]), help="What a keypoint without a label means.")
@click.option("--held-out", type=click.FloatRange(0, 0.89), metavar="SHARE", help="Images kept from training.")
@click.option("--folds", type=click.IntRange(2), metavar="K", help="Cross-validate: K networks, one per fold.")
@click.option("--resume", is_flag=True, help="Go on with a training that was interrupted.")
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as JSON.")
def train(
    folder: Path,
    name: str | None,
    backbone: str | None,
    steps: int | None,
    weights: str | None,
    missing: str | None,
    held_out: float | None,
    folds: int | None,
    resume: bool,
    as_json: bool,
) -> None:
    """Train a network on the labels of a project.

    Options that are not given are those of project.toml. Whole sessions are kept from training where there are
    several; on them the network is measured. Ctrl-C keeps what was learned, and --resume goes on with it.
    """
    prepare_backend()
    from pose3d.pipeline.training import check_resumed, next_run_name
    from pose3d.pipeline.training_inputs import training_options, with_options
    from pose3d.project import find_project

    project = find_project(folder)
    network = {"backbone": backbone}
    training = {"steps": steps, "weights": weights, "missing": missing, "held_out": held_out}
    options = with_options(training_options(project), network, training)
    name = name or (_interrupted(project) if resume else next_run_name(project))
    if resume:
        check_resumed(project, name, {**network, **training})
    try:
        if folds is None:
            _one(project, folder, name, options, resume=resume, as_json=as_json)
        else:
            _folds(project, name, options, folds, resume=resume, as_json=as_json)
    except KeyboardInterrupt:
        more = f" --folds {folds}" if folds is not None else ""
        place = shlex.quote(str(folder))
        console().print(f"Stopped. Go on with: pose3d train {place} --run {name}{more} --resume", markup=False)
        raise click.exceptions.Exit(1) from None


def _interrupted(project: Project) -> str:
    from pose3d.pipeline.training import unfinished_runs

    names = unfinished_runs(project)
    if len(names) != 1:
        told = f"There are {', '.join(names)}." if names else "There is none."
        raise click.UsageError(f"--resume: expected the name of one interrupted training, --run NAME. {told}")
    return names[0]


def _one(project: Project, folder: Path, name: str, options: TrainingOptions, *, resume: bool, as_json: bool) -> None:
    from pose3d.pipeline.network_report import write_run_report
    from pose3d.pipeline.training import export_trained, train_project

    with TrainingBar() as bar:
        run, comparison = train_project(
            project, name, options, resume=resume, report=lambda progress: bar.tell(progress, name)
        )
    with console().status("Writing the report ..."):
        page = write_run_report(project, run, comparison)
    with console().status("Exporting, and comparing with Keras ..."):
        exported = export_trained(project, run)
    if as_json:
        print_json({"run": run.name, "path": str(run.path), "report": str(page), "held_out": dict(run.metrics) or None})
        return
    to_user = console(result=True)
    if run.metrics:
        print_metrics(run.metrics, "Errors on images that were held out")
    else:
        to_user.print("No image was held out, so it is not known how good the network is.", markup=False)
    to_user.print(f"Trained network: {run.path}", markup=False)
    to_user.print(f"Report: {page}", markup=False)
    if exported is not None:
        text = f"Fastest here: {exported[0]}, equal to Keras within {exported[1]:.3f} px"
        to_user.print(text, markup=False)
    network, place = shlex.quote(str(run.path)), shlex.quote(str(folder))
    to_user.print(f"Next: pose3d predict {network} VIDEO... -o results, or pose3d refine {place}", markup=False)


def _folds(project: Project, name: str, options: TrainingOptions, count: int, *, resume: bool, as_json: bool) -> None:
    from pose3d.pipeline.evaluation import evaluate_folds, save_folds
    from pose3d.pipeline.training import train_folds

    with TrainingBar() as bar:
        done = train_folds(
            project,
            name,
            options,
            count,
            resume=resume,
            report=lambda number, progress: bar.tell(progress, f"fold {number} of {count}"),
        )
    pairs = [(run.name, comparison) for run, comparison in done if comparison is not None]
    told = evaluate_folds(project, name, pairs, options.evaluation)
    path = save_folds(project, told)
    if as_json:
        print_json(told)
        return
    print_folds(told)
    console(result=True).print(f"Written to {path}", markup=False)
