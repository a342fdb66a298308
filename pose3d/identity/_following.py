"""A whole recording, piece by piece: what is learned from it first, then the tracks in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pose3d.identity._learning import Model, learn
from pose3d.identity._looks import Looks
from pose3d.identity._sightings import Sightings, Stage, make_sightings
from pose3d.identity._stitching import piece_chains
from pose3d.identity._tracks import Events, Follower, Pieces, Rows, joined
from pose3d.identity.settings import IdentitySettings
from pose3d.skeleton import Skeleton

__all__ = ["Followed", "follow", "learn_model"]

# Frames that are worked on at once: 30 MB of 6 cameras x 5 instances x 12 keypoints.
_AT_ONCE = 1024
_BLOCKS = 6


@dataclass(frozen=True, eq=False)
class Followed:
    """What was found in a recording.

    Attributes:
        rows, events: see `_tracks`.
        pieces: sorted by number.
        seen: (piece,) frames in which each was seen.
        present: (time, camera) instances that there are, without fragments.
        looks: what the pieces look like.
        votes: for each piece, how often the source had it in which of its tracks.
    """

    rows: Rows
    events: Events
    pieces: Pieces
    seen: NDArray[np.int64]
    present: NDArray[np.int16]
    looks: Looks
    votes: dict[tuple[int, int], int]

    def row_chains(self, paths: Sequence[Sequence[int]]) -> NDArray[np.int64]:
        """(row,) the chain that each row is of, -1 for none; the chains are places in `pieces`."""
        chain = np.full(int(self.pieces.number.max(initial=-1)) + 2, -1, np.int64)
        chain[self.pieces.number] = piece_chains(paths, len(self.pieces.number))
        return chain[self.rows.track]


def learn_model(instances: xr.Dataset, stage: Stage, settings: IdentitySettings, skeleton: Skeleton | None) -> Model:
    """What animals and cameras are like, from blocks spread over the recording."""
    frames = instances.sizes["time"]
    length = min(max(settings.pilot_frames // _BLOCKS, 1), frames)
    starts = np.unique(np.linspace(0, max(0, frames - length), _BLOCKS if frames > length else 1).astype(int))
    names = [str(name) for name in instances["keypoint"].values]
    blocks = [
        make_sightings(instances.isel(time=slice(start, start + length)), stage, settings.minimum_confidence)
        for start in starts.tolist()
    ]
    return learn(blocks, stage, settings, skeleton, names)


def follow(
    instances: xr.Dataset,
    stage: Stage,
    model: Model,
    settings: IdentitySettings,
    *,
    progress: Callable[[int], object] | None = None,
) -> Followed:
    """Follow all animals through a recording.

    Args:
        instances: Instances Dataset with the cameras of the stage; it need not be loaded.
        stage, model, settings: cameras, what was learned, how animals are told apart.
        progress: called with the number of frames after each piece.
    """
    rate = instances.attrs.get("fps")
    follower = Follower(stage, model, settings, keypoints=instances.sizes["keypoint"], rate=rate)
    rows, events, pieces, present = [], [], [], []
    looks = Looks(settings.appearance and "appearance" in instances)
    votes: dict[tuple[int, int], int] = {}
    first = 0
    for seen, appearance in _loaded(instances, stage, settings):
        row, event, piece = follower.feed(seen)
        looks.add(row, first, appearance)
        _vote(votes, row, first, seen.track)
        rows.append(replace(row, time=row.time.astype(np.int32), track=row.track.astype(np.int32)))
        events.append(event)
        pieces.append(piece)
        present.append(((seen.conf > 0).any(-1) & seen.whole).sum(-1).astype(np.int16))
        first += len(seen.frame)
        if progress is not None:
            progress(len(seen.frame))
    pieces.append(follower.finish())
    every = joined(Pieces, pieces)
    order = np.argsort(every.number, kind="stable")
    every = Pieces(*(getattr(every, name)[order] for name in Pieces.__dataclass_fields__))
    found = joined(Rows, rows)
    counted = np.bincount(found.track, minlength=int(every.number.max(initial=-1)) + 1)
    return Followed(found, joined(Events, events), every, counted[every.number], np.concatenate(present), looks, votes)


def _loaded(
    instances: xr.Dataset, stage: Stage, settings: IdentitySettings
) -> Iterator[tuple[Sightings, NDArray[np.float64] | None]]:
    """The pieces of a recording; the next one is made ready while one is worked on."""
    frames = instances.sizes["time"]

    def load(start: int) -> tuple[Sightings, NDArray[np.float64] | None]:
        part = instances.isel(time=slice(start, start + _AT_ONCE)).load()
        appearance = None
        if settings.appearance and "appearance" in part:
            appearance = part["appearance"].values.astype(np.float64)
        return make_sightings(part, stage, settings.minimum_confidence), appearance

    starts = list(range(0, frames, _AT_ONCE))
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(load, starts[0])
        for start in starts[1:]:
            ready = coming.result()
            coming = pool.submit(load, start)
            yield ready
        yield coming.result()


def _vote(votes: dict[tuple[int, int], int], rows: Rows, first: int, track: NDArray[np.int64]) -> None:
    """Count the tracks of the source by piece."""
    if not (track >= 0).any():
        return
    time, camera = np.nonzero(rows.instance >= 0)
    source = track[rows.time[time] - first, camera, rows.instance[time, camera]]
    known = source >= 0
    pairs, counts = np.unique(np.stack([rows.track[time][known], source[known]]), axis=1, return_counts=True)
    for piece, name, count in zip(*pairs.tolist(), counts.tolist(), strict=True):
        votes[piece, name] = votes.get((piece, name), 0) + count
