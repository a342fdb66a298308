"""What a person confirmed, as steps in the history of names that leave no choice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from calibration.errors import InvalidValueError
from pose3d.identity._following import Followed
from pose3d.identity._naming import IMPOSSIBLE, Step
from pose3d.identity.anchors import Anchor

__all__ = ["Fixed", "anchored_steps", "anchors_by_chain", "check_agreement", "place_names"]

Fixed = list[tuple[int, int, int]]
"""(frame, chain, number of the name) of every anchor."""

# Pixels by which a point may lie beside the box of an animal, in which keypoints may be missing.
_BESIDE = 20.0
# Next to nothing; of two histories that are alike, the one without an exchange.
_ANYBODY = 1e-3
# As good as never: no history with a finite cost is dearer.
_NEVER = 1e6


def anchored_steps(fixed: Fixed, count: int, renamed: Sequence[int] = ()) -> list[Step]:
    """Steps that give a chain its name at a frame.

    Who has a new name before the first frame in which a person saw it, nobody has said: at the beginning it may be
    anybody, so that what happened before is as sure, or unsure, as it was.

    Where nothing else explains it, the chain is exchanged with another at that very frame: a person is right.
    """
    pairs = {(min(one, other), max(one, other)) for one in renamed for other in range(count) if other != one}
    steps = [Step(0, one, other, np.array([0.0, _ANYBODY])) for one, other in sorted(pairs)]
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


def place_names(
    found: Sequence[tuple[int, int, str, int]], names: Sequence[str]
) -> tuple[Fixed, tuple[str, ...], list[int]]:
    """What anchors say, by the numbers of names, and what everybody is called then.

    A name that nobody has yet renames: it takes the place of the name that its animal has where a person saw it first.

    Args:
        found: (row, chain, name, number of the name that the chain has there now) of every anchor.
        names: of everybody, by number.

    Returns:
        (row, chain, number) of every anchor, the names by number, and the numbers that were renamed.

    Raises:
        InvalidValueError: there are more names than animals, or two anchors contradict each other.
    """
    ordered = sorted(found)
    check_agreement([(row, chain, name) for row, chain, name, _ in ordered])
    called, renamed = list(names), []
    used = {names.index(name) for _, _, name, _ in ordered if name in names}
    for name in dict.fromkeys(name for _, _, name, _ in ordered if name not in names):
        sightings = [now for _, _, each, now in ordered if each == name]
        free = [number for number in (*sightings, *range(len(names))) if number not in used]
        if not free:
            raise InvalidValueError(
                "anchors",
                expected=f"at most {len(names)} individuals, as many as there are",
                got=f"one more: {name}",
                remedy="Correct the names, or the number of individuals.",
            )
        used.add(free[0])
        renamed.append(free[0])
        called[free[0]] = name
    return [(row, chain, called.index(name)) for row, chain, name, _ in ordered], tuple(called), renamed


def anchors_by_chain(
    anchors: Sequence[Anchor], instances: xr.Dataset, followed: Followed, paths: list[list[int]]
) -> list[tuple[int, int, str]]:
    """(row, chain, name) of every anchor.

    Args:
        anchors: points in images; what they are called now is not known yet.
        instances: where they are looked for.
        followed, paths: the tracks.

    Raises:
        InvalidValueError: a frame or camera is not in the recording, or no animal that is followed is there.
    """
    if not anchors:
        return []
    chain_of = followed.row_chains(paths)
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
        nearest = _nearest(instances, row, place, anchor)
        rows = followed.rows
        here = (rows.time == row) & ((rows.instance[:, place] == nearest) | (rows.further[:, place] == nearest))
        chain = chain_of[here]
        if nearest < 0 or not (chain >= 0).any():
            raise _unknown(anchor, "an animal that is followed", "none at that point")
        found.append((row, int(chain.max()), anchor.individual))
    return found


def _nearest(instances: xr.Dataset, row: int, camera: int, anchor: Anchor) -> int:
    """The instance with the keypoint that is nearest to the point of an anchor; -1 where there is none.

    Raises:
        InvalidValueError: the point is further from it than the animal is large.
    """
    position = instances["position"].isel(time=row, camera=camera).transpose("instance", "keypoint", "space").values
    off = np.linalg.norm(position - np.array([anchor.x, anchor.y]), axis=-1)
    if not np.isfinite(off).any():
        return -1
    nearest = int(np.unravel_index(np.nanargmin(off), off.shape)[0])
    seen = position[nearest][np.isfinite(position[nearest]).all(-1)]
    extent = float(np.linalg.norm(np.ptp(seen, axis=0)))
    distance = float(np.nanmin(off))
    if distance > 0.5 * extent + _BESIDE:
        raise _unknown(
            anchor, "a point on an animal", f"({anchor.x:g}, {anchor.y:g}), {distance:.0f} px from the nearest"
        )
    return nearest


def _unknown(anchor: Anchor, expected: str, got: str) -> InvalidValueError:
    return InvalidValueError(
        f"anchor of '{anchor.individual}' in frame {anchor.frame}",
        expected=expected,
        got=got,
        remedy="Correct the anchor, or remove it.",
    )
