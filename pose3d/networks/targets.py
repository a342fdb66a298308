"""What the maps of the model should be, made of keypoints on the device, and the losses against it.

Keypoints come as (image, individual, keypoint, 3): x and y in pixels of the network's input (the center of the top-left
pixel is (0, 0)), and a code: 0 not known, 1 visible, 2 occluded, 3 absent. A cell (row, column) of a map of stride s
has its center at x = s column + (s - 1) / 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pose3d.networks.settings import NetworkSettings

__all__ = ["ABSENT", "OCCLUDED", "UNKNOWN", "VISIBLE", "Targets", "losses", "make_targets"]

UNKNOWN, VISIBLE, OCCLUDED, ABSENT = 0, 1, 2, 3

# Offsets are learned in cells where the heatmap is at least this: within about two standard deviations.
_NEAR = 0.1
# Squared cells by which what is absent is further away than anything else.
_FAR = 1e8
# Where the robust loss of offsets becomes linear, in cells.
_HUBER = 0.5
# Relative weight of the losses; offsets and visibility refine what the heatmap finds.
_OFFSETS, _VISIBILITY = 2.0, 0.1


@dataclass(frozen=True)
class Targets:
    """What the maps should be, each (image, row, column, keypoint).

    Attributes:
        heatmap: Gaussian peaks of height 1; of several individuals the highest.
        known: 1 where the heatmap counts, 0 where a keypoint without a label may be.
        offset_x, offset_y: from the center of the cell to the keypoint of the nearest individual, in cells.
        near: 1 where the offset counts.
        visible: 1 where the nearest keypoint is in sight, 0 where it is hidden.
    """

    heatmap: Any
    known: Any
    offset_x: Any
    offset_y: Any
    near: Any
    visible: Any


def make_targets(points: Any, shape: tuple[int, int], settings: NetworkSettings) -> Targets:
    """Targets of a batch.

    Args:
        points: (image, individual, keypoint, 3), see the module.
        shape: rows and columns of the maps.
        settings: of the network.
    """
    from keras import ops

    rows, columns = (ops.cast(ops.arange(count), "float32") for count in shape)
    first = (settings.stride - 1) / 2
    places = (points[..., :2] - first) / settings.stride
    x = places[..., 0, None, None] - columns  # (image, individual, keypoint, 1, column)
    y = places[..., 1, None, None] - rows[:, None]  # (image, individual, keypoint, row, 1)
    code = points[..., 2, None, None]
    there = ops.cast(ops.logical_or(code == VISIBLE, code == OCCLUDED), "float32")
    square = x * x + y * y + _FAR * (1.0 - there)
    least = ops.min(square, axis=1)
    nearest = ops.cast(square <= least[:, None], "float32")
    nearest = nearest / ops.sum(nearest, axis=1, keepdims=True)
    heatmap = ops.exp(least * (-0.5 / settings.sigma**2))
    near = ops.cast(heatmap > _NEAR, "float32")
    all_known = ops.cast(ops.all(code != UNKNOWN, axis=1), "float32")
    maps = (
        heatmap,
        ops.maximum(near, all_known),
        ops.sum(nearest * x, axis=1),
        ops.sum(nearest * y, axis=1),
        near,
        ops.sum(nearest * ops.cast(code == VISIBLE, "float32"), axis=1),
    )
    return Targets(*(ops.transpose(one, (0, 2, 3, 1)) for one in maps))


def losses(settings: NetworkSettings) -> dict[str, Callable[[Any, Any], Any]]:
    """The loss of every map, as a function of keypoints (image, individual, keypoint, 3) and the map.

    Cross-entropy of the heatmap, Huber's loss of the offsets, cross-entropy of visibility; each is divided by the
    amount of keypoints in the batch, so that it does not depend on the size of the images or on missing labels.
    """
    from keras import ops

    def amount(weight: Any) -> Any:
        return ops.sum(weight) + 1.0

    def heatmap(points: Any, logits: Any) -> Any:
        target = make_targets(points, ops.shape(logits)[1:3], settings)
        return ops.sum(target.known * _cross_entropy(target.heatmap, logits)) / amount(target.heatmap)

    def offset(points: Any, values: Any) -> Any:
        target = make_targets(points, ops.shape(values)[1:3], settings)
        count = len(settings.keypoints)
        error = _huber(values[..., :count] - target.offset_x) + _huber(values[..., count:] - target.offset_y)
        return _OFFSETS * ops.sum(target.near * error) / amount(target.near)

    def visible(points: Any, logits: Any) -> Any:
        target = make_targets(points, ops.shape(logits)[1:3], settings)
        return _VISIBILITY * ops.sum(target.near * _cross_entropy(target.visible, logits)) / amount(target.near)

    return {"heatmap": heatmap, "offset": offset, "visible": visible}


def _cross_entropy(target: Any, logits: Any) -> Any:
    from keras import ops

    return ops.maximum(logits, 0.0) - logits * target + ops.log1p(ops.exp(-ops.abs(logits)))


def _huber(error: Any) -> Any:
    from keras import ops

    size = ops.abs(error)
    return ops.where(size < _HUBER, 0.5 * size * size, _HUBER * (size - 0.5 * _HUBER))
