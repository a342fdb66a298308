"""Calibration boards: their geometry, their files, finding them in images, printing them at true scale."""

from __future__ import annotations

from calibration.boards.geometry import AprilGrid, Board, Charuco, Chessboard

__all__ = ["AprilGrid", "Board", "Charuco", "Chessboard"]
