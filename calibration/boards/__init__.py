"""Calibration boards: their geometry, their files, finding them in images, printing them at true scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration.boards.geometry import AprilGrid, Board, Charuco, Chessboard
from calibration.lazy import lazy_names

if TYPE_CHECKING:
    from calibration.boards.detection import Detection, DetectionSettings, DetectionStatus, detect_board
    from calibration.boards.files import load_board, save_board
    from calibration.boards.guessing import BoardGuess, guess_board
    from calibration.boards.printing import (
        Printout,
        draw_board,
        draw_detection,
        millimeters,
        write_board_pdf,
        write_board_png,
    )

# Loaded when asked for: geometry is needed everywhere, OpenCV only where there are pictures.
_HOMES = {
    "BoardGuess": "guessing",
    "Detection": "detection",
    "DetectionSettings": "detection",
    "DetectionStatus": "detection",
    "detect_board": "detection",
    "Printout": "printing",
    "draw_board": "printing",
    "draw_detection": "printing",
    "guess_board": "guessing",
    "load_board": "files",
    "millimeters": "printing",
    "save_board": "files",
    "write_board_pdf": "printing",
    "write_board_png": "printing",
}

__all__ = [
    "AprilGrid",
    "Board",
    "BoardGuess",
    "Charuco",
    "Chessboard",
    "Detection",
    "DetectionSettings",
    "DetectionStatus",
    "Printout",
    "detect_board",
    "draw_board",
    "draw_detection",
    "guess_board",
    "load_board",
    "millimeters",
    "save_board",
    "write_board_pdf",
    "write_board_png",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
