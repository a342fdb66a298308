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

from calibration._drift_search import FEWEST_POINTS, Evidence, certain_moves, find_moves, move_shift, since
from calibration._sampson import Move, Pair, correct_pose, distances, make_pairs, pose_covariance
from calibration.camera import Camera
from calibration.errors import CalibrationError, InvalidValueError, SuiteWarning
from calibration.rig import Rig
from calibration.schema import as_floats
from calibration.transforms import RigidTransform

__all__ = ["CameraDrift", "Drift", "DriftSettings", "check_drift"]

Array = NDArray[np.float64]

# Points of a pair of cameras that its own pose is fitted to for the noise, and how often.
_NOISE_POINTS, _NOISE_ROUNDS = 300, 2
_LEAST_NOISE = 0.02  # px; below it, positions are projections and no measurements


@dataclass(frozen=True)
class DriftSettings:
    """When a camera counts as moved.

    Attributes:
        minimum_change: px; a move that changes the epipolar residuals by less is not told apart from what lens models
            leave over. Images move by about twice as much.
        noise_share: nor is one that changes them by less than this share of the noise of the points: detectors of
            keypoints are biased by directions of view. Half of both is enough where the change comes within the
            recording.
        windows: number of pieces of the recording for which residuals are told.
        maximum_points: at most so many pairs of matched points are used for every two cameras, spread evenly.
        seed: which points, where there are more.
    """

    minimum_change: float = 0.3
    noise_share: float = 0.8
    windows: int = 24
    maximum_points: int = 4000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("minimum_change", "noise_share"):
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
        unexplained: names of cameras that disagree with the others, but by no move that holds for all points and times.
        rig: with the new poses of cameras that have moved.
    """

    cameras: tuple[CameraDrift, ...]
    rows: NDArray[np.intp]
    residual: Array
    noise: float
    unexplained: tuple[str, ...]
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
    evidence = Evidence(pairs, poses, noise, len(seen))
    moves, disagreeing = find_moves(evidence, max(settings.minimum_change, settings.noise_share * noise))
    unexplained = tuple(rig.names[camera] for camera in sorted(disagreeing))
    certain = certain_moves(evidence, moves)
    cameras = tuple(
        _describe(camera, index, evidence, moves, certain=index in certain) for index, camera in enumerate(rig)
    )
    moved = tuple(
        replace(camera, cam_from_world=known.cam_from_world) for camera, known in zip(rig, cameras, strict=True)
    )
    residual = _over_time(len(rig), pairs, poses, rows)
    _warn(rig, moves, unexplained)
    return Drift(cameras, rows, residual, noise, unexplained, Rig(moved, unit=rig.unit, metadata=rig.metadata))


def _check_shared(rig: Rig, pairs: Sequence[Pair]) -> None:
    shared = np.zeros(len(rig), dtype=np.intp)
    for pair in pairs:
        shared[[pair.first, pair.second]] += len(pair.rows)
    lonely = [name for name, count in zip(rig.names, shared, strict=True) if count < FEWEST_POINTS]
    if len(lonely) > len(rig) - 2:
        raise CalibrationError(
            f"check of the cameras {', '.join(rig.names)}",
            expected=f"two cameras or more that see {FEWEST_POINTS} points at the same instants",
            got=f"{', '.join(f'{name}: {count}' for name, count in zip(rig.names, shared, strict=True))}",
            remedy="Check that the names of the cameras fit and that the recordings are synchronized.",
        )
    for name in lonely:
        warn(
            f"camera '{name}' shares fewer than {FEWEST_POINTS} points with the others: whether it moved is not known",
            SuiteWarning,
            stacklevel=3,
        )


def _warn(rig: Rig, moves: dict[int, Move], unexplained: tuple[str, ...]) -> None:
    if unexplained:
        warn(
            f"what {', '.join(unexplained)} saw disagrees with the other cameras, but no new pose explains that for "
            "all points and times: check that the recordings are synchronized, the lenses, and the points",
            SuiteWarning,
            stacklevel=3,
        )
    if len(rig) > 2 and 2 * len(moves) > len(rig):
        warn(
            f"{len(moves)} of {len(rig)} cameras seem to have moved: more likely the recordings are not synchronized, "
            "or this is not their calibration",
            SuiteWarning,
            stacklevel=3,
        )


def _noise(pairs: Sequence[Pair], poses: Sequence[RigidTransform]) -> float:
    """Robust standard deviation of the distances, from the pairs and times that agree best: a move raises others.

    Where all pairs disagree since the calibration, each still agrees with some pose of its own.
    """
    spread = []
    for pair in pairs:
        thin, known = pair.thinned(_NOISE_POINTS), list(poses)
        best = _spread(thin, poses)
        for _ in range(_NOISE_ROUNDS):
            known[pair.second] = correct_pose([thin], known, {}, pair.second, best)
            best = max(min(best, _spread(thin, known)), _LEAST_NOISE)
        spread += [_spread(piece, each) for piece in _pieces(pair) for each in (poses, known)]
    return max(float(np.percentile(spread, 25)), _LEAST_NOISE)


def _spread(pair: Pair, poses: Sequence[RigidTransform]) -> float:
    return max(1.4826 * float(np.median(np.abs(distances(pair, poses, {})))), _LEAST_NOISE)


def _pieces(pair: Pair) -> list[Pair]:
    """The points of a pair in pieces that follow each other, each large enough to tell its spread."""
    count = max(1, len(pair.rows) // (4 * FEWEST_POINTS))
    return [pair.select(piece) for piece in np.array_split(np.arange(len(pair.rows)), count)]


def _describe(camera: Camera, index: int, evidence: Evidence, moves: dict[int, Move], *, certain: bool) -> CameraDrift:
    own, poses, move = evidence.of(index), evidence.poses, moves.get(index)
    before = _median(own, poses, {})
    if move is None or not own:
        nothing = (0.0, np.nan)
        return CameraDrift(camera.name, False, True, before, before, 0.0, nothing, nothing, None, poses[index])
    late = [since(pair, move.start) for pair in own]
    others = {key: each for key, each in moves.items() if key != index}
    now = [move.pose if number == index else pose for number, pose in enumerate(poses)]
    covariance = pose_covariance(late, now, others, index, evidence.noise)
    change = move.pose @ poses[index].inverse()
    return CameraDrift(
        name=camera.name,
        moved=True,
        certain=certain,
        before=_median(late, poses, others),
        after=_median(late, poses, moves),
        shift=move_shift(index, evidence, moves),
        rotation=_length(change.rotation_vector, covariance[:3, :3]),
        distance=_length(change.translation, covariance[3:, 3:]),
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
