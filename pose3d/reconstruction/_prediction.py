"""How well a model predicts what cameras saw that are held out: it chooses the motion and how rough it is."""

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

__all__ = ["predictive_density"]

Array = NDArray[np.float64]

_HELD_OUT = 3  # cameras
_TOLERANCE = 1e-2  # of the uncertainty of a point


def predictive_density(
    model: TrajectoryModel,
    windows: Sequence[Sequence[Window]],
    solutions: Sequence[Sequence[Solution | None]],
    frame: Frame,
) -> float:
    """Mean log density, up to a constant, of the views of cameras that are held out, one after the other."""
    cameras = model.noise.deviation.shape[1]
    held_out = np.unique(np.linspace(0, cameras - 1, _HELD_OUT).round().astype(int)).tolist()

    def judge(place: tuple[int, int, int]) -> tuple[float, int]:
        part, number, camera = place
        solution = solutions[part][number]
        assert solution is not None
        density = _held_out_density(model, windows[part][number], solution, frame, number, camera)
        known = np.isfinite(density)
        return float(density[known].sum()), int(known.sum())

    places = [
        (part, number, camera)
        for part in range(len(windows))
        for number in range(len(windows[part]))
        for camera in held_out
    ]
    with ThreadPoolExecutor(available_processors()) as pool:
        judged = list(pool.map(judge, places))
    return sum(total for total, _ in judged) / max(sum(count for _, count in judged), 1)


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
