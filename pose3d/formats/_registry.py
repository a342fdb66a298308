"""The table of known formats, and which of them a file is in."""

from __future__ import annotations

from pathlib import Path

from calibration.errors import FileFormatError
from calibration.extensions import Registry, named
from pose3d.formats import anipose, corners_csv, deeplabcut, label3d, lightning_pose, netcdf, openpose, sleap
from pose3d.formats.pose_format import PoseFormat

__all__ = ["FORMATS", "detect_format", "named_format"]

# In the order in which files are shown to them; no file fits two of them.
FORMATS = Registry(
    PoseFormat,
    "pose3d.pose_formats",
    (
        netcdf.FORMAT,
        sleap.ANALYSIS_FORMAT,
        sleap.PROJECT_FORMAT,
        deeplabcut.FORMAT,
        lightning_pose.FORMAT,
        anipose.FORMAT,
        openpose.FORMAT,
        label3d.FORMAT,
        corners_csv.FORMAT,
    ),
)

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def named_format(name: str) -> PoseFormat:
    """The format of that name.

    Raises:
        InvalidValueError: there is none.
    """
    return named(FORMATS, name, "format")


def detect_format(path: Path) -> PoseFormat:
    """The format of a file or folder, by its content.

    Raises:
        FileFormatError: it fits none, or two (of which one is another package's).
    """
    fitting = [known for known in FORMATS.values() if known.sniff(path)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise FileFormatError(
            path,
            expected="poses in one format",
            got=f"what could be {' or '.join(known.name for known in fitting)}",
            remedy="Name the format.",
        )
    raise FileFormatError(
        path,
        expected=f"2D poses in one of the formats {', '.join(FORMATS)}",
        got=_describe(path),
        remedy="Check the path for spelling."
        if not path.exists()
        else "Check the path; if the file is right, name its format, and the error will say what is missing in it.",
    )


def _describe(path: Path) -> str:
    """What a file that fits no format looks like."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        return error.strerror or str(error)
    if not head.strip():
        return "an empty file"
    if head.startswith(_HDF5_SIGNATURE):
        return "an HDF5 file that is cut off or has no 2D poses"
    if head.startswith(b"MATLAB"):
        return "a MATLAB file that is cut off or has no labels (labelData)"
    if head.startswith(b"%PDF"):
        return "a PDF"
    return f"a file that begins with {head[:40]!r}"
