"""The shape of an animal: how the places of all its keypoints depend on each other.

All coordinates of an animal are taken as jointly normal, wherever it is. An animal that turns about the axis of the
camera makes that no worse: turning and scaling are linear in the coordinates of all keypoints, so that two keypoints
tell where a third one is, left and right with it. Mean and covariance are those that make what was assembled most
probable, with keypoints missing (expectation and maximization, Dempster, Laird and Rubin 1977).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose3d.identity._assembly_shape_kernels import reshape_views

__all__ = ["Shape", "learn_shape"]

Array = NDArray[np.float64]

_ROUNDS = 5
_MOST = 600  # animals per camera that are learned from
_FEWEST = 60  # animals, before anything counts as known
_SHARE = 0.5  # of the keypoints that an animal must have to be learned from
_SMALLEST = 0.03  # deviation of a coordinate that no keypoint falls below, in units of the body
_ANYWHERE = 100.0  # variance of where the animal is, in squared units of the body


@dataclass(frozen=True, eq=False)
class Shape:
    """Distribution of the coordinates of an animal, see `reshape_views`.

    Attributes:
        mean: (camera, 2 keypoints).
        covariance: (camera, 2 keypoints, 2 keypoints); NaN where it is not known.
        noise: (camera,).
        body: (camera,) px.
    """

    mean: Array
    covariance: Array
    noise: Array
    body: Array

    @classmethod
    def none(cls, cameras: int, keypoints: int) -> Shape:
        """Nothing is known."""
        unknown = np.full((cameras, 2 * keypoints, 2 * keypoints), np.nan)
        return cls(np.zeros((cameras, 2 * keypoints)), unknown, np.ones(cameras), np.ones(cameras))

    def reshape(
        self, position: Array, confidence: Array, label: NDArray[np.int32], margin: NDArray[np.float32]
    ) -> None:
        """See `reshape_views`; `label` and `margin` are changed."""
        reshape_views(
            position, confidence, self.mean, self.covariance, self.noise, self.body, label, margin
        )  # fmt: skip


def learn_shape(position: Array, label: NDArray[np.int32], body: Array) -> Shape:
    """Learn from animals that were assembled.

    Args:
        position: (time, camera, candidate, keypoint, 2) px.
        label: (time, camera, candidate, keypoint) the animal of every candidate; -1 for none.
        body: (camera,) typical size, px.
    """
    cameras, keypoints = label.shape[1], label.shape[3]
    shape = Shape.none(cameras, keypoints)
    shape.body[:] = body
    shape.noise[:] = _SMALLEST**2
    for camera in range(cameras):
        animals = _animals(position[:, camera], label[:, camera]) / body[camera]
        if len(animals) >= _FEWEST:
            shape.mean[camera], shape.covariance[camera] = _fit(animals)
    return shape


def _animals(position: Array, label: NDArray[np.int32]) -> Array:
    """(animal, keypoint, 2) positions of the more complete animals, NaN where missing."""
    frames, _, keypoints = label.shape
    time, candidate, keypoint = np.nonzero(label >= 0)
    parts = int(label.max(initial=-1)) + 1
    result = np.full((frames * parts, keypoints, 2), np.nan)
    result[time * parts + label[time, candidate, keypoint], keypoint] = position[time, candidate, keypoint]
    there = np.isfinite(result[..., 0]).sum(axis=1)
    result = result[there >= max(3, _SHARE * keypoints)]
    return result[:: -(-len(result) // _MOST)] if len(result) else result


def _fit(animals: Array) -> tuple[Array, Array]:
    """Mean and covariance of the coordinates of animals (animal, keypoint, 2)."""
    count, keypoints, _ = animals.shape
    there = np.isfinite(animals[..., 0])
    center = np.where(there[..., None], animals, 0.0).sum(1) / there.sum(1)[:, None]
    given = np.where(there[..., None], animals - center[:, None], 0.0).reshape(count, 2 * keypoints)
    known = np.repeat(there, 2, axis=1)
    mean = given.sum(0) / np.maximum(known.sum(0), 1)
    covariance = np.eye(2 * keypoints) * max(float(given.var()), _SMALLEST**2)
    same_axis = np.tile(np.eye(2), (keypoints, keypoints))
    noise = _SMALLEST**2
    for _ in range(_ROUNDS):
        prior = covariance + _ANYWHERE * same_axis
        # what is missing is measured with a variance without end: its row of the gain is 0
        system = prior + np.where(known, noise, 1e6)[:, :, None] * np.eye(2 * keypoints)
        gain = np.linalg.solve(system, np.broadcast_to(prior, system.shape)).swapaxes(1, 2)
        expected = np.einsum("nij,nj->ni", gain, np.where(known, given - mean, 0.0))
        left = prior - np.einsum("nij,jk->nik", gain, prior)
        full = (mean + expected).reshape(count, keypoints, 2)
        shift = full.mean(axis=1, keepdims=True)
        full = (full - shift).reshape(count, 2 * keypoints)
        middle = np.eye(2 * keypoints) - same_axis / keypoints  # takes out where the animal is
        mean = full.mean(0)
        away = full - mean
        covariance = (away.T @ away + middle @ left.sum(0) @ middle) / count
        covariance = (covariance + covariance.T) / 2
    return mean, covariance + _ANYWHERE * same_axis
