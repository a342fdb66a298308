"""What distances and directions say about whether two candidates are of one animal; learned from the recording.

Of every camera and every pair of keypoints: how often a distance occurs within an animal and how often between two.
The logarithm of the ratio of these densities is the score of the pair. Nothing is known of the scene but the
recording: the start are pairs that are each other's nearest by far; with what they say the pilot frames are assembled,
and all pairs are counted anew in the animals that come out, a few times (hard expectation and maximization).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.sparse.csgraph import minimum_spanning_tree

from pose3d.identity._assembly_kernels import assemble_views, count_pairs
from pose3d.identity._assembly_shape import Shape, learn_shape

__all__ = ["Geometry", "Views", "learn_geometry"]

Array = NDArray[np.float64]
Table = NDArray[np.float32]

_LENGTH_BINS = 64  # of which the last is for all that is longer
_DIRECTION_BINS = 16
_APART_BINS = 256
_APART_SIDE = 16.0  # bins per typical distance between joined keypoints
_ROUNDS = 4
# A pair is clear where each is the nearest of the other, and the next ones are farther by this factor.
_CLEAR = 1.7
_FEWEST = 12  # pairs, before a length counts as known
# Share of an animal's pairs whose distance is that of strangers: a keypoint is wrong. It bounds what a pair can say
# against an animal.
_WRONG = 0.03
# Directions that were never seen weigh as much as so many pairs.
_ANY_DIRECTION = 60.0
# Spread of the logarithm of a length that is known from few pairs only.
_BROAD = 0.35


@dataclass(frozen=True, eq=False)
class Views:
    """Candidates of a stretch of frames.

    Attributes:
        position: (time, camera, candidate, keypoint, 2) px.
        usable: (time, camera, candidate, keypoint) which of them take part.
        confidence: (time, camera, candidate, keypoint).
        affinity: (time, camera, edge, candidate, candidate) scores of affinities; NaN where there are none.
        affinity_edge: (edge, 2) keypoints of these edges.
    """

    position: Array
    usable: NDArray[np.bool_]
    confidence: Array
    affinity: Table
    affinity_edge: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Geometry:
    """Scores of pairs of candidates by their geometry.

    Attributes:
        length: (camera, keypoint, keypoint, bin) score of a distance; 0 where nothing is known.
        per_pixel: (camera, keypoint, keypoint) bins of distance per pixel; 0 where nothing is known.
        direction: (camera, keypoint, keypoint, bin) score of the direction from the first to the second.
        pairs: (camera, keypoint, keypoint) how many pairs of one animal each is learned from.
        shape: of whole animals.
    """

    length: Table
    per_pixel: Table
    direction: Table
    pairs: Array
    shape: Shape

    @classmethod
    def none(cls, cameras: int, keypoints: int) -> Geometry:
        """Nothing is known."""
        shape = (cameras, keypoints, keypoints)
        return cls(
            np.zeros((*shape, _LENGTH_BINS), np.float32),
            np.zeros(shape, np.float32),
            np.zeros((*shape, _DIRECTION_BINS), np.float32),
            np.zeros(shape),
            Shape.none(cameras, keypoints),
        )

    def assemble(self, views: Views, most: int, tolerance: float) -> tuple[NDArray[np.int32], Table]:
        """(time, camera, candidate, keypoint) animal and margin of every candidate, see `assemble_views`."""
        label = np.empty(views.usable.shape, np.int32)
        margin = np.empty(views.usable.shape, np.float32)
        assemble_views(
            views.position, views.usable, self.length, self.per_pixel, self.direction,
            views.affinity, views.affinity_edge, most, tolerance, label, margin,
        )  # fmt: skip
        self.shape.reshape(views.position, views.confidence, label, margin)
        return label, margin


def learn_geometry(
    views: Views, edges: Sequence[tuple[int, int]], most: int, tolerance: float, extent: Array
) -> Geometry:
    """Learn the geometry of animals from frames in which nothing is known of who is who.

    Args:
        views: pilot frames.
        edges: pairs of keypoints (by number) that are joined.
        most, tolerance: see `assemble_views`.
        extent: (camera, 2) width and height over which candidates are spread, px.
    """
    cameras, keypoints = views.usable.shape[1], views.usable.shape[3]
    median, clear = _clear_pairs(views)
    joined = _joined(np.nanmedian(_filled(median), axis=0), edges)
    # of the joined ones alone: the others are farther, and more often taken for those of a neighbor
    body = np.array([np.nanmedian(_or_one(median[camera][joined])) for camera in range(cameras)])
    start = joined | ((joined.astype(int) @ joined.astype(int) > 0) & ~np.eye(keypoints, dtype=bool))
    geometry = _start(median, clear, start, body, extent)
    for number in range(_ROUNDS if views.usable.any() else 0):
        label, _ = geometry.assemble(views, most, tolerance)
        geometry = _relearned(views, label, geometry, body, extent, start if number == 0 else None)
        if number >= _ROUNDS - 2:  # by then, animals are whole
            geometry = replace(geometry, shape=learn_shape(views.position, label, body))
    return geometry


def _or_one(values: Array) -> Array:
    known = values[np.isfinite(values) & (values > 0)]
    return known if len(known) else np.ones(1)


def _filled(median: Array) -> Array:
    """NaN stays NaN, but no slice is all NaN in a way that warns: a first row of the largest lengths is added."""
    known = np.isfinite(median).any(axis=0)
    return np.where(known, median, np.inf)


def _clear_pairs(views: Views) -> tuple[Array, Array]:
    """(camera, keypoint, keypoint) median distance of clear pairs, NaN where there is none, and how many there are."""
    _, cameras, _, keypoints = views.usable.shape
    median, count = np.full((cameras, keypoints, keypoints), np.nan), np.zeros((cameras, keypoints, keypoints))
    points = np.where(views.usable[..., None], views.position, np.nan)
    for first in range(keypoints):
        for second in range(first + 1, keypoints):
            distance, place = _clear_distances(points[:, :, :, first], points[:, :, :, second])
            for camera in range(cameras):
                found = distance[place == camera]
                count[camera, first, second] = count[camera, second, first] = len(found)
                if len(found):
                    median[camera, first, second] = median[camera, second, first] = np.median(found)
    return median, count


def _clear_distances(one: Array, two: Array) -> tuple[Array, NDArray[np.intp]]:
    """Distances of clear pairs of two keypoints, and the camera of each.

    Args:
        one, two: (time, camera, candidate, 2) px.
    """
    apart = np.linalg.norm(one[:, :, :, None] - two[:, :, None], axis=-1)
    apart = np.where(np.isfinite(apart), apart, np.inf)
    clear = np.isfinite(apart)
    for axis in (2, 3):
        if apart.shape[axis] > 1:
            ordered = np.sort(apart, axis=axis)
            nearest, next_one = ordered.take([0], axis=axis), ordered.take([1], axis=axis)
            with np.errstate(invalid="ignore"):
                clear &= (apart == nearest) & (next_one > _CLEAR * nearest)
    return apart[clear], np.nonzero(clear)[1]


def _joined(median: Array, edges: Iterable[tuple[int, int]]) -> NDArray[np.bool_]:
    """(keypoint, keypoint) the given edges and the shortest ones that connect what they leave apart."""
    joined = np.zeros(median.shape, dtype=bool)
    for first, second in edges:
        joined[first, second] = joined[second, first] = True
    cost = np.where(np.isfinite(median), median, 0.0)
    largest = max(cost.max(initial=0.0), 1.0)
    # given edges are cheaper than all others, so the tree takes them first; 0 would mean no edge
    cost = np.where(cost > 0, cost + largest, 0.0)
    cost[joined] = 1e-6 * largest
    tree = minimum_spanning_tree(cost).toarray() > 0
    return joined | tree | tree.T


def _strangers(apart: Array, body: Array, extent: Array) -> Array:
    """(camera, bin) density of the distance between candidates of different animals, per bin of `body`.

    What was counted, and a few that are spread evenly over the image: there the density grows with the distance.
    """
    place = (np.arange(_APART_BINS) + 0.5) / _APART_SIDE
    result = np.empty(apart.shape)
    for camera, counted in enumerate(apart):
        even = 2 * np.pi * place * body[camera] ** 2 / max(np.prod(extent[camera]), body[camera] ** 2)
        even = np.minimum(even, 2.0 / max(np.hypot(*extent[camera]) / body[camera], 1.0)) / _APART_SIDE
        smooth = gaussian_filter1d(counted, 2.0, mode="constant")
        result[camera] = (smooth + 200.0 * even) / (counted.sum() + 200.0)
    return result


def _start(median: Array, clear: Array, start: NDArray[np.bool_], body: Array, extent: Array) -> Geometry:
    """Scores of the pairs that are joined, or joined with a common third one: lengths of a broad distribution."""
    cameras, keypoints = median.shape[:2]
    geometry = Geometry.none(cameras, keypoints)
    strangers = _strangers(np.zeros((cameras, _APART_BINS)), body, extent)
    for camera, first, second in _pairs(cameras, keypoints):
        middle = median[camera, first, second]
        if not start[first, second] or not middle > 0:
            continue
        per_pixel = (_LENGTH_BINS - 1) / (4.0 * middle)
        place = (np.arange(_LENGTH_BINS) + 0.5) / per_pixel
        with np.errstate(divide="ignore"):
            inside = np.exp(-0.5 * (np.log(place / middle) / _BROAD) ** 2) / place
        # shorter than usual is foreshortened, and speaks for one animal as much as the usual length
        inside = np.where(place < middle, max(inside.max(), 1e-9), inside)
        _put(geometry, (camera, first, second), inside, per_pixel, strangers[camera], body[camera])
        geometry.pairs[camera, first, second] = clear[camera, first, second]
    return geometry


def _pairs(cameras: int, keypoints: int) -> Iterator[tuple[int, int, int]]:
    return (
        (camera, first, second)
        for camera in range(cameras)
        for first in range(keypoints)
        for second in range(first + 1, keypoints)
    )


def _put(
    geometry: Geometry, pair: tuple[int, int, int], inside: Array, per_pixel: float, strangers: Array, body: float
) -> None:
    """Write the scores of a length: of counts or a density within animals against strangers."""
    camera, first, second = pair
    place = (np.arange(_LENGTH_BINS) + 0.5) / per_pixel / body * _APART_SIDE - 0.5
    # per bin of the length
    outside = np.interp(place, np.arange(_APART_BINS), strangers) * _APART_SIDE / body / per_pixel
    density = inside / inside.sum()
    score = np.log((1 - _WRONG) * density / np.maximum(outside, 1e-9) + _WRONG)
    score[-1] = np.log(_WRONG)
    for one, two in ((first, second), (second, first)):
        geometry.length[camera, one, two] = score
        geometry.per_pixel[camera, one, two] = per_pixel


def _relearned(
    views: Views, label: NDArray[np.int32], before: Geometry, body: Array, extent: Array,
    joined: NDArray[np.bool_] | None,
) -> Geometry:  # fmt: skip
    """What the animals say that were assembled; `joined`: those are kept as they were where pairs are too few."""
    cameras, keypoints = label.shape[1], label.shape[3]
    # wide bins first, to see how long is usual
    wide = np.broadcast_to((_LENGTH_BINS - 1) / (16.0 * body)[:, None, None], before.per_pixel.shape)
    length, direction, _ = _counted(views, label, wide.astype(np.float32), body)
    share = np.cumsum(length, axis=-1) / np.maximum(length.sum(axis=-1, keepdims=True), 1)
    longest = (np.argmax(share >= 0.97, axis=-1) + 1.0) / wide
    per_pixel = ((_LENGTH_BINS - 1) / (1.6 * longest)).astype(np.float32)
    length, direction, apart = _counted(views, label, per_pixel, body)
    strangers = _strangers(apart, body, extent)
    geometry = Geometry.none(cameras, keypoints)
    for camera, first, second in _pairs(cameras, keypoints):
        counts = length[camera, first, second]
        total = counts.sum()
        geometry.pairs[camera, first, second] = total
        if total < _FEWEST:
            if joined is not None or before.per_pixel[camera, first, second] > 0:
                for one, two in ((first, second), (second, first)):
                    geometry.length[camera, one, two] = before.length[camera, one, two]
                    geometry.per_pixel[camera, one, two] = before.per_pixel[camera, one, two]
            continue
        _put(
            geometry, (camera, first, second), _smooth(counts), float(per_pixel[camera, first, second]),
            strangers[camera], body[camera],
        )  # fmt: skip
        around = gaussian_filter1d(direction[camera, first, second], 1.0, mode="wrap")
        score = np.log((around + _ANY_DIRECTION / _DIRECTION_BINS) * _DIRECTION_BINS / (total + _ANY_DIRECTION))
        geometry.direction[camera, first, second] = np.maximum(score, np.log(_WRONG))
    return geometry


def _smooth(counts: Array) -> Array:
    """A density of counts: smoothed by what fits their spread and number (Silverman 1986), and a little everywhere."""
    inner = counts[:-1]
    total = max(inner.sum(), 1.0)
    place = np.arange(len(inner))
    mean = (inner * place).sum() / total
    spread = np.sqrt((inner * (place - mean) ** 2).sum() / total)
    width = float(np.clip(0.9 * spread * total**-0.2, 0.7, 8.0))
    return np.append(gaussian_filter1d(inner, width, mode="reflect") + 1e-6 * total, counts[-1])


def _counted(views: Views, label: NDArray[np.int32], per_pixel: Table, body: Array) -> tuple[Array, Array, Array]:
    cameras, keypoints = label.shape[1], label.shape[3]
    length = np.zeros((cameras, keypoints, keypoints, _LENGTH_BINS))
    direction = np.zeros((cameras, keypoints, keypoints, _DIRECTION_BINS))
    apart = np.zeros((cameras, _APART_BINS))
    count_pairs(
        views.position, label, np.ascontiguousarray(per_pixel), _APART_SIDE / body, length, direction, apart
    )  # fmt: skip
    return length, direction, apart
