"""What all writers of labels need: a place for the images, and words for what a format cannot hold."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from calibration.errors import InvalidValueError, SuiteWarning
from calibration.files import atomic_path
from pose3d.labeling.labels import LabeledImage, Labels, Visibility

__all__ = [
    "copy_images",
    "edges_as_numbers",
    "folder_of",
    "frame_names",
    "one_annotator",
    "warn_lost",
    "warn_visibility",
]


def warn_lost(count: int, what: str) -> None:
    """Say what the format cannot hold."""
    if count:
        warnings.warn(f"{count} {what}", SuiteWarning, stacklevel=4)


def warn_visibility(labels: Labels, *, occluded: bool = False, unplaced: bool = False, absent: bool = False) -> None:
    """Say which visibilities get lost.

    Args:
        labels: what is written.
        occluded: the format holds that a keypoint with a position is occluded.
        unplaced: it holds that one without a position is occluded.
        absent: it holds that one is absent.
    """
    hidden = labels.visibility == Visibility.OCCLUDED
    if not occluded:
        warn_lost(int((hidden & labels.has_position).sum()), "occluded keypoints are written as visible")
    if not unplaced:
        warn_lost(int((hidden & ~labels.has_position).sum()), "occluded keypoints without a position are left out")
    if not absent:
        warn_lost(int((labels.visibility == Visibility.ABSENT).sum()), "absent keypoints are written as not labeled")


def one_annotator(labels: Labels, tool: str) -> str:
    """The annotator of labels for a format that holds one.

    Raises:
        InvalidValueError: several annotators labeled the same image.

    Warns:
        SuiteWarning: several labeled different images; their names get lost.
    """
    names = sorted(set(labels.annotator))
    images = [frame.image for frame in labels.frames]
    if len(set(images)) < len(images):
        raise InvalidValueError(
            f"labels for {tool}",
            expected="one annotator per image",
            got=f"images with labels of {', '.join(names)}",
            remedy="Choose one: --annotator NAME.",
        )
    if len(names) > 1:
        warnings.warn(f"{tool} holds one annotator: the names {', '.join(names)} are lost", SuiteWarning, stacklevel=3)
        return "several"
    return names[0] if names else ""


def folder_of(image: LabeledImage) -> str:
    """A name for the video of an image: session and camera, else the folder that the image is in."""
    names = [name for name in (image.session, image.camera) if name]
    folder = PurePosixPath(image.image).parent.name
    return "_".join(names) or (folder if folder not in ("", "labeled-data") else "images")


def frame_names(labels: Labels) -> list[str]:
    """labeled-data/<video>/img<frame>.png of every image, as DeepLabCut and Lightning Pose have them."""
    taken: dict[str, str] = {}
    names = []
    for frame in labels.frames:
        suffix = PurePosixPath(frame.image).suffix or ".png"
        stem = f"img{frame.frame:06d}" if frame.frame >= 0 else PurePosixPath(frame.image).stem
        name = f"labeled-data/{folder_of(frame)}/{stem}{suffix}"
        if taken.setdefault(name, frame.image) != frame.image:
            name = f"labeled-data/{folder_of(frame)}/{frame.image.replace('/', '_')}"
            taken[name] = frame.image
        names.append(name)
    return names


def copy_images(labels: Labels, names: Sequence[str], folder: Path) -> None:
    """Copy the images of all rows to these names in a folder.

    Warns:
        SuiteWarning: image files are missing.
    """
    missing = set()
    for source, name in dict(zip(labels.image_paths, names, strict=True)).items():
        if not source.is_file():
            missing.add(name)
            continue
        with atomic_path(folder / name) as partial:
            shutil.copyfile(source, partial)
    warn_lost(len(missing), f"image files are missing and cannot be copied (first: {min(missing, default='')})")


def edges_as_numbers(labels: Labels, *, first: int = 0) -> list[list[int]]:
    """Edges by the numbers of their keypoints, which begin at `first`."""
    assert labels.skeleton is not None
    index = {name: number for number, name in enumerate(labels.keypoints, start=first)}
    return [[index[a], index[b]] for a, b in labels.skeleton.edges]
