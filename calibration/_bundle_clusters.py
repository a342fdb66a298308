"""Corners of one picture err together: what that adds to the uncertainty of the parameters.

Blur, a hand in the picture or a wrinkle of the board shift neighboring corners alike. A covariance that counts every
corner as a witness of its own is then too small. What the frames say does not assume that: each pulls at the
parameters, and how much these pulls differ from frame to frame tells the spread of their sum, however corners err
within a frame (the cluster-robust sandwich of Liang and Zeger 1986). Of single parameters that is a rough number, a
fourth of it is chance with 40 frames; so it is taken for all parameters of a camera together.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration._bundle_kernels import invert_spd
from calibration._bundle_robust import Fit, curvature_of, effective_noise
from calibration._bundle_solver import Problem

if TYPE_CHECKING:
    from calibration._bundle_boards import BoardPart, BoardTerm

__all__ = ["believe", "widen"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# A frame that is most of what is known of a camera is followed by the fit, and its pull says nothing any more.
_LEAST_FREEDOM = 0.25


def believe(problem: Problem, board: BoardTerm, result: Fit, part: BoardPart) -> None:
    """Scale the normal equations of each view by how far the loss believes it, in place.

    Least squares with the noise of a camera takes all its views for equally good. Of blurred ones the loss takes less;
    they must not count in full when it comes to how much is known. The mean over the views of a camera stays.
    """
    slope = curvature_of(board, result)
    seen = board.use & np.isfinite(result.outcome.parts[0].r2)
    view = _view_of(board)
    by_view = _mean(slope[seen], view[seen], len(board.views.camera))
    by_camera = _mean(slope[seen], board.observation_camera[seen], board.views.n_cameras)
    _scale(problem, board, part, by_view / by_camera[board.views.camera])


def widen(problem: Problem, board: BoardTerm, result: Fit, part: BoardPart, full: Floats) -> bool:
    """Weaken what the views of a camera say, in place, where frames differ by more than independent corners would.

    Args:
        problem, board, result: what was adjusted, and the outcome.
        part: normal equations in units of the noise, see `believe`.
        full: (parameter, parameter) covariance from those.

    Returns:
        Whether anything was changed, so that the covariance is another one.
    """
    pulls, own = _pulls(problem, board, result, part)
    growth = np.ones(board.views.n_cameras)
    for camera in np.flatnonzero(board.layout.first >= 0).tolist():
        place, information = _own_block(board, own, camera)
        steps = _product(pulls, full[:, place])
        size = steps.shape[1]
        found = float((invert_spd(full[place, place].copy()) * _product(steps.T, steps)).sum()) / size
        reached = np.einsum("vij,jk->vik", information, invert_spd(information.sum(axis=0)))
        followed = float(np.einsum("vij,vji->", reached, reached)) / size
        factor = found / max(1.0 - followed, _LEAST_FREEDOM)
        growth[camera] = factor if factor > 1.0 else 1.0  # also where it is not a number
    if not (growth > 1.0).any():
        return False
    _scale(problem, board, part, 1.0 / growth[board.views.camera])
    return True


def _scale(problem: Problem, board: BoardTerm, part: BoardPart, share: Floats) -> None:
    """Multiply the normal equations of each view (view,)."""
    with np.errstate(invalid="ignore", over="ignore"):  # what is not of a free parameter was never filled
        part.matrix *= share[:, None, None]
        part.vector *= share[:, None]
        if problem.shape >= 0:
            part.by_shape *= share[_view_of(board)][:, None, None]


def _view_of(board: BoardTerm) -> Integers:
    return np.repeat(np.arange(len(board.views.camera)), np.diff(board.views.start))


def _pulls(problem: Problem, board: BoardTerm, result: Fit, part: BoardPart) -> tuple[Floats, BoardPart]:
    """(frame, parameter) how each frame pulls at what is not eliminated, and the normal equations that say so.

    In units in which independent corners make their second moment the information.
    """
    views, layout, robust = board.views, board.layout, result.outcome.parts[0]
    cameras = board.observation_camera
    seen = board.use & np.isfinite(robust.r2)
    slope = _mean(curvature_of(board, result)[seen], cameras[seen], views.n_cameras)
    noise = effective_noise(problem, result)[board.row]
    unit = result.scale.sigma[board.row] ** 2 / (noise**2 * slope)
    by_shape = part.by_shape
    heights = np.empty(0)
    with np.errstate(invalid="ignore", over="ignore"):  # what is not of a free parameter was never filled
        vector = robust.vector * unit[views.camera][:, None]  # type: ignore[attr-defined] # of a board
    if problem.shape >= 0:
        index, last = np.arange(len(cameras)), layout.sizes[cameras] + 1
        heights = unit[cameras] * robust.by_shape[index, 0, last]  # type: ignore[attr-defined] # of a board
        by_shape = part.by_shape.copy()
        by_shape[index, 0, last] = heights
    own = replace(part, vector=vector, by_shape=by_shape)
    board.reduce(own, result.outcome.state, 0.0, problem.size)
    pulls = np.zeros((views.n_frames, problem.size))
    for camera in np.flatnonzero(layout.first >= 0):
        mine = np.flatnonzero(views.camera == camera)
        first, skip, size = layout.first[camera], layout.offset[camera], layout.sizes[camera]
        told = np.einsum("vak,va->vk", own.coupling[mine, :, : size - skip], own.half[views.frame[mine]])
        pulls[views.frame[mine], first : first + size - skip] = own.vector[mine, skip:size] - told
    if problem.shape >= 0:
        np.add.at(pulls, (views.observation_frame(), problem.shape + views.corner), heights)
        pulls[:, problem.shape : problem.end] -= np.einsum("fak,fa->fk", own.shape_coupling, own.half)
    return pulls, own


def _own_block(board: BoardTerm, own: BoardPart, camera: int) -> tuple[slice, Floats]:
    """Place of the parameters of a camera, and what each of its views says of them (view, free, free)."""
    mine = np.flatnonzero(board.views.camera == camera)
    first, skip, size = board.layout.first[camera], board.layout.offset[camera], board.layout.sizes[camera]
    coupling = own.coupling[mine, :, : size - skip]
    upper = np.triu(own.matrix[mine, skip:size, skip:size])
    whole = upper + np.swapaxes(np.triu(upper, 1), 1, 2)
    return slice(first, first + size - skip), whole - np.einsum("vak,val->vkl", coupling, coupling)


def _product(first: Floats, second: Floats) -> Floats:
    # einsum, not BLAS, whose sums depend on the number of threads
    return np.einsum("ij,jk->ik", first, second)


def _mean(values: Floats, group: Integers, count: int) -> Floats:
    total = np.bincount(group, weights=values, minlength=count)
    return np.asarray(np.maximum(total / np.maximum(np.bincount(group, minlength=count), 1), 1e-3))
