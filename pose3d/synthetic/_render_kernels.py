"""The numba kernels of `pose3d.synthetic.rendering` that follow rays into bodies; `_picture_kernels` has the others.

A body is a union of round cones and ellipsoids whose seams are smoothed: the signed distance of a point from it is
nearly the true one, so a ray walks by this distance until it arrives (sphere tracing, Hart 1996). The picture is cut
into tiles of `TILE` pixels; a tile knows which parts can appear in it, a handful of the forty of an animal.

The layout of the rows of parts stands in `_bodies`. All that calls each other stands in this one file, see `kept`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from calibration.kernels import kept

__all__ = ["ARRIVED", "GEOMETRY", "LOOK", "TILE", "find_bodies", "first_hit", "render"]

GEOMETRY, LOOK = 24, 19
TILE = 4

_jit = njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "arcp", "nsz"})
_jit_and_keep = kept(_jit)

_FAR = 1e9
# The distance from an ellipsoid, and from a cone beside its cap, is not exact: steps are this much shorter.
_CAUTION = 0.9
_MOST_STEPS = 60
# Rays arrive this close to a surface, in units of the plan (mm of a mouse of 80 mm): a thirtieth of a pixel or less.
ARRIVED = 0.02
_AMBIENT, _KEY = 0.60, 0.75


@_jit
def _hash(x, y, z, draw):
    h = np.uint32(x) * np.uint32(374761393) + np.uint32(y) * np.uint32(668265263)
    h += np.uint32(z) * np.uint32(2147483647) + np.uint32(draw) * np.uint32(1274126177)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
    h ^= h >> np.uint32(16)
    return np.float64(h & np.uint32(0xFFFFFF)) / 16777216.0


@_jit
def _noise(x, y, z, draw):
    """Smooth noise from 0 to 1 whose grid has the width 1."""
    fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
    i, j, k = np.int64(fx), np.int64(fy), np.int64(fz)
    u, v, w = x - fx, y - fy, z - fz
    u, v, w = u * u * (3 - 2 * u), v * v * (3 - 2 * v), w * w * (3 - 2 * w)
    total = 0.0
    for a in range(2):
        for b in range(2):
            edge = (u if a else 1 - u) * (v if b else 1 - v)
            total += edge * ((1 - w) * _hash(i + a, j + b, k, draw) + w * _hash(i + a, j + b, k + 1, draw))
    return total


@_jit
def _part_distance(px, py, pz, rows, part):
    """Signed distance of a point from a part, and how far along its axis the nearest point is (0 to 1)."""
    x, y, z = px - rows[part, 0], py - rows[part, 1], pz - rows[part, 2]
    if rows[part, 11] == 0.0:
        h = (x * rows[part, 3] + y * rows[part, 4] + z * rows[part, 5]) * rows[part, 6]
        h = min(max(h, 0.0), 1.0)
        x, y, z = x - h * rows[part, 3], y - h * rows[part, 4], z - h * rows[part, 5]
        return np.sqrt(x * x + y * y + z * z) - (rows[part, 7] + h * rows[part, 8]), h
    a = (x * rows[part, 15] + y * rows[part, 16] + z * rows[part, 17]) / rows[part, 3]
    b = (x * rows[part, 18] + y * rows[part, 19] + z * rows[part, 20]) / rows[part, 4]
    c = (x * rows[part, 21] + y * rows[part, 22] + z * rows[part, 23]) / rows[part, 5]
    k0 = np.sqrt(a * a + b * b + c * c)
    a, b, c = a / rows[part, 3], b / rows[part, 4], c / rows[part, 5]
    k1 = np.sqrt(a * a + b * b + c * c)
    return (k0 * (k0 - 1.0) / k1 if k1 > 1e-12 else -min(rows[part, 3], rows[part, 4], rows[part, 5])), 0.0


@_jit
def _distance(px, py, pz, rows, animal, parts, begin, end):
    """Signed distance from the bodies, and whose is the nearest: smooth seams in a body, sharp ones between bodies."""
    best, who, current, current_who = _FAR, -1, _FAR, -1
    for position in range(begin, end):
        part = parts[position]
        d, _ = _part_distance(px, py, pz, rows, part)
        if animal[part] != current_who:
            if current < best:
                best, who = current, current_who
            current, current_who = d, animal[part]
        else:
            overlap = max(rows[part, 9] - abs(current - d), 0.0)
            current = min(current, d) - overlap * overlap / (4.0 * rows[part, 9])
    return (current, current_who) if current < best else (best, who)


@_jit
def _part_gradient(px, py, pz, rows, part):
    """Signed distance of a point from a part and its derivative by the point."""
    x, y, z = px - rows[part, 0], py - rows[part, 1], pz - rows[part, 2]
    if rows[part, 11] == 0.0:
        along = (x * rows[part, 3] + y * rows[part, 4] + z * rows[part, 5]) * rows[part, 6]
        h = min(max(along, 0.0), 1.0)
        x, y, z = x - h * rows[part, 3], y - h * rows[part, 4], z - h * rows[part, 5]
        length = np.sqrt(x * x + y * y + z * z)
        scale = 1.0 / max(length, 1e-12)
        rise = rows[part, 8] * rows[part, 6] if h == along else 0.0
        x, y, z = x * scale - rise * rows[part, 3], y * scale - rise * rows[part, 4], z * scale - rise * rows[part, 5]
        return length - (rows[part, 7] + h * rows[part, 8]), x, y, z
    a = (x * rows[part, 15] + y * rows[part, 16] + z * rows[part, 17]) / (rows[part, 3] * rows[part, 3])
    b = (x * rows[part, 18] + y * rows[part, 19] + z * rows[part, 20]) / (rows[part, 4] * rows[part, 4])
    c = (x * rows[part, 21] + y * rows[part, 22] + z * rows[part, 23]) / (rows[part, 5] * rows[part, 5])
    scale = 1.0 / max(np.sqrt(a * a + b * b + c * c), 1e-12)
    a, b, c = a * scale, b * scale, c * scale
    d, _ = _part_distance(px, py, pz, rows, part)
    x = a * rows[part, 15] + b * rows[part, 18] + c * rows[part, 21]
    y = a * rows[part, 16] + b * rows[part, 19] + c * rows[part, 22]
    z = a * rows[part, 17] + b * rows[part, 20] + c * rows[part, 23]
    return d, x, y, z


@_jit
def _normal(px, py, pz, who, rows, animal, parts, begin, end):
    """Unit normal of the body of `who` at a point of its surface."""
    current, nx, ny, nz = _FAR, 0.0, 0.0, 0.0
    for position in range(begin, end):
        part = parts[position]
        if animal[part] != who:
            continue
        d, gx, gy, gz = _part_gradient(px, py, pz, rows, part)
        overlap = max(rows[part, 9] - abs(current - d), 0.0)
        # The seam goes from one part's slope to the other's.
        share = 0.5 * overlap / rows[part, 9]
        share = 1.0 - share if d < current else share
        nx, ny, nz = nx + share * (gx - nx), ny + share * (gy - ny), nz + share * (gz - nz)
        current = min(current, d) - overlap * overlap / (4.0 * rows[part, 9])
    length = max(np.sqrt(nx * nx + ny * ny + nz * nz), 1e-12)
    return nx / length, ny / length, nz / length


@_jit
def _march(ox, oy, oz, dx, dy, dz, near, far, arrived, rows, animal, parts, begin, end):
    """How far along a ray the first surface is, and whose; beyond `far` nobody's. And how far off the ray passes by."""
    t, closest = near, _FAR
    for _ in range(_MOST_STEPS):
        d, who = _distance(ox + t * dx, oy + t * dy, oz + t * dz, rows, animal, parts, begin, end)
        if d < arrived:
            return t, who, 0.0
        closest = min(closest, d)
        t += _CAUTION * d
        if t > far:
            break
    return _FAR, -1, closest


@_jit
def _mixed(px, py, pz, nx, ny, nz, who, rows, looks, animal, parts, begin, end, color):
    """Color of a surface point, of all parts of `who` near it, into `color`; returns its shine."""
    nearest = _FAR
    for position in range(begin, end):
        part = parts[position]
        if animal[part] == who:
            d, _ = _part_distance(px, py, pz, rows, part)
            nearest = min(nearest, d)
    total, shine = 0.0, 0.0
    red, green, blue = 0.0, 0.0, 0.0
    for position in range(begin, end):
        part = parts[position]
        if animal[part] != who:
            continue
        d, h = _part_distance(px, py, pz, rows, part)
        weight = 1.0 - (d - nearest) / (0.6 * rows[part, 9])
        if weight <= 0.0:
            continue
        weight *= weight
        _paint(px, py, pz, nx, ny, nz, h, rows, looks, part, color)
        red, green, blue = red + weight * color[0], green + weight * color[1], blue + weight * color[2]
        shine += weight * looks[part, 13]
        total += weight
    color[0], color[1], color[2] = red / total, green / total, blue / total
    return shine / total


@_jit
def _paint(px, py, pz, nx, ny, nz, h, rows, looks, part, color):
    """Color of one part at a point with a normal, into `color`."""
    x, y, z = px - rows[part, 12], py - rows[part, 13], pz - rows[part, 14]
    unit = looks[part, 18]
    a = (x * rows[part, 15] + y * rows[part, 16] + z * rows[part, 17]) * unit
    b = (x * rows[part, 18] + y * rows[part, 19] + z * rows[part, 20]) * unit
    c = (x * rows[part, 21] + y * rows[part, 22] + z * rows[part, 23]) * unit
    for i in range(3):
        color[i] = looks[part, i] + h * (looks[part, 3 + i] - looks[part, i])
    pattern = looks[part, 14]
    if looks[part, 15] > 0.0:
        patch = _noise(0.055 * a + 7.3, 0.055 * b + 3.1, 0.055 * c + 5.7, looks[part, 16])
        share = min(max((patch - 0.5) * 12.0, 0.0), 1.0)
        for i in range(3):
            color[i] += share * (looks[part, 9 + i] - color[i])
    share = 0.0
    if pattern == 1.0:  # the belly, where fur looks down
        share = min(max(-1.6 * (nx * rows[part, 21] + ny * rows[part, 22] + nz * rows[part, 23]) - 0.25, 0.0), 1.0)
    elif pattern == 2.0:  # the inner side of the ear, but for its rim
        front = nx * rows[part, 15] + ny * rows[part, 16] + nz * rows[part, 17]
        share = min(max(3.0 * (front - 0.55), 0.0), 1.0)
    elif pattern == 3.0:  # rings of the tail
        ring = 1.0 + 0.12 * np.sin(2.6 * np.sqrt(a * a + b * b + c * c))
        for i in range(3):
            color[i] *= ring
    for i in range(3):
        color[i] += share * (looks[part, 6 + i] - color[i])
    if looks[part, 12] > 0.0:
        # Hairs run along the body: fine across, long along; and tufts.
        hair = _noise(0.35 * a, 1.3 * b, 1.3 * c, looks[part, 16] + 1) - 0.5
        tuft = _noise(0.16 * a, 0.25 * b, 0.25 * c, looks[part, 16] + 2) - 0.5
        shade = 1.0 + looks[part, 12] * (0.42 * hair + 0.25 * tuft)
        for i in range(3):
            color[i] *= shade


@_jit
def _shaded(px, py, pz, dx, dy, dz, who, unit, light, rows, looks, animal, parts, begin, end, color):
    """Light from a surface point toward where the ray comes from, into `color`."""
    nx, ny, nz = _normal(px, py, pz, who, rows, animal, parts, begin, end)
    shine = _mixed(px, py, pz, nx, ny, nz, who, rows, looks, animal, parts, begin, end, color)
    # How open it is above the point, a few millimeters out, and how near the floor.
    reach = 5.0 / unit
    d, _ = _distance(px + reach * nx, py + reach * ny, pz + reach * nz, rows, animal, parts, begin, end)
    opened = 0.45 + 0.55 * min(max(d / reach, 0.0), 1.0)
    floor = 1.0 - 0.35 * max(0.0, -nz) * np.exp(-pz * unit / 12.0)
    ambient = _AMBIENT * (0.66 + 0.34 * nz) * opened * floor
    facing = nx * light[0] + ny * light[1] + nz * light[2]
    # Fur scatters: light wraps a little around the terminator.
    key = _KEY * max(0.0, (facing + 0.15) / 1.15) * min(1.0, 0.4 + opened)
    view = -(nx * dx + ny * dy + nz * dz)
    rim = 0.10 * (1.0 - max(view, 0.0)) ** 3 * (1.0 - shine)
    hx, hy, hz = light[0] - dx, light[1] - dy, light[2] - dz
    half = (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz)
    glint = shine * max(half, 0.0) ** 30
    for i in range(3):
        color[i] = color[i] * (ambient + key) + rim * (0.3 + color[i]) + glint


@_jit
def _ray(rays, r, c, across, down, rotation):
    """Unit direction in the world of a place in a pixel, by the rays of its neighbors; NaN beyond the lens."""
    height, width = rays.shape[:2]
    below, above = max(r - 1, 0), min(r + 1, height - 1)
    before, after = max(c - 1, 0), min(c + 1, width - 1)
    u, v = rays[r, c, 0], rays[r, c, 1]
    step = across / max(after - before, 1)
    u += step * (rays[r, after, 0] - rays[r, before, 0])
    v += step * (rays[r, after, 1] - rays[r, before, 1])
    step = down / max(above - below, 1)
    u += step * (rays[above, c, 0] - rays[below, c, 0])
    v += step * (rays[above, c, 1] - rays[below, c, 1])
    scale = 1.0 / np.sqrt(u * u + v * v + 1.0)
    return (
        (rotation[0, 0] * u + rotation[0, 1] * v + rotation[0, 2]) * scale,
        (rotation[1, 0] * u + rotation[1, 1] * v + rotation[1, 2]) * scale,
        (rotation[2, 0] * u + rotation[2, 1] * v + rotation[2, 2]) * scale,
    )


@_jit_and_keep
def find_bodies(depth, whose, left, top, rays, center, rotation, still, rows, animal, arrived, pixel, tiles, begins,
                parts, spans):  # fmt: skip
    """Where the rays of pixel centers meet bodies in the middle of the exposure.

    Args:
        depth: (h, w) float32, far where no body is; its first pixel is (left, top).
        whose: (h, w) int16 the animal, -1 nobody's and nothing near, -2 nobody's but an edge may be in the pixel.
        pixel: width of a pixel at distance 1.
        rows: (part, GEOMETRY); the rest as for `render`.
    """
    height, width = rays.shape[:2]
    ox, oy, oz = center[0], center[1], center[2]
    for tile in range(len(tiles)):
        begin, end = begins[tile], begins[tile + 1]
        near, far = spans[tile, 0], spans[tile, 1]
        edge = 0.75 * pixel * far + spans[tile, 2]
        for r in range(tiles[tile, 1], min(tiles[tile, 1] + TILE, height)):
            for c in range(tiles[tile, 0], min(tiles[tile, 0] + TILE, width)):
                dx, dy, dz = _ray(rays, r, c, 0.0, 0.0, rotation)
                if not np.isfinite(dx):
                    continue
                t, who, gap = _march(ox, oy, oz, dx, dy, dz, near, far, arrived, rows, animal, parts, begin, end)
                if who >= 0 and t > still[r, c, 0]:
                    t, who, gap = _FAR, -1, 0.0
                depth[r - top, c - left] = t
                whose[r - top, c - left] = who if who >= 0 or gap > edge else -2


@_jit
def _is_inside(depth, whose, r, c, slack, reach):
    """Whether a pixel and all within `reach` of it see one surface of one animal."""
    height, width = depth.shape
    if r < reach or c < reach or r >= height - reach or c >= width - reach:
        return False
    who, t = whose[r, c], depth[r, c]
    for i in range(-reach, reach + 1):
        for j in range(-reach, reach + 1):
            if whose[r + i, c + j] != who or abs(depth[r + i, c + j] - t) > slack * reach:
                return False
    return True


@_jit_and_keep
def render(patch, depth, whose, left, top, rays, offsets, center, rotation, still, rows, looks, animal, unit, light,
           pixel, tiles, begins, parts, spans):  # fmt: skip
    """Draw bodies into a patch of a picture.

    Within a surface the pixel center is enough; at edges each sample sees the bodies at its own time of the exposure.

    Args:
        patch: (h, w, 3) float32 light, changed in place; its first pixel is (left, top).
        depth, whose: (h, w), of `find_bodies`.
        rays: (height, width, 2) normalized coordinates of the pixel centers, NaN beyond the lens.
        offsets: (sample, 2) places of the samples, in pixels from the center.
        center: (3,) of the camera; rotation: (3, 3) of its world_from_cam.
        still: (height, width, sample) how far away what stands still is, along each ray.
        rows: (sample + 1, part, GEOMETRY), the last in the middle of the exposure.
        looks: (part, LOOK); animal: (part,) whose it is.
        unit: plan millimeters per unit; light: (3,) direction to it.
        pixel: its width at distance 1.
        tiles, begins, parts, spans: of `tile_lists`.
    """
    samples = len(offsets)
    color = np.zeros(3)
    height, width = rays.shape[:2]
    ox, oy, oz = center[0], center[1], center[2]
    for tile in range(len(tiles)):
        begin, end = begins[tile], begins[tile + 1]
        for r in range(tiles[tile, 1], min(tiles[tile, 1] + TILE, height)):
            for c in range(tiles[tile, 0], min(tiles[tile, 0] + TILE, width)):
                who = whose[r - top, c - left]
                if who == -1:
                    continue
                target = patch[r - top, c - left]
                # A surface seen at less than 15 degrees is an edge.
                slack = 4.0 * pixel * depth[r - top, c - left]
                # An edge that moves by half a pixel comes no further than the next one.
                t = depth[r - top, c - left]
                reach = np.int64(np.ceil(0.5 + spans[tile, 2] / (pixel * t))) if who >= 0 else 1
                if who >= 0 and _is_inside(depth, whose, r - top, c - left, slack, reach):
                    dx, dy, dz = _ray(rays, r, c, 0.0, 0.0, rotation)
                    _shaded(ox + t * dx, oy + t * dy, oz + t * dz, dx, dy, dz, who, unit, light, rows[samples], looks,
                            animal, parts, begin, end, color)  # fmt: skip
                    target[0], target[1], target[2] = color[0], color[1], color[2]
                    continue
                hits, red, green, blue, last, last_who = 0, 0.0, 0.0, 0.0, 0.0, -1
                for s in range(samples):
                    dx, dy, dz = _ray(rays, r, c, offsets[s, 0], offsets[s, 1], rotation)
                    if not np.isfinite(dx):
                        continue
                    far = min(spans[tile, 1], still[r, c, s])
                    t, who, _ = _march(ox, oy, oz, dx, dy, dz, spans[tile, 0], far, ARRIVED / unit, rows[s], animal,
                                       parts, begin, end)  # fmt: skip
                    if who < 0:
                        continue
                    # The light of the sample before, where it met the same surface; it costs more than to meet it.
                    if who != last_who or abs(t - last) > 4.0 * pixel * t:
                        _shaded(ox + t * dx, oy + t * dy, oz + t * dz, dx, dy, dz, who, unit, light, rows[s], looks,
                                animal, parts, begin, end, color)  # fmt: skip
                        last, last_who = t, who
                    hits += 1
                    red, green, blue = red + color[0], green + color[1], blue + color[2]
                if hits:
                    rest = 1.0 - hits / samples
                    for i, total in enumerate((red, green, blue)):
                        target[i] = rest * target[i] + total / samples


@_jit_and_keep
def first_hit(centers, points, rows, spheres, animal, unit, distance):
    """Into `distance` (camera, point): how far from the camera, on the way to the point, a body is met; far if none.

    Args:
        centers: (camera, 3); points: (point, 3).
        rows: (part, GEOMETRY); spheres: (part, 4) centers and radii around them; animal: (part,).
        unit: plan millimeters per unit.
    """
    near_parts = np.zeros(len(rows), np.int64)
    for camera in range(len(centers)):
        ox, oy, oz = centers[camera]
        for point in range(len(points)):
            dx, dy, dz = points[point, 0] - ox, points[point, 1] - oy, points[point, 2] - oz
            length = np.sqrt(dx * dx + dy * dy + dz * dz)
            dx, dy, dz = dx / length, dy / length, dz / length
            count, near, far = 0, _FAR, 0.0
            for part in range(len(rows)):
                mx, my, mz = spheres[part, 0] - ox, spheres[part, 1] - oy, spheres[part, 2] - oz
                reach = spheres[part, 3]
                t = mx * dx + my * dy + mz * dz
                gx, gy, gz = mx - t * dx, my - t * dy, mz - t * dz
                if gx * gx + gy * gy + gz * gz < reach * reach and t > -reach:
                    near_parts[count] = part
                    count += 1
                    near, far = min(near, t - reach), max(far, t + reach)
            distance[camera, point] = _FAR
            if count:
                distance[camera, point], _, _ = _march(
                    ox, oy, oz, dx, dy, dz, max(near, 0.0), min(far, length), ARRIVED / unit, rows, animal, near_parts,
                    0, count)  # fmt: skip
