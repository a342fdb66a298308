"""What can be wrong with a file of labels and what it speaks of."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from calibration.errors import FileFormatError
from calibration.video import image_size
from pose3d.labeling import _rows

__all__ = ["findings"]

_LABELS_UNLIKE_JOURNAL = """
SELECT count(*) FROM (
    SELECT image, individual, keypoint, annotator, new_x, new_y, new_visibility, max(edit)
    FROM changes GROUP BY image, individual, keypoint, annotator
) AS last
LEFT JOIN labels USING (image, individual, keypoint, annotator)
WHERE new_visibility IS NOT coalesce(visibility, 0) OR new_x IS NOT x OR new_y IS NOT y
"""
_LABELS_WITHOUT_JOURNAL = """
SELECT count(*) FROM labels WHERE NOT EXISTS (
    SELECT 1 FROM changes WHERE changes.image = labels.image AND changes.individual = labels.individual
    AND changes.keypoint = labels.keypoint AND changes.annotator = labels.annotator
)
"""
# Pixels reach half a pixel beyond their centers.
_OUTSIDE = """
SELECT images.image, keypoints.name, x, y FROM labels
JOIN images ON images.id = labels.image JOIN keypoints ON keypoints.id = labels.keypoint
WHERE x < -0.5 OR y < -0.5 OR x > width - 0.5 OR y > height - 0.5
ORDER BY images.image
"""


def findings(connection: sqlite3.Connection, root: Path) -> tuple[str, ...]:
    """One sentence for everything that is wrong."""
    damage = [text for (text,) in connection.execute("PRAGMA integrity_check(10)") if text != "ok"]
    if damage:
        return tuple(f"The file is damaged: {text}" for text in damage)
    return (*_inside(connection), *_images(connection, root))


def _inside(connection: sqlite3.Connection) -> Iterator[str]:
    loose = connection.execute("PRAGMA foreign_key_check").fetchall()
    if loose:
        yield f"{len(loose)} rows speak of images or keypoints that are not there; the file was changed by hand."
    for question in (_LABELS_UNLIKE_JOURNAL, _LABELS_WITHOUT_JOURNAL):
        (count,) = connection.execute(question).fetchone()
        if count:
            yield f"{count} labels are not as the journal left them; the file was changed by another program."
    outside = connection.execute(_OUTSIDE).fetchall()
    if outside:
        image, keypoint, x, y = outside[0]
        yield f"{len(outside)} labels lie outside of their image (first: {image}, {keypoint} at ({x:.1f}, {y:.1f}))."
    (empty,) = connection.execute(
        "SELECT count(*) FROM images WHERE NOT present AND EXISTS (SELECT 1 FROM labels WHERE labels.image = images.id)"
    ).fetchone()
    if empty:
        yield f"{empty} images have labels but were taken out of the project."


def _images(connection: sqlite3.Connection, root: Path) -> Iterator[str]:
    missing, resized = [], []
    for image in _rows.images(connection).values():
        try:
            size = image_size(root / image.image)
        except FileFormatError:
            missing.append(image.image)
            continue
        if image.size is not None and size != image.size:
            resized.append(f"{image.image} is {size[0]}x{size[1]}, was {image.size[0]}x{image.size[1]}")
    yield from _counted(missing, "image files are missing or cannot be read")
    yield from _counted(resized, "image files have another size than when they were labeled")


def _counted(names: Sequence[str], what: str) -> Iterator[str]:
    if names:
        yield f"{len(names)} {what} (first: {names[0]})."
