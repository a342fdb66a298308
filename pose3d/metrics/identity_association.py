"""Scores of association: whether the instances of several cameras that are put together are one animal.

Every frame counts by itself; names play no role. Labels are whole numbers, -1 for an instance that belongs to nobody:
one that was found where no animal is, one that was left out, or a place in the array that is empty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from calibration.errors import InvalidValueError, MismatchError
from calibration.schema import check
from pose3d.datasets import IDENTITY
from pose3d.metrics._identity_matching import best_columns

__all__ = ["AssociationScores", "instance_groups", "score_association"]

Places = NDArray[np.int64]

# Frames that are counted at once.
_ROWS = 8192


@dataclass(frozen=True)
class AssociationScores:
    """How good groups of instances are. Shares are NaN where there is nothing to share.

    Attributes:
        precision: share of the pairs of instances of two cameras in one group that are of one animal.
        recall: share of the pairs of instances of two cameras that are of one animal, that are in one group.
        f1: harmonic mean of both: 2 right pairs / (pairs found + true pairs).
        pcp: share of the instances of animals that are in the group of their animal, where groups and animals of a
            frame are matched so that this is largest; an instance in no group is not.
        pairs, pairs_found, pairs_right: number of true pairs, of pairs in groups, and of those that are true.
        instances, instances_right: number of instances of animals, and of those in the group of their animal.
        false_grouped: number of false instances that are in one group with an instance of another camera.
    """

    precision: float
    recall: float
    f1: float
    pcp: float
    pairs: int
    pairs_found: int
    pairs_right: int
    instances: int
    instances_right: int
    false_grouped: int


def score_association(groups: xr.Dataset | ArrayLike, truth: ArrayLike) -> AssociationScores:
    """Compare groups of instances with the animals that they are of.

    Method: precision and recall of pairs, as for any clustering (Manning, Raghavan, Schütze, Introduction to
    information retrieval, 2008, section 16.3), over pairs of two cameras only; the share of rightly assigned instances
    is the purity after a one-to-one matching.

    Args:
        groups: (time, camera, instance) labels that mean something within a frame only; or an Identity Dataset, whose
            frames and cameras are those of `truth`, in the same order. An array of places (time, camera, individual)
            becomes labels with `instance_groups`.
        truth: (time, camera, instance) labels of the animals; -1 for a false instance, or none.

    Raises:
        InvalidValueError: labels are no whole numbers from -1 on, or an Identity names one instance twice.
        MismatchError: the shapes differ.
    """
    animals = _labels(truth, "truth")
    if isinstance(groups, xr.Dataset):
        check(groups, IDENTITY)
        found = instance_groups(groups["instance"].values, animals.shape[2])
    else:
        found = _labels(groups, "groups")
    if found.shape != animals.shape:
        raise MismatchError(
            "groups and truth",
            expected="the same number of frames, cameras and instances",
            got=f"{found.shape} and {animals.shape}",
            remedy="Give both of the same instances, in the same order.",
        )
    counts = np.zeros(6, dtype=np.int64)
    for start in range(0, len(animals), _ROWS):
        counts += _count(found[start : start + _ROWS], animals[start : start + _ROWS])
    true, together, right, instances, hits, false = map(int, counts)
    return AssociationScores(
        precision=_share(right, together),
        recall=_share(right, true),
        f1=_share(2 * right, true + together),
        pcp=_share(hits, instances),
        pairs=true,
        pairs_found=together,
        pairs_right=right,
        instances=instances,
        instances_right=hits,
        false_grouped=false,
    )


def instance_groups(instance: ArrayLike, count: int) -> Places:
    """(time, camera, instance) the individual that every instance is of, -1 for none.

    Args:
        instance: (time, camera, individual) place of the instance that is the individual, -1 for none, as in Identity.
        count: number of places for instances.

    Raises:
        InvalidValueError: places are no whole numbers from -1 to below `count`, or one instance is two individuals.
    """
    places = _labels(instance, "instance")
    if (places >= count).any():
        raise InvalidValueError(
            "instance",
            expected=f"places from -1 to {count - 1}",
            got=str(int(places.max())),
            remedy="Give the number of instances that the cameras have places for.",
        )
    result = np.full((*places.shape[:2], count), -1, dtype=np.int64)
    frames, cameras, who = np.nonzero(places >= 0)
    where = (frames, cameras, places[frames, cameras, who])
    result[where] = who
    twice = result[where] != who
    if twice.any():
        raise InvalidValueError(
            "instance",
            expected="every instance as one individual at most",
            got=f"row {frames[twice][0]}, camera {cameras[twice][0]}: one as two",
            remedy="Solve the identities again.",
        )
    return result


def _labels(values: ArrayLike, subject: str) -> Places:
    labels = np.asarray(values)
    fits = labels.ndim == 3 and (labels.dtype.kind in "iu" or not labels.size)
    if not fits or (labels.size and labels.min() < -1):
        raise InvalidValueError(
            subject,
            expected="whole numbers from -1 on, with three axes",
            got=f"shape {labels.shape}, type {labels.dtype}" + (f", {labels.min()}" if fits else ""),
            remedy="Give one number for every frame, camera and instance; -1 for none.",
        )
    return labels.astype(np.int64)


def _count(groups: Places, animals: Places) -> Places:
    """True pairs, pairs found, right pairs, instances, those rightly assigned, false instances in groups."""
    group, animal = _ranks(groups), _ranks(animals)
    shape = (len(groups), int(group.max(initial=-1)) + 1, int(animal.max(initial=-1)) + 1)
    both = np.zeros(shape, dtype=np.int32)
    same_camera = np.zeros(3, dtype=np.int64)  # pairs, twice and with themselves, as for all cameras below
    sizes = [np.zeros(shape[:2], dtype=np.int64), np.zeros((shape[0], shape[2]), dtype=np.int64)]
    for camera in range(groups.shape[1]):
        here = _table(group[:, camera], animal[:, camera], shape)
        own = [_table(one[:, camera], None, size.shape) for one, size in zip((group, animal), sizes, strict=True)]
        same_camera += [int(np.square(table, dtype=np.int64).sum()) for table in (own[1], own[0], here)]
        both += here
        for size, table in zip(sizes, own, strict=True):
            size += table
    squares = np.array([int(np.square(table, dtype=np.int64).sum()) for table in (sizes[1], sizes[0], both)])
    columns = best_columns(both.astype(np.float64))
    frames, rows = np.nonzero(columns >= 0)
    hits = int(both[frames, rows, columns[frames, rows]].sum())
    frames, cameras, places = np.nonzero((animals < 0) & (groups >= 0))
    rank = group[frames, cameras, places]
    in_camera = (group[frames, cameras] == rank[:, None]).sum(axis=1)
    false = (sizes[0][frames, rank] > in_camera).sum()
    return np.array([*(squares - same_camera) // 2, (animals >= 0).sum(), hits, false], dtype=np.int64)


def _ranks(labels: Places) -> Places:
    """(time, camera, instance) labels of every frame as 0, 1, 2, ... within it; -1 stays."""
    flat = labels.reshape(len(labels), -1)
    if not flat.size:
        return labels
    order = np.argsort(flat, axis=1, kind="stable")
    ordered = np.take_along_axis(flat, order, axis=1)
    new = np.diff(ordered, axis=1, prepend=-1) != 0
    ranks = np.empty_like(flat)
    np.put_along_axis(ranks, order, np.cumsum(new, axis=1) - 1, axis=1)
    return np.where(flat >= 0, ranks, -1).reshape(labels.shape)


def _table(rows: Places, columns: Places | None, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """How often every label, or every pair of labels, is in a frame of one camera: (time, row[, column])."""
    known = rows >= 0 if columns is None else (rows >= 0) & (columns >= 0)
    frames, places = np.nonzero(known)
    index = [frames, rows[frames, places], *([] if columns is None else [columns[frames, places]])]
    size = int(np.prod(shape))
    counts = np.bincount(np.ravel_multi_index(tuple(index), shape), minlength=size) if size else np.zeros(0, np.int64)
    return counts.reshape(shape).astype(np.int32)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
