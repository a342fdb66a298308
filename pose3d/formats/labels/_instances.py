"""Labels as animals in images, which is how COCO, CVAT and SLEAP have them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.errors import FileFormatError, InvalidValueError
from pose3d.formats._tidy import UNNAMED_INDIVIDUAL
from pose3d.labeling.labels import LabeledImage, Labels, Visibility
from pose3d.skeleton import Skeleton

__all__ = ["Instance", "Point", "instances_of", "labels_of_instances"]


@dataclass(frozen=True)
class Point:
    """A keypoint: its position in pixels (None where it has none) and what was said of it."""

    position: tuple[float, float] | None
    visibility: Visibility


@dataclass(frozen=True)
class Instance:
    """One animal in one image, as one annotator saw it.

    Attributes:
        image: number of the image.
        points: keypoint -> point; those that are not there are not labeled.
        individual: the name of the animal; None where the file does not tell animals apart.
        annotator: who labeled it; empty where it is not known.
    """

    image: int
    points: Mapping[str, Point]
    individual: str | None = None
    annotator: str = ""


def labels_of_instances(
    images: Sequence[LabeledImage], instances: Sequence[Instance], skeleton: Skeleton, root: Path, file: Path
) -> Labels:
    """Labels out of animals; those without a name are called by their order in the image.

    Images without animals are in the labels, too, with nothing labeled.

    Raises:
        FileFormatError: an animal of a name is twice in an image; a position is infinite.
    """
    rows = _rows(len(images), instances)
    named = _named(images, instances, rows, file)
    individuals = _in_order(dict.fromkeys(name for _, name, _ in named)) or (UNNAMED_INDIVIDUAL,)
    position = np.full((len(rows), len(individuals), len(skeleton.keypoints), 2), np.nan)
    visibility = np.zeros(position.shape[:-1], dtype=np.int8)
    for row, name, instance in named:
        for keypoint, point in instance.points.items():
            place = row, individuals.index(name), skeleton.keypoints.index(keypoint)
            visibility[place] = point.visibility
            if point.position is not None:
                position[place] = point.position
    try:
        return Labels(
            skeleton.keypoints,
            tuple(images[number] for number, _ in rows),
            position,
            visibility,
            individuals,
            tuple(annotator for _, annotator in rows),
            root,
            skeleton,
        )
    except InvalidValueError as error:
        raise FileFormatError(
            f"{file}, {error.subject}", expected=error.expected, got=error.got, remedy=error.remedy
        ) from error


def _rows(count: int, instances: Sequence[Instance]) -> dict[tuple[int, str], int]:
    """The row of every image and annotator; an image that nobody labeled has one, too."""
    annotators: dict[int, set[str]] = {}
    for instance in instances:
        annotators.setdefault(instance.image, set()).add(instance.annotator)
    pairs = [(image, annotator) for image in range(count) for annotator in sorted(annotators.get(image, {""}))]
    return {pair: row for row, pair in enumerate(pairs)}


def _named(
    images: Sequence[LabeledImage], instances: Sequence[Instance], rows: Mapping[tuple[int, str], int], file: Path
) -> list[tuple[int, str, Instance]]:
    """Row, name of the animal, and animal."""
    named: list[tuple[int, str, Instance]] = []
    counts: dict[int, int] = {}
    seen: set[tuple[int, str]] = set()
    for instance in instances:
        row = rows[instance.image, instance.annotator]
        name = instance.individual
        if name is None:
            name = f"{UNNAMED_INDIVIDUAL[:-1]}{counts.get(row, 0)}"
            counts[row] = counts.get(row, 0) + 1
        if (row, name) in seen:
            raise FileFormatError(
                f"{file}, image '{images[instance.image].image}'",
                expected="every animal once",
                got=f"'{name}' twice",
                remedy="Remove one of them, or give them different names.",
            )
        seen.add((row, name))
        named.append((row, name, instance))
    return named


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Names as they came; those that only count (individual_2) by their numbers."""
    prefix = UNNAMED_INDIVIDUAL[:-1]
    listed = tuple(names)
    counted = all(name.removeprefix(prefix).isdigit() for name in listed)
    return tuple(sorted(listed, key=lambda name: int(name.removeprefix(prefix)))) if counted else listed


def instances_of(labels: Labels) -> Iterator[tuple[int, int, Instance]]:
    """Every animal of which anything is labeled: its row, the number of the individual, and what is labeled."""
    for row, individual in zip(*np.nonzero((labels.visibility != Visibility.UNLABELED).any(axis=-1)), strict=True):
        points = {}
        for index, keypoint in enumerate(labels.keypoints):
            seen = Visibility(int(labels.visibility[row, individual, index]))
            x, y = map(float, labels.position[row, individual, index])
            if seen is not Visibility.UNLABELED:
                points[keypoint] = Point((x, y) if np.isfinite(x) else None, seen)
        yield (
            int(row),
            int(individual),
            Instance(int(row), points, labels.individuals[individual], labels.annotator[row]),
        )
