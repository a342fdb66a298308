"""A trained network as a detector."""

from __future__ import annotations

import hashlib
import os
import queue
import threading
import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError, InvalidValueError, OutputError, SuiteWarning
from calibration.processors import available_processors
from pose3d.detection.detector import RawDetections
from pose3d.networks.backbones import Backbone
from pose3d.networks.batches import scale_image
from pose3d.networks.confidence import apply
from pose3d.networks.decoding import Candidates, decode
from pose3d.networks.devices import gpu_computes
from pose3d.networks.gpu import gpu_finder
from pose3d.networks.memory import enough_memory
from pose3d.networks.model import SIDE_OF_BOUND, padded
from pose3d.networks.predicting import Maps, keras_maps, pad_images, to_image_pixels
from pose3d.networks.run_files import WEIGHTS_FILE, Run, load_run
from pose3d.networks.runtimes import (
    Export,
    choose_runtime,
    export_model,
    find_runtime,
    installed_runtimes,
    open_runtime,
    read_export,
)

__all__ = ["NetworkDetector", "export_run"]

_EXPORTS = "exports"
# Frames by which exports are compared with Keras.
_COMPARED = 4
# While a GPU computes for one, others prepare images and read the answers.
_THREADS_PER_GPU = 3


def _quiet() -> None:
    """TensorFlow tells of processors and graphs on standard error unless it is told not to before it is loaded."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def export_run(
    run: Run,
    frames: NDArray[np.uint8],
    *,
    runtime: str = "auto",
    sessions: int | None = None,
    backbones: Mapping[str, Backbone] | None = None,
) -> Export:
    """Export a trained network for images of this size, compare it with Keras, and choose the fastest runtime.

    What was exported of the same weights before is used again.

    Args:
        run: the trained network.
        frames: (image, height, width, 3) real images; the first few are used.
        runtime: a key of `RUNTIMES` to export for, or "auto": LiteRT, whose export takes longer than all others, only
            where no other runtime is installed.
        sessions: that will compute at once; as many as there are processors by default.
        backbones: to choose from, instead of `BACKBONES`.

    Raises:
        FileFormatError: the weights are missing, damaged, or of another architecture.
        OutputError: the folder of the run cannot be written.
        InvalidValueError: no installed runtime agrees with Keras.
    """
    inputs = pad_images([scale_image(frame, run.network.scale) for frame in frames[:_COMPARED]], SIDE_OF_BOUND)
    size = (inputs.shape[2], inputs.shape[1])
    folder = _export_folder(run, size)
    digest = _digest(run)
    export = _earlier_export(folder, again=bool(digest))
    if export is None or export.size != size or (digest and export.weights != digest):
        export = None
    wanted = _wanted(runtime)
    have = set() if export is None else {*export.differences, *export.refused}
    # Where the weights are missing, the network is what was exported of it.
    if export is None or (set(wanted) - have and digest and find_spec("keras") is not None):
        _quiet()
        model = run.model(size=size, backbones=backbones)
        names = [name for name in installed_runtimes() if name in {*wanted, *have}]
        export = export_model(model, run.network, folder, inputs, weights=digest, runtimes=names)
        for name, note in export.refused.items():
            warnings.warn(f"{run.path}: runtime {name} is not used: it {note}", SuiteWarning, stacklevel=2)
    if export.chosen not in installed_runtimes():  # none yet, or the folder comes from another machine
        export = choose_runtime(folder, export, inputs, sessions=sessions or available_processors())
    return export


def _earlier_export(folder: Path, *, again: bool) -> Export | None:
    """What was exported before; where that is damaged and can be made again, None."""
    try:
        return read_export(folder)
    except FileFormatError:
        if not again:
            raise
        warnings.warn(f"{folder}: it is exported again, for what is there is damaged", SuiteWarning, stacklevel=3)
        return None


def _wanted(runtime: str) -> tuple[str, ...]:
    """The runtimes to export for."""
    if runtime != "auto":
        return (runtime,)
    # LiteRT was never the fastest: 28 ms of processor time per image of 640 x 480, OpenVINO 24, ONNX Runtime 27.
    installed = installed_runtimes()
    return tuple(name for name in installed if name != "litert") or installed


def _export_folder(run: Run, size: tuple[int, int]) -> Path:
    return run.path / _EXPORTS / f"{size[0]}x{size[1]}"


def _digest(run: Run) -> str:
    path = run.path / WEIGHTS_FILE
    if not path.is_file():
        return ""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# from images that a network takes to what it finds in them
_Session = Callable[[NDArray[np.uint8]], Candidates]


class NetworkDetector:
    """Keypoints by a network that was trained here.

    It is exported for the size of the images when the first ones come, which takes a minute, once per size.

    Args:
        run: the trained network, or its folder.
        runtime: "auto" for the fastest one, which is Keras where it computes on a GPU; "keras", or a key of `RUNTIMES`.
        candidates: how many places of a keypoint are given.
        sessions: that compute at once, of one thread each; as many as there are processors by default.
        backbones: to choose from, instead of `BACKBONES`.

    Raises:
        FileFormatError: the folder is no trained network.
        InvalidValueError: the runtime is unknown or not installed.
    """

    def __init__(
        self,
        run: Run | str | os.PathLike[str],
        *,
        runtime: str = "auto",
        candidates: int = 1,
        sessions: int | None = None,
        backbones: Mapping[str, Backbone] | None = None,
    ) -> None:
        self.run = run if isinstance(run, Run) else load_run(run)
        self.runtime = runtime
        if runtime not in ("auto", "keras"):
            find_runtime(runtime)
        self.candidates = candidates
        self._gpu = runtime in ("auto", "keras") and gpu_computes()
        if self._gpu:
            self.parallel = _THREADS_PER_GPU
        else:
            self.parallel = 1 if runtime == "keras" else sessions or available_processors()
        self._backbones = backbones
        self._sessions: dict[tuple[int, int], queue.LifoQueue[_Session]] = {}
        self._opening = threading.Lock()

    gives_covariance = True

    @property
    def keypoints(self) -> tuple[str, ...]:
        """Names of the keypoints."""
        return self.run.network.keypoints

    def restart(self) -> None:
        """Nothing is remembered from image to image."""

    def detect(self, images: NDArray[np.uint8]) -> RawDetections:
        """See `Detector.detect`.

        Raises:
            FileFormatError: the weights are missing or damaged.
            InvalidValueError: the runtime is not installed, or does not agree with Keras.
            OutOfMemoryError: the images do not fit into the memory at once.
        """
        settings = self.run.network
        scaled = images if settings.scale == 1 else np.stack([scale_image(one, settings.scale) for one in images])
        height, width = scaled.shape[1:3]
        fits = all(padded(side, SIDE_OF_BOUND) == side for side in (width, height))
        inputs = np.ascontiguousarray(scaled) if fits else pad_images(scaled, SIDE_OF_BOUND)
        sessions = self._sessions_for(images, (inputs.shape[2], inputs.shape[1]))
        session = sessions.get()
        try:
            with enough_memory(f"{self.run.path}, {len(inputs)} images at once", "Look at fewer at once: --batch 1."):
                found = session(inputs)
        finally:
            sessions.put(session)
        found = to_image_pixels(found, (images.shape[2], images.shape[1]), (width, height))
        confidence, covariance = apply(found, self.run.confidence)
        return RawDetections(found.position, confidence, covariance)

    def _sessions_for(self, images: NDArray[np.uint8], size: tuple[int, int]) -> queue.LifoQueue[_Session]:
        with self._opening:
            if size not in self._sessions:
                opened: queue.LifoQueue[_Session] = queue.LifoQueue()
                for session in self._open(images, size):
                    opened.put(session)
                self._sessions[size] = opened
        return self._sessions[size]

    def _open(self, images: NDArray[np.uint8], size: tuple[int, int]) -> list[_Session]:
        name = "keras" if self._gpu or self.runtime == "keras" else self._choice(images)
        if name != "keras":
            folder = _export_folder(self.run, size)
            return [self._session(open_runtime(folder, name)) for _ in range(self.parallel)]
        _quiet()
        model = self.run.model(size=size, backbones=self._backbones)
        if self._gpu:
            return self.parallel * [gpu_finder(model, self.run.network, size, self.candidates)]
        return [self._session(keras_maps(model))]

    def _session(self, maps: Maps) -> _Session:
        settings = self.run.network
        return lambda inputs: decode(
            *maps(inputs), stride=settings.stride, sigma=settings.sigma, candidates=self.candidates
        )

    def _choice(self, images: NDArray[np.uint8]) -> str:
        """The runtime to use; Keras itself where it may be any and there is none."""
        try:
            if self.runtime == "auto" and not installed_runtimes():
                raise InvalidValueError(
                    "runtime", expected="an installed one", got="none", remedy="Install one: pip install onnxruntime."
                )
            export = export_run(
                self.run, images, runtime=self.runtime, sessions=self.parallel, backbones=self._backbones
            )
        except (OutputError, InvalidValueError) as error:
            if self.runtime != "auto":
                raise
            warnings.warn(f"{error} Keras itself is used, which is slower.", SuiteWarning, stacklevel=4)
            return "keras"
        return export.chosen if self.runtime == "auto" else _accepted(self.runtime, export)


def _accepted(name: str, export: Export) -> str:
    """The name, where the runtime agrees with Keras or is not known, which is told when it is opened."""
    if name in export.refused:
        raise InvalidValueError(
            f"runtime '{name}'",
            expected="one that agrees with Keras",
            got=f"it {export.refused[name]}",
            remedy="Use --runtime auto.",
        )
    return name
