"""Finding the offset of a camera to others from nothing: over all shifts, then between frames."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from calibration.synchronization._epipolar import robust_cost, sampson
from calibration.synchronization._groups import group_medians
from calibration.synchronization._network import Line, Network

__all__ = ["best_shift", "candidates", "scan"]

_BLOCK = 2000  # frames from the middle: 100 ppm are 0.2 frames over them
_SAMPLES = 3000
_FEWEST = 30
_COARSE_SAMPLES = 500
_COARSE_PARTNERS = 2
_CHUNK = 100  # shifts at once
_LEAST_OVERLAP = 0.2  # of the samples that the best overlap has
_CANDIDATES = 6
_APART = 2  # frames between two candidates


def candidates(
    network: Network, camera: str, others: Sequence[str], lines: dict[str, Line], longest: float
) -> list[float]:
    """Offsets in seconds at which the camera might fit to others, the best first; whole frames.

    With a rig by the median epipolar residual of moving points, else by the correlation of speeds.
    """
    track = network.tracks[camera]
    ends = [(lines[other].offset, network.tracks[other].times[-1] + lines[other].offset) for other in others]
    low = max(-longest, min(start for start, _ in ends) - track.times[-1])
    high = min(longest, max(end for _, end in ends))
    shifts = np.arange(np.ceil(low / track.interval), np.floor(high / track.interval) + 1) * track.interval
    if not len(shifts):
        return []
    if network.rig is not None:
        scores = -_epipolar_costs(network, camera, others, lines, shifts)
    else:
        scores = np.max([_speed_scores(network, camera, other, lines[other], shifts) for other in others], axis=0)
    return [float(shifts[index]) for index in _peaks(scores)]


def scan(
    network: Network,
    camera: str,
    others: Sequence[str],
    lines: dict[str, Line],
    shifts: NDArray[np.float64],
    frames: slice | None = None,
    *,
    relearn: bool = False,
    most: int = _SAMPLES,
) -> NDArray[np.float64]:
    """(shift,) median epipolar residuals of the camera to the others at offsets in seconds.

    Without a rig and with `relearn`, the geometry is estimated anew at every offset.
    """
    samples = network.samples(camera, frames, most=most)
    rate = lines[camera].rate if camera in lines else 1.0
    costs = np.full(len(shifts), np.inf)
    known = np.zeros(len(shifts))
    for index, shift in enumerate(shifts):
        rests = []
        for other in others:
            pair, both = (camera, other), (Line(float(shift), rate), lines[other])
            if relearn:
                network.estimate(pair, samples, both)
            rests.append(_centered(network.residuals(pair, samples, both), samples.points))
        together = np.concatenate(rests)
        known[index] = np.isfinite(together).sum()
        costs[index] = robust_cost(together, _FEWEST)
    costs[known < _LEAST_OVERLAP * known.max()] = np.inf
    return costs


def _centered(rests: NDArray[np.float64], points: NDArray[np.intp]) -> NDArray[np.float64]:
    """The residuals minus the median of each point's, which is the detector's and not the clock's."""
    result = np.full_like(rests, np.nan)
    known = np.isfinite(rests)
    result[known] = rests[known] - group_medians(rests[known], points[known])
    return result


def best_shift(shifts: NDArray[np.float64], costs: NDArray[np.float64]) -> tuple[float, float, float]:
    """Offset with the lowest cost, between the grid's by a parabola; that cost, and how much higher it is at the ends.

    The last is the smaller of the two ends' costs divided by the lowest; 1 where the residuals tell nothing.
    """
    at = int(np.argmin(costs))
    lowest = float(costs[at])
    if not np.isfinite(lowest):
        return float(shifts[at]), np.inf, 1.0
    place = float(shifts[at])
    if 0 < at < len(shifts) - 1 and np.isfinite(costs[at - 1 : at + 2]).all():
        # squares of residuals are parabolas of the offset
        left, middle, right = costs[at - 1 : at + 2] ** 2
        bend = left - 2 * middle + right
        if bend > 0:
            place += 0.5 * float((left - right) / bend) * float(shifts[at] - shifts[at - 1])
    sides = min(float(costs[0]), float(costs[-1]))
    return place, lowest, sides / max(lowest, 1e-12) if np.isfinite(sides) else np.inf


def _epipolar_costs(
    network: Network, camera: str, others: Sequence[str], lines: dict[str, Line], shifts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(shift,) median residuals at whole frames, of some samples and with the nearest frames of the others."""
    track = network.tracks[camera]
    start = max(0, (len(track.times) - _BLOCK) // 2)
    samples = network.samples(camera, slice(start, min(len(track.times), start + _BLOCK)), most=_COARSE_SAMPLES)
    own = track.value[samples.frames, samples.points]
    partners = others[:_COARSE_PARTNERS]
    costs = np.full(len(shifts), np.inf)
    counts = np.zeros(len(shifts))
    for first in range(0, len(shifts), _CHUNK):
        some = shifts[first : first + _CHUNK]
        rests = []
        for other in partners:
            elsewhere, line = network.tracks[other], lines[other]
            there = (track.times[samples.frames] + some[:, None] - line.offset) / line.rate
            nearest = np.searchsorted(elsewhere.times, there - elsewhere.interval / 2)
            inside = np.minimum(nearest, len(elsewhere.times) - 1)
            value = elsewhere.value[inside, samples.points]
            value[np.abs(elsewhere.times[inside] - there) > elsewhere.interval] = np.nan
            flat = sampson(network.fundamentals[camera, other], np.tile(own, (len(some), 1)), value.reshape(-1, 2))
            rests.append(np.abs(flat).reshape(len(some), -1))
        together = np.concatenate(rests, axis=1)
        counts[first : first + _CHUNK] = np.isfinite(together).sum(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # no overlap at all
            costs[first : first + _CHUNK] = np.nanmedian(together, axis=1)
    return np.where(counts >= max(_FEWEST, _LEAST_OVERLAP * counts.max()), costs, np.inf)


def _speed_scores(
    network: Network, camera: str, other: str, line: Line, shifts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(shift,) correlation of the speeds of the points in two cameras, on the frames of the first."""
    track = network.tracks[camera]
    own, own_known = _standard(track.speed)
    elsewhere = network.tracks[other]
    length = int(np.ceil((elsewhere.times[-1]) / track.interval)) + 1
    grid = np.arange(length) * track.interval
    nearest = np.clip(np.searchsorted(elsewhere.times, grid - elsewhere.interval / 2), 0, len(elsewhere.times) - 1)
    there, there_known = _standard(elsewhere.speed[nearest])
    products, counts, squares = 0.0, 0.0, 0.0
    for point in range(own.shape[1]):
        products = products + fftconvolve(there[:, point], own[::-1, point])
        counts = counts + fftconvolve(there_known[:, point], own_known[::-1, point])
        squares = squares + fftconvolve(there[:, point] ** 2, own_known[::-1, point]) * 0.5
        squares = squares + fftconvolve(there_known[:, point], own[::-1, point] ** 2) * 0.5
    lag = np.rint((shifts - line.offset) / track.interval).astype(np.int64) + len(own) - 1
    inside = (lag >= 0) & (lag < len(np.atleast_1d(products)))
    lag = np.clip(lag, 0, len(np.atleast_1d(products)) - 1)
    enough = inside & (np.asarray(counts)[lag] >= max(_FEWEST, _LEAST_OVERLAP * np.max(counts)))
    with np.errstate(invalid="ignore", divide="ignore"):
        score = np.asarray(products)[lag] / np.asarray(squares)[lag]
    return np.where(enough & np.isfinite(score), score, -np.inf)


def _standard(speed: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Speeds with mean 0 and spread 1 per point, 0 where unknown; and 1 where known."""
    known = np.isfinite(speed)
    filled = np.where(known, speed, 0.0)
    count = np.maximum(known.sum(0), 1)
    centered = np.where(known, filled - filled.sum(0) / count, 0.0)
    spread = np.sqrt((centered**2).sum(0) / count)
    return np.clip(centered / np.maximum(spread, 1e-9), -3, 3), known.astype(np.float64)


def _peaks(scores: NDArray[np.float64]) -> list[int]:
    rest = scores.copy()
    found: list[int] = []
    while len(found) < _CANDIDATES and np.isfinite(rest).any():
        at = int(np.argmax(rest))
        found.append(at)
        rest[max(0, at - _APART) : at + _APART + 1] = -np.inf
    return found
