"""The numba kernels of `pose3d.synthetic.rendering` around the rays: tiles, shadows on the floor, the sensor."""

from __future__ import annotations

import numpy as np
from numba import njit

from calibration.kernels import kept

__all__ = ["develop", "floor_light", "tile_lists"]

_jit = njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "arcp", "nsz"})
_jit_and_keep = kept(_jit)

_FAR = 1e9
_AMBIENT, _KEY = 0.60, 0.75  # as in _render_kernels


@_jit_and_keep
def tile_lists(boxes, distances, columns, rows, edge):
    """Which parts can appear in which tile.

    Args:
        boxes: (part, 4) first and last column and row of tiles, the last included; empty where last < first.
        distances: (part, 3) of the nearest and the farthest point of the part from the camera, and how far it moves.
        columns, rows: number of tiles.
        edge: of a tile, in pixels.

    Returns:
        tiles: (tile, 2) column and row of the first pixel; tiles without parts are left out.
        begins: (tile + 1,) of its part of `parts`; parts: numbers of parts, rising within a tile.
        spans: (tile, 3) nearest and farthest distance, and how far a part moves during half an exposure.
    """
    count = np.zeros(columns * rows, np.int64)
    for part in range(len(boxes)):
        for r in range(boxes[part, 2], boxes[part, 3] + 1):
            for c in range(boxes[part, 0], boxes[part, 1] + 1):
                count[r * columns + c] += 1
    used = np.flatnonzero(count)
    slot = np.full(columns * rows, -1, np.int64)
    begins = np.zeros(len(used) + 1, np.int64)
    tiles = np.zeros((len(used), 2), np.int64)
    spans = np.zeros((len(used), 3))
    for index in range(len(used)):
        slot[used[index]] = index
        begins[index + 1] = begins[index] + count[used[index]]
        tiles[index, 0], tiles[index, 1] = used[index] % columns * edge, used[index] // columns * edge
        spans[index, 0] = _FAR
    parts = np.zeros(begins[-1], np.int64)
    filled = begins[:-1].copy()
    for part in range(len(boxes)):
        for r in range(boxes[part, 2], boxes[part, 3] + 1):
            for c in range(boxes[part, 0], boxes[part, 1] + 1):
                index = slot[r * columns + c]
                parts[filled[index]] = part
                filled[index] += 1
                spans[index, 0] = min(spans[index, 0], distances[part, 0])
                spans[index, 1] = max(spans[index, 1], distances[part, 1])
                spans[index, 2] = max(spans[index, 2], distances[part, 2])
    return tiles, begins, parts, spans


@_jit_and_keep
def floor_light(x, y, rows, unit, light, share):
    """Into `share` (h, w): of the light that falls on the floor, what bodies leave of it at points x (w,), y (h,).

    The key light is a disc in the sky, so that shadows are soft where the body is far above; contact darkens the rest.
    """
    for r in range(len(y)):
        for c in range(len(x)):
            key, covered = 1.0, 0.0
            for part in range(len(rows)):
                ellipsoid = rows[part, 11] > 0.0
                ax, ay, az = rows[part, 0] - x[c], rows[part, 1] - y[r], rows[part, 2]
                bx, by, bz = (0.0, 0.0, 0.0) if ellipsoid else (rows[part, 3], rows[part, 4], rows[part, 5])
                radius = 0.6 * rows[part, 7] if ellipsoid else rows[part, 7]
                # Nearest points of the ray to the light and the axis of the part.
                bb = bx * bx + by * by + bz * bz
                bl = bx * light[0] + by * light[1] + bz * light[2]
                al = ax * light[0] + ay * light[1] + az * light[2]
                ab = ax * bx + ay * by + az * bz
                h = (bl * al - ab) / max(bb - bl * bl, 1e-9)
                h = min(max(h, 0.0), 1.0)
                qx, qy, qz = ax + h * bx, ay + h * by, az + h * bz
                t = max(qx * light[0] + qy * light[1] + qz * light[2], 0.0)
                gx, gy, gz = qx - t * light[0], qy - t * light[1], qz - t * light[2]
                gap = np.sqrt(gx * gx + gy * gy + gz * gz) - (radius + (0.0 if ellipsoid else h * rows[part, 8]))
                soft = 0.8 / unit + 0.16 * t
                lit = min(max(0.5 + 0.5 * gap / soft, 0.0), 1.0)
                key = min(key, lit * lit * (3.0 - 2.0 * lit))
                # Contact: the part of the sky that the part of the body covers.
                h = -ab / max(bb, 1e-9)
                h = min(max(h, 0.0), 1.0)
                qx, qy, qz = ax + h * bx, ay + h * by, az + h * bz
                size = radius + (0.0 if ellipsoid else h * rows[part, 8])
                square = max(qx * qx + qy * qy + qz * qz, size * size)
                covered += size * size * max(qz, 0.3 * size) / (square * np.sqrt(square))
            share[r, c] = (_AMBIENT / (1.0 + 0.55 * covered) + _KEY * light[2] * key) / (_AMBIENT + _KEY * light[2])


@_jit_and_keep
def develop(light, gain, noise, starts, deviation, image):
    """Into `image` (h, w, channel) uint8: gray levels of light, with the noise of the sensor.

    Args:
        light: (h, w, channel) float32, 1 is white.
        gain: (h, w) float32 gray levels of white.
        noise: (n,) float32 standard normal; row r takes its numbers from starts[r] on.
        deviation: of the noise at medium gray; it grows with the root of the light, and a fifth of its square is there
            in the dark.
    """
    height, width, channels = light.shape
    for r in range(height):
        position = starts[r]
        for c in range(width):
            for i in range(channels):
                level = np.float32(light[r, c, i] * gain[r, c])
                if deviation > 0:
                    spread = deviation * np.sqrt(np.float32(0.2) + np.float32(0.00625) * max(level, np.float32(0.0)))
                    level += np.float32(spread * noise[position])
                    position += 1
                image[r, c, i] = np.uint8(min(max(level + np.float32(0.5), np.float32(0.0)), np.float32(255.0)))
