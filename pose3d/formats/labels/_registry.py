"""The table of known formats of labels, and which of them a file or folder is in."""

from __future__ import annotations

from pathlib import Path

from calibration.errors import FileFormatError
from calibration.extensions import Registry, named
from pose3d.formats.labels import coco, cvat, deeplabcut, lightning_pose, sleap
from pose3d.formats.labels.label_format import LabelFormat

__all__ = ["LABEL_FORMATS", "detect_format", "named_format"]

# In the order in which files are shown to them; no file fits two of them.
LABEL_FORMATS = Registry(
    LabelFormat,
    "pose3d.label_formats",
    (
        deeplabcut.FORMAT,
        lightning_pose.FORMAT,
        sleap.FORMAT,
        coco.FORMAT,
        cvat.FORMAT,
        coco.CVAT_COCO_FORMAT,
    ),
)


def named_format(name: str) -> LabelFormat:
    """The format of that name.

    Raises:
        InvalidValueError: there is none.
    """
    return named(LABEL_FORMATS, name, "format")


def detect_format(path: Path) -> LabelFormat:
    """The format of a file or folder, by its content.

    Raises:
        FileFormatError: it fits none, or two (of which one is another package's).
    """
    fitting = [known for known in LABEL_FORMATS.values() if known.sniff(path)]
    if len(fitting) == 1:
        return fitting[0]
    raise FileFormatError(
        path,
        expected=f"labels in one of the formats {', '.join(LABEL_FORMATS)}",
        got=f"what could be {' or '.join(known.name for known in fitting)}" if fitting else _describe(path),
        remedy="Check the path for spelling."
        if not path.exists()
        else "Check the path; if it is right, name the format, and the error will say what is missing in it.",
    )


def _describe(path: Path) -> str:
    """What a path that fits no format looks like."""
    if path.is_dir():
        names = sorted(item.name for item in path.iterdir())[:5]
        return f"a folder with {', '.join(names)}" if names else "an empty folder"
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        return error.strerror or str(error)
    return f"a file that begins with {head[:40]!r}" if head.strip() else "an empty file"
