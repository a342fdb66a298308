"""The methods: where a contact or lift-off could be, and how much speaks for a foot that stands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from pose3d.kinematics._gait_ground import Ground, along, lengths, smooth
from pose3d.kinematics._gait_legs import LegTracks, runs_of, slope_noise
from pose3d.kinematics._gait_sequence_kernels import best_sequence
from pose3d.kinematics._gait_settings import GaitSettings

__all__ = ["Candidates", "by_extremes", "by_speed", "chosen", "usual_lengths", "window_of"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Cutoffs of the high-pass filters of Desailly et al. (2009), in strides per stride: for contacts, for lift-offs.
_CUTOFFS = (0.5, 1.1)
# A foot moves when it is faster than this share of its usual fast speed at some time in a stride.
_MOVES = 0.3
# Amplitude of the motion of a foot, in standard deviations of what smoothing left of the noise, below which there may
# be no motion.
_ABOVE_NOISE = 12.0
# Height of a foot that counts as in the air, as share of how high it swings.
_LIFTED = 0.25
# Lengths of stances and swings are taken as known from so many on, and as spread by so much at least (logarithm).
_ENOUGH = 5
_LEAST_SPREAD = 0.2
# Share of the fastest speed below which speeds are alike. Positions without noise stand still to rounding, and their
# logarithms would be all that tells two kinds of speed: contacts of nine strides came 12 ms early.
_SLOWEST = 0.01


@dataclass(frozen=True, eq=False)
class Candidates:
    """Where steps could be.

    Attributes:
        place: (candidate,) increasing, fractions of places included.
        lifts: (candidate,) true for lift-offs.
        deviation: (candidate,) standard deviation of the place.
        total: (place,) evidence for standing, summed up from the start; a usual swing is worth -1.
        reason: why there are none; "" where there are.
    """

    place: Array
    lifts: Mask
    deviation: Array
    total: Array
    reason: str = ""

    def at(self, place: Array) -> Array:
        """The evidence up to places (n,)."""
        return np.interp(place, np.arange(len(self.total)), self.total)


def window_of(leg: LegTracks, body: Array, ground: Ground, rate: float, settings: GaitSettings) -> int:
    """Length, odd, of the window in which the tracks of a leg are smoothed; see `GaitSettings`."""
    longest = max(5, int(settings.longest_window * ground.period * rate) | 1)
    moved = leg.foot - body
    short = max(1, round(0.05 * ground.period * rate))
    speed = lengths(moved[short:] - moved[:-short]) / short
    seen = speed[np.isfinite(speed)]
    fast = np.percentile(seen, 95) if len(seen) else 0.0
    window = 5
    while window < longest and slope_noise(leg.noise, window) > settings.speed_noise * fast:
        window += 2
    return min(window, longest)


def by_speed(
    leg: LegTracks, ground: Ground, rate: float, window: int, settings: GaitSettings, *, height: bool = False
) -> Candidates:
    """Candidates where the speed of the foot over the ground crosses the threshold between standing and swinging.

    The threshold parts the logarithms of the speed in two (Otsu 1979), over the strides in which the leg moves. Of heel
    and toe the slower one counts. With `height`, a foot must also be low to stand.
    """
    ends = [leg.heel, leg.toe] if leg.rolls else [leg.foot]
    moved = [smooth(ground.standing(track, rate), window, derivative=1) for track in ends]
    speed = np.min([lengths(track) for track in moved], axis=0)
    speed = np.maximum(speed, _SLOWEST * (np.nanmax(speed, initial=0.0) or 1.0))
    moving = _moving(speed, ground.period * rate)
    if not moving.any():
        return _none(speed, "stands still")
    middle, low, high = _parted(np.log(speed[moving]))
    if high - low < np.log(settings.contrast):
        return _none(speed, "speed does not tell standing from swinging")
    standing = np.clip((middle - np.log(speed)) / (0.5 * (high - low)), -1.0, 1.0)
    if height:
        standing = 0.5 * (
            standing + _lowness([smooth(track, window) for track in ends], ground, speed < np.exp(middle))
        )
    noise = slope_noise(leg.noise, window) / np.exp(middle) * 2 / (high - low)
    return _crossings(standing, leg.valid, moving, ground.period * rate, noise)


def by_extremes(leg: LegTracks, ground: Ground, rate: float, window: int, *, high_pass: bool = False) -> Candidates:
    """Candidates where the foot is farthest to the front and to the rear.

    Of the body it belongs to (Zeni, Richards and Higginson 2008), or, with `high_pass`, of where it was on the average
    of about a stride (Desailly et al. 2009). The heel, where there is one, tells contacts, the toe lift-offs.
    """
    signals = []
    for track, cutoff in ((leg.heel, _CUTOFFS[0]), (leg.toe, _CUTOFFS[1])):
        onward = along((track if high_pass else track - leg.hip), ground.direction)
        if high_pass:
            onward = _high_passed(_travelled(track, ground.direction), cutoff / ground.period, rate)
        signals.append(smooth(onward, window))
    both = 0.5 * (signals[0] + signals[1])
    size = _stroke_size(both, ground.period * rate)
    left = leg.noise * np.sqrt((2.0 if not high_pass else 1.0) * 2.25 / window)
    if not size > max(_ABOVE_NOISE * left, 1e-9 * float(np.nanmax(np.abs(both), initial=0.0))):
        return _none(both, "moves no more than the noise")
    parts = []
    for signal, lifts in zip(signals, (False, True), strict=True):
        place, bend = _peaks(-signal if lifts else signal, leg.valid)
        deviation = slope_noise(leg.noise, window) * (1.0 if high_pass else np.sqrt(2)) / np.maximum(bend, 1e-12)
        parts.append((place, np.full(len(place), lifts), np.minimum(deviation, window / 2)))
    place, lifted, deviation = (np.concatenate(values) for values in zip(*parts, strict=True))
    order = np.argsort(place, kind="stable")
    return Candidates(place[order], lifted[order], deviation[order], -np.nan_to_num(both) / size)


def chosen(candidates: Candidates, valid: Mask, period: float, settings: GaitSettings) -> Mask:
    """(candidate,) which of them are steps; in every run of valid places contacts and lift-offs take turns.

    The lengths of stances and swings that are found first say what is usual, and so what is found in the end.

    Args:
        candidates: of a leg.
        valid: (place,).
        period: of a stride, in places.
        settings: how.
    """
    prior = np.zeros((2, 2))
    for _ in range(2):
        steps = np.zeros(len(candidates.place), dtype=bool)
        for start, stop in runs_of(valid):
            own = (candidates.place >= start) & (candidates.place <= stop - 1)
            if own.any():
                place = candidates.place[own]
                first, end = candidates.total[start], candidates.total[stop - 1]
                steps[own] = best_sequence(
                    place,
                    candidates.lifts[own],
                    candidates.at(place) - first,
                    float(end - first),
                    settings.switch_cost,
                    settings.shortest_phase * period,
                    prior,
                )
        prior = usual_lengths(candidates.place[steps], candidates.lifts[steps])
    return steps


def usual_lengths(place: Array, lifts: Mask) -> Array:
    """(2, 2) mean and standard deviation of the logarithms of the lengths of stance, then swing."""
    prior, length = np.zeros((2, 2)), np.diff(place)
    for phase, ends in enumerate((lifts[1:] & ~lifts[:-1], ~lifts[1:] & lifts[:-1])):
        known = np.log(length[ends & (length > 0)])
        if len(known) >= _ENOUGH:
            middle = float(np.median(known))
            prior[phase] = middle, max(_LEAST_SPREAD, 1.4826 * float(np.median(np.abs(known - middle))))
    return prior


def _none(like: Array, reason: str) -> Candidates:
    nothing = np.zeros(0)
    return Candidates(nothing, nothing.astype(bool), nothing, np.zeros(len(like)), reason)


def _moving(speed: Array, period: float) -> Mask:
    """(place,) the strides in which a foot moves; missing places are not among them."""
    size = max(2, round(period))
    highest = _by_blocks(speed, size, np.fmax)
    seen = highest[np.isfinite(highest)]
    if not len(seen) or seen.max() <= 0:
        return np.zeros(len(speed), dtype=bool)
    fast = highest > _MOVES * np.percentile(seen, 90)
    return np.repeat(fast, size)[: len(speed)] & np.isfinite(speed)


def _by_blocks(values: Array, size: int, ufunc: np.ufunc) -> Array:
    blocks = -(-len(values) // size)
    padded = np.full(blocks * size, np.nan)
    padded[: len(values)] = values
    return np.asarray(ufunc.reduce(padded.reshape(blocks, size), axis=1))


def _stroke_size(signal: Array, period: float) -> float:
    """How far a foot goes to and fro in a usual stride in which it moves."""
    size = max(2, round(period))
    ranges = _by_blocks(signal, size, np.fmax) - _by_blocks(signal, size, np.fmin)
    seen = ranges[np.isfinite(ranges)]
    if not len(seen):
        return 0.0
    return float(np.median(seen[seen >= _MOVES * np.percentile(seen, 90)]))


def _parted(values: Array) -> tuple[float, float, float]:
    """The threshold that parts values in two with the largest variance between, and the means of both parts.

    N. Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on Systems, Man, and
    Cybernetics 9 (1979).
    """
    low, high = np.percentile(values, [0.5, 99.5])
    if not high > low:
        return float(low), float(low), float(low)
    counts, edges = np.histogram(np.clip(values, low, high), bins=128)
    centers = 0.5 * (edges[1:] + edges[:-1])
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = counts.sum() - below
    sums = np.cumsum(counts * centers)[:-1]
    first, second = sums / np.maximum(below, 1), ((counts * centers).sum() - sums) / np.maximum(above, 1)
    best = int(np.argmax(below * above * (second - first) ** 2))
    return float(edges[best + 1]), float(first[best]), float(second[best])


def _lowness(tracks: list[Array], ground: Ground, standing: Mask) -> Array:
    """(place,) from 1, as low as where the foot stands, to -1, twice as high as counts as lifted."""
    lows = []
    for track in tracks:
        height = ground.height(track) - _plane(track, ground, standing)
        seen = height[np.isfinite(height)]
        lifted = _LIFTED * (np.percentile(seen, 98) if len(seen) else 1.0)
        spread = 1.4826 * np.median(np.abs(height[standing])) if standing.any() else 0.0
        lifted = max(float(lifted), 3.0 * float(spread), 1e-12)
        lows.append(np.clip(1 - height / lifted, -1.0, 1.0))
    return np.asarray(np.max(lows, axis=0))


def _plane(track: Array, ground: Ground, standing: Mask) -> Array:
    """(place,) height of the plane through where a foot stands; without its outermost fifth, twice.

    Level where it stands within a spot.
    """
    here = track[standing]
    here = here[np.isfinite(here).all(axis=1)]
    if len(here) < 10:
        return np.full(len(track), np.nanmin(ground.height(track), initial=0.0))
    center = np.median(here, axis=0)
    # a tilt is only as good as the ground is long beside the height of what is fitted
    damping = len(here) * float(np.var(ground.height(here)))
    for _ in range(3):
        level = (here - center) - np.outer((here - center) @ ground.up, ground.up)
        rise = (here - center) @ ground.up
        slope = np.linalg.solve(level.T @ level + (damping + 1e-9) * np.eye(3), level.T @ (rise - np.median(rise)))
        away = np.abs(rise - np.median(rise) - level @ slope)
        here = here[away <= np.percentile(away, 80)]
    apart = track - center
    level = apart - np.outer(apart @ ground.up, ground.up)
    return np.asarray(center @ ground.up + np.median(rise) + level @ slope)


def _crossings(standing: Array, valid: Mask, moving: Mask, period: float, noise: float) -> Candidates:
    """Candidates where the evidence for standing changes its sign.

    Args:
        standing: (place,) from -1 to 1, NaN where missing.
        valid: (place,).
        moving: (place,).
        period: of a stride in places.
        noise: standard deviation of the evidence at the threshold.
    """
    known = np.nan_to_num(standing)
    before, after = known[:-1], known[1:]
    here = np.flatnonzero((before > 0) != (after > 0))
    here = here[valid[here] & valid[here + 1] & np.isfinite(standing[here]) & np.isfinite(standing[here + 1])]
    slope = after[here] - before[here]
    place = here - before[here] / slope
    # the slope over three places is less a matter of noise
    wide = np.abs(known[np.minimum(here + 2, len(known) - 1)] - known[np.maximum(here - 1, 0)]) / 3
    deviation = np.minimum(noise / np.maximum(wide, 1e-12), period / 10)
    swing = float((standing[moving] < 0).mean()) * period * float(-standing[moving & (known < 0)].mean())
    return Candidates(place, slope < 0, deviation, np.cumsum(known) / max(swing, 1.0))


def _peaks(signal: Array, valid: Mask) -> tuple[Array, Array]:
    """Places of the maxima, by parabolas through three places, and how strongly the signal bends there."""
    known = np.where(valid, signal, np.nan)
    inner = known[1:-1]
    with np.errstate(invalid="ignore"):
        here = np.flatnonzero((inner >= known[:-2]) & (inner > known[2:])) + 1
    before, top, after = known[here - 1], known[here], known[here + 1]
    bend = 2 * top - before - after
    shift = np.divide(0.5 * (after - before), bend, out=np.zeros_like(bend), where=bend > 0)
    return here + np.clip(shift, -0.5, 0.5), bend


def _travelled(track: Array, direction: Array) -> Array:
    """(place,) the way of a track in the direction of travel, summed up from place to place."""
    onward = along(np.diff(track, axis=0), 0.5 * (direction[1:] + direction[:-1]))
    return np.concatenate(
        [
            np.where(np.isfinite(track[:1, 0]), 0.0, np.nan),
            np.where(np.isfinite(onward), np.cumsum(np.nan_to_num(onward)), np.nan),
        ]
    )


def _high_passed(signal: Array, cutoff: float, rate: float) -> Array:
    """The signal without what is slower than a frequency in Hz, without delay; runs are taken by themselves."""
    result = np.full_like(signal, np.nan)
    if cutoff >= 0.45 * rate:
        return result
    sections = butter(2, cutoff, btype="high", fs=rate, output="sos")
    for start, stop in runs_of(np.isfinite(signal)):
        if stop - start > 15:
            reach = min(stop - start - 1, round(2 * rate / cutoff))
            result[start:stop] = sosfiltfilt(sections, signal[start:stop], padlen=reach)
    return result
