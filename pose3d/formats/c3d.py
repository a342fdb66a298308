"""C3D files (c3d.org) of motion capture and gait laboratories: points, events and angles.

What was found out about them, in files of Vicon Nexus beside the file of forces that another program made of one:

- Frames are counted from 1, and frame n is at the time (n - 1) / rate. A trial that was cropped keeps its numbers, so
  that the first frame that is stored may be any.
- Times of events are on the same clock: from frame 1, not from the first frame that is stored.
- A file has more points than markers: angles, forces, moments and powers are points as well, whose labels stand in
  POINT:ANGLES, POINT:FORCES and so on, or in the groups that POINT:TYPE_GROUPS names. They are left out here.
- A point is missing where its residual is negative. Some programs write zeros instead.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from warnings import warn

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import FileFormatError, SuiteWarning
from pose3d.datasets import poses3d, time_coordinates
from pose3d.formats._c3d_reading import C3DContent, looks_like_c3d, read_content
from pose3d.formats._tidy import UNNAMED_INDIVIDUAL
from pose3d.formats._units import DEGREES, RADIANS, length_unit, plain_unit
from pose3d.formats.pose3d_format import Pose3DFormat

__all__ = ["FORMAT", "read_c3d", "read_c3d_angles", "read_c3d_events"]

# Groups of points that are no places; those a file names itself come from POINT:TYPE_GROUPS.
_NO_PLACES = ("ANGLES", "FORCES", "MOMENTS", "POWERS", "SCALARS", "REACTIONS")
# Of the groups that POINT:TYPE_GROUPS names, these are places.
_PLACES = ("MODELED_MARKERS", "BONES")
_UNLABELED = "*"


def read_c3d(path: str | os.PathLike[str], *, frame_rate: float | None = None, unit: str | None = None) -> xr.Dataset:
    """Poses3D of the markers in a C3D file.

    Points whose label begins with "*" or is blank were not recognized by the program that recorded them and are left
    out. Labels with a subject's name in front ("anna:LHEE") are those of that individual; without, the individual is
    the only subject in SUBJECTS:NAMES, or "individual_0".

    Args:
        path: the file.
        frame_rate: frames per second instead of the one in the file.
        unit: the length unit, where the file does not say it.

    Raises:
        FileFormatError: the file is missing, no C3D file, damaged or cut off, has no points, or two points of the same
            label.
        InvalidValueError: `unit` is no length unit, or the frame rate is not positive.
        MismatchError: the file says another unit.

    Warns:
        SuiteWarning: points are left out, or nobody says the unit.
    """
    file = Path(path)
    content = read_content(file)
    places = _places(content)
    individuals = list(dict.fromkeys(name for name, _ in places))
    keypoints = list(dict.fromkeys(label for _, label in places))
    points = np.full((len(content.points), 3, len(keypoints), len(individuals)), np.nan)
    for (name, label), index in places.items():
        points[:, :, keypoints.index(label), individuals.index(name)] = content.points[:, index]
    stated = next(iter(content.texts("POINT", "UNITS")), "")
    return poses3d(
        points,
        individuals=individuals,
        keypoints=keypoints,
        unit=length_unit(file, plain_unit(stated), unit),
        frames=content.first_frame + np.arange(len(points)),
        frame_rate=content.rate if frame_rate is None else frame_rate,
        source_software=next(iter(content.texts("MANUFACTURER", "SOFTWARE")), "") or "C3D",
        source_file=str(file),
    )


def _places(content: C3DContent) -> dict[tuple[str, str], int]:
    """Which point is which keypoint of which individual."""
    others = set(_labels_of_groups(content))
    wanted = {index: label for index, label in enumerate(content.labels) if label not in others or not label}
    named = {index: label for index, label in wanted.items() if label and not label.startswith(_UNLABELED)}
    if not named:
        analog = int(next(iter(content.numbers("ANALOG", "USED")), 0))
        raise FileFormatError(
            content.path,
            expected="a C3D file with labeled points",
            got=f"{len(wanted)} points without a label, and {analog} analog channels",
            remedy="Label the markers in the program that recorded them, and export the file again.",
        )
    if len(named) < len(wanted):
        warn(
            f"{content.path}: {len(wanted) - len(named)} points without a label are left out",
            SuiteWarning,
            stacklevel=3,
        )
    whole = _individuals(content, list(named.values()))
    twice = [" of ".join(reversed(key)) for key, count in Counter(whole).items() if count > 1]
    if twice:
        raise FileFormatError(
            f"{content.path}, POINT:LABELS",
            expected="each label once",
            got=f"repeated: {', '.join(twice[:5])}",
            remedy="Rename the points in the program that recorded them.",
        )
    return dict(zip(whole, named, strict=True))


def _labels_of_groups(content: C3DContent) -> list[str]:
    """Labels of points that are no places: angles, forces, moments, powers."""
    further = content.texts("POINT", "TYPE_GROUPS")[::2]
    groups = [name for name in dict.fromkeys((*_NO_PLACES, *further)) if name not in _PLACES]
    return [label for group in groups for label in content.texts("POINT", group)]


def _individuals(content: C3DContent, labels: Sequence[str]) -> list[tuple[str, str]]:
    """Individual and keypoint of each label."""
    subjects = content.texts("SUBJECTS", "NAMES")
    only = subjects[0] if len(subjects) == 1 and subjects[0] else UNNAMED_INDIVIDUAL
    split = [label.rpartition(":") for label in labels]
    prefixes = {prefix for prefix, _, name in split if prefix and name}
    # With one subject, what has no prefix is its own too.
    rest = next(iter(prefixes)) if len(prefixes) == 1 else only
    return [
        (prefix or rest, name) if name else (rest, label)
        for (prefix, _, name), label in zip(split, labels, strict=True)
    ]


def read_c3d_angles(path: str | os.PathLike[str]) -> xr.DataArray:
    """The angles in a C3D file: (time, angle, component) radians, of the points in POINT:ANGLES.

    Which rotations the three components are, the program that computed them says; where it wrote single angles, they
    are the first.

    Raises:
        FileFormatError: as for `read_c3d`, or there are no angles, or in other units than degrees and radians.
    """
    file = Path(path)
    content = read_content(file)
    labels = content.labels
    found = [(label, labels.index(label)) for label in content.texts("POINT", "ANGLES") if label in labels]
    units = (next(iter(content.texts("POINT", "ANGLE_UNITS")), "") or "deg").casefold()
    if not found or units not in DEGREES | RADIANS:
        raise FileFormatError(
            file,
            expected="points that are angles (POINT:ANGLES), in degrees or radians",
            got=f"'{units}'" if found else "none",
            remedy="Export the file with its angles, or compute them of the points.",
        )
    values = content.points[:, [index for _, index in found]]
    frames = content.first_frame + np.arange(len(values))
    return xr.DataArray(
        np.deg2rad(values) if units in DEGREES else values,
        dims=("time", "angle", "component"),
        coords={
            **time_coordinates(len(values), frames, content.rate, subject=str(file)),
            "angle": [label for label, _ in found],
            "component": ["x", "y", "z"],
        },
        name="joint_angle",
        attrs={"units": "rad", "long_name": "angles of the file"},
    )


def read_c3d_events(path: str | os.PathLike[str]) -> xr.Dataset:
    """The events in a C3D file (group EVENT), in the order of time.

    Returns:
        Dataset with the dimension `event`: `event_time` (s, on the clock of `read_c3d`: 0 at frame 0, which may lie
        before the first frame that is stored), `event_label` as in the file ("Foot Strike"), `event_context`
        ("Left", "Right", "General") and `event_subject`. Its attributes `start` and `stop` are the times of the first
        and the last frame. A file without events gives none.

    Raises:
        FileFormatError: as for `read_c3d`, or the parameters of the events do not fit together.

    Warns:
        SuiteWarning: events outside the frames that are stored are left out.
    """
    file = Path(path)
    content = read_content(file)
    times, labels, contexts, subjects = _events(content)
    start, stop = (np.array([0, len(content.points) - 1]) + content.first_frame) / content.rate
    # Half a frame for the rounding of times.
    inside = (times > start - 0.5 / content.rate) & (times < stop + 0.5 / content.rate)
    if not inside.all():
        warn(
            f"{file}: {int((~inside).sum())} events outside the frames of the file ({start:g} to {stop:g} s) are left "
            "out",
            SuiteWarning,
            stacklevel=2,
        )
    order = np.argsort(times, kind="stable")
    order = order[inside[order]]
    return xr.Dataset(
        {
            "event_time": ("event", times[order], {"units": "s", "long_name": "time of the event"}),
            "event_label": ("event", labels[order], {"long_name": "what happened, as in the file"}),
            "event_context": ("event", contexts[order], {"long_name": "side: Left, Right or General"}),
            "event_subject": ("event", subjects[order], {"long_name": "whose event it is, as in the file"}),
        },
        attrs={"source_file": str(file), "fps": content.rate, "start": float(start), "stop": float(stop)},
    )


def _events(content: C3DContent) -> tuple[NDArray[np.float64], NDArray[np.str_], NDArray[np.str_], NDArray[np.str_]]:
    """Times in seconds, labels, contexts and subjects of all events."""
    used = int(next(iter(content.numbers("EVENT", "USED")), 0))
    # Minutes and seconds.
    pairs = content.numbers("EVENT", "TIMES").reshape(2, -1)[:, :used] if used else np.empty((2, 0))
    columns = [content.texts("EVENT", name)[:used] for name in ("LABELS", "CONTEXTS", "SUBJECTS")]
    if pairs.shape[1] < used or len(columns[0]) < used:
        raise FileFormatError(
            f"{content.path}, EVENT",
            expected=f"{used} times and labels, as EVENT:USED says",
            got=f"{pairs.shape[1]} times and {len(columns[0])} labels",
            remedy="Export the file again.",
        )
    for column, default in zip(columns, ("", "General", ""), strict=True):
        column.extend([default] * (used - len(column)))
    labels, contexts, subjects = (np.array(column, dtype=np.str_) for column in columns)
    contexts[contexts == ""] = "General"
    # Single precision: what is beyond microseconds is rounding.
    return np.round(pairs[0] * 60.0 + pairs[1], 6), labels, contexts, subjects


FORMAT = Pose3DFormat(
    name="c3d",
    description="C3D, the markers of motion capture",
    suffixes=(".c3d",),
    sniff=looks_like_c3d,
    read=read_c3d,
)
