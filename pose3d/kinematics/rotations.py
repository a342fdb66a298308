"""Rotations of segments along time: quaternions, angular velocity, and how far angles go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.kinematics._angle_lines import FOUND, GIMBAL_LOCK
from pose3d.kinematics._rotation_continuity import continuous_quaternions, in_windows
from pose3d.kinematics._rotation_kernels import slopes
from pose3d.metrics.quantiles import quantiles
from pose3d.rhythm import rhythm_of

__all__ = ["AngularVelocitySettings", "angular_velocity", "quaternions", "range_of_motion"]

Array = NDArray[np.float64]

_PARTS = ["x", "y", "z", "w"]
_MATRIX = ("segment", "space", "axis", "individual")
_SPREAD = ("segment", "axis", "axis_", "individual")


@dataclass(frozen=True)
class AngularVelocitySettings:
    """How angular velocity is found.

    Attributes:
        half_window: how many frames to each side a polynomial is fitted to; near the ends of a run the window is as
            long, and further to the other side. The default is the least: what is smoothed is up to the filters of
            poses.
        order: of the polynomial of the rotation vectors from a frame to those around it.
        largest_turn: in radians; of turns within a window that come near half a turn it is not known which way they
            went, and the velocity is missing.

    Raises:
        InvalidValueError: the window has no frames beside its middle, fewer than the polynomial needs, or a number is
            out of its range.
    """

    half_window: int = 1
    order: int = 2
    largest_turn: float = 3.0

    def __post_init__(self) -> None:
        if not (1 <= self.order <= 2 * self.half_window) or not 0 < self.largest_turn <= np.pi:
            raise InvalidValueError(
                "AngularVelocitySettings",
                expected="1 <= order <= 2 * half_window, and a largest turn up to pi",
                got=f"half_window {self.half_window}, order {self.order}, largest_turn {self.largest_turn}",
                remedy="Widen the window, or lower the order.",
            )

    @property
    def shares(self) -> Array:
        """(length, length) by the place of a frame in the window, the weights of the slope there, per frame."""
        length = 2 * self.half_window + 1
        offsets = np.arange(length)[None, :] - np.arange(length)[:, None]
        powers = offsets[:, :, None] ** np.arange(self.order + 1)
        return np.ascontiguousarray(np.linalg.pinv(powers.astype(np.float64))[:, 1])


def quaternions(frames: xr.Dataset) -> xr.Dataset:
    """The rotations of segments as unit quaternions x, y, z, w: the scalar part last, as in scipy.

    Args:
        frames: of `segment_frames`; lazy ones give lazy results.

    Returns:
        `quaternion` (time, segment, component, individual). Each run of frames without a gap begins with a scalar part
        that is not negative, and the sign stays the same from frame to frame.

    Raises:
        InvalidValueError: there is no `world_from_segment`, or times do not increase.
    """
    matrix = _required(frames)
    found = xr.apply_ufunc(
        _as_quaternions,
        matrix,
        input_core_dims=[["segment", "individual", "space", "axis"]],
        output_core_dims=[["segment", "individual", "component"]],
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"allow_rechunk": True, "output_sizes": {"component": 4}},
    )
    result = continuous_quaternions(found, rhythm_of(frames).slot)
    order = ("time", "segment", "component", "individual")
    attributes = {"units": "1", "long_name": "world_from_segment as a quaternion, the scalar part w last"}
    return xr.Dataset({"quaternion": result.transpose(*order).assign_attrs(attributes)}).assign_coords(component=_PARTS)


def angular_velocity(
    frames: xr.Dataset,
    settings: AngularVelocitySettings | None = None,
    *,
    frame: Literal["world", "segment"] = "world",
) -> xr.Dataset:
    """How fast segments turn: the derivative of their rotations.

    To the rotation vectors from a frame to those of a window around it a polynomial is fitted; its slope is the angular
    velocity along the axes of the segment, and with a window of three the central difference on the rotations. A steady
    rotation is found exactly, however fast.

    Args:
        frames: of `segment_frames`; lazy ones give lazy results.
        settings: the window.
        frame: "world" for components along the axes of the world, "segment" for those along the axes of the segment.

    Returns:
        `angular_velocity` (time, segment, space, individual), or (time, segment, axis, individual), in rad/s (rad/frame
        where the frame rate is not known); runs of frames shorter than the window have none. `angular_velocity_std`
        where the frames have `orientation_covariance`: first order, errors of different frames count as independent.
        Where they are not, since the poses were reconstructed with a model of their motion, there is no
        `angular_velocity_std`, and the attribute `without_std` says so.

    Raises:
        InvalidValueError: there is no `world_from_segment`, times do not increase, or `frame` is neither of the two.
    """
    if frame not in ("world", "segment"):
        raise InvalidValueError("frame", expected="'world' or 'segment'", got=repr(frame), remedy="Choose one of them.")
    settings = settings or AngularVelocitySettings()
    rhythm = rhythm_of(frames)
    dependent = frames.attrs.get("errors_along_time") == "correlated"
    given = [_required(frames).transpose("time", *_MATRIX)]
    if "orientation_covariance" in frames and not dependent:
        given.append(frames["orientation_covariance"].transpose("time", *_SPREAD))
    work = _velocities(settings, rhythm.rate, frame == "world")
    shape = (len(given), *(frames.sizes[dim] for dim in ("segment", "axis", "individual")))
    both = in_windows(given, rhythm.slot, 2 * settings.half_window, work, shape)
    dims = ("time", "segment", "space" if frame == "world" else "axis", "individual")
    unit = "rad/s" if rhythm.unit == "s" else "rad/frame"
    names = ("angular_velocity", "angular_velocity_std")
    titles = (f"angular velocity in the {frame}", f"standard deviation of the angular velocity in the {frame}")
    result = xr.Dataset(
        {
            name: (dims, both[:, place], {"units": unit, "long_name": title})
            for place, (name, title) in enumerate(zip(names[: len(given)], titles, strict=False))
        },
        coords={name: frames.coords[name] for name in ("time", "frame", "segment", "individual", dims[2])},
    )
    if dependent:
        result["angular_velocity"].attrs["without_std"] = "errors of successive frames are not independent"
    return result


def range_of_motion(angles: xr.Dataset, *, keep_marked: bool = False) -> xr.Dataset:
    """How far angles go, per angle and individual.

    There are no standard deviations: the least and the largest of many noisy values lie further out than those of the
    true ones, by two to four standard deviations of a value in a long recording, and the 5th and 95th percentiles by
    much less. Tell those, or smooth before.

    Args:
        angles: of `joint_angles`, `joint_coordinates` or another function that gives one angle with its status.
        keep_marked: whether angles near a singularity, as the status says, count; of joint coordinates at gimbal lock
            the second counts in any case.

    Returns:
        `minimum`, `maximum`, `range`, `lower` and `upper` (5th and 95th percentiles) and `inner_range` between them, in
        rad, and `share`, that of the frames that counted. NaN where none did. Where a signed angle goes beyond pi in
        several runs of frames, each run has its own count of turns: look at such runs one by one.

    Raises:
        InvalidValueError: the Dataset has not one angle.
    """
    name = _angle_of(angles)
    values = angles[name].load()
    status = angles.get(f"{name}_status")
    if status is not None and not keep_marked:
        counted = status == FOUND
        if "component" in values.dims:
            counted = counted | ((status == GIMBAL_LOCK) & (angles["component"] == "second"))
        values = values.where(counted).transpose(*values.dims)
    lowest, highest, lower, upper = quantiles(values, ("time",), (0.0, 1.0, 0.05, 0.95))
    told = {
        "minimum": (lowest, "least angle"),
        "maximum": (highest, "largest angle"),
        "range": (highest - lowest, "range of motion"),
        "lower": (lower, "5th percentile of the angle"),
        "upper": (upper, "95th percentile of the angle"),
        "inner_range": (upper - lower, "range between the 5th and the 95th percentile"),
    }
    result = xr.Dataset({key: value.assign_attrs(units="rad", long_name=title) for key, (value, title) in told.items()})
    share = values.notnull().sum("time") / max(values.sizes["time"], 1)
    return result.assign(share=share.assign_attrs(units="1", long_name="share of the frames that counted"))


def _angle_of(angles: xr.Dataset) -> str:
    names = [str(name) for name, each in angles.data_vars.items() if each.attrs.get("units") == "rad"]
    names = [name for name in names if not name.endswith("_std") and "time" in angles[name].dims]
    if len(names) != 1:
        raise InvalidValueError(
            "angles",
            expected="a Dataset with one variable in rad along time, as joint_angles gives it",
            got=", ".join(names) or f"the variables {', '.join(map(str, angles.data_vars)) or 'none'}",
            remedy="Select the angle: angles[['joint_angle', 'joint_angle_status']].",
        )
    return names[0]


def _required(frames: xr.Dataset) -> xr.DataArray:
    if "world_from_segment" not in frames:
        raise InvalidValueError(
            "frames of segments",
            expected="a variable 'world_from_segment'",
            got=", ".join(map(str, frames.data_vars)) or "no variable",
            remedy="Make them with segment_frames(poses, skeleton).",
        )
    return frames["world_from_segment"]


def _as_quaternions(matrix: Array) -> Array:
    from scipy.spatial.transform import Rotation

    result = np.full((*matrix.shape[:-2], 4), np.nan)
    known = ~np.isnan(matrix[..., 0, 0])
    if known.any():
        result[known] = Rotation.from_matrix(matrix[known]).as_quat()
    return result


def _velocities(settings: AngularVelocitySettings, rate: float, in_world: bool) -> Callable[..., Array]:
    """What `in_windows` calls: velocities of (time, segment, 3, 3, individual), and standard deviations."""
    shares = settings.shares * rate

    def work(joined: NDArray[np.bool_], matrix: Array, covariance: Array | None = None) -> Array:
        tracks = _as_tracks(matrix)
        spread = np.empty((0, 0, 0, 0)) if covariance is None else _as_tracks(covariance)
        found, error = np.empty(tracks.shape[:-1]), np.empty_like(spread)
        slopes(tracks, spread, joined, shares, settings.largest_turn, in_world, found, error)
        if in_world:
            found = np.einsum("...sa,...a->...s", tracks, found)
        results = [found]
        if covariance is not None:
            if in_world:
                error = tracks @ error @ np.swapaxes(tracks, -1, -2)
            results.append(np.sqrt(np.maximum(np.einsum("...aa->...a", error), 0.0)))
        size = (len(matrix), len(results), matrix.shape[1], matrix.shape[-1], 3)
        return np.moveaxis(np.stack(results, axis=1).reshape(size), -1, 3)

    return work


def _as_tracks(values: Array) -> Array:
    """(time, track, 3, 3) of (time, segment, 3, 3, individual)."""
    return np.ascontiguousarray(np.moveaxis(values, -1, 2).reshape(len(values), -1, 3, 3), dtype=np.float64)
