"""A window of a recording as a problem for the kernels: segments, differences, where to start, and its solution."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose3d.reconstruction import _trajectory_kernels as kernels
from pose3d.reconstruction._bodies import Joints, held_bones, joined_keypoints, links_of_group, links_within
from pose3d.reconstruction._trajectory_model import TrajectoryModel
from pose3d.reconstruction._trajectory_settings import TrajectorySettings
from pose3d.reconstruction._views import scaled_table

__all__ = [
    "Frame",
    "KernelArrays",
    "Solution",
    "Window",
    "derivatives",
    "differences",
    "explain_views",
    "has_difference",
    "kernel_arrays",
    "keypoint_first",
    "keypoint_second",
    "solve_window",
]

Array = NDArray[np.float64]

# Steps of Gauss-Newton; ten are usual.
_STEPS = 60
# Factor of the covariance, in the first step, of views at which no two cameras agree: a place that is only
# interpolated must not refuse them.
_HEAT = 64.0
# Standard deviation, in distances to the cameras, of the places that hold what nothing else does.
_ANCHOR = 100.0


@dataclass(frozen=True, eq=False)
class Frame:
    """What all windows of a recording have in common.

    Attributes:
        cameras: (camera, 12), see `camera_table`.
        reach: typical distance to the cameras, in the rig's unit.
        settings: how to reconstruct.
        joints: limits of angles, or None.
    """

    cameras: Array
    reach: float
    settings: TrajectorySettings
    joints: Joints | None

    @property
    def anchor_strength(self) -> float:
        """Inverse of the variance, along each axis, of the places that hold what nothing else does."""
        return 1.0 / (_ANCHOR * self.reach) ** 2


@dataclass(frozen=True, eq=False)
class Window:
    """One individual in a stretch of frames.

    Attributes:
        times: (time,) s, or frame numbers.
        table: (time, keypoint, camera, 6) views for noise of one, see `Views`.
        start: (time, keypoint, 3) triangulated, NaN where no cameras agree.
        agreeing: (time, keypoint, camera) the cameras that agree.
        segment: (time, keypoint) number of the segment that a position belongs to, -1 where there is none.
    """

    times: Array
    table: Array
    start: Array
    agreeing: NDArray[np.bool_]
    segment: NDArray[np.int64]

    @classmethod
    def of(cls, times: Array, table: Array, start: Array, agreeing: NDArray[np.bool_], longest_gap: int) -> Window:
        """The window, cut into segments where no two cameras agree for longer than the longest gap."""
        return cls(times, table, start, agreeing, _segments(np.isfinite(start[..., 0]), longest_gap))


@dataclass(frozen=True, eq=False)
class Solution:
    """The trajectory of one individual in a window.

    Attributes:
        places: (time, keypoint, 3), of no meaning outside the segments.
        covariance: (time, keypoint, 3, 3).
        weight: (time, keypoint, camera) of the views.
        squared: (time, keypoint, camera) squared Mahalanobis distance of the views from the places, NaN if not seen.
        spread: (time, keypoint, camera) by how much of it the places are uncertain.
        bone_variance: (time, bone) of the distance of its keypoints.
        absorbed: (row, keypoint) how many of the three numbers of a difference smoothness decides.
        strength: (row, keypoint) inverse of the variance of the differences, 0 where there is none.
        cost: at the end.
        converged: whether every part arrived.
    """

    places: Array
    covariance: Array
    weight: Array
    squared: Array
    spread: Array
    bone_variance: Array
    absorbed: Array
    strength: Array
    cost: float
    converged: bool


def _segments(known: NDArray[np.bool_], longest_gap: int) -> NDArray[np.int64]:
    """(time, keypoint) numbers of the stretches without a gap longer than so many frames, -1 outside."""
    result = np.full(known.shape, -1, dtype=np.int64)
    for keypoint in range(known.shape[1]):
        at = np.flatnonzero(known[:, keypoint])
        if not len(at):
            continue
        cuts = np.flatnonzero(np.diff(at) > longest_gap + 1)
        firsts, lasts = at[np.r_[0, cuts + 1]], at[np.r_[cuts, len(at) - 1]]
        for number, (first, last) in enumerate(zip(firsts, lasts, strict=True)):
            result[first : last + 1, keypoint] = number
    return result


def differences(times: Array, order: int, interval: float) -> Array:
    """(time - order, order + 1) coefficients of the differences of an order, as derivatives.

    Divided differences times the factorial of the order. White noise of the derivative has, over a longer span, a
    smaller variance in the mean: a difference over k intervals counts k times as much as one over one.
    """
    rows = max(len(times) - order, 0)
    result = np.empty((rows, order + 1))
    for a in range(order + 1):
        product = np.full(rows, float(factorial(order)))
        for b in range(order + 1):
            if a != b:
                product /= times[a : a + rows] - times[b : b + rows]
        result[:, a] = product
    span = (times[order:] - times[: len(times) - order])[:rows] / order
    return result * np.sqrt(span / interval)[:, None]


def solve_window(
    window: Window,
    frame: Frame,
    model: TrajectoryModel,
    individual: int,
    *,
    solution: Solution | None = None,
    strength: Array | None = None,
    bodies: bool = True,
    tolerance: float = 1e-5,
) -> Solution:
    """The most probable trajectory.

    Keypoints are first found each by itself; those that bones or limits join, then together.

    Args:
        window, frame, model, individual: what is known.
        solution: where to start; from the triangulated places where None.
        strength: (row, keypoint) inverse of the variance of the differences; that of the model where None.
        bodies: whether bones and limits take part.
        tolerance: done when no point moves by more than this share of its uncertainty.
    """
    work = _Work.of(window, frame, model, individual, solution, strength)
    groups = joined_keypoints(len(work.cost), work.bones, frame.joints) if bodies else []
    rough = np.full(len(work.cost), tolerance)
    rough[[keypoint for group in groups for keypoint in group]] = max(tolerance, 1e-3)
    work.solve_chains(rough)
    for group in groups:
        work.solve_body(group, tolerance)
    return work.solution()


@dataclass(frozen=True, eq=False)
class KernelArrays:
    """What the kernels are given of a window and do not change, keypoint first: (keypoint, time, 1, ...)."""

    table: Array
    loss: Array
    active: NDArray[np.bool_]
    difference: Array
    strength: Array
    anchor_strength: float


def kernel_arrays(
    window: Window, frame: Frame, model: TrajectoryModel, individual: int, strength: Array | None = None
) -> KernelArrays:
    """The arrays of a window; see `kernels.solve_chains`. `strength` (row, keypoint): that of the model where None."""
    if strength is None:
        strength = has_difference(window, frame) / model.smoothness[individual] ** 2
    return KernelArrays(
        table=keypoint_first(scaled_table(window.table, model.noise.deviation)),
        loss=model.noise.loss(),
        active=keypoint_first(window.segment) >= 0,
        difference=differences(window.times, frame.settings.order, model.interval),
        strength=keypoint_first(strength),
        anchor_strength=frame.anchor_strength,
    )


def has_difference(window: Window, frame: Frame) -> NDArray[np.bool_]:
    """(row, keypoint) whether the frames of a difference are of one segment."""
    frames = len(window.times)
    rows = max(frames - frame.settings.order, 0)
    return (window.segment[:rows] >= 0) & (window.segment[:rows] == window.segment[frames - rows :])


@dataclass(eq=False)
class _Work:
    """What is filled while a window is solved, keypoint first: (keypoint, time, 1, ...)."""

    window: Window
    frame: Frame
    given: KernelArrays
    bones: NDArray[np.int64]
    lengths: Array
    anchor: Array
    places: Array
    weight: Array
    weights_given: bool
    covariance: Array
    bone_variance: Array
    absorbed: Array
    cost: Array
    status: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        window: Window,
        frame: Frame,
        model: TrajectoryModel,
        individual: int,
        solution: Solution | None,
        strength: Array | None,
    ) -> _Work:
        frames, count = window.segment.shape
        bones, lengths = held_bones(model, individual)
        places = keypoint_first(_filled(window) if solution is None else solution.places)
        return cls(
            window=window,
            frame=frame,
            given=kernel_arrays(window, frame, model, individual, strength),
            bones=bones,
            lengths=lengths,
            anchor=places.copy(),
            places=places,
            weight=keypoint_first(window.agreeing.astype(np.float64) if solution is None else solution.weight),
            weights_given=solution is None,
            covariance=np.full((count, frames, 1, 3, 3), np.nan),
            bone_variance=np.full((frames, len(bones)), np.nan),
            absorbed=np.full((count, max(frames - frame.settings.order, 0), 1), 3.0),
            cost=np.zeros(count),
            status=np.zeros(count, dtype=np.int64),
        )

    def solve_chains(self, tolerance: Array) -> None:
        """Find every keypoint by itself."""
        given = self.given
        agreed = np.isfinite(keypoint_first(self.window.start)[..., 0])
        heat = np.where(agreed, 1.0, _HEAT) if self.weights_given else np.ones(agreed.shape)
        kernels.solve_chains(
            self.frame.cameras, given.table, given.loss, heat, self.weight, self.weights_given, given.active,
            given.difference, given.strength, self.anchor, given.anchor_strength,
            *_nothing_carried(len(agreed)), self.places, _STEPS, tolerance, self.covariance, self.absorbed, self.cost,
            self.status,
        )  # fmt: skip

    def solve_body(self, group: list[int], tolerance: float) -> None:
        """Find the keypoints of a group together, from where each alone was found."""
        bones, lengths, joints, bounds = links_within(group, self.bones, self.lengths, self.frame.joints)
        given, frames, n = self.given, self.window.segment.shape[0], 3 * len(group)
        if frames <= self.frame.settings.order:  # too short for a difference: those of order 0 that nobody has
            difference, strength = np.zeros((frames, 1)), np.zeros((frames, len(group)))
        else:
            difference, strength = given.difference, _joined(given.strength, group)
        places, weight = _joined(self.places, group), _joined(self.weight, group)
        covariance, absorbed = np.full((frames, len(group), 3, 3), np.nan), np.full(strength.shape, 3.0)
        variance = np.full((frames, len(bones)), np.nan)
        cost, _, status = kernels.solve_body(
            self.frame.cameras, _joined(given.table, group), given.loss[group], np.ones((frames, len(group))), weight,
            False, _joined(given.active, group), difference, strength, bones, lengths, joints,
            bounds, _joined(self.anchor, group), given.anchor_strength, np.zeros((0, 0, n, n)), np.zeros((0, n)),
            np.zeros((0, n)), places, _STEPS, tolerance, covariance, variance, absorbed,
        )  # fmt: skip
        for target, values in ((self.places, places), (self.weight, weight), (self.covariance, covariance)):
            target[group] = np.moveaxis(values, 1, 0)[:, :, None]
        if frames > self.frame.settings.order:
            self.absorbed[group] = np.moveaxis(absorbed, 1, 0)[:, :, None]
        self.status[group] = status
        self.cost[group] = cost / len(group)
        self.bone_variance[:, links_of_group(group, self.bones)] = variance

    def solution(self) -> Solution:
        squared, spread = np.empty(self.weight.shape), np.empty(self.weight.shape)
        kernels.explain(
            self.frame.cameras, self.given.table, self.given.active, self.places, self.covariance, squared, spread
        )
        return Solution(
            places=keypoint_second(self.places),
            covariance=keypoint_second(self.covariance),
            weight=keypoint_second(self.weight),
            squared=keypoint_second(squared),
            spread=keypoint_second(spread),
            bone_variance=self.bone_variance,
            absorbed=keypoint_second(self.absorbed),
            strength=keypoint_second(self.given.strength),
            cost=float(self.cost.sum()),
            converged=bool((self.status != 3).all()),
        )


def _nothing_carried(count: int) -> tuple[Array, Array, Array]:
    return np.zeros((count, 0, 0, 3, 3)), np.zeros((count, 0, 3)), np.zeros((count, 0, 3))


def keypoint_first(values: NDArray[Any]) -> NDArray[Any]:
    """(keypoint, time, 1, ...) of (time, keypoint, ...), a copy in one piece."""
    return np.array(np.moveaxis(values, 1, 0)[:, :, None], order="C")


def keypoint_second(values: NDArray[Any]) -> NDArray[Any]:
    """(time, keypoint, ...) of (keypoint, time, 1, ...)."""
    return np.moveaxis(values[:, :, 0], 0, 1)


def _joined(values: NDArray[Any], group: list[int]) -> NDArray[Any]:
    """(time, keypoint of the group, ...) of (keypoint, time, 1, ...), a copy in one piece."""
    return np.ascontiguousarray(np.moveaxis(values[group][:, :, 0], 0, 1))


def _filled(window: Window) -> Array:
    """Where the search starts: the triangulated places, straight lines between them."""
    start: Array = np.zeros(window.start.shape)
    for keypoint in range(window.segment.shape[1]):
        at = np.flatnonzero(np.isfinite(window.start[:, keypoint, 0]))
        if len(at):
            for axis in range(3):
                start[:, keypoint, axis] = np.interp(window.times, window.times[at], window.start[at, keypoint, axis])
    return start


def derivatives(window: Window, places: Array, frame: Frame, model: TrajectoryModel) -> Array:
    """(row, keypoint, 3) the differences of places (time, keypoint, 3)."""
    coefficients = differences(window.times, frame.settings.order, model.interval)
    rows = len(coefficients)
    parts = [coefficients[:, a, None, None] * places[a : a + rows] for a in range(coefficients.shape[1])]
    return np.asarray(np.sum(parts, axis=0))


def explain_views(
    table: Array, window: Window, solution: Solution, frame: Frame, deviation: Array
) -> tuple[Array, Array]:
    """Of views (time, keypoint, camera, 6), how far they are from a solution, see `Solution.squared` and `spread`."""
    scaled = keypoint_first(scaled_table(table, deviation))
    squared, spread = np.empty(scaled.shape[:-1]), np.empty(scaled.shape[:-1])
    places, covariance = keypoint_first(solution.places), keypoint_first(solution.covariance)
    kernels.explain(frame.cameras, scaled, keypoint_first(window.segment >= 0), places, covariance, squared, spread)
    return keypoint_second(squared), keypoint_second(spread)
