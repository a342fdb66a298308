"""Run by test_training in a process of its own: the maps of saved weights, and a few steps of training."""

import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

from pose3d.networks.gpu import gpu_finder
from pose3d.networks.model import build_model
from pose3d.networks.predicting import keras_maps
from pose3d.networks.settings import NetworkSettings, TrainingSettings
from pose3d.networks.targets import VISIBLE
from pose3d.networks.training import Progress, TrainedNetwork, TrainingData, train

sys.path.insert(0, str(Path(__file__).parent))
from conftest import _tiny

from pose3d.networks.backbones import Backbone

folder = Path(sys.argv[1])
backbones = {"tiny": Backbone("tiny", _tiny, "tf")}
network = NetworkSettings(("red", "green"), backbone="tiny", stride=4, width=16)
with np.load(folder / "images.npz") as stored:
    images = stored["images"]
model = build_model(network, backbones=backbones)
model.load_weights(folder / "tiny.weights.h5")
heatmap, offset, visible = keras_maps(model)(images)
# The whole of training: averaged weights are measured between steps, and a checkpoint is gone on from.
where = np.random.default_rng(0).uniform(10, 50, (len(images), 1, 2, 2)).astype(np.float32)
points = np.concatenate([where, np.full((*where.shape[:3], 1), VISIBLE, dtype=np.float32)], axis=-1)
data = TrainingData(images.__getitem__, points, ((images.shape[2], images.shape[1]),) * len(images), network.keypoints)
settings = TrainingSettings(steps=12, batch_size=2, learning_rate=1e-2, evaluate_every=4)
shown: list[float] = []


def stopped(progress: Progress) -> None:
    shown.append(progress.loss)
    if len(shown) == 6:
        raise KeyboardInterrupt


def again(report) -> TrainedNetwork:
    every = np.arange(len(images))
    return train(
        data, every, every, network, settings, checkpoint=folder / "checkpoint", report=report, backbones=backbones
    )


with suppress(KeyboardInterrupt):
    again(stopped)
steps = [entry["step"] for entry in again(lambda progress: shown.append(progress.loss)).history]
bound = build_model(network, size=images.shape[2:0:-1], backbones=backbones)
bound.load_weights(folder / "tiny.weights.h5")
position = gpu_finder(bound, network, images.shape[2:0:-1])(images).position
np.savez(
    folder / "maps.npz",
    heatmap=heatmap,
    offset=offset,
    visible=visible,
    losses=np.array(shown),
    steps=np.array(steps),
    position=position,
)
