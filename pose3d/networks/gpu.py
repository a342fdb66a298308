"""From images to keypoints on a GPU: only what is around the peaks leaves it.

The maps of 64 images of 278 x 278 with 20 keypoints are 26 MB, which take longer to copy than to compute. So the
highest cell of every keypoint is looked for on the GPU, and 5 x 5 cells around it, all that `decode` looks at, are
copied. Keras' own `predict_on_batch` hands all weights over with every call, so with JAX the model is called as a
function of them, compiled once.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose3d.networks.decoding import Candidates, decode
from pose3d.networks.predicting import MAPS
from pose3d.networks.settings import NetworkSettings

__all__ = ["gpu_finder", "window_model"]

# Pixels of the images that are computed at once, and the most images.
_PIXELS_AT_ONCE = 8_000_000
_IMAGES_AT_ONCE = 64
# Cells on either side of a peak that `decode` looks at.
_REACH = 2
# A logit that counts as nothing, of cells beyond the map.
_NOTHING = -1e4

_Arrays = Sequence[NDArray[Any]]
_Call = Callable[[NDArray[np.uint8]], _Arrays]


def gpu_finder(
    model: Any, settings: NetworkSettings, size: tuple[int, int], candidates: int = 1
) -> Callable[[NDArray[np.uint8]], Candidates]:
    """A function from images (image, height, width, 3) to candidates, which threads may call at once.

    Args:
        model: bound to a size.
        settings: of the network.
        size: width and height of the images.
        candidates: how many places of a keypoint are given; with more than one the whole maps leave the GPU.
    """
    at_once = max(1, min(_IMAGES_AT_ONCE, _PIXELS_AT_ONCE // (size[0] * size[1])))
    whole = candidates > 1
    names = MAPS if whole else (*MAPS, "place")
    call = _in_batches_of(2 ** int(np.log2(at_once)), _called(model if whole else window_model(model), names))

    def find(images: NDArray[np.uint8]) -> Candidates:
        heatmap, offset, visible, *place = call(images)
        found = decode(heatmap, offset, visible, stride=settings.stride, sigma=settings.sigma, candidates=candidates)
        if not place:
            return found
        corner = (place[0].astype(np.float32) - _REACH) * np.float32(settings.stride)
        return replace(found, position=found.position + corner[:, None])

    return find


def window_model(model: Any) -> Any:
    """A model of 5 x 5 cells of every map around the highest one of each keypoint, and its place.

    Args:
        model: bound to a size.

    Returns:
        The Keras model, whose outputs are heatmap, offset and visible (image, 5, 5, channel), and place (image,
        keypoint, 2): column and row of the cell in the middle.
    """
    import keras

    ops = keras.ops
    heatmap = model.output["heatmap"]
    _, rows, columns, keypoints = heatmap.shape
    side = 2 * _REACH + 1
    flat = ops.reshape(heatmap, (-1, rows * columns, keypoints))
    highest = ops.cast(ops.argmax(flat, axis=1), "int32")  # (image, keypoint)
    row, column = highest // columns, highest % columns
    step = np.arange(side * side, dtype=np.int32)[:, None]
    r = row[:, None] + (step // side - _REACH)  # (image, cell, keypoint)
    c = column[:, None] + (step % side - _REACH)
    inside = ops.logical_and(ops.logical_and(r >= 0, r < rows), ops.logical_and(c >= 0, c < columns))
    cell = ops.clip(r, 0, rows - 1) * columns + ops.clip(c, 0, columns - 1)

    def windows(name: str) -> Any:
        whole = model.output[name]
        channels = whole.shape[-1]
        values = ops.reshape(whole, (-1, rows * columns, channels))
        taken = ops.take_along_axis(values, ops.concatenate([cell] * (channels // keypoints), axis=-1), axis=1)
        if name == "heatmap":
            taken = ops.where(inside, taken, _NOTHING)
        return ops.reshape(taken, (-1, side, side, channels))

    outputs = {name: windows(name) for name in MAPS}
    outputs["place"] = ops.stack([column, row], axis=-1)
    return keras.Model(model.input, outputs, name="windows")


def _called(model: Any, names: Sequence[str]) -> _Call:
    """A model with the weights that it has now, as a function from images to these outputs."""
    import keras

    if keras.backend.backend() != "jax":
        turn = threading.Lock()  # Keras does not say that threads may share a model

        def predict(images: NDArray[np.uint8]) -> _Arrays:
            with turn:
                found = model.predict_on_batch(images)
            return [keras.ops.convert_to_numpy(found[name]) for name in names]

        return predict
    jax = sys.modules["jax"]  # Keras has loaded it
    weights = tuple([one.value for one in each] for each in (model.trainable_variables, model.non_trainable_variables))
    compiled = jax.jit(lambda weights, images: model.stateless_call(*weights, images, training=False)[0])

    def call(images: NDArray[np.uint8]) -> _Arrays:
        found = jax.device_get(compiled(weights, images))
        return [found[name] for name in names]

    return call


def _in_batches_of(count: int, call: _Call) -> _Call:
    """The same of so many images at a time, the last ones filled up: a GPU compiles for every other number."""

    def filled(images: NDArray[np.uint8]) -> _Arrays:
        parts = []
        for start in range(0, len(images), count):
            part = images[start : start + count]
            rest = np.zeros((count - len(part), *part.shape[1:]), dtype=np.uint8)
            found = call(np.concatenate([part, rest]) if len(rest) else part)
            parts.append([one[: len(part)] for one in found])
        return [np.concatenate(each) for each in zip(*parts, strict=True)]

    return filled
