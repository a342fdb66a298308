"""DeepLabCut's labels: a whole project, its folder labeled-data, or one CollectedData file, of one animal or several.

h5 and csv hold the same table; where both are there, DeepLabCut trains on the h5, so that is read. The scorer is the
annotator, so a project labeled by two people gives both. Pixels are as here, see docs/pose-formats.md.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from calibration.errors import FileFormatError, InvalidValueError, SuiteWarning
from pose3d.formats._pandas_hdf5 import read_table
from pose3d.formats._pose_csv import peek_pose_csv, read_pose_csv
from pose3d.formats._pose_table import looks_2d
from pose3d.formats.labels._deeplabcut_writing import write_deeplabcut_labels
from pose3d.formats.labels._images import root_of_images, videos_of_folders
from pose3d.formats.labels._tables import labels_of_table
from pose3d.formats.labels.label_format import LabelFormat
from pose3d.labeling.labels import Labels, joined
from pose3d.skeleton import Skeleton

__all__ = ["FORMAT", "belongs_to_deeplabcut", "read_deeplabcut_labels", "write_deeplabcut_labels"]

_WHAT = "a DeepLabCut project, its folder labeled-data, or a CollectedData file in it"
# A configuration has a few kilobytes.
_LARGEST_CONFIG = 10_000_000


def read_deeplabcut_labels(path: Path) -> Labels:
    """Labels of a project, of a folder in it, or of one CollectedData file.

    Raises:
        FileFormatError: there is no CollectedData file, one is damaged, or config.yaml cannot be read.

    Warns:
        SuiteWarning: h5 and csv beside it differ.
    """
    files = [path] if path.is_file() else _label_files(path)
    if not files:
        raise FileFormatError(
            path,
            expected=_WHAT,
            got="no CollectedData file in it" if path.exists() else "no such file or folder",
            remedy="Label some frames in DeepLabCut, or check the path.",
        )
    return _with_skeleton(joined([_read_file(file) for file in files]))


def belongs_to_deeplabcut(path: Path) -> bool:
    """True for the name and place that DeepLabCut gives to a file of labels."""
    return path.name.startswith("CollectedData_") or path.parent.parent.name == "labeled-data"


def _label_files(folder: Path) -> list[Path]:
    """The CollectedData files of a project, of labeled-data, or of the folder of one video; h5 before csv."""
    places = [folder / "labeled-data", folder]
    place = next((place for place in places if place.is_dir()), folder)
    found = [*place.glob("CollectedData_*"), *place.glob("*/CollectedData_*")]
    chosen: dict[Path, Path] = {}
    for file in sorted(found):  # csv comes before h5, which replaces it
        if file.suffix.lower() in (".csv", ".h5"):
            chosen[file.with_suffix("")] = file
    return list(chosen.values())


def _read_file(file: Path) -> Labels:
    is_table = file.suffix.lower() in (".h5", ".hdf5") or h5py.is_hdf5(file)
    table = read_table(file) if is_table else read_pose_csv(file)
    candidates = file.parents[2:3] if file.parent.parent.name == "labeled-data" else file.parents[:3]
    labels = labels_of_table(table, file, lambda names: root_of_images(names, candidates), videos_of_folders)
    if is_table and file.with_suffix(".csv").is_file():
        _compare(labels, file.with_suffix(".csv"))
    return labels


def _compare(labels: Labels, csv: Path) -> None:
    """Warn where the csv beside an h5 says something else: one of them was changed by hand."""
    try:
        other = labels_of_table(read_pose_csv(csv), csv, lambda _: labels.root, lambda _: {})
    except FileFormatError as error:
        warnings.warn(f"{csv}: cannot be read, the h5 beside it is used ({error.got})", SuiteWarning, stacklevel=4)
        return
    names = [frame.image for frame in labels.frames]
    same = (
        names == [frame.image for frame in other.frames]
        and labels.keypoints == other.keypoints
        and labels.individuals == other.individuals
        and np.allclose(labels.position, other.position, rtol=0, atol=1e-6, equal_nan=True)
    )
    if not same:
        warnings.warn(
            f"{csv}: differs from the h5 beside it; the h5 is used, as DeepLabCut does. "
            "If the csv is right, give it by its own path.",
            SuiteWarning,
            stacklevel=4,
        )


def _with_skeleton(labels: Labels) -> Labels:
    """The labels with the edges of config.yaml; those that name unknown bodyparts are left out."""
    file = labels.root / "config.yaml"
    edges = _read_config(file).get("skeleton") if file.is_file() else None
    pairs = []
    for edge in edges if isinstance(edges, list) else []:
        names = [str(name) for name in edge] if isinstance(edge, list) else []
        if len(names) == 2 and set(names) <= set(labels.keypoints):
            pairs.append((names[0], names[1]))
    try:
        skeleton = Skeleton(file.parent.name or "labels", labels.keypoints, tuple(dict.fromkeys(pairs)))
    except InvalidValueError as error:
        raise FileFormatError(
            f"{file}, skeleton", expected=error.expected, got=error.got, remedy=error.remedy
        ) from error
    return replace(labels, skeleton=skeleton)


def _read_config(file: Path) -> dict[str, object]:
    import yaml

    try:
        if file.stat().st_size > _LARGEST_CONFIG:
            raise ValueError(f"{file.stat().st_size} bytes")
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise FileFormatError(
            file,
            expected="the configuration of a DeepLabCut project",
            got=f"a file that cannot be read as YAML ({str(error).splitlines()[0]})",
            remedy="Correct the file, or give the folder labeled-data instead.",
        ) from error
    return content if isinstance(content, dict) else {}


def _sniff(path: Path) -> bool:
    if path.is_dir():
        return bool(_label_files(path))
    if not belongs_to_deeplabcut(path) or not path.is_file():
        return False
    table = peek_pose_csv(path)
    return h5py.is_hdf5(path) if table is None else looks_2d(table)


FORMAT = LabelFormat(
    name="deeplabcut",
    description="DeepLabCut project or CollectedData file (h5, csv), one animal or several",
    sniff=_sniff,
    read=read_deeplabcut_labels,
    write=write_deeplabcut_labels,
)
