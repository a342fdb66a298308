"""Whether 2D poses of any kind have positions at all, and whether these lie in the images of the rig's cameras."""

from __future__ import annotations

from collections.abc import Sequence
from warnings import warn

import numpy as np
import xarray as xr

from calibration.errors import InvalidValueError, MismatchError, SuiteWarning
from calibration.rig import Rig

__all__ = ["check_positions"]

# Detections may lie a little beyond the image; if more than this share of them lie further out than this part of its
# size, they were found in other images.
_SHARE_FAR = 0.01
_FAR = 0.1
# Values are looked at in pieces, since the file may be larger than memory; the images are judged by some of them.
_FRAMES_PER_PIECE = 4096
_PIECES_JUDGED = 4


def check_positions(poses: xr.Dataset, rig: Rig | None) -> None:
    """Raise or warn where positions are missing, or cannot be those of the rig's images.

    Args:
        poses: Poses2D, Instances or Detections.
        rig: the cameras, with the same names; None where they are not known.

    Raises:
        InvalidValueError: there is no position at all.
        MismatchError: the size of the images is not the rig's.

    Warns:
        SuiteWarning: a camera has no position, or positions lie far outside its images.
    """
    _check_any_position(poses)
    if rig is not None:
        _check_sizes(poses, rig)
        _check_inside(poses, rig)


def _check_any_position(poses: xr.Dataset) -> None:
    among = next(dim for dim in ("individual", "instance", "candidate") if dim in poses.sizes)
    empty = [f"no {dim}" for dim in ("time", among, "keypoint") if not poses.sizes[dim]]
    if empty:
        raise InvalidValueError(
            f"2D poses {poses.attrs.get('source_file', '')}".strip(),
            expected=f"at least one frame, keypoint and {among}",
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
    warn(f"2D poses: no position at all in camera {names}", SuiteWarning, stacklevel=4)


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
                stacklevel=4,
            )


def _is_assumed(rig: Rig, name: str) -> bool:
    """True where the calibration file did not say the size of the images."""
    assumed = rig.metadata.get("assumed_image_size", ())
    return isinstance(assumed, Sequence) and name in assumed
