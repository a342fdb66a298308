"""The table that DeepLabCut and Lightning Pose share, as labels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calibration.errors import FileFormatError, SuiteWarning
from pose3d.formats._pose_table import PoseTable, looks_2d
from pose3d.formats._tidy import UNNAMED_INDIVIDUAL
from pose3d.formats.labels._images import image_names, labeled_images
from pose3d.labeling.labels import LabeledImage, Labels, Visibility

__all__ = ["UNIQUE", "labels_of_table", "table_of_labels"]

UNIQUE = "single"
"""The individual to which DeepLabCut gives bodyparts that are there once, whatever the number of animals."""

# COCO's numbers, which Lightning Pose's column `visible` has too, and what they are here.
_COCO_VISIBILITY = {0: Visibility.UNLABELED, 1: Visibility.OCCLUDED, 2: Visibility.VISIBLE}


def labels_of_table(
    table: PoseTable, file: Path, root_of: Callable[[Sequence[str]], Path], videos: Callable[[Path], dict[str, str]]
) -> Labels:
    """Labels out of a table whose rows are images.

    Args:
        table: with the levels scorer, [individuals], bodyparts, coords; coords are x, y and perhaps visible.
        file: for messages.
        root_of: the folder that the names of the images are relative to, from the names.
        videos: see `labeled_images`, from that folder.

    Raises:
        FileFormatError: columns are missing or repeated; there is no row; an image is there twice with other labels.
    """
    if not looks_2d(table):
        raise FileFormatError(
            file,
            expected="a table of labels, with the coords x and y for every bodypart",
            got=f"the coords {', '.join(dict.fromkeys(table.level('coords') or ['none']))}",
            remedy="Give the CollectedData file of the labels.",
        )
    if not table.rows:
        raise FileFormatError(
            file, expected="one row per labeled image", got="no rows", remedy="Label some images, or copy it again."
        )
    columns, scorer = _columns(table, file)
    individuals = tuple(dict.fromkeys(individual for individual, _, _ in columns))
    keypoints = tuple(dict.fromkeys(keypoint for _, keypoint, _ in columns))

    def values(coord: str) -> NDArray[np.float64]:
        index = np.array([[columns.get((i, k, coord), -1) for k in keypoints] for i in individuals])
        return np.where(index >= 0, table.values[:, index], np.nan)

    position = np.stack([values("x"), values("y")], axis=-1)
    position = _whole_positions(position, file)
    visibility = _visibility(values("visible"), position, file)
    position[np.isin(visibility, (Visibility.UNLABELED,))] = np.nan
    names = image_names(table.rows)
    root = root_of(names)
    images, position, visibility = _without_repeated(
        labeled_images(names, root, videos(root)), position, visibility, file
    )
    return Labels(keypoints, tuple(images), position, visibility, individuals, (scorer,) * len(images), root)


def _columns(table: PoseTable, file: Path) -> tuple[dict[tuple[str, str, str], int], str]:
    """Where (individual, keypoint, coordinate) stands, and the scorer."""
    bodyparts, coords = table.level("bodyparts"), table.level("coords")
    assert bodyparts is not None
    assert coords is not None
    individuals = table.level("individuals") or [UNNAMED_INDIVIDUAL] * len(coords)
    scorers = sorted(set(table.level("scorer") or [""]))
    if len(scorers) > 1:
        raise FileFormatError(
            file,
            expected="labels by one scorer",
            got=f"{len(scorers)} scorers: {', '.join(scorers[:5])}",
            remedy="Save the table of each scorer to a file of its own.",
        )
    columns: dict[tuple[str, str, str], int] = {}
    for index, key in enumerate(zip(individuals, bodyparts, coords, strict=True)):
        if key in columns:
            raise FileFormatError(
                f"{file}, keypoint '{key[1]}' of '{key[0]}'",
                expected=f"one column '{key[2]}'",
                got="the same column twice",
                remedy="Remove or rename the repeated column.",
            )
        columns[key] = index
    for individual, keypoint, _ in columns:
        missing = [coord for coord in ("x", "y") if (individual, keypoint, coord) not in columns]
        if missing:
            raise FileFormatError(
                f"{file}, keypoint '{keypoint}' of '{individual}'",
                expected="the columns x and y",
                got=f"no column {' and '.join(missing)}",
                remedy="Export the table again with all its columns.",
            )
    return columns, scorers[0]


def _whole_positions(position: NDArray[np.float64], file: Path) -> NDArray[np.float64]:
    """Positions with both coordinates; half a position places nothing."""
    half = np.asarray(np.isnan(position).any(axis=-1) & ~np.isnan(position).all(axis=-1))
    if half.any():
        warnings.warn(
            f"{file}: {int(half.sum())} labels have only one coordinate and count as not labeled",
            SuiteWarning,
            stacklevel=4,
        )
    return np.where(half[..., None], np.nan, position)


def _visibility(flags: NDArray[np.float64], position: NDArray[np.float64], file: Path) -> NDArray[np.int8]:
    """Visibility by the column `visible`, else by whether there is a position."""
    placed = np.isfinite(position[..., 0])
    visibility = np.where(placed, Visibility.VISIBLE, Visibility.UNLABELED).astype(np.int8)
    for number, meaning in _COCO_VISIBILITY.items():
        # What is visible has a position; without one it is not labeled.
        told = (flags == number) & (placed | (meaning is not Visibility.VISIBLE))
        visibility[told] = meaning
    unknown = np.asarray(np.isfinite(flags) & ~np.isin(flags, list(_COCO_VISIBILITY)))
    hidden = np.asarray((flags == 0) & placed)
    if unknown.any():
        raise FileFormatError(
            f"{file}, column visible",
            expected="0 (not labeled), 1 (occluded) or 2 (visible)",
            got=f"{flags[unknown][0]:g}",
            remedy="Correct this number.",
        )
    if hidden.any():
        warnings.warn(
            f"{file}: {int(hidden.sum())} positions are marked as not labeled (visible = 0) and are left out",
            SuiteWarning,
            stacklevel=4,
        )
    return visibility


def _without_repeated(
    images: Sequence[LabeledImage], position: NDArray[np.float64], visibility: NDArray[np.int8], file: Path
) -> tuple[list[LabeledImage], NDArray[np.float64], NDArray[np.int8]]:
    """Rows without those that repeat an earlier one exactly.

    Raises:
        FileFormatError: an image is there twice with other labels.

    Warns:
        SuiteWarning: rows are repeated.
    """
    first: dict[str, int] = {}
    kept = []
    for row, image in enumerate(images):
        if image.image not in first:
            first[image.image] = row
            kept.append(row)
            continue
        before = first[image.image]
        same = np.array_equal(position[row], position[before], equal_nan=True) and np.array_equal(
            visibility[row], visibility[before]
        )
        if not same:
            raise FileFormatError(
                f"{file}, image '{image.image}'",
                expected="one row",
                got=f"two with different labels (rows {before + 1} and {row + 1})",
                remedy="Remove the row that is wrong.",
            )
    if len(kept) < len(images):
        warnings.warn(
            f"{file}: {len(images) - len(kept)} rows repeat an earlier row exactly and are left out",
            SuiteWarning,
            stacklevel=5,
        )
    return [images[row] for row in kept], position[kept], visibility[kept]


def table_of_labels(labels: Labels, scorer: str, names: Sequence[str], *, visible: bool = False) -> pd.DataFrame:
    """The table of labels: one row per image, columns as DeepLabCut and Lightning Pose have them.

    With several animals there is the level `individuals`; an individual `single` has only the keypoints that are its
    own, and the others do not have these.

    Args:
        labels: of one annotator.
        scorer: the name of the annotator; empty becomes "unknown".
        names: of the images.
        visible: with a column `visible` after x and y.
    """
    several = labels.individuals != (UNNAMED_INDIVIDUAL,)
    coords = ("x", "y", "visible") if visible else ("x", "y")
    names_of_levels = ["scorer", *(["individuals"] if several and not visible else []), "bodyparts", "coords"]
    columns: list[tuple[str, ...]] = []
    values = []
    for individual, keypoint in _columns_of(labels):
        position = labels.position[:, individual, keypoint]
        seen = labels.visibility[:, individual, keypoint]
        flags = np.select([seen == Visibility.VISIBLE, seen == Visibility.OCCLUDED], [2, 1], 0)
        name = [labels.individuals[individual]] if "individuals" in names_of_levels else []
        for coord, column in zip(coords, (position[:, 0], position[:, 1], flags), strict=False):
            columns.append((scorer or "unknown", *name, labels.keypoints[keypoint], coord))
            values.append(column)
    index = pd.MultiIndex.from_tuples(columns, names=names_of_levels)
    table = pd.DataFrame(np.stack(values, axis=1), index=list(names), columns=index)
    return table.astype({names: int for names in columns if names[-1] == "visible"})


def _columns_of(labels: Labels) -> list[tuple[int, int]]:
    """Which individual has which keypoint."""
    used = (labels.visibility != Visibility.UNLABELED).any(axis=0)
    unique = labels.individuals.index(UNIQUE) if UNIQUE in labels.individuals else None
    pairs = []
    for individual in range(len(labels.individuals)):
        for keypoint in range(len(labels.keypoints)):
            others = bool(np.delete(used[:, keypoint], unique).any()) if unique is not None else True
            alone = unique is not None and bool(used[unique, keypoint]) and not others
            if used[individual, keypoint] or (alone if individual == unique else not alone):
                pairs.append((individual, keypoint))
    return pairs
