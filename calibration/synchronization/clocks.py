"""The values of a synchronization: when the frames of a camera were taken, by its own clock and by a common one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.errors import InvalidValueError, MismatchError
from calibration.schema import as_floats

__all__ = ["STATUSES", "Clock", "Synchronization", "Timing", "Verification"]

STATUSES = ("verified", "not verified", "contradicted")
# Quartz clocks are off by 100 ppm at most, webcams by 1000; ten percent is another frame rate.
_LARGEST_DRIFT = 0.1


@dataclass(frozen=True, eq=False)
class Timing:
    """When the frames of a file were taken, in seconds of the camera's own clock, the first at 0.

    Attributes:
        frame_rate: frames per second while nothing is dropped.
        count: number of frames in the file.
        dropped: (frame, number) pairs: so many frames are missing just before this frame of the file.
        times: (count,) seconds, for cameras whose frames come irregularly; None where rate and drops say it all.

    Raises:
        InvalidValueError: the frame rate is not positive, drops lie outside the file, or times do not increase.
    """

    frame_rate: float
    count: int
    dropped: tuple[tuple[int, int], ...] = ()
    times: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        _require("frame rate", 0 < self.frame_rate < np.inf, "a positive number", self.frame_rate)
        _require("count", self.count >= 1, "at least one frame", self.count)
        dropped = tuple((int(frame), int(number)) for frame, number in self.dropped)
        fits = all(0 < frame < self.count and number > 0 for frame, number in dropped)
        rising = all(one[0] < two[0] for one, two in pairwise(dropped))
        _require(
            "dropped frames", fits and rising, f"rising frames from 1 to {self.count - 1}, each with a number", dropped
        )
        object.__setattr__(self, "dropped", dropped)
        if self.times is None:
            return
        times = as_floats(self.times, "times", copy=True)
        fits = times.shape == (self.count,) and bool(np.isfinite(times).all() and (np.diff(times) > 0).all())
        _require("times", fits, f"{self.count} increasing seconds", f"shape {times.shape}: {times[:3]} ...")
        times.setflags(write=False)
        object.__setattr__(self, "times", times)

    @property
    def interval(self) -> float:
        """Seconds from frame to frame."""
        return 1 / self.frame_rate

    @property
    def number_dropped(self) -> int:
        """How many frames are missing in all."""
        return sum(number for _, number in self.dropped)

    def at(self, frames: ArrayLike | None = None) -> NDArray[np.float64]:
        """(...) camera times of frame numbers (...) of the file; of all frames by default.

        Frames beyond either end of the file, and parts of frames, are continued at the frame rate.
        """
        numbers = np.arange(self.count, dtype=np.float64) if frames is None else as_floats(frames, "frames")
        if self.times is not None:
            inside = np.interp(numbers, np.arange(self.count), self.times)
            outside = np.minimum(numbers, 0) + np.maximum(numbers - (self.count - 1), 0)
            return inside + outside * self.interval
        if not self.dropped:
            return numbers * self.interval
        before, missing = np.array(self.dropped).T
        total = np.concatenate([[0], np.cumsum(missing)])
        return (numbers + total[np.searchsorted(before, numbers, side="right")]) * self.interval


@dataclass(frozen=True)
class Verification:
    """Whether the epipolar residuals agree with a clock.

    Attributes:
        status: "verified", "not verified" (they cannot tell) or "contradicted".
        error: what is left of the offset by the residuals, in frames; NaN where they cannot tell.
        error_std: its standard deviation, in frames.
        before, after: median epipolar residual in px with frames matched by number, and by the clocks.
    """

    status: str
    error: float = np.nan
    error_std: float = np.nan
    before: float = np.nan
    after: float = np.nan

    def __post_init__(self) -> None:
        _require("verification", self.status in STATUSES, ", ".join(STATUSES), self.status)


@dataclass(frozen=True, eq=False)
class Clock:
    """The clock of a camera: `reference time = offset + rate * camera time`, all in seconds.

    Attributes:
        camera: its name.
        timing: when its frames were taken on its own clock.
        offset: seconds; when the first frame was taken, on the reference clock.
        rate: seconds of the reference clock per second of the camera's clock.
        offset_std, rate_std: standard deviations; NaN where unknown.
        method: what it was found by: "reference", "timestamps", "audio", "led", "motion", "given".
        quality: share of the evidence (time stamps, windows of sound, flashes, positions) that agrees with it.
        verification: what the epipolar residuals say of it.
    """

    camera: str
    timing: Timing
    offset: float = 0.0
    rate: float = 1.0
    offset_std: float = np.nan
    rate_std: float = np.nan
    method: str = "given"
    quality: float = 1.0
    verification: Verification = field(default_factory=lambda: Verification("not verified"))

    def __post_init__(self) -> None:
        subject = f"clock of camera '{self.camera}'"
        _require(f"{subject}, offset", bool(np.isfinite(self.offset)), "a finite number of seconds", self.offset)
        _require(f"{subject}, rate", abs(self.rate - 1) < _LARGEST_DRIFT, "a number near 1", self.rate)

    @property
    def drift(self) -> float:
        """How much faster (positive) or slower the camera's clock runs than the reference, parts per million."""
        return (1 / self.rate - 1) * 1e6

    @property
    def offset_frames(self) -> float:
        """The offset in frames of the camera."""
        return self.offset * self.timing.frame_rate

    def reference_time(self, frames: ArrayLike | None = None) -> NDArray[np.float64]:
        """(...) reference times of frame numbers (...) of the file; of all frames by default."""
        return self.offset + self.rate * self.timing.at(frames)

    def camera_time(self, times: ArrayLike) -> NDArray[np.float64]:
        """(...) camera times of reference times (...)."""
        return (as_floats(times, "times") - self.offset) / self.rate


@dataclass(frozen=True)
class Synchronization:
    """The clocks of all cameras of a recording.

    Attributes:
        clocks: one per camera, every name once.
        reference: the camera whose clock is the common one.

    Raises:
        InvalidValueError: a name is repeated.
        MismatchError: there is no clock of the reference.
    """

    clocks: tuple[Clock, ...]
    reference: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "clocks", tuple(self.clocks))
        repeated = sorted({name for name in self.cameras if self.cameras.count(name) > 1})
        _require("clocks", not repeated, "one of each camera", f"several of {', '.join(repeated)}")
        _ = self[self.reference]

    @property
    def cameras(self) -> tuple[str, ...]:
        """Their names, in order."""
        return tuple(clock.camera for clock in self.clocks)

    def __iter__(self) -> Iterator[Clock]:
        return iter(self.clocks)

    def __len__(self) -> int:
        return len(self.clocks)

    def __getitem__(self, camera: str) -> Clock:
        for clock in self.clocks:
            if clock.camera == camera:
                return clock
        raise MismatchError(
            f"clock of camera '{camera}'",
            expected=f"one of the synchronized cameras: {', '.join(self.cameras)}",
            got=f"'{camera}'",
            remedy="Synchronize all cameras of the recording together, and name them as in the calibration.",
        )

    def offsets(self) -> dict[str, float]:
        """Seconds to add to each camera's own times, without drift: for recordings of some minutes."""
        return {clock.camera: clock.offset for clock in self.clocks}

    def with_reference(self, camera: str) -> Synchronization:
        """The same clocks, told by another camera's. Standard deviations stay those of the original pairs."""
        base = self[camera]
        clocks = [
            replace(clock, offset=(clock.offset - base.offset) / base.rate, rate=clock.rate / base.rate)
            for clock in self.clocks
        ]
        return Synchronization(tuple(clocks), camera)


def _require(subject: str, fits: bool | np.bool_, expected: str, got: object) -> None:
    if not fits:
        raise InvalidValueError(
            f"synchronization, {subject}",
            expected=expected,
            got=str(got)[:120],
            remedy="Correct the value, or synchronize the recording again.",
        )
