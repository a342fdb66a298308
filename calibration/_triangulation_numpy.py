"""`calibration._triangulation_kernels` in plain NumPy: the same method, written to be read, and its reference in tests.

Lens models come from `calibration.lens` here, where the kernels have their own, so that each checks the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.lens import BrownConrady, Fisheye, Lens

__all__ = ["triangulate_range"]

_Floats = NDArray[np.float64]
_Flags = NDArray[np.bool_]

_FISHEYE = 4.0
_LARGEST_POLISH = 10
_POLISH_TOLERANCE = 1e-10
OK, TOO_FEW_VIEWS, NO_CONSENSUS, PARALLEL_RAYS, BEHIND_CAMERA = 0, 1, 2, 3, 4


@dataclass(frozen=True)
class _View:
    """One camera and what it saw: pixel, weight (0 = unseen), normalized position, derivative of the pixel by it."""

    lens: Lens
    rotation: _Floats
    translation: _Floats
    center: _Floats
    pixel: _Floats
    weight: _Floats
    normalized: _Floats
    slope: _Floats

    def take(self, rows: NDArray[np.int64]) -> _View:
        return _View(
            self.lens, self.rotation, self.translation, self.center,
            self.pixel[rows], self.weight[rows], self.normalized[rows], self.slope[rows],
        )  # fmt: skip


def triangulate_range(
    cam: _Floats,
    pixels: _Floats,
    confidence: _Floats,
    lowest: float,
    precision: _Floats,
    robust: bool,
    threshold: float,
    cosine: float,
    strides: NDArray[np.int64],
    patience: NDArray[np.int64],
    points: _Floats,
    inliers: _Flags,
    residuals: _Floats,
    status: NDArray[np.int8],
    covariance: _Floats,
) -> None:
    """Triangulate every row of `pixels` into the same row of the outputs; see the kernel of the same name."""
    scores = confidence if len(confidence) else np.ones(pixels.shape[:2])
    weights = precision * np.where(scores >= lowest, scores, 0.0)
    views = [_view(cam[c], pixels[:, c], weights[:, c]) for c in range(len(cam))]
    seen = np.stack([view.weight for view in views], axis=-1)
    used = seen.copy()
    with np.errstate(all="ignore"):
        start, error = _start(views, used)
        if robust:
            enough = (seen > 0).sum(-1) >= 2
            far = (seen > 0) & ~(error <= threshold)
            hard = np.flatnonzero(enough & far.any(-1))
            some = [view.take(hard) for view in views]
            used[hard] = _search(some, seen[hard], threshold, strides, patience)
            start[hard], used[hard] = _refit(some, seen[hard], used[hard], threshold)
        found, squares, normal, nearest = _polish(views, used, start)
        widest = _smallest_cosine([found - view.center for view in views], used)
        count = (used > 0).sum(-1)
        status[:] = np.select(
            [(seen > 0).sum(-1) < 2, count < 2, ~(nearest > 0), ~(widest <= cosine)],
            [TOO_FEW_VIEWS, NO_CONSENSUS, BEHIND_CAMERA, PARALLEL_RAYS],
            OK,
        )
        missing = np.flatnonzero((status == NO_CONSENSUS) | (status == BEHIND_CAMERA))
        status[missing] = _reason([view.take(missing) for view in views], seen[missing], cosine, status[missing])
        good = status == OK
        points[:] = np.where(good[:, None], found, np.nan)
        inliers[:] = good[:, None] & (used > 0)
        residuals[:] = np.where(good[:, None] & (seen > 0), np.sqrt(squares), np.nan)
        if len(covariance):
            covariance[:] = np.nan
            covariance[good] = np.linalg.inv(normal[good])


def _view(row: _Floats, pixel: _Floats, weight: _Floats) -> _View:
    matrix = np.array([[row[1], row[5], row[3]], [0.0, row[2], row[4]], [0.0, 0.0, 1.0]])
    lens = Fisheye(matrix, row[6:10]) if row[0] == _FISHEYE else BrownConrady(matrix, row[6:20])
    seen = np.asarray(np.isfinite(pixel).all(-1) & (weight > 0))
    normalized = lens.undistort(np.where(seen[:, None], pixel, matrix[:2, 2]))
    inside = np.asarray(np.isfinite(normalized).all(-1))
    normalized = np.where(inside[:, None], normalized, 0.0)
    return _View(
        lens=lens,
        rotation=row[21:30].reshape(3, 3),
        translation=row[30:33],
        center=row[51:54],
        pixel=np.where(seen[:, None], pixel, matrix[:2, 2]),
        weight=np.where(seen & inside, weight, 0.0),
        normalized=normalized,
        slope=lens.jacobian(normalized),
    )


def _linear(views: list[_View], used: _Floats) -> _Floats:
    """(point, 3) linear triangulation: the pixel error times the depth is linear in the point."""
    normal, right = np.zeros((len(used), 3, 3)), np.zeros((len(used), 3))
    for index, view in enumerate(views):
        rows = view.rotation[:2] - view.normalized[:, :, None] * view.rotation[2]
        constant = view.normalized * view.translation[2] - view.translation[:2]
        rows, constant = view.slope @ rows, np.einsum("pij,pj->pi", view.slope, constant)
        normal += used[:, index, None, None] * np.einsum("pki,pkj->pij", rows, rows)
        right += used[:, index, None] * np.einsum("pki,pk->pi", rows, constant)
    return _solve(normal, right)


def _solve(normal: _Floats, right: _Floats) -> _Floats:
    """normal^-1 right by LDL^T; not finite where a matrix is singular (np.linalg.solve would refuse them all)."""
    h00, h01, h02, h11, h12, h22 = (normal[:, i, j] for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)))
    l10, l20 = h01 / h00, h02 / h00
    d1 = h11 - l10 * h01
    l21 = (h12 - l20 * h01) / d1
    d2 = h22 - l20 * h02 - l21 * (h12 - l20 * h01)
    y1 = right[:, 1] - l10 * right[:, 0]
    z2 = (right[:, 2] - l20 * right[:, 0] - l21 * y1) / d2
    z1 = y1 / d1 - l21 * z2
    return np.stack([right[:, 0] / h00 - l10 * z1 - l20 * z2, z1, z2], axis=-1)


def _to_camera(view: _View, points: _Floats) -> tuple[_Floats, _Floats]:
    """Normalized coordinates (point, 2) and depth (point,)."""
    in_camera = points @ view.rotation.T + view.translation
    return in_camera[:, :2] / in_camera[:, 2:], in_camera[:, 2]


def _error(view: _View, points: _Floats) -> _Floats:
    """(point,) squared residual, the lens linearized at the observation; infinite behind the camera."""
    normalized, depth = _to_camera(view, points)
    error = np.einsum("pij,pj->pi", view.slope, normalized - view.normalized)
    return np.where(depth > 0, (error**2).sum(-1), np.inf)


def _start(views: list[_View], used: _Floats) -> tuple[_Floats, _Floats]:
    """Point after a linear fit and one Gauss-Newton step with linearized lenses; residuals (px) of the linear fit."""
    points = _linear(views, used)
    errors = np.sqrt(np.stack([_error(view, points) for view in views], axis=-1))
    normal, right = np.zeros((len(used), 3, 3)), np.zeros((len(used), 3))
    for index, view in enumerate(views):
        normalized, depth = _to_camera(view, points)
        by_point = (view.rotation[:2] - normalized[:, :, None] * view.rotation[2]) / depth[:, None, None]
        rows = view.slope @ by_point
        error = np.einsum("pij,pj->pi", view.slope, normalized - view.normalized)
        weight = used[:, index]
        taken = weight > 0
        normal[taken] += weight[taken, None, None] * np.einsum("pki,pkj->pij", rows[taken], rows[taken])
        right[taken] += weight[taken, None] * np.einsum("pki,pk->pi", rows[taken], error[taken])
    step = _solve(normal, right)
    return points - np.where(np.isfinite(step).all(-1, keepdims=True), step, 0.0), errors


def _search(
    views: list[_View], seen: _Floats, threshold: float, strides: NDArray[np.int64], patience: NDArray[np.int64]
) -> _Floats:
    """(point, camera) weights of the inliers of the best pair of cameras; all 0 where there is no consensus.

    Pairs are tried by falling weight, then by pixel, not in the order of the rig: the search stops early.
    """
    used = np.zeros_like(seen)
    order = np.lexsort((np.stack([view.pixel[:, 0] for view in views], axis=-1), -seen))
    counts = (seen > 0).sum(-1)
    for n in np.unique(counts):
        rows = np.flatnonzero(counts == n)
        used[rows] = _search_group(
            [view.take(rows) for view in views], seen[rows], order[rows, :n], threshold, strides[n], patience[n]
        )
    return used


def _search_group(
    views: list[_View],
    seen: _Floats,
    cameras: NDArray[np.int64],
    threshold: float,
    strides: NDArray[np.int64],
    patience: NDArray[np.int64],
) -> _Floats:
    """`_search` for points that are all seen by the same number of cameras, `cameras` (point, n)."""
    n = cameras.shape[1]
    best, score = np.zeros_like(seen), np.full(len(seen), np.inf)
    best_count, lonely = np.zeros(len(seen), dtype=np.int64), np.zeros(len(seen), dtype=np.int64)
    enough = np.full(len(seen), patience[0])
    pairs = [(i, (i + s) % n) for s in strides[strides > 0] for i in range(n if 2 * s != n else s)]
    for tried, (i, j) in enumerate(pairs):
        active = np.flatnonzero(tried < enough)
        chosen = np.zeros((len(active), seen.shape[1]))
        np.put_along_axis(chosen, cameras[active][:, [i, j]], 1.0, axis=1)
        some = [view.take(active) for view in views]
        points = _pair(some, chosen)
        errors = np.stack([_error(view, points) for view in some], axis=-1)
        near = (seen[active] > 0) & (errors <= threshold**2)
        count = near.sum(-1)
        new_score = (seen[active] * np.where(near, errors, threshold**2)).sum(-1)
        lonely[active] += (count == 2) & ((near & (chosen > 0)).sum(-1) == 2)
        better = (count >= 2) & (new_score < score[active])
        rows = active[better]
        score[rows], best_count[rows] = new_score[better], count[better]
        enough[rows] = patience[count[better]]
        best[rows] = np.where(near[better], seen[rows], 0.0)
    ambiguous = (best_count == 2) & (n > 2) & (lonely > 1)
    return np.where(ambiguous[:, None], 0.0, best)


def _pair(views: list[_View], chosen: _Floats) -> _Floats:
    """(point, 3) linear triangulation from the two chosen cameras, each with one weight for both of its rows."""
    normal, right = np.zeros((len(chosen), 3, 3)), np.zeros((len(chosen), 3))
    for index, view in enumerate(views):
        rows = view.rotation[:2] - view.normalized[:, :, None] * view.rotation[2]
        constant = view.normalized * view.translation[2] - view.translation[:2]
        weight = chosen[:, index] * np.abs(np.linalg.det(view.slope))
        normal += weight[:, None, None] * np.einsum("pki,pkj->pij", rows, rows)
        right += weight[:, None] * np.einsum("pki,pk->pi", rows, constant)
    return _solve(normal, right)


def _refit(views: list[_View], seen: _Floats, used: _Floats, threshold: float) -> tuple[_Floats, _Floats]:
    """Refit to the inliers and renew them until they stay: cameras may join in the first round, only leave after it."""
    agreed = (used > 0).sum(-1) >= 2
    points = np.full((len(used), 3), np.nan)
    for attempt in range(seen.shape[1] + 1):
        points, errors = _start(views, used)
        may = seen if attempt == 0 else used
        new = np.where((errors <= threshold) & agreed[:, None], may, 0.0)
        if np.array_equal(new, used):
            break
        used = new
    return points, used


def _polish(views: list[_View], used: _Floats, points: _Floats) -> tuple[_Floats, _Floats, _Floats, _Floats]:
    """Gauss-Newton on the true reprojection error in distorted pixels.

    Returns points (point, 3), squared residuals (point, camera), normal matrices (point, 3, 3), and the smallest
    squared depth in use, -1 where a camera in use has the point behind it.
    """
    squares, nearest = np.empty_like(used), np.empty(len(used))
    normal = np.empty((len(used), 3, 3))
    todo = np.arange(len(used))
    points = points.copy()
    for _ in range(_LARGEST_POLISH):
        squares[todo], normal[todo], right, nearest[todo] = _true_equations(
            [view.take(todo) for view in views], used[todo], points[todo]
        )
        step = _solve(normal[todo], right)
        gain = np.einsum("pi,pi->p", right, step)
        finite = np.isfinite(step).all(-1)
        points[todo[finite]] -= step[finite]
        todo = todo[finite & (gain > _POLISH_TOLERANCE)]
        if not len(todo):
            break
    return points, squares, normal, nearest


def _true_equations(views: list[_View], used: _Floats, points: _Floats) -> tuple[_Floats, _Floats, _Floats, _Floats]:
    normal, right = np.zeros((len(used), 3, 3)), np.zeros((len(used), 3))
    squares, nearest = np.empty_like(used), np.full(len(used), np.inf)
    for index, view in enumerate(views):
        normalized, depth = _to_camera(view, points)
        by_point = (view.rotation[:2] - normalized[:, :, None] * view.rotation[2]) / depth[:, None, None]
        rows = view.lens.jacobian(normalized) @ by_point
        error = _extended_distort(view.lens, normalized) - view.pixel
        visible = (depth > 0) & ((normalized**2).sum(-1) <= view.lens.valid_radius**2)
        squares[:, index] = np.where(visible, (error**2).sum(-1), np.nan)
        weight = used[:, index]
        taken = weight > 0
        nearest = np.where(taken, np.minimum(nearest, np.where(depth > 0, depth**2, -1.0)), nearest)
        normal[taken] += weight[taken, None, None] * np.einsum("pki,pkj->pij", rows[taken], rows[taken])
        right[taken] += weight[taken, None] * np.einsum("pki,pk->pi", rows[taken], error[taken])
    return squares, normal, right, nearest


def _extended_distort(lens: Lens, normalized: _Floats) -> _Floats:
    """Pixels by the formula of the lens also beyond its valid radius, where a point on its way may pass."""
    return lens._to_pixels(lens._distort_normalized(normalized))


def _smallest_cosine(rays: list[_Floats], used: _Floats) -> _Floats:
    """(point,) cosine of the angle between the two rays in use that are the least parallel; 1 with fewer than two.

    Rays that face each other are parallel too: they leave the depth as open.
    """
    rays = [ray / np.linalg.norm(ray, axis=-1, keepdims=True) for ray in rays]
    result = np.ones(len(used))
    for i in range(len(rays)):
        for j in range(i + 1, len(rays)):
            both = (used[:, i] > 0) & (used[:, j] > 0)
            cosine = np.abs((rays[i] * rays[j]).sum(-1))
            result = np.where(both, np.fmin(result, cosine), result)
    return result


def _reason(views: list[_View], seen: _Floats, cosine: float, code: NDArray[np.int8]) -> NDArray[np.int8]:
    """Why there is no point, more closely: parallel observed rays, or two that meet behind a camera, or `code`."""
    ones = np.ones((len(seen), 1))
    rays = [np.hstack([view.normalized, ones]) @ view.rotation for view in views]
    parallel = ~(_smallest_cosine(rays, seen) <= cosine)
    chosen = (seen > 0).astype(np.float64)
    points = _pair(views, chosen)
    behind = np.zeros(len(seen), dtype=np.bool_)
    for index, view in enumerate(views):
        behind |= (chosen[:, index] > 0) & (_to_camera(view, points)[1] <= 0)
    behind &= chosen.sum(-1) == 2
    return np.select([parallel, behind], [PARALLEL_RAYS, BEHIND_CAMERA], code).astype(np.int8)
