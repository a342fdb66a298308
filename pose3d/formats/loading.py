"""`load_poses2d`: files of any known format become one Poses2D Dataset whose cameras are those of the rig."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from calibration.rig import Rig
from pose3d.formats._checking import check_positions
from pose3d.formats._loading import read_cameras, select_cameras
from pose3d.formats._merging import common_frame_rate, merge_cameras
from pose3d.formats._naming import name_cameras
from pose3d.formats._registry import named_format
from pose3d.formats._sources import Paths, find_sources

__all__ = ["load_poses2d"]


def load_poses2d(
    paths: Paths,
    *,
    rig: Rig | None = None,
    format: str | None = None,  # noqa: A002 - the name users know from other libraries
    frame_rate: float | None = None,
    keypoints: str | Sequence[str] | None = None,
) -> xr.Dataset:
    """2D poses of all cameras, from files of any known format.

    Cameras are found by name. A name that is given counts; else the file itself says it; else the names of the rig's
    cameras are looked for in the path, as whole words, whatever their case, separators and leading zeros; without a
    rig, cameras are called by what distinguishes their paths. Rows meet by frame number, keypoints and individuals by
    name. What fewer than two cameras have is left out.

    A netCDF file of this project with all cameras is opened and not loaded.

    Args:
        paths: a file, a folder (with a file or a folder per camera), a list of them, or a mapping from camera name to
            file; a text "NAME=PATH" names the camera as well.
        rig: the cameras the poses belong to; the result has those of them that have poses, in the rig's order.
        format: a key of `FORMATS`; detected from the content if left out.
        frame_rate: frames per second; as the files say if left out, or unknown.
        keypoints: names of the keypoints, or of a preset, for formats that do not name them.

    Returns:
        Poses2D: position (time, camera, individual, keypoint, space) px, confidence in [0, 1].

    Raises:
        FileFormatError: a file is missing, damaged, or of no known format.
        InvalidValueError: a score is out of range, a position is infinite, everything is NaN, or an argument is wrong.
        MismatchError: it is not clear which camera a file belongs to, two files belong to one camera, fewer than two
            cameras of the rig have poses, frame rates differ, or the size of the images is not the rig's.

    Warns:
        SuiteWarning: something was left out, is missing in some cameras, or lies far outside the images.
    """
    sources = find_sources(paths, None if format is None else named_format(format))
    found = [one for source in sources for one in read_cameras(source, keypoints, source.format.read)]
    cameras = name_cameras(found, rig)
    datasets = {name: one.dataset for name, one in cameras.items()}
    rate = common_frame_rate(datasets, frame_rate)
    if len(sources) == 1 and all(one.has_siblings for one in cameras.values()):
        poses = select_cameras(list(cameras.values()), list(cameras), rate)
    else:
        poses = merge_cameras(datasets, rate)
    check_positions(poses, rig)
    return poses
