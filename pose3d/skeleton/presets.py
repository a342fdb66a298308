"""Skeletons that many use."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pose3d.skeleton._animals import ANIMALS
from pose3d.skeleton._hand import HAND
from pose3d.skeleton._human import HUMANS
from pose3d.skeleton.value import Skeleton

__all__ = ["PRESETS"]

PRESETS: Mapping[str, Skeleton] = MappingProxyType({skeleton.name: skeleton for skeleton in (*HUMANS, *ANIMALS, HAND)})
"""Skeletons by name: of people, of animals, and of a hand."""
