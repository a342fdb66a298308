"""What is needed of poses to differentiate them, and the method that the settings name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.kinematics._derivative_filters import central_filter, polynomial_filter
from pose3d.kinematics._derivative_jets import Differences, FilterJet, Jet, Rows
from pose3d.kinematics._derivative_pieces import in_pieces
from pose3d.kinematics._derivative_settings import DerivativeSettings
from pose3d.kinematics._derivative_spline import Splines
from pose3d.kinematics._error_correlation import ErrorCorrelation, lasting_errors, model_order, smoother_errors
from pose3d.kinematics._poses import at_points, check_poses, covariance_at_points
from pose3d.rhythm import Rhythm, rhythm_of
from pose3d.skeleton import Point

__all__ = ["Motion", "motion_of"]

Array = NDArray[np.float64]

# The polynomial through the positions of a trajectory: of degree 4, since the motion between frames is as smooth as
# the model of the trajectory, at most of constant jerk, says. With three frames, velocity at 10 Hz would be 7 % too
# small at 100 frames per second; with five 0.5 %.
_TRAJECTORY_FRAMES = 5


@dataclass(frozen=True, eq=False)
class Motion:
    """Positions of poses, or of points made of them, and how to differentiate them.

    Attributes:
        poses: for their coordinates.
        position: with time first.
        covariance: or None.
        link: (time,) whether a row is the frame after the one before.
        rhythm: of the rows.
        deviation: of the differences of the motion, where `reconstruct` learned their smoothness: with the dimensions
            of the position but time and space; ones elsewhere.
        method: filters or splines.
        words: what was done, for people.
    """

    poses: xr.Dataset
    position: xr.DataArray
    covariance: xr.DataArray | None
    link: NDArray[np.bool_]
    rhythm: Rhythm
    deviation: xr.DataArray
    method: Differences | Splines
    words: str

    @property
    def unit(self) -> str:
        """Of lengths."""
        return str(self.position.attrs.get("units") or "length")

    @property
    def space_axis(self) -> int:
        """Which dimension of the position is space."""
        return self.position.dims.index("space")

    @property
    def tracks(self) -> tuple[str, ...]:
        """Dimensions of the position but time and space."""
        return tuple(str(dim) for dim in self.position.dims if dim not in ("time", "space"))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Along `tracks`."""
        return tuple(self.position.sizes[dim] for dim in self.tracks)

    @property
    def inputs(self) -> list[xr.DataArray]:
        """Position, and covariance where there is one."""
        return [self.position] if self.covariance is None else [self.position, self.covariance]

    def halo(self, *orders: int) -> int | None:
        """Rows around a piece that derivatives need; None for all."""
        return self.method.halo(*orders) if isinstance(self.method, Differences) else None

    def jet(self, parts: Sequence[Array], link: NDArray[np.bool_], first: int, last: int) -> Jet:
        """Derivatives of rows of the inputs."""
        position = self.as_tracks(parts[0])
        missing = np.asarray(np.isnan(position).any(axis=1))
        if missing.any():  # a position lacks all coordinates where it lacks one
            position = np.where(missing[:, None], np.nan, position)
        covariance = self.covariance_as_tracks(parts[1]) if len(parts) > 1 else None
        rows = Rows(position, covariance, link, first, last, self.deviation.values.ravel())
        return FilterJet(rows, self.method) if isinstance(self.method, Differences) else self.method.jet(rows)

    def jets(self, work: Callable[[Jet, list[Array]], None], orders: Sequence[int],
             shapes: Sequence[tuple[int, ...]]) -> list[Any]:  # fmt: skip
        """Arrays (time, ...) made of jets, see `in_pieces`.

        Args:
            work: fills arrays of the shapes (row, ...) from a jet.
            orders: of the derivatives that it takes.
            shapes: of the results, without time.
        """

        def fill(parts: list[Array], link: NDArray[np.bool_], first: int, last: int, results: list[Array]) -> None:
            work(self.jet(parts, link, first, last), results)

        return in_pieces(fill, self.inputs, self.link, self.halo(*orders), shapes)

    def as_tracks(self, values: Array) -> Array:
        """(row, space, track) of values (row, ...) with the dimensions of the position."""
        moved = np.moveaxis(values, self.space_axis, 1)
        return np.ascontiguousarray(moved.reshape(*moved.shape[:2], -1))

    def covariance_as_tracks(self, values: Array) -> Array:
        """(row, space, space, track) of values (row, ...) with the dimensions of the covariance."""
        moved = np.moveaxis(values, (self.space_axis, self.space_axis + 1), (1, 2))
        return np.ascontiguousarray(moved.reshape(*moved.shape[:3], -1))

    def from_tracks(self, values: Array) -> Array:
        """Values (row, space, track) with the dimensions of the position."""
        return np.moveaxis(values.reshape(*values.shape[:2], *self.sizes), 1, self.space_axis)


def motion_of(
    poses: xr.Dataset,
    settings: DerivativeSettings | None,
    orders: Sequence[int],
    *,
    line: tuple[Point, Point] | None = None,
) -> Motion:
    """What is needed to differentiate poses.

    Args:
        poses: Poses3D or Poses2D.
        settings: the defaults where None.
        orders: of the derivatives that are wanted.
        line: instead of the keypoints, what leads from a point to another.

    Raises:
        InvalidValueError: the Dataset follows neither schema, has no rhythm, a keypoint is unknown, or a setting does
            not fit.
    """
    check_poses(poses)
    rhythm = rhythm_of(poses)
    position, covariance = poses["position"], poses.get("covariance")
    if line is not None:
        position, covariance = _line(poses, line)
    order = model_order(poses["smoothness"]) if "smoothness" in poses else None
    others = [dim for dim in position.dims if dim not in ("time", "space")]
    deviation = xr.DataArray(np.ones([position.sizes[dim] for dim in others]), dims=others)
    if order is not None:
        learned = poses["smoothness"] if line is None else _smoothness_of_line(poses, line)
        deviation = (deviation * learned.drop_vars(learned.coords) * rhythm.step**order).transpose(*others)
    method, words = _method(settings or DerivativeSettings(), rhythm, order, max(orders))
    link = np.zeros(position.sizes["time"], dtype=bool)
    link[1:] = np.diff(rhythm.slot) == 1
    return Motion(poses, position, covariance, link, rhythm, deviation, method, words)


def _line(poses: xr.Dataset, line: tuple[Point, Point]) -> tuple[xr.DataArray, xr.DataArray | None]:
    """What leads from a point to another, and its covariance."""
    start, end = (at_points(poses, [point]).isel(point=0) for point in line)
    dims = [dim for dim in poses["position"].dims if dim != "keypoint"]
    position = (end - start).transpose(*dims).assign_attrs(poses["position"].attrs)
    parts = [covariance_at_points(poses, [point]) for point in line]
    if parts[0] is None or parts[1] is None:
        return position, None
    dims.insert(dims.index("space") + 1, "space_")
    return position, (parts[0] + parts[1]).isel(point=0).transpose(*dims)


def _smoothness_of_line(poses: xr.Dataset, line: tuple[Point, Point]) -> xr.DataArray:
    """Changes of the motion of different keypoints are independent, as their errors are."""
    squares = covariance_at_points(poses.assign(covariance=poses["smoothness"] ** 2), line)
    assert squares is not None
    return squares.sum("point") ** 0.5


def _method(
    settings: DerivativeSettings, rhythm: Rhythm, model: int | None, highest: int
) -> tuple[Differences | Splines, str]:
    correlation = _correlation(settings, rhythm, model)
    name = settings.method
    if name == "automatic":
        name = "savgol" if model is None else "trajectory"
    if name == "spline":
        return Splines(rhythm.step, settings.smoothing, correlation), "cubic smoothing spline"
    if name == "central":
        return Differences(
            lambda order: central_filter(order, highest), rhythm.step, correlation
        ), "central differences"
    if name == "trajectory":
        through = partial(polynomial_filter, _TRAJECTORY_FRAMES, _TRAJECTORY_FRAMES - 1)
        return Differences(through, rhythm.step, correlation), "polynomial through five frames of a smooth trajectory"
    if settings.polynomial < highest:
        raise InvalidValueError(
            "DerivativeSettings, polynomial",
            expected=f"a degree from {highest} on, for a derivative of that order",
            got=str(settings.polynomial),
            remedy="Give a higher degree.",
        )
    frames = settings.window_frames(rhythm.step)
    words = f"Savitzky-Golay, {frames} frames, degree {settings.polynomial}"
    return Differences(partial(polynomial_filter, frames, settings.polynomial), rhythm.step, correlation), words


def _correlation(settings: DerivativeSettings, rhythm: Rhythm, model: int | None) -> ErrorCorrelation | None:
    if settings.error_correlation is not None:
        return lasting_errors(settings.error_correlation / rhythm.step) if settings.error_correlation else None
    return None if model is None else smoother_errors(model)
