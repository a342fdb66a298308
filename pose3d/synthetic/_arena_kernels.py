"""The numba kernel of `pose3d.synthetic._arena`: what stands still, as one camera sees it.

Rows of things: 0 kind (0 box, 1 upright cylinder), 1 center x, 2 center y, 3 cosine and 4 sine of its turn, 5 and 6
half its width and depth (or 5 its radius), 7 height, 8 color, 11 other color, 14 width of its stripes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from calibration.kernels import kept

__all__ = ["THING", "blocked", "still_life"]

THING = 15

_jit = njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "arcp", "nsz"})
_jit_and_keep = kept(_jit)

_FAR = 1e9
_AMBIENT, _KEY = 0.60, 0.75  # as in _render_kernels


@_jit
def _hash(i, j, draw):
    h = np.uint32(i) * np.uint32(374761393) + np.uint32(j) * np.uint32(668265263)
    h += np.uint32(draw) * np.uint32(1274126177)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
    h ^= h >> np.uint32(16)
    return np.float64(h & np.uint32(0xFFFFFF)) / 16777216.0


@_jit
def _noise(x, y, draw):
    fx, fy = np.floor(x), np.floor(y)
    i, j = np.int64(fx), np.int64(fy)
    u, v = x - fx, y - fy
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    below = (1 - u) * _hash(i, j, draw) + u * _hash(i + 1, j, draw)
    return (1 - v) * below + v * ((1 - u) * _hash(i, j + 1, draw) + u * _hash(i + 1, j + 1, draw))


@_jit
def _meet(ox, oy, oz, dx, dy, dz, thing, normal):
    """Distance along a ray to a thing, its normal there into `normal`; far if it is not met."""
    x, y = ox - thing[1], oy - thing[2]
    co, si = thing[3], thing[4]
    ax, ay = co * x + si * y, co * y - si * x
    bx, by = co * dx + si * dy, co * dy - si * dx
    if thing[0] == 0.0:
        near, far, axis, side = 0.0, _FAR, -1, 0.0
        for i in range(3):
            o = ax if i == 0 else (ay if i == 1 else oz - 0.5 * thing[7])
            d = bx if i == 0 else (by if i == 1 else dz)
            half = thing[5 + i] if i < 2 else 0.5 * thing[7]
            if abs(d) < 1e-12:
                if abs(o) > half:
                    return _FAR
                continue
            first, last = (-half - o) / d, (half - o) / d
            sign = -1.0
            if first > last:
                first, last, sign = last, first, 1.0
            if first > near:
                near, axis, side = first, i, sign
            far = min(far, last)
        if near >= far or axis < 0:
            return _FAR
        nx, ny = (side if axis == 0 else 0.0), (side if axis == 1 else 0.0)
        normal[0], normal[1], normal[2] = co * nx - si * ny, si * nx + co * ny, (side if axis == 2 else 0.0)
        return near
    a, b, c = bx * bx + by * by, ax * bx + ay * by, ax * ax + ay * ay - thing[5] * thing[5]
    best = _FAR
    root = b * b - a * c
    if root > 0 and a > 1e-12:
        t = (-b - np.sqrt(root)) / a
        z = oz + t * dz
        if t > 0 and 0 <= z <= thing[7]:
            best = t
            nx, ny = (ax + t * bx) / thing[5], (ay + t * by) / thing[5]
            normal[0], normal[1], normal[2] = co * nx - si * ny, si * nx + co * ny, 0.0
    if dz < -1e-12:
        t = (thing[7] - oz) / dz
        x, y = ax + t * bx, ay + t * by
        if 0 < t < best and x * x + y * y < thing[5] * thing[5]:
            best = t
            normal[0], normal[1], normal[2] = 0.0, 0.0, 1.0
    return best


@_jit
def _nearest(ox, oy, oz, dx, dy, dz, things, normal):
    best, which = _FAR, -1
    found = np.zeros(3)
    for index in range(len(things)):
        t = _meet(ox, oy, oz, dx, dy, dz, things[index], found)
        if t < best:
            best, which = t, index
            normal[0], normal[1], normal[2] = found[0], found[1], found[2]
    return best, which


@_jit
def _floor(x, y, unit, radius, table, draw, color):
    """Color of the floor: bedding in a round arena with a dark rim, on a table. False beyond the table."""
    far = np.sqrt(x * x + y * y)
    if far > table:
        return False
    coarse = _noise(x * unit / 60.0 + 11.0, y * unit / 60.0 + 5.0, draw)
    fine = _noise(x * unit / 9.0, y * unit / 9.0, draw + 1)
    grain = _noise(x * unit / 2.5, y * unit / 2.5, draw + 2)
    if far > radius:
        edge = 0.55 if far < 1.02 * radius else 1.0
        tone = edge * (0.30 + 0.06 * (coarse - 0.5) + 0.03 * (grain - 0.5))
        color[0], color[1], color[2] = tone, tone * 0.98, tone * 0.95
        return True
    tone = 0.47 + 0.16 * (coarse - 0.5) + 0.09 * (fine - 0.5) + 0.09 * (grain - 0.5)
    color[0], color[1], color[2] = 1.05 * tone, tone, 0.88 * tone
    # Chips: in some cells of a grid lies one, turned anyhow.
    cell = 13.0 / unit
    i, j = np.int64(np.floor(x / cell)), np.int64(np.floor(y / cell))
    chance = _hash(i, j, draw + 3)
    if chance < 0.35:
        u = x / cell - i - 0.3 - 0.4 * _hash(i, j, draw + 4)
        v = y / cell - j - 0.3 - 0.4 * _hash(i, j, draw + 5)
        turn = 6.2831853 * _hash(i, j, draw + 6)
        a, b = np.cos(turn) * u + np.sin(turn) * v, np.cos(turn) * v - np.sin(turn) * u
        if (a / 0.24) ** 2 + (b / 0.08) ** 2 < 1:
            share = 0.45 if chance < 0.15 else 1.45
            for k in range(3):
                color[k] *= share
    return True


@_jit_and_keep
def still_life(rays, offsets, center, rotation, room, things, unit, radius, table, draw, light, picture, distance,
               floor):  # fmt: skip
    """Floor, things on it and the room behind, with shadows, into `picture`, `distance` and `floor`.

    Args:
        rays: (h, w, 2) normalized coordinates of the pixel centers, NaN beyond the lens.
        offsets: (sample, 2) places of the samples, in pixels from the center.
        center: (3,) of the camera; rotation: (3, 3) of its world_from_cam.
        room: (h, w, 3) float32 what is seen behind the table.
        things: (thing, THING).
        unit: plan millimeters per unit; radius: of the arena; table: of the table; draw: of the floor's pattern.
        light: (3,) direction to the light.
        picture: (h, w, 3) float32; distance: (h, w, sample) float32 along the ray; floor: (h, w, 2) float32 where the
            pixel center is on the floor, NaN where it is not.
    """
    height, width = rays.shape[:2]
    color, normal, unused = np.zeros(3), np.zeros(3), np.zeros(3)
    samples = len(offsets)
    for r in range(height):
        for c in range(width):
            below, above = max(r - 1, 0), min(r + 1, height - 1)
            before, after = max(c - 1, 0), min(c + 1, width - 1)
            floor[r, c, 0] = floor[r, c, 1] = np.nan
            red, green, blue = 0.0, 0.0, 0.0
            for s in range(samples + 1):
                # The last sample is the pixel center; only where it is on the floor matters.
                across, down = (offsets[s, 0], offsets[s, 1]) if s < samples else (0.0, 0.0)
                u = rays[r, c, 0] + across * (rays[r, after, 0] - rays[r, before, 0]) / (after - before)
                u += down * (rays[above, c, 0] - rays[below, c, 0]) / (above - below)
                v = rays[r, c, 1] + across * (rays[r, after, 1] - rays[r, before, 1]) / (after - before)
                v += down * (rays[above, c, 1] - rays[below, c, 1]) / (above - below)
                if not np.isfinite(u + v):
                    if s < samples:
                        distance[r, c, s] = 0.0
                    continue
                length = np.sqrt(u * u + v * v + 1.0)
                dx = (rotation[0, 0] * u + rotation[0, 1] * v + rotation[0, 2]) / length
                dy = (rotation[1, 0] * u + rotation[1, 1] * v + rotation[1, 2]) / length
                dz = (rotation[2, 0] * u + rotation[2, 1] * v + rotation[2, 2]) / length
                t, which = _nearest(center[0], center[1], center[2], dx, dy, dz, things, normal)
                ground = -center[2] / dz if dz * center[2] < 0 else _FAR
                if s == samples:
                    x, y = center[0] + ground * dx, center[1] + ground * dy
                    if ground < t and x * x + y * y < table * table:
                        floor[r, c, 0], floor[r, c, 1] = x, y
                    continue
                # Behind the table there is nothing that a body could be behind of.
                distance[r, c, s] = min(t, ground)
                x, y, z = center[0] + t * dx, center[1] + t * dy, center[2] + t * dz
                if ground < t:
                    x, y, z = center[0] + ground * dx, center[1] + ground * dy, 0.0
                    if not _floor(x, y, unit, radius, table, draw, color):
                        red, green, blue = red + room[r, c, 0], green + room[r, c, 1], blue + room[r, c, 2]
                        continue
                    normal[0], normal[1], normal[2] = 0.0, 0.0, 1.0
                elif which >= 0:
                    thing = things[which]
                    side = thing[3] * (x - thing[1]) + thing[4] * (y - thing[2]) + 0.6 * z
                    other = 3 if np.int64(np.floor(side / thing[14])) % 2 else 0
                    for k in range(3):
                        color[k] = thing[8 + other + k]
                else:
                    red, green, blue = red + room[r, c, 0], green + room[r, c, 1], blue + room[r, c, 2]
                    continue
                facing = normal[0] * light[0] + normal[1] * light[1] + normal[2] * light[2]
                lit = max(facing, 0.0)
                if lit > 0.0:
                    e = 1e-3 / unit
                    shadow, _ = _nearest(x + e * normal[0], y + e * normal[1], z + e * normal[2], light[0], light[1],
                                         light[2], things, unused)  # fmt: skip
                    lit *= 1.0 if shadow >= _FAR else 0.15
                level = _AMBIENT * (0.66 + 0.34 * normal[2]) + _KEY * lit
                red, green, blue = red + level * color[0], green + level * color[1], blue + level * color[2]
            picture[r, c, 0], picture[r, c, 1], picture[r, c, 2] = red / samples, green / samples, blue / samples


@_jit_and_keep
def blocked(centers, points, things, result):
    """Into `result` (camera, point) bool: is one of the things between the camera and the point?"""
    normal = np.zeros(3)
    for camera in range(len(centers)):
        ox, oy, oz = centers[camera]
        for point in range(len(points)):
            dx, dy, dz = points[point, 0] - ox, points[point, 1] - oy, points[point, 2] - oz
            length = np.sqrt(dx * dx + dy * dy + dz * dz)
            t, _ = _nearest(ox, oy, oz, dx / length, dy / length, dz / length, things, normal)
            result[camera, point] = t < length
