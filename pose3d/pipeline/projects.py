"""A new project with the settings of all stages written out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from pose3d.detection import PredictionSettings
from pose3d.identity import IdentitySettings
from pose3d.kinematics import KinematicsSettings
from pose3d.labeling.selection import ExtractionSettings
from pose3d.networks.project_settings import default_tables
from pose3d.project import Project, create_project, read_settings, table_of
from pose3d.reconstruction import TrajectorySettings
from pose3d.skeleton import Skeleton

__all__ = ["default_settings", "identity_settings", "new_project"]


def default_settings(skeleton: Skeleton, individuals: int = 1) -> dict[str, dict[str, Any]]:
    """Section of project.toml -> setting -> default, of all stages; networks have those that suit the skeleton.

    Args:
        skeleton: the keypoints.
        individuals: how many animals there are; 0: not known.

    Raises:
        InvalidValueError: so many animals are not followed.
    """
    return {
        "extraction": table_of(ExtractionSettings()),
        **default_tables(skeleton),
        "prediction": table_of(PredictionSettings()),
        "identity": table_of(IdentitySettings(individuals=individuals)),
        "reconstruction": table_of(TrajectorySettings()),
        "kinematics": table_of(KinematicsSettings()),
    }


def identity_settings(project: Project) -> IdentitySettings:
    """How the animals of a project are told apart: one animal where project.toml does not say how many there are.

    Raises:
        FileFormatError: a setting is unknown, of the wrong type, or out of its range.
    """
    table = {"individuals": 1, **project.settings.get("identity", {})}
    return read_settings(table, IdentitySettings, project.file, "identity")


def new_project(
    folder: str | os.PathLike[str],
    *,
    cameras: Sequence[str],
    skeleton: Skeleton,
    name: str | None = None,
    individuals: int = 1,
) -> Project:
    """Make a project folder whose project.toml shows every setting with its default.

    Args:
        folder: the folder, new or empty.
        cameras: names of the cameras.
        skeleton: the keypoints to find.
        name: of the project; the name of the folder by default.
        individuals: how many animals there are in a picture; 0: not known.

    Raises:
        OutputError, InvalidValueError: see `create_project`.
    """
    settings = default_settings(skeleton, individuals)
    return create_project(folder, cameras=cameras, skeleton=skeleton, name=name, settings=settings)
