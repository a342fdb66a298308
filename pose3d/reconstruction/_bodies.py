"""Keypoints that bones or limits of angles join: which, and what joins them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose3d.reconstruction._trajectory_model import TrajectoryModel

__all__ = ["Joints", "held_bones", "joined_keypoints", "links_of_group", "links_within", "with_curvature"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Joints:
    """Angles that keypoints keep within.

    Attributes:
        triples: (joint, 3) numbers of keypoints; the angle is at the middle one.
        bounds: (joint, 3) smallest and largest angle in radians, and the inverse of the variance beyond.
    """

    triples: NDArray[np.int64]
    bounds: Array


def joined_keypoints(count: int, bones: NDArray[np.int64], joints: Joints | None) -> list[list[int]]:
    """The groups of keypoints that bones (bone, 2) or limits of angles join; `count` keypoints there are."""
    links = [tuple(pair) for pair in bones.tolist()]
    links += [] if joints is None else [pair for a, b, c in joints.triples.tolist() for pair in ((a, b), (b, c))]
    owner = list(range(count))
    for a, b in links:
        old, new = owner[a], owner[b]
        owner = [new if each == old else each for each in owner]
    groups: dict[int, list[int]] = {}
    for keypoint, name in enumerate(owner):
        groups.setdefault(name, []).append(keypoint)
    return [group for group in groups.values() if len(group) > 1]


def links_within(
    group: list[int], bones: NDArray[np.int64], lengths: Array, joints: Joints | None
) -> tuple[NDArray[np.int64], Array, NDArray[np.int64], Array]:
    """Bones and their lengths, joints and their bounds, within a group, by the place of their keypoints in it."""
    place = {keypoint: number for number, keypoint in enumerate(group)}
    held = links_of_group(group, bones)
    joints = joints or Joints(np.zeros((0, 3), dtype=np.int64), np.zeros((0, 3)))
    kept = links_of_group(group, joints.triples)
    renamed = [
        [[place[keypoint] for keypoint in row] for row in rows.tolist()] for rows in (bones[held], joints.triples[kept])
    ]
    return (
        np.array(renamed[0], dtype=np.int64).reshape(-1, 2),
        lengths[held],
        np.array(renamed[1], dtype=np.int64).reshape(-1, 3),
        joints.bounds[kept],
    )


def links_of_group(group: list[int], links: NDArray[np.int64]) -> list[int]:
    """Numbers of the links whose keypoints are all in a group."""
    return [number for number, link in enumerate(links.tolist()) if set(link) <= set(group)]


def held_bones(model: TrajectoryModel, individual: int) -> tuple[NDArray[np.int64], Array]:
    """Bones whose length is known, and (bone, 2) length and the inverse of its variance."""
    bones = model.bones
    if bones is None:
        return np.zeros((0, 2), dtype=np.int64), np.zeros((0, 2))
    known = np.isfinite(bones.length[individual])
    lengths = np.stack([bones.length[individual], bones.deviation[individual] ** -2], axis=-1)
    return np.ascontiguousarray(bones.pairs[known]), np.ascontiguousarray(lengths[known])


def with_curvature(covariance: Array, places: Array, bones: NDArray[np.int64]) -> Array:
    """Covariances (time, keypoint, 3, 3) with what a bone adds by turning.

    To first order a bone holds its end on a plane. On the sphere that it is, an end that may be tau off along it (each
    of two axes) comes tau^2 / length off the plane: in the mean of squares, 2 tau^4 / length^2. It matters where the
    end of a bone is not seen for a while.
    """
    result = covariance.copy()
    for a, b in bones.tolist():
        apart = places[:, a] - places[:, b]
        square = (apart**2).sum(-1)
        total = np.trace(covariance[:, [a, b]], axis1=-2, axis2=-1)
        for own, other in ((a, b), (b, a)):
            with np.errstate(invalid="ignore", divide="ignore"):
                along = np.einsum("ti,tij,tj->t", apart, covariance[:, own], apart) / square
                across = (np.trace(covariance[:, own], axis1=-2, axis2=-1) - along) / 2
                # that of the less certain end: the other one does not move
                added = np.where(total[:, 0 if own == a else 1] >= total[:, 0 if other == a else 1], across, 0.0) ** 2
                bent = (2 * added / square**2)[:, None, None] * apart[:, :, None] * apart[:, None, :]
            result[:, own] += np.nan_to_num(bent)
    return result
