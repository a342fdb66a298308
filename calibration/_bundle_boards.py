"""Boards in a bundle adjustment: linearize all views, eliminate the poses of the boards."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from calibration._bundle_kernels import (
    back_substitute,
    evaluate_views,
    reduce_frames,
)
from calibration._bundle_problem import Layout, State, Views, move_poses
from calibration._bundle_workers import Workers

__all__ = ["BoardPart", "BoardTerm", "Scale"]

Floats = NDArray[np.float64]

# Frames are summed in at most this many chunks, in this order, whatever the number of threads.
_CHUNKS = 8
# A chunk costs 8 us to hand over, a view 0.5 us to reduce.
_VIEWS_PER_CHUNK = 64


@dataclass(frozen=True, eq=False)
class Scale:
    """What residuals are measured with.

    Attributes:
        loss, tuning: see `robust_terms` of the kernels.
        sigma: (row, camera) px; the kinds of observations have rows of their own.
        curvature: share of the weight of a residual that its curvature is at least taken for. The true one would be
            the fastest near the minimum, but it is near 0 or negative for points that are on the verge of being
            outliers, and steps become wild: with 0.25 a board went to its mirrored pose. With 1 the quadratic model is
            never below the loss, so that every step is downhill, but there are twice as many.
    """

    loss: int
    tuning: float
    sigma: Floats
    curvature: float = 0.5


@dataclass(eq=False)
class BoardPart:
    """The normal equations of all views, and what the elimination of the frames leaves behind."""

    cost: float
    unseen: int
    r2: Floats
    residual: Floats
    matrix: Floats
    vector: Floats
    by_shape: Floats
    view_cost: Floats = field(default_factory=lambda: np.empty(0))
    view_unseen: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    factor: Floats = field(default_factory=lambda: np.empty(0))
    gradient: Floats = field(default_factory=lambda: np.empty(0))
    diagonal: Floats = field(default_factory=lambda: np.empty(0))
    half: Floats = field(default_factory=lambda: np.empty(0))
    coupling: Floats = field(default_factory=lambda: np.empty(0))
    shape_coupling: Floats = field(default_factory=lambda: np.empty(0))


@dataclass(eq=False)
class BoardTerm:
    """All views of the board.

    Attributes:
        views: the observations.
        layout: the free camera parameters.
        shape_first: place of the first height of the board among the parameters, -1 where it is rigid.
        use: (observation,) whether it counts.
        fixed: whether the poses of the boards stay as they are.
        row, pooled: see `Term`.
    """

    views: Views
    layout: Layout
    workers: Workers
    shape_first: int
    use: NDArray[np.bool_]
    fixed: bool = False
    row: int = 0
    pooled: bool = False

    @cached_property
    def observation_camera(self) -> NDArray[np.int64]:
        """(observation,) camera of each."""
        return self.views.observation_camera()

    def spent(self, part: BoardPart) -> Floats:  # noqa: ARG002 - the protocol of all terms
        """(camera,) parameters of the boards, each shared among the cameras by how many corners they see."""
        return np.zeros(self.views.n_cameras) if self.fixed else self.views.board_parameters()

    def take_back(self) -> None:
        """Use again what could not be seen before."""
        self.use[:] = True

    def leave_out(self, trusted: NDArray[np.bool_]) -> None:
        """Six numbers of a board are determined by many corners: none is left out."""

    def linearize(self, state: State, scale: Scale) -> BoardPart:
        """Normal equations at a state."""
        views, layout = self.views, self.layout
        n_views, n, width = len(views.camera), len(views.corner), layout.width
        bend = self.shape_first >= 0
        cost, unseen = np.empty(n_views), np.empty(n_views, dtype=np.int64)
        part = BoardPart(
            cost=0.0,
            unseen=0,
            r2=np.empty(n),
            residual=np.empty((n, 2)),
            matrix=np.empty((n_views, width, width)),
            vector=np.empty((n_views, width)),
            by_shape=np.empty((n, 1, width + 2) if bend else (0, 0, 1)),
        )

        def work(begin: int, end: int) -> None:
            evaluate_views(
                begin,
                end,
                state.table,
                state.poses,
                state.shape,
                layout.places,
                layout.sizes,
                views.camera,
                views.frame,
                views.start,
                views.corner,
                views.pixels,
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
                part.by_shape,
            )

        self.workers.split(work, n_views)
        part.cost, part.unseen = float(cost.sum()), int(unseen.sum())
        part.view_cost, part.view_unseen = cost, unseen
        return part

    def reduce(
        self, part: BoardPart, state: State, damping: float | Floats, size: int
    ) -> tuple[Floats, Floats, Floats]:
        """Schur complement (size, size), its right side (size,) and the raw gradient and diagonal (2, size).

        The damping is one number, or one per frame.
        """
        views, layout = self.views, self.layout
        n_frames, n_views = views.n_frames, len(views.camera)
        part.factor, part.gradient = np.empty((n_frames, 6, 6)), np.empty((n_frames, 6))
        part.diagonal, part.half = np.empty((n_frames, 6)), np.empty((n_frames, 6))
        part.coupling = np.empty((n_views, 6, layout.width))
        bend = self.shape_first >= 0
        part.shape_coupling = np.empty((n_frames if bend else 0, 6, views.n_corners if bend else 0))
        dampings = np.broadcast_to(np.asarray(damping, dtype=np.float64), n_frames).copy()
        # By what there is to do, never by the number of threads, so that sums are the same bit by bit.
        chunks = max(1, min(_CHUNKS, n_views // _VIEWS_PER_CHUNK))
        bounds = np.arange(chunks + 1) * n_frames // chunks
        system, right, raw = np.zeros((chunks, size, size)), np.zeros((chunks, size)), np.zeros((chunks, 2, size))

        def work(chunk: int) -> None:
            reduce_frames(
                int(bounds[chunk]),
                int(bounds[chunk + 1]),
                dampings,
                self.fixed,
                state.table,
                state.poses,
                layout.offset,
                layout.sizes,
                layout.first,
                views.frame_start,
                views.camera,
                views.start,
                views.corner,
                part.matrix,
                part.vector,
                part.by_shape,
                self.shape_first,
                part.factor,
                part.gradient,
                part.diagonal,
                part.half,
                part.coupling,
                part.shape_coupling,
                system[chunk],
                right[chunk],
                raw[chunk],
            )

        self.workers.each(work, chunks)
        for chunk in range(1, chunks):
            system[0] += system[chunk]
        return system[0], right.sum(axis=0), raw.sum(axis=0)

    def back_substitute(self, part: BoardPart, step: Floats) -> Floats:
        """(frame, 6) steps of the poses."""
        views, layout = self.views, self.layout
        out = np.empty((views.n_frames, 6))
        back_substitute(
            0,
            views.n_frames,
            step,
            layout.offset,
            layout.sizes,
            layout.first,
            views.frame_start,
            views.camera,
            part.factor,
            part.half,
            part.coupling,
            self.shape_first,
            part.shape_coupling,
            out,
        )
        return out

    @staticmethod
    def move(state: State, step: Floats) -> State:
        """The state after steps (frame, 6) of the poses."""
        return replace(state, poses=move_poses(state.poses, step))
