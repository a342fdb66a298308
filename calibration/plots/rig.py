"""A picture of a rig: where the cameras stand, what they look at, what they are called."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from calibration.camera import Camera
from calibration.errors import InvalidValueError
from calibration.plots.style import (
    FONT_SIZE,
    GRID,
    INK,
    MUTED,
    SURFACE,
    categorical_colors,
    new_figure,
    plain,
    style_axes,
)
from calibration.plots.view import View, choose_view, frustum, ground_grid, horizontal_axes, up_direction
from calibration.rig import Rig

__all__ = ["rig_figure"]

# Frusta are drawn to this share of the distance between the cameras and what they look at.
_FRUSTUM_SHARE = 0.22
_MOST_POINTS = 2000
_LONGEST_NAME = 20  # characters; longer names would push the cameras together
_PICTURE = (1000, 760)  # pixels of the perspective view; only its shape matters


def rig_figure(rig: Rig, *, points: ArrayLike | None = None) -> Figure:
    """The cameras of a rig in perspective and from above, with names and a scale.

    Args:
        rig: the cameras.
        points: (..., 3) what they saw, drawn as dots; NaN is ignored.

    Raises:
        InvalidValueError: the points are not (..., 3).
    """
    cloud = np.zeros((0, 3)) if points is None else np.asarray(points, dtype=np.float64)
    if cloud.shape[-1:] != (3,):
        raise InvalidValueError(
            "points", expected="shape (..., 3)", got=f"shape {cloud.shape}", remedy="Put x, y and z on the last axis."
        )
    cloud = cloud.reshape(-1, 3)
    cloud = cloud[np.isfinite(cloud).all(axis=-1)]
    cloud = cloud[:: max(1, len(cloud) // _MOST_POINTS)]
    depth = _FRUSTUM_SHARE * _working_distance(rig, cloud)
    frusta = {camera.name: frustum(camera, depth) for camera in rig}
    up = up_direction(rig)
    everything = np.concatenate([cloud, *(ends.reshape(-1, 3) for ends in frusta.values())])
    view = choose_view(everything, up=up, elevation=float(np.deg2rad(24.0)), aspect=_PICTURE[0] / _PICTURE[1])
    figure = new_figure(9.0, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1.0))
    _perspective(left, rig, frusta, cloud, view)
    _from_above(right, rig, frusta, cloud, up)
    return figure


def _working_distance(rig: Rig, cloud: NDArray[np.float64]) -> float:
    """Typical distance from the cameras to what they look at."""
    centers = np.stack([camera.center for camera in rig])
    if len(cloud):
        distances = np.linalg.norm(centers - np.median(cloud, axis=0), axis=-1)
    else:
        distances = np.linalg.norm(centers - centers.mean(axis=0), axis=-1)
    typical = float(np.median(distances))
    return typical if typical > 0 else 1.0


def _perspective(
    axes: Axes, rig: Rig, frusta: dict[str, NDArray[np.float64]], cloud: NDArray[np.float64], view: View
) -> None:
    axes.set_title("Cameras", loc="left", fontsize=FONT_SIZE, color=INK)
    axes.set_axis_off()
    axes.set_aspect("equal")
    # Each point its own row: the floor lies under nearly all of the points, and under the cameras where there are none.
    floor = ground_grid((cloud if len(cloud) else np.stack([camera.center for camera in rig]))[:, None], view.up)
    grid, _ = view.project(view.clip(floor.segments), _PICTURE)
    axes.add_collection(LineCollection(list(grid), colors=GRID, linewidths=0.7))
    if len(cloud):
        dots, _ = view.project(cloud, _PICTURE)
        axes.plot(*dots.T, linestyle="none", marker=".", markersize=1.5, color=MUTED, alpha=0.5, rasterized=True)
    colors = categorical_colors(rig.names)
    drawn = [grid.reshape(-1, 2)]
    for camera in rig:
        lines, _ = view.project(view.clip(frusta[camera.name]), _PICTURE)
        axes.add_collection(LineCollection(list(lines), colors=colors[camera.name], linewidths=1.3))
        place, _ = view.project(camera.center, _PICTURE)
        _label(axes, camera, place, colors[camera.name], offset=(0, 7))
        drawn.append(lines.reshape(-1, 2))
    low, high = (limit(np.concatenate(drawn), axis=0) for limit in (np.nanmin, np.nanmax))
    margin = 0.06 * float((high - low).max())
    axes.set_xlim(low[0] - margin, high[0] + margin)
    axes.set_ylim(high[1] + margin, low[1] - margin)


def _from_above(
    axes: Axes, rig: Rig, frusta: dict[str, NDArray[np.float64]], cloud: NDArray[np.float64], up: NDArray[np.float64]
) -> None:
    plane = np.stack(horizontal_axes(up))
    names = [_axis_name(axis) for axis in plane]
    style_axes(
        axes,
        title="From above",
        xlabel=f"{names[0]} ({rig.unit})",
        ylabel=f"{names[1]} ({rig.unit})",
        grid="both",
        size=FONT_SIZE,
    )
    axes.set_aspect("equal", adjustable="datalim")
    if len(cloud):
        axes.plot(
            *(plane @ cloud.T), linestyle="none", marker=".", markersize=1.5, color=MUTED, alpha=0.5, rasterized=True
        )
    colors = categorical_colors(rig.names)
    for camera in rig:
        lines = frusta[camera.name][:8] @ plane.T
        axes.add_collection(LineCollection(list(lines), colors=colors[camera.name], linewidths=1.0))
        place = plane @ camera.center
        axes.plot(*place, marker="o", markersize=5, color=colors[camera.name])
        _label(axes, camera, place, colors[camera.name], offset=(7, 4))
    axes.autoscale_view()
    axes.margins(0.12)


def _label(axes: Axes, camera: Camera, place: NDArray[np.float64], color: str, *, offset: tuple[int, int]) -> None:
    axes.annotate(
        plain(camera.name, _LONGEST_NAME),
        (float(place[0]), float(place[1])),
        xytext=offset,
        textcoords="offset points",
        ha="center" if offset[0] == 0 else "left",
        fontsize=FONT_SIZE,
        color=color,
        path_effects=[withStroke(linewidth=2.5, foreground=SURFACE)],
    )


def _axis_name(axis: NDArray[np.float64]) -> str:
    """Name of a direction in the world: x, -y, ... or "horizontal" where it is no axis."""
    index = int(np.argmax(np.abs(axis)))
    if abs(axis[index]) < 0.999:
        return "horizontal"
    return ("-" if axis[index] < 0 else "") + "xyz"[index]
