"""Edits: every change of labels with who, when, before and after; undone and redone by further edits.

The journal only grows. To undo an edit is a new edit with the opposite changes, so the history always says what
happened.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from calibration.errors import MismatchError

__all__ = ["Edit", "LabelChange", "apply", "history", "last_undone", "last_unreverted", "revert"]

Value = tuple[float | None, float | None, int]
"""x, y, visibility; visibility 0 stands for a label that is not there."""

Place = tuple[int, int, int, str]
"""image, individual, keypoint (ids), annotator."""


@dataclass(frozen=True)
class Edit:
    """One edit of the journal.

    Attributes:
        number: it grows from edit to edit.
        time: UTC, ISO 8601.
        author: who did it.
        action: what kind: label, import, extract, undo, redo, rename, skeleton.
        note: more about it.
        labels: how many labels it changed.
        images: how many images it added or took away.
        reverted: it was undone (an undo: redone) since.
    """

    number: int
    time: str
    author: str
    action: str
    note: str
    labels: int
    images: int
    reverted: bool


@dataclass(frozen=True)
class LabelChange:
    """One label, before and after."""

    place: Place
    old: Value
    new: Value


def apply(
    connection: sqlite3.Connection,
    author: str,
    action: str,
    note: str,
    changes: Iterable[LabelChange] = (),
    images: Sequence[tuple[int, bool]] = (),
    reverts: int | None = None,
) -> int:
    """Change labels and write it into the journal, inside a transaction of the caller.

    Args:
        connection: inside a transaction.
        author: who does it.
        action: see `Edit`.
        note: see `Edit`.
        changes: of labels; those that change nothing are left out.
        images: ids of images, and whether they are there from now on.
        reverts: the edit that this one undoes or redoes.

    Returns:
        the number of the edit.
    """
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    cursor = connection.execute(
        "INSERT INTO edits (time, author, action, note, reverts) VALUES (?, ?, ?, ?, ?)",
        (time, author, action, note, reverts),
    )
    edit = cursor.lastrowid
    assert edit is not None
    real = [change for change in changes if change.old != change.new]
    connection.executemany(
        "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(edit, *change.place, *change.old, *change.new) for change in real],
    )
    connection.executemany(
        "DELETE FROM labels WHERE image = ? AND individual = ? AND keypoint = ? AND annotator = ?",
        [change.place for change in real if change.old[2]],
    )
    connection.executemany(
        "INSERT INTO labels VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(*change.place, *change.new) for change in real if change.new[2]],
    )
    connection.executemany("INSERT INTO image_changes VALUES (?, ?, ?)", [(edit, *image) for image in images])
    connection.executemany("UPDATE images SET present = ? WHERE id = ?", [(there, image) for image, there in images])
    if reverts is not None:
        connection.execute("UPDATE edits SET reverted_by = ? WHERE id = ?", (edit, reverts))
    return edit


def history(connection: sqlite3.Connection, count: int | None = None) -> tuple[Edit, ...]:
    """The last edits, newest first; all where `count` is None."""
    rows = connection.execute(
        "SELECT id, time, author, action, note,"
        " (SELECT count(*) FROM changes WHERE edit = edits.id),"
        " (SELECT count(*) FROM image_changes WHERE edit = edits.id),"
        " reverted_by IS NOT NULL FROM edits ORDER BY id DESC LIMIT ?",
        (-1 if count is None else count,),
    )
    return tuple(
        Edit(number, time, author, action, note, labels, images, bool(reverted))
        for number, time, author, action, note, labels, images, reverted in rows
    )


def last_unreverted(connection: sqlite3.Connection, author: str | None) -> int | None:
    """The newest edit (of an author) that can be undone."""
    row = connection.execute(
        "SELECT max(id) FROM edits_with_changes"
        " WHERE action <> 'undo' AND reverted_by IS NULL AND (? IS NULL OR author = ?)",
        (author, author),
    ).fetchone()
    return None if row[0] is None else int(row[0])


def last_undone(connection: sqlite3.Connection, author: str | None) -> int | None:
    """The newest undo (of an author) that can be redone: nothing else was done by this author since."""
    row = connection.execute(
        "SELECT max(id) FROM edits WHERE action = 'undo' AND reverted_by IS NULL AND (? IS NULL OR author = ?)"
        " AND id > (SELECT coalesce(max(id), 0) FROM edits_with_changes"
        " WHERE action NOT IN ('undo', 'redo') AND (? IS NULL OR author = ?))",
        (author,) * 4,
    ).fetchone()
    return None if row[0] is None else int(row[0])


def revert(connection: sqlite3.Connection, edit: int, author: str, action: str, subject: object) -> Edit:
    """Do the opposite of an edit.

    Raises:
        MismatchError: one of its labels was changed again by a later edit, which would be lost.
    """
    row = connection.execute("SELECT action, note FROM edits WHERE id = ?", (edit,)).fetchone()
    changes = [
        LabelChange(tuple(values[:4]), tuple(values[7:]), tuple(values[4:7]))
        for values in connection.execute(
            "SELECT image, individual, keypoint, annotator, old_x, old_y, old_visibility, new_x, new_y, new_visibility"
            " FROM changes WHERE edit = ?",
            (edit,),
        )
    ]
    later = sum(_value(connection, change.place) != change.old for change in changes)
    if later:
        raise MismatchError(
            f"{subject}, edit {edit} ({row[0]})",
            expected="labels as this edit left them",
            got=f"{later} of {len(changes)} changed again by later edits",
            remedy="Undo the later edits first: `pose3d labels history` lists them.",
        )
    images = _opposite_images(connection, edit, changes)
    number = apply(connection, author, action, f"{row[0]} {edit}: {row[1]}".strip(": "), changes, images, edit)
    return next(entry for entry in history(connection, 1) if entry.number == number)


def _opposite_images(
    connection: sqlite3.Connection, edit: int, changes: Sequence[LabelChange]
) -> list[tuple[int, bool]]:
    """Images to take away or bring back; one that others labeled meanwhile stays."""
    removed = {change.place for change in changes if not change.new[2]}
    result = []
    for image, present in connection.execute("SELECT image, present FROM image_changes WHERE edit = ?", (edit,)):
        labels = connection.execute(
            "SELECT image, individual, keypoint, annotator FROM labels WHERE image = ?", (image,)
        ).fetchall()
        if not present or all(place in removed for place in labels):
            result.append((int(image), not present))
    return result


def _value(connection: sqlite3.Connection, place: Place) -> Value:
    row = connection.execute(
        "SELECT x, y, visibility FROM labels WHERE image = ? AND individual = ? AND keypoint = ? AND annotator = ?",
        place,
    ).fetchone()
    return (None, None, 0) if row is None else (row[0], row[1], row[2])
