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


def test_a_folder_that_is_no_project_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("run", tmp_path) == 1
    assert "project.toml" in capsys.readouterr().err
