"""Kinematics: how positions, angles and steps change in time, with units and the uncertainty of every number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration.lazy import lazy_names

if TYPE_CHECKING:
    from pose3d.kinematics._derivative_settings import DerivativeSettings
    from pose3d.kinematics._gait_settings import GaitSettings
    from pose3d.kinematics.angles import angle_to_axis, angle_to_plane, joint_angles
    from pose3d.kinematics.bodies import body_length, bone_lengths, keypoint_chain, pairwise_distances
    from pose3d.kinematics.body_axes import Origin, body_axis, body_centered
    from pose3d.kinematics.comparison import ComparisonSettings, compare_groups, compare_waveforms
    from pose3d.kinematics.derivatives import acceleration, jerk, speed, velocity
    from pose3d.kinematics.event_tables import events_from_c3d, events_from_table, events_table, make_events
    from pose3d.kinematics.gait import gait_events
    from pose3d.kinematics.gait_phases import gait_classes, phase_differences, phases
    from pose3d.kinematics.gait_strides import gait_summary, strides
    from pose3d.kinematics.joints import joint_coordinates, joint_rotations, neutral_pose
    from pose3d.kinematics.masses import center_of_mass, center_of_mass_poses
    from pose3d.kinematics.paths import angular_speed, curvature, heading, path_length
    from pose3d.kinematics.posture import PostureSettings, posture_components, postures
    from pose3d.kinematics.rotations import AngularVelocitySettings, angular_velocity, quaternions, range_of_motion
    from pose3d.kinematics.segments import segment_frames
    from pose3d.kinematics.settings import QUANTITIES, KinematicsSettings
    from pose3d.kinematics.stride_cycles import CycleSettings, SummarySettings, cycle_summary, cycles
    from pose3d.kinematics.treadmill import belt_speed
    from pose3d.kinematics.whole import compute_kinematics, cycle_kinematics, frame_kinematics, gait_kinematics

_HOMES = {
    "AngularVelocitySettings": "rotations",
    "ComparisonSettings": "comparison",
    "CycleSettings": "stride_cycles",
    "DerivativeSettings": "_derivative_settings",
    "GaitSettings": "_gait_settings",
    "KinematicsSettings": "settings",
    "Origin": "body_axes",
    "PostureSettings": "posture",
    "QUANTITIES": "settings",
    "SummarySettings": "stride_cycles",
    "acceleration": "derivatives",
    "angle_to_axis": "angles",
    "angle_to_plane": "angles",
    "angular_speed": "paths",
    "angular_velocity": "rotations",
    "belt_speed": "treadmill",
    "body_axis": "body_axes",
    "body_centered": "body_axes",
    "body_length": "bodies",
    "bone_lengths": "bodies",
    "center_of_mass": "masses",
    "center_of_mass_poses": "masses",
    "compare_groups": "comparison",
    "compare_waveforms": "comparison",
    "compute_kinematics": "whole",
    "curvature": "paths",
    "cycle_kinematics": "whole",
    "cycle_summary": "stride_cycles",
    "cycles": "stride_cycles",
    "events_from_c3d": "event_tables",
    "events_from_table": "event_tables",
    "events_table": "event_tables",
    "frame_kinematics": "whole",
    "gait_classes": "gait_phases",
    "gait_events": "gait",
    "gait_kinematics": "whole",
    "gait_summary": "gait_strides",
    "heading": "paths",
    "jerk": "derivatives",
    "joint_angles": "angles",
    "joint_coordinates": "joints",
    "joint_rotations": "joints",
    "keypoint_chain": "bodies",
    "make_events": "event_tables",
    "neutral_pose": "joints",
    "pairwise_distances": "bodies",
    "path_length": "paths",
    "phase_differences": "gait_phases",
    "phases": "gait_phases",
    "posture_components": "posture",
    "postures": "posture",
    "quaternions": "rotations",
    "range_of_motion": "rotations",
    "segment_frames": "segments",
    "speed": "derivatives",
    "strides": "gait_strides",
    "velocity": "derivatives",
}

__all__ = [
    "QUANTITIES",
    "AngularVelocitySettings",
    "ComparisonSettings",
    "CycleSettings",
    "DerivativeSettings",
    "GaitSettings",
    "KinematicsSettings",
    "Origin",
    "PostureSettings",
    "SummarySettings",
    "acceleration",
    "angle_to_axis",
    "angle_to_plane",
    "angular_speed",
    "angular_velocity",
    "belt_speed",
    "body_axis",
    "body_centered",
    "body_length",
    "bone_lengths",
    "center_of_mass",
    "center_of_mass_poses",
    "compare_groups",
    "compare_waveforms",
    "compute_kinematics",
    "curvature",
    "cycle_kinematics",
    "cycle_summary",
    "cycles",
    "events_from_c3d",
    "events_from_table",
    "events_table",
    "frame_kinematics",
    "gait_classes",
    "gait_events",
    "gait_kinematics",
    "gait_summary",
    "heading",
    "jerk",
    "joint_angles",
    "joint_coordinates",
    "joint_rotations",
    "keypoint_chain",
    "make_events",
    "neutral_pose",
    "pairwise_distances",
    "path_length",
    "phase_differences",
    "phases",
    "posture_components",
    "postures",
    "quaternions",
    "range_of_motion",
    "segment_frames",
    "speed",
    "strides",
    "velocity",
]

# A module, and the libraries it needs, is loaded when one of its names is first used.
__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
