"""The way of keypoints through space: its length, its curvature, and the direction of travel.

Derivatives, gaps and uncertainty are those of `pose3d.kinematics.derivatives`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.kinematics._derivative_jets import Jet
from pose3d.kinematics._derivative_motion import Motion, motion_of
from pose3d.kinematics._derivative_pieces import in_pieces, labeled
from pose3d.kinematics._derivative_settings import DerivativeSettings
from pose3d.skeleton import Point

__all__ = ["angular_speed", "curvature", "heading", "path_length"]

Array = NDArray[np.float64]
Links = NDArray[np.bool_]

# Of a direction of which nothing is known: the standard deviation of what is anywhere on the circle.
_ANYWHERE = float(np.pi / np.sqrt(3.0))


def path_length(poses: xr.Dataset, settings: DerivativeSettings | None = None) -> xr.Dataset:
    """How far every keypoint went, step by step from frame to frame.

    A gap is not walked: what a keypoint did while it was missing is not counted, and `walked_share` says how much is
    counted. Noise makes a path longer, since every step goes to and fro: of what rests, it grows all the time. Poses
    that were smoothed, or frames further apart, have less of it.

    Args:
        poses: Poses3D or Poses2D Dataset.
        settings: of them only `error_correlation` matters.

    Returns:
        Along time `path_length` from the first position on, NaN where the position is missing; without time
        `total_path_length`, NaN where there is no step, `walked_share`, the share of the steps from the first to the
        last frame of the recording that are counted, and `missing_time`, how long the others took. Where the poses
        have covariances, `path_length_std` and `total_path_length_std` (first order: the growth by noise is not in
        them; where errors of successive frames are alike, at most so large).

    Raises:
        InvalidValueError: the Dataset follows neither schema, or has no rhythm.
    """
    motion = motion_of(poses, settings, [1])
    shapes = [motion.sizes] * (4 if motion.covariance is not None else 2)
    found = in_pieces(lambda *piece: _steps(motion, *piece), motion.inputs, motion.link, 1, shapes)
    dims = ("time", *motion.tracks)
    parts = [xr.DataArray(values, dims=dims) for values in found]
    variables = _lengths(motion, *parts[:2]) | (_deviations(motion, *parts) if len(parts) > 2 else {})
    return xr.Dataset(
        {
            name: labeled(values.data, [str(dim) for dim in values.dims], poses, {"units": unit, "long_name": text})
            for name, (values, unit, text) in variables.items()
        }
    )


def _lengths(motion: Motion, step: xr.DataArray, known: xr.DataArray) -> dict[str, tuple[xr.DataArray, str, str]]:
    """Values, units and descriptions of lengths, and of what they are made of; see `_steps`."""
    slot = motion.rhythm.slot
    whole = max(int(slot[-1] - slot[0]), 1) if len(slot) else 1
    walked = step.notnull().sum("time")
    share = walked / whole
    return {
        "path_length": (step.fillna(0.0).cumsum("time").where(known > 0), motion.unit, "length of the path so far"),
        "total_path_length": (step.sum("time").where(walked > 0), motion.unit, "length of the whole path"),
        "walked_share": (share, "1", "share of the steps of the recording that are counted"),
        "missing_time": ((1 - share) * whole * motion.rhythm.step, motion.rhythm.unit, "time of the other steps"),
    }


def _deviations(
    motion: Motion, step: xr.DataArray, known: xr.DataArray, inner: xr.DataArray, end: xr.DataArray
) -> dict[str, tuple[xr.DataArray, str, str]]:
    """Values, units and descriptions of standard deviations; see `_steps`."""
    so_far = (inner.cumsum("time", skipna=False) - inner + end).where(known > 0)
    total = inner.sum("time", skipna=False).where(step.notnull().any("time"))
    return {
        "path_length_std": (so_far**0.5, motion.unit, "standard deviation of path_length"),
        "total_path_length_std": (total**0.5, motion.unit, "standard deviation of total_path_length"),
    }


def _steps(motion: Motion, parts: list[Array], link: Links, first: int, last: int, out: list[Array]) -> None:
    """Fill in steps, NaN where there is none; whether there is a position; and parts of the variance of their sum.

    The sum changes with a position by the difference of the directions of the steps to it and from it; with the last
    one by the direction of the step to it.
    """
    position = motion.as_tracks(parts[0])
    move = np.full(position.shape, np.nan)
    move[1:][link[1:]] = np.diff(position, axis=0)[link[1:]]
    length = np.sqrt((move**2).sum(axis=1))
    rows = slice(first, last)
    out[0][:] = length[rows].reshape(out[0].shape)
    there = np.asarray(~np.isnan(position).any(axis=1))
    out[1][:] = there[rows].reshape(out[1].shape)
    if len(out) == 2:
        return
    covariance = motion.covariance_as_tracks(parts[1])[rows]
    with np.errstate(invalid="ignore", divide="ignore"):
        direction = np.nan_to_num(move / length[:, None])
    toward = direction[rows]
    turn = toward.copy()
    turn[: len(direction) - 1 - first] -= direction[first + 1 : last + 1]
    for target, change in ((out[2], turn), (out[3], toward)):
        variance = np.einsum("tsm,tsrm,trm->tm", change, covariance, change)
        # what does not count needs no covariance
        variance[(change == 0).all(axis=1)] = 0.0
        if motion.method.correlation is not None:
            parameter = np.einsum("tssm->tm", covariance) / covariance.shape[1] / motion.deviation.values.ravel() ** 2
            variance *= np.nan_to_num(motion.method.correlation.of_sums(parameter), nan=1.0)
        target[:] = variance.reshape(target.shape)


def curvature(poses: xr.Dataset, settings: DerivativeSettings | None = None) -> xr.Dataset:
    """Curvature of the path of every keypoint, |v x a| / |v|^3: one over the radius of the circle it is on.

    Where a keypoint hardly moves, its path has no direction: `curvature_std` is then large.

    Args:
        poses, settings: as for `velocity`.

    Returns:
        `curvature`, never negative, per length, NaN where the velocity is 0; and where the poses have covariances
        `curvature_std` (first order).

    Raises:
        InvalidValueError: as for `velocity`.
    """
    motion = motion_of(poses, settings, [1, 2])
    found = motion.jets(_curvature_of_jet, [1, 2], [motion.sizes] * len(motion.inputs))
    return _named(motion, "curvature", found, f"1/{motion.unit}", "curvature of the path")


def _curvature_of_jet(jet: Jet, out: list[Array]) -> None:
    v, a = (_in_space(jet.value(order)) for order in (1, 2))
    cross = np.cross(v, a, axis=1)
    size, speed = np.linalg.norm(cross, axis=1), np.linalg.norm(v, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        bend = size / speed**3
        bend[speed == 0] = np.nan
        out[0][:] = bend.reshape(out[0].shape)
        if len(out) == 1:
            return
        normal = cross / size[:, None]
        by_v = np.cross(a, normal, axis=1) / speed[:, None] ** 3 - 3 * bend[:, None] * v / speed[:, None] ** 2
        by_a = np.cross(normal, v, axis=1) / speed[:, None] ** 3
    out[1][:] = _deviation(jet, (1, by_v), (2, by_a)).reshape(out[1].shape)


def heading(
    poses: xr.Dataset,
    settings: DerivativeSettings | None = None,
    *,
    axis: tuple[Point, Point] | None = None,
    minimum_speed: float = 0.0,
) -> xr.Dataset:
    """Direction of travel of every keypoint, or of the body, in the ground plane, from x toward y.

    The world has z up; seen from above, the angle grows counterclockwise. In images, with y down, it grows clockwise.
    Angles go on past pi within a run of frames; a run starts between -pi and pi.

    Args:
        poses: Poses3D or Poses2D Dataset. Of Dask's it is read piece by piece, at once.
        settings: as for `velocity`; of the body axis they do not matter.
        axis: rear and front of the body: the direction from the one to the other, instead of that of motion.
        minimum_speed: a slower motion (in the ground plane) has no direction, hence NaN.

    Returns:
        `heading` in radians, without `keypoint` where an axis is given; and where the poses have covariances
        `heading_std` (first order, at most that of what may be anywhere on the circle).

    Raises:
        InvalidValueError: as for `velocity`; a keypoint is unknown; or the minimum is negative.
    """
    if not 0 <= minimum_speed < np.inf:
        raise InvalidValueError(
            "heading, minimum_speed", expected="a speed from 0", got=str(minimum_speed), remedy="Correct the argument."
        )
    order = 1 if axis is None else 0
    if axis is not None:  # its positions are taken as they are
        settings = DerivativeSettings("central")
    motion = motion_of(poses, settings, [order], line=axis)

    def work(jet: Jet, out: list[Array]) -> None:
        _heading_of_jet(jet, out, order, minimum_speed * order)

    found = motion.jets(work, [order], [motion.sizes] * len(motion.inputs))
    angle = np.asarray(found[0])
    unwrapped = _unwrapped(angle.reshape(len(angle), -1), motion.link).reshape(angle.shape)
    name = "direction of motion" if axis is None else "direction of the body axis"
    return _named(motion, "heading", [unwrapped, *found[1:]], "rad", name)


def _heading_of_jet(jet: Jet, out: list[Array], order: int, least: float) -> None:
    x, y = np.moveaxis(jet.value(order)[:, :2], 1, 0)
    length = np.hypot(x, y)
    fast = (length > 0) & (length >= least)
    out[0][:] = np.where(fast, np.arctan2(y, x), np.nan).reshape(out[0].shape)
    if len(out) > 1:
        with np.errstate(invalid="ignore", divide="ignore"):
            across = np.stack([-y, x], axis=1) / length[:, None] ** 2
        spread = _deviation(jet, (order, across))
        out[1][:] = np.where(fast, np.minimum(spread, _ANYWHERE), np.nan).reshape(out[1].shape)


def angular_speed(
    poses: xr.Dataset, settings: DerivativeSettings | None = None, *, axis: tuple[Point, Point] | None = None
) -> xr.Dataset:
    """How fast the heading turns, in the ground plane: (x y' - y x') / (x^2 + y^2).

    Args:
        poses, settings: as for `velocity`.
        axis: see `heading`.

    Returns:
        `angular_speed` in radians per second, positive where `heading` grows; and where the poses have covariances
        `angular_speed_std` (first order).

    Raises:
        InvalidValueError: as for `velocity`, or a keypoint is unknown.
    """
    low = 1 if axis is None else 0
    motion = motion_of(poses, settings, [low, low + 1], line=axis)

    def work(jet: Jet, out: list[Array]) -> None:
        p, q = (jet.value(order)[:, :2] for order in (low, low + 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            square = (p**2).sum(axis=1)
            turning = (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]) / square
            out[0][:] = turning.reshape(out[0].shape)
            if len(out) > 1:
                by_p = (np.stack([q[:, 1], -q[:, 0]], axis=1) - 2 * turning[:, None] * p) / square[:, None]
                by_q = np.stack([-p[:, 1], p[:, 0]], axis=1) / square[:, None]
                out[1][:] = _deviation(jet, (low, by_p), (low + 1, by_q)).reshape(out[1].shape)

    found = motion.jets(work, [low, low + 1], [motion.sizes] * len(motion.inputs))
    what = "motion" if axis is None else "the body axis"
    return _named(motion, "angular_speed", found, f"rad/{motion.rhythm.unit}", f"turning of the direction of {what}")


def _deviation(jet: Jet, *gradients: tuple[int, Array]) -> Array:
    """(row, track) standard deviation of what changes with derivatives of these orders by (row, space, track)."""
    total: Any = 0.0
    for order, left in gradients:
        for other, right in gradients:
            covariance = jet.covariance(order, other)
            space = min(covariance.shape[1], left.shape[1])
            total = total + np.einsum(
                "tsm,tsrm,trm->tm", left[:, :space], covariance[:, :space, :space], right[:, :space]
            )
    return np.asarray(np.sqrt(np.maximum(total, 0.0)))


def _in_space(values: Array) -> Array:
    """(row, 3, track) of what is in a plane or in space."""
    return np.concatenate([values, np.zeros_like(values[:, : 3 - values.shape[1]])], axis=1)


def _unwrapped(angle: Array, link: Links) -> Array:
    """(time, track) angles without jumps inside runs of frames."""
    if not len(angle):
        return angle
    step = np.diff(angle, axis=0)
    joined = link[1:, None] & np.isfinite(step)
    turns = np.zeros_like(angle)
    turns[1:] = np.cumsum(np.where(joined, -np.rint(np.nan_to_num(step) / (2 * np.pi)), 0.0), axis=0)
    rows = np.zeros(angle.shape, dtype=np.int64)
    rows[1:] = np.where(joined, 0, np.arange(1, len(angle))[:, None])
    start = np.maximum.accumulate(rows, axis=0)
    return np.asarray(angle + 2 * np.pi * (turns - np.take_along_axis(turns, start, axis=0)))


def _named(motion: Motion, name: str, found: Sequence[Any], unit: str, what: str) -> xr.Dataset:
    dims = ("time", *motion.tracks)
    attributes = {"units": unit, "method": motion.words}
    variables = {name: labeled(found[0], dims, motion.poses, attributes | {"long_name": what})}
    if len(found) > 1:
        text = f"standard deviation of {name}"
        variables[f"{name}_std"] = labeled(found[1], dims, motion.poses, attributes | {"long_name": text})
    return xr.Dataset(variables)
