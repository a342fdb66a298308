"""The table of known formats, and words for files that fit none of them."""

from __future__ import annotations

from pathlib import Path

from calibration.errors import FileFormatError
from calibration.extensions import Registry
from calibration.formats import (
    anipose,
    caliscope,
    colmap,
    deeplabcut,
    easymocap,
    jarvis,
    kalibr,
    label3d,
    opencv,
    pose2sim,
    rig_toml,
)
from calibration.formats._reading import natural_key, read_text, read_toml
from calibration.formats.rig_format import RigFormat

__all__ = ["FORMATS", "describe"]

# In the order in which files are shown to them; no file fits two of them.
FORMATS = Registry(
    RigFormat,
    "pose3d.rig_formats",
    (
        rig_toml.FORMAT,
        anipose.FORMAT,
        pose2sim.FORMAT,
        caliscope.FORMAT,
        opencv.FORMAT,
        label3d.FORMAT,
        kalibr.FORMAT,
        easymocap.FORMAT,
        jarvis.FORMAT,
        colmap.FORMAT,
        deeplabcut.FORMAT,
    ),
)

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def describe(path: Path) -> str:
    """What a file or folder that fits no format looks like."""
    try:
        if path.is_dir():
            return _describe_folder(path)
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        return error.strerror or str(error)
    if head.startswith((_HDF5_SIGNATURE, b"MATLAB 7.3")):
        return "an HDF5 file without camera parameters"
    if head.startswith(b"MATLAB 5.0"):
        return "a MATLAB file that is cut off or has no camera parameters (params, camParams, or K, r and t)"
    try:
        first = read_text(path).strip().splitlines()[0]
    except FileFormatError as error:
        return error.got
    if path.suffix.lower() == ".toml":
        try:
            return f"a TOML file with {', '.join(map(repr, read_toml(path))) or 'nothing'} and no section of a camera"
        except FileFormatError as error:
            return error.got
    return f"text that begins with {first[:60]!r}"


def _describe_folder(path: Path) -> str:
    names = sorted((file.name for file in path.iterdir()), key=natural_key)
    if not names:
        return "an empty folder"
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f"a folder with {shown}; give one of the files if it is the calibration"
