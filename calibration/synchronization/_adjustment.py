"""Offsets and rates of all cameras together: least squares of the epipolar residuals over time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.synchronization._groups import group_medians
from calibration.synchronization._network import Line, Network, Samples

__all__ = ["Adjusted", "adjust"]

_SAMPLES = 120_000  # of all pairs
_FEWEST = 1000  # of one pair
_ROUNDS = 15
_BLOCKS = 40  # of time, within which errors may be alike
_BLOCK_FRAMES = 15
_FEWEST_GROUPS = 4  # with fewer their spread is not known
# For so long the error of a detector at a point is taken for steady: seconds, and at least so many frames.
_STEADY = 2.0
_STEADY_FRAMES = 30
# Before anything is seen of it, the rate of a camera is 1 with this standard deviation: quartz clocks are good to 100
# ppm, and frame rates are rounded (29.97 for 30 is 1000 ppm).
_RATE_PRIOR = 300e-6


class Adjusted(NamedTuple):
    """What `adjust` found: lines and standard deviations by camera, and the share of residuals that agree."""

    lines: dict[str, Line]
    offset_std: dict[str, float]
    rate_std: dict[str, float]
    quality: dict[str, float]


class _Piece(NamedTuple):
    """Residuals of a pair, divided by their spread, and their derivatives by the parameters."""

    rest: NDArray[np.float64]
    jacobian: NDArray[np.float64]
    weight: NDArray[np.float64]
    block: NDArray[np.intp]
    point: NDArray[np.intp]


def adjust(network: Network, lines: dict[str, Line], reference: str) -> Adjusted:
    """Gauss-Newton over offset and rate of every camera but the reference, with Cauchy weights.

    The covariance is that of grouped scores (Liang and Zeger 1986), once by blocks of time and once by points, added:
    smooth tracks, a posture that is held and a detector's habits have errors that belong together, and to count every
    sample would promise too much.

    What is constant in the residuals of a point in a pair of cameras over two seconds is removed (a fixed effect):
    detectors put a hip in one view where it is not in another (7 to 13 px in human_4cam), and divided by a steady speed
    such an error would be an offset. What is left to tell the offset is motion that changes.
    """
    names = [name for name in network.tracks if name in lines]
    free = [name for name in names if name != reference]
    samples = _choose(network, names)
    found = dict(lines)
    count = 2 * len(free)
    covariance = np.full((count, count), np.nan)
    prior = np.tile([0.0, 1 / _RATE_PRIOR**2], len(free))
    pieces: list[_Piece] = []
    for _ in range(_ROUNDS):
        pieces = [_linearize(network, pair, chosen, found, free) for pair, chosen in samples.items()]
        rate_error = np.array([value for name in free for value in (0.0, found[name].rate - 1)])
        normal = np.diag(prior) + 1e-12 * np.eye(count)
        gradient = prior * rate_error
        for piece in pieces:
            normal += (piece.jacobian * piece.weight[:, None]).T @ piece.jacobian
            gradient += piece.jacobian.T @ (piece.weight * piece.rest)
        step = -np.linalg.solve(normal, gradient)
        covariance = _covariance(pieces, normal, prior)
        for index, name in enumerate(free):
            limit = network.tracks[name].interval
            found[name] = Line(
                found[name].offset + float(np.clip(step[2 * index], -limit, limit)),
                found[name].rate + float(np.clip(step[2 * index + 1], -1e-3, 1e-3)),
            )
        if np.abs(step[::2]).max(initial=0.0) < 1e-6:
            break
    spread = np.sqrt(np.diag(covariance))
    return Adjusted(
        found,
        {name: float(spread[2 * index]) for index, name in enumerate(free)},
        {name: float(spread[2 * index + 1]) for index, name in enumerate(free)},
        {name: _quality(name, samples, pieces) for name in names},
    )


def _choose(network: Network, names: Sequence[str]) -> dict[tuple[str, str], Samples]:
    pairs = list(combinations(names, 2))
    most = max(_FEWEST, _SAMPLES // max(1, len(pairs)))
    return {pair: network.samples(pair[0], most=most) for pair in pairs}


def _linearize(
    network: Network, pair: tuple[str, str], samples: Samples, lines: dict[str, Line], free: Sequence[str]
) -> _Piece:
    one, two = pair
    both = (lines[one], lines[two])
    step = 0.25 * network.tracks[two].interval
    rest = network.residuals(pair, samples, both)
    slope = (network.residuals(pair, samples, both, step) - network.residuals(pair, samples, both, -step)) / (2 * step)
    known = np.isfinite(rest) & np.isfinite(slope)
    rest, slope, frames = rest[known], slope[known], samples.frames[known]
    length = float(network.tracks[one].times[-1]) or 1.0
    own = network.tracks[one].times[frames]
    points = _groups(samples.points[known], own, max(_STEADY, _STEADY_FRAMES * network.tracks[one].interval), length)
    away = np.abs(rest - group_medians(rest, points))
    spread = max(1.4826 * float(np.median(away)), 1e-6) if len(rest) else 1.0
    there = (lines[one].offset + lines[one].rate * own - lines[two].offset) / lines[two].rate
    jacobian = np.zeros((len(rest), 2 * len(free)))
    for name, sign, times in ((one, 1.0, own), (two, -1.0, there)):
        if name in free:
            at = 2 * free.index(name)
            jacobian[:, at] = sign * slope / lines[two].rate / spread
            jacobian[:, at + 1] = jacobian[:, at] * times
    rest = rest / spread
    weight = 1 / (1 + ((rest - group_medians(rest, points)) / 2.385) ** 2)
    rest, jacobian = _without_bias(rest, weight, points), _without_bias(jacobian, weight, points)
    number = int(np.clip(len(network.tracks[one].times) // _BLOCK_FRAMES, 4, _BLOCKS))
    block = np.minimum((own / length * number).astype(np.intp), number - 1)
    return _Piece(rest, jacobian, weight, block, samples.points[known])


def _groups(points: NDArray[np.intp], times: NDArray[np.float64], steady: float, length: float) -> NDArray[np.intp]:
    """(sample,) the number of the point and stretch of time that each sample belongs to; none is empty."""
    stretches = max(1, round(length / steady))
    stretch = np.minimum((times / length * stretches).astype(np.intp), stretches - 1)
    return np.unique(points * stretches + stretch, return_inverse=True)[1].ravel()


def _without_bias(
    values: NDArray[np.float64], weight: NDArray[np.float64], groups: NDArray[np.intp]
) -> NDArray[np.float64]:
    """The values (sample, ...) minus the weighted mean of their group."""
    count = int(groups.max(initial=0)) + 1
    flat = values.reshape(len(values), -1)
    total = np.maximum(np.bincount(groups, weight, count), 1e-12)
    means = np.stack([np.bincount(groups, weight * column, count) / total for column in flat.T], axis=-1)
    return (flat - means[groups]).reshape(values.shape)


def _covariance(
    pieces: Sequence[_Piece], normal: NDArray[np.float64], prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    middle = np.diag(prior)
    for kind in ("block", "point"):
        count = max((int(getattr(piece, kind).max(initial=0)) + 1 for piece in pieces), default=1)
        scores = np.zeros((count, len(normal)))
        for piece in pieces:
            np.add.at(scores, getattr(piece, kind), piece.jacobian * (piece.weight * piece.rest)[:, None])
        used = int(np.any(scores != 0, axis=1).sum())
        if used >= _FEWEST_GROUPS:
            middle = middle + scores.T @ scores * used / (used - 1)
    inverse = np.linalg.inv(normal)
    return inverse @ middle @ inverse


def _quality(name: str, samples: dict[tuple[str, str], Samples], pieces: Sequence[_Piece]) -> float:
    mine = [piece.rest for pair, piece in zip(samples, pieces, strict=True) if name in pair]
    rest = np.concatenate(mine) if mine else np.empty(0)
    return float(np.mean(np.abs(rest) < 3)) if len(rest) else 0.0
