"""Kinematics: how positions, angles and steps change in time, with units and uncertainty."""

from __future__ import annotations

__all__: list[str] = []
