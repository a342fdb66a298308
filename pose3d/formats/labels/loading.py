"""`read_labels` and `write_labels`: labels of any known format."""

from __future__ import annotations

import os
import secrets
import shutil
import warnings
from pathlib import Path

import numpy as np

from calibration.errors import InvalidValueError, OutputError, SuiteWarning
from pose3d.formats.labels._registry import detect_format, named_format
from pose3d.labeling.labels import Labels

__all__ = ["read_labels", "write_labels"]


def read_labels(path: str | os.PathLike[str], format: str | None = None) -> Labels:  # noqa: A002
    """Labels from a file or folder of another tool, in this package's conventions.

    Positions are in pixels, the center of the top-left pixel is (0, 0). Paths of images are relative to `Labels.root`.
    No label is left out: those outside of their image and those of missing images are kept, and counted in warnings.

    Args:
        path: a DeepLabCut project, its folder labeled-data or a CollectedData file; a CollectedData.csv of Lightning
            Pose; a SLEAP project; COCO keypoints; annotations of CVAT; or a folder with one of these.
        format: a name out of `LABEL_FORMATS`; by default the content says it.

    Raises:
        FileFormatError: the path is in no known format, damaged, or holds no labels.
        InvalidValueError: the format is unknown, or a label is infinite.

    Warns:
        SuiteWarning: image files are missing, labels lie outside of their image, or rows are repeated.
    """
    place = Path(path)
    known = detect_format(place) if format is None else named_format(format)
    labels = known.read(place)
    _warn_of_missing_images(labels, place)
    _warn_of_labels_outside(labels, place)
    return labels


def write_labels(labels: Labels, path: str | os.PathLike[str], format: str) -> None:  # noqa: A002
    """Write labels, and copies of their images, into a new folder, in the format of another tool.

    Args:
        labels: with `root`, under which the images are.
        path: the folder, which must not exist, or be empty.
        format: a name out of `LABEL_FORMATS`.

    Raises:
        InvalidValueError: the format is unknown, or cannot hold these labels at all; there is no label.
        OutputError: there is something in the folder, or it cannot be written.

    Warns:
        SuiteWarning: what the format cannot hold; image files that are missing.
    """
    known = named_format(format)
    folder = Path(path)
    if not len(labels):
        raise InvalidValueError(
            "labels", expected="at least one labeled image", got="none", remedy="Label or import some images first."
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(
            folder,
            expected="a new or empty folder",
            got="one with something in it" if folder.is_dir() else "a file",
            remedy="Choose another name; nothing was written.",
        )
    partial = folder.with_name(f".part-{secrets.token_hex(8)}-{folder.name}")
    try:
        partial.mkdir(parents=True)
        known.write(labels, partial)
        if folder.is_dir():
            folder.rmdir()
        partial.rename(folder)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            folder,
            expected="to write the folder completely",
            got=error.strerror or str(error),
            remedy="Check free space and permissions.",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _warn_of_missing_images(labels: Labels, path: Path) -> None:
    # SLEAP has frames of videos, which are no image files.
    films = {video: (labels.root / video).is_file() for video in {frame.video for frame in labels.frames}}
    missing = [frame.image for frame in labels.frames if frame.size is None and not films[frame.video]]
    if missing:
        warnings.warn(
            f"{path}: {len(missing)} of {len(labels)} image files are missing or cannot be read (first: {missing[0]}); "
            "their labels are kept",
            SuiteWarning,
            stacklevel=3,
        )


def _warn_of_labels_outside(labels: Labels, path: Path) -> None:
    if not len(labels):
        return
    sizes = np.array([frame.size or (np.inf, np.inf) for frame in labels.frames])[:, None, None]
    # Pixels reach half a pixel beyond their centers.
    outside = ((labels.position < -0.5) | (labels.position > sizes - 0.5)).any(axis=-1)
    if outside.any():
        row, individual, keypoint = (int(index[0]) for index in np.nonzero(outside))
        x, y = labels.position[row, individual, keypoint]
        warnings.warn(
            f"{path}: {int(outside.sum())} labels lie outside of their image and are kept (first: "
            f"{labels.frames[row].image}, {labels.keypoints[keypoint]} at ({x:.1f}, {y:.1f}))",
            SuiteWarning,
            stacklevel=3,
        )
