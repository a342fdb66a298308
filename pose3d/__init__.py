"""From synchronized 2D poses of several cameras to 3D poses and kinematics, with the uncertainty of every number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration.lazy import lazy_names

if TYPE_CHECKING:
    from pose3d.datasets import poses2d, poses3d
    from pose3d.formats import load_poses2d, load_poses3d, open_session, read_labels, save_session, write_labels
    from pose3d.labeling import Labels, LabelStore
    from pose3d.project import Project, load_project
    from pose3d.reconstruction import TrajectorySettings, TriangulationSettings, reconstruct, triangulate
    from pose3d.skeleton import Skeleton, load_skeleton

_HOMES = {
    "LabelStore": "labeling",
    "Labels": "labeling",
    "Project": "project",
    "Skeleton": "skeleton",
    "TrajectorySettings": "reconstruction",
    "TriangulationSettings": "reconstruction",
    "load_poses2d": "formats",
    "load_poses3d": "formats",
    "load_project": "project",
    "load_skeleton": "skeleton",
    "open_session": "formats",
    "poses2d": "datasets",
    "poses3d": "datasets",
    "read_labels": "formats",
    "reconstruct": "reconstruction",
    "save_session": "formats",
    "triangulate": "reconstruction",
    "write_labels": "formats",
}

__all__ = [
    "LabelStore",
    "Labels",
    "Project",
    "Skeleton",
    "TrajectorySettings",
    "TriangulationSettings",
    "load_poses2d",
    "load_poses3d",
    "load_project",
    "load_skeleton",
    "open_session",
    "poses2d",
    "poses3d",
    "read_labels",
    "reconstruct",
    "save_session",
    "triangulate",
    "write_labels",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
