"""A network small enough to be trained in a test, and pictures that it can learn."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from pose3d.networks.backbones import Backbone
from pose3d.networks.settings import NetworkSettings, TrainingSettings
from pose3d.networks.targets import VISIBLE
from pose3d.networks.training import TrainingData


def _tiny(shape, weights):  # type: ignore[no-untyped-def]
    import keras

    images = x = keras.Input(shape)
    for level in range(5):
        x = keras.layers.Conv2D(12, 3, 2, "same", activation="relu", name=f"level{level}")(x)
    return keras.Model(images, x)


@pytest.fixture(scope="session")
def backbones():
    pytest.importorskip("keras")
    return {"tiny": Backbone("tiny", _tiny, "tf")}


@pytest.fixture(scope="session")
def network() -> NetworkSettings:
    return NetworkSettings(("red", "green"), backbone="tiny", stride=4, width=16)


@pytest.fixture(scope="session")
def dots() -> TrainingData:
    """24 dark pictures of 64 x 64 with a red and a green disc; the second picture in ten has no red one."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:64, :64]
    images, points = [], np.zeros((24, 1, 2, 3), dtype=np.float32)
    for index in range(24):
        image = rng.integers(0, 40, (64, 64, 3))
        for channel in range(2):
            center = rng.uniform(8, 56, 2)
            image[(x - center[0]) ** 2 + (y - center[1]) ** 2 < 16, channel] = 255
            points[index, 0, channel] = (*center, VISIBLE)
        images.append(image.astype(np.uint8))
    return TrainingData(images.__getitem__, points, ((64, 64),) * 24, ("red", "green"))


@pytest.fixture(scope="session")
def quick() -> TrainingSettings:
    return TrainingSettings(steps=6, batch_size=4, crop=(64, 64), evaluate_every=3)
