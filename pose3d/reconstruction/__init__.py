"""From 2D poses of several cameras to 3D poses."""

from __future__ import annotations

from calibration.triangulation import TriangulationSettings
from pose3d.reconstruction._trajectory_model import TrajectoryModel
from pose3d.reconstruction._trajectory_settings import TrajectorySettings
from pose3d.reconstruction.causal import CausalPose, FixedLag
from pose3d.reconstruction.ensembles import combine_ensemble
from pose3d.reconstruction.framewise import PixelNoise, estimate_noise, match_cameras, triangulate
from pose3d.reconstruction.synchronized import apply_synchronization, camera_frames, tracks_of_poses
from pose3d.reconstruction.trajectory import NOT_DETERMINED, Plan, plan, reconstruct, reconstruct_pieces

__all__ = [
    "NOT_DETERMINED",
    "CausalPose",
    "FixedLag",
    "PixelNoise",
    "Plan",
    "TrajectoryModel",
    "TrajectorySettings",
    "TriangulationSettings",
    "apply_synchronization",
    "camera_frames",
    "combine_ensemble",
    "estimate_noise",
    "match_cameras",
    "plan",
    "reconstruct",
    "reconstruct_pieces",
    "tracks_of_poses",
    "triangulate",
]
