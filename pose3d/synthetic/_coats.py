"""The colors of the animals, so different that their identities can be told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Coat", "coat_of"]

Color = tuple[float, float, float]

_PINK: Color = (0.80, 0.56, 0.52)
_BLACK: Color = (0.02, 0.02, 0.02)
_DARK_SKIN: Color = (0.42, 0.32, 0.30)


@dataclass(frozen=True)
class Coat:
    """Shares of red, green and blue light that come back.

    Attributes:
        back, belly: of the fur.
        patch: of patches on the back; where it is the color of the back there are none.
        skin: of nose, paws and inner ears.
        tail: of the tail.
        eye: of the eyes.
    """

    back: Color
    belly: Color
    patch: Color
    skin: Color = _PINK
    tail: Color = (0.62, 0.47, 0.44)
    eye: Color = _BLACK


_COATS = (
    Coat((0.34, 0.25, 0.17), (0.62, 0.54, 0.44), (0.34, 0.25, 0.17)),  # agouti
    Coat((0.84, 0.81, 0.76), (0.88, 0.85, 0.80), (0.84, 0.81, 0.76), eye=(0.42, 0.05, 0.08)),  # albino
    Coat((0.09, 0.085, 0.085), (0.15, 0.14, 0.13), (0.09, 0.085, 0.085), skin=_DARK_SKIN, tail=(0.20, 0.17, 0.17)),
    Coat((0.80, 0.76, 0.70), (0.86, 0.83, 0.78), (0.15, 0.11, 0.09)),  # piebald
    Coat((0.62, 0.36, 0.15), (0.82, 0.70, 0.54), (0.62, 0.36, 0.15)),  # cinnamon
    Coat((0.36, 0.41, 0.48), (0.58, 0.61, 0.66), (0.36, 0.41, 0.48), skin=(0.55, 0.45, 0.47)),  # blue
)


def coat_of(index: int, seed: int) -> Coat:
    """The coat of the animal of this index; the first six animals of a recording differ most.

    Later ones wear the same coats with other patches.
    """
    coat = _COATS[(index + seed) % len(_COATS)]
    if index < len(_COATS):
        return coat
    rng = np.random.default_rng([seed, 11, index])
    red, green, blue = (float(value) for value in rng.uniform(0.1, 0.9, 3))
    return Coat(coat.back, coat.belly, (red, green, blue), coat.skin, coat.tail, coat.eye)
