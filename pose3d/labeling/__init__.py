"""Labels: keypoints that people placed in images, which frames to label, and the database that keeps them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pose3d.labeling.labels import LabeledImage, Labels, Visibility, joined
    from pose3d.labeling.store import Collisions, Edit, ImportOutcome, LabelStore

_HOMES = {
    "Collisions": "store",
    "Edit": "store",
    "ImportOutcome": "store",
    "LabelStore": "store",
    "LabeledImage": "labels",
    "Labels": "labels",
    "Visibility": "labels",
    "joined": "labels",
}

__all__ = ["Collisions", "Edit", "ImportOutcome", "LabelStore", "LabeledImage", "Labels", "Visibility", "joined"]


def __getattr__(name: str) -> object:
    # PEP 562: names are loaded when first used.
    if name not in _HOMES:
        raise AttributeError(f"module 'pose3d.labeling' has no attribute '{name}'")
    return getattr(import_module(f"pose3d.labeling.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
