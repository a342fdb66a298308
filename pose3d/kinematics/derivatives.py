"""Velocity, acceleration, jerk and speed of positions, with their uncertainty.

Only successive frames are differentiated together: a gap, or a frame that is missing, ends a run, and what is missing
stays missing. At the ends of runs the derivative is one-sided. Standard deviations follow from the covariance of the
positions: errors of different frames are independent, unless the positions were smoothed by `reconstruct`, or the
settings say otherwise (see `_error_correlation`). They tell how noise moves the result; what a filter takes from a
motion that is too fast for it, they do not tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pose3d.kinematics._derivative_jets import Differences, Jet
from pose3d.kinematics._derivative_kernels import filter_lengths
from pose3d.kinematics._derivative_motion import Motion, motion_of
from pose3d.kinematics._derivative_pieces import in_pieces, labeled
from pose3d.kinematics._derivative_settings import DerivativeSettings

__all__ = ["DerivativeSettings", "acceleration", "jerk", "speed", "velocity"]

Array = NDArray[np.float64]
Links = NDArray[np.bool_]


def velocity(poses: xr.Dataset, settings: DerivativeSettings | None = None) -> xr.Dataset:
    """Velocity of every keypoint.

    Lazy where the positions are Dask's, but for the method "spline", which takes the whole recording when asked.

    Args:
        poses: Poses3D or Poses2D Dataset.
        settings: the defaults where None.

    Returns:
        `velocity` with the dimensions of the position, per second (per frame where the frame rate is not known), and
        where the poses have covariances `velocity_std`, the standard deviation along each axis.

    Raises:
        InvalidValueError: the Dataset follows neither schema, has no rhythm, or a setting does not fit.
    """
    return _derivative(poses, settings, 1, "velocity")


def acceleration(poses: xr.Dataset, settings: DerivativeSettings | None = None) -> xr.Dataset:
    """Acceleration of every keypoint: `acceleration` and `acceleration_std`; arguments and errors as of `velocity`."""
    return _derivative(poses, settings, 2, "acceleration")


def jerk(poses: xr.Dataset, settings: DerivativeSettings | None = None) -> xr.Dataset:
    """Jerk, the derivative of acceleration: `jerk` and `jerk_std`; arguments and errors as of `velocity`.

    Of trajectories whose model is one of constant velocity or acceleration it is what changes at random from frame to
    frame in that model: its value is as good as the model, at best.
    """
    return _derivative(poses, settings, 3, "jerk")


def speed(poses: xr.Dataset, settings: DerivativeSettings | None = None) -> xr.Dataset:
    """Speed of every keypoint, the length of its velocity.

    Of what rests, the speed is that of the noise: about `speed_std` times 1.6 (in images 1.25), not 0.

    Args:
        poses, settings: as for `velocity`.

    Returns:
        `speed` with the dimensions of the position but space, and where the poses have covariances `speed_std`: of the
        velocity along its own direction (first order).

    Raises:
        InvalidValueError: as for `velocity`.
    """
    motion = motion_of(poses, settings, [1])
    dims = ("time", *motion.tracks)
    if motion.covariance is None and isinstance(motion.method, Differences):
        found = in_pieces(_speeds(motion, motion.method), motion.inputs, motion.link, motion.halo(1), [motion.sizes])
    else:
        certain = motion.covariance is None
        found = motion.jets(_speed_of_jet, [1], [motion.sizes] * (2 - certain))
    return _results(motion, "speed", found, dims, 1, "speed")


def _speeds(motion: Motion, method: Differences) -> Any:
    """Work that finds speeds without an array of velocities."""

    def work(parts: list[Array], link: Links, first: int, last: int, out: list[Array]) -> None:
        shape = parts[0].shape
        outer, inner = (int(np.prod(some)) for some in (shape[1 : motion.space_axis], shape[motion.space_axis + 1 :]))
        x = parts[0].reshape(shape[0], outer, shape[motion.space_axis], inner)
        filter_lengths(x, link, first, last, method.scaled(1), out[0].reshape(last - first, outer, inner))

    return work


def _speed_of_jet(jet: Jet, out: list[Array]) -> None:
    moving = jet.value(1)
    length = np.sqrt((moving**2).sum(axis=1))
    out[0][:] = length.reshape(out[0].shape)
    if len(out) > 1:
        covariance = jet.covariance(1, 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            along = np.einsum("tsm,tsrm,trm->tm", moving, covariance, moving) / length**2
        # where nothing moves no direction is special
        still = length == 0
        along[still] = np.einsum("tssm->tm", covariance)[still] / moving.shape[1]
        out[1][:] = np.sqrt(along).reshape(out[1].shape)


def _derivative(poses: xr.Dataset, settings: DerivativeSettings | None, order: int, name: str) -> xr.Dataset:
    motion = motion_of(poses, settings, [order])
    position = motion.position
    shape = position.shape[1:]
    shapes = [shape] * len(motion.inputs)
    if isinstance(motion.method, Differences):
        work = _filtered(motion, motion.method, order)
        found = in_pieces(work, motion.inputs, motion.link, motion.halo(order), shapes)
    else:

        def splined(jet: Jet, out: list[Array]) -> None:
            out[0][:] = motion.from_tracks(jet.value(order))
            if len(out) > 1:
                out[1][:] = motion.from_tracks(np.sqrt(np.einsum("tssm->tsm", jet.covariance(order, order))))

        found = motion.jets(splined, [order], shapes)
    return _results(motion, name, found, [str(dim) for dim in position.dims], order, name)


def _filtered(motion: Motion, method: Differences, order: int) -> Any:
    """Work that filters the rows as they lie in memory."""
    axis = motion.space_axis
    deviation = motion.deviation.expand_dims(space=motion.position.sizes["space"])
    each = deviation.transpose(*motion.position.dims[1:]).values.ravel()

    def work(parts: list[Array], link: Links, first: int, last: int, out: list[Array]) -> None:
        rows = parts[0].reshape(len(parts[0]), -1)
        method.values(order, rows, link, first, last, out[0].reshape(last - first, -1))
        if len(parts) > 1:
            variance = np.moveaxis(np.diagonal(parts[1], axis1=axis, axis2=axis + 1), -1, axis)
            flat, result = variance.reshape(rows.shape), out[1].reshape(last - first, -1)
            method.variances(order, rows, np.ascontiguousarray(flat), link, first, last, each, result)
            np.sqrt(result, out=result)

    return work


def _results(motion: Motion, name: str, found: Sequence[Any], dims: Sequence[str], order: int, what: str) -> xr.Dataset:
    time = motion.rhythm.unit
    unit = f"{motion.unit}/{time}" + (f"^{order}" if order > 1 else "")
    attributes = {"units": unit, "method": motion.words}
    variables = {name: labeled(found[0], dims, motion.poses, attributes | {"long_name": what})}
    if len(found) > 1:
        long_name = f"standard deviation of the {what}"
        variables[f"{name}_std"] = labeled(found[1], dims, motion.poses, attributes | {"long_name": long_name})
    return xr.Dataset(variables)
