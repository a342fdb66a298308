"""A project with labeled images that a network for tests can learn."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pathlib import Path

import numpy as np
import pytest

from calibration.video import write_png
from pose3d.labeling import LabelStore
from pose3d.labeling.labels import LabeledImage, Labels
from pose3d.networks.backbones import Backbone
from pose3d.networks.evaluation import EvaluationSettings
from pose3d.networks.settings import AugmentationSettings, NetworkSettings, TrainingSettings
from pose3d.pipeline.training_inputs import TrainingOptions
from pose3d.project import Project, create_project
from pose3d.skeleton import Skeleton

SKELETON = Skeleton("dots", ("red", "green"), mirrored_pairs=(("red", "green"),))


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


@pytest.fixture
def options() -> TrainingOptions:
    return TrainingOptions(
        NetworkSettings(SKELETON.keypoints, backbone="tiny", stride=4, width=16),
        TrainingSettings(
            steps=6,
            batch_size=4,
            crop=(64, 64),
            evaluate_every=3,
            held_out=0.25,
            augmentation=AugmentationSettings(rotation=5, motion_blur=(0, 0), noise=0, occlusion=0),
        ),
        EvaluationSettings(resamples=20),
    )


def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A dark picture of 64 x 64 with a red and a green disc, and their centers."""
    y, x = np.mgrid[:64, :64]
    image, centers = rng.integers(0, 40, (64, 64, 3)), rng.uniform(8, 56, (2, 2))
    for channel, center in enumerate(centers):
        image[(x - center[0]) ** 2 + (y - center[1]) ** 2 < 16, channel] = 255
    return image.astype(np.uint8), centers


@pytest.fixture
def labeled_project(tmp_path: Path) -> Project:
    """20 images of 4 sessions, all labeled."""
    project = create_project(tmp_path / "dots", cameras=["top"], skeleton=SKELETON)
    rng = np.random.default_rng(3)
    frames, positions = [], []
    for number in range(20):
        image, centers = draw(rng)
        name = f"labels/frames/day{number % 4}/top/{number:06d}.png"
        write_png(project.root / name, image)
        frames.append(LabeledImage(name, f"day{number % 4}.mp4", number, f"day{number % 4}", "top", (64, 64)))
        positions.append(centers)
    labels = Labels(
        SKELETON.keypoints,
        tuple(frames),
        np.array(positions)[:, None],
        np.ones((20, 1, 2)),
        annotator=("ann",) * 20,
        root=project.root,
        skeleton=SKELETON,
    )
    with LabelStore.create(project.labels_file, SKELETON) as store:
        store.import_labels(labels)
    return project
