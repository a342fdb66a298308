"""The numba kernels of `calibration.triangulation`; `_triangulation_numpy` is the same method in plain NumPy.

How the speed comes about: points are handled in blocks of `LANES`, quantity by quantity, so that every inner loop runs
over the lanes of a block with no branch and LLVM turns it into vector instructions. For that the rows of a block lie in
one flat array at constant offsets, addressed with unsigned integers: with signed indices NumPy's negative-index rule
adds a branch, and undistortion alone then takes 23 ns per observation instead of 3 (measured on an AVX-512 processor).
Only the search for a consensus, which a part of the points needs, works point by point.

Layout of a block. `obs` holds `OBS_ROWS` rows for each camera, `pts` holds `PTS_ROWS` rows; a row is `LANES` long.
A lane whose weight is 0 for a camera is not seen by it.

All kernels stand in this one file, long as it is, for the sake of numba's cache, see `kept`.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

from calibration.kernels import kept

__all__ = ["cache_folder", "normalize_range", "triangulate_range"]

# NaN means missing here, so "nnan" and "ninf" stay off; the others only reorder and contract.
_jit = njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "arcp", "nsz"})
_jit_and_keep = kept(_jit)

LANES = np.uint64(128)

# rows of `obs`: pixel, weight (0 = not seen), weight in use (0 = outlier), undistorted position, derivative of the
# pixel by it, squared residual
U, V, W, USE, X, Y, G00, G01, G10, G11, R2 = (np.uint64(row) * LANES for row in range(11))
OBS_ROWS = np.uint64(11)
# rows of `pts`: position, upper triangle of the normal matrix H, right side B, B^T H^-1 B, whether the point still
# moves, a work row, numbers of cameras that see the point and that are in use
PX, PY, PZ, H00, H01, H02, H11, H12, H22, B0, B1, B2, GAIN, MOVES, WORK, SEEN, USED = (
    np.uint64(row) * LANES for row in range(17)
)
PTS_ROWS = np.uint64(17)

# columns of the camera table, filled by calibration._triangulation_engine
MODEL, FX, FY, CX, CY, SKEW, K = 0, 1, 2, 3, 4, 5, 6  # K: 14 coefficients
RADIUS2, ROT, TRA, TILT, UNTILT, CEN = 20, 21, 30, 33, 42, 51
PINHOLE, RADIAL, RATIONAL, TILTED, FISHEYE = 0.0, 1.0, 2.0, 3.0, 4.0

NEWTON_STEPS = 3  # in the vector loop; a lane that has not converged by then is finished alone
FAST_STEPS, CAREFUL_STEPS = 8, 60
UNDISTORTION_TOLERANCE = 1e-9  # pixels
LARGEST_POLISH = 10
# Squared change of all pixels by the last step, px^2, for precisions of at most 1. Gauss-Newton mostly gains a factor
# of a thousand per step here (residual over focal length), so the point is then right to 1e-8 px; where views disagree
# or are few it gains less, and the point is right to 1e-5 px.
POLISH_TOLERANCE2 = 1e-10

OK, TOO_FEW_VIEWS, NO_CONSENSUS, PARALLEL_RAYS, BEHIND_CAMERA = 0, 1, 2, 3, 4


@_jit
def _bend(cam, c, x, y):
    """Distorted normalized coordinates and their derivative (a, b, d, e) = (dx/dx, dx/dy, dy/dx, dy/dy), any model."""
    model = cam[c, MODEL]
    if model == FISHEYE:
        r2 = x * x + y * y
        r = np.sqrt(r2)
        if r < 1e-8:
            return x, y, 1.0, 0.0, 0.0, 1.0
        theta = np.arctan(r)
        t2 = theta * theta
        k1, k2, k3, k4 = cam[c, K], cam[c, K + 1], cam[c, K + 2], cam[c, K + 3]
        scale = theta * (1.0 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4)))) / r
        slope = (1.0 + t2 * (3.0 * k1 + t2 * (5.0 * k2 + t2 * (7.0 * k3 + t2 * 9.0 * k4)))) / (1.0 + r2)
        q = (slope - scale) / r2
        return x * scale, y * scale, scale + q * x * x, q * x * y, q * x * y, scale + q * y * y
    bx, by, a, b, d, e = _brown(
        x, y,
        cam[c, K], cam[c, K + 1], cam[c, K + 2], cam[c, K + 3], cam[c, K + 4], cam[c, K + 5], cam[c, K + 6],
        cam[c, K + 7], cam[c, K + 8], cam[c, K + 9], cam[c, K + 10], cam[c, K + 11],
    )  # fmt: skip
    if model == TILTED:
        t = cam[c, TILT : TILT + 9]
        i = 1.0 / (t[6] * bx + t[7] * by + t[8])
        tx = (t[0] * bx + t[1] * by + t[2]) * i
        ty = (t[3] * bx + t[4] * by + t[5]) * i
        m00, m01 = (t[0] - tx * t[6]) * i, (t[1] - tx * t[7]) * i
        m10, m11 = (t[3] - ty * t[6]) * i, (t[4] - ty * t[7]) * i
        return tx, ty, m00 * a + m01 * d, m00 * b + m01 * e, m10 * a + m11 * d, m10 * b + m11 * e
    return bx, by, a, b, d, e


@_jit
def _brown(x, y, k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4):
    """Brown-Conrady with rational and thin prism terms, and its derivative; see calibration.lens.BrownConrady."""
    r2 = x * x + y * y
    i = 1.0 / (1.0 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    radial = (1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))) * i
    slope = (k1 + r2 * (2.0 * k2 + 3.0 * r2 * k3) - radial * (k4 + r2 * (2.0 * k5 + 3.0 * r2 * k6))) * i
    qx, qy = s1 + 2.0 * r2 * s2, s3 + 2.0 * r2 * s4
    bx = x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x) + r2 * (s1 + r2 * s2)
    by = y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y + r2 * (s3 + r2 * s4)
    cross = 2.0 * x * y * slope + 2.0 * p1 * x + 2.0 * p2 * y
    a = radial + 2.0 * x * x * slope + 2.0 * p1 * y + 6.0 * p2 * x + 2.0 * x * qx
    e = radial + 2.0 * y * y * slope + 6.0 * p1 * y + 2.0 * p2 * x + 2.0 * y * qy
    return bx, by, a, cross + 2.0 * y * qx, cross + 2.0 * x * qy, e


@_jit
def _load(pixels, confidence, lowest, precision, index, first, count, cam, obs):
    """Fill U, V and W of a block with the points `index[first : first + count]`; the other lanes are unseen."""
    for c in range(pixels.shape[1]):
        o = uint64(c) * OBS_ROWS * LANES
        center_u, center_v = cam[c, CX], cam[c, CY]
        for k in range(LANES):
            u, v, w = np.nan, np.nan, 0.0
            if k < uint64(count):
                row = index[uint64(first) + k]
                u, v = pixels[row, c, 0], pixels[row, c, 1]
                score = confidence[row, c] if confidence.shape[0] > 0 else 1.0
                w = precision[c] * score if score >= lowest else 0.0
            seen = u == u and v == v and w > 0.0  # np.isfinite folds to True under fastmath
            obs[o + U + k] = u if seen else center_u
            obs[o + V + k] = v if seen else center_v
            obs[o + W + k] = w if seen else 0.0


@_jit
def _undistort(cam, obs):
    """Fill X, Y and the derivatives G of all cameras; a pixel outside the valid radius of its lens becomes unseen."""
    for c in range(cam.shape[0]):
        if cam[c, MODEL] == PINHOLE:
            _undistort_pinhole(cam, c, obs)
        elif cam[c, MODEL] == RADIAL:
            _undistort_radial(cam, c, obs)
        else:
            o = uint64(c) * OBS_ROWS * LANES
            for k in range(LANES):
                _undistort_one(cam, c, obs, o, k)


@_jit
def _undistort_pinhole(cam, c, obs):
    o = uint64(c) * OBS_ROWS * LANES
    fx, fy, cx, cy, skew = cam[c, FX], cam[c, FY], cam[c, CX], cam[c, CY], cam[c, SKEW]
    limit = cam[c, RADIUS2]
    for k in range(LANES):
        y = (obs[o + V + k] - cy) / fy
        x = (obs[o + U + k] - cx - skew * y) / fx
        obs[o + X + k] = x
        obs[o + Y + k] = y
        obs[o + G00 + k] = fx
        obs[o + G01 + k] = skew
        obs[o + G10 + k] = 0.0
        obs[o + G11 + k] = fy
        w = obs[o + W + k] if x * x + y * y <= limit else 0.0
        obs[o + W + k] = w
        obs[o + USE + k] = w


@_jit
def _undistort_radial(cam, c, obs):
    """Newton for the five-coefficient model, unrolled so that it vectorizes; stragglers are finished one by one."""
    o = uint64(c) * OBS_ROWS * LANES
    fx, fy, cx, cy, skew = cam[c, FX], cam[c, FY], cam[c, CX], cam[c, CY], cam[c, SKEW]
    k1, k2, p1, p2, k3 = cam[c, K], cam[c, K + 1], cam[c, K + 2], cam[c, K + 3], cam[c, K + 4]
    limit = cam[c, RADIUS2]
    tolerance2 = (UNDISTORTION_TOLERANCE / max(fx, fy)) ** 2
    stragglers = 0.0
    for k in range(LANES):
        yd = (obs[o + V + k] - cy) / fy
        xd = (obs[o + U + k] - cx - skew * yd) / fx
        x, y = xd, yd
        for _ in range(NEWTON_STEPS):
            r2 = x * x + y * y
            radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
            slope = k1 + r2 * (2.0 * k2 + 3.0 * r2 * k3)
            ex = x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x) - xd
            ey = y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y - yd
            a = radial + 2.0 * x * x * slope + 2.0 * p1 * y + 6.0 * p2 * x
            b = 2.0 * x * y * slope + 2.0 * p1 * x + 2.0 * p2 * y
            e = radial + 2.0 * y * y * slope + 6.0 * p1 * y + 2.0 * p2 * x
            i = 1.0 / (a * e - b * b)
            x -= (e * ex - b * ey) * i
            y -= (a * ey - b * ex) * i
        r2 = x * x + y * y
        radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
        slope = k1 + r2 * (2.0 * k2 + 3.0 * r2 * k3)
        ex = x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x) - xd
        ey = y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y - yd
        a = radial + 2.0 * x * x * slope + 2.0 * p1 * y + 6.0 * p2 * x
        b = 2.0 * x * y * slope + 2.0 * p1 * x + 2.0 * p2 * y
        e = radial + 2.0 * y * y * slope + 6.0 * p1 * y + 2.0 * p2 * x
        obs[o + X + k] = x
        obs[o + Y + k] = y
        obs[o + G00 + k] = fx * a + skew * b
        obs[o + G01 + k] = fx * b + skew * e
        obs[o + G10 + k] = fy * b
        obs[o + G11 + k] = fy * e
        good = (ex * ex + ey * ey <= tolerance2) and (r2 <= limit) and (a * e - b * b > 0.0)
        obs[o + R2 + k] = 0.0 if good else 1.0
        stragglers += 0.0 if good else 1.0
        obs[o + USE + k] = obs[o + W + k]
    if stragglers > 0.0:
        for k in range(LANES):
            if obs[o + R2 + k] > 0.0:
                _undistort_one(cam, c, obs, o, k)


@_jit
def _undistort_one(cam, c, obs, o, k):
    """Undistort one lane, any model: by plain Newton, or carefully where that does not arrive."""
    fx, fy, skew = cam[c, FX], cam[c, FY], cam[c, SKEW]
    yd = (obs[o + V + k] - cam[c, CY]) / fy
    xd = (obs[o + U + k] - cam[c, CX] - skew * yd) / fx
    x, y = _straight(cam, c, xd, yd)
    if cam[c, MODEL] == FISHEYE:
        x, y = _radial_start(cam, c, x, y, FAST_STEPS)
    x, y, found = _newton(cam, c, xd, yd, x, y, FAST_STEPS)
    if not found:
        x, y = _straight(cam, c, xd, yd)
        x, y = _radial_start(cam, c, x, y, CAREFUL_STEPS)
        x, y, found = _newton(cam, c, xd, yd, x, y, CAREFUL_STEPS)
    if not found:
        x, y = 0.0, 0.0
        obs[o + W + k] = 0.0
    _, _, a, b, d, e = _bend(cam, c, x, y)
    obs[o + X + k] = x
    obs[o + Y + k] = y
    obs[o + G00 + k] = fx * a + skew * d
    obs[o + G01 + k] = fx * b + skew * e
    obs[o + G10 + k] = fy * d
    obs[o + G11 + k] = fy * e
    obs[o + USE + k] = obs[o + W + k]


@_jit
def _newton(cam, c, xd, yd, x, y, steps):
    """The point of the valid disc that the lens bends to (xd, yd), from a start in the disc, and whether it was found.

    A step is halved until it comes closer and stays in the disc, so that it cannot reach a second solution beyond.
    """
    limit = cam[c, RADIUS2]
    tolerance2 = (UNDISTORTION_TOLERANCE / max(cam[c, FX], cam[c, FY])) ** 2
    if not x * x + y * y <= limit:
        return x, y, False
    bx, by, a, b, d, e = _bend(cam, c, x, y)
    ex, ey = bx - xd, by - yd
    share = 1.0
    for _ in range(steps):
        if ex * ex + ey * ey <= tolerance2:
            return x, y, True
        i = share / (a * e - b * d)
        nx, ny = x - (e * ex - b * ey) * i, y - (a * ey - d * ex) * i
        bx, by, na, nb, nd, ne = _bend(cam, c, nx, ny)
        fx, fy = bx - xd, by - yd
        if fx * fx + fy * fy < ex * ex + ey * ey and nx * nx + ny * ny <= limit:
            x, y, ex, ey, a, b, d, e = nx, ny, fx, fy, na, nb, nd, ne
            share = min(1.0, 2.0 * share)
        else:
            share *= 0.5
    return x, y, ex * ex + ey * ey <= tolerance2


@_jit
def _straight(cam, c, xd, yd):
    """Bent coordinates with the tilt of the sensor undone."""
    if cam[c, MODEL] != TILTED:
        return xd, yd
    t = cam[c, UNTILT : UNTILT + 9]
    i = 1.0 / (t[6] * xd + t[7] * yd + t[8])
    return (t[0] * xd + t[1] * yd + t[2]) * i, (t[3] * xd + t[4] * yd + t[5]) * i


@_jit
def _radial_start(cam, c, x, y, steps):
    """What the radial terms alone bend to (x, y), a little inside the valid disc: Newton within a bracket."""
    target = np.sqrt(x * x + y * y)
    if target < 1e-8:
        return x, y
    fisheye = cam[c, MODEL] == FISHEYE
    low, high = 0.0, np.sqrt(cam[c, RADIUS2])
    if fisheye:
        high = np.arctan(high)  # the angle, in which the fisheye is a polynomial
    largest = high
    guess = min(target, 0.5 * largest) if not fisheye else min(target, largest)
    k1, k2, k3, k4, k5, k6 = cam[c, K], cam[c, K + 1], cam[c, K + 4], cam[c, K + 5], cam[c, K + 6], cam[c, K + 7]
    for _ in range(steps):
        q = guess * guess
        if fisheye:
            f1, f2, f3, f4 = cam[c, K], cam[c, K + 1], cam[c, K + 2], cam[c, K + 3]
            value = guess * (1.0 + q * (f1 + q * (f2 + q * (f3 + q * f4))))
            slope = 1.0 + q * (3.0 * f1 + q * (5.0 * f2 + q * (7.0 * f3 + q * 9.0 * f4)))
        else:
            value, _, slope, _, _, _ = _brown(guess, 0.0, k1, k2, 0.0, 0.0, k3, k4, k5, k6, 0.0, 0.0, 0.0, 0.0)
        if value < target:
            low = guess
        else:
            high = guess
        step = (value - target) / slope
        guess -= step
        if not low <= guess <= high:
            guess = 0.5 * (low + high)
        if abs(step) < 1e-9 * largest:
            break
    radius = np.tan(guess) if fisheye else guess
    radius = min(radius, 0.999 * np.sqrt(cam[c, RADIUS2]))
    return x * radius / target, y * radius / target


@_jit
def _clear(pts):
    for k in range(LANES):
        pts[H00 + k] = 0.0
        pts[H01 + k] = 0.0
        pts[H02 + k] = 0.0
        pts[H11 + k] = 0.0
        pts[H12 + k] = 0.0
        pts[H22 + k] = 0.0
        pts[B0 + k] = 0.0
        pts[B1 + k] = 0.0
        pts[B2 + k] = 0.0


@_jit
def _solve(pts):
    """Replace B by H^-1 B, and GAIN by B^T H^-1 B (LDL^T; a lane without information gives NaN or infinity)."""
    for k in range(LANES):
        h00, h01, h02 = pts[H00 + k], pts[H01 + k], pts[H02 + k]
        i0 = 1.0 / h00
        l10, l20 = h01 * i0, h02 * i0
        d1 = pts[H11 + k] - l10 * h01
        s = pts[H12 + k] - l20 * h01
        i1 = 1.0 / d1
        l21 = s * i1
        d2 = pts[H22 + k] - l20 * h02 - l21 * s
        y0 = pts[B0 + k]
        y1 = pts[B1 + k] - l10 * y0
        y2 = pts[B2 + k] - l20 * y0 - l21 * y1
        z2 = y2 / d2
        pts[GAIN + k] = y0 * y0 * i0 + y1 * y1 * i1 + y2 * z2
        z1 = y1 * i1 - l21 * z2
        z0 = y0 * i0 - l10 * z1 - l20 * z2
        pts[B0 + k] = z0
        pts[B1 + k] = z1
        pts[B2 + k] = z2


@_jit
def _linear(cam, obs, pts):
    """Linear triangulation with the weights USE: the pixel error times the depth, which is linear in the point."""
    _clear(pts)
    for c in range(cam.shape[0]):
        o = uint64(c) * OBS_ROWS * LANES
        r0, r1, r2, r3, r4, r5, r6, r7, r8 = cam[c, ROT : ROT + 9]
        t0, t1, t2 = cam[c, TRA], cam[c, TRA + 1], cam[c, TRA + 2]
        for k in range(LANES):
            x, y, w = obs[o + X + k], obs[o + Y + k], obs[o + USE + k]
            g00, g01, g10, g11 = obs[o + G00 + k], obs[o + G01 + k], obs[o + G10 + k], obs[o + G11 + k]
            a0, a1, a2, at = r0 - x * r6, r1 - x * r7, r2 - x * r8, x * t2 - t0
            b0, b1, b2, bt = r3 - y * r6, r4 - y * r7, r5 - y * r8, y * t2 - t1
            i0, i1, i2, it = g00 * a0 + g01 * b0, g00 * a1 + g01 * b1, g00 * a2 + g01 * b2, g00 * at + g01 * bt
            j0, j1, j2, jt = g10 * a0 + g11 * b0, g10 * a1 + g11 * b1, g10 * a2 + g11 * b2, g10 * at + g11 * bt
            pts[H00 + k] += w * (i0 * i0 + j0 * j0)
            pts[H01 + k] += w * (i0 * i1 + j0 * j1)
            pts[H02 + k] += w * (i0 * i2 + j0 * j2)
            pts[H11 + k] += w * (i1 * i1 + j1 * j1)
            pts[H12 + k] += w * (i1 * i2 + j1 * j2)
            pts[H22 + k] += w * (i2 * i2 + j2 * j2)
            pts[B0 + k] += w * (i0 * it + j0 * jt)
            pts[B1 + k] += w * (i1 * it + j1 * jt)
            pts[B2 + k] += w * (i2 * it + j2 * jt)
    _solve(pts)
    for k in range(LANES):
        pts[PX + k] = pts[B0 + k]
        pts[PY + k] = pts[B1 + k]
        pts[PZ + k] = pts[B2 + k]
        pts[MOVES + k] = 1.0


@_jit
def _normal_equations(cam, obs, pts):
    """H, B and R2 of a Gauss-Newton step whose lens is linearized at the observation.

    That is exact to first order in the residual and needs no branch for the model. R2 is infinite behind a camera.
    """
    _clear(pts)
    for c in range(cam.shape[0]):
        o = uint64(c) * OBS_ROWS * LANES
        r0, r1, r2, r3, r4, r5, r6, r7, r8 = cam[c, ROT : ROT + 9]
        t0, t1, t2 = cam[c, TRA], cam[c, TRA + 1], cam[c, TRA + 2]
        for k in range(LANES):
            px, py, pz = pts[PX + k], pts[PY + k], pts[PZ + k]
            depth = r6 * px + r7 * py + r8 * pz + t2
            i = 1.0 / depth if depth != 0.0 else 0.0  # an unseen camera must not make 0 times infinity
            x = (r0 * px + r1 * py + r2 * pz + t0) * i
            y = (r3 * px + r4 * py + r5 * pz + t1) * i
            dx, dy = x - obs[o + X + k], y - obs[o + Y + k]
            w = obs[o + USE + k]
            g00, g01, g10, g11 = obs[o + G00 + k], obs[o + G01 + k], obs[o + G10 + k], obs[o + G11 + k]
            e0, e1 = g00 * dx + g01 * dy, g10 * dx + g11 * dy
            obs[o + R2 + k] = e0 * e0 + e1 * e1 if depth > 0.0 else np.inf
            a0, a1, a2 = (r0 - x * r6) * i, (r1 - x * r7) * i, (r2 - x * r8) * i
            b0, b1, b2 = (r3 - y * r6) * i, (r4 - y * r7) * i, (r5 - y * r8) * i
            i0, i1, i2 = g00 * a0 + g01 * b0, g00 * a1 + g01 * b1, g00 * a2 + g01 * b2
            j0, j1, j2 = g10 * a0 + g11 * b0, g10 * a1 + g11 * b1, g10 * a2 + g11 * b2
            pts[H00 + k] += w * (i0 * i0 + j0 * j0)
            pts[H01 + k] += w * (i0 * i1 + j0 * j1)
            pts[H02 + k] += w * (i0 * i2 + j0 * j2)
            pts[H11 + k] += w * (i1 * i1 + j1 * j1)
            pts[H12 + k] += w * (i1 * i2 + j1 * j2)
            pts[H22 + k] += w * (i2 * i2 + j2 * j2)
            pts[B0 + k] += w * (i0 * e0 + j0 * e1)
            pts[B1 + k] += w * (i1 * e0 + j1 * e1)
            pts[B2 + k] += w * (i2 * e0 + j2 * e1)


@_jit
def _step(pts):
    """Solve, move the points, and say whether the step of a lane with at least two views in use was a large one.

    A lane without a finite solution stays where it is, and so does one whose last step was small: a point must not
    depend on the others in its block.
    """
    _solve(pts)
    moving = 0.0
    for k in range(LANES):
        d0, d1, d2 = pts[B0 + k], pts[B1 + k], pts[B2 + k]
        size2 = d0 * d0 + d1 * d1 + d2 * d2
        fine = size2 < np.inf and pts[MOVES + k] > 0.0
        pts[PX + k] -= d0 if fine else 0.0
        pts[PY + k] -= d1 if fine else 0.0
        pts[PZ + k] -= d2 if fine else 0.0
        moves = 1.0 if (fine and pts[GAIN + k] > POLISH_TOLERANCE2 and pts[USED + k] >= 2.0) else 0.0
        pts[MOVES + k] = moves
        moving += moves
    return moving > 0.0


@_jit
def _true_normal_equations(cam, obs, pts):
    """H, B and R2 on the true reprojection error in distorted pixels; R2 is NaN where the camera cannot see the point.

    WORK gets the smallest squared depth in use, or -1 where a point lies behind a camera in use.
    """
    _clear(pts)
    for k in range(LANES):
        pts[WORK + k] = np.inf
    for c in range(cam.shape[0]):
        model = cam[c, MODEL]
        if model in (PINHOLE, RADIAL):
            _true_radial(cam, c, obs, pts)
        else:
            _true_general(cam, c, obs, pts)


@_jit
def _true_radial(cam, c, obs, pts):
    o = uint64(c) * OBS_ROWS * LANES
    fx, fy, cx, cy, skew = cam[c, FX], cam[c, FY], cam[c, CX], cam[c, CY], cam[c, SKEW]
    k1, k2, p1, p2, k3 = cam[c, K], cam[c, K + 1], cam[c, K + 2], cam[c, K + 3], cam[c, K + 4]
    r0, r1, r2, r3, r4, r5, r6, r7, r8 = cam[c, ROT : ROT + 9]
    t0, t1, t2 = cam[c, TRA], cam[c, TRA + 1], cam[c, TRA + 2]
    limit = cam[c, RADIUS2]
    for k in range(LANES):
        px, py, pz = pts[PX + k], pts[PY + k], pts[PZ + k]
        depth = r6 * px + r7 * py + r8 * pz + t2
        i = 1.0 / depth if depth != 0.0 else 0.0
        x = (r0 * px + r1 * py + r2 * pz + t0) * i
        y = (r3 * px + r4 * py + r5 * pz + t1) * i
        w = obs[o + USE + k]
        q = x * x + y * y
        radial = 1.0 + q * (k1 + q * (k2 + q * k3))
        slope = k1 + q * (2.0 * k2 + 3.0 * q * k3)
        cross = 2.0 * x * y * slope + 2.0 * p1 * x + 2.0 * p2 * y
        bx = x * radial + 2.0 * p1 * x * y + p2 * (q + 2.0 * x * x)
        by = y * radial + p1 * (q + 2.0 * y * y) + 2.0 * p2 * x * y
        xx = radial + 2.0 * x * x * slope + 2.0 * p1 * y + 6.0 * p2 * x
        yy = radial + 2.0 * y * y * slope + 6.0 * p1 * y + 2.0 * p2 * x
        g00, g01, g10, g11 = fx * xx + skew * cross, fx * cross + skew * yy, fy * cross, fy * yy
        e0 = fx * bx + skew * by + cx - obs[o + U + k]
        e1 = fy * by + cy - obs[o + V + k]
        obs[o + R2 + k] = e0 * e0 + e1 * e1 if (depth > 0.0 and q <= limit) else np.nan
        i = i if w > 0.0 else 0.0  # in the focal plane of a camera not in use the derivatives overflow
        a0, a1, a2 = (r0 - x * r6) * i, (r1 - x * r7) * i, (r2 - x * r8) * i
        b0, b1, b2 = (r3 - y * r6) * i, (r4 - y * r7) * i, (r5 - y * r8) * i
        i0, i1, i2 = g00 * a0 + g01 * b0, g00 * a1 + g01 * b1, g00 * a2 + g01 * b2
        j0, j1, j2 = g10 * a0 + g11 * b0, g10 * a1 + g11 * b1, g10 * a2 + g11 * b2
        signed = depth * depth if depth > 0.0 else -1.0
        nearest = pts[WORK + k]
        pts[WORK + k] = signed if (w > 0.0 and signed < nearest) else nearest
        pts[H00 + k] += w * (i0 * i0 + j0 * j0)
        pts[H01 + k] += w * (i0 * i1 + j0 * j1)
        pts[H02 + k] += w * (i0 * i2 + j0 * j2)
        pts[H11 + k] += w * (i1 * i1 + j1 * j1)
        pts[H12 + k] += w * (i1 * i2 + j1 * j2)
        pts[H22 + k] += w * (i2 * i2 + j2 * j2)
        pts[B0 + k] += w * (i0 * e0 + j0 * e1)
        pts[B1 + k] += w * (i1 * e0 + j1 * e1)
        pts[B2 + k] += w * (i2 * e0 + j2 * e1)


@_jit
def _true_general(cam, c, obs, pts):
    o = uint64(c) * OBS_ROWS * LANES
    fx, fy, cx, cy, skew = cam[c, FX], cam[c, FY], cam[c, CX], cam[c, CY], cam[c, SKEW]
    r = cam[c, ROT : ROT + 9]
    limit = cam[c, RADIUS2]
    for k in range(LANES):
        w = obs[o + USE + k]
        if not obs[o + W + k] > 0.0:
            obs[o + R2 + k] = 0.0
            continue
        px, py, pz = pts[PX + k], pts[PY + k], pts[PZ + k]
        depth = r[6] * px + r[7] * py + r[8] * pz + cam[c, TRA + 2]
        i = 1.0 / depth
        x = (r[0] * px + r[1] * py + r[2] * pz + cam[c, TRA]) * i
        y = (r[3] * px + r[4] * py + r[5] * pz + cam[c, TRA + 1]) * i
        bx, by, xx, xy, yx, yy = _bend(cam, c, x, y)
        g00, g01, g10, g11 = fx * xx + skew * yx, fx * xy + skew * yy, fy * yx, fy * yy
        e0 = fx * bx + skew * by + cx - obs[o + U + k]
        e1 = fy * by + cy - obs[o + V + k]
        obs[o + R2 + k] = e0 * e0 + e1 * e1 if (depth > 0.0 and x * x + y * y <= limit) else np.nan
        if not w > 0.0:
            continue
        a0, a1, a2 = (r[0] - x * r[6]) * i, (r[1] - x * r[7]) * i, (r[2] - x * r[8]) * i
        b0, b1, b2 = (r[3] - y * r[6]) * i, (r[4] - y * r[7]) * i, (r[5] - y * r[8]) * i
        i0, i1, i2 = g00 * a0 + g01 * b0, g00 * a1 + g01 * b1, g00 * a2 + g01 * b2
        j0, j1, j2 = g10 * a0 + g11 * b0, g10 * a1 + g11 * b1, g10 * a2 + g11 * b2
        signed = depth * depth if depth > 0.0 else -1.0
        if signed < pts[WORK + k]:
            pts[WORK + k] = signed
        pts[H00 + k] += w * (i0 * i0 + j0 * j0)
        pts[H01 + k] += w * (i0 * i1 + j0 * j1)
        pts[H02 + k] += w * (i0 * i2 + j0 * j2)
        pts[H11 + k] += w * (i1 * i1 + j1 * j1)
        pts[H12 + k] += w * (i1 * i2 + j1 * j2)
        pts[H22 + k] += w * (i2 * i2 + j2 * j2)
        pts[B0 + k] += w * (i0 * e0 + j0 * e1)
        pts[B1 + k] += w * (i1 * e0 + j1 * e1)
        pts[B2 + k] += w * (i2 * e0 + j2 * e1)


@_jit
def _count(obs, pts, n_cameras, row, target):
    """Count the cameras whose `row` (W or USE) is positive into the row `target`."""
    for k in range(LANES):
        pts[target + k] = 0.0
    for c in range(n_cameras):
        o = uint64(c) * OBS_ROWS * LANES
        for k in range(LANES):
            pts[target + k] += 1.0 if obs[o + row + k] > 0.0 else 0.0


@_jit
def _start(cam, obs, pts):
    """Linear fit and one linearized Gauss-Newton step with the weights USE; R2 is that of the linear fit."""
    _linear(cam, obs, pts)
    _normal_equations(cam, obs, pts)
    _step(pts)


@_jit
def _disagrees(obs, pts, n_cameras, threshold2):
    """WORK = number of seen cameras whose residual is above the threshold (or not a number)."""
    for k in range(LANES):
        pts[WORK + k] = 0.0
    for c in range(n_cameras):
        o = uint64(c) * OBS_ROWS * LANES
        for k in range(LANES):
            far = obs[o + W + k] > 0.0 and not (obs[o + R2 + k] <= threshold2)
            pts[WORK + k] += 1.0 if far else 0.0


@_jit
def _pair_point(cam, obs, i, j, k):
    """Linear triangulation of lane k from cameras i and j alone."""
    h00, h01, h02, h11, h12, h22 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    q0, q1, q2 = 0.0, 0.0, 0.0
    for c in (i, j):
        o = uint64(c) * OBS_ROWS * LANES
        x, y = obs[o + X + k], obs[o + Y + k]
        f = abs(obs[o + G00 + k] * obs[o + G11 + k] - obs[o + G01 + k] * obs[o + G10 + k])
        r6, r7, r8, t2 = cam[c, ROT + 6], cam[c, ROT + 7], cam[c, ROT + 8], cam[c, TRA + 2]
        a0, a1, a2 = cam[c, ROT] - x * r6, cam[c, ROT + 1] - x * r7, cam[c, ROT + 2] - x * r8
        b0, b1, b2 = cam[c, ROT + 3] - y * r6, cam[c, ROT + 4] - y * r7, cam[c, ROT + 5] - y * r8
        at, bt = x * t2 - cam[c, TRA], y * t2 - cam[c, TRA + 1]
        h00 += f * (a0 * a0 + b0 * b0)
        h01 += f * (a0 * a1 + b0 * b1)
        h02 += f * (a0 * a2 + b0 * b2)
        h11 += f * (a1 * a1 + b1 * b1)
        h12 += f * (a1 * a2 + b1 * b2)
        h22 += f * (a2 * a2 + b2 * b2)
        q0 += f * (a0 * at + b0 * bt)
        q1 += f * (a1 * at + b1 * bt)
        q2 += f * (a2 * at + b2 * bt)
    i0 = 1.0 / h00
    l10, l20 = h01 * i0, h02 * i0
    d1 = h11 - l10 * h01
    s = h12 - l20 * h01
    l21 = s / d1
    d2 = h22 - l20 * h02 - l21 * s
    y1 = q1 - l10 * q0
    z2 = (q2 - l20 * q0 - l21 * y1) / d2
    z1 = y1 / d1 - l21 * z2
    return q0 * i0 - l10 * z1 - l20 * z2, z1, z2


@_jit
def _seen_in_order(cam, obs, k, seen):
    """Fill `seen` with the cameras that see lane k, and return their number: by falling weight, then by pixel.

    The search stops early, so which pair comes first may decide; this order does not depend on that of the rig.
    """
    n = 0
    for c in range(cam.shape[0]):
        o = uint64(c) * OBS_ROWS * LANES
        w, u = obs[o + W + k], obs[o + U + k]
        if not w > 0.0:
            continue
        place = n
        while place > 0:
            before = uint64(seen[place - 1]) * OBS_ROWS * LANES
            if obs[before + W + k] > w or (obs[before + W + k] == w and obs[before + U + k] <= u):
                break
            seen[place] = seen[place - 1]
            place -= 1
        seen[place] = c
        n += 1
    return n


@_jit
def _search(cam, obs, pts, k, threshold2, strides, patience, seen):
    """Set USE of lane k to the inliers of the best hypothesis from pairs of its seen cameras.

    There are none where two different pairs agree with nothing but themselves: which is right cannot be known.
    """
    n = _seen_in_order(cam, obs, k, seen)
    best_score, best_count, lonely = np.inf, 0, 0
    bx, by, bz = np.nan, np.nan, np.nan
    tried, enough = 0, patience[n, 0]
    for step in range(strides.shape[1]):
        stride = strides[n, step]
        if stride == 0 or tried >= enough:
            break
        for first in range(n if 2 * stride != n else stride):
            i, j = seen[first], seen[(first + stride) % n]
            x, y, z = _pair_point(cam, obs, i, j, k)
            score, count = 0.0, 0
            for m in range(n):
                c = seen[m]
                o = uint64(c) * OBS_ROWS * LANES
                depth = cam[c, ROT + 6] * x + cam[c, ROT + 7] * y + cam[c, ROT + 8] * z + cam[c, TRA + 2]
                w = obs[o + W + k]
                inv = 1.0 / depth
                dx = (cam[c, ROT] * x + cam[c, ROT + 1] * y + cam[c, ROT + 2] * z + cam[c, TRA]) * inv
                dy = (cam[c, ROT + 3] * x + cam[c, ROT + 4] * y + cam[c, ROT + 5] * z + cam[c, TRA + 1]) * inv
                dx -= obs[o + X + k]
                dy -= obs[o + Y + k]
                e0 = obs[o + G00 + k] * dx + obs[o + G01 + k] * dy
                e1 = obs[o + G10 + k] * dx + obs[o + G11 + k] * dy
                error = e0 * e0 + e1 * e1
                near = depth > 0.0 and error <= threshold2
                score += w * error if near else w * threshold2
                count += 1 if near else 0
                obs[o + R2 + k] = error if depth > 0.0 else np.inf
            oi, oj = uint64(i) * OBS_ROWS * LANES, uint64(j) * OBS_ROWS * LANES
            if count == 2 and obs[oi + R2 + k] <= threshold2 and obs[oj + R2 + k] <= threshold2:
                lonely += 1  # a point of other cameras may have the same two inliers, which makes it no other pair
            if count >= 2 and score < best_score:
                best_score, best_count = score, count
                enough = patience[n, count]
                bx, by, bz = x, y, z
                for m in range(n):
                    o = uint64(seen[m]) * OBS_ROWS * LANES
                    obs[o + USE + k] = obs[o + W + k] if obs[o + R2 + k] <= threshold2 else 0.0
            tried += 1
            if tried >= enough:
                break
    pts[PX + k], pts[PY + k], pts[PZ + k] = bx, by, bz
    if best_count < 2 or (best_count == 2 and n > 2 and lonely > 1):
        for m in range(n):
            obs[uint64(seen[m]) * OBS_ROWS * LANES + USE + k] = 0.0


@_jit
def _refit(cam, obs, pts, threshold2):
    """Refit to the inliers and renew them until they stay: cameras may join in the first round, only leave after it."""
    n_cameras = cam.shape[0]
    for rounds in range(n_cameras + 1):
        _start(cam, obs, pts)
        changed = 0.0
        for c in range(n_cameras):
            o = uint64(c) * OBS_ROWS * LANES
            for k in range(LANES):
                w, old = obs[o + W + k], obs[o + USE + k]
                may = w if rounds == 0 else old
                # USED holds the inliers of the hypothesis: a lane without any stays without
                new = may if (obs[o + R2 + k] <= threshold2 and pts[USED + k] >= 2.0) else 0.0
                obs[o + USE + k] = new
                changed += 1.0 if new != old else 0.0
        if changed == 0.0:
            break


@_jit
def _polish(cam, obs, pts):
    """Gauss-Newton on the true reprojection error; H, R2 and WORK are those before the last step of the block."""
    for k in range(LANES):
        pts[MOVES + k] = 1.0
    for _ in range(LARGEST_POLISH):
        _true_normal_equations(cam, obs, pts)
        if not _step(pts):
            break


@_jit
def _widest_angle(cam, obs, pts):
    """B0 = cosine of the angle between the rays in use that are the least parallel; facing each other is parallel."""
    n_cameras = cam.shape[0]
    for k in range(LANES):
        pts[B0 + k] = 1.0
    for i in range(n_cameras):
        oi = uint64(i) * OBS_ROWS * LANES
        i0, i1, i2 = cam[i, CEN], cam[i, CEN + 1], cam[i, CEN + 2]
        for j in range(i + 1, n_cameras):
            oj = uint64(j) * OBS_ROWS * LANES
            j0, j1, j2 = cam[j, CEN], cam[j, CEN + 1], cam[j, CEN + 2]
            for k in range(LANES):
                px, py, pz = pts[PX + k], pts[PY + k], pts[PZ + k]
                a0, a1, a2 = px - i0, py - i1, pz - i2
                b0, b1, b2 = px - j0, py - j1, pz - j2
                dot = a0 * b0 + a1 * b1 + a2 * b2
                norm = np.sqrt((a0 * a0 + a1 * a1 + a2 * a2) * (b0 * b0 + b1 * b1 + b2 * b2))
                cosine = abs(dot) / norm
                both = obs[oi + USE + k] > 0.0 and obs[oj + USE + k] > 0.0
                smallest = pts[B0 + k]
                pts[B0 + k] = cosine if (both and cosine < smallest) else smallest


@_jit
def _reason(cam, obs, k, cosine, code):
    """Why lane k has no point, more closely: parallel observed rays, or two that meet behind a camera, or `code`."""
    n, i, j = 0, 0, 0
    widest = 1.0
    for c in range(cam.shape[0]):
        if not obs[uint64(c) * OBS_ROWS * LANES + W + k] > 0.0:
            continue
        c0, c1, c2 = _direction(cam, obs, c, k)
        for b in range(c):
            if obs[uint64(b) * OBS_ROWS * LANES + W + k] > 0.0:
                b0, b1, b2 = _direction(cam, obs, b, k)
                widest = min(widest, abs(b0 * c0 + b1 * c1 + b2 * c2))
        n += 1
        i, j = j, c
    if not widest <= cosine:
        return PARALLEL_RAYS
    if n == 2:
        x, y, z = _pair_point(cam, obs, i, j, k)
        for c in (i, j):
            if cam[c, ROT + 6] * x + cam[c, ROT + 7] * y + cam[c, ROT + 8] * z + cam[c, TRA + 2] <= 0.0:
                return BEHIND_CAMERA
    return code


@_jit
def _direction(cam, obs, c, k):
    """Unit vector, in the world, along the observed ray of camera c and lane k."""
    o = uint64(c) * OBS_ROWS * LANES
    x, y = obs[o + X + k], obs[o + Y + k]
    r = cam[c, ROT : ROT + 9]
    i = 1.0 / np.sqrt(x * x + y * y + 1.0)
    return (r[0] * x + r[3] * y + r[6]) * i, (r[1] * x + r[4] * y + r[7]) * i, (r[2] * x + r[5] * y + r[8]) * i


@_jit
def _store(cam, obs, pts, index, first, count, accept, cosine, points, inliers, residuals, status, covariance):
    """Write the lanes whose `accept` is set to their rows; NaN and the reason where there is no point."""
    n_cameras = inliers.shape[1]
    with_covariance = covariance.shape[0] > 0
    for k in range(uint64(count)):
        if not accept[k]:
            continue
        row = index[uint64(first) + k]
        code = OK
        if pts[SEEN + k] < 2.0:
            code = TOO_FEW_VIEWS
        elif pts[USED + k] < 2.0:
            code = NO_CONSENSUS
        elif not pts[WORK + k] > 0.0:
            code = BEHIND_CAMERA
        elif not pts[B0 + k] <= cosine:
            code = PARALLEL_RAYS
        if code in (NO_CONSENSUS, BEHIND_CAMERA):
            code = _reason(cam, obs, k, cosine, code)
        status[row] = code
        good = code == OK
        points[row, 0] = pts[PX + k] if good else np.nan
        points[row, 1] = pts[PY + k] if good else np.nan
        points[row, 2] = pts[PZ + k] if good else np.nan
        for c in range(n_cameras):
            o = uint64(c) * OBS_ROWS * LANES
            inliers[row, c] = good and obs[o + USE + k] > 0.0
            residuals[row, c] = np.sqrt(obs[o + R2 + k]) if good and obs[o + W + k] > 0.0 else np.nan
        if with_covariance:
            _store_covariance(pts, k, row, good, covariance)


@_jit
def _store_covariance(pts, k, row, good, covariance):
    """The inverse of the normal matrix of lane k, by cofactors."""
    a, b, c = pts[H00 + k], pts[H01 + k], pts[H02 + k]
    d, e, f = pts[H11 + k], pts[H12 + k], pts[H22 + k]
    m00, m01, m02 = d * f - e * e, c * e - b * f, b * e - c * d
    i = 1.0 / (a * m00 + b * m01 + c * m02) if good else np.nan
    covariance[row, 0, 0] = m00 * i
    covariance[row, 0, 1] = covariance[row, 1, 0] = m01 * i
    covariance[row, 0, 2] = covariance[row, 2, 0] = m02 * i
    covariance[row, 1, 1] = (a * f - c * c) * i
    covariance[row, 1, 2] = covariance[row, 2, 1] = (b * c - a * e) * i
    covariance[row, 2, 2] = (a * d - b * b) * i


@_jit_and_keep
def triangulate_range(
    cam, pixels, confidence, lowest, precision, robust, threshold, cosine, strides, patience,
    points, inliers, residuals, status, covariance,
):  # fmt: skip
    """Triangulate every row of `pixels` into the same row of the outputs.

    Args:
        cam: (camera, CAMERA_COLUMNS) table of cameras.
        pixels: (point, camera, 2); confidence: (point, camera), 0 or NaN where unseen, or (0, camera) for 1 everywhere.
        lowest: confidence below which a camera does not see the point.
        precision: (camera,) inverse variance of the pixels at confidence 1, up to a factor that makes the largest 1.
        robust: search for a consensus where the fit to all views leaves a residual above `threshold` (px).
        cosine: of the smallest accepted angle between rays.
        strides: (camera + 1, m) the pairs to try for n seen cameras: all (i, i + stride); filled with 0.
        patience: (camera + 1, camera + 1) how many pairs to try for n seen cameras once m of them agree.
        points (point, 3), inliers, residuals (point, camera), status (point), covariance (point, 3, 3) or (0, 3, 3).
    """
    n_cameras = cam.shape[0]
    obs = np.zeros(np.uint64(n_cameras) * OBS_ROWS * LANES)
    pts = np.zeros(PTS_ROWS * LANES)
    accept = np.ones(np.int64(LANES), dtype=np.bool_)
    seen = np.zeros(n_cameras, dtype=np.int64)
    n_points = pixels.shape[0]
    index = np.arange(n_points)
    hard = np.empty(n_points, dtype=np.int64)
    n_hard = 0
    threshold2 = threshold * threshold
    lanes = np.int64(LANES)
    for first in range(0, n_points, lanes):
        count = min(lanes, n_points - first)
        _load(pixels, confidence, lowest, precision, index, first, count, cam, obs)
        _undistort(cam, obs)
        _count(obs, pts, n_cameras, W, SEEN)
        _count(obs, pts, n_cameras, USE, USED)
        _start(cam, obs, pts)
        if robust:
            _disagrees(obs, pts, n_cameras, threshold2)
            for k in range(count):
                accept[k] = pts[WORK + uint64(k)] == 0.0 or pts[SEEN + uint64(k)] < 2.0
                if not accept[k]:
                    pts[USED + uint64(k)] = 0.0  # the polish does not wait for it
                    hard[n_hard] = index[first + k]
                    n_hard += 1
        _polish(cam, obs, pts)
        _widest_angle(cam, obs, pts)
        _store(cam, obs, pts, index, first, count, accept, cosine, points, inliers, residuals, status, covariance)
    accept[:] = True
    for first in range(0, n_hard, lanes):
        count = min(lanes, n_hard - first)
        _load(pixels, confidence, lowest, precision, hard, first, count, cam, obs)
        _undistort(cam, obs)
        _count(obs, pts, n_cameras, W, SEEN)
        for k in range(uint64(count)):
            _search(cam, obs, pts, k, threshold2, strides, patience, seen)
        _count(obs, pts, n_cameras, USE, USED)
        _refit(cam, obs, pts, threshold2)
        _count(obs, pts, n_cameras, USE, USED)
        _polish(cam, obs, pts)
        _widest_angle(cam, obs, pts)
        _store(cam, obs, pts, hard, first, count, accept, cosine, points, inliers, residuals, status, covariance)


@_jit_and_keep
def normalize_range(cam, pixels, normalized, slope):
    """Undistort every row of `pixels` (point, camera, 2) into `normalized`, of the same shape; NaN where not seen.

    slope (point, camera, 2, 2) gets the derivative of the pixels by the normalized coordinates.
    """
    n_points, n_cameras = pixels.shape[0], pixels.shape[1]
    obs = np.zeros(np.uint64(n_cameras) * OBS_ROWS * LANES)
    index, precision, confidence = np.arange(n_points), np.ones(n_cameras), np.empty((0, n_cameras))
    lanes = np.int64(LANES)
    for first in range(0, n_points, lanes):
        count = min(lanes, n_points - first)
        _load(pixels, confidence, 0.0, precision, index, first, count, cam, obs)
        _undistort(cam, obs)
        for k in range(uint64(count)):
            row = uint64(first) + k
            for c in range(n_cameras):
                o = uint64(c) * OBS_ROWS * LANES
                seen = obs[o + W + k] > 0.0
                normalized[row, c, 0] = obs[o + X + k] if seen else np.nan
                normalized[row, c, 1] = obs[o + Y + k] if seen else np.nan
                slope[row, c, 0, 0] = obs[o + G00 + k] if seen else np.nan
                slope[row, c, 0, 1] = obs[o + G01 + k] if seen else np.nan
                slope[row, c, 1, 0] = obs[o + G10 + k] if seen else np.nan
                slope[row, c, 1, 1] = obs[o + G11 + k] if seen else np.nan


def cache_folder() -> str | None:
    """The folder in which the compiled kernels are kept; None where there is none that can be written."""
    return getattr(triangulate_range.stats, "cache_path", None)
