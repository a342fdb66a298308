"""What leaves a GPU is enough: the peaks and their surroundings give the very candidates that whole maps give."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pose3d.networks.decoding import decode
from pose3d.networks.gpu import gpu_finder, window_model
from pose3d.networks.model import build_model
from pose3d.networks.predicting import keras_maps
from pose3d.networks.settings import NetworkSettings


@pytest.fixture(scope="module")
def model(network: NetworkSettings, backbones):
    """Random weights of the last layers make peaks anywhere, at the borders of the map too."""
    import keras

    keras.utils.set_random_seed(0)
    model = build_model(network, size=(64, 48), backbones=backbones)
    rng = np.random.default_rng(0)
    for name in ("heatmap", "offset", "visible"):
        layer = model.get_layer(name)
        layer.set_weights([rng.normal(0, 3, one.shape) for one in layer.get_weights()])
    return model


def images(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (count, 48, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("candidates", [1, 3])
def test_candidates_are_those_of_the_whole_maps(model, network: NetworkSettings, candidates: int):
    given = images(40)
    expected = decode(*keras_maps(model)(given), stride=network.stride, sigma=network.sigma, candidates=candidates)
    found = gpu_finder(model, network, (64, 48), candidates)(given)
    for name in ("position", "logit", "visible", "covariance"):
        assert_allclose(getattr(found, name), getattr(expected, name), atol=2e-3, err_msg=name)


def test_the_border_was_tested(model):
    place = window_model(model).predict_on_batch(images(400))["place"]
    assert (place == 0).any()
    assert (place[..., 0] == 15).any()
    assert (place[..., 1] == 11).any()


def test_the_answer_does_not_depend_on_how_many_come_at_once(model, network: NetworkSettings):
    find = gpu_finder(model, network, (64, 48))
    given = images(70)  # more than the 64 that are computed at once
    whole = find(given)
    for part in (given[:1], given[:3]):
        assert_array_equal(find(part).position, whole.position[: len(part)])
    assert len(whole.position) == 70


def test_huge_images_are_computed_one_at_a_time(model, network: NetworkSettings, monkeypatch: pytest.MonkeyPatch):
    seen = []
    monkeypatch.setattr("pose3d.networks.gpu._called", lambda _model, names: _noted(seen, names))
    gpu_finder(model, network, (4000, 3000))(images(3))
    assert seen == [1, 1, 1]


def _noted(seen: list[int], names):
    def call(given):
        seen.append(len(given))
        sides = {"heatmap": (5, 5, 2), "offset": (5, 5, 4), "visible": (5, 5, 2), "place": (2, 2)}
        return [np.zeros((len(given), *sides[name]), np.float32) for name in names]

    return call
