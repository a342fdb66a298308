"""`pose3d triangulate`: what a user types, sees and finds on disk."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from calibration.formats import save_rig
from pose3d.cli import main
from pose3d.formats import open_session, save_session
from pose3d.synthetic import SimulationSettings, simulate


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A simulated recording on disk: folder with rig.toml and poses2d.nc, and the scene itself."""
    folder = tmp_path_factory.mktemp("session")
    scene = simulate(SimulationSettings(cameras=4, duration=2.0, outlier_rate=0.05, dropout_rate=0.1, seed=5))
    save_rig(scene.rig, folder / "rig.toml")
    save_session(folder / "poses2d.nc", poses2d=scene.poses2d)
    return folder, scene


def run(*words):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code


def test_the_result_file_holds_everything_and_the_terminal_says_how_it_went(session, tmp_path, capsys):
    folder, scene = session
    output = tmp_path / "deep" / "out.nc"
    assert run("triangulate", "--rig", folder / "rig.toml", "--poses2d", folder / "poses2d.nc", "-o", output) == 0
    shown = capsys.readouterr().out
    for word in ("RMS px", "median px", "p95 px", "2D NaN", "3D NaN", "cam_1", "nose", "wrote"):
        assert word in shown
    with open_session(output) as found:
        assert found.rig == scene.rig
        np.testing.assert_array_equal(found.require("poses2d")["position"], scene.poses2d["position"])
        error = np.linalg.norm(found.require("poses3d")["position"] - scene.poses3d["position"], axis=1)
        assert np.nanmedian(error) < 2.0
        inputs = found.provenance["inputs"]
        assert [len(entry["sha256"]) for entry in inputs] == [64, 64]


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"verdict": "broken"}, "broken by its own verdict"),
        ({"lenses_only": True}, "lenses only"),
        ({"verdict": "look at this"}, None),
        ({"verdict": "good"}, None),
    ],
)
def test_a_calibration_that_calls_itself_broken_is_warned_about(session, tmp_path, capsys, metadata, said):
    folder, scene = session
    save_rig(replace(scene.rig, metadata=metadata), tmp_path / "rig.toml", format="rig-toml")
    words = ("--rig", tmp_path / "rig.toml", "--poses2d", folder / "poses2d.nc", "-o", tmp_path / "out.nc", "--json")
    assert run("triangulate", *words) == 0
    shown = " ".join(capsys.readouterr().err.split())
    if said is None:
        assert "verdict" not in shown
    else:
        assert said in shown


def test_json_is_one_object_and_agrees_with_the_file(session, tmp_path, capsys):
    folder, _ = session
    words = ("triangulate", "--rig", folder / "rig.toml", "--poses2d", folder / "poses2d.nc", "-o", tmp_path / "o.nc")
    assert run(*words, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert set(summary["cameras"]) == {"cam_1", "cam_2", "cam_3", "cam_4"}
    with open_session(tmp_path / "o.nc") as found:
        poses3d = found.require("poses3d").load()
    used = poses3d["inlier"].sel(camera="cam_2").astype(bool)
    rms = float(np.sqrt((poses3d["residual"].sel(camera="cam_2").where(used) ** 2).mean()))
    assert summary["cameras"]["cam_2"]["rms"] == pytest.approx(rms, rel=1e-4)
    missing = float(np.isnan(poses3d["position"].isel(space=0)).mean())
    assert summary["all"]["missing_3d"] == pytest.approx(missing, abs=1e-12)
    assert sum(summary["missing"].values()) == int(np.isnan(poses3d["position"].isel(space=0)).sum())


def test_several_paths_may_follow_one_option(session, tmp_path, capsys):
    """Per-camera files, as the shell expands `poses/*.nc`."""
    folder, scene = session
    files = []
    for name in scene.rig.names:
        files.append(tmp_path / f"{name}.nc")
        save_session(files[-1], poses2d=scene.poses2d.sel(camera=[name]))
    assert run("triangulate", "--rig", folder / "rig.toml", "-o", tmp_path / "o.nc", "--json", "--poses2d", *files) == 0
    assert len(json.loads(capsys.readouterr().out)["cameras"]) == 4


def test_other_formats_are_written_on_request(session, tmp_path, capsys):
    folder, _ = session
    targets = [tmp_path / "o.csv", tmp_path / "o.trc", tmp_path / "dlc.csv", tmp_path / "anipose.csv"]
    options = [
        word for pair in zip(("--csv", "--trc", "--deeplabcut", "--anipose"), targets, strict=True) for word in pair
    ]
    words = ("triangulate", "--rig", folder / "rig.toml", "--poses2d", folder / "poses2d.nc", "-o", tmp_path / "o.nc")
    assert run(*words, *options) == 0
    assert all(path.stat().st_size > 1000 for path in targets)


def test_the_same_input_and_settings_give_the_same_bytes(session, tmp_path, capsys):
    folder, _ = session
    words = ("triangulate", "--rig", folder / "rig.toml", "--poses2d", folder / "poses2d.nc", "-o")
    assert run(*words, tmp_path / "1.nc") == 0
    assert run(*words, tmp_path / "2.nc") == 0
    assert (tmp_path / "1.nc").read_bytes() == (tmp_path / "2.nc").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rig": "missing.toml"}, "missing.toml"),
        ({"poses2d": "missing"}, "missing"),
        ({"rig": "poses2d.nc"}, "poses2d.nc"),
        ({"poses2d": "rig.toml"}, "rig.toml"),
        ({"format": "deeplabcut"}, "poses2d.nc"),
        ({"format": "nonsense"}, "nonsense"),
    ],
)
def test_wrong_input_names_the_file_and_leaves_nothing(session, tmp_path, capsys, change, message):
    folder, _ = session
    rig, poses2d = folder / change.get("rig", "rig.toml"), folder / change.get("poses2d", "poses2d.nc")
    options = ("--format", change["format"]) if "format" in change else ()
    assert run("triangulate", "--rig", rig, "--poses2d", poses2d, "-o", tmp_path / "o.nc", *options) == 1
    shown = capsys.readouterr().err
    assert message in shown
    assert "fault of the program" not in shown
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_says_so(session, tmp_path, capsys):
    folder, _ = session
    (tmp_path / "file").write_text("no folder")
    words = ("triangulate", "--rig", folder / "rig.toml", "--poses2d", folder / "poses2d.nc")
    assert run(*words, "-o", tmp_path / "file" / "o.nc") == 1
    assert "file/o.nc" in capsys.readouterr().err
    assert run(*words, "-o", tmp_path) == 1
    assert "a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-o", "rig.toml"), "overwrite the input"),
        (("-o", "poses2d.nc"), "overwrite the input"),
        (("-o", "link.nc"), "overwrite the input"),
        (("-o", "o.nc", "--csv", "rig.toml"), "overwrite the input"),
        (("-o", "o.nc", "--csv", "./o.nc"), "both name"),
        (("-o", "o.nc", "--csv", "t.csv", "--deeplabcut", "t.csv"), "both name"),
    ],
)
def test_inputs_are_never_written_over_and_outputs_never_share_a_file(
    session, tmp_path, monkeypatch, capsys, options, message
):
    folder, _ = session
    for name in ("rig.toml", "poses2d.nc"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "link.nc").symlink_to(tmp_path / "poses2d.nc")
    monkeypatch.chdir(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert run("triangulate", "--rig", "rig.toml", "--poses2d", "poses2d.nc", *options) == 2
    assert message in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_trc_without_a_frame_rate_is_refused_before_the_work(session, tmp_path, capsys):
    folder, scene = session
    timeless = scene.poses2d.copy()
    del timeless.attrs["fps"]
    save_session(tmp_path / "p.nc", poses2d=timeless)
    words = ("triangulate", "--rig", folder / "rig.toml", "--poses2d", tmp_path / "p.nc", "-o", tmp_path / "o.nc")
    assert run(*words, "--trc", tmp_path / "o.trc") == 2
    assert "--frame-rate" in capsys.readouterr().err
    assert not (tmp_path / "o.nc").exists()


@pytest.fixture(scope="module")
def long_session(tmp_path_factory):
    """A folder with rig.toml and poses2d.nc of ten minutes, which take long enough to be interrupted."""
    folder = tmp_path_factory.mktemp("long")
    scene = simulate(SimulationSettings(cameras=4, duration=600.0, frame_rate=50.0, seed=1))
    save_rig(scene.rig, folder / "rig.toml")
    save_session(folder / "poses2d.nc", poses2d=scene.poses2d)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_leaves_no_half_file(long_session, tmp_path, signal_):
    """The old result stays; with SIGKILL a hidden part file may stay beside it, never one under the final name."""
    output = tmp_path / "out.nc"
    output.write_bytes(b"the old result")
    inputs = ("--rig", str(long_session / "rig.toml"), "--poses2d", str(long_session / "poses2d.nc"))
    words = [sys.executable, "-m", "pose3d", "triangulate", *inputs, "-o", "out.nc"]
    # What a shell starts in the background ignores SIGINT, and its children too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".part-*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert list(tmp_path.glob(".part-*")), "the run never began to write"
    process.send_signal(signal_)
    message = process.communicate(timeout=60)[1]
    assert process.returncode != 0
    assert output.read_bytes() == b"the old result"
    if signal_ != signal.SIGKILL:
        assert "Interrupted" in message
        assert list(tmp_path.glob(".part-*")) == []
