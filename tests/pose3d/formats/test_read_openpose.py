"""OpenPose's JSON folders: frames from file names, people, and which model found the keypoints."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from calibration.errors import FileFormatError, InvalidValueError, SuiteWarning
from pose3d.formats import read_openpose
from pose3d.formats._registry import detect_format
from pose3d.skeleton import PRESETS

Person = dict[str, object]


def keypoints(preset: str, seed: int = 0, at: float = 500.0) -> np.ndarray:
    """(keypoint, 3) somebody whose eyes are close to the nose."""
    rng = np.random.default_rng(seed)
    names = PRESETS[preset].keypoints
    pose = np.column_stack([rng.uniform(at, at + 300, (len(names), 2)), rng.uniform(0.1, 0.9, len(names))])
    for eye in ("LEye", "REye"):
        pose[names.index(eye), :2] = pose[names.index("Nose"), :2] + rng.uniform(-8, 8, 2)
    return pose.round(3)


def person(pose: np.ndarray, number: int = -1, **others: object) -> Person:
    return {"person_id": [number], "pose_keypoints_2d": pose.ravel().tolist(), **others}


def write(folder: Path, frames: dict[int, Sequence[Person]], pattern: str = "cam01.{:04d}.json") -> Path:
    folder.mkdir(exist_ok=True)
    for frame, people in frames.items():
        (folder / pattern.format(frame)).write_text(json.dumps({"version": 1.3, "people": list(people)}))
    return folder


@pytest.mark.parametrize(
    "pattern",
    ["cam01.{:04d}.json", "video2_{:012d}_keypoints.json", "{}.json", "clip 3 frame{}.JSON", "a_{:06d}_keypoints.json"],
)
def test_the_last_number_in_the_name_is_the_frame(tmp_path: Path, pattern: str) -> None:
    poses = {frame: keypoints("body_25", frame) for frame in (2, 10, 9, 113)}
    folder = write(tmp_path / "cam1_json", {frame: [person(pose)] for frame, pose in poses.items()}, pattern)
    assert detect_format(folder).name == "openpose"
    read = read_openpose(folder, frame_rate=60.0)
    assert read.frame.values.tolist() == [2, 9, 10, 113]
    assert read.camera.values.tolist() == ["cam1_json"]
    for row, frame in enumerate((2, 9, 10, 113)):
        np.testing.assert_array_equal(read.position.values[row, 0, 0], poses[frame][:, :2])
        np.testing.assert_array_equal(read.confidence.values[row, 0, 0], poses[frame][:, 2])
    assert float(read.time[-1]) == 113 / 60


def test_what_was_not_found_is_nan_and_not_zero(tmp_path: Path) -> None:
    pose = keypoints("body_25")
    pose[4] = 0
    folder = write(tmp_path / "a", {0: [person(pose)], 1: [], 2: [person(pose)]})
    read = read_openpose(folder)
    assert np.isnan(read.position.values[0, 0, 0, 4]).all()
    assert read.confidence.values[0, 0, 0, 4] == 0
    assert np.isnan(read.position.values[1]).all(), "a frame without people is a frame"
    assert np.isfinite(read.position.values[2, 0, 0, 5]).all()


@pytest.mark.parametrize("preset", ["body_25", "body_25b"])
def test_models_of_25_keypoints_are_told_apart(tmp_path: Path, preset: str) -> None:
    folder = write(tmp_path / "a", {frame: [person(keypoints(preset, frame))] for frame in range(20)})
    read = read_openpose(folder)
    assert read.attrs["keypoint_set"] == preset
    assert tuple(read.keypoint.values) == PRESETS[preset].keypoints


def test_people_seen_from_behind_need_the_name(tmp_path: Path) -> None:
    pose = keypoints("body_25")
    pose[0] = 0  # the nose
    folder = write(tmp_path / "a", {0: [person(pose)]})
    with pytest.raises(InvalidValueError, match=r"a, keypoints: .*body_25 or body_25b.*keypoints='body_25'"):
        read_openpose(folder)
    assert tuple(read_openpose(folder, keypoints="body_25b").keypoint.values) == PRESETS["body_25b"].keypoints


@pytest.mark.parametrize("preset", ["coco_17", "coco_18"])
def test_the_number_of_keypoints_tells_the_others(tmp_path: Path, preset: str) -> None:
    folder = write(tmp_path / "a", {0: [person(keypoints(preset))]})
    assert tuple(read_openpose(folder).keypoint.values) == PRESETS[preset].keypoints


def test_unknown_numbers_of_keypoints_get_numbers_for_names(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", {0: [person(np.full((3, 3), [5.0, 6.0, 0.5]))]})
    read = read_openpose(folder)
    assert read.keypoint.values.tolist() == ["keypoint_0", "keypoint_1", "keypoint_2"]
    assert read.attrs["keypoint_set"] == "unknown"
    assert read_openpose(folder, keypoints=["a", "b", "c"]).keypoint.values.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(("given", "got"), [("body_26", "'body_26'"), (["a", "b"], "got 2"), ("coco_18", "got 18")])
def test_names_that_do_not_fit(tmp_path: Path, given: str | list[str], got: str) -> None:
    folder = write(tmp_path / "a", {0: [person(keypoints("body_25"))]})
    with pytest.raises(InvalidValueError, match=rf"keypoints.*{got}"):
        read_openpose(folder, keypoints=given)


def test_people_without_ids_are_in_order_which_is_said(tmp_path: Path) -> None:
    first, second = keypoints("body_25", 1), keypoints("body_25", 2, at=100)
    folder = write(tmp_path / "a", {0: [person(first)], 1: [person(second), person(first)]})
    with pytest.warns(SuiteWarning, match=r"up to 2 people without ids.*order"):
        read = read_openpose(folder)
    assert read.individual.values.tolist() == ["person_0", "person_1"]
    np.testing.assert_array_equal(read.position.values[1, 0, 1], first[:, :2])
    assert np.isnan(read.position.values[0, 0, 1]).all()


def test_tracked_people_keep_their_ids(tmp_path: Path) -> None:
    first, second = keypoints("body_25", 1), keypoints("body_25", 2, at=100)
    folder = write(
        tmp_path / "a", {0: [person(first, 7), person(second, 3)], 1: [person(second, 3)], 2: [person(first, 7)]}
    )
    read = read_openpose(folder)
    assert read.individual.values.tolist() == ["person_3", "person_7"]
    np.testing.assert_array_equal(read.position.sel(individual="person_7").values[0, 0], first[:, :2])
    assert np.isnan(read.position.sel(individual="person_7").values[1]).all()
    np.testing.assert_array_equal(read.position.sel(individual="person_3").values[1, 0], second[:, :2])


def test_an_id_twice_in_a_frame_is_no_id(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", {0: [person(keypoints("body_25", seed), 0) for seed in (1, 2)]})
    with pytest.warns(SuiteWarning, match="2 people without ids"):
        assert read_openpose(folder).sizes["individual"] == 2


def test_hands_and_face_are_left_out_which_is_said(tmp_path: Path) -> None:
    zeros = {"hand_left_keypoints_2d": [0, 0, 0] * 21, "face_keypoints_2d": []}
    folder = write(tmp_path / "a", {0: [person(keypoints("body_25"), **zeros)]})
    read_openpose(folder)
    folder = write(tmp_path / "a", {0: [person(keypoints("body_25"), hand_left_keypoints_2d=[5, 5, 0.5] * 21)]})
    with pytest.warns(SuiteWarning, match="keypoints of hand_left are left out"):
        read_openpose(folder)


def test_the_first_version_of_the_format(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", {0: [{"pose_keypoints": keypoints("coco_18").ravel().tolist()}]})
    assert read_openpose(folder).sizes["keypoint"] == 18


def test_one_file_is_a_recording_of_one_frame(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", {12: [person(keypoints("body_25"))]})
    assert read_openpose(folder / "cam01.0012.json").frame.values.tolist() == [12]


def test_peaks_a_little_above_1_are_cut(tmp_path: Path) -> None:
    pose = keypoints("body_25")
    pose[3, 2] = 1.04
    assert read_openpose(write(tmp_path / "a", {0: [person(pose)]})).confidence.values.max() == 1


# What is refused


@pytest.mark.parametrize("score", [80, -0.5])
def test_scores_on_another_scale(tmp_path: Path, score: float) -> None:
    pose = keypoints("body_25")
    pose[3, 2] = score
    with pytest.raises(InvalidValueError, match="likelihood: expected scores from 0 to 2, got 1 of 25 outside"):
        read_openpose(write(tmp_path / "a", {0: [person(pose)]}))


def test_infinite_positions(tmp_path: Path) -> None:
    pose = keypoints("body_25")
    pose[3, 0] = np.inf
    with pytest.raises(InvalidValueError, match="infinite"):
        read_openpose(write(tmp_path / "a", {0: [person(pose)]}))


@pytest.mark.parametrize("scale", [1 / 1000, -1 / 1000])
def test_coordinates_that_are_no_pixels(tmp_path: Path, scale: float) -> None:
    pose = keypoints("body_25")
    pose[:, :2] *= scale
    with pytest.raises(InvalidValueError, match=r"a, positions: expected pixels, got values from .*--keypoint_scale 0"):
        read_openpose(write(tmp_path / "a", {0: [person(pose)]}))


def test_nobody_in_any_frame(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"expected people with body keypoints, got nobody in 3 files. Check"):
        read_openpose(write(tmp_path / "a", {0: [], 1: [], 2: []}))


def test_people_without_body(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="people without 'pose_keypoints_2d'"):
        read_openpose(write(tmp_path / "a", {0: [{"face_keypoints_2d": [1, 2, 3]}]}))


def test_the_number_of_keypoints_changes(tmp_path: Path) -> None:
    people = [person(keypoints("body_25")), person(keypoints("coco_18"))]
    with pytest.raises(
        FileFormatError, match=r"json: expected the same number of keypoints everywhere.*lists of 54, 75 numbers"
    ):
        read_openpose(write(tmp_path / "a", {0: people}))


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("", "no JSON"),
        ('{"version":1.3,"people":[{"pose_keyp', "no JSON"),
        ("[1, 2]", "list"),
        ('{"a": 1}', "'a'"),
        ('{"people": {}}', "'people'"),
        ('{"people": [3]}', "'people'"),
        ('{"people": [{"pose_keypoints_2d": "abc"}]}', "not a list of numbers"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, "x"]}]}', "not a list of numbers"),
        ("[" * 100_000, "no JSON"),
        ("\x00\x01", "no JSON"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, got: str) -> None:
    folder = write(tmp_path / "a", {frame: [person(keypoints("body_25"))] for frame in range(3)})
    (folder / "cam01.0001.json").write_text(text)
    with pytest.raises(FileFormatError, match=rf"cam01\.0001\.json: expected OpenPose JSON.*got .*{got}"):
        read_openpose(folder)


def test_files_of_two_cameras_in_one_folder(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", {0: [person(keypoints("body_25"))]}, "cam01.{:04d}.json")
    write(folder, {0: [person(keypoints("body_25"))]}, "cam02.{:04d}.json")
    with pytest.raises(
        FileFormatError, match=r"one file per frame of one camera.*frame 0 in 'cam01.*' and 'cam02.*folder of their own"
    ):
        read_openpose(folder)


@pytest.mark.parametrize("name", ["config.json", "notes_keypoints.json"])
def test_names_without_a_frame(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "a", {0: [person(keypoints("body_25"))]})
    (folder / name).write_text("{}")
    with pytest.raises(FileFormatError, match=rf"frame number in their names.*got '{name}'"):
        read_openpose(folder)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="got no JSON file"):
        read_openpose(tmp_path)
