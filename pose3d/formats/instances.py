"""`load_instances`: the animals in files of any known format, as they were found, not yet told apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import xarray as xr

from calibration.errors import SuiteError
from calibration.rig import Rig
from pose3d.formats._checking import check_positions
from pose3d.formats._loading import read_cameras, select_cameras
from pose3d.formats._merging import common_frame_rate
from pose3d.formats._merging_instances import merge_instances
from pose3d.formats._naming import name_cameras
from pose3d.formats._registry import named_format
from pose3d.formats._sources import Paths, find_sources
from pose3d.formats.pose_format import PoseFormat
from pose3d.formats.poses_as_instances import instances_of_poses2d
from pose3d.formats.session import open_session
from pose3d.skeleton import Skeleton

__all__ = ["are_told_apart", "load_instances"]


def load_instances(
    paths: Paths,
    *,
    rig: Rig | None = None,
    format: str | None = None,  # noqa: A002 - as in load_poses2d
    frame_rate: float | None = None,
    keypoints: str | Sequence[str] | None = None,
    skeleton: Skeleton | None = None,
) -> xr.Dataset:
    """The animals that were found in every camera, from files of any known format, not yet told apart.

    Files and cameras are named as for `load_poses2d`. Rows meet by frame number, keypoints by name. Every camera keeps
    all of its animals, tracked by the source or not, and all of its frames. A keypoint that only one of several cameras
    has is left out. One camera alone is enough.

    Where the source says from frame to frame who is who (tracks of SLEAP, individuals of DeepLabCut, person ids of
    OpenPose, names in netCDF), `track` says it; tracks of the same name in two cameras are one track. Where it has an
    order in each frame only, there is no track.

    A netCDF file of this project is opened and not loaded; every individual has its own place then.

    Args:
        paths: a file, a folder (with a file or a folder per camera), a list of them, or a mapping from camera name to
            file; a text "NAME=PATH" names the camera as well.
        rig: the cameras; the result has those of them that have poses, in the rig's order.
        format: a key of `FORMATS`; detected from the content if left out.
        frame_rate: frames per second; as the files say if left out, or unknown.
        keypoints: names of the keypoints, or of a preset, for formats that do not name them.
        skeleton: names keypoints that neither the files nor `keypoints` name, where it has as many.

    Returns:
        Instances: position (time, camera, instance, keypoint, space) px, confidence in [0, 1].

    Raises:
        FileFormatError: a file is missing, damaged, of no known format, or holds candidates of keypoints that are not
            assembled to animals.
        InvalidValueError: a score is out of range, a position is infinite, there is no animal in any camera, or an
            argument is wrong.
        MismatchError: it is not clear which camera a file belongs to, two files belong to one camera, no camera of the
            rig has poses, frame rates differ, or the size of the images is not the rig's.

    Warns:
        SuiteWarning: something was left out, is missing in some cameras, or lies far outside the images.
    """
    sources = find_sources(paths, None if format is None else named_format(format))
    found = [one for source in sources for one in read_cameras(source, keypoints, _reader(source.format))]
    cameras = name_cameras(found, rig, fewest=1)
    datasets = {name: one.dataset for name, one in cameras.items()}
    rate = common_frame_rate(datasets, frame_rate)
    if len(sources) == 1:
        instances = select_cameras(list(cameras.values()), list(cameras), rate)
    else:
        instances = merge_instances(datasets, rate)
    instances = _named(instances, skeleton)
    check_positions(instances, rig)
    return instances


def _reader(known: PoseFormat) -> Callable[..., xr.Dataset]:
    return known.read_instances or partial(_read_as_instances, known)


def _read_as_instances(known: PoseFormat, *arguments: object, **options: object) -> xr.Dataset:
    return instances_of_poses2d(known.read(*arguments, **options))


def _named(instances: xr.Dataset, skeleton: Skeleton | None) -> xr.Dataset:
    """Instances with the skeleton's keypoints where theirs are only counted."""
    names = [str(name) for name in instances["keypoint"].values]
    counted = names == [f"keypoint_{index}" for index in range(len(names))]
    if skeleton is None or not counted or len(skeleton.keypoints) != len(names):
        return instances
    return instances.assign_coords(keypoint=list(skeleton.keypoints))


def are_told_apart(paths: Paths, *, format: str | None = None) -> bool:  # noqa: A002
    """Whether animals have one name in all cameras and frames already: in the group /poses2d of this suite's files.

    Never raises on bad files: who reads them says what is wrong.
    """
    try:
        sources = find_sources(paths, None if format is None else named_format(format))
        return all(source.format.name == "netcdf" and _has_poses2d(source.path) for source in sources)
    except SuiteError:
        return False


def _has_poses2d(path: Path) -> bool:
    with open_session(path) as session:
        return session.poses2d is not None and session.instances is None
