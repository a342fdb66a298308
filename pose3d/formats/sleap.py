"""SLEAP: analysis files (h5) and projects (.slp, through sleap-io).

Coordinates are in pixels with the center of the top-left pixel at (0, 0), as here. Projects before format 1.1 had the
corner there; sleap-io shifts them. Scores are peaks of confidence maps, which overshoot 1 a little; they are cut at 1.
What a person placed has no score and counts as certain.
"""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import FileFormatError, SuiteWarning
from pose3d.datasets import poses2d
from pose3d.formats._hdf5 import DAMAGE, open_hdf5, peek_hdf5, text, texts
from pose3d.formats._sleap_instances import read_sleap_instances
from pose3d.formats._sleap_project import HIGHEST_SCORE, image_sizes, load_project, stem, unreadable, video_names
from pose3d.formats._tidy import clean_confidence, clean_positions
from pose3d.formats.pose_format import PoseFormat
from pose3d.formats.poses_as_instances import PLACES

if TYPE_CHECKING:
    import sleap_io

__all__ = ["ANALYSIS_FORMAT", "PROJECT_FORMAT", "read_sleap", "read_sleap_analysis"]

_WHAT = "a SLEAP analysis file with tracks and node_names"
_REMEDY = "Export it again from SLEAP (File > Export Analysis HDF5)."
_CANONICAL = ("frame", "track", "node", "xy")
# The layouts of files that do not name their axes: SLEAP's own, for MATLAB, and the same transposed.
_LAYOUTS = (("track", "xy", "node", "frame"), ("frame", "node", "xy", "track"))


def read_sleap_analysis(
    path: str | os.PathLike[str], *, camera: str | None = None, frame_rate: float | None = None
) -> xr.Dataset:
    """Poses2D of one camera from a SLEAP analysis h5 file, in any of its layouts; individuals are its tracks.

    Args:
        path: the file.
        camera: the name of the camera; the name of the file by default.
        frame_rate: frames per second, where it is known.

    Raises:
        FileFormatError: the file is missing, damaged or not of this format.
        InvalidValueError: a score is far out of [0, 1], or a position is infinite.
    """
    file = Path(path)
    with open_hdf5(file, _WHAT) as content:
        position, scores, tracks, nodes = _analysis_arrays(content, file)
    named = len(tracks) == position.shape[1]
    position = clean_positions(position)
    poses = poses2d(
        position[:, None],
        clean_confidence(scores, position, file, highest=HIGHEST_SCORE)[:, None],
        cameras=[camera or stem(file)],
        individuals=tracks if named else [f"track_{index}" for index in range(position.shape[1])],
        keypoints=nodes,
        frame_rate=frame_rate,
        source_software="SLEAP",
        source_file=str(file),
    )
    return poses if named else poses.assign_attrs(individuals=PLACES)


def _analysis_arrays(
    content: h5py.File, path: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, list[str], list[str]]:
    """(frame, track, node, 2) positions, (frame, track, node) scores, names of the tracks, if any, and of the nodes."""
    missing = [name for name in ("tracks", "node_names") if not isinstance(content.get(name), h5py.Dataset)]
    if missing:
        raise FileFormatError(path, expected=_WHAT, got=f"no {' and no '.join(missing)}", remedy=_REMEDY)
    tracks, nodes = content["tracks"], texts(content["node_names"])
    axes = _axes(content, len(nodes))
    if axes is None or tracks.dtype.kind != "f":
        raise FileFormatError(
            f"{path}, tracks",
            expected=f"numbers of shape (track, 2, node, frame), or transposed, with {len(nodes)} nodes",
            got=f"{tracks.dtype} of shape {tracks.shape}",
            remedy=_REMEDY,
        )
    position = tracks[()].astype(np.float64).transpose([axes.index(axis) for axis in _CANONICAL])
    names = texts(content["track_names"]) if "track_names" in content and content["track_names"].size else []
    scores = content.get("point_scores")
    if scores is None:
        return position, None, names, nodes
    remaining = [axis for axis in axes if axis != "xy"]
    shape = tuple(_length(tracks, axes, axis) for axis in remaining)
    if not isinstance(scores, h5py.Dataset) or scores.shape != shape or scores.dtype.kind != "f":
        raise FileFormatError(
            f"{path}, point_scores",
            expected=f"one score per point: {shape} ({', '.join(remaining)})",
            got=f"{scores.dtype} of shape {scores.shape}" if isinstance(scores, h5py.Dataset) else "a group",
            remedy=_REMEDY,
        )
    ordered = scores[()].astype(np.float64).transpose([remaining.index(axis) for axis in _CANONICAL[:3]])
    return position, ordered, names, nodes


def _axes(content: h5py.File, nodes: int) -> tuple[str, ...] | None:
    """The names of the axes of `tracks`, None where they do not fit the number of nodes."""
    tracks = content["tracks"]
    if tracks.ndim != 4:
        return None
    named = text(tracks.attrs.get("dims", b""))
    layouts = _named_layout(named) if named else _LAYOUTS
    fitting = [axes for axes in layouts if (_length(tracks, axes, "xy"), _length(tracks, axes, "node")) == (2, nodes)]
    count = content["track_names"].size if "track_names" in content else 0
    # With two nodes both layouts fit; the number of tracks then decides.
    return next((axes for axes in fitting if _length(tracks, axes, "track") == count), (*fitting, None)[0])


def _named_layout(names: str) -> tuple[tuple[str, ...], ...]:
    """The layout that sleap-io wrote into the file, as JSON."""
    try:
        axes = json.loads(names)
    except ValueError:
        return ()
    known = (
        isinstance(axes, list) and all(isinstance(axis, str) for axis in axes) and sorted(axes) == sorted(_CANONICAL)
    )
    return (tuple(axes),) if known else ()


def _length(dataset: h5py.Dataset, axes: tuple[str, ...], name: str) -> int:
    return int(dataset.shape[axes.index(name)])


def read_sleap(
    path: str | os.PathLike[str], *, camera: str | None = None, frame_rate: float | None = None
) -> xr.Dataset:
    """Poses2D from a SLEAP project (.slp): of one camera, or of one camera per video where it has several.

    Individuals are the tracks. Without tracks, several animals are told apart only by their order in each frame, which
    a SuiteWarning says.

    Args:
        path: the file.
        camera: the name of the camera of a project with one video; the name of the file by default. With several
            videos, cameras are named by what distinguishes their paths.
        frame_rate: frames per second, where it is known.

    Raises:
        FileFormatError: sleap-io is not installed; the file is missing, damaged, not of this format, or without poses.
        InvalidValueError: a score is far out of [0, 1], or a position is infinite.
    """
    file = Path(path)
    labels = load_project(file)
    videos = [video for video in labels.videos if len(labels.find(video))]
    if not videos or len(labels.skeletons) == 0:
        raise FileFormatError(
            file,
            expected="a project with poses",
            got="none",
            remedy="Save the predictions or labels into the project, and give that file.",
        )
    frames = np.unique([labeled.frame_idx for labeled in labels.labeled_frames])
    values, tracks = _project_values(labels, videos, frames, file)
    position = clean_positions(values[..., :2])
    poses = poses2d(
        position,
        clean_confidence(values[..., 2], position, file, highest=HIGHEST_SCORE),
        cameras=video_names(videos, file, camera),
        individuals=tracks,
        keypoints=list(labels.skeletons[0].node_names),
        frames=frames,
        frame_rate=frame_rate,
        image_size=image_sizes(videos),
        source_software="SLEAP",
        source_file=str(file),
    )
    return poses if labels.tracks else poses.assign_attrs(individuals=PLACES)


def _project_values(
    labels: sleap_io.Labels, videos: list[Any], frames: NDArray[np.int64], path: Path
) -> tuple[NDArray[np.float64], list[str]]:
    """(frame, video, individual, node, 3) x, y, score, and the names of the individuals. Changes `labels`."""
    for labeled in labels.labeled_frames:
        # Rows for labeled frames only: a project may have few of them in a long video.
        labeled.frame_idx = int(np.searchsorted(frames, labeled.frame_idx))
    tracked = len(labels.tracks) > 0
    try:
        arrays = [
            np.asarray(labels.numpy(video=video, untracked=not tracked, return_confidence=True), dtype=np.float64)
            for video in videos
        ]
    except DAMAGE as error:
        raise unreadable(path, error) from error
    names = [track.name for track in labels.tracks]
    count = max(array.shape[1] for array in arrays)
    if not tracked:
        names = [f"track_{index}" for index in range(count)]
        _warn(
            count if count > 1 else 0,
            path,
            "animals without tracks are told apart by their order in each frame, "
            "which need not be the same from frame to frame and from camera to camera",
        )
    else:
        loose = sum(instance.track is None for labeled in labels.labeled_frames for instance in labeled.instances)
        _warn(loose, path, "instances without a track are left out")
    values = np.full((len(frames), len(videos), len(names), *arrays[0].shape[2:]), np.nan)
    for index, array in enumerate(arrays):
        values[: len(array), index, : array.shape[1]] = array
    return values, names


def _warn(count: int, path: Path, text: str) -> None:
    if count:
        warnings.warn(f"{path}: {count} {text}", SuiteWarning, stacklevel=4)


def _sniff_analysis(path: Path) -> bool:
    return peek_hdf5(path, lambda file: {"tracks", "node_names"} <= set(file))


def _sniff_project(path: Path) -> bool:
    return peek_hdf5(path, lambda file: "metadata" in file and "json" in file["metadata"].attrs and "frames" in file)


ANALYSIS_FORMAT = PoseFormat(
    name="sleap-analysis",
    description="SLEAP analysis h5 (tracks, node_names, point_scores)",
    suffixes=(".h5", ".hdf5"),
    sniff=_sniff_analysis,
    read=read_sleap_analysis,
)

PROJECT_FORMAT = PoseFormat(
    name="sleap",
    description="SLEAP project .slp, with one video or several (needs the extra `formats`)",
    suffixes=(".slp",),
    sniff=_sniff_project,
    read=read_sleap,
    read_instances=read_sleap_instances,
)
