"""Animals followed from frame to frame: what is carried on, what is found, and the loop around the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

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

# Pieces of track and events that one call of the kernel may write down, at least.
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
        self._views = kernels.Views(stage.base, stage.center, model.extent, model.scene)
        self._state = _empty_state(slots, keypoints, len(stage.names), len(model.edges))
        self._row = 0
        self._last_frame: int | None = None
        # in one frame every two tracks may be cut
        self._room = max(_ROOM, slots * slots)
        self._done = _room_for_pieces(self._room, keypoints, len(model.edges))

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
        """The pieces of track that are not over yet, as if they were."""
        state = self._state
        there = np.flatnonzero(state.number >= 0)
        lengths = state.blocks[there].copy()
        size = self._p[kernels.BLOCK]
        for place, j in enumerate(there):
            some = state.block[j, :-1, 0] > 0
            weight = state.block[j, :-1, 0] / size
            mean = np.divide(state.block[j, :-1, 1], state.block[j, :-1, 0], out=np.zeros(len(some)), where=some)
            off = np.where(some, mean - lengths[place, :, 1], 0.0)
            total = lengths[place, :, 0] + weight
            lengths[place, :, 1] += np.divide(off * weight, total, out=np.zeros(len(some)), where=total > 0)
            lengths[place, :, 2] += weight * off * np.where(some, mean - lengths[place, :, 1], 0.0)
            lengths[place, :, 0] = total
        return Pieces(
            state.number[there],
            state.first_row[there],
            state.last_row[there],
            state.start[there],
            np.where(state.known[there][..., None], state.seen_pos[there], np.nan),
            state.seen_body[there],
            state.cov[there, :, 0],
            lengths,
        )

    def _call(self, seen: Sightings, steps: Array) -> tuple[int, Rows, Events, Pieces]:
        cameras = len(self._stage.names)
        slots = len(self._state.number)
        room = len(steps) * min(slots, max(seen.conf.shape[2] * cameras, 1)) + slots
        told = kernels.Told(
            np.empty(room, np.int64),
            np.empty(room, np.int64),
            np.empty((room, cameras), np.int16),
            np.empty((room, cameras), np.int16),
            np.empty(room, np.float32),
            np.empty(room, np.int8),
            np.empty((self._room, 6), np.int64),
            np.empty(self._room),
        )
        frames = kernels.Frames(seen.ray, seen.conf, seen.angle, seen.track, steps)
        rows_done, count = kernels.track_frames(
            frames, self._row, self._views, self._model.edges, self._p, self._state, told, self._done
        )
        meetings = int(self._state.counters[1])
        return (
            rows_done,
            Rows(*(array[:count].copy() for array in told[:6])),
            Events(*(array[:meetings].copy() for array in told[6:])),
            _pieces(self._done),
        )


def joined(kind: type[T], parts: Sequence[T]) -> T:
    """Rows, events or pieces one after the other; at least one part."""
    arrays: list[Any] = [np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(kind)]
    return kind(*arrays)


def _empty_state(slots: int, keypoints: int, cameras: int, edges: int) -> kernels.State:
    return kernels.State(
        number=np.full(slots, -1, np.int64),
        pos=np.zeros((slots, keypoints, 3)),
        vel=np.zeros((slots, keypoints, 3)),
        cov=np.zeros((slots, keypoints, 3)),
        free=np.zeros((slots, keypoints, 5)),
        known=np.zeros((slots, keypoints), np.bool_),
        body=np.zeros((slots, 3)),
        unseen=np.zeros(slots),
        hits=np.zeros(slots, np.int64),
        first_row=np.zeros(slots, np.int64),
        last_row=np.zeros(slots, np.int64),
        start=np.full((slots, keypoints, 3), np.nan),
        seen_pos=np.zeros((slots, keypoints, 3)),
        seen_body=np.zeros((slots, 3)),
        last_hint=np.full((slots, cameras), -1, np.int64),
        blocks=np.zeros((slots, edges, 3)),
        block=np.zeros((slots, edges + 1, 2)),
        lowest=np.full((slots, slots), np.inf),
        low_row=np.zeros((slots, slots), np.int64),
        calm=np.zeros((slots, slots)),
        counters=np.zeros(2, np.int64),
    )


def _room_for_pieces(room: int, keypoints: int, edges: int) -> kernels.Done:
    return kernels.Done(
        number=np.empty(room, np.int64),
        first=np.empty(room, np.int64),
        last=np.empty(room, np.int64),
        start=np.empty((room, keypoints, 3)),
        end=np.empty((room, keypoints, 3)),
        velocity=np.empty((room, 3)),
        variance=np.empty((room, keypoints)),
        known=np.empty((room, keypoints), np.bool_),
        lengths=np.empty((room, edges, 3)),
        count=np.zeros(1, np.int64),
    )


def _pieces(done: kernels.Done) -> Pieces:
    count = int(done.count[0])
    number, first, last, start, end, velocity, variance, known, lengths = (array[:count].copy() for array in done[:9])
    end[~known] = np.nan
    return Pieces(number, first, last, start, end, velocity, variance, lengths)
