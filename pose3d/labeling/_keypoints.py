"""The keypoints that a file of labels knows, and what happens when the skeleton of the project changes."""

from __future__ import annotations

import difflib
import json
import sqlite3
from pathlib import Path
from typing import Any

from calibration.errors import InvalidValueError, MismatchError
from pose3d.labeling import _journal
from pose3d.skeleton import JointLimit, Skeleton

__all__ = ["difference", "follow", "record_skeleton", "recorded_skeleton", "rename"]

_PAIRS = ("edges", "mirrored_pairs", "bones")


def recorded_skeleton(connection: sqlite3.Connection) -> Skeleton:
    """The skeleton that was written last."""
    (text,) = connection.execute("SELECT value FROM meta WHERE key = 'skeleton'").fetchone()
    content = json.loads(text)
    # Files of earlier versions have neither bones nor limits.
    pairs: Any = {label: tuple((str(a), str(b)) for a, b in content.get(label, ())) for label in _PAIRS}
    limits = tuple(JointLimit((a, b, c), low, high) for a, b, c, low, high in content.get("joint_limits", ()))
    return Skeleton(content["name"], tuple(content["keypoints"]), **pairs, joint_limits=limits)


def record_skeleton(connection: sqlite3.Connection, skeleton: Skeleton) -> None:
    """Write a skeleton whose keypoints are all known."""
    content = {
        "name": skeleton.name,
        "keypoints": skeleton.keypoints,
        **{label: getattr(skeleton, label) for label in _PAIRS},
        "joint_limits": [(*limit.keypoints, limit.smallest, limit.largest) for limit in skeleton.joint_limits],
    }
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('skeleton', ?)", (json.dumps(content),))
    connection.executemany(
        "INSERT INTO keypoints (name, place) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET place = excluded.place",
        [(name, place) for place, name in enumerate(skeleton.keypoints)],
    )


def difference(connection: sqlite3.Connection, skeleton: Skeleton, path: Path) -> tuple[list[str], list[str]]:
    """Keypoints that are new in a skeleton, and those that it has no more and that nobody labeled.

    Raises:
        MismatchError: a keypoint that has labels is not in the skeleton.
    """
    counts = dict(
        connection.execute(
            "SELECT name, count(labels.keypoint) FROM keypoints LEFT JOIN labels ON labels.keypoint = keypoints.id"
            " GROUP BY keypoints.id ORDER BY place"
        )
    )
    added = [name for name in skeleton.keypoints if name not in counts]
    recorded = recorded_skeleton(connection).keypoints
    # A keypoint that is not in the recorded skeleton either was removed before; it stands in the journal only.
    gone = [name for name in counts if name not in skeleton.keypoints and (counts[name] or name in recorded)]
    labeled = [name for name in gone if counts[name]]
    if labeled:
        first = labeled[0]
        close = difflib.get_close_matches(first, added, n=1, cutoff=0.3) or added[:1] or ["NEW NAME"]
        raise MismatchError(
            f"{path}, skeleton",
            expected=f"the labeled keypoints {', '.join(name for name in counts if counts[name])}",
            got=f"a skeleton without {', '.join(f'{name} ({counts[name]} labels)' for name in labeled)}",
            remedy=f"If it was renamed: pose3d labels rename-keypoint PROJECT '{first}' '{close[0]}'. "
            "If not, put it back into [skeleton] of project.toml; its labels are kept.",
        )
    return added, gone


def follow(connection: sqlite3.Connection, skeleton: Skeleton, path: Path, author: str) -> None:
    """Take over a skeleton that only has new keypoints, other edges or another order; inside a transaction.

    Raises:
        MismatchError: see `difference`.
    """
    added, gone = difference(connection, skeleton, path)
    if added or gone:
        text = [f"added {', '.join(added)}"] * bool(added) + [f"removed {', '.join(gone)}"] * bool(gone)
        _journal.apply(connection, author, "skeleton", "; ".join(text))
    for name in gone:
        # A keypoint that had labels once, which were deleted, still stands in the journal and keeps its row.
        connection.execute(
            "DELETE FROM keypoints WHERE name = ? AND NOT EXISTS"
            " (SELECT 1 FROM changes WHERE changes.keypoint = keypoints.id)",
            (name,),
        )
    record_skeleton(connection, skeleton)


def rename(connection: sqlite3.Connection, old: str, new: str, path: Path, author: str) -> None:
    """Give a keypoint another name, with all its labels; inside a transaction.

    Raises:
        InvalidValueError: there is no such keypoint, or the new name is blank or taken.
    """
    names = [name for (name,) in connection.execute("SELECT name FROM keypoints ORDER BY place")]
    if old not in names or new in names or not new.strip():
        raise InvalidValueError(
            f"{path}, keypoint '{old}'",
            expected=f"one of {', '.join(names)}, and a new name",
            got=f"the new name '{new}'" if old in names else f"'{old}'",
            remedy="Correct the spelling, or choose another name.",
        )
    _journal.apply(connection, author, "rename", f"keypoint '{old}' to '{new}'")
    connection.execute("UPDATE keypoints SET name = ? WHERE name = ?", (new, old))
    skeleton = recorded_skeleton(connection)

    def renamed(name: str) -> str:
        return new if name == old else name

    pairs: Any = {label: tuple((renamed(a), renamed(b)) for a, b in getattr(skeleton, label)) for label in _PAIRS}
    limits = tuple(
        JointLimit((renamed(a), renamed(b), renamed(c)), limit.smallest, limit.largest)
        for limit in skeleton.joint_limits
        for a, b, c in [limit.keypoints]
    )
    keypoints = tuple(map(renamed, skeleton.keypoints))
    record_skeleton(connection, Skeleton(skeleton.name, keypoints, **pairs, joint_limits=limits))
