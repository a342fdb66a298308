"""Detectors: from images to possible places of keypoints, and from videos to the same in order of time.

A detector is anything that follows the protocol `Detector`: a network that was trained here (`NetworkDetector`), or a
model of others that the user brings (`BlazePoseDetector`). More are registered in the entry-point group
"pose3d.detectors".
"""

from __future__ import annotations

from pose3d.detection.blazepose import BlazePoseDetector
from pose3d.detection.cropping import CroppingDetector
from pose3d.detection.detector import Detector, RawDetections
from pose3d.detection.network import NetworkDetector, export_run
from pose3d.detection.registry import DETECTORS, DetectorKind, model_path, open_detector
from pose3d.detection.settings import PredictionSettings, candidates_for
from pose3d.detection.streaming import CHUNK, DetectedFrames, detect_video, find_batch_size

__all__ = [
    "CHUNK",
    "DETECTORS",
    "BlazePoseDetector",
    "CroppingDetector",
    "DetectedFrames",
    "Detector",
    "DetectorKind",
    "NetworkDetector",
    "PredictionSettings",
    "RawDetections",
    "candidates_for",
    "detect_video",
    "export_run",
    "find_batch_size",
    "model_path",
    "open_detector",
]
