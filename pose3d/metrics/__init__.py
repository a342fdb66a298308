"""How good 3D poses are: errors against truth, reprojection errors, constant bones, honest covariance."""

from __future__ import annotations

from pose3d.metrics.bones import bone_lengths, bone_statistics
from pose3d.metrics.reprojection import ResidualHistogram, reprojection_histogram, reprojection_summary
from pose3d.metrics.truth import (
    Alignment,
    align,
    coverage,
    percentage_correct,
    position_error,
    procrustes,
    summary,
)

__all__ = [
    "Alignment",
    "ResidualHistogram",
    "align",
    "bone_lengths",
    "bone_statistics",
    "coverage",
    "percentage_correct",
    "position_error",
    "procrustes",
    "reprojection_histogram",
    "reprojection_summary",
    "summary",
]
