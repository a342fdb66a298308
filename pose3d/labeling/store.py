"""The database of labels: `labels.sqlite` of a project."""

from __future__ import annotations

import getpass
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from calibration.errors import InvalidValueError, MismatchError, OutputError
from pose3d.labeling import _database, _journal, _keypoints, _rows
from pose3d.labeling._checks import findings
from pose3d.labeling._journal import Edit
from pose3d.labeling.labels import LabeledImage, Labels
from pose3d.skeleton import Skeleton

__all__ = ["Collisions", "Edit", "ImportOutcome", "LabelStore"]

Collisions = Literal["refuse", "keep", "replace"]
"""What happens where labels that are imported differ from labels that are there."""

# Seconds to wait for another writer: longer than any transaction here takes, shorter than a person waits.
_PATIENCE = 10.0


@dataclass(frozen=True)
class ImportOutcome:
    """What an import did.

    Attributes:
        images: that were not there before.
        added: labels that were not there before.
        replaced: labels that were there with another value, and now have the imported one.
        kept: labels that were there with another value, and still have it.
        equal: labels that were there with the same value.
        edit: number of the edit in the journal; None where nothing changed.
    """

    images: int
    added: int
    replaced: int
    kept: int
    equal: int
    edit: int | None


class LabelStore:
    """An open file of labels; a context manager.

    Every change is a transaction with an entry in the journal. Several programs may have the file open; one writes at
    a time, the others wait up to `patience`.

    Attributes:
        path: the file.
        root: the folder that paths of images are relative to: that of the file.
        skeleton: the keypoints, with edges and mirrored pairs.
        author: who makes the edits.

    Args:
        path: the file.
        skeleton: of the project. New keypoints are taken over; one that has labels and is missing is an error. By
            default the skeleton that was recorded last.
        author: the name of the user's account by default.
        patience: seconds to wait for another writer.
        read_only: nothing can be changed.

    Raises:
        FileFormatError: the file is missing, damaged, no SQLite file, or no file of labels.
        MismatchError: the skeleton lacks a keypoint that has labels; the message says how to rename it.
        OutputError: the file cannot be written, or another program does not stop writing.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        skeleton: Skeleton | None = None,
        *,
        author: str | None = None,
        patience: float = _PATIENCE,
        read_only: bool = False,
    ) -> None:
        self.path = Path(path)
        self.root = self.path.parent
        self.author = author or _user()
        self._read_only = read_only
        self._connection = _database.connect(self.path, patience=patience, read_only=read_only)
        try:
            self.skeleton = self._agree_on(skeleton)
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, path: str | os.PathLike[str], skeleton: Skeleton, *, author: str | None = None) -> Self:
        """Make a new file of labels and open it.

        Raises:
            OutputError: there is a file already, or it cannot be written.
        """
        _database.create(Path(path), lambda connection: _keypoints.record_skeleton(connection, skeleton))
        return cls(path, skeleton, author=author)

    @classmethod
    def open_or_create(cls, path: str | os.PathLike[str], skeleton: Skeleton, *, author: str | None = None) -> Self:
        """Open the file of labels of a project, or make it."""
        with suppress(OutputError):  # it exists, perhaps since a moment ago; what else is wrong, opening says
            _database.create(Path(path), lambda connection: _keypoints.record_skeleton(connection, skeleton))
        return cls(path, skeleton, author=author)

    def _agree_on(self, skeleton: Skeleton | None) -> Skeleton:
        with self._reading() as connection:
            recorded = _keypoints.recorded_skeleton(connection)
            if skeleton is None or skeleton.bare() == recorded:
                return recorded
            skeleton = skeleton.bare()
            _keypoints.difference(connection, skeleton, self.path)
        if not self._read_only:
            with self._writing() as connection:
                _keypoints.follow(connection, skeleton, self.path, self.author)
        return skeleton

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _reading(self) -> AbstractContextManager[sqlite3.Connection]:
        return _database.read(self._connection, self.path)

    def _writing(self) -> AbstractContextManager[sqlite3.Connection]:
        return _database.transaction(self._connection, self.path)

    def images(self) -> tuple[LabeledImage, ...]:
        """All images, labeled or not, in the order of session, camera, video and frame."""
        with self._reading() as connection:
            return tuple(_rows.images(connection).values())

    def labels(self, annotator: str | None = None, *, unlabeled: bool = False) -> Labels:
        """The labels, as training wants them.

        Args:
            annotator: only of this one; of all by default.
            unlabeled: also the images that have no label yet.
        """
        with self._reading() as connection:
            # Another program may have followed a new skeleton, or renamed a keypoint, since this file was opened.
            _keypoints.difference(connection, self.skeleton, self.path)
            return _rows.labels_of_rows(connection, self.skeleton, self.root, annotator, unlabeled=unlabeled)

    def annotators(self) -> tuple[str, ...]:
        """Names of all who labeled something."""
        with self._reading() as connection:
            return tuple(name for (name,) in connection.execute("SELECT DISTINCT annotator FROM labels ORDER BY 1"))

    def add_images(self, images: Iterable[LabeledImage], *, action: str = "extract", note: str = "") -> int:
        """Register images to label; those that are there already stay as they are.

        Returns:
            how many were not there.
        """
        with self._writing() as connection:
            new = _rows.add_images(connection, images)
            if new:
                _journal.apply(connection, self.author, action, note, images=new)
        return len(new)

    def write(self, labels: Labels, *, note: str = "") -> int:
        """Write what an annotator said of images that are registered, over what this annotator said before.

        What is UNLABELED in `labels` is removed, so that the images then say what `labels` say.

        Args:
            labels: of one or more images; keypoints and individuals may be a part of all.
            note: for the history.

        Returns:
            how many labels changed.

        Raises:
            InvalidValueError: an image is not registered, or a keypoint unknown.
        """
        with self._writing() as connection:
            self._check_known(connection, labels)
            _add_individuals(connection, labels.individuals)
            changes = _rows.wanted_changes(connection, labels)
            said = {change.place for change in changes}
            changes += [change for change in self._removals(connection, labels) if change.place not in said]
            real = [change for change in changes if change.old != change.new]
            if real:
                _journal.apply(connection, self.author, "label", note, real)
        return len(real)

    def _check_known(self, connection: sqlite3.Connection, labels: Labels) -> None:
        known = {image.image for image in _rows.images(connection).values()}
        unknown = [frame.image for frame in labels.frames if frame.image not in known]
        if unknown:
            raise InvalidValueError(
                f"{self.path}, image '{unknown[0]}'",
                expected="an image of this project",
                got="one that is not registered",
                remedy="Add it first: `pose3d extract-frames` or `pose3d labels import`.",
            )
        self._check_keypoints(labels.keypoints)

    def _check_keypoints(self, names: Sequence[str]) -> None:
        unknown = [name for name in names if name not in self.skeleton.keypoints]
        if unknown:
            raise MismatchError(
                f"{self.path}, keypoints",
                expected=f"keypoints of the skeleton: {', '.join(self.skeleton.keypoints)}",
                got=f"also {', '.join(unknown)}",
                remedy="Add them to [skeleton] keypoints in project.toml, or rename them in the file that is imported.",
            )

    def _removals(self, connection: sqlite3.Connection, labels: Labels) -> list[_journal.LabelChange]:
        """Labels that stand in the database where `labels` say UNLABELED."""
        keypoints, individuals = _rows.ids(connection, "keypoints"), _rows.ids(connection, "individuals")
        known = _rows.ids(connection, "images")
        rows = {(known[frame.image], name) for frame, name in zip(labels.frames, labels.annotator, strict=True)}
        points = {keypoints[name] for name in labels.keypoints}
        animals = {individuals[name] for name in labels.individuals}
        current = _rows.current_values(connection, sorted({image for image, _ in rows}))
        return [
            _journal.LabelChange(place, value, _rows.NO_LABEL)
            for place, value in current.items()
            if (place[0], place[3]) in rows and place[1] in animals and place[2] in points
        ]

    def import_labels(self, labels: Labels, *, collisions: Collisions = "refuse", note: str = "") -> ImportOutcome:
        """Add labels and their images.

        What is UNLABELED in `labels` changes nothing. A label collides where the same annotator has another value for
        the same keypoint of the same individual in the same image.

        Args:
            labels: paths of images must be relative to `root`.
            collisions: "refuse" to import anything, "keep" what is there, or "replace" it; a replaced label stays in
                the journal and comes back with `undo`.
            note: for the history: where they are from.

        Raises:
            MismatchError: labels collide and `collisions` is "refuse"; or keypoints are not in the skeleton.
        """
        self._check_keypoints(labels.keypoints)
        with self._writing() as connection:
            new = _rows.add_images(connection, labels.frames)
            _add_individuals(connection, labels.individuals)
            changes = _rows.wanted_changes(connection, labels)
            added = [change for change in changes if not change.old[2]]
            equal = sum(change.old == change.new for change in changes)
            differing = [change for change in changes if change.old[2] and change.old != change.new]
            if differing and collisions == "refuse":
                raise self._collision(connection, differing, len(changes))
            replaced = differing if collisions == "replace" else []
            edit = None
            if new or added or replaced:
                edit = _journal.apply(connection, self.author, "import", note, [*added, *replaced], new)
        kept = len(differing) - len(replaced)
        return ImportOutcome(len(new), len(added), len(replaced), kept, equal, edit)

    def _collision(
        self, connection: sqlite3.Connection, differing: list[_journal.LabelChange], total: int
    ) -> MismatchError:
        (image,) = connection.execute("SELECT image FROM images WHERE id = ?", differing[0].place[:1]).fetchone()
        images = len({change.place[0] for change in differing})
        return MismatchError(
            self.path,
            expected="labels that are new, or equal to those that are there",
            got=f"{len(differing)} of {total} labels, in {images} images, differ from labels that are there "
            f"(first: {image})",
            remedy="Nothing was changed. --keep keeps what is there, --replace takes the new ones (and can be undone).",
        )

    def undo(self, *, author: str | None = None) -> Edit | None:
        """Undo the last edit that is not undone yet.

        Args:
            author: only of this one; of all by default.

        Returns:
            the undoing edit; None where there is nothing to undo.

        Raises:
            MismatchError: labels of that edit were changed again by someone else.
        """
        with self._writing() as connection:
            return self._revert(connection, _journal.last_unreverted(connection, author), "undo")

    def redo(self, *, author: str | None = None) -> Edit | None:
        """Redo the last edit that was undone, as long as nothing was edited since.

        Returns:
            the redoing edit; None where there is nothing to redo.
        """
        with self._writing() as connection:
            return self._revert(connection, _journal.last_undone(connection, author), "redo")

    def _revert(self, connection: sqlite3.Connection, edit: int | None, action: str) -> Edit | None:
        if edit is None:
            return None
        done = _journal.revert(connection, edit, self.author, action, self.path)
        _keypoints.difference(connection, self.skeleton, self.path)  # a keypoint that was removed must not come back
        return done

    def history(self, count: int | None = None) -> tuple[Edit, ...]:
        """The last edits, newest first."""
        with self._reading() as connection:
            return _journal.history(connection, count)

    def rename_keypoint(self, old: str, new: str) -> None:
        """Give a keypoint another name; its labels stay.

        Raises:
            InvalidValueError: there is no such keypoint, or the new name is taken.
        """
        with self._writing() as connection:
            _keypoints.rename(connection, old, new, self.path, self.author)
            self.skeleton = _keypoints.recorded_skeleton(connection)

    def check(self) -> tuple[str, ...]:
        """What is wrong with the file or its labels, one sentence each; empty where all is well.

        Looks at the file itself, at the journal (which must lead to the labels that are there), at image files that
        are missing or have another size, and at labels outside of their image.
        """
        with self._reading() as connection:
            return findings(connection, self.root)


def _add_individuals(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    (count,) = connection.execute("SELECT count(*) FROM individuals").fetchone()
    connection.executemany(
        "INSERT OR IGNORE INTO individuals (name, place) VALUES (?, ?)",
        [(name, count + index) for index, name in enumerate(names)],
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # an account without a name, as in some containers
        return "unknown"
