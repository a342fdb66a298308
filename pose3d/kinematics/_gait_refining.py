"""The exact time at which a foot comes to rest and leaves it again, learned from many swings.

Where the foot is fast, its way through space tells the time well, noise or not; where it comes to rest, it is slow, and
the noise hides the moment. So the swings of a leg are laid over each other: at the same time are the moments at which
they have passed a quarter and three quarters of their way. The mean of many shows, with little noise, where the foot
leaves its place; each swing has its moment there, by its own two times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose3d.kinematics._gait_ground import lengths, smooth
from pose3d.kinematics._gait_legs import lost, noise_of
from pose3d.kinematics._gait_refining_kernels import mean_swing

__all__ = ["Learned", "Swings", "learned", "nearest_crossing", "shared"]

Array = NDArray[np.float64]

_QUARTERS = (0.25, 0.75)
# So many swings that follow each other share the moment of rest: an animal may change its gait.
_TOGETHER = 100
_FEWEST = 3
# Times relative to the quarter nearest the rest, in units from quarter to quarter. A swing that starts with a jerk of
# zero needs 1.3 units to its first quarter, one that starts with a jump half a unit.
_BINS = np.linspace(-3.4, 0.15, 72)
# What is known of the rest beforehand, so that few swings do not say anything: it is 1.2 for a swing of two constant
# accelerations, 1.3 for the least jerk, 1.4 for a sine of acceleration, and 0.5 for a jump into full speed.
_USUAL_REST, _USUAL_SPREAD = -1.2, 0.3
# Hardly any is earlier than this. Poses that were smoothed are, since a smoother rings before a sudden motion and
# begins it early: feet of `reconstruct` seemed to leave the ground 21 ms early without this and the next, now 8.
_EARLIEST, _EARLIER = -1.5, 0.1
# Errors that last are larger than those from place to place; of so many neighbors they are at most taken to be alike.
_MOST_ALIKE = 4.0
_RESTS = np.linspace(-2.2, -0.3, 96)
# (rest, 5, bin): a constant, and powers of the time since each of the moments; the last makes a jump in velocity.
_AFTER = np.maximum(0.5 * (_BINS[1:] + _BINS[:-1]) - _RESTS[:, None], 0)
_BASIS = np.stack([np.ones_like(_AFTER), _AFTER**2, _AFTER**3, _AFTER**4, _AFTER], axis=1)
# From the middle of a swing to the middle between quarter and rest, in units.
_TO_REST = 1.1
# No more than this share of a stance is looked at.
_SHARE_OF_STANCE = 0.6


@dataclass(frozen=True, eq=False)
class Swings:
    """Swings of a leg, in places.

    Attributes:
        before, lift_off, contact, after: (swing,) the contact of the stance before, the ends of the swing, the
            lift-off of the stance after it.
    """

    before: Array
    lift_off: Array
    contact: Array
    after: Array


@dataclass(frozen=True, eq=False)
class Learned:
    """What the swings of a leg say of their lift-offs or of their contacts.

    Attributes:
        quarter: (swing,) when the foot has a quarter of its way to or from its rest.
        unit: (swing,) from there toward the rest, in places; negative for lift-offs. NaN where it is not known.
        jitter: (swing,) standard deviation of `quarter`.
        block: (swing,) which of the rests is the own one; -1 for none.
        rest, rest_std: (block,) when the foot is at rest, in units from the quarter, and its standard deviation.
    """

    quarter: Array
    unit: Array
    jitter: Array
    block: NDArray[np.int64]
    rest: Array
    rest_std: Array

    def times(self, rest: Array, rest_std: Array) -> tuple[Array, Array]:
        """(swing,) places at which the foot comes to rest or leaves it, and their standard deviations; NaN for none."""
        place, spread = np.full(len(self.block), np.nan), np.full(len(self.block), np.nan)
        own = self.block >= 0
        here, here_std, unit = rest[self.block[own]], rest_std[self.block[own]], self.unit[own]
        place[own] = self.quarter[own] + here * unit
        # the distance between both quarters is as uncertain as they are
        spread[own] = np.sqrt(((1 + here) ** 2 + here**2) * self.jitter[own] ** 2 + (here_std * unit) ** 2)
        return place, spread


def learned(track: Array, up: Array, swings: Swings, noise: float, window: int) -> tuple[Learned, Learned]:
    """What the swings of a leg say of their lift-offs, and of their contacts.

    Args:
        track: (place, 3) of the foot, as seen from the ground.
        up: (3,).
        swings: as found.
        noise: standard deviation of a coordinate.
        window: of the smoothing.
    """
    ends = _stands(track, swings)
    smoothed, raw = smooth(track, window), noise_of(track)  # from place to place, whatever the covariance tells
    lift_offs, contacts = (
        _learned_end(track, smoothed, up, swings, ends, raw, noise * float(np.sqrt(2.25 / window)), lifts=lifts)
        for lifts in (True, False)
    )
    return lift_offs, contacts


def _learned_end(
    track: Array,
    smoothed: Array,
    up: Array,
    swings: Swings,
    ends: tuple[Array, Array],
    raw: float,
    noise: float,
    *,
    lifts: bool,
) -> Learned:
    """The same for lift-offs or for contacts; `raw` is the noise, `noise` what the smoothing left of it."""
    found = swings.lift_off if lifts else swings.contact
    origin, other = ends if lifts else ends[::-1]
    length = lengths(other - origin)
    onward = (other - origin) / np.maximum(length, 1e-12)[:, None]
    quarter, unit = _anchors(smoothed, swings, origin, onward, length, lifts=lifts)
    usable = np.flatnonzero(np.isfinite(unit) & (unit > 0))
    sign = 1.0 if lifts else -1.0
    unit[usable] = _toward_rest(quarter[usable], unit[usable], sign)
    stance = _SHARE_OF_STANCE * np.abs(found - (swings.before if lifts else swings.after))
    block = np.full(len(found), -1)
    rests: list[tuple[float, float]] = []
    for own in np.array_split(usable, max(1, round(len(usable) / _TOGETHER))):
        if len(own) >= _FEWEST:
            block[own] = len(rests)
            mean, count = mean_swing(
                track,
                up,
                origin[own],
                onward[own],
                quarter[own],
                sign * unit[own],
                found[own],
                stance[own],
                _BINS[0],
                _BINS[1] - _BINS[0],
                len(_BINS) - 1,
            )
            rests.append(_rest(mean, count, raw))
    rest, rest_std = np.array(rests).reshape(-1, 2).T
    # the foot passes the quarter at half a way per unit
    jitter = noise * unit / np.maximum(0.5 * length, 1e-12)
    # time runs toward the rest from here on
    return Learned(quarter, -sign * unit, jitter, block, -rest, rest_std)


def shared(rests: Sequence[Array], stds: Sequence[Array]) -> list[tuple[Array, Array]]:
    """Rests of several legs and their standard deviations, drawn together as far as noise parts them.

    Legs of one animal swing alike. What their rests differ beyond their standard deviations is kept (empirical Bayes:
    Efron and Morris 1973), with medians in place of means, since a leg whose rest was missed is not to spoil others.
    """
    every, each = np.concatenate([np.zeros(0), *rests]), np.concatenate([np.zeros(0), *stds])
    if len(every) < _FEWEST:
        return list(zip(rests, stds, strict=True))
    middle = float(np.median(every))
    spread = (1.4826 * float(np.median(np.abs(every - middle)))) ** 2
    between = max(spread - float(np.median(each**2)), 0.0)
    result = []
    for rest, std in zip(rests, stds, strict=True):
        weight = between / np.maximum(between + std**2, 1e-12)
        common = 1.57 * spread / len(every)  # variance of a median
        result.append((middle + weight * (rest - middle), np.sqrt(weight * std**2 + (1 - weight) ** 2 * common)))
    return result


def nearest_crossing(values: Array, level: float, near: Array, reach: float, *, rising: bool) -> tuple[Array, Array]:
    """(n,) places, between two, where values (place,) cross a level, nearest to others (n,), and the slopes there.

    NaN where there is none within `reach`.
    """
    with np.errstate(invalid="ignore"):
        above = values > level
        passes = (above[1:] & ~above[:-1] if rising else above[:-1] & ~above[1:]) & np.isfinite(
            values[1:] + values[:-1]
        )
    here = np.flatnonzero(passes)
    if not len(here):
        return np.full(len(near), np.nan), np.full(len(near), np.nan)
    slope = values[here + 1] - values[here]
    place = here + (level - values[here]) / slope
    index = np.searchsorted(place, near)
    after, before = np.minimum(index, len(place) - 1), np.maximum(index - 1, 0)
    best = np.where(np.abs(place[after] - near) < np.abs(place[before] - near), after, before)
    found = np.where(np.abs(place[best] - near) <= reach, place[best], np.nan)
    return found, np.abs(slope[best])


def _stands(track: Array, swings: Swings) -> tuple[Array, Array]:
    """(swing, 3) mean positions in the middle of the stances before and after; NaN where one is missing."""
    holes = lost(track)
    sums = np.concatenate([np.zeros((1, 3)), np.cumsum(np.where(holes[:, None], 0.0, track), axis=0)])
    missing = np.concatenate([[0], np.cumsum(holes)])
    means = []
    for first, last in ((swings.before, swings.lift_off), (swings.contact, swings.after)):
        start = np.clip(np.ceil(first + 0.25 * (last - first)), 0, len(track) - 1).astype(np.int64)
        stop = np.clip(np.maximum(np.floor(first + 0.75 * (last - first)), start) + 1, 1, len(track)).astype(np.int64)
        mean = (sums[stop] - sums[start]) / (stop - start)[:, None]
        mean[missing[stop] > missing[start]] = np.nan
        means.append(mean)
    return means[0], means[1]


def _anchors(
    smoothed: Array, swings: Swings, origin: Array, onward: Array, length: Array, *, lifts: bool
) -> tuple[Array, Array]:
    """(swing,) places where the foot has a quarter of its way to or from its rest, and from there to the other one.

    NaN where it has not.
    """
    size = swings.contact - swings.lift_off
    reach = int(np.ceil(2 * np.median(size))) + 4
    first = np.floor(swings.lift_off).astype(np.int64) - 1
    index = first[:, None] + np.arange(reach)
    inside = (index >= 0) & (index < len(smoothed)) & (index <= np.ceil(swings.contact)[:, None] + 1)
    points = smoothed[np.clip(index, 0, len(smoothed) - 1)] - origin[:, None]
    gone = (points @ onward[:, :, None])[..., 0] / np.maximum(length, 1e-12)[:, None]
    gone = np.where(inside, gone if lifts else 1 - gone, np.nan)
    crossed = [_crossing(gone, share) + first for share in _QUARTERS]
    unit = crossed[1] - crossed[0]
    return (crossed[0] if lifts else crossed[1]), np.where(unit > 0, unit, np.nan)


def _toward_rest(quarter: Array, unit: Array, sign: float) -> Array:
    """(swing,) the units as they are between quarter and rest, where a walker that slows down has others.

    What units do from swing to swing says how they change within one: from the middle of the swing to the middle
    between quarter and rest it is a little more than a unit. Over pauses nothing is said.
    """
    if len(unit) < _FEWEST:
        return unit
    middle = quarter + 0.5 * sign * unit
    change = np.gradient(unit, middle)
    steps = np.diff(middle)
    pause = np.concatenate([[False], steps > 2.5 * np.median(steps), [False]])
    change[pause[1:] | pause[:-1]] = 0.0
    return np.asarray(np.clip(unit * (1 - sign * _TO_REST * change), 0.7 * unit, 1.4 * unit))


def _crossing(gone: Array, share: float) -> Array:
    """(swing,) the first place, between two, where (swing, place) passes a share; NaN where it does not."""
    with np.errstate(invalid="ignore"):
        passes = (gone[:, :-1] < share) & (gone[:, 1:] >= share)
    rows, here = np.arange(len(gone)), passes.argmax(axis=1)
    low, high = gone[rows, here], gone[rows, here + 1]
    part = np.divide(share - low, high - low, out=np.zeros_like(low), where=high > low)
    return np.where(passes.any(axis=1), here + part, np.nan)


def _rest(mean: Array, count: Array, raw: float) -> tuple[float, float]:
    """When the foot leaves its rest, in units from the quarter, and its standard deviation.

    Before that moment the foot rests, after it goes as a polynomial of fourth degree; with the third degree the moment
    of a minimum-jerk swing is 0.07 units late, with the fifth it has twice the error. Whether the velocity starts with
    a jump is left open: both are taken as far as they are probable (Schwarz 1978), with the noise that the best fit
    leaves. The moment is the mean of its probability. Where the fit leaves more than the noise from place to place, the
    errors last, as those of smoothed poses do: neighbors then say the same, and a start that is too early is not
    believed.
    """
    smooth_start, jump = _left(mean, count, 4), _left(mean, count, 5)  # (rest, 2)
    bins = max(int((count > 0).sum()), 7)
    noise = np.maximum(jump.min(axis=0) / (bins - 6), 1e-12 * np.max(np.abs(mean)) ** 2 + 1e-300)
    alike = float(np.clip(noise.mean() / max(raw**2, 1e-300), 1.0, _MOST_ALIKE))
    noise = alike * noise
    misfit = np.stack([(smooth_start / noise).sum(axis=1), (jump / noise).sum(axis=1) + 2 * np.log(bins)])
    early = (np.minimum(_RESTS - _EARLIEST, 0) / _EARLIER) ** 2 * (alike - 1) / (_MOST_ALIKE - 1)
    usual = ((_RESTS - _USUAL_REST) / _USUAL_SPREAD) ** 2 + early
    weight = np.exp(-0.5 * (misfit - misfit.min() + usual)).sum(axis=0)
    weight /= weight.sum()
    moment = float(weight @ _RESTS)
    return moment, float(np.sqrt(weight @ (_RESTS - moment) ** 2 + (_RESTS[1] - _RESTS[0]) ** 2 / 12))


def _left(mean: Array, count: Array, terms: int) -> Array:
    """(rest, 2) sums of squares that a fit of the first terms of the basis leaves, for every moment."""
    basis = _BASIS[:, :terms]
    weighted = basis * count
    normal = weighted @ basis.transpose(0, 2, 1) + 1e-9 * np.eye(terms)
    right = weighted @ mean
    return np.asarray(count @ mean**2 - (np.linalg.solve(normal, right) * right).sum(axis=1))
