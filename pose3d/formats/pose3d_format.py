"""What a format of 3D poses offers: how it is recognized and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

__all__ = ["Pose3DFormat"]


@dataclass(frozen=True)
class Pose3DFormat:
    """One format of 3D poses.

    Attributes:
        name: what `--from` and `load_poses3d(format=...)` call it.
        description: one sentence: which tool writes it, and what is in it.
        suffixes: endings of its files, with the dot.
        sniff: True if the content of a file looks like this format. Never raises.
        read: `read(path, frame_rate=None, unit=None)` gives Poses3D in this package's conventions (missing is NaN,
            confidence is in [0, 1]). `frame_rate` wins over what the file says; `unit` is for files that do not say
            theirs, and an error where they say another. Raises FileFormatError, InvalidValueError, MismatchError.
        names_individuals: the file itself names its individuals, even where there is one.
    """

    name: str
    description: str
    suffixes: tuple[str, ...]
    sniff: Callable[[Path], bool]
    read: Callable[..., xr.Dataset]
    names_individuals: bool = False
