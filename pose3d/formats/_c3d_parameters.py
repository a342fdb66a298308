"""What the parameters of a C3D file say of 3D poses, events and angles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from warnings import warn

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError, SuiteWarning
from pose3d.formats._c3d_blocks import AT_ONCE, LAST_COUNTED, Parameter, texts

__all__ = ["Events", "Trial", "parameters_of"]

_GENERAL = "General"
_CONTEXTS = (_GENERAL, "Left", "Right")
# What programs that draw events show: 1 for a contact, 2 for a lift-off.
_ICONS = {"foot strike": 1, "foot off": 2}
# Times of the poses within this part of a frame of frame / rate are those.
_SAME = 1e-6


@dataclass(frozen=True)
class Trial:
    """What is in the file.

    Attributes:
        individual: whose poses they are.
        keypoints: names of the points.
        angles: names of the angles, which follow the points.
        unit: length unit.
        rate: frames per second.
        first, last: numbers of the first and the last frame, counted from 1.
    """

    individual: str
    keypoints: Sequence[str]
    angles: Sequence[str]
    unit: str
    rate: float
    first: int
    last: int


@dataclass(frozen=True)
class Events:
    """Events in the order of time.

    Attributes:
        times: seconds, 0 at frame 0 of the recording.
        labels, contexts: as many.
    """

    times: NDArray[np.float64]
    labels: Sequence[str]
    contexts: Sequence[str]

    @classmethod
    def of(cls, events: xr.Dataset, poses3d: xr.Dataset, rate: float) -> Events:
        """Events on the clock of the poses.

        Raises:
            InvalidValueError: there is no `event_time` or `event_label`, or a time is not finite.
        """
        lacking = [name for name in ("event_time", "event_label") if name not in events.variables]
        if lacking or events["event_time"].ndim != 1:
            raise InvalidValueError(
                "events",
                expected="a Dataset with event_time and event_label along one dimension, event",
                got=f"only {', '.join(map(str, events.variables))}" if lacking else f"{events['event_time'].dims}",
                remedy="Give events as read_c3d_events or the gait functions give them.",
            )
        times = _on_clock_of_file(np.asarray(events["event_time"].values, dtype=np.float64), poses3d, rate)
        if not (np.isfinite(times) & (times >= 0)).all():
            raise InvalidValueError(
                "events, event_time",
                expected="finite times from the first frame of the recording on",
                got=f"{times[~(np.isfinite(times) & (times >= 0))][0]:g}",
                remedy="Leave events without a time out.",
            )
        labels = [str(label) for label in events["event_label"].values]
        given = events["event_context"].values if "event_context" in events.variables else [_GENERAL] * len(labels)
        order = np.argsort(times, kind="stable").tolist()
        contexts = [str(context) or _GENERAL for context in given]
        return cls(times[order], [labels[index] for index in order], [contexts[index] for index in order])

    def parameters(self, individual: str) -> list[Parameter]:
        """The groups EVENT_CONTEXT and EVENT."""
        if len(self.labels) > AT_ONCE:
            warn(
                f"{len(self.labels)} events: those after the first {AT_ONCE} go on in EVENT:TIMES2, LABELS2, ..., "
                "which not every program reads",
                SuiteWarning,
                stacklevel=4,
            )
        contexts = list(dict.fromkeys((*_CONTEXTS, *self.contexts)))
        made = [
            Parameter.integers("EVENT_CONTEXT", "USED", [len(contexts)]),
            *texts("EVENT_CONTEXT", "LABELS", contexts),
            Parameter.integers("EVENT", "USED", [len(self.labels)]),
            *texts("EVENT", "CONTEXTS", self.contexts),
            *texts("EVENT", "LABELS", self.labels),
            *texts("EVENT", "SUBJECTS", [individual] * len(self.labels)),
        ]
        icons = [_ICONS.get(label.casefold(), 0) for label in self.labels]
        for number, start in enumerate(range(0, len(self.labels), AT_ONCE), start=1):
            these = slice(start, start + AT_ONCE)
            # Minutes and seconds: single precision is then good to microseconds in a recording of hours.
            minutes, seconds = np.divmod(self.times[these], 60.0)
            pairs = np.stack([minutes, seconds], axis=1).ravel().tolist()
            suffix, count = "" if number == 1 else str(number), len(minutes)
            made += [
                Parameter.reals("EVENT", f"TIMES{suffix}", pairs, (2, count)),
                Parameter.integers("EVENT", f"ICON_IDS{suffix}", icons[these], (count,)),
                Parameter.small("EVENT", f"GENERIC_FLAGS{suffix}", [0] * count),
            ]
        return made


def _on_clock_of_file(times: NDArray[np.float64], poses3d: xr.Dataset, rate: float) -> NDArray[np.float64]:
    """Times on the clock of the poses as times at which frame f is at f / rate."""
    clock, frames = poses3d["time"].values, poses3d["frame"].values
    if np.allclose(clock * rate, frames, rtol=0.0, atol=_SAME):
        return times
    if len(clock) < 2:
        return times - clock[0] + frames[0] / rate
    inner = np.interp(times, clock, frames / rate)
    # beyond the ends the clock goes on as the rate says
    before, after = np.minimum(times - clock[0], 0.0), np.maximum(times - clock[-1], 0.0)
    seconds = 1.0 if poses3d["time"].attrs.get("units") == "s" else 1.0 / rate
    return inner + (before + after) * seconds


def parameters_of(trial: Trial, events: Events | None) -> list[Parameter]:
    """All parameters but POINT:DATA_START.

    Raises:
        InvalidValueError: two points have the same label, or a label is too long.
    """
    labels = [*trial.keypoints, *trial.angles]
    twice = [label for label, count in Counter(labels).items() if count > 1]
    if twice:
        raise InvalidValueError(
            "C3D, labels of points",
            expected="keypoints and angles with names of their own",
            got=f"{', '.join(twice[:5])} in both",
            remedy="Rename the angles.",
        )
    return [
        Parameter.integers("POINT", "USED", [len(labels)]),
        _frames(trial.last - trial.first + 1),
        Parameter.reals("POINT", "SCALE", [-1.0]),
        Parameter.reals("POINT", "RATE", [trial.rate]),
        *texts("POINT", "UNITS", [trial.unit]),
        *texts("POINT", "LABELS", labels),
        *texts("POINT", "DESCRIPTIONS", [""] * len(labels)),
        *_angle_group(trial.angles),
        Parameter.integers("ANALOG", "USED", [0]),
        Parameter.reals("ANALOG", "RATE", [0.0]),
        Parameter.reals("ANALOG", "GEN_SCALE", [1.0]),
        Parameter.integers("FORCE_PLATFORM", "USED", [0]),
        Parameter.integers("SUBJECTS", "USED", [1]),
        Parameter.integers("SUBJECTS", "USES_PREFIXES", [0]),
        *texts("SUBJECTS", "NAMES", [trial.individual]),
        # A number in two words, since one ends at 65535.
        Parameter.integers("TRIAL", "ACTUAL_START_FIELD", [trial.first & LAST_COUNTED, trial.first >> 16]),
        Parameter.integers("TRIAL", "ACTUAL_END_FIELD", [trial.last & LAST_COUNTED, trial.last >> 16]),
        Parameter.reals("TRIAL", "CAMERA_RATE", [trial.rate]),
        *([] if events is None else events.parameters(trial.individual)),
        *texts("MANUFACTURER", "SOFTWARE", ["pose3d"]),
    ]


def _frames(count: int) -> Parameter:
    return Parameter.integers("POINT", "FRAMES", [min(count, LAST_COUNTED)])


def _angle_group(names: Sequence[str]) -> list[Parameter]:
    if not names:
        return []
    return [
        *texts("POINT", "ANGLES", names),
        *texts("POINT", "ANGLE_UNITS", ["deg"]),
        *texts("POINT", "TYPE_GROUPS", ["ANGLES", "ANGLE"]),
    ]
