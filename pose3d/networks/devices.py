"""What networks compute on."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec

__all__ = ["gpu_computes", "has_gpu"]


def has_gpu() -> bool:
    """Say whether Keras computes on a GPU; loads Keras and its backend, which takes seconds."""
    import keras

    if keras.backend.backend() == "torch":  # Keras cannot list its devices, and has loaded it
        return bool(sys.modules["torch"].cuda.is_available())
    try:
        return bool(keras.distribution.list_devices("gpu"))
    except RuntimeError:  # JAX raises where there is none
        return False


def gpu_computes() -> bool:
    """Say the same, and at once where there is no graphics card or no Keras."""
    return shutil.which("nvidia-smi") is not None and find_spec("keras") is not None and has_gpu()
