"""The numba kernels of `calibration.bundle`: projection with analytic derivatives, normal equations, Schur complement.

How the speed comes about: the derivatives by the pose of a camera and by the pose of a board are both linear functions
of those by the pose of the board in the camera. So one view (a board seen by a camera) is reduced to one small normal
matrix, by its pose (6) and the free lens parameters, and all else is done with those. Within a view every loop runs
over the corners, quantity by quantity, which LLVM turns into vector instructions.

A pose changes by a small rotation w and translation t. That of a camera is changed on the left, x_cam = exp(w) x + t,
that of a board on the right, x_board = exp(w) x + t, so that both turn about their own origins.

Results do not depend on the number of threads: every view, frame and point has its own place in the outputs, and sums
over them are taken in fixed chunks in a fixed order. BLAS and LAPACK, whose sums depend on the threads, are not used.

All kernels stand in this one file because numba's cache notices a change of the file that holds the entry point, but
not of others that it calls into.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from calibration.kernels import kept

__all__ = [
    "CAMERA_COLUMNS",
    "FISHEYE",
    "LENS",
    "MODEL",
    "POSE",
    "SKEW",
    "TILT",
    "TILTED",
    "TILT_X",
    "TILT_Y",
    "add_cameras",
    "back_substitute",
    "back_substitute_points",
    "evaluate_views",
    "invert_spd",
    "reduce_frames",
    "reduce_points",
    "solve_spd",
]

_jit = njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "arcp", "nsz"})
_jit_and_keep = kept(_jit)


# columns of the camera table: model, skew, rotation and translation of cam_from_world, the numbers of the lens (fx, fy,
# cx, cy, 14 coefficients), the homography of the tilted sensor and its derivatives by both tilts
MODEL, SKEW, POSE, LENS, TILT, TILT_X, TILT_Y = 0, 1, 2, 14, 32, 41, 50
CAMERA_COLUMNS = 59
BROWN, TILTED, FISHEYE = 0.0, 1.0, 2.0
# losses
NONE, CAUCHY, HUBER, TUKEY = 0, 1, 2, 3

# Tangent of 85 degrees, as in calibration.lens: beyond it no model holds.
LARGEST_RADIUS2 = 11.43 * 11.43
# A corner nearer to the plane of the camera center than this share of its distance is not in front of the camera.
SMALLEST_DEPTH = 1e-6
# rows of the scratch block of a view
X, Y, Z, NX, NY, P00, P01, P10, P11, A, B, D, E, R2, RADIAL, GOOD, EU, EV, TX, TY, Q = range(21)
# four powers of the radius, as radial coefficients multiply them; derivatives (u, v) of the pixel by the scale of the
# bent point, for coefficients in the numerator and in the denominator
POWERS, ABOVE, BELOW = 21, 25, 27
SCRATCH_ROWS = 29


@_jit
def _rotate_on(rotation, point):
    return (
        rotation[0] * point[0] + rotation[1] * point[1] + rotation[2] * point[2],
        rotation[3] * point[0] + rotation[4] * point[1] + rotation[5] * point[2],
        rotation[6] * point[0] + rotation[7] * point[1] + rotation[8] * point[2],
    )


@_jit
def _multiply(a, b, out):
    for i in range(3):
        for j in range(3):
            out[3 * i + j] = a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j]


@_jit
def _robust_terms(loss, tuning, s):
    """Loss rho, its derivative and 2 s rho'' / rho' at the squared residual s in units of the noise."""
    if loss == CAUCHY:
        c2 = tuning * tuning
        return c2 * np.log1p(s / c2), c2 / (c2 + s), -2.0 * s / (c2 + s)
    if loss == HUBER:
        if s <= tuning * tuning:
            return s, 1.0, 0.0
        root = np.sqrt(s)
        return 2.0 * tuning * root - tuning * tuning, tuning / root, -1.0
    if loss == TUKEY:
        c2 = tuning * tuning
        if s >= c2:
            return c2 / 3.0, 0.0, -1.0
        share = 1.0 - s / c2
        return c2 / 3.0 * (1.0 - share * share * share), share * share, -4.0 * s / (c2 - s)
    return s, 1.0, 0.0


@_jit
def _brown(row, n, w):
    """Bent coordinates TX, TY, the derivatives A, B, D, E by the normalized ones; GOOD becomes 0 beyond a fold."""
    k1, k2, p1, p2, k3 = row[LENS + 4], row[LENS + 5], row[LENS + 6], row[LENS + 7], row[LENS + 8]
    k4, k5, k6 = row[LENS + 9], row[LENS + 10], row[LENS + 11]
    s1, s2, s3, s4 = row[LENS + 12], row[LENS + 13], row[LENS + 14], row[LENS + 15]
    nx, ny, wr2, wradial, good = w[NX], w[NY], w[R2], w[RADIAL], w[GOOD]
    first, second, third = w[POWERS], w[POWERS + 1], w[POWERS + 2]
    tx, ty, wa, wb, wd, we = w[TX], w[TY], w[A], w[B], w[D], w[E]
    for i in range(n):
        x, y = nx[i], ny[i]
        r2 = x * x + y * y
        denominator = 1.0 + r2 * (k4 + r2 * (k5 + r2 * k6))
        numerator = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
        safe = denominator if denominator > 1e-6 else 1.0
        inverse = 1.0 / safe
        radial = numerator * inverse
        slope = (k1 + r2 * (2.0 * k2 + 3.0 * r2 * k3) - radial * (k4 + r2 * (2.0 * k5 + 3.0 * r2 * k6))) * inverse
        fine = denominator > 1e-6 and radial > 0.0 and radial + 2.0 * r2 * slope > 0.0
        good[i] = good[i] if fine else 0.0
        wr2[i], wradial[i] = r2, radial
        first[i], second[i], third[i] = r2 * inverse, r2 * r2 * inverse, r2 * r2 * r2 * inverse
        qx, qy = s1 + 2.0 * r2 * s2, s3 + 2.0 * r2 * s4
        tx[i] = x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x) + r2 * (s1 + r2 * s2)
        ty[i] = y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y + r2 * (s3 + r2 * s4)
        cross = 2.0 * x * y * slope + 2.0 * p1 * x + 2.0 * p2 * y
        wa[i] = radial + 2.0 * x * x * slope + 2.0 * p1 * y + 6.0 * p2 * x + 2.0 * x * qx
        wb[i] = cross + 2.0 * y * qx
        wd[i] = cross + 2.0 * x * qy
        we[i] = radial + 2.0 * y * y * slope + 6.0 * p1 * y + 2.0 * p2 * x + 2.0 * y * qy


@_jit
def _fisheye(row, n, w):
    """As `_brown`."""
    k1, k2, k3, k4 = row[LENS + 4], row[LENS + 5], row[LENS + 6], row[LENS + 7]
    for i in range(n):
        x, y = w[NX, i], w[NY, i]
        r2 = x * x + y * y
        r = np.sqrt(r2)
        theta = np.arctan(r)
        t2 = theta * theta
        bent = 1.0 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4)))
        grows = 1.0 + t2 * (3.0 * k1 + t2 * (5.0 * k2 + t2 * (7.0 * k3 + t2 * 9.0 * k4)))
        share = theta / r if r > 1e-8 else 1.0
        scale = share * bent
        q = (grows / (1.0 + r2) - scale) / r2 if r > 1e-8 else 0.0
        if grows <= 0.0:
            w[GOOD, i] = 0.0
        power = share
        for k in range(4):
            power *= t2
            w[POWERS + k, i] = power
        w[RADIAL, i] = scale
        w[TX, i], w[TY, i] = x * scale, y * scale
        w[A, i], w[B, i], w[D, i], w[E, i] = scale + q * x * x, q * x * y, q * x * y, scale + q * y * y


@_jit
def _tilt(row, n, w, j, place_x, place_y):
    """Send TX, TY through the homography of the tilted sensor; fills P with its derivative, and those by the tilts."""
    t, by_x, by_y = row[TILT : TILT + 9], row[TILT_X : TILT_X + 9], row[TILT_Y : TILT_Y + 9]
    fx, fy, skew = row[LENS], row[LENS + 1], row[SKEW]
    for i in range(n):
        x, y = w[TX, i], w[TY, i]
        depth = t[6] * x + t[7] * y + t[8]
        if depth <= 1e-6:
            w[GOOD, i] = 0.0
            depth = 1.0
        inverse = 1.0 / depth
        tx = (t[0] * x + t[1] * y + t[2]) * inverse
        ty = (t[3] * x + t[4] * y + t[5]) * inverse
        for place, by in ((place_x, by_x), (place_y, by_y)):
            if place >= 0:
                off = by[6] * x + by[7] * y + by[8]
                dx = (by[0] * x + by[1] * y + by[2] - tx * off) * inverse
                dy = (by[3] * x + by[4] * y + by[5] - ty * off) * inverse
                j[place, i] = fx * dx + skew * dy
                j[place, n + i] = fy * dy
        m00, m01 = (t[0] - tx * t[6]) * inverse, (t[1] - tx * t[7]) * inverse
        m10, m11 = (t[3] - ty * t[6]) * inverse, (t[4] - ty * t[7]) * inverse
        w[TX, i], w[TY, i] = tx, ty
        w[P00, i], w[P01, i] = fx * m00 + skew * m10, fx * m01 + skew * m11
        w[P10, i], w[P11, i] = fy * m10, fy * m11


@_jit
def _by_radial(w, j, n, out, share, along):
    """Derivative by a radial coefficient: a power of the radius (row `share`) times a direction (two rows)."""
    row_u, row_v = j[out, :n], j[out, n : 2 * n]
    power, along_u, along_v = w[share], w[along], w[along + 1]
    for i in range(n):
        row_u[i] = power[i] * along_u[i]
        row_v[i] = power[i] * along_v[i]


@_jit
def _by_linear(w, j, n, out, term):
    """Derivative by a decentering (0, 1) or prism (2 to 5) coefficient."""
    nx, ny, wr2 = w[NX], w[NY], w[R2]
    p00, p01, p10, p11 = w[P00], w[P01], w[P10], w[P11]
    row_u, row_v = j[out, :n], j[out, n : 2 * n]
    if term < 2:
        square = nx if term == 1 else ny
        for i in range(n):
            cross, along = 2.0 * nx[i] * ny[i], wr2[i] + 2.0 * square[i] * square[i]
            bx, by = (along, cross) if term == 1 else (cross, along)
            row_u[i] = p00[i] * bx + p01[i] * by
            row_v[i] = p10[i] * bx + p11[i] * by
        return
    first, second = (p00, p10) if term < 4 else (p01, p11)
    for i in range(n):
        share = wr2[i] if term % 2 == 0 else wr2[i] * wr2[i]
        row_u[i] = first[i] * share
        row_v[i] = second[i] * share


@_jit
def _by_lens(row, places, n, w, j):
    """Derivatives by the free lens parameters; `places` (18,) are rows of `j`, negative where fixed."""
    tx, ty = w[TX], w[TY]
    for k in range(4):
        if places[k] >= 0:
            j[places[k], : 2 * n] = 0.0
    if places[0] >= 0:
        row_u = j[places[0], :n]
        for i in range(n):
            row_u[i] = tx[i]
    if places[1] >= 0:
        row_v = j[places[1], n : 2 * n]
        for i in range(n):
            row_v[i] = ty[i]
    if places[2] >= 0:
        j[places[2], :n] = 1.0
    if places[3] >= 0:
        j[places[3], n : 2 * n] = 1.0
    nx, ny, radial = w[NX], w[NY], w[RADIAL]
    above_u, above_v, below_u, below_v = w[ABOVE], w[ABOVE + 1], w[BELOW], w[BELOW + 1]
    p00, p01, p10, p11 = w[P00], w[P01], w[P10], w[P11]
    for i in range(n):
        u, v = p00[i] * nx[i] + p01[i] * ny[i], p10[i] * nx[i] + p11[i] * ny[i]
        above_u[i], above_v[i] = u, v
        below_u[i], below_v[i] = -radial[i] * u, -radial[i] * v
    fisheye = row[MODEL] == FISHEYE
    for k in range(4 if fisheye else 12):
        out = places[4 + k]
        if out < 0:
            continue
        if fisheye or k < 2:
            share, along = POWERS + k, ABOVE
        elif k == 4:
            share, along = POWERS + 2, ABOVE
        elif 5 <= k <= 7:
            share, along = POWERS + k - 5, BELOW
        else:
            _by_linear(w, j, n, out, k - 2 if k < 4 else k - 6)
            continue
        _by_radial(w, j, n, out, share, along)


@_jit
def _linearize(row, places, n, w, j, pixels):
    """Residuals EU, EV (projected minus observed) and derivatives by the pose (rows 0 to 5) and the lens.

    Camera coordinates X, Y, Z of n points are in `w`. GOOD is 0 for those that the camera cannot see; their numbers are
    finite, and mean nothing.
    """
    good, wx, wy, wz, nx, ny = w[GOOD], w[X], w[Y], w[Z], w[NX], w[NY]
    for i in range(n):
        x, y, z = wx[i], wy[i], wz[i]
        near = SMALLEST_DEPTH * (abs(x) + abs(y) + abs(z))
        inverse = 1.0 / z if z > near else 1.0
        u, v = x * inverse, y * inverse
        fine = z > near and u * u + v * v < LARGEST_RADIUS2
        good[i] = 1.0 if fine else 0.0
        nx[i] = u if fine else 0.0
        ny[i] = v if fine else 0.0
        wz[i] = z if fine else 1.0
    fx, fy, cx, cy, skew = row[LENS], row[LENS + 1], row[LENS + 2], row[LENS + 3], row[SKEW]
    p00, p01, p10, p11 = w[P00], w[P01], w[P10], w[P11]
    if row[MODEL] == FISHEYE:
        _fisheye(row, n, w)
    else:
        _brown(row, n, w)
    if row[MODEL] == TILTED:
        _tilt(row, n, w, j, places[16], places[17])
    else:
        for i in range(n):
            p00[i], p01[i], p10[i], p11[i] = fx, skew, 0.0, fy
    _by_lens(row, places, n, w, j)
    tx, ty, eu, ev, wa, wb, wd, we = w[TX], w[TY], w[EU], w[EV], w[A], w[B], w[D], w[E]
    for i in range(n):
        eu[i] = fx * tx[i] + skew * ty[i] + cx - pixels[i, 0]
        ev[i] = fy * ty[i] + cy - pixels[i, 1]
    for half in range(2):
        first, second = (p00, p01) if half == 0 else (p10, p11)
        o = half * n
        j0, j1, j2 = j[0, o : o + n], j[1, o : o + n], j[2, o : o + n]
        j3, j4, j5 = j[3, o : o + n], j[4, o : o + n], j[5, o : o + n]
        for i in range(n):
            inverse = 1.0 / wz[i]
            gx = (first[i] * wa[i] + second[i] * wd[i]) * inverse
            gy = (first[i] * wb[i] + second[i] * we[i]) * inverse
            x, y = nx[i], ny[i]
            gz = -(gx * x + gy * y)
            z = wz[i]
            j0[i] = (y * gz - gy) * z
            j1[i] = (gx - x * gz) * z
            j2[i] = (x * gy - y * gx) * z
            j3[i], j4[i], j5[i] = gx, gy, gz


@_jit
def _weigh(loss, tuning, curvature, sigma, n, w, j, size, use, r2):
    """Weigh residuals and derivatives by the loss (Triggs et al. 2000, section 4.3); the noise is left to `_normal`.

    Returns the cost, and how many points in use the camera cannot see.
    """
    good, eu, ev, q = w[GOOD], w[EU], w[EV], w[Q]
    total, bad, unseen = 0.0, 0, 0
    for i in range(n):
        square = eu[i] * eu[i] + ev[i] * ev[i]
        q[i] = square
        total += square
        if good[i] == 0.0:
            square = np.nan
            bad += 1
            unseen += 1 if use[i] else 0
        elif not use[i]:
            good[i] = 0.0
            bad += 1
        r2[i] = square
    inverse2 = 1.0 / (sigma * sigma)
    if bad:
        total = 0.0
        for i in range(n):
            if good[i] == 0.0:
                eu[i], ev[i], q[i] = 0.0, 0.0, 0.0
            total += q[i]
    if loss == NONE:
        if bad:
            for k in range(size):
                for i in range(n):
                    if good[i] == 0.0:
                        j[k, i] = j[k, n + i] = 0.0
        return 0.5 * total * inverse2, unseen
    cost = _sum_of_losses(loss, tuning, inverse2, n, q)
    # root of the weight in GOOD; Q: share of the part along the residual that is taken off; TX, TY: its direction
    along_u, along_v = w[TX], w[TY]
    for i in range(n):
        square = q[i]
        _, weight, bend = _robust_terms(loss, tuning, square * inverse2)
        along = 1.0 / np.sqrt(square) if square > 0.0 else 0.0
        keep = np.sqrt(max(abs(1.0 + bend), curvature))
        root = np.sqrt(weight) * good[i]
        good[i] = root
        q[i] = root * (1.0 - keep)
        along_u[i], along_v[i] = eu[i] * along, ev[i] * along
        eu[i] *= root / keep
        ev[i] *= root / keep
    for k in range(size):
        ju, jv = j[k, :n], j[k, n : 2 * n]
        for i in range(n):
            part = q[i] * (along_u[i] * ju[i] + along_v[i] * jv[i])
            ju[i] = good[i] * ju[i] - part * along_u[i]
            jv[i] = good[i] * jv[i] - part * along_v[i]
    return cost, unseen


@_jit
def _sum_of_losses(loss, tuning, inverse2, n, squares):
    """Half the sum of the losses of squared residuals."""
    total = 0.0
    if loss == CAUCHY:
        # One logarithm for eight: of their product, which cannot overflow below residuals of 1e19 sigma.
        c2 = tuning * tuning
        product, factor = 1.0, inverse2 / c2
        for i in range(n):
            product *= 1.0 + squares[i] * factor
            if i % 8 == 7:
                total += np.log(product)
                product = 1.0
        return 0.5 * c2 * (total + np.log(product))
    for i in range(n):
        rho, _, _ = _robust_terms(loss, tuning, squares[i] * inverse2)
        total += rho
    return 0.5 * total


@_jit
def _normal(n, w, j, size, inverse2, matrix, vector):
    """Upper triangle of J^T J, and J^T e, times a factor; below the diagonal `matrix` is of no use.

    Two rows times four at once, which reads every number three times less often than one by one.
    """
    eu, ev = w[EU], w[EV]
    last = size - 1
    for a in range(0, size, 2):
        c = min(a + 1, last)
        first, second = j[a, : 2 * n], j[c, : 2 * n]
        for b in range(a, size, 4):
            b1, b2, b3 = min(b + 1, last), min(b + 2, last), min(b + 3, last)
            j0, j1, j2, j3 = j[b, : 2 * n], j[b1, : 2 * n], j[b2, : 2 * n], j[b3, : 2 * n]
            s0, s1, s2, s3, t0, t1, t2, t3 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for i in range(2 * n):
                s, t = first[i], second[i]
                x0, x1, x2, x3 = j0[i], j1[i], j2[i], j3[i]
                s0 += s * x0
                s1 += s * x1
                s2 += s * x2
                s3 += s * x3
                t0 += t * x0
                t1 += t * x1
                t2 += t * x2
                t3 += t * x3
            matrix[a, b], matrix[a, b1], matrix[a, b2], matrix[a, b3] = (
                inverse2 * s0, inverse2 * s1, inverse2 * s2, inverse2 * s3
            )  # fmt: skip
            matrix[c, b], matrix[c, b1], matrix[c, b2], matrix[c, b3] = (
                inverse2 * t0, inverse2 * t1, inverse2 * t2, inverse2 * t3
            )  # fmt: skip
    for a in range(size):
        first, second = j[a, :n], j[a, n : 2 * n]
        total = 0.0
        for i in range(n):
            total += first[i] * eu[i] + second[i] * ev[i]
        vector[a] = inverse2 * total


@_jit_and_keep
def evaluate_views(
    begin, end, table, poses, shape, places, sizes, view_camera, view_frame, view_start, corner, pixels, use,
    sigma, loss, tuning, curvature, matrix, vector, cost, unseen, r2, residual, by_shape,
):  # fmt: skip
    """Linearize views begin to end.

    Args:
        table: (camera, CAMERA_COLUMNS); poses: (frame, 12) world_from_board; shape: (corner, 3) the board. Free points
            are the corners of one board at the origin of the world.
        places: (camera, 18) row of each lens parameter in the derivatives, from 6 on; -1 where fixed.
        sizes: (camera,) 6 and the number of free lens parameters.
        view_camera, view_frame: (view,); view_start: (view + 1,) its part of the observations.
        corner: (observation,); pixels: (observation, 2); use: (observation,) whether it counts.
        sigma: (camera,) px; loss, tuning: see `_robust_terms`.
        curvature: along the residual at least this share of the weight is kept where the loss bends down.
        matrix (view, size, size), vector (view, size), cost (view,), unseen (view,): the normal equations.
        residual (observation, 2): projected minus observed, px; r2 (observation,): squared. NaN where not seen.
        by_shape (observation, extra, size + extra + 1): products of the derivatives by coordinates of the corner in the
            frame of the board with the other derivatives, with themselves and with the residual. Extra is 0, 1 (its
            height) or 3.
    """
    most, extra = 1, by_shape.shape[1]
    for v in range(begin, end):
        most = max(most, view_start[v + 1] - view_start[v])
    w, j, r = np.empty((SCRATCH_ROWS, most)), np.empty((matrix.shape[1] + extra, 2 * most)), np.empty(9)
    for v in range(begin, end):
        c, start = view_camera[v], view_start[v]
        row, pose, observed = table[c], poses[view_frame[v]], slice(start, view_start[v + 1])
        n, size = view_start[v + 1] - start, sizes[c]
        tx, ty, tz = _compose(row, pose, r)
        for i in range(n):
            k = corner[start + i]
            x, y, z = shape[k, 0], shape[k, 1], shape[k, 2]
            w[X, i] = r[0] * x + r[1] * y + r[2] * z + tx
            w[Y, i] = r[3] * x + r[4] * y + r[5] * z + ty
            w[Z, i] = r[6] * x + r[7] * y + r[8] * z + tz
        _linearize(row, places[c], n, w, j, pixels[observed])
        for i in range(n):
            residual[start + i, 0] = w[EU, i] if w[GOOD, i] > 0.0 else np.nan
            residual[start + i, 1] = w[EV, i] if w[GOOD, i] > 0.0 else np.nan
        for q in range(extra):
            axis = 3 - extra + q
            for i in range(2 * n):
                j[size + q, i] = r[axis] * j[3, i] + r[3 + axis] * j[4, i] + r[6 + axis] * j[5, i]
        cost[v], unseen[v] = _weigh(
            loss, tuning, curvature, sigma[c], n, w, j, size + extra, use[observed], r2[observed]
        )  # fmt: skip
        inverse2 = 1.0 / (sigma[c] * sigma[c])
        _normal(n, w, j, size, inverse2, matrix[v], vector[v])
        for q in range(extra):
            for i in range(n):
                first, second, out = inverse2 * j[size + q, i], inverse2 * j[size + q, n + i], by_shape[start + i, q]
                for k in range(size + extra):
                    out[k] = first * j[k, i] + second * j[k, n + i]
                out[size + extra] = first * w[EU, i] + second * w[EV, i]


@_jit
def _compose(row, pose, r):
    """Translation of cam_from_board; fills its rotation (9,)."""
    _multiply(row[POSE : POSE + 9], pose[:9], r)
    x, y, z = _rotate_on(row[POSE : POSE + 9], pose[9:12])
    return x + row[POSE + 9], y + row[POSE + 10], z + row[POSE + 11]


@_jit
def _cholesky(a, n):
    """Lower factor in place; returns n, or the first row where the matrix is not positive definite."""
    for i in range(n):
        for k in range(i + 1):
            total = a[i, k]
            ai, ak = a[i, :k], a[k, :k]
            for m in range(k):
                total -= ai[m] * ak[m]
            if i == k:
                if not total > 0.0:
                    return i
                a[i, i] = np.sqrt(total)
            else:
                a[i, k] = total / a[k, k]
    return n


@_jit
def _adjoint(row, pose, out):
    """Derivative (6, 6) of the pose of the board in the camera by that of the board."""
    r = np.empty(9)
    x, y, z = _compose(row, pose, r)
    for i in range(3):
        for k in range(3):
            out[i, k] = out[i + 3, k + 3] = r[3 * i + k]
            out[i, k + 3] = 0.0
    for k in range(3):
        a, b, c = r[k], r[3 + k], r[6 + k]
        out[3, k] = y * c - z * b
        out[4, k] = z * a - x * c
        out[5, k] = x * b - y * a


@_jit
def _frame_blocks(frame, row, pose, offset, size, matrix, vector, adjoint, mixed, hessian, gradient, coupling):
    """Add a view to the block of its frame, and fill its coupling (6, free) with the parameters of the camera."""
    _adjoint(row, pose, adjoint)
    for m in range(6):
        line = mixed[m, :size]
        line[:] = 0.0
        for e in range(3 if m >= 3 else 0, 6):  # the upper right quarter of the adjoint is 0
            value, other = adjoint[e, m], matrix[e, :size]
            for k in range(e):
                line[k] += value * matrix[k, e]
            for k in range(e, size):
                line[k] += value * other[k]
    for a in range(6):
        total = 0.0
        for e in range(6):
            total += adjoint[e, a] * vector[e]
        gradient[frame, a] += total
        for b in range(a + 1):
            total = 0.0
            for e in range(6):
                total += mixed[a, e] * adjoint[e, b]
            hessian[a, b] += total
    for m in range(6):
        for k in range(offset, size):
            coupling[m, k - offset] = mixed[m, k]


@_jit
def _add_camera(matrix, vector, skip, size, first, system, right, raw):
    """Add the normal equations of a view to those of its camera."""
    o = first - skip
    for a in range(skip, size):
        right[o + a] += vector[a]
        raw[0, o + a] += vector[a]
        raw[1, o + a] += matrix[a, a]
        for b in range(a, size):
            system[o + a, o + b] += matrix[a, b]


@_jit_and_keep
def reduce_frames(
    begin, end, damping, fixed, table, poses, offset, sizes, first, frame_start, view_camera, view_start, corner,
    matrix, vector, by_shape, shape_first, factor, gradient, diagonal, half, coupling, shape_coupling, system, right,
    raw,
):  # fmt: skip
    """Eliminate the poses of frames begin to end: add their Schur complement to `system` (upper triangle) and `right`.

    Args:
        damping: (frame,) share of the diagonal that is added to the block of each frame.
        fixed: whether the poses stay as they are, so that nothing is eliminated.
        offset: (camera,) 0, or 6 where the pose of the camera is fixed; sizes: (camera,) as for `evaluate_views`.
        first: (camera,) place of the first parameter of the camera in `system`; -1 where it has none.
        frame_start: (frame + 1,) the views of each frame.
        matrix, vector, by_shape: from `evaluate_views`.
        shape_first: place of the first height in `system`; -1 where the board is rigid.
        factor (frame, 6, 6), gradient (frame, 6), diagonal (frame, 6), half (frame, 6): what `back_substitute` needs;
            a factor that is NaN marks a frame whose pose is not determined.
        coupling (view, 6, parameter), shape_coupling (frame, 6, corner): the same.
        system (parameter, parameter), right (parameter,): sums of this chunk.
        raw (2, parameter): gradient and diagonal of the normal matrix before the elimination, sums of this chunk.
    """
    width = matrix.shape[1]
    adjoint, mixed, hessian = np.empty((6, 6)), np.empty((6, width)), np.empty((6, 6))
    n_corners = shape_coupling.shape[2]
    for f in range(begin, end):
        hessian[:] = 0.0
        gradient[f] = 0.0
        if shape_first >= 0:
            shape_coupling[f] = 0.0
        for v in range(frame_start[f], frame_start[f + 1]):
            c = view_camera[v]
            size, skip = sizes[c], offset[c]
            _frame_blocks(
                f, table[c], poses[f], skip, size, matrix[v], vector[v], adjoint, mixed, hessian, gradient, coupling[v]
            )
            if first[c] >= 0:
                _add_camera(matrix[v], vector[v], skip, size, first[c], system, right, raw)
            if shape_first >= 0:
                for i in range(view_start[v], view_start[v + 1]):
                    k = corner[i]
                    product = by_shape[i, 0]
                    system[shape_first + k, shape_first + k] += product[size]
                    right[shape_first + k] += product[size + 1]
                    raw[0, shape_first + k] += product[size + 1]
                    raw[1, shape_first + k] += product[size]
                    for a in range(skip, size):
                        system[first[c] - skip + a, shape_first + k] += product[a]
                    for m in range(6):
                        total = 0.0
                        for e in range(6):
                            total += product[e] * adjoint[e, m]
                        shape_coupling[f, m, k] += total
        if fixed:
            gradient[f], diagonal[f], half[f] = 0.0, 0.0, 0.0
            coupling[frame_start[f] : frame_start[f + 1]] = 0.0
            factor[f] = 0.0
            for a in range(6):
                factor[f, a, a] = 1.0
            if shape_first >= 0:
                shape_coupling[f] = 0.0
            continue
        for a in range(6):
            diagonal[f, a] = hessian[a, a]
            hessian[a, a] *= 1.0 + damping[f]
            for b in range(a + 1):
                factor[f, a, b] = hessian[a, b]
        if _cholesky(factor[f], 6) < 6:
            factor[f] = np.nan
            continue
        _eliminate(
            f, factor[f], gradient[f], half[f], coupling, shape_coupling[f], offset, sizes, first, frame_start,
            view_camera, shape_first, n_corners, system, right,
        )  # fmt: skip


@_jit
def _forward(lower, block, n):
    """Solve L x = block (6, n) in place."""
    for a in range(6):
        row = block[a, :n]
        for b in range(a):
            value, other = lower[a, b], block[b, :n]
            for k in range(n):
                row[k] -= value * other[k]
        value = 1.0 / lower[a, a]
        for k in range(n):
            row[k] *= value


@_jit
def _subtract_product(left, m, right, n, out, row, column):
    """Subtract left^T right, (6, m) and (6, n), from a block of `out`; of one on its diagonal the upper triangle."""
    r0, r1, r2, r3, r4, r5 = right[0], right[1], right[2], right[3], right[4], right[5]
    for a in range(m):
        l0, l1, l2, l3, l4, l5 = left[0, a], left[1, a], left[2, a], left[3, a], left[4, a], left[5, a]
        line = out[row + a, column : column + n]
        for b in range(a if row == column else 0, n):
            line[b] -= l0 * r0[b] + l1 * r1[b] + l2 * r2[b] + l3 * r3[b] + l4 * r4[b] + l5 * r5[b]


@_jit
def _eliminate(
    f, lower, gradient, half, coupling, shape_coupling, offset, sizes, first, frame_start, view_camera, shape_first,
    n_corners, system, right,
):  # fmt: skip
    """Subtract the Schur complement of one frame; the couplings become L^-1 times themselves."""
    for a in range(6):
        total = gradient[a]
        for b in range(a):
            total -= lower[a, b] * half[b]
        half[a] = total / lower[a, a]
    if shape_first >= 0:
        _forward(lower, shape_coupling, n_corners)
        _subtract_product(shape_coupling, n_corners, shape_coupling, n_corners, system, shape_first, shape_first)
        for k in range(n_corners):
            for a in range(6):
                right[shape_first + k] -= shape_coupling[a, k] * half[a]
    for v in range(frame_start[f], frame_start[f + 1]):
        c = view_camera[v]
        if first[c] < 0:
            continue
        n = sizes[c] - offset[c]
        _forward(lower, coupling[v], n)
        for k in range(n):
            for a in range(6):
                right[first[c] + k] -= coupling[v, a, k] * half[a]
        for u in range(frame_start[f], v + 1):  # cameras ascend within a frame
            o = view_camera[u]
            if first[o] >= 0:
                m = sizes[o] - offset[o]
                _subtract_product(coupling[u], m, coupling[v], n, system, first[o], first[c])
        if shape_first >= 0:
            _subtract_product(coupling[v], n, shape_coupling, n_corners, system, first[c], shape_first)


@_jit_and_keep
def back_substitute(
    begin, end, step, offset, sizes, first, frame_start, view_camera, factor, half, coupling, shape_first,
    shape_coupling, out,
):  # fmt: skip
    """Steps (frame, 6) of the poses of frames begin to end from the step of all other parameters."""
    n_corners = shape_coupling.shape[2]
    for f in range(begin, end):
        lower = factor[f]
        for a in range(6):
            total = -half[f, a]
            for v in range(frame_start[f], frame_start[f + 1]):
                c = view_camera[v]
                if first[c] >= 0:
                    for k in range(sizes[c] - offset[c]):
                        total -= coupling[v, a, k] * step[first[c] + k]
            if shape_first >= 0:
                for k in range(n_corners):
                    total -= shape_coupling[f, a, k] * step[shape_first + k]
            out[f, a] = total
        for i in range(6):
            a = 5 - i
            total = out[f, a]
            for b in range(a + 1, 6):
                total -= lower[b, a] * out[f, b]
            out[f, a] = total / lower[a, a]


@_jit
def _block_normal(
    begin, end, damping, sizes, point_start, order, camera, by_point, points, active, pairs, parts, values,
    precision, lower, gradient, diagonal,
):  # fmt: skip
    """Damped normal matrix (lower triangle) and gradient of the points begin to end, lengths between them included."""
    n = 3 * (end - begin)
    for a in range(n):
        for b in range(n):
            lower[a, b] = 0.0
    for p in range(begin, end):
        o = 3 * (p - begin)
        for q in range(3):
            gradient[p, q] = 0.0
        for i in range(point_start[p], point_start[p + 1]):
            k = order[i]
            size = sizes[camera[k]]
            for a in range(3):
                gradient[p, a] += by_point[k, a, size + 3]
                for b in range(a + 1):
                    lower[o + a, o + b] += by_point[k, a, size + b]
    for m in range(len(pairs)):
        p, q, weight = pairs[m, 0], pairs[m, 1], precision[parts[m]]
        if not (active[p] and active[q]):
            continue
        length, dx, dy, dz = _direction(points[p], points[q])
        excess = weight * (length - values[parts[m]])
        unit = (dx, dy, dz)
        for a in range(3):
            gradient[p, a] += excess * unit[a]
            gradient[q, a] -= excess * unit[a]
            for b in range(3):
                product = weight * unit[a] * unit[b]
                if b <= a:
                    lower[3 * (p - begin) + a, 3 * (p - begin) + b] += product
                    lower[3 * (q - begin) + a, 3 * (q - begin) + b] += product
                # pairs are in ascending order
                lower[3 * (q - begin) + a, 3 * (p - begin) + b] -= product
    for p in range(begin, end):
        for a in range(3):
            o = 3 * (p - begin) + a
            if not active[p]:
                lower[o, o] = 1.0
            diagonal[p, a] = lower[o, o]
            lower[o, o] *= 1.0 + damping


@_jit
def _direction(first, second):
    """Distance of two points and the unit vector from the second to the first; 0 where they are the same."""
    dx, dy, dz = first[0] - second[0], first[1] - second[1], first[2] - second[2]
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    inverse = 1.0 / length if length > 0.0 else 0.0
    return length, dx * inverse, dy * inverse, dz * inverse


@_jit_and_keep
def add_cameras(offset, sizes, first, view_camera, matrix, vector, system, right, raw):
    """Sum the normal equations of all views of free points."""
    for v in range(len(view_camera)):
        c = view_camera[v]
        if first[c] >= 0:
            _add_camera(matrix[v], vector[v], offset[c], sizes[c], first[c], system, right, raw)


@_jit_and_keep
def reduce_points(
    begin, end, damping, offset, sizes, first, block_start, pair_start, point_start, order, camera, by_point, points,
    active, pairs, parts, values, precision, length_place, gradient, diagonal, system, right, raw,
):  # fmt: skip
    """Eliminate the points of blocks begin to end; as `reduce_frames`.

    Args:
        block_start: (block + 1,) the points of each; pair_start: (block + 1,) the pairs of each.
        point_start: (point + 1,) where in `order` the observations of each point are; camera: (observation,).
        by_point: from `evaluate_views`.
        active: (point,) whether it takes part; none of what is seen of the others is in use.
        pairs: (pair, 2) points at a fixed distance, the first before the second; parts: (pair,) whose distance.
        values, precision: (part,) length and its inverse variance, which falls as the square of a length that is free:
            the residual is the share that a distance deviates by.
        length_place: (part,) place of the length in `system`, -1 where it is known.
        gradient, diagonal: (point, 3).
        system, right, raw: sums of this chunk.

    A gradient that is NaN marks a block whose points are not determined.
    """
    most = 1
    for b in range(begin, end):
        most = max(most, block_start[b + 1] - block_start[b])
    width, n_cameras = system.shape[0], len(sizes)
    lower, coupling, half = np.empty((3 * most, 3 * most)), np.empty((3 * most, width)), np.empty(3 * most)
    place, columns = np.empty(n_cameras, dtype=np.int64), np.empty(width, dtype=np.int64)
    for block in range(begin, end):
        p0, p1 = block_start[block], block_start[block + 1]
        own = slice(pair_start[block], pair_start[block + 1])
        n = 3 * (p1 - p0)
        _block_normal(
            p0, p1, damping, sizes, point_start, order, camera, by_point, points, active, pairs[own], parts[own],
            values, precision, lower, gradient, diagonal,
        )  # fmt: skip
        if _cholesky(lower, n) < n:
            gradient[p0, 0] = np.nan
            continue
        # the columns that this block touches, camera by camera in their order, then lengths
        for c in range(n_cameras):
            place[c] = -1
        for p in range(p0, p1):
            for i in range(point_start[p], point_start[p + 1]):
                place[camera[order[i]]] = 0
        count = 0
        for c in range(n_cameras):
            if place[c] == 0 and first[c] >= 0:
                place[c] = count
                for k in range(sizes[c] - offset[c]):
                    columns[count] = first[c] + k
                    count += 1
        for m in range(pair_start[block], pair_start[block + 1]):
            at = length_place[parts[m]]  # ascending within a block
            if at >= 0 and (count == 0 or columns[count - 1] != at):
                columns[count] = at
                count += 1
        for a in range(n):
            for k in range(count):
                coupling[a, k] = 0.0
        for p in range(p0, p1):
            for i in range(point_start[p], point_start[p + 1]):
                o = order[i]
                c = camera[o]
                if first[c] >= 0:
                    for a in range(3):
                        for k in range(sizes[c] - offset[c]):
                            coupling[3 * (p - p0) + a, place[c] + k] += by_point[o, a, offset[c] + k]
        for m in range(pair_start[block], pair_start[block + 1]):
            at = length_place[parts[m]]
            if at >= 0 and active[pairs[m, 0]] and active[pairs[m, 1]]:
                weight = precision[parts[m]]
                p, q = pairs[m, 0], pairs[m, 1]
                length, dx, dy, dz = _direction(points[p], points[q])
                excess = weight * (length - values[parts[m]])
                ratio = length / values[parts[m]]
                raw[0, at] -= ratio * excess
                raw[1, at] += ratio * ratio * weight
                right[at] -= ratio * excess
                system[at, at] += ratio * ratio * weight
                k = 0
                while columns[k] != at:
                    k += 1
                unit = (dx, dy, dz)
                for a in range(3):
                    coupling[3 * (p - p0) + a, k] -= ratio * weight * unit[a]
                    coupling[3 * (q - p0) + a, k] += ratio * weight * unit[a]
        for a in range(n):
            line, value = coupling[a], gradient[p0 + a // 3, a % 3]
            for b in range(a):
                factor, other = lower[a, b], coupling[b]
                value -= factor * half[b]
                for k in range(count):
                    line[k] -= factor * other[k]
            inverse = 1.0 / lower[a, a]
            half[a] = value * inverse
            for k in range(count):
                line[k] *= inverse
        _subtract_gram(coupling, n, count, columns, half, system, right)


@_jit
def _subtract_gram(coupling, n, count, columns, half, system, right):
    """Subtract coupling^T coupling and coupling^T half, whose columns stand at `columns`, three rows at a time."""
    for a in range(0, n, 3):
        r0, r1, r2 = coupling[a, :count], coupling[a + 1, :count], coupling[a + 2, :count]
        for i in range(count):
            x0, x1, x2 = r0[i], r1[i], r2[i]
            right[columns[i]] -= x0 * half[a] + x1 * half[a + 1] + x2 * half[a + 2]
            line = system[columns[i]]
            k = i
            while k < count:
                # a run of neighboring columns
                last = k + 1
                while last < count and columns[last] == columns[last - 1] + 1:
                    last += 1
                shift = columns[k] - k
                part = line[k + shift : last + shift]
                c0, c1, c2 = r0[k:last], r1[k:last], r2[k:last]
                for m in range(last - k):
                    part[m] -= x0 * c0[m] + x1 * c1[m] + x2 * c2[m]
                k = last


@_jit_and_keep
def back_substitute_points(
    begin, end, damping, step, offset, sizes, first, block_start, pair_start, point_start, order, camera, by_point,
    points, active, pairs, parts, values, precision, length_place, gradient, diagonal, out,
):  # fmt: skip
    """Steps (point, 3) of the points of blocks begin to end from the step of all other parameters."""
    most = 1
    for b in range(begin, end):
        most = max(most, block_start[b + 1] - block_start[b])
    lower = np.empty((3 * most, 3 * most))
    for block in range(begin, end):
        p0, p1 = block_start[block], block_start[block + 1]
        own = slice(pair_start[block], pair_start[block + 1])
        n = 3 * (p1 - p0)
        _block_normal(
            p0, p1, damping, sizes, point_start, order, camera, by_point, points, active, pairs[own], parts[own],
            values, precision, lower, gradient, diagonal,
        )  # fmt: skip
        if _cholesky(lower, n) < n:
            out[p0:p1] = np.nan
            continue
        for p in range(p0, p1):
            for a in range(3):
                out[p, a] = -gradient[p, a]
            for i in range(point_start[p], point_start[p + 1]):
                o = order[i]
                c = camera[o]
                if first[c] >= 0:
                    for a in range(3):
                        for k in range(sizes[c] - offset[c]):
                            out[p, a] -= by_point[o, a, offset[c] + k] * step[first[c] + k]
        for m in range(pair_start[block], pair_start[block + 1]):
            at = length_place[parts[m]]
            if at >= 0 and active[pairs[m, 0]] and active[pairs[m, 1]]:
                p, q = pairs[m, 0], pairs[m, 1]
                length, dx, dy, dz = _direction(points[p], points[q])
                ratio = length / values[parts[m]]
                unit = (dx, dy, dz)
                for a in range(3):
                    pull = ratio * precision[parts[m]] * unit[a] * step[at]
                    out[p, a] += pull
                    out[q, a] -= pull
        flat = out[p0:p1].reshape(n)
        for a in range(n):
            total = flat[a]
            for b in range(a):
                total -= lower[a, b] * flat[b]
            flat[a] = total / lower[a, a]
        for i in range(n):
            a = n - 1 - i
            total = flat[a]
            for b in range(a + 1, n):
                total -= lower[b, a] * flat[b]
            flat[a] = total / lower[a, a]


@_jit_and_keep
def solve_spd(matrix, right):
    """Solve a symmetric positive definite system, given by its upper triangle, scaled to a unit diagonal.

    Returns the solution; the smallest squared pivot of the scaled matrix (1 minus the share of a parameter that the
    ones before it explain), 0 where it is not positive definite; and the row of that pivot.
    """
    n = matrix.shape[0]
    scale, lower = np.empty(n), np.empty((n, n))
    smallest, place = 1.0, -1
    for i in range(n):
        scale[i] = 1.0 / np.sqrt(matrix[i, i]) if matrix[i, i] > 0.0 else 0.0
    for i in range(n):
        for k in range(i + 1):
            lower[i, k] = matrix[k, i] * scale[i] * scale[k]
    solution = np.zeros(n)
    failed = _cholesky(lower, n)
    for i in range(failed):
        if lower[i, i] * lower[i, i] < smallest:
            smallest, place = lower[i, i] * lower[i, i], i
    if failed < n:
        return solution, 0.0, failed
    for i in range(n):
        total = right[i] * scale[i]
        for k in range(i):
            total -= lower[i, k] * solution[k]
        solution[i] = total / lower[i, i]
    for m in range(n):
        i = n - 1 - m
        total = solution[i]
        for k in range(i + 1, n):
            total -= lower[k, i] * solution[k]
        solution[i] = total / lower[i, i]
    for i in range(n):
        solution[i] *= scale[i]
    return solution, smallest, place


@_jit_and_keep
def invert_spd(matrix):
    """Inverse of a symmetric positive definite matrix given by its upper triangle; NaN where it is not."""
    n = matrix.shape[0]
    scale, lower, inverse = np.empty(n), np.zeros((n, n)), np.zeros((n, n))
    for i in range(n):
        scale[i] = 1.0 / np.sqrt(matrix[i, i]) if matrix[i, i] > 0.0 else 0.0
    for i in range(n):
        for k in range(i + 1):
            lower[i, k] = matrix[k, i] * scale[i] * scale[k]
    if _cholesky(lower, n) < n:
        inverse[:] = np.nan
        return inverse
    # rows of `inverse` become the columns of L^-1, so that every inner product runs along rows
    for c in range(n):
        inverse[c, c] = 1.0 / lower[c, c]
        for i in range(c + 1, n):
            total = 0.0
            for k in range(c, i):
                total += lower[i, k] * inverse[c, k]
            inverse[c, i] = -total / lower[i, i]
    result = np.empty((n, n))
    for i in range(n):
        for k in range(i, n):
            total = 0.0
            for m in range(k, n):
                total += inverse[i, m] * inverse[k, m]
            result[i, k] = result[k, i] = total * scale[i] * scale[k]
    return result
