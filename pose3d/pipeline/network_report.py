"""The report of a trained network: its worst images and score maps are looked up here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pose3d.networks.backbones import Backbone
from pose3d.networks.batches import scale_image
from pose3d.networks.evaluation import Comparison, EvaluationSettings, evaluate
from pose3d.networks.predicting import keras_maps, pad_images
from pose3d.networks.run_files import Run
from pose3d.pipeline.evaluation import human_variability, in_order_of
from pose3d.pipeline.training_inputs import LabeledData, labeled_data
from pose3d.project import Project
from pose3d.visualization.network_figures import LabeledExample, Scoremap
from pose3d.visualization.network_report import NetworkReport, write_network_report
from pose3d.visualization.window import window_around

__all__ = ["write_run_report"]

_WORST, _KEYPOINTS = 6, 4


def write_run_report(
    project: Project,
    run: Run,
    comparison: Comparison | None,
    *,
    backbones: Mapping[str, Backbone] | None = None,
) -> Path:
    """Write models/<run>/report.html.

    Args:
        project: with its labels.
        run: the network.
        comparison: what was found in the images held out, with the labels of now; None where none were.
        backbones: to choose from, instead of those of the package.

    Raises:
        OutputError: the page cannot be written.
    """
    path = run.path / "report.html"
    if comparison is None:
        write_network_report(path, NetworkReport(run))
        return path
    settings = project.settings_of("evaluation", EvaluationSettings)
    labeled = in_order_of(labeled_data(project, run.training), run)
    order = _worst_first(comparison)
    report = NetworkReport(
        run,
        comparison,
        evaluate(comparison, settings),
        [_example(comparison, labeled, row) for row in order[:_WORST]],
        _scoremaps(run, comparison, labeled, order, backbones),
        human_variability(project),
        [labeled.data.sizes[int(image)] for image in comparison.images],
    )
    write_network_report(path, report)
    return path


def _worst_first(comparison: Comparison) -> list[int]:
    """Rows of the comparison by their largest error."""
    distance = comparison.distance.reshape(len(comparison.images), -1)
    largest = np.where(np.isnan(distance), -1.0, distance).max(axis=1, initial=-1.0)
    order = np.argsort(-largest, kind="stable")
    return [int(row) for row in order if largest[row] >= 0]


def _example(comparison: Comparison, labeled: LabeledData, row: int) -> LabeledExample:
    image = labeled.data.read(int(comparison.images[row]))
    points = np.concatenate([comparison.labeled[row], comparison.found[row]]).reshape(-1, 2)
    left, top, right, bottom = window_around(points, image)
    distance = comparison.distance[row]
    place = np.unravel_index(int(np.nanargmax(distance)), distance.shape)
    name = Path(labeled.images[int(comparison.images[row])])
    shift = np.array([left, top])
    return LabeledExample(
        image[top:bottom, left:right],
        f"{name.parent.name}/{name.stem}: {comparison.keypoints[int(place[1])]} {distance[place]:.1f} px",
        comparison.labeled[row] - shift,
        comparison.found[row] - shift,
    )


def _scoremaps(
    run: Run,
    comparison: Comparison,
    labeled: LabeledData,
    order: list[int],
    backbones: Mapping[str, Backbone] | None,
) -> list[Scoremap]:
    """Of the worst image, one in the middle and the best, the keypoints that are off most."""
    if not order:
        return []
    maps = keras_maps(run.model(backbones=backbones))
    made = []
    for row in sorted({order[0], order[len(order) // 2], order[-1]}, key=order.index):
        image = labeled.data.read(int(comparison.images[row]))
        scaled = scale_image(image, run.network.scale)
        heatmap = maps(pad_images([scaled]))[0][0].astype(np.float64)
        points = np.concatenate([comparison.labeled[row], comparison.found[row]]).reshape(-1, 2)
        left, top, right, bottom = window_around(points, image)
        distance = np.nan_to_num(comparison.distance[row].max(axis=0), nan=-1.0)
        name = Path(labeled.images[int(comparison.images[row])]).stem
        for keypoint in sorted(np.argsort(-distance, kind="stable")[:_KEYPOINTS]):
            made.append(
                Scoremap(
                    image[top:bottom, left:right],
                    f"{name}: {run.network.keypoints[keypoint]}{_told(distance[keypoint])}",
                    1 / (1 + np.exp(-heatmap[..., keypoint])),
                    run.network.stride * image.shape[1] / scaled.shape[1],
                    comparison.labeled[row][:, keypoint] - (left, top),
                    (left, top),
                    comparison.found[row][:, keypoint] - (left, top),
                )
            )
    return made


def _told(distance: float) -> str:
    """An error for a title: nothing where nothing is labeled (below 0)."""
    if distance < 0:
        return ""
    return f" {distance:.1f} px" if np.isfinite(distance) else " not found"
