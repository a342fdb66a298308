"""Calibration boards: their geometry, their files, finding them in images, printing them at true scale."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from calibration.boards.geometry import AprilGrid, Board, Charuco, Chessboard

if TYPE_CHECKING:
    from calibration.boards.detection import Detection, DetectionSettings, DetectionStatus, detect_board
    from calibration.boards.printing import draw_board

# Loaded when asked for: geometry is needed everywhere, OpenCV only where there are pictures.
_HOMES = {
    "Detection": "detection",
    "DetectionSettings": "detection",
    "DetectionStatus": "detection",
    "detect_board": "detection",
    "draw_board": "printing",
}

__all__ = [
    "AprilGrid",
    "Board",
    "Charuco",
    "Chessboard",
    "Detection",
    "DetectionSettings",
    "DetectionStatus",
    "detect_board",
    "draw_board",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
