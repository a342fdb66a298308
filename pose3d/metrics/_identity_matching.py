"""Poses of a result beside those of the truth: matched by frame, camera and keypoint, and how far they are apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError, MismatchError
from calibration.schema import check
from pose3d.datasets import POSES2D, POSES3D
from pose3d.metrics.jumps import body_length

__all__ = ["Distances", "Matched", "best_columns", "match", "measure", "typical_length"]

Array = NDArray[np.float64]
Singles = NDArray[np.float32]
Mask = NDArray[np.bool_]
Places = NDArray[np.int64]

# Frames that are worked on at once: distances of 4 x 4 animals with 12 keypoints take 1.5 MB, which a cache holds.
_ROWS = 1024
# So many blocks of so many frames of the truth say how long the animals are.
_BLOCKS, _BLOCK = 32, 128


@dataclass(frozen=True)
class Matched:
    """One camera (or the world) of result and truth; the frames and keypoints are those of the truth.

    Attributes:
        camera: its name; "" in the world.
        truth, result: positions with the dims time, individual, keypoint and space, perhaps still in a file.
        rows: (time,) row of the result, -1 where it has no such frame.
        keypoints: (keypoint,) place in the result of the keypoints of the truth, -1 where it has none.
    """

    camera: str
    truth: xr.DataArray
    result: xr.DataArray
    rows: Places
    keypoints: Places

    def pieces(self) -> Iterator[tuple[slice, Array, Array]]:
        """Rows of the truth, its positions (space, individual, keypoint, time), and those of the result beside them."""
        shared = self.keypoints >= 0
        for start in range(0, len(self.rows), _ROWS):
            piece = slice(start, min(start + _ROWS, len(self.rows)))
            theirs = _time_last(self.truth.isel(time=piece))
            ours = np.full((len(theirs), self.result.sizes["individual"], *theirs.shape[2:]), np.nan)
            rows = self.rows[piece]
            there = np.flatnonzero(rows >= 0)
            if len(there):
                found = _time_last(_read(self.result, rows[there]))
                for keypoint in np.flatnonzero(shared):
                    ours[:, :, keypoint, there] = found[:, :, self.keypoints[keypoint]]
            yield piece, theirs, ours


@dataclass(frozen=True)
class Distances:
    """How far the poses of a camera are apart, frame by frame.

    Attributes:
        camera: its name; "" in the world.
        distance: (time, truth, result) mean distance over the keypoints that both have, those further apart than twice
            the threshold counted as that; NaN where there is none.
        truth_there, result_there: (time, truth) and (time, result) whether there is a pose at all.
        threshold: two poses that are further apart are not of one animal.
        error_sum, error_count: (truth, result) sum and number of the distances of all keypoints of two animals.
        parts_right: (truth, result) parts of the body that the one has where the other has them.
        parts: (truth,) parts of the body that the truth has.
        seen: (truth, result) frames in which both are there.
    """

    camera: str
    distance: Singles
    truth_there: Mask
    result_there: Mask
    threshold: float
    error_sum: Array
    error_count: Array
    parts_right: Array
    parts: Array
    seen: Array


def match(result: xr.Dataset, truth: xr.Dataset) -> list[Matched]:
    """Bring result and truth together: one entry per camera of Poses2D, one of Poses3D.

    Raises:
        InvalidValueError: a Dataset is neither Poses2D nor Poses3D, or its frame numbers do not increase.
        MismatchError: one is 2D and the other 3D, units differ, or no frame, camera or keypoint is in both.
    """
    # Poses3D can have variables by camera, too
    flat = ["position" in data and "camera" in data["position"].dims for data in (result, truth)]
    if flat[0] != flat[1]:
        kinds = ["2D" if one else "3D" for one in flat]
        raise MismatchError(
            "result and truth",
            expected="both in 2D or both in 3D",
            got=f"{kinds[0]} and {kinds[1]}",
            remedy="Reconstruct the 2D poses first, or project the 3D poses.",
        )
    for data, subject in ((result, "result"), (truth, "truth")):
        check(data, POSES2D if flat[0] else POSES3D, values=False)
        _check_order(data, subject)
    units = [str(data["position"].attrs.get("units", "")) for data in (result, truth)]
    if units[0] != units[1]:
        raise MismatchError(
            "result and truth", expected="the same unit", got=f"{units[0]} and {units[1]}", remedy="Convert one."
        )
    rows, keypoints = (_places(result, truth, name) for name in ("frame", "keypoint"))
    pair = [data["position"] for data in (truth, result)]
    if not flat[0]:
        return [Matched("", pair[0], pair[1], rows, keypoints)]
    cameras = _places(result, truth, "camera")
    return [
        Matched(
            str(truth["camera"].values[here]),
            pair[0].isel(camera=here),
            pair[1].isel(camera=int(there)),
            rows,
            keypoints,
        )
        for here, there in enumerate(cameras)
        if there >= 0
    ]


def typical_length(truth: xr.DataArray) -> float:
    """Median diagonal of the box around an animal, of positions with these dims; NaN where unknown."""
    count = truth.sizes["time"]
    # blocks, since single frames are slow to read from a file
    starts = np.unique(np.linspace(0, max(0, count - _BLOCK), _BLOCKS, dtype=int))
    blocks = [truth.isel(time=slice(start, start + _BLOCK)).compute() for start in starts]
    order = ("time", "individual", "keypoint", "space")
    points = np.concatenate([block.transpose(*order).values for block in blocks])
    return body_length(points.reshape(-1, *points.shape[2:])) if points.size else float("nan")


def measure(
    matched: Matched,
    edges: Sequence[tuple[int, int]],
    threshold: float,
    progress: Callable[[int], None] | None = None,
) -> Distances:
    """Compare every animal of the truth with every one of the result.

    Args:
        matched: one camera, or the world.
        edges: parts of the body, as places among the keypoints of the truth.
        threshold: twice as much is the largest distance of a keypoint that counts.
        progress: called with the number of frames of every piece that is done.
    """
    sizes = (matched.truth.sizes["individual"], matched.result.sizes["individual"])
    count = len(matched.rows)
    distance = np.full((count, *sizes), np.nan, dtype=np.float32)
    there = [np.zeros((count, size), dtype=bool) for size in sizes]
    error_sum, error_count, right, seen = (np.zeros(sizes) for _ in range(4))
    parts = np.zeros(sizes[0])
    shared = matched.keypoints >= 0
    for piece, theirs, ours in matched.pieces():
        known: list[Mask] = [np.asarray(np.isfinite(points).all(axis=0)) for points in (theirs, ours)]
        for whole, mask in zip(there, known, strict=True):
            whole[piece] = mask[:, shared].any(axis=1).T
        seen += there[0][piece].T.astype(np.float64) @ there[1][piece]
        halves = [_length(theirs[:, :, first] - theirs[:, :, second]) / 2 for first, second in edges]
        parts += sum((np.isfinite(half).sum(axis=-1) for half in halves), np.zeros(sizes[0]))
        for one, other in np.ndindex(*sizes):
            error = _length(theirs[:, one] - ours[:, other])
            both = known[0][one] & known[1][other]
            number = both.sum(axis=0)
            capped = np.where(both, np.minimum(error, 2 * threshold), 0.0).sum(axis=0)
            distance[piece, one, other] = capped / np.where(number, number, np.nan)
            error_sum[one, other] += error[both].sum()
            error_count[one, other] += number.sum()
            # what is NaN is within nothing
            right[one, other] += sum(
                np.count_nonzero(np.maximum(error[first], error[second]) <= half[one])
                for (first, second), half in zip(edges, halves, strict=True)
            )
        if progress is not None:
            progress(len(distance[piece]))
    return Distances(
        matched.camera, distance, there[0], there[1], threshold, error_sum, error_count, right, parts, seen
    )


def best_columns(score: NDArray[np.floating]) -> Places:
    """(time, row) the column that every row gets so that the sum of scores is largest in every frame; -1: none.

    Scores are at least 0, and a pair with a score of 0 is none. Where the best columns of all rows differ they are the
    solution; the other frames are solved one by one.

    Args:
        score: (time, row, column).
    """
    # takes a while, and most that import this module never come here
    from scipy.optimize import linear_sum_assignment

    count, rows, columns = score.shape
    result = np.full((count, rows), -1, dtype=np.int64)
    if not score.size:
        return result
    for start in range(0, count, _ROWS):
        piece = score[start : start + _ROWS]
        best = np.where(piece.max(axis=2) > 0, piece.argmax(axis=2), -1)
        taken = (best[..., None] == np.arange(columns)).sum(axis=1)
        for frame in np.flatnonzero((taken > 1).any(axis=1)):
            best[frame] = -1
            pair = linear_sum_assignment(piece[frame], maximize=True)
            fits = piece[frame][pair] > 0
            best[frame, pair[0][fits]] = pair[1][fits]
        result[start : start + _ROWS] = best
    return result


def _time_last(positions: xr.DataArray) -> Array:
    """(space, individual, keypoint, time): the long axis is the fast one."""
    # Values that are turned while they are still in a file are read one by one.
    loaded = positions.compute().transpose("space", "individual", "keypoint", "time")
    return np.ascontiguousarray(loaded.values, dtype=np.float64)


def _length(vectors: Array) -> Array:
    """Lengths of vectors along the first axis, which has two or three places: much faster than the norm."""
    squares = vectors[0] * vectors[0]
    for component in vectors[1:]:
        squares += component * component
    return np.sqrt(squares, out=squares)


def _read(positions: xr.DataArray, rows: Places) -> xr.DataArray:
    """Rows of positions that may be in a file, where a range is much faster than single rows."""
    first, last = int(rows[0]), int(rows[-1]) + 1
    if last - first > 4 * len(rows):
        return positions.isel(time=rows)
    found = positions.isel(time=slice(first, last))
    return found if last - first == len(rows) else found.compute().isel(time=rows - first)


def _check_order(data: xr.Dataset, subject: str) -> None:
    if (np.diff(data["frame"].values.astype(np.int64)) <= 0).any():
        raise InvalidValueError(
            f"{subject}, frame",
            expected="frame numbers that increase, each once",
            got="another order, or a frame more than once",
            remedy="Sort the rows by frame and keep one row per frame.",
        )


def _places(result: xr.Dataset, truth: xr.Dataset, name: str) -> Places:
    """Where the result has the frames, cameras or keypoints of the truth; -1 where it has not."""
    have, want = (pd.Index(data[name].values) for data in (result, truth))
    places = np.asarray(have.get_indexer(want), dtype=np.int64)
    if (places < 0).all():
        raise MismatchError(
            f"{name}s of result and truth",
            expected=f"some in common, such as {want[0]}" if len(want) else f"at least one {name} in the truth",
            got=f"{', '.join(map(str, have[:5]))} in the result" if len(have) else "none in the result",
            remedy="Rename or renumber one of them; are they of the same recording?",
        )
    return places
