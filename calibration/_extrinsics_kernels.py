"""The numba kernels of `calibration.extrinsics`: corners of a view, its two poses, votes of pairs and of frames.

All of them run through views, pairs or frames one by one: what they do depends on what they find, and the arrays of a
batched version would be larger than the input by the number of hypotheses. Measured, 16 cameras x 300 frames: 0.1 s
together, where the same votes in NumPy take seconds.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from calibration.kernels import kept

__all__ = ["choose_in_frames", "polish_poses", "reduced_system", "select_corners", "solve_positive", "vote_pairs"]

_jit = njit(nogil=True, error_model="numpy")
_jit_and_keep = kept(_jit)


# Where 45 % of the corners are wrong, all of so many subsets of four have a wrong one with a probability of 1e-4; where
# 5 % are, six are enough, and the search stops there.
SUBSETS = 100
SURE = 1e-4
GAUSS_NEWTON_STEPS = 8
MEAN_STEPS = 10


@_jit
def _solve(matrix, vector, n):
    """Solve matrix x = vector in place by Cholesky; the lower triangle is overwritten. False where not positive."""
    for i in range(n):
        for j in range(i + 1):
            value = matrix[i, j]
            for k in range(j):
                value -= matrix[i, k] * matrix[j, k]
            if i == j:
                if not value > 0.0:
                    return False
                matrix[i, i] = np.sqrt(value)
            else:
                matrix[i, j] = value / matrix[j, j]
    for i in range(n):
        value = vector[i]
        for k in range(i):
            value -= matrix[i, k] * vector[k]
        vector[i] = value / matrix[i, i]
    for i in range(n - 1, -1, -1):
        value = vector[i]
        for k in range(i + 1, n):
            value -= matrix[k, i] * vector[k]
        vector[i] = value / matrix[i, i]
    return True


@_jit
def _from_square(quad, h):
    """Homography h (3, 3) that takes the unit square to four points (4, 2) (Heckbert 1989); False where degenerate."""
    x0, y0, x1, y1 = quad[0, 0], quad[0, 1], quad[1, 0], quad[1, 1]
    x2, y2, x3, y3 = quad[2, 0], quad[2, 1], quad[3, 0], quad[3, 1]
    dx1, dy1, dx2, dy2 = x1 - x2, y1 - y2, x3 - x2, y3 - y2
    sx, sy = x0 - x1 + x2 - x3, y0 - y1 + y2 - y3
    det = dx1 * dy2 - dx2 * dy1
    if abs(det) < 1e-14:
        return False
    g, k = (sx * dy2 - dx2 * sy) / det, (dx1 * sy - sx * dy1) / det
    h[0, 0], h[0, 1], h[0, 2] = x1 - x0 + g * x1, x3 - x0 + k * x3, x0
    h[1, 0], h[1, 1], h[1, 2] = y1 - y0 + g * y1, y3 - y0 + k * y3, y0
    h[2, 0], h[2, 1], h[2, 2] = g, k, 1.0
    return True


@_jit
def _four_point_homography(source, target, first, second, out):
    """Homography out (3, 3) that takes four points to four points; False where three are on a line."""
    if not _from_square(source, first) or not _from_square(target, second):
        return False
    a, b, c = first[0, 0], first[0, 1], first[0, 2]
    d, e, f = first[1, 0], first[1, 1], first[1, 2]
    g, h, i = first[2, 0], first[2, 1], first[2, 2]
    det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    if abs(det) < 1e-14:
        return False
    adjugate = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    for row in range(3):
        for column in range(3):
            out[row, column] = 0.0
            for k in range(3):
                out[row, column] += second[row, k] * adjugate[k][column]
    return True


@_jit
def _residuals2(h, board, image, scale, seen, count, out):
    """Squared distances in pixels of the corners from where the homography takes them."""
    for index in range(count):
        i = seen[index]
        x, y = board[i, 0], board[i, 1]
        w = h[2, 0] * x + h[2, 1] * y + h[2, 2]
        du = (h[0, 0] * x + h[0, 1] * y + h[0, 2]) / w - image[i, 0]
        dv = (h[1, 0] * x + h[1, 1] * y + h[1, 2]) / w - image[i, 1]
        square = (du * du + dv * dv) * scale[i] * scale[i]
        out[index] = square if square < 1e12 else 1e12


@_jit
def _middle(values, count):
    """The upper median of the first values, by Hoare's selection; they are reordered."""
    low, high, middle = 0, count - 1, count // 2
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            break
    return values[middle]


@_jit
def _quadrants(board, seen, count, quadrant, sizes):
    """Sort the seen corners into four quarters about their middle, counted around."""
    x = y = 0.0
    for index in range(count):
        x += board[seen[index], 0] / count
        y += board[seen[index], 1] / count
    sizes[:] = 0
    for index in range(count):
        right, down = board[seen[index], 0] > x, board[seen[index], 1] > y
        which = (2 if right else 3) if down else (1 if right else 0)
        quadrant[which, sizes[which]] = index
        sizes[which] += 1


@_jit_and_keep
def select_corners(board, image, scale, fewest, floor, seed, inlier):
    """Corners of every view that lie on one homography: least median of squares over subsets of four.

    Args:
        board: (corner, 2); image: (view, corner, 2) normalized, NaN where not seen; scale: (view, corner) px per
            normalized unit.
        fewest: corners that a view needs.
        floor: px, no corner nearer than this is left out.
        seed: of the subsets.
        inlier: (view, corner) out.
    """
    views, corners, _ = image.shape
    seen = np.empty(corners, dtype=np.int64)
    quadrant, sizes = np.empty((4, corners), dtype=np.int64), np.empty(4, dtype=np.int64)
    squares, best_squares, sorting = np.empty(corners), np.empty(corners), np.empty(corners)
    source, target = np.empty((4, 2)), np.empty((4, 2))
    h, first, second = np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3))
    for view in range(views):
        inlier[view] = False
        count = 0
        for i in range(corners):
            if np.isfinite(image[view, i, 0]) and np.isfinite(image[view, i, 1]):
                seen[count] = i
                count += 1
        if count < fewest:
            continue
        _quadrants(board, seen, count, quadrant, sizes)
        state = np.uint64(seed) * np.uint64(2654435761) + np.uint64(view) * np.uint64(40503) + np.uint64(1)
        best, best_limit, needed = np.inf, 0.0, SUBSETS
        trial = 0
        while trial < needed:
            trial += 1
            for which in range(4):
                state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
                draw = np.int64(state >> np.uint64(33))
                # a quarter without corners: any corner takes its place, and lines among four are refused below
                index = quadrant[which, draw % sizes[which]] if sizes[which] else draw % count
                source[which], target[which] = board[seen[index]], image[view, seen[index]]
            if not _four_point_homography(source, target, first, second, h):
                continue
            _residuals2(h, board, image[view], scale[view], seen, count, squares)
            sorting[:count] = squares[:count]
            middle = _middle(sorting, count)
            if middle < best:
                best = middle
                best_squares[:count] = squares[:count]
                # 1.4826 for one axis; the squared median of two axes is 2 ln 2 sigma^2. Corners up to 4 sigma stay: the
                # homography through four noisy corners is off by itself. (Rousseeuw and Leroy 1987)
                sigma2 = best / 1.386 * (1.0 + 5.0 / max(count - 4, 1)) ** 2
                best_limit = max(16.0 * sigma2, floor * floor)
                # A bad homography has a wide limit, so the search stops by a limit of its own.
                good = 0
                for index in range(count):
                    good += squares[index] <= 9.0 * floor * floor
                share = (good / count) ** 4
                needed = SUBSETS
                if share > 0.99:
                    needed = 2
                elif share > 0.0:
                    needed = min(SUBSETS, int(np.log(SURE) / np.log(1.0 - share)) + 1)
        for index in range(count):
            inlier[view, seen[index]] = best < np.inf and best_squares[index] <= best_limit


@_jit
def _normal_equations(rotation, translation, board, image, scale, use, normal, right):
    """J^T J, J^T r and the squared error of a view in pixels; infinite where a corner is behind the camera."""
    cost = 0.0
    normal[:] = 0.0
    right[:] = 0.0
    jacobian = np.empty((2, 6))
    for i in range(len(board)):
        if not use[i]:
            continue
        px, py, pz = board[i, 0], board[i, 1], board[i, 2]
        x = rotation[0, 0] * px + rotation[0, 1] * py + rotation[0, 2] * pz + translation[0]
        y = rotation[1, 0] * px + rotation[1, 1] * py + rotation[1, 2] * pz + translation[1]
        z = rotation[2, 0] * px + rotation[2, 1] * py + rotation[2, 2] * pz + translation[2]
        if not z > 0.0:
            return np.inf
        u, v = x / z, y / z
        rows = ((image[i, 0] - u) * scale[i], (image[i, 1] - v) * scale[i])
        cost += rows[0] * rows[0] + rows[1] * rows[1]
        s = scale[i] / z
        for k in range(3):
            jacobian[0, 3 + k] = s * (rotation[0, k] - u * rotation[2, k])
            jacobian[1, 3 + k] = s * (rotation[1, k] - v * rotation[2, k])
        for axis in range(2):
            a, b, c = jacobian[axis, 3], jacobian[axis, 4], jacobian[axis, 5]
            jacobian[axis, 0], jacobian[axis, 1], jacobian[axis, 2] = py * c - pz * b, pz * a - px * c, px * b - py * a
            for k in range(6):
                right[k] += jacobian[axis, k] * rows[axis]
                for m in range(k + 1):
                    normal[k, m] += jacobian[axis, k] * jacobian[axis, m]
    return cost


@_jit
def _turn(rotation, vector, out):
    """Out is rotation exp([vector]x)."""
    angle2 = vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2
    angle = np.sqrt(angle2)
    a = np.sin(angle) / angle if angle > 1e-8 else 1.0
    b = (1.0 - np.cos(angle)) / angle2 if angle > 1e-4 else 0.5
    x, y, z = vector[0], vector[1], vector[2]
    e = np.empty((3, 3))
    e[0, 0], e[0, 1], e[0, 2] = 1.0 - b * (y * y + z * z), -a * z + b * x * y, a * y + b * x * z
    e[1, 0], e[1, 1], e[1, 2] = a * z + b * x * y, 1.0 - b * (x * x + z * z), -a * x + b * y * z
    e[2, 0], e[2, 1], e[2, 2] = -a * y + b * x * z, a * x + b * y * z, 1.0 - b * (x * x + y * y)
    for i in range(3):
        for j in range(3):
            out[i, j] = rotation[i, 0] * e[0, j] + rotation[i, 1] * e[1, j] + rotation[i, 2] * e[2, j]


@_jit_and_keep
def polish_poses(board, image, scale, use, rotation, translation, cost, covariance):
    """Gauss-Newton, damped, on the squared error in pixels of both poses of every view.

    A pose is changed from the right, x_cam = R (exp(w) p + v) + t: w and v are in the frame of the board.

    Args:
        board: (corner, 3); image: (view, corner, 2); scale, use: (view, corner).
        rotation, translation: (view, 2, 3, 3), (view, 2, 3), in and out.
        cost: (view, 2) px^2, out; infinite where a solution is impossible.
        covariance: (view, 2, 6, 6) of (w, v) for a noise of one pixel, out.
    """
    normal, right = np.empty((6, 6)), np.empty(6)
    trial, step = np.empty((6, 6)), np.empty(6)
    new_rotation, new_translation = np.empty((3, 3)), np.empty(3)
    for view in range(len(image)):
        for solution in range(2):
            old_rotation, old_translation = rotation[view, solution], translation[view, solution]
            value = _normal_equations(
                old_rotation, old_translation, board, image[view], scale[view], use[view], normal, right
            )
            damping = 0.0
            for _ in range(GAUSS_NEWTON_STEPS):
                if not value < np.inf:
                    break
                trial[:] = normal
                for k in range(6):
                    trial[k, k] += damping * normal[k, k] + 1e-300
                step[:] = right
                if not _solve(trial, step, 6):
                    damping = max(10.0 * damping, 1e-4)
                    continue
                _turn(old_rotation, step, new_rotation)
                for k in range(3):
                    new_translation[k] = old_translation[k]
                    for m in range(3):
                        new_translation[k] += old_rotation[k, m] * step[3 + m]
                previous = normal.copy(), right.copy()
                new = _normal_equations(
                    new_rotation, new_translation, board, image[view], scale[view], use[view], normal, right
                )
                if new <= value:
                    old_rotation[:], old_translation[:] = new_rotation, new_translation
                    gained = value - new
                    value, damping = new, 0.1 * damping if damping > 1e-6 else 0.0
                    if gained < 1e-6 * value:
                        break
                else:
                    normal[:], right[:] = previous
                    damping = max(10.0 * damping, 1e-3)
            cost[view, solution] = value
            covariance[view, solution] = np.nan
            if value < np.inf:
                for k in range(6):
                    trial[:] = normal
                    step[:] = 0.0
                    step[k] = 1.0
                    if not _solve(trial, step, 6):
                        cost[view, solution] = np.inf
                        break
                    covariance[view, solution, k] = step


@_jit
def _misfit(r, t, rotation, translation, a, i, b, j, g, turn_variance, shift_variance):
    """Squared disagreement of solution i of view a and solution j, turn g of view b under `b_from_a` (r, t).

    In units of the variances; the angle is measured by its chord.
    """
    chord2 = shift2 = 0.0
    for row in range(3):
        r0, r1, r2 = r[row, 0], r[row, 1], r[row, 2]
        for k in range(3):
            moved = r0 * rotation[a, i, 0, 0, k] + r1 * rotation[a, i, 0, 1, k] + r2 * rotation[a, i, 0, 2, k]
            chord2 += (moved - rotation[b, j, g, row, k]) ** 2
        shift = r0 * translation[a, i, 0] + r1 * translation[a, i, 1] + r2 * translation[a, i, 2]
        shift2 += (shift + t[row] - translation[b, j, row]) ** 2
    # |R - S|^2 = 8 sin^2(angle / 2), which is 2 angle^2 where it is small
    return 0.5 * chord2 / turn_variance + shift2 / shift_variance


@_jit
def _relative(rotation, translation, a, i, b, j, g, r, t):
    """Candidate `b_from_a` (r, t), out."""
    for row in range(3):
        t[row] = translation[b, j, row]
        for column in range(3):
            r[row, column] = 0.0
            for k in range(3):
                r[row, column] += rotation[b, j, g, row, k] * rotation[a, i, 0, column, k]
            t[row] -= r[row, column] * translation[a, i, column]


@_jit
def _nearest_rotation(matrix, out):
    """Newton's iteration for the polar factor; `matrix` is a sum of rotations that are not far from each other.

    False, and `out` stays, where it is no such sum.
    """
    x, adjugate = matrix.copy(), np.empty((3, 3))
    for _ in range(20):
        for i in range(3):
            j, k = (i + 1) % 3, (i + 2) % 3
            for m in range(3):
                n, o = (m + 1) % 3, (m + 2) % 3
                adjugate[i, m] = x[j, n] * x[k, o] - x[j, o] * x[k, n]
        det = x[0, 0] * adjugate[0, 0] + x[0, 1] * adjugate[0, 1] + x[0, 2] * adjugate[0, 2]
        if not det > 0.0:
            return False
        change = 0.0
        scale = det ** (-1.0 / 3.0)  # makes the iteration quick from any size
        for i in range(3):
            for m in range(3):
                value = 0.5 * (scale * x[i, m] + adjugate[i, m] / (scale * det))
                change += (value - x[i, m]) ** 2
                x[i, m] = value
        if change < 1e-28:
            break
    out[:] = x
    return True


@_jit
def _best_candidate(a, b, r, t, rotation, translation, turn_variance, shift_variance, excess):
    """The cheapest of the candidates (solution of a, solution of b, turn) of two views, and its cost."""
    best, ka, kb, kg = np.inf, 0, 0, 0
    for i in range(2):
        for j in range(2):
            least = excess[a, i] + excess[b, j]
            if not least < best:
                continue
            spread = turn_variance[a, i] + turn_variance[b, j]
            shift = shift_variance[a, i] + shift_variance[b, j]
            for g in range(rotation.shape[2]):
                cost = least + _misfit(r, t, rotation, translation, a, i, b, j, g, spread, shift)
                if cost < best:
                    best, ka, kb, kg = cost, i, j, g
    return best, ka, kb, kg


@_jit
def _score(r, t, views, rotation, translation, turn_variance, shift_variance, excess, limit, enough):
    """Sum over frames of what is left of `limit`; gives up where `enough` can no longer be reached."""
    total = 0.0
    for index in range(len(views)):
        cost, _, _, _ = _best_candidate(
            views[index, 0], views[index, 1], r, t, rotation, translation, turn_variance, shift_variance, excess
        )
        total += max(limit - cost, 0.0)
        if total + limit * (len(views) - 1 - index) < enough:
            return total
    return total


@_jit
def _mean(r, t, views, rotation, translation, turn_variance, shift_variance, excess, limit, numbers):
    """Robust chordal mean of the candidates nearest to (r, t), in place.

    The rotation is the nearest one to the weighted sum of matrices; the translation takes the mean board of a to that
    of b, so that an error of the rotation does not turn into one of the position by the distance of the board. Weights:
    inverse variance, times Tukey's biweight of the cost.

    Args:
        numbers: (7,) out: score, support, angular spread, spread of the middles, mean board in a (3).
    """
    total, mean_a, mean_b, new = np.empty((3, 3)), np.empty(3), np.empty(3), np.empty((3, 3))
    one_r, one_t = np.empty((3, 3)), np.empty(3)
    for step in range(MEAN_STEPS):
        total[:], mean_a[:], mean_b[:] = 0.0, 0.0, 0.0
        turn_weight = shift_weight = score = turn_spread = shift_spread = 0.0
        support = 0
        for index in range(len(views)):
            a, b = views[index, 0], views[index, 1]
            cost, i, j, g = _best_candidate(a, b, r, t, rotation, translation, turn_variance, shift_variance, excess)
            if cost >= limit:
                continue
            support += 1
            score += limit - cost
            tukey = (1.0 - cost / limit) ** 2
            wr = tukey / (turn_variance[a, i] + turn_variance[b, j])
            wt = tukey / (shift_variance[a, i] + shift_variance[b, j])
            turn_weight += wr
            shift_weight += wt
            turn_spread += wr * _misfit(r, t, rotation, translation, a, i, b, j, g, 1.0, np.inf)
            shift_spread += wt * _misfit(r, t, rotation, translation, a, i, b, j, g, np.inf, 1.0)
            _relative(rotation, translation, a, i, b, j, g, one_r, one_t)
            for row in range(3):
                mean_a[row] += wt * translation[a, i, row]
                mean_b[row] += wt * translation[b, j, row]
                for k in range(3):
                    total[row, k] += wr * one_r[row, k]
        numbers[0], numbers[1] = score, support
        if support == 0 or turn_weight <= 0.0 or shift_weight <= 0.0:
            return
        numbers[2], numbers[3] = np.sqrt(turn_spread / turn_weight), np.sqrt(shift_spread / shift_weight)
        for row in range(3):
            mean_a[row] /= shift_weight
            mean_b[row] /= shift_weight
            numbers[4 + row] = mean_a[row]
        if step == MEAN_STEPS - 1 or not _nearest_rotation(total, new):
            return
        moved = 0.0
        for row in range(3):
            t[row] = mean_b[row]
            for k in range(3):
                moved += (new[row, k] - r[row, k]) ** 2
                r[row, k] = new[row, k]
                t[row] -= r[row, k] * mean_a[k]
        if moved < 1e-14 and step > 0:
            return


@_jit
def _apart(r, s, floor):
    """Whether two rotations differ by more than an angle."""
    chord2 = 0.0
    for row in range(3):
        for k in range(3):
            chord2 += (r[row, k] - s[row, k]) ** 2
    return chord2 > 8.0 * np.sin(0.5 * floor) ** 2


@_jit_and_keep
def vote_pairs(
    starts, common, rotation, translation, turn_variance, shift_variance, excess, settings, pose_r, pose_t, numbers
):
    """Best relative pose of every pair of cameras, and the best one that is clearly another.

    Every candidate of the first frames is a hypothesis; every frame votes.

    Args:
        starts: (pair + 1) where the frames of each pair start in `common`.
        common: (n, 2) views of the two cameras in the frames that they have in common, those that fix the pose best
            first.
        rotation: (view, 2, turn, 3, 3) with the turns of the board undone; translation: (view, 2, 3).
        turn_variance, shift_variance, excess: (view, 2); an excess is infinite where there is no such solution.
        settings: limit of the cost of a vote, frames that make hypotheses, frames that judge them, smallest angle
            between two different poses.
        pose_r (pair, 2, 3, 3), pose_t (pair, 2, 3), numbers (pair, 2, 7): out, see `_mean`; NaN where there is none.
    """
    limit, sources, judges, floor = settings
    turns = rotation.shape[2]
    numbers[:] = 0.0
    pose_r[:], pose_t[:] = np.nan, np.nan
    most = int(sources) * 4 * turns
    all_r, all_t, scores = np.empty((most, 3, 3)), np.empty((most, 3)), np.empty(most)
    for pair in range(len(starts) - 1):
        views = common[starts[pair] : starts[pair + 1]]
        some = views[: min(len(views), int(judges))]
        candidates, best, which = 0, 0.0, 0
        for index in range(min(len(views), int(sources))):
            a, b = views[index, 0], views[index, 1]
            for i in range(2):
                for j in range(2):
                    if not (excess[a, i] < np.inf and excess[b, j] < np.inf):
                        continue
                    for g in range(turns):
                        r, t = all_r[candidates], all_t[candidates]
                        _relative(rotation, translation, a, i, b, j, g, r, t)
                        scores[candidates] = _score(
                            r, t, some, rotation, translation, turn_variance, shift_variance, excess, limit, 0.4 * best
                        )
                        if scores[candidates] > best:
                            best, which = scores[candidates], candidates
                        candidates += 1
        if best <= 0.0:
            continue
        pose_r[pair, 0], pose_t[pair, 0] = all_r[which], all_t[which]
        # An alternative may slide into the best pose when it is averaged; the next one is tried then.
        different = 0.0
        for attempt in range(4):
            place = 0 if attempt == 0 else 1
            if attempt:
                best, which = 0.0, 0
                for k in range(candidates):
                    if scores[k] > best and _apart(all_r[k], pose_r[pair, 0], different):
                        best, which = scores[k], k
                if best <= 0.0:
                    break
                scores[which] = -1.0
            r, t = all_r[which], all_t[which]
            _mean(
                r, t, views, rotation, translation, turn_variance, shift_variance, excess, limit, numbers[pair, place]
            )
            if attempt == 0:
                different = max(floor, 3.0 * numbers[pair, 0, 2])
            elif not _apart(r, pose_r[pair, 0], different):
                numbers[pair, 1] = 0.0
                continue
            pose_r[pair, place], pose_t[pair, place] = r, t
            if attempt:
                break


@_jit_and_keep
def choose_in_frames(
    row, camera_r, camera_t, rotation, translation, turn_variance, shift_variance, excess, limit, chosen, cost, votes
):
    """Solution and turn of every view, by the votes of the cameras of its frame.

    The poses of one view make the hypotheses (turned in no way: the turn of all views of a frame is free), all views
    vote.

    Args:
        row: (camera, frame) view; camera_r, camera_t: (camera, 3, 3), (camera, 3) of cam_from_world.
        rotation, translation, turn_variance, shift_variance, excess: as for `vote_pairs`.
        limit: of the cost of a vote.
        chosen: (view, 2) out: solution, turn; the cheapest ones also where the view does not agree.
        cost: (view) out: cost of the vote.
        votes: (frame) out: how many views agree.
    """
    cameras, frames = row.shape
    r, t = np.empty((3, 3)), np.empty(3)
    trial, trial_cost = np.empty((cameras, 2), dtype=np.int64), np.empty(cameras)
    for frame in range(frames):
        best_total = -1.0
        for source in range(cameras):
            view = row[source, frame]
            for solution in range(2):
                if view < 0 or not excess[view, solution] < np.inf:
                    continue
                total, agree = -excess[view, solution], 0
                for camera in range(cameras):
                    other = row[camera, frame]
                    if other < 0:
                        continue
                    # camera_from_source
                    for m in range(3):
                        t[m] = camera_t[camera, m]
                        for n in range(3):
                            r[m, n] = 0.0
                            for k in range(3):
                                r[m, n] += camera_r[camera, m, k] * camera_r[source, n, k]
                            t[m] -= r[m, n] * camera_t[source, n]
                    trial_cost[camera] = np.inf
                    for k in range(2):
                        turn = turn_variance[view, solution] + turn_variance[other, k]
                        shift = shift_variance[view, solution] + shift_variance[other, k]
                        for g in range(rotation.shape[2]):
                            value = excess[other, k] + _misfit(
                                r, t, rotation, translation, view, solution, other, k, g, turn, shift
                            )
                            if value < trial_cost[camera]:
                                trial_cost[camera] = value
                                trial[camera, 0], trial[camera, 1] = k, g
                    total += max(limit - trial_cost[camera], 0.0)
                    agree += trial_cost[camera] < limit
                if total > best_total:
                    best_total = total
                    votes[frame] = agree
                    for camera in range(cameras):
                        other = row[camera, frame]
                        if other >= 0:
                            cost[other] = trial_cost[camera]
                            chosen[other, 0], chosen[other, 1] = trial[camera, 0], trial[camera, 1]


@_jit_and_keep
def reduced_system(camera, frame, weighted, eliminated, normal, right):
    """Take the boards out of the normal equations of the cameras, in place.

    Matrix products of BLAS would do, but their last bits depend on the number of threads.

    Args:
        camera, frame: (view,), the views of a frame side by side.
        weighted: (view, 6, 6) derivative of the gradient of the board by the camera.
        eliminated: (view, 6, 7) inverse normal matrix of the board times that, and times its gradient.
        normal, right: (6 camera, 6 camera), (6 camera).
    """
    first = 0
    while first < len(camera):
        last = first
        while last < len(camera) and frame[last] == frame[first]:
            last += 1
        for a in range(first, last):
            row = 6 * camera[a]
            for i in range(6):
                for k in range(6):
                    right[row + i] += weighted[a, k, i] * eliminated[a, k, 6]
            for b in range(first, last):
                column = 6 * camera[b]
                for i in range(6):
                    for j in range(6):
                        value = 0.0
                        for k in range(6):
                            value += weighted[a, k, i] * eliminated[b, k, j]
                        normal[row + i, column + j] -= value
        first = last


@_jit_and_keep
def solve_positive(matrix, vector):
    """Solve matrix x = vector in place, for a positive definite matrix; False where it is not."""
    return _solve(matrix, vector, len(vector))
