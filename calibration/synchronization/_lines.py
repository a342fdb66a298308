"""A straight line through offsets over time, of which some are wrong."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["RobustLine", "fit_line"]

_ROUNDS = 10
_FAR = 3.5  # robust standard deviations
# As for the motion of keypoints: before anything is seen of it, a clock is right to 300 ppm.
_SLOPE_PRIOR = 300e-6
_MOST = 400  # points of which all pairs are looked at


class RobustLine(NamedTuple):
    """`value = offset + slope * time`, with standard deviations and the points that agree with it."""

    offset: float
    slope: float
    offset_std: float
    slope_std: float
    inliers: NDArray[np.bool_]


def fit_line(times: NDArray[np.float64], values: NDArray[np.float64], *, tolerance: float) -> RobustLine:
    """The line that most points agree with: median of slopes (Theil 1950, Sen 1968), then least squares of inliers.

    Args:
        times, values: (point,) in seconds.
        tolerance: smallest deviation in seconds that is not an outlier, and of which half is taken for the spread of a
            point where the points are too few to tell it, and a twentieth is the least spread that is believed.
    """
    some = np.unique(np.linspace(0, len(times) - 1, min(_MOST, len(times))).round().astype(np.intp))
    rows, columns = np.triu_indices(len(some), 1)
    spans = times[some][columns] - times[some][rows]
    apart = np.abs(spans) > 0
    changes = values[some][columns] - values[some][rows]
    slope = float(np.median(changes[apart] / spans[apart])) if apart.sum() >= 3 else 0.0
    offset = float(np.median(values - slope * times))
    inliers = np.ones(len(times), dtype=bool)
    spread = tolerance / 2
    covariance: NDArray[np.float64] = np.eye(2)
    for _ in range(_ROUNDS):
        rest = values - offset - slope * times
        limit = max(tolerance, _FAR * 1.4826 * float(np.median(np.abs(rest))))
        inliers = np.abs(rest) <= limit
        freedom = int(inliers.sum()) - 2
        spread = float(np.sqrt(np.sum(rest[inliers] ** 2) / freedom)) if freedom >= 3 else tolerance / 2
        spread = max(spread, tolerance / 20)
        design = np.column_stack([np.ones(int(inliers.sum())), times[inliers]]) / spread
        normal = design.T @ design + np.diag([0.0, _SLOPE_PRIOR**-2])
        covariance = np.asarray(np.linalg.inv(normal), dtype=np.float64)
        solution = covariance @ (design.T @ (values[inliers] / spread))
        if np.allclose(solution, (offset, slope), rtol=0, atol=1e-12):
            break
        offset, slope = float(solution[0]), float(solution[1])
    offset_std, slope_std = np.sqrt(np.diag(covariance))
    return RobustLine(offset, slope, float(offset_std), float(slope_std), inliers)
