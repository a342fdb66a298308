"""Videos of one session to one file of detections, resumable.

What was found is written every 256 frames of a camera into a folder beside the output, and put together when all
cameras are done. A run that was killed goes on from there; one with another model, videos or settings begins anew.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError, InvalidValueError, MismatchError, OutputError, SuiteWarning
from calibration.files import atomic_path, write_text
from calibration.video import open_video
from pose3d.datasets import detections
from pose3d.detection import (
    CHUNK,
    DetectedFrames,
    Detector,
    PredictionSettings,
    RawDetections,
    detect_video,
    find_batch_size,
    model_path,
    open_detector,
)
from pose3d.formats import SessionWriter
from pose3d.formats.provenance import provenance_of

__all__ = ["PredictedCamera", "PredictionSummary", "predict_session"]

_VERSION = 1
# Average rates of cameras that run alike differ by less: files round them.
_SAME_RATE = 1e-3


@dataclass(frozen=True)
class PredictedCamera:
    """How one video went.

    Attributes:
        camera: its name.
        frames: of the video.
        lost: how many of them could not be decoded.
        resumed: how many were done by an earlier run.
        confidence: mean over what was found, NaN where nothing was.
    """

    camera: str
    frames: int
    lost: int
    resumed: int
    confidence: float


@dataclass(frozen=True)
class PredictionSummary:
    """How a session went.

    Attributes:
        output: the file.
        cameras: one entry per video.
        seconds: from the first frame to the finished file.
        speed: frames per second, over all cameras; NaN where everything was done before.
    """

    output: Path
    cameras: tuple[PredictedCamera, ...]
    seconds: float
    speed: float


@dataclass(frozen=True)
class _Recording:
    camera: str
    path: Path
    frames: int
    size: tuple[int, int]
    frame_rate: float | None


def predict_session(
    model: str | os.PathLike[str],
    videos: Mapping[str, str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    settings: PredictionSettings | None = None,
    detector: Detector | None = None,
    individuals: int = 1,
    progress: Callable[[int, int], None] | None = None,
    chunk: int = CHUNK,
) -> PredictionSummary:
    """Look for keypoints in the videos of a session and write one file of detections.

    Rows of cameras meet by frame number; where a video is shorter than another, the rest is NaN, and so are frames
    that cannot be decoded. Memory does not grow with the length of the videos.

    Args:
        model: the folder of a trained network, or KIND:PATH, see `open_detector`.
        videos: camera name -> video.
        output: netCDF file to write; it appears when it is complete.
        settings: how to look.
        detector: to look with, instead of opening the model; `model` is its name then.
        individuals: how many animals there are, see `open_detector`; 0: not known.
        progress: told how many frames are done, and how many there are.
        chunk: frames after which what was found is safe.

    Raises:
        InvalidValueError: no video is given, or a setting or the runtime is wrong.
        FileFormatError: a video or the model is missing, damaged, or none; the size of frames changes.
        MismatchError: frame rates of the cameras differ.
        OutputError: the output cannot be written.

    Warns:
        SuiteWarning: frames cannot be decoded, or videos differ in length.
    """
    settings = settings or PredictionSettings()
    output = Path(output)
    recordings = _look_at({str(name): Path(path) for name, path in videos.items()})
    rate = _common_rate(recordings)
    detector = detector or open_detector(str(model), settings, individuals=individuals)
    parts = _Parts(output, _key(model, recordings, settings, chunk) | {"individuals": individuals})
    total, start, new, before = sum(one.frames for one in recordings), time.perf_counter(), 0, 0
    told = []
    sizes: dict[tuple[int, int], int] = {}
    for number, one in enumerate(recordings):

        def report(frames: int, before: int = before) -> None:
            if progress is not None:
                progress(before + frames, total)

        resumed = parts.done(number, one.frames, chunk)
        report(resumed)
        if resumed < one.frames:
            # Cameras of one size share what was measured.
            size = sizes[one.size] = sizes.get(one.size) or settings.batch_size or _batch_size(one, detector)
            _predict(one, detector, resumed, size, chunk, partial(parts.write, number), report)
        new, before = new + one.frames - resumed, before + one.frames
        told.append(_tell(one, parts, number, resumed, chunk))
    _warn(told)
    _assemble(output, parts, recordings, detector, rate, chunk, provenance=_provenance(model, recordings, settings))
    parts.remove()
    seconds = time.perf_counter() - start
    return PredictionSummary(output, tuple(told), seconds, new / seconds if new else float("nan"))


def _predict(
    one: _Recording,
    detector: Detector,
    first: int,
    batch_size: int,
    chunk: int,
    keep: Callable[[DetectedFrames], None],
    report: Callable[[int], None],
) -> None:
    """Look for keypoints in the frames from `first` on, and keep what is found."""
    done = first

    def show(frames: int) -> None:
        nonlocal done
        done += frames
        report(done)

    for found in detect_video(one.path, detector, first=first, batch_size=batch_size, chunk=chunk, progress=show):
        keep(found)
        done = found.first + len(found.found)
    report(done)


def _look_at(videos: Mapping[str, Path]) -> list[_Recording]:
    if not videos:
        raise InvalidValueError("prediction", expected="at least one video", got="none", remedy="Name the videos.")
    found = []
    for camera, path in videos.items():
        with open_video(path) as video:
            found.append(_Recording(camera, path, len(video), video.size, video.frame_rate))
    return found


def _batch_size(one: _Recording, detector: Detector) -> int:
    with open_video(one.path) as video:
        return find_batch_size(detector, next(video.frames()).image)


def _common_rate(recordings: list[_Recording]) -> float | None:
    rates = {one.camera: one.frame_rate for one in recordings if one.frame_rate}
    if not rates:
        return None
    low, high = min(rates.values()), max(rates.values())
    if high > low * (1 + _SAME_RATE):
        raise MismatchError(
            "videos of one session",
            expected="the same frame rate in all cameras",
            got=", ".join(f"{camera} {rate:.3f}" for camera, rate in rates.items()),
            remedy="Predict each video by itself, and let `pose3d sync` find how their clocks differ.",
        )
    return next(iter(rates.values()))


def _key(
    model: str | os.PathLike[str], recordings: list[_Recording], settings: PredictionSettings, chunk: int
) -> dict[str, object]:
    """What parts of an earlier run must agree in to be used."""
    return {
        "version": _VERSION,
        "model": [str(model), *(_identity(file) for file in _files_of(model))],
        "videos": [[one.camera, *_identity(one.path)] for one in recordings],
        "settings": asdict(settings),
        "chunk": chunk,
    }


def _files_of(model: str | os.PathLike[str]) -> list[Path]:
    """The files of a model, not what was exported of them; none where it is a name alone."""
    _, path = model_path(str(model))
    return [path] if path.is_file() else sorted(item for item in path.glob("*") if item.is_file())


def _identity(path: Path) -> list[object]:
    status = path.stat()
    return [path.name, status.st_size, status.st_mtime_ns]


class _Parts:
    """The folder of what is done: one file per chunk of a camera."""

    def __init__(self, output: Path, key: dict[str, object]) -> None:
        self.folder = output.with_name(f"{output.name}.parts")
        wanted = json.dumps(key, indent=1)
        plan = self.folder / "plan.json"
        try:
            same = plan.is_file() and plan.read_text(encoding="utf-8") == wanted
            if self.folder.exists() and not same:
                shutil.rmtree(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                self.folder,
                expected="a folder that can be written",
                got=error.strerror or str(error),
                remedy="Choose another output folder, or free space and permissions there.",
            ) from error
        if not same:
            write_text(plan, wanted)

    def _path(self, camera: int, first: int) -> Path:
        return self.folder / f"{camera:03d}-{first:09d}.npz"

    def done(self, camera: int, frames: int, chunk: int) -> int:
        """How many frames of a camera are there, from the first on without a gap."""
        first = 0
        while first < frames and self._path(camera, first).is_file():
            first += chunk
        return min(first, frames)

    def write(self, camera: int, found: DetectedFrames) -> None:
        arrays = {"position": found.found.position, "confidence": found.found.confidence}
        if found.found.covariance is not None:
            arrays["covariance"] = found.found.covariance
        arrays["lost"] = np.array(found.lost, dtype=np.int64)
        with atomic_path(self._path(camera, found.first)) as partial, partial.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type] # no name is allow_pickle

    def read(self, camera: int, first: int) -> DetectedFrames:
        path = self._path(camera, first)
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
                covariance = content["covariance"] if "covariance" in content.files else None
                found = RawDetections(content["position"], content["confidence"], covariance)
                return DetectedFrames(first, found, tuple(content["lost"].tolist()))
        except Exception as error:
            raise FileFormatError(
                path,
                expected="a part of an interrupted prediction",
                got=f"{type(error).__name__}: {error}",
                remedy="Remove this file and predict again; what it held is looked for anew.",
            ) from error

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _tell(one: _Recording, parts: _Parts, camera: int, resumed: int, chunk: int) -> PredictedCamera:
    lost, total, count = 0, 0.0, 0
    for first in range(0, one.frames, chunk):
        part = parts.read(camera, first)
        lost += len(part.lost)
        best = part.found.confidence[:, 0]
        there = np.isfinite(part.found.position[:, 0, :, 0])
        total, count = total + float(best[there].sum()), count + int(there.sum())
    return PredictedCamera(one.camera, one.frames, lost, resumed, total / count if count else float("nan"))


def _warn(cameras: list[PredictedCamera]) -> None:
    for one in cameras:
        if one.lost:
            warnings.warn(
                f"camera {one.camera}: {one.lost} of {one.frames} frames could not be decoded; they stay empty",
                SuiteWarning,
                stacklevel=3,
            )
    lengths = {one.camera: one.frames for one in cameras}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in lengths.items())
        warnings.warn(
            f"the videos differ in their number of frames ({told}); rows meet by frame number. Were the cameras not "
            "triggered together, or frames lost? `pose3d sync` finds out",
            SuiteWarning,
            stacklevel=3,
        )


def _provenance(
    model: str | os.PathLike[str], recordings: list[_Recording], settings: PredictionSettings
) -> dict[str, object]:
    return provenance_of([*_files_of(model), *(one.path for one in recordings)], settings)


def _assemble(
    output: Path,
    parts: _Parts,
    recordings: list[_Recording],
    detector: Detector,
    rate: float | None,
    chunk: int,
    *,
    provenance: dict[str, object],
) -> None:
    frames = max(one.frames for one in recordings)
    with SessionWriter(output, provenance=provenance) as writer:
        for first in range(0, frames, chunk):
            rows = min(chunk, frames - first)
            found = [
                parts.read(number, first).found if first < one.frames else None for number, one in enumerate(recordings)
            ]
            position, confidence, covariance = _stacked(found, rows, len(detector.keypoints), detector)
            writer.append(
                detections=detections(
                    position,
                    confidence,
                    covariance,
                    cameras=[one.camera for one in recordings],
                    keypoints=detector.keypoints,
                    frames=np.arange(first, first + rows),
                    frame_rate=rate,
                    image_size=[one.size for one in recordings],
                )
            )


def _stacked(
    found: list[RawDetections | None], rows: int, keypoints: int, detector: Detector
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None]:
    """Cameras side by side; NaN where a video has ended."""
    shape = (rows, len(found), detector.candidates, keypoints)
    position = np.full((*shape, 2), np.nan, dtype=np.float32)
    confidence = np.full(shape, np.nan, dtype=np.float32)
    covariance = np.full((*shape, 2, 2), np.nan, dtype=np.float32) if detector.gives_covariance else None
    for camera, one in enumerate(found):
        if one is not None:
            position[: len(one), camera] = one.position
            confidence[: len(one), camera] = one.confidence
            if covariance is not None and one.covariance is not None:
                covariance[: len(one), camera] = one.covariance
    return position, confidence, covariance
