"""Animals told apart as the frames come: no frame is looked at twice, no name is taken back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.rig import Rig
from pose3d.identity._following import Followed
from pose3d.identity._identities import Solution, identity_dataset
from pose3d.identity._looks import Looks
from pose3d.identity._naming import History
from pose3d.identity._sightings import Sightings, make_sightings
from pose3d.identity._stitching import find_links
from pose3d.identity._tracks import Events, Follower, Pieces, Rows, joined
from pose3d.identity.models import IdentityModel
from pose3d.identity.settings import IdentitySettings

__all__ = ["OnlineIdentity"]

# Frames that a track must have been seen in before it gets a name: false ones do not last.
_PATIENCE = 5
# A cost of a link above which a track is not one that was lost.
_NEAR = 10.0


class OnlineIdentity:
    """Follows animals through frames as they come.

    An animal that appears gets the name of one that was lost, if it can be that one, else a new one. What was said of
    earlier frames is never changed; `identify`, which sees the whole recording, makes fewer errors.

    Args:
        model: what noise and animals are like, see `learn_identity`.
        rig: the cameras; None for one camera.
        settings: how; `individuals` is the most names that are given.
        frame_rate: frames per second, None where unknown.
    """

    def __init__(
        self,
        model: IdentityModel,
        rig: Rig | None = None,
        *,
        settings: IdentitySettings | None = None,
        frame_rate: float | None = None,
    ) -> None:
        self._model, self._rig = model, rig
        self._settings = settings or IdentitySettings()
        self._rate = frame_rate
        self._follower: Follower | None = None
        self._name: dict[int, int] = {}  # of pieces of track
        self._count = 0
        self._lost: dict[int, Pieces] = {}  # by name
        self._seen: dict[int, int] = {}

    def follow(self, instances: xr.Dataset) -> xr.Dataset:
        """The Identity of the next frames.

        Args:
            instances: Instances Dataset of one or more frames that come after those before.

        Returns:
            Identity of these frames, with all individuals that have been seen so far; it has no list of risks.

        Raises:
            InvalidValueError: the instances are empty.
            MismatchError: cameras or keypoints are not those of the model.
        """
        stage, ordered = self._model.on(instances, self._rig)
        if self._follower is None:
            self._follower = Follower(
                stage,
                self._model.values,
                self._settings,
                keypoints=ordered.sizes["keypoint"],
                rate=self._rate,
            )
        seen = make_sightings(ordered, stage, self._settings.minimum_confidence)
        present = (seen.conf > 0).any(-1).sum(-1).astype(np.int16)
        # frame by frame, so that it does not matter how many come at once
        rows = [self._next(seen.part(slice(row, row + 1)), row) for row in range(len(seen.frame))]
        return self._told(ordered, joined(Rows, rows), present)

    def _next(self, seen: Sightings, row: int) -> Rows:
        """The rows of one frame, `track` being the number of the name."""
        assert self._follower is not None
        rows, events, ended = self._follower.feed(seen)
        for number in rows.track.tolist():
            self._seen[number] = self._seen.get(number, 0) + 1
        names = np.array([self._name.get(number, -1) for number in rows.track.tolist()], np.int64)
        self._pass_on(events)
        current = self._follower.finish()
        there = self._named_now(current)
        lost = [(self._name.get(number, -1), place) for place, number in enumerate(ended.number.tolist())]
        lost = [(name, place) for name, place in lost if name >= 0 and name not in there]
        for name, place in lost:
            self._lost[name] = _one(ended, place)
        self._name_new(current)
        # who got a name in this frame has it in this frame
        fresh = np.array([self._name.get(number, -1) for number in rows.track.tolist()], np.int64)
        names = np.where(names >= 0, names, fresh)
        living = set(current.number.tolist())
        self._name = {number: name for number, name in self._name.items() if number in living}
        self._seen = {number: count for number, count in self._seen.items() if number in living}
        told = Rows(*(getattr(rows, each)[names >= 0] for each in Rows.__dataclass_fields__))
        return replace(told, time=np.full(len(told.time), row, np.int64), track=names[names >= 0])

    def _pass_on(self, events: Events) -> None:
        """After a meeting names go to whom they more probably belong."""
        for (_, _, a, b, after, other), odds in zip(events.row.tolist(), events.odds.tolist(), strict=True):
            pair = (a, b) if odds >= 0 else (b, a)
            for piece, source in zip((after, other), pair, strict=True):
                if piece >= 0 and source in self._name:
                    self._name[piece] = self._name[source]
                    self._seen.setdefault(piece, _PATIENCE)

    def _named_now(self, current: Pieces) -> set[int]:
        return {self._name[int(number)] for number in current.number if int(number) in self._name}

    def _name_new(self, pieces: Pieces) -> None:
        """Name the tracks that have lasted: as one that was lost, if that is probable, or anew."""
        limit = self._settings.individuals or 10**6
        for place, number in enumerate(pieces.number.tolist()):
            if number in self._name or self._seen.get(number, 0) < _PATIENCE:
                continue
            piece, taken = _one(pieces, place), self._named_now(pieces)
            cost = {name: self._cost(lost, piece) for name, lost in self._lost.items() if name not in taken}
            # where it is not known how many there are, one that is far from those that were lost is another
            limit_of_cost = np.inf if self._settings.individuals else _NEAR
            best = min(cost, key=lambda name: cost[name], default=-1)
            if best >= 0 and cost[best] < limit_of_cost:
                self._name[number] = best
                del self._lost[best]
            elif self._count < limit:
                self._name[number] = self._count
                self._count += 1

    def _cost(self, lost: Pieces, piece: Pieces) -> float:
        absence = max(self._settings.longest_absence * (self._rate or 1.0), 3.0)
        both = joined(Pieces, [replace(lost, number=np.array([0])), replace(piece, number=np.array([1]))])
        nothing = Events(np.zeros((0, 6), np.int64), np.zeros(0))
        radius = self._model.values.radius
        links = find_links(both, nothing, radius=radius, absence=absence, arena=20.0 * radius)
        wanted = (links.start == 0) & (links.end == 1)
        return float(links.cost[wanted].min()) if wanted.any() else np.inf

    def _told(self, instances: xr.Dataset, rows: Rows, present: NDArray[np.int16]) -> xr.Dataset:
        count, empty = self._count, np.zeros(0, np.int64)
        pieces = Pieces(np.arange(count), *(np.zeros(count) for _ in range(7)))  # type: ignore[arg-type]
        events = Events(empty.reshape(0, 6), np.zeros(0))
        followed = Followed(rows, events, pieces, empty, present, Looks(False), {})
        history = History(np.zeros(0, bool), np.ones(0), np.zeros((0, count), np.int64))
        individuals = tuple(f"individual_{name}" for name in range(count))
        return identity_dataset(
            instances, followed, Solution([[name] for name in range(count)], [], history, individuals)
        )


def _one(pieces: Pieces, place: int) -> Pieces:
    return Pieces(*(getattr(pieces, name)[place : place + 1] for name in Pieces.__dataclass_fields__))
