"""Motions with known truth, what cameras see of them, and how far a reconstruction is from the truth."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from calibration.rig import Rig
from calibration.synthetic import observe
from pose3d.datasets import poses2d
from pose3d.reconstruction._trajectory_settings import ORDERS, Motion
from pose3d.skeleton import Skeleton

Array = NDArray[np.float64]

RATE = 100.0  # frames per second
# Standard deviation of the derivative, so that motions of 200 frames stay within 200 mm.
LIVELY = {"velocity": 2e3, "acceleration": 1.2e4, "jerk": 1e5}
LIMIT = 7.8147279  # 95 % of the squared distances of three normal numbers are less
# A shoulder that moves freely, two arms of different bones, left and right as long.
ARMS = Skeleton(
    "arms",
    ("shoulder", "left_elbow", "left_wrist", "right_elbow", "right_wrist"),
    (
        ("shoulder", "left_elbow"), ("left_elbow", "left_wrist"), ("shoulder", "right_elbow"),
        ("right_elbow", "right_wrist"),
    ),
    (("left_elbow", "right_elbow"), ("left_wrist", "right_wrist")),
)  # fmt: skip
LENGTHS = {"shoulder-left_elbow": 40.0, "left_elbow-left_wrist": 25.0}


def drawn_motion(motion: Motion, smoothness: float, shape: tuple[int, int], *, seed: int = 0) -> Array:
    """(time, keypoint, 3) drawn from the assumed model: a derivative is white noise, at RATE.

    A polynomial, of which the model knows nothing, is taken away, so that the motion stays in view.
    """
    order, frames = ORDERS[motion], shape[0]
    values = np.random.default_rng([seed, 7]).standard_normal((frames, shape[1] * 3)) * smoothness / RATE**order
    for _ in range(order):
        values = np.cumsum(values, axis=0)
    time = np.linspace(-1, 1, frames)
    fitted = np.polynomial.polynomial.polyfit(time, values, order - 1)
    return (values - np.polynomial.polynomial.polyval(time, fitted).T).reshape(*shape, 3)


def wave(frames: int, seed: int, *, size: float, hertz: float = 1.0) -> Array:
    """(time, 3) a smooth motion within about `size` of the origin."""
    rng = np.random.default_rng([seed, 11])
    time = np.arange(frames)[:, None] / RATE
    parts = [np.sin(2 * np.pi * hertz * rng.uniform(0.3, 1, 3) * time + rng.uniform(0, 6, 3)) for _ in range(3)]
    return size * np.mean(parts, axis=0)


def arms(frames: int, seed: int = 0) -> Array:
    """(time, 5, 3) of ARMS whose bones have LENGTHS, on both sides."""
    places = [wave(frames, seed, size=120.0)]
    for side in range(2):
        for bone, length in enumerate(LENGTHS.values()):
            way = wave(frames, 10 * seed + 3 * side + bone + 1, size=1.0) + np.array([0.3, 1.5 * side - 0.8, -0.2])
            start = places[0] if bone == 0 else places[-1]
            places.append(start + length * way / np.linalg.norm(way, axis=-1, keepdims=True))
    return np.stack(places, axis=1)


def names(count: int) -> tuple[str, ...]:
    return tuple(f"keypoint_{number + 1}" for number in range(count))


def seen(
    rig: Rig,
    points: Array,
    *,
    noise: ArrayLike = 1.0,
    outliers: float = 0.0,
    missing: float = 0.0,
    keypoints: tuple[str, ...] | None = None,
    rate: float | None = RATE,
    seed: int = 0,
) -> xr.Dataset:
    """Poses2D of points (time, keypoint, 3); the noise is Gaussian, the confidence 1."""
    observed = observe(rig, points, noise=noise, outlier_rate=outliers, dropout_rate=missing, seed=seed)
    return poses2d(
        np.moveaxis(observed.pixels, 2, 1)[:, :, None],
        cameras=rig.names,
        individuals=["one"],
        keypoints=keypoints or names(points.shape[1]),
        frame_rate=rate,
    )


def positions(found: xr.Dataset) -> Array:
    """(time, keypoint, 3)."""
    return found["position"].isel(individual=0).transpose("time", "keypoint", "space").values


def covariances(found: xr.Dataset) -> Array:
    """(time, keypoint, 3, 3)."""
    return found["covariance"].isel(individual=0).transpose("time", "keypoint", "space", "space_").values


def squared_distances(found: xr.Dataset, truth: Array) -> Array:
    """(time, keypoint) squared errors in units of the covariance; NaN where there is no position."""
    error, covariance = positions(found) - truth, covariances(found)
    known = np.isfinite(error[..., 0])
    result = np.full(known.shape, np.nan)
    result[known] = np.einsum("ni,nij,nj->n", error[known], np.linalg.inv(covariance[known]), error[known])
    return result


def coverage(found: xr.Dataset, truth: Array) -> float:
    """Share of the positions whose 95 % ellipsoid holds the truth."""
    squared = squared_distances(found, truth)
    return float((squared[np.isfinite(squared)] < LIMIT).mean())


def hidden(poses: xr.Dataset, frames: slice, keypoint: int, cameras: slice = slice(None)) -> xr.Dataset:
    """The poses of which cameras lost a keypoint for some frames."""
    result = poses.copy(deep=True)
    result["position"][frames, cameras, :, keypoint] = np.nan
    result["confidence"][frames, cameras, :, keypoint] = 0.0
    return result


def errors(found: xr.Dataset, truth: Array) -> Array:
    return np.linalg.norm(positions(found) - truth, axis=-1)
