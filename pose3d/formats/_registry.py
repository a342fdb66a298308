"""The table of known formats, and which of them a file is in."""

from __future__ import annotations

from pathlib import Path

from calibration.extensions import Registry, named
from pose3d.formats import anipose, corners_csv, deeplabcut, label3d, lightning_pose, netcdf, openpose, sleap
from pose3d.formats._detecting import detect
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
    return detect(FORMATS, path, "2D poses")
