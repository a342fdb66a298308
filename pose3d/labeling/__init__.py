"""Labels: keypoints that people placed in images, which frames to label, and the database that keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration.lazy import lazy_names

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

__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
