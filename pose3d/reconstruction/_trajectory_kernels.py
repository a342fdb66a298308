"""The numba kernels of the trajectory: robust Gauss-Newton on a block-banded system, and blocks of its inverse.

The unknowns of a window are the positions of `K` keypoints in `T` frames; those of one frame are a block of n = 3 K.
Differences of order p couple a frame with the p before it, so the normal matrix is block-banded. Observations fill
3 x 3 blocks on its diagonal, bones and joint limits the rest of the diagonal blocks, smoothness the diagonals of the
blocks beside them. It is factorized block by block (Cholesky), and the blocks of its inverse within the band follow
from the factor by the recursion of Takahashi, Fagan and Chen (1973).

A view is given in normalized image coordinates with the inverse of its covariance there, so that no lens is needed.

All kernels stand in this one file for the sake of numba's cache, see `calibration.kernels.kept`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from calibration.kernels import kept

__all__ = ["explain", "factor_chains", "frame_terms", "respond", "solve_body", "solve_chains"]

# NaN means missing here, so "nnan" and "ninf" stay off.
_jit = njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "arcp", "nsz"})
_jit_and_keep = kept(_jit)

# Columns of a view: place in normalized image coordinates, inverse of its covariance, root of the determinant of its
# covariance in units of that at confidence 1.
_X, _Y, _W00, _W01, _W11, _SPREAD = 0, 1, 2, 3, 4, 5
# Least curvature of the loss along a residual, as a share of the weight: so much while far from the minimum, where the
# exact one need not be positive; exact from where no point moves by more than half its uncertainty.
_CAREFUL, _EXACT, _NEAR = 0.2, -1e300, 0.25
_LAST = 100.0
_SHORTEST = 1e-3  # share of a Gauss-Newton step; where that does not lower the cost, nothing will


@_jit
def _loss(squared, tail, width, lost):
    """Cost, weight, and twice the slope of the weight, of a squared distance in units of its covariance.

    Core, tail and lost: see `NoiseModel`. The cost is minus the log likelihood, the weight twice its derivative.
    """
    core = np.exp(-0.5 * squared)
    wide = tail * np.exp(-0.5 * squared / width)
    total = core + wide + lost
    weight = (core + wide / width) / total
    return -np.log(total / (1.0 + tail + lost)), weight, weight * weight - (core + wide / (width * width)) / total


@_jit
def _add_product(a, b, out, factor):
    """Add to `out` the product of a factor, a and b."""
    n = a.shape[0]
    if n == 3:
        for i in range(3):
            a0, a1, a2 = factor * a[i, 0], factor * a[i, 1], factor * a[i, 2]
            for j in range(3):
                out[i, j] += a0 * b[0, j] + a1 * b[1, j] + a2 * b[2, j]
        return
    product = np.dot(a, b)
    for i in range(n):
        for j in range(n):
            out[i, j] += factor * product[i, j]


@_jit
def _add_product_transposed(a, b, out, factor):
    """Add to `out` the product of a factor, a and the transpose of b."""
    n = a.shape[0]
    if n == 3:
        for i in range(3):
            a0, a1, a2 = factor * a[i, 0], factor * a[i, 1], factor * a[i, 2]
            for j in range(3):
                out[i, j] += a0 * b[j, 0] + a1 * b[j, 1] + a2 * b[j, 2]
        return
    product = np.dot(a, b.T)
    for i in range(n):
        for j in range(n):
            out[i, j] += factor * product[i, j]


@_jit
def _add(a, out):
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, j] += a[i, j]


@_jit
def _cholesky3(a, lower, inverse):
    """`_cholesky` of a 3 x 3 matrix."""
    d0 = a[0, 0]
    if not d0 > 0.0:
        return False
    i0 = 1.0 / np.sqrt(d0)
    l10, l20 = a[1, 0] * i0, a[2, 0] * i0
    d1 = a[1, 1] - l10 * l10
    if not d1 > 0.0:
        return False
    i1 = 1.0 / np.sqrt(d1)
    l21 = (a[2, 1] - l20 * l10) * i1
    d2 = a[2, 2] - l20 * l20 - l21 * l21
    if not d2 > 0.0:
        return False
    i2 = 1.0 / np.sqrt(d2)
    lower[0, 0], lower[0, 1], lower[0, 2] = d0 * i0, 0.0, 0.0
    lower[1, 0], lower[1, 1], lower[1, 2] = l10, d1 * i1, 0.0
    lower[2, 0], lower[2, 1], lower[2, 2] = l20, l21, d2 * i2
    inverse[0, 0], inverse[0, 1], inverse[0, 2] = i0, 0.0, 0.0
    inverse[1, 0], inverse[1, 1], inverse[1, 2] = -l10 * i0 * i1, i1, 0.0
    inverse[2, 0] = (l10 * l21 * i1 - l20) * i0 * i2
    inverse[2, 1], inverse[2, 2] = -l21 * i1 * i2, i2
    return True


@_jit
def _cholesky(a, lower, inverse):
    """Cholesky factor of the symmetric matrix a, and its inverse; False where a is not positive definite."""
    n = a.shape[0]
    if n == 3:
        return _cholesky3(a, lower, inverse)
    for i in range(n):
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            if i == j:
                if not total > 0.0:
                    return False
                lower[i, i] = np.sqrt(total)
            else:
                lower[i, j] = total / lower[j, j]
        for j in range(i + 1, n):
            lower[i, j] = 0.0
    for i in range(n):
        for j in range(n):
            inverse[i, j] = 0.0
        inverse[i, i] = 1.0 / lower[i, i]
        for k in range(i):
            share = lower[i, k] / lower[i, i]
            for j in range(k + 1):
                inverse[i, j] -= share * inverse[k, j]
    return True


@_jit
def _factorize(diagonal, beside, carry, lower, inverse, work):
    """Block-banded Cholesky factor: lower[t, s] is its block (t, t - s), inverse[t] that of lower[t, 0].

    diagonal (T, n, n); beside (T, p + 1, K): the same number stands three times on the diagonal of block (t, t - s);
    carry (p, p, n, n): full blocks that are added at the start, or none.
    """
    frames, n = diagonal.shape[0], diagonal.shape[1]
    order = beside.shape[1] - 1
    for t in range(frames):
        for s in range(min(order, t), 0, -1):
            for i in range(n):
                for j in range(n):
                    work[i, j] = 0.0
                work[i, i] = beside[t, s, i // 3]
            if t < carry.shape[0]:
                _add(carry[t, t - s], work)
            for r in range(s + 1, min(order, t) + 1):
                _add_product_transposed(lower[t, r], lower[t - s, r - s], work, -1.0)
            lower[t, s] = 0.0
            _add_product_transposed(work, inverse[t - s], lower[t, s], 1.0)
        for s in range(min(order, t) + 1, order + 1):
            lower[t, s] = 0.0
        for i in range(n):
            for j in range(n):
                work[i, j] = diagonal[t, i, j]
            work[i, i] += beside[t, 0, i // 3]
        if t < carry.shape[0]:
            _add(carry[t, t], work)
        for s in range(1, min(order, t) + 1):
            _add_product_transposed(lower[t, s], lower[t, s], work, -1.0)
        if not _cholesky(work, lower[t, 0], inverse[t]):
            return False
    return True


@_jit
def _solve(lower, inverse, right):
    """Replace `right` (T, n) by the solution."""
    frames, n = right.shape
    order = lower.shape[1] - 1
    part = np.empty(n)
    for t in range(frames):
        for i in range(n):
            part[i] = right[t, i]
        for s in range(1, min(order, t) + 1):
            for i in range(n):
                total = 0.0
                for j in range(n):
                    total += lower[t, s, i, j] * right[t - s, j]
                part[i] -= total
        for i in range(n):
            total = 0.0
            for j in range(i + 1):
                total += inverse[t, i, j] * part[j]
            right[t, i] = total
    for t in range(frames - 1, -1, -1):
        for i in range(n):
            part[i] = right[t, i]
        for s in range(1, min(order, frames - 1 - t) + 1):
            for i in range(n):
                value = right[t + s, i]
                for j in range(n):
                    part[j] -= lower[t + s, s, i, j] * value
        for i in range(n):
            right[t, i] = 0.0
        for i in range(n):
            for j in range(i + 1):
                right[t, j] += inverse[t, i, j] * part[i]


@_jit
def _point(cam, views, loss, temper, fixed, least, place, weight, block, slope):
    """Views of one keypoint in one frame: fill its 3 x 3 block and slope, renew the weights; returns the cost.

    `fixed`: the weights stay as they are. `least`: the curvature of the loss along a residual is at least this share of
    the weight; it is negative where a view is about to be refused. A view from behind has the weight 0.
    """
    cost = 0.0
    h00 = h01 = h02 = h11 = h12 = h22 = 0.0
    b0 = b1 = b2 = 0.0
    for c in range(cam.shape[0]):
        w00, w01, w11 = views[c, _W00], views[c, _W01], views[c, _W11]
        if not w00 > 0.0:
            weight[c] = 0.0
            continue
        px, py, pz = place[0], place[1], place[2]
        depth = cam[c, 6] * px + cam[c, 7] * py + cam[c, 8] * pz + cam[c, 11]
        if not depth > 0.0:
            weight[c] = 0.0
            lost = loss[2] * views[c, _SPREAD]
            cost -= np.log(lost / (1.0 + loss[0] + lost))
            continue
        i = 1.0 / depth
        x = (cam[c, 0] * px + cam[c, 1] * py + cam[c, 2] * pz + cam[c, 9]) * i
        y = (cam[c, 3] * px + cam[c, 4] * py + cam[c, 5] * pz + cam[c, 10]) * i
        dx, dy = x - views[c, _X], y - views[c, _Y]
        e0, e1 = w00 * dx + w01 * dy, w01 * dx + w11 * dy
        squared = (dx * e0 + dy * e1) / temper
        part, renewed, bent = _loss(squared, loss[0], loss[1], loss[2] * views[c, _SPREAD])
        cost += part
        if not fixed:
            weight[c] = renewed / temper
        w = weight[c]
        bend = 0.0 if fixed or not squared > 0.0 else max(bent, -(1.0 - least) * renewed / squared) / temper**2
        a0, a1, a2 = (cam[c, 0] - x * cam[c, 6]) * i, (cam[c, 1] - x * cam[c, 7]) * i, (cam[c, 2] - x * cam[c, 8]) * i
        c0, c1, c2 = (cam[c, 3] - y * cam[c, 6]) * i, (cam[c, 4] - y * cam[c, 7]) * i, (cam[c, 5] - y * cam[c, 8]) * i
        p0, p1, p2 = w00 * a0 + w01 * c0, w00 * a1 + w01 * c1, w00 * a2 + w01 * c2
        q0, q1, q2 = w01 * a0 + w11 * c0, w01 * a1 + w11 * c1, w01 * a2 + w11 * c2
        v0, v1, v2 = a0 * e0 + c0 * e1, a1 * e0 + c1 * e1, a2 * e0 + c2 * e1
        h00 += w * (a0 * p0 + c0 * q0) + bend * v0 * v0
        h01 += w * (a0 * p1 + c0 * q1) + bend * v0 * v1
        h02 += w * (a0 * p2 + c0 * q2) + bend * v0 * v2
        h11 += w * (a1 * p1 + c1 * q1) + bend * v1 * v1
        h12 += w * (a1 * p2 + c1 * q2) + bend * v1 * v2
        h22 += w * (a2 * p2 + c2 * q2) + bend * v2 * v2
        b0 += w * v0
        b1 += w * v1
        b2 += w * v2
    block[0, 0], block[0, 1], block[0, 2] = h00, h01, h02
    block[1, 0], block[1, 1], block[1, 2] = h01, h11, h12
    block[2, 0], block[2, 1], block[2, 2] = h02, h12, h22
    slope[0], slope[1], slope[2] = b0, b1, b2
    return cost


@_jit
def _bone(first, second, length, stiffness, i, j, exact, block, slope):
    """A bone of known length between keypoints i and j of a frame; returns its cost.

    A stretched bone resists turning, a compressed one gives way: unless `exact`, that negative curvature is left out.
    """
    d0, d1, d2 = first[0] - second[0], first[1] - second[1], first[2] - second[2]
    distance = np.sqrt(d0 * d0 + d1 * d1 + d2 * d2)
    if not distance > 0.0:
        return 0.5 * stiffness * length * length
    error = distance - length
    unit = (d0 / distance, d1 / distance, d2 / distance)
    across = stiffness * error / distance
    if not exact:
        across = max(across, 0.0)
    for a in range(3):
        slope[3 * i + a] += stiffness * error * unit[a]
        slope[3 * j + a] -= stiffness * error * unit[a]
        for b in range(3):
            part = (stiffness - across) * unit[a] * unit[b] + (across if a == b else 0.0)
            block[3 * i + a, 3 * i + b] += part
            block[3 * j + a, 3 * j + b] += part
            block[3 * i + a, 3 * j + b] -= part
            block[3 * j + a, 3 * i + b] -= part
    return 0.5 * stiffness * error * error


@_jit
def _limit(places, joint, bound, change, block, slope):
    """A joint whose angle at the middle keypoint has left its range; returns its cost. `change` (9,) is for work."""
    dot = square_u = square_v = 0.0
    for x in range(3):
        u, v = places[joint[0], x] - places[joint[1], x], places[joint[2], x] - places[joint[1], x]
        dot += u * v
        square_u += u * u
        square_v += v * v
    if not (square_u > 0.0 and square_v > 0.0):
        return 0.0
    cosine = min(max(dot / np.sqrt(square_u * square_v), -1.0), 1.0)
    angle = np.arccos(cosine)
    error = angle - min(max(angle, bound[0]), bound[1])
    sine = np.sqrt(1.0 - cosine * cosine)
    if error == 0.0 or sine < 1e-6:  # a stretched joint has no direction in which the angle changes
        return 0.5 * bound[2] * error * error
    for x in range(3):
        u, v = places[joint[0], x] - places[joint[1], x], places[joint[2], x] - places[joint[1], x]
        u, v = u / np.sqrt(square_u), v / np.sqrt(square_v)
        change[x] = (u * cosine - v) / (sine * np.sqrt(square_u))
        change[6 + x] = (v * cosine - u) / (sine * np.sqrt(square_v))
        change[3 + x] = -change[x] - change[6 + x]
    for a in range(9):
        row = 3 * joint[a // 3] + a % 3
        slope[row] += bound[2] * error * change[a]
        for b in range(9):
            block[row, 3 * joint[b // 3] + b % 3] += bound[2] * change[a] * change[b]
    return 0.5 * bound[2] * error * error


@_jit
def prior_blocks(difference, strength):
    """(T, p + 1, K) what smoothness adds to the diagonals of the blocks (t, t - s) of the normal matrix.

    difference (T - p, p + 1): coefficients of the difference that begins at a frame; strength (T - p, K): inverse of
    its variance, 0 where a keypoint has none.
    """
    rows, order, count = strength.shape[0], difference.shape[1] - 1, strength.shape[1]
    beside = np.zeros((rows + order, order + 1, count))
    for t in range(rows):
        for a in range(order + 1):
            for b in range(a + 1):
                product = difference[t, a] * difference[t, b]
                for k in range(count):
                    beside[t + a, a - b, k] += strength[t, k] * product
    return beside


@_jit
def _smoothness(difference, strength, places, slope):
    """Slope of the smoothness; returns its cost."""
    cost = 0.0
    order, count = difference.shape[1] - 1, strength.shape[1]
    for t in range(strength.shape[0]):
        for k in range(count):
            if not strength[t, k] > 0.0:
                continue
            for x in range(3):
                value = 0.0
                for a in range(order + 1):
                    value += difference[t, a] * places[t + a, k, x]
                cost += 0.5 * strength[t, k] * value * value
                for a in range(order + 1):
                    slope[t + a, 3 * k + x] += strength[t, k] * value * difference[t, a]
    return cost


@_jit
def _carried(carry, carry_slope, carry_place, places, slope):
    """Slope of what is known of the first frames; returns its cost up to a constant."""
    cost = 0.0
    for t in range(carry.shape[0]):
        n = carry_slope.shape[1]
        for i in range(n):
            value = 0.0
            for s in range(carry.shape[0]):
                for j in range(n):
                    value += carry[t, s, i, j] * (places[s, j // 3, j % 3] - carry_place[s, j])
            slope[t, i] += carry_slope[t, i] + value
            cost += (carry_slope[t, i] + 0.5 * value) * (places[t, i // 3, i % 3] - carry_place[t, i])
    return cost


@_jit
def _system(
    cam, views, loss, temper, weight, fixed, least, active, difference, strength, bones, lengths, joints, bounds,
    anchor, anchor_strength, carry, carry_slope, carry_place, places, diagonal, slope,
):  # fmt: skip
    """Fill diagonal (T, n, n), all but the smoothness, and slope (T, n); renew the weights; returns the cost."""
    frames, count = active.shape
    cost = 0.0
    block, part, change = np.empty((3, 3)), np.empty(3), np.empty(9)
    for t in range(frames):
        diagonal[t] = 0.0
        for k in range(count):
            at = 3 * k
            if not active[t, k]:
                for x in range(3):
                    diagonal[t, at + x, at + x] = 1.0
                    slope[t, at + x] = 0.0
                continue
            cost += _point(
                cam, views[t, k], loss[k], temper[t, k], fixed, least, places[t, k], weight[t, k], block, part
            )  # fmt: skip
            for x in range(3):
                away = places[t, k, x] - anchor[t, k, x]
                cost += 0.5 * anchor_strength * away * away
                slope[t, at + x] = part[x] + anchor_strength * away
                for y in range(3):
                    diagonal[t, at + x, at + y] = block[x, y]
                diagonal[t, at + x, at + x] += anchor_strength
        for b in range(bones.shape[0]):
            i, j = bones[b, 0], bones[b, 1]
            if active[t, i] and active[t, j]:
                cost += _bone(
                    places[t, i], places[t, j], lengths[b, 0], lengths[b, 1], i, j, least < 0.0, diagonal[t], slope[t]
                )
        for m in range(joints.shape[0]):
            if active[t, joints[m, 0]] and active[t, joints[m, 1]] and active[t, joints[m, 2]]:
                cost += _limit(places[t], joints[m], bounds[m], change, diagonal[t], slope[t])
    cost += _smoothness(difference, strength, places, slope)
    return cost + _carried(carry, carry_slope, carry_place, places, slope)


@_jit
def minimize(
    cam, views, loss, temper, weight, given, active, difference, strength, bones, lengths, joints, bounds,
    anchor, anchor_strength, carry, carry_slope, carry_place, places, lower, inverse, steps, tolerance,
):  # fmt: skip
    """Move `places` to the least cost; leave the factor of the normal matrix there.

    Newton's method on the robust loss, Gauss-Newton on projection and bones; a step that does not lower the cost is
    halved. The factor is that of the Hessian at the end: its inverse is the covariance in Laplace's approximation.

    Args:
        cam: (C, 12) rotation, by rows, and translation of every camera.
        views: (T, K, C, 6) place in normalized image coordinates, inverse of its covariance (xx, xy, yy), 0 where not
            seen, and the root of the determinant of the covariance in units of that at confidence 1.
        loss: (K, 3) tail, width and lost of the loss.
        temper: (T, K) factor of the covariance in the first step; a fourth of it in the next, until it is 1.
        weight: (T, K, C) weights; for the first step where `given`, of the last one at the end.
        active: (T, K) whether a keypoint has a position in a frame.
        difference, strength: see `prior_blocks`.
        bones (B, 2) keypoints, lengths (B, 2) length and inverse of its variance; joints (M, 3) keypoints, bounds
            (M, 3) smallest and largest angle, inverse of its variance.
        anchor, anchor_strength: (T, K, 3) places that hold what nothing else does, and how weakly.
        carry, carry_slope, carry_place: (p, p, n, n), (p, n), (p, n) what is known of the first frames; or none.
        places: (T, K, 3) where to start.
        lower, inverse: (T, p + 1, n, n), (T, n, n) room for the factor.
        steps, tolerance: at most so many steps; done when no point moves by more than this share of its uncertainty, or
            by a hundred times as much in an exact step, which leaves about the square of it.

    Returns:
        The cost, the number of steps and 0 (done), 1 (too many steps) or 2 (no step lowers the cost) or 3 (singular).
    """
    frames, count = active.shape
    n = 3 * count
    beside = prior_blocks(difference, strength)
    diagonal, slope, work = np.empty((frames, n, n)), np.empty((frames, n)), np.empty((n, n))
    trial, move, trial_weight, heat = places.copy(), np.zeros((frames, n)), weight.copy(), temper.copy()
    # costs cannot be compared across another temperature or curvature, or with weights that were given
    fixed, free, least, share, step = given, True, _CAREFUL, 1.0, 0
    cost = np.inf
    while True:
        lowered = _system(
            cam, views, loss, heat, trial_weight, fixed, least, active, difference, strength, bones, lengths,
            joints, bounds, anchor, anchor_strength, carry, carry_slope, carry_place, trial, diagonal, slope,
        )  # fmt: skip
        if not (free or lowered <= cost + 1e-12 * abs(cost) + 1e-9):  # rounding is no rise
            share *= 0.5
            if share < _SHORTEST:
                return cost, step, 2
        else:
            cost = lowered
            for t in range(frames):
                for k in range(count):
                    for x in range(3):
                        places[t, k, x] = trial[t, k, x]
                        move[t, 3 * k + x] = slope[t, 3 * k + x]
                    for c in range(weight.shape[2]):
                        weight[t, k, c] = trial_weight[t, k, c]
            if not _factorize(diagonal, beside, carry, lower, inverse, work):
                if least == _CAREFUL:
                    return cost, step, 3
                least, free = _CAREFUL, True  # not yet near the minimum
                continue
            _solve(lower, inverse, move)
            moved = _largest_move(move, diagonal, beside)
            hot = _cool(heat)
            # an exact step squares what is left: it is made, and needs no other
            enough = tolerance * (1.0 if least == _CAREFUL else _LAST)
            if moved < enough * enough and not (fixed or hot):
                for t in range(frames):
                    for i in range(n):
                        places[t, i // 3, i % 3] -= move[t, i]
                return cost, step, 0
            if step == steps:
                return cost, step, 1
            free = fixed or hot
            if not free and moved < _NEAR:
                least = _EXACT
            fixed, share, step = False, 1.0, step + 1
        for t in range(frames):
            for i in range(n):
                trial[t, i // 3, i % 3] = places[t, i // 3, i % 3] - share * move[t, i]


@_jit
def _cool(heat):
    """Divide the temperatures by four, down to 1; whether one was above."""
    hot = False
    for t in range(heat.shape[0]):
        for k in range(heat.shape[1]):
            if heat[t, k] > 1.0:
                heat[t, k] = max(1.0, 0.25 * heat[t, k])
                hot = True
    return hot


@_jit
def _largest_move(move, diagonal, beside):
    """The largest squared move of a keypoint in a frame, in units of what its own diagonal block allows."""
    largest = 0.0
    for t in range(move.shape[0]):
        for k in range(move.shape[1] // 3):
            total = 0.0
            for x in range(3):
                i = 3 * k + x
                total += beside[t, 0, k] * move[t, i] * move[t, i]
                for y in range(3):
                    total += move[t, i] * diagonal[t, i, 3 * k + y] * move[t, 3 * k + y]
            largest = max(largest, total)
    return largest


@_jit
def inverse_blocks(lower, inverse, difference, strength, bones, places, covariance, bone_variance, absorbed):
    """Blocks of the inverse of the normal matrix within its band, by the recursion of Takahashi and others.

    Args:
        lower, inverse: the factor, see `minimize`.
        difference, strength: see `prior_blocks`.
        bones: (B, 2) keypoints.
        places: (T, K, 3).
        covariance: (T, K, 3, 3) is filled.
        bone_variance: (T, B) is filled with the variance of the distance between two keypoints.
        absorbed: (T - p, K) is filled with the variance of every difference over that which smoothness gives it: how
            many of its three numbers smoothness decides, not observations.
    """
    frames, n = inverse.shape[0], inverse.shape[1]
    order, count = lower.shape[1] - 1, n // 3
    near, moved = np.zeros((order + 1, order + 1, n, n)), np.empty((order, n, n))
    for t in range(frames - 1, -1, -1):
        reach = min(order, frames - 1 - t)
        # near[i, j] is the block (t + i, t + j) of the inverse; first move it on by one frame
        for i in range(order, 0, -1):
            for j in range(order, 0, -1):
                for a in range(n):
                    for b in range(n):
                        near[i, j, a, b] = near[i - 1, j - 1, a, b]
        for s in range(1, reach + 1):
            moved[s - 1] = 0.0
            _add_product(lower[t + s, s], inverse[t], moved[s - 1], 1.0)
        for i in range(1, reach + 1):
            near[i, 0] = 0.0
            for s in range(1, reach + 1):
                _add_product(near[i, s], moved[s - 1], near[i, 0], -1.0)
            for a in range(n):
                for b in range(n):
                    near[0, i, a, b] = near[i, 0, b, a]
        near[0, 0] = 0.0
        _add_product(inverse[t].T, inverse[t], near[0, 0], 1.0)
        for s in range(1, reach + 1):
            _add_product(near[0, s], moved[s - 1], near[0, 0], -1.0)
        for i in range(n):  # rounding must not make it unsymmetric: that would grow from frame to frame
            for j in range(i):
                near[0, 0, i, j] = near[0, 0, j, i] = 0.5 * (near[0, 0, i, j] + near[0, 0, j, i])
        for k in range(count):
            at = 3 * k
            for a in range(3):
                for b in range(3):
                    covariance[t, k, a, b] = near[0, 0, at + a, at + b]
            if t < strength.shape[0]:
                total = 0.0
                for a in range(order + 1):
                    for b in range(order + 1):
                        trace = near[a, b, at, at] + near[a, b, at + 1, at + 1] + near[a, b, at + 2, at + 2]
                        total += difference[t, a] * difference[t, b] * trace
                absorbed[t, k] = strength[t, k] * total
        for b in range(bones.shape[0]):
            bone_variance[t, b] = _distance_variance(places[t], bones[b, 0], bones[b, 1], near[0, 0])


@_jit
def _distance_variance(places, i, j, block):
    """Variance of the distance between keypoints i and j of a frame, to first order."""
    total = length2 = 0.0
    for x in range(3):
        u = places[i, x] - places[j, x]
        length2 += u * u
        for y in range(3):
            v = places[i, y] - places[j, y]
            a, b, c, d = 3 * i + x, 3 * i + y, 3 * j + x, 3 * j + y
            total += u * v * (block[a, b] + block[c, d] - block[a, d] - block[c, b])
    return total / length2 if length2 > 0.0 else np.nan


@_jit_and_keep
def solve_chains(
    cam, views, loss, temper, weight, given, active, difference, strength, anchor, anchor_strength,
    carry, carry_slope, carry_place, places, steps, tolerance, covariance, absorbed, cost, status,
):  # fmt: skip
    """Find every keypoint by itself: `minimize` and `inverse_blocks` for bodies of one keypoint.

    The arrays are those of `minimize`, keypoint first: views (K, T, 1, C, 6), temper (K, T, 1), weight (K, T, 1, C),
    active (K, T, 1), strength (K, T - p, 1), anchor and places (K, T, 1, 3), carry (K, p, p, 3, 3) or (K, 0, 0, 3, 3),
    carry_slope, carry_place; tolerance (K,); difference is shared.
    Filled are covariance (K, T, 1, 3, 3), absorbed (K, T - p, 1), cost (K,) and status (K,).
    """
    order = difference.shape[1] - 1
    bones, lengths = np.zeros((0, 2), dtype=np.int64), np.zeros((0, 2))
    joints, bounds = np.zeros((0, 3), dtype=np.int64), np.zeros((0, 3))
    for k in range(active.shape[0]):
        first, last = _span(active[k])
        if carry.shape[1] > 0:  # what is known is known of the first frames
            first = 0
        frames = last - first
        if frames == 0:
            continue
        reach = order if frames > order else 0  # too short for a difference: those of order 0 that nobody has
        rows = difference[first : last - order] if reach else np.zeros((frames, 1))
        has = strength[k, first : last - order] if reach else np.zeros((frames, 1))
        decided = absorbed[k, first : last - order] if reach else np.empty((frames, 1))
        lower, inverse = np.empty((frames, reach + 1, 3, 3)), np.empty((frames, 3, 3))
        variance = np.empty((frames, 0))
        cost[k], _, status[k] = minimize(
            cam, views[k, first:last], loss[k : k + 1], temper[k, first:last], weight[k, first:last], given,
            active[k, first:last], rows, has, bones, lengths, joints, bounds,
            anchor[k, first:last], anchor_strength, carry[k], carry_slope[k], carry_place[k], places[k, first:last],
            lower, inverse, steps, tolerance[k],
        )  # fmt: skip
        if status[k] == 3:
            continue
        inverse_blocks(
            lower, inverse, rows, has, bones, places[k, first:last], covariance[k, first:last], variance, decided,
        )  # fmt: skip


@_jit
def _span(active):
    """First frame, and the one after the last, with an active keypoint."""
    first, last = active.shape[0], 0
    for t in range(active.shape[0]):
        for k in range(active.shape[1]):
            if active[t, k]:
                first, last = min(first, t), t + 1
    return min(first, last), last


@_jit_and_keep
def solve_body(
    cam, views, loss, temper, weight, given, active, difference, strength, bones, lengths, joints, bounds,
    anchor, anchor_strength, carry, carry_slope, carry_place, places, steps, tolerance,
    covariance, bone_variance, absorbed,
):  # fmt: skip
    """Find keypoints that are joined: `minimize` and, unless it is singular, `inverse_blocks`; returns as it."""
    frames, n = active.shape[0], 3 * active.shape[1]
    lower, inverse = np.empty((frames, difference.shape[1], n, n)), np.empty((frames, n, n))
    outcome = minimize(
        cam, views, loss, temper, weight, given, active, difference, strength, bones, lengths, joints, bounds,
        anchor, anchor_strength, carry, carry_slope, carry_place, places, lower, inverse, steps, tolerance,
    )  # fmt: skip
    if outcome[2] != 3:
        inverse_blocks(lower, inverse, difference, strength, bones, places, covariance, bone_variance, absorbed)
    return outcome


@_jit_and_keep
def frame_terms(cam, views, loss, weight, active, bones, lengths, joints, bounds, places, anchor, anchor_strength):
    """Normal matrix (n, n) and slope (n,) of what one frame says by itself: views (1, K, C, 6), bones, limits."""
    n = 3 * active.shape[1]
    diagonal, slope = np.empty((1, n, n)), np.empty((1, n))
    _system(
        cam, views, loss, np.ones(active.shape), weight, False, _CAREFUL, active, np.zeros((1, 1)),
        np.zeros(active.shape), bones, lengths, joints, bounds, anchor,
        anchor_strength, np.zeros((0, 0, n, n)), np.zeros((0, n)), np.zeros((0, n)), places, diagonal, slope,
    )  # fmt: skip
    return diagonal[0], slope[0]


@_jit_and_keep
def factor_chains(cam, views, loss, weight, active, difference, strength, anchor_strength, places):
    """The factors of the normal matrices of every keypoint by itself, and the slopes of its views.

    The arrays are those of `solve_chains`, the weights stay. Returns lower (K, T, p + 1, 3, 3), inverse (K, T, 3, 3),
    slope (K, T, 3).
    """
    count, frames, order = active.shape[0], active.shape[1], difference.shape[1] - 1
    lower, inverse = np.zeros((count, frames, order + 1, 3, 3)), np.zeros((count, frames, 3, 3))
    slope, none = np.zeros((count, frames, 3)), np.zeros((0, 0, 3, 3))
    diagonal, work = np.empty((frames, 3, 3)), np.empty((3, 3))
    for k in range(count):
        for t in range(frames):
            if active[k, t, 0]:
                _point(
                    cam, views[k, t, 0], loss[k], 1.0, True, 1.0, places[k, t, 0], weight[k, t, 0], diagonal[t],
                    slope[k, t],
                )  # fmt: skip
            else:
                for i in range(3):
                    for j in range(3):
                        diagonal[t, i, j] = 1.0 if i == j else 0.0
            for i in range(3):
                diagonal[t, i, i] += anchor_strength
        _factorize(diagonal, prior_blocks(difference, strength[k]), none, lower[k], inverse[k], work)
    return lower, inverse, slope


@_jit_and_keep
def respond(cam, views, loss, weight, active, places, lower, inverse, slope):
    """(K, T, 3) by how much the places move, to first order, where cameras and views are other than for the factors."""
    moved, block = np.zeros(slope.shape), np.empty((3, 3))
    for k in range(active.shape[0]):
        for t in range(active.shape[1]):
            if active[k, t, 0]:
                _point(
                    cam, views[k, t, 0], loss[k], 1.0, True, 1.0, places[k, t, 0], weight[k, t, 0], block, moved[k, t]
                )  # fmt: skip
                for x in range(3):
                    moved[k, t, x] = slope[k, t, x] - moved[k, t, x]
        _solve(lower[k], inverse[k], moved[k])
    return moved


@_jit_and_keep
def explain(cam, views, active, places, covariance, squared, spread):
    """How well places explain views, all (K, T, 1, ...) as in `solve_chains`.

    Fills `squared` with the squared Mahalanobis distances of the views from the places, NaN if not seen, and `spread`
    with what the covariance of the places adds to it on average.
    """
    by = np.empty((2, 3))
    for k in range(active.shape[0]):
        for t in range(active.shape[1]):
            for c in range(cam.shape[0]):
                squared[k, t, 0, c] = spread[k, t, 0, c] = np.nan
                w00, w01, w11 = views[k, t, 0, c, _W00], views[k, t, 0, c, _W01], views[k, t, 0, c, _W11]
                if not (active[k, t, 0] and w00 > 0.0):
                    continue
                px, py, pz = places[k, t, 0, 0], places[k, t, 0, 1], places[k, t, 0, 2]
                depth = cam[c, 6] * px + cam[c, 7] * py + cam[c, 8] * pz + cam[c, 11]
                if not depth > 0.0:
                    squared[k, t, 0, c], spread[k, t, 0, c] = np.inf, 0.0
                    continue
                i = 1.0 / depth
                x = (cam[c, 0] * px + cam[c, 1] * py + cam[c, 2] * pz + cam[c, 9]) * i
                y = (cam[c, 3] * px + cam[c, 4] * py + cam[c, 5] * pz + cam[c, 10]) * i
                dx, dy = x - views[k, t, 0, c, _X], y - views[k, t, 0, c, _Y]
                squared[k, t, 0, c] = w00 * dx * dx + 2.0 * w01 * dx * dy + w11 * dy * dy
                for a in range(3):
                    by[0, a] = (cam[c, a] - x * cam[c, 6 + a]) * i
                    by[1, a] = (cam[c, 3 + a] - y * cam[c, 6 + a]) * i
                total = 0.0
                for a in range(3):
                    for b in range(3):
                        v = covariance[k, t, 0, a, b]
                        total += v * (
                            w00 * by[0, a] * by[0, b] + 2.0 * w01 * by[0, a] * by[1, b] + w11 * by[1, a] * by[1, b]
                        )
                spread[k, t, 0, c] = total
