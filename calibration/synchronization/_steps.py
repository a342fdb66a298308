"""Following an offset through a recording: slow drift, and steps where frames were dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.synchronization._network import Line, Network, Samples
from calibration.synchronization._search import best_shift, scan
from calibration.synchronization.clocks import Timing

__all__ = ["follow", "with_drops"]

_WINDOWS = 24
_SHORTEST = 80  # frames of a window
_REACH = 8.0  # frames around what the window before had
_STEP = 0.5  # frames
_PARTNERS = 2
_SAMPLES = 1000  # of a window
_LEAST_CONTRAST = 1.3  # how much higher the residuals are off the best offset, where a window says something
_LEAST_STEP = 0.6  # frames


class _Window(NamedTuple):
    middle: int
    offset: float


def follow(network: Network, camera: str, others: Sequence[str], lines: dict[str, Line], start: float) -> Line:
    """The line of a camera whose offset in the middle of the recording is `start`; dropped frames are put in.

    Windows are followed from the middle to both ends. Where the offset changes by whole frames at once, frames were
    dropped: by this camera where it grows, by the other where it falls. Where exactly, is where the residuals of all
    frames are smallest. Drops go into the timing of the network.
    """
    interval = network.tracks[camera].interval
    windows = _windows(network, camera, others, lines, start)
    if len(windows) < 3:
        return Line(start)
    middles = network.tracks[camera].times[[window.middle for window in windows]]
    offsets = np.array([window.offset for window in windows])
    steps, slope = _split(middles, offsets, interval)
    own: list[tuple[int, int]] = []
    theirs: list[tuple[int, int]] = []
    partner = others[0]
    for index in np.flatnonzero(steps):
        number = int(steps[index])
        both = (float(offsets[index]), float(offsets[index]) + number * interval)
        near = (float(middles[index]), float(middles[index + 1]))
        here, there = _locate(network, camera, partner, lines[partner], both, near)
        if number > 0:
            own.append((here, number))
        else:
            theirs.append((there, -number))
    _put_in(network, camera, own)
    _put_in(network, partner, theirs)
    times = network.tracks[camera].times[[window.middle for window in windows]]
    straight = offsets - np.concatenate([[0.0], np.cumsum(steps)]) * interval
    middle = float(np.median(straight - slope * times))
    return Line(middle, 1 + slope)


def with_drops(timing: Timing, drops: Sequence[tuple[int, int]]) -> Timing:
    """The timing with further frames missing before frames of the file."""
    together = dict(timing.dropped)
    for frame, number in drops:
        if 0 < frame < timing.count:
            together[frame] = together.get(frame, 0) + number
    dropped = tuple(sorted(together.items()))
    if timing.times is None:
        return replace(timing, dropped=dropped)
    times = timing.times.copy()
    for frame, number in drops:
        times[frame:] += number * timing.interval
    return replace(timing, dropped=dropped, times=times)


def _put_in(network: Network, camera: str, drops: Sequence[tuple[int, int]]) -> None:
    if drops:
        network.set_timing(camera, with_drops(network.timing[camera], drops))


def _windows(
    network: Network, camera: str, others: Sequence[str], lines: dict[str, Line], start: float
) -> list[_Window]:
    """Windows in which the residuals say something, in order."""
    count, interval = len(network.tracks[camera].times), network.tracks[camera].interval
    number = max(1, min(_WINDOWS, count // _SHORTEST))
    edges = np.linspace(0, count, number + 1).round().astype(np.intp)
    grid = np.arange(-_REACH, _REACH + _STEP / 2, _STEP) * interval
    found: dict[int, _Window] = {}
    half = number // 2
    for order in (range(half, number), range(half - 1, -1, -1)):
        last = found[half].offset if half in found else start
        for index in order:
            frames = slice(int(edges[index]), int(edges[index + 1]))
            costs = scan(network, camera, others[:_PARTNERS], lines, last + grid, frames, most=_SAMPLES)
            offset, _, contrast = best_shift(last + grid, costs)
            inside = abs(offset - last) < (_REACH - 1) * interval
            if contrast > _LEAST_CONTRAST and inside:
                found[index] = _Window(int((edges[index] + edges[index + 1]) // 2), offset)
                last = offset
    return [found[index] for index in sorted(found)]


def _split(
    middles: NDArray[np.float64], offsets: NDArray[np.float64], interval: float
) -> tuple[NDArray[np.intp], float]:
    """Whole frames between consecutive windows, and the slope of what remains."""
    changes, spans = np.diff(offsets), np.diff(middles)
    slope = float(np.median(changes / spans))
    frames = (changes - slope * spans) / interval
    steps = np.where(np.abs(frames) > _LEAST_STEP, np.rint(frames), 0).astype(np.intp)
    straight = offsets - np.concatenate([[0], np.cumsum(steps)]) * interval
    rows, columns = np.triu_indices(len(straight), 1)
    return steps, float(np.median((straight[columns] - straight[rows]) / (middles[columns] - middles[rows])))


def _locate(
    network: Network, camera: str, other: str, line: Line, offsets: tuple[float, float], near: tuple[float, float]
) -> tuple[int, int]:
    """The frame of the camera, and that of the other, at which the second offset becomes better than the first.

    Args:
        network, camera, other, line: who is compared, and the line of the other.
        offsets: of the camera, before and after.
        near: camera times between which to look.
    """
    rests = []
    for offset in offsets:
        rests.append(_by_frame(network, (camera, other), (Line(offset), line), near))
    own = _cut(rests[0], rests[1])
    there = (_elsewhere(offsets[0], line, near[0]), _elsewhere(offsets[1], line, near[1]))
    backwards = [_by_frame(network, (other, camera), (line, Line(offset)), there) for offset in offsets]
    return own, _cut(backwards[0], backwards[1])


def _elsewhere(offset: float, line: Line, time: float) -> float:
    """The time of the other camera at a time of the camera."""
    return (offset + time - line.offset) / line.rate


def _by_frame(
    network: Network, pair: tuple[str, str], lines: tuple[Line, Line], near: tuple[float, float]
) -> tuple[int, NDArray[np.float64]]:
    """The first frame, and (frame, point) absolute residuals, of the first camera between two of its times."""
    low, high = np.searchsorted(network.tracks[pair[0]].times, near)
    shape = (int(high - low), network.tracks[pair[0]].value.shape[1])
    rows, points = np.indices(shape)
    samples = Samples(rows.ravel() + int(low), points.ravel())
    return int(low), np.abs(network.residuals(pair, samples, lines)).reshape(shape)


def _cut(before: tuple[int, NDArray[np.float64]], after: tuple[int, NDArray[np.float64]]) -> int:
    """Frames before the cut by the first residuals, from it on by the second, have the smallest sum."""
    first, one = before
    two = after[1]
    limit = 3 * 1.4826 * float(np.nanmedian(np.fmin(one, two)))
    gain = np.nan_to_num(np.minimum(two, limit) - np.minimum(one, limit)).sum(1)
    return first + int(np.argmax(np.concatenate([[0.0], np.cumsum(gain)])))
