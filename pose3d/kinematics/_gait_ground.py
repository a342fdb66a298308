"""The ground that feet stand on: which way is up, where the body travels, and how fast the belt below it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.signal import savgol_filter
from scipy.stats import linregress

from pose3d.kinematics._gait_legs import LegTracks, Timing, Walker, lost, noise_of, runs_of, slope_noise, walker_of
from pose3d.kinematics._gait_settings import GaitSettings
from pose3d.skeleton import Leg, Skeleton

__all__ = [
    "Ground",
    "along",
    "belt_of_stances",
    "ground_of",
    "lengths",
    "period_of",
    "smooth",
    "walkers_of",
    "with_belt",
]

Array = NDArray[np.float64]

# How much it counts beside the place of the body that feet are at one end of their range (1 where they always are), by
# how much an axis must be ahead of others, and how many places are looked at.
_SKEW = 2.0
_CLEARLY = 1.3
_ENOUGH = 20_000
# The body of an overground walker is about as fast as its feet move backward below it, that of one on a treadmill has
# no speed; half is halfway.
_TRAVELS = 0.5
# Autocorrelation of the motion of the feet that a stride must have, and share of the highest peak at which the first
# one counts: later ones are multiples of the stride.
_PERIODIC = 0.2
_FIRST_PEAK = 0.6
_LONGEST_STRIDE = 5.0  # s
# So many pieces of a recording, of so many seconds, spread over it, tell how it walks.
_PIECES = 20
_PIECE = 30.0
# Shares of a stance between which a foot stands on the belt: it rolls on after contact and before lift-off, where it
# has a heel and a toe; and Zeni's method has stances that are some longer than they are.
_FLAT = (0.25, 0.65)
_STANDING = (0.15, 0.85)
# The body counts as standing below this share of its usual fast speed; it keeps its direction then.
_STANDS = 0.2
# and below so many standard deviations of what noise makes of its speed.
_MOTION = 5.0


@dataclass(frozen=True, eq=False)
class Ground:
    """What the feet stand on.

    Attributes:
        up: (3,) unit vector.
        direction: (place, 3) level unit vectors of travel.
        direction_std: standard deviation of its angle in rad, from the noise of the body; 0 where it does not change.
        treadmill: whether the body stays where it is.
        belt: speed of the belt, against the direction of travel; 0 overground.
        belt_std: its standard deviation; 0 where it was given.
        period: of a stride in seconds.
        periodic: whether the period was found or given, and not assumed.
    """

    up: Array
    direction: Array
    direction_std: float
    treadmill: bool
    belt: float
    belt_std: float
    period: float
    periodic: bool

    def standing(self, track: Array, rate: float) -> Array:
        """A track (place, 3) as one that stands on the belt sees it."""
        if not self.treadmill:
            return track
        return track + self.belt / rate * np.arange(len(track))[:, None] * self.direction

    def height(self, track: Array) -> Array:
        """(place,) how far up."""
        return track @ self.up


def walkers_of(
    poses: xr.Dataset,
    individuals: Sequence[str],
    skeleton: Skeleton | None,
    legs: Sequence[Leg],
    timing: Timing,
    settings: GaitSettings,
) -> tuple[list[Walker], Array]:
    """The tracks of individuals, and the direction (3,) that is up for all of them."""
    walkers = [walker_of(poses, name, skeleton, legs, timing, settings.longest_gap) for name in individuals]
    return walkers, _upward(walkers, settings.up)


def _upward(walkers: Sequence[Walker], up: str) -> Array:
    """The unit vector that points upward.

    "automatic" is the axis along which hips or body are far from the feet, and along which feet are most of the time at
    one end of their range: they stand on the ground and nothing takes them below it. z where no axis is much more so
    than others.
    """
    result = np.zeros(3)
    if up != "automatic":
        result["xyz".index(up[-1])] = -1.0 if up.startswith("-") else 1.0
        return result
    above, skewed = np.zeros(3), []
    for leg in (leg for walker in walkers for leg in walker.legs):
        some = slice(None, None, 1 + len(leg.foot) // _ENOUGH)
        foot, apart = leg.foot[some], leg.hip[some] - leg.foot[some]
        foot, apart = foot[~lost(foot)], apart[~lost(apart)]
        if len(apart) and len(foot):
            above += np.median(apart, axis=0)
            low, middle, high = np.percentile(foot, [2, 50, 98], axis=0)
            skewed.append((high + low - 2 * middle) / np.maximum(high - low, 1e-12))
    told = above / max(float(np.abs(above).max()), 1e-12) + _SKEW * np.median([np.zeros(3), *skewed], axis=0)
    order = np.argsort(np.abs(told))
    sure = abs(told[order[2]]) > _CLEARLY * abs(told[order[1]])
    axis = int(order[2]) if sure else 2
    result[axis] = -1.0 if sure and told[axis] < 0 else 1.0
    return result


def ground_of(walker: Walker, rate: float, up: Array, settings: GaitSettings) -> Ground:
    """The ground of an individual; the speed of a belt that was not given is found later."""
    pieces = _pieces(len(walker.body), rate)
    relative = [_level(leg.foot[piece] - walker.body[piece], up) for leg in walker.legs for piece in pieces]
    found = period_of(relative, rate) if settings.period is None else settings.period
    seen = int((~lost(walker.body)).sum())
    period = found if found is not None else min(1.0, max(seen, 2) / rate / 2)
    treadmill = settings.surface == "treadmill" or settings.belt_speed is not None
    if settings.surface == "automatic" and settings.belt_speed is None:
        treadmill = not _travels([walker.body[piece] for piece in pieces], relative, rate, up, period)
    turn = 0.0
    if settings.direction is not None:
        given = _level(np.asarray(settings.direction, dtype=np.float64)[None], up)
        direction = np.broadcast_to(_unit(given), walker.body.shape)
    elif treadmill:
        direction = np.broadcast_to(_stroke(walker.legs, walker.body, up), walker.body.shape)
    else:
        direction, turn = _heading(walker.body, rate, up, period)
    return Ground(up, direction, turn, treadmill, settings.belt_speed or 0.0, 0.0, period, found is not None)


def with_belt(ground: Ground, belt: float, std: float) -> Ground:
    """The ground with a belt of this speed."""
    return replace(ground, treadmill=True, belt=belt, belt_std=std)


def period_of(tracks: Sequence[Array], rate: float) -> float | None:
    """The usual time of a stride, from the autocorrelation of the velocities of feet (place, 3); None without one."""
    longest = int(_LONGEST_STRIDE * rate)
    total = np.zeros(longest + 1)
    for track in tracks:
        velocity = np.diff(track, axis=0)
        velocity[lost(velocity)] = 0.0
        padded = 1 << int(np.ceil(np.log2(len(velocity) + longest + 1)))
        spectrum = np.fft.rfft(velocity, padded, axis=0)
        total += np.fft.irfft((np.abs(spectrum) ** 2).sum(axis=1), padded)[: longest + 1]
    # Noise has no correlation but with its neighbors, as differences; what is left of the motion counts.
    usual = total[2:4].mean() if len(total) > 4 else 0.0
    if usual <= 0:
        return None
    total = total / usual
    inner = np.flatnonzero((total[1:-1] >= total[:-2]) & (total[1:-1] > total[2:])) + 1
    falls = 2 + np.flatnonzero(total[2:] < 0)  # differences of noise are against their neighbors
    peaks = inner[(inner > (falls[0] if len(falls) else longest)) & (total[inner] > _PERIODIC)]
    if not len(peaks):
        return None
    first = peaks[total[peaks] >= _FIRST_PEAK * total[peaks].max()][0]
    return float(first / rate)


def smooth(track: Array, window: int, *, derivative: int = 0) -> Array:
    """A track (place, ...) or its derivative per place, by parabolas fitted to windows; runs are taken by themselves.

    The window is odd. A run that is shorter than the window is lost.
    """
    flat = track.reshape(len(track), -1)
    result = np.full_like(flat, np.nan)
    for start, stop in runs_of(~np.isnan(sum(flat.T))):
        if stop - start >= window:
            result[start:stop] = savgol_filter(flat[start:stop], window, 2, deriv=derivative, axis=0)
    return result.reshape(track.shape)


def along(track: Array, direction: Array) -> Array:
    """(place,) the part of vectors (place, 3) along directions (place, 3)."""
    return track[:, 0] * direction[:, 0] + track[:, 1] * direction[:, 1] + track[:, 2] * direction[:, 2]


def lengths(vectors: Array) -> Array:
    """(place,) lengths of vectors (place, 3)."""
    return np.sqrt(along(vectors, vectors))


def belt_of_stances(
    legs: Sequence[LegTracks], stances: Sequence[Sequence[tuple[float, float]]], direction: Array, rate: float
) -> tuple[float, float]:
    """Speed of the belt and its standard deviation, from the middle of stances: (contact, lift-off) of every leg.

    NaN without a stance of three frames.
    """
    speeds = []
    for leg, own in zip(legs, stances, strict=True):
        onward = along(leg.foot, direction)
        for contact, lift_off in own:
            first, last = (
                round(contact + share * (lift_off - contact)) for share in (_FLAT if leg.rolls else _STANDING)
            )
            piece = onward[max(first, 0) : last + 1]
            if len(piece) >= 3 and np.isfinite(piece).all():
                speeds.append(-linregress(np.arange(len(piece)), piece).slope * rate)
    if not speeds:
        return np.nan, np.nan
    middle = float(np.median(speeds))
    spread = 1.4826 * float(np.median(np.abs(np.array(speeds) - middle)))
    # 1.25: what the median of normal values is worse than their mean
    return middle, 1.25 * spread / np.sqrt(len(speeds))


def _pieces(places: int, rate: float) -> list[slice]:
    """The pieces of a recording that are looked at; all of it where it is short."""
    size = int(_PIECE * rate)
    if places <= _PIECES * size:
        return [slice(None)]
    return [slice(start, start + size) for start in np.linspace(0, places - size, _PIECES).astype(int).tolist()]


def _travels(bodies: Sequence[Array], relative: Sequence[Array], rate: float, up: Array, period: float) -> bool:
    """Whether the body gets ahead as fast as its feet fall behind it in stance."""
    lag, short = max(2, round(period * rate)), max(1, round(0.1 * period * rate))
    moved = np.concatenate([lengths(_level(body[lag:] - body[:-lag], up)) / lag for body in bodies])
    steps = np.concatenate([lengths(track[short:] - track[:-short]) / short for track in relative])
    moved, steps = moved[np.isfinite(moved)], steps[np.isfinite(steps)]
    if not len(moved) or not len(steps):
        return False
    return bool(np.percentile(moved, 75) > _TRAVELS * np.percentile(steps, 50))


def _stroke(legs: Sequence[LegTracks], body: Array, up: Array) -> Array:
    """Level unit vector along which feet go to and fro: forward where they are high."""
    apart = [_level(leg.foot - body, up) for leg in legs]
    usable = [track[np.isfinite(track).all(axis=1)] for track in apart]
    centered = np.concatenate([track - track.mean(axis=0) for track in usable if len(track)] or [np.zeros((1, 3))])
    _, vectors = np.linalg.eigh(centered.T @ centered)
    axis = vectors[:, -1]
    votes = 0.0
    for leg, track in zip(legs, apart, strict=True):
        # over some places, so that the motion and not the noise votes
        speed, height = (track[4:] - track[:-4]) @ axis, (leg.foot @ up)[2:-2]
        fine = np.isfinite(speed) & np.isfinite(height)
        if fine.any():
            votes += float(np.sum(speed[fine] * (height[fine] - np.median(height[fine]))))
    return _unit((axis if votes >= 0 else -axis)[None])[0]


def _heading(body: Array, rate: float, up: Array, period: float) -> tuple[Array, float]:
    """(place, 3) level unit vectors of the motion of the body over a stride, and what noise turns them by, in rad.

    While it stands those of where it moved; all NaN where it never moves.
    """
    window = min(max(5, round(period * rate) | 1), (len(body) - 1) | 1)
    velocity = _level(smooth(body, window, derivative=1), up)
    speed = lengths(velocity)
    seen = speed[np.isfinite(speed)]
    result = np.full_like(body, np.nan)
    if not len(seen) or seen.max() <= 0:
        return result, np.nan
    least = _MOTION * slope_noise(noise_of(body), window)
    moving = np.flatnonzero(speed > max(_STANDS * float(np.percentile(seen, 90)), least))
    if not len(moving):
        return result, np.nan
    places = np.arange(len(body))
    nearest = np.stack([np.interp(places, moving, velocity[moving, axis] / speed[moving]) for axis in range(3)], axis=1)
    return _unit(nearest), least / _MOTION / float(np.median(speed[moving]))


def _level(vectors: Array, up: Array) -> Array:
    return vectors - (vectors @ up)[..., None] * up


def _unit(vectors: Array) -> Array:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
