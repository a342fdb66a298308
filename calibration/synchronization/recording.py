"""From the videos of a session to the clocks of their cameras, by whatever tells them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError, FileFormatError, InvalidValueError, SuiteError, SuiteWarning
from calibration.rig import Rig
from calibration.synchronization.audio import AudioSettings, read_sound, synchronize_audio
from calibration.synchronization.clocks import Synchronization, Timing
from calibration.synchronization.flashes import FlashSettings, find_flashes, read_brightness, synchronize_flashes
from calibration.synchronization.motion import MotionSettings, Track, synchronize_motion
from calibration.synchronization.timestamps import synchronize_timestamps
from calibration.synchronization.verification import verify

__all__ = ["METHODS", "Recording", "find_videos", "synchronize_recording"]

METHODS = ("auto", "timestamps", "audio", "led", "motion")
_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".avi", ".mpg", ".mpeg", ".mts", ".webm")


@dataclass(frozen=True)
class Recording:
    """What is known of a recording; all by camera.

    Attributes:
        timing: when frames were taken on each camera's own clock, as `video_timing` says.
        videos: the files.
        stamps: seconds of all frames on one clock.
        tracks: moving points.
        rig: the calibrated cameras.
        regions: (x, y, width, height) of the light; searched in cameras that are not here.
    """

    timing: Mapping[str, Timing]
    videos: Mapping[str, Path] = field(default_factory=dict)
    stamps: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    tracks: Mapping[str, Track] = field(default_factory=dict)
    rig: Rig | None = None
    regions: Mapping[str, tuple[int, int, int, int]] = field(default_factory=dict)


def find_videos(folder: Path) -> dict[str, Path]:
    """The videos of a session by the names of their cameras, which are those of the files.

    Raises:
        FileFormatError: there is no such folder.
        InvalidValueError: two videos have the same name.
    """
    if not folder.is_dir():
        raise FileFormatError(
            folder,
            expected="the folder of a session, with a video per camera",
            got="a file" if folder.exists() else "no such folder",
            remedy="Give the folder, as sessions/monday.",
        )
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES and file.name[0] != ".")
    names = [file.stem for file in files]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InvalidValueError(
            folder,
            expected="one video per camera",
            got=f"several of {', '.join(repeated)}",
            remedy="Move what does not belong to the session out of its folder.",
        )
    return dict(zip(names, files, strict=True))


def synchronize_recording(
    recording: Recording,
    *,
    method: str = "auto",
    reference: str | None = None,
    maximum_offset: float | None = None,
    drift: bool = True,
) -> Synchronization:
    """The clocks of all cameras, verified by epipolar residuals where there are tracks and a rig.

    "auto" takes the first of these that is there and works: time stamps, motion with a rig, sound, a light, motion
    without a rig; what was tried in vain is told in warnings.

    Raises:
        CalibrationError: no method worked; the one that was asked for did not.
        InvalidValueError: the method is unknown.
        FileFormatError, MismatchError: see the single methods.
    """
    if method not in METHODS:
        raise InvalidValueError(
            "synchronization, method", expected=", ".join(METHODS), got=repr(method), remedy="Choose one of these."
        )
    if len(recording.timing) < 2:
        raise CalibrationError(
            "synchronization",
            expected="at least two cameras",
            got=", ".join(recording.timing) or "none",
            remedy="Put the videos of all cameras of the session into its folder.",
        )
    base = reference or next(iter(recording.timing))
    ways = {
        "timestamps": lambda: _by_stamps(recording, base),
        "motion": lambda: synchronize_motion(
            recording.tracks,
            recording.rig,
            reference=base,
            settings=MotionSettings(maximum_offset or MotionSettings.maximum_offset, drift),
        ),
        "audio": lambda: synchronize_audio(
            {name: read_sound(path) for name, path in recording.videos.items()},
            recording.timing,
            reference=base,
            settings=AudioSettings(maximum_offset=maximum_offset or AudioSettings.maximum_offset),
        ),
        "led": lambda: _by_light(recording, base, maximum_offset),
    }
    found = ways[method]() if method != "auto" else _first(ways, recording)
    if recording.rig is not None and len(recording.tracks) >= 2:
        found = verify(found, recording.tracks, recording.rig)
    return found


def _first(ways: Mapping[str, Callable[[], Synchronization]], recording: Recording) -> Synchronization:
    order = ["timestamps"] if recording.stamps else []
    with_motion = len(recording.tracks) >= 2
    order += ["motion"] if with_motion and recording.rig is not None else []
    order += ["audio", "led"] if recording.videos else []
    order += ["motion"] if with_motion and recording.rig is None else []
    reasons = []
    for name in order:
        try:
            found = ways[name]()
        except SuiteError as error:
            reasons.append(f"{name}: {error.subject}: {error.got}")
            continue
        for reason in reasons:
            warnings.warn(f"not synchronized by {reason}", SuiteWarning, stacklevel=3)
        return found
    raise CalibrationError(
        "synchronization",
        expected="time stamps, a common sound, a blinking light, or 2D poses of moving animals",
        got="; ".join(reasons) or "none of them",
        remedy="Give 2D poses and a calibration (--poses2d, --rig), or choose a --method to see all it says.",
    )


def _by_stamps(recording: Recording, base: str) -> Synchronization:
    missing = [name for name in recording.timing if name not in recording.stamps]
    if missing:
        raise CalibrationError(
            "synchronization by time stamps",
            expected="time stamps of every camera",
            got=f"none of {', '.join(missing)}, but of {', '.join(recording.stamps) or 'no camera'}",
            remedy="Add timestamps.csv with the columns camera, frame and time to the session.",
        )
    return synchronize_timestamps(
        {name: recording.stamps[name] for name in recording.timing},
        reference=base,
        frame_rates={name: one.frame_rate for name, one in recording.timing.items() if one.times is None},
        counts={name: one.count for name, one in recording.timing.items()},
    )


def _by_light(recording: Recording, base: str, maximum_offset: float | None) -> Synchronization:
    flashes = {}
    for name, path in recording.videos.items():
        brightness, _ = read_brightness(path, recording.regions.get(name))
        flashes[name] = find_flashes(brightness, recording.timing[name], subject=path)
    settings = FlashSettings(maximum_offset=maximum_offset or FlashSettings.maximum_offset)
    return synchronize_flashes(flashes, recording.timing, reference=base, settings=settings)
