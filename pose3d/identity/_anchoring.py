"""What a person confirmed, as steps in the history of names that leave no choice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from calibration.errors import InvalidValueError
from pose3d.identity._following import Followed
from pose3d.identity._naming import IMPOSSIBLE, Step
from pose3d.identity.anchors import Anchor

__all__ = ["Fixed", "anchored_steps", "anchors_by_chain", "check_agreement", "match_names"]

Fixed = list[tuple[int, int, int]]
"""(frame, chain, number of the name) of every anchor."""

# As good as never: no history with a finite cost is dearer.
_NEVER = 1e6


def anchored_steps(fixed: Fixed, count: int) -> list[Step]:
    """Steps that give a chain its name at a frame.

    Where nothing else explains it, the chain is exchanged with another at that very frame: a person is right.
    """
    steps = []
    for row, chain, name in sorted(fixed):
        steps += [
            Step(row, min(chain, other), max(chain, other), np.array([0.0, IMPOSSIBLE]))
            for other in range(count)
            if other != chain
        ]
        price = np.full(count, _NEVER)
        price[name] = 0.0
        steps.append(Step(row, chain, -1, price))
    return steps


def check_agreement(found: Sequence[tuple[int, int, str]]) -> None:
    """Raise where two anchors of a frame contradict each other.

    Args:
        found: (row, chain, name) of every anchor.

    Raises:
        InvalidValueError: an animal has two names, or a name two animals.
    """
    said: dict[tuple[int, int], str] = {}
    who: dict[tuple[int, str], int] = {}
    for row, chain, name in found:
        if said.setdefault((row, chain), name) != name or who.setdefault((row, name), chain) != chain:
            raise InvalidValueError(
                f"anchors, row {row}",
                expected="one name for an animal, and one animal for a name",
                got=f"'{name}' contradicts another anchor of that frame",
                remedy="Remove one of them.",
            )


def match_names(found: Sequence[tuple[int, int, str]], count: int) -> tuple[Fixed, dict[int, str]]:
    """Which number each name gets: that of the chain on which a person saw it first, as names begin with the chains.

    Args:
        found: (frame, chain, name) of every anchor.
        count: number of chains.

    Raises:
        InvalidValueError: there are more names than animals, or two anchors contradict each other.
    """
    names = sorted({name for _, _, name in found})
    if len(names) > count:
        raise InvalidValueError(
            "anchors",
            expected=f"at most {count} individuals, as many as were found",
            got=f"{len(names)}: {', '.join(names)}",
            remedy="Correct the names, or the number of individuals.",
        )
    check_agreement(found)
    votes = np.zeros((len(names), count))
    ordered = sorted(found)
    for place, (_, chain, name) in enumerate(ordered):
        own = names.index(name)
        votes[own, chain] += len(found) * (len(found) - place) if not votes[own].any() else 1
    rows, columns = linear_sum_assignment(-votes)
    number = {names[row]: int(column) for row, column in zip(rows, columns, strict=True)}
    return [(row, chain, number[name]) for row, chain, name in found], {place: name for name, place in number.items()}


def anchors_by_chain(
    anchors: Sequence[Anchor], instances: xr.Dataset, followed: Followed, paths: list[list[int]]
) -> tuple[Fixed, dict[int, str]]:
    """Which chain each anchor is on.

    Args:
        anchors: points in images; what they are called now is not known yet.
        instances: where they are looked for.
        followed, paths: the tracks.

    Raises:
        InvalidValueError: a frame or camera is not in the recording, or no animal that is followed is there.
    """
    if not anchors:
        return [], {}
    chain_of = np.full(int(followed.pieces.number.max(initial=-1)) + 2, -1, np.int64)
    for number, path in enumerate(paths):
        chain_of[followed.pieces.number[path]] = number
    frames = instances["frame"].values
    cameras = [str(name) for name in instances["camera"].values]
    found = []
    for anchor in anchors:
        row = int(np.searchsorted(frames, anchor.frame))
        if row >= len(frames) or frames[row] != anchor.frame:
            raise _unknown(anchor, "a frame of the recording", f"frame {anchor.frame}")
        if anchor.camera is None or anchor.x is None or anchor.y is None:
            raise _unknown(anchor, "a camera and a point on the animal (camera, x, y)", f"called '{anchor.called}'")
        if anchor.camera not in cameras:
            raise _unknown(anchor, f"one of the cameras {', '.join(cameras)}", f"camera '{anchor.camera}'")
        place = cameras.index(anchor.camera)
        nearest = _nearest(instances, row, place, np.array([anchor.x, anchor.y]))
        rows = followed.rows
        here = (rows.time == row) & ((rows.instance[:, place] == nearest) | (rows.further[:, place] == nearest))
        chain = chain_of[followed.rows.track[here]]
        if nearest < 0 or not (chain >= 0).any():
            raise _unknown(anchor, "an animal that is followed", "none at that point")
        found.append((row, int(chain.max()), anchor.individual))
    return match_names(found, len(paths))


def _nearest(instances: xr.Dataset, row: int, camera: int, point: NDArray[np.float64]) -> int:
    """The instance with the keypoint that is nearest to a point; -1 where there is none."""
    position = instances["position"].isel(time=row, camera=camera).transpose("instance", "keypoint", "space").values
    off = np.linalg.norm(position - point, axis=-1)
    return int(np.unravel_index(np.nanargmin(off), off.shape)[0]) if np.isfinite(off).any() else -1


def _unknown(anchor: Anchor, expected: str, got: str) -> InvalidValueError:
    return InvalidValueError(
        f"anchor of '{anchor.individual}' in frame {anchor.frame}",
        expected=expected,
        got=got,
        remedy="Correct the anchor, or remove it.",
    )
