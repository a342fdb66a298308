"""Sections [network], [training], [augmentation] and [evaluation] of project.toml."""

from __future__ import annotations

from typing import Any

from calibration.errors import FileFormatError
from pose3d.networks.evaluation import EvaluationSettings
from pose3d.networks.settings import AugmentationSettings, NetworkSettings, TrainingSettings
from pose3d.project import Project, read_settings, table_of
from pose3d.skeleton import Skeleton

__all__ = ["default_tables", "network_settings", "training_settings"]


def default_tables(skeleton: Skeleton) -> dict[str, dict[str, Any]]:
    """The sections of a new project, with all values.

    ImageNet weights are wanted; where they cannot be had, training says so and what to do. Images are mirrored where
    the skeleton says which keypoints swap.
    """
    network, training = table_of(NetworkSettings(skeleton.keypoints)), table_of(TrainingSettings(weights="imagenet"))
    del network["keypoints"], training["augmentation"]
    augmentation = table_of(AugmentationSettings(flip=0.5 if skeleton.mirrored_pairs else 0.0))
    evaluation = table_of(EvaluationSettings())
    return {"network": network, "training": training, "augmentation": augmentation, "evaluation": evaluation}


def network_settings(project: Project) -> NetworkSettings:
    """The network of a project; its keypoints are those of the skeleton.

    Raises:
        FileFormatError: a setting is unknown, of the wrong type, or out of its range.
    """
    table = dict(project.settings.get("network", {}))
    _refuse(project, table, "network", "keypoints", "The keypoints are those of [skeleton]; remove this line.")
    return read_settings(
        {**table, "keypoints": list(project.skeleton.keypoints)}, NetworkSettings, project.file, "network"
    )


def training_settings(project: Project) -> TrainingSettings:
    """How a project is trained.

    Raises:
        FileFormatError: a setting is unknown, of the wrong type, or out of its range.
    """
    table = dict(project.settings.get("training", {"weights": "imagenet"}))
    _refuse(project, table, "training", "augmentation", "It has a section of its own: [augmentation].")
    augmentation = project.settings_of("augmentation", AugmentationSettings)
    return read_settings({**table, "augmentation": table_of(augmentation)}, TrainingSettings, project.file, "training")


def _refuse(project: Project, table: dict[str, Any], section: str, key: str, remedy: str) -> None:
    if key in table:
        raise FileFormatError(
            f"{project.file}, [{section}]", expected="settings of this section", got=f"'{key}'", remedy=remedy
        )
