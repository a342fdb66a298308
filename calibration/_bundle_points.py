"""Free points in a bundle adjustment, and rigid lengths between them: linearize all views, eliminate the points.

Points that lengths tie together are one block; blocks are eliminated one by one. For the sake of vector instructions
what a camera sees of a chunk of blocks is linearized at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from calibration._bundle_boards import Scale
from calibration._bundle_kernels import (
    add_cameras,
    back_substitute_points,
    evaluate_views,
    reduce_points,
)
from calibration._bundle_problem import Layout, State
from calibration._bundle_workers import Workers

__all__ = ["PointPart", "PointTerm", "Sightings", "pack_points"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Blocks are summed in this many chunks, in this order, whatever the number of threads.
_CHUNKS = 8
# What a camera sees of about so many points is linearized at once.
_POINTS_PER_VIEW = 64
_AT_ORIGIN = np.array([[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]])


@dataclass(frozen=True, eq=False)
class Sightings:
    """Points seen by cameras, in blocks.

    Attributes:
        order: (point,) the given number of each point here; points of a block are neighbors.
        block_start: (block + 1,) the points of each block; pair_start: (block + 1,) its pairs.
        camera: (view,); start: (view + 1,) the observations of each view.
        point: (observation,); pixels: (observation, 2).
        point_start: (point + 1,) where in `by_point` the observations of each point are.
        by_point: (observation,) numbers of observations, point by point.
        pairs: (pair, 2) points at a fixed distance, in ascending order; parts: (pair,) whose distance.
        n_cameras: number of cameras.
    """

    order: Integers
    block_start: Integers
    pair_start: Integers
    camera: Integers
    start: Integers
    point: Integers
    pixels: Floats
    point_start: Integers
    by_point: Integers
    pairs: Integers
    parts: Integers
    n_cameras: int

    @cached_property
    def observation_camera(self) -> Integers:
        """(observation,) camera of each."""
        return np.repeat(self.camera, np.diff(self.start))

    def spread(self, values: Floats) -> Floats:
        """(point, camera, ...) in the given order, of values (observation, ...); NaN where unseen."""
        result = np.full((len(self.order), self.n_cameras, *values.shape[1:]), np.nan)
        result[self.order[self.point], self.observation_camera] = values
        return result


def pack_points(position: Floats, pairs: Integers, parts: Integers, places: Integers) -> Sightings:
    """Flat lists of positions (point, camera, 2), NaN where unseen.

    Args:
        position: what the cameras see.
        pairs: (pair, 2) points at a fixed distance; parts: (pair,) whose distance.
        places: (part,) place of its length among the parameters, -1 where it is known.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_points, n_cameras = position.shape[:2]
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n_points, n_points))
    n_blocks, label = connected_components(graph, directed=False)
    order = np.argsort(label, kind="stable").astype(np.int64)
    label = label[order]
    block_start = np.searchsorted(label, np.arange(n_blocks + 1)).astype(np.int64)
    rank = np.empty(n_points, dtype=np.int64)
    rank[order] = np.arange(n_points)
    tied = np.sort(rank[pairs], axis=1)
    # within a block known lengths first, then in the order of their places: the kernels rely on it
    by_block = np.lexsort((places[parts], label[tied[:, 0]]))
    tied, parts = tied[by_block], parts[by_block]
    pair_start = np.searchsorted(label[tied[:, 0]], np.arange(n_blocks + 1)).astype(np.int64)
    point, camera = np.nonzero(np.isfinite(position[order]).all(axis=-1))
    # chunks of whole blocks
    chunk = (block_start[label] // _POINTS_PER_VIEW)[point]
    sequence = np.lexsort((point, camera, chunk))
    point, camera, chunk = point[sequence], camera[sequence], chunk[sequence]
    begins = np.flatnonzero(np.diff(camera, prepend=-1) | np.diff(chunk, prepend=-1))
    by_point = np.argsort(point, kind="stable")
    return Sightings(
        order=order,
        block_start=block_start,
        pair_start=pair_start,
        camera=camera[begins].astype(np.int64),
        start=np.append(begins, len(point)).astype(np.int64),
        point=point.astype(np.int64),
        pixels=np.ascontiguousarray(position[order][point, camera]),
        point_start=np.searchsorted(point[by_point], np.arange(n_points + 1)).astype(np.int64),
        by_point=by_point.astype(np.int64),
        pairs=np.ascontiguousarray(tied, dtype=np.int64),
        parts=np.ascontiguousarray(parts, dtype=np.int64),
        n_cameras=n_cameras,
    )


@dataclass(eq=False)
class PointPart:
    """The normal equations of all views of points, and what the elimination of the points leaves behind."""

    cost: float
    unseen: int
    r2: Floats
    residual: Floats
    matrix: Floats
    vector: Floats
    by_point: Floats
    points: Floats
    lengths: Floats
    damping: float = 0.0
    gradient: Floats = field(default_factory=lambda: np.empty(0))
    diagonal: Floats = field(default_factory=lambda: np.empty(0))


@dataclass(eq=False)
class PointTerm:
    """All views of free points.

    Attributes:
        sightings: the observations.
        layout: the free camera parameters.
        precision: (part,) inverse variance of the distances about their length, where that is as it was at the start.
        start: (part,) these lengths.
        places: (part,) place of each length among the parameters, -1 where it is known.
        use: (observation,) whether it counts.
        active: (point,) whether it takes part.
        row, pooled: see `Term`.
    """

    sightings: Sightings
    layout: Layout
    workers: Workers
    precision: Floats
    start: Floats
    places: Integers
    use: NDArray[np.bool_]
    active: NDArray[np.bool_]
    row: int = 0
    pooled: bool = True

    @property
    def observation_camera(self) -> Integers:
        """(observation,) camera of each."""
        return self.sightings.observation_camera

    def spent(self, part: PointPart) -> Floats:
        """(camera,) leverage: how much of what the camera saw went into the points.

        With equal shares the camera that happens to fit best would get ever more weight until it fits exactly.
        """
        seen = self.sightings
        size = self.layout.sizes[seen.observation_camera]
        place = size[:, None, None] + np.arange(3)
        own = np.take_along_axis(part.by_point, np.broadcast_to(place, (len(size), 3, 3)), axis=2)
        own[~self.use] = 0.0
        total = np.zeros((len(seen.order), 3, 3))
        np.add.at(total, seen.point, own)
        total += np.finfo(np.float64).tiny + 1e-12 * np.trace(total, axis1=1, axis2=2)[:, None, None] * np.eye(3)
        total[np.trace(total, axis1=1, axis2=2) < 1e-200] = np.eye(3)
        leverage = np.einsum("oij,oji->o", np.linalg.inv(total)[seen.point], own)
        return np.asarray(np.bincount(seen.observation_camera, leverage, minlength=seen.n_cameras), np.float64)

    def take_back(self) -> None:
        """Use again what could not be seen before."""
        self.use[:] = self.active[self.sightings.point]

    def leave_out(self, trusted: NDArray[np.bool_]) -> None:
        """Leave out points that fewer than two trusted observations (observation,) show.

        With one view that is believed, one that is not, and a length, a point can slide with next to nothing to hold
        it, and says nothing of the cameras.
        """
        seen = self.sightings
        self.active &= np.bincount(seen.point[trusted & self.use], minlength=len(seen.order)) >= 2
        self.use &= self.active[seen.point]

    def linearize(self, state: State, scale: Scale) -> PointPart:
        """Normal equations at a state."""
        seen, layout = self.sightings, self.layout
        n_views, n, width = len(seen.camera), len(seen.point), layout.width
        cost, unseen = np.empty(n_views), np.empty(n_views, dtype=np.int64)
        frame = np.zeros(n_views, dtype=np.int64)
        part = PointPart(
            cost=0.0,
            unseen=0,
            r2=np.empty(n),
            residual=np.empty((n, 2)),
            matrix=np.empty((n_views, width, width)),
            vector=np.empty((n_views, width)),
            by_point=np.empty((n, 3, width + 4)),
            points=state.points,
            lengths=state.lengths,
        )

        def work(begin: int, end: int) -> None:
            evaluate_views(
                begin,
                end,
                state.table,
                _AT_ORIGIN,
                state.points,
                layout.places,
                layout.sizes,
                seen.camera,
                frame,
                seen.start,
                seen.point,
                seen.pixels,
                self.use,
                scale.sigma[self.row],
                scale.loss,
                scale.tuning,
                scale.curvature,
                part.matrix,
                part.vector,
                cost,
                unseen,
                part.r2,
                part.residual,
                part.by_point,
            )

        self.workers.split(work, n_views)
        part.cost, part.unseen = float(cost.sum()) + self._cost_of_lengths(state), int(unseen.sum())
        return part

    def _cost_of_lengths(self, state: State) -> float:
        pairs, parts = self.sightings.pairs, self.sightings.parts
        tied = self.active[pairs].all(axis=1)
        pairs, parts = pairs[tied], parts[tied]
        difference = state.points[pairs[:, 0]] - state.points[pairs[:, 1]]
        excess = np.sqrt((difference * difference).sum(axis=1)) - state.lengths[parts]
        return float((0.5 * self.precision_at(state.lengths)[parts] * excess * excess).sum())

    def precision_at(self, lengths: Floats) -> Floats:
        """(part,) inverse variance for lengths (part,): in proportion, so that the scale of the world stays free."""
        return np.where(self.places >= 0, self.precision * (self.start / lengths) ** 2, self.precision)

    def reduce(self, part: PointPart, state: State, damping: float, size: int) -> tuple[Floats, Floats, Floats]:
        """Schur complement (size, size), its right side (size,) and the raw gradient and diagonal (2, size)."""
        seen, layout = self.sightings, self.layout
        n_points, n_blocks = len(seen.order), len(seen.block_start) - 1
        part.gradient, part.diagonal, part.damping = np.empty((n_points, 3)), np.empty((n_points, 3)), damping
        bounds = np.linspace(0, n_blocks, min(_CHUNKS, n_blocks) + 1).astype(np.int64)
        chunks = len(bounds) - 1
        system, right, raw = np.zeros((chunks, size, size)), np.zeros((chunks, size)), np.zeros((chunks, 2, size))
        add_cameras(
            layout.offset,
            layout.sizes,
            layout.first,
            seen.camera,
            part.matrix,
            part.vector,
            system[0],
            right[0],
            raw[0],
        )

        precision = self.precision_at(state.lengths)

        def work(chunk: int) -> None:
            reduce_points(
                int(bounds[chunk]),
                int(bounds[chunk + 1]),
                damping,
                layout.offset,
                layout.sizes,
                layout.first,
                seen.block_start,
                seen.pair_start,
                seen.point_start,
                seen.by_point,
                seen.observation_camera,
                part.by_point,
                state.points,
                self.active,
                seen.pairs,
                seen.parts,
                state.lengths,
                precision,
                self.places,
                part.gradient,
                part.diagonal,
                system[chunk],
                right[chunk],
                raw[chunk],
            )

        self.workers.each(work, chunks)
        for chunk in range(1, chunks):
            system[0] += system[chunk]
        return system[0], right.sum(axis=0), raw.sum(axis=0)

    def back_substitute(self, part: PointPart, step: Floats) -> Floats:
        """(point, 3) steps of the points."""
        seen, layout = self.sightings, self.layout
        out, precision = np.empty((len(seen.order), 3)), self.precision_at(part.lengths)

        def work(begin: int, end: int) -> None:
            back_substitute_points(
                begin,
                end,
                part.damping,
                step,
                layout.offset,
                layout.sizes,
                layout.first,
                seen.block_start,
                seen.pair_start,
                seen.point_start,
                seen.by_point,
                seen.observation_camera,
                part.by_point,
                part.points,
                self.active,
                seen.pairs,
                seen.parts,
                part.lengths,
                precision,
                self.places,
                part.gradient,
                part.diagonal,
                out,
            )

        self.workers.split(work, len(seen.block_start) - 1)
        return out

    @staticmethod
    def move(state: State, step: Floats) -> State:
        """The state after steps (point, 3) of the points."""
        return replace(state, points=state.points + step)
