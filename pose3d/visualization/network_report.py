"""One HTML page about a trained network: how good it is, where it fails, and how it was trained."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from calibration.files import write_text
from calibration.page import Section, inline_figure, render_page, text_table, tiles, value_table
from pose3d.networks.confidence import left_out_probability, plain_probability, reliability
from pose3d.networks.evaluation import Comparison
from pose3d.networks.run_files import Run
from pose3d.project import table_of
from pose3d.visualization.network_error_figures import confidence_error_figure, error_map_figure
from pose3d.visualization.network_figures import (
    LabeledExample,
    Scoremap,
    error_figure,
    example_figure,
    history_figure,
    keypoint_error_figure,
    reliability_figure,
    scoremap_figure,
)

__all__ = ["NetworkReport", "write_network_report"]

# Two figures beside each other where the window is wide enough.
_SIDE_BY_SIDE = "display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(22rem,100%),1fr))"


@dataclass(frozen=True, eq=False)
class NetworkReport:
    """What a page shows.

    Attributes:
        run: the network.
        comparison: what was found in the images held out; None where none were.
        metrics: of it, see `evaluate`; empty where there is none.
        examples: the worst images.
        maps: what the network says of a few keypoints.
        sizes: width and height of each image of the comparison, for maps of its errors; none are drawn without.
        human: distances between people, see `human_variability`; None where no image has two labels.
    """

    run: Run
    comparison: Comparison | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    examples: Sequence[LabeledExample] = ()
    maps: Sequence[Scoremap] = ()
    human: Mapping[str, Any] | None = None
    sizes: Sequence[tuple[int, int]] = ()


def write_network_report(path: str | os.PathLike[str], report: NetworkReport) -> None:
    """Write the page.

    Raises:
        OutputError: it cannot be written.
    """
    run = report.run
    sections = [Section("summary", "Summary", _summary(report))]
    if report.comparison is not None and report.metrics:
        sections.append(Section("errors", "Errors", _errors(report)))
        sections.append(Section("confidence", "Confidence", _confidence(report, report.comparison)))
    if report.examples:
        sections.append(Section("worst", "Worst images", _examples(report)))
    if report.maps:
        sections.append(Section("maps", "Score maps", _maps(report)))
    sections.append(Section("training", "Training", _training(run)))
    about = f"{len(run.network.keypoints)} keypoints  ·  {run.network.backbone}  ·  {len(run.split.train)} images of "
    about += f"training, {len(run.split.held_out)} held out"
    write_text(
        path,
        render_page("Trained network", run.name, sections, about=about, footer="Errors are in pixels of the image."),
    )


def _summary(report: NetworkReport) -> str:
    if not report.metrics:
        return (
            "<h2>Summary</h2><p>No image was held out, so it is not known how good this network is. Train with images "
            "held out (<code>held_out</code> in [training] of project.toml), or cross-validate with "
            "<code>--folds</code>.</p>"
        )
    overall = report.metrics["overall"]
    shown = [("RMSE", overall["rmse"]["value"], "px"), ("median error", overall["median"]["value"], "px")]
    shown += [(f"within {name}", one["value"], "%") for name, one in list(overall["pck"].items())[:2]]
    shown.append(("mean precision (OKS)", overall["oks_map"]["value"], ""))
    if report.human is not None:
        shown.append(("two people, RMSE", report.human["overall"]["rmse"], "px"))
    values = [(name, float("nan") if value is None else float(value), unit) for name, value, unit in shown]
    return f"<h2>Summary</h2>{tiles(values)}<p>{escape(_sentence(report))}</p>"


def _sentence(report: NetworkReport) -> str:
    metrics = report.metrics
    rmse = metrics["overall"]["rmse"]
    text = f"Measured on {metrics['images']} images with {metrics['labels']} labels that the network was not trained on"
    if rmse["low"] is not None and rmse["high"] is not None:
        text += (
            f": RMSE {rmse['value']:.2f} px, with 95 % certainty between {rmse['low']:.2f} and {rmse['high']:.2f} px"
        )
    text += f" (drawn from {metrics['count']} {metrics['drawn']})."
    if report.run.metrics.get("decided_when_to_stop"):
        text += " The same images decided which weights were kept, so new videos are a little worse."
    if report.run.split.grouped_by == "image" or metrics["drawn"] == "images":
        text += " Neighboring images of the same video may be in both sets; other videos are worse."
    return text


def _errors(report: NetworkReport) -> str:
    assert report.comparison is not None
    human = report.human["overall"]["median"] if report.human is not None else None
    distance = error_figure(report.comparison.distance, report.comparison.keypoints, human)
    limits = list(report.metrics["overall"]["pck"])
    columns = [
        ("labels", "Labeled positions of this keypoint"),
        ("RMSE px", "Root of the mean squared error, with its 95 % interval"),
        ("median px", "Median error, with its 95 % interval"),
        *((f"{name} %", f"Share of labels with an error below {name}") for name in limits),
    ]
    rows = []
    for name, one in (("all", report.metrics["overall"]), *report.metrics["keypoints"].items()):
        shares = [one["pck"].get(limit, {}).get("value") for limit in limits]
        rows.append((name, [one["labels"], _words(one["rmse"]), _words(one["median"]), *map(_number, shares)]))
    return (
        f"<h2>Errors</h2>{inline_figure(keypoint_error_figure(report.metrics), 'Error by keypoint, with intervals')}"
        f"{inline_figure(distance, 'Histogram of errors, and the share below each distance')}"
        f"{_error_maps(report, report.comparison)}"
        f"{value_table('keypoint', columns, rows, caption='Errors on images held out')}"
    )


def _error_maps(report: NetworkReport, comparison: Comparison) -> str:
    if not report.sizes:
        return ""
    figure = error_map_figure(comparison.labeled, comparison.found, report.sizes)
    return (
        "<p>Left: every label where it lies in the image, large and orange where the error is large. Where many "
        "of them lie together, more labels are needed, or the view is bad. Right: what was found, seen from the "
        "label; a median away from the middle is a shift that all labels share.</p>"
        f"{inline_figure(figure, 'Errors by place in the image, and their direction')}"
    )


def _words(value: Mapping[str, float | None]) -> str:
    if value["value"] is None:
        return "–"
    if value["low"] is None or value["high"] is None:
        return f"{value['value']:.2f}"
    return f"{value['value']:.2f} ({value['low']:.2f}–{value['high']:.2f})"


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _confidence(report: NetworkReport, comparison: Comparison) -> str:
    found = report.run.confidence
    if found is None:
        return (
            "<h2>Confidence</h2><p>Too few labels were held out to say what the heights of peaks mean: confidence is "
            "the plain sigmoid, and covariances are as decoded. Label more frames.</p>"
        )
    before = reliability(*plain_probability(comparison, found.threshold))
    after = reliability(*left_out_probability(comparison, found.threshold))
    figure = reliability_figure(before, after, found.threshold)
    text = (
        f"Confidence is the probability of an error below {found.threshold:.1f} px. On images that were left out when "
        f"it was calibrated it is off by {found.error_after:.1%} on average; the height of the peak alone is off by "
        f"{found.error_before:.1%}. Covariances are multiplied by {found.covariance_scale:.2f}; ellipses that should "
        f"hold 95 % of the labels hold {found.coverage:.0%}. Found with {found.count} labels."
    )
    sure = found.probability(comparison.logit).astype(np.float64)
    against = confidence_error_figure(sure, comparison.distance, comparison.keypoints, found.threshold)
    return (
        f"<h2>Confidence</h2><p>{escape(text)}</p><p>Left: the nearer to the diagonal, the more honest. Right: the "
        "black line should fall, as what is sure should be near; dots at the upper right are large errors that the "
        f'network does not notice.</p><div style="{_SIDE_BY_SIDE}">'
        f"<div>{inline_figure(figure, 'Confidence against the share correct')}</div>"
        f"<div>{inline_figure(against, 'Error of every label against its confidence')}</div></div>"
    )


def _examples(report: NetworkReport) -> str:
    figure = example_figure(report.examples, report.run.network.keypoints)
    return (
        "<h2>Worst images</h2><p>Rings are labels, crosses are what the network found. Look here for labels that are "
        "wrong, too.</p>" + inline_figure(figure, "The images with the largest errors")
    )


def _maps(report: NetworkReport) -> str:
    return (
        "<h2>Score maps</h2><p>Where the network sees a keypoint, in the worst image, one in the middle, and the best: "
        "one bright spot is sure, several are doubt. The ring is the label, the cross is what was found.</p>"
        + inline_figure(scoremap_figure(report.maps), "Score maps of a few keypoints")
    )


def _training(run: Run) -> str:
    best = min(
        (entry for entry in run.history if np.isfinite(entry.get("mean", np.nan))),
        key=lambda entry: entry["mean"],
        default=run.history[-1] if run.history else {"step": 0.0},
    )
    figure = inline_figure(history_figure(run.history, best["step"]), "Losses and errors over training")
    settings = table_of(run.training)
    augmentation = settings.pop("augmentation")
    told = {
        "network": {key: value for key, value in table_of(run.network).items() if key != "keypoints"},
        "training": settings,
        "augmentation": augmentation,
        "sizes of images": [f"{width} x {height}" for width, height in run.sizes],
        "held out by": run.split.grouped_by,
    }
    return f"<h2>Training</h2>{figure}{text_table(told)}"
