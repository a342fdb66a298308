"""Which cameras have moved, and from when on: the search behind `calibration.drift`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration._sampson import Move, Pair, correct_pose, distances, image_shift, robust_cost
from calibration.transforms import RigidTransform

__all__ = ["FEWEST_POINTS", "Evidence", "certain_moves", "find_moves", "move_shift", "since"]

Array = NDArray[np.float64]
Moves = dict[int, Move]

FEWEST_POINTS = 30
# Sum of bounded costs (each at most 1) that a move must save: as many points as fix a pose well.
_LEAST_GAIN = 10.0
# Points of each pair while poses are looked for, and while moves are compared.
_SEARCHED, _COMPARED = 300, 1000
# Where the search for the moment begins, as shares of the recording, and how often moment and pose take turns.
_STARTS = (0.0, 0.4, 0.75)
_TURNS = 4
# Blocks of rows, every second of which a move is fitted to, to see whether it explains the others; and how many
# different points there must be to do the same with them.
_BLOCKS, _FEWEST_KINDS = 8, 4
# How often moves of several cameras are fitted in turn after all were found: each was fitted while later ones were not
# yet known.
_ROUNDS = 2


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the search works with.

    Attributes:
        pairs: of the cameras.
        poses: as the calibration has them.
        noise: px.
        count: number of rows.
    """

    pairs: Sequence[Pair]
    poses: Sequence[RigidTransform]
    noise: float
    count: int

    @property
    def cameras(self) -> list[int]:
        """Numbers of the cameras that share points with others."""
        return sorted({camera for pair in self.pairs for camera in (pair.first, pair.second)})

    def thinned(self, count: int) -> Evidence:
        """The same with at most so many points of each pair."""
        return replace(self, pairs=[pair.thinned(count) for pair in self.pairs])

    def of(self, camera: int) -> list[Pair]:
        """The pairs of one camera."""
        return [pair for pair in self.pairs if camera in (pair.first, pair.second)]

    def costs(self, pairs: Sequence[Pair], moves: Mapping[int, Move]) -> Array:
        """Costs of all points of some pairs, one after the other."""
        return np.concatenate([robust_cost(distances(pair, self.poses, dict(moves)), self.noise) for pair in pairs])

    def gain(self, camera: int, move: Move, others: Moves) -> float:
        """By how much the move of one camera lowers the cost."""
        own = self.of(camera)
        return float((self.costs(own, others) - self.costs(own, others | {camera: move})).sum())


def find_moves(evidence: Evidence, limit: float) -> tuple[Moves, set[int]]:
    """One camera after the other: the one whose move explains most, as long as there is one that is told.

    Args:
        evidence: what the cameras saw.
        limit: px, by which a move must change the distances.

    Returns:
        The moves, and cameras that disagree with the others without a move that explains it.
    """
    thin, compared = evidence.thinned(_SEARCHED), evidence.thinned(_COMPARED)
    moves: Moves = {}
    candidates = evidence.cameras
    unexplained: dict[int, float] = {}
    while len(candidates) > 1:
        gains: dict[int, tuple[float, Move]] = {}
        unexplained = {}
        for camera in candidates:
            move = _best_move(camera, thin, moves)
            gain = compared.gain(camera, move, moves)
            if gain > _LEAST_GAIN and _is_told(camera, move, compared, moves, limit):
                if _generalizes(camera, move, compared, moves):
                    gains[camera] = (gain, move)
                else:
                    unexplained[camera] = gain
        if not gains:
            break
        best = max(gains, key=lambda camera: gains[camera][0])
        moves[best] = _polished(best, gains[best][1], evidence, moves)
        candidates.remove(best)
    for _ in range(_ROUNDS if len(moves) > 1 else 0):
        for camera, move in moves.items():
            others = {key: each for key, each in moves.items() if key != camera}
            moves = moves | {camera: _polished(camera, move, evidence, others)}
    # a camera that disagrees with one that disagrees with all need not be the one to blame
    most = max(unexplained.values(), default=0.0)
    return moves, {camera for camera, gain in unexplained.items() if gain > most / 2}


def _generalizes(camera: int, move: Move, evidence: Evidence, moves: Moves) -> bool:
    """Whether the move explains points and times that it is not fitted to.

    Detectors that are biased by the direction of view, each keypoint in its own way, and clocks that differ are
    explained by some pose as well, but by another one for other points or times. On a mouse, half of the keypoints
    could be explained by a turn of 40 degrees with which the other half fitted worse than without.
    """
    late = [since(pair, move.start) for pair in evidence.of(camera)]
    rows, points = (
        np.unique(np.concatenate(values)) for values in zip(*((p.rows, p.points) for p in late), strict=True)
    )
    halves = [[np.searchsorted(rows, pair.rows) * _BLOCKS // len(rows) % 2 for pair in late]]
    if len(points) >= _FEWEST_KINDS:
        halves.append([np.searchsorted(points, pair.points) % 2 for pair in late])
    begin = [move.pose if index == camera else pose for index, pose in enumerate(evidence.poses)]
    for half in halves:
        for side in (0, 1):
            fitted = [pair.select(own == side) for pair, own in zip(late, half, strict=True) if (own == side).any()]
            others = [pair.select(own != side) for pair, own in zip(late, half, strict=True)]
            if sum(len(pair.rows) for pair in fitted) < FEWEST_POINTS:
                continue
            again = Move(move.start, correct_pose(fitted, begin, moves, camera, evidence.noise))
            if evidence.costs(others, moves | {camera: again}).sum() >= evidence.costs(others, moves).sum():
                return False
    return True


def _is_told(camera: int, move: Move, evidence: Evidence, moves: Moves, limit: float) -> bool:
    """Whether a move changes the distances by more than the limit; by half of it within the recording is enough.

    What a calibration or a detector is off by is there from the beginning.
    """
    late = [since(pair, move.start) for pair in evidence.of(camera)]
    if not sum(len(pair.rows) for pair in late):
        return False
    old, new = (
        np.concatenate([distances(pair, evidence.poses, some) for pair in late])
        for some in (moves, moves | {camera: move})
    )
    return float(np.sqrt(np.median((new - old) ** 2))) > (limit / 2 if move.start > 0 else limit)


def certain_moves(evidence: Evidence, moves: Moves) -> set[int]:
    """The cameras whose move explains more than that of any other camera in their place would.

    Where all but one have moved, the whole may be seen from any of them. Else a rival is tried where it stands to the
    camera as it does by the move.
    """
    compared = evidence.thinned(_COMPARED)
    cameras, certain = evidence.cameras, set()
    for camera, move in moves.items():
        if len(moves) >= len(cameras) - 1:
            break
        others = {key: each for key, each in moves.items() if key != camera}
        turned = move.pose.inverse() @ evidence.poses[camera]
        rivals = [
            compared.gain(
                rival, _polished(rival, Move(move.start, evidence.poses[rival] @ turned), compared, others), others
            )
            for rival in cameras
            if rival not in moves
        ]
        if compared.gain(camera, move, others) - max(rivals) > _LEAST_GAIN:
            certain.add(camera)
    return certain


def move_shift(camera: int, evidence: Evidence, moves: Moves) -> float:
    """Root mean square of how far the points moved in the image of a camera; the median square, for outliers' sake."""
    move, poses = moves[camera], evidence.poses
    shifts = [np.zeros(0)]
    for pair in evidence.of(camera):
        partner = pair.second if camera == pair.first else pair.first
        other = moves[partner].pose if partner in moves else poses[partner]
        shifts.append(image_shift(since(pair, move.start), camera, poses[camera], move.pose, other))
    values = np.concatenate(shifts)
    values = values[np.isfinite(values)]
    return float(np.sqrt(np.median(values**2))) if len(values) else 0.0


def since(pair: Pair, start: int) -> Pair:
    """The points of a pair from a row on."""
    return pair.select(slice(int(np.searchsorted(pair.rows, start)), None))


def _best_move(camera: int, evidence: Evidence, moves: Moves) -> Move:
    """The move of one camera that lowers the cost most.

    From some moments on, the pose is fitted to what follows, and then the moment to the pose, in turn.
    """
    own, best, lowest, tried = evidence.of(camera), Move(0, evidence.poses[camera]), np.inf, set()
    for begin in _STARTS:
        start = int(begin * evidence.count)
        for _ in range(_TURNS):
            late = [since(pair, start) for pair in own]
            if start in tried or sum(len(pair.rows) for pair in late) < FEWEST_POINTS:
                break
            tried.add(start)
            move = Move(start, correct_pose(late, evidence.poses, moves, camera, evidence.noise))
            cost = float(evidence.costs(own, moves | {camera: move}).sum())
            if cost < lowest:
                best, lowest = move, cost
            start = _refined_start(camera, move, evidence, moves)
    return best


def _polished(camera: int, move: Move, evidence: Evidence, moves: Moves) -> Move:
    """Moment and pose of a move, fitted to all points."""
    for _ in range(2):
        start = _refined_start(camera, move, evidence, moves)
        late = [since(pair, start) for pair in evidence.of(camera)]
        if sum(len(pair.rows) for pair in late) < FEWEST_POINTS:
            break
        begin = [move.pose if index == camera else pose for index, pose in enumerate(evidence.poses)]
        move = Move(start, correct_pose(late, begin, moves, camera, evidence.noise))
    return move


def _refined_start(camera: int, move: Move, evidence: Evidence, moves: Moves) -> int:
    """The row from which on the new pose explains more than the old one: the least of the summed costs."""
    own = evidence.of(camera)
    rows = np.concatenate([pair.rows for pair in own])
    better = evidence.costs(own, moves) - evidence.costs(own, moves | {camera: Move(0, move.pose)})
    # what is gained by beginning at each row: the sum of all that follow
    following = np.cumsum(np.bincount(rows, better)[::-1])[::-1]
    return int(np.argmax(following)) if float(following.max()) > float(following[0]) + _LEAST_GAIN else 0
