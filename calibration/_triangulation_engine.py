"""Runs the triangulation kernels over many points: camera table, pairs to try, chunks, threads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration.lens import BrownConrady
from calibration.processors import available_processors

if TYPE_CHECKING:
    from calibration.camera import Camera
    from calibration.rig import Rig

__all__ = ["Fit", "Plan", "normalize", "run"]

_POINTS_PER_TASK = 1 << 14
_ALL_PAIRS_UP_TO = 8
CAMERA_COLUMNS = 54


@dataclass(frozen=True)
class Plan:
    """What the kernels need to know beside the data; see `calibration.triangulation.TriangulationSettings`."""

    robust: bool
    sigma: NDArray[np.float64]
    threshold: float
    minimum_confidence: float
    minimum_angle: float
    seed: int
    engine: str
    covariance: bool = True
    workers: int | None = None


@dataclass(frozen=True)
class Fit:
    """The outcome over a flat list of points: arrays (point, ...)."""

    points: NDArray[np.float64]
    inliers: NDArray[np.bool_]
    residuals: NDArray[np.float64]
    status: NDArray[np.int8]
    covariance: NDArray[np.float64]


def run(rig: Rig, pixels: NDArray[np.float64], confidence: NDArray[np.float64] | None, plan: Plan) -> Fit:
    """Triangulate pixels (..., camera, 2) with confidence (..., camera); the outcome is flat, in C order.

    Beside input and output only one chunk per thread is in memory, also where the input is not contiguous.
    """
    if plan.engine == "numba":
        from calibration._triangulation_kernels import triangulate_range
    else:
        from calibration._triangulation_numpy import triangulate_range
    n_points, n_cameras = int(np.prod(pixels.shape[:-2])), len(rig)
    fit = Fit(
        points=np.empty((n_points, 3)),
        inliers=np.empty((n_points, n_cameras), dtype=np.bool_),
        residuals=np.empty((n_points, n_cameras)),
        status=np.empty(n_points, dtype=np.int8),
        covariance=np.empty((n_points if plan.covariance else 0, 3, 3)),
    )
    table = np.stack([_camera_row(camera) for camera in rig])
    smallest = plan.sigma.min()
    precision = (smallest / plan.sigma) ** 2
    strides, patience = pair_strides(n_cameras, plan.seed), pair_patience(n_cameras)
    # Python floats: another type of number would be another kernel to compile.
    lowest, threshold, cosine = float(plan.minimum_confidence), float(plan.threshold), float(np.cos(plan.minimum_angle))
    none = np.empty((0, n_cameras))

    def work(part: _Part) -> None:
        rows, where = part
        triangulate_range(
            table,
            _plain(pixels[where]).reshape(-1, n_cameras, 2),
            none if confidence is None else _plain(confidence[where]).reshape(-1, n_cameras),
            lowest,
            precision,
            plan.robust,
            threshold,
            cosine,
            strides,
            patience,
            fit.points[rows],
            fit.inliers[rows],
            fit.residuals[rows],
            fit.status[rows],
            fit.covariance[rows] if plan.covariance else fit.covariance,
        )
        if plan.covariance:
            fit.covariance[rows] *= smallest**2

    parts = list(_parts(pixels.shape[:-2]))
    workers = min(plan.workers or available_processors(), len(parts))
    if workers <= 1:
        for part in parts:
            work(part)
    else:
        # The kernels release the interpreter lock. Threads of our own, because numba's parallel loops cost three times
        # the compilation and their default threading layer breaks when two Python threads call it at once.
        with ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(work, parts):
                pass
    return fit


def normalize(rig: Rig, pixels: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normalized coordinates (..., camera, 2) of pixels, and the derivative (..., camera, 2, 2) of pixels by them."""
    from calibration._triangulation_kernels import normalize_range

    flat = _plain(pixels).reshape(-1, len(rig), 2)
    normalized, slope = np.empty(flat.shape), np.empty((*flat.shape, 2))
    normalize_range(np.stack([_camera_row(camera) for camera in rig]), flat, normalized, slope)
    return normalized.reshape(pixels.shape), slope.reshape(*pixels.shape, 2)


def pair_strides(n_cameras: int, seed: int) -> NDArray[np.int64]:
    """(camera + 1, m) table: with n cameras seeing a point, the pairs (i, i + stride mod n) of its row n are tried.

    All strides, hence all pairs, up to eight cameras; beyond, as many strides in a seeded order as give at least the 28
    pairs of eight cameras. Every camera then takes part in as many pairs, and the choice does not depend on where a
    point stands in the array.
    """
    generator = np.random.default_rng(seed)
    all_pairs = _ALL_PAIRS_UP_TO * (_ALL_PAIRS_UP_TO - 1) // 2
    table = np.zeros((n_cameras + 1, max(n_cameras // 2, 1)), dtype=np.int64)
    for n in range(2, n_cameras + 1):
        strides = np.arange(1, n // 2 + 1)
        if n > _ALL_PAIRS_UP_TO:
            strides = generator.permutation(strides)[: -(-all_pairs // n)]
        table[n, : len(strides)] = strides
    return table


def pair_patience(n_cameras: int) -> NDArray[np.int64]:
    """(camera + 1, camera + 1) table: of n cameras m agree with the best pair so far; how many pairs are worth trying.

    Were there a set of m + 1, a pair would lie in it with probability p = (m + 1) m / (n (n - 1)), and all of
    log(1e-4) / log(1 - p) pairs would miss it once in 10,000 (Fischler and Bolles, 1981). With m = n - 1 nothing larger
    exists, because the fit to all n was refused before the search.
    """
    table = np.full((n_cameras + 1, n_cameras + 1), n_cameras * n_cameras, dtype=np.int64)
    for n in range(4, n_cameras + 1):
        for m in range(2, n):
            share = (m + 1) * m / (n * (n - 1))
            table[n, m] = 1 if m >= n - 1 else int(np.ceil(np.log(1e-4) / np.log(1.0 - share)))
        table[n, n] = 1
    return table


_Part = tuple[slice, tuple[int | slice, ...]]


def _parts(batch: tuple[int, ...], row: int = 0, outer: tuple[int, ...] = ()) -> Iterator[_Part]:
    """Rows of the flat outcome and the index of the same points in the batch, in tasks of about `_POINTS_PER_TASK`.

    A task is a range of one axis and all of those after it; `row` is the first row of what `outer` has indexed.
    """
    if not batch:
        yield slice(row, row + 1), outer
        return
    per_index = int(np.prod(batch[1:]))
    if per_index > _POINTS_PER_TASK:
        for index in range(batch[0]):
            yield from _parts(batch[1:], row + index * per_index, (*outer, index))
        return
    step = max(1, _POINTS_PER_TASK // max(per_index, 1))
    for first in range(0, batch[0], step):
        last = min(first + step, batch[0])
        yield slice(row + first * per_index, row + last * per_index), (*outer, slice(first, last))


def _plain(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values as one writable block: a read-only or unaligned array would be another kernel to compile."""
    return np.require(values, np.float64, ["C_CONTIGUOUS", "ALIGNED", "WRITEABLE", "ENSUREARRAY"])


def _camera_row(camera: Camera) -> NDArray[np.float64]:
    """One row of the kernels' camera table; the columns are named in calibration._triangulation_kernels."""
    lens, pose = camera.lens, camera.cam_from_world
    row = np.zeros(CAMERA_COLUMNS)
    matrix = lens.camera_matrix
    row[1:6] = matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2], matrix[0, 1]
    if isinstance(lens, BrownConrady):
        coefficients = lens.padded_coefficients
        row[6:20] = coefficients
        tilt = lens.tilt
        if tilt is not None:
            row[33:42], row[42:51] = tilt.ravel(), np.linalg.inv(tilt).ravel()
        row[0] = 3.0 if tilt is not None else 2.0 if coefficients[5:].any() else 1.0 if coefficients.any() else 0.0
    else:
        row[6:10] = lens.coefficients
        row[0] = 4.0
    row[20] = lens.valid_radius**2
    row[21:30] = pose.rotation.ravel()
    row[30:33] = pose.translation
    row[51:54] = camera.center
    return row
