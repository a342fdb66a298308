"""`pose3d predict`: one file per session, the model by path or kind, and errors before any work."""

import json
import sys
from pathlib import Path

import pytest

from pose3d.cli import main
from pose3d.detection import DetectorKind, registry
from pose3d.formats import load_detections

sys.path.insert(0, str(Path(__file__).parents[1] / "detection"))
from discs import DiscDetector, film


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("session")
    return [film(folder / f"{name}.mp4", 30) for name in ("left", "right")]


@pytest.fixture(autouse=True)
def discs(monkeypatch) -> None:
    """A kind of detector that an installed package might add."""
    kind = DetectorKind("discs", "white discs", lambda _path, settings: DiscDetector(2, settings.candidates))
    kinds = {**registry.DETECTORS, "discs": kind}
    monkeypatch.setattr(registry, "DETECTORS", kinds)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["predict", *map(str, arguments)])
    return int(stop.value.code or 0)


def test_named_videos_are_one_session(videos, tmp_path: Path, capsys) -> None:
    named = [f"{name}={path}" for name, path in zip(("a", "b"), videos, strict=True)]
    assert run("discs:x", *named, "-o", tmp_path, "--candidates", 2, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    (session,) = told["sessions"]
    assert session["cameras"]["b"] == {"frames": 30, "lost": 0, "resumed": 0, "confidence": pytest.approx(0.9)}
    found = load_detections(tmp_path / "detections.nc")
    assert list(found["camera"].values) == ["a", "b"]
    assert found.sizes["candidate"] == 2


def test_a_folder_of_videos_is_one_session(videos, tmp_path: Path, capsys) -> None:
    assert run("discs:x", videos[0].parent, "-o", tmp_path) == 0
    assert "left: 30 frames, mean confidence 0.90" in capsys.readouterr().out
    assert list(load_detections(tmp_path / "detections.nc")["camera"].values) == ["left", "right"]


def test_other_videos_give_a_file_each(videos, tmp_path: Path) -> None:
    assert run("discs:x", *videos, "-o", tmp_path, "--crop", "--batch", 4) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["left.nc", "right.nc"]
    assert list(load_detections(tmp_path / "right.nc")["camera"].values) == ["right"]


def test_two_videos_of_one_name_need_names_of_cameras(videos, tmp_path: Path, capsys) -> None:
    assert run("discs:x", videos[0], videos[0], "-o", tmp_path) == 2
    assert "name the cameras" in capsys.readouterr().err


def test_a_model_that_is_none_is_told(videos, tmp_path: Path, capsys) -> None:
    assert run(tmp_path / "nothing", videos[0], "-o", tmp_path / "out") == 1
    assert "pose3d train" in capsys.readouterr().err
    assert run("openpose:x", videos[0], "-o", tmp_path / "out") == 1
    assert "discs:PATH" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_corrupt_video_is_told(videos, tmp_path: Path, capsys) -> None:
    (tmp_path / "bad.mp4").write_bytes(videos[0].read_bytes()[:200])
    assert run("discs:x", tmp_path / "bad.mp4", "-o", tmp_path / "out") == 1
    assert "bad.mp4" in capsys.readouterr().err
