"""Skeletons as TOML: a table [skeleton] in a project or a file of its own, and back."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from calibration.errors import FileFormatError, InvalidValueError
from calibration.nearest import nearest_name
from calibration.toml_text import line_of, toml_text
from pose3d.skeleton.anatomy import WORLD, Anatomy, Angle, Joint, Leg, Mass, Point, Segment
from pose3d.skeleton.presets import PRESETS
from pose3d.skeleton.value import JointLimit, Skeleton

__all__ = ["SKELETON_KEYS", "find_skeleton", "load_skeleton", "skeleton_of_table", "skeleton_table", "skeleton_text"]

Part = TypeVar("Part")

_PAIRS = ("edges", "mirrored_pairs", "bones")
_ANATOMY = ("angles", "segments", "joints", "legs", "masses", "axis")
SKELETON_KEYS = ("name", "keypoints", *_PAIRS, "joint_limits", *_ANATOMY)
"""What may stand in [skeleton]."""


def load_skeleton(path: str | os.PathLike[str]) -> Skeleton:
    """Read a skeleton from a TOML file with `keypoints`, `edges` and `mirrored_pairs` (at the top or in [skeleton]).

    The name of a preset gives the preset, where there is no file of that name.

    `bones` lists those of the edges whose length does not change, `joint_limits` ranges of angles in degrees, as
    [["hip", "knee", "ankle", 40, 180]]. What kinematics are made of stands in tables: `angles`, `segments`, `joints`,
    `legs`, `masses`, and `axis`, see the documentation of kinematics.

    Raises:
        FileFormatError: the file cannot be read, is no TOML, or its names do not fit together.
    """
    file = Path(path)
    if str(path) in PRESETS and not file.exists():
        return PRESETS[str(path)]
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FileFormatError(
            file,
            expected="a skeleton as TOML",
            got=str(error),
            remedy='Write keypoints = ["nose", ...] and edges = [["nose", "neck"], ...].',
        ) from error
    section = "skeleton" if "skeleton" in content else ""
    return skeleton_of_table(content.get("skeleton", content), file, section, name=file.stem)


def find_skeleton(name: str | os.PathLike[str]) -> Skeleton:
    """The preset of that name, or the skeleton in the file of that name.

    Raises:
        FileFormatError: it is neither a preset nor a readable file with a skeleton.
    """
    preset = PRESETS.get(str(name))
    if preset is None and not Path(name).exists():
        raise FileFormatError(
            name,
            expected=f"a TOML file with a skeleton, or one of the presets {', '.join(PRESETS)}",
            got="no such file",
            remedy=nearest_name(str(name), PRESETS) or "Check the path, or the name of the preset.",
        )
    return preset or load_skeleton(name)


def skeleton_of_table(table: object, file: Path, section: str = "skeleton", *, name: str = "skeleton") -> Skeleton:
    """The skeleton in a table of a TOML file.

    Args:
        table: what TOML has.
        file, section: where it stands, for messages.
        name: of the skeleton, where the table gives none.

    Raises:
        FileFormatError: something in it is missing or wrong.
    """
    place = _Place(file, section)
    keypoints = table.get("keypoints") if isinstance(table, Mapping) else None
    if not isinstance(table, Mapping) or not _texts(keypoints) or not keypoints:
        if keypoints is None:
            keys = sorted(map(str, table)) if isinstance(table, Mapping) else type(table).__name__
            raise place.wrong("", 'a list keypoints = ["nose", ...]', f"the keys {keys}")
        raise place.wrong("keypoints", 'a list keypoints = ["nose", ...]', keypoints)
    for key in table:  # a misspelled table would silently be none
        close = "" if key in SKELETON_KEYS else nearest_name(str(key), SKELETON_KEYS)
        if close:
            raise place.wrong(str(key), f"keys out of {', '.join(SKELETON_KEYS)}", str(key), close)
    pairs = {label: _pairs(table, label, place) for label in _PAIRS}
    limits, anatomy = _limits(table, place), _anatomy(table, place)
    try:
        return Skeleton(str(table.get("name", name)), tuple(keypoints), **pairs, joint_limits=limits, anatomy=anatomy)
    except InvalidValueError as error:
        raise FileFormatError(
            f"{file}, {error.subject}", expected=error.expected, got=error.got, remedy=error.remedy
        ) from error


def skeleton_table(skeleton: Skeleton) -> dict[str, Any]:
    """A skeleton as a table that TOML can hold; `skeleton_of_table` reads it."""
    anatomy = skeleton.anatomy
    table: dict[str, Any] = {
        "name": skeleton.name,
        "keypoints": list(skeleton.keypoints),
        **{label: [list(pair) for pair in getattr(skeleton, label)] for label in _PAIRS},
        "joint_limits": [[*limit.keypoints, limit.smallest, limit.largest] for limit in skeleton.joint_limits],
    }
    if anatomy.rear:
        table["axis"] = [_told(anatomy.rear), _told(anatomy.front)]
    parts: dict[str, dict[str, Any]] = {
        "angles": _angle_tables(anatomy.angles),
        "segments": {
            part.name: {
                "origin": _told(part.origin),
                "first": [part.first[0], *map(_told, part.first[1:])],
                "second": [part.second[0], *map(_told, part.second[1:])],
            }
            for part in anatomy.segments
        },
        "joints": {
            joint.name: {
                "proximal": joint.proximal,
                "distal": joint.distal,
                "sequence": joint.sequence,
                "angles": list(joint.angles),
                "signs": list(joint.signs),
                "neutral": list(joint.neutral),
            }
            for joint in anatomy.joints
        },
        "legs": {leg.name: _leg_table(leg) for leg in anatomy.legs},
        "masses": {
            mass.name: {
                "start": _told(mass.start),
                "end": _told(mass.end),
                "share": mass.share,
                "center": mass.center,
            }
            for mass in anatomy.masses
        },
    }
    return table | {name: content for name, content in parts.items() if content}


def skeleton_text(skeleton: Skeleton) -> str:
    """A skeleton as a TOML file of its own."""
    return toml_text(skeleton_table(skeleton))


def _angle_tables(angles: Sequence[Angle]) -> dict[str, Any]:
    """Lists of points, where that says all. TOML has tables after lists, so behind the first table all are tables."""
    tables: dict[str, Any] = {}
    behind = False
    for angle in angles:
        points = [_told(point) for point in angle.points]
        behind = behind or angle.axis is not None
        tables[angle.name] = {"points": points} if behind else points
        if angle.axis is not None:
            tables[angle.name] |= {"axes": list(angle.axis), "plane_of": angle.plane_of}
    return tables


def _leg_table(leg: Leg) -> dict[str, Any]:
    ends = {"foot": leg.foot, "heel": leg.heel, "toe": leg.toe, "hip": _told(leg.hip) if leg.hip else None}
    return {name: value for name, value in ends.items() if value is not None}


def _told(point: Point) -> str | list[str]:
    return point[0] if len(point) == 1 else list(point)


class _Place:
    """Where a table stands, and what to say where something in it is wrong."""

    def __init__(self, file: Path, section: str) -> None:
        self.file, self.section = file, section

    def inner(self, key: str) -> _Place:
        return _Place(self.file, f"{self.section}.{key}" if self.section else key)

    def wrong(self, key: str, expected: str, got: object, remedy: str = "Correct this entry.") -> FileFormatError:
        line = line_of(self.file, self.section, key) if key else None
        where = f"{self.file}{f', line {line}' if line else ''}"
        named = [f"[{self.section}]"] if self.section and self.section != "skeleton" else []
        shown = got if isinstance(got, str) and not key else repr(got)
        return FileFormatError(
            ", ".join([where, *named, *([key] if key else [])]), expected=expected, got=shown[:80], remedy=remedy
        )


def _pairs(table: Mapping[str, Any], label: str, place: _Place) -> tuple[tuple[str, str], ...]:
    value = table.get(label, [])
    if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise place.wrong(label, f'{label} = [["a", "b"], ...]', value, "Write a list of pairs of names.")
    return tuple((str(first), str(second)) for first, second in value)


def _limits(table: Mapping[str, Any], place: _Place) -> tuple[JointLimit, ...]:
    value: Any = table.get("joint_limits", [])
    fine = isinstance(value, list) and all(
        isinstance(row, list) and len(row) == 5 and _texts(row[:3]) and all(map(_is_number, row[3:])) for row in value
    )
    if not fine:
        expected = 'joint_limits = [["hip", "knee", "ankle", 40, 180], ...], angles in degrees'
        raise place.wrong("joint_limits", expected, value)
    return tuple(JointLimit((row[0], row[1], row[2]), float(row[3]), float(row[4])) for row in value)


def _anatomy(table: Mapping[str, Any], place: _Place) -> Anatomy:
    axis = table.get("axis", [])
    if axis and (not isinstance(axis, list) or len(axis) != 2):
        raise place.wrong("axis", 'axis = ["tail_base", "neck"], from the rear to the front', axis)
    rear, front = (_point(part, place, "axis") for part in axis) if axis else ((), ())
    return Anatomy(
        _parts(table, "angles", place, _angle),
        _parts(table, "segments", place, _segment),
        _parts(table, "joints", place, _joint),
        _parts(table, "legs", place, _leg),
        _parts(table, "masses", place, _mass),
        rear,
        front,
    )


def _parts(
    table: Mapping[str, Any], kind: str, place: _Place, read: Callable[[str, Any, _Place], Part]
) -> tuple[Part, ...]:
    value = table.get(kind, {})
    if not isinstance(value, Mapping):
        raise place.wrong(kind, f"a section [{place.inner(kind).section}]", value)
    return tuple(read(str(name), content, place.inner(kind)) for name, content in value.items())


def _angle(name: str, content: Any, place: _Place) -> Angle:
    if isinstance(content, list):
        return Angle(name, tuple(_point(point, place, name) for point in content))
    table = _table(name, content, place, {"points": list}, {"axes": list, "plane_of": str})
    points = tuple(_point(point, place.inner(name), "points") for point in table["points"])
    if "axes" not in table and "plane_of" not in table:
        return Angle(name, points)
    axes: Any = table.get("axes")
    if not _texts(axes) or len(axes) != 2:
        raise place.inner(name).wrong("axes", 'two axes, as ["x", "y"]', axes)
    return Angle(name, points, (axes[0], axes[1]), table.get("plane_of", WORLD))


def _segment(name: str, content: Any, place: _Place) -> Segment:
    table, inner = (
        _table(name, content, place, {"first": list, "second": list, "origin": (str, list)}),
        place.inner(name),
    )
    axes = []
    for key in ("first", "second"):
        value = table[key]
        if len(value) != 3 or value[0] not in ("x", "y", "z"):
            raise inner.wrong(key, 'an axis and two points, as ["y", "knee", "hip"]', value)
        axes.append((value[0], _point(value[1], inner, key), _point(value[2], inner, key)))
    return Segment(name, _point(table["origin"], inner, "origin"), axes[0], axes[1])


def _joint(name: str, content: Any, place: _Place) -> Joint:
    optional = {"sequence": str, "angles": list, "signs": list, "neutral": list}
    table, inner = _table(name, content, place, {"proximal": str, "distal": str}, optional), place.inner(name)
    for key in ("angles", "signs", "neutral"):
        fits = _texts if key == "angles" else lambda value: all(map(_is_number, value))
        if key in table:
            if len(table[key]) != 3 or not fits(table[key]):
                raise inner.wrong(key, "three of them, one for each angle", table[key])
            table[key] = tuple(table[key])
    return Joint(name, **table)


def _leg(name: str, content: Any, place: _Place) -> Leg:
    table = _table(name, content, place, {"foot": str}, {"heel": str, "toe": str, "hip": (str, list)})
    hip = _point(table["hip"], place.inner(name), "hip") if "hip" in table else ()
    return Leg(name, table["foot"], table.get("heel"), table.get("toe"), hip)


def _mass(name: str, content: Any, place: _Place) -> Mass:
    number, point = (int, float), (str, list)
    wanted = {"start": point, "end": point, "share": number, "center": number}
    table, inner = _table(name, content, place, wanted), place.inner(name)
    ends = [_point(table[key], inner, key) for key in ("start", "end")]
    return Mass(name, ends[0], ends[1], float(table["share"]), float(table["center"]))


def _table(
    name: str, content: Any, place: _Place, wanted: Mapping[str, Any], optional: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The entries of a part, of the types that it wants."""
    known = {**wanted, **(optional or {})}
    if not isinstance(content, Mapping):
        raise place.wrong(name, f"a table with {', '.join(wanted)}", content)
    for key, value in content.items():
        if key not in known:
            raise place.inner(name).wrong(
                key, f"one of {', '.join(known)}", key, nearest_name(key, known) or "Remove it."
            )
        if not isinstance(value, known[key]) or isinstance(value, bool):
            types = known[key] if isinstance(known[key], tuple) else (known[key],)
            raise place.inner(name).wrong(key, " or ".join(_TYPES[kind] for kind in types), value)
    missing = [key for key in wanted if key not in content]
    if missing:
        raise place.wrong(name, f"a table with {', '.join(wanted)}", f"no {missing[0]}")
    return dict(content)


_TYPES = {str: "a text", list: "a list", int: "a number", float: "a number with a point"}


def _point(value: Any, place: _Place, key: str) -> Point:
    names = [value] if isinstance(value, str) else value
    if not _texts(names) or not names:
        raise place.wrong(key, "the name of a keypoint, or a list of them, whose middle it is", value)
    return tuple(names)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
