"""Labels as rows of the database, and rows as labels."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from pose3d.labeling._journal import LabelChange, Place, Value
from pose3d.labeling.labels import LabeledImage, Labels, Visibility
from pose3d.skeleton import Skeleton

__all__ = ["NO_LABEL", "add_images", "current_values", "ids", "images", "labels_of_rows", "wanted_changes"]

NO_LABEL: Value = (None, None, 0)

_NAMES = {
    "keypoints": "SELECT name, id FROM keypoints",
    "individuals": "SELECT name, id FROM individuals",
    "images": "SELECT image, id FROM images",
}


def images(connection: sqlite3.Connection) -> dict[int, LabeledImage]:
    """The images that are there, by their id, in the order of session, camera, video and frame."""
    rows = connection.execute(
        "SELECT id, image, video, frame, session, camera, width, height FROM images WHERE present"
        " ORDER BY session, camera, video, frame, image"
    )
    return {
        number: LabeledImage(image, video, frame, session, camera, None if width is None else (width, height))
        for number, image, video, frame, session, camera, width, height in rows
    }


def add_images(connection: sqlite3.Connection, wanted: Iterable[LabeledImage]) -> list[tuple[int, bool]]:
    """Register images; those that are there already only learn what was not known of them.

    Returns:
        ids of the images that were not there, with True: what the journal wants.
    """
    new = []
    for image in {image.image: image for image in wanted}.values():
        row = connection.execute("SELECT id, present FROM images WHERE image = ?", (image.image,)).fetchone()
        width, height = image.size or (None, None)
        if row is None:
            cursor = connection.execute(
                "INSERT INTO images (image, video, frame, session, camera, width, height, present)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
                (image.image, image.video, image.frame, image.session, image.camera, width, height),
            )
            assert cursor.lastrowid is not None
            new.append((cursor.lastrowid, True))
            continue
        connection.execute(
            "UPDATE images SET width = coalesce(?, width), height = coalesce(?, height) WHERE id = ?",
            (width, height, row[0]),
        )
        if not row[1]:
            new.append((row[0], True))
    return new


def ids(connection: sqlite3.Connection, table: Literal["keypoints", "individuals", "images"]) -> dict[str, int]:
    """Name -> id, of keypoints, individuals or images."""
    return dict(connection.execute(_NAMES[table]))


def current_values(connection: sqlite3.Connection, image_ids: Sequence[int]) -> dict[Place, Value]:
    """The labels of images, by their place."""
    found: dict[Place, Value] = {}
    for image in image_ids:
        for row in connection.execute(
            "SELECT image, individual, keypoint, annotator, x, y, visibility FROM labels WHERE image = ?", (image,)
        ):
            found[tuple(row[:4])] = tuple(row[4:])
    return found


def wanted_changes(connection: sqlite3.Connection, labels: Labels) -> list[LabelChange]:
    """What has to change so that all that `labels` say stands in the database; unlabeled is not said.

    Images, individuals and keypoints must be known.
    """
    keypoints, individuals, known = (
        ids(connection, "keypoints"),
        ids(connection, "individuals"),
        ids(connection, "images"),
    )
    rows = [known[frame.image] for frame in labels.frames]
    current = current_values(connection, sorted(set(rows)))
    changes = []
    for row, animal, point in zip(*np.nonzero(labels.visibility), strict=True):
        place = (
            rows[row],
            individuals[labels.individuals[animal]],
            keypoints[labels.keypoints[point]],
            labels.annotator[row],
        )
        x, y = labels.position[row, animal, point]
        placed = bool(np.isfinite(x))
        new = (float(x) if placed else None, float(y) if placed else None, int(labels.visibility[row, animal, point]))
        changes.append(LabelChange(place, current.get(place, NO_LABEL), new))
    return changes


def labels_of_rows(
    connection: sqlite3.Connection, skeleton: Skeleton, root: Path, annotator: str | None, *, unlabeled: bool
) -> Labels:
    """All labels, or those of one annotator.

    Args:
        connection: inside a transaction.
        skeleton: its keypoints, in its order.
        root: of the paths of the images.
        annotator: None for all of them.
        unlabeled: images without labels are in it, too, with the annotator's name (none where all are asked for).
    """
    known = images(connection)
    animals = [name for (name,) in connection.execute("SELECT name FROM individuals ORDER BY place, id")]
    animal_of = {number: animals.index(name) for name, number in ids(connection, "individuals").items()}
    point_of = {
        number: skeleton.keypoints.index(name)
        for name, number in ids(connection, "keypoints").items()
        if name in skeleton.keypoints
    }
    values = connection.execute(
        "SELECT image, annotator, individual, keypoint, x, y, visibility FROM labels"
        " WHERE ? IS NULL OR annotator = ? ORDER BY annotator",
        (annotator, annotator),
    ).fetchall()
    people: dict[int, list[str]] = {number: [] for number in known}
    for image, person in dict.fromkeys((row[0], row[1]) for row in values):
        people[image].append(person)
    if unlabeled:
        people = {number: names or [annotator or ""] for number, names in people.items()}
    rows = {pair: index for index, pair in enumerate((i, name) for i, names in people.items() for name in names)}
    position = np.full((len(rows), len(animals), len(skeleton.keypoints), 2), np.nan)
    visibility = np.full(position.shape[:-1], Visibility.UNLABELED, dtype=np.int8)
    for image, person, animal, point, x, y, seen in values:
        place = rows[image, person], animal_of[animal], point_of[point]
        visibility[place] = seen
        if x is not None:
            position[place] = x, y
    return Labels(
        skeleton.keypoints,
        tuple(known[image] for image, _ in rows),
        position,
        visibility,
        tuple(animals),
        tuple(person for _, person in rows),
        root,
        skeleton,
    )
