"""Smoothness that follows the motion: an animal that rests is held, one that jumps is let go.

The variance of the differences of a keypoint is taken to change slowly. Around every frame it is estimated as it is for
the whole recording: the squares of the differences over the number of those that the observations decide (MacKay,
Bayesian interpolation, 1992), with weights that fall with the distance in time, and drawn a little to the variance of
the whole recording.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

from pose3d.reconstruction._trajectory_model import TrajectoryModel
from pose3d.reconstruction._trajectory_problem import Frame, Solution, Window, derivatives, has_difference

__all__ = ["REACH", "local_strength"]

Array = NDArray[np.float64]

_HALF = 3  # frames in which the weights fall to one half
REACH = 3 * _HALF  # frames beyond which they are 0
_PRIOR = 10.0  # numbers that the variance of the whole recording counts as


def local_strength(window: Window, solution: Solution, frame: Frame, model: TrajectoryModel, individual: int) -> Array:
    """(row, keypoint) inverse of the variance of every difference, 0 where there is none."""
    has = has_difference(window, frame)
    if not len(has):
        return np.zeros(has.shape)
    size = np.where(has, (derivatives(window, solution, frame, model) ** 2).sum(-1), 0.0)
    decided = np.where(has, np.maximum(3.0 - solution.absorbed, 0.0), 0.0)
    weights = 0.5 ** (np.abs(np.arange(-REACH, REACH + 1)) / _HALF)
    squares, count = (convolve1d(values, weights, axis=0, mode="constant") for values in (size, decided))
    squares = model.loosened**2 * squares
    variance = (squares + _PRIOR * model.smoothness[individual] ** 2) / (count + _PRIOR)
    least = model.least_smoothness(frame.settings.order)[individual]
    return np.where(has, 1.0 / np.maximum(variance, least**2), 0.0)
