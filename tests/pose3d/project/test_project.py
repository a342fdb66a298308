"""A project: made, read back, moved, extended; and every way in which project.toml can be wrong."""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from calibration.errors import FileFormatError, InvalidValueError, MismatchError, OutputError, SuiteWarning
from pose3d.project import (
    Project,
    add_session,
    create_project,
    find_project,
    load_project,
    save_project,
    videos_in_folder,
)
from pose3d.skeleton import JointLimit, Skeleton

MOUSE = Skeleton("mouse", ("nose", "ear_l", "ear_r"), (("nose", "ear_l"),), (("ear_l", "ear_r"),))


@dataclass(frozen=True)
class Inner:
    rotation: float = 15.0
    ranges: tuple[float, float] = (0.5, 2.0)


@dataclass(frozen=True)
class Settings:
    """Settings of a stage, as the stages have them."""

    count: int = 20
    method: str = "kmeans"
    augmentation: Inner = Inner()

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InvalidValueError("count", expected="1 or more", got=str(self.count), remedy="Give more.")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return create_project(
        tmp_path / "mice", cameras=("left", "right"), skeleton=MOUSE, settings={"extraction": Settings()}
    )


@pytest.fixture
def videos(tmp_path: Path) -> dict[str, Path]:
    """Two files outside of the project; a project does not look into its videos."""
    files = {camera: tmp_path / "disk" / f"trial_{camera}.MP4" for camera in ("left", "right")}
    for camera, file in files.items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(camera)
    return files


def test_a_new_project_is_read_as_it_was_made(project: Project) -> None:
    again = load_project(project.root)
    assert again == project
    assert again.skeleton == MOUSE
    assert (again.name, again.cameras) == ("mice", ("left", "right"))
    assert load_project(project.file) == project


def test_every_default_is_visible_in_the_file(project: Project) -> None:
    text = project.file.read_text()
    for line in ("count = 20", 'method = "kmeans"', "[extraction.augmentation]", "rotation = 15.0"):
        assert line in text
    assert project.settings_of("extraction", Settings) == Settings()


def test_short_lists_stand_on_one_line(project: Project) -> None:
    text = project.file.read_text(encoding="utf-8")
    assert '\nkeypoints = ["nose", "ear_l", "ear_r"]\n' in text
    assert 'edges = [\n    ["nose", "ear_l"],\n]' in text


def test_lists_that_are_odd_or_long_are_read_as_they_were_written(tmp_path: Path) -> None:
    names = ("a, b", "c [d]", 'e "f"', "g # h", *(f"keypoint number {number}" for number in range(9)))
    odd = Skeleton("odd", names, ((names[0], names[1]), (names[2], names[3])))
    made = create_project(tmp_path / "odd", cameras=("one", "two"), skeleton=odd)
    assert load_project(made.root).skeleton == odd


def test_bones_and_limits_of_angles_are_read_as_they_were_written(tmp_path: Path) -> None:
    edges = (("hip", "knee"), ("knee", "ankle"))
    limits = (JointLimit(("hip", "knee", "ankle"), 40.0, 180.0),)
    leg = Skeleton("leg", ("hip", "knee", "ankle"), edges, bones=edges[:1], joint_limits=limits)
    made = create_project(tmp_path / "legs", cameras=("one", "two"), skeleton=leg)
    assert load_project(made.root).skeleton == leg
    assert '    ["hip", "knee", "ankle", 40.0, 180.0],\n' in made.file.read_text(encoding="utf-8")


def test_a_project_from_before_bones_has_none(project: Project) -> None:
    lines = project.file.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(("bones", "joint_limits"))]
    assert len(kept) == len(lines) - 2
    project.file.write_text("\n".join(kept), encoding="utf-8")
    assert load_project(project.root).skeleton == MOUSE


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('bones = [["nose"]]', r"line \d+, bones: expected bones = "),
        ('bones = [["nose", "ear_r"]]', "bones: expected some of the edges"),
        ("joint_limits = 40", r"line \d+, joint_limits: expected joint_limits = "),
        ('joint_limits = [["nose", "ear_l", 40, 180]]', r"line \d+, joint_limits: expected joint_limits = "),
        ('joint_limits = [["nose", "ear_l", "ear_r", "40", 180]]', r"line \d+, joint_limits: expected joint_limits = "),
        ('joint_limits = [["nose", "ear_l", "ear_r", true, 180]]', r"line \d+, joint_limits: expected joint_limits = "),
        ('joint_limits = [["nose", "ear_l", "ear_r", 180, 40]]', "joint_limits: expected three different keypoints"),
    ],
)
def test_wrong_bones_and_limits_are_named(project: Project, line: str, message: str) -> None:
    text = project.file.read_text(encoding="utf-8")
    key = line.partition(" ")[0]
    assert f"\n{key} = []\n" in text
    project.file.write_text(text.replace(f"{key} = []", line), encoding="utf-8")
    with pytest.raises(FileFormatError, match=message):
        load_project(project.root)


def test_a_project_is_found_from_anything_inside_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = project.root / "labels" / "frames"
    inside.mkdir(parents=True)
    assert find_project(inside) == find_project(project.file) == project
    monkeypatch.chdir(inside)
    assert find_project() == project


def test_a_folder_without_a_project(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"a folder without one\. Check the path, or make a project: `pose3d new"):
        find_project(tmp_path)
    with pytest.raises(FileFormatError, match="no such folder"):
        find_project(tmp_path / "gone")


def test_nothing_is_overwritten_by_a_new_project(project: Project, tmp_path: Path) -> None:
    before = project.file.read_bytes()
    with pytest.raises(OutputError, match=r"got a project\. Add sessions to it"):
        create_project(project.root, cameras=("a",), skeleton=MOUSE)
    assert project.file.read_bytes() == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").touch()
    with pytest.raises(OutputError, match=r"a folder with thesis\.txt"):
        create_project(tmp_path / "full", cameras=("a",), skeleton=MOUSE)


def test_videos_from_outside_are_copied(project: Project, videos: dict[str, Path]) -> None:
    result = add_session(project, "day 1", videos)
    assert dict(result.sessions["day 1"]) == {
        "left": "sessions/day 1/left.mp4",
        "right": "sessions/day 1/right.mp4",
    }
    shutil.rmtree(videos["left"].parent)
    assert result.video("day 1", "right").read_text() == "right"
    assert load_project(project.root) == result


def test_videos_can_be_linked(project: Project, videos: dict[str, Path]) -> None:
    result = add_session(project, "day1", videos, link=True)
    assert result.video("day1", "left").is_symlink()
    assert result.video("day1", "left").samefile(videos["left"])


def test_videos_inside_stay_where_they_are(project: Project) -> None:
    file = project.root / "raw/a.avi"
    file.parent.mkdir()
    file.write_text("x")
    result = add_session(project, "day1", {"left": file})
    assert dict(result.sessions["day1"]) == {"left": "raw/a.avi"}
    assert not (project.root / "sessions").exists()


def test_a_project_can_be_moved(project: Project, videos: dict[str, Path], tmp_path: Path) -> None:
    add_session(project, "day1", videos)
    shutil.move(project.root, tmp_path / "elsewhere")
    moved = load_project(tmp_path / "elsewhere")
    assert moved.video("day1", "left").read_text() == "left"


def test_comments_and_changes_of_the_user_survive_a_new_session(project: Project, videos: dict[str, Path]) -> None:
    text = project.file.read_text().replace("count = 20", "count = 50  # the mice are quick")
    project.file.write_text(text)
    add_session(project, "day1", videos)
    result = add_session(load_project(project.root), "day2", videos)
    assert "count = 50  # the mice are quick" in project.file.read_text()
    assert list(load_project(project.root).sessions) == list(result.sessions) == ["day1", "day2"]
    assert result.settings_of("extraction", Settings).count == 50


def test_sessions_written_on_one_line_can_be_added_to(project: Project, videos: dict[str, Path]) -> None:
    text = project.file.read_text()
    project.file.write_text(text.replace("[skeleton]", 'sessions = {old = {left = "a.mp4"}}\n\n[skeleton]', 1))
    assert list(add_session(project, "day1", videos).sessions) == ["old", "day1"]
    assert list(load_project(project.root).sessions) == ["old", "day1"]


def test_a_session_is_not_added_twice(project: Project, videos: dict[str, Path]) -> None:
    result = add_session(project, "day1", videos)
    with pytest.raises(InvalidValueError, match=r"session 'DAY1': expected a new name"):
        add_session(result, "DAY1", videos)


def test_a_file_in_the_place_of_a_copy_is_left_alone(project: Project, videos: dict[str, Path]) -> None:
    there = project.root / "sessions/day1/right.mp4"
    there.parent.mkdir(parents=True)
    there.write_text("mine")
    before = project.file.read_bytes()
    with pytest.raises(OutputError, match="a file that is there already"):
        add_session(project, "day1", videos)
    assert there.read_text() == "mine"
    assert project.file.read_bytes() == before


def test_a_failed_copy_leaves_nothing_behind(
    project: Project, videos: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    copyfile = shutil.copyfile

    def fail_on_right(source: Path, target: Path) -> None:
        if "right" in str(source):
            raise OSError(28, os.strerror(28))
        copyfile(source, target)

    monkeypatch.setattr(shutil, "copyfile", fail_on_right)
    with pytest.raises(OutputError, match="No space left"):
        add_session(project, "day1", videos)
    assert not (project.root / "sessions/day1").exists()
    assert not load_project(project.root).sessions


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"top": "left"}, InvalidValueError, r"cameras left, right, got unknown: top"),
        ({}, InvalidValueError, "got no video"),
        ({"left": "gone"}, FileFormatError, "got no such file"),
        ({"left": "empty"}, FileFormatError, "got an empty file"),
        ({"left": "folder"}, FileFormatError, "got a folder"),
    ],
)
def test_videos_that_cannot_be_added(
    project: Project,
    videos: dict[str, Path],
    tmp_path: Path,
    given: dict[str, str],
    error: type[Exception],
    message: str,
) -> None:
    (tmp_path / "empty.mp4").touch()
    places = {
        "left": videos["left"],
        "gone": tmp_path / "gone.mp4",
        "empty": tmp_path / "empty.mp4",
        "folder": tmp_path,
    }
    with pytest.raises(error, match=message):
        add_session(project, "day1", {camera: places[kind] for camera, kind in given.items()})
    assert not load_project(project.root).sessions
    assert not (project.root / "sessions").exists()


@pytest.mark.parametrize("name", ["../evil", "a/b", "a\\b", ".hidden", "a:b", "", "  ", "end.", "-option", "x" * 101])
def test_names_that_are_no_names_of_folders(project: Project, videos: dict[str, Path], name: str) -> None:
    with pytest.raises(InvalidValueError, match="names that can be those of folders"):
        add_session(project, name, videos)
    with pytest.raises(InvalidValueError, match="names that can be those of folders"):
        replace(project, cameras=(name,))


@pytest.mark.parametrize("path", ["/data/a.mp4", "../a.mp4", "C:/a.mp4", "a\\b.mp4", ""])
def test_paths_that_leave_the_project_are_refused(project: Project, path: str) -> None:
    with pytest.raises(InvalidValueError, match="a path inside the project"):
        replace(project, sessions={"day1": {"left": path}})


def test_cameras_that_differ_in_case_only_are_refused(project: Project) -> None:
    with pytest.raises(InvalidValueError, match="each once, also where case does not count"):
        replace(project, cameras=("left", "Left"))


def test_a_video_that_a_session_does_not_have(project: Project) -> None:
    project = replace(project, sessions={"day1": {"left": "a.mp4"}})
    with pytest.raises(InvalidValueError, match=r"camera 'right', got 'day1' has the cameras left"):
        project.video("day1", "right")
    with pytest.raises(InvalidValueError, match=r"it is unknown; there are day1"):
        project.video("day2", "left")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("count = 20", "cuont = 20", r"project\.toml, line \d+, \[extraction\] cuont: .*'cuont'.*mean 'count'"),
        ("count = 20", 'count = "many"', r"line \d+, \[extraction\] count: expected a valid integer, got 'many'"),
        ("count = 20", "count = true", r"\[extraction\] count: expected a valid integer, got True"),
        ("count = 20", "count = 0", r"line \d+, \[extraction\] count: expected 1 or more, got 0"),
        ("rotation = 15.0", "rotatoin = 15.0", r"\[extraction\.augmentation\] rotatoin.*mean 'rotation'"),
    ],
)
def test_wrong_settings_are_named_with_their_line(project: Project, old: str, new: str, message: str) -> None:
    project.file.write_text(project.file.read_text().replace(old, new))
    with pytest.raises(FileFormatError, match=message):
        load_project(project.root).settings_of("extraction", Settings)


def test_a_setting_that_is_not_written_is_the_default(project: Project) -> None:
    project.file.write_text(project.file.read_text().replace("count = 20\n", ""))
    assert load_project(project.root).settings_of("extraction", Settings) == Settings()
    assert load_project(project.root).settings_of("training", Inner) == Inner()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cameras = [", "camreas = [", r"project\.toml, line 5: .*got 'camreas'\. Did you mean 'cameras'\?"),
        ("[extraction]", "[extracton]", r"line \d+: .*got 'extracton'\. Did you mean 'extraction'\?"),
        ("keypoints = [", "keypoint = [", r"\[skeleton\].*got 'keypoint'\. Did you mean 'keypoints'\?"),
        ("format_version = 1", "format_version = 2", "Update pose3d"),
        ("format_version = 1", "", "expected 1, got none"),
        ('"ear_l", "ear_r"]\n', '"ear_l", "nose"]\n', r"skeleton 'mouse', keypoints: .*at least one name, each once"),
        ("name =", "name", r"project\.toml: expected a project as TOML.*line"),
        ('"left",', '"lef/t",', "names that can be those of folders"),
        ('"left",', "1,", "a list cameras"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(project: Project, old: str, new: str, message: str) -> None:
    text = project.file.read_text()
    assert old in text
    project.file.write_text(text.replace(old, new, 1))
    with pytest.raises(FileFormatError, match=message):
        load_project(project.root)


def test_a_session_that_is_no_table(project: Project) -> None:
    project.file.write_text(project.file.read_text() + '\n[sessions]\nday1 = "a.mp4"\n')
    with pytest.raises(FileFormatError, match=r"day1: expected a table camera = .*got 'a\.mp4'"):
        load_project(project.root)


def test_a_saved_project_is_the_same(project: Project) -> None:
    changed = replace(project, name="Mäuse", sessions={"day 1": {"left": "a b.mp4"}})
    save_project(changed)
    assert load_project(project.root) == changed


def test_videos_of_a_folder_are_told_apart_by_their_names(videos: dict[str, Path]) -> None:
    assert videos_in_folder(videos["left"].parent, ("left", "right")) == videos


def test_videos_in_folders_of_cameras(tmp_path: Path) -> None:
    for camera in ("cam_1", "cam_10"):
        (tmp_path / camera).mkdir()
        (tmp_path / camera / "video.mp4").touch()
    found = videos_in_folder(tmp_path, ("cam_10", "cam_1"))
    assert {camera: file.parent.name for camera, file in found.items()} == {"cam_1": "cam_1", "cam_10": "cam_10"}


def test_cameras_without_video_and_videos_without_camera_are_told(videos: dict[str, Path]) -> None:
    with pytest.warns(SuiteWarning) as told:
        found = videos_in_folder(videos["left"].parent, ("left", "top"))
    texts = [str(warning.message) for warning in told]
    assert list(found) == ["left"]
    assert "no video of camera top" in texts[0]
    assert "no camera for the video trial_right.MP4" in texts[1]


def test_videos_that_are_not_clear(videos: dict[str, Path], tmp_path: Path) -> None:
    folder = videos["left"].parent
    with pytest.raises(MismatchError, match=r"none whose name speaks of a camera: trial_left\.MP4.*a=VIDEO"):
        videos_in_folder(folder, ("a", "b"))
    shutil.copy(videos["left"], folder / "second_left.mp4")
    with pytest.raises(MismatchError, match=r"2 for 'left': second_left\.mp4, trial_left\.MP4"):
        videos_in_folder(folder, ("left", "right"))
    (tmp_path / "nothing").mkdir()
    with pytest.raises(FileFormatError, match="got no video"):
        videos_in_folder(tmp_path / "nothing", ("left",))
