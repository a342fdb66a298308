"""Figures of who is who: when which animal was seen, how sure that is, where two may have been exchanged, and by what.

All functions return a `matplotlib.figure.Figure`; save it with `.savefig`. None touches matplotlib's global state.
An individual has the color that it has in overlays, in videos of skeletons and in the 3D view of the report.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from calibration.errors import MismatchError
from calibration.plots import GRID, INK, MUTED, SURFACE, new_figure, plain, style_axes
from pose3d.metrics import bone_lengths
from pose3d.skeleton import Skeleton
from pose3d.visualization._identity_overview import SURE, Overview, Risk, overview_of, risks_of
from pose3d.visualization._identity_tracks import Way, ways_around
from pose3d.visualization._shapes import LONGEST_NAME
from pose3d.visualization.coloring import individual_colors

__all__ = ["identity_timeline", "risk_figure", "shape_figure"]

Array = NDArray[np.float64]

_BINS = 300
_SHADES = 3  # of how many cameras see an animal
_NUMBERED = 9  # risks with a number in the timeline
_TOO_NEAR = 0.022  # of the width: numbers would cover each other
_STRIP = 0.62  # height of a strip, of 1 for each individual
_MOST_RISKS = 6
_ACROSS = 3  # panels side by side
_SECONDS = 2.0  # before and after a risk
_FRAMES = 60  # the same, where no frame rate is known
_MOST_EDGES = 6
_ARROW = 6  # frames
_DOTTED = (0, (0.1, 2.4))
# Range of means, in units of their error, above which lengths differ: chance makes as much of four animals that are
# alike in one of a hundred lengths (the studentized range).
_DIFFERENT = 4.4
_BLOCK = 50  # frames that are as good as one independent look at a length


def identity_timeline(identity: xr.Dataset, *, bins: int = _BINS) -> Figure:
    """A strip per individual over time: seen by how many cameras, how sure it is who it is, and the risks.

    Where a stretch of time holds many frames, the height of a part is its share of them.

    Args:
        identity: Identity Dataset; it need not be loaded.
        bins: stretches of time at most.

    Raises:
        InvalidValueError: the Dataset breaks its schema.
        MismatchError: there is no individual or no frame.
    """
    overview = overview_of(identity, bins=bins)
    names = overview.individuals
    if not names or not overview.frames:
        raise MismatchError(
            "identity", expected="an individual and a frame", got="none", remedy="See what was found in the videos."
        )
    row = float(np.clip(5.0 / len(names), 0.24, 0.42))
    figure = new_figure(9.0, 1.35 + row * (len(names) + 0.8))
    axes = style_axes(figure.subplots(), xlabel=overview.time_label, grid="")
    colors = individual_colors(names)
    for place, name in enumerate(names):
        _strip(axes, overview, place, colors[name])
    levels = _mark_risks(axes, overview, identity, risks_of(identity, least=1 - SURE))
    axes.set_yticks(range(len(names)), [plain(name, LONGEST_NAME) for name in names], fontsize=8.5, color=INK)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(overview.time[0], overview.time[-1])
    axes.set_ylim(len(names) - 0.4, -0.6 - 0.55 * levels)
    axes.spines["left"].set_visible(False)
    _timeline_legend(axes, overview)
    return figure


def _strip(axes: Axes, overview: Overview, place: int, color: str) -> None:
    """What is known of one individual: the parts of each stretch of time stand on each other."""
    edges, half = overview.time, _STRIP / 2
    bottom = np.full(len(edges) - 1, place + half)
    axes.axhspan(place - half, place + half, color=GRID, alpha=0.5, linewidth=0)
    seen, most = overview.seen[:, place], max(len(overview.cameras), 1)
    with np.errstate(invalid="ignore"):
        shade = np.clip(np.ceil(_SHADES * overview.views[:, place] / most), 1, _SHADES)
    top = bottom - _STRIP * seen
    for level in range(1, _SHADES + 1):
        alpha = 1.0 if most == 1 else 0.4 + 0.6 * (level - 1) / (_SHADES - 1)
        _fill(axes, edges, top, bottom, (shade == level) & (seen > 0), color=color, alpha=alpha)
    bottom = top
    top = bottom - _STRIP * overview.one_camera[:, place]
    _fill(axes, edges, top, bottom, overview.one_camera[:, place] > 0, color=color, alpha=0.22)
    bottom = top
    top = bottom - _STRIP * overview.ambiguous[:, place]
    _fill(axes, edges, top, bottom, overview.ambiguous[:, place] > 0, color=MUTED, alpha=0.75)
    unsure = overview.unsure[:, place] > 0
    line = np.full(len(unsure), place + half)
    _fill(axes, edges, line + 0.03, line + 0.12, unsure, color=INK, alpha=1.0)


def _fill(
    axes: Axes, edges: Array, top: Array, bottom: Array, where: NDArray[np.bool_], *, color: str, alpha: float
) -> None:
    """Fill stretches of time between two heights each."""
    if not where.any():
        return
    # Between two stretches that are filled there must be no seam, and none beside those that are not.
    x = np.repeat(edges, 2)[1:-1]
    axes.fill_between(
        x,
        np.repeat(top, 2),
        np.repeat(bottom, 2),
        where=np.repeat(where, 2).tolist(),
        color=color,
        alpha=alpha,
        linewidth=0.0,
    )


def _mark_risks(axes: Axes, overview: Overview, identity: xr.Dataset, risks: Sequence[Risk]) -> int:
    """A line between both animals of every risk; the largest have a number above. Returns the rows of numbers."""
    frames, time = identity["frame"].values, overview.time
    names = list(overview.individuals)
    ends = np.linspace(0, overview.frames, len(time))
    width = time[-1] - time[0]
    taken: list[tuple[int, float]] = []
    for risk in reversed(risks):
        middle = np.searchsorted(frames, (risk.first + risk.last) / 2)
        x = float(np.interp(middle, ends, time))
        rows = [names.index(name) for name in (risk.individual, risk.other) if name in names]
        if not rows:
            continue
        if risk.number > _NUMBERED:
            axes.plot([x, x], [min(rows), max(rows)], color=INK, linewidth=0.4, alpha=0.45)
            continue
        axes.plot([x, x], [min(rows), max(rows)], color=INK, linewidth=1.1)
        axes.plot([x] * len(rows), rows, "o", color=SURFACE, markeredgecolor=INK, markersize=4.5, markeredgewidth=0.9)
        near = {other for other, at in taken if abs(x - at) < _TOO_NEAR * width}
        level = next(level for level in range(_NUMBERED) if level not in near)
        taken.append((level, x))
        y = -0.75 - 0.55 * level
        axes.plot([x, x], [y + 0.28, min(rows)], color=INK, linewidth=0.5, linestyle=(0, (1, 2)))
        axes.text(x, y, str(risk.number), fontsize=8, color=INK, ha="center", va="center")
    return 1 + max((level for level, _ in taken), default=-1)


def _timeline_legend(axes: Axes, overview: Overview) -> None:
    several = len(overview.cameras) > 1
    entries: list[tuple[str, str, float, str]] = [("by most cameras" if several else "seen", INK, 0.85, "s")]
    if several:
        entries += [("by few", INK, 0.4, "s"), ("by one", INK, 0.18, "s")]
    entries.append(("not seen", GRID, 0.6, "s"))
    if overview.ambiguous.any():
        entries.append(("two do not tell", MUTED, 0.75, "s"))
    if overview.unsure.any():
        entries.append((f"less sure than {100 * SURE:.0f} %", INK, 1.0, "_"))
    for label, color, alpha, marker in entries:
        size = 9 if marker == "s" else 11
        axes.plot([], [], marker, color=color, alpha=alpha, label=label, markersize=size,
                  markeredgewidth=0 if marker == "s" else 2.5)  # fmt: skip
    axes.plot([], [], "o-", color=INK, markerfacecolor=SURFACE, markersize=4.5, linewidth=1.1, label="risk")
    legend = axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(entries) + 1, frameon=False, fontsize=8, labelcolor=INK,
        handlelength=1.0, columnspacing=1.2, handletextpad=0.5,
    )  # fmt: skip
    legend.set_in_layout(False)
    axes.set_title(" ", loc="left", fontsize=8, pad=14)


def risk_figure(
    identity: xr.Dataset,
    *,
    poses3d: xr.Dataset | None = None,
    poses2d: xr.Dataset | None = None,
    up: Array | None = None,
    seconds: float = _SECONDS,
    most: int = _MOST_RISKS,
) -> Figure:
    """The ways of both animals around the moments in which they may have been exchanged.

    From above where there are 3D poses that know both, else in the image of the camera that has most of both. A dotted
    line shows who an animal would have been afterwards, had they been exchanged.

    Args:
        identity: Identity Dataset.
        poses3d: Poses3D of the same individuals.
        poses2d: Poses2D of the same individuals.
        up: (3,) unit vector; z by default.
        seconds: before and after each moment.
        most: risks that are drawn; those of `SURE` or less are not.

    Raises:
        MismatchError: there is no such risk, or no poses of these individuals.
    """
    risks = risks_of(identity, least=1 - SURE)[:most]
    rate = float(identity.attrs.get("fps", 0.0))
    around = max(1, round(seconds * rate)) if rate > 0 else _FRAMES
    found = [(risk, ways_around(risk, around, poses3d, poses2d, up)) for risk in risks]
    shown = [(risk, way) for risk, way in found if way is not None]
    if not shown:
        raise MismatchError(
            "risks",
            expected=f"one of {100 * (1 - SURE):.0f} % or more, and poses of these animals",
            got="none",
            remedy="Nothing is to be drawn, or the poses are of others.",
        )
    colors = individual_colors([str(name) for name in identity["individual"].values])
    across = min(_ACROSS, len(shown))
    down = -(-len(shown) // across)
    figure = new_figure(9.0 if across > 1 else 5.0, 3.45 * down + 0.1)
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat[len(shown) :]:
        axes.remove()
    for axes, (risk, way) in zip(grid.flat, shown, strict=False):
        _draw_risk(axes, risk, way, colors)
    return figure


def _draw_risk(axes: Axes, risk: Risk, way: Way, colors: dict[str, str]) -> None:
    style_axes(axes, xlabel=way.label, grid="both")
    before, within, after = way.parts(risk)
    pair = [risk.individual, risk.other]
    for index, name in enumerate(pair):
        track, color = way.tracks[index], colors.get(name, MUTED)
        axes.plot(*track[before].T, color=color, linewidth=1.6, label=plain(name, 20))
        axes.plot(*track[after].T, color=color, linewidth=4.0, alpha=0.4, solid_capstyle="butt")
        axes.plot(*track[within].T, color=INK, linewidth=1.0)
        moment = _known(track[within])
        if len(moment):
            axes.plot(*moment[len(moment) // 2], "o", markersize=13, color="none", markeredgecolor=INK, zorder=6)
        _ends(axes, track, before, after, color)
    for index in (0, 1):
        other = way.tracks[1 - index][after]
        color = colors.get(pair[index], MUTED)
        for line in (other, way.crossing(risk, index)):
            axes.plot(*line.T, color=color, linewidth=1.8, linestyle=_DOTTED, dash_capstyle="round", zorder=5)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.08)
    if way.image:
        axes.invert_yaxis()
    what = f"frames {risk.first} to {risk.last}" if risk.last > risk.first else f"frame {risk.first}"
    title = f"{risk.number}: {100 * risk.probability:.0f} %, {risk.reason}"
    axes.set_title(f"{title}\n{what}", loc="left", fontsize=9, color=INK, pad=20)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 0.99), ncols=2, frameon=False, fontsize=8, labelcolor=INK,
                borderaxespad=0.1, handlelength=1.2, columnspacing=1.0)  # fmt: skip
    axes.tick_params(labelsize=7.5)


def _ends(axes: Axes, track: Array, before: slice, after: slice, color: str) -> None:
    """A dot where a way begins, an arrow where it goes on to."""
    first = _known(track[before])
    if len(first):
        axes.plot(*first[0], "o", color=color, markersize=4)
    rows = after.start + np.flatnonzero(np.isfinite(track[after]).all(-1))
    if len(rows) > 1:
        # Not across a gap: the arrow would be far longer than the others.
        unbroken = rows[-1] - rows < _ARROW
        arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 2}
        axes.annotate("", tuple(track[rows[-1]]), tuple(track[rows[unbroken][0]]), arrowprops=arrow)


def _known(points: Array) -> Array:
    return np.asarray(points[np.isfinite(points).all(-1)])


def shape_figure(poses3d: xr.Dataset, skeleton: Skeleton) -> Figure:
    """Lengths of the individuals beside each other, those in which they differ most on top.

    They are percent of the mean of all individuals: 5th to 95th percentile (line), quartiles (bar), median (dot).

    Args:
        poses3d: Poses3D Dataset of several individuals.
        skeleton: its edges are the lengths.

    Raises:
        InvalidValueError: the Dataset breaks its schema.
        MismatchError: there is one individual, or no length that two of them have.
    """
    names = [str(name) for name in poses3d["individual"].values]
    if len(names) < 2:
        raise MismatchError("shape", expected="two individuals", got=str(len(names)), remedy="Nothing is to be told.")
    length = bone_lengths(poses3d, skeleton).transpose("edge", "individual", "time")
    values = length.values.astype(np.float64)
    count = np.isfinite(values).sum(-1)
    usable = (count > 0).sum(1) > 1
    if not usable.any():
        raise MismatchError("shape", expected="a length of two individuals", got="none", remedy="See what is missing.")
    edges = [str(name) for name in length["edge"].values]
    median, error = np.full(count.shape, np.nan), np.full(count.shape, np.nan)
    for edge, individual in zip(*np.nonzero(count), strict=True):
        own = values[edge, individual][np.isfinite(values[edge, individual])]
        median[edge, individual] = np.median(own)
        spread = 1.4826 * np.median(np.abs(own - median[edge, individual]))
        error[edge, individual] = spread / np.sqrt(max(1.0, len(own) / _BLOCK))
    with np.errstate(invalid="ignore", divide="ignore"):
        typical = np.nanmean(np.where(usable[:, None], median, 0.0), axis=1)
        difference = np.nanmax(np.where(usable[:, None], median, 0), 1) - np.nanmin(
            np.where(usable[:, None], median, 0), 1
        )
        worth = difference / np.sqrt(np.nanmean(np.where(usable[:, None], error, 1.0) ** 2, axis=1))
    order = np.argsort(-np.where(usable & np.isfinite(worth), worth, -1.0), kind="stable")[
        : min(_MOST_EDGES, usable.sum())
    ]
    return _draw_shape(values, typical, worth, order, edges, names, str(length.attrs.get("units", "")))


def _draw_shape(
    values: Array, typical: Array, worth: Array, order: NDArray[np.int64], edges: list[str], names: list[str], unit: str
) -> Figure:
    rows = len(names) + 1
    figure = new_figure(9.0, 0.9 + max(1.6, 0.115 * rows * len(order)))
    axes = style_axes(figure.subplots(), xlabel="difference from the mean of all individuals (%)", grid="x")
    colors, ticks = individual_colors(names), []
    for place, edge in enumerate(order.tolist()):
        for index, name in enumerate(names):
            own = 100 * (values[edge, index] / typical[edge] - 1)
            _range(axes, own[np.isfinite(own)], place * rows + index, colors[name])
        told = "differs" if worth[edge] > _DIFFERENT else "alike"
        ticks.append(f"{plain(edges[edge], LONGEST_NAME)}\n{typical[edge]:.3g} {unit}, {told}")
    for place in range(1, len(order)):
        axes.axhline(place * rows - 1, color=GRID, linewidth=0.8)
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.set_yticks([place * rows + (len(names) - 1) / 2 for place in range(len(order))], ticks, fontsize=8, color=INK)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(order) * rows - 1.2, -0.8)
    for name in names:
        axes.plot([], [], color=colors[name], linewidth=5, label=plain(name, 24))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=min(len(names), 6), frameon=False, fontsize=8.5,
                labelcolor=INK, handlelength=1.2)  # fmt: skip
    return figure


def _range(axes: Axes, values: Array, row: int, color: str) -> None:
    if not values.size:
        return
    low, first, middle, third, high = np.percentile(values, (5, 25, 50, 75, 95))
    axes.plot([low, high], [row, row], color=color, linewidth=1.2, alpha=0.5)
    axes.plot([first, third], [row, row], color=color, linewidth=5, alpha=0.55, solid_capstyle="butt")
    axes.plot([middle], [row], "o", color=color, markersize=4)
