"""What a format of calibration files offers: how it is recognized, read and written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from calibration.rig import Rig

__all__ = ["UNKNOWN_UNIT", "RigFormat"]

UNKNOWN_UNIT = "unknown"
"""The `unit` of a rig whose file does not say it and whose format has no convention; `load_rig` replaces it."""


@dataclass(frozen=True)
class RigFormat:
    """One format of calibration files.

    Attributes:
        name: what `--format` and `load_rig(format=...)` call it.
        description: one sentence: which tool writes it, with what conventions.
        suffixes: endings of its files, with the dot. `save_rig` takes the first format that writes files of an ending.
        sniff: True if the content of a file or folder looks like this format. Never raises.
        read: the rig of a file or folder, in the conventions of this package, with the unit that the file says, else
            the one of the format's convention, else `UNKNOWN_UNIT`. Raises FileFormatError.
        write: writes a rig completely or not at all; None where the format is only read. Raises InvalidValueError for
            what the format cannot hold, OutputError where it cannot write.
        stated_unit: the length unit that a readable file itself says; None where it says none. Leave it out where no
            file of the format says one.
    """

    name: str
    description: str
    suffixes: tuple[str, ...]
    sniff: Callable[[Path], bool]
    read: Callable[[Path], Rig]
    write: Callable[[Rig, Path], None] | None = None
    stated_unit: Callable[[Path], str | None] | None = None
