"""Figures of a calibration: coverage, residuals, radial trends, overlap, lengths, and views with their corners."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from calibration.diagnosis import REGION_WORDS, CameraDiagnosis, Diagnosis
from calibration.plots.style import FONT_SIZE, INK, MUTED, PALETTE, new_figure, plain, style_axes
from calibration.rig_calibration import Calibration

__all__ = ["coverage_figure", "length_figure", "overlap_figure", "residual_figure", "trend_figure", "view_figure"]

Array = NDArray[np.float64]

_COLUMNS = 3
_WIDTH = 3.1  # inches of a panel
_LONGEST = 18  # characters of a camera's name in the title of a panel
_HEAT = LinearSegmentedColormap.from_list("coverage", ("#dcebf5", PALETTE[0], "#06304a"))
_SIGNED = LinearSegmentedColormap.from_list("signed", (PALETTE[0], "#eef1f4", PALETTE[1]))
# Cells of the residual map along the longer side, and the fewest corners in one whose mean is drawn.
_CELLS = 14
_FEWEST = 5


def coverage_figure(diagnosis: Diagnosis, sizes: Sequence[tuple[int, int]]) -> Figure:
    """How many corners were seen in each part of every image; cells without any stay empty.

    Args:
        diagnosis: of the calibration.
        sizes: width and height of the images, by camera.
    """
    figure, grid = _panels(diagnosis.cameras, height=_image_height(sizes))
    most = max(int(camera.coverage.max()) for camera in diagnosis.cameras)
    for axes, camera, (width, height) in zip(grid, diagnosis.cameras, sizes, strict=True):
        counts = np.where(camera.coverage > 0, camera.coverage, np.nan)
        extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        axes.imshow(counts, extent=extent, cmap=_HEAT, vmin=0, vmax=most, aspect="equal", interpolation="nearest")
        _image_axes(axes, f"{plain(camera.name, _LONGEST)}: {camera.covered:.0%} covered")
    return figure


def residual_figure(calibration: Calibration) -> Figure:
    """Mean residual vectors in each part of every image, enlarged as the titles say.

    A pattern (all outward, all to one side) is what the lens model does not describe; arrows without order are noise.
    """
    rig = calibration.rig
    figure, grid = _panels(rig.names, height=_image_height([camera.size for camera in rig]))
    residuals, weights = calibration.adjustment.residuals, calibration.adjustment.weights
    position = calibration.corners["position"].values
    for index, (axes, camera) in enumerate(zip(grid, rig, strict=True)):
        where, mean = _binned(position[index], residuals[index], weights[index], camera.size)
        axes.set_xlim(-0.5, camera.size[0] - 0.5)
        axes.set_ylim(camera.size[1] - 0.5, -0.5)
        axes.set_aspect("equal")
        length = float(np.nanpercentile(np.hypot(*mean.T), 90)) if len(mean) else 1.0
        factor = max(camera.size) / _CELLS / max(length, 1e-9)
        magnified = float(f"{factor:.1g}")
        axes.quiver(
            *where.T, *(magnified * mean).T, color=PALETTE[1], angles="xy", scale_units="xy", scale=1, width=0.005
        )
        _image_axes(axes, f"{plain(camera.name, _LONGEST)}: x {magnified:g}")
    return figure


def trend_figure(diagnosis: Diagnosis, sizes: Sequence[tuple[int, int]]) -> Figure:
    """The mean residual along the radius against the distance from the principal point, with two standard errors.

    The axis ends at the corners of the image: where the curve ends before, no corner was.

    Args:
        diagnosis: of the calibration.
        sizes: width and height of the images, by camera.
    """
    figure, grid = _panels(diagnosis.cameras, height=2.2)
    trends = [camera.trend for camera in diagnosis.cameras]
    largest = max(float(np.nanmax(np.abs(each.mean) + 2 * each.error, initial=0.0)) for each in trends)
    for index, (axes, camera, size) in enumerate(zip(grid, diagnosis.cameras, sizes, strict=True)):
        trend = camera.trend
        known = np.isfinite(trend.mean)
        axes.axhline(0.0, color=MUTED, linewidth=0.8)
        axes.errorbar(
            trend.radius[known],
            trend.mean[known],
            yerr=2 * trend.error[known],
            color=PALETTE[1] if trend.advice else PALETTE[0],
            marker="o",
            markersize=3,
            linewidth=1.2,
            elinewidth=1.0,
        )
        limit = 1.15 * largest or 1.0
        axes.set_ylim(-limit, limit)
        axes.set_xlim(0.0, max(float(np.hypot(*size)) / 2, float(np.nanmax(trend.radius, initial=0.0))))
        style_axes(axes, ylabel="outward (px)" if index % _COLUMNS == 0 else "", size=FONT_SIZE)
        advice = f": {trend.advice}" if trend.advice else ""
        axes.set_title(plain(camera.name, _LONGEST) + advice, loc="left", fontsize=FONT_SIZE, color=INK)
    figure.supxlabel("distance from the principal point (px)", fontsize=FONT_SIZE, color=MUTED)
    return figure


def overlap_figure(diagnosis: Diagnosis) -> Figure:
    """In how many frames two cameras saw the board at once."""
    names = [plain(camera.name, _LONGEST) for camera in diagnosis.cameras]
    side = 0.5 * len(names)
    room = 0.3 + 0.095 * max(len(name) for name in names)
    figure = new_figure(side + room, side + 0.75 * room)
    axes = figure.subplots()
    counts = diagnosis.overlap.astype(np.float64)
    most = max(float(counts.max()), 1.0)
    axes.imshow(np.where(counts > 0, counts, np.nan), cmap=_HEAT, vmin=0, vmax=most)
    for row, column in np.ndindex(*counts.shape):
        color = _readable(_HEAT(float(counts[row, column]) / most)) if counts[row, column] else INK
        axes.text(
            column, row, f"{counts[row, column]:.0f}", ha="center", va="center", fontsize=FONT_SIZE - 1, color=color
        )
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    _matrix_axes(axes)
    return figure


def length_figure(diagnosis: Diagnosis) -> Figure:
    """Mean error of the board's edges in each region of the volume, as the first camera sees it, with their number."""
    depths, rows, columns = (REGION_WORDS[axis] for axis in (2, 1, 0))
    found = {region.region: region for region in diagnosis.regions}
    largest = max((abs(region.mean) for region in diagnosis.regions), default=0.0) or 1.0
    figure = new_figure(9.3, 3.6)
    for axes, depth in zip(figure.subplots(1, 3), depths, strict=True):
        cells = [[found.get(", ".join((depth, row, column))) for column in columns] for row in rows]
        means = np.array([[np.nan if cell is None else cell.mean for cell in line] for line in cells])
        axes.imshow(means, cmap=_SIGNED, vmin=-largest, vmax=largest)
        for row, column in np.argwhere(np.isfinite(means)):
            cell = cells[row][column]
            assert cell is not None  # its mean is known
            color = _readable(_SIGNED(0.5 + 0.5 * cell.mean / largest))
            text = f"{cell.mean:+.3f}\n± {cell.error:.3f}\n({cell.count})"
            axes.text(column, row, text, ha="center", va="center", fontsize=FONT_SIZE - 1, color=color)
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(rows)), rows)
        _matrix_axes(axes)
        axes.set_title(f"{depth} ({plain(diagnosis.unit)})", loc="left", fontsize=FONT_SIZE, color=INK)
    return figure


def view_figure(image: NDArray[np.uint8], position: Array, projected: Array, title: str) -> Figure:
    """A picture of a camera with corners as seen (circles) and as projected (crosses).

    Args:
        image: (height, width) or (height, width, 3).
        position: (corner, 2) px, NaN where not seen.
        projected: (corner, 2) px.
        title: above the picture.
    """
    height, width = image.shape[:2]
    figure = new_figure(6.4, 6.4 * height / width + 0.3)
    axes = figure.subplots()
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, rasterized=True)
    axes.plot(*position.T, linestyle="none", marker="o", markersize=7, markerfacecolor="none", color=PALETTE[4])
    axes.plot(*projected.T, linestyle="none", marker="x", markersize=5, color=PALETTE[1])
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    _image_axes(axes, plain(title))
    return figure


def _panels(cameras: Sequence[CameraDiagnosis] | Sequence[str], *, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with one panel for each camera, three in a row."""
    columns = min(_COLUMNS, len(cameras))
    rows = -(-len(cameras) // columns)
    figure = new_figure(_WIDTH * columns, height * rows + 0.2)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(cameras) :]:
        axes.set_axis_off()
    return figure, list(grid[: len(cameras)])


def _image_height(sizes: Sequence[tuple[int, int]]) -> float:
    """Height in inches of a panel that the tallest image fills."""
    return _WIDTH * max(height / width for width, height in sizes) + 0.2


def _readable(color: tuple[float, float, float, float]) -> str:
    """Dark or light letters for a background that is the same on the light and the dark page."""
    luminance = float(np.dot(np.power(color[:3], 2.2), (0.2126, 0.7152, 0.0722)))
    return "#fefefe" if luminance < 0.3 else "#101418"


def _matrix_axes(axes: Axes) -> None:
    style_axes(axes, grid="", size=FONT_SIZE)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _image_axes(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=FONT_SIZE, color=INK)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_color(MUTED)


def _binned(position: Array, residuals: Array, weights: Array, size: tuple[int, int]) -> tuple[Array, Array]:
    """Middles (n, 2) and weighted mean residuals (n, 2) of the square cells of an image that hold enough corners."""
    step = max(size) / _CELLS
    columns, rows = int(np.ceil(size[0] / step)), int(np.ceil(size[1] / step))
    known = np.isfinite(residuals).all(axis=-1)
    x, y = np.floor((position[known] + 0.5) / step).astype(np.intp).T
    place = np.clip(y, 0, rows - 1) * columns + np.clip(x, 0, columns - 1)
    weight = np.nan_to_num(weights[known])
    total = np.bincount(place, weight, minlength=rows * columns)
    kept = np.flatnonzero(total >= _FEWEST)
    sums = [np.bincount(place, weight * values, minlength=rows * columns)[kept] for values in residuals[known].T]
    where = np.stack([kept % columns + 0.5, kept // columns + 0.5], axis=-1) * step
    return where, np.stack(sums, axis=-1) / total[kept, None]
