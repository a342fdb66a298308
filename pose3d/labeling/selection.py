"""Which frames to label: spread evenly over time, or as different from each other as they can be.

Frames are chosen as instants: the same moments in all cameras of a session.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.nearest import nearest_index

__all__ = ["ExtractionSettings", "Instants", "common_instants", "select_kmeans", "select_uniform", "small_gray"]


# Pictures are projected on so many random directions before they are divided into clusters. Distances stay the same
# to some 6 % (1 / sqrt(2 * 128)), and 20 clusters of 1000 pictures of 4096 pixels take 0.04 s of one core, not 0.9.
_DIMENSIONS = 128


@dataclass(frozen=True)
class ExtractionSettings:
    """How frames to label are chosen.

    Attributes:
        count: frames per video; the videos of a session give the same instants.
        quotas: session -> frames per video, where it differs from `count`.
        method: "kmeans" for frames that look different, "uniform" for frames spread evenly over time.
        start: share of the recording that is passed over at the beginning.
        stop: share of the recording after which nothing is taken.
        candidates: so many instants, spread evenly, are looked at by "kmeans".
        pixels: all cameras together are reduced to so many gray pixels per instant, so that memory is bounded:
            candidates x pixels x 4 bytes.
        seed: of the clusters.

    Raises:
        InvalidValueError: a value is out of its range.
    """

    count: int = 20
    quotas: dict[str, int] = field(default_factory=dict)
    method: Literal["kmeans", "uniform"] = "kmeans"
    start: float = 0.0
    stop: float = 1.0
    candidates: int = 1000
    pixels: int = 4096
    seed: int = 0

    def __post_init__(self) -> None:
        _require("count", self.count >= 1, "at least one frame", self.count)
        for session, count in self.quotas.items():
            _require(f"quotas, '{session}'", count >= 0, "a number of frames", count)
        _require("method", self.method in ("kmeans", "uniform"), "kmeans or uniform", self.method)
        fine = 0 <= self.start < self.stop <= 1
        _require("start and stop", fine, "shares of the recording, 0 <= start < stop <= 1", (self.start, self.stop))
        _require("candidates", self.candidates >= 2, "at least two", self.candidates)
        _require("pixels", self.pixels >= 16, "at least 16", self.pixels)

    def quota(self, session: str) -> int:
        """Frames per video of a session."""
        return self.quotas.get(session, self.count)


def _require(subject: str, fine: bool, expected: str, got: object) -> None:
    if not fine:
        raise InvalidValueError(
            f"extraction of frames, {subject}", expected=expected, got=str(got), remedy="Correct the setting."
        )


@dataclass(frozen=True, eq=False)
class Instants:
    """Moments that all cameras of a session saw.

    Attributes:
        times: (n,) seconds since the first frame of each video, increasing.
        frames: (n, camera) number of the frame of each camera.
        passed_over: moments of the slowest camera that others did not see, because frames were lost there.
    """

    times: NDArray[np.float64]
    frames: NDArray[np.int64]
    passed_over: int

    def __len__(self) -> int:
        return len(self.times)


def common_instants(times: Sequence[NDArray[np.float64]]) -> Instants:
    """The frames of the slowest camera, with the frames that the others took nearest to the same time.

    A moment counts where every camera has a frame within half of its frame interval; after the end of the shortest
    video, and in the gaps of lost frames, there is none.

    Args:
        times: (frames,) presentation times of each camera in seconds, increasing, the first 0.
    """
    intervals = [float(np.median(np.diff(one))) if len(one) > 1 else 0.0 for one in times]
    slowest = times[int(np.argmax(intervals))]
    frames = np.empty((len(slowest), len(times)), dtype=np.int64)
    seen = np.ones(len(slowest), dtype=bool)
    for camera, one in enumerate(times):
        nearest = nearest_index(slowest, one)
        frames[:, camera] = nearest
        # Time stamps are rounded to the time base of the file, 1 ms in the coarsest that is usual.
        seen &= np.abs(one[nearest] - slowest) <= intervals[camera] / 2 + 1e-3
    for camera in range(len(times)):
        # Where intervals vary, a frame can be the nearest to two moments: the first one keeps it.
        rows = np.flatnonzero(seen)
        seen[rows[1:][np.diff(frames[rows, camera]) == 0]] = False
    return Instants(slowest[seen], frames[seen], int((~seen).sum()))


def select_uniform(times: NDArray[np.float64], count: int, taken: Sequence[int] = ()) -> list[int]:
    """Indices of moments so that together with those that are taken there are `count`, evenly spread.

    Args:
        times: (n,) seconds, increasing.
        count: how many in all.
        taken: indices that were chosen before.
    """
    wanted = min(count, len(times)) - len(taken)
    if wanted <= 0:
        return []
    if not taken:
        span = times[-1] - times[0]
        targets = times[0] + span * (np.arange(wanted) + 0.5) / wanted
        return _nearest_each_once(times, targets)
    chosen: list[int] = []
    distance = np.min([np.abs(times - times[index]) for index in taken], axis=0)
    for _ in range(wanted):
        best = int(np.argmax(distance))
        chosen.append(best)
        distance = np.minimum(distance, np.abs(times - times[best]))
        distance[best] = -1.0
    return sorted(chosen)


def _nearest_each_once(times: NDArray[np.float64], targets: NDArray[np.float64]) -> list[int]:
    free = np.ones(len(times), dtype=bool)
    chosen = []
    for target in targets:
        distance = np.where(free, np.abs(times - target), np.inf)
        chosen.append(int(np.argmin(distance)))
        free[chosen[-1]] = False
    return sorted(chosen)


def select_kmeans(features: NDArray[np.uint8], count: int, taken: Sequence[int] = (), *, seed: int = 0) -> list[int]:
    """Indices of moments that look different, so that together with those that are taken there are `count`.

    The moments are divided into `count` clusters; of each cluster without a taken moment the one nearest to its center
    is chosen, large clusters first. Moments that look exactly like one that is chosen are never chosen, so there can be
    fewer.

    Args:
        features: (n, pixels) small gray pictures.
        count: how many in all.
        taken: indices that were chosen before.
        seed: of the clusters; the same seed gives the same choice.
    """
    first, which = _different(features)
    known = sorted({int(which[index]) for index in taken})
    count = min(count - len(taken) + len(known), len(first))
    wanted = count - len(known)
    if wanted <= 0:
        return []
    values = features[first].astype(np.float32)
    cluster, distance = _clusters(values, count, seed)
    covered = {int(cluster[row]) for row in known}
    names, sizes = np.unique(cluster, return_counts=True)
    open_clusters = [int(name) for name in names[np.argsort(-sizes, kind="stable")] if int(name) not in covered]
    chosen: list[int] = []
    for name in open_clusters[:wanted]:
        members = np.flatnonzero(cluster == name)
        chosen.append(int(members[np.argmin(distance[members])]))
    chosen += _farthest(values, [*known, *chosen], wanted - len(chosen))
    return sorted(int(first[row]) for row in chosen)


def _different(features: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Of all pictures that are exactly alike the first: their indices, and for every picture its place among them."""
    rows = np.ascontiguousarray(features).view(np.dtype((np.void, max(features.shape[1], 1))))
    _, first, which = np.unique(rows.ravel(), return_index=True, return_inverse=True)
    order = np.argsort(first)
    return first[order], np.argsort(order)[which]


def _clusters(values: NDArray[np.float32], count: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The cluster of each row, and its distance from the center, in fewer dimensions."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    if values.shape[1] > _DIMENSIONS:
        directions = np.random.default_rng(seed).normal(size=(values.shape[1], _DIMENSIONS)).astype(np.float32)
        values = values @ directions
    model = MiniBatchKMeans(n_clusters=count, random_state=seed, n_init=3, batch_size=256)
    # Many threads for so little work only wait for each other: beside other programs on 2 cores, 11 s instead of 0.2.
    with warnings.catch_warnings(), threadpool_limits(1):
        # Clusters that are empty are filled up by `_farthest`.
        warnings.simplefilter("ignore", ConvergenceWarning)
        cluster = model.fit_predict(values)
    centers = model.cluster_centers_[cluster]
    return cluster.astype(np.intp), np.asarray(np.linalg.norm(values - centers, axis=1), dtype=np.float32)


def _farthest(values: NDArray[np.float32], chosen: list[int], count: int) -> list[int]:
    """`count` further rows, each as different as can be from all that are chosen."""
    if count <= 0:
        return []
    squares = np.einsum("ij,ij->i", values, values)
    distance = (squares[:, None] + squares[chosen] - 2 * values @ values[chosen].T).min(axis=1)
    distance[chosen] = -np.inf
    found: list[int] = []
    for _ in range(count):
        best = int(np.argmax(distance))
        found.append(best)
        distance = np.minimum(distance, squares + squares[best] - 2 * values @ values[best])
        distance[best] = -np.inf
    return found


def small_gray(image: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    """A gray picture of (height, width), made smaller by averaging square blocks until it has at most `pixels`."""
    height, width = image.shape
    block = max(1, int(np.ceil(np.sqrt(height * width / pixels))))
    rows, columns = height // block, width // block
    if not rows or not columns:  # a picture thinner than a block
        return np.array([[round(float(image.mean()))]], dtype=np.uint8)
    blocks = image[: rows * block, : columns * block].reshape(rows, block, columns, block)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32).round(), dtype=np.uint8)
