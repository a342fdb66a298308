"""Figures of 2D positions: what is found and when, how sure it is, where keypoints go, and the worst frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from calibration.plots import GRID, INK, MUTED, PALETTE, new_figure, plain, style_axes
from pose3d.visualization._series import envelope, missing_share
from pose3d.visualization._shapes import LONGEST_NAME
from pose3d.visualization.coloring import keypoint_colors
from pose3d.visualization.detection_evidence import CameraEvidence

__all__ = ["PictureOfFrame", "confidence_figure", "frame_figure", "presence_figure", "trajectory2d_figure"]

Floats = NDArray[np.float64]

_MOST_HISTOGRAMS = 24
_MOST_TRAJECTORIES = 12
_MOST_NAMED, _NAMED_ACROSS = 24, 6
_LONGEST_TITLE = 48  # characters over a picture
_X, _Y, _JUMP = PALETTE[0], PALETTE[2], PALETTE[1]
_MISSING = LinearSegmentedColormap.from_list("missing", [(1, 1, 1, 0.0), (0.4, 0.44, 0.5, 1.0)])
_BINS = 500


@dataclass(frozen=True, eq=False)
class PictureOfFrame:
    """A frame with what was found in it.

    Attributes:
        image: (height, width, 3) RGB, or a part of it.
        title: above it.
        points: (individual, keypoint, 2) px of the part; NaN where nothing was found.
        before: (individual, keypoint, 2) px of where keypoints came from that jump here; NaN for others.
    """

    image: NDArray[np.uint8]
    title: str
    points: Floats
    before: Floats


def presence_figure(evidence: CameraEvidence) -> Figure:
    """One row per keypoint over time: gray where it is not found, a mark where it jumps."""
    tracks = evidence.tracks
    names = tracks.keypoints
    figure = new_figure(9.0, max(1.7, 1.1 + 0.24 * len(names)))
    axes = style_axes(figure.subplots(), xlabel=tracks.time_label, grid="")
    low, high = _span(tracks.time)
    share = missing_share(np.asarray(~evidence.found.all(axis=1)), bins=_BINS)
    axes.imshow(
        share.T, cmap=_MISSING, vmin=0, vmax=1, aspect="auto", interpolation="nearest",
        extent=(low, high, len(names) - 0.5, -0.5),
    )  # fmt: skip
    for k in range(len(names)):
        rows = np.flatnonzero(evidence.jumped[..., k].any(axis=1))
        axes.plot(
            tracks.time[rows], np.full(len(rows), k), marker="|", markersize=9, markeredgewidth=1.0, color=_JUMP,
            linestyle="",
        )  # fmt: skip
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color=GRID, linewidth=0.8)
    axes.set_yticks(range(len(names)), [plain(name, LONGEST_NAME) for name in names], fontsize=8.5, color=INK)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(low, high)
    axes.set_ylim(len(names) - 0.5, -0.5)
    return figure


def confidence_figure(evidence: CameraEvidence) -> Figure:
    """How often each keypoint has which confidence; the least sure ones where there are many."""
    tracks = evidence.tracks
    sure = np.where(np.isfinite(tracks.confidence), tracks.confidence, 0.0)
    order = np.argsort(np.median(sure, axis=(0, 1)), kind="stable") if len(sure) else np.arange(len(tracks.keypoints))
    chosen = sorted(order[:_MOST_HISTOGRAMS].tolist())
    columns = min(4, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = new_figure(9.0, 0.5 + 1.55 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    edges = np.linspace(0, 1, 21)
    for place, axes in enumerate(panels.ravel()):
        if place >= len(chosen):
            axes.set_axis_off()
            continue
        k = chosen[place]
        last = place + columns >= len(chosen)
        style_axes(
            axes, title=plain(tracks.keypoints[k], 26), xlabel="confidence" if last else "",
            ylabel="frames (%)" if place % columns == 0 else "",
        )  # fmt: skip
        axes.tick_params(labelbottom=last)
        values = sure[..., k].ravel()
        share = 100 * np.histogram(values, edges)[0] / max(len(values), 1)
        below = edges[:-1] < evidence.minimum_confidence - 1e-9
        axes.bar(edges[:-1], share, width=0.05, align="edge", color=[MUTED if one else _X for one in below], alpha=0.85)
        axes.axvline(evidence.minimum_confidence, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    return figure


def trajectory2d_figure(evidence: CameraEvidence, individual: int = 0) -> Figure:
    """X and y of each keypoint over time with its jumps marked; those that jump most where there are many."""
    tracks = evidence.tracks
    jumping = evidence.jumped[:, individual].sum(axis=0)
    chosen = sorted(np.argsort(-jumping, kind="stable")[:_MOST_TRAJECTORIES].tolist())
    figure = new_figure(9.0, 0.7 + 1.15 * len(chosen))
    panels = figure.subplots(len(chosen), 1, sharex=True, squeeze=False)[:, 0]
    for place, (axes, k) in enumerate(zip(panels, chosen, strict=True)):
        title = f"{plain(tracks.keypoints[k], LONGEST_NAME)}: {int(jumping[k])} frames in jumps"
        style_axes(axes, title=title, xlabel=tracks.time_label if place == len(chosen) - 1 else "", ylabel="px")
        rows = np.flatnonzero(evidence.jumped[:, individual, k])
        for axis, name, color in ((0, "x", _X), (1, "y", _Y)):
            values = evidence.shown[:, individual, k, axis]
            axes.plot(*envelope(tracks.time, values, bins=_BINS), color=color, linewidth=0.9, label=name)
            axes.plot(
                tracks.time[rows], values[rows], marker="o", markersize=3.4, color=_JUMP, linestyle="",
                markeredgewidth=0, label="jump" if axis else None,
            )  # fmt: skip
        axes.set_xlim(*_span(tracks.time))
    _legend(panels[0])
    return figure


def _legend(axes: Axes) -> None:
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, frameon=False, fontsize=8.5, labelcolor=INK,
        borderaxespad=0.1, handlelength=1.2,
    )  # fmt: skip


def frame_figure(pictures: Sequence[PictureOfFrame], keypoints: Sequence[str]) -> Figure:
    """Frames with a dot per keypoint and a line from where one came that jumps, three in a row."""
    columns = 3
    rows = -(-len(pictures) // columns)
    tallest = max(one.image.shape[0] / one.image.shape[1] for one in pictures)
    named = len(keypoints) <= _MOST_NAMED
    legend = 0.2 + 0.2 * -(-len(keypoints) // _NAMED_ACROSS) if named else 0.1
    figure = new_figure(9.0, rows * (3.0 * tallest + 0.22) + legend)
    colors = list(keypoint_colors(keypoints).values())
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, one in zip(panels, pictures, strict=False):
        axes.imshow(one.image, interpolation="nearest")
        axes.set_title(plain(one.title, _LONGEST_TITLE), loc="left", fontsize=8, color=INK)
        for points, before in zip(one.points, one.before, strict=True):
            for k, color in enumerate(colors):
                line = np.stack([before[k], points[k]])
                axes.plot(line[:, 0], line[:, 1], color="#ffffff", linewidth=2.2)
                axes.plot(line[:, 0], line[:, 1], color=color, linewidth=1.3)
                axes.plot(*points[k], marker="o", markersize=5, color=color, markeredgecolor="#ffffff",
                          markeredgewidth=0.8, linestyle="")  # fmt: skip
        axes.set_xlim(-0.5, one.image.shape[1] - 0.5)
        axes.set_ylim(one.image.shape[0] - 0.5, -0.5)
    for axes in panels:
        axes.set_axis_off()
    if named:
        handles = [
            panels[0].plot([], [], marker="o", color=color, linestyle="", label=plain(name, 18))[0]
            for name, color in zip(keypoints, colors, strict=True)
        ]
        figure.legend(
            handles=handles, loc="outside lower left", ncols=min(_NAMED_ACROSS, len(handles)), frameon=False,
            fontsize=8.5, labelcolor=INK,
        )  # fmt: skip
    return figure


def _span(time: Floats) -> tuple[float, float]:
    if not len(time):
        return 0.0, 1.0
    return float(time[0]), max(float(time[-1]), float(time[0]) + 1e-9)
