"""What an interrupted training needs to go on, in one file that replaces the one before as a whole."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError
from calibration.files import atomic_path

__all__ = ["TrainingState", "load_checkpoint", "save_checkpoint"]


@dataclass(eq=False)
class TrainingState:
    """Where a training is, but for the weights and the optimizer.

    Attributes:
        step: batches done.
        best: smallest held-out error; best_step: when; worse: evaluations since.
        history: one entry per evaluation.
        weights: the best ones.
    """

    step: int = 0
    best: float = float("inf")
    best_step: int = 0
    worse: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    weights: list[NDArray[np.float32]] | None = None


def save_checkpoint(path: Path, model: Any, key: str, state: TrainingState) -> None:
    """Write weights, optimizer and state.

    Args:
        path: file, ends in .npz.
        model: compiled, at least one step old.
        key: the settings as text; a checkpoint of others is refused.
        state: where the training is.

    Raises:
        OutputError: the file cannot be written.
    """
    import keras

    arrays: dict[str, NDArray[Any]] = {"key": np.array(key)}
    told = {"step": state.step, "best": state.best, "best_step": state.best_step, "worse": state.worse}
    arrays["state"] = np.array(json.dumps({**told, "history": state.history}))
    variables = {"weight": model.get_weights(), "best": state.weights or []}
    variables["optimizer"] = [keras.ops.convert_to_numpy(one) for one in model.optimizer.variables]
    for name, values in variables.items():
        arrays |= {f"{name}_{place}": value for place, value in enumerate(values)}
    with atomic_path(path) as partial, partial.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type] # no name is allow_pickle


def load_checkpoint(path: Path, model: Any, key: str) -> TrainingState | None:
    """Put the weights and the state of the optimizer into a model; None where there is no checkpoint.

    Args:
        path: file.
        model: compiled.
        key: the settings as text.

    Raises:
        FileFormatError: it is of other settings, or damaged.
    """
    if not path.exists():
        return None
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        told = json.loads(str(arrays["state"]))
        weights, best, optimizer = (_sequence(arrays, name) for name in ("weight", "best", "optimizer"))
        same = str(arrays["key"]) == key
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise FileFormatError(
            path,
            expected="the checkpoint of an interrupted training",
            got=f"{type(error).__name__}: {error}",
            remedy="Remove the file to begin anew.",
        ) from error
    if not same:
        raise FileFormatError(
            path,
            expected="a checkpoint of these settings",
            got="one of others",
            remedy="Go on with the settings as they were, or choose another name for this run.",
        )
    model.set_weights(weights)
    model.optimizer.build(model.trainable_variables)
    for variable, value in zip(model.optimizer.variables, optimizer, strict=True):
        variable.assign(value)
    return TrainingState(**told, weights=best or None)


def _sequence(arrays: dict[str, NDArray[Any]], name: str) -> list[NDArray[Any]]:
    count = sum(one.startswith(f"{name}_") for one in arrays)
    return [arrays[f"{name}_{place}"] for place in range(count)]
