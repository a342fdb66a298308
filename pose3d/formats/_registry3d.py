"""The table of known formats of 3D poses, and which of them a file is in."""

from __future__ import annotations

from pathlib import Path

from calibration.errors import FileFormatError
from calibration.extensions import Registry, named
from pose3d.formats import anipose3d, c3d, deeplabcut3d, movement, netcdf3d, sleap_anipose, trc
from pose3d.formats._detecting import detect
from pose3d.formats._registry import FORMATS
from pose3d.formats.pose3d_format import Pose3DFormat

__all__ = ["POSE3D_FORMATS", "detect_format3d", "named_format3d"]

# In the order in which files are shown to them; no file fits two of them.
POSE3D_FORMATS = Registry(
    Pose3DFormat,
    "pose3d.pose3d_formats",
    (
        netcdf3d.FORMAT,
        movement.FORMAT,
        deeplabcut3d.FORMAT,
        anipose3d.FORMAT,
        sleap_anipose.FORMAT,
        trc.FORMAT,
        c3d.FORMAT,
    ),
)


def named_format3d(name: str) -> Pose3DFormat:
    """The format of that name.

    Raises:
        InvalidValueError: there is none.
    """
    return named(POSE3D_FORMATS, name, "format")


def detect_format3d(path: Path) -> Pose3DFormat:
    """The format of a file, by its content.

    Raises:
        FileFormatError: it fits none, or two (of which one is another package's), or holds 2D poses.
    """
    try:
        return detect(POSE3D_FORMATS, path, "3D poses")
    except FileFormatError as error:
        flat = next((known.name for known in FORMATS.values() if known.sniff(path)), None)
        if flat is None:
            raise
        raise FileFormatError(
            path,
            expected=error.expected,
            got=f"2D poses ({flat})",
            remedy="Triangulate them first, with `pose3d triangulate` or `pose3d reconstruct`.",
        ) from error
