"""How well a model predicts what cameras saw that are held out, and whether it does so better than another.

A choice between two models that predict as well would hang on the last digits: it changed with the length unit. So
advantages are counted in standard errors, over stretches of frames that hardly know of each other, and a rougher motion
or a less simple one is taken only where it is clearly better.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calibration.processors import available_processors
from pose3d.reconstruction._adaptation import adapts, local_strength
from pose3d.reconstruction._trajectory_model import TrajectoryModel
from pose3d.reconstruction._trajectory_problem import Frame, Solution, Window, explain_views, solve_window

__all__ = ["CLEARLY", "advantage", "predictive_densities"]

Array = NDArray[np.float64]

CLEARLY = 1.0
"""Standard errors by which a motion must predict better than a smoother or simpler one."""

_HELD_OUT = 3  # cameras
# A quarter to half a second: longer than a swing of a leg, short enough that a pilot has dozens of them.
_STRETCH = 25
_TOLERANCE = 1e-2  # of the uncertainty of a point


def advantage(one: Array, other: Array) -> float:
    """By how many standard errors a model predicts better than another.

    Args:
        one, other: (stretch, 2) from `predictive_densities` of the same windows.

    Returns:
        The mean difference over its standard error; 0 where there are fewer than two stretches.
    """
    known = (one[:, 1] > 0) & (other[:, 1] > 0)
    difference, count = (one[known, 0] - other[known, 0]), one[known, 1]
    stretches = len(count)
    if stretches < 2:
        return 0.0
    mean = difference.sum() / count.sum()
    variance = ((difference - mean * count) ** 2).sum() * stretches / (stretches - 1)
    return float(mean * count.sum() / np.sqrt(variance)) if variance > 0 else 0.0


def predictive_densities(
    model: TrajectoryModel,
    windows: Sequence[Sequence[Window]],
    solutions: Sequence[Sequence[Solution | None]],
    frame: Frame,
) -> Array:
    """Log densities, up to a constant, of the views of cameras that are held out, one after the other.

    Returns:
        (stretch, 2) their sum over the keypoints and frames of a stretch, and their number.
    """
    cameras = model.noise.deviation.shape[1]
    held_out = np.unique(np.linspace(0, cameras - 1, _HELD_OUT).round().astype(int)).tolist()

    def judge(place: tuple[int, int, int]) -> Array:
        part, number, camera = place
        solution = solutions[part][number]
        assert solution is not None
        density = _held_out_density(model, windows[part][number], solution, frame, number, camera)
        starts = np.arange(0, len(density), _STRETCH)
        known = np.isfinite(density)
        sums = [np.add.reduceat(values.sum(axis=1), starts) for values in (np.where(known, density, 0.0), known)]
        return np.stack(sums, axis=-1).astype(np.float64)

    places = [
        (part, number, camera)
        for part in range(len(windows))
        for number in range(len(windows[part]))
        for camera in held_out
    ]
    with ThreadPoolExecutor(available_processors()) as pool:
        return np.concatenate(list(pool.map(judge, places)))


def _held_out_density(
    model: TrajectoryModel, window: Window, solution: Solution, frame: Frame, number: int, camera: int
) -> Array:
    """(time, keypoint) log density of the views of a camera, from the others; NaN where it has none.

    A view of a keypoint that the others cannot place counts as one that is lost: left out, it would make the worse
    model the better one, and whether a system can just be solved hangs on the last digit.
    """
    table, agreeing, weight = window.table.copy(), window.agreeing.copy(), solution.weight.copy()
    table[:, :, camera, 2:], agreeing[:, :, camera], weight[:, :, camera] = 0.0, False, 0.0
    strength = local_strength(window, solution, frame, model, number) if adapts(frame) else None
    found = solve_window(
        replace(window, table=table, agreeing=agreeing),
        frame,
        model,
        number,
        solution=replace(solution, weight=weight),
        strength=strength,
        bodies=False,
        tolerance=_TOLERANCE,
    )
    squared, spread = explain_views(window.table, window, found, frame, model.noise.deviation)
    placed = np.isfinite(squared[:, :, camera]) & np.isfinite(spread[:, :, camera])
    squared = np.where(placed, squared[:, :, camera], np.inf)
    wider = 1 + np.where(placed, spread[:, :, camera], 0.0) / 2
    tail, width, lost = model.noise.loss().T
    lost = lost * window.table[:, :, camera, 5]
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        core = np.exp(-0.5 * squared / wider) / wider
        wide = width / (width + wider - 1) * tail * np.exp(-0.5 * squared / (width + wider - 1))
        density = np.log((core + wide + lost) / (1 + tail + lost)) - 2 * np.log(model.noise.deviation[:, camera])
    return np.where(window.table[:, :, camera, 2] > 0, density, np.nan)
