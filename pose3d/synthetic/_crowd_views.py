"""What the cameras report of a crowd: animals missed, keypoints missing or wrong, false animals, in random order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.rig import Rig
from pose3d.skeleton import Skeleton
from pose3d.synthetic._false_instances import FalseInstances, mix_up

__all__ = ["Reports", "Ways", "report"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Ways:
    """In which ways reports are wrong; see `CrowdSettings`.

    Attributes:
        noise, missing_rate, outlier_rate, swap_rate, false_rate: as there.
    """

    noise: float
    missing_rate: float
    outlier_rate: float
    swap_rate: float
    false_rate: float


@dataclass(frozen=True, eq=False)
class Reports:
    """Instances and what is true of them; the axes are (time, camera, instance, keypoint).

    Attributes:
        pixels: (..., 2) px, NaN where nothing is reported.
        confidence: in [0, 1]; 0 where nothing is reported.
        individual: (time, camera, instance) index of the animal; -1 for false instances and empty places.
        outlier: the reported position has nothing to do with the keypoint.
        swapped: (time, camera, instance) left and right are exchanged.
    """

    pixels: Array
    confidence: Array
    individual: Numbers
    outlier: Mask
    swapped: Mask


def report(rig: Rig, points: Array, seen: Mask, skeleton: Skeleton, ways: Ways, rng: np.random.Generator) -> Reports:
    """Instances of every camera.

    Args:
        rig: the cameras.
        points: (time, individual, keypoint, 3) true positions.
        seen: (time, camera, individual) the camera reports the animal.
        skeleton: of the animals.
        ways: what goes wrong.
        rng: of all draws.
    """
    sizes = np.array([camera.size for camera in rig], dtype=np.float64)
    truth = np.moveaxis(rig.project(points), 3, 1)  # (time, camera, individual, keypoint, 2)
    pixels = truth + ways.noise * rng.standard_normal(truth.shape)
    swapped = rng.random(seen.shape) < ways.swap_rate
    _exchange_sides(pixels, swapped, skeleton)
    draw = rng.random(pixels.shape[:-1])
    outlier = draw < ways.missing_rate + (1 - ways.missing_rate) * ways.outlier_rate
    outlier &= draw >= ways.missing_rate
    _scatter(pixels, outlier, truth, seen, sizes, rng)
    inside = np.all((pixels > -0.5) & (pixels < sizes[:, None, None] - 0.5), axis=-1)
    nothing = (draw < ways.missing_rate) | ~seen[..., None] | ~inside
    pixels[nothing] = np.nan
    chance = rng.random(nothing.shape)
    confidence = np.where(outlier, 0.2 + 0.7 * chance, 1 - 0.4 * chance**2)
    confidence[nothing] = 0.0
    outlier &= ~nothing
    swapped &= ~nothing.all(axis=-1)
    false = FalseInstances(ways.false_rate, ways.noise, ways.missing_rate)
    mixed = mix_up(rig, points, pixels, confidence, skeleton, false, rng)
    slots = false.slots(truth.shape[2])
    outlier = np.pad(outlier, ((0, 0), (0, 0), (0, slots), (0, 0)))
    swapped = np.pad(swapped, ((0, 0), (0, 0), (0, slots)))
    return Reports(
        mixed.pixels,
        mixed.confidence,
        mixed.individual,
        np.take_along_axis(outlier, mixed.order[..., None], axis=2),
        np.take_along_axis(swapped, mixed.order, axis=2),
    )


def _exchange_sides(pixels: Array, swapped: Mask, skeleton: Skeleton) -> None:
    """Exchange the mirrored keypoints of the instances that are `swapped`, in place."""
    order = np.arange(len(skeleton.keypoints))
    for pair in skeleton.mirrored_pairs:
        left, right = map(skeleton.keypoints.index, pair)
        order[left], order[right] = right, left
    pixels[swapped] = pixels[swapped][:, order]


def _scatter(true: Array, outlier: Mask, truth: Array, seen: Mask, sizes: Array, rng: np.random.Generator) -> None:
    """Put outliers anywhere in the image, every second one on the same keypoint of another animal, in place."""
    at = np.nonzero(outlier)
    count, animals = len(at[0]), truth.shape[2]
    places = rng.random((count, 2)) * (sizes[at[1]] - 1)
    if animals > 1:
        other = (at[2] + rng.integers(1, animals, count)) % animals
        confused = (rng.random(count) < 0.5) & seen[at[0], at[1], other]
        places[confused] = truth[at[0], at[1], other, at[3]][confused]
    true[at] = places
