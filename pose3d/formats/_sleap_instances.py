"""The animals in a SLEAP project as they were found: all of them, in tracks or not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from pose3d.datasets import instances
from pose3d.formats._hdf5 import DAMAGE
from pose3d.formats._sleap_project import HIGHEST_SCORE, image_sizes, load_project, unreadable, video_names
from pose3d.formats._tidy import clean_confidence, clean_positions

if TYPE_CHECKING:
    import sleap_io

__all__ = ["read_sleap_instances"]


def read_sleap_instances(
    path: str | os.PathLike[str], *, camera: str | None = None, frame_rate: float | None = None
) -> xr.Dataset:
    """Instances from a SLEAP project (.slp): of one camera, or of one camera per video where it has several.

    An animal that a person corrected is there once: what the network had found of it is left out.

    Args:
        path: the file.
        camera: the name of the camera of a project with one video; the name of the file by default.
        frame_rate: frames per second, where it is known.

    Raises:
        FileFormatError: sleap-io is not installed; the file is missing, damaged or not of this format.
        InvalidValueError: a score is far out of [0, 1], or a position is infinite.
    """
    file = Path(path)
    labels = load_project(file)
    # Nothing was found in a video without labels, which is worth knowing only where it is the only one.
    videos = [video for video in labels.videos if len(labels.find(video))] or list(labels.videos)[:1]
    nodes = list(dict.fromkeys(str(name) for skeleton in labels.skeletons for name in skeleton.node_names))
    frames = np.unique(np.array([labeled.frame_idx for labeled in labels.labeled_frames], dtype=np.int64))
    tracks = {id(track): number for number, track in enumerate(labels.tracks)}
    try:
        found = list(_found(labels, {id(video): index for index, video in enumerate(videos)}, nodes))
    except DAMAGE as error:
        raise unreadable(file, error) from error
    slots = max((slot + 1 for _, _, slot, _, _ in found), default=1)
    shape = (len(frames), max(1, len(videos)), slots)
    values = np.full((*shape, len(nodes), 3), np.nan)
    track = np.full(shape, -1, dtype=np.int64)
    if found:
        rows = np.searchsorted(frames, [frame for frame, *_ in found])
        places = (rows, *np.array([place for _, *place, _, _ in found]).T)
        values[places] = np.stack([points for *_, points, _ in found])
        track[places] = [tracks.get(id(own), -1) for *_, own in found]
    position = clean_positions(values[..., :2])
    return instances(
        position,
        clean_confidence(values[..., 2], position, file, highest=HIGHEST_SCORE),
        cameras=video_names(videos, file, camera) if videos else [camera or file.stem],
        keypoints=nodes,
        track=track if labels.tracks else None,
        track_names=_unique([str(each.name) for each in labels.tracks]),
        frames=frames,
        frame_rate=frame_rate,
        image_size=image_sizes(videos) if videos else None,
        source_software="SLEAP",
        source_file=str(file),
    )


def _found(
    labels: sleap_io.Labels, cameras: dict[int, int], nodes: list[str]
) -> Iterator[tuple[int, int, int, np.ndarray[Any, Any], Any]]:
    """Of every animal: the frame, the camera, its place, (node, 3) x, y and score, and its track."""
    columns = {id(skeleton): [nodes.index(str(name)) for name in skeleton.node_names] for skeleton in labels.skeletons}
    taken: dict[tuple[int, int], int] = {}
    for labeled in labels.labeled_frames:
        place = (int(labeled.frame_idx), cameras[id(labeled.video)])
        for instance in _each_once(labeled):
            points = np.full((len(nodes), 3), np.nan)
            own = instance.points
            score = own["score"] if "score" in own.dtype.names else np.full(len(own), np.nan)
            values = np.column_stack([own["xy"], score])
            points[columns[id(instance.skeleton)]] = np.where(own["visible"][:, None], values, np.nan)
            slot = taken.get(place, 0)
            taken[place] = slot + 1
            yield (*place, slot, points, instance.track)


def _each_once(labeled: Any) -> Iterator[Any]:
    """The instances of a frame, those that a person placed first, without the predictions that these replace."""
    predicted = [instance for instance in labeled.instances if hasattr(instance, "score")]
    placed = [instance for instance in labeled.instances if not hasattr(instance, "score")]
    yield from placed
    replaced = {id(instance.from_predicted) for instance in placed}
    tracks = {id(instance.track) for instance in placed if instance.track is not None}
    for instance in predicted:
        if id(instance) not in replaced and id(instance.track) not in tracks:
            yield instance


def _unique(names: list[str]) -> list[str]:
    """The names, with a number where one is there twice: tracks of a project need not have different names."""
    count: dict[str, int] = {}
    unique = []
    for name in names:
        count[name] = count.get(name, 0) + 1
        unique.append(name if count[name] == 1 else f"{name} ({count[name]})")
    return unique
