"""From settings to a Keras model: a backbone, a head that rises to the wanted stride, and one map per quantity.

The model takes RGB images (image, height, width, 3) of 0 to 255, whose sides are multiples of `SIDE`, and gives a
dictionary of maps (image, height / stride, width / stride, channel); bound to a size, multiples of `SIDE_OF_BOUND` do:

    heatmap     (keypoint) logit that the keypoint is here
    offset      (2 * keypoint) x and y from the center of the cell to the keypoint, in cells
    visible     (keypoint) logit that it is in sight rather than hidden behind something

Further maps (part affinity fields, identity embeddings) are further entries of `HEADS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from calibration.errors import InvalidValueError
from pose3d.networks.backbones import Backbone, feature_layers, find_backbone, prepare
from pose3d.networks.settings import NetworkSettings
from pose3d.networks.zoo import build_backbone

__all__ = ["HEADS", "SIDE", "SIDE_OF_BOUND", "Head", "build_model", "padded", "require_keras"]

# Sides of images are filled up to a multiple of it: the deepest features have this stride.
SIDE = 32
# Of a model that is bound to one size, which fills up its deepest features alone: at 229 x 174 this saves 14 % of the
# pixels.
SIDE_OF_BOUND = 16
# The bias from which heatmaps start: a keypoint is in one cell of a hundred (Lin et al. 2017, focal loss, section 4.1).
_RARE = -4.6


@dataclass(frozen=True)
class Head:
    """One map of the model.

    Attributes:
        name: of the output.
        channels: number of channels, from the settings.
        bias: where it starts.
    """

    name: str
    channels: Callable[[NetworkSettings], int]
    bias: float = 0.0


HEADS: tuple[Head, ...] = (
    Head("heatmap", lambda settings: len(settings.keypoints), _RARE),
    Head("offset", lambda settings: 2 * len(settings.keypoints)),
    Head("visible", lambda settings: len(settings.keypoints)),
)


def padded(side: int, multiple: int = SIDE) -> int:
    """The side of an image, filled up to what the model takes."""
    return -(-side // multiple) * multiple


def require_keras() -> None:
    """Make sure that there is Keras.

    Raises:
        InvalidValueError: it is not installed.
    """
    if find_spec("keras") is None:
        raise InvalidValueError(
            "networks",
            expected="Keras",
            got="it is not installed",
            remedy='pip install "pose3d-suite[nn]". To predict with a network that was exported for this size of '
            "images, onnxruntime is enough.",
        )


def build_model(
    settings: NetworkSettings,
    *,
    weights: str | None = None,
    size: tuple[int, int] | None = None,
    heads: tuple[Head, ...] = HEADS,
    backbones: Mapping[str, Backbone] | None = None,
) -> Any:
    """The Keras model of these settings, with random weights but for those of the backbone.

    Args:
        settings: what it is.
        weights: of the backbone: None for random ones, "imagenet", or a file, see `zoo`.
        size: width and height that its input is bound to (exports are faster for it); None leaves them open.
        heads: the maps it gives.
        backbones: more backbones to choose from, instead of `BACKBONES`.

    Raises:
        InvalidValueError: there is no such backbone, it has no such weights, or Keras is not installed.
        FileFormatError: the weights cannot be had, or are of another backbone.
    """
    require_keras()
    import keras

    layers = keras.layers
    backbone = find_backbone(settings.backbone, backbones)
    shape = (None, None, 3) if size is None else (*(padded(side, SIDE_OF_BOUND) for side in size[::-1]), 3)
    base = build_backbone(backbone, (None, None, 3), weights)
    *taken, last = (base.get_layer(name).output for name in feature_layers(backbone))
    features = keras.Model(base.input, taken, name="features")
    deepest = keras.Model(taken[-1], last, name="deepest_features")
    images = keras.Input(shape, name="image")
    levels = features(prepare(images, backbone.preparation))
    odd = [side is not None and side % SIDE > 0 for side in shape[:2]]
    even = layers.ZeroPadding2D([(0, int(one)) for one in odd], name="even")(levels[-1]) if any(odd) else levels[-1]
    x = _raised(deepest(even), levels, settings, odd)
    outputs = {
        head.name: layers.Conv2D(
            head.channels(settings),
            1,
            bias_initializer=keras.initializers.Constant(head.bias),
            dtype="float32",
            name=head.name,
        )(x)
        for head in heads
    }
    return keras.Model(images, outputs, name="pose_network")


def _raised(deepest: Any, levels: list[Any], settings: NetworkSettings, odd: list[bool]) -> Any:
    """The head: features of all levels joined at the wanted stride.

    Args:
        deepest: features at stride 32.
        levels: at strides 4, 8 and 16.
        settings: of the network.
        odd: whether the features at stride 16 have an odd height and width.
    """
    from keras import layers

    x = layers.Conv2D(settings.width, 1, use_bias=False, name="deepest")(deepest)
    x = layers.ReLU(name="deepest_relu")(layers.BatchNormalization(name="deepest_norm")(x))
    for stride, level in zip((16, 8, 4), levels[::-1], strict=True):
        if stride < settings.stride:
            break
        # A kernel that is a multiple of the step leaves no checkerboard (Odena et al. 2016). One of 4 x 4, which mixes
        # neighbors by itself, takes 22 % of the time of the whole network (MobileNetV2-0.35); this takes 6 %.
        x = layers.Conv2DTranspose(settings.width, 2, 2, use_bias=False, name=f"rise{stride}")(x)
        if stride == 16 and any(odd):
            x = layers.Cropping2D([(0, int(one)) for one in odd], name="odd")(x)
        beside = layers.Conv2D(settings.width, 1, use_bias=False, name=f"beside{stride}")(level)
        x = layers.BatchNormalization(name=f"rise{stride}_norm")(layers.Add(name=f"rise{stride}_add")([x, beside]))
        x = layers.ReLU(name=f"rise{stride}_relu")(x)
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"mix{stride}")(x)
        x = layers.ReLU(name=f"mix{stride}_relu")(layers.BatchNormalization(name=f"mix{stride}_norm")(x))
    return x
