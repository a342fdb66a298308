"""The geometry of BlazePose: anchors, boxes, windows turned upright, and landmarks back in the image.

Numbers are those of the graphs that its authors publish with the models (MediaPipe, modules/pose_detection and
modules/pose_landmark, Apache-2.0).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Window", "anchors", "best_person", "cut", "decode_landmarks", "letterbox", "window_around"]

Floats = NDArray[np.float32]

_DETECTOR_SIDE = 224
_LANDMARK_SIDE = 256
# Strides of the maps of the detector, and anchors in every cell of each.
_LAYERS = ((8, 2), (16, 2), (32, 6))
_SURE = 0.5
# Windows reach beyond the circle around a person by this.
_BEYOND = 1.25
# Landmarks are moved to the center of mass of the heatmap around them, where it is at least this high.
_KERNEL, _HEIGHT = 7, 0.5


@dataclass(frozen=True)
class Window:
    """A square part of the image, turned so that the person stands upright in it.

    Attributes:
        center: x and y in pixels.
        side: in pixels.
        angle: by which the person is turned clockwise, radians.
    """

    center: tuple[float, float]
    side: float
    angle: float

    def matrix(self, side: int) -> NDArray[np.float64]:
        """(2, 3) from pixels of the window, resized to that side, to pixels of the image."""
        scale = self.side / side
        turn = scale * np.array([[np.cos(self.angle), -np.sin(self.angle)], [np.sin(self.angle), np.cos(self.angle)]])
        middle = np.array([(side - 1) / 2, (side - 1) / 2])
        return np.column_stack([turn, np.array(self.center) - turn @ middle])


def anchors() -> Floats:
    """(anchor, 2) centers of the detector's anchors, as shares of its input."""
    made = []
    for stride, count in _LAYERS:
        cells = _DETECTOR_SIDE // stride
        y, x = np.mgrid[:cells, :cells].reshape(2, -1)
        made.append(np.repeat(np.stack([x + 0.5, y + 0.5], axis=1) / cells, count, axis=0))
    return np.concatenate(made).astype(np.float32)


def letterbox(image: NDArray[np.uint8]) -> tuple[Floats, NDArray[np.float64]]:
    """The detector's input (1, 224, 224, 3), from -1 to 1, and (2, 3) from its pixels to those of the image."""
    height, width = image.shape[:2]
    side = float(max(height, width))
    matrix = Window(((width - 1) / 2, (height - 1) / 2), side, 0.0).matrix(_DETECTOR_SIDE)
    return _warp(image, matrix, _DETECTOR_SIDE)[None] / np.float32(127.5) - np.float32(1), matrix


def cut(image: NDArray[np.uint8], window: Window) -> Floats:
    """The input of the landmark model (1, 256, 256, 3), from 0 to 1."""
    return _warp(image, window.matrix(_LANDMARK_SIDE), _LANDMARK_SIDE)[None] / np.float32(255)


def _warp(image: NDArray[np.uint8], matrix: NDArray[np.float64], side: int) -> Floats:
    # Where the window is coarser than the image by far, single pixels would be picked out.
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    while scale >= 2:
        image = np.asarray(
            cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA), np.uint8
        )
        matrix = np.column_stack([matrix[:, :2] / 2, (matrix[:, 2] + 0.5) / 2 - 0.5])
        scale /= 2
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, matrix, (side, side), flags=flags), dtype=np.float32)


def best_person(boxes: Floats, scores: Floats, centers: Floats, near: NDArray[np.float64] | None) -> Floats | None:
    """(4, 2) points of the person that is most probable, in pixels of the detector's input.

    Args:
        boxes: (anchor, 12) raw: box, then middle of the hips, circle around the body, middle of the shoulders, circle
            around the trunk.
        scores: (anchor,) raw.
        centers: of the anchors.
        near: where the person was last, in pixels of the input: of several persons, the nearest is taken.
    """
    probability = 1 / (1 + np.exp(-np.clip(scores, -50, 50)))
    sure = np.flatnonzero(probability >= _SURE)
    if not len(sure):
        return None
    points = boxes[sure, 4:].reshape(-1, 4, 2) + centers[sure, None] * _DETECTOR_SIDE
    weight = probability[sure]
    order = -weight if near is None else np.linalg.norm(points[:, 0] - near, axis=1)
    chosen = int(order.argmin())
    # Boxes of one person overlap; their mean, by weight, is steadier than the best one.
    reach = 0.3 * np.linalg.norm(points[chosen, 1] - points[chosen, 0])
    same = np.linalg.norm(points[:, 0] - points[chosen, 0], axis=1) < reach
    same[chosen] = True
    return np.asarray(np.average(points[same], axis=0, weights=weight[same]), dtype=np.float32)


def window_around(center: NDArray[np.floating], edge: NDArray[np.floating]) -> Window:
    """The window of a person, by the middle of the hips and a point on the circle around the body, in pixels."""
    x, y = (edge - center).astype(float)
    return Window((float(center[0]), float(center[1])), 2 * _BEYOND * float(np.hypot(x, y)), float(np.arctan2(x, -y)))


def decode_landmarks(raw: Floats, heatmap: Floats, window: Window) -> tuple[Floats, Floats]:
    """Landmarks of one person.

    Args:
        raw: (landmark, 5) x, y, z in pixels of the window, logit of being in sight, logit of being in the window.
        heatmap: (row, column, landmark) logits.
        window: that was looked at.

    Returns:
        (landmark, 2) pixels of the image; (landmark,) probability that it is in sight.
    """
    points = raw[:, :2].astype(np.float64)
    cells = heatmap.shape[0]
    for number in range(len(points)):
        points[number] = _refined(points[number], heatmap[..., number], _LANDMARK_SIDE / cells)
    matrix = window.matrix(_LANDMARK_SIDE)
    # The model counts from the corner of the window, images from the center of their first pixel.
    places = (points - 0.5) @ matrix[:, :2].T + matrix[:, 2]
    logit = np.minimum(raw[:, 3], raw[:, 4])
    return places.astype(np.float32), (1 / (1 + np.exp(-np.clip(logit, -50, 50)))).astype(np.float32)


def _refined(point: NDArray[np.float64], heatmap: Floats, scale: float) -> NDArray[np.float64]:
    rows, columns = heatmap.shape
    column, row = (int(value / scale) for value in point)
    if not (0 <= column < columns and 0 <= row < rows):
        return point
    half = _KERNEL // 2
    around = slice(max(row - half, 0), row + half + 1), slice(max(column - half, 0), column + half + 1)
    y, x = (axis[around] for axis in np.mgrid[:rows, :columns])
    weight = 1 / (1 + np.exp(-heatmap[y, x].astype(np.float64)))
    if weight.max() < _HEIGHT:
        return point
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum() * scale
