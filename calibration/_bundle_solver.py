"""Levenberg-Marquardt on the reduced system of a bundle adjustment.

Marquardt's damping of the diagonal (1963) with a trust ratio: a step is taken only if it lowers the cost, and if no
observation in use leaves what its camera can see. So the cost never rises, from any start.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from calibration._bundle_boards import Scale
from calibration._bundle_kernels import POSE, solve_spd
from calibration._bundle_problem import Layout, State, move_cameras
from calibration._bundle_settings import BundleStatus

__all__ = ["Outcome", "Part", "Problem", "Step", "Term", "minimize"]

Floats = NDArray[np.float64]

_FIRST_DAMPING = 1e-4
_SMALLEST_DAMPING = 1e-10
_LARGEST_DAMPING = 1e12
# The last step must be below this many standard deviations of what is estimated: a small gradient alone can hide a long
# valley.
_LAST_STEP = 1e-3
# Steps that are refused because points leave the image of the lens, before those points are left out instead.
_PATIENCE = 4
# Steps with the careful curvature after one that was refused.
_CAUTION = 5
# Rounding of a pixel coordinate of some thousand.
_PIXEL_ROUNDING = 1e-12
# Steps that are taken although the cost is the same but for rounding.
_POLISH = 5
# Share of the cost that rounding hides.
_COST_ROUNDING = 1e-14


@dataclass(frozen=True, eq=False)
class Step:
    """A step from a state, and what is expected of it.

    Attributes:
        cameras: (parameter,) of all parameters but the local ones.
        local: step of every term's own unknowns.
        predicted: fall of the cost that the quadratic model expects.
        length: of the step in standard deviations of unit noise, the root of g^T H^-1 g.
        gradient_norm: see `BundleAdjustment`.
        fine: whether the system could be solved.
    """

    cameras: Floats
    local: tuple[Floats, ...]
    predicted: float
    length: float
    gradient_norm: float
    fine: bool


class Part(Protocol):
    """Normal equations of a term at a state.

    Attributes:
        cost: of all its observations.
        unseen: how many observations in use cannot be seen.
        r2: (observation,) squared residuals, px^2.
        gradient, diagonal: of the unknowns of its own, and of their normal matrix; filled by `Term.reduce`.
    """

    cost: float
    unseen: int
    r2: Floats
    gradient: Floats
    diagonal: Floats


class Term(Protocol):
    """A kind of observations, with unknowns of its own that it eliminates.

    Attributes:
        use: (observation,) whether it counts.
        row: of the noise, which has one for each kind.
        pooled: whether all cameras have the same.
    """

    use: NDArray[np.bool_]
    row: int
    pooled: bool

    @property
    def observation_camera(self) -> NDArray[np.int64]:
        """(observation,) camera of each."""

    def spent(self, part: Any) -> Floats:
        """(camera,) how many of its unknowns the coordinates of each camera pay for."""

    def take_back(self) -> None:
        """Use again what could not be seen before."""

    def leave_out(self, trusted: NDArray[np.bool_]) -> None:
        """Leave out unknowns that are not determined by trusted observations (observation,)."""

    def linearize(self, state: State, scale: Scale) -> Part:
        """Normal equations at a state."""

    def reduce(self, part: Any, state: State, damping: float, size: int) -> tuple[Floats, Floats, Floats]:
        """Schur complement (size, size), its right side (size,) and the raw gradient and diagonal (2, size)."""

    def back_substitute(self, part: Any, step: Floats) -> Floats:
        """Steps of its own unknowns."""

    def move(self, state: State, step: Floats) -> State:
        """The state after those."""


@dataclass(eq=False)
class Problem:
    """All that is adjusted at once.

    Attributes:
        layout: the free camera parameters.
        terms: the kinds of observations.
        size: number of free parameters that are not eliminated: of the cameras, then heights, then lengths.
        shape: place of the first height of the board; -1 where it is rigid.
        basis: (corner, free) of the heights; keeps them apart from the pose of the board.
        lengths: (part,) place of each length, -1 where it is known.
        origin: the camera from whose center the scale is free, -1 where the scale is determined.
    """

    layout: Layout
    terms: tuple[Term, ...]
    size: int
    shape: int = -1
    basis: Floats = field(default_factory=lambda: np.empty((0, 0)))
    lengths: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    origin: int = -1

    @property
    def end(self) -> int:
        """Place after the last height."""
        return self.shape + len(self.basis)

    @property
    def count(self) -> int:
        """Coordinates in use."""
        return 2 * sum(int(term.use.sum()) for term in self.terms)

    def take_back(self) -> None:
        """Use again what could not be seen before."""
        for term in self.terms:
            term.take_back()

    def squares(self, parts: tuple[Part, ...], n_cameras: int) -> tuple[Floats, NDArray[np.int64]]:
        """Squared residuals (observation,) in use, px^2, and their group: row times number of cameras, plus camera."""
        squares, groups = [], []
        for term, part in zip(self.terms, parts, strict=True):
            use = term.use & np.isfinite(part.r2)
            squares.append(part.r2[use])
            groups.append(term.row * n_cameras + term.observation_camera[use])
        return np.concatenate(squares), np.concatenate(groups)

    def freedom(self, parts: tuple[Part, ...], rows: int, n_cameras: int) -> Floats:
        """(row, camera) share of its coordinates that is left when the parameters are fitted."""
        seen, spent = np.zeros((rows, n_cameras)), np.zeros((rows, n_cameras))
        for term, part in zip(self.terms, parts, strict=True):
            seen[term.row] += 2.0 * np.bincount(term.observation_camera[term.use], minlength=n_cameras)
            spent[term.row] += term.spent(part)
        own = np.where(self.layout.first >= 0, self.layout.sizes - self.layout.offset, 0)
        spent += own * seen / np.maximum(seen.sum(axis=0), 1.0)
        return np.maximum(1.0 - spent / np.maximum(seen, 1.0), 0.05)

    def linearize(self, state: State, scale: Scale) -> tuple[Part, ...]:
        """Normal equations of every term."""
        return tuple(term.linearize(state, scale) for term in self.terms)

    def reduce(self, parts: tuple[Part, ...], state: State, damping: float) -> tuple[Floats, Floats, Floats]:
        """Damped Schur complement, its right side, and the raw gradient and diagonal, of all parameters."""
        system, right, raw = np.zeros((self.size, self.size)), np.zeros(self.size), np.zeros((2, self.size))
        for term, part in zip(self.terms, parts, strict=True):
            one = term.reduce(part, state, damping, self.size)
            system += one[0]
            right += one[1]
            raw += one[2]
        system.ravel()[:: self.size + 1] += damping * raw[1]
        if self.origin >= 0:
            # The scale is a direction in which nothing changes. Adding its square keeps every step at a right angle to
            # it, and changes nothing else.
            across, _ = self.scale_direction(state)
            system += (raw[1].sum() / self.size) * np.outer(across, across)
        return system, right, raw

    def scale_direction(self, state: State) -> tuple[Floats, Floats]:
        """Unit vector of the translations of the cameras when all grows, and the full direction with its length 1."""
        full = np.zeros(self.size)
        rotation, translation = state.table[:, POSE : POSE + 9].reshape(-1, 3, 3), state.table[:, POSE + 9 : POSE + 12]
        center = -rotation[self.origin].T @ translation[self.origin]
        moves = self.layout.columns[:, 3] >= 0
        growth = translation + (rotation * center).sum(axis=2)
        for camera in np.flatnonzero(moves):
            first = self.layout.first[camera] + 3
            full[first : first + 3] = growth[camera]
        across = full / np.sqrt((full * full).sum())
        free = self.lengths >= 0
        full[self.lengths[free]] = state.lengths[free]
        return across, full

    def step(self, parts: tuple[Part, ...], state: State, damping: float, spread: float) -> Step:
        """The damped Gauss-Newton step."""
        system, right, raw = self.reduce(parts, state, damping)
        gradient = self.expand(self.compress(raw[0]))
        norm = _largest_ratio(gradient, raw[1])
        for part in parts:
            norm = max(norm, _largest_ratio(part.gradient, part.diagonal))
        solution, pivot, _ = solve_spd(self.compress_matrix(system), -self.compress(right))
        cameras = self.expand(solution)
        local = tuple(term.back_substitute(part, cameras) for term, part in zip(self.terms, parts, strict=True))
        slope, damped = float((gradient * cameras).sum()), float((raw[1] * cameras * cameras).sum())
        for part, own in zip(parts, local, strict=True):
            slope += float((part.gradient * own).sum())
            damped += float((part.diagonal * own * own).sum())
        fine = (pivot > 0.0 or self.size == 0) and bool(np.isfinite(slope)) and bool(np.isfinite(damped))
        return Step(
            cameras=cameras,
            local=local,
            predicted=0.5 * (damping * damped - slope),
            length=float(np.sqrt(max(-slope, 0.0))) / spread if fine else np.inf,
            gradient_norm=norm / spread,
            fine=fine,
        )

    def move(self, state: State, step: Step) -> State:
        """The state after a step."""
        state = replace(state, table=move_cameras(state.table, self.layout, step.cameras[: len(self.layout.labels)]))
        if self.shape >= 0:
            shape = state.shape.copy()
            shape[:, 2] += step.cameras[self.shape : self.shape + len(shape)]
            state = replace(state, shape=shape)
        free = self.lengths >= 0
        if free.any():
            lengths = state.lengths.copy()
            lengths[free] += step.cameras[self.lengths[free]]
            state = replace(state, lengths=lengths)
        for term, own in zip(self.terms, step.local, strict=True):
            state = term.move(state, own)
        return state

    def compress(self, vector: Floats) -> Floats:
        """Of all parameters to the independent ones."""
        if self.shape < 0:
            return vector
        heights = (self.basis * vector[self.shape : self.end, None]).sum(axis=0)
        return np.concatenate([vector[: self.shape], heights, vector[self.end :]])

    def expand(self, vector: Floats) -> Floats:
        """Of the independent parameters to all."""
        if self.shape < 0:
            return vector
        last = self.shape + self.basis.shape[1]
        heights = (self.basis * vector[self.shape : last]).sum(axis=1)
        return np.concatenate([vector[: self.shape], heights, vector[last:]])

    def compress_matrix(self, matrix: Floats) -> Floats:
        """The same of a symmetric matrix, given and returned by its upper triangle."""
        if self.shape < 0:
            return matrix
        full = np.triu(matrix) + np.triu(matrix, 1).T
        # einsum, not BLAS, whose sums depend on the number of threads
        heights = np.einsum("ij,jk->ik", full[:, self.shape : self.end], self.basis)
        half = np.concatenate([full[:, : self.shape], heights, full[:, self.end :]], axis=1)
        heights = np.einsum("ji,jk->ik", self.basis, half[self.shape : self.end])
        return np.concatenate([half[: self.shape], heights, half[self.end :]])


@dataclass(frozen=True, eq=False)
class Outcome:
    """Where the minimization ended."""

    state: State
    parts: tuple[Part, ...]
    cost: float
    iterations: int
    gradient_norm: float
    status: BundleStatus
    damping: float


def minimize(
    problem: Problem,
    state: State,
    scale: Scale,
    *,
    iterations: int,
    tolerance: float,
    damping: float = _FIRST_DAMPING,
    last_step: float = _LAST_STEP,
) -> Outcome:
    """Lower the cost until the gradient vanishes.

    Observations that their camera cannot see at the start are taken out of `use` of their term.

    Args:
        problem, state, scale: what, from where, measured with what.
        iterations: at most so many steps are tried.
        tolerance: of the gradient.
        damping: to begin with.
        last_step: of which length the last step must be at most, see `Step`.
    """
    careful, caution = replace(scale, curvature=1.0), 0
    parts = problem.linearize(state, scale)
    if _drop(problem, parts):
        parts = problem.linearize(state, scale)
    cost, length, norm, refused = _cost(parts), np.inf, np.inf, 0
    status, tried, polished = BundleStatus.NOT_CONVERGED, 0, 0
    while True:
        spread = _spread(cost, problem.count, scale)
        step = problem.step(parts, state, damping, spread)
        norm = step.gradient_norm
        floor = _COST_ROUNDING * cost + problem.count * (_PIXEL_ROUNDING / float(scale.sigma.min())) ** 2
        arrived = norm <= tolerance and min(length, step.length) <= last_step
        hidden = step.fine and damping < 1.0 and abs(step.predicted) <= floor
        if arrived or (hidden and polished >= _POLISH):
            status = BundleStatus.CONVERGED
            break
        if tried >= iterations or damping > _LARGEST_DAMPING:
            break
        tried += 1
        if not step.fine:
            damping = max(10.0 * damping, 1e-8)
            continue
        moved = problem.move(state, step)
        following = problem.linearize(moved, careful if caution > 1 else scale)
        lost = sum(part.unseen for part in following)
        gain = cost - _cost(following)
        if hidden and not lost and gain > -_POLISH * floor:
            # The cost cannot tell any more whether the step is good; it is so short that it is.
            state, parts, length, cost, polished = moved, following, step.length, cost - gain, polished + 1
            continue
        if lost or not gain > 0.0:
            refused = refused + 1 if lost else 0
            if refused > _PATIENCE:  # they do not belong to what is seen
                _drop(problem, following)
                parts = problem.linearize(state, scale)
                cost, refused = _cost(parts), 0
            if caution == 0 and not lost and scale.loss:
                parts, caution = problem.linearize(state, careful), _CAUTION
            else:
                damping *= 10.0
            continue
        caution = max(caution - 1, 0)
        ratio = gain / step.predicted
        damping = _next_damping(damping, ratio)
        state, parts, length, refused = moved, following, step.length, 0
        cost -= gain
    return Outcome(state, parts, cost, tried, norm, status, damping)


def _next_damping(damping: float, ratio: float) -> float:
    if ratio > 0.75:
        return max(damping / 30.0, _SMALLEST_DAMPING)
    return damping * 4.0 if ratio < 0.25 else damping


def _cost(parts: tuple[Part, ...]) -> float:
    return sum(part.cost for part in parts)


def _drop(problem: Problem, parts: tuple[Part, ...]) -> bool:
    """Take what the cameras cannot see out of use; whether there was any."""
    lost = False
    for term, part in zip(problem.terms, parts, strict=True):
        if part.unseen:
            term.use &= np.isfinite(part.r2)
            lost = True
    return lost


def _spread(cost: float, count: int, scale: Scale) -> float:
    """Root mean square of the weighed residuals; at least that of a millionth of a pixel."""
    return float(np.sqrt(max(2.0 * cost / max(count, 1), (1e-6 / float(scale.sigma.max())) ** 2)))


def _largest_ratio(gradient: Floats, diagonal: Floats) -> float:
    """Largest of the gradient's components, each in units of its own curvature."""
    if not gradient.size:
        return 0.0
    return float((np.abs(gradient) / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))).max())
