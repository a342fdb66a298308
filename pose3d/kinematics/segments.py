"""Coordinate systems of the segments of the body."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.kinematics._angle_lines import Output, chosen, computed, lines_between, sources_of, status_attributes
from pose3d.kinematics._poses import at_points, check_poses, covariance_at_points, is_flat, keypoint_names
from pose3d.kinematics._rotation_frames import axes_of, covariances_of, ends_of, frames_in, turning, vectors_of
from pose3d.skeleton import Segment, Skeleton

__all__ = ["check_solid", "segment_frames"]

Array = NDArray[np.float64]

_AXES = ["x", "y", "z"]


def segment_frames(
    poses: xr.Dataset, segments: Skeleton | Sequence[Segment], names: Sequence[str] | None = None
) -> xr.Dataset:
    """Where segments are, and how they are turned.

    The first axis of a segment runs along its first line; the third is perpendicular to the plane of both lines, and
    the second completes them. Columns of the matrix are the axes of the segment in the world, so that
    `x_world = world_from_segment @ x_segment + origin`.

    Args:
        poses: Poses3D; lazy ones give lazy results.
        segments: what they are, or the skeleton whose segments they are.
        names: of those that are wanted; by default all whose keypoints the poses have.

    Returns:
        `world_from_segment` (time, segment, space, axis, individual), `origin` (time, segment, space, individual) in
        the unit of the positions, and `segment_status` (time, segment, individual): why there is none, or that the two
        lines are within 10 degrees of each other, where errors of the points turn the segment a lot.
        Where the poses have covariance: `orientation_covariance` (time, segment, axis, axis_, individual) in rad^2, of
        small turns about the axes of the segment, `orientation_std` (time, segment, axis, individual) and `origin_std`.
        They are first order; errors of different keypoints count as independent.

    Raises:
        InvalidValueError: the Dataset is no Poses3D, there are no segments, or a name or keypoint is unknown.
    """
    check_solid(poses, "segments")
    parts = _chosen(poses, segments, names)
    count, individuals = len(parts), poses.sizes["individual"]
    outputs = [
        Output(("segment", "space", "axis", "individual"), (count, 3, 3, individuals)),
        Output(("segment", "individual"), (count, individuals), np.int8),
        Output(("segment", "axis", "axis_", "individual"), (count, 3, 3, individuals)),
    ]
    matrix, status, *spread = computed(poses, _work(poses, parts), outputs[: 3 if "covariance" in poses else 2])
    origins = [part.origin for part in parts]
    order = ("time", "segment", "space", "individual")
    origin = at_points(poses, origins).rename(point="segment").transpose(*order)
    unit = str(poses["position"].attrs.get("units", ""))
    result = xr.Dataset(
        {
            "world_from_segment": matrix.assign_attrs(units="1", long_name="axes of the segment in the world"),
            "origin": origin.assign_attrs(units=unit, long_name="origin of the segment"),
            "segment_status": status.assign_attrs(status_attributes("system of the segment")),
        },
        attrs={name: poses.attrs[name] for name in ("fps", "time_unit", "source_file") if name in poses.attrs},
    )
    if spread:
        result = result.assign(_uncertainty(spread[0], covariance_at_points(poses, origins), unit))
        result.attrs["errors_along_time"] = "correlated" if "smoothness" in poses else "independent"
        result = result.assign_coords(axis_=_AXES)
    return result.assign_coords(segment=[part.name for part in parts], axis=_AXES)


def _work(
    poses: xr.Dataset, parts: Sequence[Segment]
) -> Callable[[Array, Array | None], tuple[NDArray[np.generic], ...]]:
    """What `computed` calls: systems, their status, and covariances of turns about their axes."""
    lines, axes = lines_between(poses, ends_of(parts)), axes_of(parts)
    which = np.arange(len(parts))
    sources = sources_of(lines, np.arange(2 * len(parts)).reshape(-1, 2))

    def work(position: Array, covariance: Array | None, /) -> tuple[NDArray[np.generic], ...]:
        frames = frames_in(*vectors_of(position, lines), axes)
        if covariance is None:
            return frames.matrix, frames.status
        gradient = turning(frames, which, np.swapaxes(frames.matrix, -1, -2))
        return frames.matrix, frames.status, covariances_of(covariance, sources, gradient)

    return work


def check_solid(poses: xr.Dataset, what: str) -> None:
    """Refuse poses in images.

    Raises:
        InvalidValueError: the Dataset is no Poses3D.
    """
    if is_flat(check_poses(poses)):
        raise InvalidValueError(
            f"poses, {what}",
            expected="3D poses",
            got="2D poses, those in images",
            remedy="Reconstruct first; in images there are only angles between points.",
        )


def _chosen(poses: xr.Dataset, segments: Skeleton | Sequence[Segment], names: Sequence[str] | None) -> list[Segment]:
    if isinstance(segments, Skeleton):
        anatomy = segments.anatomy if names is not None else segments.anatomy.select(set(keypoint_names(poses)))
        return chosen(anatomy.segments, names, f"skeleton '{segments.name}'", "segments")
    for segment in segments:
        problem = segment.problem(set())
        if problem is not None:
            raise InvalidValueError(
                f"segment '{segment.name}'", expected=problem[0], got=problem[1], remedy="Correct its definition."
            )
    return chosen(segments, names, "what was given", "segments")


def _uncertainty(spread: xr.DataArray, of_origin: xr.DataArray | None, unit: str) -> dict[str, xr.DataArray]:
    assert of_origin is not None
    places = xr.DataArray(np.arange(3), dims="axis")
    turns = spread.isel(axis=places, axis_=places).clip(min=0) ** 0.5
    places = xr.DataArray(np.arange(3), dims="space")
    moves = of_origin.isel(space=places, space_=places).clip(min=0) ** 0.5
    order = ("time", "segment", "axis", "individual")
    origin = moves.rename(point="segment").drop_vars("space_", errors="ignore").transpose(*order[:2], "space", order[3])
    name = "of small turns about the axes of the segment"
    return {
        "orientation_covariance": spread.assign_attrs(units="rad^2", long_name=f"covariance {name}"),
        "orientation_std": turns.transpose(*order).assign_attrs(units="rad", long_name=f"standard deviation {name}"),
        "origin_std": origin.assign_attrs(units=unit, long_name="standard deviation of the origin"),
    }
