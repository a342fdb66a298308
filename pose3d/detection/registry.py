"""Detectors by what is typed: the folder of a trained network, or KIND:PATH for models of others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from calibration.errors import InvalidValueError
from calibration.extensions import Registry
from pose3d.detection.blazepose import BlazePoseDetector
from pose3d.detection.cropping import CroppingDetector
from pose3d.detection.detector import Detector
from pose3d.detection.network import NetworkDetector
from pose3d.detection.settings import PredictionSettings, candidates_for

__all__ = ["DETECTORS", "DetectorKind", "model_path", "open_detector"]


@dataclass(frozen=True)
class DetectorKind:
    """A kind of detector.

    Attributes:
        name: what stands before the colon.
        description: one sentence.
        open: from a path and settings to the detector.
    """

    name: str
    description: str
    open: Callable[[Path, PredictionSettings], Detector]


def _network(path: Path, settings: PredictionSettings) -> Detector:
    return NetworkDetector(path, runtime=settings.runtime, candidates=settings.candidates)


def _blazepose(path: Path, settings: PredictionSettings) -> Detector:  # noqa: ARG001 - it has no such choices
    return BlazePoseDetector(path)


DETECTORS = Registry(
    DetectorKind,
    "pose3d.detectors",
    (
        DetectorKind("network", "a network that `pose3d train` made", _network),
        DetectorKind("blazepose", "33 landmarks of a person, by the model files of MediaPipe", _blazepose),
    ),
)


def open_detector(model: str, settings: PredictionSettings | None = None, *, individuals: int = 1) -> Detector:
    """The detector that a text names: KIND:PATH, or the path of a trained network.

    Args:
        model: the text.
        settings: what is asked of it.
        individuals: how many animals there are; 0: not known. Of several, more candidates are asked for.

    Raises:
        InvalidValueError: the kind is unknown, or what it needs is not installed; it gives fewer candidates than there
            are animals, or is to follow them with a window and their number is not known.
        FileFormatError: the path leads to no such model.
    """
    settings = settings or PredictionSettings()
    settings = replace(settings, candidates=max(settings.candidates, candidates_for(individuals)))
    kind, path = model_path(model)
    detector = DETECTORS[kind].open(path, settings)
    if detector.candidates < individuals:
        raise InvalidValueError(
            f"model '{model}'",
            expected=f"at least {individuals} candidates per keypoint, as there are so many animals",
            got=str(detector.candidates),
            remedy="Train a network of your own for them, or say that there is one animal.",
        )
    if not settings.crop:
        return detector
    if not individuals:
        raise InvalidValueError(
            "prediction, crop",
            expected="a known number of animals: whether a window still holds all of them cannot be seen otherwise",
            got="0 (not known)",
            remedy="Say how many there are, or switch crop off.",
        )
    return CroppingDetector(detector, margin=settings.margin, individuals=individuals)


def model_path(model: str) -> tuple[str, Path]:
    """The kind of detector that a text names, and the path.

    Raises:
        InvalidValueError: the kind is unknown.
    """
    kind, colon, rest = model.partition(":")
    # C:\\models\\run is a path, not a kind.
    if not colon or len(kind) == 1 or "/" in kind or Path(model).exists():
        return "network", Path(model).expanduser()
    if kind not in DETECTORS:
        raise InvalidValueError(
            f"model '{model}'",
            expected=f"the folder of a trained network, or one of {', '.join(f'{name}:PATH' for name in DETECTORS)}",
            got=f"'{kind}'",
            remedy="Correct the name.",
        )
    return kind, Path(rest).expanduser()
