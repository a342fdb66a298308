"""How good poses are: errors against truth, identities, reprojection errors, constant bones, and leaps in 2D."""

from __future__ import annotations

from pose3d.metrics.bones import bone_lengths, bone_statistics
from pose3d.metrics.identity import (
    HOTA_LEVELS,
    IdentityScores,
    IdentitySwitch,
    IndividualScore,
    TrackingScores,
    score_identity,
)
from pose3d.metrics.identity_association import AssociationScores, instance_groups, score_association
from pose3d.metrics.identity_truth import projected_truth
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
    "HOTA_LEVELS",
    "JUMP_SHARE",
    "Alignment",
    "AssociationScores",
    "IdentityScores",
    "IdentitySwitch",
    "IndividualScore",
    "ResidualHistogram",
    "TrackingScores",
    "align",
    "body_length",
    "bone_lengths",
    "bone_statistics",
    "coverage",
    "far_steps",
    "instance_groups",
    "jump_limits",
    "jumps",
    "percentage_correct",
    "position_error",
    "procrustes",
    "projected_truth",
    "reprojection_histogram",
    "reprojection_summary",
    "score_association",
    "score_identity",
    "summary",
]
