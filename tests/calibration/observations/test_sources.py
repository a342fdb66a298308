"""Which pictures belong to which camera: named, in a folder, in folders, or by the names of images."""

from pathlib import Path

import pytest

from calibration.errors import FileFormatError, InvalidValueError, MismatchError, SuiteWarning
from calibration.observations import find_sources
from calibration.observations.sources import named_source


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(paths: object) -> dict[str, list[str]]:
    return {name: [path.name for path in source.paths] for name, source in find_sources(paths).items()}


def test_videos_of_a_folder_are_named_by_their_cameras_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, "cam_10.mp4", "cam_2.MP4", "notes.txt", ".hidden.mp4")
    assert found(tmp_path) == {"cam_2": ["cam_2.MP4"], "cam_10": ["cam_10.mp4"]}


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["calib-left-day1.mp4", "calib-right-day1.mp4"], ["left", "right"]),
        (["cam_1.avi", "cam_2.avi"], ["cam_1", "cam_2"]),
        (["a cam-1.avi", "a cam-2.avi"], ["cam-1", "cam-2"]),
        (["int_cam01_img.mkv", "int_cam02_img.mkv"], ["cam01", "cam02"]),
        (["session_calibration.mp4"], ["session_calibration"]),
    ],
)
def test_words_that_all_names_share_are_no_part_of_a_name(files: list[str], names: list[str], tmp_path: Path) -> None:
    assert list(found(touch(tmp_path, *files))) == names


def test_a_folder_per_camera_holds_images_or_one_video(tmp_path: Path) -> None:
    touch(tmp_path, "left/img10.png", "left/img2.png", "left/.gitkeep", "right/clip.mov", "results/rig.toml")
    assert found(tmp_path) == {"left": ["img2.png", "img10.png"], "right": ["clip.mov"]}


@pytest.mark.parametrize(
    ("files", "cameras"),
    [
        (["left{:02}.jpg", "right{:02}.jpg"], ["left", "right"]),
        (["cam1_{:03}.png", "cam2_{:03}.png"], ["cam1", "cam2"]),
        (["{:03}_cam1.png", "{:03}_cam2.png"], ["cam1", "cam2"]),
        (["IMG_{:04}.tif"], ["IMG"]),
        (["{}.bmp"], ["camera"]),
    ],
)
def test_images_are_grouped_by_their_names_without_the_number_of_the_picture(
    files: list[str], cameras: list[str], tmp_path: Path
) -> None:
    touch(tmp_path, *(name.format(number) for name in files for number in range(1, 13)))
    sources = find_sources(tmp_path)
    assert list(sources) == cameras
    for source, name in zip(sources.values(), files, strict=True):
        assert [path.name for path in source.paths] == [name.format(number) for number in range(1, 13)]


def test_images_with_a_date_in_their_names_are_those_of_one_camera(tmp_path: Path) -> None:
    dates = [10, 11, 11, 12, 12, 13]
    touch(tmp_path, *(f"back-022420221352{date}-{number}.jpg" for number, date in enumerate(dates)))
    assert list(find_sources(tmp_path)) == ["back"]


def test_a_lost_image_does_not_mix_cameras(tmp_path: Path) -> None:
    touch(tmp_path, *(f"cam{camera}_{number}.png" for camera in (1, 2) for number in range(9) if number != camera))
    assert {name: len(files) for name, files in found(tmp_path).items()} == {"cam1": 8, "cam2": 8}


def test_cameras_can_be_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b/1.png", "b/2.png", "c1.jpg", "c2.jpg", "c10.jpg")
    named = [f"top={tmp_path / 'a.mp4'}", f"side={tmp_path / 'b'}", f"back={tmp_path / 'c*.jpg'}"]
    expected = {"top": ["a.mp4"], "side": ["1.png", "2.png"], "back": ["c1.jpg", "c2.jpg", "c10.jpg"]}
    assert found(named) == expected
    assert found({"top": tmp_path / "a.mp4", "side": tmp_path / "b"}) == {
        name: expected[name] for name in ("top", "side")
    }


def test_files_and_folders_without_names_are_named_by_themselves(tmp_path: Path) -> None:
    touch(tmp_path, "top.mp4", "side.mp4", "left/1.png", "right/1.png")
    assert list(found([tmp_path / "top.mp4", tmp_path / "side.mp4"])) == ["top", "side"]
    assert list(found([tmp_path / "left", tmp_path / "right"])) == ["left", "right"]


def test_videos_win_over_folders_beside_them_with_a_warning(tmp_path: Path) -> None:
    touch(tmp_path, "top.mp4", "side.mp4", "examples/top.png")
    with pytest.warns(SuiteWarning, match="examples in it hold pictures too"):
        assert list(found(tmp_path)) == ["side", "top"]


@pytest.mark.parametrize(
    ("files", "paths", "error", "message"),
    [
        ([], ["{}"], FileFormatError, "an empty folder"),
        (["notes.txt"], ["{}"], FileFormatError, "a folder with notes.txt"),
        ([], ["{}/none.mp4"], FileFormatError, "no such file"),
        ([], ["top={}/none*.png"], FileFormatError, "files that fit this pattern"),
        (["a.txt"], ["top={}/a.txt"], FileFormatError, "the suffix '.txt'"),
        (["a.mp4", "1.png", "2.png"], ["{}"], MismatchError, "videos or images, not both"),
        (["t/a.mp4", "t/1.png"], ["top={}/t"], MismatchError, "top=.*a.mp4 or top="),
        (["t/a.mp4", "t/b.mp4"], ["{}"], MismatchError, "one video of one camera"),
        (["t/a.mp4", "t/b.mp4"], ["top={}/t"], MismatchError, "2 videos: a.mp4, b.mp4"),
        (["a.mp4", "b.mp4"], ["top={}/a.mp4", "top={}/b.mp4"], MismatchError, "camera 'top': .*two"),
        (["a.mp4", "a.avi"], ["{}"], MismatchError, "camera 'a': .*two"),
        (["a.mp4", "b.mp4"], ["top={}/a.mp4", "{}/b.mp4"], MismatchError, "without CAMERA="),
        (["a.mp4", "b/1.png"], ["{}/a.mp4", "{}/b"], MismatchError, "a folder beside files"),
        (["a.mp4"], ["={}/a.mp4"], InvalidValueError, "CAMERA=PATH"),
        ([], [], InvalidValueError, "a folder or files"),
    ],
)
def test_what_is_not_clear_is_said(
    files: list[str], paths: list[str], error: type[Exception], message: str, tmp_path: Path
) -> None:
    touch(tmp_path, *files)
    with pytest.raises(error, match=message):
        find_sources([path.format(tmp_path) for path in paths])


def test_a_source_says_where_it_is(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b/1.png", "b/2.png")
    assert str(named_source(tmp_path / "a.mp4", "a")).endswith("a.mp4")
    assert str(named_source(tmp_path / "b", "b")).endswith("1.png ... (2 images)")
