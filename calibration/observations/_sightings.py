"""What was seen in the pictures that were looked at, over all cameras; and which views are new."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError, MismatchError
from calibration.observations._inventory import Inventory
from calibration.observations._worker import Look, Sight
from calibration.observations.matching import Instants
from calibration.observations.sources import Source

__all__ = ["NOT_LOOKED", "Sightings", "gather", "is_same_view", "new_views"]

NOT_LOOKED = -1


@dataclass(frozen=True, eq=False)
class Sightings:
    """What was seen.

    Attributes:
        looked: (n,) instants that were looked at, increasing.
        sight: (camera, n) `Sight` of each picture, -1 where the camera has none.
        size: (camera, 2) width and height of the pictures.
        position: (camera, n, corner, 2) corners, NaN where not seen.
        inverted: (camera,) pictures with the board in inverted print.
        tried: of each camera, what was tried where no board was found.
    """

    looked: NDArray[np.intp]
    sight: NDArray[np.int8]
    size: NDArray[np.int64]
    position: NDArray[np.float64]
    inverted: NDArray[np.int64]
    tried: tuple[tuple[str, ...], ...]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(camera, n) whether the board was found."""
        return self.sight == Sight.BOARD

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Arrays for the cache; positions only where there are some."""
        return {
            "looked": self.looked,
            "sight": self.sight,
            "size": self.size,
            "position": self.position[self.seen],
            "inverted": self.inverted,
            "tried": np.array([json.dumps(each) for each in self.tried]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]], corners: int) -> Sightings | None:
        """The inverse of `to_arrays`; None where the arrays do not fit together."""
        try:
            sight = np.asarray(arrays["sight"], dtype=np.int8)
            position = np.full((*sight.shape, corners, 2), np.nan)
            position[sight == Sight.BOARD] = arrays["position"]
            return cls(
                looked=np.asarray(arrays["looked"], dtype=np.intp),
                sight=sight,
                size=np.asarray(arrays["size"], dtype=np.int64),
                position=position,
                inverted=np.asarray(arrays["inverted"], dtype=np.int64),
                tried=tuple(tuple(json.loads(str(each))) for each in arrays["tried"]),
            )
        except (KeyError, TypeError, ValueError):
            return None


def gather(looks: Sequence[Look], cameras: Mapping[str, Inventory], instants: Instants, corners: int) -> Sightings:
    """Put together what was seen in the pieces; of a picture that was looked at twice the last look counts.

    Raises:
        MismatchError: pictures of a camera differ in size.
        FileFormatError: none of the pictures of a camera can be read.
    """
    where = [_instant_of(row, len(camera)) for row, camera in zip(instants.picture, cameras.values(), strict=True)]
    at = [where[each.camera][each.pictures] for each in looks]
    looked = np.unique(np.concatenate(at))
    sight = np.full((len(cameras), len(looked)), NOT_LOOKED, dtype=np.int8)
    position = np.full((len(cameras), len(looked), corners, 2), np.nan)
    inverted = np.zeros(len(cameras), dtype=np.int64)
    tried: list[dict[str, None]] = [{} for _ in cameras]
    for each, place in zip(looks, at, strict=True):
        column = np.searchsorted(looked, place)
        sight[each.camera, column] = each.sight
        position[each.camera, column[each.sight == Sight.BOARD]] = each.position
        inverted[each.camera] += each.inverted
        tried[each.camera].update(dict.fromkeys(each.tried))
    sizes = [
        _one_size(name, camera.source, [each for each in looks if each.camera == number])
        for number, (name, camera) in enumerate(cameras.items())
    ]
    return Sightings(looked, sight, np.array(sizes), position, inverted, tuple(tuple(each) for each in tried))


def _instant_of(row: NDArray[np.int64], count: int) -> NDArray[np.intp]:
    """The instant of each picture."""
    where = np.full(count, -1, dtype=np.intp)
    has = np.flatnonzero(row >= 0)
    where[row[has]] = has
    return where


def _one_size(name: str, source: Source, looks: Sequence[Look]) -> tuple[int, int]:
    pictures = np.concatenate([each.pictures for each in looks])
    size = np.concatenate([each.size for each in looks])
    read = size[:, 0] > 0
    if not read.any():
        raise FileFormatError(
            f"camera '{name}', {source}",
            expected="pictures that can be read",
            got=f"none among {len(read)} that were tried",
            remedy="Open the file in a viewer; if it does not show there either, copy or convert it again.",
        )
    sizes, counts = np.unique(size[read], axis=0, return_counts=True)
    usual = sizes[np.argmax(counts)]
    odd = read & (size != usual).any(axis=1)
    if odd.any():
        first = int(pictures[odd].min())
        other = size[odd][np.argmin(pictures[odd])]
        raise MismatchError(
            f"camera '{name}', {source.paths[first] if source.kind == 'images' else f'picture {first}'}",
            expected=f"{usual[0]} x {usual[1]} as in most of its pictures",
            got=f"{other[0]} x {other[1]}",
            remedy="Leave it out: pictures of one camera belong to one lens only at one size.",
        )
    return int(usual[0]), int(usual[1])


def new_views(position: NDArray[np.float64], size: NDArray[np.int64], still: float) -> NDArray[np.bool_]:
    """(instant,) whether an instant shows the board in a way that the last one kept did not, in at least one camera.

    Args:
        position: (camera, instant, corner, 2) pixels, NaN where not seen.
        size: (camera, 2) width and height.
        still: share of the width by which corners move at least.
    """
    kept = np.zeros(position.shape[1], dtype=np.bool_)
    last: NDArray[np.float64] | None = None
    for instant in range(len(kept)):
        view = position[:, instant]
        if last is None or not is_same_view(last, view, size, still):
            kept[instant] = True
            last = view
    return kept


def is_same_view(
    before: NDArray[np.float64], after: NDArray[np.float64], size: NDArray[np.int64], still: float
) -> bool:
    """Whether a view (camera, corner, 2) brings nothing new after another one."""
    for first, second, width in zip(before, after, size[:, 0], strict=True):
        sees, saw = np.isfinite(second[:, 0]), np.isfinite(first[:, 0])
        # a few corners more or less come and go with noise
        if sees.sum() > 1.2 * saw.sum():
            return False
        both = sees & saw
        if not both.any():
            if sees.any():
                return False
            continue
        if np.median(np.linalg.norm(second[both] - first[both], axis=-1)) > still * width:
            return False
    return True
