"""A new project with the settings of all stages written out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from pose3d.detection import PredictionSettings
from pose3d.kinematics import KinematicsSettings
from pose3d.labeling.selection import ExtractionSettings
from pose3d.networks.project_settings import default_tables
from pose3d.project import Project, create_project, table_of
from pose3d.reconstruction import TrajectorySettings
from pose3d.skeleton import Skeleton

__all__ = ["default_settings", "new_project"]


def default_settings(skeleton: Skeleton) -> dict[str, dict[str, Any]]:
    """Section of project.toml -> setting -> default, of all stages; networks have those that suit the skeleton."""
    return {
        "extraction": table_of(ExtractionSettings()),
        **default_tables(skeleton),
        "prediction": table_of(PredictionSettings()),
        "reconstruction": table_of(TrajectorySettings()),
        "kinematics": table_of(KinematicsSettings()),
    }


def new_project(
    folder: str | os.PathLike[str], *, cameras: Sequence[str], skeleton: Skeleton, name: str | None = None
) -> Project:
    """Make a project folder whose project.toml shows every setting with its default.

    Args:
        folder: the folder, new or empty.
        cameras: names of the cameras.
        skeleton: the keypoints to find.
        name: of the project; the name of the folder by default.

    Raises:
        OutputError, InvalidValueError: see `create_project`.
    """
    return create_project(folder, cameras=cameras, skeleton=skeleton, name=name, settings=default_settings(skeleton))
