"""Cameras that see the same moving points, and the epipolar residuals between them as a function of their clocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.rig import Rig
from calibration.synchronization._epipolar import fundamental_of_points, fundamental_of_rig, ideal_pixels, sampson
from calibration.synchronization._tracks import SmoothTrack, smooth
from calibration.synchronization.clocks import Timing

__all__ = ["Line", "Network", "Samples"]


class Line(NamedTuple):
    """Reference time = offset + rate * camera time."""

    offset: float = 0.0
    rate: float = 1.0


class Samples(NamedTuple):
    """Positions of one camera: frames (sample,) and points (sample,)."""

    frames: NDArray[np.intp]
    points: NDArray[np.intp]


@dataclass
class Network:
    """The tracks of all cameras; what is found of their timing is kept here while it is being found.

    Attributes:
        rig: the cameras, or None where they are not calibrated.
        timing: when their frames were taken on their own clocks.
        raw: (frame, point, 2) positions in ideal pixels, or in raw ones without a rig.
        tracks: the same, smooth.
        fundamentals: by pair of cameras; of the rig, or estimated where there is none.
    """

    rig: Rig | None
    timing: dict[str, Timing]
    raw: dict[str, NDArray[np.float64]]
    tracks: dict[str, SmoothTrack] = field(default_factory=dict)
    fundamentals: dict[tuple[str, str], NDArray[np.float64]] = field(default_factory=dict)

    @classmethod
    def build(cls, rig: Rig | None, timing: dict[str, Timing], pixels: dict[str, NDArray[np.float64]]) -> Network:
        """A network of tracks in pixels (frame, point, 2)."""
        raw = {name: own if rig is None else ideal_pixels(rig[name], own) for name, own in pixels.items()}
        network = cls(rig, dict(timing), raw)
        for name in raw:
            network.set_timing(name, timing[name])
        if rig is not None:
            pairs = [(one, two) for one in raw for two in raw if one != two]
            network.fundamentals = {(one, two): fundamental_of_rig(rig[one], rig[two]) for one, two in pairs}
        return network

    def set_timing(self, name: str, timing: Timing) -> None:
        """Take another timing of a camera."""
        self.timing[name] = timing
        self.tracks[name] = smooth(timing.at(np.arange(len(self.raw[name]))), self.raw[name], timing.interval)

    def samples(self, name: str, frames: slice | None = None, *, most: int) -> Samples:
        """The faster half of the positions in these frames, evenly thinned out to at most so many."""
        first = 0 if frames is None else frames.start
        speed = self.tracks[name].speed[frames or slice(None)]
        if not np.isfinite(speed).any():
            return Samples(np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp))
        rows, points = np.nonzero(speed >= np.nanmedian(speed))
        keep = np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.intp))
        return Samples(rows[keep] + first, points[keep])

    def matches(
        self,
        pair: tuple[str, str],
        samples: Samples,
        lines: tuple[Line, Line],
        shift: float | NDArray[np.float64] = 0.0,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(sample, 2) positions in the first camera, and in the second at the same instants plus `shift` seconds."""
        one, two = self.tracks[pair[0]], self.tracks[pair[1]]
        instants = lines[0].offset + lines[0].rate * one.times[samples.frames]
        there = (instants - lines[1].offset) / lines[1].rate + shift
        return one.value[samples.frames, samples.points], two.read(there, samples.points)

    def residuals(
        self,
        pair: tuple[str, str],
        samples: Samples,
        lines: tuple[Line, Line],
        shift: float | NDArray[np.float64] = 0.0,
    ) -> NDArray[np.float64]:
        """(sample,) Sampson distances in px; all NaN where the cameras' geometry is not known."""
        if pair not in self.fundamentals:
            return np.full(len(samples.frames), np.nan)
        return sampson(self.fundamentals[pair], *self.matches(pair, samples, lines, shift))

    def estimate(self, pair: tuple[str, str], samples: Samples, lines: tuple[Line, Line]) -> None:
        """Learn the geometry of a pair from its positions, where there is no rig."""
        if self.rig is not None:
            return
        found = fundamental_of_points(*self.matches(pair, samples, lines))
        if found is not None:
            self.fundamentals[pair] = found
            self.fundamentals[pair[::-1]] = found.T

    def still(self) -> list[str]:
        """Cameras in which nothing moves: the way of a point is no longer than five times its noise, or 3 px."""
        return [name for name, track in self.tracks.items() if not _moves(track)]


def _moves(track: SmoothTrack) -> bool:
    """Whether one point in ten, or the only one that is seen, moves."""
    ways: list[float] = []
    for values in _by_point(track):
        low, high = np.percentile(values, (5, 95), axis=0)
        ways.append(float(np.linalg.norm(high - low)))
    return bool(ways) and float(np.percentile(ways, 90)) > max(3.0, 5 * track.noise)


def _by_point(track: SmoothTrack) -> Iterable[NDArray[np.float64]]:
    for point in range(track.value.shape[1]):
        known = track.value[:, point]
        known = known[np.isfinite(known).all(-1)]
        if len(known):
            yield known
