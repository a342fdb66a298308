"""Run by test_training in a process of its own: the maps of saved weights, and a few steps of training."""

import sys
from pathlib import Path

import numpy as np

from pose3d.networks.model import build_model
from pose3d.networks.predicting import keras_maps
from pose3d.networks.settings import NetworkSettings, TrainingSettings
from pose3d.networks.training import compiled_model

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
trained = compiled_model(network, TrainingSettings(steps=20, learning_rate=1e-2), backbones)
points = np.full((len(images), 1, 2, 3), 30, dtype=np.float32)
points[..., 2] = 1
found = []
for _ in range(8):
    trained.reset_metrics()
    told = trained.train_on_batch(images, dict.fromkeys(trained.output_names, points), return_dict=True)
    found.append(float(told["loss"]))
np.savez(folder / "maps.npz", heatmap=heatmap, offset=offset, visible=visible, losses=np.array(found))
