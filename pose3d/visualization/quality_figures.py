"""Figures of how well the cameras agree: reprojection errors, what was used, what is missing."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.plots import INK, MUTED, PALETTE, categorical_colors, new_figure, plain, style_axes
from pose3d.visualization._series import bin_quantiles, missing_share
from pose3d.visualization._shapes import LONGEST_NAME, draw_ranges, legend_above
from pose3d.visualization.evidence import Evidence

__all__ = ["coverage_figure", "missing_figure", "reprojection_figure", "reprojection_time_figure"]

Array = NDArray[np.float64]

_MOST_KEYPOINTS = 60
# Distributions are drawn through at most this many points.
_STEPS = 200


def reprojection_figure(evidence: Evidence) -> Figure:
    """Reprojection errors of the used detections: cumulative per camera, and their range per keypoint.

    Raises:
        InvalidValueError: there are no cameras, because 2D poses or rig are unknown.
    """
    _require_cameras(evidence)
    names = evidence.keypoints[:_MOST_KEYPOINTS]
    table = evidence.summary(("camera",))
    figure = new_figure(9.0, max(3.8, 1.3 + 0.17 * len(names)))
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1.0))
    style_axes(
        left, title="Cumulative, by camera", xlabel="reprojection error (px)", ylabel="detections (%)", grid="both"
    )
    colors = categorical_colors(evidence.cameras)
    shares = np.linspace(0, 1, _STEPS)
    for index, camera in enumerate(evidence.cameras):
        errors = evidence.error[:, index][evidence.used[:, index]]
        row = table.isel(camera=index)
        label = f"{camera}: median {row['median']:.2g}, p95 {row['p95']:.2g}, RMS {row['rms']:.2g} px"
        if errors.size:
            left.plot(
                np.quantile(errors, shares), 100 * shares, color=colors[camera], linewidth=1.4, label=plain(label)
            )
        else:
            left.plot([], [], color=colors[camera], label=plain(f"{camera}: nothing used"))
    left.set_xscale("log")
    _limit_log(left, evidence)
    left.set_ylim(0, 100)
    legend_above(left, 1)
    style_axes(right, title="By keypoint", xlabel="reprojection error (px)", grid="x")
    groups = [evidence.error[..., index][evidence.used[..., index]].astype(np.float64) for index in range(len(names))]
    draw_ranges(right, groups, list(names), rms=True)
    right.set_xlim(left=0)
    return figure


def reprojection_time_figure(evidence: Evidence) -> Figure:
    """Median reprojection error of each camera over time, and the 95th percentile of all.

    Raises:
        InvalidValueError: there are no cameras, because 2D poses or rig are unknown.
    """
    _require_cameras(evidence)
    figure = new_figure(9.0, 3.2)
    # Without a title, nothing would keep the height that the legend needs.
    axes = style_axes(
        figure.subplots(), title="Median by camera", xlabel=evidence.time_label, ylabel="reprojection error (px)"
    )
    errors = np.where(evidence.used, evidence.error, np.nan)
    middle, levels = bin_quantiles(evidence.time, errors, (0.5, 0.95))
    axes.fill_between(
        middle, 0, levels[:, 1], color=MUTED, alpha=0.12, linewidth=0, label="all cameras, up to the 95th percentile"
    )
    for index, (camera, color) in enumerate(categorical_colors(evidence.cameras).items()):
        middle, levels = bin_quantiles(evidence.time, errors[:, index], (0.5,))
        axes.plot(middle, levels[:, 0], color=color, linewidth=1.2, label=plain(f"{camera}, median"))
    axes.set_ylim(bottom=0)
    legend_above(axes, 4)
    return figure


def coverage_figure(evidence: Evidence) -> Figure:
    """Share of the frames in which a camera was used for a keypoint, and in which the keypoint has a 3D position."""
    count = max(evidence.missing.shape[0] * evidence.missing.shape[1], 1)
    used = evidence.used.sum(axis=(0, 2)).T / count
    solid = (~evidence.missing).sum(axis=(0, 1))[:, None] / count
    shares = np.concatenate([used, solid], axis=1)[:_MOST_KEYPOINTS]
    columns = [*evidence.cameras, "3D"]
    figure = new_figure(9.0, max(2.4, 0.9 + 0.2 * len(shares)))
    axes = style_axes(figure.subplots(), grid="")
    # Opacity instead of a color scale: light on a light page, dark on a dark one.
    image = np.zeros((*shares.shape, 4))
    image[..., :3] = to_rgb(PALETTE[0])
    image[:, -1, :3] = to_rgb(PALETTE[2])
    image[..., 3] = 0.04 + 0.9 * shares
    axes.imshow(image, aspect="auto", interpolation="nearest")
    if shares.shape[1] <= 14:
        for (row, column), share in np.ndenumerate(shares):
            color = "#ffffff" if share > 0.55 else INK
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7.5, color=color)
    axes.set_xticks(range(len(columns)), [plain(name, LONGEST_NAME) for name in columns], fontsize=8.5, color=INK)
    axes.set_yticks(
        range(len(shares)),
        [plain(name, LONGEST_NAME) for name in evidence.keypoints[: len(shares)]],
        fontsize=8,
        color=INK,
    )
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel("share of the frames (%) in which a camera was used, and with a 3D position")
    return figure


def missing_figure(evidence: Evidence) -> Figure:
    """When which keypoint has no 3D position, or one that rests on the motion since cameras did not see it."""
    share = _share_over_time(evidence.missing)
    bridged = evidence.bridged if evidence.bridged is not None and evidence.bridged.any() else None
    figure = new_figure(9.0, max(2.0, 0.9 + 0.17 * len(share)) + (0.5 if bridged is not None else 0.0))
    # Without a title, nothing would keep the height that the legend needs.
    title = "" if bridged is None else "In any individual"
    axes = style_axes(figure.subplots(), title=title, xlabel=evidence.time_label, grid="")
    time = evidence.time
    first, last = (float(time[0]), float(time[-1])) if len(time) else (0.0, 1.0)
    last = last if last > first else first + 1.0
    layers = [("missing", PALETTE[1], share)]
    if bridged is not None:
        layers.append(("bridged", PALETTE[0], _share_over_time(bridged)))
    for name, color, shares in layers:
        image = np.zeros((*shares.shape, 4))
        image[..., :3] = to_rgb(color)
        # A single missing frame in a long stretch must not vanish.
        image[..., 3] = np.where(shares > 0, 0.25 + 0.75 * shares, 0.0)
        axes.imshow(image, aspect="auto", interpolation="nearest", extent=(first, last, len(share) - 0.5, -0.5))
        if bridged is not None:
            axes.plot([], [], color=color, linewidth=6, label=name)
    legend_above(axes, len(layers))
    axes.set_yticks(
        range(len(share)),
        [plain(name, LONGEST_NAME) for name in evidence.keypoints[: len(share)]],
        fontsize=8,
        color=INK,
    )
    axes.tick_params(axis="y", length=0)
    for edge in np.arange(0.5, len(share) - 1):
        axes.axhline(edge, color=MUTED, linewidth=0.3, alpha=0.4)
    return figure


def _share_over_time(mask: NDArray[np.bool_]) -> Array:
    """(keypoint, bin) share that is true of a mask (time, individual, keypoint), in any individual."""
    return np.asarray(missing_share(np.asarray(mask.any(axis=1))[:, :_MOST_KEYPOINTS]).T)


def _require_cameras(evidence: Evidence) -> None:
    if not evidence.cameras:
        raise InvalidValueError(
            "reprojection errors",
            expected="2D poses and a rig with common cameras",
            got="none",
            remedy="Give collect_evidence the 2D poses and the rig.",
        )


def _limit_log(axes: Axes, evidence: Evidence) -> None:
    errors = evidence.error[evidence.used]
    if errors.size:
        low, high = np.quantile(errors, (0.01, 1.0))
        axes.set_xlim(max(float(low), 1e-4), max(float(high), 2e-4))
