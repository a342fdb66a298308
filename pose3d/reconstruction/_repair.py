"""Repairs of the 2D positions that the trajectory shows to be wrong: left taken for right, and the second-best peak."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pose3d.reconstruction._trajectory_model import NoiseModel
from pose3d.reconstruction._trajectory_problem import Frame, Solution, Window, explain_views

__all__ = ["CANDIDATE", "KEPT", "SWAPPED", "Repairs", "repair_window"]

Array = NDArray[np.float64]

KEPT, SWAPPED, CANDIDATE = 0, 1, 2
# Gain of log likelihood from which on a repair is believed: so many times more likely must it be than it is rare. Left
# and right are exchanged in some percent of pictures at most, and a candidate is one of several.
_CONVINCING = 6.0


@dataclass(frozen=True, eq=False)
class Repairs:
    """What was repaired in a window.

    Attributes:
        kind: (time, keypoint, camera) KEPT, SWAPPED or CANDIDATE.
        source: (time, keypoint, camera) number of the keypoint whose position is used.
        candidate: (time, keypoint, camera) number of the candidate that is used; 0 is the position that was reported.
    """

    kind: NDArray[np.int8]
    source: NDArray[np.int64]
    candidate: NDArray[np.int64]

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> Repairs:
        source = np.broadcast_to(np.arange(shape[1])[None, :, None], shape).copy()
        return cls(np.zeros(shape, dtype=np.int8), source, np.zeros(shape, dtype=np.int64))


def repair_window(
    window: Window,
    solution: Solution,
    noise: NoiseModel,
    frame: Frame,
    mirrored: NDArray[np.int64],
    candidates: Array | None,
    repairs: Repairs,
) -> tuple[Window, Repairs, bool]:
    """The window with what the solution shows to be wrong put right, and whether anything was.

    Args:
        window, solution, noise, frame: what is known.
        mirrored: (pair, 2) numbers of keypoints that are left and right.
        candidates: (candidate, time, keypoint, camera, 6) views of the other peaks, or None.
        repairs: what was repaired before.
    """
    table, kind, source, chosen = window.table.copy(), repairs.kind.copy(), repairs.source.copy(), repairs.candidate
    cost = _cost(window, table, solution, noise, frame)
    changed = False
    if len(mirrored):
        other = np.arange(table.shape[1])
        other[mirrored[:, 0]], other[mirrored[:, 1]] = mirrored[:, 1], mirrored[:, 0]
        exchanged = _cost(window, np.ascontiguousarray(table[:, other]), solution, noise, frame)
        for left, right in mirrored.tolist():
            gain = cost[:, left] + cost[:, right] - exchanged[:, left] - exchanged[:, right]
            swap = gain > _CONVINCING
            changed |= bool(swap.any())
            for values in (table, source, cost):
                values[:, left][swap], values[:, right][swap] = values[:, right][swap], values[:, left][swap]
            for keypoint in (left, right):
                cost[:, keypoint][swap] = exchanged[:, keypoint][swap]
                kind[:, keypoint][swap] = np.where(source[:, keypoint][swap] == keypoint, KEPT, SWAPPED)
    if candidates is not None:
        chosen = chosen.copy()
        for number, other_table in enumerate(candidates):
            other_cost = _cost(window, other_table, solution, noise, frame)
            better = (cost - other_cost > _CONVINCING) & (other_table[..., 2] > 0) & (table[..., 2] > 0)
            changed |= bool(better.any())
            cost = np.where(better, other_cost, cost)
            table[better], kind[better], chosen[better] = other_table[better], CANDIDATE, number + 1
    return replace(window, table=table), Repairs(kind, source, chosen), changed


def _cost(window: Window, table: Array, solution: Solution, noise: NoiseModel, frame: Frame) -> Array:
    """(time, keypoint, camera) minus log likelihood of views, up to a constant; 0 where there is no view."""
    squared, _ = explain_views(table, window, solution, frame, noise.deviation)
    spread = np.maximum(table[..., 5], 1e-300)  # not 0 where nothing is seen
    return np.where(np.isnan(squared), 0.0, noise.cost(squared, spread))
