"""Instances as a detector gives them: in random order, with animals among them that are not there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.rig import Rig
from pose3d.skeleton import Skeleton

__all__ = ["FalseInstances", "Mixed", "mix_up"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]

# At most so many false instances in a camera and frame more than are expected.
_MORE = 2


@dataclass(frozen=True)
class FalseInstances:
    """How many there are, and how they are reported.

    Half of them are poses of another moment at another place, turned anyhow; half are put together of two animals, one
    in front and the other behind.

    Attributes:
        rate: false instances per camera and frame, as a share of the number of animals.
        noise: of their keypoints, standard deviation per axis in pixels.
        missing_rate: share of their keypoints that are not reported.
    """

    rate: float
    noise: float
    missing_rate: float

    def slots(self, animals: int) -> int:
        """The most that there are in a camera and frame."""
        return min(animals, int(np.ceil(animals * self.rate)) + _MORE) if self.rate else 0


@dataclass(frozen=True, eq=False)
class Mixed:
    """Instances in random order, those that there are first; the axes are (time, camera, instance, keypoint).

    Attributes:
        pixels: (..., 2) px, NaN where nothing is reported.
        confidence: in [0, 1]; 0 where nothing is reported.
        individual: (time, camera, instance) index of the animal; -1 for false instances and empty places.
        order: (time, camera, instance) where the instance was before; from the number of animals on if false.
    """

    pixels: Array
    confidence: Array
    individual: Numbers
    order: Numbers


def mix_up(
    rig: Rig, points: Array, pixels: Array, confidence: Array, skeleton: Skeleton, false: FalseInstances,
    rng: np.random.Generator,
) -> Mixed:  # fmt: skip
    """Put false instances among the reported animals, and exchange their places.

    Args:
        rig: the cameras.
        points: (time, individual, keypoint, 3) true positions.
        pixels: (time, camera, individual, keypoint, 2) what is reported of the animals, NaN where missing.
        confidence: (time, camera, individual, keypoint) of that.
        skeleton: of the animals.
        false: how many are false.
        rng: of all draws.
    """
    animals = pixels.shape[2]
    if false.slots(animals):
        invented = _invent(rig, points, pixels, skeleton, false, rng)
        pixels = np.concatenate([pixels, invented], axis=2)
        surely = np.where(np.isnan(invented[..., 0]), 0.0, 0.2 + 0.75 * rng.random(invented.shape[:-1]))
        confidence = np.concatenate([confidence, surely], axis=2)
    empty = np.isnan(pixels[..., 0]).all(axis=-1)
    individual = np.full(empty.shape, -1, dtype=np.int64)
    individual[:, :, :animals] = np.arange(animals)
    individual[empty] = -1
    order = np.argsort(rng.random(empty.shape) + empty, axis=2)
    return Mixed(
        np.take_along_axis(pixels, order[..., None, None], axis=2),
        np.take_along_axis(confidence, order[..., None], axis=2),
        np.take_along_axis(individual, order, axis=2),
        order,
    )


def _invent(
    rig: Rig, points: Array, pixels: Array, skeleton: Skeleton, false: FalseInstances, rng: np.random.Generator
) -> Array:
    """(time, camera, slot, keypoint, 2) false animals, NaN where there is none or beyond the image."""
    frames, cameras, animals, keypoints = pixels.shape[:4]
    slots = false.slots(animals)
    count = np.minimum(rng.binomial(animals, false.rate, (frames, cameras)), slots)
    time, camera, slot = np.nonzero(np.arange(slots) < count[..., None])
    total = len(time)
    first = rng.integers(0, animals, total)
    second = (first + rng.integers(1, max(animals, 2), total)) % animals
    seen = np.asarray(np.isfinite(pixels[..., 0]).any(axis=-1))
    mixed = (rng.random(total) < 0.5) & (first != second)
    mixed &= seen[time, camera, first] & seen[time, camera, second]
    noise = false.noise * rng.standard_normal((total, keypoints, 2))
    cut = rng.integers(1, max(keypoints, 2), (total, 1))
    front = (_rank(skeleton) < cut)[:, :, None]
    reported = [pixels[time, camera, animal] for animal in (first, second)]
    places = np.where(front, *reported)
    ghosts = _elsewhere(points[rng.integers(0, frames, total), first], points, rng)
    for index, each in enumerate(rig):
        rows = np.nonzero((camera == index) & ~mixed)[0]
        places[rows] = each.project(ghosts[rows]) + noise[rows]
    lost = (rng.random((total, keypoints)) < false.missing_rate) & ~mixed[:, None]
    sizes = np.array([each.size for each in rig], dtype=np.float64)[camera, None]
    places[lost | ~np.all((places > -0.5) & (places < sizes - 0.5), axis=-1)] = np.nan
    result = np.full((frames, cameras, slots, keypoints, 2), np.nan)
    result[time, camera, slot] = places
    return result


def _rank(skeleton: Skeleton) -> Numbers:
    """(keypoint,) ranks of the keypoints from the first one on, along the edges."""
    graph: dict[str, list[str]] = {name: [] for name in skeleton.keypoints}
    for a, b in skeleton.edges:
        graph[a].append(b)
        graph[b].append(a)
    order: list[str] = []
    for start in skeleton.keypoints:
        waiting = [start]
        while waiting:
            name = waiting.pop(0)
            if name not in order:
                order.append(name)
                waiting.extend(graph[name])
    return np.array([order.index(name) for name in skeleton.keypoints])


def _elsewhere(poses: Array, points: Array, rng: np.random.Generator) -> Array:
    """Poses (count, keypoint, 3) turned anyhow and put anywhere in the circle that the animals walk in.

    `points` (..., 3) are where they are; its middle is the origin.
    """
    count = len(poses)
    walked = points[::10, :, 0, :2]
    radius = float(np.sqrt(np.nanmax((walked**2).sum(axis=-1)))) if np.isfinite(walked).any() else 0.0
    turn, side = rng.uniform(0, 2 * np.pi, (2, count, 1))
    far = radius * np.sqrt(rng.random((count, 1)))
    x, y = (poses[..., axis] - poses[:, :1, axis] for axis in (0, 1))
    return np.stack(
        [
            np.cos(turn) * x - np.sin(turn) * y + far * np.cos(side),
            np.sin(turn) * x + np.cos(turn) * y + far * np.sin(side),
            poses[..., 2],
        ],
        axis=-1,
    )
