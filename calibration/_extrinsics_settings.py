"""How to find the first poses of the cameras; public as `calibration.extrinsics.ExtrinsicsSettings`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.errors import InvalidValueError

__all__ = ["ExtrinsicsSettings"]


@dataclass(frozen=True)
class ExtrinsicsSettings:
    """How to find the first poses of the cameras.

    Attributes:
        fewest_corners: of a view that takes part.
        fewest_votes: frames that must agree on the relative pose of two cameras before it is believed. Chance does
            not do it: of 3,300 pairs of frames whose cameras were ten frames apart, none agreed.
        smallest_share: of the frames that two cameras have in common, this share must agree: less is no agreement but
            chance, or two clocks.
        weak_votes: a camera that hangs on fewer agreeing frames than this is warned about.
        ambiguity: a pair whose second, clearly different pose gets this share of the votes of the best one (weighted
            by how well they agree) is called ambiguous. Measured on 360 narrow rigs (2 to 4 cameras 8 to 25 degrees
            apart, boards tilted by 1 to 30 degrees and as small as 90 px, lenses off by 1 %): all 19 that were wrong
            by more than 2 degrees lie above it, and of the right ones those of boards of 90 px and some of 225 px.
        contradiction: a pair whose pose is off from what all others say by more than this angle, in radians (and by
            more than four times its uncertainty), is rejected.
        seed: of the subsets of corners that are tried.
    """

    fewest_corners: int = 6
    fewest_votes: int = 2
    smallest_share: float = 0.2
    weak_votes: int = 5
    ambiguity: float = 0.85
    contradiction: float = float(np.deg2rad(3.0))
    seed: int = 0

    def __post_init__(self) -> None:
        for name, lowest in (("fewest_corners", 4), ("fewest_votes", 1), ("weak_votes", 0), ("seed", 0)):
            value = getattr(self, name)
            fine = isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= lowest
            _require(name, fine, f"a whole number from {lowest}", value)
        for name in ("smallest_share", "ambiguity"):
            value = getattr(self, name)
            _require(name, _is_number(value) and 0 <= value <= 1, "a share from 0 to 1", value)
        angle = self.contradiction
        _require("contradiction", _is_number(angle) and 0 < angle < np.pi, "radians between 0 and pi", angle)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _require(name: str, fine: bool, expected: str, got: object) -> None:
    if not fine:
        raise InvalidValueError(f"extrinsics, {name}", expected=expected, got=repr(got), remedy="Change the setting.")
