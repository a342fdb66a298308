"""`pose3d convert`: between calibrations, and out of result files."""

import json

import numpy as np
import pytest

from calibration.formats import load_rig, save_rig
from pose3d.cli import main
from pose3d.formats import read_trc, save_session
from pose3d.synthetic import SimulationSettings, simulate


@pytest.fixture(scope="module")
def scene():
    return simulate(SimulationSettings(cameras=3, duration=0.5, seed=5))


@pytest.fixture
def rig_file(scene, tmp_path):
    save_rig(scene.rig, tmp_path / "rig.toml")
    return tmp_path / "rig.toml"


@pytest.fixture
def session(scene, tmp_path):
    save_session(tmp_path / "session.nc", rig=scene.rig, poses2d=scene.poses2d, poses3d=scene.poses3d)
    return tmp_path / "session.nc"


def run(*words):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code


@pytest.mark.parametrize("name", ["anipose", "pose2sim", "opencv", "easymocap", "colmap", "label3d"])
def test_there_and_back(name, rig_file, tmp_path, scene, capsys):
    there = tmp_path / ("there.mat" if name == "label3d" else "there")
    back = tmp_path / "back.toml"
    assert run("convert", rig_file, there, "--to", name) == 0
    assert f"read as rig-toml, lengths in mm; written as {name}" in capsys.readouterr().out
    assert run("convert", there, back) == 0
    again = load_rig(back)
    assert again.names == scene.rig.names
    scale = {"mm": 1.0, "m": 1e-3}[again.unit]
    point = np.array([10.0, 20.0, 30.0])
    np.testing.assert_allclose(again.project(point * scale), scene.rig.project(point), rtol=0.0, atol=1e-9)


def test_json_says_what_was_done(rig_file, tmp_path, capsys):
    target = tmp_path / "sparse"
    assert run("convert", rig_file, target, "--to", "colmap", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["from"], summary["to"], summary["unit"]) == ("rig-toml", "colmap", "mm")
    assert summary["cameras"] == ["cam_1", "cam_2", "cam_3"]
    assert summary["written"] == [str(target)]


def test_scale_and_unit(rig_file, tmp_path, scene):
    text = rig_file.read_text().replace('[metadata]\nformat = "pose3d-rig"\nformat_version = 1\nunit = "mm"\n', "")
    (tmp_path / "anipose.toml").write_text(text)
    assert run("convert", tmp_path / "anipose.toml", tmp_path / "in.toml", "--unit", "cm", "--scale", "25") == 0
    again = load_rig(tmp_path / "in.toml")
    assert again.unit == "cm"
    np.testing.assert_allclose(again.cameras[0].center, scene.rig.cameras[0].center * 25.0, rtol=1e-12)


def test_a_format_that_is_told(rig_file, tmp_path, capsys):
    assert run("convert", rig_file, tmp_path / "out.toml", "--from", "rig-toml") == 0
    assert run("convert", rig_file, tmp_path / "out.toml", "--from", "opencv") == 1
    assert str(rig_file) in capsys.readouterr().err


def test_what_the_new_format_cannot_hold_is_an_error(rig_file, tmp_path, capsys):
    assert run("convert", rig_file, tmp_path / "dannce", "--to", "label3d") == 1
    assert "Camera1, Camera2" in capsys.readouterr().err
    assert not (tmp_path / "dannce").exists()


class TestResultFiles:
    def test_its_rig(self, session, tmp_path, scene):
        assert run("convert", session, tmp_path / "out.toml") == 0
        assert load_rig(tmp_path / "out.toml") == scene.rig

    def test_its_poses(self, session, tmp_path, scene, capsys):
        assert run("convert", session, tmp_path / "out.trc") == 0
        assert "written as trc" in capsys.readouterr().out
        assert read_trc(tmp_path / "out.trc").sizes["time"] == scene.poses3d.sizes["time"]
        assert run("convert", session, tmp_path / "out.csv", "--json") == 0
        assert json.loads(capsys.readouterr().out)["to"] == "csv"
        assert run("convert", session, tmp_path / "dlc.csv", "--to", "deeplabcut") == 0
        assert (tmp_path / "dlc.csv").read_text().startswith("scorer")

    def test_without_a_rig(self, scene, tmp_path, capsys):
        save_session(tmp_path / "poses.nc", poses3d=scene.poses3d)
        assert run("convert", tmp_path / "poses.nc", tmp_path / "out.toml") == 1
        assert "a result file with a calibration" in capsys.readouterr().err

    @pytest.mark.parametrize("words", [("--scale", "2"), ("--unit", "m"), ("--from", "anipose")])
    def test_options_of_calibrations(self, words, session, tmp_path, capsys):
        assert run("convert", session, tmp_path / "out.toml", *words) == 2
        assert "are for calibrations" in capsys.readouterr().err

    def test_a_format_that_does_not_end_so(self, session, tmp_path, capsys):
        assert run("convert", session, tmp_path / "out.trc", "--to", "csv") == 2
        assert "does not fit out.trc" in capsys.readouterr().err


class TestBadInput:
    def test_the_input_is_not_written_over(self, rig_file, capsys):
        before = rig_file.read_text()
        assert run("convert", rig_file, rig_file, "--to", "anipose") == 2
        assert "would overwrite the input" in capsys.readouterr().err
        assert rig_file.read_text() == before

    def test_no_such_file(self, tmp_path, capsys):
        assert run("convert", tmp_path / "none.toml", tmp_path / "out.toml") == 1
        assert "No such file" in capsys.readouterr().err

    def test_a_format_that_is_only_read_or_none(self, rig_file, tmp_path, capsys):
        assert run("convert", rig_file, tmp_path / "out.pickle", "--to", "deeplabcut") == 1
        assert "only read" in capsys.readouterr().err
        assert run("convert", rig_file, tmp_path / "out.xyz") == 1
        assert "name one of the formats" in capsys.readouterr().err
