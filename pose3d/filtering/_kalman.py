"""The Kalman smoother of positions that move on with their velocity."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError, MismatchError, SuiteWarning
from pose3d.filtering._checks import is_number, is_whole, require
from pose3d.filtering._kalman_kernels import smooth_track
from pose3d.filtering._tracks import Tracks, short_gaps, smoothed, tracks_of

__all__ = ["kalman_smoother"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def kalman_smoother(
    poses: xr.Dataset,
    *,
    acceleration: float | Mapping[str, float],
    noise: float | Mapping[str, float] | None = None,
    maximum_gap: int = 0,
) -> xr.Dataset:
    """Poses that are the most probable ones, and their covariance, if keypoints keep their velocity but for noise.

    The velocity changes by white acceleration (the continuous model: a skipped frame is a longer step, and neither it
    nor a frame without a position changes what is found in the others). Before the first position nothing is known of
    place or velocity. Every position is estimated from all others of its track, before and after it, by the smoother of
    H. E. Rauch, F. Tung and C. T. Striebel, "Maximum likelihood estimates of linear dynamic systems", AIAA Journal 3
    (1965). A track of one position stays as it is.

    The covariance of the result is as right as the model, the noise and the acceleration are. Errors of neighboring
    frames count as independent; those of networks and calibrations often are not, and then it is too small.

    Args:
        poses: Poses3D or Poses2D Dataset.
        acceleration: standard deviation of a coordinate of the acceleration, averaged over one frame, in the unit of
            the positions per second squared (per frame squared where no frame rate is known); one number or one per
            keypoint. The larger, the closer the result stays to the positions.
        noise: standard deviation of a coordinate of the positions, in their unit; one number or one per keypoint. By
            default the variable `covariance` says it.
        maximum_gap: the most frames without a position in a gap that is filled, with the covariance that follows.
            Longer gaps, and what is before the first and after the last position, stay missing.

    Returns:
        The Dataset with new `position` and `covariance`; with `filled` where gaps were to be filled.

    Raises:
        InvalidValueError: the Dataset follows neither schema or has no covariance where it is needed, a setting is out
            of range, or a covariance is not positive.
        MismatchError: a keypoint has no acceleration or noise, or one that is named is not in the poses.
    """
    fine = is_whole(maximum_gap) and maximum_gap >= 0
    require("kalman_smoother, maximum_gap", fine, "a number of frames, 0 or more", maximum_gap)
    tracks = tracks_of(poses)
    densities = _by_track(poses, tracks, "acceleration", acceleration) ** 2
    measured = tracks.known
    given = None if noise is None else _by_track(poses, tracks, "noise", noise)
    if given is None:
        covariance = _covariance(poses, tracks)
        measured &= _has_covariance(covariance, measured)
    wanted = measured | short_gaps(measured, tracks.slot, maximum_gap)
    points = np.full_like(tracks.points, np.nan)
    dims = points.shape[-1]
    spread = np.full((*points.shape, dims), np.nan)
    time = tracks.time / _interval(tracks)
    for track in range(len(points)):
        rows = np.flatnonzero(wanted[track])
        position = tracks.points[track, rows]
        if given is None:
            position, own = position[:, :, None], covariance[track, rows]
        else:
            position, own = position[:, None, :], np.full((len(rows), 1, 1), given[track] ** 2)
        density = densities[track] * _interval(tracks) ** 4
        mean, var = _smooth(time[rows], measured[track, rows], position, own, density)
        points[track, rows] = mean.reshape(-1, dims)
        spread[track, rows] = var if given is None else var * np.eye(dims)
    return smoothed(
        poses,
        points,
        "kalman_smoother",
        {"acceleration": _plain(acceleration), "noise": _plain(noise), "maximum_gap": int(maximum_gap)},
        covariance=spread,
        filled=wanted & ~tracks.known if maximum_gap else None,
    )


def _smooth(time: Array, measured: Mask, position: Array, noise: Array, density: float) -> tuple[Array, Array]:
    """Smoothed positions (row, dims, columns) and covariance (row, dims, dims); see `smooth_track`.

    Two positions determine a state: their difference is the velocity, up to their noise and the acceleration between
    them. So the filter starts at the second one with exact numbers, instead of huge variances at the first.
    """
    dims = position.shape[1]
    if measured.sum() < 2:
        return position, noise
    first, start = np.flatnonzero(measured)[:2]
    step = time[start] - time[first]
    mean = np.empty((len(time), 2 * dims, position.shape[2]))
    spread = np.empty((len(time), 2 * dims, 2 * dims))
    mean[start] = np.concatenate([position[start], (position[start] - position[first]) / step])
    fast = (noise[first] + noise[start]) / step**2 + density * step / 3 * np.eye(dims)
    spread[start] = np.block([[noise[start], noise[start] / step], [noise[start] / step, fast]])
    if not smooth_track(time, measured, position, noise, density, int(start), mean, spread):
        raise InvalidValueError(
            "kalman_smoother, covariance",
            expected="positive definite matrices",
            got="one that is not",
            remedy="Give the noise of the positions instead, or look where the covariance comes from.",
        )
    for row in range(start):
        mean[row], spread[row] = _before(
            time[start] - time[row],
            time[row] - time[first],
            position[first],
            noise[first],
            density,
            mean[start],
            spread[start],
        )
    return mean[:, :dims], spread[:, :dims, :dims]


def _before(
    ahead: float, behind: float, position: Array, noise: Array, density: float, mean: Array, spread: Array
) -> tuple[Array, Array]:
    """The smoothed state at or after the first position and before the second, from that at the second.

    Seen from the second, time runs backward: the state is that at the second less its motion, and the first position
    is a measurement of it.

    Args:
        ahead, behind: time to the second position, and from the first.
        position, noise: the first position (dims, columns) and its covariance.
        density: spectral density of the acceleration.
        mean, spread: smoothed state at the second position, and its covariance.
    """
    one = np.eye(len(position))
    back = np.kron([[1.0, -ahead], [0.0, 1.0]], one)
    moved = density * np.kron([[ahead**3 / 3, -(ahead**2) / 2], [-(ahead**2) / 2, ahead]], one)
    seen = np.kron([[1.0, -behind]], one)
    gain = np.linalg.solve(seen @ moved @ seen.T + noise + density * behind**3 / 3 * one, seen @ moved).T
    rest = np.eye(len(back)) - gain @ seen
    result = rest @ back @ spread @ back.T @ rest.T + rest @ moved
    return rest @ back @ mean + gain @ position, 0.5 * (result + result.T)


def _interval(tracks: Tracks) -> float:
    """Time from one position to the next, as it usually is."""
    steps = np.diff(tracks.time) / np.diff(tracks.slot)
    return float(np.median(steps)) if len(steps) else 1.0


def _covariance(poses: xr.Dataset, tracks: Tracks) -> Array:
    """(track, time, space, space) covariance of the positions."""
    if "covariance" not in poses:
        raise InvalidValueError(
            "kalman_smoother, noise",
            expected="the noise of the positions, or poses with the variable 'covariance'",
            got="neither",
            remedy="Give the standard deviation of a coordinate, or triangulate with the covariance.",
        )
    others = [dim for dim in poses["position"].dims if dim not in ("time", "space")]
    ordered = poses["covariance"].transpose(*others, "time", "space", "space_")
    return np.array(ordered.values, dtype=np.float64, order="C").reshape(len(tracks.points), *ordered.shape[-3:])


def _has_covariance(covariance: Array, known: Mask) -> Mask:
    has = np.asarray(np.isfinite(covariance).all(axis=(-2, -1)))
    lacking = int((known & ~has).sum())
    if lacking:
        warnings.warn(
            f"{lacking} of {int(known.sum())} positions have no covariance: they count as missing; give the noise to "
            "use them, or smooth before gaps are filled",
            SuiteWarning,
            stacklevel=3,
        )
    return has


def _by_track(poses: xr.Dataset, tracks: Tracks, name: str, values: float | Mapping[str, float]) -> Array:
    """(track,) the setting of every track."""
    names = [str(keypoint) for keypoint in poses["keypoint"].values]
    if isinstance(values, Mapping):
        differ = sorted(set(names) ^ {str(each) for each in values})
        if differ:
            raise MismatchError(
                f"kalman_smoother, {name}",
                expected=f"a number for each of {', '.join(names)}",
                got=f"{', '.join(differ)} in one of them only",
                remedy="Name every keypoint of the poses once.",
            )
    given = [values[each] for each in names] if isinstance(values, Mapping) else [values] * len(names)
    for each in given:
        require(f"kalman_smoother, {name}", is_number(each) and each > 0, "a number above 0", each)
    return np.array(given, dtype=np.float64)[tracks.keypoint]


def _plain(values: float | Mapping[str, float] | None) -> object:
    if values is None:
        return None
    return {str(key): float(value) for key, value in values.items()} if isinstance(values, Mapping) else float(values)
