"""BlazePose: 33 landmarks of a person, by the model files of MediaPipe that the user brings, through LiteRT.

The files are in the npm package `@mediapipe/pose` (`npm pack @mediapipe/pose`, Apache-2.0):
`pose_landmark_lite.tflite`, `_full` or `_heavy`, and the person detector, which that package calls
`pose_solution_packed_assets.data` and others `pose_detection.tflite`. Give the folder.

A person is searched for in the whole image, then followed from frame to frame by a window that is turned with them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError, InvalidValueError
from calibration.processors import available_processors
from pose3d.detection._blazepose_geometry import (
    Window,
    anchors,
    best_person,
    cut,
    decode_landmarks,
    letterbox,
    window_around,
)
from pose3d.detection.detector import RawDetections

__all__ = ["LANDMARKS", "BlazePoseDetector"]

_SIDES = ("left", "right")
LANDMARKS: tuple[str, ...] = (
    "nose",
    *(f"{side}_eye_{place}".replace("_middle", "") for side in _SIDES for place in ("inner", "middle", "outer")),
    *(f"{side}_ear" for side in _SIDES),
    "mouth_left",
    "mouth_right",
    *(
        f"{side}_{joint}"
        for joint in (
            "shoulder",
            "elbow",
            "wrist",
            "pinky",
            "index",
            "thumb",
            "hip",
            "knee",
            "ankle",
            "heel",
            "foot_index",
        )
        for side in _SIDES
    ),
)

_LANDMARK_FILES = ("pose_landmark_heavy.tflite", "pose_landmark_full.tflite", "pose_landmark_lite.tflite")
_DETECTOR_FILES = ("pose_detection.tflite", "pose_solution_packed_assets.data")
# Below this the person is lost, and searched for in the whole image.
_THERE = 0.5

_Model = Callable[[NDArray[np.float32]], Sequence[NDArray[np.float32]]]


class BlazePoseDetector:
    """33 landmarks of one person, who is followed from frame to frame.

    Args:
        path: the folder of the model files, or the landmark model with the person detector beside it. Of several
            landmark models in a folder the most accurate is taken: heavy, full, lite.
        threads: of LiteRT; as many as there are processors by default.

    Raises:
        FileFormatError: a file is missing or not such a model.
        InvalidValueError: LiteRT is not installed.
    """

    parallel = 1
    candidates = 1
    gives_covariance = False
    keypoints = LANDMARKS

    def __init__(self, path: str | os.PathLike[str], *, threads: int | None = None) -> None:
        landmarks, detector = _find_files(Path(path))
        if find_spec("ai_edge_litert") is None:
            raise InvalidValueError(
                "BlazePose",
                expected="the package ai-edge-litert",
                got="not installed",
                remedy="pip install ai-edge-litert",
            )
        threads = threads or available_processors()
        self._find = _open(detector, threads, (1, 224, 224, 3), ((1, 2254, 12), (1, 2254, 1)))
        shapes = ((1, 195), (1, 1), (1, 64, 64, 39))
        self._look = _open(landmarks, threads, (1, 256, 256, 3), shapes)
        self._anchors = anchors()
        self._window: Window | None = None
        self._last: NDArray[np.float64] | None = None

    def restart(self) -> None:
        """Forget where the person was."""
        self._window = None
        self._last = None

    def detect(self, images: NDArray[np.uint8]) -> RawDetections:
        """See `Detector.detect`."""
        found = RawDetections.missing(len(images), 1, len(LANDMARKS), covariance=False)
        found.confidence[:] = 0
        for number, image in enumerate(images):
            one = self._in_window(image, self._window) if self._window else None
            if one is None:
                one = self._in_window(image, self._search(image))
            if one is not None:
                found.position[number, 0], found.confidence[number, 0] = one
        return found

    def _search(self, image: NDArray[np.uint8]) -> Window | None:
        inputs, matrix = letterbox(image)
        boxes, scores = self._find(inputs)
        near = None
        if self._last is not None:
            near = np.linalg.solve(matrix[:, :2], self._last - matrix[:, 2]).astype(np.float64)
        points = best_person(boxes[0], scores[0, :, 0], self._anchors, near)
        if points is None:
            return None
        places = (points - 0.5) @ matrix[:, :2].T + matrix[:, 2]
        return window_around(places[0], places[1])

    def _in_window(
        self, image: NDArray[np.uint8], window: Window | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """Position and confidence of the landmarks, and the next window; None where nobody is there."""
        self._window = None
        if window is None:
            return None
        raw, there, heatmap = self._look(cut(image, window))
        if not there[0, 0] >= _THERE:
            return None
        position, confidence = decode_landmarks(raw.reshape(39, 5), heatmap[0], window)
        # Two more landmarks are the middle of the hips and the circle around the body.
        self._window = window_around(position[33], position[34])
        self._last = position[33].astype(np.float64)
        count = len(LANDMARKS)
        return position[:count], confidence[:count] * np.float32(there[0, 0])


def _find_files(path: Path) -> tuple[Path, Path]:
    """The landmark model and the person detector."""
    folder = path if path.is_dir() else path.parent
    landmarks = [path] if path.is_file() else [folder / name for name in _LANDMARK_FILES if (folder / name).is_file()]
    detector = [folder / name for name in _DETECTOR_FILES if (folder / name).is_file()]
    if not path.exists() or not landmarks or not detector:
        lacking = " and ".join(
            name
            for name, there in (("pose_landmark_full.tflite", landmarks), ("pose_detection.tflite", detector))
            if not there
        )
        raise FileFormatError(
            path,
            expected="the model files of BlazePose: pose_landmark_full.tflite (or _lite, _heavy) and "
            "pose_detection.tflite (or pose_solution_packed_assets.data)",
            got=f"no {lacking}" if path.exists() else "no such file or folder",
            remedy="They are in the npm package @mediapipe/pose: npm pack @mediapipe/pose, unpack it, give the folder.",
        )
    return landmarks[0], detector[0]


def _open(path: Path, threads: int, takes: tuple[int, ...], gives: Sequence[tuple[int, ...]]) -> _Model:
    """A model file as a function; its outputs are found by their shapes."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        content = path.read_bytes()
        if content[4:8] != b"TFL3":
            raise _no_model(path, takes, gives, f"a file that begins with {content[:8]!r}")
        interpreter = Interpreter(model_content=content, num_threads=threads)
        interpreter.allocate_tensors()
        (given,) = interpreter.get_input_details()
        outputs = {tuple(one["shape"].tolist()): one["index"] for one in interpreter.get_output_details()}
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise _no_model(path, takes, gives, str(error).partition("\n")[0][:120] or type(error).__name__) from error
    if tuple(given["shape"].tolist()) != takes or not set(gives) <= set(outputs):
        raise _no_model(path, takes, gives, f"{tuple(given['shape'].tolist())} to {', '.join(map(str, outputs))}")

    def run(inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        interpreter.set_tensor(given["index"], inputs)
        interpreter.invoke()
        return [interpreter.get_tensor(outputs[shape]) for shape in gives]

    return run


def _no_model(path: Path, takes: Any, gives: Any, got: str) -> FileFormatError:
    return FileFormatError(
        path,
        expected=f"a .tflite model of BlazePose, from {takes} to {', '.join(map(str, gives))}",
        got=got,
        remedy="Take the file from the npm package @mediapipe/pose again.",
    )
