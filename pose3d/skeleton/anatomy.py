"""What a skeleton means for the body: angles, segments and joints, legs, masses, and where the front is.

A point is a keypoint, or the middle of several: a tuple of names.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

__all__ = ["WORLD", "Anatomy", "Angle", "Axis", "Joint", "Leg", "Mass", "Point", "Segment"]

Point = tuple[str, ...]
Axis = Literal["x", "y", "z"]

WORLD = "world"
"""The segment that does not move, as the proximal one of a joint: angles in space."""


@dataclass(frozen=True)
class Angle:
    """An angle between points.

    Attributes:
        name: what it is called.
        points: three: the angle at the middle one, pi where it is a straight line; four: between the line from the
            first to the second and the line from the third to the fourth, 0 where they point the same way.
        axis: with two axes of a segment or of the world, the angle is that of the lines projected onto their plane,
            with a sign; see `plane_of`.
        plane_of: the segment whose axes span the plane, or "world".
    """

    name: str
    points: tuple[Point, ...]
    axis: tuple[Axis, Axis] | None = None
    plane_of: str = WORLD

    def problem(self, segments: Set[str]) -> tuple[str, str] | None:
        """What was expected and what is there instead, with these segments; None where all is well."""
        if len(self.points) not in (3, 4):
            return "three points or four", str(len(self.points))
        ends = pairwise(self.points) if len(self.points) == 3 else (self.points[:2], self.points[2:])
        if any(a == b for a, b in ends):
            return "lines between two different points", "the same point twice"
        if self.axis is not None and not _are_axes(*self.axis):
            return "two different axes out of x, y, z", str(self.axis)
        if self.plane_of not in segments:
            return f"a segment out of {', '.join(sorted(segments))}", self.plane_of
        return None


@dataclass(frozen=True)
class Segment:
    """A stiff part of the body with a coordinate system.

    Attributes:
        name: what it is called.
        origin: where its origin is.
        first: an axis, and the points it runs from and to; it is taken as it is.
        second: another axis, and the points it runs from and to; it is turned to be perpendicular to the first. The
            third completes a right-handed system.
    """

    name: str
    origin: Point
    first: tuple[Axis, Point, Point]
    second: tuple[Axis, Point, Point]

    @property
    def points(self) -> tuple[Point, ...]:
        """The points that define it."""
        return (self.origin, *self.first[1:], *self.second[1:])

    def problem(self, _segments: Set[str]) -> tuple[str, str] | None:
        """See `Angle.problem`."""
        if not _are_axes(self.first[0], self.second[0]):
            return "two different axes out of x, y, z", f"{self.first[0]}, {self.second[0]}"
        if self.first[1] == self.first[2] or self.second[1] == self.second[2]:
            return "axes between two different points", "the same point twice"
        if set(self.first[1:]) == set(self.second[1:]):
            return "two axes along different lines", "the same line twice"
        return None


@dataclass(frozen=True)
class Joint:
    """Three angles of a segment in the system of another.

    Attributes:
        name: what it is called.
        proximal: a segment, or "world".
        distal: the segment that turns in it.
        sequence: the order of the rotations about the axes of the proximal segment, then the floating one, then the
            distal one (intrinsic; Grood and Suntay 1983 is "ZXY" with z to the right, x forward, y up).
        angles: names of the three angles, in this order.
        signs: 1 or -1 for each: the sign with which it is told.
        neutral: what is subtracted from each, in degrees: the angles of the pose that counts as neutral.
    """

    name: str
    proximal: str
    distal: str
    sequence: str = "ZXY"
    angles: tuple[str, str, str] = ("flexion", "adduction", "rotation")
    signs: tuple[int, int, int] = (1, 1, 1)
    neutral: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def problem(self, segments: Set[str]) -> tuple[str, str] | None:
        """See `Angle.problem`."""
        unknown = {self.proximal, self.distal} - segments
        if unknown or self.distal in (WORLD, self.proximal):
            got = ", ".join(sorted(unknown)) or f"{self.proximal} and {self.distal}"
            return f"two segments out of {', '.join(sorted(segments))}", got
        turns = len(self.sequence) == 3 and set(self.sequence) <= set("XYZ")
        if not turns or any(a == b for a, b in pairwise(self.sequence)):
            return "a sequence of three axes, as ZXY or YXY", self.sequence
        if len(set(self.angles)) != 3 or len(self.signs) != 3 or not set(self.signs) <= {1, -1}:
            return "three names of angles, and three signs 1 or -1", f"{self.angles}, {self.signs}"
        return None


@dataclass(frozen=True)
class Leg:
    """A leg that walks. Its left or right partner is that of its foot in the mirrored pairs.

    Attributes:
        name: what it is called.
        foot: the keypoint whose contact with the ground counts.
        heel, toe: keypoints that touch the ground first and leave it last, where there are such; the foot by default.
        hip: what moves with the body above it, for methods that look at the foot from there; the middle of the body by
            default.
    """

    name: str
    foot: str
    heel: str | None = None
    toe: str | None = None
    hip: Point = ()

    @property
    def points(self) -> tuple[Point, ...]:
        """The points that define it."""
        ends = tuple((name,) for name in (self.foot, self.heel, self.toe) if name)
        return (*ends, self.hip) if self.hip else ends


@dataclass(frozen=True)
class Mass:
    """A part of the body that weighs.

    Attributes:
        name: what it is called.
        start, end: its ends.
        share: of the mass of the body.
        center: where on the way from start to end its center of mass is, 0 to 1.
    """

    name: str
    start: Point
    end: Point
    share: float
    center: float

    def problem(self, _segments: Set[str]) -> tuple[str, str] | None:
        """See `Angle.problem`."""
        if 0 < self.share <= 1 and 0 <= self.center <= 1:
            return None
        return "a share above 0 up to 1, and a center from 0 to 1", f"{self.share}, {self.center}"


@dataclass(frozen=True)
class Anatomy:
    """What a skeleton means for the body.

    Attributes:
        angles, segments, joints, legs, masses: parts with names, each once among its kind.
        rear, front: the points between which the axis of the body runs, or empty.
    """

    angles: tuple[Angle, ...] = ()
    segments: tuple[Segment, ...] = ()
    joints: tuple[Joint, ...] = ()
    legs: tuple[Leg, ...] = ()
    masses: tuple[Mass, ...] = ()
    rear: Point = ()
    front: Point = ()

    def __bool__(self) -> bool:
        """Whether there is anything in it."""
        return self != Anatomy()

    def segment(self, name: str) -> Segment:
        """The segment of that name; a KeyError where there is none."""
        return {segment.name: segment for segment in self.segments}[name]

    def select(self, keypoints: Set[str]) -> Anatomy:
        """What is left with these keypoints: parts all of whose points are there."""

        def kept(*points: Point) -> bool:
            return all(set(point) <= keypoints for point in points)

        segments = tuple(segment for segment in self.segments if kept(*segment.points))
        names = {WORLD, *(segment.name for segment in segments)}
        whole = kept(self.rear, self.front)
        return Anatomy(
            tuple(angle for angle in self.angles if kept(*angle.points) and angle.plane_of in names),
            segments,
            tuple(joint for joint in self.joints if {joint.proximal, joint.distal} <= names),
            tuple(leg for leg in self.legs if kept(*leg.points)),
            tuple(mass for mass in self.masses if kept(mass.start, mass.end)),
            self.rear if whole else (),
            self.front if whole else (),
        )

    def problem(self, keypoints: Set[str]) -> tuple[str, str, str] | None:
        """What is wrong with it for a skeleton of these keypoints: where, what was expected, what is there."""
        for where, points in self._points():
            unknown = sorted({name for point in points for name in point} - keypoints)
            if unknown or not all(points):
                return where, "names of keypoints", ", ".join(unknown) or "no name"
        for kind in ("angles", "segments", "joints", "legs", "masses"):
            names = [part.name for part in getattr(self, kind)]
            twice = sorted({name for name in names if names.count(name) > 1 or not name.strip()})
            if twice:
                return kind, "names, each once", ", ".join(map(repr, twice))
        if self.rear and self.rear == self.front:
            return "axis", "two different points", "the same twice"
        return self._problem_of_parts()

    def _points(self) -> Iterator[tuple[str, tuple[Point, ...]]]:
        for kind, parts in (("angles", self.angles), ("segments", self.segments), ("legs", self.legs)):
            for part in parts:
                yield f"{kind}, {part.name}", part.points
        for mass in self.masses:
            yield f"masses, {mass.name}", (mass.start, mass.end)
        if self.rear or self.front:
            yield "axis", (self.rear, self.front)

    def _problem_of_parts(self) -> tuple[str, str, str] | None:
        segments = {WORLD, *(segment.name for segment in self.segments)}
        parts: list[tuple[str, Angle | Segment | Joint | Mass]] = [
            *(("angles", angle) for angle in self.angles),
            *(("segments", segment) for segment in self.segments),
            *(("joints", joint) for joint in self.joints),
            *(("masses", mass) for mass in self.masses),
        ]
        for kind, part in parts:
            problem = part.problem(segments)
            if problem is not None:
                return f"{kind}, {part.name}", *problem
        return None


def _are_axes(first: str, second: str) -> bool:
    return {first, second} <= {"x", "y", "z"} and first != second
