"""Animals followed from frame to frame: what is carried on, what is found, and the loop around the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pose3d.identity import _identity_kernels as kernels
from pose3d.identity._learning import Model, parameters
from pose3d.identity._sightings import Sightings, Stage
from pose3d.identity.settings import IdentitySettings

__all__ = ["Events", "Follower", "Pieces", "Rows", "joined"]

Array = NDArray[np.float64]
Places = NDArray[np.int64]

T = TypeVar("T", "Rows", "Events", "Pieces")

# Pieces of track and events that one call of the kernel may write down.
_ROOM = 8192


@dataclass(frozen=True, eq=False)
class Rows:
    """Which instances are of which piece of track, a row for each piece and frame.

    Attributes:
        time: (row,) number of the frame among all.
        track: (row,) number of the piece of track.
        instance: (row, camera) its place in each camera, -1 for none.
        further: (row, camera) a second part of it, -1 for none.
        odds: (row,) logarithm of the odds that it is not another one that is followed; inf where nobody is near.
        flag: (row,) 1 where two cameras alone do not say who is who.
    """

    time: Places
    track: Places
    instance: NDArray[np.int16]
    further: NDArray[np.int16]
    odds: NDArray[np.float32]
    flag: NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Events:
    """Times at which two tracks may have been exchanged.

    Attributes:
        row: (event, 6) first and last frame, the two pieces of track before, and the two after; -1 where it ended.
        odds: (event,) logarithm of the odds that they were not.
    """

    row: Places
    odds: Array


@dataclass(frozen=True, eq=False)
class Pieces:
    """Pieces of track within which identity is sure.

    Attributes:
        number: (piece,) as in `Rows.track`.
        first, last: (piece,) frames.
        start, end: (piece, keypoint, 3) places at both ends, NaN where not known.
        velocity: (piece, 3) of the body at the end, per frame.
        variance: (piece, keypoint) of the places at the end.
        lengths: (piece, edge, 3) number of blocks, mean length, and sum of squares around it.
    """

    number: Places
    first: Places
    last: Places
    start: Array
    end: Array
    velocity: Array
    variance: Array
    lengths: Array


class Follower:
    """Follows animals through successive pieces of a recording.

    Args:
        stage: the cameras.
        model: what was learned.
        settings: how animals are told apart.
        keypoints: how many.
        rate: frames per second, None where unknown.
    """

    def __init__(
        self, stage: Stage, model: Model, settings: IdentitySettings, *, keypoints: int, rate: float | None
    ) -> None:
        # room for those that are not there: false ones, and one that is followed twice for a moment
        slots = 3 * settings.individuals + 4 if settings.individuals else 24
        self._stage, self._model = stage, model
        self._p = parameters(model, settings, planar=stage.planar, rate=rate, slots=slots)
        self._state = _empty_state(slots, keypoints, len(stage.names), len(model.edges))
        self._row = 0
        self._last_frame: int | None = None
        self._done = _room_for_pieces(keypoints, len(model.edges))

    @property
    def active(self) -> tuple[NDArray[np.int64], Array]:
        """(track,) numbers of the tracks that are followed now, and (track, keypoint, 3) where they are."""
        number, pos, known = self._state[0], self._state[1], self._state[4]
        there = number >= 0
        return number[there].copy(), np.where(known[there][..., None], pos[there], np.nan)

    def feed(self, seen: Sightings) -> tuple[Rows, Events, Pieces]:
        """Go on with these frames."""
        before = seen.frame[0] - 1 if self._last_frame is None else self._last_frame
        steps = np.diff(seen.frame, prepend=before).astype(np.float64)
        self._last_frame = int(seen.frame[-1]) if len(seen.frame) else self._last_frame
        found = []
        start = 0
        while start < len(steps):
            part = seen.part(slice(start, None))
            done, *result = self._call(part, steps[start:])
            found.append(result)
            start += done
            self._row += done
        rows, events, pieces = zip(*found, strict=True)
        return joined(Rows, rows), joined(Events, events), joined(Pieces, pieces)

    def finish(self) -> Pieces:
        """The pieces of track that were not over when the frames were."""
        number, pos, _, cov, known, body = self._state[:6]
        first, last, start = self._state[8:11]
        blocks, block = self._state[12], self._state[13]
        there = np.flatnonzero(number >= 0)
        lengths = blocks[there].copy()
        size = self._p[kernels.BLOCK]
        for place, j in enumerate(there):
            some = block[j, :-1, 0] > 0
            weight = block[j, :-1, 0] / size
            mean = np.divide(block[j, :-1, 1], block[j, :-1, 0], out=np.zeros(len(some)), where=some)
            off = np.where(some, mean - lengths[place, :, 1], 0.0)
            total = lengths[place, :, 0] + weight
            lengths[place, :, 1] += np.divide(off * weight, total, out=np.zeros(len(some)), where=total > 0)
            lengths[place, :, 2] += weight * off * np.where(some, mean - lengths[place, :, 1], 0.0)
            lengths[place, :, 0] = total
        end = np.where(known[there][..., None], pos[there], np.nan)
        return Pieces(
            number[there], first[there], last[there], start[there], end, body[there], cov[there, :, 0], lengths
        )

    def _call(self, seen: Sightings, steps: Array) -> tuple[int, Rows, Events, Pieces]:
        cameras = len(self._stage.names)
        slots = len(self._state[0])
        room = len(steps) * min(slots, max(seen.conf.shape[2] * cameras, 1)) + slots
        rows = (
            np.empty(room, np.int64),
            np.empty(room, np.int64),
            np.empty((room, cameras), np.int16),
            np.empty((room, cameras), np.int16),
            np.empty(room, np.float32),
            np.empty(room, np.int8),
        )
        events = (np.empty((_ROOM, 6), np.int64), np.empty(_ROOM))
        model, stage = self._model, self._stage
        done, count, happened, ended = kernels.track_frames(
            seen.ray, seen.conf, seen.angle, seen.track, steps, self._row, stage.base, stage.center,
            model.extent, model.scene, model.edges, self._p, self._state, rows, events, self._done,
        )  # fmt: skip
        return (
            done,
            Rows(*(array[:count].copy() for array in rows)),
            Events(*(array[:happened].copy() for array in events)),
            _pieces(self._done, ended),
        )


def joined(kind: type[T], parts: Sequence[T]) -> T:
    """Rows, events or pieces one after the other; at least one part."""
    return kind(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(kind)))


def _empty_state(slots: int, keypoints: int, cameras: int, edges: int) -> tuple[NDArray[np.generic], ...]:
    """What is carried on from frame to frame, in the order in which the kernel unpacks it."""
    return (
        np.full(slots, -1, np.int64),  # number of the piece of track
        np.zeros((slots, keypoints, 3)),  # place
        np.zeros((slots, keypoints, 3)),  # velocity
        np.zeros((slots, keypoints, 3)),  # variances: of the place, with the velocity, of the velocity
        np.zeros((slots, keypoints), np.bool_),  # whether it was ever placed
        np.zeros((slots, 3)),  # velocity of the body
        np.zeros(slots),  # frames since it was seen
        np.zeros(slots, np.int64),  # frames in which it was seen
        np.zeros(slots, np.int64),  # first row of the piece
        np.zeros(slots, np.int64),  # last row in which it was seen
        np.full((slots, keypoints, 3), np.nan),  # place at the start of the piece
        np.full((slots, cameras), -1, np.int64),  # track of the source, by camera
        np.zeros((slots, edges, 3)),  # averages of lengths
        np.zeros((slots, edges + 1, 2)),  # the block that is being filled
        np.full((slots, slots), np.inf),  # lowest margin of the episode of two tracks
        np.zeros((slots, slots), np.int64),  # its first row
        np.zeros((slots, slots)),  # frames of calm since
        np.zeros(1, np.int64),  # number of the next piece
    )


def _room_for_pieces(keypoints: int, edges: int) -> tuple[NDArray[np.generic], ...]:
    return (
        np.empty(_ROOM, np.int64),
        np.empty(_ROOM, np.int64),
        np.empty(_ROOM, np.int64),
        np.empty(_ROOM, np.int64),
        np.empty((_ROOM, keypoints, 3)),
        np.empty((_ROOM, keypoints, 3)),
        np.empty((_ROOM, 3)),
        np.empty((_ROOM, keypoints)),
        np.empty((_ROOM, keypoints), np.bool_),
        np.empty((_ROOM, edges, 3)),
    )


def _pieces(done: tuple[NDArray[np.generic], ...], count: int) -> Pieces:
    number, first, last, _, start, end, velocity, variance, known, lengths = (array[:count].copy() for array in done)
    end[~known] = np.nan
    return Pieces(number, first, last, start, end, velocity, variance, lengths)
