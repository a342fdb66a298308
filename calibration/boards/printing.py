"""Printing boards at true scale."""

from __future__ import annotations

from calibration.boards._drawing import draw_board

__all__ = ["draw_board"]
