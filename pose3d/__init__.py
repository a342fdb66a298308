"""From synchronized 2D poses of several cameras to 3D poses and kinematics, with the uncertainty of every number."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pose3d.datasets import poses2d, poses3d
    from pose3d.formats import load_poses2d, open_session, read_labels, save_session, write_labels
    from pose3d.labeling import Labels, LabelStore
    from pose3d.project import Project, load_project
    from pose3d.reconstruction import TriangulationSettings, triangulate
    from pose3d.skeleton import Skeleton, load_skeleton

_HOMES = {
    "LabelStore": "labeling",
    "Labels": "labeling",
    "Project": "project",
    "Skeleton": "skeleton",
    "TriangulationSettings": "reconstruction",
    "load_poses2d": "formats",
    "load_project": "project",
    "load_skeleton": "skeleton",
    "open_session": "formats",
    "poses2d": "datasets",
    "poses3d": "datasets",
    "read_labels": "formats",
    "save_session": "formats",
    "triangulate": "reconstruction",
    "write_labels": "formats",
}

__all__ = [
    "LabelStore",
    "Labels",
    "Project",
    "Skeleton",
    "TriangulationSettings",
    "load_poses2d",
    "load_project",
    "load_skeleton",
    "open_session",
    "poses2d",
    "poses3d",
    "read_labels",
    "save_session",
    "triangulate",
    "write_labels",
]


def __getattr__(name: str) -> object:
    # PEP 562: names are loaded when first used, so that `import pose3d` costs nothing.
    if name not in _HOMES:
        raise AttributeError(f"module 'pose3d' has no attribute '{name}'")
    return getattr(import_module(f"pose3d.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
