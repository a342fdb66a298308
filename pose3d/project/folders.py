"""Which video in a folder is of which camera."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from calibration.errors import FileFormatError, MismatchError, SuiteWarning
from calibration.files import VIDEO_SUFFIXES
from pose3d.camera_names import matching_cameras

__all__ = ["videos_in_folder"]


def videos_in_folder(folder: str | os.PathLike[str], cameras: Sequence[str]) -> dict[str, Path]:
    """Camera -> video, by the names of the files: `day1_left.mp4` is of camera `left`.

    Where no name of a file speaks of a camera, names of folders right inside `folder` do (`left/video.mp4`).

    Args:
        folder: with one video per camera.
        cameras: names of the cameras.

    Raises:
        FileFormatError: there is no video in the folder.
        MismatchError: no video speaks of a camera, or two do, or one speaks of two.

    Warns:
        SuiteWarning: cameras have no video, or videos no camera.
    """
    place = Path(folder)
    files = sorted(path for path in place.glob("*") if _is_video(path))
    files = files or sorted(path for path in place.glob("*/*") if _is_video(path))
    if not files:
        raise FileFormatError(
            folder,
            expected="a folder with one video per camera",
            got="no video" if place.is_dir() else "no such folder",
            remedy=f"Check the path. Videos end with {', '.join(sorted(VIDEO_SUFFIXES))}.",
        )
    found: dict[str, list[Path]] = {}
    loose = []
    for file in files:
        names = matching_cameras([*file.relative_to(place).parts[:-1], file.stem], cameras)
        for name in names:
            found.setdefault(name, []).append(file)
        if not names:
            loose.append(file.name)
    _refuse_unclear(place, found, files, cameras)
    missing = [camera for camera in cameras if camera not in found]
    for what, names in (("no video of camera", missing), ("no camera for the video", loose)):
        if names:
            warnings.warn(f"{folder}: {what} {', '.join(names)}", SuiteWarning, stacklevel=2)
    return {camera: found[camera][0] for camera in cameras if camera in found}


def _refuse_unclear(place: Path, found: dict[str, list[Path]], files: list[Path], cameras: Sequence[str]) -> None:
    several = next((camera for camera in cameras if len(found.get(camera, ())) > 1), None)
    several_names = next((file for file in files if sum(file in group for group in found.values()) > 1), None)
    if several is not None:
        got = f"{len(found[several])} for '{several}': {', '.join(file.name for file in found[several][:4])}"
    elif several_names is not None:
        got = f"{several_names.name}, whose name speaks of several cameras"
    elif not found:
        got = f"none whose name speaks of a camera: {', '.join(file.name for file in files[:4])}"
    else:
        return
    raise MismatchError(
        place,
        expected=f"one video for each of the cameras {', '.join(cameras)}",
        got=got,
        remedy=f"Say which is which: {cameras[0]}=VIDEO ...",
    )


def _is_video(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")
