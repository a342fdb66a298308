"""A DeepLabCut project of labels: config.yaml, labeled-data with images and CollectedData files."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from calibration.errors import SuiteWarning
from calibration.files import atomic_path, write_text
from pose3d.formats._tidy import UNNAMED_INDIVIDUAL
from pose3d.formats.labels._export import copy_images, frame_names, warn_visibility
from pose3d.formats.labels._tables import UNIQUE, table_of_labels
from pose3d.labeling.labels import Labels, Visibility

__all__ = ["write_deeplabcut_labels"]


def write_deeplabcut_labels(labels: Labels, folder: Path) -> None:
    """Write a DeepLabCut project into a folder: config.yaml, and labeled-data with the images.

    Every annotator is a scorer with files of their own. DeepLabCut knows a position or none: other visibilities get
    lost.

    Raises:
        OutputError: a file cannot be written.

    Warns:
        SuiteWarning: visibilities get lost; image files are missing; h5 cannot be written without the package tables.
    """
    assert labels.skeleton is not None
    warn_visibility(labels)
    names = frame_names(labels)
    copy_images(labels, names, folder)
    if labels.skeleton.mirrored_pairs:
        warnings.warn(f"{len(labels.skeleton.mirrored_pairs)} mirrored pairs are left out", SuiteWarning, stacklevel=3)
    placed = replace(
        labels, visibility=np.where(labels.has_position, Visibility.VISIBLE, Visibility.UNLABELED).astype(np.int8)
    )
    # Columns are the same in all files of a project.
    whole = table_of_labels(placed, "", names).droplevel("scorer", axis=1)
    folders = [str(PurePosixPath(name).parent) for name in names]
    for place, annotator in dict.fromkeys(zip(folders, labels.annotator, strict=True)):
        chosen = [pair == (place, annotator) for pair in zip(folders, labels.annotator, strict=True)]
        part = pd.concat({annotator or "unknown": whole[chosen]}, axis=1, names=["scorer"])
        _write_table(part, folder / place / f"CollectedData_{annotator or 'unknown'}")
    write_text(
        folder / "config.yaml",
        _config(labels, sorted(set(folders)), [tuple(map(str, names)) for names in whole.columns]),
    )


def _write_table(table: pd.DataFrame, stem: Path) -> None:
    # DeepLabCut names rows by three levels: labeled-data, video, image.
    table = table.set_axis(pd.MultiIndex.from_tuples([tuple(str(name).split("/")) for name in table.index]), axis=0)
    write_text(stem.with_name(f"{stem.name}.csv"), table.to_csv(lineterminator="\n"))
    try:
        import tables
    except ImportError:
        warnings.warn(
            "h5 files are not written, because the package tables is not installed: in DeepLabCut, run "
            "convertcsv2h5 on the new project",
            SuiteWarning,
            stacklevel=4,
        )
        return
    with atomic_path(stem.with_name(f"{stem.name}.h5")) as partial, warnings.catch_warnings():
        # PyTables says that names like labeled-data are no names of Python.
        warnings.simplefilter("ignore", tables.NaturalNameWarning)
        warnings.simplefilter("ignore", pd.errors.PerformanceWarning)
        table.to_hdf(partial, key="df_with_missing", mode="w")


def _config(labels: Labels, folders: list[str], columns: Iterable[tuple[str, ...]]) -> str:
    import yaml

    assert labels.skeleton is not None
    several = labels.individuals != (UNNAMED_INDIVIDUAL,)
    names = [PurePosixPath(folder).name for folder in folders]
    sizes = {
        PurePosixPath(image).parent.name: frame.size
        for image, frame in zip(frame_names(labels), labels.frames, strict=True)
        if frame.size is not None
    }
    content: dict[str, object] = {
        "Task": labels.skeleton.name,
        "scorer": next((name for name in labels.annotator if name), "unknown"),
        "date": "exported",
        "multianimalproject": several,
        "project_path": ".",
        # DeepLabCut finds the folder of a video by its name.
        "video_sets": {
            f"videos/{name}.mp4": {"crop": ", ".join(map(str, (0, sizes[name][0], 0, sizes[name][1])))}
            if name in sizes
            else {}
            for name in names
        },
    }
    if several:
        unique = [names[1] for names in columns if names[0] == UNIQUE and names[2] == "x"]
        animals = [name for name in labels.individuals if name != UNIQUE]
        content |= {
            "individuals": animals,
            "uniquebodyparts": unique,
            "multianimalbodyparts": [name for name in labels.keypoints if name not in unique],
            "bodyparts": "MULTI!",
        }
    else:
        content["bodyparts"] = list(labels.keypoints)
    content |= {
        "skeleton": [list(edge) for edge in labels.skeleton.edges],
        "TrainingFraction": [0.95],
        "iteration": 0,
        "default_net_type": "resnet_50",
        "numframes2pick": 20,
        "start": 0,
        "stop": 1,
        "pcutoff": 0.6,
        "snapshotindex": -1,
        "cropping": False,
    }
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
