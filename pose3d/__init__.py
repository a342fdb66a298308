"""From synchronized 2D poses of several cameras to 3D poses and kinematics, with the uncertainty of every number."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pose3d.datasets import poses2d, poses3d
    from pose3d.formats import load_poses2d, open_session, save_session
    from pose3d.reconstruction import TriangulationSettings, triangulate
    from pose3d.skeleton import Skeleton, load_skeleton

_HOMES = {
    "Skeleton": "skeleton",
    "TriangulationSettings": "reconstruction",
    "load_poses2d": "formats",
    "load_skeleton": "skeleton",
    "open_session": "formats",
    "poses2d": "datasets",
    "poses3d": "datasets",
    "save_session": "formats",
    "triangulate": "reconstruction",
}

__all__ = [
    "Skeleton",
    "TriangulationSettings",
    "load_poses2d",
    "load_skeleton",
    "open_session",
    "poses2d",
    "poses3d",
    "save_session",
    "triangulate",
]


def __getattr__(name: str) -> object:
    # PEP 562: names are loaded when first used, so that `import pose3d` costs nothing.
    if name not in _HOMES:
        raise AttributeError(f"module 'pose3d' has no attribute '{name}'")
    return getattr(import_module(f"pose3d.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
