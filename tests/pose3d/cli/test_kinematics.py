"""`pose3d kinematics`: what a user types, sees and finds on disk."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from pose3d.cli import kinematics as command_module
from pose3d.cli import main
from pose3d.formats import open_session, save_session, write_trc
from pose3d.kinematics import QUANTITIES, DerivativeSettings, GaitSettings
from pose3d.skeleton import skeleton_text
from pose3d.synthetic import SimulationSettings, simulate


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("walk")
    scene = simulate(SimulationSettings(duration=3.0, cameras=2, seed=3))
    save_session(place / "walk.nc", rig=scene.rig, poses3d=scene.poses3d)
    (place / "mouse.toml").write_text(skeleton_text(scene.skeleton), encoding="utf-8")
    write_trc(scene.poses3d, place / "walk.trc")
    return place


def run(*words):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code


@pytest.fixture(scope="module")
def done(folder):
    """The command has been run once, with everything."""
    code = run("kinematics", folder / "walk.nc", "-o", folder / "out.nc", "--skeleton", folder / "mouse.toml",
               "--save-events", folder / "events.csv", "--csv", folder / "tables")  # fmt: skip
    assert code == 0
    return folder


def test_the_terminal_says_what_there_is(folder, tmp_path, capsys):
    (tmp_path / "walk.nc").write_bytes((folder / "walk.nc").read_bytes())
    assert run("kinematics", tmp_path / "walk.nc", "--skeleton", folder / "mouse.toml") == 0
    shown = capsys.readouterr().out
    for word in ("300 frames", "velocity", "joint_angle", "left out: center_of_mass", "duty factor %", "left_hind",
                 "lateral sequence walk", "wrote"):  # fmt: skip
        assert word in shown
    with open_session(tmp_path / "walk.nc") as session:
        assert session.rig is not None
        assert session.require("kinematics").sizes["stride"] > 10


def test_json_agrees_with_the_file(done, tmp_path, capsys):
    capsys.readouterr()
    assert (
        run("kinematics", done / "walk.nc", "-o", tmp_path / "o.nc", "--skeleton", done / "mouse.toml", "--json") == 0
    )
    told = json.loads(capsys.readouterr().out)
    with open_session(done / "out.nc") as session:
        found = session.require("kinematics").load()
    assert told["strides"] == found.sizes["stride"]
    assert told["events"] == found.sizes["event"]
    (row,) = [row for row in told["legs"] if row["leg"] == "right_fore"]
    mean = float(found["stride_length_mean"].sel(leg="right_fore", individual="animal_1"))
    assert row["stride_length"]["mean"] == pytest.approx(mean)
    assert told["units"]["stride_length"] == "mm"


def test_events_that_a_person_edited_are_used(done, tmp_path, capsys):
    table = pd.read_csv(done / "events.csv")
    assert {"time", "leg", "individual", "kind", "confidence"} <= set(table)
    kept = table[table["leg"] != "left_fore"]
    kept.to_csv(tmp_path / "mine.csv", index=False)
    assert run("kinematics", done / "walk.nc", "-o", tmp_path / "o.nc", "--skeleton", done / "mouse.toml", "--events",
               tmp_path / "mine.csv") == 0  # fmt: skip
    with open_session(tmp_path / "o.nc") as session:
        found = session.require("kinematics")
        assert found.sizes["event"] == len(kept)
        assert "left_fore" not in found["stride_leg"].values


def test_tables_have_units_in_their_columns(done):
    strides = pd.read_csv(done / "tables" / "by_stride.csv")
    assert any("mm" in column for column in strides.columns)
    assert (done / "tables" / "columns.csv").is_file()


def test_a_file_of_another_program_needs_an_output_and_legs_can_be_named(folder, tmp_path, capsys):
    assert run("kinematics", folder / "walk.trc") == 2
    assert "add -o OUT.nc" in capsys.readouterr().err
    legs = [f"--leg={side}={side}_hind_paw" for side in ("left", "right")]
    assert run("kinematics", folder / "walk.trc", "-o", tmp_path / "o.nc", *legs, "--only", "speed,gait") == 0
    with open_session(tmp_path / "o.nc") as session:
        assert session.require("poses3d").sizes["time"] == 300
        assert set(session.require("kinematics")["stride_leg"].values.tolist()) == {"left", "right"}


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--only", "speeed"], 2, "Did you mean 'speed'"),
        (["--leg", "left"], 2, "NAME=FOOT"),
        (["--leg", "left=a,b,c,d"], 2, "NAME=FOOT"),
        (["--leg", "left=left_hind_pa"], 2, "Did you mean 'left_hind_paw'"),
        (["--skeleton", "moose"], 1, "presets"),
        (["--skeleton", "body_25"], 1, "some of the keypoints of the poses"),
        (["--events", "none.csv"], 1, "--save-events"),
        (["--window", "-1"], 2, "--window"),
        (["--method", "guess"], 2, "--method"),
    ],
)
def test_wrong_options_are_told_in_words(folder, tmp_path, capsys, options, code, words):
    assert run("kinematics", folder / "walk.nc", "-o", tmp_path / "o.nc", *options) == code
    assert words in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_file_of_poses_is_told(tmp_path, capsys):
    (tmp_path / "a.nc").write_bytes(b"nothing")
    assert run("kinematics", tmp_path / "a.nc") == 1
    assert run("kinematics", tmp_path / "none.nc") == 1
    assert run("kinematics", tmp_path, "-o", tmp_path / "o.nc") == 1
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
    assert shown.count("expected:") == 3


def test_an_output_is_never_an_input(folder, capsys):
    assert run("kinematics", folder / "walk.trc", "-o", folder / "walk.trc") == 2
    assert run("kinematics", folder / "walk.nc", "--save-events", folder / "walk.nc") == 2
    assert "would overwrite the input" in capsys.readouterr().err


def test_the_help_shows_the_choices_of_the_settings():
    shown = set(re.findall(r"\w+", command_module._QUANTITIES))
    assert shown == set(QUANTITIES)
    choices = {option.name: getattr(option.type, "choices", None) for option in command_module.kinematics.params}
    for name, settings, field in (
        ("derivatives", DerivativeSettings, "method"), ("method", GaitSettings, "method"),
        ("surface", GaitSettings, "surface"), ("up", GaitSettings, "up"),
    ):  # fmt: skip
        for choice in choices[name]:
            settings(**{field: choice})
    assert np.isfinite(DerivativeSettings().frames)
