"""Has a camera moved since the calibration? Told by epipolar residuals: what two cameras see must lie on one plane.

Any matched points serve: corners of a board, or keypoints of an animal. A camera that has moved disagrees with all
others, which still agree with each other. Its new pose is the one that lets its rays meet those of the others again
(robust least squares on Sampson's distance; Hartley and Zisserman, Multiple View Geometry, 2nd edition, section 11.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from warnings import warn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration._sampson import Move, Pair, apply_move, correct_pose, distances, image_shift, make_pairs, robust_cost
from calibration.camera import Camera
from calibration.errors import CalibrationError, InvalidValueError, SuiteWarning
from calibration.rig import Rig
from calibration.schema import as_floats
from calibration.transforms import RigidTransform

__all__ = ["CameraDrift", "Drift", "DriftSettings", "check_drift"]

Array = NDArray[np.float64]

_FEWEST_POINTS = 30
_LEAST_NOISE = 0.02  # px; below it, positions are projections and no measurements
# Sum of bounded costs (each at most 1) that a move must save: as many points as fix a pose well.
_LEAST_GAIN = 10.0
_SEARCHED = 300  # points of each pair while the moment is looked for
# Where the search for the moment begins, as shares of the recording, and how often moment and pose take turns.
_STARTS = (0.0, 0.4, 0.75)
_TURNS = 4


@dataclass(frozen=True)
class DriftSettings:
    """When a camera counts as moved.

    Attributes:
        minimum_shift: px; less is not told apart from what lens models leave over.
        noise_share: nor is less than this share of the noise of the points: detectors of keypoints are biased by
            directions of view, by up to half their noise on the recordings this was tried on.
        windows: number of pieces of the recording among whose borders the moment of the move is looked for first.
        maximum_points: at most so many pairs of matched points are used for every two cameras, spread evenly.
        seed: which points, where there are more.
    """

    minimum_shift: float = 0.5
    noise_share: float = 0.75
    windows: int = 24
    maximum_points: int = 4000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("minimum_shift", "noise_share"):
            if not getattr(self, name) >= 0:
                raise _wrong(name, "a number from 0", getattr(self, name))
        for name, lowest in (("windows", 1), ("maximum_points", 100)):
            if not getattr(self, name) >= lowest:
                raise _wrong(name, f"at least {lowest}", getattr(self, name))


@dataclass(frozen=True, eq=False)
class CameraDrift:
    """What became of one camera.

    Attributes:
        name: of the camera.
        moved: whether it has moved.
        certain: False where one of two cameras moved and nobody can tell which.
        before, after: px, median epipolar residual with the calibration as it is, and with the camera's new pose (the
            same where it has not moved).
        shift: px, by how much its image has moved, root mean square over the points.
        rotation: radians by which it has turned, and its standard deviation.
        distance: by how much its center has moved in the rig's unit, and its standard deviation. With two cameras the
            component along the line between them cannot be seen and is left out.
        start: number of the first row of the pixels that shows the move; 0 where it moved before the recording, None
            where it did not move.
        cam_from_world: its pose since then.
    """

    name: str
    moved: bool
    certain: bool
    before: float
    after: float
    shift: float
    rotation: tuple[float, float]
    distance: tuple[float, float]
    start: int | None
    cam_from_world: RigidTransform


@dataclass(frozen=True, eq=False)
class Drift:
    """Whether a rig is still what its calibration says.

    Attributes:
        cameras: in the order of the rig.
        rows: (window + 1,) where the windows begin, and where the last one ends.
        residual: (window, camera) px, median epipolar residual of what a camera saw in each window, with the
            calibration as it is; NaN where it shared nothing with others.
        noise: px, of the points, from pairs of cameras that agree.
        rig: with the new poses of cameras that have moved.
    """

    cameras: tuple[CameraDrift, ...]
    rows: NDArray[np.intp]
    residual: Array
    noise: float
    rig: Rig

    @property
    def moved(self) -> tuple[str, ...]:
        """Names of the cameras that have moved."""
        return tuple(camera.name for camera in self.cameras if camera.moved)


def check_drift(rig: Rig, pixels: ArrayLike, *, settings: DriftSettings | None = None) -> Drift:
    """Whether cameras have moved since their calibration, when, and by how much.

    Args:
        rig: the calibration.
        pixels: (time, point, camera, 2) px, in the order of the rig; NaN where a camera does not see a point.
        settings: when a camera counts as moved.

    Raises:
        InvalidValueError: the shape is wrong.
        CalibrationError: there is one camera only, or cameras share too few points to tell; the error names them.
    """
    settings = settings or DriftSettings()
    seen = as_floats(pixels, "pixels", ends=(len(rig), 2))
    if seen.ndim != 4:
        raise _wrong("pixels", f"shape (time, point, {len(rig)} cameras, 2)", seen.shape)
    if len(rig) < 2:
        raise CalibrationError(
            f"check of camera '{rig.names[0]}'",
            expected="two cameras or more",
            got="one",
            remedy="A camera can only be checked against others that see the same points.",
        )
    pairs = make_pairs(rig, seen, maximum=settings.maximum_points, seed=settings.seed)
    _check_shared(rig, pairs)
    poses = [camera.cam_from_world for camera in rig]
    noise = _noise(pairs, poses)
    rows = np.unique(np.linspace(0, len(seen), settings.windows + 1).astype(np.intp))
    moves, certain = _find_moves(pairs, poses, rows, noise, settings)
    cameras = tuple(
        _describe(camera, index, pairs, poses, moves, noise, certain=certain) for index, camera in enumerate(rig)
    )
    moved = tuple(
        replace(camera, cam_from_world=known.cam_from_world) for camera, known in zip(rig, cameras, strict=True)
    )
    residual = _over_time(len(rig), pairs, poses, rows)
    return Drift(cameras, rows, residual, noise, Rig(moved, unit=rig.unit, metadata=rig.metadata))


def _check_shared(rig: Rig, pairs: Sequence[Pair]) -> None:
    shared = np.zeros(len(rig), dtype=np.intp)
    for pair in pairs:
        shared[[pair.first, pair.second]] += len(pair.rows)
    lonely = [name for name, count in zip(rig.names, shared, strict=True) if count < _FEWEST_POINTS]
    if len(lonely) > len(rig) - 2:
        raise CalibrationError(
            f"check of the cameras {', '.join(rig.names)}",
            expected=f"two cameras or more that see {_FEWEST_POINTS} points at the same instants",
            got=f"{', '.join(f'{name}: {count}' for name, count in zip(rig.names, shared, strict=True))}",
            remedy="Check that the names of the cameras fit and that the recordings are synchronized.",
        )
    for name in lonely:
        warn(
            f"camera '{name}' shares fewer than {_FEWEST_POINTS} points with the others: whether it moved is not known",
            SuiteWarning,
            stacklevel=3,
        )


def _noise(pairs: Sequence[Pair], poses: Sequence[RigidTransform]) -> float:
    """Robust standard deviation of the distances, from the pairs and times that agree best: a move raises others."""
    spread = []
    for pair in pairs:
        for piece in np.array_split(np.abs(distances(pair, poses, {})), max(1, len(pair.rows) // _FEWEST_POINTS // 4)):
            spread.append(1.4826 * float(np.median(piece)))
    return max(float(np.percentile(spread, 25)), _LEAST_NOISE)


def _find_moves(
    pairs: Sequence[Pair],
    poses: Sequence[RigidTransform],
    rows: NDArray[np.intp],
    noise: float,
    settings: DriftSettings,
) -> tuple[dict[int, Move], bool]:
    """One camera after the other: the one whose move explains most, as long as moves are larger than what is told."""
    limit = max(settings.minimum_shift, settings.noise_share * noise)
    moves: dict[int, Move] = {}
    certain = True
    candidates = sorted({camera for pair in pairs for camera in (pair.first, pair.second)})
    while len(candidates) > 1:
        found = {}
        for camera in candidates:
            move, gain = _best_move(camera, pairs, poses, moves, rows, noise)
            if _shift(camera, pairs, poses, moves | {camera: move}) > limit and gain > _LEAST_GAIN:
                found[camera] = (gain, move)
        if not found:
            break
        best = max(found, key=lambda camera: found[camera][0])
        rivals = [gain for camera, (gain, _) in found.items() if camera != best]
        # of two cameras that alone see something, a move of the one explains what a move of the other does
        certain = certain and found[best][0] - max(rivals, default=0.0) > _LEAST_GAIN
        moves[best] = found[best][1]
        candidates.remove(best)
    return moves, certain


def _best_move(
    camera: int,
    pairs: Sequence[Pair],
    poses: Sequence[RigidTransform],
    moves: dict[int, Move],
    rows: NDArray[np.intp],
    noise: float,
) -> tuple[Move, float]:
    """The move of one camera that lowers the cost most, and by how much.

    From some moments on, the pose is fitted to what follows, and then the moment to the pose, in turn.
    """
    own = [pair for pair in pairs if camera in (pair.first, pair.second)]
    thin = [pair.thinned(_SEARCHED) for pair in own]
    best, lowest = 0, np.inf
    for begin in _STARTS:
        start = int(rows[int(begin * (len(rows) - 1))])
        for _ in range(_TURNS):
            since = [_since(pair, start) for pair in thin]
            if sum(len(pair.rows) for pair in since) < _FEWEST_POINTS:
                break
            twist, _ = correct_pose(since, poses, moves, camera, noise)
            move = Move(start, apply_move(poses[camera], twist))
            cost = float(_costs(thin, poses, moves | {camera: move}, noise).sum())
            if cost < lowest:
                best, lowest = start, cost
            if start == (start := _refine_start(thin, poses, moves, camera, move, noise)):
                break
    twist, _ = correct_pose([_since(pair, best) for pair in own], poses, moves, camera, noise)
    start = _refine_start(own, poses, moves, camera, Move(best, apply_move(poses[camera], twist)), noise)
    twist, _ = correct_pose([_since(pair, start) for pair in own], poses, moves, camera, noise)
    move = Move(start, apply_move(poses[camera], twist))
    gain = float((_costs(own, poses, moves, noise) - _costs(own, poses, moves | {camera: move}, noise)).sum())
    return move, gain


def _refine_start(
    own: Sequence[Pair],
    poses: Sequence[RigidTransform],
    moves: dict[int, Move],
    camera: int,
    move: Move,
    noise: float,
) -> int:
    """The row from which on the new pose explains more than the old one: the least of the summed costs."""
    always = Move(0, move.pose)
    rows = np.concatenate([pair.rows for pair in own])
    worse = _costs(own, poses, moves, noise) - _costs(own, poses, moves | {camera: always}, noise)
    gain = np.bincount(rows, worse)
    # what is gained by beginning at each row: the sum of all that follow
    following = np.cumsum(gain[::-1])[::-1]
    return int(np.argmax(following)) if float(following.max()) > float(following[0]) + _LEAST_GAIN else 0


def _since(pair: Pair, start: int) -> Pair:
    kept = pair.rows >= start
    return replace(pair, rows=pair.rows[kept], seen_first=pair.seen_first[kept], seen_second=pair.seen_second[kept])


def _costs(pairs: Sequence[Pair], poses: Sequence[RigidTransform], moves: dict[int, Move], noise: float) -> Array:
    return np.concatenate([robust_cost(distances(pair, poses, moves), noise) for pair in pairs])


def _shift(camera: int, pairs: Sequence[Pair], poses: Sequence[RigidTransform], moves: dict[int, Move]) -> float:
    """Root mean square of how far the points moved in the image of a camera; the median square, for outliers' sake."""
    move = moves[camera]
    shifts = []
    for pair in pairs:
        if camera in (pair.first, pair.second):
            partner = pair.second if camera == pair.first else pair.first
            late = _since(pair, move.start)
            other = moves[partner].pose if partner in moves else poses[partner]
            shifts.append(image_shift(late, camera, poses[camera], move.pose, other))
    values = np.concatenate(shifts)
    values = values[np.isfinite(values)]
    return float(np.sqrt(np.median(values**2))) if len(values) else 0.0


def _describe(
    camera: Camera,
    index: int,
    pairs: Sequence[Pair],
    poses: Sequence[RigidTransform],
    moves: dict[int, Move],
    noise: float,
    *,
    certain: bool,
) -> CameraDrift:
    own = [pair for pair in pairs if index in (pair.first, pair.second)]
    before = _median(own, poses, {})
    move = moves.get(index)
    if move is None or not own:
        nothing = (0.0, np.nan)
        return CameraDrift(camera.name, False, True, before, before, 0.0, nothing, nothing, None, poses[index])
    late = [_since(pair, move.start) for pair in own]
    others = {key: each for key, each in moves.items() if key != index}
    twist, covariance = correct_pose(late, poses, others, index, noise)
    return CameraDrift(
        name=camera.name,
        moved=True,
        certain=certain,
        before=_median(late, poses, others),
        after=_median(late, poses, moves),
        shift=_shift(index, pairs, poses, moves),
        rotation=_length(twist[:3], covariance[:3, :3]),
        distance=_length(twist[3:], covariance[3:, 3:]),
        start=move.start,
        cam_from_world=move.pose,
    )


def _median(pairs: Sequence[Pair], poses: Sequence[RigidTransform], moves: dict[int, Move]) -> float:
    if not pairs:
        return np.nan
    return float(np.median(np.abs(np.concatenate([distances(pair, poses, moves) for pair in pairs]))))


def _length(vector: Array, covariance: Array) -> tuple[float, float]:
    """Length of a vector and its standard deviation."""
    length = float(np.linalg.norm(vector))
    direction = vector / length if length > 0 else vector
    return length, float(np.sqrt(direction @ covariance @ direction))


def _over_time(count: int, pairs: Sequence[Pair], poses: Sequence[RigidTransform], rows: NDArray[np.intp]) -> Array:
    """(window, camera) median epipolar residual."""
    result = np.full((len(rows) - 1, count), np.nan)
    for camera in range(count):
        own = [pair for pair in pairs if camera in (pair.first, pair.second)]
        if not own:
            continue
        residual = np.abs(np.concatenate([distances(pair, poses, {}) for pair in own]))
        window = np.searchsorted(rows, np.concatenate([pair.rows for pair in own]), side="right") - 1
        for index in np.unique(window):
            result[index, camera] = np.median(residual[window == index])
    return result


def _wrong(subject: str, expected: str, got: object) -> InvalidValueError:
    return InvalidValueError(f"drift, {subject}", expected=expected, got=str(got), remedy="Correct the argument.")
