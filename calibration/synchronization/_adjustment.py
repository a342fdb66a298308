"""Offsets and rates of all cameras together: least squares of the epipolar residuals over time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.synchronization._network import Line, Network, Samples

__all__ = ["Adjusted", "adjust"]

_SAMPLES = 120_000  # of all pairs
_FEWEST = 1000  # of one pair
_ROUNDS = 15
_BLOCKS = 40  # of time, within which errors may be alike
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


def adjust(network: Network, lines: dict[str, Line], reference: str) -> Adjusted:
    """Gauss-Newton over offset and rate of every camera but the reference, with Cauchy weights.

    The covariance is that of grouped scores (Liang and Zeger 1986, over blocks of time): smooth tracks and a posture
    that is held have errors that belong together, and to count every sample would promise too much.
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
        if np.abs(step[::2]).max(initial=0.0) < 1e-7:
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
    spread = max(1.4826 * float(np.median(np.abs(rest))), 1e-6) if len(rest) else 1.0
    own = network.tracks[one].times[frames]
    there = (lines[one].offset + lines[one].rate * own - lines[two].offset) / lines[two].rate
    jacobian = np.zeros((len(rest), 2 * len(free)))
    for name, sign, times in ((one, 1.0, own), (two, -1.0, there)):
        if name in free:
            at = 2 * free.index(name)
            jacobian[:, at] = sign * slope / lines[two].rate / spread
            jacobian[:, at + 1] = jacobian[:, at] * times
    rest = rest / spread
    length = float(network.tracks[one].times[-1]) or 1.0
    block = np.minimum((own / length * _BLOCKS).astype(np.intp), _BLOCKS - 1)
    return _Piece(rest, jacobian, 1 / (1 + (rest / 2.385) ** 2), block)


def _covariance(
    pieces: Sequence[_Piece], normal: NDArray[np.float64], prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    scores = np.zeros((_BLOCKS, len(normal)))
    for piece in pieces:
        np.add.at(scores, piece.block, piece.jacobian * (piece.weight * piece.rest)[:, None])
    used = max(2, int(np.any(scores != 0, axis=1).sum()))
    middle = scores.T @ scores * used / (used - 1) + np.diag(prior)
    inverse = np.linalg.inv(normal)
    return inverse @ middle @ inverse


def _quality(name: str, samples: dict[tuple[str, str], Samples], pieces: Sequence[_Piece]) -> float:
    mine = [piece.rest for pair, piece in zip(samples, pieces, strict=True) if name in pair]
    rest = np.concatenate(mine) if mine else np.empty(0)
    return float(np.mean(np.abs(rest) < 3)) if len(rest) else 0.0
