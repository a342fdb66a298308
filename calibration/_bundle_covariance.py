"""Covariance of what a bundle adjustment estimated: the inverse of the full information matrix.

The block of the cameras of that inverse is the inverse of their Schur complement; nothing is neglected. That of a board
or point with the block A of its own and the coupling B is A^-1 + A^-1 B C B^T A^-1, C being that of the cameras.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration._bundle_kernels import invert_spd, solve_spd
from calibration._bundle_problem import State
from calibration._bundle_solver import Part, Problem

if TYPE_CHECKING:
    from calibration._bundle_boards import BoardPart, BoardTerm
    from calibration._bundle_points import PointPart, PointTerm

__all__ = ["Covariance", "covariance_of", "covariance_of_boards", "covariance_of_points"]

Floats = NDArray[np.float64]

# Squared pivot of the matrix scaled to a unit diagonal: 1 minus the share of a parameter that the others explain. The
# weakest that a recording determines are around 1e-7 (principal point and tilts); rounding leaves 1e-13.
_SINGULAR = 1e-12


@dataclass(frozen=True, eq=False)
class Covariance:
    """Covariance of what is not eliminated.

    Attributes:
        full: (parameter, parameter) of cameras, heights and lengths; None where something is not determined.
        undetermined: labels of what is not.
    """

    full: Floats | None
    undetermined: tuple[tuple[str, str], ...]


def covariance_of(problem: Problem, parts: tuple[Part, ...], state: State) -> Covariance:
    """Covariance of all parameters that are not eliminated.

    Args:
        problem: what was adjusted.
        parts: normal equations in units of the noise; the terms keep in them what their own covariance needs.
        state: where it ended.
    """
    labels = problem.layout.labels
    system, right, raw = problem.reduce(parts, state, 0.0)
    compressed = problem.compress_matrix(system)
    lost = not all(np.isfinite(part.gradient).all() for part in parts)
    _, pivot, place = solve_spd(compressed, problem.compress(right))
    if lost or (len(compressed) and pivot < _SINGULAR):
        return Covariance(None, (labels[place] if 0 <= place < len(labels) and not lost else ("", "board or point"),))
    inverse = invert_spd(compressed)
    if problem.origin >= 0:  # the spread along the scale that its fixing has added
        across, along = problem.scale_direction(state)
        weight = raw[1].sum() / problem.size
        inverse -= np.outer(along, along) / (weight * (across * along).sum() ** 2)
    if problem.shape < 0:
        return Covariance(inverse, ())
    spread = np.zeros((problem.size, len(inverse)))
    start, last = problem.shape, problem.shape + problem.basis.shape[1]
    spread[:start, :start] = np.eye(start)
    spread[start : problem.end, start:last] = problem.basis
    spread[problem.end :, last:] = np.eye(problem.size - problem.end)
    return Covariance(np.einsum("ij,kj->ik", np.einsum("ij,jk->ik", spread, inverse), spread), ())


def covariance_of_boards(term: BoardTerm, part: BoardPart, full: Floats) -> Floats:
    """(frame, 6, 6) of the poses of the boards."""
    views, layout = term.views, term.layout
    result = np.zeros((views.n_frames, 6, 6))
    if term.fixed:
        return result
    for frame in range(views.n_frames):
        blocks, columns = [], []
        for view in range(views.frame_start[frame], views.frame_start[frame + 1]):
            camera = views.camera[view]
            count = layout.sizes[camera] - layout.offset[camera]
            if layout.first[camera] >= 0:
                blocks.append(part.coupling[view, :, :count])
                columns.append(layout.first[camera] + np.arange(count))
        if term.shape_first >= 0:
            blocks.append(part.shape_coupling[frame])
            columns.append(term.shape_first + np.arange(views.n_corners))
        middle = np.eye(6)
        if blocks:
            coupling, place = np.concatenate(blocks, axis=1), np.concatenate(columns)
            half = np.einsum("ij,jk->ik", coupling, full[np.ix_(place, place)])
            middle += np.einsum("ij,kj->ik", half, coupling)
        inverse = np.linalg.inv(np.tril(part.factor[frame]))
        result[frame] = inverse.T @ middle @ inverse
    return result


def covariance_of_points(term: PointTerm, part: PointPart, full: Floats) -> Floats:
    """(point, 3, 3) of the points, in the order of the sightings."""
    seen = term.sightings
    result = np.empty((len(seen.order), 3, 3))
    for block in range(len(seen.block_start) - 1):
        first, last = seen.block_start[block], seen.block_start[block + 1]
        own, mixed = _block(term, part, block, len(full))
        inverse = np.linalg.inv(own)
        reach = inverse @ mixed
        both = inverse + np.einsum("ij,kj->ik", np.einsum("ij,jk->ik", reach, full), reach)
        for point in range(first, last):
            place = 3 * (point - first)
            result[point] = both[place : place + 3, place : place + 3] if term.active[point] else np.nan
    return result


def _block(term: PointTerm, part: PointPart, block: int, size: int) -> tuple[Floats, Floats]:
    """Normal matrix of the points of a block, and its coupling with all other parameters."""
    seen, layout = term.sightings, term.layout
    first, last = seen.block_start[block], seen.block_start[block + 1]
    precision = term.precision_at(part.lengths)
    own, mixed = np.zeros((3 * (last - first),) * 2), np.zeros((3 * (last - first), size))
    for point in range(first, last):
        rows = slice(3 * (point - first), 3 * (point - first) + 3)
        for observation in seen.by_point[seen.point_start[point] : seen.point_start[point + 1]]:
            camera = seen.observation_camera[observation]
            width, skip, place = layout.sizes[camera], layout.offset[camera], layout.first[camera]
            own[rows, rows] += part.by_point[observation, :, width : width + 3]
            if place >= 0:
                mixed[rows, place : place + width - skip] += part.by_point[observation, :, skip:width]
    for place in 3 * np.flatnonzero(~term.active[first:last]):
        own[place : place + 3, place : place + 3] = np.eye(3)
    for pair in range(seen.pair_start[block], seen.pair_start[block + 1]):
        p, q = seen.pairs[pair]
        if not (term.active[p] and term.active[q]):
            continue
        difference = part.points[p] - part.points[q]
        distance = np.sqrt((difference * difference).sum())
        slope = np.zeros(len(own))
        unit = difference / distance
        slope[3 * (p - first) : 3 * (p - first) + 3] = unit
        slope[3 * (q - first) : 3 * (q - first) + 3] = -unit
        weight, place = precision[seen.parts[pair]], term.places[seen.parts[pair]]
        own += weight * np.outer(slope, slope)
        if place >= 0:
            mixed[:, place] -= weight * distance / part.lengths[seen.parts[pair]] * slope
    return own, mixed
