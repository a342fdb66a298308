"""From 2D poses of several cameras to 3D poses."""

from __future__ import annotations

from calibration.triangulation import TriangulationSettings
from pose3d.reconstruction.framewise import PixelNoise, estimate_noise, match_cameras, triangulate

__all__ = ["PixelNoise", "TriangulationSettings", "estimate_noise", "match_cameras", "triangulate"]
