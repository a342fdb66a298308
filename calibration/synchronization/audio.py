"""From the sound that all cameras recorded to their clocks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from calibration.errors import CalibrationError, FileFormatError, InvalidValueError, MismatchError
from calibration.synchronization._lines import fit_line
from calibration.synchronization.clocks import Clock, Synchronization, Timing

__all__ = ["AudioSettings", "Sound", "read_sound", "synchronize_audio"]

_BLOCK = 20.0  # seconds of the first search: 100 ppm of drift are 2 ms over them
_WINDOWS = 40
_WINDOW = (1.0, 10.0)  # shortest and longest window of the second, seconds
_REACH = 0.1  # seconds around what the windows before had
_FASTEST = 0.002  # seconds per second: the largest drift that is followed
# Highest peak of the generalized cross-correlation over the spread of the rest. Of two independent noises the highest
# of a million values is 5 to 6; the same clap in both gives 20 and more at a signal-to-noise ratio of 0 dB.
_LEAST_PEAK = 8.0
_LEAST_WINDOW_PEAK = 6.0
# Noise that comes and goes has higher peaks than steady noise, but then many of them, and a repeated sound has equal
# ones: the best has to be higher than any at another offset. The same sounds at 10 dB below the noise give 2.
_LEAST_LEAD = 1.25
_APART = 0.02  # seconds between two offsets
_QUIETEST = 1e-4  # of full scale
# Whitening in full weighs bands of nothing but noise like those with the sound; this exponent is the usual compromise.
_WHITENING = 0.8


class Sound(NamedTuple):
    """A mono sound track.

    Attributes:
        samples: (sample,) float32.
        rate: samples per second.
        start: seconds on the camera's clock (0 is its first frame) of the first sample.
    """

    samples: NDArray[np.float32]
    rate: float
    start: float


@dataclass(frozen=True)
class AudioSettings:
    """How to compare sounds.

    Attributes:
        sample_rate: samples per second to which sounds are converted.
        maximum_offset: seconds; larger offsets are not looked for.
    """

    sample_rate: int = 8000
    maximum_offset: float = 600.0


def read_sound(path: str | os.PathLike[str], *, sample_rate: int = AudioSettings.sample_rate) -> Sound:
    """The sound track of a video, on the clock whose zero is the first frame.

    Raises:
        FileFormatError: the file is missing, has no sound, or the sound cannot be decoded.
    """
    path = Path(path)
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise _no_sound(path, "a video without a sound track")
            first_frame = _start_of_video(container)
            stream = container.streams.audio[0]
            resampler = av.AudioResampler(format="flt", layout="mono", rate=sample_rate)
            pieces, start = [], None
            for frame in container.decode(stream):
                if start is None and frame.time is not None:
                    start = float(frame.time)
                pieces += [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
            pieces += [piece.to_ndarray()[0] for piece in resampler.resample(None)]
    except (FFmpegError, OSError, ValueError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise _no_sound(path, str(getattr(error, "strerror", None) or error)) from error
    samples = np.concatenate(pieces) if pieces else np.empty(0, dtype=np.float32)
    if not len(samples):
        raise _no_sound(path, "an empty sound track")
    return Sound(samples.astype(np.float32), float(sample_rate), (start or 0.0) - first_frame)


def synchronize_audio(
    sounds: Mapping[str, Sound],
    timing: Mapping[str, Timing],
    *,
    reference: str | None = None,
    settings: AudioSettings | None = None,
) -> Synchronization:
    """The clocks of cameras that recorded the same sounds.

    The generalized cross-correlation (Knapp and Carter 1976) of the loudest seconds of the reference with all of the
    other sound gives the offset; then windows along the recording, each to a part of a sample, give offset and drift
    by a robust line. Sound takes 3 ms per meter: cameras at different distances from its source are off by that, and
    nothing in the sound tells it.

    Args:
        sounds: by camera.
        timing: of the frames, by camera.
        reference: camera whose clock is to be the common one; the first by default.
        settings: how to compare.

    Raises:
        CalibrationError: a track is silent, or two have nothing in common.
        MismatchError: fewer than two cameras.
    """
    settings = settings or AudioSettings()
    names = list(sounds)
    first = names[0] if reference is None and names else str(reference)
    if len(names) < 2 or first not in sounds:
        raise MismatchError(
            "synchronization by sound",
            expected="sound tracks of at least two cameras, the reference among them",
            got=", ".join(names) or "none",
            remedy="Give the videos of all cameras of the recording.",
        )
    for name, sound in sounds.items():
        _check_sound(name, sound)
    clocks = [
        Clock(first, timing[first], offset_std=0.0, rate_std=0.0, method="reference")
        if name == first
        else _compare(name, sounds[name], sounds[first], first, timing[name], settings)
        for name in names
    ]
    return Synchronization(tuple(clocks), first)


def _compare(name: str, sound: Sound, base: Sound, reference: str, timing: Timing, settings: AudioSettings) -> Clock:
    start, peak, rival = _first_offset(sound, base, settings)
    if peak < max(_LEAST_PEAK, _LEAST_LEAD * rival):
        got = f"a correlation of {peak:.1f} times the noise at the best offset, and of {rival:.1f} at another one"
        raise _nothing_common(name, reference, got)
    times, offsets = _follow(sound, base, start)
    if not len(times):
        raise _nothing_common(name, reference, "no window of sound that shows the same offset")
    line = fit_line(times, offsets, tolerance=2 / base.rate)
    if line.inliers.mean() < 0.5:
        raise _nothing_common(name, reference, f"windows of which only {line.inliers.mean():.0%} agree on an offset")
    return Clock(
        name,
        timing,
        offset=line.offset,
        rate=1 + line.slope,
        offset_std=line.offset_std,
        rate_std=line.slope_std,
        method="audio",
        quality=float(line.inliers.mean()),
    )


def _first_offset(sound: Sound, base: Sound, settings: AudioSettings) -> tuple[float, float, float]:
    """Reference time minus camera time, how far its peak stands out, and how far the highest at another offset does.

    The loudest block of the reference is compared with everything.
    """
    length = int(min(_BLOCK * base.rate, len(base.samples)))
    energy = np.concatenate([[0.0], np.cumsum(np.square(np.diff(base.samples, prepend=0), dtype=np.float64))])
    starts = np.arange(0, len(base.samples) - length + 1, max(1, length // 4))
    at = int(starts[np.argmax(energy[starts + length] - energy[starts])])
    block = base.samples[at : at + length]
    peaks: list[tuple[float, float]] = []
    for place in range(-length, len(sound.samples), length):
        low, high = max(0, place), min(len(sound.samples), place + 2 * length)
        for lag, peak in _peaks(block, sound.samples[low:high], round(_APART * sound.rate)):
            offset = base.start + at / base.rate - (sound.start + (low + lag) / sound.rate)
            if abs(offset) <= settings.maximum_offset:
                peaks.append((peak, offset))
    peak, best = max(peaks, default=(0.0, 0.0))
    return best, peak, max((one for one, offset in peaks if abs(offset - best) > _APART), default=0.0)


def _follow(sound: Sound, base: Sound, start: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Camera times and offsets of windows whose sounds agree, from the middle outward so that drift is followed."""
    first = max(sound.start, base.start - start)
    last = min(sound.start + len(sound.samples) / sound.rate, base.start + len(base.samples) / base.rate - start)
    window = float(np.clip((last - first) / 8, *_WINDOW))
    count = int(min(_WINDOWS, max(1, (last - first) // window)))
    starts = np.linspace(first, max(first, last - window), count)
    found: dict[int, tuple[float, float]] = {}
    for order in (range(count // 2, count), range(count // 2 - 1, -1, -1)):
        near, at = start, starts[count // 2]
        for index in order:
            reach = _REACH + _FASTEST * abs(starts[index] - at)
            offset, peak = _window_offset(sound, base, starts[index], window, near, reach)
            if peak >= _LEAST_WINDOW_PEAK:
                found[index] = (starts[index] + window / 2, offset)
                near, at = offset, starts[index]
    pairs = np.array([found[index] for index in sorted(found)]).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _window_offset(
    sound: Sound, base: Sound, at: float, length: float, near: float, reach: float
) -> tuple[float, float]:
    low = max(0, round((at - sound.start) * sound.rate))
    own = sound.samples[low : low + round(length * sound.rate)]
    there = round((at + near - reach - base.start) * base.rate)
    other = base.samples[max(0, there) : max(0, there) + len(own) + round(2 * reach * base.rate)]
    if len(own) < 0.5 * length * sound.rate or len(other) < len(own) // 2:
        return near, 0.0
    lag, peak = _peaks(own, other, 0, most=round(2 * reach * base.rate) + 1)[0]
    offset = base.start + (max(0, there) + lag) / base.rate - (sound.start + low / sound.rate)
    return (offset, peak) if abs(offset - near) <= reach else (near, 0.0)


def _peaks(
    pattern: NDArray[np.float32], signal: NDArray[np.float32], apart: int, *, most: int | None = None
) -> list[tuple[float, float]]:
    """Where in the signal the pattern begins, to a part of a sample, and the peak over the spread of the rest.

    The best place, and the best one at least `apart` samples away where that is not 0; most: before this lag.
    """
    size = 1 << int(len(pattern) + len(signal) - 1).bit_length()
    cross = np.fft.rfft(signal.astype(np.float64), size) * np.conj(np.fft.rfft(pattern.astype(np.float64), size))
    strength = np.abs(cross)
    cross /= np.maximum(strength, 1e-9 * max(float(strength.max()), 1e-30)) ** _WHITENING
    correlation = np.fft.irfft(cross, size)
    spread = 1.4826 * float(np.median(np.abs(correlation))) or 1.0
    lags = np.arange(size)
    lags[size // 2 :] -= size
    allowed = (lags > -len(pattern)) & (lags < len(signal))
    if most is not None:
        allowed &= (lags >= 0) & (lags < most)
    found = []
    for _ in range(2 if apart else 1):
        at = int(np.argmax(np.where(allowed, correlation, -np.inf)))
        found.append((float(lags[at]) + _part(correlation, at), float(correlation[at] / spread)))
        allowed &= np.abs(lags - lags[at]) > apart
    return found


def _part(correlation: NDArray[np.float64], at: int) -> float:
    """Where the top of a parabola through a peak and its neighbors is, in parts of a sample."""
    left, middle, right = correlation[at - 1], correlation[at], correlation[(at + 1) % len(correlation)]
    bend = left - 2 * middle + right
    part = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return float(np.clip(part, -0.5, 0.5))


def _start_of_video(container: av.container.InputContainer) -> float:
    if not container.streams.video:
        return 0.0
    stream = container.streams.video[0]
    return float((stream.start_time or 0) * (stream.time_base or 0))


def _check_sound(name: str, sound: Sound) -> None:
    if not sound.rate > 0:
        raise InvalidValueError(
            f"sound of camera '{name}'",
            expected="a positive sample rate",
            got=str(sound.rate),
            remedy="Read it with read_sound.",
        )
    level = float(np.sqrt(np.mean(np.square(sound.samples, dtype=np.float64)))) if len(sound.samples) else 0.0
    if level < _QUIETEST:
        raise CalibrationError(
            f"sound of camera '{name}'",
            expected="a sound track with sound in it",
            got=f"silence (a level of {level:.1e} of full scale)",
            remedy="Check the microphone, or synchronize by a light, time stamps or motion.",
        )


def _nothing_common(name: str, reference: str, got: str) -> CalibrationError:
    return CalibrationError(
        f"sounds of cameras '{name}' and '{reference}'",
        expected="the same sounds in both",
        got=got,
        remedy="Check that these are of one recording; clap or play a sound, or synchronize by light or motion.",
    )


def _no_sound(path: Path, got: str) -> FileFormatError:
    return FileFormatError(
        path,
        expected="a video with sound",
        got=got,
        remedy="Synchronize by time stamps, a light or motion, or record with the microphones on.",
    )
