"""SLEAP projects (.slp), through sleap-io: what people labeled, not what a network predicted.

A keypoint that is marked as not visible is occluded; one without a position is not labeled. Tracks are individuals.
Pixels are as here from format 1.1 on, and sleap-io shifts older ones, see docs/pose-formats.md.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.errors import FileFormatError, InvalidValueError, OutputError, SuiteWarning
from calibration.video import image_size
from pose3d.formats._hdf5 import DAMAGE, peek_hdf5
from pose3d.formats.labels._export import copy_images, edges_as_numbers, folder_of, one_annotator, warn_visibility
from pose3d.formats.labels._instances import Instance, Point, instances_of, labels_of_instances
from pose3d.formats.labels.label_format import LabelFormat
from pose3d.labeling.labels import LabeledImage, Labels, Visibility
from pose3d.skeleton import Skeleton

if TYPE_CHECKING:
    import sleap_io

__all__ = ["FORMAT", "read_sleap_labels", "write_sleap_labels"]

_WHAT = "a SLEAP project (.slp) with labels"


def read_sleap_labels(path: Path) -> Labels:
    """Labels of a SLEAP project, or of a folder with one labels.slp.

    Frames of a video get the name <video>/<frame>.png, which need not exist: `pose3d labels import` takes them out of
    the video.

    Raises:
        FileFormatError: sleap-io is not installed; the file is missing, damaged, or has no labels by people.

    Warns:
        SuiteWarning: predictions are left out.
    """
    file = path / "labels.slp" if path.is_dir() else path
    project = _load(file)
    frames = [frame for frame in project.labeled_frames if frame.user_instances]
    predicted = sum(len(frame.predicted_instances) for frame in project.labeled_frames)
    if not frames:
        raise FileFormatError(
            file,
            expected=_WHAT,
            got=f"no labels by people, {predicted} predicted animals",
            remedy="Correct predictions in SLEAP, which makes labels of them, or load them as poses.",
        )
    if predicted:
        warnings.warn(f"{file}: {predicted} predicted animals are left out", SuiteWarning, stacklevel=3)
    skeleton = _skeleton(project, file)
    annotator = str(project.provenance.get("annotator", ""))
    places = {id(video): _place(video, file.parent) for video in project.videos}
    images, instances = [], []
    for number, frame in enumerate(frames):
        images.append(_image(places[id(frame.video)], int(frame.frame_idx), file.parent))
        for instance in frame.user_instances:
            track = None if instance.track is None else str(instance.track.name)
            instances.append(Instance(number, _points(instance), track, annotator))
    return labels_of_instances(images, instances, skeleton, file.parent, file)


def _load(file: Path) -> sleap_io.Labels:
    if not file.is_file():
        raise FileFormatError(file, expected=_WHAT, got="no such file", remedy="Check the path.")
    try:
        return _sleap_io(file).load_slp(str(file), open_videos=False)
    except (*DAMAGE, NameError) as error:  # sleap-io does not check what it reads
        raise FileFormatError(
            file,
            expected=_WHAT,
            got=f"a file that sleap-io cannot read ({type(error).__name__}: {error})",
            remedy="Open and save it again in SLEAP.",
        ) from error


def _sleap_io(subject: object) -> Any:
    try:
        import sleap_io
    except ImportError as error:
        raise FileFormatError(
            subject,
            expected="the package sleap-io, which reads and writes .slp files",
            got="it is not installed",
            remedy="Install it with `pip install 'pose3d-suite[formats]'`.",
        ) from error
    return sleap_io


def _skeleton(project: sleap_io.Labels, file: Path) -> Skeleton:
    first = project.skeletons[0]
    pairs = tuple(tuple(sorted(node.name for node in symmetry.nodes)) for symmetry in first.symmetries)
    try:
        return Skeleton(
            first.name or "labels",
            tuple(first.node_names),
            tuple((edge.source.name, edge.destination.name) for edge in first.edges),
            tuple((pair[0], pair[1]) for pair in dict.fromkeys(pairs)),
        )
    except InvalidValueError as error:
        raise FileFormatError(
            f"{file}, skeleton", expected=error.expected, got=error.got, remedy=error.remedy
        ) from error


def _place(video: sleap_io.Video, folder: Path) -> str | list[str]:
    """The video, or the images of one, relative to the folder of the project where they are there."""
    names = video.filename
    if isinstance(names, list):
        return [_found(str(name), folder) for name in names]
    return _found(str(names), folder)


def _found(name: str, folder: Path) -> str:
    posix = PureWindowsPath(name).as_posix() if "\\" in name else Path(name).as_posix()
    for candidate in (posix, posix.rpartition("/")[2]):
        path = folder / candidate
        if path.is_file():
            return Path(os.path.relpath(path, folder)).as_posix() if not Path(candidate).is_absolute() else posix
    return posix


def _image(place: str | list[str], frame: int, folder: Path) -> LabeledImage:
    if isinstance(place, list):
        name = place[frame]
        try:
            size = image_size(folder / name)
        except FileFormatError:
            size = None
        return LabeledImage(name, name.rpartition("/")[0], _number(name, frame), size=size)
    stem = Path(place).stem
    return LabeledImage(f"{stem}/{frame:06d}.png", place, frame)


def _number(name: str, index: int) -> int:
    digits = "".join(letter if letter.isdigit() else " " for letter in Path(name).stem).split()
    return int(digits[-1]) if digits else index


def _points(instance: sleap_io.Instance) -> dict[str, Point]:
    points = {}
    for point in instance.points:
        x, y = map(float, point["xy"])
        if np.isfinite(x) and np.isfinite(y):
            seen = Visibility.VISIBLE if point["visible"] else Visibility.OCCLUDED
            points[str(point["name"])] = Point((x, y), seen)
    return points


def write_sleap_labels(labels: Labels, folder: Path) -> None:
    """Write labels.slp and the images into a folder.

    Raises:
        FileFormatError: sleap-io is not installed.
        InvalidValueError: several annotators labeled the same image.
        OutputError: a file cannot be written.

    Warns:
        SuiteWarning: absent keypoints, and occluded ones without a position, get lost; image files are missing.
    """
    assert labels.skeleton is not None
    sio = _sleap_io(folder)
    annotator = one_annotator(labels, "SLEAP")
    warn_visibility(labels, occluded=True)
    names = [f"images/{frame.image.removeprefix('images/')}" for frame in labels.frames]
    copy_images(labels, names, folder)
    groups: dict[str, list[int]] = {}
    for row, frame in enumerate(labels.frames):
        groups.setdefault(folder_of(frame), []).append(row)
    pairs = labels.skeleton.mirrored_pairs
    nodes = [sio.Node(name) for name in labels.keypoints]
    skeleton = sio.Skeleton(
        nodes,
        [sio.Edge(nodes[a], nodes[b]) for a, b in edges_as_numbers(labels)],
        [sio.Symmetry({nodes[place] for place in map(labels.keypoints.index, pair)}) for pair in pairs],
        name=labels.skeleton.name,
    )
    tracks = [sio.Track(name) for name in labels.individuals]
    instances: dict[int, list[Any]] = {}
    for row, individual, _ in instances_of(labels):
        instances.setdefault(row, []).append(_sleap_instance(labels, row, individual, skeleton, tracks, sio))
    videos, frames = [], []
    for rows in groups.values():
        video = _video([names[row] for row in rows], labels.frames[rows[0]].size, sio)
        videos.append(video)
        frames += [sio.LabeledFrame(video, index, instances.get(row, [])) for index, row in enumerate(rows)]
    project = sio.Labels(frames, videos, [skeleton], tracks, provenance={"annotator": annotator})
    try:
        sio.save_slp(project, str(folder / "labels.slp"), verbose=False)
    except OSError as error:
        raise OutputError(
            folder / "labels.slp",
            expected="to write the file",
            got=str(error),
            remedy="Check free space and permissions.",
        ) from error


def _video(names: list[str], size: tuple[int, int] | None, sio: Any) -> Any:
    """A video that is a list of images; opening them is not needed to write it."""
    backend: dict[str, object] = {"type": "ImageVideo", "filename": names[0], "filenames": names, "grayscale": None}
    backend["shape"] = None if size is None else [len(names), size[1], size[0], 3]
    return sio.Video(names, backend_metadata=backend, open_backend=False)


def _sleap_instance(labels: Labels, row: int, individual: int, skeleton: Any, tracks: list[Any], sio: Any) -> Any:
    instance = sio.Instance.from_numpy(labels.position[row, individual].copy(), skeleton, tracks[individual])
    instance.points["visible"] = labels.visibility[row, individual] == Visibility.VISIBLE
    return instance


def _sniff(path: Path) -> bool:
    file = path / "labels.slp" if path.is_dir() else path
    return peek_hdf5(file, lambda content: "metadata" in content and "json" in content["metadata"].attrs)


FORMAT = LabelFormat(
    name="sleap",
    description="SLEAP project .slp: what people labeled (needs the extra `formats`)",
    sniff=_sniff,
    read=read_sleap_labels,
    write=write_sleap_labels,
)
