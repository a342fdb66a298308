"""What is behind the board: a room with things in it that no detector should take for a board."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["make_room"]

_PLAIN = 0.35
_THINGS = 24


def make_room(
    size: tuple[int, int], *, seed: tuple[int, ...], color: bool = False, plain: bool = False
) -> NDArray[np.float32]:
    """(height, width, 1), in color (height, width, 3): the share of the light that comes back from a room.

    Walls with a gradient and stains, furniture, cables and lamps; plain is gray everywhere.
    """
    width, height = size
    channels = 3 if color else 1
    if plain:
        return np.full((height, width, channels), _PLAIN, dtype=np.float32)
    rng = np.random.default_rng([*seed, 7])
    tints = np.asarray(rng.uniform(0.85, 1.15, (_THINGS, 3)) if color else np.ones((_THINGS, 1)), dtype=np.float32)
    room = (0.42 + _stains(size, rng))[..., None] * tints[0]
    for number in range(1, _THINGS):
        mask = _thing(size, number % 4, rng)[..., None]
        tone = np.float32(np.clip(rng.normal(0.38, 0.24), 0.03, 0.95))
        room += mask * (tone * (1 + 0.5 * _stains(size, rng, coarse=True)[..., None]) * tints[number] - room)
    room = np.clip(room, 0.02, 1.0).astype(np.float32)
    # Behind the board it is a little out of focus.
    return np.asarray(cv2.GaussianBlur(room, (0, 0), width / 640), dtype=np.float32).reshape(height, width, channels)


def _stains(size: tuple[int, int], rng: np.random.Generator, *, coarse: bool = False) -> NDArray[np.float32]:
    """Smooth irregularities of several sizes, of mean 0 and up to a few tenths high."""
    total = np.zeros(size[::-1], dtype=np.float32)
    for cells, height in ((3, 0.2),) if coarse else ((2, 0.3), (7, 0.08), (30, 0.03), (120, 0.02)):
        grid = rng.uniform(-1, 1, (cells, cells + 1)).astype(np.float32)
        total += height * cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
    return total


def _thing(size: tuple[int, int], kind: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Where one thing is, 0 to 1: a box, a blob, a cable or a row of narrow boxes as books on a shelf."""
    width, height = size
    mask = np.zeros((height, width), dtype=np.uint8)
    middle = rng.uniform(0, 1, 2) * size
    extent = rng.uniform(0.03, 0.2, 2) * width
    turn = float(rng.normal(0, 8))
    if kind == 0:
        corners = cv2.boxPoints((tuple(middle), tuple(extent), turn))
        cv2.fillPoly(mask, [np.rint(16 * corners).astype(np.int32)], 255, cv2.LINE_AA, 4)
    elif kind == 1:
        cv2.ellipse(mask, (tuple(middle), tuple(0.6 * extent), turn * 5), 255, -1, cv2.LINE_AA)
    elif kind == 2:
        way = np.cumsum(rng.normal(0, 0.06 * width, (8, 2)), axis=0) + middle
        fine = np.stack([np.interp(np.linspace(0, 7, 80), np.arange(8), axis) for axis in way.T], axis=-1)
        thickness = int(rng.integers(1, max(2, width // 120)))
        cv2.polylines(mask, [np.rint(16 * fine).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, 4)
    else:
        edges = middle[0] + np.cumsum(rng.uniform(0.006, 0.02, 14)) * width
        for left, right in zip(edges[::2], edges[1::2], strict=True):
            top, bottom = middle[1] + rng.uniform(-0.02, 0.02) * height, middle[1] + 0.12 * height
            box = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
            cv2.fillPoly(mask, [np.rint(16 * box).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return np.asarray(mask / np.float32(255), dtype=np.float32)
