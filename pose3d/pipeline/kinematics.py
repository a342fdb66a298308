"""From 3D poses to kinematics in a result file, in pieces along time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.formats.kinematics_file import KinematicsWriter
from pose3d.kinematics.settings import CYCLED, KinematicsSettings
from pose3d.kinematics.whole import cycle_kinematics, frame_kinematics, gait_kinematics
from pose3d.skeleton import Skeleton

__all__ = ["KinematicsSummary", "kinematics_session"]

# Frames that are worked on at once: 100 MB of 24 keypoints with covariance.
_PIECE = 20_000
# Frames around a piece: half of the longest window of a filter.
_HALO = 101


@dataclass(frozen=True, eq=False)
class KinematicsSummary:
    """What came of it.

    Attributes:
        frames: how many there are.
        steps: the part of the Kinematics Dataset that is not there for every frame: events, strides, their means.
        variables: name -> unit of what there is for every frame.
        left_out: quantity -> why it is not there.
    """

    frames: int
    steps: xr.Dataset
    variables: Mapping[str, str]
    left_out: Mapping[str, str]


def kinematics_session(
    poses3d: xr.Dataset,
    output: str | os.PathLike[str],
    *,
    skeleton: Skeleton | None = None,
    settings: KinematicsSettings | None = None,
    source: str | os.PathLike[str] | None = None,
    events: xr.Dataset | None = None,
    provenance: Mapping[str, object] | None = None,
    compression: int = 0,
    progress: Callable[[int], object] | None = None,
) -> KinematicsSummary:
    """Compute kinematics into the group /kinematics of a result file.

    What there is for every frame is computed and written in pieces, so that memory does not grow with it. The keypoints
    of legs and hips are read whole for the steps, and angles are kept for their means over the stride.

    Args:
        poses3d: Poses3D Dataset.
        output: the file to write; it appears when it is complete.
        skeleton, settings: see `pose3d.kinematics.compute_kinematics`.
        source: the result file that `poses3d` is from; its other groups are copied. It may be `output` itself. Where
            None, the poses are written to /poses3d.
        events: those to use instead of finding them.
        provenance: what stands in the attribute of that name of the group.
        compression: zlib level of the new group, 0 to 9.
        progress: called with the number of frames after each piece.

    Raises:
        InvalidValueError: the poses have no frame, or do not follow the schema, a setting does not fit them, or nothing
            can be computed of what is asked for.
        MismatchError: the skeleton has no keypoint of the poses.
        OutputError: the file cannot be written.
    """
    if not poses3d.sizes.get("time", 0):
        raise InvalidValueError(
            "3D poses", expected="at least one frame", got="none", remedy="Check how they were made."
        )
    chosen = settings or KinematicsSettings()
    steps = gait_kinematics(poses3d, skeleton, chosen, events=events)
    per_frame = [name for name in steps.data_vars if "time" in steps[name].dims]
    kept: list[xr.Dataset] = []
    with KinematicsWriter(
        output, source=source, poses3d=poses3d, provenance=provenance, compression=compression
    ) as writer:
        rows = xr.Dataset()
        for rows in _pieces(poses3d, skeleton, chosen, steps[per_frame] if per_frame else None):
            writer.append(rows)
            kept.append(rows[[name for base in CYCLED for name in (base, f"{base}_std") if name in rows]])
            if progress is not None:
                progress(rows.sizes["time"])
        left_out = json.loads(rows.attrs["left_out"]) | json.loads(steps.attrs.get("left_out", "{}"))
        if not rows.data_vars and not steps.data_vars:
            raise _nothing(left_out)
        angles = xr.concat(kept, dim="time", compat="override", join="override", coords="minimal")
        steps = xr.merge([steps, cycle_kinematics(angles, steps)], combine_attrs="override", join="outer")
        steps = steps.drop_vars([*per_frame, *(name for name in ("time", "frame") if name in steps.coords)])
        writer.add(steps)
    variables = {str(name): str(rows[name].attrs.get("units", "")) for name in rows.data_vars}
    return KinematicsSummary(int(poses3d.sizes["time"]), steps, variables, left_out)


def _nothing(left_out: Mapping[str, str]) -> InvalidValueError:
    return InvalidValueError(
        "kinematics",
        expected="something that can be computed",
        got="nothing: " + "; ".join(f"{name}: {reason}" for name, reason in left_out.items()),
        remedy="Name a skeleton that defines it (--skeleton), and the frame rate (--frame-rate) where it is not known.",
    )


def _pieces(
    poses3d: xr.Dataset, skeleton: Skeleton | None, settings: KinematicsSettings, over_time: xr.Dataset | None
) -> Iterator[xr.Dataset]:
    """Kinematics of every frame, piece by piece; angles go on where the piece before ended."""
    length = poses3d.sizes["time"]
    # a spline goes through the whole of a run
    size = length if settings.derivatives.method == "spline" else _PIECE
    before: xr.Dataset | None = None
    for first in range(0, length, size):
        last = min(first + size, length)
        start = max(first - _HALO, 0)
        around = poses3d.isel(time=slice(start, min(last + _HALO, length))).load()
        found = frame_kinematics(around, skeleton, settings)
        if before is not None:
            found = _continued(found, before, first - start)
        found = found.isel(time=slice(first - start, last - start))
        before = found.isel(time=[-1])
        if over_time is not None:
            for name, values in over_time.isel(time=slice(first, last)).data_vars.items():
                found[name] = values.variable
            found = found.assign_coords({name: over_time[name] for name in over_time.dims if name != "time"})
        yield found


def _continued(found: xr.Dataset, before: xr.Dataset, row: int) -> xr.Dataset:
    """Angles that go on past a whole turn where they went on in the piece before.

    Args:
        found: of a piece with rows before it.
        before: the last row of the piece before.
        row: the first row of the piece itself; the one before it is that of `before`.
    """
    result = found
    for name in CYCLED:
        if name not in found:
            continue
        values = found[name].transpose("time", ...)
        turns = np.rint((before[name].transpose("time", ...).values[0] - values.values[row - 1]) / (2 * np.pi))
        turns = np.nan_to_num(turns)
        if not turns.any():
            continue
        unbroken = np.logical_and.accumulate(np.isfinite(values.values[row - 1 :]), axis=0)
        shifted: NDArray[np.float64] = values.values.copy()
        shifted[row - 1 :] += np.where(unbroken, 2 * np.pi * turns, 0.0)
        result = result.assign({name: values.copy(data=shifted).transpose(*found[name].dims)})
    return result
