"""Covariance of what a bundle adjustment estimated: the inverse of the full information matrix.

The block of the cameras of that inverse is the inverse of their Schur complement; nothing is neglected.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration._bundle_boards import BoardPart
from calibration._bundle_kernels import invert_spd, solve_spd
from calibration._bundle_problem import State
from calibration._bundle_solver import Problem

__all__ = ["camera_covariance"]

Floats = NDArray[np.float64]

# Squared pivot of the matrix scaled to a unit diagonal: 1 minus the share of a parameter that the others explain. The
# weakest that a recording determines are around 1e-7 (principal point and tilts); rounding leaves 1e-13.
_SINGULAR = 1e-12


def camera_covariance(
    problem: Problem, parts: tuple[BoardPart, ...], state: State
) -> tuple[Floats | None, tuple[tuple[str, str], ...]]:
    """Covariance of the camera parameters, and the labels that are not determined.

    Args:
        problem: what was adjusted.
        parts: normal equations in units of the noise.
        state: where it ended.
    """
    labels = problem.layout.labels
    system, right, _ = problem.reduce(parts, state, 0.0)
    compressed = problem.compress_matrix(system)
    _, pivot, place = solve_spd(compressed, problem.compress(right))
    if len(compressed) and pivot < _SINGULAR:
        return None, (labels[place] if 0 <= place < len(labels) else ("", "board"),)
    inverse = invert_spd(compressed)
    return inverse[: len(labels), : len(labels)], ()
