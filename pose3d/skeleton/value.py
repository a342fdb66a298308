"""The value: keypoints, what joins them, and what that means for the body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from calibration.errors import InvalidValueError
from calibration.nearest import nearest_name
from pose3d.skeleton.anatomy import Anatomy

__all__ = ["JointLimit", "Skeleton"]


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
        anatomy: angles, segments, legs and what else kinematics are made of.

    Raises:
        InvalidValueError: a name is repeated or blank, an edge, pair, bone, joint or part of the anatomy names a
            keypoint that does not exist or the same twice, a keypoint is in two mirrored pairs, a bone is no edge, the
            range of an angle is empty or not within 0 to 180 degrees, or the anatomy contradicts itself.
    """

    name: str
    keypoints: tuple[str, ...]
    edges: tuple[tuple[str, str], ...] = ()
    mirrored_pairs: tuple[tuple[str, str], ...] = field(default=())
    bones: tuple[tuple[str, str], ...] = ()
    joint_limits: tuple[JointLimit, ...] = ()
    anatomy: Anatomy = field(default_factory=Anatomy)

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
        self._check_anatomy()

    def _check_anatomy(self) -> None:
        problem = self.anatomy.problem(set(self.keypoints))
        if problem is not None:
            where, expected, got = problem
            close = nearest_name(got, self.keypoints) if expected == "names of keypoints" else ""
            raise InvalidValueError(
                f"skeleton '{self.name}', {where}",
                expected=expected,
                got=got,
                remedy=close or "Correct it, or remove it.",
            )

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
            self.anatomy.select(kept),
        )

    def bare(self) -> Skeleton:
        """The skeleton without its anatomy, which neither labels nor reconstruction know."""
        return replace(self, anatomy=Anatomy())

    def partner(self, keypoint: str) -> str | None:
        """The keypoint that it swaps with when left and right are swapped."""
        for left, right in self.mirrored_pairs:
            if keypoint in (left, right):
                return right if keypoint == left else left
        return None
