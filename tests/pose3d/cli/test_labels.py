"""`pose3d new`, `add-session`, `extract-frames` and `labels`: from videos to labels and back to other tools."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calibration.video import VideoWriter, write_png
from pose3d.cli import main
from pose3d.labeling import LabelStore
from pose3d.project import load_project

SKELETON = 'name = "mouse"\nkeypoints = ["nose", "tail"]\nedges = [["nose", "tail"]]\n'


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return int(stop.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a skeleton, two videos, and a new project `mice`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mouse.toml").write_text(SKELETON)
    rng = np.random.default_rng(0)
    for camera in ("left", "right"):
        (tmp_path / "videos").mkdir(exist_ok=True)
        with VideoWriter(tmp_path / f"videos/trial_{camera}.mp4", 30) as writer:
            for _ in range(40):
                writer.write(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    assert run("new", "mice", "--cameras", "left,right", "--skeleton", "mouse.toml") == 0
    return tmp_path


def deeplabcut(folder: Path, shift: float = 0.0, video: str = "trial_left") -> Path:
    """A DeepLabCut project with two labeled images of the left camera."""
    project = folder / f"dlc{shift:g}"
    names = [f"labeled-data/{video}/img{number:03d}.png" for number in (5, 17)]
    for number, name in enumerate(names):
        write_png(project / name, np.full((48, 64), 100 + number, dtype=np.uint8))
    columns = pd.MultiIndex.from_product(
        [["anna"], ["nose", "tail"], ["x", "y"]], names=["scorer", "bodyparts", "coords"]
    )
    table = pd.DataFrame(np.arange(8.0).reshape(2, 4) + shift, index=names, columns=columns)
    table.to_csv(project / f"labeled-data/{video}/CollectedData_anna.csv")
    return project


def positions(folder: Path) -> np.ndarray:
    with LabelStore(folder / "mice/labels.sqlite", read_only=True) as store:
        return store.labels().position


def test_a_new_project(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = load_project("mice")
    assert (project.cameras, project.skeleton.keypoints) == (("left", "right"), ("nose", "tail"))
    assert "candidates = 1000" in project.file.read_text()
    capsys.readouterr()
    assert run("new", "mice", "--cameras", "a", "--skeleton", "mouse.toml") == 1
    assert "pose3d add-session" in capsys.readouterr().err
    assert run("new", "rats", "--cameras", "a", "--skeleton", "rat.toml") == 1
    assert "presets body_25" in capsys.readouterr().err
    assert not Path("rats").exists()
    assert run("new", "people", "--cameras", "a, b", "--skeleton", "coco_17", "--json") == 0
    assert json.loads(capsys.readouterr().out)["cameras"] == ["a", "b"]


def test_sessions_by_name_and_by_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("add-session", "mice", "day1", "left=videos/trial_left.mp4", "right=videos/trial_right.mp4") == 0
    assert "left: sessions/day1/left.mp4, 40 frames, 1.3 s, 64x48" in capsys.readouterr().out
    assert run("add-session", "mice", "day2", "videos", "--link", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["cameras"]["right"]["frames"] == 40
    assert Path("mice/sessions/day2/right.mp4").is_symlink()
    assert run("add-session", "mice", "day1", "videos") == 1
    assert "expected: a new name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["left"], 2, "neither CAMERA=VIDEO nor a folder"),
        (["left=a.mp4", "left=b.mp4"], 2, "Camera 'left' has two videos"),
        (["left=bad.mp4"], 1, "bad.mp4"),
        (["top=videos/trial_left.mp4"], 1, "unknown: top"),
    ],
)
def test_sessions_that_cannot_be_added(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    Path("bad.mp4").write_bytes(b"no video")
    assert run("add-session", "mice", "day1", *words) == code
    assert message in capsys.readouterr().err
    assert not load_project("mice").sessions


def test_frames_are_extracted_and_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("add-session", "mice", "day1", "videos")
    run("add-session", "mice", "day2", "videos")
    capsys.readouterr()
    assert run("extract-frames", "mice", "--count", "3", "--count", "day2=5", "--method", "uniform") == 0
    assert capsys.readouterr().out.splitlines() == [
        "day1: 6 images added, 0 were there; 3 instants of 2 cameras",
        "day2: 10 images added, 0 were there; 5 instants of 2 cameras",
    ]
    assert run("extract-frames", "mice", "--count", "4", "--sessions", "day1", "--json") == 0
    (session,) = json.loads(capsys.readouterr().out)["sessions"]
    assert (session["added"], session["present"], session["instants"]) == (2, 6, 4)
    assert run("extract-frames", "mice", "--count", "many") == 2
    assert run("extract-frames", "mice", "--sessions", "day9") == 1
    assert "sessions out of day1, day2" in capsys.readouterr().err


def test_labels_are_imported_with_their_images(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = deeplabcut(folder)
    assert run("labels", "import", "mice", source) == 0
    assert "2 new images, 4 new labels, 0 were there already" in capsys.readouterr().out
    with LabelStore("mice/labels.sqlite", read_only=True) as store:
        labels = store.labels()
    assert [frame.image for frame in labels.frames] == [
        "labels/frames/trial_left/left/img005.png",
        "labels/frames/trial_left/left/img017.png",
    ]
    assert {(frame.session, frame.camera, frame.size) for frame in labels.frames} == {("trial_left", "left", (64, 48))}
    assert all(path.is_file() for path in labels.image_paths)
    assert run("labels", "import", "mice", source, "--json") == 0
    assert json.loads(capsys.readouterr().out)["equal"] == 4


def test_colliding_labels_are_kept_or_replaced_and_undone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("labels", "import", "mice", deeplabcut(folder))
    before = positions(folder)
    other = deeplabcut(folder, shift=0.25)
    capsys.readouterr()
    assert run("labels", "import", "mice", other) == 1
    told = capsys.readouterr().err
    assert "4 of 4 labels, in 2 images, differ" in told
    assert "--keep" in told
    assert run("labels", "import", "mice", other, "--keep") == 0
    assert "4 kept as they were" in capsys.readouterr().out
    np.testing.assert_array_equal(positions(folder), before)
    assert run("labels", "import", "mice", other, "--replace") == 0
    np.testing.assert_array_equal(positions(folder), before + 0.25)
    assert run("labels", "undo", "mice") == 0
    np.testing.assert_array_equal(positions(folder), before)
    assert run("labels", "redo", "mice") == 0
    np.testing.assert_array_equal(positions(folder), before + 0.25)
    capsys.readouterr()
    assert run("labels", "history", "mice", "--json") == 0
    edits = json.loads(capsys.readouterr().out)["edits"]
    assert [edit["action"] for edit in edits] == ["redo", "undo", "import", "import"]
    assert run("labels", "history", "mice") == 0
    assert "import (undone)" in capsys.readouterr().out


def test_labels_that_went_out_come_back_to_their_images(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Extracted frames, labeled in another tool: the images are recognized by their content."""
    run("add-session", "mice", "day1", "videos")
    run("extract-frames", "mice", "--count", "2")
    with LabelStore("mice/labels.sqlite") as store:
        waiting = store.labels("anna", unlabeled=True)
        shape = (len(waiting), 1, 2)
        labeled = replace(
            waiting, individuals=("individual_0",), position=np.full((*shape, 2), 9.5), visibility=np.ones(shape)
        )
        store.write(labeled)
    for name in ("coco", "cvat"):
        capsys.readouterr()
        assert run("labels", "export", "mice", f"out-{name}", "--format", name) == 0
        assert f"4 images, 8 labels: out-{name}" in capsys.readouterr().out
        file = next(Path(f"out-{name}").glob("annotations.*"))
        moved = {"coco": ("9.5", "12.5"), "cvat": ("10.0,10.0", "13.0,13.0")}[name]
        file.write_text(file.read_text().replace(*moved))
        assert run("labels", "import", "mice", f"out-{name}", "--replace") == 0
        assert "0 new images, 0 new labels" in capsys.readouterr().out
        assert (positions(folder) == 12.5).all()
        run("labels", "undo", "mice")


def test_images_that_look_alike_are_told_apart_by_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = deeplabcut(folder)
    for path in source.rglob("*.png"):
        write_png(path, np.zeros((48, 64), dtype=np.uint8))
    run("labels", "import", "mice", source)
    before = positions(folder)
    capsys.readouterr()
    assert run("labels", "import", "mice", source) == 0
    assert "0 new images, 0 new labels, 4 were there already" in capsys.readouterr().out
    np.testing.assert_array_equal(positions(folder), before)


def test_labels_for_an_unclear_camera(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = deeplabcut(folder, video="m4s1")
    assert run("labels", "import", "mice", source) == 1
    assert "--camera NAME" in capsys.readouterr().err
    assert not Path("mice/labels/frames").exists()
    assert run("labels", "import", "mice", source, "--camera", "right", "--session", "old") == 0
    assert Path("mice/labels/frames/old/right/img005.png").is_file()


def test_other_images_of_the_same_name_are_not_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("labels", "import", "mice", deeplabcut(folder))
    other = deeplabcut(folder, shift=1)
    write_png(other / "labeled-data/trial_left/img005.png", np.zeros((48, 64), dtype=np.uint8))
    capsys.readouterr()
    assert run("labels", "import", "mice", other, "--replace") == 1
    assert "--session NAME" in capsys.readouterr().err
    assert run("labels", "import", "mice", other, "--session", "second", "--replace") == 0


def test_keypoints_that_the_skeleton_does_not_have(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Path("mice/project.toml")
    project.write_text(project.read_text().replace('"tail"', '"tail_base"'))
    assert run("labels", "import", "mice", deeplabcut(folder)) == 1
    assert "also tail" in capsys.readouterr().err


def test_a_keypoint_is_renamed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("labels", "import", "mice", deeplabcut(folder))
    assert run("labels", "rename-keypoint", "mice", "tail", "tail_base") == 2
    project = Path("mice/project.toml")
    project.write_text(project.read_text().replace('"tail"', '"tail_base"'))
    capsys.readouterr()
    assert run("labels", "check", "mice") == 1
    assert "rename-keypoint PROJECT 'tail' 'tail_base'" in capsys.readouterr().err
    assert run("labels", "rename-keypoint", "mice", "tail", "tail_base") == 0
    assert run("labels", "check", "mice") == 0


def test_findings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("labels", "check", "mice") == 1
    assert "pose3d extract-frames" in capsys.readouterr().err
    run("labels", "import", "mice", deeplabcut(folder))
    capsys.readouterr()
    assert run("labels", "check", "mice", "--json") == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []
    next(Path("mice/labels/frames").rglob("*.png")).unlink()
    assert run("labels", "check", "mice") == 1
    assert "2 images, 4 labels; 1 findings" in capsys.readouterr().out


def test_labels_of_a_sleap_video_get_their_frames(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sio = pytest.importorskip("sleap_io")
    skeleton = sio.Skeleton(["nose", "tail"])
    video = sio.Video(str(folder / "videos/trial_right.mp4"), open_backend=False)
    person = sio.Instance.from_numpy(np.array([[1.0, 2.0], [3.0, 4.0]]), skeleton, sio.Track("individual_0"))
    sio.save_slp(sio.Labels([sio.LabeledFrame(video, 11, [person])]), "p.slp", verbose=False)
    assert run("labels", "import", "mice", "p.slp") == 0
    assert "Warning" not in capsys.readouterr().err
    with LabelStore("mice/labels.sqlite", read_only=True) as store:
        (frame,) = store.labels().frames
    assert (frame.camera, frame.frame, frame.size) == ("right", 11, (64, 48))
    assert Path("mice", frame.image).is_file()


def test_nothing_to_undo(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("labels", "import", "mice", deeplabcut(folder))
    run("labels", "undo", "mice")
    capsys.readouterr()
    assert run("labels", "undo", "mice") == 0
    assert "Nothing to undo" in capsys.readouterr().out
    assert run("labels", "export", "mice", "out", "--format", "coco") == 1
    assert "at least one labeled image" in capsys.readouterr().err
