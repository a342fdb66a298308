"""What errors of the calibration and of the clocks do to trajectories: errors that do not average out over frames."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.rig import Rig
from calibration.rig_uncertainty import RigUncertainty
from calibration.triangulation import normalize_pixels
from pose3d.reconstruction import _trajectory_kernels as kernels
from pose3d.reconstruction._trajectory_model import TrajectoryModel
from pose3d.reconstruction._trajectory_problem import Frame, Solution, Window, kernel_arrays, keypoint_first
from pose3d.reconstruction._views import camera_table

__all__ = ["Systematic", "clock_deviations", "systematic_covariance"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Systematic:
    """What is uncertain of cameras and clocks.

    Attributes:
        rigs: as of `RigUncertainty.modes`.
        clocks: (camera,) standard deviation of the time of every camera, in the unit of time of the poses.
    """

    rigs: tuple[Rig, ...]
    clocks: Array

    @classmethod
    def of(cls, rig: Rig, uncertainty: RigUncertainty | None, clocks: Array) -> Systematic:
        """Of a rig and its clocks; a rig without uncertainty is exact.

        Raises:
            MismatchError: the uncertainty is of another rig.
        """
        return cls(() if uncertainty is None else tuple(uncertainty.modes(rig)), clocks)


def clock_deviations(poses2d: xr.Dataset) -> Array:
    """(camera,) s, of 2D poses that were brought to common instants; 0 where cameras were triggered together."""
    told = json.loads(poses2d.attrs.get("synchronization", "{}")).get("cameras", {})
    values = [told.get(str(name), {}).get("offset_std_s") or 0.0 for name in poses2d["camera"].values]
    return np.nan_to_num(np.array(values, dtype=np.float64))


def systematic_covariance(
    systematic: Systematic,
    rig: Rig,
    pixels: Array,
    window: Window,
    solution: Solution,
    frame: Frame,
    model: TrajectoryModel,
    individual: int,
) -> Array:
    """(time, keypoint, 3, 3) what is added to the covariance.

    To first order: places move by the inverse of the normal matrix times the change of the slope of the views when a
    camera, or the time of its frames, is off by one standard deviation. Bones are left out of it: they take part of
    these errors away.

    Args:
        systematic: what is uncertain.
        rig: the cameras.
        pixels: (time, keypoint, camera, 2) that the window was made of.
        window, solution, frame, model, individual: see `solve_window`.
    """
    arrays = kernel_arrays(window, frame, model, individual, solution.strength)
    places, weight = keypoint_first(solution.places), keypoint_first(solution.weight)
    lower, inverse, slope = kernels.factor_chains(
        frame.cameras, arrays.table, arrays.loss, weight, arrays.active, arrays.difference,
        arrays.strength, arrays.anchor_strength, places,
    )  # fmt: skip
    total = np.zeros((*places.shape[:2], 3, 3))
    for cameras, table in _changes(systematic, rig, pixels, arrays.table, window, solution):
        moved = kernels.respond(
            cameras, table, arrays.loss, weight, arrays.active, places, lower, inverse, slope
        )  # fmt: skip
        total += moved[..., :, None] * moved[..., None, :]
    return np.moveaxis(total, 0, 1)


def _changes(
    systematic: Systematic, rig: Rig, pixels: Array, table: Array, window: Window, solution: Solution
) -> Iterator[tuple[Array, Array]]:
    """Camera tables and tables of views, each with one thing changed by one standard deviation."""
    own = camera_table(rig)
    before = normalize_pixels(rig, pixels)[0]
    for changed in systematic.rigs:
        moved = table.copy()
        # what the pixels mean with another lens; views that were repaired keep the places they have
        shift = np.nan_to_num(normalize_pixels(changed, pixels)[0] - before)
        moved[..., :2] += keypoint_first(shift)
        yield camera_table(changed), moved
    if systematic.clocks.any():
        velocity = _velocity(window, solution)
        for number, camera in enumerate(rig):
            if systematic.clocks[number] > 0:
                later = solution.places + systematic.clocks[number] * velocity
                shift = _normalized(camera.cam_from_world(later)) - _normalized(camera.cam_from_world(solution.places))
                moved = table.copy()
                moved[..., number, :2] += keypoint_first(np.nan_to_num(shift))
                yield own, moved


def _velocity(window: Window, solution: Solution) -> Array:
    """(time, keypoint, 3) by differences of neighbors in the same segment; 0 where there are none."""
    if len(window.times) < 2:
        return np.zeros(solution.places.shape)
    velocity = np.gradient(solution.places, window.times, axis=0)
    same = window.segment >= 0
    same[1:] &= window.segment[1:] == window.segment[:-1]
    same[:-1] &= window.segment[:-1] == window.segment[1:]
    return np.where(same[..., None], velocity, 0.0)


def _normalized(points: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(points[..., :2] / points[..., 2:])
