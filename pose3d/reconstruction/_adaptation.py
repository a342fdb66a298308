"""Smoothness that follows the motion: an animal that rests is held, one that jumps is let go.

The variance of the differences of a keypoint is taken to change slowly. Around every frame it is estimated as it is for
the whole recording: the squares of the differences over the number of those that the observations decide (MacKay,
Bayesian interpolation, 1992), with weights that fall with the distance in time, and drawn a little to the variance of
the whole recording.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

from pose3d.reconstruction._trajectory_model import TrajectoryModel
from pose3d.reconstruction._trajectory_problem import Frame, Solution, Window, derivatives, has_difference

__all__ = ["adapts", "local_strength"]

Array = NDArray[np.float64]

_HALF = 3  # frames in which the weights fall to one half
_REACH = 3 * _HALF  # frames beyond which they are 0
_PRIOR = 10.0  # numbers that the variance of the whole recording counts as
# Where so many cameras agree with each other and each of them is farther from the solution than this squared distance,
# which noise exceeds once in 3 million, and none supports it, the motion is one that the smoothness did not allow.
_WITNESSES, _AGAINST, _FOR = 3, 30.0, 12.0


def adapts(frame: Frame) -> bool:
    """Whether smoothness follows the motion."""
    return frame.settings.adaptive and frame.settings.smoothness is None


def local_strength(window: Window, solution: Solution, frame: Frame, model: TrajectoryModel, individual: int) -> Array:
    """(row, keypoint) inverse of the variance of every difference, 0 where there is none."""
    has = has_difference(window, frame)
    if not len(has):
        return np.zeros(has.shape)
    size = np.where(has, (derivatives(window, solution.places, frame, model) ** 2).sum(-1), 0.0)
    decided = np.where(has, np.maximum(3.0 - solution.absorbed, 0.0), 0.0)
    sudden = _sudden(window, solution, frame)
    if sudden.any():
        raw = (derivatives(window, window.start, frame, model) ** 2).sum(-1)
        sudden &= has & np.isfinite(raw)
        size, decided = np.where(sudden, raw, size), np.where(sudden, 3.0, decided)
    weights = 0.5 ** (np.abs(np.arange(-_REACH, _REACH + 1)) / _HALF)
    squares, count = (convolve1d(values, weights, axis=0, mode="constant") for values in (size, decided))
    typical = model.smoothness[individual] ** 2
    variance = (model.loosened**2 * squares + _PRIOR * typical) / (count + _PRIOR)
    # in a gap nothing is seen of the motion: what goes on before and after it need not go on
    gap = _over(np.isnan(window.start[..., 0]), frame.settings.order, np.all)
    variance = np.where(gap, np.maximum(variance, typical), variance)
    least = model.least_smoothness(frame.settings.order)[individual]
    return np.where(has, 1.0 / np.maximum(variance, least**2), 0.0)


def _sudden(window: Window, solution: Solution, frame: Frame) -> NDArray[np.bool_]:
    """(row, keypoint) whether a frame of a difference contradicts the solution, by cameras that agree."""
    with np.errstate(invalid="ignore"):
        against = (window.agreeing & (solution.squared > _AGAINST)).sum(-1) >= _WITNESSES
        support = (solution.squared < _FOR).any(axis=-1)
    far = against & ~support
    return _over(far, frame.settings.order, np.any)


def _over(frames: NDArray[np.bool_], order: int, together: Callable[..., NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """(row, keypoint) any or all of the frames (time, keypoint) of a difference."""
    rows = len(frames) - order
    return np.asarray(together([frames[first : first + rows] for first in range(order + 1)], axis=0))
