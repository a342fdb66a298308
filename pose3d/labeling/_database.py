"""The SQLite file of labels: its tables, transactions that survive a kill, and errors in words.

Every change is one transaction in write-ahead-log mode with full synchronization: after a kill or a power cut the file
holds all changes that were reported as done, and nothing of one that was not. SQLite lets one writer in at a time;
others wait.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from calibration.errors import FileFormatError, OutputError, SuiteError

__all__ = ["SCHEMA_VERSION", "connect", "create", "read", "reading_errors", "transaction"]

SCHEMA_VERSION = 1
# "p3dL"; says of an SQLite file that it holds labels of this package.
_APPLICATION_ID = 0x7033644C
_SIGNATURE = b"SQLite format 3\x00"

# Labels are rows of their own, so that one keypoint of one annotator changes alone. What is not labeled has no row.
# `changes` keeps what every edit changed, before and after; rows there are never changed or removed.
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE keypoints (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE CHECK (trim(name) <> ''), place INTEGER NOT NULL
);
CREATE TABLE individuals (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE CHECK (trim(name) <> ''), place INTEGER NOT NULL
);
CREATE TABLE images (
    id INTEGER PRIMARY KEY,
    image TEXT NOT NULL UNIQUE,
    video TEXT NOT NULL,
    frame INTEGER NOT NULL,
    session TEXT NOT NULL,
    camera TEXT NOT NULL,
    width INTEGER,
    height INTEGER,
    present INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE labels (
    image INTEGER NOT NULL REFERENCES images,
    individual INTEGER NOT NULL REFERENCES individuals,
    keypoint INTEGER NOT NULL REFERENCES keypoints,
    annotator TEXT NOT NULL,
    x REAL,
    y REAL,
    visibility INTEGER NOT NULL CHECK (visibility IN (1, 2, 3)),
    PRIMARY KEY (image, individual, keypoint, annotator),
    CHECK ((x IS NULL) = (y IS NULL)),
    CHECK (visibility <> 1 OR x IS NOT NULL),
    CHECK (visibility <> 3 OR x IS NULL)
) WITHOUT ROWID;
CREATE TABLE edits (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,
    author TEXT NOT NULL,
    action TEXT NOT NULL,
    note TEXT NOT NULL,
    reverts INTEGER REFERENCES edits,
    reverted_by INTEGER REFERENCES edits
);
CREATE TABLE changes (
    edit INTEGER NOT NULL REFERENCES edits,
    image INTEGER NOT NULL REFERENCES images,
    individual INTEGER NOT NULL REFERENCES individuals,
    keypoint INTEGER NOT NULL REFERENCES keypoints,
    annotator TEXT NOT NULL,
    old_x REAL, old_y REAL, old_visibility INTEGER NOT NULL,
    new_x REAL, new_y REAL, new_visibility INTEGER NOT NULL,
    PRIMARY KEY (edit, image, individual, keypoint, annotator)
) WITHOUT ROWID;
CREATE INDEX changes_of_label ON changes (image, individual, keypoint, annotator);
CREATE TABLE image_changes (
    edit INTEGER NOT NULL REFERENCES edits,
    image INTEGER NOT NULL REFERENCES images,
    present INTEGER NOT NULL,
    PRIMARY KEY (edit, image)
) WITHOUT ROWID;
CREATE VIEW edits_with_changes AS SELECT * FROM edits WHERE
    EXISTS (SELECT 1 FROM changes WHERE edit = edits.id)
    OR EXISTS (SELECT 1 FROM image_changes WHERE edit = edits.id);
"""


def connect(path: Path, *, patience: float, read_only: bool) -> sqlite3.Connection:
    """A connection to an existing file of labels.

    Args:
        path: the file.
        patience: seconds to wait for another writer.
        read_only: nothing can be changed through the connection.

    Raises:
        FileFormatError: the file is missing, empty, damaged, no SQLite file, or no file of labels of this version.
        OutputError: the file may not be written.
    """
    _check_head(path)
    with reading_errors(path):
        if read_only:
            connection = _connect_read_only(path, patience)
        else:
            connection = sqlite3.connect(path, timeout=patience, isolation_level=None)
        try:
            _check_kind(connection, path)
            if not read_only:
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
    return connection


def _connect_read_only(path: Path, patience: float) -> sqlite3.Connection:
    uri = path.absolute().as_uri()
    connection = sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=patience, isolation_level=None)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchall()
    except sqlite3.OperationalError:
        connection.close()
        if os.access(path.parent, os.W_OK):
            raise
        # In a folder that cannot be written nobody changes the file, and SQLite cannot make the files of its log.
        connection = sqlite3.connect(f"{uri}?immutable=1", uri=True, isolation_level=None)
    return connection


def create(path: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
    """Make a new file of labels; completely or not at all.

    Args:
        path: the file.
        fill: writes the first rows into the new tables.

    Raises:
        OutputError: there is a file already, or it cannot be written.
    """
    with _temporary(path) as partial, reading_errors(path):
        connection = sqlite3.connect(partial, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(f"BEGIN;{_TABLES}COMMIT;")
            fill(connection)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        finally:
            connection.close()
        _publish(partial, path)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A new name beside `path`, whose file is removed in the end."""
    partial = path.with_name(f".part-{secrets.token_hex(8)}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            path,
            expected="a folder that can be written",
            got=error.strerror or str(error),
            remedy="Check its permissions and the free space.",
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _publish(partial: Path, path: Path) -> None:
    """Give the file its name, unless another program was faster: its labels must not be replaced."""
    try:
        os.link(partial, path)
    except FileExistsError as error:
        raise OutputError(
            path, expected="no file yet", got="one that exists", remedy="Open it instead of making it."
        ) from error
    except OSError:  # a file system without hard links
        if path.exists():
            raise OutputError(
                path, expected="no file yet", got="one that exists", remedy="Open it instead of making it."
            ) from None
        partial.rename(path)


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[sqlite3.Connection]:
    """All changes in the block become one; on any error none of them is made.

    Raises:
        OutputError: another program writes for longer than the patience of the connection; the disk is full; the file
            may not be written.
        FileFormatError: the file is damaged.
    """
    with _sqlite_errors(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


@contextmanager
def read(connection: sqlite3.Connection, path: Path) -> Iterator[sqlite3.Connection]:
    """One state of the file for several questions, whatever others write meanwhile.

    Raises:
        FileFormatError: the file is damaged.
    """
    if connection.in_transaction:  # inside a transaction of ours, which is one state already
        yield connection
        return
    with reading_errors(path):
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.rollback()


# What Python raises for rows whose bytes were changed: text that is no UTF-8, numbers of rows that are not there.
_CHANGED_BYTES = (UnicodeDecodeError, KeyError, ValueError, TypeError, IndexError, OverflowError)


@contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Turn errors of SQLite, and of rows that make no sense, into ours."""
    try:
        with _sqlite_errors(path):
            yield
    except SuiteError:
        raise
    except _CHANGED_BYTES as error:
        raise _damaged(path, error) from error


@contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (SuiteError, sqlite3.ProgrammingError):
        raise  # the second would be a mistake of this program
    except sqlite3.OperationalError as error:
        raise _operational(path, error) from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> FileFormatError:
    return FileFormatError(
        path,
        expected="a whole file of labels",
        got=f"one that is damaged ({type(error).__name__}: {error})",
        remedy="Take the file from a backup. To save what can be saved: sqlite3 labels.sqlite .recover",
    )


def _operational(path: Path, error: sqlite3.OperationalError) -> SuiteError:
    text = str(error)
    if "locked" in text or "busy" in text:
        return OutputError(
            path,
            expected="to be the only program that writes",
            got="another one is writing, and did not finish in time",
            remedy="Close the other program, or repeat this in a moment. Nothing was changed.",
        )
    if "readonly" in text or "full" in text or "unable to open" in text or "disk I/O" in text:
        return OutputError(
            path,
            expected="to read and write the file",
            got=text,
            remedy="Check the path, its permissions and the free space. Nothing was changed.",
        )
    return FileFormatError(
        path,
        expected="a file of labels",
        got=f"one without its tables, or damaged ({text})",
        remedy="Check that it is the labels.sqlite of a project, or take it from a backup.",
    )


def _check_head(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(len(_SIGNATURE))
    except OSError as error:
        raise FileFormatError(
            path, expected="a file of labels", got=error.strerror or str(error), remedy="Check the path."
        ) from error
    if head != _SIGNATURE:
        raise FileFormatError(
            path,
            expected="a file of labels (SQLite)",
            got=f"a file that begins with {head!r}" if head else "an empty file",
            remedy="It is damaged or something else: take it from a backup, or move it away and import the labels.",
        )


def _check_kind(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION_ID:
        raise FileFormatError(
            path,
            expected="a file of labels of pose3d",
            got="an SQLite file of another program",
            remedy="Check the path, or move the file away.",
        )
    if version != SCHEMA_VERSION:
        raise FileFormatError(
            path,
            expected=f"labels of version {SCHEMA_VERSION}",
            got=f"version {version}",
            remedy="Update pose3d."
            if version > SCHEMA_VERSION
            else "Take the file from a backup; this one is damaged.",
        )
