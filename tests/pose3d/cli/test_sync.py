"""`pose3d sync`: what a user types, sees and finds on disk."""

import json

import numpy as np
import pytest

from calibration.formats import save_rig
from calibration.synchronization import load_synchronization
from calibration.synthetic import make_rig
from calibration.video import VideoWriter
from pose3d.cli import main
from pose3d.datasets import poses2d
from pose3d.formats import open_session, save_session

RATE, COUNT = 30.0, 240
OFFSETS = {"cam_1": 0.0, "cam_2": 0.013, "cam_3": -0.04}


def run(*words):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code


def path(times):
    rng = np.random.default_rng(1)
    frequency = rng.uniform(0.1, 1.5, (30, 1, 1))
    size = 200 * rng.normal(size=(30, 6, 3)) / np.sqrt(30) / (1 + frequency)
    return (np.sin(2 * np.pi * frequency * times[:, None, None, None] + rng.uniform(0, 6, (30, 6, 3))) * size).sum(1)


def write_video(path_, count=COUNT):
    with VideoWriter(path_, RATE) as video:
        for index in range(count):
            video.write(np.full((32, 32), index % 7, np.uint8))


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A session with videos, a rig and poses whose cameras started at different times."""
    folder = tmp_path_factory.mktemp("session")
    rig = make_rig(3, seed=4)
    save_rig(rig, folder / "rig.toml")
    rng = np.random.default_rng(0)
    times = np.arange(COUNT) / RATE
    pixels = np.stack([rig[name].project(path(times + offset)) for name, offset in OFFSETS.items()], axis=1)
    pixels += rng.normal(size=pixels.shape)
    names = [f"k{i}" for i in range(6)]
    poses = poses2d(pixels[:, :, None], cameras=rig.names, individuals=["a"], keypoints=names, frame_rate=RATE)
    save_session(folder / "poses2d.nc", poses2d=poses)
    (folder / "monday").mkdir()
    for number in (1, 2, 3):
        write_video(folder / "monday" / f"Cam{number:02d}.mp4")
    return folder


def test_motion_is_found_written_shown_and_applied(session, tmp_path, capsys):
    target = tmp_path / "sync.toml"
    words = ("--rig", session / "rig.toml", "--poses2d", session / "poses2d.nc")
    assert run("sync", session / "monday", *words, "-o", target) == 0
    shown = capsys.readouterr().out
    for word in (
        "offset ms",
        "drift ppm",
        "dropped",
        "motion",
        "verified",
        "cam_2",
        "wrote",
        "frames left",
        " ± ",
        "reference",
    ):
        assert word in shown
    assert f"next: pose3d triangulate --rig {session / 'rig.toml'}" in shown
    assert f"--sync {target} -o RESULT.nc" in shown
    found = load_synchronization(target)
    for name, offset in OFFSETS.items():
        assert abs(found[name].offset - offset) * RATE < 0.05
    assert run("triangulate", *words, "--sync", target, "-o", tmp_path / "out.nc", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert run("triangulate", *words, "-o", tmp_path / "apart.nc", "--json") == 0
    apart = json.loads(capsys.readouterr().out)
    assert summary["all"]["median"] < 1.3 < apart["all"]["median"]
    with open_session(tmp_path / "out.nc") as result:
        solid = result.require("poses3d")["position"].isel(individual=0).transpose("time", "keypoint", "space").values
        assert any("sync.toml" in entry["path"] for entry in result.provenance["inputs"])
    error = np.linalg.norm(solid - path(np.arange(COUNT) / RATE), axis=-1)
    assert np.nanmedian(error) < 1.5


def test_time_stamps_in_the_session_come_first(session, capsys):
    rows = [
        f"{number},{frame},{100 + frame / RATE + OFFSETS[f'cam_{number}']:.6f}"
        for number in (1, 2, 3)
        for frame in range(COUNT)
    ]
    stamps = session / "monday" / "timestamps.csv"
    stamps.write_text("\n".join(["camera,frame,time", *rows]))
    try:
        assert run("sync", session / "monday", "--reference", "Cam02", "--json") == 0
    finally:
        stamps.unlink()
    result = json.loads(capsys.readouterr().out)
    assert result["reference"] == "Cam02"
    assert result["cameras"]["Cam01"]["offset_s"] == pytest.approx(-0.013, abs=1e-5)
    assert result["cameras"]["Cam03"]["method"] == "timestamps"
    assert result["cameras"]["Cam03"]["verification"]["status"] == "not verified"
    target = session / "monday" / "sync.toml"
    assert load_synchronization(session / "monday").reference == "Cam02"
    target.unlink()


def test_without_anything_to_go_by_all_that_was_tried_is_said(session, capsys):
    assert run("sync", session / "monday") == 1
    told = capsys.readouterr().err
    for word in ("audio", "without a sound track", "led", "--poses2d"):
        assert word in told
    assert not (session / "monday" / "sync.toml").exists()


def test_poses_alone_need_a_rate_or_have_one(session, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    words = ("--rig", session / "rig.toml", "--poses2d", session / "poses2d.nc", "--max-offset", "1", "--no-drift")
    assert run("sync", tmp_path / "empty", *words, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert abs(result["cameras"]["cam_3"]["offset_frames"] + 1.2) < 0.05


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["nowhere"], 1, "no such folder"),
        (["{session}/monday", "--led", "Cam01=1,2"], 2, "CAMERA=X,Y,WIDTH,HEIGHT"),
        (["{session}/monday", "--method", "timestamps"], 1, "time stamps of every camera"),
        (["{session}/monday", "--method", "motion"], 1, "at least two"),
        (["{session}/monday", "--rig", "{session}/rig.toml", "-o", "{session}/rig.toml"], 2, "overwrite"),
        (["{session}/rig.toml"], 1, "a file"),
    ],
)
def test_wrong_use_is_told(session, capsys, words, code, told):
    assert run("sync", *[word.format(session=session) for word in words]) == code
    assert told in capsys.readouterr().err


def test_a_lone_camera_is_told(session, tmp_path, capsys):
    write_video(tmp_path / "top.mp4", 3)
    assert run("sync", tmp_path) == 1
    assert "at least two cameras" in capsys.readouterr().err


def test_a_light_is_found_or_named(tmp_path, capsys):
    events = np.cumsum(np.random.default_rng(2).uniform(0.15, 0.6, 40))
    for name, offset, column in (("left", 0.0, 8), ("right", 0.35, 32)):
        with VideoWriter(tmp_path / f"{name}.mp4", RATE) as video:
            for index in range(COUNT):
                image = np.full((48, 64), 50, np.uint8)
                edges = offset + (index + np.linspace(-0.4, 0.4, 21)) / RATE
                image[16:32, column : column + 16] = 40 + 160 * (np.searchsorted(events, edges) % 2).mean()
                video.write(image)
    for words in ([], ["--led", "left=8,16,16,16", "--led", "RIGHT=32,16,16,16"]):
        assert run("sync", tmp_path, "--method", "led", "--json", *words) == 0
        right = json.loads(capsys.readouterr().out)["cameras"]["right"]
        assert abs(right["offset_s"] - 0.35) * RATE < 0.1
        assert right["method"] == "led"
