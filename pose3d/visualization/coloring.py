"""Which keypoint and edge has which color: by side of the body, or by individual."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from calibration.errors import InvalidValueError
from calibration.plots import PALETTE, categorical_colors
from pose3d.skeleton import Skeleton

__all__ = [
    "COLOR_BY",
    "LEFT",
    "MIDDLE",
    "RIGHT",
    "ColorBy",
    "Coloring",
    "choose_coloring",
    "individual_colors",
    "keypoint_colors",
]

ColorBy = Literal["auto", "side", "individual"]
COLOR_BY: tuple[str, ...] = ("auto", "side", "individual")

# As in "left_paw", "PawLeft", "LKnee", "l_ear", "ear_L".
_SIDES = {
    side: rf"(?i:{side})|^{side[0].upper()}(?=[A-Z])|(?i:^{side[0]}[_.\-]|[_.\- ]{side[0]}$)"
    for side in ("left", "right")
}

LEFT, RIGHT, MIDDLE = PALETTE[1], PALETTE[0], "#66717f"


@dataclass(frozen=True)
class Coloring:
    """Colors ("#rrggbb") of keypoints and edges, for every individual.

    Attributes:
        edges: pairs of positions in the list of keypoints.
        keypoint: by individual, one color per keypoint.
        edge: by individual, one color per edge.
        legend: what the colors mean, with their names; empty where all is one color.
    """

    edges: tuple[tuple[int, int], ...]
    keypoint: tuple[tuple[str, ...], ...]
    edge: tuple[tuple[str, ...], ...]
    legend: tuple[tuple[str, str], ...]


def choose_coloring(
    skeleton: Skeleton | None, keypoints: Sequence[str], individuals: Sequence[str], by: ColorBy = "auto"
) -> Coloring:
    """Colors for these keypoints and individuals; edges of the skeleton whose keypoints are missing are left out.

    The first names of the mirrored pairs are one side, the second ones the other, what is in no pair is in the middle.
    A skeleton without pairs is all one color.
    "auto" is by individual where there are several, else by side.

    Raises:
        InvalidValueError: `by` is unknown.
    """
    if by not in COLOR_BY:
        raise InvalidValueError("color_by", expected=", ".join(COLOR_BY), got=repr(by), remedy="Choose one of these.")
    names = list(keypoints)
    pairs = () if skeleton is None else skeleton.mirrored_pairs
    edges = () if skeleton is None else skeleton.select([name for name in names if name in skeleton.keypoints]).edges
    indices = tuple((names.index(first), names.index(second)) for first, second in edges)
    if by == "individual" or (by == "auto" and len(individuals) > 1):
        colors = individual_colors(individuals)
        return Coloring(
            indices,
            tuple((colors[name],) * len(names) for name in individuals),
            tuple((colors[name],) * len(indices) for name in individuals),
            tuple(colors.items()) if len(individuals) > 1 else (),
        )
    if not pairs:
        return Coloring(
            indices,
            ((PALETTE[0],) * len(names),) * len(individuals),
            ((PALETTE[0],) * len(indices),) * len(individuals),
            (),
        )
    side = {pair[0]: LEFT for pair in pairs} | {pair[1]: RIGHT for pair in pairs}
    points = tuple(side.get(name, MIDDLE) for name in names)
    lines = tuple(_of_edge(points[first], points[second]) for first, second in indices)
    legend = ((_side_name(pairs, 0), LEFT), (_side_name(pairs, 1), RIGHT)) if set(points) - {MIDDLE} else ()
    return Coloring(indices, (points,) * len(individuals), (lines,) * len(individuals), legend)


def individual_colors(individuals: Sequence[str]) -> dict[str, str]:
    """The color ("#rrggbb") of each individual, in all pictures and videos of a recording: by its place in the list.

    They are those of the palette, or steps through the rainbow where they run out.
    """
    return _distinct(individuals)


def keypoint_colors(keypoints: Sequence[str]) -> dict[str, str]:
    """A color ("#rrggbb") for each keypoint: those of the palette, or steps through the rainbow where they run out."""
    return _distinct(keypoints)


def _distinct(names: Sequence[str]) -> dict[str, str]:
    if len(names) <= len(PALETTE):
        return categorical_colors(names)
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    steps = np.linspace(0.06, 0.94, len(names))
    return {name: to_hex(colormaps["turbo"](step)) for name, step in zip(names, steps, strict=True)}


def _of_edge(first: str, second: str) -> str:
    """An edge that joins a side with the middle belongs to the side; one that joins both sides to none."""
    sides = {first, second} - {MIDDLE}
    return sides.pop() if len(sides) == 1 else MIDDLE


def _side_name(pairs: Sequence[tuple[str, str]], position: int) -> str:
    """The side that all these names say, else the first of them."""
    names = [pair[position] for pair in pairs]
    for side, pattern in _SIDES.items():
        if all(re.search(pattern, name) for name in names):
            return side
    return names[0]
