"""From the time stamps of one camera to its frame rate and its dropped frames."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.errors import InvalidValueError
from calibration.schema import as_floats
from calibration.synchronization.clocks import Timing

__all__ = ["timing_of", "video_timing"]

# A gap counts as dropped frames where the stamps stay shifted: a late stamp that the next ones make good is only late.
# Stamps of webcams (charuco_4cam) scatter by 0.05 frames, with single ones of 0.25, so that the median of five on
# either side is far from half a frame.
_NEIGHBORS = 5
_LEAST_GAP = 0.5
# Jitter of the stamping itself is independent from frame to frame: the squared differences of its deviations from a
# line are twice the squared deviations (von Neumann 1941; 2.0 to 2.2 in charuco_4cam). Where frames really come
# irregularly deviations add up: 0.1 in the two cameras of that recording that lost their pace.
_INDEPENDENT = 1.0
# Deviations below this share of a frame are what file formats round to.
_ROUNDING = 0.02


def timing_of(times: ArrayLike, *, subject: object = "time stamps", frame_rate: float | None = None) -> Timing:
    """What the time stamps of one camera say about its frames.

    Dropped frames are gaps of whole frames after which the stamps stay late. What remains is a straight line and
    jitter, which the line averages out; where the deviations add up instead of being independent, the frames come
    irregularly, and the stamps themselves are kept.

    Args:
        times: (frame,) increasing seconds of the frames in the file.
        subject: what to name in errors.
        frame_rate: frames per second, where it is known; measured by default.

    Raises:
        InvalidValueError: a stamp is missing, or they do not increase.
    """
    stamps = as_floats(times, subject)
    if stamps.ndim != 1 or not len(stamps):
        raise InvalidValueError(
            subject, expected="a list of seconds", got=f"shape {stamps.shape}", remedy="Give one time per frame."
        )
    bad = np.flatnonzero(~np.isfinite(stamps[1:]) | ~(np.diff(stamps) > 0))
    if len(bad) or not np.isfinite(stamps[0]):
        frame = 0 if not np.isfinite(stamps[0]) else int(bad[0]) + 1
        raise InvalidValueError(
            f"{subject}, frame {frame}",
            expected="a time later than that of the frame before",
            got=f"{stamps[frame]:.6f} s after {stamps[max(0, frame - 1)]:.6f} s, at {max(1, len(bad))} such places",
            remedy="Sort the rows by frame; if the clock was set during the recording, cut the file there.",
        )
    stamps = stamps - stamps[0]
    if len(stamps) < 2:
        return Timing(frame_rate or 1.0, 1)
    interval = float(np.median(np.diff(stamps)))
    drops = _drops(stamps, interval)
    numbers = np.arange(len(stamps), dtype=np.float64)
    for frame, number in drops:
        numbers[frame:] += number
    slope, start = np.polyfit(numbers, stamps, 1) if len(stamps) > 2 else (interval, 0.0)
    deviation = stamps - (start + slope * numbers)
    if _is_regular(deviation, interval):
        return Timing(float(1 / slope), len(stamps), drops)
    return Timing(1 / interval, len(stamps), drops, stamps)


def video_timing(path: str | os.PathLike[str]) -> Timing:
    """What the presentation times of a video say about its frames.

    Raises:
        FileFormatError: the file is missing or no video.
    """
    from calibration.video import open_video

    with open_video(path, pixel_format="gray") as video:
        times, rate = video.times, video.frame_rate
    if len(times) < 2:
        return Timing(rate or 1.0, 1)
    return timing_of(times, subject=path)


def _drops(stamps: NDArray[np.float64], interval: float) -> tuple[tuple[int, int], ...]:
    drops = []
    steps = np.diff(stamps)
    late = steps / interval - 1
    # A camera that catches up spreads the gap over two steps.
    pair = np.concatenate([late[:-1] + late[1:], [0.0]])
    both = np.minimum(late, np.concatenate([late[1:], [0.0]])) > _LEAST_GAP / 3
    spread = (pair > _LEAST_GAP) & both
    second = np.concatenate([[False], spread[:-1] & (late[1:] >= late[:-1])])
    single = (late > _LEAST_GAP) & ~spread & ~np.concatenate([[False], spread[:-1]])
    first = spread & ~np.concatenate([second[1:], [False]])
    for frame in (np.flatnonzero(single | first | second) + 1).tolist():
        low, high = max(0, frame - _NEIGHBORS), min(len(stamps), frame + _NEIGHBORS)
        before = np.median(stamps[low:frame] - interval * np.arange(low - frame, 0))
        after = np.median(stamps[frame:high] - interval * np.arange(high - frame))
        number = round(float((after - before) / interval))
        if number >= 1:
            drops.append((int(frame), number))
    return tuple(drops)


def _is_regular(deviation: NDArray[np.float64], interval: float) -> bool:
    spread = float(np.sqrt(np.mean(deviation**2)))
    if spread < _ROUNDING * interval or len(deviation) < 4:
        return True
    return float(np.mean(np.diff(deviation) ** 2)) > _INDEPENDENT * spread**2
