"""Which pictures of the cameras belong together: by presentation time, by a table of frame times, or by number."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration.errors import InvalidValueError, MismatchError, SuiteWarning
from calibration.nearest import nearest_index
from calibration.observations._clock_times import times_by_clocks
from calibration.observations._inventory import Inventory
from calibration.observations._naming import match_names
from calibration.observations.timestamps import CameraStamps, read_timestamps

if TYPE_CHECKING:
    from calibration.synchronization.clocks import Synchronization

__all__ = ["Instants", "match_pictures", "match_times"]

# Rows of a table of frame times that the video has no pictures for: recorders lose the last few when they are stopped.
_LARGEST_LOSS = 0.05
# Share of the numbers in the names of images that cameras have in common where the numbers mean the same.
_FEWEST_SHARED = 0.5


@dataclass(frozen=True, eq=False)
class Instants:
    """Pictures that belong together.

    Attributes:
        numbers: (instant,) number of each instant: its sync_index, or counted from 0.
        picture: (camera, instant) index of the picture of each camera, -1 where it has none.
        time: (camera, instant) seconds on the common clock, NaN where unknown or without a picture.
        how: what the pictures were matched by, in words.
    """

    numbers: NDArray[np.int64]
    picture: NDArray[np.int64]
    time: NDArray[np.float64]
    how: str

    def __len__(self) -> int:
        return len(self.numbers)


def match_pictures(
    cameras: Mapping[str, Inventory],
    *,
    timestamps: str | os.PathLike[str] | None = None,
    offsets: Mapping[str, float] | None = None,
    clocks: Synchronization | None = None,
    synchronized: bool = True,
) -> Instants:
    """Match the pictures of cameras.

    Args:
        cameras: the pictures of each.
        timestamps: a table of frame times, see `calibration.observations.timestamps`.
        offsets: seconds to add to the times of a camera to come to the common clock; 0 where left out.
        clocks: of all cameras, with drift and dropped frames, instead of a table or offsets.
        synchronized: False takes every picture for an instant of its own, as for intrinsics alone.

    Raises:
        MismatchError: the pictures cannot be matched, or the table or the clocks do not fit the cameras.
        InvalidValueError: an offset is for no camera, or no finite number; clocks are given beside a table or offsets.
        FileFormatError: the table cannot be read.

    Warns:
        SuiteWarning: cameras or pictures are left out, or it is only assumed that the cameras started together.
    """
    shift = _check_offsets(cameras, offsets)
    if clocks is not None and (timestamps is not None or offsets is not None):
        raise InvalidValueError(
            "clocks",
            expected="clocks, or a table of frame times, or offsets",
            got="clocks and " + ("a table of frame times" if timestamps is not None else "offsets"),
            remedy="Give one of them: both together would correct twice.",
        )
    kinds = {camera.source.kind for camera in cameras.values()}
    if not synchronized:
        return _each_alone(cameras)
    if clocks is not None:
        return match_times(
            times_by_clocks(cameras, clocks), how=f"the clocks of all cameras, told by {clocks.reference}'s"
        )
    if timestamps is not None:
        return _by_table(cameras, timestamps, shift)
    if kinds == {"images"}:
        return _by_number(cameras)
    if len(kinds) > 1:
        videos = [name for name, camera in cameras.items() if camera.source.kind == "video"]
        raise MismatchError(
            "pictures of the cameras",
            expected="videos of all cameras, or images of all",
            got=f"videos of {', '.join(videos)} and images of the others",
            remedy="Images have no time: give a table of frame times, or calibrate the lenses alone (unsynchronized).",
        )
    _warn_of_other_lengths(cameras, offsets)
    times = [camera.times + shift[name] for name, camera in cameras.items()]
    return match_times(times, how="presentation time, from the start of each video" + (" and offsets" * bool(offsets)))


def match_times(times: list[NDArray[np.float64]], *, how: str = "time") -> Instants:
    """Match pictures by their times on one clock, nearest to nearest and one to one.

    The camera with the longest frame interval comes first; its pictures are the instants. A picture of a further
    camera joins the instant nearest to it if it is also the nearest picture to that instant, and closer than half its
    own interval. Pictures of a faster camera in between are left out; where no instant is within half the longest
    interval, because the others had not started, had ended or lost pictures, a picture makes an instant of its own.

    Args:
        times: of each camera (n,) strictly increasing seconds; (camera, ...).
        how: what to say the pictures were matched by.
    """
    interval = [float(np.median(np.diff(each))) if len(each) > 1 else 0.0 for each in times]
    longest = max(interval)
    order = sorted(range(len(times)), key=lambda camera: (-interval[camera], camera))
    clock = np.zeros(0)
    picture = np.full((len(times), 0), -1, dtype=np.int64)
    for camera in order:
        tolerance = (interval[camera] or longest) / 2 * (1 + 1e-6)  # two clocks of one rate, half a frame apart
        at, instant = _nearest_pairs(times[camera], clock, tolerance)
        picture[camera, instant] = at
        alone = np.setdiff1d(np.arange(len(times[camera])), at)
        alone = alone[_distance(times[camera][alone], clock) > longest / 2]
        new = np.full((len(times), len(alone)), -1, dtype=np.int64)
        new[camera] = alone
        clock = np.concatenate([clock, times[camera][alone]])
        sequence = np.argsort(clock, kind="stable")
        clock, picture = clock[sequence], np.concatenate([picture, new], axis=1)[:, sequence]
    return Instants(np.arange(len(clock)), picture, _times_at(times, picture), how)


def _nearest_pairs(
    a: NDArray[np.float64], b: NDArray[np.float64], tolerance: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices into a and b of the pairs that are each other's nearest, and within the tolerance."""
    if not len(a) or not len(b):
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    to_b, to_a = nearest_index(a, b), nearest_index(b, a)
    index = np.arange(len(a))
    mutual = (to_a[to_b] == index) & (np.abs(a - b[to_b]) <= tolerance)
    return index[mutual], to_b[mutual]


def _distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.abs(a - b[nearest_index(a, b)]) if len(b) else np.full(len(a), np.inf)


def _times_at(times: list[NDArray[np.float64]], picture: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.stack([np.where(at >= 0, each[at], np.nan) for each, at in zip(times, picture, strict=True)])


def _check_offsets(cameras: Mapping[str, Inventory], offsets: Mapping[str, float] | None) -> dict[str, float]:
    shift = {name: float((offsets or {}).get(name, 0.0)) for name in cameras}
    unknown = [name for name in offsets or {} if name not in cameras]
    wrong = [name for name, value in shift.items() if not np.isfinite(value)]
    if unknown or wrong:
        raise InvalidValueError(
            "offsets",
            expected=f"finite seconds for cameras of {', '.join(cameras)}",
            got=f"one for {unknown[0]}" if unknown else f"{shift[wrong[0]]} for {wrong[0]}",
            remedy="Correct the offsets.",
        )
    return shift


def _each_alone(cameras: Mapping[str, Inventory]) -> Instants:
    counts = [len(camera) for camera in cameras.values()]
    picture = np.full((len(cameras), sum(counts)), -1, dtype=np.int64)
    start = 0
    for row, count in zip(picture, counts, strict=True):
        row[start : start + count] = np.arange(count)
        start += count
    times = _times_at([camera.times for camera in cameras.values()], picture)
    return Instants(np.arange(sum(counts)), picture, times, "nothing: every picture is an instant of its own")


def _warn_of_other_lengths(cameras: Mapping[str, Inventory], offsets: Mapping[str, float] | None) -> None:
    if len(cameras) < 2 or offsets is not None:
        return
    ends = {name: float(camera.times[-1] + np.nan_to_num(camera.interval)) for name, camera in cameras.items()}
    longest = max(ends.values())
    frame = max(float(np.nan_to_num(camera.interval)) for camera in cameras.values())
    short = [name for name, end in ends.items() if longest - end > 2 * frame]
    if short:
        whole = [name for name in ends if name not in short]
        told = ", that of ".join(f"{name} ends at {ends[name]:.2f} s" for name in short)
        warnings.warn(
            f"the video of {told}, before {'that' if len(whole) == 1 else 'those'} of {', '.join(whole)} at "
            f"{longest:.2f} s. If a file was cut or not copied whole, copy it again. All videos are taken to have "
            "started together; if they did not, give their clocks (`pose3d sync`) or a table of frame times.",
            SuiteWarning,
            stacklevel=4,
        )


def _by_number(cameras: Mapping[str, Inventory]) -> Instants:
    numbers = [camera.numbers for camera in cameras.values()]
    known = [each for each in numbers if each is not None]
    shared = set.intersection(*(set(each.tolist()) for each in known)) if len(known) == len(numbers) else set()
    few = min(len(camera) for camera in cameras.values()) * _FEWEST_SHARED
    if len(known) < len(numbers) or len(shared) < few:  # counters of cameras that each count for themselves
        return _by_order(cameras)
    union = np.unique(np.concatenate(known))
    picture = np.full((len(cameras), len(union)), -1, dtype=np.int64)
    for row, each in zip(picture, known, strict=True):
        row[np.searchsorted(union, each)] = np.arange(len(each))
    for name, row in zip(cameras, picture, strict=True):
        missing = union[row < 0]
        if len(missing):
            warnings.warn(
                f"camera '{name}' has no image of the number {', '.join(map(str, missing[:5]))}"
                + (f" and of {len(missing) - 5} more" if len(missing) > 5 else "")
                + ", which other cameras have",
                SuiteWarning,
                stacklevel=4,
            )
    return Instants(union, picture, np.full(picture.shape, np.nan), "the number in the names of the images")


def _by_order(cameras: Mapping[str, Inventory]) -> Instants:
    counts = {name: len(camera) for name, camera in cameras.items()}
    if len(set(counts.values())) > 1:
        raise MismatchError(
            "images of the cameras",
            expected="the same numbers in the names of the images of all cameras, or as many images of each",
            got=", ".join(f"{count} of {name}" for name, count in counts.items()),
            remedy="Number those that were taken at the same time alike (left01, right01), or calibrate the lenses "
            "alone (unsynchronized).",
        )
    if len(cameras) > 1:
        warnings.warn(
            "the names of the images have no or few numbers in common; the images of the cameras are taken to belong "
            "together in the order of their names",
            SuiteWarning,
            stacklevel=5,
        )
    count = next(iter(counts.values()))
    picture = np.tile(np.arange(count), (len(cameras), 1))
    return Instants(np.arange(count), picture, np.full(picture.shape, np.nan), "the order of the names of the images")


def _by_table(cameras: Mapping[str, Inventory], path: str | os.PathLike[str], shift: Mapping[str, float]) -> Instants:
    table = read_timestamps(path)
    match = match_names(list(cameras), list(table))
    missing = [name for name in cameras if name not in match]
    if missing:
        raise MismatchError(
            f"{path}",
            expected=f"rows of camera '{missing[0]}'",
            got=f"rows of {', '.join(table)}",
            remedy="Name the cameras as the table does (CAMERA=PATH), or rename them in the table.",
        )
    left = [name for name in table if name not in match.values()]
    if left:
        warnings.warn(
            f"{path}: camera {', '.join(left)} has no pictures here; its rows are left out", SuiteWarning, stacklevel=4
        )
    rows = {name: table[match[name]] for name in cameras}
    pictures = {name: _pictures_of(path, name, rows[name], len(cameras[name])) for name in cameras}
    if all(each.instant is not None for each in rows.values()):
        return _by_instant(rows, pictures, shift)
    times = []
    for name, each in rows.items():
        if each.time is None:
            raise MismatchError(f"{path}, camera '{name}'", expected="times", got="none", remedy="Add a column time.")
        _check_unit(path, name, each, cameras[name])
        times.append(each.time[: len(pictures[name])] + shift[name])
    matched = match_times(times, how=f"the times in {os.fspath(path)}")
    by_row = [np.where(at >= 0, own[at], -1) for at, own in zip(matched.picture, pictures.values(), strict=True)]
    return Instants(matched.numbers, np.stack(by_row), matched.time, matched.how)


def _by_instant(
    rows: Mapping[str, CameraStamps], pictures: Mapping[str, NDArray[np.int64]], shift: Mapping[str, float]
) -> Instants:
    instants = [each.instant[: len(pictures[name])] for name, each in rows.items() if each.instant is not None]
    union = np.unique(np.concatenate(instants))
    picture = np.full((len(rows), len(union)), -1, dtype=np.int64)
    time = np.full(picture.shape, np.nan)
    for camera, (name, each) in enumerate(rows.items()):
        at = np.searchsorted(union, instants[camera])
        picture[camera, at] = pictures[name]
        if each.time is not None:
            time[camera, at] = each.time[: len(at)] + shift[name]
    numbers = union if union[0] >= 0 else union - union[0]
    return Instants(numbers, picture, time, "the sync_index of the table of frame times")


def _pictures_of(path: object, name: str, rows: CameraStamps, count: int) -> NDArray[np.int64]:
    """Index of the picture of every row; shorter than the rows where the video ends early."""
    length = len(next(each for each in (rows.frame, rows.time, rows.instant) if each is not None))
    if length == count:  # one row for every picture, whatever the file counts from
        return np.arange(count)
    if rows.frame is None:
        raise MismatchError(
            f"{path}, camera '{name}'",
            expected=f"a row for each of the {count} pictures",
            got=f"{length} rows, and no column that says which pictures they are",
            remedy="Add a column frame, or find out which pictures were lost: matching by order would be wrong.",
        )
    if rows.frame[0] > 0 and rows.frame[-1] - rows.frame[0] + 1 == count:  # counts on from an earlier recording
        return rows.frame - rows.frame[0]
    inside = rows.frame < count
    lost = int((~inside).sum())
    if rows.frame[0] == 0 and lost > _LARGEST_LOSS * length:
        raise MismatchError(
            f"video of camera '{name}'",
            expected=f"{rows.frame[-1] + 1} pictures, as {path} says",
            got=f"{count} pictures: it ends{_when(rows, count)}",
            remedy="If the video was cut or not copied whole, copy it again; else check that the table belongs to it.",
        )
    if rows.frame[0] < 0 or lost > _LARGEST_LOSS * length:
        raise MismatchError(
            f"{path}, camera '{name}'",
            expected=f"frames from 0 to {count - 1}",
            got=f"{rows.frame[0]} to {rows.frame[-1]}",
            remedy="Check that the table belongs to this video.",
        )
    if lost:
        warnings.warn(
            f"camera '{name}' ends early: its video has {count} pictures; {lost} rows of {path} are left out",
            SuiteWarning,
            stacklevel=5,
        )
    return rows.frame[inside]


def _when(rows: CameraStamps, count: int) -> str:
    """How long after the first picture a video of so many pictures ends, and the table."""
    if rows.time is None or rows.frame is None:
        return " early"
    last = int(np.searchsorted(rows.frame, count - 1, side="right")) - 1
    return f" after {rows.time[last] - rows.time[0]:.2f} s, the table goes on to {rows.time[-1] - rows.time[0]:.2f} s"


def _check_unit(path: object, name: str, rows: CameraStamps, camera: Inventory) -> None:
    """Milliseconds and nanoseconds are told from seconds by the frame rate of the video."""
    if rows.time is None or len(rows.time) < 2 or not camera.interval > 0:
        return
    interval = float(np.median(np.diff(rows.time)))
    if interval <= 0 or not 0.01 < interval / camera.interval < 100:
        raise MismatchError(
            f"{path}, camera '{name}'",
            expected=f"times in seconds, {camera.interval:.4g} from one picture to the next as in its video",
            got=f"{interval:.4g}",
            remedy="Convert the times to seconds (from milliseconds or nanoseconds).",
        )
