"""Which views of a board tell most about a lens: where in the image the corners are, and how the board is tilted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.transforms import RigidTransform

__all__ = ["Coverage", "choose_views", "image_coverage", "image_reach", "view_features", "view_tilts"]

Array = NDArray[np.float64]

# About a hundred cells, as square as the image allows: a third of the width of a board that fills half the image.
_CELLS = 96
# Edges of the classes of tilt, in radians; beyond the first one, four directions are told apart.
_TILTS = np.deg2rad([10.0, 25.0, 40.0])
# What a class of tilt or distance counts, in cells of the image: a board covers 10 to 40 cells.
_TILT_WORTH, _DISTANCE_WORTH = 8.0, 4.0


@dataclass(frozen=True, eq=False)
class Coverage:
    """Where in the image corners were seen.

    Attributes:
        cells: (row, column) number of corners in each cell of a grid over the image.
        share: share of the cells that have corners.
        radius: distance of the outermost corner from the middle of the image, as a share of half the diagonal.
    """

    cells: NDArray[np.intp]
    share: float
    radius: float


def image_coverage(size: tuple[int, int], position: Array) -> Coverage:
    """The coverage of an image of `size` by corners (view, corner, 2), NaN where not seen."""
    columns, rows = _grid(size)
    seen = np.isfinite(position[..., 0]) & np.isfinite(position[..., 1])
    cells = np.bincount(_cell_numbers(size, position[seen]), minlength=columns * rows).reshape(rows, columns)
    radius = image_reach(size, position) / (float(np.hypot(*size)) / 2)
    return Coverage(cells, float((cells > 0).mean()), radius)


def image_reach(size: tuple[int, int], position: Array) -> float:
    """Distance of the outermost corner from the middle of the image in px."""
    offset = position - (np.array(size) - 1) / 2
    return float(np.nanmax(np.hypot(offset[..., 0], offset[..., 1]), initial=0.0))


def view_tilts(cam_from_board: RigidTransform) -> tuple[Array, Array]:
    """Angle (view,) between the normal of the board and the optical axis, and the direction (view,) it points to."""
    x, y, z = np.moveaxis(cam_from_board.rotation[..., 2], -1, 0)
    return np.arccos(np.clip(np.abs(z), 0.0, 1.0)), np.arctan2(y * np.sign(z), x * np.sign(z))


def view_features(size: tuple[int, int], position: Array, tilt: Array, direction: Array, depth: Array) -> Array:
    """(view, feature) what each view adds: cells of the image, classes of tilt, classes of distance.

    Args:
        size: width and height of the image.
        position: (view, corner, 2) pixels, NaN where not seen.
        tilt, direction: (view,) radians, see `view_tilts`.
        depth: (view,) distance of the board.
    """
    views = len(position)
    columns, rows = _grid(size)
    seen = np.isfinite(position[..., 0]) & np.isfinite(position[..., 1])
    number = np.nonzero(seen)[0] * (columns * rows) + _cell_numbers(size, position[seen])
    cells = np.bincount(number, minlength=views * columns * rows).reshape(views, -1) > 0
    steepness = np.searchsorted(_TILTS, tilt)
    quadrant = np.floor((direction + np.pi) / (np.pi / 2)).astype(np.intp) % 4
    tilts = np.eye(1 + 4 * len(_TILTS))[np.where(steepness == 0, 0, 1 + 4 * (steepness - 1) + quadrant)]
    octave = np.floor(2 * np.log2(depth / np.median(depth)) + 0.5).astype(np.intp) if views else np.zeros(0, np.intp)
    distances = np.eye(9)[np.clip(octave, -4, 4) + 4]
    return np.concatenate([cells.astype(np.float64), _TILT_WORTH * tilts, _DISTANCE_WORTH * distances], axis=1)


def choose_views(features: Array, count: int) -> NDArray[np.intp]:
    """Indices (at most `count`,) of views, in order; each in turn is the one that adds most to those before it.

    What a feature adds shrinks as 1 / (1 + how often it is there already): the greedy choice for a concave gain.
    """
    if len(features) <= count:
        return np.arange(len(features))
    left = features.copy()
    total = np.zeros(features.shape[1])
    chosen = np.zeros(count, dtype=np.intp)
    for place in range(count):
        chosen[place] = best = int(np.argmax(left @ (1 / (1 + total))))
        total += features[best]
        left[best] = -1.0
    return np.sort(chosen)


def _grid(size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    columns = max(2, round(float(np.sqrt(_CELLS * width / height))))
    return columns, max(2, round(_CELLS / columns))


def _cell_numbers(size: tuple[int, int], pixels: Array) -> NDArray[np.intp]:
    columns, rows = _grid(size)
    place = np.floor((pixels + 0.5) / np.array(size) * [columns, rows]).astype(np.intp)
    x, y = np.clip(place, 0, [columns - 1, rows - 1]).T
    return np.asarray(y * columns + x)
