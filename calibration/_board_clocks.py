"""Pictures that were not taken at the same instant although they are matched: how late each camera is, from the board.

A camera whose clock is late sees the board where it was. Nothing else does what this does to the residuals: they follow
the motion of the board. The offsets of the clocks are found by least squares with cameras and boards adjusted along:
the derivative of the adjusted residuals by each offset is a difference of two adjustments (variable projection; Golub
and Pereyra 1973), so that what a wrong pose or lens explains as well is not taken for time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.bundle import BundleAdjustment
from calibration.synchronization.resampling import resample_positions

__all__ = ["BoardClocks", "estimate_clocks", "is_dense", "resample_corners"]

Array = NDArray[np.float64]

# The path of the board between pictures farther apart than this is anybody's guess: hands turn in half a second.
_LONGEST_INTERVAL = 0.25
_FEWEST_VIEWS = 10
_ROUNDS = 8
# As shares of the interval between pictures: the step of the difference, the largest step of a round (cubics do not
# reach farther), and the step at which it is enough.
_DIFFERENCE, _LARGEST_STEP, _ENOUGH = 0.05, 0.5, 0.005
# The same in standard deviations, and of the error from round to round: less is no progress.
_SURE, _PROGRESS = 0.3, 0.98
# Corners of a view share their error, so that a view counts as about two independent ones.
_INDEPENDENT = 2.0
# Offsets count where one is five standard deviations from 0, and where the error falls by at least a tenth with them.
_SIGNIFICANCE = 5.0
_GAIN = 0.9


@dataclass(frozen=True, eq=False)
class BoardClocks:
    """How late the pictures of each camera were taken.

    Attributes:
        offsets: (camera,) seconds to add to the times of a camera to get those of the first one.
        deviations: (camera,) standard deviations; 0 for the first camera.
        error: px, root mean square of the weighed residuals before and after; in the end of more boards than before,
            because more of them agree.
    """

    offsets: Array
    deviations: Array
    error: tuple[float, float]

    @property
    def significant(self) -> bool:
        """Whether the offsets are told from 0 and make the residuals smaller."""
        with np.errstate(invalid="ignore", divide="ignore"):
            sure = np.abs(self.offsets) > _SIGNIFICANCE * self.deviations
        return bool(sure.any()) and self.error[1] < _GAIN * self.error[0]

    def agrees(self, other: BoardClocks) -> bool:
        """Whether others are the same within a standard deviation, or half a millisecond."""
        return bool((np.abs(self.offsets - other.offsets) <= np.maximum(self.deviations, 5e-4)).all())


def resample_corners(position: Array, times: Array, offsets: Array) -> Array:
    """(camera, frame, corner, 2) corners at the mean instants of the frames, interpolated between pictures.

    Args:
        position: (camera, frame, corner, 2) px.
        times: (camera, frame) seconds, by the clock of each camera; NaN where it has no picture.
        offsets: (camera,) seconds to add to them.
    """
    corrected = times + offsets[:, None]
    present = np.isfinite(corrected)
    count = present.sum(axis=0)
    instants = np.where(present, corrected, 0.0).sum(axis=0) / np.maximum(count, 1)
    result = np.full(position.shape, np.nan)
    for camera, known in enumerate(present):
        rows = np.flatnonzero(known)
        result[camera, count > 0] = resample_positions(
            position[camera, rows], corrected[camera, rows], instants[count > 0]
        )
    return result


def is_dense(times: Array) -> bool:
    """Whether pictures follow each other so closely that the path of the board between them is known."""
    steps = np.diff(times, axis=1)
    steps = steps[np.isfinite(steps)]
    return len(steps) >= _FEWEST_VIEWS and bool((steps > 0).all()) and float(np.median(steps)) <= _LONGEST_INTERVAL


def estimate_clocks(
    fit: Callable[[Array], BundleAdjustment], position: Array, times: Array, offsets: Array | None = None
) -> BoardClocks | None:
    """How late each camera is; None where pictures are too far apart, or nothing moved.

    Args:
        fit: adjusts cameras and boards to positions of the same shape, from the same start and with noise given.
        position: (camera, frame, corner, 2) px.
        times: (camera, frame) seconds.
        offsets: (camera,) where to begin; 0 by default.
    """
    cameras = len(position)
    if cameras < 2 or not is_dense(times):
        return None
    interval = float(np.nanmedian(np.diff(times, axis=1)))
    offsets = np.zeros(cameras) if offsets is None else offsets.copy()
    before = fit(resample_corners(position, times, offsets))
    first = last = _error(before)
    for turn in range(_ROUNDS):
        now = fit(resample_corners(position, times, offsets))
        if turn > 1 and _error(now) > _PROGRESS * last:
            break
        last = _error(now)
        columns = []
        for camera in range(1, cameras):
            ahead = offsets.copy()
            ahead[camera] += _DIFFERENCE * interval
            moved = fit(resample_corners(position, times, ahead)).residuals
            columns.append((moved - now.residuals) / (_DIFFERENCE * interval))
        solved = _solve(now, columns)
        if solved is None:
            return None
        step, deviations = solved
        longest = float(np.abs(step).max())
        offsets[1:] += step * min(1.0, _LARGEST_STEP * interval / max(longest, 1e-300))
        if (np.abs(step) < np.maximum(_ENOUGH * interval, _SURE * deviations)).all():
            break
    after = fit(resample_corners(position, times, offsets))
    return BoardClocks(offsets, np.concatenate([[0.0], deviations]), (first, _error(after)))


def _solve(now: BundleAdjustment, columns: list[Array]) -> tuple[Array, Array] | None:
    """The step (camera - 1,) of the offsets that makes the adjusted residuals smallest, and standard deviations."""
    known = np.isfinite(now.residuals) & np.isfinite(columns).all(axis=0)
    views = int(known.any(axis=(2, 3)).sum())
    if views < _FEWEST_VIEWS:
        return None
    weight = np.sqrt(np.broadcast_to(now.weights[..., None], known.shape)[known])
    design = np.stack([column[known] * weight for column in columns], axis=-1)
    residual = now.residuals[known] * weight
    normal = design.T @ design
    if np.linalg.matrix_rank(normal) < len(columns):
        return None
    step = -np.linalg.solve(normal, design.T @ residual)
    variance = float((residual**2).sum()) / max(_INDEPENDENT * views, 1.0)
    return np.asarray(step), np.sqrt(np.diag(np.linalg.inv(normal)) * variance)


def _error(adjustment: BundleAdjustment) -> float:
    known = np.isfinite(adjustment.residuals).all(axis=-1) & (adjustment.weights > 0)
    squared = (adjustment.residuals[known] ** 2).sum(axis=-1)
    return float(np.sqrt(np.average(squared, weights=adjustment.weights[known]))) if known.any() else np.nan
