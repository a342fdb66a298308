"""Training: it learns, it goes on after a kill as if nothing had happened, and its splits keep groups apart."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.errors import FileFormatError, InvalidValueError
from pose3d.networks.decoding import decode
from pose3d.networks.model import HEADS, build_model
from pose3d.networks.predicting import keras_maps, locate
from pose3d.networks.settings import NetworkSettings, TrainingSettings
from pose3d.networks.splits import folds, holdout
from pose3d.networks.training import held_out_errors, train

pytest.importorskip("keras")

TRAIN, TEST = np.arange(18), np.arange(18, 24)


def test_a_network_learns_to_find_discs(dots, network, backbones) -> None:
    settings = TrainingSettings(
        steps=240, batch_size=8, crop=(64, 64), evaluate_every=80, learning_rate=5e-3, average=0.9
    )
    trained = train(dots, TRAIN, TEST, network, settings, backbones=backbones)
    errors = held_out_errors(keras_maps(trained.model), dots, TEST, network)
    assert np.median(errors) < 1.0
    assert trained.history[-1]["heatmap_loss"] < trained.history[0]["heatmap_loss"]
    # what is measured in training is what is measured afterwards
    best = next(entry for entry in trained.history if entry["step"] == trained.best_step)
    assert best["median"] == pytest.approx(np.median(errors), abs=1e-4)


def test_a_killed_run_goes_on_as_if_it_had_not_been(dots, network, quick, backbones, tmp_path: Path) -> None:
    whole = train(dots, TRAIN, TEST, network, quick, backbones=backbones)

    class KilledError(Exception):
        pass

    def kill(progress) -> None:
        if progress.step == 4:
            raise KilledError

    checkpoint = tmp_path / "checkpoint.npz"
    with pytest.raises(KilledError):
        train(dots, TRAIN, TEST, network, quick, backbones=backbones, checkpoint=checkpoint, report=kill)
    steps = []
    resumed = train(
        dots,
        TRAIN,
        TEST,
        network,
        quick,
        backbones=backbones,
        checkpoint=checkpoint,
        report=lambda progress: steps.append(progress.step),
    )
    assert steps == [4, 5, 6]  # the last checkpoint was at 3
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_refused(
    dots, network, quick, backbones, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint.npz"
    short = replace(quick, steps=3)
    train(dots, TRAIN, TEST, network, short, backbones=backbones, checkpoint=checkpoint)
    with pytest.raises(FileFormatError, match="of others"):
        train(dots, TRAIN, TEST, network, quick, backbones=backbones, checkpoint=checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(FileFormatError, match="Remove the file"):
        train(dots, TRAIN, TEST, network, short, backbones=backbones, checkpoint=checkpoint)


def test_fewer_than_two_labeled_images_are_refused(dots, network, quick, backbones) -> None:
    with pytest.raises(InvalidValueError, match="at least two labeled images, got 1 images"):
        train(dots, TRAIN[:1], TEST, network, quick, backbones=backbones)


def test_the_model_gives_maps_of_the_stride(network, backbones) -> None:
    for stride in (4, 8):
        model = build_model(replace(network, stride=stride), backbones=backbones)
        found = model(np.zeros((1, 64, 96, 3), dtype=np.float32))
        assert set(found) == {head.name for head in HEADS}
        assert found["heatmap"].shape == (1, 64 // stride, 96 // stride, 2)
        assert found["offset"].shape == (1, 64 // stride, 96 // stride, 4)


def test_an_unknown_backbone_is_named() -> None:
    with pytest.raises(InvalidValueError, match=r"one of mobilenetv2_0.35.*got 'resnet'"):
        build_model(NetworkSettings(("a",), backbone="resnet"))


def test_images_of_several_sizes_are_found_in_order(network, backbones) -> None:
    maps = keras_maps(build_model(network, backbones=backbones))
    images = [np.zeros((50 + 10 * (n // 2), 70, 3), dtype=np.uint8) for n in range(5)]
    found = list(locate(maps, images, network, batch_size=2))
    assert [len(one.position) for one in found] == [2, 2, 1]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_gives_the_same_maps(backend: str, network, backbones, dots, tmp_path: Path) -> None:
    pytest.importorskip(backend)
    import keras

    if keras.backend.backend() == backend:
        pytest.skip("it is the one in use")
    model = build_model(network, backbones=backbones)
    model.save_weights(tmp_path / "tiny.weights.h5")
    images = np.stack([dots.read(index) for index in range(4)])
    expected = keras_maps(model)(images)
    script = Path(__file__).with_name("other_backend.py")
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(Path(__file__).parents[3])}
    np.savez(tmp_path / "images.npz", images=images)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "maps.npz") as other:
        for name, value in zip(("heatmap", "offset", "visible"), expected, strict=True):
            np.testing.assert_allclose(other[name], value, atol=1e-4)
        near = decode(*expected, stride=network.stride, sigma=network.sigma)
        np.testing.assert_allclose(other["position"], near.position, atol=1e-2)
        # it trains, too, and goes on after it was stopped
        assert other["losses"][-4:].mean() < other["losses"][:4].mean()
        assert other["steps"].tolist() == [4, 8, 12]
        assert len(other["losses"]) == 12


@given(st.lists(st.sampled_from("abcdefgh"), min_size=4, max_size=40), st.integers(2, 4), st.integers(0, 3))
def test_folds_hold_every_image_once_and_keep_groups_together(groups: list[str], count: int, seed: int) -> None:
    made = folds(groups, count, seed)
    assert sorted(np.concatenate(made).tolist()) == list(range(len(groups)))
    if len(set(groups)) >= count:
        owners = [{groups[index] for index in fold} for fold in made]
        assert sum(map(len, owners)) == len(set(groups))


def test_whole_videos_are_held_out_where_there_are_several() -> None:
    groups = ["a"] * 10 + ["b"] * 10 + ["c"] * 10 + ["d"] * 10
    chosen, held_out = holdout(groups, 0.2, seed=1)
    assert len({groups[index] for index in held_out}) == 1
    assert len(chosen) == 30
    chosen, held_out = holdout(["a"] * 40, 0.1)
    assert len(held_out) == 4
    assert set(chosen) | set(held_out) == set(range(40))
    assert len(holdout(["a"] * 2, 0.5)[1]) == 0


def test_without_keras_it_is_said_how_to_get_it(network, backbones, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pose3d.networks.model.find_spec", lambda _name: None)
    with pytest.raises(InvalidValueError, match=r"expected Keras, got it is not installed\. pip install"):
        build_model(network, backbones=backbones)
