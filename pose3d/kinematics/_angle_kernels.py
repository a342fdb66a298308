"""Angles between lines and systems of segments, compiled: all of a frame at once, so that a position is read once.

Positions are (row, individual, keypoint, space) with two or three axes of space, in any order in memory; `lines` is a
`pose3d.kinematics._angle_lines.Lines`. What is missing is NaN, and stays so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from calibration.kernels import kept

__all__ = ["angle_errors", "angles", "line_covariances", "line_vectors", "systems"]

Array = NDArray[np.float64]
Places = NDArray[np.int64]
Codes = NDArray[np.int8]
_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])

# a decorated kernel has the type of the function, whatever numba says of it
_jit: Callable[[_Kernel], _Kernel] = cast(Any, njit(nogil=True, error_model="numpy"))
_kept: Callable[[_Kernel], _Kernel] = cast(Any, kept(njit(nogil=True, error_model="numpy")))

# as in _angle_lines
_FOUND, _MISSING, _DEGENERATE, _NEARLY = 0, 1, 2, 3
# A line that is shorter than this part of the coordinates of its ends is what rounding leaves of two equal points.
_ROUNDING = 1e-13
# The sine of the angle between two axes of a segment below which they are one: rounding alone turns the segment by
# 1e-16 / 1e-6 then.
_COLLINEAR = 1e-6
_BLOCK = 256  # rows: their points lie in the fastest cache of a processor
_A = (
    1.0,
    -0.3333333333332844,
    0.1999999999885511,
    -0.14285714180976467,
    0.11111106180455946,
    -0.09090773074808414,
    0.07689953496306857,
    -0.06640233930429408,
    0.056883492268090106,
    -0.04348052215716462,
    0.021135373157693246,
)


@_kept
def angles(position: Array, lines: Any, first: Places, second: Places, found: Array, status: Codes) -> None:
    """Angles between pairs of lines, from 0 to pi.

    Rows are worked on in blocks with the coordinates of a point side by side, as the vector units of processors want
    it: three times as fast as row by row.

    Args:
        position, lines: see above.
        first, second: (angle,) the two lines of each.
        found, status: (row, individual, angle) are written.
    """
    points = np.zeros((len(lines.base), 3, _BLOCK))
    u, v = np.empty((3, _BLOCK)), np.empty((3, _BLOCK))
    across, along = np.empty(_BLOCK), np.empty(_BLOCK)
    angle, sure = np.empty((len(first), _BLOCK)), np.empty((len(first), 2, _BLOCK))
    for begin in range(0, position.shape[0], _BLOCK):
        count = min(_BLOCK, position.shape[0] - begin)
        for who in range(position.shape[1]):
            _place_block(position[begin : begin + count, who], lines, points)
            for each in range(len(first)):
                _block_vectors(points[lines.tail[first[each]]], points[lines.tip[first[each]]], u, sure[each, 0])
                _block_vectors(points[lines.tail[second[each]]], points[lines.tip[second[each]]], v, sure[each, 1])
                _block_products(u, v, across, along)
                target = angle[each]
                for row in range(_BLOCK):
                    target[row] = _arc(across[row], along[row])
            for row in range(count):
                for each in range(len(first)):
                    found[begin + row, who, each] = angle[each, row]
                    status[begin + row, who, each] = _FOUND
                    if not (sure[each, 0, row] > 0 and sure[each, 1, row] > 0):
                        missing = math.isnan(sure[each, 0, row] + sure[each, 1, row])
                        status[begin + row, who, each] = _MISSING if missing else _DEGENERATE
                        found[begin + row, who, each] = np.nan


@_kept
def angle_errors(
    position: Array, covariance: Array, lines: Any, pairs: Places, sources: Any, found: Array, error: Array
) -> None:
    """Standard deviations of angles between pairs of lines; what moves both lines by the same keypoint is seen.

    First order in the plane of the two lines. Across the plane an error s makes an angle d from 0 or from pi larger by
    s^2 / (2 d), and at d = 0 by s: s^2 min(1, (2 s / d)^2) is added to the variance. With that 95 percent intervals
    hold the true angle in 94 to 98 percent of simulated cases whatever it is, where errors are alike in all directions,
    and in up to 99.8 percent near the ends where those across the plane are four times as large as those in it.

    Args:
        position, lines: as for `angles`.
        covariance: (row, individual, keypoint, space, space).
        pairs: (angle, 2) the lines of each.
        sources: the `Sources` of the angles.
        found: (row, individual, angle) what `angles` found.
        error: (row, individual, angle) is written; NaN where the angle is, or a covariance.
    """
    points = np.zeros((len(lines.base), 3))
    u, v, n, push = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    gradient, variance = np.empty((2, 2, 3)), np.empty((2, 2))
    for row in range(position.shape[0]):
        for who in range(position.shape[1]):
            _place_points(position, row, who, lines, points)
            for each in range(len(pairs)):
                angle = found[row, who, each]
                _vector(points, lines, pairs[each, 0], u)
                _vector(points, lines, pairs[each, 1], v)
                _normal(u, v, n)
                # in the plane a line opens the angle by its error across itself, away from the other one; across the
                # plane the errors of both count, against each other near 0 and together near pi
                side = 1.0 if _dot(u, v) > 0 else -1.0
                of_u, of_v = 1.0 / math.sqrt(_dot(u, u)), 1.0 / math.sqrt(_dot(v, v))
                _cross(u, n, push)
                for axis in range(3):
                    gradient[0, 0, axis] = push[axis] * of_u * of_u
                    gradient[1, 0, axis] = n[axis] * of_u
                _cross(n, v, push)
                for axis in range(3):
                    gradient[0, 1, axis] = push[axis] * of_v * of_v
                    gradient[1, 1, axis] = -side * n[axis] * of_v
                _covariance(gradient, sources, each, covariance[row, who], variance)
                end = min(angle, math.pi - angle)
                across = variance[1, 1]
                if 4 * across < end * end:
                    across *= 4 * across / (end * end)
                total = variance[0, 0] + across
                error[row, who, each] = np.nan if math.isnan(angle) else math.sqrt(max(total, 0.0))


@_kept
def line_vectors(position: Array, lines: Any, vectors: Array, status: Codes) -> None:
    """Vectors along lines: (row, individual, line, 3) and (row, individual, line) are written; see `angles`."""
    points = np.zeros((len(lines.base), 3))
    for row in range(position.shape[0]):
        for who in range(position.shape[1]):
            _place_points(position, row, who, lines, points)
            for line in range(len(lines.tail)):
                status[row, who, line] = _vector(points, lines, line, vectors[row, who, line])


@_kept
def systems(vectors: Array, axes: Places, near: float, turned: Array, shape: Array, status: Codes) -> None:
    """Coordinate systems of segments from two lines of each.

    Args:
        vectors: (row, individual, segment, 2, 3) along the first axis, and in the plane of both.
        axes: (segment, 2) which axes these are.
        near: the sine of the angle between the two lines below which they are nearly one.
        turned: (row, individual, segment, 3, 3) world_from_segment is written.
        shape: (row, individual, segment, 3) length of the first line, and the parts of the second one along and across
            it, are written.
        status: (row, individual, segment) in: those of the lines; out: those of the segments.
    """
    third = np.empty(3)
    for row in range(vectors.shape[0]):
        for who in range(vectors.shape[1]):
            for each in range(vectors.shape[2]):
                p, q = vectors[row, who, each, 0], vectors[row, who, each, 1]
                length, other = math.sqrt(_dot(p, p)), math.sqrt(_dot(q, q))
                _cross(p, q, third)
                across = math.sqrt(_dot(third, third)) / length
                code = status[row, who, each]
                if code == _FOUND and not across > _COLLINEAR * other:
                    code = _DEGENERATE
                elif code == _FOUND and across < near * other:
                    code = _NEARLY
                status[row, who, each] = code
                if code in (_MISSING, _DEGENERATE):
                    turned[row, who, each] = np.nan
                    shape[row, who, each] = np.nan
                    continue
                i, j = axes[each]
                k = 3 - i - j
                hand = 1.0 if (j - i) % 3 == 1 else -1.0
                matrix = turned[row, who, each]
                for axis in range(3):
                    matrix[axis, i] = p[axis] / length
                    matrix[axis, k] = hand * third[axis] / (across * length)
                for axis in range(3):
                    a, b = (axis + 1) % 3, (axis + 2) % 3
                    matrix[axis, j] = hand * (matrix[a, k] * matrix[b, i] - matrix[b, k] * matrix[a, i])
                shape[row, who, each, 0] = length
                shape[row, who, each, 1] = _dot(p, q) / length
                shape[row, who, each, 2] = across


@_kept
def line_covariances(covariance: Array, sources: Any, gradient: Array, found: Array) -> None:
    """Covariances, first order, of what depends on lines.

    Args:
        covariance: (row, individual, keypoint, space, space).
        sources: the `Sources` of the results.
        gradient: (row, individual, result, value, line of it, 3) how each value of a result changes with each line.
        found: (row, individual, result, value, value) is written.
    """
    for row in range(covariance.shape[0]):
        for who in range(covariance.shape[1]):
            for each in range(gradient.shape[2]):
                _covariance(gradient[row, who, each], sources, each, covariance[row, who], found[row, who, each])


@_jit
def _place_block(position: Array, lines: Any, points: Array) -> None:
    """Write the (point, 3, row) coordinates of points, from (row, keypoint, space)."""
    for point in range(len(points)):
        if lines.start[point + 1] == lines.start[point]:
            for axis in range(3):
                points[point, axis] = lines.base[point, axis]
            continue
        for axis in range(position.shape[2]):
            target = points[point, axis]
            first = lines.start[point]
            for row in range(len(position)):
                target[row] = lines.share[first] * position[row, lines.keypoint[first], axis]
            for at in range(first + 1, lines.start[point + 1]):
                for row in range(len(position)):
                    target[row] += lines.share[at] * position[row, lines.keypoint[at], axis]


@_jit
def _block_vectors(tail: Array, tip: Array, vector: Array, sure: Array) -> None:
    """Write the vectors of a line, and how far the square of its length is above that of what rounding makes."""
    sure[:] = 0.0
    for axis in range(3):
        start, end, part = tail[axis], tip[axis], vector[axis]
        for row in range(_BLOCK):
            step = end[row] - start[row]
            part[row] = step
            sure[row] += step * step - (_ROUNDING * start[row]) ** 2 - (_ROUNDING * end[row]) ** 2


@_jit
def _block_products(u: Array, v: Array, across: Array, along: Array) -> None:
    """Write the lengths of the cross products and the dot products."""
    a, b, c, d, e, f = u[0], u[1], u[2], v[0], v[1], v[2]
    for row in range(_BLOCK):
        x = b[row] * f[row] - c[row] * e[row]
        y = c[row] * d[row] - a[row] * f[row]
        z = a[row] * e[row] - b[row] * d[row]
        across[row] = math.sqrt(x * x + y * y + z * z)
    for row in range(_BLOCK):
        along[row] = a[row] * d[row] + b[row] * e[row] + c[row] * f[row]


@_jit
def _arc(across: float, along: float) -> float:
    """atan2 of a first argument that is not negative, to 1e-15; twelve times as fast as that of the C library.

    The quotient is brought to at most tan(pi/8), where the arc tangent is a polynomial of degree 21 (interpolated at
    the Chebyshev nodes of the square, with 60 digits: 3.5e-17 off).
    """
    base = abs(along)
    low, high = min(across, base), max(across, base)
    steep = low > 0.41421356237309503 * high
    part = (low - high if steep else low) / (low + high if steep else high)
    z = part * part
    high_powers = _A[5] + z * (_A[6] + z * (_A[7] + z * (_A[8] + z * (_A[9] + z * _A[10]))))
    angle = part * (_A[0] + z * (_A[1] + z * (_A[2] + z * (_A[3] + z * (_A[4] + z * high_powers)))))
    angle = angle + math.pi / 4 if steep else angle
    angle = math.pi / 2 - angle if across > base else angle
    return math.pi - angle if along < 0 else angle


@_jit
def _place_points(position: Array, row: int, who: int, lines: Any, points: Array) -> None:
    dims = position.shape[3]
    for point in range(len(points)):
        for axis in range(dims):
            total = lines.base[point, axis]
            for at in range(lines.start[point], lines.start[point + 1]):
                total += lines.share[at] * position[row, who, lines.keypoint[at], axis]
            points[point, axis] = total


@_jit
def _vector(points: Array, lines: Any, line: int, vector: Array) -> int:
    """Write the vector of a line, and return what is to be said of it."""
    largest = length = 0.0
    for axis in range(3):
        tail, tip = points[lines.tail[line], axis], points[lines.tip[line], axis]
        vector[axis] = tip - tail
        length += vector[axis] ** 2
        largest = max(largest, abs(tail), abs(tip))
    if np.isnan(length):
        return _MISSING
    return _FOUND if length > (_ROUNDING * largest) ** 2 else _DEGENERATE


@_jit
def _cross(a: Array, b: Array, result: Array) -> None:
    result[0] = a[1] * b[2] - a[2] * b[1]
    result[1] = a[2] * b[0] - a[0] * b[2]
    result[2] = a[0] * b[1] - a[1] * b[0]


@_jit
def _dot(a: Array, b: Array) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@_jit
def _normal(u: Array, v: Array, normal: Array) -> None:
    """A unit vector across both; where they are parallel any across them, and z in the plane of x and y."""
    _cross(u, v, normal)
    length = math.sqrt(_dot(normal, normal))
    if length <= 1e-12 * math.sqrt(_dot(u, u) * _dot(v, v)):
        normal[0], normal[1], normal[2] = -u[0] * u[2], -u[1] * u[2], u[0] ** 2 + u[1] ** 2
        length = math.sqrt(_dot(normal, normal))
        if length <= 1e-12 * _dot(u, u):
            normal[0], length = 1.0, 1.0
            normal[1] = normal[2] = 0.0
    for axis in range(3):
        normal[axis] /= length


@_jit
def _covariance(gradient: Array, sources: Any, each: int, covariance: Array, total: Array) -> None:
    """Write the covariance of the values of a result with a (value, line of it, 3) gradient."""
    values, members, dims = gradient.shape[0], gradient.shape[1], covariance.shape[1]
    total[:] = 0.0
    for at in range(sources.start[each], sources.start[each + 1]):
        errors = covariance[sources.keypoint[at]]
        xx, xy, yy = errors[0, 0], errors[0, 1], errors[1, 1]
        xz = yz = zz = 0.0
        if dims == 3:
            xz, yz, zz = errors[0, 2], errors[1, 2], errors[2, 2]
        for b in range(values):
            x = y = z = 0.0
            for line in range(members):
                share = sources.share[at, line]
                x += share * gradient[b, line, 0]
                y += share * gradient[b, line, 1]
                z += share * gradient[b, line, 2]
            along_x, along_y, along_z = xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z
            for a in range(b + 1):
                for line in range(members):
                    share = sources.share[at, line]
                    total[a, b] += share * (
                        gradient[a, line, 0] * along_x + gradient[a, line, 1] * along_y + gradient[a, line, 2] * along_z
                    )
    for b in range(values):
        for a in range(b):
            total[b, a] = total[a, b]
