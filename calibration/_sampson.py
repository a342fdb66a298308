"""Sampson's distance of matched points in pairs of cameras, and the pose of a camera that makes it small.

The distance of two points x and y that two cameras saw is y' E x over the length of its gradient (Hartley and
Zisserman, Multiple View Geometry, 2nd edition, section 11.4). The essential matrix E is the same for all points between
two moves of the cameras, and so are its derivatives by a pose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.rig import Rig
from calibration.transforms import RigidTransform

__all__ = [
    "Move",
    "Pair",
    "apply_move",
    "correct_pose",
    "distances",
    "image_shift",
    "make_pairs",
    "pose_covariance",
    "robust_cost",
]

Array = NDArray[np.float64]

# Residuals of this many standard deviations count half.
_SCALE = 3.0
_STEPS = 25
# Two cameras do not see a shift along the line between them: without damping the step would have no end.
_LEAST_DAMPING, _MOST_DAMPING = 1e-8, 1e4
# Two cameras do not see a shift along the line between them: without damping the step would have no end.
_LEAST_DAMPING, _MOST_DAMPING = 1e-8, 1e4
# A step of this many radians moves no pixel by more than a hundredth of one.
_ENOUGH = 1e-6
# Directions of the pose that change the distances so little, relative to the best seen one, stay as they are.
_UNSEEN = 1e-7
# Least curvature of the robust cost relative to that with the weights held; half to all of it is usual.
_LEAST_SLOPE = 0.1
# Errors of keypoints last for several frames: for uncertainty, rows are taken together in so many pieces, at least.
_PIECES, _FEWEST_PIECES = 60, 20


class _Loss(NamedTuple):
    """Cost and weight of squared residuals in units of a scale, and a gain in cost that is not worth a step.

    By one standard deviation of a parameter from the best pose, the cost rises by a twentieth.
    """

    cost: Callable[[Array], Array]
    weight: Callable[[Array], Array]
    enough: float


_CAUCHY = _Loss(np.log1p, lambda squared: 1 / (1 + squared), 1e-2)
_GEMAN_MCCLURE = _Loss(lambda squared: squared / (1 + squared), lambda squared: 1 / (1 + squared) ** 2, 1e-5)


@dataclass(frozen=True, eq=False)
class Move:
    """A camera had another pose from some row on.

    Attributes:
        start: first row.
        pose: cam_from_world since then.
    """

    start: int
    pose: RigidTransform


@dataclass(frozen=True, eq=False)
class Pair:
    """What two cameras saw of the same points.

    Attributes:
        first, second: numbers of the cameras.
        rows: (n,) rows of the recording, ascending.
        points: (n,) which of the points of the row.
        seen_first, seen_second: (n, 3) homogeneous normalized image coordinates.
        focal_first, focal_second: px.
    """

    first: int
    second: int
    rows: NDArray[np.intp]
    points: NDArray[np.intp]
    seen_first: Array
    seen_second: Array
    focal_first: float
    focal_second: float

    def select(self, kept: slice | NDArray[np.intp] | NDArray[np.bool_]) -> Pair:
        """Some of the points."""
        return replace(
            self,
            rows=self.rows[kept],
            points=self.points[kept],
            seen_first=self.seen_first[kept],
            seen_second=self.seen_second[kept],
        )

    def thinned(self, count: int) -> Pair:
        """At most `count` of the points, spread evenly."""
        return self.select(np.unique(np.linspace(0, len(self.rows) - 1, count).astype(np.intp)))


def make_pairs(rig: Rig, pixels: Array, *, maximum: int, seed: int) -> list[Pair]:
    """The matched points of every two cameras that share any.

    Args:
        rig: the cameras.
        pixels: (time, point, camera, 2).
        maximum: at most so many points for each pair.
        seed: which.
    """
    rng = np.random.default_rng(seed)
    normalized = np.stack([camera.lens.undistort(pixels[:, :, index]) for index, camera in enumerate(rig)], axis=2)
    known = np.asarray(np.isfinite(normalized).all(axis=-1))
    count = known.shape[1]
    pairs = []
    for first, second in combinations(range(len(rig)), 2):
        both = np.flatnonzero(known[:, :, first] & known[:, :, second])
        if not len(both):
            continue
        if len(both) > maximum:
            both = np.sort(rng.choice(both, maximum, replace=False))
        seen = [np.insert(normalized[:, :, each].reshape(-1, 2)[both], 2, 1.0, axis=1) for each in (first, second)]
        focal = [float(np.sqrt(np.linalg.det(rig.cameras[each].lens.camera_matrix))) for each in (first, second)]
        pairs.append(Pair(first, second, both // count, both % count, seen[0], seen[1], focal[0], focal[1]))
    return pairs


def distances(pair: Pair, poses: Sequence[RigidTransform], moves: dict[int, Move]) -> Array:
    """(n,) signed Sampson distances in pixels."""
    result = np.empty(len(pair.rows))
    for part, first, second in _parts(pair, poses, moves):
        essential = _essential(second, first)
        seen = _Seen(
            pair.seen_second[part], pair.seen_first[part], pair.focal_second, pair.focal_first, first, pair.rows[part]
        )
        result[part] = _distance(seen, essential)[0]
    return result


def robust_cost(distance: Array, noise: float) -> Array:
    """(n,) cost of distances that grows to 1: of outliers no one counts more than another (Geman and McClure)."""
    return _GEMAN_MCCLURE.cost((distance / (_SCALE * noise)) ** 2)


def apply_move(pose: RigidTransform, twist: Array) -> RigidTransform:
    """The pose of a camera turned by a rotation vector and shifted, both in the frame of the camera: (6,)."""
    return RigidTransform.from_rotation_vector(twist[:3], twist[3:]) @ pose


def correct_pose(
    pairs: Sequence[Pair], poses: Sequence[RigidTransform], moves: dict[int, Move], camera: int, noise: float
) -> RigidTransform:
    """The pose of one camera that makes its distances small.

    Levenberg-Marquardt, first with Cauchy's weights, which see far, and a scale that shrinks from that of the distances
    to that of the noise; then with those of `robust_cost`: what outliers have left over of the former's is a bias of
    three standard deviations where they are a twentieth of the points.
    Translations are counted in units of the distance between the cameras, so that the unit of the rig plays no role.

    Args:
        pairs: those with this camera.
        poses, moves: of all cameras; of this one, the pose where the search starts, which has no move.
        camera: number of the camera.
        noise: px.
    """
    scales, seen = _scales(poses), list(_seen_by(camera, pairs, poses, moves))
    start = poses[camera]
    scale = max(_SCALE * noise, 2 * float(np.median(np.abs(_linearized(seen, start, scales)[0]))))
    pose = _descend(seen, start, scales, _CAUCHY, scale, _SCALE * noise)
    pose = _descend(seen, pose, scales, _GEMAN_MCCLURE, _SCALE * noise, _SCALE * noise)
    partners = {pair.second if pair.first == camera else pair.first for pair in pairs}
    return pose if len(partners) > 1 else _as_far_apart(pose, start, poses[partners.pop()])


def _as_far_apart(pose: RigidTransform, before: RigidTransform, other: RigidTransform) -> RigidTransform:
    """The pose with the distance to another camera that it had before: one pair of cameras does not see it."""
    relative, wanted = pose @ other.inverse(), (before @ other.inverse()).translation
    share = float(np.linalg.norm(wanted)) / max(float(np.linalg.norm(relative.translation)), 1e-300)
    return RigidTransform(relative.rotation, share * relative.translation) @ other


def _descend(
    seen: Sequence[_Seen], pose: RigidTransform, scales: Array, loss: _Loss, scale: float, last_scale: float
) -> RigidTransform:
    """The pose at the least sum of a loss whose scale is halved with each step, down to the last one."""
    damping = 1e-4
    residual, jacobian = _linearized(seen, pose, scales)
    for _ in range(_STEPS):
        weight = loss.weight((residual / scale) ** 2)
        normal, gradient = (jacobian.T * weight) @ jacobian, (jacobian.T * weight) @ residual
        step = -np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12 * np.trace(normal)), gradient)
        trial = apply_move(pose, step * scales)
        new_residual, new_jacobian = _linearized(seen, trial, scales)
        gain = float((loss.cost((residual / scale) ** 2) - loss.cost((new_residual / scale) ** 2)).sum())
        if gain > 0:
            pose, residual, jacobian = trial, new_residual, new_jacobian
            damping = max(damping / 10, _LEAST_DAMPING)
        else:
            damping *= 10
        if scale <= last_scale and (0 < gain < loss.enough or damping > _MOST_DAMPING):
            break
        scale = max(last_scale, scale / 2)
    return pose


def pose_covariance(
    pairs: Sequence[Pair], poses: Sequence[RigidTransform], moves: dict[int, Move], camera: int, noise: float
) -> Array:
    """Covariance (6, 6) of the turn (radians) and shift of one camera about its pose.

    What a camera reports of a point enters its pairs with all others, and lasts for several rows: scores are summed
    over pieces of the recording before they are squared (Huber's covariance of M-estimates; Liang and Zeger 1986).
    """
    scales, seen = _scales(poses), list(_seen_by(camera, pairs, poses, moves))
    residual, jacobian = _linearized(seen, poses[camera], scales)
    squared = (residual / (_SCALE * noise)) ** 2
    slope = (1 - 3 * squared) / (1 + squared) ** 3  # of the score by the residual
    score = jacobian * (residual * _GEMAN_MCCLURE.weight(squared))[:, None]
    rows = np.concatenate([each.rows for each in seen])
    _, number = np.unique(rows, return_inverse=True)
    piece = number * _PIECES // max(int(number.max()) + 1, _PIECES)
    pieces = int(piece.max()) + 1
    if pieces >= _FEWEST_PIECES:
        sums = np.stack([np.bincount(piece, column) for column in score.T], axis=-1)
        spread = sums.T @ sums * (pieces / (pieces - 6))
    else:
        spread = score.T @ score * len(pairs)
    weight = _GEMAN_MCCLURE.weight(squared)
    values, vectors = np.linalg.eigh((jacobian.T * weight) @ jacobian)
    known = values > _UNSEEN * values[-1]
    white = vectors[:, known] / np.sqrt(values[known])
    # outliers that happen to lie on epipolar lines seem to fix the pose; the slope of those beside takes that back
    values, vectors = np.linalg.eigh(white.T @ (jacobian.T * slope) @ jacobian @ white)
    inverse = (white @ (vectors / np.maximum(values, _LEAST_SLOPE))) @ (white @ vectors).T
    return np.asarray(inverse @ spread @ inverse * np.outer(scales, scales))


def image_shift(pair: Pair, camera: int, old: RigidTransform, new: RigidTransform, other: RigidTransform) -> Array:
    """(n,) px by how far the points of a pair moved in the image of one camera, when it moved from `old` to `new`."""
    here, there = (pair.seen_first, pair.seen_second) if camera == pair.first else (pair.seen_second, pair.seen_first)
    focal = pair.focal_first if camera == pair.first else pair.focal_second
    # the point on the ray of the camera that is nearest to the ray of the other one
    relative = new @ other.inverse()
    ray, origin = there @ relative.rotation.T, relative.translation
    a, b, c = (here * here).sum(-1), (here * ray).sum(-1), (ray * ray).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        depth = (c * (here @ origin) - b * (ray @ origin)) / (a * c - b * b)
        before = (old @ new.inverse())(here * depth[:, None])
        moved = focal * np.hypot(*(before[:, :2] / before[:, 2:] - here[:, :2]).T)
    return np.where((depth > 0) & (before[:, 2] > 0), moved, np.nan)


class _Seen(NamedTuple):
    """What a camera and another one saw of the same points, while neither moved."""

    here: Array
    there: Array
    focal_here: float
    focal_there: float
    other: RigidTransform
    rows: NDArray[np.intp]


def _scales(poses: Sequence[RigidTransform]) -> Array:
    """(6,) units of turn and shift in which a step is of the size of one."""
    unit = float(np.linalg.norm(np.ptp([pose.inverse().translation for pose in poses], axis=0))) or 1.0
    return np.array([1.0, 1.0, 1.0, unit, unit, unit])


def _parts(
    pair: Pair, poses: Sequence[RigidTransform], moves: dict[int, Move]
) -> Iterator[tuple[slice, RigidTransform, RigidTransform]]:
    """The points of a pair between moves, with the poses of its cameras then."""
    cameras = (pair.first, pair.second)
    starts = sorted({moves[camera].start for camera in cameras if camera in moves})
    cuts = [0, *np.searchsorted(pair.rows, starts).tolist(), len(pair.rows)]
    for begin, end in pairwise(cuts):
        if end > begin:
            row = pair.rows[begin]
            first, second = (
                moves[camera].pose if camera in moves and row >= moves[camera].start else poses[camera]
                for camera in cameras
            )
            yield slice(begin, end), first, second


def _seen_by(
    camera: int, pairs: Sequence[Pair], poses: Sequence[RigidTransform], moves: dict[int, Move]
) -> Iterator[_Seen]:
    for pair in pairs:
        for part, first, second in _parts(pair, poses, moves):
            views = (pair.seen_first[part], pair.seen_second[part])
            focal = (pair.focal_first, pair.focal_second)
            if camera == pair.second:
                views, focal = views[::-1], focal[::-1]
            other = second if camera == pair.first else first
            yield _Seen(*views, *focal, other, pair.rows[part])


def _essential(here: RigidTransform, there: RigidTransform) -> Array:
    """(3, 3) matrix E with x_here' E x_there = 0."""
    rotation = here.rotation @ there.rotation.T
    return _cross(here.translation - rotation @ there.translation) @ rotation


def _cross(vector: Array) -> Array:
    x, y, z = vector
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


_AXES = np.stack([_cross(axis) for axis in np.eye(3)])


def _distance(seen: _Seen, essential: Array) -> tuple[Array, Array, Array, Array]:
    """Distances (n,), epipolar lines (n, 3) here and there, and lengths (n,) of the gradients."""
    line_here, line_there = seen.there @ essential.T, seen.here @ essential
    error = np.einsum("ni,ni->n", seen.here, line_here)
    length = np.sqrt(
        (line_here[:, 0] ** 2 + line_here[:, 1] ** 2) / seen.focal_here**2
        + (line_there[:, 0] ** 2 + line_there[:, 1] ** 2) / seen.focal_there**2
    )
    length = np.maximum(length, 1e-300)
    return error / length, line_here, line_there, length


def _linearized(seen: Sequence[_Seen], pose: RigidTransform, scales: Array) -> tuple[Array, Array]:
    """Distances (n,) of a camera, and their derivatives (n, 6) by a turn and a shift of it."""
    residuals, columns = [], []
    for part in seen:
        rotation = pose.rotation @ part.other.rotation.T
        essential = _essential(pose, part.other)
        # a turn w and a shift v make E of the camera exp(w) E + [v] R
        changes = np.concatenate([_AXES @ essential, _AXES @ rotation]) * scales[:, None, None]
        residual, line_here, line_there, length = _distance(part, essential)
        # by each entry of E: first of the numerator, then of half the squared length of its gradient
        outer = (part.here / length[:, None])[:, :, None] * part.there[:, None, :]
        share = residual / length**2
        flat_here = line_here * [1 / part.focal_here**2, 1 / part.focal_here**2, 0.0]
        flat_there = line_there * [1 / part.focal_there**2, 1 / part.focal_there**2, 0.0]
        outer -= (share[:, None] * flat_here)[:, :, None] * part.there[:, None, :]
        outer -= part.here[:, :, None] * (share[:, None] * flat_there)[:, None, :]
        residuals.append(residual)
        columns.append(outer.reshape(-1, 9) @ changes.reshape(6, 9).T)
    return np.concatenate(residuals), np.concatenate(columns)
