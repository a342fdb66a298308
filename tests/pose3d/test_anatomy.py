"""Anatomies: those of presets mean what they say, files keep all of it, and mistakes are named with their place."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.errors import FileFormatError, InvalidValueError
from pose3d.datasets import poses3d
from pose3d.kinematics.angles import joint_angles
from pose3d.kinematics.joints import joint_coordinates
from pose3d.kinematics.segments import segment_frames
from pose3d.project import Project, load_project, save_project
from pose3d.skeleton import (
    PRESETS,
    WORLD,
    Anatomy,
    Angle,
    Joint,
    Leg,
    Mass,
    Point,
    Segment,
    Skeleton,
    load_skeleton,
    skeleton_text,
)

PEOPLE = ("body_25", "body_25b", "coco_17", "coco_18", "halpe_26")
KEYPOINTS = ("a", "b", "c", "d e", "f.g", "ö")
names = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1, max_size=8).filter(str.strip)
keypoint = st.sampled_from(KEYPOINTS)
point = st.lists(keypoint, min_size=1, max_size=3).map(tuple)
axes = st.permutations("xyz").map(lambda order: (order[0], order[1]))
number = st.floats(-360, 360)


def parts(make: st.SearchStrategy[tuple[object, ...]]) -> st.SearchStrategy[list[tuple[object, ...]]]:
    return st.lists(make, max_size=3, unique_by=lambda part: part[0])


@st.composite
def anatomies(draw: st.DrawFn) -> Anatomy:
    two = st.tuples(point, point).filter(lambda pair: pair[0] != pair[1])
    segments = []
    for name, origin, order, first, second in draw(parts(st.tuples(names, point, axes, two, two))):
        if name != WORLD and set(first) != set(second):
            segments.append(Segment(name, origin, (order[0], *first), (order[1], *second)))
    known = [WORLD, *(segment.name for segment in segments)]
    three = st.tuples(two, two).map(lambda ends: (*ends[0], *ends[1])) | st.lists(
        point, min_size=3, max_size=3, unique=True
    ).map(tuple)
    angles = [
        Angle(name, points, axis, plane if axis else WORLD)
        for name, points, axis, plane in draw(parts(st.tuples(names, three, st.none() | axes, st.sampled_from(known))))
    ]
    triple, signs = st.tuples(number, number, number), st.tuples(*[st.sampled_from((1, -1))] * 3)
    sequence = st.sampled_from(("ZXY", "YXY", "XYZ"))
    joints = [
        Joint(name, proximal, distal, order, ("p", "q", "r"), sign, neutral)
        for name, proximal, distal, order, sign, neutral in draw(
            parts(st.tuples(names, st.sampled_from(known), st.sampled_from(known), sequence, signs, triple))
        )
        if distal not in (WORLD, proximal)
    ]
    other = st.none() | keypoint
    legs = [Leg(*part) for part in draw(parts(st.tuples(names, keypoint, other, other, st.just(()) | point)))]
    share = st.floats(0.001, 1)
    masses = [Mass(*part) for part in draw(parts(st.tuples(names, point, point, share, st.floats(0, 1))))]
    rear, front = draw(st.just(((), ())) | two)
    return Anatomy(tuple(angles), tuple(segments), tuple(joints), tuple(legs), tuple(masses), rear, front)


class TestFiles:
    @pytest.mark.parametrize("name", PRESETS)
    def test_presets_come_back_from_a_file(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "any.toml").write_text(skeleton_text(PRESETS[name]), encoding="utf-8")
        assert load_skeleton(tmp_path / "any.toml") == PRESETS[name]

    @pytest.mark.parametrize("name", PRESETS)
    def test_presets_come_back_from_a_project(self, tmp_path: Path, name: str) -> None:
        save_project(Project(tmp_path, "study", PRESETS[name], ("left", "right")))
        assert load_project(tmp_path).skeleton == PRESETS[name]

    @settings(max_examples=25)
    @given(anatomies())
    def test_any_anatomy_comes_back_from_a_file(self, tmp_path_factory: pytest.TempPathFactory, made: Anatomy) -> None:
        skeleton = Skeleton("any", KEYPOINTS, anatomy=made)
        folder = tmp_path_factory.mktemp("any")
        (folder / "any.toml").write_text(skeleton_text(skeleton), encoding="utf-8")
        assert load_skeleton(folder / "any.toml") == skeleton
        save_project(Project(folder, "study", skeleton, ("left", "right")))
        assert load_project(folder).skeleton == skeleton

    def test_an_integer_is_a_number_and_a_name_a_point(self, tmp_path: Path) -> None:
        text = """
keypoints = ["a", "b", "c"]
axis = ["a", ["b", "c"]]
[angles]
bend = ["a", ["b", "c"], "c"]
[masses]
all = { start = "a", end = "b", share = 1, center = 0 }
"""
        (tmp_path / "s.toml").write_text(text)
        read = load_skeleton(tmp_path / "s.toml").anatomy
        assert read.masses == (Mass("all", ("a",), ("b",), 1.0, 0.0),)
        assert read.angles == (Angle("bend", (("a",), ("b", "c"), ("c",))),)
        assert (read.rear, read.front) == (("a",), ("b", "c"))


SEGMENT = 'trunk = { origin = "hip", first = ["x", "hip", "neck"], second = ["z", "left", "right"] }'
MISTAKES = [
    ("axis = 5", "axis", "axis = "),
    ('axis = ["hip"]', "axis", "axis = "),
    ('axis = ["hip", 5]', "axis", "name of a keypoint"),
    ('axis = ["hip", []]', "axis", "name of a keypoint"),
    ('axis = ["hip", "nek"]', "axis", "names of keypoints"),
    ("angles = 5", "angles", "a section"),
    ("[angles]\nknee = 5", "knee", "a table"),
    ('[angles]\nknee = ["hip", "neck"]', "angles, knee", "three points or four"),
    ('[angles]\nknee = ["hip", "neck", 5]', "knee", "name of a keypoint"),
    ('[angles]\nknee = ["hip", "neck", "nek"]', "angles, knee", "names of keypoints"),
    ('[angles.knee]\npoints = ["hip", "neck", "left"]\nplane_of = "trunk"', "axes", "two axes"),
    ('[angles.knee]\naxes = ["x", "y"]', "knee", "no points"),
    ('[angles.knee]\npoints = ["hip", "neck", "left"]\naxes = ["x"]', "axes", "two axes"),
    ('[angles.knee]\npoints = ["hip", "neck", "left"]\naxes = ["x", "x"]', "angles, knee", "different axes"),
    (
        '[angles.knee]\npoints = ["hip", "neck", "left"]\naxes = ["x", "y"]\nplane_of = "trnk"',
        "angles, knee",
        "segment",
    ),
    ('[angles.knee]\npoints = ["hip", "neck", "left"]\naxes = ["x", "y"]\nplain_of = "trunk"', "plain_of", "plane_of"),
    ('[angles.knee]\npoints = "hip"\naxes = ["x", "y"]', "points", "a list"),
    ('[segments]\ntrunk = ["hip"]', "trunk", "a table with first"),
    ('[segments.trunk]\norigin = "hip"', "trunk", "no first"),
    (SEGMENT.replace('"x"', '"w"', 1), "first", "an axis and two points"),
    (SEGMENT.replace('"x"', '"z"', 1), "segments, trunk", "two different axes"),
    (SEGMENT.replace('"hip", "neck"', '"hip", "hip"'), "segments, trunk", "two different points"),
    (SEGMENT.replace('"hip", "neck"', '"hip"'), "first", "an axis and two points"),
    (SEGMENT.replace('"right"', '"rihgt"'), "segments, trunk", "names of keypoints"),
    (SEGMENT.replace('origin = "hip"', "origin = true"), "origin", "a text or a list"),
    ('[joints]\nhip = { proximal = "trunk" }', "hip", "no distal"),
    ('[joints]\nhip = { proximal = "trunk", distal = "thigh" }', "joints, hip", "two segments"),
    (SEGMENT + '\n[joints]\nhip = { proximal = "trunk", distal = "trunk" }', "joints, hip", "two segments"),
    (SEGMENT + '\n[joints]\nhip = { proximal = "trunk", distal = "world" }', "joints, hip", "two segments"),
    (
        SEGMENT + '\n[joints]\nhip = { proximal = "world", distal = "trunk", sequence = "ZZY" }',
        "joints, hip",
        "sequence",
    ),
    (SEGMENT + '\n[joints.hip]\nproximal = "world"\ndistal = "trunk"\nsigns = [1, 1]', "signs", "three of them"),
    (
        SEGMENT + '\n[joints.hip]\nproximal = "world"\ndistal = "trunk"\nsigns = [1, 1, 2]',
        "joints, hip",
        "signs 1 or -1",
    ),
    (SEGMENT + '\n[joints.hip]\nproximal = "world"\ndistal = "trunk"\nneutral = "no"', "neutral", "a list"),
    (
        SEGMENT + '\n[joints.hip]\nproximal = "world"\ndistal = "trunk"\nangles = ["p", "p", "r"]',
        "joints, hip",
        "three names",
    ),
    ("[legs]\nleft = 5", "left", "a table with foot"),
    ('[legs.left]\nheel = "left"', "left", "no foot"),
    ('[legs.left]\nfoot = ["left"]', "foot", "a text"),
    ('[legs.left]\nfoot = "lfet"', "legs, left", "names of keypoints"),
    ('[legs.left]\nfoot = "left"\ntoes = "left"', "toes", "one of foot, heel, toe, hip"),
    ('[masses.all]\nstart = "hip"\nend = "neck"\nshare = "1"\ncenter = 0', "share", "a number"),
    ('[masses.all]\nstart = "hip"\nend = "neck"\nshare = true\ncenter = 0', "share", "a number"),
    ('[masses.all]\nstart = "hip"\nend = "neck"\nshare = 1.2\ncenter = 0', "masses, all", "a share above 0"),
    ('[masses.all]\nstart = "hip"\nend = "neck"\nshare = 0.2\ncenter = -1', "masses, all", "a center from 0 to 1"),
    ('[masses.all]\nstart = "hip"\nend = "neck"\nshare = 0.2', "all", "no center"),
    ('[masses.all]\nstart = "hip"\nend = "neck"\nshare = nan\ncenter = 0', "masses, all", "a share above 0"),
]


class TestMistakes:
    HEAD = 'keypoints = ["hip", "neck", "left", "right"]\n'

    @pytest.mark.parametrize(("text", "where", "what"), MISTAKES)
    def test_they_are_told_with_the_file_and_the_entry(self, tmp_path: Path, text: str, where: str, what: str) -> None:
        file = tmp_path / "s.toml"
        file.write_text(self.HEAD + ("[segments]\n" + text if text.startswith("trunk = {") else text))
        with pytest.raises(FileFormatError) as caught:
            load_skeleton(file)
        error = caught.value
        assert error.subject.startswith(str(file))
        assert where in error.subject
        assert what in f"{error.expected} {error.got}"
        assert error.remedy

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("axis = 5", 2),
            ("angles = 5", 2),
            ("\n[angles]\n# the knee\nknee = 5", 5),
            ('[masses.all]\nstart = "hip"\nend = "neck"\nshare = "1"\ncenter = 0', 5),
            ('[legs.left]\nfoot = "left"\ntoes = "left"', 4),
            ("[legs]\n[legs.right]\nfoot = 'right'\n[legs.left]\nfoot = 7", 6),
        ],
    )
    def test_they_are_told_with_their_line(self, tmp_path: Path, text: str, line: int) -> None:
        (tmp_path / "s.toml").write_text(self.HEAD + text)
        with pytest.raises(FileFormatError, match=rf"s\.toml, line {line}, "):
            load_skeleton(tmp_path / "s.toml")

    @pytest.mark.parametrize(
        ("text", "close"),
        [
            ('axis = ["hip", "nek"]', "neck"),
            ('[angles]\nknee = ["hip", "neck", "lfet"]', "left"),
            ('[legs.left]\nfoot = "left"\nto = "left"', "toe"),
        ],
    )
    def test_the_nearest_name_is_told(self, tmp_path: Path, text: str, close: str) -> None:
        (tmp_path / "s.toml").write_text(self.HEAD + text)
        with pytest.raises(FileFormatError, match=rf"Did you mean '{close}'\?"):
            load_skeleton(tmp_path / "s.toml")

    def test_unknown_sections_of_a_skeleton_in_a_project_are_told(self, tmp_path: Path) -> None:
        save_project(Project(tmp_path, "study", Skeleton("s", ("a", "b")), ("left", "right")))
        file = tmp_path / "project.toml"
        file.write_text(file.read_text() + '\n[skeleton.leg]\nleft = { foot = "a" }\n')
        with pytest.raises(FileFormatError, match=r"Did you mean 'legs'\?"):
            load_project(tmp_path)

    @pytest.mark.parametrize(
        "anatomy",
        [
            Anatomy(angles=(Angle("knee", (("a",), ("a",), ("b",))),)),
            Anatomy(segments=(Segment("s", ("a",), ("x", ("a",), ("b",)), ("y", ("b",), ("a",))),)),
            Anatomy(rear=("a",), front=("a",)),
            Anatomy(angles=(Angle("knee", (("a",), ("b",), ())),)),
            Anatomy(angles=(Angle("knee", (("a",), ("b",), ("c",))), Angle("knee", (("a",), ("b",), ("c",))))),
            Anatomy(angles=(Angle(" ", (("a",), ("b",), ("c",))),)),
            Anatomy(legs=(Leg("left", "a", heel="z"),)),
            Anatomy(legs=(Leg("left", "a", hip=("a", "z")),)),
            Anatomy(rear=("a",)),
        ],
    )
    def test_values_are_checked_as_files_are(self, anatomy: Anatomy) -> None:
        with pytest.raises(InvalidValueError, match=r"^skeleton 'mouse', .+: expected .+, got .+\. .+"):
            Skeleton("mouse", ("a", "b", "c"), anatomy=anatomy)


class TestSelection:
    @pytest.mark.parametrize("name", PRESETS)
    def test_what_is_whole_stays(self, name: str) -> None:
        skeleton = PRESETS[name]
        assert skeleton.select(skeleton.keypoints).anatomy == skeleton.anatomy
        assert skeleton.select(skeleton.keypoints[:1]).anatomy == Anatomy()

    @settings(max_examples=50)
    @given(anatomies(), st.sets(keypoint))
    def test_only_parts_all_of_whose_points_are_kept(self, made: Anatomy, kept: set[str]) -> None:
        left = made.select(kept)
        segments = {segment.name for segment in left.segments} | {WORLD}
        whole = lambda points: all(set(each) <= kept for each in points)  # noqa: E731
        assert left.segments == tuple(each for each in made.segments if whole(each.points))
        assert set(left.angles) == {each for each in made.angles if whole(each.points) and each.plane_of in segments}
        assert set(left.joints) == {each for each in made.joints if {each.proximal, each.distal} <= segments}
        assert set(left.legs) == {each for each in made.legs if whole(each.points)}
        assert set(left.masses) == {each for each in made.masses if whole((each.start, each.end))}
        assert bool(left.rear) == bool(made.rear and whole((made.rear, made.front)))
        assert left.problem(kept) is None

    def test_a_skeleton_may_do_without(self) -> None:
        bare = PRESETS["mouse"].bare()
        assert not bare.anatomy
        assert replace(bare, anatomy=PRESETS["mouse"].anatomy) == PRESETS["mouse"]


# A person who stands and looks along x; z is up. Keypoints of the left side; those of the right are mirrored.
STANDING = {
    "Nose": (100, 0, 1600), "LEye": (80, 30, 1630), "LEar": (0, 70, 1620), "Head": (0, 0, 1750),
    "Neck": (0, 0, 1450), "LShoulder": (0, 180, 1440), "LElbow": (0, 180, 1140), "LWrist": (10, 180, 880),
    "MidHip": (0, 0, 950), "Hip": (0, 0, 950), "LHip": (0, 90, 950), "LKnee": (0, 90, 520), "LAnkle": (0, 90, 100),
    "LHeel": (-40, 90, 20), "LBigToe": (160, 90, 20), "LSmallToe": (130, 140, 20),
}  # fmt: skip


def person(name: str, **moved: tuple[float, float, float]) -> "object":
    """Poses of one frame; keypoints that are moved stay where they are given."""
    places = {}
    for keypoint_name in PRESETS[name].keypoints:
        right = keypoint_name.startswith("R")
        x, y, z = STANDING["L" + keypoint_name[1:] if right else keypoint_name]
        places[keypoint_name] = (x, -y if right else y, z)
    places |= moved
    position = np.array([places[each] for each in PRESETS[name].keypoints], dtype=float).T[None, :, :, None]
    return poses3d(position, individuals=["p"], keypoints=PRESETS[name].keypoints, unit="mm", frame_rate=100)


def coordinates(poses: "object", name: str, joint: str) -> dict[str, float]:
    found = joint_coordinates(poses, PRESETS[name], [joint])
    angles = np.degrees(found["joint_coordinate"].values.ravel())
    return dict(zip(found["angle_name"].values.ravel().tolist(), angles.round(6).tolist(), strict=True))


def turned(point: tuple[float, float, float], about: tuple[float, float, float], degrees: float) -> tuple[float, ...]:
    """Turned in the plane of walking, what hangs down to the front."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x, z = point[0] - about[0], point[2] - about[2]
    return about[0] + c * x - s * z, point[1], about[2] + s * x + c * z


class TestPeople:
    @pytest.mark.parametrize("name", PEOPLE)
    def test_axes_of_segments_are_front_up_and_right(self, name: str) -> None:
        frames = segment_frames(person(name, LWrist=(120, 180, 900), RWrist=(120, -180, 900)), PRESETS[name])
        matrix = frames["world_from_segment"].isel(time=0, individual=0)
        front, up, right = (1, 0, 0), (0, 0, 1), (0, -1, 0)
        for segment in matrix["segment"].values:
            tolerance = 0.35 if segment == "head" else 0.03
            np.testing.assert_allclose(
                matrix.sel(segment=segment).transpose("axis", "space").values, [front, up, right], atol=tolerance
            )

    @pytest.mark.parametrize("name", PEOPLE)
    @pytest.mark.parametrize(("side", "y"), [("L", 90), ("R", -90)])
    def test_a_bent_leg(self, name: str, side: str, y: float) -> None:
        """The thigh is 30 degrees to the front, the knee bent by 50, the foot as in standing to its shank."""
        hip, long = (0, y, 950), {"L": "left", "R": "right"}[side]
        knee = turned((0, y, 520), hip, 30)
        moved = {"Knee": knee}
        for part in ("Ankle", "Heel", "BigToe", "SmallToe"):
            x, width, z = STANDING["L" + part]
            at = turned((x, width if side == "L" else -width, z), hip, 30)
            moved[part] = turned(at, knee, -50)
        there = {side + part: at for part, at in moved.items() if side + part in PRESETS[name].keypoints}
        poses = person(name, **there)
        assert coordinates(poses, name, f"{long}_hip")["flexion"] == pytest.approx(30)
        assert coordinates(poses, name, f"{long}_hip")["adduction"] == pytest.approx(0, abs=1e-5)
        assert coordinates(poses, name, f"{long}_knee")["flexion"] == pytest.approx(50)
        three = joint_angles(poses, PRESETS[name], angles=[f"{long}_knee"])
        assert np.degrees(three["joint_angle"].item()) == pytest.approx(130)
        if f"{side}Heel" in there:
            ankle = coordinates(poses, name, f"{long}_ankle")
            assert ankle["dorsiflexion"] == pytest.approx(0, abs=1e-5)
            assert ankle["inversion"] == pytest.approx(0, abs=1e-5)

    @pytest.mark.parametrize(("side", "sign"), [("L", 1), ("R", -1)])
    def test_signs_are_those_of_the_movement_on_both_sides(self, side: str, sign: int) -> None:
        long = {"L": "left", "R": "right"}[side]
        crossed = {f"{side}Knee": (0.0, sign * 20.0, 525.0), f"{side}Ankle": (0.0, sign * -50.0, 100.0)}
        assert coordinates(person("coco_17", **crossed), "coco_17", f"{long}_hip")["adduction"] > 5
        lifted = {f"{side}BigToe": (155.0, sign * 90.0, 60.0), f"{side}SmallToe": (125.0, sign * 140.0, 60.0)}
        assert coordinates(person("halpe_26", **lifted), "halpe_26", f"{long}_ankle")["dorsiflexion"] > 5
        # The sole looks to the other foot: the big toe is up.
        tilted = {f"{side}SmallToe": (130.0, sign * 140.0, 0.0)}
        assert coordinates(person("halpe_26", **tilted), "halpe_26", f"{long}_ankle")["inversion"] > 5
        inward = {f"{side}BigToe": (150.0, sign * 40.0, 20.0), f"{side}SmallToe": (140.0, sign * 90.0, 20.0)}
        assert coordinates(person("halpe_26", **inward), "halpe_26", f"{long}_knee")["rotation"] > 5

    @pytest.mark.parametrize(("side", "sign"), [("L", 1), ("R", -1)])
    @pytest.mark.parametrize(("plane", "elevation"), [(0, 60), (90, 60), (45, 90), (20, 120)])
    def test_an_arm_is_raised_in_a_plane(self, side: str, sign: int, plane: float, elevation: float) -> None:
        shoulder, long = np.array([0.0, sign * 180.0, 1440.0]), {"L": "left", "R": "right"}[side]
        p, e = np.radians((plane, elevation))
        aside = np.array([np.sin(p), sign * np.cos(p), 0.0])
        elbow = shoulder + 300 * (np.sin(e) * aside - np.cos(e) * np.array([0.0, 0.0, 1.0]))
        # The forearm goes on upward in the plane in which the arm is raised: a rotation of 0 to that plane.
        wrist = elbow + 250 * (np.cos(e) * aside + np.sin(e) * np.array([0.0, 0.0, 1.0]))
        poses = person("body_25", **{f"{side}Elbow": tuple(elbow), f"{side}Wrist": tuple(wrist)})
        found = coordinates(poses, "body_25", f"{long}_shoulder")
        assert found["elevation"] == pytest.approx(elevation)
        assert (found["plane_of_elevation"] - plane + 180) % 360 - 180 == pytest.approx(0, abs=1e-5)

    @pytest.mark.parametrize("name", PEOPLE)
    def test_the_masses_are_a_whole_body(self, name: str) -> None:
        masses = PRESETS[name].anatomy.masses
        assert sum(mass.share for mass in masses) == pytest.approx(1, abs=1e-3)
        shares = {mass.name: mass.share for mass in masses}
        for side in ("left", "right"):
            leg = sum(share for part, share in shares.items() if part.startswith(side) and "arm" not in part)
            assert leg == pytest.approx((0.1478 + 0.0481 + 0.0129 + 0.1416 + 0.0433 + 0.0137) / 2)


class TestAnimals:
    @pytest.mark.parametrize("name", PRESETS)
    def test_parts_of_one_side_are_there_on_the_other(self, name: str) -> None:
        skeleton = PRESETS[name]
        mirror = {a: b for pair in skeleton.mirrored_pairs for a, b in (pair, pair[::-1])}

        def mirrored(at: Point) -> frozenset[str]:
            return frozenset(mirror.get(each, each) for each in at)

        anatomy = skeleton.anatomy
        angles = {tuple(map(frozenset, angle.points)) for angle in anatomy.angles if angle.axis is None}
        assert {tuple(map(mirrored, angle.points)) for angle in anatomy.angles if angle.axis is None} == angles
        assert {mirror[leg.foot] for leg in anatomy.legs} == {leg.foot for leg in anatomy.legs}
        masses = {(frozenset(mass.start), frozenset(mass.end), mass.share, mass.center) for mass in anatomy.masses}
        assert {(mirrored(m.start), mirrored(m.end), m.share, m.center) for m in anatomy.masses} == masses
        assert mirrored(anatomy.rear) == frozenset(anatomy.rear)
        assert mirrored(anatomy.front) == frozenset(anatomy.front)

    @pytest.mark.parametrize("name", ["mouse", "quadruped", "fish", "fly"])
    def test_axes_of_the_trunk_are_front_up_and_right(self, name: str) -> None:
        """Any body that is symmetric, level and points along x."""
        skeleton, rng = PRESETS[name], np.random.default_rng(1)
        mirror = {a: b for pair in skeleton.mirrored_pairs for a, b in (pair, pair[::-1])}
        left = {a for a, _ in skeleton.mirrored_pairs}
        places = {}
        for each in skeleton.keypoints:
            ahead = 100.0 if each in skeleton.anatomy.front else -100.0 if each in skeleton.anatomy.rear else 0.0
            if each not in mirror or each in left:
                places[each] = (ahead, rng.uniform(5, 20) if each in left else 0.0, 0.0)
        if name == "fish":
            places["left_eye"] = (50.0, 10.0, 0.0)
        places |= {mirror[each]: (x, -y, z) for each, (x, y, z) in places.items() if each in left}
        position = np.array([places[each] for each in skeleton.keypoints]).T[None, :, :, None]
        poses = poses3d(position, individuals=["i"], keypoints=skeleton.keypoints, unit="mm")
        trunks = [part.name for part in skeleton.anatomy.segments if part.first[0] != "y"]
        frames = segment_frames(poses, skeleton, trunks)["world_from_segment"].isel(time=0, individual=0)
        for segment in trunks:
            np.testing.assert_allclose(
                frames.sel(segment=segment).transpose("axis", "space"), [(1, 0, 0), (0, 0, 1), (0, -1, 0)], atol=1e-9
            )


def test_a_misspelled_table_is_refused_with_the_name_that_is_meant(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('keypoints = ["a", "b", "c"]\n[angels]\nknee = ["a", "b", "c"]\n')
    with pytest.raises(FileFormatError, match="Did you mean 'angles'"):
        load_skeleton(tmp_path / "s.toml")
