"""Figures of 3D poses: trajectories, skeleton stills, bone lengths, and errors against a truth.

All functions return a `matplotlib.figure.Figure`; save it with `.savefig`. None touches matplotlib's global state.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.plots import (
    GRID,
    INK,
    MUTED,
    PALETTE,
    View,
    categorical_colors,
    choose_view,
    frustum,
    ground_grid,
    new_figure,
    plain,
    style_axes,
    up_direction,
)
from calibration.rig import Rig
from calibration.schema import check
from pose3d.datasets import POSES3D
from pose3d.metrics import bone_lengths, bone_statistics, position_error
from pose3d.skeleton import Skeleton
from pose3d.visualization._series import bin_quantiles, envelope, missing_share
from pose3d.visualization._shapes import draw_ranges, legend_above
from pose3d.visualization.coloring import choose_coloring

__all__ = ["bone_figure", "skeleton_figure", "trajectory_figure", "truth_figure"]

Array = NDArray[np.float64]

_MOST_TRAJECTORIES = 4
_MOST_BONES = 30
_PICTURE = (800, 800)


def trajectory_figure(
    poses3d: xr.Dataset, keypoints: Sequence[str] | None = None, *, individual: str | None = None, sigma: float = 1.0
) -> Figure:
    """Positions over time, with a band of `sigma` standard deviations from the covariance, and the gaps below.

    Args:
        poses3d: Poses3D Dataset.
        keypoints: names of at most eight; by default four, from the least to the most often missing one.
        individual: name; by default the first one.
        sigma: half width of the band in standard deviations; the band is left out where there is no covariance.

    Raises:
        InvalidValueError: a name is unknown, or the Dataset breaks its schema.
    """
    check(poses3d, POSES3D, values=False)
    individuals = [str(name) for name in poses3d["individual"].values]
    one = poses3d.isel(individual=_position("individual", individual or individuals[0], individuals))
    names = list(keypoints) if keypoints is not None else _typical_keypoints(one)
    known = [str(name) for name in one["keypoint"].values]
    one = one.isel(keypoint=[_position("keypoint", name, known) for name in names])
    positions = one["position"].transpose("keypoint", "time", "space").values
    deviations = _deviations(one)
    time, label = _time_axis(poses3d)
    unit = str(poses3d["position"].attrs.get("units", ""))
    figure = new_figure(9.0, 5.6)
    rows = figure.subplots(4, 1, sharex=True, height_ratios=(1, 1, 1, 0.16 + 0.09 * len(names)))
    colors = categorical_colors(names)
    for axis, axes in enumerate(rows[:3]):
        style_axes(axes, ylabel=f"{'xyz'[axis]} ({unit})" if unit else "xyz"[axis])
        for index, name in enumerate(names):
            if deviations is not None:
                _band(axes, time, positions[index, :, axis], sigma * deviations[index, :, axis], colors[name])
            axes.plot(*envelope(time, positions[index, :, axis]), color=colors[name], linewidth=1.1, label=plain(name))
    subject = f" of {individuals[0] if individual is None else individual}" if len(individuals) > 1 else ""
    band = f", band: ±{sigma:g} standard deviation" if deviations is not None else ""
    rows[0].set_title(plain(f"Position{subject} over time{band}"), loc="left", fontsize=10, color=INK)
    legend_above(rows[0], len(names))
    _gaps(rows[3], time, ~np.isfinite(positions).all(axis=-1), [colors[name] for name in names])
    style_axes(rows[3], xlabel=label, ylabel="gaps", grid="")
    rows[3].set_yticks([])
    return figure


def skeleton_figure(
    poses3d: xr.Dataset,
    skeleton: Skeleton | None,
    frames: Sequence[int] | None = None,
    *,
    rig: Rig | None = None,
    cameras: bool = True,
    view: View | None = None,
) -> Figure:
    """Stills of the 3D skeletons in perspective; with a rig, the first picture shows the cameras around them.

    Args:
        poses3d: Poses3D Dataset.
        skeleton: what to join with lines; None draws the keypoints only.
        frames: frame numbers; by default three complete ones, early, in the middle and late.
        rig: the cameras; they also tell which way is up.
        cameras: draw the picture with the cameras.
        view: from where to look at the close-ups; chosen for each by default.

    Raises:
        InvalidValueError: a frame is not in the Dataset, or the Dataset breaks its schema.
    """
    check(poses3d, POSES3D, values=False)
    points = poses3d["position"].transpose("time", "individual", "keypoint", "space").values
    rows = _rows_of(poses3d, points, frames)
    coloring = choose_coloring(
        skeleton,
        [str(name) for name in poses3d["keypoint"].values],
        [str(name) for name in poses3d["individual"].values],
    )
    unit = str(poses3d["position"].attrs.get("units", ""))
    up = up_direction(rig)
    shown = rig if cameras else None
    count = len(rows) + (shown is not None)
    figure = new_figure(9.0, 9.0 / max(count, 2) + 0.35)
    panels = figure.subplots(1, max(count, 1), squeeze=False)[0]
    if shown is not None:
        _draw_rig(panels[0], shown, points, coloring.keypoint, up)
    for axes, row in zip(panels[count - len(rows) :], rows, strict=False):
        own = view or choose_view(points[row], up=up, rig=rig, aspect=1.0)
        ground = ground_grid(points[[row]].reshape(1, -1, 3), up, lines=6)
        _draw_ground(axes, ground.segments, own)
        for individual, pose in enumerate(points[row]):
            pixels, _ = own.project(pose, _PICTURE)
            lines = pixels[np.array(coloring.edges, dtype=np.int64).reshape(-1, 2)]
            _add_lines(axes, lines, list(coloring.edge[individual]), 2.4)
            axes.scatter(*pixels.T, c=list(coloring.keypoint[individual]), s=13, zorder=3)
        _picture_axes(axes, f"frame {poses3d['frame'].values[row]}, grid {ground.step:g} {unit}".rstrip())
    if not count:
        _picture_axes(panels[0], "no complete frame")
    return figure


def bone_figure(poses3d: xr.Dataset, skeleton: Skeleton) -> Figure:
    """Bone lengths relative to their median: their distribution, and over time where they vary most.

    Bones of animals hardly change, so that the spread shows the error of the 3D positions without any truth; soft edges
    (a spine that bends) vary by nature.

    Raises:
        InvalidValueError: the Dataset breaks its schema.
        MismatchError: the poses have no edge of the skeleton.
    """
    length = bone_lengths(poses3d, skeleton)
    statistics = bone_statistics(poses3d, skeleton)
    order = np.argsort(np.nan_to_num(-statistics["relative_spread"].max("individual").values), kind="stable")
    order = order[:_MOST_BONES]
    relative = (100 * (length / statistics["median"] - 1)).transpose("edge", "time", "individual").values[order]
    median = statistics["median"].mean("individual").values[order]
    names = [str(name) for name in length["edge"].values[order]]
    unit = length.attrs["units"]
    figure = new_figure(9.0, max(3.2, 1.0 + 0.24 * len(names)))
    left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.1))
    style_axes(left, title="Spread around the median length", xlabel="deviation (%)", grid="x")
    draw_ranges(
        left,
        [row.ravel() for row in relative],
        [f"{name}  {value:.3g} {unit}" for name, value in zip(names, median, strict=True)],
    )
    left.axvline(0, color=MUTED, linewidth=0.8)
    time, label = _time_axis(poses3d)
    style_axes(right, title="The most variable bones over time", xlabel=label, ylabel="deviation (%)")
    for index, name in enumerate(names[:3]):
        middle, levels = bin_quantiles(time, relative[index], (0.16, 0.5, 0.84), bins=60)
        right.fill_between(middle, levels[:, 0], levels[:, 2], color=PALETTE[index], alpha=0.15, linewidth=0)
        right.plot(middle, levels[:, 1], color=PALETTE[index], linewidth=1.2, label=plain(name))
    right.axhline(0, color=MUTED, linewidth=0.8)
    legend_above(right, 1)
    return figure


def truth_figure(poses3d: xr.Dataset, truth: xr.Dataset) -> Figure:
    """Distance between estimated and true positions: over time, and its distribution per keypoint.

    Raises:
        InvalidValueError: a Dataset breaks its schema.
        MismatchError: estimate and truth have nothing in common.
    """
    error = position_error(poses3d, truth).transpose("keypoint", "time", "individual")
    values = error.values
    unit = str(error.attrs.get("units", ""))
    figure = new_figure(9.0, max(3.2, 1.0 + 0.2 * len(values)))
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1.0))
    time, label = _time_axis(truth)
    style_axes(left, title="Error against the truth over time", xlabel=label, ylabel=f"distance ({unit})")
    middle, levels = bin_quantiles(time, np.moveaxis(values, 0, -1), (0.5, 0.95))
    left.fill_between(
        middle, levels[:, 0], levels[:, 1], color=PALETTE[0], alpha=0.18, linewidth=0, label="up to the 95th percentile"
    )
    left.plot(middle, levels[:, 0], color=PALETTE[0], linewidth=1.4, label="median")
    left.set_ylim(bottom=0)
    legend_above(left, 2)
    style_axes(right, title="By keypoint", xlabel=f"distance ({unit})", grid="x")
    order = np.argsort([-_median(row) for row in values], kind="stable")
    names = [str(name) for name in error["keypoint"].values]
    draw_ranges(right, [values[index].ravel() for index in order], [names[index] for index in order])
    right.set_xlim(left=0)
    return figure


def _position(kind: str, name: str, names: Sequence[str]) -> int:
    if name not in names:
        raise InvalidValueError(kind, expected=f"one of {', '.join(names)}", got=f"'{name}'", remedy="Correct it.")
    return names.index(name)


def _typical_keypoints(one: xr.Dataset) -> list[str]:
    """Four keypoints from the one that is missing least to the one that is missing most, in their own order."""
    missing = one["position"].isnull().any("space").mean("time").values
    order = np.argsort(missing, kind="stable")
    order = order[missing[order] < 1.0] if (missing < 1.0).any() else order
    chosen = np.unique(np.linspace(0, len(order) - 1, _MOST_TRAJECTORIES).round().astype(np.int64))
    return [str(one["keypoint"].values[index]) for index in sorted(order[chosen])]


def _deviations(one: xr.Dataset) -> Array | None:
    """(keypoint, time, 3) standard deviation of each coordinate."""
    if "covariance" not in one:
        return None
    covariance = one["covariance"].transpose("keypoint", "time", "space", "space_").values
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1)).astype(np.float64)


def _time_axis(poses: xr.Dataset) -> tuple[Array, str]:
    seconds = poses.attrs.get("time_unit") != "frames"
    return poses["time"].values.astype(np.float64), "time (s)" if seconds else "frame"


def _band(axes: Axes, time: Array, values: Array, half: Array, color: str) -> None:
    low_time, low = envelope(time, values - half, bins=300)
    _, high = envelope(time, values + half, bins=300)
    axes.fill_between(low_time, low, high, color=color, alpha=0.2, linewidth=0)


def _gaps(axes: Axes, time: Array, missing: NDArray[np.bool_], colors: Sequence[str]) -> None:
    """One strip per row of `missing` (series, time), filled where values are missing."""
    rows = [missing_share(row) for row in missing]
    for index, (share, color) in enumerate(zip(rows, colors, strict=True)):
        edges = np.linspace(time[0], time[-1], len(share) + 1) if len(time) > 1 else np.array([-0.5, 0.5])
        marks = np.flatnonzero(share > 0)
        # A single missing frame of a long recording is still as wide as a bin of a few pixels.
        spans = [(float(edges[mark]), float(edges[mark + 1] - edges[mark])) for mark in marks]
        axes.broken_barh(spans, (index + 0.15, 0.7), facecolors=color, linewidth=0)
    axes.set_ylim(max(len(rows), 1), 0)


def _median(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("-inf")


def _rows_of(poses3d: xr.Dataset, points: Array, frames: Sequence[int] | None) -> list[int]:
    """Rows of frame numbers, or of the most complete frames of three parts of the recording."""
    if frames is not None:
        known = poses3d["frame"].values.tolist()
        return [_position_of_frame(number, known) for number in frames]
    complete = np.isfinite(points).all(axis=-1).sum(axis=(1, 2))
    parts = [part for part in np.array_split(np.arange(len(points)), 3) if len(part)]
    best = [int(part[len(part) // 2]) if len(part) else 0 for part in parts]
    for index, part in enumerate(parts):
        # Of equally complete frames the one nearest to the middle of the part.
        most = part[complete[part] == complete[part].max()]
        best[index] = int(most[np.argmin(np.abs(most - best[index]))])
    return [row for row in best if complete[row] > 0]


def _position_of_frame(number: int, known: list[int]) -> int:
    if number not in known:
        raise InvalidValueError(
            f"frame {number}",
            expected=f"a frame of the poses, {known[0]} to {known[-1]}" if known else "a frame of the poses",
            got=str(number),
            remedy="Choose another frame.",
        )
    return known.index(number)


def _draw_rig(axes: Axes, rig: Rig, points: Array, colors: Sequence[Sequence[str]], up: Array) -> None:
    """The cameras, and where the animals were."""
    cloud = points.reshape(-1, 3)
    cloud = cloud[np.isfinite(cloud).all(axis=-1)]
    middle = np.median(cloud, axis=0) if len(cloud) else np.mean([camera.center for camera in rig], axis=0)
    reach = float(np.median([np.linalg.norm(camera.center - middle) for camera in rig])) or 1.0
    frusta = {camera.name: frustum(camera, 0.2 * reach) for camera in rig}
    everything = np.concatenate(
        [cloud[:: max(1, len(cloud) // 2000)], *(ends.reshape(-1, 3) for ends in frusta.values())]
    )
    view = choose_view(everything, up=up, elevation=float(np.deg2rad(25.0)), aspect=1.0)
    own = categorical_colors(rig.names)
    corners = []
    for name, ends in frusta.items():
        pixels, _ = view.project(view.clip(ends), _PICTURE)
        _add_lines(axes, pixels, [own[name]], 1.0)
        corners.append(pixels.reshape(-1, 2))
        axes.annotate(plain(name), tuple(pixels[0, 0]), fontsize=7.5, color=own[name], ha="center", va="bottom")
    for individual in range(points.shape[1]):
        middles = np.full((len(points), 3), np.nan)
        rows = np.isfinite(points[:, individual]).all(axis=-1).any(axis=-1)
        middles[rows] = np.nanmedian(points[rows, individual], axis=1)
        path, _ = view.project(middles, _PICTURE)
        step = max(1, len(path) // 800)
        axes.plot(*path[::step].T, color=MUTED if points.shape[1] == 1 else colors[individual][0], linewidth=1.0)
    _picture_axes(axes, "cameras and path")
    drawn = np.concatenate([*corners, np.zeros((0, 2))])
    low, high = np.nanmin(drawn, axis=0), np.nanmax(drawn, axis=0)
    half = 0.6 * float((high - low).max())
    axes.set_xlim((low[0] + high[0]) / 2 - half, (low[0] + high[0]) / 2 + half)
    axes.set_ylim((low[1] + high[1]) / 2 + half, (low[1] + high[1]) / 2 - half)


def _draw_ground(axes: Axes, segments: Array, view: View) -> None:
    pixels, _ = view.project(view.clip(segments), _PICTURE)
    _add_lines(axes, pixels, [GRID], 0.7)


def _add_lines(axes: Axes, segments: Array, colors: Sequence[str], width: float) -> None:
    known = np.asarray(np.isfinite(segments).all(axis=(-2, -1)))
    chosen = list(colors) if len(colors) == 1 else [color for color, keep in zip(colors, known, strict=True) if keep]
    axes.add_collection(
        LineCollection(list(segments[known]), colors=chosen, linewidths=width, capstyle="round", zorder=2)
    )


def _picture_axes(axes: Axes, caption: str) -> None:
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(0, _PICTURE[0])
    axes.set_ylim(_PICTURE[1], 0)
    axes.set_title(plain(caption), loc="left", fontsize=9, color=MUTED)
