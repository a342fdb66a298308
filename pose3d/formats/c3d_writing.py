"""3D poses, events and angles as C3D files, which motion capture and gait programs open.

Frame f of a recording is frame f + 1 of the file, as in TRC files, and stands at the time f / rate. What is missing has
the residual -1; frames that the recording lacks have nothing but missing points. Nothing in the file depends on when or
where it was written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from calibration.errors import InvalidValueError, MismatchError
from calibration.files import atomic_path
from calibration.schema import check
from pose3d.datasets import POSES3D
from pose3d.formats._c3d_blocks import BLOCK, LAST_COUNTED, header, parameter_section, records
from pose3d.formats._c3d_parameters import Events, Trial, parameters_of
from pose3d.formats._gapless import gapless, known_rate
from pose3d.formats._units import in_degrees
from pose3d.formats.text_table import files_by_individual

__all__ = ["write_c3d"]


def write_c3d(
    poses3d: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    individual: str | None = None,
    events: xr.Dataset | None = None,
    angles: xr.DataArray | None = None,
    frame_rate: float | None = None,
) -> tuple[Path, ...]:
    """Write 3D poses as C3D files, one per individual, in the unit of the poses and in single precision.

    Args:
        poses3d: Poses3D Dataset; what is not in memory is read piece by piece.
        path: the file to write; with several individuals the name of each is added to its name.
        individual: write only this one, to `path` itself.
        events: Dataset with the dimension `event`: `event_time` (on the clock of the poses), `event_label` and, if it
            has it, `event_context` ("Left", "Right", "General"), as `read_c3d_events` gives it.
        angles: (time, angle) or (time, angle, 3) angles of the same frames, in radians where `units` does not say
            "deg", with the dimension `individual` or without. They become points whose labels stand in POINT:ANGLES,
            in degrees, as gait programs write them; where an angle is one number, it is the x of its point.
        frame_rate: frames per second, where the Dataset does not know it.

    Returns:
        The files written.

    Raises:
        InvalidValueError: the Dataset does not follow the schema or has no frame, its frame rate is not known, names
            are longer or more than C3D files hold, or events or angles are not as described.
        MismatchError: there is no such individual, or the angles are of other frames.
        OutputError: a file cannot be written.

    Warns:
        SuiteWarning: there are so many events that other programs may not see all of them.
    """
    check(poses3d, POSES3D, values=False)
    rate = known_rate(poses3d, path, frame_rate, "C3D files")
    timed = None if events is None else Events.of(events, poses3d, rate)
    files = files_by_individual(poses3d, path, individual)
    for name, file in files:
        turned = None if angles is None else _triples(angles, name, poses3d)
        _write(poses3d.sel(individual=name), file, rate, timed, turned)
    return tuple(file for _, file in files)


def _write(one: xr.Dataset, file: Path, rate: float, events: Events | None, angles: xr.DataArray | None) -> None:
    trial = Trial(
        individual=str(one["individual"].values),
        keypoints=[str(name) for name in one["keypoint"].values],
        angles=[] if angles is None else [str(name) for name in angles["angle"].values],
        unit=str(one["position"].attrs.get("units", "")),
        rate=rate,
        first=int(one["frame"].values[0]) + 1,
        last=int(one["frame"].values[-1]) + 1,
    )
    section = parameter_section(parameters_of(trial, events))
    points = len(trial.keypoints) + len(trial.angles)
    with atomic_path(file) as partial, partial.open("wb") as stream:
        stream.write(header(points, trial.first, trial.last, rate, len(section) // BLOCK))
        stream.write(section)
        stream.writelines(_frames(one, angles))
        # Data ends with a block; but where the header cannot count so many frames, programs read on to the end.
        if trial.last - trial.first < LAST_COUNTED:
            stream.write(bytes(-stream.tell() % BLOCK))


def _frames(one: xr.Dataset, angles: xr.DataArray | None) -> Iterator[bytes]:
    """The frames, piece by piece: the points of each, then its angles."""
    frames = one["frame"].values
    parts = [gapless(one["position"].transpose("time", "keypoint", "space"), frames)]
    if angles is not None:
        parts.append(gapless(angles, frames))
    for pieces in zip(*parts, strict=True):
        yield records(np.concatenate([values for _, values in pieces], axis=1))


def _triples(angles: xr.DataArray, individual: str, poses3d: xr.Dataset) -> xr.DataArray:
    """(time, angle, 3) degrees of one individual; where an angle is one number, the other two are 0."""
    one = angles.sel(individual=individual) if "individual" in angles.dims else angles
    further = [str(dim) for dim in one.dims if dim not in ("time", "angle")]
    if not {"time", "angle"} <= set(one.dims) or [one.sizes[dim] for dim in further] not in ([], [3]):
        raise InvalidValueError(
            "angles",
            expected="the dimensions time and angle, and at most one more, of length 3",
            got=", ".join(f"{dim} of {length}" for dim, length in one.sizes.items()),
            remedy="Choose from the other dimensions, with .sel for example.",
        )
    same = one.sizes["time"] == poses3d.sizes["time"]
    if not same or ("frame" in one.coords and not np.array_equal(one["frame"].values, poses3d["frame"].values)):
        raise MismatchError(
            "angles",
            expected=f"the {poses3d.sizes['time']} frames of the poses",
            got="other frames" if same else f"{one.sizes['time']} frames",
            remedy="Give angles that were computed of these poses.",
        )
    turned = in_degrees(one, "angles")
    if further:
        return turned.transpose("time", "angle", *further)
    alone = turned.transpose("time", "angle").expand_dims(component=3, axis=2)
    return alone * xr.DataArray([1.0, 0.0, 0.0], dims="component")
