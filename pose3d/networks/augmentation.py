"""Varied training images, with keypoints that stay exact: one affine map, then changes of gray levels.

Libraries were looked at first: albumentations is no longer maintained under a free license, and the layers of Keras
that turn or shift images do not take keypoints along. All geometry here is one matrix that moves both.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pose3d.networks.settings import AugmentationSettings
from pose3d.networks.targets import ABSENT, OCCLUDED, UNKNOWN, VISIBLE

__all__ = ["FILL", "Sample", "augment", "center_crop", "move_points"]

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

# Gray of what lies beyond the image, in training and afterwards.
FILL = 114
# Draws of a crop that are tried until the animal is inside it.
_TRIES = 8


@dataclass(frozen=True, eq=False)
class Sample:
    """An image with its keypoints.

    Attributes:
        image: (height, width, 3) RGB.
        points: (individual, keypoint, 3) x, y and code, see `targets`.
    """

    image: Image
    points: Floats


def augment(
    sample: Sample,
    size: tuple[int, int],
    settings: AugmentationSettings,
    mirrored: tuple[tuple[int, int], ...],
    rng: np.random.Generator,
) -> Sample:
    """A varied sample of another size.

    Args:
        sample: image and keypoints.
        size: width and height of the result.
        settings: how much it is varied.
        mirrored: places of keypoints that swap when the image is mirrored.
        rng: draws.
    """
    matrix, flipped = _draw_matrix(sample, size, settings, bool(mirrored), rng)
    image = _warp(sample.image, matrix, size, cv2.INTER_LINEAR)
    points = move_points(sample.points, matrix, size)
    if flipped:
        order = np.arange(points.shape[1])
        for left, right in mirrored:
            order[[left, right]] = right, left
        points = points[:, order]
    image, points = _cover(image, points, settings, rng)
    return Sample(_change_levels(image, settings, rng), points)


def center_crop(sample: Sample, size: tuple[int, int]) -> Sample:
    """The sample in an image of that size, its middle kept in the middle to a pixel; what is missing is gray."""
    height, width = sample.image.shape[:2]
    matrix = np.array([[1.0, 0.0, (size[0] - width) // 2], [0.0, 1.0, (size[1] - height) // 2]])
    return Sample(_warp(sample.image, matrix, size, cv2.INTER_NEAREST), move_points(sample.points, matrix, size))


def _warp(image: Image, matrix: NDArray[np.float64], size: tuple[int, int], method: int) -> Image:
    moved = cv2.warpAffine(image, matrix, size, flags=method, borderMode=cv2.BORDER_CONSTANT, borderValue=(FILL,) * 3)
    return np.asarray(moved, dtype=np.uint8)


def move_points(points: Floats, matrix: NDArray[np.float64], size: tuple[int, int]) -> Floats:
    """Keypoints (individual, keypoint, 3) after an affine map (2, 3); those that leave the image are absent."""
    moved = points.copy()
    moved[..., :2] = points[..., :2] @ matrix[:, :2].T + matrix[:, 2]
    x, y = moved[..., 0], moved[..., 1]
    inside = (x > -0.5) & (y > -0.5) & (x < size[0] - 0.5) & (y < size[1] - 0.5)
    moved[..., 2] = np.where((points[..., 2] == UNKNOWN) | inside, points[..., 2], ABSENT)
    return moved


def _draw_matrix(
    sample: Sample, size: tuple[int, int], settings: AugmentationSettings, may_flip: bool, rng: np.random.Generator
) -> tuple[NDArray[np.float64], bool]:
    """An affine map (2, 3) that leaves the animal in the image where it can, and whether it mirrors."""
    given = np.array(sample.image.shape[1::-1])
    wanted = np.array(size)
    smaller = given > wanted  # an image that fits is kept whole
    there = (sample.points[..., 2] == VISIBLE) | (sample.points[..., 2] == OCCLUDED)
    animals = np.flatnonzero(there.any(axis=1))
    flipped = may_flip and bool(rng.random() < settings.flip)
    anywhere = bool(rng.random() < settings.elsewhere) or not len(animals)
    animal = rng.choice(animals) if len(animals) else 0
    own = sample.points[animal, there[animal], :2].astype(np.float64)
    for attempt in range(_TRIES):
        tame = 1 - attempt / _TRIES
        angle = np.deg2rad(rng.uniform(-settings.rotation, settings.rotation))
        factor = np.exp(rng.uniform(*np.log(settings.scale)))
        draw, shift = rng.uniform(-1, 1, 2), rng.uniform(-1, 1, 2) * settings.translation * wanted * tame
        linear = factor * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        half = wanted / 2 / factor
        if anywhere:
            center = given / 2 * (1 + draw)
        else:
            room = np.maximum(half - np.ptp(own, axis=0) / 2, 0)
            center = (own.min(axis=0) + own.max(axis=0)) / 2 + draw * room * tame
        inner = np.minimum(half, given / 2)  # as little as can be of what lies beyond the image
        center = np.where(smaller, np.clip(center, inner, given - inner), given / 2) - 0.5
        shift = np.where(smaller, 0.0, shift)
        if flipped:
            linear[:, 0] = -linear[:, 0]
        matrix = np.column_stack([linear, (wanted - 1) / 2 + shift - linear @ center])
        moved = own @ linear.T + matrix[:, 2]
        if (anywhere and smaller.any()) or ((moved > 0) & (moved < wanted - 1)).all():
            break
    return matrix, flipped


def _cover(
    image: Image, points: Floats, settings: AugmentationSettings, rng: np.random.Generator
) -> tuple[Image, Floats]:
    """Rectangles over parts of the image; keypoints under them are occluded."""
    if rng.random() >= settings.occlusion:
        return image, points
    height, width = image.shape[:2]
    points = points.copy()
    for _ in range(rng.integers(1, 4)):
        w, h = (int(side * rng.uniform(0.03, 0.15)) + 1 for side in (width, height))
        left, top = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
        image[top : top + h, left : left + w] = rng.integers(0, 256, 3, dtype=np.uint8)
        x, y = points[..., 0], points[..., 1]
        under = (x >= left) & (x < left + w) & (y >= top) & (y < top + h) & (points[..., 2] == VISIBLE)
        points[..., 2] = np.where(under, OCCLUDED, points[..., 2])
    return image, points


def _change_levels(image: Image, settings: AugmentationSettings, rng: np.random.Generator) -> Image:
    """Motion blur, contrast, brightness and noise."""
    share, longest = settings.motion_blur
    if rng.random() < share and longest > 1:
        blurred = cv2.filter2D(image, -1, _line(rng.uniform(1, longest), rng.uniform(0, np.pi)))
        image = np.asarray(blurred, dtype=np.uint8)
    gain = 1 + rng.uniform(-settings.contrast, settings.contrast)
    shift = 127.5 * rng.uniform(-settings.contrast, settings.contrast)
    levels = np.clip(gain * np.arange(256) + 127.5 * (1 - gain) + shift, 0, 255).astype(np.uint8)
    image = levels[image]
    deviation = rng.uniform(0, settings.noise)
    if deviation > 0.5:
        noise = rng.standard_normal(image.shape[:2], dtype=np.float32)[..., None] * np.float32(deviation)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    return image


def _line(length: float, angle: float) -> Floats:
    """A kernel that blurs along a line, its center of mass in its middle so that nothing moves."""
    half = int(np.ceil(length / 2))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    along, across = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    inside = np.clip(length / 2 + 0.5 - np.abs(along), 0, 1) * np.clip(1 - np.abs(across), 0, 1)
    return (inside / inside.sum()).astype(np.float32)
