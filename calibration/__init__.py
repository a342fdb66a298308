"""Cameras, boards, rays and clocks: the calibration of multi-camera rigs and the geometry that follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration.lazy import lazy_names

if TYPE_CHECKING:
    from calibration.boards import AprilGrid, Charuco, Chessboard
    from calibration.camera import Camera
    from calibration.errors import (
        CalibrationError,
        FileFormatError,
        InvalidValueError,
        MismatchError,
        OutOfMemoryError,
        OutputError,
        SuiteError,
        SuiteWarning,
    )
    from calibration.formats import load_rig, save_rig
    from calibration.lens import BrownConrady, Fisheye
    from calibration.rig import Rig
    from calibration.transforms import RigidTransform
    from calibration.triangulation import Status, Triangulation, triangulate

_HOMES = {
    "AprilGrid": "boards",
    "BrownConrady": "lens",
    "CalibrationError": "errors",
    "Camera": "camera",
    "Charuco": "boards",
    "Chessboard": "boards",
    "FileFormatError": "errors",
    "Fisheye": "lens",
    "InvalidValueError": "errors",
    "MismatchError": "errors",
    "OutOfMemoryError": "errors",
    "OutputError": "errors",
    "Rig": "rig",
    "RigidTransform": "transforms",
    "Status": "triangulation",
    "SuiteError": "errors",
    "SuiteWarning": "errors",
    "Triangulation": "triangulation",
    "load_rig": "formats",
    "save_rig": "formats",
    "triangulate": "triangulation",
}

__all__ = [
    "AprilGrid",
    "BrownConrady",
    "CalibrationError",
    "Camera",
    "Charuco",
    "Chessboard",
    "FileFormatError",
    "Fisheye",
    "InvalidValueError",
    "MismatchError",
    "OutOfMemoryError",
    "OutputError",
    "Rig",
    "RigidTransform",
    "Status",
    "SuiteError",
    "SuiteWarning",
    "Triangulation",
    "load_rig",
    "save_rig",
    "triangulate",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
