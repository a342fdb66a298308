"""Figures, videos and reports of 2D positions, of 3D poses, and of trained networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration.lazy import lazy_names

if TYPE_CHECKING:
    from pose3d.visualization.animation import SkeletonVideoSettings, skeleton_frames, skeleton_video
    from pose3d.visualization.detection_overlay import DetectionOverlaySettings, detection_frames, detection_video
    from pose3d.visualization.detection_report import write_detection_report
    from pose3d.visualization.evidence import Evidence, collect_evidence
    from pose3d.visualization.figures import bone_figure, skeleton_figure, trajectory_figure, truth_figure
    from pose3d.visualization.identity_figures import identity_timeline, risk_figure, shape_figure
    from pose3d.visualization.identity_section import identity_pictures
    from pose3d.visualization.kinematics_figures import (
        angle_figure,
        cycle_figure,
        gait_diagram,
        phase_figure,
        speed_figure,
        stick_figure,
    )
    from pose3d.visualization.kinematics_section import kinematics_pictures
    from pose3d.visualization.overlay import OverlaySettings, overlay_frames, overlay_video
    from pose3d.visualization.quality_figures import (
        coverage_figure,
        missing_figure,
        reprojection_figure,
        reprojection_time_figure,
    )
    from pose3d.visualization.report import write_report
    from pose3d.visualization.verdict import Finding, Verdict, judge

_HOMES = {
    "DetectionOverlaySettings": "detection_overlay",
    "Evidence": "evidence",
    "Finding": "verdict",
    "OverlaySettings": "overlay",
    "SkeletonVideoSettings": "animation",
    "Verdict": "verdict",
    "angle_figure": "kinematics_figures",
    "bone_figure": "figures",
    "collect_evidence": "evidence",
    "coverage_figure": "quality_figures",
    "cycle_figure": "kinematics_figures",
    "detection_frames": "detection_overlay",
    "detection_video": "detection_overlay",
    "gait_diagram": "kinematics_figures",
    "identity_pictures": "identity_section",
    "identity_timeline": "identity_figures",
    "judge": "verdict",
    "kinematics_pictures": "kinematics_section",
    "missing_figure": "quality_figures",
    "overlay_frames": "overlay",
    "overlay_video": "overlay",
    "phase_figure": "kinematics_figures",
    "reprojection_figure": "quality_figures",
    "reprojection_time_figure": "quality_figures",
    "risk_figure": "identity_figures",
    "shape_figure": "identity_figures",
    "skeleton_figure": "figures",
    "skeleton_frames": "animation",
    "skeleton_video": "animation",
    "speed_figure": "kinematics_figures",
    "stick_figure": "kinematics_figures",
    "trajectory_figure": "figures",
    "truth_figure": "figures",
    "write_detection_report": "detection_report",
    "write_report": "report",
}

__all__ = [
    "DetectionOverlaySettings",
    "Evidence",
    "Finding",
    "OverlaySettings",
    "SkeletonVideoSettings",
    "Verdict",
    "angle_figure",
    "bone_figure",
    "collect_evidence",
    "coverage_figure",
    "cycle_figure",
    "detection_frames",
    "detection_video",
    "gait_diagram",
    "identity_pictures",
    "identity_timeline",
    "judge",
    "kinematics_pictures",
    "missing_figure",
    "overlay_frames",
    "overlay_video",
    "phase_figure",
    "reprojection_figure",
    "reprojection_time_figure",
    "risk_figure",
    "shape_figure",
    "skeleton_figure",
    "skeleton_frames",
    "skeleton_video",
    "speed_figure",
    "stick_figure",
    "trajectory_figure",
    "truth_figure",
    "write_detection_report",
    "write_report",
]

# Drawing a video needs no figures, and a figure no video library.
__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
