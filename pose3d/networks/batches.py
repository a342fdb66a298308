"""Training images in memory, and batches made of them in other threads while the network computes.

A batch depends on the seed and its number alone, not on the threads, so training that was interrupted goes on with the
very batches it would have had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from pose3d.networks.augmentation import Sample, augment
from pose3d.networks.settings import AugmentationSettings, TrainingSettings

__all__ = ["FrameCache", "crop_size", "make_batch", "prefetch", "scale_image", "scale_points"]

Floats = NDArray[np.float32]

# Batches that wait until they are asked for.
_AHEAD = 2


def scale_image(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """An image resized by a factor, rounded to whole pixels on both sides; by area where it shrinks."""
    if scale == 1.0:
        return image
    size = tuple(max(1, round(side * scale)) for side in (image.shape[1], image.shape[0]))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)


def scale_points(xy: NDArray[np.floating], size: tuple[int, int], scale: float) -> NDArray[np.floating]:
    """Where pixels (..., 2) of an image of that width and height are after `scale_image`."""
    if scale == 1.0:
        return xy
    factor = np.array([max(1, round(side * scale)) / side for side in size])
    return (xy + 0.5) * factor - 0.5


@dataclass(eq=False)
class FrameCache:
    """Images as the network takes them, each decoded once and kept.

    Attributes:
        read: decodes an image by its number: (height, width, 3) RGB.
        points: (image, individual, keypoint, 3) in pixels of the given images, with codes, see `targets`.
        scale: of the network's input.
        limit: bytes that are kept at most; images beyond it are decoded each time.
    """

    read: Callable[[int], NDArray[np.uint8]]
    points: Floats
    scale: float
    limit: int = 4_000_000_000
    _kept: dict[int, Sample] = field(default_factory=dict)
    _used: int = 0

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> Sample:
        found = self._kept.get(index)
        if found is not None:
            return found
        image = self.read(index)
        points = self.points[index].copy()
        points[..., :2] = scale_points(points[..., :2], (image.shape[1], image.shape[0]), self.scale)
        points[..., :2] = np.where(np.isfinite(points[..., :2]), points[..., :2], 0.0)
        sample = Sample(scale_image(image, self.scale), points)
        if self._used + sample.image.nbytes <= self.limit:
            self._kept[index] = sample
            self._used += sample.image.nbytes
        return sample


def crop_size(sizes: Sequence[tuple[int, int]], largest: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height of training images: the largest image filled up to multiples of `side`, or the crop."""
    width, height = (max(one) for one in zip(*sizes, strict=True))
    return min(-(-width // side) * side, -(-largest[0] // side) * side), min(
        -(-height // side) * side, -(-largest[1] // side) * side
    )


def make_batch(
    cache: FrameCache,
    chosen: NDArray[np.integer],
    size: tuple[int, int],
    settings: AugmentationSettings,
    mirrored: tuple[tuple[int, int], ...],
    seed: Sequence[int],
) -> tuple[NDArray[np.uint8], Floats]:
    """Images (image, height, width, 3) and keypoints (image, individual, keypoint, 3).

    Args:
        cache: all images.
        chosen: numbers of those of the batch.
        size: width and height.
        settings, mirrored: see `augment`.
        seed: of what is drawn.
    """
    images = np.empty((len(chosen), size[1], size[0], 3), dtype=np.uint8)
    points = np.empty((len(chosen), *cache.points.shape[1:]), dtype=np.float32)
    for place, index in enumerate(chosen):
        rng = np.random.default_rng([*seed, place])
        made = augment(cache[int(index)], size, settings, mirrored, rng)
        images[place], points[place] = made.image, made.points
    return images, points


def prefetch(
    cache: FrameCache,
    train: NDArray[np.integer],
    size: tuple[int, int],
    settings: TrainingSettings,
    mirrored: tuple[tuple[int, int], ...],
    steps: range,
    *,
    workers: int = 1,
) -> Iterator[tuple[NDArray[np.uint8], Floats]]:
    """The batches of these steps, a few made ahead.

    Args:
        cache: all images.
        train: numbers of those to train on.
        size: width and height.
        settings: of the training.
        mirrored: places of keypoints that swap when the image is mirrored.
        steps: numbers of the batches.
        workers: threads that make them.
    """

    def make(step: int) -> tuple[NDArray[np.uint8], Floats]:
        # Every image once before any comes twice.
        positions = step * settings.batch_size + np.arange(settings.batch_size)
        rounds, places = np.divmod(positions, len(train))
        orders = {int(r): np.random.default_rng([settings.seed, 1, int(r)]).permutation(train) for r in set(rounds)}
        chosen = np.array([orders[int(r)][p] for r, p in zip(rounds, places, strict=True)])
        return make_batch(cache, chosen, size, settings.augmentation, mirrored, [settings.seed, 2, step])

    with ThreadPoolExecutor(workers) as pool:
        waiting: list[Future[tuple[NDArray[np.uint8], Floats]]] = []
        following = iter(steps)
        try:
            for _ in steps:
                while len(waiting) < workers + _AHEAD and (one := next(following, None)) is not None:
                    waiting.append(pool.submit(make, one))
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()
