"""The steps of one leg: which method finds them, when exactly they are, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pose3d.kinematics._gait_ground import Ground, lengths, smooth
from pose3d.kinematics._gait_legs import LegTracks, Walker, slope_noise
from pose3d.kinematics._gait_methods import (
    Candidates,
    by_extremes,
    by_speed,
    chosen,
    usual_lengths,
    window_of,
)
from pose3d.kinematics._gait_refining import Learned, Swings, learned, nearest_crossing, shared
from pose3d.kinematics._gait_settings import GaitSettings

__all__ = ["Steps", "stances_of", "steps_of"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Speeds of heel and toe when a person's foot meets the ground and leaves it, as shares of their fast speed in swing: a
# heel rolls on after contact, and the middle of the foot leaves the ground before the tip of the toe does. They were
# chosen on two recordings of two persons, one on a treadmill and one overground, whose events others had annotated.
# From 0.12 to 0.16 of the heel, the contacts of both are 0 to 13 ms early; at 0.1 the first are 30 ms late. From 0.26
# to 0.38 of the toe, lift-offs are between 22 ms early and 15 ms late.
_HEEL_AT_CONTACT = 0.14
_TOE_AT_LIFT_OFF = 0.32
_FAST = 97.0  # percentile
# What is left between these times and those annotated there, about, as root mean square in seconds.
_ROLLING_SPREAD = 0.008
# The moment of rest is within this share of a swing of where the speed passes its threshold.
_FARTHEST = 0.6
# Within this share of a stride, what another method says is of the same step.
_SAME_STEP = 0.15
# A stance or swing with half the usual evidence is as sure as any.
_SURE = 0.5
# Timing within this share of a stride makes half of the confidence.
_VAGUE = 0.05


@dataclass(frozen=True, eq=False)
class Steps:
    """The steps of a leg.

    Attributes:
        place: (event,) increasing, in places.
        lifts: (event,) true for lift-offs, false for contacts.
        deviation: (event,) standard deviation of the place.
        confidence: (event,) from 0 to 1.
        method: (event,) name of the method.
        dropped: how many candidates were none.
        reason: why there are none; "" where there are.
    """

    place: Array
    lifts: Mask
    deviation: Array
    confidence: Array
    method: NDArray[np.str_]
    dropped: int
    reason: str


def steps_of(walker: Walker, ground: Ground, rate: float, settings: GaitSettings, method: str) -> list[Steps]:
    """The steps of every leg by one of the named methods or by "automatic".

    Args:
        walker: the tracks.
        ground: what it stands on; its belt is NaN where nobody knows how fast it runs.
        rate: places per second.
        settings: how.
        method: its name.
    """
    found = [_found_steps(leg, walker.body, ground, rate, settings, method) for leg in walker.legs]
    points = [
        index
        for index, (leg, own) in enumerate(zip(walker.legs, found, strict=True))
        if not leg.rolls and own.method in ("speed", "height_speed") and bool((own.lifts[:-1] & ~own.lifts[1:]).any())
    ]
    for index, timed in zip(points, _learned_times([found[index] for index in points], ground, rate), strict=True):
        found[index] = timed
    return [_finished(own, ground, rate, automatic=method == "automatic") for own in found]


def stances_of(steps: Steps) -> list[tuple[float, float]]:
    """Contact and lift-off of every stance that is whole."""
    pairs = zip(steps.place[:-1], steps.place[1:], steps.lifts[:-1], strict=True)
    return [(float(first), float(last)) for first, last, lifts in pairs if not lifts]


@dataclass(frozen=True, eq=False)
class _Found:
    """The steps of a leg on the way to what they are in the end."""

    leg: LegTracks
    candidates: Candidates
    steps: Mask
    window: int
    method: str
    reason: str
    place: Array
    lifts: Mask
    deviation: Array


def _found_steps(
    leg: LegTracks, body: Array, ground: Ground, rate: float, settings: GaitSettings, method: str
) -> _Found:
    """The sequence of steps, at the places where the method has its candidates."""
    window = window_of(leg, body, ground, rate, settings)
    reason = ""
    if int(leg.valid.sum()) < 2 * window:
        reason = "too short" if leg.valid.any() else "missing"
    elif not np.isfinite(ground.direction).any() or _rests(leg.foot[leg.valid]):
        reason = "stands still"
    if reason:
        nothing = np.zeros(0)
        none = Candidates(nothing, nothing.astype(bool), nothing, np.zeros(len(body)))
        return _Found(leg, none, none.lifts, window, method, reason, nothing, none.lifts, nothing)
    used = method
    if method == "automatic":
        used = "speed" if np.isfinite(ground.belt) else "zeni"
    found, steps = _sequence(leg, ground, rate, window, settings, used)
    if method == "automatic" and not steps.any() and used == "speed":
        used = "zeni"
        found, steps = _sequence(leg, ground, rate, window, settings, used)
    reason = "" if steps.any() else found.reason or "no contact and lift-off in turn"
    return _Found(
        leg, found, steps, window, used, reason, found.place[steps], found.lifts[steps], found.deviation[steps]
    )


def _rests(foot: Array) -> bool:
    """Whether a foot never moves by more than rounding."""
    return bool(np.ptp(foot, axis=0).max() <= 1e-9 * np.abs(foot).max())


def _finished(found: _Found, ground: Ground, rate: float, *, automatic: bool) -> Steps:
    """The steps with their confidence, and what is better told by another method."""
    leg, place, lifts, deviation = found.leg, found.place, found.lifts, found.deviation
    names = np.full(len(place), found.method, dtype="U12")
    if leg.rolls and len(place) and found.method in ("speed", "height_speed"):
        place, deviation = _rolling_times(leg, ground, rate, found.window, place, lifts, deviation)
        if automatic:
            other = by_extremes(leg, ground, rate, found.window)
            reach = _SAME_STEP * ground.period * rate
            place, deviation, names = _with_lift_offs(place, lifts, deviation, names, other, reach)
    if leg.rolls:
        deviation = np.hypot(deviation, _ROLLING_SPREAD * rate)
    vague = deviation / (ground.period * rate)
    sure = _confidence(found, vague, _kept_share(leg, place, found.window))
    # what was moved must not overtake its neighbors
    fine = np.diff(place, prepend=-np.inf) > 0
    return Steps(
        place[fine],
        lifts[fine],
        deviation[fine],
        sure[fine],
        names[fine],
        int((~found.steps).sum()),
        found.reason,
    )


def _sequence(
    leg: LegTracks, ground: Ground, rate: float, window: int, settings: GaitSettings, method: str
) -> tuple[Candidates, Mask]:
    if method in ("speed", "height_speed"):
        found = by_speed(leg, ground, rate, window, settings, height=method == "height_speed")
    else:
        found = by_extremes(leg, ground, rate, window, high_pass=method == "high_pass")
    return found, chosen(found, leg.valid, ground.period * rate, settings)


def _rolling_times(
    leg: LegTracks, ground: Ground, rate: float, window: int, place: Array, lifts: Mask, deviation: Array
) -> tuple[Array, Array]:
    """Times of a foot that rolls from heel to toe: when their speeds pass shares of the fast speed."""
    place, deviation = place.copy(), deviation.copy()
    reach = _SAME_STEP * ground.period * rate
    for track, own, share in ((leg.heel, ~lifts, _HEEL_AT_CONTACT), (leg.toe, lifts, _TOE_AT_LIFT_OFF)):
        speed = lengths(smooth(ground.standing(track, rate), window, derivative=1))
        level = share * float(np.nanpercentile(speed, _FAST))
        moved, slope = nearest_crossing(speed, level, place[own], reach, rising=share == _TOE_AT_LIFT_OFF)
        spread = np.minimum(slope_noise(leg.noise, window) / np.maximum(slope, 1e-12), reach)
        known = np.isfinite(moved)
        place[np.flatnonzero(own)[known]] = moved[known]
        deviation[np.flatnonzero(own)[known]] = spread[known]
    return place, deviation


def _learned_times(found: Sequence[_Found], ground: Ground, rate: float) -> list[_Found]:
    """Steps of feet that come to rest and leave it again as one: at the moments that all their swings tell."""
    places, deviations = [own.place.copy() for own in found], [own.deviation.copy() for own in found]
    firsts = [np.flatnonzero(own.lifts[:-1] & ~own.lifts[1:]) for own in found]
    both = [_learned(own, first, ground, rate) for own, first in zip(found, firsts, strict=True)]
    for later in (0, 1):
        known = [pair[later] for pair in both]
        together = shared([one.rest for one in known], [one.rest_std for one in known])
        for own, first, one, rest, place, deviation in zip(
            found, firsts, known, together, places, deviations, strict=True
        ):
            moved, spread = one.times(*rest)
            index = first + later
            # what is moved by more than half a swing, or to beyond its end, is not believed
            good = np.abs(moved - own.place[index]) < _FARTHEST * (own.place[first + 1] - own.place[first])
            place[index[good]], deviation[index[good]] = moved[good], spread[good]
            if not good.any():
                continue
            # a swing that is not whole has its end as much later or earlier as the others have
            rest_of = np.setdiff1d(np.flatnonzero(own.lifts == (later == 0)), index[good])
            apart = moved[good] - own.place[index[good]]
            place[rest_of] += np.median(apart)
            deviation[rest_of] = np.hypot(deviation[rest_of], 1.4826 * np.median(np.abs(apart - np.median(apart))))
    return [
        replace(own, place=place, deviation=deviation)
        for own, place, deviation in zip(found, places, deviations, strict=True)
    ]


def _learned(found: _Found, first: NDArray[np.int64], ground: Ground, rate: float) -> tuple[Learned, Learned]:
    # at the ends of the recording a stance goes on to the end of it
    edges = np.concatenate([[0.0], found.place, [float(len(found.leg.valid) - 1)]])
    swings = Swings(edges[first], edges[first + 1], edges[first + 2], edges[first + 3])
    track = ground.standing(found.leg.foot, rate)
    return learned(track, ground.up, swings, found.leg.noise, found.window)


def _with_lift_offs(
    place: Array, lifts: Mask, deviation: Array, names: NDArray[np.str_], other: Candidates, reach: float
) -> tuple[Array, Array, NDArray[np.str_]]:
    """The same with the lift-offs that Zeni's method puts nearest to them, where it has such."""
    place, deviation, names = place.copy(), deviation.copy(), names.copy()
    there = np.flatnonzero(other.lifts)
    if not len(there):
        return place, deviation, names
    own = np.flatnonzero(lifts)
    index = np.clip(np.searchsorted(other.place[there], place[own]), 1, max(len(there) - 1, 1))
    options = there[np.stack([index - 1, np.minimum(index, len(there) - 1)])]
    away = np.abs(other.place[options] - place[own])
    best = options[away.argmin(axis=0), np.arange(len(own))]
    near = away.min(axis=0) <= reach
    place[own[near]], deviation[own[near]] = other.place[best[near]], other.deviation[best[near]]
    names[own[near]] = "zeni"
    return place, deviation, names


def _confidence(found: _Found, vague: Array, kept: Array) -> Array:
    """(event,) product of what speaks for a step: evidence and length of the phases at it, timing, and positions."""
    place, lifts = found.candidates.place[found.steps], found.lifts
    if not len(place):
        return np.zeros(0)
    gained = np.abs(np.diff(found.candidates.at(place)))
    lengths = np.diff(place)
    prior = usual_lengths(place, lifts)
    phases = np.ones(len(gained))
    for phase, own in enumerate((lifts[1:], ~lifts[1:])):
        if own.any():
            usual = float(np.median(gained[own]))
            phases[own] = np.clip(gained[own] / max(_SURE * usual, 1e-12), 0, 1)
        if prior[phase, 1] > 0:
            away = np.abs(np.log(lengths[own]) - prior[phase, 0]) / prior[phase, 1]
            phases[own] *= np.exp(-0.5 * np.maximum(away - 2, 0) ** 2)
    both = np.minimum(np.concatenate([[1.0], phases]), np.concatenate([phases, [1.0]]))
    return np.asarray(both * kept / (1 + (vague / _VAGUE) ** 2))


def _kept_share(leg: LegTracks, place: Array, window: int) -> Array:
    """(event,) share of the positions around an event that were not filled."""
    sums = np.concatenate([[0], np.cumsum(leg.filled)])
    here = np.round(place).astype(np.int64)
    first = np.clip(here - window // 2, 0, len(leg.filled) - 1)
    last = np.clip(here + window // 2 + 1, 1, len(leg.filled))
    return np.asarray(1 - (sums[last] - sums[first]) / (last - first))
