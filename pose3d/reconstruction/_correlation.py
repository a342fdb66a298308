"""Noise that lasts: what networks get wrong in a frame they get wrong in the next one, too.

Smoothing averages the noise of neighboring frames, as if each had erred by itself. Where they err alike, the average is
less certain than that. How alike is seen in the residuals of the frame-by-frame triangulation; by how much the
covariance of a smoothed position is then too small follows from how much it was smoothed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pose3d.reconstruction._trajectory_model import TrajectoryModel
from pose3d.reconstruction._trajectory_problem import Frame, Window

__all__ = ["correlation_of", "inflation", "with_lasting_noise"]

Array = NDArray[np.float64]

_LAGS = 15  # frames
# A correlation that is less than this many of its standard errors above 0 is chance, and so are those of longer lags.
_SIGNIFICANT = 3.0
_FREQUENCIES = 2048
_TABLE = np.logspace(-8.0, 6.0, 57)  # of smoothness over noise


def correlation_of(windows: Sequence[Sequence[Window]], frame: Frame) -> Array:
    """(keypoint, lag + 1) correlation of the residuals of a camera with those some frames later, 1 for lag 0.

    Of the cameras that agree; the first lag at which it is not significant, and all longer ones, are 0.
    """
    count = windows[0][0].segment.shape[1]
    products, squares, pairs = np.zeros((count, _LAGS + 1)), np.zeros((count, _LAGS + 1)), np.zeros((count, _LAGS + 1))
    for part in windows:
        for window in part:
            residual = _residuals(window, frame)
            known = np.isfinite(residual[..., 0])
            residual = np.where(known[..., None], residual, 0.0)
            for lag in range(min(_LAGS, len(residual) - 1) + 1):
                now, later = residual[: len(residual) - lag], residual[lag:]
                both = known[: len(residual) - lag] & known[lag:]
                products[:, lag] += (now * later).sum((0, 2, 3))
                squares[:, lag] += 0.5 * (((now**2 + later**2).sum(-1)) * both).sum((0, 2))
                # of the three coordinates of a point, cameras' residuals do not show the error: they have fewer numbers
                pairs[:, lag] += np.maximum(2 * both.sum(-1) - 3, 0).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.nan_to_num(products / squares)
        significant = correlation > _SIGNIFICANT / np.sqrt(np.maximum(pairs, 1.0))
    correlation = np.where(np.logical_and.accumulate(significant, axis=1), correlation, 0.0)
    correlation[:, 0] = 1.0
    return correlation


def _residuals(window: Window, frame: Frame) -> Array:
    """(time, keypoint, camera, 2) in normalized coordinates, of cameras that agree; NaN elsewhere."""
    rotation = frame.cameras[:, :9].reshape(-1, 3, 3)
    there = np.einsum("cij,tkj->tkci", rotation, window.start) + frame.cameras[:, 9:]
    with np.errstate(invalid="ignore", divide="ignore"):
        residual = there[..., :2] / there[..., 2:] - window.table[..., :2]
    return np.where(window.agreeing[..., None], residual, np.nan)


def with_lasting_noise(covariance: Array, model: TrajectoryModel, individual: int, order: int) -> Array:
    """Covariances (time, keypoint, 3, 3) of smoothed positions, as much larger as the noise that lasts makes them."""
    with np.errstate(invalid="ignore"):
        share = np.trace(covariance, axis1=-2, axis2=-1) / model.alone[individual]
    return inflation(share, model.correlation, order)[..., None, None] * covariance


def inflation(share: Array, correlation: Array, order: int) -> Array:
    """(time, keypoint) factor by which covariances are too small.

    A steady smoother passes a share H(w) = 1 / (1 + (2 - 2 cos w)^order / m) of every frequency w; m says how weak it
    is. With noise whose spectrum is S(w) instead of 1, the variance grows by the mean of H^2 (S - 1); it was the mean
    of H, in units of what a frame by itself has.

    Args:
        share: (time, keypoint) variance of a position over that of a frame by itself, which tells m.
        correlation: (keypoint, lag + 1), see `correlation_of`.
        order: of the differences.
    """
    result = np.ones(share.shape)
    angle = 2 * np.pi * (np.arange(_FREQUENCIES) + 0.5) / _FREQUENCIES
    passed = 1.0 / (1.0 + (2 - 2 * np.cos(angle)) ** order / _TABLE[:, None])
    kept = passed.mean(1)
    lags = np.arange(1, correlation.shape[1])
    for keypoint, one in enumerate(correlation):
        if one[1:].any():
            spectrum = 1 + 2 * (one[1:, None] * np.cos(lags[:, None] * angle)).sum(0)
            factor = 1 + (passed**2 * (np.maximum(spectrum, 0.0) - 1)).mean(1) / kept
            known = np.isfinite(share[:, keypoint])
            result[known, keypoint] = np.maximum(np.interp(share[known, keypoint], kept, factor), 1.0)
    return result
