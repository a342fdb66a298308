"""What training and evaluation of a project start from: its settings and its labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from calibration.errors import FileFormatError, InvalidValueError
from pose3d.labeling.annotators import one_per_image
from pose3d.labeling.labels import Labels
from pose3d.labeling.store import LabelStore
from pose3d.networks.evaluation import EvaluationSettings
from pose3d.networks.project_settings import network_settings, training_settings
from pose3d.networks.settings import NetworkSettings, TrainingSettings
from pose3d.networks.training import TrainingData
from pose3d.networks.training_data import groups_of, training_data
from pose3d.project import Project

__all__ = ["LabeledData", "TrainingOptions", "labeled_data", "training_options", "with_options"]


@dataclass(frozen=True, eq=False)
class LabeledData:
    """The labels of a project, ready for training.

    Attributes:
        labels: every image once, all with a label.
        data: the same as training reads it.
        groups: (image,) name of what is kept together.
        grouped_by: in words.
    """

    labels: Labels
    data: TrainingData
    groups: tuple[str, ...]
    grouped_by: str

    @property
    def images(self) -> tuple[str, ...]:
        """(image,) paths relative to the project."""
        return tuple(frame.image for frame in self.labels.frames)

    @property
    def digest(self) -> str:
        """Of images and labels; it differs where any of them was changed."""
        text = hashlib.sha256(json.dumps([self.images, self.labels.keypoints]).encode())
        text.update(np.ascontiguousarray(self.data.points).tobytes())
        return text.hexdigest()


@dataclass(frozen=True)
class TrainingOptions:
    """What is trained and how, and how it is measured."""

    network: NetworkSettings
    training: TrainingSettings
    evaluation: EvaluationSettings


def training_options(project: Project) -> TrainingOptions:
    """Those of project.toml.

    Raises:
        FileFormatError: a setting is unknown, of the wrong type, or out of its range.
    """
    return TrainingOptions(
        network_settings(project),
        training_settings(project),
        project.settings_of("evaluation", EvaluationSettings),
    )


def labeled_data(project: Project, settings: TrainingSettings) -> LabeledData:
    """Read the labels of a project.

    Raises:
        FileFormatError: there are no labels, or the file is damaged.
        InvalidValueError: fewer than two images are labeled, image files are missing, or labels are outside.
        MismatchError: the skeleton lacks a keypoint that has labels.
    """
    if not project.labels_file.exists():
        raise FileFormatError(
            project.labels_file,
            expected="the labels of the project",
            got="none yet",
            remedy="Extract frames (`pose3d extract-frames`) and label them, or import labels: `pose3d labels import`.",
        )
    with LabelStore(project.labels_file, project.skeleton, read_only=True) as store:
        labels = one_per_image(store.labels())
    if len(labels) < 2 or not labels.has_position.any():
        raise InvalidValueError(
            project.labels_file,
            expected="at least two labeled images",
            got=f"{len(labels)} images with {int(labels.has_position.sum())} labeled keypoints",
            remedy="Label more frames; a few dozen from several videos are a good start.",
        )
    data = training_data(labels, missing=settings.missing)
    return LabeledData(labels, data, groups_of(labels, settings.group_by), settings.group_by)


def with_options(options: TrainingOptions, network: Mapping[str, Any], training: Mapping[str, Any]) -> TrainingOptions:
    """The options with some values changed; None leaves one as it is.

    Raises:
        InvalidValueError: a value is out of its range.
    """
    return replace(
        options,
        network=replace(options.network, **{name: value for name, value in network.items() if value is not None}),
        training=replace(options.training, **{name: value for name, value in training.items() if value is not None}),
    )
