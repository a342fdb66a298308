"""Skeletons: the presets are the published ones, files are read or refused by name."""

import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.errors import FileFormatError, InvalidValueError
from pose3d.skeleton import PRESETS, JointLimit, Skeleton, load_skeleton
from pose3d.synthetic import QUADRUPED

# As OpenPose's documentation of its output (doc/02_output.md) and its pose parameters number them. In BODY_25B, Neck is
# what it calls UpperNeck, and Head its HeadTop.
BODY_25 = {
    "Nose": 0, "Neck": 1, "RShoulder": 2, "RElbow": 3, "RWrist": 4, "LShoulder": 5, "LElbow": 6, "LWrist": 7,
    "MidHip": 8, "RHip": 9, "RKnee": 10, "RAnkle": 11, "LHip": 12, "LKnee": 13, "LAnkle": 14, "REye": 15, "LEye": 16,
    "REar": 17, "LEar": 18, "LBigToe": 19, "LSmallToe": 20, "LHeel": 21, "RBigToe": 22, "RSmallToe": 23, "RHeel": 24,
}  # fmt: skip
BODY_25B = {
    "Nose": 0, "LEye": 1, "REye": 2, "LEar": 3, "REar": 4, "LShoulder": 5, "RShoulder": 6, "LElbow": 7, "RElbow": 8,
    "LWrist": 9, "RWrist": 10, "LHip": 11, "RHip": 12, "LKnee": 13, "RKnee": 14, "LAnkle": 15, "RAnkle": 16,
    "Neck": 17, "Head": 18, "LBigToe": 19, "LSmallToe": 20, "LHeel": 21, "RBigToe": 22, "RSmallToe": 23, "RHeel": 24,
}  # fmt: skip
COCO_18 = {
    "Nose": 0, "Neck": 1, "RShoulder": 2, "RElbow": 3, "RWrist": 4, "LShoulder": 5, "LElbow": 6, "LWrist": 7,
    "RHip": 8, "RKnee": 9, "RAnkle": 10, "LHip": 11, "LKnee": 12, "LAnkle": 13, "REye": 14, "LEye": 15, "REar": 16,
    "LEar": 17,
}  # fmt: skip
# The keypoints of the COCO annotations; their skeleton counts from 1.
COCO_17 = [
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
]  # fmt: skip
COCO_17_EDGES = [
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9), (8, 10), (9, 11),
    (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
]  # fmt: skip
# As HALPE numbers them; the names are those of Pose2Sim.
HALPE_26 = {
    "Nose": 0, "LEye": 1, "REye": 2, "LEar": 3, "REar": 4, "LShoulder": 5, "RShoulder": 6, "LElbow": 7, "RElbow": 8,
    "LWrist": 9, "RWrist": 10, "LHip": 11, "RHip": 12, "LKnee": 13, "RKnee": 14, "LAnkle": 15, "RAnkle": 16,
    "Head": 17, "Neck": 18, "Hip": 19, "LBigToe": 20, "RBigToe": 21, "LSmallToe": 22, "RSmallToe": 23, "LHeel": 24,
    "RHeel": 25,
}  # fmt: skip
# Of AP-10K, with the pairs that its annotations call a skeleton (counted from 1).
AP_10K = [
    "L_Eye", "R_Eye", "Nose", "Neck", "Root of tail", "L_Shoulder", "L_Elbow", "L_F_Paw", "R_Shoulder", "R_Elbow",
    "R_F_Paw", "L_Hip", "L_Knee", "L_B_Paw", "R_Hip", "R_Knee", "R_B_Paw",
]  # fmt: skip
AP_10K_EDGES = [
    (1, 2), (1, 3), (2, 3), (3, 4), (4, 5), (4, 6), (6, 7), (7, 8), (4, 9), (9, 10), (10, 11), (5, 12), (12, 13),
    (13, 14), (5, 15), (15, 16), (16, 17),
]  # fmt: skip
PEOPLE = ("body_25", "body_25b", "coco_17", "coco_18", "halpe_26")

# The limbs that OpenPose draws.
BODY_25_EDGES = [
    (1, 8), (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (10, 11), (8, 12), (12, 13), (13, 14),
    (1, 0), (0, 15), (15, 17), (0, 16), (16, 18), (14, 19), (19, 20), (14, 21), (11, 22), (22, 23), (11, 24),
]  # fmt: skip
COCO_18_EDGES = [
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0),
    (0, 14), (14, 16), (0, 15), (15, 17),
]  # fmt: skip


def numbered(skeleton: Skeleton) -> set[frozenset[int]]:
    return {frozenset(map(skeleton.keypoints.index, edge)) for edge in skeleton.edges}


class TestPresets:
    @pytest.mark.parametrize(
        ("name", "published"),
        [("body_25", BODY_25), ("body_25b", BODY_25B), ("coco_18", COCO_18), ("halpe_26", HALPE_26)],
    )
    def test_the_order_is_the_published_one(self, name: str, published: dict[str, int]) -> None:
        assert {keypoint: index for index, keypoint in enumerate(PRESETS[name].keypoints)} == published

    def test_the_order_is_that_of_coco(self) -> None:
        def plain(keypoint: str) -> str:
            side = {"L": "left_", "R": "right_"}.get(keypoint[0], "")
            return side + keypoint[bool(side) :].lower()

        assert [plain(keypoint) for keypoint in PRESETS["coco_17"].keypoints] == COCO_17

    def test_the_edges_are_the_published_limbs(self) -> None:
        assert numbered(PRESETS["body_25"]) == {frozenset(edge) for edge in BODY_25_EDGES}
        assert numbered(PRESETS["coco_18"]) == {frozenset(edge) for edge in COCO_18_EDGES}
        assert numbered(PRESETS["coco_17"]) <= {frozenset((a - 1, b - 1)) for a, b in COCO_17_EDGES}

    @pytest.mark.parametrize("name", PRESETS)
    def test_left_and_right_are_swapped_and_swapped_back(self, name: str) -> None:
        skeleton = PRESETS[name]
        mirror = {a: b for pair in skeleton.mirrored_pairs for a, b in (pair, pair[::-1])}
        assert all(mirror[mirror[keypoint]] == keypoint for keypoint in mirror)
        for keypoint in skeleton.keypoints:
            side = re.match(r"left_|right_|[LR](?=_|[A-Z])", keypoint) if name != "hand" else None
            if side:
                other = {"left_": "right_", "right_": "left_", "L": "R", "R": "L"}[side[0]]
                assert mirror[keypoint] == other + keypoint[side.end() :]
            else:
                assert keypoint not in mirror
        assert all(left[0] in "lL" for left, _ in skeleton.mirrored_pairs)

    @pytest.mark.parametrize("name", PRESETS)
    def test_the_mirror_image_of_a_bone_is_a_bone(self, name: str) -> None:
        skeleton = PRESETS[name]
        mirror = {a: b for pair in skeleton.mirrored_pairs for a, b in (pair, pair[::-1])}
        bones = {frozenset(edge) for edge in skeleton.edges}
        assert {frozenset(mirror.get(end, end) for end in bone) for bone in bones} == bones
        assert len(bones) == len(skeleton.edges)

    @pytest.mark.parametrize("name", PRESETS)
    def test_every_keypoint_is_joined_to_something(self, name: str) -> None:
        skeleton = PRESETS[name]
        assert {end for edge in skeleton.edges for end in edge} == set(skeleton.keypoints)

    @pytest.mark.parametrize("name", PEOPLE)
    def test_bones_of_people_are_the_limbs_of_both_sides(self, name: str) -> None:
        bones = {frozenset(bone) for bone in PRESETS[name].bones}
        assert bones == {
            frozenset({side + a, side + b})
            for side in "LR"
            for a, b in (("Shoulder", "Elbow"), ("Elbow", "Wrist"), ("Hip", "Knee"), ("Knee", "Ankle"))
        }

    def test_four_legged_animals_are_those_of_ap_10k(self) -> None:
        assert list(PRESETS["quadruped"].keypoints) == AP_10K
        assert numbered(PRESETS["quadruped"]) == {frozenset((a - 1, b - 1)) for a, b in AP_10K_EDGES}

    @pytest.mark.parametrize("name", ["mouse", "rat"])
    def test_rodents_have_the_keypoints_of_the_simulated_animal(self, name: str) -> None:
        assert PRESETS[name].keypoints == QUADRUPED.keypoints
        assert PRESETS[name].edges == QUADRUPED.edges
        assert PRESETS[name].mirrored_pairs == QUADRUPED.mirrored_pairs
        assert PRESETS[name].anatomy == QUADRUPED.anatomy

    def test_a_fly_has_six_legs_of_five_keypoints(self) -> None:
        fly = PRESETS["fly"]
        assert len(fly.keypoints) == 38
        assert [leg.name for leg in fly.anatomy.legs] == ["LF", "LM", "LH", "RF", "RM", "RH"]

    def test_a_hand_has_the_numbers_of_mediapipe(self) -> None:
        numbers = {"WRIST": 0, "THUMB_CMC": 1, "THUMB_TIP": 4, "INDEX_FINGER_MCP": 5, "MIDDLE_FINGER_DIP": 11}
        numbers |= {"RING_FINGER_PIP": 14, "PINKY_MCP": 17, "PINKY_TIP": 20}
        hand = PRESETS["hand"].keypoints
        assert len(hand) == 21
        assert {name: hand.index(name) for name in numbers} == numbers

    def test_presets_are_found_by_their_own_name(self) -> None:
        assert all(skeleton.name == name for name, skeleton in PRESETS.items())


class TestSkeleton:
    def test_it_is_a_value(self) -> None:
        a = Skeleton("mouse", ["nose", "tail"], [["nose", "tail"]])
        b = Skeleton("mouse", ("nose", "tail"), (("nose", "tail"),))
        assert a == b
        assert hash(a) == hash(b)
        assert pickle.loads(pickle.dumps(a)) == a

    def test_selection_keeps_what_joins_the_chosen(self) -> None:
        chosen = PRESETS["body_25"].select(["LKnee", "LHip", "RHip"])
        assert chosen.keypoints == ("LKnee", "LHip", "RHip")
        assert chosen.edges == (("LHip", "LKnee"),)
        assert chosen.mirrored_pairs == (("LHip", "RHip"),)

    def test_selection_keeps_bones_and_joint_limits_of_the_chosen(self) -> None:
        knee = JointLimit(("LHip", "LKnee", "LAnkle"), 30.0, 180.0)
        legs = Skeleton(
            "legs",
            ("LHip", "LKnee", "LAnkle", "LHeel"),
            (("LHip", "LKnee"), ("LKnee", "LAnkle"), ("LAnkle", "LHeel")),
            bones=(("LHip", "LKnee"), ("LAnkle", "LHeel")),
            joint_limits=(knee,),
        )
        assert legs.select(["LAnkle", "LKnee", "LHip"]).bones == (("LHip", "LKnee"),)
        assert legs.select(["LAnkle", "LKnee", "LHip"]).joint_limits == (knee,)
        assert legs.select(["LHip", "LKnee", "LHeel"]).joint_limits == ()
        assert legs.select(["LHip", "LAnkle"]).bones == ()

    def test_bones_are_edges_in_either_direction(self) -> None:
        legs = Skeleton("leg", ("hip", "knee"), (("hip", "knee"),), bones=(("knee", "hip"),))
        assert legs.bones == (("knee", "hip"),)
        assert legs != Skeleton("leg", ("hip", "knee"), (("hip", "knee"),))

    def test_unknown_names_are_kept_without_edges(self) -> None:
        assert PRESETS["body_25"].select(["LKnee", "hat"]).keypoints == ("LKnee", "hat")

    @given(st.permutations(PRESETS["body_25b"].keypoints), st.integers(1, 25))
    def test_a_selection_of_a_selection_is_a_selection(self, names: list[str], count: int) -> None:
        whole = PRESETS["body_25b"]
        assert whole.select(names).select(names[:count]) == whole.select(names[:count])
        assert whole.select(names).select(whole.keypoints) == whole

    @pytest.mark.parametrize(
        ("changes", "part"),
        [
            ({"keypoints": ()}, "keypoints"),
            ({"keypoints": ("nose", "nose")}, "keypoints"),
            ({"keypoints": ("nose", "")}, "keypoints"),
            ({"keypoints": ("nose", "  ")}, "keypoints"),
            ({"edges": (("nose", "ear"),)}, "edges"),
            ({"edges": (("nose", "nose"),)}, "edges"),
            ({"edges": (("nose",),)}, "edges"),
            ({"edges": (("nose", "left", "right"),)}, "edges"),
            ({"edges": ((0, 1),)}, "edges"),
            ({"mirrored_pairs": (("left", "ear"),)}, "mirrored_pairs"),
            ({"mirrored_pairs": (("left", "right"), ("right", "left"))}, "mirrored_pairs"),
            ({"mirrored_pairs": (("left", "right"), ("left", "nose"))}, "mirrored_pairs"),
            ({"bones": (("nose", "left"),)}, "bones"),  # no edge
            ({"bones": (("nose", "ear"),)}, "bones"),
            ({"bones": (("nose", "nose"),)}, "bones"),
            ({"edges": (("nose", "left"),), "bones": (("nose", "right"),)}, "bones"),
            ({"joint_limits": (JointLimit(("nose", "left", "ear"), 10, 90),)}, "joint_limits"),
            ({"joint_limits": (JointLimit(("nose", "left", "nose"), 10, 90),)}, "joint_limits"),
            ({"joint_limits": (JointLimit(("nose", "left"), 10, 90),)}, "joint_limits"),
            ({"joint_limits": (JointLimit(("nose", "left", "right"), 90, 90),)}, "joint_limits"),
            ({"joint_limits": (JointLimit(("nose", "left", "right"), -1, 90),)}, "joint_limits"),
            ({"joint_limits": (JointLimit(("nose", "left", "right"), 10, 181),)}, "joint_limits"),
            ({"joint_limits": (JointLimit(("nose", "left", "right"), float("nan"), 90),)}, "joint_limits"),
        ],
    )
    def test_what_is_no_skeleton_is_refused(self, changes: dict[str, object], part: str) -> None:
        arguments = {"keypoints": ("nose", "left", "right"), **changes}
        with pytest.raises(InvalidValueError, match=rf"^skeleton 'mouse', {part}: expected .+, got .+\. .+"):
            Skeleton("mouse", **arguments)


class TestLoading:
    TEXT = 'name = "mouse"\nkeypoints = ["nose", "l", "r"]\nedges = [["nose", "l"]]\nmirrored_pairs = [["l", "r"]]\n'
    MOUSE = Skeleton("mouse", ("nose", "l", "r"), (("nose", "l"),), (("l", "r"),))

    @pytest.mark.parametrize("head", ["", "[skeleton]\n"])
    def test_at_the_top_or_in_a_table(self, tmp_path: Path, head: str) -> None:
        (tmp_path / "a.toml").write_text(head + self.TEXT)
        assert load_skeleton(tmp_path / "a.toml") == self.MOUSE

    def test_bones_and_joint_limits_are_read(self, tmp_path: Path) -> None:
        more = 'bones = [["l", "nose"]]\njoint_limits = [["nose", "l", "r", 40, 170.5]]\n'
        (tmp_path / "a.toml").write_text(self.TEXT + more)
        read = load_skeleton(tmp_path / "a.toml")
        assert read.bones == (("l", "nose"),)
        assert read.joint_limits == (JointLimit(("nose", "l", "r"), 40.0, 170.5),)

    def test_the_name_is_that_of_the_file_by_default(self, tmp_path: Path) -> None:
        (tmp_path / "mouse.toml").write_text('keypoints = ["nose"]')
        assert load_skeleton(tmp_path / "mouse.toml") == Skeleton("mouse", ("nose",))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "keypoints",
            "keypoints = []",
            "keypoints = 5",
            'keypoints = "nose"',
            'skeleton = "mouse"',
            "skeleton = [1, 2]",
            'keypoints = ["nose", "nose"]',
            'keypoints = ["nose", ""]',
            'keypoints = ["nose"]\nedges = [["nose", "ear"]]',
            'keypoints = ["nose"]\nedges = [["nose"]]',
            'keypoints = ["nose"]\nedges = ["nose"]',
            'keypoints = ["nose"]\nedges = 5',
            'keypoints = ["a", "b"]\nmirrored_pairs = [["a", "b"], ["b", "a"]]',
            'keypoints = ["a", "b"]\nbones = [["a", "b"]]',
            'keypoints = ["a", "b"]\nbones = ["a", "b"]',
            'keypoints = ["a", "b", "c"]\njoint_limits = [["a", "b", "c", 10]]',
            'keypoints = ["a", "b", "c"]\njoint_limits = [["a", "b", "c", "10", "20"]]',
            'keypoints = ["a", "b", "c"]\njoint_limits = [["a", "b", 10, 20, 30]]',
            'keypoints = ["a", "b", "c"]\njoint_limits = [["a", "b", "c", 90, 20]]',
            'keypoints = ["a", "b", "c"]\njoint_limits = 5',
            'keypoints = ["a", "b", "c"]\njoint_limits = [5]',
            'keypoints = ["a", "b", "c"]\njoint_limits = [["a", "b", "d", 10, 90]]',
        ],
    )
    def test_what_is_no_skeleton_is_refused_with_the_file(self, tmp_path: Path, text: str) -> None:
        file = tmp_path / "a.toml"
        file.write_text(text)
        with pytest.raises(FileFormatError, match=r"expected .+, got .+\. .+") as caught:
            load_skeleton(file)
        assert caught.value.subject.startswith(str(file))

    @pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x00" * 100, b'keypoints = ["nose"'])
    def test_broken_files_are_refused(self, tmp_path: Path, content: bytes) -> None:
        file = tmp_path / "a.toml"
        file.write_bytes(content)
        with pytest.raises(FileFormatError, match=r"a\.toml: expected .+, got .+\. .+"):
            load_skeleton(file)

    def test_missing_files_and_folders_are_refused(self, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "none.toml"):
            with pytest.raises(FileFormatError, match=r"expected .+, got .+\. .+"):
                load_skeleton(path)
