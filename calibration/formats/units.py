"""Lengths of a rig in other units, and rigs that are larger or smaller."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calibration.errors import InvalidValueError
from calibration.rig import Rig
from calibration.transforms import RigidTransform

__all__ = ["METERS", "in_unit", "scaled"]

METERS = {
    "um": 1e-6,
    "µm": 1e-6,
    "mm": 1e-3,
    "cm": 1e-2,
    "dm": 1e-1,
    "m": 1.0,
    "km": 1e3,
    "in": 0.0254,
    "inch": 0.0254,
    "ft": 0.3048,
}
"""Length units -> meters."""


def scaled(rig: Rig, factor: float) -> Rig:
    """The rig with all its lengths multiplied by `factor`; what the cameras see of a scaled world stays the same.

    Raises:
        InvalidValueError: the factor is not a positive finite number.
    """
    if not (np.isfinite(factor) and factor > 0):
        raise InvalidValueError(
            "scale",
            expected="a positive number",
            got=f"{factor:g}",
            remedy="Give the length, in the unit you want, of what has length 1 in the file.",
        )
    if factor == 1.0:
        return rig
    cameras = (
        replace(
            camera,
            cam_from_world=RigidTransform(camera.cam_from_world.rotation, camera.cam_from_world.translation * factor),
        )
        for camera in rig
    )
    return replace(rig, cameras=tuple(cameras))


def in_unit(rig: Rig, unit: str, format_name: str) -> Rig:
    """The rig with its lengths converted to `unit`, for a format that knows no other.

    Raises:
        InvalidValueError: the unit of the rig cannot be converted.
    """
    if rig.unit not in METERS:
        raise InvalidValueError(
            "rig, unit",
            expected=f"one of {', '.join(METERS)}, since {format_name} is in {unit}",
            got=f"'{rig.unit}'",
            remedy="Give the rig its true unit first.",
        )
    if rig.unit == unit:
        return rig
    return replace(scaled(rig, _ratio(rig.unit, unit)), unit=unit)


def _ratio(given: str, wanted: str) -> float:
    # 1e-3 and 1e3 are reciprocal as texts but not as binary numbers: rounded, mm -> m -> mm ends where it began.
    return float(np.format_float_scientific(METERS[given] / METERS[wanted], precision=14))
