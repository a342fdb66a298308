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
_BLOCK_SECONDS = 0.5
_FEWEST_GROUPS = 4  # with fewer their spread is not known
_FEWEST_PAIRS = 3
# For so long the error of a detector at a point is taken for steady: seconds, and at least so many frames.
_STEADY = 2.0
_STEADY_FRAMES = 30
_STEP = 2.0  # frames, to either side
_LEAST_SHARE = 0.05
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
    """Residuals of a pair, divided by their spread, and their derivatives by the parameters, where they are known."""

    rest: NDArray[np.float64]
    jacobian: NDArray[np.float64]
    weight: NDArray[np.float64]
    block: NDArray[np.intp]
    point: NDArray[np.intp]
    known: NDArray[np.bool_]
    spread: float


def adjust(network: Network, lines: dict[str, Line], reference: str) -> Adjusted:
    """Gauss-Newton over offset and rate of every camera but the reference, with Cauchy weights.

    The covariance is that of grouped scores (Liang and Zeger 1986), each group left out (Bell and McCaffrey 2002): by
    blocks of time, by points, and by pairs of cameras weighed half, added. Smooth tracks, a posture that is held, a
    detector's habits and lenses have errors that belong together, and to count every sample would promise too much. In
    3 s of simulated animals (15 offsets of 5 seeds) errors are 1.2 standard deviations RMS (4 cameras, 60 Hz; 2.0 with
    3 and 100 Hz).

    What is constant in the residuals of a point in a pair of cameras over two seconds is removed (a fixed effect):
    detectors put a hip in one view where it is not in another (7 to 13 px in human_4cam), and divided by a steady speed
    such an error would be an offset. What is left to tell the offset is motion that changes.
    """
    names = [name for name in network.tracks if name in lines]
    free = [name for name in names if name != reference]
    samples = _choose(network, names)
    found = dict(lines)
    count = 2 * len(free)
    prior = np.tile([0.0, 1 / _RATE_PRIOR**2], len(free))
    pieces: list[_Piece] = []
    normal = np.eye(count)
    for _ in range(_ROUNDS):
        pieces = [_linearize(network, pair, chosen, found, free) for pair, chosen in samples.items()]
        normal = np.diag(prior) + 1e-12 * np.eye(count)
        for piece in pieces:
            normal += (piece.jacobian * piece.weight[:, None]).T @ piece.jacobian
        step = -np.linalg.solve(normal, _gradient(pieces, found, free, prior))
        for index, name in enumerate(free):
            limit = network.tracks[name].interval
            found[name] = Line(
                found[name].offset + float(np.clip(step[2 * index], -limit, limit)),
                found[name].rate + float(np.clip(step[2 * index + 1], -1e-3, 1e-3)),
            )
        if np.abs(step[::2]).max(initial=0.0) < 1e-6:
            break
    curvature = _curvature(network, samples, pieces, found, free, prior, normal)
    spread = np.sqrt(np.diag(_covariance(pieces, normal, curvature, prior)))
    return Adjusted(
        found,
        {name: float(spread[2 * index]) for index, name in enumerate(free)},
        {name: float(spread[2 * index + 1]) for index, name in enumerate(free)},
        {name: _quality(name, samples, pieces) for name in names},
    )


def _gradient(
    pieces: Sequence[_Piece], lines: dict[str, Line], free: Sequence[str], prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(parameter,) of half the cost."""
    rate_error = np.array([value for name in free for value in (0.0, lines[name].rate - 1)])
    gradient = prior * rate_error
    for piece in pieces:
        gradient = gradient + piece.jacobian.T @ (piece.weight * piece.rest)
    return np.asarray(gradient)


def _curvature(
    network: Network,
    samples: dict[tuple[str, str], Samples],
    pieces: Sequence[_Piece],
    lines: dict[str, Line],
    free: Sequence[str],
    prior: NDArray[np.float64],
    normal: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(parameter, parameter) by how much the gradient changes, measured two frames to either side.

    The product of the Jacobian with itself also counts noise of the velocities as motion, which gave standard
    deviations two to four times too small on recordings of 3 s; with these differences they still are 1.2 to 2 times
    too small on moving animals.
    """
    result = np.zeros_like(normal)
    for index, name in enumerate(free):
        track = network.tracks[name]
        length = max(float(track.times[-1]), track.interval)
        for column, step in ((2 * index, _STEP * track.interval), (2 * index + 1, 2 * _STEP * track.interval / length)):
            ends = []
            for way in (step, -step):
                line = lines[name]
                moved = Line(line.offset + way, line.rate) if column % 2 == 0 else Line(line.offset, line.rate + way)
                there = {**lines, name: moved}
                beside = [
                    _linearize(network, pair, chosen, there, free, frozen)
                    for (pair, chosen), frozen in zip(samples.items(), pieces, strict=True)
                ]
                ends.append(_gradient(beside, there, free, prior))
            result[:, column] = (ends[0] - ends[1]) / (2 * step)
    # What is left of the curvature may not vanish or turn: then the offset is as good as unknown, not known to be 0.
    root = np.linalg.cholesky(normal)
    inverse = np.linalg.inv(root)
    share, axes = np.linalg.eigh(inverse @ (result + result.T) @ inverse.T / 2)
    return np.asarray(root @ (axes * np.clip(share, _LEAST_SHARE, None)) @ axes.T @ root.T)


def _choose(network: Network, names: Sequence[str]) -> dict[tuple[str, str], Samples]:
    pairs = list(combinations(names, 2))
    most = max(_FEWEST, _SAMPLES // max(1, len(pairs)))
    return {pair: network.samples(pair[0], most=most) for pair in pairs}


def _linearize(
    network: Network,
    pair: tuple[str, str],
    samples: Samples,
    lines: dict[str, Line],
    free: Sequence[str],
    frozen: _Piece | None = None,
) -> _Piece:
    """The residuals of a pair; with spread and weights of `frozen`, or by their own."""
    one, two = pair
    both = (lines[one], lines[two])
    step = 0.25 * network.tracks[two].interval
    rest = network.residuals(pair, samples, both)
    slope = (network.residuals(pair, samples, both, step) - network.residuals(pair, samples, both, -step)) / (2 * step)
    known = np.isfinite(rest) & np.isfinite(slope)
    if frozen is not None:
        known = known & frozen.known
    rest, slope, frames = rest[known], slope[known], samples.frames[known]
    length = float(network.tracks[one].times[-1]) or 1.0
    own = network.tracks[one].times[frames]
    points = _groups(samples.points[known], own, max(_STEADY, _STEADY_FRAMES * network.tracks[one].interval), length)
    away = np.abs(rest - group_medians(rest, points))
    spread = max(1.4826 * float(np.median(away)), 1e-6) if len(rest) else 1.0
    spread = spread if frozen is None else frozen.spread
    there = (lines[one].offset + lines[one].rate * own - lines[two].offset) / lines[two].rate
    jacobian = np.zeros((len(rest), 2 * len(free)))
    for name, sign, times in ((one, 1.0, own), (two, -1.0, there)):
        if name in free:
            at = 2 * free.index(name)
            jacobian[:, at] = sign * slope / lines[two].rate / spread
            jacobian[:, at + 1] = jacobian[:, at] * times
    rest = rest / spread
    weight = 1 / (1 + ((rest - group_medians(rest, points)) / 2.385) ** 2)
    if frozen is not None:
        weight = frozen.weight[known[frozen.known]]
    rest, jacobian = _without_bias(rest, weight, points), _without_bias(jacobian, weight, points)
    number = int(np.clip(length / _BLOCK_SECONDS, 4, _BLOCKS))
    block = np.minimum((own / length * number).astype(np.intp), number - 1)
    return _Piece(rest, jacobian, weight, block, samples.points[known], known, spread)


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
    pieces: Sequence[_Piece], normal: NDArray[np.float64], curvature: NDArray[np.float64], prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(parameter, parameter) of the estimate: what leaving out each group would change, over several ways to group."""
    weighted = [piece.jacobian * piece.weight[:, None] for piece in pieces]
    scores = [one * piece.rest[:, None] for one, piece in zip(weighted, pieces, strict=True)]
    middle = np.diag(prior)
    for kind in ("block", "point", "pair"):
        groups = [_group_of(piece, kind, number) for number, piece in enumerate(pieces)]
        count = max((int(each.max(initial=0)) + 1 for each in groups), default=1)
        total, taken = np.zeros((count, len(normal))), np.zeros((count, *normal.shape))
        for each, one, score, piece in zip(groups, weighted, scores, pieces, strict=True):
            np.add.at(total, each, score)
            for group in np.unique(each):
                chosen = each == group
                taken[group] += one[chosen].T @ piece.jacobian[chosen]
        used = np.flatnonzero(np.any(total != 0, axis=1))
        if len(used) < (_FEWEST_PAIRS if kind == "pair" else _FEWEST_GROUPS):
            continue
        # Half of a group's share at most is taken off, so that a group that alone tells a camera stays finite.
        share = 0.5 if kind == "pair" else 1.0
        moved = np.stack([normal @ np.linalg.solve(normal - share * taken[g] + np.diag(prior), total[g]) for g in used])
        middle = middle + moved.T @ moved * (len(used) - 1) / len(used)
    inverse = np.linalg.inv(curvature)
    return np.asarray(inverse @ middle @ inverse.T)


def _group_of(piece: _Piece, kind: str, number: int) -> NDArray[np.intp]:
    if kind == "pair":
        return np.full(len(piece.rest), number, dtype=np.intp)
    return piece.block if kind == "block" else piece.point


def _quality(name: str, samples: dict[tuple[str, str], Samples], pieces: Sequence[_Piece]) -> float:
    mine = [piece.rest for pair, piece in zip(samples, pieces, strict=True) if name in pair]
    rest = np.concatenate(mine) if mine else np.empty(0)
    return float(np.mean(np.abs(rest) < 3)) if len(rest) else 0.0
