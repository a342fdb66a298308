"""From a blinking light that all cameras see to their clocks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.errors import CalibrationError, InvalidValueError, MismatchError
from calibration.schema import as_floats
from calibration.synchronization._lines import fit_line
from calibration.synchronization.clocks import Clock, Synchronization, Timing
from calibration.video import Video, open_video

__all__ = ["FlashSettings", "Flashes", "find_flashes", "read_brightness", "synchronize_flashes"]

_CELL = 8  # px; the picture is searched in cells of this side
_MOST_FRAMES = 3000  # for the search of the region
# Share of the way from dark to bright within which a frame is one or the other; between, it saw the change.
_LEVEL = 0.1
_LEAST_CONTRAST = 6.0  # bright minus dark over the noise within either
_LEAST_STEP = 8.0  # gray levels
_RATES = 300e-6  # largest drift that is looked for
_MOST_EVENTS = 400
# A rival offset with this share of the matches of the best is as good: with five events one may be missing.
_RIVAL = 0.8


class Flashes(NamedTuple):
    """When a light was switched, by one camera.

    Attributes:
        times: (event,) seconds of the camera's clock.
        on: (event,) True where it was switched on.
    """

    times: NDArray[np.float64]
    on: NDArray[np.bool_]


@dataclass(frozen=True)
class FlashSettings:
    """How to match flashes.

    Attributes:
        maximum_offset: seconds; larger offsets are not looked for.
        exposure: share of the frame interval for which the shutter is open; estimated from how often a frame is
            between dark and bright where not given.
    """

    maximum_offset: float = 600.0
    exposure: float | None = None


def read_brightness(
    path: str | os.PathLike[str], region: tuple[int, int, int, int] | None = None
) -> tuple[NDArray[np.float64], tuple[int, int, int, int]]:
    """(frame,) mean gray level of a region, and the region (x, y, width, height).

    Without a region the cells of the picture are searched for those that are either dark or bright and switch between
    the two the most clearly.

    Raises:
        FileFormatError: the file is no video.
        InvalidValueError: the region is not inside the picture.
        CalibrationError: nothing blinks.
    """
    with open_video(path, pixel_format="gray") as video:
        width, height = video.size
        if region is None:
            region = _search(video.path, _cells(video), video.size)
        x, y, w, h = region
        if not (x >= 0 and y >= 0 and w > 0 and h > 0 and x + w <= width and y + h <= height):
            raise InvalidValueError(
                f"{path}, region of the light",
                expected=f"x, y, width, height within {width} x {height} px",
                got=str(region),
                remedy="Look up the light in a picture of this camera.",
            )
        values = np.full(len(video), np.nan)
        for frame in video.frames():
            values[frame.index] = frame.image[y : y + h, x : x + w].mean()
    return values, region


def find_flashes(
    brightness: ArrayLike, timing: Timing, *, exposure: float | None = None, subject: object = "brightness"
) -> Flashes:
    """When the light was switched, from the brightness (frame,) of its region.

    A frame that saw the light for a part of its exposure is as bright as that part: that gives the time within the
    frame. Where no frame is between dark and bright the light was switched while the shutter was closed, and the time
    is the middle between two frames. Times are those of the middle of exposures.

    Raises:
        CalibrationError: the brightness does not switch between two levels.
    """
    values = as_floats(brightness, subject)
    level, is_on = _levels(values, subject)
    events = _changes(level, is_on)
    if not len(events):
        raise _no_light(subject, "a light that is never switched")
    mixed = np.array([event[2] is not None for event in events])
    share = float((mixed.sum() + 0.5) / (len(mixed) + 1)) / (1 - 2 * _LEVEL) if exposure is None else exposure
    share = float(np.clip(share, 0.02, 1.0))
    own = timing.at()
    times, directions = [], []
    for last, first, part, on in events:
        if part is None:
            times.append((own[last] + own[first]) / 2)
        else:
            times.append(own[last + 1] + share * timing.interval * (0.5 - part))
        directions.append(on)
    return Flashes(np.array(times), np.array(directions, dtype=bool))


def synchronize_flashes(
    flashes: Mapping[str, Flashes],
    timing: Mapping[str, Timing],
    *,
    reference: str | None = None,
    settings: FlashSettings | None = None,
) -> Synchronization:
    """The clocks of cameras that saw the same light.

    The offset (and drift) at which most flashes of a camera meet flashes of the reference, then a robust line through
    those that meet.

    Args:
        flashes: by camera.
        timing: of the frames, by camera.
        reference: camera whose clock is to be the common one; the first by default.
        settings: how to match.

    Raises:
        CalibrationError: the flashes do not match, or match equally well at several offsets.
        MismatchError: fewer than two cameras.
    """
    settings = settings or FlashSettings()
    names = list(flashes)
    first = names[0] if reference is None and names else str(reference)
    if len(names) < 2 or first not in flashes:
        raise MismatchError(
            "synchronization by a light",
            expected="flashes of at least two cameras, the reference among them",
            got=", ".join(names) or "none",
            remedy="Give the videos of all cameras of the recording.",
        )
    clocks = []
    for name in names:
        if name == first:
            clocks.append(Clock(first, timing[first], offset_std=0.0, rate_std=0.0, method="reference"))
        else:
            clocks.append(_match(name, flashes[name], flashes[first], timing[name], timing[first], settings))
    return Synchronization(tuple(clocks), first)


def _match(
    name: str, own: Flashes, base: Flashes, timing: Timing, base_timing: Timing, settings: FlashSettings
) -> Clock:
    tolerance = 0.6 * max(timing.interval, base_timing.interval)
    own, base = (Flashes(one.times[:_MOST_EVENTS], one.on[:_MOST_EVENTS]) for one in (own, base))
    offset, rate, votes, rivals = _vote(own, base, tolerance, settings.maximum_offset)
    possible = min(len(own.times), len(base.times))
    if votes < 2 and possible >= 2:
        raise CalibrationError(
            f"flashes of camera '{name}'",
            expected="at least two that match those of the reference",
            got=f"{votes} of {len(own.times)} and {len(base.times)}",
            remedy="Check the region of the light in both cameras, and that the recordings overlap.",
        )
    if rivals:
        raise CalibrationError(
            f"flashes of camera '{name}'",
            expected="a pattern of flashes that matches at one offset only",
            got=f"{votes} matches at {offset:.3f} s and {rivals[0][1]} at {rivals[0][0]:.3f} s",
            remedy="Let the light blink irregularly, or limit the largest offset if it is known roughly.",
        )
    times, values = _pairs(own, base, offset, rate, tolerance)
    # short exposures give times to whole frames in either camera, which differ by one
    line = fit_line(times, values, tolerance=2 * tolerance)
    inside = (own.times + offset >= base.times[0] - tolerance) & (own.times + offset <= base.times[-1] + tolerance)
    return Clock(
        name,
        timing,
        offset=line.offset,
        rate=1 + line.slope,
        offset_std=line.offset_std,
        rate_std=line.slope_std,
        method="led",
        quality=float(min(1.0, line.inliers.sum() / max(1, int(inside.sum())))),
    )


def _vote(
    own: Flashes, base: Flashes, tolerance: float, longest: float
) -> tuple[float, float, int, list[tuple[float, int]]]:
    """Offset and rate with most matches, how many, and other offsets that have nearly as many."""
    span = float(own.times[-1] - own.times[0])
    number = int(np.ceil(_RATES * span / tolerance))
    middle = float(own.times.mean())
    best, everything = (0.0, 1.0, 0), []
    same = base.on[:, None] == own.on[None, :]
    for slope in np.linspace(-_RATES, _RATES, 2 * number + 1) if number else (0.0,):
        turned = middle + (own.times - middle) * (1 + slope)
        differences = np.sort((base.times[:, None] - turned[None, :])[same])
        differences = differences[np.abs(differences) <= longest]
        if not len(differences):
            continue
        counts = np.searchsorted(differences, differences + 2 * tolerance, side="right") - np.arange(len(differences))
        at = int(np.argmax(counts))
        everything.append((differences, counts))
        if counts[at] > best[2]:
            center = float(np.mean(differences[at : at + counts[at]]))
            best = (center - middle * slope, 1 + slope, int(counts[at]))
    rivals: list[tuple[float, int]] = []
    center = best[0] + middle * (best[1] - 1)
    for differences, counts in everything:
        away = np.abs(differences + tolerance - center) > 4 * tolerance
        if away.any() and counts[away].max() >= max(1, _RIVAL * best[2]):
            at = int(np.argmax(np.where(away, counts, 0)))
            rivals.append((float(differences[at]), int(counts[at])))
    return *best, sorted(rivals, key=lambda one: -one[1])


def _pairs(
    own: Flashes, base: Flashes, offset: float, rate: float, tolerance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times of flashes and offsets of the nearest flashes of the reference, where there is one."""
    times, values = [], []
    for time, on in zip(own.times, own.on, strict=True):
        candidates = base.times[base.on == on]
        if len(candidates):
            nearest = candidates[np.argmin(np.abs(candidates - (offset + rate * time)))]
            if abs(nearest - (offset + rate * time)) <= 2 * tolerance:
                times.append(time)
                values.append(nearest - time)
    return np.array(times), np.array(values)


def _levels(values: NDArray[np.float64], subject: object) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Brightness with dark at 0 and bright at 1, and which frames are rather bright."""
    known = values[np.isfinite(values)]
    if len(known) < 4:
        raise _no_light(subject, f"{len(known)} frames")
    threshold = (float(known.min()) + float(known.max())) / 2
    for _ in range(20):  # two means
        low, high = known[known <= threshold], known[known > threshold]
        if not len(low) or not len(high):
            raise _no_light(subject, "the same brightness in all frames")
        threshold = (float(np.median(low)) + float(np.median(high))) / 2
    dark, bright = float(np.median(low)), float(np.median(high))
    noise = 1.4826 * float(np.median(np.concatenate([np.abs(low - dark), np.abs(high - bright)])))
    if bright - dark < max(_LEAST_STEP, _LEAST_CONTRAST * noise):
        raise _no_light(
            subject, f"a brightness that varies by {bright - dark:.1f} gray levels with {noise:.1f} of noise"
        )
    level = (values - dark) / (bright - dark)
    return level, np.asarray(level > 0.5)


def _changes(level: NDArray[np.float64], is_on: NDArray[np.bool_]) -> list[tuple[int, int, float | None, bool]]:
    """(last frame before, first frame after, lit part of the exposure in between or None, switched on) per event."""
    events: list[tuple[int, int, float | None, bool]] = []
    frame = 0
    while frame < len(level) - 1:
        if is_on[frame + 1] == is_on[frame]:
            frame += 1
            continue
        on = bool(is_on[frame + 1])
        part, last, first = None, frame, frame + 1
        for middle in (frame, frame + 1):
            between = _LEVEL < level[middle] < 1 - _LEVEL
            if between and 0 < middle < len(level) - 1:
                part = float(level[middle] if on else 1 - level[middle])
                last, first = middle - 1, middle + 1
        events.append((last, first, part, on))
        frame = first if first > frame else frame + 1
    return events


def _cells(video: Video) -> NDArray[np.float32]:
    """(frame, row, column) mean gray levels of square cells."""
    rows = []
    for frame in video.frames(range(min(len(video), _MOST_FRAMES))):
        image = frame.image
        height, width = (side // _CELL * _CELL for side in image.shape)
        cells = image[:height, :width].reshape(height // _CELL, _CELL, width // _CELL, _CELL)
        rows.append(cells.mean((1, 3), dtype=np.float32))
    return np.stack(rows)


def _search(path: object, cells: NDArray[np.float32], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The region of the cell that switches most clearly between two levels, with those around that do the same."""
    low, high = np.percentile(cells, (2, 98), axis=0)
    middle = (low + high) / 2
    lit = cells > middle
    count = np.maximum(lit.sum(0), 1), np.maximum((~lit).sum(0), 1)
    bright, dark = (cells * lit).sum(0) / count[0], (cells * ~lit).sum(0) / count[1]
    within = np.sqrt(((cells - np.where(lit, bright, dark)) ** 2).mean(0))
    changes = (lit[1:] != lit[:-1]).sum(0)
    score = np.where((bright - dark > _LEAST_STEP) & (changes >= 1), (bright - dark) / (within + 2.0), 0.0)
    row, column = np.unravel_index(int(np.argmax(score)), score.shape)
    if score[row, column] < 3:
        raise _no_light(path, "no part of the picture that switches between dark and bright")
    same = (lit == lit[:, row : row + 1, column : column + 1]).mean(0) > 0.98
    rows = [int(row) + step for step in (-1, 0, 1) if 0 <= row + step < same.shape[0]]
    columns = [int(column) + step for step in (-1, 0, 1) if 0 <= column + step < same.shape[1]]
    used = [(r, c) for r in rows for c in columns if same[r, c] and score[r, c] > 0.5 * score[row, column]]
    top, left = min(r for r, _ in used) * _CELL, min(c for _, c in used) * _CELL
    bottom, right = (max(r for r, _ in used) + 1) * _CELL, (max(c for _, c in used) + 1) * _CELL
    return left, top, min(right, size[0]) - left, min(bottom, size[1]) - top


def _no_light(subject: object, got: str) -> CalibrationError:
    return CalibrationError(
        f"{subject}, light",
        expected="a light that is switched on and off",
        got=got,
        remedy="Give its region (--led CAMERA=X,Y,WIDTH,HEIGHT), or synchronize by sound, time stamps or motion.",
    )
