"""`pose3d report` and `pose3d video` on a small result file."""

import numpy as np
import pytest

from calibration.video import VideoWriter, open_video
from pose3d.cli import main
from pose3d.datasets import detections
from pose3d.formats import SessionWriter, open_session, save_session
from pose3d.reconstruction import TriangulationSettings, triangulate
from pose3d.synthetic import SimulationSettings, simulate

SETTINGS = TriangulationSettings(noise=1.0, threshold=5.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """result.nc, truth.nc, skeleton.toml and a gray video of cam_1."""
    folder = tmp_path_factory.mktemp("pictures")
    scene = simulate(SimulationSettings(cameras=3, duration=0.4, seed=2))
    poses3d = triangulate(scene.poses2d, scene.rig, settings=SETTINGS)
    save_session(folder / "result.nc", rig=scene.rig, poses2d=scene.poses2d, poses3d=poses3d)
    save_session(folder / "only2d.nc", poses2d=scene.poses2d)
    save_session(folder / "norig.nc", poses3d=poses3d)
    save_session(folder / "truth.nc", poses3d=scene.poses3d)
    save_session(folder / "rigonly.nc", rig=scene.rig)
    width, height = scene.rig.cameras[0].size
    with SessionWriter(folder / "detections.nc") as writer:
        writer.append(detections=as_detections(scene.poses2d, (width, height)))
    with VideoWriter(folder / "cam_1.mp4", 30.0) as writer:
        for _ in range(scene.poses2d.sizes["time"]):
            writer.write(np.full((height, width, 3), 90, dtype=np.uint8))
    return folder


def as_detections(poses2d, size):
    """As of a network that is sure, with a second place for every keypoint."""
    position = poses2d["position"].values[:, :, :1].repeat(2, axis=2)
    position[:, :, 1] += 20
    confidence = np.isfinite(position[..., 0]) * np.array([0.9, 0.2])[:, None]
    names = {"cameras": list(poses2d["camera"].values), "keypoints": list(poses2d["keypoint"].values)}
    return detections(position, confidence, **names, frame_rate=100.0, image_size=[size] * len(names["cameras"]))


def run(*words):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code


def frames(path):
    with open_video(path) as video:
        return sum(1 for _ in video)


def test_report_is_one_page_with_a_verdict(folder, tmp_path, capsys):
    page = tmp_path / "report.html"
    assert run("report", folder / "result.nc", "-o", page, "--truth", folder / "truth.nc") == 0
    assert "verdict" in capsys.readouterr().out
    assert "<html" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("file", ["detections.nc", "only2d.nc"])
def test_report_of_2d_alone_needs_no_rig(folder, tmp_path, capsys, file):
    page = tmp_path / "report.html"
    on = ("--on", f"cam_1={folder / 'cam_1.mp4'}", "--min-confidence", "0.5")
    assert run("report", folder / file, "-o", page, *on) == 0
    assert "verdict" in capsys.readouterr().out
    assert "at 0.5, a keypoint counts as not found" in page.read_text(encoding="utf-8")


def test_video_in_3d_and_on_the_video_of_a_camera(folder, tmp_path):
    assert run("video", folder / "result.nc", "-o", tmp_path / "3d.mp4") == 0
    on = f"cam_1={folder / 'cam_1.mp4'}"
    assert run("video", folder / "result.nc", "-o", tmp_path / "2d.mp4", "--on", on) == 0
    assert frames(tmp_path / "3d.mp4") == frames(tmp_path / "2d.mp4") == frames(folder / "cam_1.mp4")


def test_a_video_may_begin_at_another_frame_than_0(folder, tmp_path, capsys):
    """As in recordings whose frames are counted by a common clock."""
    with open_session(folder / "result.nc") as session:
        shifted = [
            poses.load().assign_coords(frame=poses["frame"] + 400) for poses in (session.poses2d, session.poses3d)
        ]
        save_session(tmp_path / "late.nc", rig=session.rig, poses2d=shifted[0], poses3d=shifted[1])
    on = f"cam_1={folder / 'cam_1.mp4'}"
    assert run("video", tmp_path / "late.nc", "-o", tmp_path / "2d.mp4", "--on", on) == 1
    assert run("video", tmp_path / "late.nc", "-o", tmp_path / "2d.mp4", "--on", on, "--first-frame", 400) == 0
    assert frames(tmp_path / "2d.mp4") == frames(folder / "cam_1.mp4")


@pytest.mark.parametrize("file", ["detections.nc", "only2d.nc"])
def test_video_of_2d_alone_on_the_video_of_a_camera(folder, tmp_path, file):
    on = ("--on", f"cam_1={folder / 'cam_1.mp4'}")
    looks = ("--color-by", "confidence", "--trail", "4", "--min-confidence", "0.5")
    assert run("video", folder / file, "-o", tmp_path / "2d.mp4", *on, *looks) == 0
    assert frames(tmp_path / "2d.mp4") == frames(folder / "cam_1.mp4")


def test_the_project_around_detections_knows_the_skeleton(folder, tmp_path):
    """A bone is drawn between keypoints far apart, without any option."""
    from pose3d.project import create_project
    from pose3d.skeleton import Skeleton

    with open_session(folder / "detections.nc") as session:
        found = session.detections.isel(keypoint=[0, 1], candidate=[0]).load()
    width = int(found["image_size"].values[0, 0])
    found["position"].values[..., 0, :], found["position"].values[..., 1, :] = (150, 200), (width - 150, 200)
    found["confidence"].values[:] = 1
    names = tuple(found["keypoint"].values.tolist())
    create_project(tmp_path / "mice", cameras=["cam_1"], skeleton=Skeleton("two", names, (names,)))
    (tmp_path / "mice" / "results").mkdir(exist_ok=True)
    pictures = []
    for file in (tmp_path / "mice" / "results" / "detections.nc", tmp_path / "detections.nc"):
        with SessionWriter(file) as writer:
            writer.append(detections=found)
        assert run("video", file, "-o", tmp_path / "2d.mp4", "--on", f"cam_1={folder / 'cam_1.mp4'}") == 0
        with open_video(tmp_path / "2d.mp4") as video:
            pictures.append(video.read(3).image[195:206, width // 2].max())
    assert pictures[0] > 180
    assert pictures[1] < 110


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("report", "only2d.nc", "-o", "x.html", "--truth", "truth.nc"), 1, "/poses3d"),
        (("report", "rigonly.nc", "-o", "x.html"), 1, "pose3d predict"),
        (("report", "result.nc", "-o", "x.html", "--on", "cam_1=cam_1.mp4"), 2, "files with 2D positions alone"),
        (("report", "detections.nc", "-o", "x.html", "--on", "cam_1.mp4"), 2, "CAMERA=VIDEO"),
        (("report", "detections.nc", "-o", "x.html", "--on", "top=cam_1.mp4"), 1, "cam_1, cam_2, cam_3"),
        (("report", "missing.nc", "-o", "x.html"), 1, "missing.nc"),
        (("report", "result.nc", "-o", "x.html", "--skeleton", "body_26"), 1, "body_25b"),
        (("video", "result.nc", "-o", "x.mp4", "--on", "cam_1"), 2, "CAMERA=VIDEO"),
        (("video", "result.nc", "-o", "x.mp4", "--on", "cam_9=cam_1.mp4"), 1, "cam_9"),
        (("video", "result.nc", "-o", "x.mp4", "--on", "cam_1=result.nc"), 1, "result.nc"),
        (("video", "norig.nc", "-o", "x.mp4", "--on", "cam_1=cam_1.mp4"), 1, "/rig"),
        (("video", "result.nc", "-o", "x.mp4", "--skeleton", "result.nc"), 1, "result.nc"),
        (("video", "result.nc", "-o", "x.mp4", "--trail", "3"), 2, "files with 2D positions alone"),
        (("video", "detections.nc", "-o", "x.mp4"), 2, "--on cam_1=VIDEO"),
        (("video", "detections.nc", "-o", "x.mp4", "--on", "top=cam_1.mp4"), 1, "cam_1, cam_2, cam_3"),
        (("video", "detections.nc", "-o", "x.mp4", "--on", "cam_1=none.mp4"), 1, "none.mp4"),
        (("video", "detections.nc", "-o", "cam_1.mp4", "--on", "cam_1=cam_1.mp4"), 2, "overwrite the input"),
        (("video", "rigonly.nc", "-o", "x.mp4"), 1, "pose3d predict"),
    ],
)
def test_wrong_input_is_explained_and_leaves_nothing(folder, monkeypatch, capsys, words, code, message):
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    assert run(*words) == code
    shown = capsys.readouterr().err
    assert message in shown
    assert "fault of the program" not in shown
    assert sorted(folder.iterdir()) == before
