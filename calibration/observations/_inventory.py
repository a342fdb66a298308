"""What is known of the pictures of each camera before any is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.observations._naming import picture_numbers
from calibration.observations.sources import Source, open_source
from calibration.video import Video

__all__ = ["Inventory", "take_inventory"]


@dataclass(frozen=True, eq=False)
class Inventory:
    """The pictures of one camera.

    Attributes:
        source: where they are.
        times: (n,) seconds since the first, NaN for images.
        key_frames: (k,) pictures that can be read without others.
        size: width and height, None for images, whose files are not opened for it.
        numbers: (n,) numbers in the names of images, None for videos and names without.
    """

    source: Source
    times: NDArray[np.float64]
    key_frames: NDArray[np.intp]
    size: tuple[int, int] | None
    numbers: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.times)

    @property
    def interval(self) -> float:
        """Median seconds from one picture to the next; NaN where that is unknown."""
        steps = np.diff(self.times)
        return float(np.median(steps)) if len(steps) else float("nan")


def take_inventory(sources: Mapping[str, Source]) -> dict[str, Inventory]:
    """Open every source once.

    Raises:
        FileFormatError: a video cannot be read.
    """
    found = {}
    for name, source in sources.items():
        with open_source(source) as pictures:
            numbers = None if isinstance(pictures, Video) else picture_numbers(source.paths)
            found[name] = Inventory(
                source=source,
                times=pictures.times,
                key_frames=pictures.key_frames,
                size=pictures.size if isinstance(pictures, Video) else None,
                numbers=None if numbers is None else np.array(numbers, dtype=np.int64),
            )
    return found
