"""The trajectory as it comes: a pose for every new frame, by the same model, from what was seen so far.

`FixedLag` keeps a window of the last frames. What the frames before it said is carried as a Gaussian on its first
frames (a frame that leaves is eliminated: Schur complement), so nothing is forgotten, and the window is solved anew at
every frame as `reconstruct` solves its windows. With a lag of 0 this is an iterated extended Kalman filter, with a
larger one a fixed-lag smoother; with a lag of the whole recording it is `reconstruct`. Views are judged again, with
hindsight, as long as their frame is in the window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.errors import InvalidValueError
from calibration.rig import Rig
from calibration.triangulation import normalize_pixels, triangulate
from pose3d.reconstruction import _trajectory_kernels as kernels
from pose3d.reconstruction._bodies import held_bones, joined_keypoints, links_within
from pose3d.reconstruction._carry import Carry
from pose3d.reconstruction._trajectory_model import TrajectoryModel
from pose3d.reconstruction._trajectory_problem import Frame, differences, keypoint_first, keypoint_second
from pose3d.reconstruction._views import scaled_table, view_table

__all__ = ["CausalPose", "FixedLag"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_STEPS = 20
_TOLERANCE = 1e-4
_HEAT = 16.0


@dataclass(frozen=True, eq=False)
class CausalPose:
    """The pose of one individual at one instant.

    Attributes:
        time: of the frame, s or frame number.
        position: (keypoint, 3), NaN where unknown.
        covariance: (keypoint, 3, 3).
        squared: (keypoint, camera) squared Mahalanobis distances of the views, NaN if not seen.
        spread: (keypoint, camera) root of the determinant of their covariance, see `Views.table`.
        bridged: (keypoint,) fewer than two cameras were used.
    """

    time: float
    position: Array
    covariance: Array
    squared: Array
    spread: Array
    bridged: Mask


@dataclass(eq=False)
class _Window:
    """The frames that are not yet eliminated, oldest first; arrays (time, keypoint, ...)."""

    times: list[float] = field(default_factory=list)
    tables: list[Array] = field(default_factory=list)
    places: list[Array] = field(default_factory=list)
    weights: list[Array] = field(default_factory=list)
    active: list[Mask] = field(default_factory=list)


class _Stacked(NamedTuple):
    """All frames of the window: arrays (time, keypoint, ...), or as `keypoint_first` makes them."""

    table: Array
    places: Array
    weight: Array
    active: Mask
    covariance: Array


class FixedLag:
    """Poses of one individual, frame by frame.

    Args:
        rig: the cameras.
        model: what was learned from an earlier recording of the kind, by `plan`.
        frame: `Plan.frame`.
        lag: frames by which a pose is later than its frame; 0 answers at once, each more is a little more certain.
        individual: number of the individual in the model.

    Raises:
        InvalidValueError: the lag is negative, or the model is not of these cameras.
    """

    def __init__(self, rig: Rig, model: TrajectoryModel, frame: Frame, *, lag: int = 0, individual: int = 0) -> None:
        if lag < 0 or int(lag) != lag:
            raise InvalidValueError(
                "lag", expected="a whole number of frames from 0", got=str(lag), remedy="Change it."
            )
        if model.noise.deviation.shape[1] != len(rig):
            raise InvalidValueError(
                "model",
                expected=f"a model of the {len(rig)} cameras of the rig",
                got=f"one of {model.noise.deviation.shape[1]} cameras",
                remedy="Learn it from 2D poses of this rig, with `plan`.",
            )
        self._rig, self._model, self._frame, self._lag = rig, model, frame, int(lag)
        self._strength = 1.0 / model.smoothness[individual] ** 2
        self._bones, self._lengths = held_bones(model, individual)
        count = len(self._strength)
        groups = joined_keypoints(count, self._bones, frame.joints)
        alone = [[keypoint] for keypoint in range(count) if not any(keypoint in group for group in groups)]
        order = frame.settings.order
        self._joined = [Carry.nothing(np.array([group]), order) for group in groups]
        self._alone = Carry.nothing(np.array(alone, dtype=np.int64).reshape(-1, 1), order)
        self._loss = model.noise.loss()
        self._window = _Window()
        self._unseen = np.full(count, np.iinfo(np.int64).max)

    def update(self, time: float, pixels: ArrayLike, confidence: ArrayLike | None = None) -> CausalPose | None:
        """Take in a new frame.

        Args:
            time: later than that of the frame before, in the unit that the model was learned in.
            pixels: (keypoint, camera, 2) px, NaN where not seen.
            confidence: (keypoint, camera) in [0, 1]; 1 by default.

        Returns:
            The pose of the frame `lag` frames ago; None as long as there is none.

        Raises:
            InvalidValueError: the time is not later, or shapes or values are wrong.
            MismatchError: the number of cameras is not that of the rig.
        """
        if self._window.times and not time > self._window.times[-1]:
            raise InvalidValueError(
                "time of a frame",
                expected=f"later than {self._window.times[-1]:g}",
                got=f"{time:g}",
                remedy="Give frames in the order of time, each once.",
            )
        self._append(time, np.asarray(pixels, dtype=np.float64), confidence)
        covariance, squared = self._solve()
        keep = self._lag + 1 + self._frame.settings.order
        while len(self._window.times) > keep:
            self._eliminate()
            covariance, squared = covariance[1:], squared[1:]
        at = len(self._window.times) - 1 - self._lag
        return self._pose(at, covariance, squared) if at >= 0 else None

    def finish(self) -> Iterator[CausalPose]:
        """The poses of the last `lag` frames, of which no more is to come."""
        if self._window.times:
            covariance, squared = self._solve()
            count = len(self._window.times)
            for at in range(max(count - self._lag, 0), count):
                yield self._pose(at, covariance, squared)

    def _append(self, time: float, pixels: Array, confidence: ArrayLike | None) -> None:
        settings, noise = self._frame.settings, self._model.noise
        scores = np.ones(pixels.shape[:-1]) if confidence is None else np.asarray(confidence, dtype=np.float64)
        found = triangulate(
            self._rig, pixels, scores, noise=tuple(noise.deviation.mean(0).tolist()), covariance=False, workers=1,
            minimum_confidence=settings.minimum_confidence,
        )  # fmt: skip
        normalized, slope = normalize_pixels(self._rig, pixels)
        seen = np.isfinite(normalized[..., 0]) & (scores > 0) & (scores >= settings.minimum_confidence)
        table = scaled_table(view_table(normalized, slope, scores, seen), noise.deviation)
        agreed = np.isfinite(found.points[:, 0])
        predicted = self._predict(time)
        window = self._window
        before = window.active[-1] if window.active else np.zeros(len(agreed), dtype=bool)
        self._unseen = np.where(agreed, 0, np.minimum(self._unseen, np.iinfo(np.int64).max - 1) + 1)
        active = agreed | (before & (self._unseen <= settings.longest_gap))
        for keypoint in np.flatnonzero(before & ~active):
            self._forget(int(keypoint))
        window.times.append(float(time))
        window.tables.append(table)
        window.active.append(active)
        start = np.where((agreed & ~before)[:, None], found.points, predicted)
        window.places.append(np.where(active[:, None], np.where(np.isfinite(start), start, found.points), 0.0))
        window.weights.append(np.where(agreed[:, None], found.inliers, 0.0).astype(np.float64))

    def _predict(self, time: float) -> Array:
        """(keypoint, 3) where the motion goes on from the last frames, as far as they were there."""
        window, order = self._window, self._frame.settings.order
        count = len(self._strength)
        result = np.full((count, 3), np.nan)
        length = np.zeros(count, dtype=int)
        running = np.ones(count, dtype=bool)
        for active in reversed(window.active[-order:]):
            running = running & active
            length += running
        for number in range(1, order + 1):
            chosen = length >= number
            if chosen.any():
                times = np.array([*window.times[-number:], time])
                places = np.stack(window.places[-number:])[:, chosen]
                # the difference of this order is 0
                row = differences(times, number, self._model.interval)[0]
                result[chosen] = -np.einsum("t,tkx->kx", row[:-1], places) / row[-1]
        return result

    def _solve(self) -> tuple[Array, Array]:
        """Find all places of the window; returns covariances (time, keypoint, 3, 3) and squared distances of views."""
        window, order = self._window, self._frame.settings.order
        all_ = _Stacked(
            np.stack(window.tables),
            np.stack(window.places),
            np.stack(window.weights),
            np.stack(window.active),
            np.full((len(window.times), len(self._strength), 3, 3), np.nan),
        )
        if len(window.times) > order:
            difference = differences(np.array(window.times), order, self._model.interval)
            whole: Mask = np.asarray(
                np.lib.stride_tricks.sliding_window_view(all_.active, order + 1, axis=0).all(axis=-1)
            )
        else:  # too few for a difference: those of order 0 that nobody has
            difference, whole = np.zeros((len(window.times), 1)), np.zeros(all_.active.shape, dtype=bool)
        if len(self._alone.groups):
            self._solve_alone(all_, difference, whole)
        for carry in self._joined:
            self._solve_joined(carry, all_, difference, whole)
        window.places, window.weights = list(all_.places), list(all_.weight)
        covariance = np.where(all_.active[..., None, None], all_.covariance, np.nan)
        return covariance, self._squared(all_)

    def _solve_alone(self, all_: _Stacked, difference: Array, whole: Mask) -> None:
        """Find the keypoints that nothing joins, all in one call."""
        group = self._alone.groups[:, 0].tolist()
        part = _Stacked._make(keypoint_first(values[:, group]) for values in all_)
        count = len(group)
        kernels.solve_chains(
            self._frame.cameras, part.table, self._loss[group], _heat(part.weight), part.weight, True, part.active,
            difference, keypoint_first(whole[:, group] * self._strength[group]), part.places.copy(),
            self._frame.anchor_strength, *self._alone.arrays(), part.places, _STEPS, np.full(count, _TOLERANCE),
            part.covariance, np.empty((count, len(whole), 1)), np.empty(count), np.empty(count, dtype=np.int64),
        )  # fmt: skip
        for target, values in zip(all_, part, strict=True):
            target[:, group] = keypoint_second(values)

    def _solve_joined(self, carry: Carry, all_: _Stacked, difference: Array, whole: Mask) -> None:
        """Find a group of keypoints that bones or limits join."""
        group = carry.groups[0].tolist()
        carried = [values[0] for values in carry.arrays()]
        bones, lengths, joints, bounds = links_within(group, self._bones, self._lengths, self._frame.joints)
        part = _Stacked._make(np.ascontiguousarray(values[:, group]) for values in all_)
        kernels.solve_body(
            self._frame.cameras, part.table, self._loss[group], _heat(part.weight), part.weight, True, part.active,
            difference, np.ascontiguousarray(whole[:, group] * self._strength[group]), bones, lengths, joints, bounds,
            part.places.copy(), self._frame.anchor_strength, *carried, part.places, _STEPS, _TOLERANCE,
            part.covariance, np.empty((len(part.table), len(bones))), np.empty((len(whole), len(group))),
        )  # fmt: skip
        for target, values in zip(all_, part, strict=True):
            target[:, group] = values

    def _squared(self, all_: _Stacked) -> Array:
        """(time, keypoint, camera) squared distances of views."""
        table, places, _, active, covariance = (keypoint_first(values) for values in all_)
        squared, spread = np.empty(table.shape[:-1]), np.empty(table.shape[:-1])
        kernels.explain(self._frame.cameras, table, active, places, covariance, squared, spread)
        return keypoint_second(squared)

    def _eliminate(self) -> None:
        """Take the oldest frame out of the window and carry what it says."""
        window, frame, order = self._window, self._frame, self._frame.settings.order
        joints = frame.joints
        triples = np.zeros((0, 3), dtype=np.int64) if joints is None else joints.triples
        bounds = np.zeros((0, 3)) if joints is None else joints.bounds
        active = window.active[0]
        block, slope = kernels.frame_terms(
            frame.cameras, window.tables[0][None], self._loss, window.weights[0][None].copy(), active[None],
            self._bones, self._lengths, triples, bounds, window.places[0][None], window.places[0][None],
            self._frame.anchor_strength,
        )  # fmt: skip
        times, places = np.array(window.times[: order + 1]), np.stack(window.places[: order + 1])
        row = differences(times, order, self._model.interval)[0]
        whole: Mask = np.asarray(np.stack(window.active[: order + 1]).all(axis=0))
        said = (block, slope, row, whole, self._strength, places)
        self._joined = [carry.eliminate(*said) for carry in self._joined]
        self._alone = self._alone.eliminate(*said)
        for values in (window.times, window.tables, window.places, window.weights, window.active):
            values.pop(0)

    def _forget(self, keypoint: int) -> None:
        """A keypoint was not seen for too long: what was known of it says nothing of where it comes back."""
        self._joined = [carry.without(keypoint) for carry in self._joined]
        self._alone = self._alone.without(keypoint)

    def _pose(self, at: int, covariance: Array, squared: Array) -> CausalPose:
        window, frame = self._window, self._frame
        with np.errstate(invalid="ignore"):
            variance = np.trace(covariance[at], axis1=-2, axis2=-1)
            there = window.active[at] & (variance <= (frame.settings.largest_deviation * frame.reach) ** 2)
        core, tail, _ = self._model.noise.shares(squared[at], window.tables[at][..., 5])
        with np.errstate(invalid="ignore"):
            used = (core + tail > 0.5).sum(-1)
        return CausalPose(
            time=window.times[at],
            position=np.where(there[:, None], window.places[at], np.nan),
            covariance=np.where(there[:, None, None], covariance[at], np.nan),
            squared=np.where(there[:, None], squared[at], np.nan),
            spread=window.tables[at][..., 5],
            bridged=there & (used < 2),
        )


def _heat(weight: Array) -> Array:
    """Factor of the covariance in the first step: a place that is only predicted must not refuse its views."""
    return np.where(weight.sum(-1) > 0, 1.0, _HEAT)
