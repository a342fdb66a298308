"""Figures of a trained network: how it learned, how far it is off, how honest its confidence is, and what it sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from calibration.plots import GRID, INK, MUTED, PALETTE, categorical_colors, new_figure, plain, style_axes
from pose3d.visualization._shapes import LONGEST_NAME, legend_above

__all__ = [
    "LabeledExample",
    "Scoremap",
    "error_figure",
    "example_figure",
    "history_figure",
    "keypoint_error_figure",
    "reliability_figure",
    "scoremap_figure",
]

Floats = NDArray[np.float64]

_MOST_KEYPOINTS = 60
# Bright on dark and gray pictures of animals, and different from each other for any color vision.
_HEAT = LinearSegmentedColormap.from_list(
    "heat", [(0.0, 0.45, 0.7, 0.0), (0.9, 0.62, 0.0, 0.75), (1.0, 1.0, 0.6, 0.95)]
)


@dataclass(frozen=True, eq=False)
class LabeledExample:
    """An image with what was labeled and what was found.

    Attributes:
        image: (height, width, 3) RGB.
        title: above it.
        labeled, found: (individual, keypoint, 2) pixels, NaN where missing.
    """

    image: NDArray[np.uint8]
    title: str
    labeled: Floats
    found: Floats


@dataclass(frozen=True, eq=False)
class Scoremap:
    """What the network says of one keypoint, over the image.

    Attributes:
        image: (height, width, 3) RGB, or a part of it.
        title: above it.
        probability: (row, column) sigmoid of the map of the whole image.
        cell: pixels of the image per cell of the map.
        labeled: (individual, 2) pixels of the part.
        found: (individual, 2) pixels of the part; none by default.
        corner: column and row of the whole image where the part begins.
    """

    image: NDArray[np.uint8]
    title: str
    probability: Floats
    cell: float
    labeled: Floats
    corner: tuple[int, int] = (0, 0)
    found: Floats = field(default_factory=lambda: np.empty((0, 2)))


def history_figure(history: Sequence[Mapping[str, float]], best_step: float) -> Figure:
    """Losses and held-out error over the steps of training; the step whose weights were kept."""
    figure = new_figure(9.0, 3.4)
    left, right = figure.subplots(1, 2)
    steps = [entry["step"] for entry in history]
    style_axes(left, title="Loss", xlabel="step", ylabel="loss")
    names = {"loss": "all", "heatmap_loss": "heatmap", "offset_loss": "offset", "visible_loss": "visibility"}
    for number, (key, name) in enumerate(names.items()):
        values = [entry.get(key, np.nan) for entry in history]
        if np.isfinite(values).any():
            color = INK if key == "loss" else PALETTE[number - 1]
            left.plot(steps, values, marker="o", markersize=3, linewidth=1.4, color=color, label=name)
    left.set_yscale("log")
    legend_above(left, 4)
    style_axes(right, title="Error on images held out", xlabel="step", ylabel="px")
    for key, color in (("rmse", PALETTE[1]), ("median", PALETTE[0])):
        values = [entry.get(key, np.nan) for entry in history]
        if np.isfinite(values).any():
            label = "RMSE" if key == "rmse" else "median"
            right.plot(steps, values, marker="o", markersize=3, linewidth=1.4, color=color, label=label)
    if right.lines:
        right.axvline(best_step, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="kept")
        right.set_ylim(bottom=0)
        legend_above(right, 3)
    else:
        right.text(0.5, 0.5, "no image was held out", ha="center", va="center", color=MUTED, transform=right.transAxes)
    return figure


def keypoint_error_figure(metrics: Mapping[str, Any]) -> Figure:
    """RMSE and median of every keypoint with their 95 % intervals, the worst first."""
    told = list(metrics["keypoints"].items())[:_MOST_KEYPOINTS]
    told.sort(key=lambda item: -(item[1]["rmse"]["value"] or 0.0))
    rows = [("all keypoints", metrics["overall"]), *told]
    figure = new_figure(9.0, max(2.2, 1.2 + 0.26 * len(rows)))
    axes = style_axes(figure.subplots(), title="Error by keypoint", xlabel="px", grid="x")
    for row, (_, one) in enumerate(rows):
        for key, color, shift in (("rmse", PALETTE[1], -0.13), ("median", PALETTE[0], 0.13)):
            value, low, high = (one[key][part] for part in ("value", "low", "high"))
            if value is None:
                continue
            label = {"rmse": "RMSE", "median": "median"}[key] if row == 0 else None
            if low is not None and high is not None:
                axes.plot([low, high], [row + shift] * 2, color=color, linewidth=2.2, alpha=0.45)
            axes.plot([value], [row + shift], marker="o", markersize=4.5, color=color, linestyle="", label=label)
    names = [plain(f"{name} ({one['labels']})", LONGEST_NAME) for name, one in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=8.5, color=INK)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(left=0)
    legend_above(axes, 2)
    return figure


def error_figure(distance: Floats, keypoints: Sequence[str], human: float | None = None) -> Figure:
    """How many labels have which error; and the share below each distance.

    Args:
        distance: (image, individual, keypoint) pixels; NaN where nothing is labeled, infinite where nothing was found.
        keypoints: names.
        human: median distance between two people, if known.
    """
    figure = new_figure(9.0, 3.4)
    left, right = figure.subplots(1, 2)
    labeled = distance[~np.isnan(distance)]
    values = labeled[np.isfinite(labeled)]
    style_axes(left, title="Errors", xlabel="error (px)", ylabel="labels")
    edges = np.geomspace(0.1, max(float(values.max()), 1.0) * 1.05, 31) if len(values) else np.array([0.1, 1.0])
    left.hist(np.maximum(values, 0.1), bins=edges, color=PALETTE[0], alpha=0.75)
    style_axes(right, title="Share with a smaller error", xlabel="error (px)", ylabel="labels (%)", grid="both")
    shown = list(keypoints) if len(keypoints) <= len(PALETTE) else []
    for name, color in categorical_colors(shown).items():
        own = distance[..., shown.index(name)]
        _cumulative(right, own[~np.isnan(own)], color, 1.0, name)
    _cumulative(right, labeled, INK, 2.0, "all")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xlim(edges[0], edges[-1])
        axes.set_xticks([tick for tick in (0.1, 1, 10, 100, 1000) if edges[0] <= tick <= edges[-1]])
        axes.xaxis.set_major_formatter(lambda value, _place: f"{value:g}")
        if human is not None:
            axes.axvline(human, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)), label="two people (median)")
    right.set_ylim(0, 100)
    if right.lines:
        right.legend(loc="lower right", frameon=False, fontsize=8, labelcolor=INK)
    return figure


def _cumulative(axes: Axes, values: Floats, color: str, width: float, name: str) -> None:
    if len(values):
        ordered = np.sort(np.maximum(values, 0.1))
        share = 100 * np.arange(1, len(ordered) + 1) / len(ordered)
        seen = np.isfinite(ordered)
        axes.step(ordered[seen], share[seen], where="post", color=color, linewidth=width, label=plain(name, 24))


def reliability_figure(before: Floats, after: Floats, threshold: float) -> Figure:
    """What confidence says, and what is true: the nearer to the diagonal, the more honest.

    Args:
        before, after: (bin, 3) mean probability, share that is correct, and count, without and with calibration.
        threshold: pixels below which a position is correct.
    """
    figure = new_figure(4.6, 4.2)
    axes = style_axes(
        figure.subplots(),
        title="Confidence and truth",
        xlabel="confidence",
        ylabel=f"share with an error below {threshold:.1f} px",
        grid="both",
    )
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    for table, color, name in ((before, PALETTE[1], "height of the peak"), (after, PALETTE[0], "calibrated")):
        if len(table):
            axes.plot(table[:, 0], table[:, 1], color=color, linewidth=1.2, marker="o", markersize=5, label=name)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    legend_above(axes, 2)
    return figure


def example_figure(examples: Sequence[LabeledExample], keypoints: Sequence[str]) -> Figure:
    """Images with rings where keypoints were labeled and crosses where they were found, three in a row."""
    columns = min(3, len(examples))
    rows = -(-len(examples) // columns)
    figure = new_figure(9.0, rows * (9.0 / columns) * _tallest([one.image for one in examples]) + 0.5)
    colors = list(categorical_colors(keypoints).values())
    for axes, one in zip(figure.subplots(rows, columns, squeeze=False).ravel(), examples, strict=False):
        _show_image(axes, one.image, one.title)
        for labeled, found in zip(one.labeled, one.found, strict=True):
            for place, color in enumerate(colors):
                line = np.stack([labeled[place], found[place]])
                axes.plot(line[:, 0], line[:, 1], color=color, linewidth=1.2)
                axes.plot(*labeled[place], marker="o", markersize=6, fillstyle="none", color=color, linestyle="")
                axes.plot(*found[place], marker="x", markersize=5, markeredgewidth=1.4, color=color, linestyle="")
    _hide_rest(figure, len(examples))
    if len(keypoints) <= len(PALETTE):
        handles = [
            figure.axes[0].plot([], [], marker="o", color=color, linestyle="", label=plain(name, 24))[0]
            for name, color in zip(keypoints, colors, strict=True)
        ]
        figure.legend(
            handles=handles, loc="outside lower left", ncols=min(6, len(handles)), frameon=False, fontsize=8.5,
            labelcolor=INK,
        )  # fmt: skip
    return figure


def scoremap_figure(maps: Sequence[Scoremap]) -> Figure:
    """What the network says of keypoints, over the image: a ring where labeled, a cross where found. Four in a row."""
    columns = min(4, len(maps))
    rows = -(-len(maps) // columns)
    figure = new_figure(9.0, rows * (9.0 / columns) * (_tallest([one.image for one in maps]) + 0.12) + 0.6)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, one in zip(panels, maps, strict=False):
        _show_image(axes, one.image, one.title)
        height, width = one.image.shape[:2]
        high, wide = one.probability.shape
        left, top = (-0.5 - start for start in one.corner)
        extent = (left, wide * one.cell + left, high * one.cell + top, top)
        axes.imshow(one.probability, cmap=_HEAT, vmin=0, vmax=1, extent=extent, interpolation="nearest")
        axes.plot(one.labeled[:, 0], one.labeled[:, 1], marker="o", markersize=9, fillstyle="none", color="#ffffff",
                  linestyle="")  # fmt: skip
        axes.plot(one.found[:, 0], one.found[:, 1], marker="x", markersize=6, markeredgewidth=1.6, color="#ffffff",
                  linestyle="")  # fmt: skip
        axes.set_xlim(-0.5, width - 0.5)
        axes.set_ylim(height - 0.5, -0.5)
    for axes in panels[len(maps) :]:
        axes.set_axis_off()
    _probability_bar(figure)
    return figure


def _probability_bar(figure: Figure) -> None:
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, 1), _HEAT), ax=figure.axes, location="bottom", fraction=0.03, shrink=0.3, pad=0.01,
        anchor=(0.0, 0.5), ticks=[0, 0.5, 1],
    )  # fmt: skip
    bar.set_label("probability in the map", fontsize=8.5, color=MUTED)
    bar.ax.tick_params(colors=MUTED, labelsize=8, length=3)
    bar.outline.set_edgecolor(GRID)


def _show_image(axes: Axes, image: NDArray[np.uint8], title: str) -> None:
    axes.imshow(image, interpolation="nearest")
    axes.set_title(plain(title, LONGEST_NAME), loc="left", fontsize=8.5, color=INK)
    axes.set_axis_off()


def _hide_rest(figure: Figure, count: int) -> None:
    for axes in figure.axes[count:]:
        axes.set_axis_off()


def _tallest(images: Sequence[NDArray[np.uint8]]) -> float:
    return max(image.shape[0] / image.shape[1] for image in images) if images else 1.0
