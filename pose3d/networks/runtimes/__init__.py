"""What computes a trained network: Keras, ONNX Runtime, OpenVINO or LiteRT.

A network is exported for one size of its input, in single precision, and each export is compared with Keras on real
frames before it is used.
"""

from __future__ import annotations

from pose3d.networks.runtimes.choosing import choose_runtime
from pose3d.networks.runtimes.exporting import EXPORT_FILE, Export, export_model, read_export
from pose3d.networks.runtimes.opening import RUNTIMES, Runtime, find_runtime, installed_runtimes, open_runtime

__all__ = [
    "EXPORT_FILE",
    "RUNTIMES",
    "Export",
    "Runtime",
    "choose_runtime",
    "export_model",
    "find_runtime",
    "installed_runtimes",
    "open_runtime",
    "read_export",
]
