"""Epipolar residuals of two cameras, with the rig or without."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera

__all__ = ["fundamental_of_points", "fundamental_of_rig", "ideal_pixels", "robust_cost", "sampson"]

_ROUNDS = 4


def ideal_pixels(camera: Camera, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pixels of the same camera without distortion, with the principal point at 0 and its mean focal length."""
    return camera.lens.undistort(pixels) * _focal(camera)


def fundamental_of_rig(one: Camera, two: Camera) -> NDArray[np.float64]:
    """The fundamental matrix F with `x2' F x1 = 0` of ideal pixels (Hartley and Zisserman, section 9.6)."""
    pose = two.cam_from_world @ one.cam_from_world.inverse()
    x, y, z = pose.translation
    essential = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]) @ pose.rotation
    scaled = np.diag([1 / _focal(two)] * 2 + [1.0]) @ essential @ np.diag([1 / _focal(one)] * 2 + [1.0])
    return scaled / np.linalg.norm(scaled)


def fundamental_of_points(one: NDArray[np.float64], two: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The fundamental matrix of matched points (n, 2), by the normalized eight-point method, reweighted.

    None where fewer than 16 points are known. Hartley, In defense of the eight-point algorithm, 1997.
    """
    known = np.isfinite(one).all(-1) & np.isfinite(two).all(-1)
    if known.sum() < 16:
        return None
    first, to_first = _normalized(one[known])
    second, to_second = _normalized(two[known])
    rows = (second[:, :, None] * first[:, None, :]).reshape(-1, 9)
    weights = np.ones(len(rows))
    matrix = np.eye(3)
    for _ in range(_ROUNDS):
        scatter = (rows * weights[:, None]).T @ rows
        matrix = np.linalg.eigh(scatter)[1][:, 0].reshape(3, 3)
        left, values, right = np.linalg.svd(matrix)
        matrix = left @ np.diag([values[0], values[1], 0.0]) @ right
        rest = sampson(matrix, first[:, :2], second[:, :2])
        scale = 1.4826 * float(np.median(np.abs(rest))) + 1e-12
        gradient = np.linalg.norm(np.concatenate([(first @ matrix.T)[:, :2], (second @ matrix)[:, :2]], 1), axis=1)
        weights = 1 / (1 + (rest / (2.385 * scale)) ** 2) / (gradient**2 + 1e-12)
        weights /= weights.mean()
    matrix = to_second.T @ matrix @ to_first
    return matrix / np.linalg.norm(matrix)


def sampson(
    fundamental: NDArray[np.float64], one: NDArray[np.float64], two: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n,) signed Sampson distances in px of matched points (n, 2); NaN where one is missing."""
    to_two = one @ fundamental[:, :2].T + fundamental[:, 2]
    to_one = two @ fundamental[:2] + fundamental[2]
    value = np.sum(two * to_two[:, :2], axis=1) + to_two[:, 2]
    length = np.sqrt(np.sum(to_two[:, :2] ** 2, 1) + np.sum(to_one[:, :2] ** 2, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return value / length


def robust_cost(residuals: NDArray[np.float64], fewest: int) -> float:
    """Median absolute residual, infinite where fewer than `fewest` are known."""
    known = residuals[np.isfinite(residuals)]
    return float(np.median(np.abs(known))) if len(known) >= fewest else np.inf


def _focal(camera: Camera) -> float:
    matrix = camera.lens.camera_matrix
    return float(matrix[0, 0] + matrix[1, 1]) / 2


def _normalized(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Homogeneous points around 0 at a mean distance of sqrt(2), and the matrix that made them so."""
    center = np.median(points, axis=0)
    size = float(np.mean(np.linalg.norm(points - center, axis=1)))
    scale = np.sqrt(2) / max(size, 1e-9)
    matrix = np.array([[scale, 0, -scale * center[0]], [0, scale, -scale * center[1]], [0, 0, 1.0]])
    return np.column_stack([scale * (points - center), np.ones(len(points))]), matrix
