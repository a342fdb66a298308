"""Animals that meet: each walks on a circuit of its own, all pass near the middle, and sometimes they huddle there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pose3d.synthetic._motion import Walker, gait_of
from pose3d.synthetic._quadruped import LIMBS, REACH, Build, Circuit, Gait, make_circuit
from pose3d.synthetic.settings import SimulationSettings

__all__ = ["StopAndGo", "make_crossers"]

Array = NDArray[np.float64]

# Mean radius of the circuits in body lengths, and speed as a share of the mean one.
_RADII, _SPEEDS = (1.8, 2.3), (0.75, 1.25)
# Spine keypoints of neighbors in a huddle are so many body lengths apart, as the sides of a polygon.
_SIDE = 0.7
# A huddle every so many seconds, or laps of the slowest animal.
_HUDDLE_PERIOD, _HUDDLE_LAPS = 20.0, 3.0
# Speed strays by this share from one stretch of so many seconds to the next.
_STRAY, _STRETCH = 0.25, 1.0
_EARLY = 1.0  # s before a huddle, and after it, within which its animals come and go
_SPARE = 0.05  # of the time between two huddles that is not walked


@dataclass(frozen=True, eq=False)
class StopAndGo:
    """Distance walked by the time, which stands still now and then: a smooth curve through (moment, walked).

    The curve is a monotone cubic (Fritsch and Carlson, 1980): where two neighbors are equal, the animal stands.

    Attributes:
        moments: (knot,) increasing, in s.
        walked: (knot,) never falling, in mm.
    """

    moments: Array
    walked: Array
    _curve: Callable[[Array], Array] = field(init=False)

    def __post_init__(self) -> None:
        from scipy.interpolate import PchipInterpolator

        object.__setattr__(self, "_curve", PchipInterpolator(self.moments, self.walked))

    def distance(self, time: Array) -> Array:
        """Distance along the circuit in mm at times (...) in s."""
        return np.asarray(self._curve(np.clip(time, self.moments[0], self.moments[-1])))

    def time(self, distance: Array) -> Array:
        """When a distance (...) in mm is reached, in s; the first or last moment where that is outside of them."""
        after = np.clip(np.searchsorted(self.walked, distance), 1, len(self.walked) - 1)
        low, high = self.moments[after - 1], self.moments[after]
        for _ in range(60):  # halves: to the last digit
            middle = (low + high) / 2
            before = self.distance(middle) < distance
            low, high = np.where(before, middle, low), np.where(before, high, middle)
        return np.asarray(high)


def make_crossers(settings: SimulationSettings, rng: np.random.Generator) -> tuple[list[Walker], float]:
    """Animals that meet, and how far they come from the middle, in mm.

    Every circuit touches a place near the middle, heading along the side of a polygon with a side for each animal:
    standing there, they do not overlap.
    """
    count, length = settings.individuals, settings.body_length
    ring = 0.0 if count == 1 else 0.5 * _SIDE * length / np.sin(np.pi / count)
    builds = [_make_build(settings, rng) for _ in range(count)]
    speeds = settings.speed * rng.uniform(*_SPEEDS, count)
    placed = [_place(index, count, ring, build, rng) for index, build in enumerate(builds)]
    laps = max(circuit.length / speed for (circuit, _), speed in zip(placed, speeds, strict=True))
    huddles = _huddle_times(settings, laps)
    walkers, reach = [], 0.0
    for build, (circuit, meeting), speed in zip(builds, placed, speeds, strict=True):
        gait = gait_of(settings, build)
        course = _make_course(settings, circuit, gait, meeting, float(speed), huddles, rng)
        walkers.append(Walker(build, circuit, course, gait))
        floor, _ = circuit.at(np.linspace(0, circuit.length, 400))
        reach = max(reach, float(np.linalg.norm(floor[:, :2], axis=-1).max()) + max(REACH) * build.body_length)
    return walkers, reach


def _make_build(settings: SimulationSettings, rng: np.random.Generator) -> Build:
    strays = 1 + settings.chosen_spread * np.clip(rng.standard_normal(6), -2, 2)
    length, head, fore, rear, tail, wide = map(float, strays)
    return Build(settings.body_length * length, head, fore, rear, tail, wide)


def _place(index: int, count: int, ring: float, build: Build, rng: np.random.Generator) -> tuple[Circuit, float]:
    """A circuit through the place of this animal in huddles, and the distance along it at which that is."""
    circuit = make_circuit(float(rng.uniform(*_RADII)) * build.body_length, rng)
    meeting = float(rng.uniform(0, circuit.length))
    # Every third animal goes around the other way, outside of the ring.
    circuit = dataclasses.replace(circuit, clockwise=index % 3 == 2)
    _, tangent = circuit.at(np.array([meeting]))
    side = 2 * np.pi * index / count
    turn = side + np.pi / 2 - float(np.arctan2(tangent[0, 1], tangent[0, 0]))
    circuit = dataclasses.replace(circuit, turn=turn)
    here, _ = circuit.at(np.array([meeting]))
    center = ring * np.array([np.cos(side), np.sin(side)]) - here[0, :2]
    return dataclasses.replace(circuit, center=(float(center[0]), float(center[1]))), meeting


def _huddle_times(settings: SimulationSettings, lap: float) -> list[tuple[float, float]]:
    """Start and end of every huddle, in s; a lap of the slowest animal takes `lap` seconds."""
    share = settings.chosen_huddles
    if share == 0:
        return []
    period = max(_HUDDLE_PERIOD, _HUDDLE_LAPS * lap / (1 - share))
    count = max(1, int(settings.duration / period))
    period = settings.duration / count
    return [((k + 0.5 - share / 2) * period, (k + 0.5 + share / 2) * period) for k in range(count)]


def _best_stop(gait: Gait, distance: float) -> float:
    """A distance within half a stride at which the feet are on the floor or hardly above it, and none at an event."""
    places = distance + gait.stride_length * np.linspace(-0.5, 0.5, 101)
    cost = np.zeros(len(places))
    for limb in LIMBS:
        _, phase = gait.step(limb, places)
        swing = np.clip((phase - gait.duty_factor) / (1 - gait.duty_factor), 0.0, 1.0)
        nearest = np.min([phase, 1 - phase, abs(phase - gait.duty_factor)], axis=0)
        cost += swing**2 * (1 - swing) ** 2 + (nearest < 0.02)
    return float(places[np.argmin(cost)])


def _make_course(
    settings: SimulationSettings, circuit: Circuit, gait: Gait, meeting: float, speed: float,
    huddles: list[tuple[float, float]], rng: np.random.Generator,
) -> StopAndGo:  # fmt: skip
    """Walk at `speed` mm/s; stand in all huddles at `meeting` mm, some laps later each time."""
    # Steps that are under way at the first or last frame begin before it and end after it.
    around = 2.0 + 4 * settings.stride_length / speed
    since, end = -around, settings.duration + around
    if not huddles:
        return StopAndGo(*_stretches(since, end, 0.0, speed * (end - since), (False, False), rng))
    parts: list[tuple[Array, Array]] = []
    for index, (first, last) in enumerate(huddles):
        if index == 0:
            walked = _best_stop(gait, meeting)
            first -= float(rng.uniform(0, _EARLY))
            begin = walked - speed * (first - since)
        else:
            laps = max(1, int((1 - _SPARE) * (first - since) * speed / circuit.length))
            meeting += laps * circuit.length
            begin, walked = walked, _best_stop(gait, meeting)
            spare = max((first - since) - (walked - begin) / speed, 0.0)
            leaves = float(rng.uniform(0, 1)) * spare
            since, first = since + leaves, first - (spare - leaves)
        parts.append(_stretches(since, first, begin, walked, (index > 0, True), rng))
        since = last
    since += float(rng.uniform(0, _EARLY))
    parts.append(_stretches(since, end, walked, walked + speed * (end - since), (True, False), rng))
    moments, distances = (np.concatenate(each) for each in zip(*parts, strict=True))
    return StopAndGo(moments, distances)


def _stretches(
    start: float, end: float, begin: float, walked: float, stands: tuple[bool, bool], rng: np.random.Generator
) -> tuple[Array, Array]:
    """Knots of a walk between two moments and distances: stretches of different speed, slow beside a stop."""
    count = max(3, int(np.ceil((end - start) / _STRETCH)))
    share = 1 + _STRAY * rng.uniform(-1, 1, count)
    for index, still in ((0, stands[0]), (-1, stands[1])):
        if still:
            share[index] *= 0.5
    passed = np.concatenate([[0.0], np.cumsum(share)]) / share.sum()
    passed[-1] = 1.0
    return np.linspace(start, end, count + 1), begin + (walked - begin) * passed
