"""`pose3d demo`: the whole way on the embedded recording, by the command that users will run on their own."""

import json
from pathlib import Path

import pytest

from pose3d.cli import main
from pose3d.pipeline import sample_project as sample_module
from pose3d.pipeline.project_run import ProjectFiles
from pose3d.project import load_project


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(one) for one in arguments])
    return int(caught.value.code or 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("demo") / "walk"
    assert run("demo", "-o", folder, "--json") == 0
    return folder


def test_the_videos_become_3d_poses_near_the_truth(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second time nothing is left to do, and the figures are the same: those of docs/accuracy.md."""
    capsys.readouterr()
    assert run("demo", "-o", made, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    truth = told["against_truth"]
    assert truth["median"] < 0.013 * truth["body_length"]
    assert truth["missing"] < 0.05
    assert 0.8 < truth["coverage"] <= 1
    assert [Path(path).is_file() for path in told["written"]] == [True, True]


def test_it_leaves_a_project_with_report_and_overlay_videos(made: Path) -> None:
    project = load_project(made)
    files = ProjectFiles(project)
    page = files.report("walk").read_text(encoding="utf-8")
    assert "Walking mouse" in page
    assert all(files.overlay("walk", camera).is_file() for camera in project.cameras)


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "thesis.txt").write_text("mine")
    assert run("demo", "-o", tmp_path) == 1
    assert "Choose another folder" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_without_onnx_runtime_it_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_module, "find_spec", lambda _name: None)
    assert run("demo", "-o", tmp_path / "new") == 1
    assert "pip install onnxruntime" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
