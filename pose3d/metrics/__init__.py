"""How good poses are: errors against truth, reprojection errors, constant bones, honest covariance, and leaps in 2D."""

from __future__ import annotations

from pose3d.metrics.bones import bone_lengths, bone_statistics
from pose3d.metrics.jumps import JUMP_SHARE, body_length, far_steps, jump_limits, jumps
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
    "JUMP_SHARE",
    "Alignment",
    "ResidualHistogram",
    "align",
    "body_length",
    "bone_lengths",
    "bone_statistics",
    "coverage",
    "far_steps",
    "jump_limits",
    "jumps",
    "percentage_correct",
    "position_error",
    "procrustes",
    "reprojection_histogram",
    "reprojection_summary",
    "summary",
]
