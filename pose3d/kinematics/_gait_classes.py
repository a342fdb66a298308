"""Names of gaits: what legs do in each of them, and which one a stride is nearest to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.skeleton import Skeleton

__all__ = ["CLASSES", "SOURCES", "UNCLEAR", "Pattern", "classified", "order_of_legs"]

Array = NDArray[np.float64]

UNCLEAR = "unclear"

# When legs meet the ground, as shares of the stride of the left rear one. Order of legs: left and right in turn, from
# the front to the rear. Of four legs: lateral sequences go left rear, left front, right rear, right front; diagonal
# ones left rear, right front, right rear, left front; in a gallop both rear legs are near each other but not at once,
# and so are both front ones, half a stride after.
_FOUR: Mapping[str, tuple[tuple[float, ...], ...]] = {
    "lateral_sequence_walk": ((0.25, 0.75, 0.0, 0.5),),
    "diagonal_sequence_walk": ((0.75, 0.25, 0.0, 0.5),),
    "trot": ((0.5, 0.0, 0.0, 0.5),),
    "pace": ((0.0, 0.5, 0.0, 0.5),),
    "bound": ((0.5, 0.5, 0.0, 0.0),),
    "pronk": ((0.0, 0.0, 0.0, 0.0),),
    # transverse and rotary, with either lead
    "gallop": (
        (0.4, 0.55, 0.0, 0.15),
        (0.55, 0.4, 0.0, 0.15),
        (0.25, 0.4, 0.0, 0.85),
        (0.4, 0.25, 0.0, 0.85),
    ),
}
# Of six legs: two tripods that take turns; pairs of legs in a third of a stride; waves from the rear to the front on
# either side, with both sides half a stride apart.
_SIX: Mapping[str, tuple[tuple[float, ...], ...]] = {
    "tripod": ((0.0, 0.5, 0.5, 0.0, 0.0, 0.5),),
    "tetrapod": (
        (2 / 3, 1 / 3, 1 / 3, 0.0, 0.0, 2 / 3),
        (2 / 3, 0.0, 1 / 3, 2 / 3, 0.0, 1 / 3),
    ),
    "wave": ((1 / 3, 5 / 6, 1 / 6, 2 / 3, 0.0, 0.5),),
}
_SHAPES = {4: _FOUR, 6: _SIX}
_TWO = ("walk", "run")
CLASSES: Mapping[int, tuple[str, ...]] = {2: _TWO, 4: tuple(_FOUR), 6: tuple(_SIX)}
SOURCES: Mapping[int, str] = {
    2: "duty factor above or below one half",
    4: "Hildebrand 1965, 1989",
    6: "Wilson 1966; Mendes et al. 2013",
}

# Root mean square distance of contacts from those of a class, in strides, at which the class is half as sure, and from
# which on it is none; gaits of four legs are an eighth of a stride apart (Hildebrand).
_NEAR = 0.06
_FAR = 0.125
# A walk is one only where a leg stands for more than half of the stride; gaits that leap are below.
_HALF = 0.5
_WALKS = ("lateral_sequence_walk", "diagonal_sequence_walk")
_LEAPS = ("gallop", "bound", "pronk")
_DUTY_SPREAD = 0.03
_CLEAR = 0.5

_PLACES = (("fore", "front", "1"), ("mid", "middle", "2"), ("hind", "rear", "back", "3"))


@dataclass(frozen=True, eq=False)
class Pattern:
    """Steps in strides of the reference leg.

    Attributes:
        touchdown: (stride, leg) when a leg meets the ground, from 0 to 1; NaN where it does not.
        duty: (stride, leg) share of its stride that it stands.
    """

    touchdown: Array
    duty: Array


def classified(pattern: Pattern) -> tuple[NDArray[np.str_], Array]:
    """(stride,) names of the gaits, and how sure they are, from 0 to 1."""
    strides, legs = pattern.touchdown.shape
    if legs == 2:
        return _walk_or_run(pattern)
    if legs not in _SHAPES or not strides:
        return np.full(strides, UNCLEAR, dtype="U32"), np.zeros(strides)
    names = list(_SHAPES[legs])
    distance = np.stack([_distance(pattern.touchdown, _SHAPES[legs][name]) for name in names], axis=1)
    likelihood = np.exp(-0.5 * (distance / _NEAR) ** 2)
    if legs == 4:
        standing = _above_half(_mean(pattern.duty))
        for index, name in enumerate(names):
            likelihood[:, index] *= standing if name in _WALKS else 1 - standing if name in _LEAPS else 1.0
    total = likelihood.sum(axis=1)
    best = np.nan_to_num(likelihood).argmax(axis=1)
    rows = np.arange(strides)
    share = np.divide(likelihood[rows, best], total, out=np.zeros(strides), where=total > 0)
    fits = np.clip(2 - distance[rows, best] / _NEAR, 0, 1) * (distance[rows, best] < _FAR)
    sure = np.nan_to_num(share * fits)
    words = np.where(sure >= _CLEAR, np.array(names, dtype="U32")[best], UNCLEAR)
    return words, sure


def order_of_legs(names: Sequence[str], skeleton: Skeleton | None) -> list[str]:
    """Left and right in turn from the front to the rear, by what the names say, else by the skeleton.

    Raises:
        InvalidValueError: neither says it.
    """
    places = [(_depth(name), _side(name)) for name in names]
    told = all(side is not None for _, side in places)
    if told and (len(names) == 2 or all(depth is not None for depth, _ in places)) and len(set(places)) == len(names):
        return [
            name for _, name in sorted(zip(places, names, strict=True), key=lambda pair: (pair[0][0] or 0, pair[0][1]))
        ]
    if skeleton is not None:
        feet = {leg.foot: leg.name for leg in skeleton.anatomy.legs if leg.name in names}
        pairs = [(feet[left], feet[right]) for left, right in skeleton.mirrored_pairs if {left, right} <= set(feet)]
        if 2 * len(pairs) == len(names):
            return [name for pair in pairs for name in pair]
    if len(names) not in CLASSES:
        return list(names)
    raise InvalidValueError(
        "gait_classes, legs",
        expected="names that say left or right, and front or rear, or a skeleton with mirrored pairs",
        got=", ".join(names),
        remedy="Give the order of the legs: left and right in turn, from the front to the rear.",
    )


def _walk_or_run(pattern: Pattern) -> tuple[NDArray[np.str_], Array]:
    standing = _above_half(_mean(pattern.duty))
    sure = np.nan_to_num(np.maximum(standing, 1 - standing))
    words = np.where(standing >= 0.5, _TWO[0], _TWO[1]).astype("U32")
    # both legs step, in turn
    apart = np.abs(_wrapped(pattern.touchdown[:, 1] - 0.5)) < 0.25
    clear = apart & (sure >= 0.5 + 0.5 * _CLEAR)
    return np.where(clear, words, UNCLEAR), np.where(apart, 2 * sure - 1, 0.0).clip(0, 1)


def _mean(duty: Array) -> Array:
    known = np.isfinite(duty)
    count = known.sum(axis=1)
    total = np.where(known, duty, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(len(duty), np.nan), where=count > 0)


def _above_half(duty: Array) -> Array:
    """How sure a duty factor is above one half; 0.5 where it is one half."""
    return np.asarray(1 / (1 + np.exp(np.clip(-(duty - _HALF) / _DUTY_SPREAD * 2, -50, 50))))


def _distance(touchdown: Array, shapes: Sequence[Sequence[float]]) -> Array:
    """(stride,) root mean square distance from the nearest of the shapes; the time common to all legs is free.

    Infinite where a leg does not meet the ground.
    """
    every = []
    for shape in shapes:
        apart = _wrapped(touchdown - np.asarray(shape))
        common = np.angle(np.exp(2j * np.pi * np.nan_to_num(apart)).mean(axis=1)) / (2 * np.pi)
        every.append(np.sqrt(np.mean(_wrapped(apart - common[:, None]) ** 2, axis=1)))
    nearest = np.min(every, axis=0)
    return np.where(np.isfinite(nearest), nearest, np.inf)


def _wrapped(share: Array) -> Array:
    return np.asarray(np.mod(share + 0.5, 1.0) - 0.5)


def _depth(name: str) -> int | None:
    words = re.findall(r"[a-z]+|\d+", name.lower())
    found = [row for row, known in enumerate(_PLACES) if set(known) & set(words)]
    return found[0] if len(found) == 1 else None


def _side(name: str) -> int | None:
    words = re.findall(r"[a-z]+", name.lower())
    left, right = bool({"left", "l"} & set(words)), bool({"right", "r"} & set(words))
    return None if left == right else int(right)
