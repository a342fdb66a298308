"""Exports: every runtime gives what Keras gives, and one that does not is refused; a file that is no network, too."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.errors import FileFormatError, InvalidValueError
from pose3d.networks.model import build_model
from pose3d.networks.predicting import keras_maps
from pose3d.networks.runtimes import (
    RUNTIMES,
    choose_runtime,
    export_model,
    installed_runtimes,
    open_runtime,
    read_export,
)
from pose3d.networks.runtimes.exporting import largest_difference

pytest.importorskip("keras")
pytest.importorskip("tf2onnx")


@pytest.fixture(scope="module")
def model(network, backbones):
    import keras

    keras.utils.set_random_seed(1)
    return build_model(network, size=(64, 64), backbones=backbones)


@pytest.fixture(scope="module")
def images(dots):
    return np.stack([dots.read(index) for index in range(3)])


@pytest.fixture(scope="module")
def folder(model, network, images, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "exports" / "64x64"
    names = [name for name in ("onnxruntime", "openvino") if name in installed_runtimes()]
    export = export_model(model, network, folder, images, weights="abc", runtimes=names)
    assert export.refused == {}
    return folder


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_runtime_gives_the_maps_of_keras(name: str, folder: Path, model, images) -> None:
    pytest.importorskip(name)
    for one, other in zip(keras_maps(model)(images), open_runtime(folder, name)(images), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(other, one, atol=1e-4)


@pytest.mark.slow
def test_litert_gives_the_maps_of_keras(model, network, images, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    export = export_model(model, network, tmp_path / "exports", images, runtimes=["litert"])
    assert export.refused == {}
    for one, other in zip(keras_maps(model)(images), open_runtime(tmp_path / "exports", "litert")(images), strict=True):
        np.testing.assert_allclose(other, one, atol=1e-4)


def test_what_is_known_of_an_export_is_kept(folder: Path, images) -> None:
    export = read_export(folder)
    assert export is not None
    assert (export.weights, export.size) == ("abc", (64, 64))
    assert all(difference <= 0.05 for difference in export.differences.values())
    chosen = choose_runtime(folder, export, images, sessions=1)
    assert chosen.chosen in export.differences
    assert read_export(folder) == chosen
    assert read_export(folder.parent) is None


def test_a_runtime_that_moves_positions_is_refused(model, network, images, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("onnxruntime")
    honest = RUNTIMES["onnxruntime"]

    def open_(path: Path, threads: int):  # a runtime that is off by a tenth of a cell
        one = honest.open(path, threads)
        return lambda image: [maps + (0.1 if place == 1 else 0) for place, maps in enumerate(one(image))]

    monkeypatch.setitem(RUNTIMES, "onnxruntime", replace(honest, open=open_))
    export = export_model(model, network, tmp_path / "exports", images, runtimes=["onnxruntime"])
    assert "moves positions by" in export.refused["onnxruntime"]
    assert export.differences["onnxruntime"] == pytest.approx(0.1 * network.stride * np.sqrt(2), rel=0.01)
    with pytest.raises(InvalidValueError, match="one that agrees with Keras"):
        choose_runtime(tmp_path / "exports", export, images, sessions=1)


def test_where_two_places_are_equally_good_neither_is_wrong(network) -> None:
    heatmap = np.full((1, 8, 8, 2), -9.0, dtype=np.float32)
    heatmap[0, 2, 2] = heatmap[0, 6, 6] = 3.0
    other = heatmap.copy()
    heatmap[0, 2, 2] += 1e-4
    offset, visible = np.zeros((1, 8, 8, 4), np.float32), np.zeros((1, 8, 8, 2), np.float32)
    images = np.zeros((1, 32, 32, 3), np.uint8)
    other[0, 6, 6] += 1e-4
    difference = largest_difference(
        lambda _: (heatmap, offset, visible), lambda _: (other, offset, visible), network, images
    )
    assert difference < 0.01


@pytest.mark.parametrize(
    ("name", "content"), [("onnxruntime", b"\x08hello"), ("openvino", b"PK\x03\x04"), ("litert", b"")]
)
def test_a_file_that_is_no_network_is_an_error_in_words(name: str, content: bytes, tmp_path: Path) -> None:
    pytest.importorskip(RUNTIMES[name].package)
    (tmp_path / RUNTIMES[name].file).write_bytes(content)
    with pytest.raises(FileFormatError, match="expected an exported network"):
        open_runtime(tmp_path, name)


def test_an_unknown_or_missing_runtime_is_told(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(InvalidValueError, match="one of auto, keras, onnxruntime"):
        open_runtime(tmp_path, "tensorrt")
    monkeypatch.setitem(RUNTIMES, "openvino", replace(RUNTIMES["openvino"], package="not_there"))
    with pytest.raises(InvalidValueError, match="pip install openvino"):
        open_runtime(tmp_path, "openvino")
    assert "openvino" not in installed_runtimes()
