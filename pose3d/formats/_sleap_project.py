"""A SLEAP project, through sleap-io: what all ways of reading its poses need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError
from pose3d.camera_names import distinguishing_names
from pose3d.formats._hdf5 import DAMAGE

if TYPE_CHECKING:
    import sleap_io

__all__ = ["HIGHEST_SCORE", "image_sizes", "load_project", "stem", "unreadable", "video_names"]

HIGHEST_SCORE = 2.0
"""The highest peak seen in a confidence map whose targets end at 1 was 1.3."""


def load_project(path: Path) -> sleap_io.Labels:
    """The content of a project.

    Raises:
        FileFormatError: sleap-io is not installed; the file is missing, damaged, or no project.
    """
    if not path.is_file():
        raise FileFormatError(
            path, expected="a SLEAP project", got="no such file", remedy="Check the path and its permissions."
        )
    try:
        import sleap_io
    except ImportError as error:
        raise FileFormatError(
            path,
            expected="the package sleap-io, which reads .slp files",
            got="it is not installed",
            remedy="Install it with `pip install 'pose3d-suite[formats]'`, or export analysis h5 files from SLEAP; "
            "where they lie beside the .slp files already, name their format: sleap-analysis.",
        ) from error
    try:
        return sleap_io.load_slp(str(path), open_videos=False)
    except (*DAMAGE, NameError) as error:
        # sleap-io does not check what it reads; NameError is one of the ways in which it fails.
        raise unreadable(path, error) from error


def unreadable(path: Path, error: BaseException) -> FileFormatError:
    """The error to raise where sleap-io fails."""
    return FileFormatError(
        path,
        expected="a SLEAP project",
        got=f"a file that sleap-io cannot read ({type(error).__name__}: {error})",
        remedy="Open and save it again in SLEAP, or export analysis h5 files.",
    )


def video_names(videos: list[Any], path: Path, camera: str | None) -> list[str]:
    """What the cameras of a project's videos are called.

    Args:
        videos: of sleap-io.
        path: the project, which names a single video.
        camera: the name of a single video, where it is known.
    """
    if len(videos) == 1:
        return [camera or stem(path)]
    names = distinguishing_names([str(video.filename) for video in videos])
    return names if all(names) else [f"video_{index}" for index in range(len(videos))]


def image_sizes(videos: list[Any]) -> NDArray[np.float64] | None:
    """(camera, 2) width and height, as far as the project knows them."""
    shapes = [video.shape or (np.nan, np.nan, np.nan, np.nan) for video in videos]
    sizes = np.array([(width, height) for _, height, width, _ in shapes], dtype=np.float64)
    return sizes if np.isfinite(sizes).any() else None


def stem(path: Path) -> str:
    """The name of a file, without what SLEAP appends to it."""
    return path.stem.removesuffix(".analysis")
