"""What a format of 2D poses offers: how it is recognized and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

__all__ = ["PoseFormat"]


@dataclass(frozen=True)
class PoseFormat:
    """One format of 2D poses.

    Attributes:
        name: what `--format` and `load_poses2d(format=...)` call it.
        description: one sentence: which tool writes it, and what is in it.
        suffixes: endings of its files, with the dot: only these are looked at when a folder is searched.
        sniff: True if the content of a file or folder looks like this format. Never raises.
        read: `read(path)` gives the Poses2D of one camera, or of all cameras in the file, in this package's conventions
            (the center of the top-left pixel is (0, 0), missing is NaN, confidence is in [0, 1]). Formats with
            `names_keypoints=False` also take `keypoints=` (names, or a preset's name). Raises FileFormatError,
            InvalidValueError. Where the names of its individuals are only places in each frame, it says so in the
            attribute `individuals` of the Dataset, which is "places".
        read_instances: the same, but gives Instances, with all animals that were found, tracked or not. By default they
            are the individuals that `read` gives.
        names_cameras: the file itself says whose poses it holds; otherwise its path says it.
        names_keypoints: the file itself names its keypoints.
    """

    name: str
    description: str
    suffixes: tuple[str, ...]
    sniff: Callable[[Path], bool]
    read: Callable[..., xr.Dataset]
    names_cameras: bool = False
    names_keypoints: bool = True
    read_instances: Callable[..., xr.Dataset] | None = None
