"""Sampson's distance of matched points in pairs of cameras, and the pose of a camera that makes it small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from calibration.rig import Rig
from calibration.transforms import RigidTransform

__all__ = ["Move", "Pair", "apply_move", "correct_pose", "distances", "image_shift", "make_pairs", "robust_cost"]

Array = NDArray[np.float64]

# Residuals of this many standard deviations count half in the fit (Cauchy), and little more than that in the cost.
_SCALE = 3.0
_STEPS = 25
_DIFFERENCE = 1e-6
# Directions of the pose that change the distances so little, relative to the best seen one, stay as they are.
_UNSEEN = 1e-7


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
        seen_first, seen_second: (n, 3) homogeneous normalized image coordinates.
        focal_first, focal_second: px.
    """

    first: int
    second: int
    rows: NDArray[np.intp]
    seen_first: Array
    seen_second: Array
    focal_first: float
    focal_second: float

    def thinned(self, count: int) -> Pair:
        """At most `count` of the points, spread evenly."""
        kept = np.unique(np.linspace(0, len(self.rows) - 1, count).astype(np.intp))
        return Pair(
            self.first,
            self.second,
            self.rows[kept],
            self.seen_first[kept],
            self.seen_second[kept],
            self.focal_first,
            self.focal_second,
        )


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
    known = np.isfinite(normalized).all(axis=-1)
    rows = np.broadcast_to(np.arange(len(pixels))[:, None], known.shape[:2])
    pairs = []
    for first, second in combinations(range(len(rig)), 2):
        both = np.flatnonzero(known[:, :, first] & known[:, :, second])
        if not len(both):
            continue
        if len(both) > maximum:
            both = np.sort(rng.choice(both, maximum, replace=False))
        seen = [np.insert(normalized[:, :, each].reshape(-1, 2)[both], 2, 1.0, axis=1) for each in (first, second)]
        focal = [float(np.sqrt(np.linalg.det(rig.cameras[each].lens.camera_matrix))) for each in (first, second)]
        pairs.append(Pair(first, second, rows.reshape(-1)[both], seen[0], seen[1], focal[0], focal[1]))
    return pairs


def distances(pair: Pair, poses: Sequence[RigidTransform], moves: dict[int, Move]) -> Array:
    """(n,) signed Sampson distances in pixels."""
    rotation, translation = _poses_of(pair.second, pair.rows, poses, moves)
    other_rotation, other_translation = _poses_of(pair.first, pair.rows, poses, moves)
    relative = rotation @ np.swapaxes(other_rotation, -1, -2)
    shift = translation - (relative @ other_translation[..., None])[..., 0]
    # x_second' [shift]x R x_first
    line_second = np.cross(shift, (relative @ pair.seen_first[..., None])[..., 0])
    line_first = (np.swapaxes(relative, -1, -2) @ np.cross(pair.seen_second, shift)[..., None])[..., 0]
    error = (pair.seen_second * line_second).sum(axis=-1)
    spread = np.hypot(line_second[:, 0], line_second[:, 1]) / pair.focal_second
    other_spread = np.hypot(line_first[:, 0], line_first[:, 1]) / pair.focal_first
    return np.asarray(error / np.maximum(np.hypot(spread, other_spread), 1e-300))


def robust_cost(distance: Array, noise: float) -> Array:
    """(n,) cost of distances that grows to 1: of outliers no one counts more than another (Geman and McClure)."""
    squared = (distance / (_SCALE * noise)) ** 2
    return np.asarray(squared / (1 + squared))


def apply_move(pose: RigidTransform, twist: Array) -> RigidTransform:
    """The pose of a camera turned by a rotation vector and shifted, both in the frame of the camera: (6,)."""
    return RigidTransform.from_rotation_vector(twist[:3], twist[3:]) @ pose


def correct_pose(
    pairs: Sequence[Pair], poses: Sequence[RigidTransform], moves: dict[int, Move], camera: int, noise: float
) -> tuple[Array, Array]:
    """The twist (6,) of one camera that makes its distances small, and its covariance (6, 6).

    Levenberg-Marquardt with Cauchy's weights; the scale shrinks from that of the distances to that of the noise.
    Translations are counted in units of the distance between the cameras, so that the unit of the rig plays no role.

    Args:
        pairs: those with this camera.
        poses, moves: of all cameras; of this one, where it starts.
        camera: number of the camera.
        noise: px.
    """
    unit = float(np.linalg.norm(np.ptp([pose.inverse().translation for pose in poses], axis=0))) or 1.0
    scales = np.array([1.0, 1.0, 1.0, unit, unit, unit])
    twist, damping = np.zeros(6), 1e-4
    residual = _residual(pairs, poses, moves, camera, twist * scales)
    scale = max(_SCALE * noise, 2 * float(np.median(np.abs(residual))))
    for _ in range(_STEPS):
        weight = 1 / (1 + (residual / scale) ** 2)
        jacobian = _jacobian(pairs, poses, moves, camera, twist, scales, residual)
        normal, gradient = (jacobian.T * weight) @ jacobian, (jacobian.T * weight) @ residual
        step = -np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12 * np.trace(normal)), gradient)
        trial = _residual(pairs, poses, moves, camera, (twist + step) * scales)
        if np.log1p((trial / scale) ** 2).sum() < np.log1p((residual / scale) ** 2).sum():
            twist, residual, damping = twist + step, trial, damping / 10
        else:
            damping *= 10
        small = float(np.abs(step).max()) < 1e-7 or damping > 1e6
        if small and scale <= _SCALE * noise:
            break
        scale = max(_SCALE * noise, scale / 2)
    return twist * scales, _covariance(normal, noise) * np.outer(scales, scales)


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


def _poses_of(
    camera: int, rows: NDArray[np.intp], poses: Sequence[RigidTransform], moves: dict[int, Move]
) -> tuple[Array, Array]:
    """Rotations and translations of a camera: one for all rows, or one for each where it has moved."""
    pose, move = poses[camera], moves.get(camera)
    if move is None:
        return pose.rotation, pose.translation
    since = rows >= move.start
    rotation = np.where(since[:, None, None], move.pose.rotation, pose.rotation)
    return rotation, np.where(since[:, None], move.pose.translation, pose.translation)


def _residual(
    pairs: Sequence[Pair], poses: Sequence[RigidTransform], moves: dict[int, Move], camera: int, twist: Array
) -> Array:
    changed = list(poses)
    changed[camera] = apply_move(poses[camera], twist)
    return np.concatenate([distances(pair, changed, moves) for pair in pairs])


def _jacobian(
    pairs: Sequence[Pair],
    poses: Sequence[RigidTransform],
    moves: dict[int, Move],
    camera: int,
    twist: Array,
    scales: Array,
    residual: Array,
) -> Array:
    columns = []
    for axis in range(6):
        step = np.zeros(6)
        step[axis] = _DIFFERENCE
        columns.append((_residual(pairs, poses, moves, camera, (twist + step) * scales) - residual) / _DIFFERENCE)
    return np.stack(columns, axis=-1)


def _covariance(normal: Array, noise: float) -> Array:
    values, vectors = np.linalg.eigh(normal)
    seen = values > _UNSEEN * values[-1]
    return np.asarray((vectors[:, seen] / values[seen]) @ vectors[:, seen].T * noise**2)
