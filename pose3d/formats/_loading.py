"""The cameras in a file, read one way or another, and those that are wanted of a file that has several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import xarray as xr

from calibration.errors import InvalidValueError
from pose3d.formats._gapless import with_frame_rate
from pose3d.formats._naming import CameraPoses
from pose3d.formats._sources import Source

__all__ = ["read_cameras", "select_cameras"]


def read_cameras(
    source: Source, keypoints: str | Sequence[str] | None, read: Callable[..., xr.Dataset]
) -> Iterator[CameraPoses]:
    """The cameras in one file.

    Args:
        source: the file.
        keypoints: names of the keypoints, or of a preset, for formats that do not name them.
        read: `read(path)`, and for these formats `read(path, keypoints=...)`, gives what is in the file.

    Raises:
        FileFormatError: the file is missing, damaged, or of another format.
        InvalidValueError: `keypoints` is given for a file that names its keypoints, or a value in the file is wrong.
    """
    if keypoints is not None and source.format.names_keypoints:
        raise InvalidValueError(
            "keypoints",
            expected=f"none for {source.path}: files of the format {source.format.name} name their keypoints",
            got=str(keypoints)[:80],
            remedy="Leave keypoints out.",
        )
    options = {} if source.format.names_keypoints else {"keypoints": keypoints}
    whole = read(source.path, **options)
    for index, label in enumerate(whole["camera"].values):
        named = source.format.names_cameras or whole.sizes["camera"] > 1
        yield CameraPoses(source, whole, index, str(label) if named else None)


def select_cameras(cameras: Sequence[CameraPoses], names: Sequence[str], frame_rate: float | None) -> xr.Dataset:
    """Cameras of one file, which meet there already; nothing is loaded.

    Args:
        cameras: the cameras, all of the same file.
        names: what they are called.
        frame_rate: frames per second, None where it is unknown.
    """
    poses = cameras[0].whole
    places = [camera.index for camera in cameras]
    if places != list(range(poses.sizes["camera"])):
        poses = poses.isel(camera=places)
    poses = poses.assign_coords(camera=list(names))
    return with_frame_rate(poses, frame_rate)
