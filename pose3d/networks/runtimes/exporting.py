"""Exports of a network for one size of image, each compared with Keras on real frames."""

from __future__ import annotations

import json
import secrets
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError, OutputError, SuiteError
from pose3d.networks.decoding import decode
from pose3d.networks.predicting import Maps, keras_maps
from pose3d.networks.runtimes.opening import RUNTIMES, installed_runtimes, open_runtime
from pose3d.networks.settings import NetworkSettings

__all__ = ["EXPORT_FILE", "Export", "export_model", "largest_difference", "read_export"]

EXPORT_FILE = "export.json"

# Pixels by which positions may differ from those of Keras. Single precision moves them by less than 0.001.
_TOLERANCE = 0.05
# Of two maxima whose logits are nearer than this, either may win by rounding.
_LEAD = 0.01
_FORMATS = {"network.onnx": "onnx", "network.tflite": "litert"}


@dataclass(frozen=True)
class Export:
    """What is known of the exports in a folder.

    Attributes:
        weights: SHA-256 of the weights they were made of.
        size: width and height of the images.
        differences: runtime -> largest distance of a position from that of Keras, pixels of the network's input.
        refused: runtime -> why it is not used.
        chosen: the fastest runtime, empty where none was timed.
        speeds: runtime -> images per second when it was timed.
    """

    weights: str
    size: tuple[int, int]
    differences: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    chosen: str = ""
    speeds: dict[str, float] = field(default_factory=dict)


def export_model(
    model: Any,
    settings: NetworkSettings,
    folder: Path,
    frames: NDArray[np.uint8],
    *,
    weights: str = "",
    runtimes: Sequence[str] | None = None,
) -> Export:
    """Write a network for the runtimes, and compare each of them with Keras.

    A runtime that differs by more than 0.05 px, or cannot be exported for, is refused, with a note that says why.

    Args:
        model: Keras model with its weights, its input bound to a size.
        settings: of the network.
        folder: to write; one that is there is replaced.
        frames: (image, height, width, 3) real images of the size of the input.
        weights: SHA-256 of the weights, by which it is recognized later.
        runtimes: names; all that are installed by default.

    Raises:
        OutputError: the folder cannot be written.
    """
    names = installed_runtimes() if runtimes is None else tuple(runtimes)
    height, width = model.input_shape[1:3]
    partial = folder.with_name(f".part-{secrets.token_hex(8)}")
    try:
        partial.mkdir(parents=True)
        expected = keras_maps(model)
        differences: dict[str, float] = {}
        refused: dict[str, str] = {}
        written: dict[str, str] = {}
        for name in names:
            file = RUNTIMES[name].file
            if file not in written:
                written[file] = _write(model, partial / file)
            note = written[file] or _compare(partial, name, expected, settings, frames, differences)
            if note:
                refused[name] = note
        found = Export(weights, (width, height), differences, refused)
        write_export(partial, found)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except OSError as error:
        if isinstance(error, SuiteError):
            raise
        raise OutputError(
            folder, expected="to write the exported network", got=str(error), remedy="Check free space and permissions."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return found


def _write(model: Any, path: Path) -> str:
    """Write one file; why it could not be, or nothing."""
    import keras

    shape = (1, *model.input_shape[1:])
    spec = [keras.InputSpec(shape=shape, dtype="uint8", name="image")]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.export(str(path), format=_FORMATS[path.name], input_signature=spec, verbose=False)
    except Exception as error:  # noqa: BLE001 - converters raise whatever they meet; without one, Keras itself is used
        return f"cannot be exported: {type(error).__name__}: {str(error).partition(chr(10))[0][:160]}"
    return ""


def _compare(
    folder: Path,
    name: str,
    expected: Maps,
    settings: NetworkSettings,
    frames: NDArray[np.uint8],
    differences: dict[str, float],
) -> str:
    try:
        difference = largest_difference(expected, open_runtime(folder, name), settings, frames)
    except SuiteError as error:
        return f"cannot be loaded: {error.got}"
    differences[name] = difference
    if not difference <= _TOLERANCE:
        return f"moves positions by {difference:.3g} px from those of Keras; at most {_TOLERANCE} px are accepted"
    return ""


def largest_difference(expected: Maps, other: Maps, settings: NetworkSettings, frames: NDArray[np.uint8]) -> float:
    """Largest distance between positions in pixels of the network's input, where one place is clearly the best.

    Args:
        expected, other: two ways to compute the network.
        settings: of it.
        frames: (image, height, width, 3) of the size of the input.

    Returns:
        The distance; the largest difference of a logit where no place is.
    """
    maps, others = expected(frames), other(frames)
    if any(one.shape != two.shape for one, two in zip(maps, others, strict=True)):
        return float("inf")
    options = {"stride": settings.stride, "sigma": settings.sigma}
    best = decode(*maps, **options)  # type: ignore[arg-type] # the names are those of the settings
    two = decode(*maps, **options, candidates=2)  # type: ignore[arg-type]
    found = decode(*others, **options)  # type: ignore[arg-type]
    clear = best.logit[:, 0] - two.logit[:, 1] > _LEAD
    clear &= np.isfinite(two.logit[:, 0])
    if not clear.any():
        return float(abs(maps[0] - others[0]).max())
    distance = np.linalg.norm(best.position[:, 0] - found.position[:, 0], axis=-1)[clear]
    return float(np.where(np.isfinite(distance), distance, np.inf).max())


def write_export(folder: Path, export: Export) -> None:
    """Write what is known of the exports into their folder."""
    text = json.dumps(asdict(export), indent=1)
    (folder / EXPORT_FILE).write_text(text + "\n", encoding="utf-8", newline="\n")


def read_export(folder: Path) -> Export | None:
    """What is known of the exports in a folder; None where there are none.

    Raises:
        FileFormatError: the note in the folder is damaged.
    """
    path = folder / EXPORT_FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        width, height = content.pop("size")
        return Export(size=(int(width), int(height)), **content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise FileFormatError(
            path,
            expected="notes about an exported network",
            got=f"a damaged file ({error})",
            remedy=f"Remove the folder {folder}; it is exported again when it is needed.",
        ) from error
