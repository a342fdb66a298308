"""`load_candidates`: candidate places of every keypoint, not yet assembled to animals, of all cameras."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import MappingProxyType

import h5py
import xarray as xr

from calibration.errors import FileFormatError, MismatchError
from calibration.extensions import named
from calibration.rig import Rig
from pose3d.formats import deeplabcut_full
from pose3d.formats._checking import check_positions
from pose3d.formats._hdf5 import peek_hdf5
from pose3d.formats._loading import read_cameras, select_cameras
from pose3d.formats._merging import common_frame_rate
from pose3d.formats._merging_instances import merge_candidates
from pose3d.formats._naming import name_cameras
from pose3d.formats._registry import FORMATS
from pose3d.formats._sources import Paths, find_sources
from pose3d.formats.netcdf import load_detections
from pose3d.formats.pose_format import PoseFormat

__all__ = ["CANDIDATE_FORMATS", "holds_candidates", "load_candidates"]


def _sniff_netcdf(path: Path) -> bool:
    return peek_hdf5(path, _has_candidates)


def _has_candidates(file: h5py.File) -> bool:
    return isinstance(file.get("detections"), h5py.Group) or {"position", "camera", "candidate"} <= set(file)


def _has_only_candidates(file: h5py.File) -> bool:
    group = file.get("detections", file)
    other = "poses2d" in file or isinstance(file.get("instances"), h5py.Group)
    return _has_candidates(file) and not other and group["candidate"].size > 1


def _read_netcdf(path: Path) -> xr.Dataset:
    dataset = load_detections(path)
    return dataset if dataset.attrs.get("source_file") else dataset.assign_attrs(source_file=str(path))


CANDIDATE_FORMATS = MappingProxyType(
    {
        known.name: known
        for known in (
            PoseFormat(
                name="netcdf",
                description="this project's netCDF, candidates in all cameras, as `pose3d predict` writes them",
                suffixes=(".nc", ".nc4"),
                sniff=_sniff_netcdf,
                read=_read_netcdf,
                names_cameras=True,
            ),
            deeplabcut_full.FORMAT,
        )
    }
)
"""What `load_candidates` reads, by the names of the formats."""


def holds_candidates(paths: Paths, *, format: str | None = None) -> bool:  # noqa: A002 - as in load_candidates
    """True where `load_candidates` is what reads these files: no poses are in them, but candidates to assemble.

    A file of this project with several candidates per keypoint is one only if it has neither instances nor 2D poses. A
    folder that has poses as well is none, unless `format` says it. Nothing is loaded, and nothing raised: where it is
    neither, the loaders say what is wrong.

    Args:
        paths: as for `load_candidates`.
        format: a key of `CANDIDATE_FORMATS` or of `pose3d.formats.FORMATS`, where it is known.
    """
    known = CANDIDATE_FORMATS if format is None or format in CANDIDATE_FORMATS else {}
    with warnings.catch_warnings(action="ignore"):
        try:
            if format is None or format in FORMATS:
                sources = find_sources(paths, None if format is None else FORMATS[format])
                return all(peek_hdf5(source.path, _has_only_candidates) for source in sources)
        except (FileFormatError, MismatchError):
            pass
        try:
            return bool(known and find_sources(paths, known.get(format or ""), formats=known))
        except (FileFormatError, MismatchError):
            return False


def load_candidates(
    paths: Paths,
    *,
    rig: Rig | None = None,
    format: str | None = None,  # noqa: A002 - as in load_poses2d
    frame_rate: float | None = None,
) -> xr.Dataset:
    """Candidate places of every keypoint in all cameras, and which of them belong together where the files say it.

    Files and cameras are named as for `load_poses2d`. Rows meet by frame number, keypoints and edges by name. Every
    camera keeps all of its candidates and frames. One camera alone is enough. A netCDF file of this project is opened
    and not loaded.

    Args:
        paths: a file, a folder (with a file or a folder per camera), a list of them, or a mapping from camera name to
            file; a text "NAME=PATH" names the camera as well.
        rig: the cameras; the result has those of them that have candidates, in the rig's order.
        format: a key of `CANDIDATE_FORMATS`; detected from the content if left out.
        frame_rate: frames per second; as the files say if left out, or unknown.

    Returns:
        Detections: position (time, camera, candidate, keypoint, space) px, confidence in [0, 1], and affinity where any
        camera has it.

    Raises:
        FileFormatError: a file is missing, damaged, or of no known format.
        InvalidValueError: a confidence is out of range, a position is infinite, or there is no candidate in any camera.
        MismatchError: it is not clear which camera a file belongs to, two files belong to one camera, no camera of the
            rig has candidates, frame rates differ, or the size of the images is not the rig's.

    Warns:
        SuiteWarning: something was left out, is missing in some cameras, or lies far outside the images.
    """
    chosen = None if format is None else named(CANDIDATE_FORMATS, format, "format")
    sources = find_sources(paths, chosen, formats=CANDIDATE_FORMATS, what="candidates of keypoints")
    found = [one for source in sources for one in read_cameras(source, None, source.format.read)]
    cameras = name_cameras(found, rig, fewest=1)
    datasets = {name: one.dataset for name, one in cameras.items()}
    rate = common_frame_rate(datasets, frame_rate)
    if len(sources) == 1:
        candidates = select_cameras(list(cameras.values()), list(cameras), rate)
    else:
        candidates = merge_candidates(datasets, rate)
    check_positions(candidates, rig)
    return candidates
