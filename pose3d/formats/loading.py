"""`load_poses2d`: files of any known format become one Poses2D Dataset whose cameras are those of the rig."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from warnings import warn

import numpy as np
import xarray as xr

from calibration.errors import InvalidValueError, MismatchError, SuiteWarning
from calibration.rig import Rig
from pose3d.formats._gapless import with_frame_rate
from pose3d.formats._merging import common_frame_rate, merge_cameras
from pose3d.formats._naming import CameraPoses, name_cameras
from pose3d.formats._registry import named_format
from pose3d.formats._sources import Paths, Source, find_sources

__all__ = ["load_poses2d"]

# Detections may lie a little beyond the image; if more than this share of them lie further out than this part of its
# size, they were found in other images.
_SHARE_FAR = 0.01
_FAR = 0.1
# Values are looked at in pieces, since the file may be larger than memory; the images are judged by some of them.
_FRAMES_PER_PIECE = 4096
_PIECES_JUDGED = 4


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
    cameras = name_cameras([one for source in sources for one in _read(source, keypoints)], rig)
    datasets = {name: one.dataset for name, one in cameras.items()}
    rate = common_frame_rate(datasets, frame_rate)
    if len(sources) == 1 and all(one.has_siblings for one in cameras.values()):
        poses = _select(list(cameras.values()), list(cameras), rate)
    else:
        poses = merge_cameras(datasets, rate)
    _check_any_position(poses)
    if rig is not None:
        _check_sizes(poses, rig)
        _check_inside(poses, rig)
    return poses


def _read(source: Source, keypoints: str | Sequence[str] | None) -> Iterator[CameraPoses]:
    """The cameras in one file."""
    if keypoints is not None and source.format.names_keypoints:
        raise InvalidValueError(
            "keypoints",
            expected=f"none for {source.path}: files of the format {source.format.name} name their keypoints",
            got=str(keypoints)[:80],
            remedy="Leave keypoints out.",
        )
    options = {} if source.format.names_keypoints else {"keypoints": keypoints}
    whole = source.format.read(source.path, **options)
    for index, label in enumerate(whole["camera"].values):
        named = source.format.names_cameras or whole.sizes["camera"] > 1
        yield CameraPoses(source, whole, index, str(label) if named else None)


def _select(cameras: Sequence[CameraPoses], names: Sequence[str], frame_rate: float | None) -> xr.Dataset:
    """Cameras of one file, which meet there already; nothing is loaded."""
    poses = cameras[0].whole
    places = [camera.index for camera in cameras]
    if places != list(range(poses.sizes["camera"])):
        poses = poses.isel(camera=places)
    poses = poses.assign_coords(camera=list(names))
    return with_frame_rate(poses, frame_rate)


def _check_any_position(poses: xr.Dataset) -> None:
    empty = [f"no {dim}" for dim in ("time", "individual", "keypoint") if not poses.sizes[dim]]
    if empty:
        raise InvalidValueError(
            f"2D poses {poses.attrs.get('source_file', '')}".strip(),
            expected="at least one frame, keypoint and individual",
            got=" and ".join(empty).replace("time", "frame"),
            remedy="Export the poses again; the file may have been written without any.",
        )
    seen = np.zeros(poses.sizes["camera"], dtype=bool)
    for start in range(0, poses.sizes["time"], _FRAMES_PER_PIECE):
        piece = poses["position"].isel(time=slice(start, start + _FRAMES_PER_PIECE)).values
        seen |= np.isfinite(piece).any(axis=(0, 2, 3, 4))
        if seen.all():
            return
    if not seen.any():
        raise InvalidValueError(
            f"2D poses {poses.attrs.get('source_file', '')}".strip(),
            expected="at least one position",
            got="NaN everywhere",
            remedy="Check that these are the right files, and that anything was found in the videos.",
        )
    names = ", ".join(f"'{name}'" for name in poses["camera"].values[~seen])
    warn(f"2D poses: no position at all in camera {names}", SuiteWarning, stacklevel=3)


def _check_sizes(poses: xr.Dataset, rig: Rig) -> None:
    if "image_size" not in poses:
        return
    for name, size in zip(poses["camera"].values, poses["image_size"].values, strict=True):
        expected = rig[str(name)].size
        if np.isfinite(size).all() and not _is_assumed(rig, str(name)) and tuple(size) != expected:
            raise MismatchError(
                f"2D poses, camera '{name}'",
                expected=f"images of {expected[0]} x {expected[1]} pixels, as in the calibration",
                got=f"{size[0]:g} x {size[1]:g}",
                remedy="Calibrate at the resolution of the recording, or scale and crop the camera in the rig alike.",
            )


def _check_inside(poses: xr.Dataset, rig: Rig) -> None:
    starts = np.linspace(0, max(0, poses.sizes["time"] - _FRAMES_PER_PIECE), _PIECES_JUDGED, dtype=int)
    pieces = [
        poses["position"].isel(time=slice(start, start + _FRAMES_PER_PIECE)).values for start in np.unique(starts)
    ]
    for index, name in enumerate(map(str, poses["camera"].values)):
        if _is_assumed(rig, name):
            continue
        size = np.array(rig[name].size)
        points = np.concatenate([piece[:, index].reshape(-1, 2) for piece in pieces])
        points = points[np.isfinite(points).all(axis=-1)]
        far = ((points < -_FAR * size) | (points > (1 + _FAR) * size)).any(axis=-1)
        if len(points) and far.mean() > _SHARE_FAR:
            warn(
                f"2D poses, camera '{name}': {far.mean():.0%} of the positions lie far outside its images of "
                f"{size[0]} x {size[1]} pixels (x from {points[:, 0].min():.5g} to {points[:, 0].max():.5g}, y from "
                f"{points[:, 1].min():.5g} to {points[:, 1].max():.5g}); the videos may have been cropped, resized or "
                "rotated since the calibration, or belong to another camera",
                SuiteWarning,
                stacklevel=3,
            )


def _is_assumed(rig: Rig, name: str) -> bool:
    """True where the calibration file did not say the size of the images."""
    assumed = rig.metadata.get("assumed_image_size", ())
    return isinstance(assumed, Sequence) and name in assumed
