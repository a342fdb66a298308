"""`pose3d reconstruct`: what a user types, sees and finds on disk."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import numpy as np
import pytest

from calibration.formats import save_rig
from pose3d.cli import main
from pose3d.formats import open_session, save_session
from pose3d.reconstruction import TrajectorySettings
from pose3d.synthetic import SimulationSettings, simulate

SKELETON = """\
name = "mouse"
keypoints = ["nose", "left_ear", "right_ear", "neck", "tail_base"]
edges = [["neck", "nose"], ["neck", "left_ear"], ["neck", "right_ear"], ["neck", "tail_base"]]
mirrored_pairs = [["left_ear", "right_ear"]]
bones = [["neck", "nose"], ["neck", "left_ear"], ["neck", "right_ear"]]
"""
KEYPOINTS = ["nose", "left_ear", "right_ear", "neck", "tail_base"]


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A simulated recording on disk, in which cam_2 sees the nose elsewhere in frames 60 to 79; and the scene."""
    folder = tmp_path_factory.mktemp("session")
    scene = simulate(SimulationSettings(cameras=4, duration=1.5, outlier_rate=0.05, dropout_rate=0.0, seed=5))
    poses = scene.poses2d.sel(keypoint=KEYPOINTS).copy(deep=True)
    where = {"camera": "cam_2", "keypoint": "nose", "individual": "animal_1"}
    moved = poses["position"].sel(where).fillna(300.0)
    moved[60:80] = moved[60:80] + 150.0
    poses["position"].loc[where] = moved
    save_rig(scene.rig, folder / "rig.toml")
    save_session(folder / "poses2d.nc", poses2d=poses)
    (folder / "mouse.toml").write_text(SKELETON, encoding="utf-8")
    return folder, scene


def run(*words):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code


def command(folder, output, *options):
    inputs = ("--rig", folder / "rig.toml", "--poses2d", folder / "poses2d.nc")
    return run("reconstruct", *inputs, "-o", output, *options)


def test_the_terminal_says_how_it_went(session, tmp_path, capsys):
    folder, scene = session
    output = tmp_path / "deep" / "out.nc"
    assert command(folder, output, "--skeleton", folder / "mouse.toml") == 0
    shown = capsys.readouterr().out
    titles = ("used", "explained", "median px", "p95 px", "offset px", "noise px", "std mm", "smoothness mm/s^")
    for word in (*titles, "repaired", "bridged", "missing", "cam_1", "nose", "neck-nose", "length mm", "wrote"):
        assert word in shown
    (line,) = [line.split() for line in shown.splitlines() if line.startswith("cam_2") and "nose" in line]
    assert line == ["cam_2", "nose", "60", "to", "79"]
    with open_session(output) as found:
        assert found.rig == scene.rig
        poses3d = found.require("poses3d").load()
        error = np.linalg.norm(poses3d["position"] - scene.poses3d["position"].sel(keypoint=KEYPOINTS), axis=1)
        assert np.nanmedian(error) < 1.0
        assert [len(entry["sha256"]) for entry in found.provenance["inputs"]] == [64, 64, 64], "with the skeleton"
        assert found.provenance["settings"]["skeleton"] == "mouse"
        assert found.provenance["settings"]["trajectory"]["motion"] == "automatic"


def test_json_is_one_object_and_agrees_with_the_file(session, tmp_path, capsys):
    folder, _ = session
    assert command(folder, tmp_path / "o.nc", "--skeleton", folder / "mouse.toml", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    with open_session(tmp_path / "o.nc") as found:
        poses3d = found.require("poses3d").load()
    assert set(summary["cameras"]) == {"cam_1", "cam_2", "cam_3", "cam_4"}
    assert set(summary["keypoints"]) == set(KEYPOINTS)
    assert (summary["frames"], summary["unit"]) == (150, "mm")
    assert summary["motion"] == json.loads(poses3d.attrs["reconstruction"])["motion"] != "automatic"
    for name in ("noise", "smoothness"):
        values = summary[name]["values"]["nose"]
        np.testing.assert_allclose(list(values.values()), poses3d[name].sel(keypoint="nose"))
        assert summary[name]["units"] == poses3d[name].attrs["units"]
    bones = summary["bones"]["length"]["values"]
    assert bones["neck-nose"]["animal_1"] == pytest.approx(26.0, rel=0.02)
    assert summary["bones"]["spread"]["values"]["neck-nose"]["animal_1"] == pytest.approx(0.26, rel=0.02)
    first = summary["disagreements"][0]
    assert (first["camera"], first["keypoint"], first["first"], first["last"]) == ("cam_2", "nose", 60, 79)
    assert first["frames"] == 20
    missing = float(np.isnan(poses3d["position"].isel(space=0)).mean())
    assert summary["all"]["missing"] == pytest.approx(missing, abs=1e-12)
    assert isinstance(summary["contradicted"], dict)
    assert summary["displaced"] == []
    assert summary["written"] == [str(tmp_path / "o.nc")]


def test_a_camera_that_sees_everything_elsewhere_is_named(session, tmp_path, capsys):
    folder, _ = session
    with open_session(folder / "poses2d.nc") as found:
        poses = found.require("poses2d").load()
    poses["position"].loc[{"camera": "cam_3"}] += np.array([-24.0, 30.0])
    save_session(tmp_path / "p.nc", poses2d=poses)
    words = ("reconstruct", "--rig", folder / "rig.toml", "--poses2d", tmp_path / "p.nc", "-o", tmp_path / "o.nc")
    assert run(*words) == 0
    (line,) = [
        line for line in capsys.readouterr().out.replace("\n", " ").split("camera ") if "sees everything" in line
    ]
    x, y = (int(number) for number in re.findall(r"[+-]\d+", line)[:2])
    assert (x, y) == (pytest.approx(-24, abs=3), pytest.approx(30, abs=3))
    assert line.startswith(
        f"cam_3 sees everything ({x:+d}, {y:+d}) px from where the others do: its calibration or its"
    )
    assert run(*words, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["displaced"] == ["cam_3"]
    assert summary["cameras"]["cam_3"]["offset"] == pytest.approx(np.hypot(24, 30), abs=3)
    assert summary["cameras"]["cam_3"]["offset_x"] == pytest.approx(-24, abs=3)


def test_without_a_skeleton_it_says_what_is_lacking(session, tmp_path, capsys):
    folder, _ = session
    assert command(folder, tmp_path / "o.nc") == 0
    shown = capsys.readouterr().out
    assert "there is no --skeleton" in shown
    assert "neck-nose" not in shown


def test_a_recording_without_frame_rate_counts_in_frames(session, tmp_path, capsys):
    folder, _ = session
    with open_session(folder / "poses2d.nc") as found:
        timeless = found.require("poses2d").load()
    timeless = timeless.assign_coords(time=("time", timeless["frame"].values * 1.0, {"units": "frames"}))
    del timeless.attrs["fps"]
    save_session(tmp_path / "p.nc", poses2d=timeless)
    words = ("reconstruct", "--rig", folder / "rig.toml", "--poses2d", tmp_path / "p.nc", "-o", tmp_path / "o.nc")
    assert run(*words) == 0
    assert "smoothness mm/frames^" in capsys.readouterr().out
    assert run(*words, "--trc", tmp_path / "o.trc") == 2
    assert "--frame-rate" in capsys.readouterr().err


def test_other_formats_are_written_on_request(session, tmp_path, capsys):
    folder, _ = session
    targets = [tmp_path / "o.csv", tmp_path / "o.trc", tmp_path / "dlc.csv", tmp_path / "anipose.csv"]
    options = [
        word for pair in zip(("--csv", "--trc", "--deeplabcut", "--anipose"), targets, strict=True) for word in pair
    ]
    assert command(folder, tmp_path / "o.nc", *options) == 0
    assert all(path.stat().st_size > 1000 for path in targets)
    assert f"wrote {tmp_path / 'o.trc'}" in capsys.readouterr().out


def test_the_result_opens_in_the_commands_that_look_at_results(session, tmp_path, capsys):
    folder, _ = session
    assert command(folder, tmp_path / "o.nc", "--skeleton", folder / "mouse.toml") == 0
    assert run("report", tmp_path / "o.nc", "-o", tmp_path / "r.html", "--skeleton", folder / "mouse.toml") == 0
    assert run("convert", tmp_path / "o.nc", tmp_path / "c.csv") == 0
    assert (tmp_path / "c.csv").stat().st_size > 1000
    assert "verdict" in capsys.readouterr().out


def test_the_same_input_and_settings_give_the_same_bytes(session, tmp_path, capsys):
    folder, _ = session
    for name in ("1.nc", "2.nc"):
        assert command(folder, tmp_path / name, "--skeleton", folder / "mouse.toml") == 0
    assert (tmp_path / "1.nc").read_bytes() == (tmp_path / "2.nc").read_bytes()


class TestOptions:
    def test_their_defaults_are_those_of_the_settings(self, session, tmp_path):
        folder, _ = session
        assert command(folder, tmp_path / "o.nc") == 0
        with open_session(tmp_path / "o.nc") as found:
            settings = json.loads(found.require("poses3d").attrs["reconstruction"])
        chosen = settings["motion"]
        assert chosen in ("velocity", "acceleration")
        assert settings | {"motion": "automatic"} == asdict(TrajectorySettings())

    def test_they_reach_the_settings(self, session, tmp_path):
        folder, _ = session
        numbers = ("--smoothness", "50000", "--bone-spread", "0.03", "--longest-gap", "7", "--noise", "1.5")
        flags = ("--no-bones", "--no-repair", "--motion", "velocity", "--min-confidence", "0.05", "--seed", "3")
        assert command(folder, tmp_path / "o.nc", "--skeleton", folder / "mouse.toml", *numbers, *flags) == 0
        with open_session(tmp_path / "o.nc") as found:
            settings = json.loads(found.require("poses3d").attrs["reconstruction"])
            assert "bone_length" not in found.require("poses3d") or not found.require("poses3d").sizes["bone"]
        expected = {"smoothness": 50000, "bone_spread": 0.03, "longest_gap": 7, "noise": 1.5, "bones": False}
        expected |= {"repair_swaps": False, "motion": "velocity", "minimum_confidence": 0.05, "seed": 3}
        assert settings | expected == settings

    @pytest.mark.parametrize(
        "words",
        [
            ("--motion", "snap"),
            ("--smoothness", "0"),
            ("--smoothness", "50000"),  # of which motion?
            ("--noise", "-1"),
            ("--bone-spread", "0"),
            ("--longest-gap", "-1"),
            ("--min-confidence", "2"),
            ("--seed", "-1"),
        ],
    )
    def test_what_is_out_of_range_is_wrong_usage(self, session, tmp_path, capsys, words):
        folder, _ = session
        assert command(folder, tmp_path / "o.nc", *words) == 2
        assert words[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rig": "missing.toml"}, "missing.toml"),
        ({"poses2d": "missing"}, "missing"),
        ({"poses2d": "rig.toml"}, "rig.toml"),
        ({"skeleton": "missing.toml"}, "one of the presets body_25"),
        ({"skeleton": "rig.toml"}, "keypoints"),
        ({"skeleton": "body_25"}, "skeleton 'body_25'"),
    ],
)
def test_wrong_input_names_the_file_and_leaves_nothing(session, tmp_path, capsys, change, message):
    folder, _ = session
    rig, poses2d = folder / change.get("rig", "rig.toml"), folder / change.get("poses2d", "poses2d.nc")
    skeleton = change.get("skeleton", "mouse.toml")
    skeleton = skeleton if skeleton == "body_25" else folder / skeleton
    words = ("--rig", rig, "--poses2d", poses2d, "-o", tmp_path / "o.nc", "--skeleton", skeleton)
    assert run("reconstruct", *words) == 1
    shown = capsys.readouterr().err
    assert message in shown
    assert "fault of the program" not in shown
    assert list(tmp_path.iterdir()) == []


def test_2d_poses_are_needed_and_inputs_are_never_written_over(session, tmp_path, monkeypatch, capsys):
    folder, _ = session
    for name in ("rig.toml", "poses2d.nc", "mouse.toml"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert run("reconstruct", "--rig", "rig.toml", "-o", "o.nc") == 2
    assert "--poses2d" in capsys.readouterr().err
    for output in ("rig.toml", "poses2d.nc", "mouse.toml"):
        words = ("--rig", "rig.toml", "--poses2d", "poses2d.nc", "--skeleton", "mouse.toml", "-o", output)
        assert run("reconstruct", *words) == 2
        assert "overwrite the input" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_leaves_no_half_file(session, tmp_path, signal_):
    """The old result stays; with SIGKILL a hidden part file may stay beside it, never one under the final name."""
    folder, _ = session
    output = tmp_path / "out.nc"
    output.write_bytes(b"the old result")
    inputs = ("--rig", str(folder / "rig.toml"), "--poses2d", str(folder / "poses2d.nc"))
    words = [sys.executable, "-m", "pose3d", "reconstruct", *inputs, "-o", "out.nc"]
    # What a shell starts in the background ignores SIGINT, and its children too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".part-*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert list(tmp_path.glob(".part-*")), "the run never began to write"
    process.send_signal(signal_)
    message = process.communicate(timeout=120)[1]
    assert process.returncode != 0
    assert output.read_bytes() == b"the old result"
    if signal_ != signal.SIGKILL:
        assert "Interrupted" in message
        assert list(tmp_path.glob(".part-*")) == []
