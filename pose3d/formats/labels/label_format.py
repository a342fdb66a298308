"""What a format of labels offers: how it is recognized, read and written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pose3d.labeling.labels import Labels

__all__ = ["LabelFormat"]


@dataclass(frozen=True)
class LabelFormat:
    """One format of labels.

    Attributes:
        name: what `--format` and `read_labels(format=...)` call it.
        description: one sentence: which tool writes it, and what is in it.
        sniff: True if the content of a file or folder looks like this format. Never raises.
        read: `read(path)` gives the labels in this package's conventions: the center of the top-left pixel is (0, 0),
            missing is NaN. Raises FileFormatError, InvalidValueError.
        write: `write(labels, folder)` writes the labels and copies of their images into an empty folder. What the
            format cannot hold is said in SuiteWarnings. Raises InvalidValueError, OutputError.
    """

    name: str
    description: str
    sniff: Callable[[Path], bool]
    read: Callable[[Path], Labels]
    write: Callable[[Labels, Path], None]
