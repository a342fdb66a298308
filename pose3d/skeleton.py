"""Skeletons: named keypoints, the edges between them, and the mirrored pairs."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calibration.errors import FileFormatError, InvalidValueError

__all__ = ["PRESETS", "JointLimit", "Skeleton", "find_skeleton", "load_skeleton"]


@dataclass(frozen=True)
class JointLimit:
    """The range of the angle at a keypoint between two others.

    Attributes:
        keypoints: the angle is at the middle one of three; 180 degrees is a straight line.
        smallest, largest: in degrees, from 0 to 180.
    """

    keypoints: tuple[str, str, str]
    smallest: float
    largest: float


@dataclass(frozen=True)
class Skeleton:
    """Named keypoints and what joins them.

    Attributes:
        name: what it is a skeleton of.
        keypoints: names, each once.
        edges: pairs of keypoint names that a bone or the eye joins.
        mirrored_pairs: pairs of keypoint names that swap when left and right are swapped.
        bones: those of the edges whose length does not change.
        joint_limits: ranges of angles.

    Raises:
        InvalidValueError: a name is repeated or blank, an edge, pair, bone or joint names a keypoint that does not
            exist or the same twice, a keypoint is in two mirrored pairs, a bone is no edge, or the range of an angle is
            empty or not within 0 to 180 degrees.
    """

    name: str
    keypoints: tuple[str, ...]
    edges: tuple[tuple[str, str], ...] = ()
    mirrored_pairs: tuple[tuple[str, str], ...] = field(default=())
    bones: tuple[tuple[str, str], ...] = ()
    joint_limits: tuple[JointLimit, ...] = ()

    def __post_init__(self) -> None:
        names = tuple(map(str, self.keypoints))
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated or not names or not all(name.strip() for name in names):
            raise InvalidValueError(
                f"skeleton '{self.name}', keypoints",
                expected="at least one name, each once, none blank",
                got=f"repeated: {', '.join(repeated)}" if repeated else repr(self.keypoints),
                remedy="Give every keypoint a name of its own.",
            )
        object.__setattr__(self, "keypoints", names)
        for label in ("edges", "mirrored_pairs", "bones"):
            object.__setattr__(self, label, self._as_pairs(label, getattr(self, label)))
        sides = [name for pair in self.mirrored_pairs for name in pair]
        twice = sorted({name for name in sides if sides.count(name) > 1})
        if twice:
            raise InvalidValueError(
                f"skeleton '{self.name}', mirrored_pairs",
                expected="each keypoint in one pair at most",
                got=f"in several: {', '.join(twice)}",
                remedy="Pair every left keypoint with its right one, once.",
            )

        self._check_bones()
        for limit in self.joint_limits:
            self._check_limit(limit)

    def _check_bones(self) -> None:
        joined = {frozenset(edge) for edge in self.edges}
        loose = [bone for bone in self.bones if frozenset(bone) not in joined]
        if loose:
            raise InvalidValueError(
                f"skeleton '{self.name}', bones",
                expected="some of the edges",
                got=" - ".join(loose[0]),
                remedy="Add it to the edges, or remove it from the bones.",
            )

    def _check_limit(self, limit: JointLimit) -> None:
        names = limit.keypoints
        known = len(names) == 3 and len(set(names)) == 3 and set(names) <= set(self.keypoints)
        if not known or not 0 <= limit.smallest < limit.largest <= 180:
            raise InvalidValueError(
                f"skeleton '{self.name}', joint_limits",
                expected="three different keypoints, and a smallest and a largest angle within 0 to 180 degrees",
                got=f"{', '.join(map(str, names))}, {limit.smallest} to {limit.largest}",
                remedy="Correct the names or the angles.",
            )

    def _as_pairs(self, label: str, pairs: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
        result = []
        for pair in pairs:
            if len(pair) != 2 or pair[0] == pair[1] or not set(pair) <= set(self.keypoints):
                raise InvalidValueError(
                    f"skeleton '{self.name}', {label}",
                    expected=f"pairs of different keypoints out of: {', '.join(self.keypoints)}",
                    got=str(list(pair)),
                    remedy="Correct the spelling, or add the keypoint.",
                )
            result.append((str(pair[0]), str(pair[1])))
        return tuple(result)

    def select(self, keypoints: Sequence[str]) -> Skeleton:
        """The skeleton with these keypoints, in this order, and what joins them; unknown names get no edge.

        Raises:
            InvalidValueError: no name is given, or one twice.
        """
        kept = set(keypoints)
        return Skeleton(
            self.name,
            tuple(keypoints),
            tuple(edge for edge in self.edges if set(edge) <= kept),
            tuple(pair for pair in self.mirrored_pairs if set(pair) <= kept),
            tuple(bone for bone in self.bones if set(bone) <= kept),
            tuple(limit for limit in self.joint_limits if set(limit.keypoints) <= kept),
        )


def load_skeleton(path: str | os.PathLike[str]) -> Skeleton:
    """Read a skeleton from a TOML file with `keypoints`, `edges` and `mirrored_pairs` (at the top or in [skeleton]).

    `bones` lists those of the edges whose length does not change, `joint_limits` ranges of angles in degrees, as
    [["hip", "knee", "ankle", 40, 180]].

    Raises:
        FileFormatError: the file cannot be read, is no TOML, or its names do not fit together.
    """
    file = Path(path)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FileFormatError(
            file,
            expected="a skeleton as TOML",
            got=str(error),
            remedy='Write keypoints = ["nose", ...] and edges = [["nose", "neck"], ...].',
        ) from error
    table = content.get("skeleton", content)
    return _skeleton_of(table, file)


def _skeleton_of(table: object, file: Path) -> Skeleton:
    keypoints = table.get("keypoints") if isinstance(table, Mapping) else None
    if not isinstance(table, Mapping) or not isinstance(keypoints, list) or not keypoints:
        raise FileFormatError(
            file,
            expected='a list keypoints = ["nose", ...]',
            got=f"the keys {sorted(map(str, table)) if isinstance(table, Mapping) else type(table).__name__}",
            remedy="Add the keypoints, in [skeleton] or at the top of the file.",
        )
    pairs: dict[str, tuple[tuple[str, str], ...]] = {}
    for label in ("edges", "mirrored_pairs", "bones"):
        value = table.get(label, [])
        if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
            raise FileFormatError(
                file,
                expected=f'{label} = [["a", "b"], ...]',
                got=str(value)[:80],
                remedy="Write a list of pairs of names.",
            )
        pairs[label] = tuple((str(first), str(second)) for first, second in value)
    try:
        return Skeleton(
            str(table.get("name", file.stem)), tuple(keypoints), **pairs, joint_limits=_limits_of(table, file)
        )
    except InvalidValueError as error:
        raise FileFormatError(
            f"{file}, {error.subject}", expected=error.expected, got=error.got, remedy=error.remedy
        ) from error


def _limits_of(table: Mapping[str, object], file: Path) -> tuple[JointLimit, ...]:
    value: Any = table.get("joint_limits", [])
    rows: list[Any] = value if isinstance(value, list) else [value]
    for row in rows:
        fine = isinstance(row, list) and len(row) == 5 and all(isinstance(name, str) for name in row[:3])
        if not fine or not all(isinstance(angle, int | float) for angle in row[3:]):
            raise FileFormatError(
                file,
                expected='joint_limits = [["hip", "knee", "ankle", 40, 180], ...]',
                got=str(row)[:80],
                remedy="Write three names, and the smallest and the largest angle in degrees.",
            )
    return tuple(JointLimit((row[0], row[1], row[2]), float(row[3]), float(row[4])) for row in rows)


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
            remedy="Check the path, or the name of the preset.",
        )
    return preset or load_skeleton(name)


_SIDES = ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "BigToe", "SmallToe", "Heel", "Eye", "Ear")
_HUMAN_PAIRS = tuple((f"L{part}", f"R{part}") for part in _SIDES)
_HUMAN_LIMBS = tuple(
    (f"{side}{a}", f"{side}{b}")
    for side in "LR"
    for a, b in (
        ("Shoulder", "Elbow"),
        ("Elbow", "Wrist"),
        ("Hip", "Knee"),
        ("Knee", "Ankle"),
        ("Ankle", "Heel"),
        ("Ankle", "BigToe"),
        ("BigToe", "SmallToe"),
        ("Eye", "Ear"),
    )
)

# What is as long in every frame; shoulders and hips, as detectors see them, are not.
_HUMAN_BONES = tuple(
    (f"{side}{a}", f"{side}{b}")
    for side in "LR"
    for a, b in (("Shoulder", "Elbow"), ("Elbow", "Wrist"), ("Hip", "Knee"), ("Knee", "Ankle"))
)

_BODY_25_KEYPOINTS = (
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip LKnee LAnkle REye LEye "
    "REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel"
)
_BODY_25B_KEYPOINTS = (
    "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee LAnkle RAnkle Neck "
    "Head LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel"
)
_COCO_17_KEYPOINTS = (
    "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee LAnkle RAnkle"
)
_COCO_18_KEYPOINTS = (
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee LAnkle REye LEye REar LEar"
)


def _human(name: str, keypoints: str, trunk: tuple[tuple[str, str], ...]) -> Skeleton:
    names = tuple(keypoints.split())
    edges = tuple(edge for edge in _HUMAN_LIMBS + trunk if set(edge) <= set(names))
    pairs = tuple(pair for pair in _HUMAN_PAIRS if set(pair) <= set(names))
    return Skeleton(name, names, edges, pairs, _HUMAN_BONES)


_TRUNK_WITH_NECK = (
    ("Neck", "Nose"),
    ("Nose", "LEye"),
    ("Nose", "REye"),
    ("Neck", "LShoulder"),
    ("Neck", "RShoulder"),
)

PRESETS: Mapping[str, Skeleton] = {
    skeleton.name: skeleton
    for skeleton in (
        _human(
            "body_25",
            _BODY_25_KEYPOINTS,
            (*_TRUNK_WITH_NECK, ("Neck", "MidHip"), ("MidHip", "LHip"), ("MidHip", "RHip")),
        ),
        _human(
            "body_25b",
            _BODY_25B_KEYPOINTS,
            (*_TRUNK_WITH_NECK, ("Neck", "Head"), ("LHip", "RHip"), ("LShoulder", "LHip"), ("RShoulder", "RHip")),
        ),
        _human(
            "coco_17",
            _COCO_17_KEYPOINTS,
            (
                ("Nose", "LEye"),
                ("Nose", "REye"),
                ("LShoulder", "RShoulder"),
                ("LHip", "RHip"),
                ("LShoulder", "LHip"),
                ("RShoulder", "RHip"),
            ),
        ),
        _human("coco_18", _COCO_18_KEYPOINTS, (*_TRUNK_WITH_NECK, ("Neck", "LHip"), ("Neck", "RHip"))),
    )
}
