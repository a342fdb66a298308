"""Lines between points of the body, and work on them along time: what angles, segments and joints share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from calibration.errors import InvalidValueError
from calibration.nearest import nearest_name
from calibration.processors import available_processors
from calibration.schema import as_floats
from pose3d.kinematics._poses import check_poses, point_weights
from pose3d.skeleton import Point

__all__ = [
    "DEGENERATE",
    "FOUND",
    "GIMBAL_LOCK",
    "MISSING",
    "NEARLY_DEGENERATE",
    "NEAR_SINGULAR",
    "Ends",
    "Lines",
    "Output",
    "Sources",
    "as_vector",
    "chosen",
    "computed",
    "lines_between",
    "named_point",
    "sources_of",
    "status_attributes",
]

Array = NDArray[np.float64]
Ends = tuple[Point, Point] | NDArray[np.float64]
"""A line from a point to another, or a vector that does not move."""

FOUND, MISSING, DEGENERATE, NEARLY_DEGENERATE, GIMBAL_LOCK = range(5)
_MEANINGS = ("found", "keypoint_missing", "degenerate", "nearly_degenerate", "gimbal_lock")

NEAR_SINGULAR = np.deg2rad(10.0)
"""How near to a singularity a result is marked: errors are 1 / sin(10 degrees) = 5.8 times as large there.

It is also where first-order errors begin to be wrong: with segments turned by errors of 2 degrees, the standard
deviations are within 5 percent of those simulated at 10 degrees from gimbal lock, and off by a third at 4 degrees.
"""

_PIECE = 8192  # rows: what is computed between lies in the cache of a processor
_WORTH_THREADS = 4 * _PIECE


class Lines(NamedTuple):
    """Lines, as kernels take them: a point is where its base is, plus its share of each of its keypoints.

    Attributes:
        base: (point, 3) zero, but for the ends of vectors that do not move.
        start: (point + 1,) where the keypoints of each point begin in `keypoint`.
        keypoint, share: indices of keypoints, and how much of each there is in the point.
        tail, tip: (line,) the points that it runs from and to.
    """

    base: Array
    start: NDArray[np.int64]
    keypoint: NDArray[np.int64]
    share: Array
    tail: NDArray[np.int64]
    tip: NDArray[np.int64]


class Sources(NamedTuple):
    """The keypoints that results depend on through their lines, as kernels take them.

    Attributes:
        start: (result + 1,) where the keypoints of each result begin in `keypoint`.
        keypoint: indices of keypoints, each once for a result.
        share: (..., line of it) how much each line of the result moves with the keypoint.
    """

    start: NDArray[np.int64]
    keypoint: NDArray[np.int64]
    share: Array


class Output(NamedTuple):
    """A result of a computation along time: its dimensions but for time (and camera), their sizes, and its type."""

    dims: tuple[str, ...]
    sizes: tuple[int, ...]
    dtype: type = np.float64


class _Work(Protocol):
    def __call__(self, position: Array, covariance: Array | None, /) -> tuple[NDArray[Any], ...]:
        """Results of (row, individual, keypoint, space) and (row, individual, keypoint, space, space)."""


def lines_between(poses: xr.Dataset, ends: Iterable[Ends]) -> Lines:
    """The lines between these points of the poses.

    Raises:
        InvalidValueError: a keypoint is unknown.
    """
    places: dict[Point | bytes, int] = {}
    points: list[Point] = []
    base: list[Array] = []

    def place(point: Point, at: Array | None = None) -> int:
        key = point if at is None else at.tobytes()
        if key not in places:
            places[key] = len(points)
            points.append(point)
            base.append(np.zeros(3) if at is None else at)
        return places[key]

    pairs = [
        (place((), np.zeros(3)), place((), np.pad(line, (0, 3 - len(line)))))
        if isinstance(line, np.ndarray)
        else (place(line[0]), place(line[1]))
        for line in ends
    ]
    weights = point_weights(poses, points)
    row, keypoint = np.nonzero(weights)
    start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(points)))])
    tail, tip = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return Lines(
        np.array(base).reshape(-1, 3),
        start.astype(np.int64),
        keypoint.astype(np.int64),
        weights[row, keypoint],
        np.ascontiguousarray(tail),
        np.ascontiguousarray(tip),
    )


def sources_of(lines: Lines, members: NDArray[np.int64]) -> Sources:
    """What results depend on, that come from the lines `members` (result, line of it); -1 for none."""
    starts, keypoints, shares = [0], [], []
    for row in members.tolist():
        found: dict[int, Array] = {}
        for place, line in enumerate(row):
            for point, sign in ((lines.tail[line], -1.0), (lines.tip[line], 1.0)) if line >= 0 else ():
                for at in range(lines.start[point], lines.start[point + 1]):
                    share = found.setdefault(int(lines.keypoint[at]), np.zeros(len(row)))
                    share[place] += sign * lines.share[at]
        keypoints += list(found)
        shares += list(found.values())
        starts.append(len(keypoints))
    share = np.array(shares).reshape(-1, members.shape[1])
    return Sources(np.array(starts), np.array(keypoints, dtype=np.int64), share)


def named_point(point: str | Point) -> Point:
    """A point, from the name of a keypoint or the names of several, whose middle it is."""
    return (point,) if isinstance(point, str) else tuple(point)


def as_vector(poses: xr.Dataset, vector: ArrayLike, subject: str) -> Array:
    """A direction in the space of the poses, of length 1.

    Raises:
        InvalidValueError: it has no length, or not as many numbers as the space has axes.
    """
    values = as_floats(vector, subject, ends=(poses.sizes["space"],))
    length = np.linalg.norm(values)
    if values.ndim != 1 or not 0 < length < np.inf:
        raise InvalidValueError(
            subject,
            expected="a direction as three finite numbers that are not all 0",
            got=str(vector),
            remedy="Give a vector in the world, as (0, 0, 1), or two points of the body.",
        )
    return np.asarray(values / length)


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Part = TypeVar("Part", bound=_Named)


def chosen(parts: Sequence[Part], wanted: Sequence[str | Part] | None, subject: str, kind: str) -> list[Part]:
    """The parts of these names, all by default; what is no name is taken as it is.

    Raises:
        InvalidValueError: there is no part of a name, or none at all.
    """
    if not (parts if wanted is None else wanted):
        raise InvalidValueError(
            f"{subject}, {kind}",
            expected="at least one all of whose keypoints the poses have",
            got="none",
            remedy="Define some in the skeleton, or check that it is the skeleton of these poses.",
        )
    known = {part.name: part for part in parts}
    result = []
    for each in parts if wanted is None else wanted:
        if isinstance(each, str) and each not in known:
            raise InvalidValueError(
                f"{subject}, {kind}",
                expected=f"names out of {', '.join(known) or 'none'}",
                got=each,
                remedy=nearest_name(each, known) or "Correct the name, or define it in the skeleton.",
            )
        result.append(known[each] if isinstance(each, str) else each)
    return result


def status_attributes(what: str, codes: int = NEARLY_DEGENERATE) -> dict[str, Any]:
    """The attributes of a status: what each of the codes from 0 on means."""
    return {
        "units": "1",
        "long_name": f"why there is no {what}, or what to mind",
        "flag_values": np.arange(codes + 1, dtype=np.int8),
        "flag_meanings": " ".join(_MEANINGS[: codes + 1]),
    }


def computed(poses: xr.Dataset, work: _Work, outputs: Sequence[Output]) -> tuple[xr.DataArray, ...]:
    """The results of work that looks at one row at a time; nothing is loaded where the Dataset is not.

    Args:
        poses: Poses3D or Poses2D; rows are frames, or frames of each camera.
        work: gives arrays of (row, individual, ...) with the other dimensions as in `outputs`, whose last dimension is
            individual; its arguments are of 64 bits, and views as a rule.
        outputs: the results, in their order.

    Raises:
        InvalidValueError: the Dataset is neither Poses3D nor Poses2D.
    """
    check_poses(poses)
    given = [poses["position"], *([poses["covariance"]] if "covariance" in poses else [])]
    core = [["individual", "keypoint", "space"], ["individual", "keypoint", "space", "space_"]][: len(given)]

    def on_block(position: Array, covariance: Array | None = None) -> tuple[NDArray[Any], ...]:
        lead = position.shape[:-3]
        rows = [None if each is None else each.reshape(-1, *each.shape[len(lead) :]) for each in (position, covariance)]
        assert rows[0] is not None
        results = _in_pieces(work, rows[0], rows[1], outputs)
        return tuple(result.reshape(*lead, *result.shape[1:]) for result in results)

    sizes = {dim: size for output in outputs for dim, size in zip(output.dims, output.sizes, strict=True)}
    found = xr.apply_ufunc(
        on_block,
        *(each.drop_vars([name for name in each.coords if name not in ("time", "frame", "camera")]) for each in given),
        input_core_dims=core,
        output_core_dims=[output.dims for output in outputs],
        dask="parallelized",
        output_dtypes=[output.dtype for output in outputs],
        dask_gufunc_kwargs={"allow_rechunk": True, "output_sizes": sizes},
    )
    result = (found,) if isinstance(found, xr.DataArray) else tuple(found)
    names = {dim: poses[dim].values for dim in ("individual", "space") if dim in poses.coords}
    return tuple(
        each.assign_coords({dim: values for dim, values in names.items() if dim in each.dims}) for each in result
    )


def _in_pieces(work: _Work, position: Array, covariance: Array | None, outputs: Sequence[Output]) -> list[NDArray[Any]]:
    """What the work makes of all rows, a piece after the other, on as many threads as there are processors."""
    results: list[NDArray[Any]] = [np.empty((len(position), *output.sizes), output.dtype) for output in outputs]

    def piece(first: int) -> None:
        rows = slice(first, first + _PIECE)
        points = np.asarray(position[rows], np.float64)
        errors = None if covariance is None else np.asarray(covariance[rows], np.float64)
        for result, found in zip(results, work(points, errors), strict=True):
            result[rows] = np.moveaxis(found, 1, -1)

    starts = range(0, len(position), _PIECE)
    if len(position) < _WORTH_THREADS:
        for first in starts:
            piece(first)
    else:
        with ThreadPoolExecutor(available_processors()) as pool:
            for _ in pool.map(piece, starts):  # raises what a piece raised
                pass
    return results
