"""From images to keypoints with a Keras model: the one path of training, evaluation and inference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose3d.networks.augmentation import FILL
from pose3d.networks.batches import scale_image
from pose3d.networks.decoding import Candidates, decode
from pose3d.networks.model import SIDE, padded
from pose3d.networks.settings import NetworkSettings

__all__ = ["MAPS", "Maps", "keras_maps", "locate", "pad_images", "to_image_pixels"]

# names of the outputs of a network, in the order of `Maps`
MAPS = ("heatmap", "offset", "visible")
# heatmap, offset and visible of a batch of images whose sides the model takes
Maps = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]


def keras_maps(model: Any) -> Maps:
    """The maps of a Keras model as arrays."""
    import keras

    def maps(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        found = model.predict_on_batch(images)
        heatmap, offset, visible = (keras.ops.convert_to_numpy(found[name]) for name in MAPS)
        return heatmap, offset, visible

    return maps


def pad_images(images: Iterable[NDArray[np.uint8]], multiple: int = SIDE) -> NDArray[np.uint8]:
    """Images (image, height, width, 3) filled up with gray to the right and below, to what a model takes.

    Args:
        images: of one size.
        multiple: of which the sides are to be: `SIDE`, or `SIDE_OF_BOUND` for a model that is bound to a size.
    """
    given = list(images)
    height, width = given[0].shape[:2]
    result = np.full((len(given), padded(height, multiple), padded(width, multiple), 3), FILL, dtype=np.uint8)
    for place, image in zip(result, given, strict=True):
        place[:height, :width] = image
    return result


def locate(
    maps: Maps,
    images: Iterable[NDArray[np.uint8]],
    settings: NetworkSettings,
    *,
    candidates: int = 1,
    batch_size: int = 8,
) -> Iterator[Candidates]:
    """Candidates in pixels of the given images, a batch of neighbors of equal size at a time.

    Args:
        maps: the model.
        images: (height, width, 3) RGB each.
        settings: of the network.
        candidates: how many places of a keypoint are kept.
        batch_size: images per batch.
    """
    waiting: list[NDArray[np.uint8]] = []
    for image in images:
        if waiting and (waiting[0].shape != image.shape or len(waiting) == batch_size):
            yield _locate(maps, waiting, settings, candidates)
            waiting = []
        waiting.append(image)
    if waiting:
        yield _locate(maps, waiting, settings, candidates)


def _locate(maps: Maps, images: list[NDArray[np.uint8]], settings: NetworkSettings, candidates: int) -> Candidates:
    scaled = [scale_image(image, settings.scale) for image in images]
    found = maps(pad_images(scaled))
    decoded = decode(*found, stride=settings.stride, sigma=settings.sigma, candidates=candidates)
    height, width = images[0].shape[:2]
    return to_image_pixels(decoded, (width, height), (scaled[0].shape[1], scaled[0].shape[0]))


def to_image_pixels(found: Candidates, size: tuple[int, int], scaled: tuple[int, int]) -> Candidates:
    """Candidates in pixels of an image of that size, found in it when it was scaled to another."""
    if size == scaled:
        return found
    factor = (np.array(size, dtype=np.float64) / np.array(scaled)).astype(np.float32)
    return Candidates(
        position=np.asarray((found.position + np.float32(0.5)) * factor - np.float32(0.5), dtype=np.float32),
        logit=found.logit,
        visible=found.visible,
        covariance=np.asarray(found.covariance * factor[:, None] * factor, dtype=np.float32),
    )
