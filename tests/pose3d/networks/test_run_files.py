"""models/<run>/: written whole or not at all, read back equal, and refused where it is something else."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.errors import FileFormatError, MismatchError, OutputError
from pose3d.networks.confidence import ConfidenceCalibration
from pose3d.networks.model import build_model
from pose3d.networks.predicting import keras_maps
from pose3d.networks.run_files import Run, Split, check_keypoints, load_run, runs_in, save_run
from pose3d.networks.settings import TrainingSettings
from pose3d.networks.training import TrainedNetwork

pytest.importorskip("keras")

HISTORY = [{"step": 3.0, "loss": 0.5, "median": float("nan")}, {"step": 6.0, "loss": 0.25, "median": 1.5}]
CONFIDENCE = ConfidenceCalibration(5.0, (-2.0, 0.0, 3.0), (0.1, 0.5, 0.95), 1.7, 40, 0.2, 0.05)


@pytest.fixture(scope="module")
def trained(network, backbones) -> TrainedNetwork:
    settings = TrainingSettings(steps=6, batch_size=4, crop=(64, 64))
    return TrainedNetwork(build_model(network, backbones=backbones), network, settings, HISTORY, 6, (64, 64))


@pytest.fixture
def run(trained, tmp_path: Path) -> Run:
    return save_run(
        tmp_path / "models" / "first",
        trained,
        mirrored_pairs=[("red", "green")],
        sizes=[(64, 64), (64, 64), (32, 48)],
        split=Split(("a.png", "b.png"), ("c.png",)),
        metrics={"rmse": 1.25},
        confidence=CONFIDENCE,
    )


def test_a_run_is_read_back_as_it_was_written(run: Run, trained, backbones) -> None:
    found = load_run(run.path)
    assert (found.name, found.network, found.training) == ("first", trained.network, trained.training)
    assert found.mirrored_pairs == (("red", "green"),)
    assert (found.sizes, found.training_size) == (((32, 48), (64, 64)), (64, 64))
    assert found.split == Split(("a.png", "b.png"), ("c.png",))
    assert found.history[1] == HISTORY[1]
    assert np.isnan(found.history[0]["median"])
    assert (found.metrics, found.confidence) == ({"rmse": 1.25}, CONFIDENCE)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    expected = keras_maps(trained.model)(images)
    for size in (None, (96, 64)):
        maps = keras_maps(found.model(size=size, backbones=backbones))(images)
        for one, other in zip(maps, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_run_holds_texts_and_arrays_alone(run: Run) -> None:
    names = {file.name for file in run.path.iterdir()}
    texts = {"network.toml", "training.toml", "split.json", "history.csv", "metrics.json", "confidence.json"}
    assert names == texts | {"weights.weights.h5"}
    assert (run.path / "weights.weights.h5").read_bytes().startswith(b"\x89HDF")


def test_a_run_is_never_overwritten(run: Run, trained) -> None:
    with pytest.raises(OutputError, match="Choose another name"):
        save_run(run.path, trained)


def test_a_run_that_fails_half_way_leaves_nothing(trained, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        save_run(tmp_path / "models" / "bad", trained, metrics={"rmse": float("nan")})
    assert list((tmp_path / "models").iterdir()) == []


def test_runs_are_listed_with_the_newest_last(run: Run, trained) -> None:
    save_run(run.path.with_name("a_second"), trained)
    os.utime(run.path / "network.toml", (1e9, 1e9))
    (run.path.parent / "no run").mkdir()
    assert [one.name for one in runs_in(run.path.parent)] == ["first", "a_second"]
    assert runs_in(run.path / "nowhere") == ()


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no such folder"):
        load_run(tmp_path / "nowhere")
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    with pytest.raises(FileFormatError, match=r"no network\.toml in it; there are saved_model\.pb"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("network.toml", "format_version = 2\n", "format_version 1, got 2"),
        ("network.toml", "= nonsense", "no TOML"),
        ("network.toml", "format_version = 1\n", "KeyError"),
        ("split.json", "{", "no JSON"),
        ("confidence.json", '{"threshold": -1.0, "logits": [0.0], "probabilities": [0.5]}', "a distance above 0"),
        ("confidence.json", '{"threshold": 1.0, "logits": [0.0], "probabilities": [0.5, 1.0]}', "one per height"),
        ("history.csv", "step\nx\n", "damaged file"),
    ],
)
def test_a_damaged_file_of_a_run_is_named(run: Run, name: str, content: str, message: str) -> None:
    (run.path / name).write_text(content)
    with pytest.raises(FileFormatError, match=message):
        load_run(run.path)


def test_a_missing_file_of_a_run_is_named(run: Run) -> None:
    (run.path / "split.json").unlink()
    with pytest.raises(FileFormatError, match=r"no split\.json in it"):
        load_run(run.path)


def test_weights_of_another_architecture_are_refused(run: Run, trained, backbones) -> None:
    wider = build_model(replace(trained.network, width=24), backbones=backbones)
    wider.save_weights(run.path / "weights.weights.h5")
    with pytest.raises(FileFormatError, match="those of another architecture"):
        run.model(backbones=backbones)
    (run.path / "weights.weights.h5").unlink()  # Keras has not closed it
    more = build_model(replace(trained.network, stride=8), backbones=backbones)
    more.save_weights(run.path / "weights.weights.h5")
    with pytest.raises(FileFormatError, match="those of another architecture"):
        run.model(backbones=backbones)


def test_weights_that_are_missing_or_damaged_are_refused(run: Run, backbones) -> None:
    weights = run.path / "weights.weights.h5"
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(FileFormatError, match="no HDF5"):
        run.model(backbones=backbones)
    weights.unlink()
    with pytest.raises(FileFormatError, match="no such file"):
        run.model(backbones=backbones)


def test_a_run_can_be_moved(run: Run, backbones, tmp_path: Path) -> None:
    shutil.move(run.path, tmp_path / "elsewhere")
    assert load_run(tmp_path / "elsewhere").model(backbones=backbones) is not None


def test_a_skeleton_that_changed_since_training_is_refused(run: Run) -> None:
    check_keypoints(run, ["green", "red"])
    with pytest.raises(MismatchError, match=r"lacks blue; only it has green.*Train again"):
        check_keypoints(run, ["red", "blue"])


def test_confidence_is_stored_as_plain_numbers(run: Run) -> None:
    told = json.loads((run.path / "confidence.json").read_text())
    assert told["logits"] == [-2.0, 0.0, 3.0]
    assert told["covariance_scale"] == 1.7
