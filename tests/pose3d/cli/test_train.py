"""`pose3d train`, `evaluate` and `refine` from the command line."""

import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from calibration.video import write_png
from pose3d.cli import main
from pose3d.cli._networks import TrainingBar, duration
from pose3d.labeling import LabelStore
from pose3d.labeling.labels import LabeledImage, Labels
from pose3d.networks.backbones import BACKBONES, Backbone
from pose3d.pipeline.projects import new_project
from pose3d.project import Project
from pose3d.skeleton import Skeleton

pytest.importorskip("keras")


def _tiny(shape, weights):  # type: ignore[no-untyped-def]
    import keras

    images = x = keras.Input(shape)
    for level in range(5):
        x = keras.layers.Conv2D(12, 3, 2, "same", activation="relu", name=f"level{level}")(x)
    return keras.Model(images, x)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    # Exports have tests of their own; here they would take most of the time.
    monkeypatch.setattr("pose3d.pipeline.training.export_trained", lambda *_: ("onnxruntime", 0.001))
    monkeypatch.setitem(BACKBONES, "tiny", Backbone("tiny", _tiny, "tf"))  # type: ignore[arg-type]
    skeleton = Skeleton("dots", ("red", "green"))
    made = new_project(tmp_path / "dots", cameras=["top"], skeleton=skeleton)
    text = made.file.read_text()
    for old, new in (("evaluate_every = 250", "evaluate_every = 2"), ("resamples = 1000", "resamples = 20")):
        assert old in text
        text = text.replace(old, new)
    made.file.write_text(text)
    rng = np.random.default_rng(0)
    frames = []
    for number in range(12):
        name = f"labels/frames/day{number % 3}/top/{number:06d}.png"
        write_png(made.root / name, rng.integers(0, 255, (64, 64, 3), dtype=np.uint8))
        frames.append(LabeledImage(name, "", number, f"day{number % 3}", "top", (64, 64)))
    labels = Labels(
        skeleton.keypoints, tuple(frames), rng.uniform(5, 59, (12, 1, 2, 2)), np.ones((12, 1, 2)), annotator=("a",) * 12
    )
    with LabelStore.create(made.labels_file, skeleton) as store:
        store.import_labels(labels)
    return made


def pose3d(*words: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    return int(caught.value.code or 0)


TINY = ("--backbone", "tiny", "--weights", "none", "--held-out", "0.3", "--steps", "3")


def test_train_stop_resume_and_evaluate(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = TrainingBar.tell

    def stop(self, progress, what) -> None:  # type: ignore[no-untyped-def]
        self._ask(2, None)
        tell(self, progress, what)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingBar, "tell", stop)
        assert pose3d("train", project.root, *TINY) == 1
    told = capsys.readouterr().err
    assert "Stopping after this step" in told
    assert f"pose3d train {project.root} --run run1 --resume" in told
    assert pose3d("train", project.root, "--resume", "--backbone", "unet_wide") == 1
    assert "with which it began" in " ".join(capsys.readouterr().err.split())
    assert pose3d("train", project.root, "--resume") == 0
    told = capsys.readouterr().out
    assert "RMSE px" in told
    assert "red" in told
    assert "Fastest here: onnxruntime, equal to Keras within 0.001 px" in told
    page = project.models_folder / "run1" / "report.html"
    assert page.exists()
    assert "Worst images" in page.read_text()
    page.unlink()
    assert pose3d("evaluate", project.root, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["run"] == "run1"
    assert found["held_out"]["images"] == 4
    assert page.exists()


def test_what_cannot_be_trained_is_told(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert pose3d("train", project.root, "--resume") == 2
    assert "There is none" in capsys.readouterr().err
    for _ in range(2):  # what never began leaves nothing behind
        assert pose3d("train", project.root, "--backbone", "nets", "--weights", "none") == 1
        assert "mobilenetv2_0.35" in capsys.readouterr().err
    assert pose3d("evaluate", project.root) == 1
    assert "pose3d train" in capsys.readouterr().err
    assert pose3d("refine", project.root) == 1
    assert "none yet" in capsys.readouterr().err


def test_durations_are_in_words() -> None:
    assert [duration(seconds) for seconds in (5, 89, 600, 7200)] == ["5 s", "89 s", "10 min", "2 h 0 min"]
