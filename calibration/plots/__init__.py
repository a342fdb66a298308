"""Pictures of rigs, and what all pictures share: style and point of view."""

from __future__ import annotations

from calibration.plots.calibration import (
    coverage_figure,
    length_figure,
    overlap_figure,
    residual_figure,
    trend_figure,
    view_figure,
)
from calibration.plots.drift import drift_figure
from calibration.plots.rig import rig_figure
from calibration.plots.style import (
    GRID,
    INK,
    MUTED,
    PALETTE,
    SURFACE,
    categorical_colors,
    new_figure,
    plain,
    style_axes,
)
from calibration.plots.view import Ground, View, choose_view, frustum, ground_grid, round_step, up_direction

__all__ = [
    "GRID",
    "INK",
    "MUTED",
    "PALETTE",
    "SURFACE",
    "Ground",
    "View",
    "categorical_colors",
    "choose_view",
    "coverage_figure",
    "drift_figure",
    "frustum",
    "ground_grid",
    "length_figure",
    "new_figure",
    "overlap_figure",
    "plain",
    "residual_figure",
    "rig_figure",
    "round_step",
    "style_axes",
    "trend_figure",
    "up_direction",
    "view_figure",
]
