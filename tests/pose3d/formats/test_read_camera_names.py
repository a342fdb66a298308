"""Which camera a path speaks of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose3d.camera_names import distinguishing_names, matching_cameras, path_parts

TWELVE = tuple(f"cam_{number}" for number in range(1, 13))


def found(path: str, names: tuple[str, ...]) -> list[str]:
    return matching_cameras(path_parts([path])[0], names)


@pytest.mark.parametrize(
    ("path", "names", "expected"),
    [
        # exactly, as a part or between separators
        ("session/back/pose.h5", ("back", "mid"), ["back"]),
        ("back/minimal_back_proofread.analysis.h5", ("back", "mid"), ["back"]),
        ("cam_1.csv", TWELVE, ["cam_1"]),
        ("rec-cam_11-top.csv", TWELVE, ["cam_11"]),
        # not inside longer words and numbers
        ("cam_10.csv", ("cam_1",), []),
        ("cam_100.csv", TWELVE, []),
        ("mycam_1.csv", ("cam_1",), []),
        ("backpack.csv", ("back",), []),
        # whatever case, separators and leading zeros
        ("cam1_json", ("cam_01", "cam_02", "cam_10"), ["cam_01"]),
        ("cam01.0000.json", ("cam_01", "cam_02", "cam_10"), ["cam_01"]),
        ("CAM-0002.h5", ("cam_01", "cam_02"), ["cam_02"]),
        ("Camera12/x.csv", TWELVE, ["cam_12"]),
        ("cam3.csv", ("Camera1", "Camera3"), ["Camera3"]),
        ("Top-Left.csv", ("top_left", "top_right"), ["top_left"]),
        ("vid01-camA.h5", ("A", "B"), ["A"]),
        ("cam0.csv", ("cam_00", "cam_01"), ["cam_00"]),
        # a number alone
        ("2/pose.csv", TWELVE, ["cam_2"]),
        ("2", ("cam_1", "cam_2"), ["cam_2"]),
        ("take2.csv", ("cam_1", "cam_2"), []),
        # what tools append to names
        ("cam1DLC_resnet50_mouseShuffle1_100000.h5", ("1", "2", "50"), ["1"]),
        ("cam2DLC_Resnet50_mouse_shuffle1_snapshot_120.h5", TWELVE, ["cam_2"]),
        ("labels.v001.000_cam_2.analysis.h5", TWELVE, ["cam_2"]),
        ("cam.left.csv", ("left", "right"), ["left"]),
        # the longer name wins where the shorter is part of it
        ("top_left.csv", ("top", "top_left"), ["top_left"]),
        ("TopLeft".lower() + "/Top-Left.csv", ("top", "top_left"), ["top_left"]),
        # what is not clear
        ("top/top_left.csv", ("top", "top_left"), ["top", "top_left"]),
        ("cam_1_and_cam_2.csv", TWELVE, ["cam_1", "cam_2"]),
        ("pose.csv", TWELVE, []),
    ],
)
def test_whole_words_of_a_path(path: str, names: tuple[str, ...], expected: list[str]) -> None:
    assert found(path, names) == expected


@given(
    number=st.integers(1, 12),
    word=st.sampled_from(["cam", "Cam", "CAM", "camera", "Camera"]),
    separator=st.sampled_from(["", "_", "-", " ", "."]),
    zeros=st.integers(0, 4),
    before=st.sampled_from(["", "mouse_", "2024-01-31 ", "session3/", "rec.7/", "a/b/"]),
    after=st.sampled_from([".csv", "_json", "_pose.h5", "DLC_resnet50_x_1000.h5", ".analysis.h5", "/x.slp"]),
)
def test_no_spelling_leads_to_another_camera(
    number: int, word: str, separator: str, zeros: int, before: str, after: str
) -> None:
    path = f"{before}{word}{separator}{'0' * zeros}{number}{after}"
    assert found(path, TWELVE) == [f"cam_{number}"]


@given(names=st.permutations(TWELVE))
def test_the_order_of_the_rig_says_nothing(names: list[str]) -> None:
    for number in range(1, 13):
        assert found(f"cam{number:02d}.csv", tuple(names)) == [f"cam_{number}"]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["/d/back/x_back.h5", "/d/mid/x_mid.h5"], ["back", "mid"]),
        (["/d/cam1_json", "/d/cam2_json"], ["cam1", "cam2"]),
        (["/d/cam_1.csv", "/d/cam_10.csv"], ["cam_1", "cam_10"]),
        (["/d/mouse_cam_1_take_3.csv", "/d/mouse_cam_2_take_3.csv"], ["cam_1", "cam_2"]),
        (["/d/aDLC_resnet50_1.h5", "/d/bDLC_resnet50_1.h5"], ["a", "b"]),
        (["D:\\s\\back\\v.mp4", "D:\\s\\top\\v.mp4"], ["back", "top"]),
        (["/d/pose_top.csv"], ["pose_top"]),
        (["/d/mouse.csv", "/d/mouse_top.csv"], ["mouse", "mouse_top"]),
        (["/d/s1/a.h5", "/d/s1/b.h5", "/d/s2/a.h5"], ["", "", ""]),
    ],
)
def test_what_distinguishes_paths(paths: list[str], expected: list[str]) -> None:
    assert distinguishing_names(paths) == expected


def test_folders_that_all_paths_share_name_no_camera() -> None:
    parts = path_parts(["/data/top_project/back/pose.h5", "/data/top_project/mid/pose.h5"])
    assert [matching_cameras(part, ("back", "mid", "top")) for part in parts] == [["back"], ["mid"]]
