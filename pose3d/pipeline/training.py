"""A project's labels into trained networks: one, or one per fold of a cross-validation."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError, InvalidValueError, MismatchError, OutputError, SuiteError
from calibration.files import write_text
from pose3d.detection.network import export_run
from pose3d.networks.backbones import Backbone
from pose3d.networks.confidence import fit_confidence
from pose3d.networks.evaluation import Comparison, EvaluationSettings, body_lengths, compare, evaluate
from pose3d.networks.predicting import keras_maps
from pose3d.networks.run_files import Run, Split, save_run
from pose3d.networks.runtimes import installed_runtimes
from pose3d.networks.settings import NetworkSettings, TrainingSettings
from pose3d.networks.splits import folds, holdout
from pose3d.networks.training import Progress, TrainedNetwork, train
from pose3d.pipeline.evaluation import compare_run
from pose3d.pipeline.training_inputs import LabeledData, TrainingOptions, labeled_data
from pose3d.project import Project, read_settings, table_of

__all__ = ["export_trained", "next_run_name", "train_folds", "train_project", "unfinished", "unfinished_runs"]

Integers = NDArray[np.int64]
# Images with which exports are compared.
_EXPORTED = 8
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")


def next_run_name(project: Project) -> str:
    """The first of run1, run2, ... that is free."""
    number = 1
    while any((project.models_folder / name).exists() for name in (f"run{number}", f"run{number}.folds.json")):
        number += 1
    return f"run{number}"


def unfinished(project: Project, name: str) -> Path:
    """The folder of a training that is not finished: its checkpoint and what it was asked for."""
    return project.models_folder / f".{name}.unfinished"


def unfinished_runs(project: Project) -> tuple[str, ...]:
    """Names of the trainings that were interrupted."""
    found = project.models_folder.glob(".*.unfinished") if project.models_folder.is_dir() else ()
    return tuple(sorted(folder.name[1 : -len(".unfinished")] for folder in found))


def check_resumed(project: Project, name: str, asked: Mapping[str, object]) -> None:
    """Make sure that a training to be resumed has what is asked for.

    Args:
        project: of the training.
        name: of the run, or of the folds that begin with it.
        asked: backbone and settings of the training by name; None where nothing is asked for.

    Raises:
        MismatchError: it began with something else.
        FileFormatError: its plan is damaged.
    """
    for run in unfinished_runs(project):
        if run != name and not re.fullmatch(re.escape(name) + r"_fold\d+", run):
            continue
        options, _ = _read_plan(unfinished(project, run) / "plan.json", run)
        for key, value in asked.items():
            began = getattr(options.network if key == "backbone" else options.training, key)
            if value is not None and value != began:
                raise MismatchError(
                    f"training '{run}', {key}",
                    expected=f"{began!r}, with which it began",
                    got=repr(value),
                    remedy=f"Leave out --{key.replace('_', '-')}, or train anew under another name, without --resume.",
                )


def train_project(
    project: Project,
    name: str,
    options: TrainingOptions,
    *,
    resume: bool = False,
    report: Callable[[Progress], None] | None = None,
    backbones: Mapping[str, Backbone] | None = None,
) -> tuple[Run, Comparison | None]:
    """Train a network on the labels of a project, and write models/<name>.

    Args:
        project: with its labels.
        name: of the run.
        options: what and how; those of the interrupted run where it is resumed.
        resume: go on with the run of this name that was interrupted.
        report: is told of every step; a KeyboardInterrupt that it raises ends training, to be resumed.
        backbones: to choose from, instead of those of the package.

    Returns:
        the run, and what was found in the images held out; None where none were.

    Raises:
        InvalidValueError, FileFormatError, MismatchError: see `labeled_data` and `train`; there is nothing to resume.
        OutputError: there is a run of this name, finished or not; or it cannot be written.
    """
    options, labeled = _begin(project, name, options, resume=resume)
    chosen, held_out = holdout(labeled.groups, options.training.held_out, options.training.seed)
    trained = _train(project, name, options, labeled, (chosen, held_out), held_out, report, backbones)
    return _finish(project, name, options, labeled, trained, (chosen, held_out), selected=True)


def train_folds(
    project: Project,
    name: str,
    options: TrainingOptions,
    count: int,
    *,
    resume: bool = False,
    report: Callable[[int, Progress], None] | None = None,
    backbones: Mapping[str, Backbone] | None = None,
) -> list[tuple[Run, Comparison | None]]:
    """Train one network per fold of a cross-validation: models/<name>_fold1 and so on.

    Images of a fold have no say in its network, not even in when training ends: the last weights are kept.

    Args:
        project, name, options, resume, backbones: see `train_project`.
        count: of folds.
        report: is told the number of the fold, from 1, and of every step.
    """
    labeled = labeled_data(project, options.training)
    parts = folds(labeled.groups, count, options.training.seed)
    done: list[tuple[Run, Comparison | None]] = []
    for number, held_out in enumerate(parts, start=1):
        fold = f"{name}_fold{number}"
        if resume and (project.models_folder / fold).exists():
            run, found, _ = compare_run(project, project.models_folder / fold, backbones=backbones)
            done.append((run, found))
            continue
        own, labeled = _begin(project, fold, options, resume=resume and unfinished(project, fold).exists())
        split = (np.setdiff1d(np.arange(len(labeled.labels)), held_out), held_out)
        tell = None if report is None else (lambda progress, number=number: report(number, progress))
        trained = _train(project, fold, own, labeled, split, np.empty(0, np.int64), tell, backbones)
        done.append(_finish(project, fold, own, labeled, trained, split, selected=False))
    return done


def export_trained(
    project: Project, run: Run, *, backbones: Mapping[str, Backbone] | None = None
) -> tuple[str, float] | None:
    """Export a run for images of the size that most of its images have, compared with Keras on some of them.

    Returns:
        the fastest runtime, and the largest distance of its positions from those of Keras, in pixels of the network's
        input; None where only Keras is installed.

    Raises:
        OutputError: the folder of the run cannot be written.
        InvalidValueError: no installed runtime agrees with Keras.
    """
    if set(installed_runtimes()) <= {"keras"}:
        return None
    labeled = labeled_data(project, run.training)
    size = max(set(labeled.data.sizes), key=labeled.data.sizes.count)
    chosen = [number for number, own in enumerate(labeled.data.sizes) if own == size][:_EXPORTED]
    frames = np.stack([labeled.data.read(number) for number in chosen])
    export = export_run(run, frames, backbones=backbones)
    return export.chosen, export.differences.get(export.chosen, 0.0)


def _begin(
    project: Project, name: str, options: TrainingOptions, *, resume: bool
) -> tuple[TrainingOptions, LabeledData]:
    """Check the name and the labels; keep what was asked for, or take what was when it is resumed."""
    if not _NAME.fullmatch(name):
        raise InvalidValueError(
            "name of the run",
            expected="letters, digits, ., - and _",
            got=repr(name),
            remedy="Choose another: --run NAME",
        )
    place, waiting = project.models_folder / name, unfinished(project, name)
    if place.exists():
        raise OutputError(
            place, expected="a new run", got="one that is finished", remedy="Choose another name: --run NAME"
        )
    if waiting.exists() and not resume:
        raise OutputError(
            place,
            expected="a new run",
            got="one that was interrupted",
            remedy=f"Go on with it: `pose3d train {project.root.name} --run {name} --resume`, or choose another name.",
        )
    plan = waiting / "plan.json"
    if resume:
        options, _ = _read_plan(plan, name)
    labeled = labeled_data(project, options.training)
    if not resume:
        told = {key: table_of(getattr(options, key)) for key in ("network", "training", "evaluation")}
        write_text(plan, json.dumps({**told, "labels": labeled.digest}, indent=1))
    # Read in any case: 5 becomes 5.0, and the checkpoint knows its settings by their text.
    options, digest = _read_plan(plan, name)
    if digest != labeled.digest:
        raise MismatchError(
            place,
            expected="the labels with which the interrupted training began",
            got="labels that were changed since",
            remedy="Train anew under another name: --run NAME without --resume.",
        )
    return options, labeled


def _read_plan(plan: Path, name: str) -> tuple[TrainingOptions, str]:
    try:
        told: dict[str, Any] = json.loads(plan.read_text(encoding="utf-8"))
        options = TrainingOptions(
            read_settings(told["network"], NetworkSettings, plan, "network"),
            read_settings(told["training"], TrainingSettings, plan, "training"),
            read_settings(told["evaluation"], EvaluationSettings, plan, "evaluation"),
        )
        return options, str(told["labels"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(
            plan.parent,
            expected=f"an interrupted training with the name '{name}'",
            got="none" if not plan.exists() else f"a damaged file ({error})",
            remedy="Leave out --resume to train a new network.",
        ) from error


def _train(
    project: Project,
    name: str,
    options: TrainingOptions,
    labeled: LabeledData,
    split: tuple[Integers, Integers],
    deciding: Integers,
    report: Callable[[Progress], None] | None,
    backbones: Mapping[str, Backbone] | None,
) -> TrainedNetwork:
    checkpoint = unfinished(project, name) / "checkpoint.npz"
    try:
        return train(
            labeled.data,
            split[0],
            deciding,
            options.network,
            options.training,
            checkpoint=checkpoint,
            report=report,
            backbones=backbones,
        )
    except SuiteError:
        if not checkpoint.exists():  # it never began: with other options the name is free
            shutil.rmtree(checkpoint.parent, ignore_errors=True)
        raise


def _finish(
    project: Project,
    name: str,
    options: TrainingOptions,
    labeled: LabeledData,
    trained: TrainedNetwork,
    split: tuple[Integers, Integers],
    *,
    selected: bool,
) -> tuple[Run, Comparison | None]:
    """Measure the network on the images held out, and write the run."""
    chosen, held_out = split
    comparison, metrics, confidence = None, {}, None
    if len(held_out):
        maps = keras_maps(trained.model)
        comparison = compare(maps, labeled.data, held_out, options.network, groups=labeled.groups)
        metrics = evaluate(comparison, options.evaluation) | {"decided_when_to_stop": selected}
        length = float(np.nanmedian(body_lengths(comparison, options.evaluation.reference)))
        if np.isfinite(length):
            confidence = fit_confidence(comparison, max(1.0, options.evaluation.confidence_share * length))
    images, data = labeled.images, labeled.data
    run = save_run(
        project.models_folder / name,
        trained,
        mirrored_pairs=[(data.keypoints[a], data.keypoints[b]) for a, b in data.mirrored],
        sizes=data.sizes,
        split=Split(
            tuple(images[index] for index in chosen),
            tuple(images[index] for index in held_out),
            labeled.grouped_by,
        ),
        metrics=metrics,
        confidence=confidence,
    )
    shutil.rmtree(unfinished(project, name), ignore_errors=True)
    return run, comparison
