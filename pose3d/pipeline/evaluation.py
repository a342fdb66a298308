"""How good the trained networks of a project are: on images held out, beside training and beside people."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from calibration.errors import FileFormatError, InvalidValueError
from calibration.files import write_text
from pose3d.labeling.annotators import annotator_distances
from pose3d.labeling.store import LabelStore
from pose3d.networks.backbones import Backbone
from pose3d.networks.evaluation import Comparison, EvaluationSettings, compare, evaluate, joined_comparisons
from pose3d.networks.predicting import keras_maps
from pose3d.networks.run_files import Run, check_keypoints, load_run, runs_in
from pose3d.pipeline.training_inputs import LabeledData, labeled_data
from pose3d.project import Project

__all__ = [
    "compare_run",
    "evaluate_folds",
    "evaluate_run",
    "find_run",
    "fold_runs",
    "human_variability",
    "in_order_of",
    "save_folds",
]

# So many training images show how far the network has learned them by heart; more take only time.
_TRAINING_IMAGES = 100


def find_run(project: Project, name: str | None = None) -> Path:
    """The folder of a run; the newest where no name is given.

    Raises:
        FileFormatError: there is no run, or none of that name.
    """
    runs = runs_in(project.models_folder)
    named = [run for run in runs if name is None or run.name == name]
    if not named:
        raise FileFormatError(
            project.models_folder / (name or ""),
            expected="a trained network",
            got=f"none of that name; there are {', '.join(run.name for run in runs)}" if runs else "none yet",
            remedy="Correct the name: --run NAME" if runs else "Train one: `pose3d train PROJECT`.",
        )
    return named[-1]


def fold_runs(project: Project, name: str) -> tuple[Path, ...]:
    """The runs of a cross-validation, in the order of their folds."""
    pattern = re.compile(rf"{re.escape(name)}_fold(\d+)")
    found = [(int(match[1]), run) for run in runs_in(project.models_folder) if (match := pattern.fullmatch(run.name))]
    return tuple(run for _, run in sorted(found))


def compare_run(
    project: Project, path: Path, *, backbones: Mapping[str, Backbone] | None = None, train: bool = False
) -> tuple[Run, Comparison, LabeledData]:
    """Find keypoints in the images that a run did not train on.

    Args:
        project: with its labels.
        path: of the run.
        backbones: to choose from, instead of those of the package.
        train: those that it did train on, at most 100, instead.

    Raises:
        FileFormatError: the run is damaged, or labels are missing.
        MismatchError: the skeleton changed since it was trained.
        InvalidValueError: none of its images is labeled any more; see `labeled_data`.
    """
    run = load_run(path)
    check_keypoints(run, project.skeleton.keypoints)
    labeled = in_order_of(labeled_data(project, run.training), run)
    wanted = run.split.train if train else run.split.held_out
    place = {image: number for number, image in enumerate(labeled.images)}
    chosen = np.array([place[image] for image in wanted if image in place], dtype=np.int64)
    if train and len(chosen) > _TRAINING_IMAGES:
        chosen = chosen[np.linspace(0, len(chosen) - 1, _TRAINING_IMAGES).astype(int)]
    if not len(chosen):
        raise InvalidValueError(
            f"run '{run.name}'",
            expected="labeled images that it was not trained on",
            got=f"{len(wanted)} were held out when it was trained; none of them is labeled now",
            remedy="Train with images held out (held_out in [training] of project.toml), or with --folds.",
        )
    maps = keras_maps(run.model(backbones=backbones))
    return run, compare(maps, labeled.data, chosen, run.network, groups=labeled.groups), labeled


def in_order_of(labeled: LabeledData, run: Run) -> LabeledData:
    """The labels with keypoints in the order in which the network gives them."""
    order = [labeled.data.keypoints.index(name) for name in run.network.keypoints]
    if order == sorted(order):
        return labeled
    swap = {old: new for new, old in enumerate(order)}
    data = replace(
        labeled.data,
        points=labeled.data.points[:, :, order],
        keypoints=run.network.keypoints,
        mirrored=tuple((swap[a], swap[b]) for a, b in labeled.data.mirrored),
    )
    return replace(labeled, data=data)


def evaluate_run(
    project: Project, path: Path, *, backbones: Mapping[str, Backbone] | None = None
) -> tuple[dict[str, Any], Comparison]:
    """Metrics of a run on the images held out, and on those of training; and how far people are apart.

    Returns:
        "run", "held_out" (see `evaluate`), "train", "human" and "confidence" as plain numbers; and what was found in
        the images held out.

    Raises:
        FileFormatError, MismatchError, InvalidValueError: see `compare_run`.
    """
    settings = project.settings_of("evaluation", EvaluationSettings)
    run, comparison, _ = compare_run(project, path, backbones=backbones)
    _, seen, _ = compare_run(project, path, backbones=backbones, train=True)
    told = {
        "run": run.name,
        "held_out": evaluate(comparison, settings),
        "train": evaluate(seen, settings)["overall"],
        "human": human_variability(project),
        "confidence": None if run.confidence is None else _told(run),
    }
    return told, comparison


def _told(run: Run) -> dict[str, float]:
    assert run.confidence is not None
    names = ("threshold", "count", "error_before", "error_after", "coverage", "covariance_scale")
    return {name: getattr(run.confidence, name) for name in names}


def human_variability(project: Project) -> dict[str, Any] | None:
    """Distances between annotators of the same images, in pixels; None where no image has two."""
    with LabelStore(project.labels_file, project.skeleton, read_only=True) as store:
        labels = store.labels()
    distance = annotator_distances(labels)
    known = np.isfinite(distance)
    if not known.any():
        return None

    def summary(values: Any) -> dict[str, Any]:
        there = values[np.isfinite(values)]
        if not len(there):
            return {"labels": 0, "rmse": None, "median": None}
        return {
            "labels": len(there),
            "rmse": float(np.sqrt((there**2).mean())),
            "median": float(np.median(there)),
        }

    return {
        "pairs": len(distance),
        "overall": summary(distance),
        "keypoints": {name: summary(distance[..., number]) for number, name in enumerate(labels.keypoints)},
    }


def evaluate_folds(
    project: Project, name: str, done: Sequence[tuple[str, Comparison]], settings: EvaluationSettings
) -> dict[str, Any]:
    """Metrics of a cross-validation: of every fold, their mean, and of all images together.

    Args:
        project: with its labels.
        name: of the cross-validation.
        done: name of the run and what was found, of each fold.
        settings: what is measured.
    """
    overall = {run: evaluate(comparison, settings)["overall"] for run, comparison in done}
    errors = np.array([one["rmse"]["value"] for one in overall.values() if one["rmse"]["value"] is not None])
    return {
        "run": name,
        "folds": overall,
        "mean_rmse": float(errors.mean()) if len(errors) else None,
        "deviation_rmse": float(errors.std(ddof=1)) if len(errors) > 1 else None,
        "held_out": evaluate(joined_comparisons([comparison for _, comparison in done]), settings),
        "human": human_variability(project),
    }


def save_folds(project: Project, told: Mapping[str, Any]) -> Path:
    """Write models/<name>.folds.json.

    Raises:
        OutputError: it cannot be written.
    """
    path = project.models_folder / f"{told['run']}.folds.json"
    write_text(path, json.dumps(told, indent=1, allow_nan=False) + "\n")
    return path
