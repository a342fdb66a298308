"""`pose3d simulate`: writes the project's own formats, tells what it wrote, and refuses what it should."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click
import numpy as np
import pytest
import xarray as xr

from calibration import load_rig
from calibration.synthetic import LENSES
from pose3d import load_skeleton
from pose3d.cli import main
from pose3d.cli.simulate import simulate as command
from pose3d.formats import open_session
from pose3d.skeleton import JointLimit, Skeleton, skeleton_text
from pose3d.synthetic import QUADRUPED, SAMPLE_FILES, SimulationSettings, sample_folder, simulate
from pose3d.synthetic._quadruped import GAITS
from pose3d.synthetic.settings import OCCLUSIONS, PATHS

SMALL = ("--duration", "0.5", "--frame-rate", "40", "--cameras", "3")


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as exit_:
        main(["simulate", *map(str, arguments)])
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_it_writes_the_scene_in_the_projects_own_formats(tmp_path: Path) -> None:
    assert run("-o", tmp_path / "new" / "scene", "--seed", "5", "--individuals", "2", *SMALL) == 0
    folder = tmp_path / "new" / "scene"
    assert {file.name for file in folder.iterdir()} == {*SAMPLE_FILES, "instances.nc"}
    expected = simulate(SimulationSettings(seed=5, individuals=2, duration=0.5, frame_rate=40.0, cameras=3))
    rig = load_rig(folder / "rig.toml")
    assert rig.names == expected.rig.names
    np.testing.assert_array_equal(rig.project([1.0, 2.0, 3.0]), expected.rig.project([1.0, 2.0, 3.0]))
    assert load_skeleton(folder / "skeleton.toml") == QUADRUPED
    with open_session(folder / "poses2d.nc") as session:
        poses2d = session.require("poses2d").load()
        assert session.provenance is not None
        assert session.provenance["seed"] == 5
    np.testing.assert_array_equal(poses2d["position"], expected.poses2d["position"])
    with open_session(folder / "truth.nc") as session:
        np.testing.assert_array_equal(session.require("poses3d")["position"], expected.poses3d["position"])
        assert session.rig == rig
    with open_session(folder / "instances.nc") as session:
        np.testing.assert_array_equal(session.require("instances")["position"], expected.instances["position"])
    parts = {"gait": expected.gait, "labels2d": expected.labels2d, "labels_instances": expected.instance_truth}
    for group, truth in parts.items():
        with xr.open_dataset(folder / "truth.nc", group=group) as written:
            assert set(written.data_vars) == set(truth.data_vars)
            for name in truth.data_vars:
                np.testing.assert_array_equal(written[name], truth[name], err_msg=str(name))


def test_the_same_options_give_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert run("-o", tmp_path / name, "--seed", seed, *SMALL) == 0
    first, again, other = (contents(tmp_path / name) for name in "abc")
    assert first == again
    assert all(first[name] != other[name] for name in ("rig.toml", "poses2d.nc", "truth.nc"))


def test_instances_of_one_animal_are_written_where_it_can_be_missed_or_taken_for_another(tmp_path: Path) -> None:
    assert run("-o", tmp_path / "plain", *SMALL) == 0
    assert set(contents(tmp_path / "plain")) == set(SAMPLE_FILES)
    assert run("-o", tmp_path / "false", "--false-rate", "0.5", *SMALL) == 0
    with open_session(tmp_path / "false" / "instances.nc") as session:
        assert session.require("instances").sizes["instance"] == 2


def test_huddles_of_animals_that_never_meet_are_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-o", tmp_path, *SMALL, "--paths", "shared", "--huddles", "0.2") == 2
    assert "huddles" in capsys.readouterr().err


def test_it_prints_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-o", tmp_path, *SMALL) == 0
    printed = capsys.readouterr().out
    assert all(str(tmp_path / name) in printed for name in SAMPLE_FILES)
    assert "20 frames, 3 cameras, 24 keypoints" in printed


def test_json_is_the_only_thing_on_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-o", tmp_path, "--json", "--dropout-rate", "1", *SMALL) == 0
    result = json.loads(capsys.readouterr().out)
    assert [file["name"] for file in result["files"]] == list(SAMPLE_FILES)
    assert result["settings"]["cameras"] == 3
    assert result["shares"]["missing"] == 1.0


def test_files_of_an_earlier_simulation_are_kept_unless_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "truth.nc").write_bytes(b"mine")
    assert run("-o", tmp_path, *SMALL) == 1
    message = capsys.readouterr().err
    assert "truth.nc" in message
    assert "--force" in message
    assert contents(tmp_path) == {"truth.nc": b"mine"}
    assert run("-o", tmp_path, "--force", *SMALL) == 0
    assert set(contents(tmp_path)) == set(SAMPLE_FILES)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--cameras", "0"), "cameras"),
        (("--outlier-rate", "1.5"), "outlier-rate"),
        (("--duration", "-1"), "duration"),
        (("--duration", "inf"), "duration"),
        (("--duration", "0.0001"), "at least one frame"),
        (("--duty-factor", "1"), "duty_factor"),
        (("--gait", "gallop"), "gait"),
        (("--seed", "x"), "seed"),
        (("--stride", "2"), "Shorten the stride"),
        (("--noise", "nan"), "noise"),
    ],
)
def test_bad_values_are_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, str], named: str
) -> None:
    assert run("-o", tmp_path, *SMALL, *arguments) == 2
    assert named in capsys.readouterr().err
    assert contents(tmp_path) == {}


def test_an_output_folder_that_cannot_be_made_is_a_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert run("-o", tmp_path / "file" / "scene", *SMALL) == 1
    assert "output folder" in capsys.readouterr().err


def test_an_interrupt_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(xr.Dataset, "to_netcdf", interrupt)
    assert run("-o", tmp_path, *SMALL) == 1
    assert "truth.nc" not in contents(tmp_path)
    assert not list(tmp_path.glob(".part-*"))


def test_options_are_the_settings_with_their_defaults() -> None:
    options = {parameter.name: parameter for parameter in command.params}
    for field in dataclasses.fields(SimulationSettings):
        assert options[field.name].default in (field.default, None) or field.default is None, field.name
        if field.default is not None:
            assert options[field.name].default == field.default, field.name
    for name, known in (("gait", tuple(GAITS)), ("lens", LENSES), ("occlusion", OCCLUSIONS), ("paths", PATHS)):
        choice = options[name].type
        assert isinstance(choice, click.Choice)
        assert tuple(choice.choices) == known


def test_a_skeleton_is_read_as_it_was_written(tmp_path: Path) -> None:
    edges = (("hip", "knee"), ("knee", "ankle"))
    limits = (JointLimit(("hip", "knee", "ankle"), 40.0, 180.0),)
    leg = Skeleton("leg", ("hip", "knee", "ankle"), edges, bones=edges[:1], joint_limits=limits)
    (tmp_path / "leg.toml").write_text(skeleton_text(leg), encoding="utf-8")
    assert load_skeleton(tmp_path / "leg.toml") == leg


def test_the_embedded_sample_is_what_its_command_makes() -> None:
    folder = sample_folder("demo")
    assert load_skeleton(folder / "skeleton.toml") == QUADRUPED
    assert sum(file.stat().st_size for file in folder.iterdir()) < 1_000_000
    with open_session(folder / "poses2d.nc") as session:
        assert session.provenance is not None
        written = session.provenance["settings"]
        poses2d = session.require("poses2d").load()
    assert isinstance(written, dict)
    scene = simulate(SimulationSettings(**(written | {"size": tuple(written["size"])})))
    np.testing.assert_allclose(poses2d["position"], scene.poses2d["position"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(poses2d["confidence"], scene.poses2d["confidence"], rtol=0, atol=1e-6)
    with open_session(folder / "truth.nc") as session:
        truth = session.require("poses3d")["position"].load()
    np.testing.assert_allclose(truth, scene.poses3d["position"], rtol=0, atol=1e-9)
    assert bool(scene.labels2d["outlier"].any())
    assert bool(poses2d["position"].isnull().any())


def test_the_readme_of_the_samples_names_the_command_of_the_embedded_sample(tmp_path: Path) -> None:
    folder = sample_folder("demo")
    readme = (folder.parent / "README.md").read_text(encoding="utf-8")
    line = next(line for line in readme.splitlines() if line.startswith("pose3d simulate"))
    arguments = line.split()[2:]
    arguments[arguments.index("data/demo")] = str(tmp_path)
    assert run(*arguments) == 0
    with open_session(folder / "poses2d.nc") as sample, open_session(tmp_path / "poses2d.nc") as made:
        assert sample.provenance is not None
        assert made.provenance is not None
        asked, now = sample.provenance["settings"], made.provenance["settings"]
        defaults = dataclasses.asdict(SimulationSettings())
        assert isinstance(asked, dict)
        # options that are newer than the sample are as if they were not there
        assert now == {name: defaults[name] for name in set(defaults) - set(asked)} | asked


def test_a_sample_that_is_not_there_is_a_clear_error() -> None:
    with pytest.raises(ValueError, match="pose3d simulate"):
        sample_folder("nothing")
