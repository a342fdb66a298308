"""Lengths of bodies: bones, distances between points, and the body along a chain of points.

All take Poses3D, or Poses2D, in pixels. Where the poses have a covariance, results have a standard deviation
`<name>_std`, by first order from errors of keypoints that are independent of each other. Frames are treated each by
itself, so lazily loaded poses give lazy results.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError, MismatchError
from calibration.nearest import nearest_name
from pose3d.kinematics._combinations import (
    Floats,
    axis_of,
    combined,
    deviation,
    framewise,
    labeled,
    unit_of,
)
from pose3d.kinematics._poses import check_poses, keypoint_names, point_weights
from pose3d.skeleton import Point, Skeleton

__all__ = ["body_length", "bone_lengths", "keypoint_chain", "pairwise_distances"]


def bone_lengths(poses: xr.Dataset, skeleton: Skeleton) -> xr.Dataset:
    """Distance between the ends of every edge.

    Edges whose keypoints the poses lack are left out. The coordinate `edge` is "a-b".

    Returns:
        `bone_length`, `bone_length_std` (time, edge, individual) in the unit of the poses.

    Raises:
        InvalidValueError: the Dataset is neither Poses3D nor Poses2D.
        MismatchError: the poses have no edge of the skeleton.
    """
    check_poses(poses)
    names = keypoint_names(poses)
    edges = [edge for edge in skeleton.edges if set(edge) <= set(names)]
    if not edges:
        raise MismatchError(
            f"skeleton '{skeleton.name}'",
            expected="edges between the keypoints of the poses",
            got=f"keypoints {', '.join(names[:8])}",
            remedy="Use the skeleton that the poses were made with.",
        )
    pairs: list[tuple[Point, ...]] = [((a,), (b,)) for a, b in edges]
    return _lengths(poses, pairs, "bone_length", "edge", [f"{a}-{b}" for a, b in edges], "length of a bone")


def pairwise_distances(poses: xr.Dataset, pairs: Sequence[tuple[str | Point, str | Point]] | None = None) -> xr.Dataset:
    """Distances between points of the same body.

    Args:
        poses: Poses3D or Poses2D.
        pairs: of keypoints, or of tuples of keypoints whose middle counts; of all keypoints by default.

    Returns:
        `distance`, `distance_std` (time, pair, individual) in the unit of the poses; the coordinate `pair` is "a-b",
        and "a+b-c" where the first point is the middle of a and b.

    Raises:
        InvalidValueError: the Dataset is neither Poses3D nor Poses2D, a keypoint is unknown, or there is no pair.
    """
    check_poses(poses)
    chosen = list(combinations(keypoint_names(poses), 2)) if pairs is None else list(pairs)
    ends = [tuple(map(_point, pair)) for pair in chosen]
    if not ends or any(len(pair) != 2 for pair in ends):
        raise InvalidValueError(
            "pairs of keypoints",
            expected="one pair of two points or more",
            got=str(chosen)[:80] if chosen else "none",
            remedy='Give pairs as [("nose", "tail_base"), ...].',
        )
    labels = ["-".join("+".join(point) for point in pair) for pair in ends]
    return _lengths(poses, ends, "distance", "pair", labels, "distance between two points")


def body_length(poses: xr.Dataset, skeleton: Skeleton, points: Sequence[str | Point] | None = None) -> xr.Dataset:
    """Length of the body along points.

    Args:
        poses: Poses3D or Poses2D.
        skeleton: the axis of its anatomy is measured where no points are given: straight from rear to front. (A
            person's axis is that of the feet: give points.)
        points: along which the length is measured, from one to the next; see `keypoint_chain`.

    Returns:
        `body_length`, `body_length_std` (time, individual) in the unit of the poses.

    Raises:
        InvalidValueError: the Dataset is neither Poses3D nor Poses2D, a keypoint is unknown, there are fewer than two
            points, or the skeleton has no axis.
    """
    check_poses(poses)
    chain = axis_of(skeleton) if points is None else tuple(map(_point, points))
    if len(chain) < 2:
        raise InvalidValueError(
            "points of the body",
            expected="two points or more",
            got=str(len(chain)),
            remedy='Give them as ["tail_base", "spine", "neck"].',
        )
    found = _lengths(poses, [chain], "body_length", "chain", [""], "length of the body")
    return found.isel(chain=0, drop=True).assign_attrs(points=" - ".join("+".join(point) for point in chain))


def keypoint_chain(skeleton: Skeleton, start: str, end: str) -> tuple[str, ...]:
    """The keypoints on the way along the edges of a skeleton, ends included.

    Raises:
        InvalidValueError: a keypoint is unknown, no edges lead from one to the other, or several ways do: the edges
            have a loop where a tree is needed.
    """
    for name in (start, end):
        if name not in skeleton.keypoints:
            raise InvalidValueError(
                f"skeleton '{skeleton.name}'",
                expected=f"a keypoint '{name}'",
                got=", ".join(skeleton.keypoints[:12]),
                remedy=nearest_name(name, skeleton.keypoints) or "Correct the name.",
            )
    neighbors: dict[str, list[str]] = {name: [] for name in skeleton.keypoints}
    for a, b in skeleton.edges:
        neighbors[a].append(b)
        neighbors[b].append(a)
    ways = _ways(neighbors, start, end)
    if len(ways) != 1:
        told = " and ".join(" - ".join(way) for way in ways)
        raise InvalidValueError(
            f"skeleton '{skeleton.name}', edges from {start} to {end}",
            expected="one way along the edges, as in a tree",
            got=f"a loop: {told}" if ways else "no way",
            remedy="List the points themselves, or remove an edge of the loop."
            if ways
            else "Add the edges that join them, or list the points themselves.",
        )
    return ways[0]


def _ways(neighbors: dict[str, list[str]], start: str, end: str) -> list[tuple[str, ...]]:
    """Ways from start to end that pass no keypoint twice; two of them at most, as one more than there should be."""
    found: list[tuple[str, ...]] = []
    open_ways: list[tuple[str, ...]] = [(start,)]
    while open_ways and len(found) < 2:
        way = open_ways.pop()
        if way[-1] == end:
            found.append(way)
        else:
            open_ways += [(*way, name) for name in neighbors[way[-1]] if name not in way]
    return found


def _point(given: str | Point) -> Point:
    return (given,) if isinstance(given, str) else tuple(given)


def _lengths(
    poses: xr.Dataset, chains: Sequence[Sequence[Point]], name: str, dim: str, labels: Sequence[str], told: str
) -> xr.Dataset:
    """Lengths along chains of points, (time, dim, individual), with `_std`."""
    steps = [np.diff(point_weights(poses, chain), axis=0) for chain in chains]

    def compute(position: Floats, covariance: Floats | None) -> tuple[NDArray[np.generic], ...]:
        lengths, spreads = [], []
        for step in steps:
            vector = combined(position, step)
            each = np.linalg.norm(vector, axis=-2)
            lengths.append(each.sum(axis=-1))
            if covariance is not None:
                with np.errstate(divide="ignore", invalid="ignore"):
                    spreads.append(deviation((vector / each[..., None, :]) @ step, covariance))
        results = [np.stack(lengths, axis=-1)]
        return (*results, np.stack(spreads, axis=-1)) if spreads else tuple(results)

    outputs = {name: (dim,)} | ({f"{name}_std": (dim,)} if "covariance" in poses else {})
    found = framewise(poses, compute, outputs, {dim: len(chains)})
    unit = unit_of(poses)
    return labeled(poses, found, {name: (unit, told)}).assign_coords({dim: list(labels)})
