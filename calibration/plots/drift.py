"""The figure of a check whether cameras have moved."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from calibration.drift import CameraDrift, Drift
from calibration.errors import InvalidValueError
from calibration.plots.style import FONT_SIZE, MUTED, PALETTE, categorical_colors, new_figure, plain, style_axes

__all__ = ["drift_figure"]

# Colors repeat after these; the lines of further cameras are dashed.
_COLORS = len(PALETTE)


def drift_figure(drift: Drift, times: ArrayLike | None = None) -> Figure:
    """How far what each camera sees is off what the others see, over time; vertical lines where a camera moved.

    A camera that has moved also raises the lines of those that share points with it, but less.

    Args:
        drift: the outcome of `check_drift`.
        times: (time,) seconds of the rows that were checked; by default their numbers are shown.

    Raises:
        InvalidValueError: there are fewer times than rows.
    """
    instants = np.arange(drift.rows[-1], dtype=np.float64) if times is None else np.asarray(times, dtype=np.float64)
    if instants.shape != (drift.rows[-1],):
        raise InvalidValueError(
            "times", expected=f"shape ({drift.rows[-1]},)", got=str(instants.shape), remedy="Give one for each row."
        )
    figure = new_figure(9.0, 3.4)
    axes = figure.subplots()
    names = [camera.name for camera in drift.cameras]
    colors = categorical_colors(names)
    edges = instants[np.minimum(drift.rows, len(instants) - 1)]
    for index, camera in enumerate(drift.cameras):
        axes.plot(
            (edges[:-1] + edges[1:]) / 2,
            drift.residual[:, index],
            color=colors[camera.name],
            linestyle="-" if index < _COLORS else "--",
            linewidth=2.2 if camera.moved else 1.2,
            marker="o",
            markersize=3,
            label=plain(f"{camera.name}: {_words(camera, drift)}", 70),
        )
        if camera.start is not None:
            axes.axvline(instants[camera.start], color=colors[camera.name], linewidth=1.2, linestyle=":")
    axes.set_xlim(instants[0], instants[-1] if len(instants) > 1 else instants[0] + 1.0)
    largest = float(np.nanmax(drift.residual, initial=drift.noise))
    axes.set_ylim(0.0, 1.1 * largest)
    style_axes(
        axes,
        size=FONT_SIZE,
        xlabel="row" if times is None else "time (s)",
        ylabel="epipolar residual (px)",
        grid="both",
    )
    figure.legend(loc="outside lower left", ncols=2, fontsize=FONT_SIZE - 1, frameon=False, labelcolor=MUTED)
    return figure


def _words(camera: CameraDrift, drift: Drift) -> str:
    if camera.name in drift.unexplained:
        return "disagrees, but not by a move"
    if not camera.moved:
        return "not moved"
    doubt = "" if camera.certain else " (or another camera)"
    return f"moved by {np.rad2deg(camera.rotation[0]):.2g}° and {camera.distance[0]:.2g} {drift.rig.unit}{doubt}"
