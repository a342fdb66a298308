"""A trained network as a detector: exported once, equal to Keras, and clear about what is wrong."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from discs import DiscDetector

from calibration.errors import FileFormatError, InvalidValueError, SuiteWarning
from pose3d.detection import (
    DETECTORS,
    CroppingDetector,
    NetworkDetector,
    PredictionSettings,
    candidates_for,
    open_detector,
    registry,
)
from pose3d.detection import network as network_module
from pose3d.detection.network import export_run
from pose3d.networks.backbones import Backbone
from pose3d.networks.model import build_model
from pose3d.networks.predicting import keras_maps, locate
from pose3d.networks.run_files import WEIGHTS_FILE, load_run, save_run
from pose3d.networks.runtimes import RUNTIMES, installed_runtimes, read_export
from pose3d.networks.runtimes.exporting import write_export
from pose3d.networks.settings import NetworkSettings, TrainingSettings
from pose3d.networks.training import TrainedNetwork

pytest.importorskip("keras")
pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")

NETWORK = NetworkSettings(("red", "green"), backbone="tiny", stride=4, width=16, scale=0.5)


def _tiny(shape, weights):  # type: ignore[no-untyped-def]
    import keras

    images = x = keras.Input(shape)
    for level in range(5):
        x = keras.layers.Conv2D(12, 3, 2, "same", activation="relu", name=f"level{level}")(x)
    return keras.Model(images, x)


BACKBONES = {"tiny": Backbone("tiny", _tiny, "tf")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    import keras

    keras.utils.set_random_seed(2)
    model = build_model(NETWORK, backbones=BACKBONES)
    path = tmp_path_factory.mktemp("models") / "first"
    save_run(path, TrainedNetwork(model, NETWORK, TrainingSettings(), [], 0, (64, 64)), sizes=[(100, 90)])
    return path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "run", ignore=shutil.ignore_patterns("exports"))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (5, 90, 100, 3), dtype=np.uint8)


def test_it_gives_what_keras_gives_in_pixels_of_the_image(trained: Path, images) -> None:
    detector = NetworkDetector(trained, runtime="onnxruntime", candidates=3, sessions=2, backbones=BACKBONES)
    found = detector.detect(images)
    maps = keras_maps(detector.run.model(backbones=BACKBONES))
    (expected,) = locate(maps, images, NETWORK, candidates=3)
    assert found.position.shape == (5, 3, 2, 2)
    np.testing.assert_allclose(found.position, expected.position, atol=0.05)
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-2, atol=1e-2)
    assert (detector.keypoints, detector.parallel) == (("red", "green"), 2)
    assert (np.diff(found.confidence, axis=1) <= 0).all()


def test_it_is_exported_once_per_size_and_again_for_other_weights(trained: Path, images) -> None:
    first = NetworkDetector(trained, sessions=1, backbones=BACKBONES)
    first.detect(images)
    files = sorted((trained / "exports").glob("*/*.onnx"))
    assert [file.parent.name for file in files] == ["64x48"]
    made = files[0].stat().st_mtime_ns
    NetworkDetector(trained, sessions=1, backbones=BACKBONES).detect(images)
    assert files[0].stat().st_mtime_ns == made
    model = first.run.model(backbones=BACKBONES)
    model.set_weights([weight + 0.01 for weight in model.get_weights()])
    model.save_weights(str(trained / WEIGHTS_FILE))
    NetworkDetector(trained, runtime="onnxruntime", sessions=1, backbones=BACKBONES).detect(images)
    assert files[0].stat().st_mtime_ns > made


def test_keras_alone_needs_no_export(run: Path, images) -> None:
    detector = NetworkDetector(run, runtime="keras", backbones=BACKBONES)
    assert np.isfinite(detector.detect(images).position[:, 0]).all()
    assert not (run / "exports").exists()
    assert detector.parallel == 1


def test_on_a_gpu_keras_computes_and_threads_prepare(trained: Path, images, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = NetworkDetector(trained, runtime="keras", backbones=BACKBONES).detect(images)
    monkeypatch.setattr(network_module, "gpu_computes", lambda: True)
    detector = NetworkDetector(trained, backbones=BACKBONES)
    assert detector.parallel == 3
    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(detector.detect, 6 * [images]):
            np.testing.assert_allclose(found.position, expected.position, atol=1e-2)
            np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-4)
    assert NetworkDetector(trained, runtime="onnxruntime", sessions=1, backbones=BACKBONES).parallel == 1


def test_without_any_runtime_keras_computes_and_this_is_told(run: Path, images, monkeypatch) -> None:
    monkeypatch.setattr(network_module, "installed_runtimes", lambda: ())
    detector = NetworkDetector(run, backbones=BACKBONES)
    with pytest.warns(SuiteWarning, match=r"pip install onnxruntime.*Keras itself is used"):
        assert np.isfinite(detector.detect(images).position[:, 0]).all()


def test_a_choice_made_on_another_machine_is_made_again(trained: Path, images) -> None:
    NetworkDetector(trained, sessions=1, backbones=BACKBONES).detect(images)
    folder = trained / "exports" / "64x48"
    export = read_export(folder)
    assert export is not None
    assert export.chosen in installed_runtimes()
    write_export(folder, replace(export, chosen="of a machine far away"))
    assert export_run(load_run(trained), images, backbones=BACKBONES).chosen in installed_runtimes()


def test_a_runtime_that_is_not_installed_is_told_before_any_work(run: Path, monkeypatch) -> None:
    monkeypatch.setitem(RUNTIMES, "litert", replace(RUNTIMES["litert"], package="not_there"))
    with pytest.raises(InvalidValueError, match="pip install ai-edge-litert"):
        NetworkDetector(run, runtime="litert")


def test_litert_whose_export_is_slow_is_exported_only_where_it_is_asked_for(monkeypatch) -> None:
    assert network_module._wanted("litert") == ("litert",)
    monkeypatch.setattr(network_module, "installed_runtimes", lambda: ("openvino", "litert"))
    assert network_module._wanted("auto") == ("openvino",)
    monkeypatch.setattr(network_module, "installed_runtimes", lambda: ("litert",))
    assert network_module._wanted("auto") == ("litert",)


def test_a_damaged_note_of_an_export_is_told_and_written_again(run: Path, images) -> None:
    NetworkDetector(run, runtime="onnxruntime", sessions=1, backbones=BACKBONES).detect(images)
    note = run / "exports" / "64x48" / "export.json"
    note.write_bytes(b"\xfa\xfb")
    with pytest.warns(SuiteWarning, match="exported again"):
        NetworkDetector(run, runtime="onnxruntime", sessions=1, backbones=BACKBONES).detect(images)
    assert read_export(note.parent) is not None
    note.write_bytes(b"\xfa\xfb")
    (run / WEIGHTS_FILE).unlink()  # what was exported is all there is, and stays
    with pytest.raises(FileFormatError, match="Remove the folder"):
        NetworkDetector(run, runtime="onnxruntime", sessions=1, backbones=BACKBONES).detect(images)
    assert note.read_bytes() == b"\xfa\xfb"


def test_damaged_weights_are_an_error_in_words(run: Path, images) -> None:
    (run / WEIGHTS_FILE).write_bytes(b"not weights")
    with pytest.raises(FileFormatError, match="weights"):
        NetworkDetector(run, runtime="keras", backbones=BACKBONES).detect(images)


def test_a_folder_that_is_no_network_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="pose3d train"):
        open_detector(str(tmp_path))


def test_a_kind_that_is_not_known_is_told() -> None:
    assert set(DETECTORS) >= {"network", "blazepose"}
    with pytest.raises(InvalidValueError, match="network:PATH, blazepose:PATH"):
        open_detector("openpose:models")


@pytest.mark.parametrize(
    ("name", "value"), [("runtime", "tensorrt"), ("candidates", 0), ("batch_size", -1), ("margin", -0.1)]
)
def test_settings_out_of_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidValueError, match=f"prediction, {name}"):
        PredictionSettings(**{name: value})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[PredictionSettings]:
    """What detectors of the kind "some" were asked for; they give as many candidates, seven at most."""
    made: list[PredictionSettings] = []

    def open_some(_path: Path, settings: PredictionSettings) -> DiscDetector:
        made.append(settings)
        return DiscDetector(candidates=min(settings.candidates, 7))

    kinds = {**registry.DETECTORS, "some": registry.DetectorKind("some", "for tests", open_some)}
    monkeypatch.setattr(registry, "DETECTORS", kinds)
    return made


def test_of_several_animals_twice_as_many_candidates_are_kept(asked: list[PredictionSettings]) -> None:
    for individuals in (1, 2, 3, 0):
        open_detector("some:model", individuals=individuals)
    open_detector("some:model", PredictionSettings(candidates=9), individuals=2)
    assert [one.candidates for one in asked] == [1, 4, 6, 16, 9]
    assert [candidates_for(individuals) for individuals in (1, 50, 64)] == [1, 100, 100]


def test_a_detector_of_too_few_candidates_is_refused(asked: list[PredictionSettings]) -> None:
    with pytest.raises(InvalidValueError, match=r"at least 8 candidates per keypoint.*got 7"):
        open_detector("some:model", individuals=8)


def test_a_window_follows_so_many_animals_or_none(asked: list[PredictionSettings]) -> None:
    crop = PredictionSettings(crop=True)
    detector = open_detector("some:model", crop, individuals=3)
    assert isinstance(detector, CroppingDetector)
    assert detector.candidates == 6
    with pytest.raises(InvalidValueError, match="a known number of animals"):
        open_detector("some:model", crop, individuals=0)
