"""`pose3d report` and `pose3d video` on a small result file."""

import numpy as np
import pytest

from calibration.video import VideoWriter, open_video
from pose3d.cli import main
from pose3d.formats import open_session, save_session
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
    width, height = scene.rig.cameras[0].size
    with VideoWriter(folder / "cam_1.mp4", 30.0) as writer:
        for _ in range(scene.poses2d.sizes["time"]):
            writer.write(np.full((height, width, 3), 90, dtype=np.uint8))
    return folder


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


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("report", "only2d.nc", "-o", "x.html"), 1, "/poses3d"),
        (("report", "missing.nc", "-o", "x.html"), 1, "missing.nc"),
        (("report", "result.nc", "-o", "x.html", "--skeleton", "body_26"), 1, "body_25b"),
        (("video", "result.nc", "-o", "x.mp4", "--on", "cam_1"), 2, "CAMERA=VIDEO"),
        (("video", "result.nc", "-o", "x.mp4", "--on", "cam_9=cam_1.mp4"), 1, "cam_9"),
        (("video", "result.nc", "-o", "x.mp4", "--on", "cam_1=result.nc"), 1, "result.nc"),
        (("video", "norig.nc", "-o", "x.mp4", "--on", "cam_1=cam_1.mp4"), 1, "/rig"),
        (("video", "result.nc", "-o", "x.mp4", "--skeleton", "result.nc"), 1, "result.nc"),
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
