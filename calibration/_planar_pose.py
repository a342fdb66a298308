"""Poses of a flat board from one picture of it, many pictures at a time: both solutions of IPPE.

A plane that is small, far away, or seen nearly frontally looks almost the same in two poses, mirrored about the line of
sight. Which one is right only other cameras or other corners can tell, so both are given.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.errors import InvalidValueError
from calibration.schema import as_floats
from calibration.transforms import RigidTransform

__all__ = ["PlanarPoses", "homographies", "planar_poses"]

Array = NDArray[np.float64]

# Four corners on a line, or nearly so, have no pose: the scatter of the corners across the line is squared here.
_FLATTEST = 1e-6
# From the linear solution, Gauss-Newton is at the rounding error after two steps where the noise is below 1 %.
_HOMOGRAPHY_STEPS = 2


class PlanarPoses(NamedTuple):
    """Both poses of a board in every view.

    Attributes:
        best: (view,) cam_from_board with the smaller error; the identity where the view has no pose.
        other: (view,) the mirrored solution.
        error: (view, 2) root mean square distance of the corners, in normalized image coordinates, for `best` and
            `other`; infinite where a solution puts a corner behind the camera or the view has no pose.
    """

    best: RigidTransform
    other: RigidTransform
    error: Array


def planar_poses(points: ArrayLike, normalized: ArrayLike, *, steps: int = 0) -> PlanarPoses:
    """Both poses of a flat board in each of many views.

    A homography is fitted to each view; its derivative at the middle of the corners seen gives the two rotations
    (Collins and Bartoli, Infinitesimal plane-based pose estimation, IJCV 2014), a linear fit the translations.

    Args:
        points: (corner, 3) corners of the board; z is 0.
        normalized: (view, corner, 2) undistorted image coordinates x / z, y / z; NaN where a corner is not seen.
        steps: Gauss-Newton steps on the distance in normalized coordinates that polish both solutions.

    Raises:
        InvalidValueError: shapes do not fit or the board is not flat.
    """
    board = as_floats(points, "board points", ends=(3,))
    image = as_floats(normalized, "normalized corners", ends=(len(board), 2))
    if image.ndim != 3 or bool((board[:, 2] != 0).any()):
        raise InvalidValueError(
            "planar poses",
            expected="a board with z = 0 and corners (view, corner, 2)",
            got=f"z up to {np.abs(board[:, 2]).max(initial=0.0):g} and shape {image.shape}",
            remedy="Give the corners in the frame of the board.",
        )
    seen = np.isfinite(image[..., 0]) & np.isfinite(image[..., 1])
    homography, middle, known = _centered_homographies(board, image, seen)
    scale = _spread(board)
    rotations = np.broadcast_to(np.eye(3), (2, len(image), 3, 3)).copy()
    translations = np.zeros((2, len(image), 3))
    error = np.full((2, len(image)), np.inf)
    chosen = np.flatnonzero(known)
    centered = (board[:, :2] - middle[chosen, None]) / scale
    corners = np.concatenate([centered, np.zeros((*centered.shape[:-1], 1))], axis=-1)
    pixels, weight = np.where(seen[chosen, :, None], image[chosen], 0.0), seen[chosen].astype(np.float64)
    for place, rotation in enumerate(_rotations(homography[chosen])):
        translation = _translations(rotation, corners, pixels, weight)
        for _ in range(steps):
            rotation, translation = _polish(rotation, translation, corners, pixels, weight)
        error[place, chosen] = _errors(rotation, translation, corners, pixels, weight)
        rotations[place, chosen] = rotation
        shift = rotation[..., :2] @ middle[chosen, :, None]
        translations[place, chosen] = translation * scale - shift[..., 0]
    order = np.argsort(error, axis=0, kind="stable")
    views = np.arange(len(image))
    best, other = (RigidTransform(rotations[rank, views], translations[rank, views]) for rank in order)
    return PlanarPoses(best, other, np.take_along_axis(error, order, axis=0).T)


def homographies(points: ArrayLike, image: ArrayLike, *, steps: int = _HOMOGRAPHY_STEPS) -> Array:
    """(view, 3, 3) homographies that map the x, y of a board to image coordinates; NaN where a view has none.

    Args:
        points: (corner, 3) corners of the board, or (view, corner, 3) those that each view shows; z is 0.
        image: (view, corner, 2) image coordinates in any unit; NaN where a corner is not seen.
        steps: Gauss-Newton steps on the distance in the image that polish the linear solution.
    """
    board = as_floats(points, "board points", ends=(3,))
    values = as_floats(image, "image corners", ends=(board.shape[-2], 2))
    seen = np.isfinite(values[..., 0]) & np.isfinite(values[..., 1])
    centered, middle, known = _centered_homographies(board, values, seen, steps)
    to_centered = np.zeros_like(centered)
    to_centered[:, 0, 0] = to_centered[:, 1, 1] = 1 / _spread(board)
    to_centered[:, :2, 2] = -middle / _spread(board)
    to_centered[:, 2, 2] = 1
    result = centered @ to_centered
    result[~known] = np.nan
    return np.asarray(result)


def _spread(board: Array) -> float:
    return float(np.ptp(board, axis=-2).max()) / 2 or 1.0


def _centered_homographies(
    board: Array, image: Array, seen: NDArray[np.bool_], steps: int = _HOMOGRAPHY_STEPS
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Homographies (view, 3, 3) of (board - middle) / spread, element (2, 2) being 1; the middles; which are known."""
    weight = seen.astype(np.float64)
    count = np.maximum(weight.sum(axis=-1), 1.0)
    values = np.where(seen[..., None], image, 0.0)
    # products, not sums over short axes, which NumPy does ten times slower
    middle = (weight[:, None] @ board[..., :2])[:, 0] / count[:, None]
    centered = (board[..., :2] - middle[:, None]) / _spread(board)
    plane = np.concatenate([centered, np.ones((*centered.shape[:-1], 1))], axis=-1)
    center = (weight[:, None] @ values)[:, 0] / count[:, None]
    square = (weight[:, None] @ (values - center[:, None]) ** 2)[:, 0]
    size = np.sqrt((square[:, 0] + square[:, 1]) / count)
    size = np.where(size > 0, size, 1.0)
    target = (values - center[:, None]) / size[:, None, None]
    scatter = (plane * weight[..., None]).swapaxes(1, 2) @ plane
    extents = np.linalg.eigvalsh(scatter[:, :2, :2]) / count[:, None]
    known = (count >= 4) & (extents[:, 0] > _FLATTEST * extents[:, 1])
    scatter[~known] = np.eye(3)
    result = _linear_homographies(plane, target, weight, scatter)
    known &= np.abs(result[:, 2, 2]) > 1e-9 * np.abs(result).max(axis=(1, 2))
    result[~known] = np.eye(3)
    result /= result[:, 2:, 2:]
    for _ in range(steps):
        result = _polish_homographies(result, plane, target, weight)
    known &= np.isfinite(result.reshape(-1, 9).sum(axis=1))
    result[~known] = np.eye(3)
    result[:, :2] *= size[:, None, None]
    result[:, :2] += center[:, :, None] * result[:, 2:]
    return result, middle, known


def _linear_homographies(plane: Array, target: Array, weight: Array, scatter: Array) -> Array:
    """Least squares of u w - h1 p and v w - h2 p with |h3| = 1; h1 and h2 are eliminated (Harker, O'Leary 2005)."""
    u, v = target[..., 0] * weight, target[..., 1] * weight
    turned = plane.swapaxes(1, 2)
    by_u, by_v = turned @ (plane * u[..., None]), turned @ (plane * v[..., None])
    both = turned @ (plane * (u * target[..., 0] + v * target[..., 1])[..., None])
    first, second = np.linalg.solve(scatter, by_u), np.linalg.solve(scatter, by_v)
    _, vectors = np.linalg.eigh(both - by_u @ first - by_v @ second)
    last = vectors[..., :1]
    return np.concatenate([first @ last, second @ last, last], axis=-1).swapaxes(1, 2)


def _polish_homographies(homography: Array, plane: Array, target: Array, weight: Array) -> Array:
    """One Gauss-Newton step on the distance in the image; element (2, 2) stays 1."""
    with np.errstate(all="ignore"):
        mapped = plane @ homography.swapaxes(1, 2)
        scaled = plane / mapped[..., 2:]
        bent = mapped[..., :2] / mapped[..., 2:]
        jacobian = np.zeros((*plane.shape[:2], 2, 8))
        jacobian[..., 0, :3] = jacobian[..., 1, 3:6] = scaled
        jacobian[..., 6:] = -bent[..., None] * scaled[..., None, :2]
        step = _solve(jacobian, target - bent, weight)
        shape = homography.shape
        return np.asarray(homography + np.pad(step, ((0, 0), (0, 1))).reshape(shape))


def _rotations(homography: Array) -> tuple[Array, Array]:
    """Both rotations (view, 3, 3) of homographies (view, 3, 3) of boards about their origin (section 4 of IPPE)."""
    aim = np.concatenate([homography[:, :2, 2], np.ones((len(homography), 1))], axis=-1)
    turn = _from_optical_axis(aim)
    derivative = homography[:, :2, :2] - homography[:, :2, 2:] * homography[:, 2:, :2]
    projection = turn[:, :2, :2] - aim[:, :2, None] * turn[:, 2:, :2]
    with np.errstate(all="ignore"):
        upper = np.linalg.solve(projection, derivative)
        upper /= np.linalg.norm(upper, ord=2, axis=(1, 2))[:, None, None]
        left = np.eye(2) - upper.swapaxes(1, 2) @ upper
        lower = np.sqrt(np.maximum(left[:, (0, 1), (0, 1)], 0.0))
        lower[:, 1] *= np.where(left[:, 0, 1] < 0, -1.0, 1.0)
    pair = []
    for sign in (1.0, -1.0):
        columns = np.concatenate([upper, sign * lower[:, None]], axis=1)
        third = np.cross(columns[..., 0], columns[..., 1])
        pair.append(_nearest_rotations(turn @ np.concatenate([columns, third[..., None]], axis=-1)))
    return pair[0], pair[1]


def _from_optical_axis(aim: Array) -> Array:
    """(view, 3, 3) the smallest rotations that turn the z axis toward `aim` (view, 3), whose z is positive."""
    x, y, z = (aim / np.linalg.norm(aim, axis=-1, keepdims=True)).T
    turn = np.empty((len(aim), 3, 3))
    turn[:, 0, 0], turn[:, 1, 1] = 1 - x * x / (1 + z), 1 - y * y / (1 + z)
    turn[:, 0, 1] = turn[:, 1, 0] = -x * y / (1 + z)
    turn[:, 0, 2], turn[:, 1, 2], turn[:, 2, 2] = x, y, z
    turn[:, 2, 0], turn[:, 2, 1] = -x, -y
    return turn


def _nearest_rotations(matrix: Array) -> Array:
    left, _, right = np.linalg.svd(matrix)
    left[..., 2] *= np.linalg.det(left @ right)[..., None]
    return np.asarray(left @ right)


def _translations(rotation: Array, corners: Array, image: Array, weight: Array) -> Array:
    """Least squares of (x - u z), (y - v z): linear in the translation."""
    turned = corners @ rotation.swapaxes(1, 2)
    jacobian = np.zeros((*turned.shape[:2], 2, 3))
    jacobian[..., 0, 0] = jacobian[..., 1, 1] = 1
    jacobian[..., 2] = -image
    return _solve(jacobian, image * turned[..., 2:] - turned[..., :2], weight)


def _polish(rotation: Array, translation: Array, corners: Array, image: Array, weight: Array) -> tuple[Array, Array]:
    """One Gauss-Newton step of the six numbers of a pose, the rotation turned about the axes of the camera."""
    turned = corners @ rotation.swapaxes(1, 2)
    moved = turned + translation[:, None]
    with np.errstate(all="ignore"):
        depth = moved[..., 2]
        bent = moved[..., :2] / depth[..., None]
        by_point = np.zeros((*turned.shape[:2], 2, 3))
        by_point[..., 0, 0] = by_point[..., 1, 1] = 1 / depth
        by_point[..., 2] = -bent / depth[..., None]
        jacobian = np.concatenate([np.cross(turned[..., None, :], by_point), by_point], axis=-1)
        step = _solve(jacobian, image - bent, weight)
    step = np.where(np.isfinite(step).all(axis=-1, keepdims=True), step, 0.0)
    turn = RigidTransform.from_rotation_vector(step[:, :3], step[:, 3:])
    return _nearest_rotations(turn.rotation @ rotation), translation + step[:, 3:]


def _errors(rotation: Array, translation: Array, corners: Array, image: Array, weight: Array) -> Array:
    moved = corners @ rotation.swapaxes(1, 2) + translation[:, None]
    behind = ((moved[..., 2] <= 0) & (weight > 0)).any(axis=-1)
    with np.errstate(all="ignore"):
        square = ((moved[..., :2] / moved[..., 2:] - image) ** 2).sum(axis=-1)
        mean = np.where(weight > 0, square, 0.0).sum(axis=-1) / weight.sum(axis=-1)
    return np.where(behind | ~np.isfinite(mean), np.inf, np.sqrt(mean))


def _solve(jacobian: Array, difference: Array, weight: Array) -> Array:
    """Weighted least squares (view, p) of jacobian (view, corner, 2, p) and difference (view, corner, 2)."""
    views, _, _, count = jacobian.shape
    root = weight[..., None, None]
    rows = np.where(root > 0, jacobian * root, 0.0).reshape(views, -1, count)
    values = np.where(root[..., 0] > 0, difference, 0.0).reshape(views, -1, 1)
    turned = rows.swapaxes(1, 2)
    normal = turned @ rows
    # A tiny ridge keeps a view whose corners do not determine the step from stopping all others.
    ridge = 1e-16 * np.trace(normal, axis1=1, axis2=2)[:, None, None] + np.finfo(np.float64).tiny
    normal = normal + ridge * np.eye(count)
    fine = np.isfinite(normal).all(axis=(1, 2))
    normal[~fine] = np.eye(count)
    return np.asarray(np.linalg.solve(normal, turned @ values)[..., 0])
