"""models/<run>/: a trained network on disk, as texts and plain arrays.

    network.toml        what the network is: settings, keypoints, mirrored pairs, sizes of images it has seen
    weights.weights.h5  arrays of numbers, nothing executable
    training.toml       how it was trained
    split.json          which images trained, and which were held out
    history.csv         losses and held-out errors while it trained
    metrics.json        how good it is on the images held out
    confidence.json     how confidence and covariance are made honest; missing where too few images were held out

A folder is written beside its place and renamed when it is complete: a run that is there is whole.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import secrets
import shutil
import tomllib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import tomli_w

from calibration.errors import FileFormatError, InvalidValueError, MismatchError, OutputError
from pose3d.networks.backbones import Backbone
from pose3d.networks.confidence import ConfidenceCalibration
from pose3d.networks.model import build_model
from pose3d.networks.settings import NetworkSettings, TrainingSettings
from pose3d.networks.training import TrainedNetwork
from pose3d.project import read_settings, table_of

__all__ = [
    "CONFIDENCE_FILE",
    "NETWORK_FILE",
    "WEIGHTS_FILE",
    "Run",
    "Split",
    "check_keypoints",
    "load_run",
    "runs_in",
    "save_run",
]

NETWORK_FILE = "network.toml"
WEIGHTS_FILE = "weights.weights.h5"
CONFIDENCE_FILE = "confidence.json"
_FORMAT_VERSION = 1


@dataclass(frozen=True)
class Split:
    """Which images a network was trained on.

    Attributes:
        train: paths of the images, as in the labels.
        held_out: paths of those it never saw; they decided when to stop.
        grouped_by: what was kept together, in words.
    """

    train: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    grouped_by: str = "video and animal"


@dataclass(frozen=True, eq=False)
class Run:
    """A trained network on disk.

    Attributes:
        path: its folder.
        network: what it is.
        training: how it was trained.
        mirrored_pairs: names of keypoints that swap when the image is mirrored.
        sizes: widths and heights of the images it was trained on, each once.
        training_size: width and height of what it saw at once.
        split: which images trained.
        history: one entry per evaluation.
        metrics: on the images held out, see `evaluation`; empty where none were.
        confidence: None where too few images were held out.
    """

    path: Path
    network: NetworkSettings
    training: TrainingSettings
    mirrored_pairs: tuple[tuple[str, str], ...]
    sizes: tuple[tuple[int, int], ...]
    training_size: tuple[int, int]
    split: Split
    history: tuple[dict[str, float], ...]
    metrics: Mapping[str, Any]
    confidence: ConfidenceCalibration | None

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.path.name

    def model(self, *, size: tuple[int, int] | None = None, backbones: Mapping[str, Backbone] | None = None) -> Any:
        """The Keras model with its weights.

        Args:
            size: width and height that its input is bound to; None leaves them open.
            backbones: to choose from, instead of `BACKBONES`.

        Raises:
            FileFormatError: the weights are missing, damaged, or of another architecture.
        """
        model = build_model(self.network, size=size, backbones=backbones)
        load_weights(model, self.path / WEIGHTS_FILE)
        return model


def load_weights(model: Any, path: Path) -> None:
    """Put the weights of a file into a model.

    Raises:
        FileFormatError: the file is missing, damaged, or of another architecture.
    """
    try:
        with warnings.catch_warnings():
            # Keras warns where weights are missing, and leaves these random.
            warnings.simplefilter("error", UserWarning)
            model.load_weights(str(path))
    except (OSError, ValueError, KeyError, TypeError, UserWarning) as error:
        missing, damaged = not path.is_file(), isinstance(error, OSError)
        raise FileFormatError(
            path,
            expected="the weights of this network as HDF5",
            got="no such file" if missing else f"no HDF5 ({error})" if damaged else "those of another architecture",
            remedy="Copy the whole folder of the run again."
            if missing or damaged
            else f"Use the weights that belong to {NETWORK_FILE} in the same folder, or train again.",
        ) from error


def save_run(
    path: str | os.PathLike[str],
    trained: TrainedNetwork,
    *,
    mirrored_pairs: Iterable[tuple[str, str]] = (),
    sizes: Iterable[tuple[int, int]] = (),
    split: Split | None = None,
    metrics: Mapping[str, Any] | None = None,
    confidence: ConfidenceCalibration | None = None,
) -> Run:
    """Write a trained network into a new folder, complete or not at all.

    Args:
        path: the folder; there must be none.
        trained: model, settings and history.
        mirrored_pairs: names of keypoints that swap.
        sizes: widths and heights of the images it was trained on.
        split: which images trained.
        metrics: on the images held out: plain numbers, texts, lists and dictionaries.
        confidence: how confidence is made honest.

    Raises:
        OutputError: there is such a folder, or it cannot be written.
    """
    place = Path(path)
    if os.path.lexists(place):
        raise OutputError(
            place, expected="a new folder", got="one that is there", remedy="Choose another name for this run."
        )
    partial = place.with_name(f".part-{secrets.token_hex(8)}")
    try:
        partial.mkdir(parents=True)
        _save_weights(trained.model, partial / WEIGHTS_FILE)
        texts = {
            NETWORK_FILE: _network_text(trained, mirrored_pairs, sizes, partial / WEIGHTS_FILE),
            "training.toml": tomli_w.dumps({"format_version": _FORMAT_VERSION, "training": table_of(trained.training)}),
            "split.json": _json(table_of(split or Split())),
            "history.csv": _history_text(trained.history),
            "metrics.json": _json(metrics or {}),
        }
        if confidence is not None:
            texts[CONFIDENCE_FILE] = _json(table_of(confidence))
        for name, text in texts.items():
            (partial / name).write_text(text, encoding="utf-8", newline="\n")
        partial.rename(place)
    except OSError as error:
        raise OutputError(
            place,
            expected="to write the run completely",
            got=error.strerror or str(error),
            remedy="Check free space and permissions; nothing was changed under the final name.",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return load_run(place)


def _save_weights(model: Any, path: Path) -> None:
    """The weights alone; the state of the optimizer is three times as large, and of no use any more."""
    import keras

    keras.Model(model.inputs, model.outputs, name=model.name).save_weights(str(path))


def _network_text(
    trained: TrainedNetwork, pairs: Iterable[tuple[str, str]], sizes: Iterable[tuple[int, int]], weights: Path
) -> str:
    with weights.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    content = {
        "format_version": _FORMAT_VERSION,
        "network": table_of(trained.network),
        "mirrored_pairs": [list(pair) for pair in pairs],
        "sizes": [list(size) for size in sorted(set(sizes))],
        "training_size": list(trained.size),
        "best_step": trained.best_step,
        "weights": {"file": WEIGHTS_FILE, "sha256": digest},
    }
    return "# A trained network of pose3d. Weights stand beside it; other settings need other weights.\n" + (
        tomli_w.dumps(content)
    )


def _json(content: object) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _history_text(history: Sequence[Mapping[str, float]]) -> str:
    names = list(dict.fromkeys(name for entry in history for name in entry))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return stream.getvalue()


def load_run(path: str | os.PathLike[str]) -> Run:
    """Read a run; its weights are read by `Run.model`.

    Raises:
        FileFormatError: the folder is no run, a file of it is missing or damaged, or it is of a newer version.
    """
    place = Path(path)
    content = _toml(place, NETWORK_FILE)
    training = _toml(place, "training.toml")
    try:
        network = read_settings(content["network"], NetworkSettings, place / NETWORK_FILE, "network")
        how = read_settings(training["training"], TrainingSettings, place / "training.toml", "training")
        first, second = content["training_size"]
        return Run(
            place,
            network,
            how,
            tuple((str(a), str(b)) for a, b in content["mirrored_pairs"]),
            tuple((int(width), int(height)) for width, height in content["sizes"]),
            (int(first), int(second)),
            read_settings(_json_file(place, "split.json"), Split, place / "split.json", "split"),
            _history(place),
            _json_file(place, "metrics.json"),
            _confidence(place),
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, FileFormatError):
            raise
        _not_a_run(place, f"a damaged file ({type(error).__name__}: {error})", error)


def _confidence(place: Path) -> ConfidenceCalibration | None:
    if not (place / CONFIDENCE_FILE).exists():
        return None
    return read_settings(
        _json_file(place, CONFIDENCE_FILE), ConfidenceCalibration, place / CONFIDENCE_FILE, "confidence"
    )


def _history(place: Path) -> tuple[dict[str, float], ...]:
    with _opened(place, "history.csv") as stream:
        return tuple({name: float(value) for name, value in row.items() if value} for row in csv.DictReader(stream))


def _toml(place: Path, name: str) -> dict[str, Any]:
    with _opened(place, name) as stream:
        try:
            content = tomllib.loads(stream.read())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            _not_a_run(place / name, f"no TOML ({error})", error)
    version = content.get("format_version")
    if version != _FORMAT_VERSION:
        raise FileFormatError(
            place / name,
            expected=f"format_version {_FORMAT_VERSION}",
            got=str(version),
            remedy="Update pose3d, or train again with this version.",
        )
    return content


def _json_file(place: Path, name: str) -> dict[str, Any]:
    with _opened(place, name) as stream:
        try:
            content = json.load(stream)
        except ValueError as error:
            _not_a_run(place / name, f"no JSON ({error})", error)
    return dict(content)


def _opened(place: Path, name: str) -> io.StringIO:
    try:
        return io.StringIO((place / name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        known = sorted(item.name for item in place.iterdir())[:8] if place.is_dir() else []
        got = f"no {name} in it; there are {', '.join(known) or 'no files'}" if place.is_dir() else "no such folder"
        _not_a_run(place, got, error)


def _not_a_run(place: Path, got: str, error: Exception) -> NoReturn:
    raise FileFormatError(
        place,
        expected=f"the folder of a trained network, with {NETWORK_FILE}, {WEIGHTS_FILE} and what belongs to them",
        got=got,
        remedy="Check the path, or train one: `pose3d train PROJECT`.",
    ) from error


def runs_in(folder: Path) -> tuple[Path, ...]:
    """The folders of trained networks, the newest last."""
    found = [file.parent for file in folder.glob(f"*/{NETWORK_FILE}") if not file.parent.name.startswith(".")]
    return tuple(sorted(found, key=lambda one: ((one / NETWORK_FILE).stat().st_mtime, one.name)))


def check_keypoints(run: Run, keypoints: Sequence[str]) -> None:
    """Make sure that a network finds the keypoints of a skeleton; their order does not matter.

    Raises:
        MismatchError: a keypoint was added or removed since the network was trained.
        InvalidValueError: the skeleton has no keypoints.
    """
    if not keypoints:
        raise InvalidValueError("skeleton", expected="keypoints", got="none", remedy="Name them in project.toml.")
    more = [name for name in keypoints if name not in run.network.keypoints]
    fewer = [name for name in run.network.keypoints if name not in keypoints]
    if more or fewer:
        raise MismatchError(
            run.path,
            expected=f"a network for the keypoints {', '.join(keypoints)}",
            got=f"one trained when the skeleton was another (it lacks {', '.join(more) or 'none'}; "
            f"only it has {', '.join(fewer) or 'none'})",
            remedy="Train again: `pose3d train PROJECT`, or put the old names back into [skeleton] of project.toml.",
        )
