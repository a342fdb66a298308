"""Figures of where a trained network errs: in the image, in which direction, and how sure it is then."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from calibration.plots import INK, MUTED, PALETTE, categorical_colors, new_figure, plain, style_axes
from pose3d.visualization._shapes import legend_above

__all__ = ["confidence_error_figure", "error_map_figure"]

Floats = NDArray[np.float64]

# Small errors are blue, large ones orange: they differ in lightness, too, for any color vision.
_ERRORS = LinearSegmentedColormap.from_list("errors", ["#9ccbe8", "#0072b2", "#e69f00", "#d55e00", "#7a1f00"])
_LEAST = 0.1  # px; smaller errors are drawn there
# Directions are shown up to this quantile of the errors, so that one gross error does not hide the rest.
_SHOWN = 0.95
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def error_map_figure(labeled: Floats, found: Floats, sizes: Sequence[tuple[int, int]]) -> Figure:
    """Where in the image labels are, colored by their error; and in which direction what was found lies from them.

    Args:
        labeled, found: (image, individual, keypoint, 2) pixels, NaN where missing.
        sizes: width and height of each image; positions in images of different sizes are brought to that of the first.
    """
    offset = found - labeled
    distance = np.linalg.norm(offset, axis=-1)
    known = np.isfinite(distance)
    width, height = sizes[0] if sizes else (1, 1)
    factor = np.array([(width / own[0], height / own[1]) for own in sizes]).reshape(-1, 1, 1, 2)
    figure = new_figure(9.0, 3.9)
    left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    _draw_map(left, (labeled * factor)[known], distance[known], (width, height))
    _draw_directions(right, offset[known], distance[known])
    return figure


def _draw_map(axes: Axes, places: Floats, errors: Floats, size: tuple[int, int]) -> None:
    style_axes(axes, title="Errors in the image", xlabel="x (px)", ylabel="y (px)", grid="both")
    low, high = _limits(errors)
    scale = LogNorm(low, high)
    order = np.argsort(errors, kind="stable")  # the largest on top
    sizes = np.sqrt(np.clip(np.log(np.maximum(errors, low) / low) / np.log(high / low), 0, 1))
    axes.scatter(
        places[order, 0], places[order, 1], c=np.maximum(errors[order], low), s=16 + 40 * sizes[order],
        cmap=_ERRORS, norm=scale, linewidths=0.4, edgecolors="#ffffff",
    )  # fmt: skip
    axes.set_xlim(0, size[0])
    axes.set_ylim(size[1], 0)
    axes.set_aspect("equal")
    bar = axes.figure.colorbar(ScalarMappable(scale, _ERRORS), ax=axes, shrink=0.8, pad=0.02)
    bar.set_label("error (px)", fontsize=9, color=MUTED)
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.tick_params(colors=MUTED, labelsize=8, length=3)
    bar.outline.set_visible(False)


def _draw_directions(axes: Axes, offsets: Floats, errors: Floats) -> None:
    style_axes(axes, title="Direction of the errors", xlabel="to the right (px)", ylabel="downward (px)", grid="both")
    reach = max(1.0, float(np.quantile(errors, _SHOWN))) * 1.1 if len(errors) else 1.0
    axes.scatter(offsets[:, 0], offsets[:, 1], s=14, color=PALETTE[0], alpha=0.55, linewidths=0)
    if len(offsets):
        middle = np.median(offsets, axis=0)
        axes.plot(*middle, marker="+", markersize=13, markeredgewidth=2.2, color=PALETTE[1], linestyle="")
        told = f"median {middle[0]:+.1f}, {middle[1]:+.1f} px"
        axes.text(0.03, 0.03, told, transform=axes.transAxes, fontsize=8.5, color=PALETTE[1])
    axes.set_xlim(-reach, reach)
    axes.set_ylim(reach, -reach)
    axes.set_aspect("equal")


def confidence_error_figure(confidence: Floats, distance: Floats, keypoints: Sequence[str], threshold: float) -> Figure:
    """The error of every label against the confidence with which it was found, and the median error.

    Args:
        confidence, distance: (image, individual, keypoint) from 0 to 1, and pixels; NaN where nothing is labeled,
            infinite where nothing was found.
        keypoints: names.
        threshold: pixels below which an error is small; confidence is the probability of that.
    """
    figure = new_figure(4.6, 4.2)
    title = "Error against confidence"
    axes = style_axes(figure.subplots(), title=title, xlabel="confidence", ylabel="error (px)", grid="both")
    known = np.isfinite(distance) & np.isfinite(confidence)
    low, high = _limits(distance[known])
    named = len(keypoints) <= len(PALETTE)
    colors = list(categorical_colors(keypoints).values()) if named else [PALETTE[0]] * len(keypoints)
    for k, color in enumerate(colors):
        own = known[..., k]
        axes.plot(
            confidence[..., k][own], np.maximum(distance[..., k][own], _LEAST), marker="o", markersize=4.5, alpha=0.6,
            markeredgewidth=0, linestyle="", color=color, label=plain(keypoints[k], 24) if named else None,
        )  # fmt: skip
    middle = _running_median(confidence[known], distance[known])
    if len(middle):
        axes.plot(middle[:, 0], middle[:, 1], color=INK, linewidth=1.8, label="median")
    label = f"small: {threshold:.1f} px"
    axes.axhline(threshold, color=MUTED, linewidth=1.1, linestyle=(0, (4, 3)), label=label)
    axes.set_yscale("log")
    axes.set_ylim(min(low, threshold) * 0.8, max(high, threshold) * 1.25)
    low, high = axes.get_ylim()
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlim(-0.02, 1.02)
    legend_above(axes, 3)
    return figure


def _limits(errors: Floats) -> tuple[float, float]:
    """Smallest and largest error to show, apart from each other."""
    if not len(errors):
        return _LEAST, 1.0
    low = max(float(np.quantile(errors, 0.02)), _LEAST)
    return low, max(float(errors.max()), 2 * low)


def _running_median(confidence: Floats, errors: Floats) -> Floats:
    """(n, 2) median confidence and error of parts of about equal count; what has the same confidence stays together."""
    count = min(10, len(confidence) // 20)
    if not count:
        return np.empty((0, 2))
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, count + 1)))
    part = np.searchsorted(edges[1:-1], confidence, side="right")
    return np.array(
        [
            (np.median(confidence[part == one]), max(float(np.median(errors[part == one])), _LEAST))
            for one in np.unique(part)
        ]
    )
