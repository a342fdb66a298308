"""From 2D poses of several cameras to 3D poses."""

from __future__ import annotations

from calibration.triangulation import TriangulationSettings
from pose3d.reconstruction.framewise import PixelNoise, estimate_noise, match_cameras, triangulate
from pose3d.reconstruction.synchronized import apply_synchronization, camera_frames, tracks_of_poses

__all__ = [
    "PixelNoise",
    "TriangulationSettings",
    "apply_synchronization",
    "camera_frames",
    "estimate_noise",
    "match_cameras",
    "tracks_of_poses",
    "triangulate",
]
