"""`pose3d run` and `pose3d status` without a network: what is said, and the exit codes."""

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.video import VideoWriter
from pose3d.cli import main


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    video = tmp_path / "left.mp4"
    with VideoWriter(video, 10.0) as writer:
        for _ in range(3):
            writer.write(np.zeros((64, 64, 3), dtype=np.uint8))
    folder = tmp_path / "mice"
    assert run("new", folder, "--cameras", "left", "--skeleton", "coco_17") == 0
    assert run("add-session", folder, "monday", f"left={video}") == 0
    capsys.readouterr()
    return folder


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(one) for one in arguments])
    return int(caught.value.code or 0)


def test_without_a_rig_the_run_fails_and_names_what_is_missing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("run", project) == 1
    told = capsys.readouterr()
    assert "Put videos and board.toml into this folder" in told.err
    assert "failed: calibration" in told.out
    assert "Traceback" not in told.err


def test_status_and_dry_run_change_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(project.rglob("*"))
    assert run("status", project) == 0
    table = capsys.readouterr().out
    assert "monday" in table
    assert "to do" in table
    assert run("run", project, "--dry-run", "--json") == 0
    stages = json.loads(capsys.readouterr().out)["stages"]
    assert [one["stage"] for one in stages] == ["rig", "2D", "3D", "overlay videos", "kinematics", "report"]
    assert {one["state"] for one in stages} == {"to do"}
    assert sorted(project.rglob("*")) == before


def test_of_several_animals_the_stages_that_tell_them_apart_are_named(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = tmp_path / "pair"
    assert run("new", pair, "--cameras", "left", "--skeleton", "coco_17", "--individuals", 2, "--json") == 0
    assert json.loads(capsys.readouterr().out)["individuals"] == 2
    assert "[identity]\nindividuals = 2\n" in (pair / "project.toml").read_text(encoding="utf-8")
    assert run("add-session", pair, "monday", f"left={tmp_path / 'left.mp4'}") == 0
    capsys.readouterr()
    for command in (("status", pair, "--json"), ("run", pair, "--dry-run", "--json")):
        assert run(*command) == 0
        stages = json.loads(capsys.readouterr().out)["stages"]
        assert [one["stage"] for one in stages[1:5]] == ["2D", "assembly", "identity", "3D"]


def test_of_one_animal_nobody_is_told_apart(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So it is without the section, and without the number in it: as in projects made before there was one."""
    text = (project / "project.toml").read_text(encoding="utf-8")
    assert "[identity]\nindividuals = 1\n" in text
    lines = text.splitlines(keepends=True)
    start = lines.index("[identity]\n")
    stop = next(place for place in range(start + 1, len(lines)) if lines[place].startswith("["))
    for shorter in (lines[:start] + lines[stop:], [*lines[: start + 1], *lines[start + 2 :]]):
        (project / "project.toml").write_text("".join(shorter), encoding="utf-8")
        assert run("status", project, "--json") == 0
        stages = json.loads(capsys.readouterr().out)["stages"]
        assert "identity" not in [one["stage"] for one in stages]


def test_a_wrong_number_of_animals_is_told_with_its_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = project / "project.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("individuals = 1\n", "individuals = 99\n"), encoding="utf-8")
    assert run("status", project) == 1
    told = capsys.readouterr().err
    assert "[identity] individuals" in told
    assert "0 (not known) to 64" in told
    assert run("new", project.parent / "crowd", "--cameras", "a", "--skeleton", "coco_17", "--individuals", 65) == 1
    assert "65" in capsys.readouterr().err


def test_a_folder_that_is_no_project_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("run", tmp_path) == 1
    assert "project.toml" in capsys.readouterr().err
