"""Files of poses and labels: 2D poses, the session file, 3D poses and labels both ways, events, tables.

Packages add formats of 2D poses through the entry-point group `pose3d.pose_formats`, whose entries are `PoseFormat`s,
of 3D poses through `pose3d.pose3d_formats`, whose entries are `Pose3DFormat`s, and of labels through
`pose3d.label_formats`, whose entries are `LabelFormat`s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration.lazy import lazy_names

if TYPE_CHECKING:
    from pose3d.formats._registry import FORMATS
    from pose3d.formats._registry3d import POSE3D_FORMATS, detect_format3d
    from pose3d.formats.anchors import read_anchors, write_anchors
    from pose3d.formats.anipose import read_anipose
    from pose3d.formats.anipose3d import read_anipose3d, write_anipose3d
    from pose3d.formats.c3d import read_c3d, read_c3d_angles, read_c3d_events
    from pose3d.formats.c3d_writing import write_c3d
    from pose3d.formats.candidates import CANDIDATE_FORMATS, holds_candidates, load_candidates
    from pose3d.formats.corners_csv import read_corners_csv
    from pose3d.formats.csv_table import write_csv
    from pose3d.formats.deeplabcut import read_deeplabcut
    from pose3d.formats.deeplabcut3d import read_deeplabcut3d, write_deeplabcut3d
    from pose3d.formats.deeplabcut_full import read_deeplabcut_full
    from pose3d.formats.instances import are_told_apart, load_instances
    from pose3d.formats.label3d import read_label3d
    from pose3d.formats.labels import LABEL_FORMATS
    from pose3d.formats.labels.label_format import LabelFormat
    from pose3d.formats.labels.loading import read_labels, write_labels
    from pose3d.formats.lightning_pose import read_lightning_pose
    from pose3d.formats.loading import load_poses2d
    from pose3d.formats.loading3d import load_poses3d
    from pose3d.formats.movement import read_movement
    from pose3d.formats.netcdf import load_detections, read_netcdf
    from pose3d.formats.netcdf3d import read_netcdf3d
    from pose3d.formats.openpose import read_openpose
    from pose3d.formats.opensim import read_mot, write_marker_set, write_mot
    from pose3d.formats.pose3d_format import Pose3DFormat
    from pose3d.formats.pose_format import PoseFormat
    from pose3d.formats.poses_as_instances import instances_of_poses2d
    from pose3d.formats.provenance import provenance_of
    from pose3d.formats.session import Session, SessionWriter, open_session, save_session
    from pose3d.formats.sleap import read_sleap, read_sleap_analysis
    from pose3d.formats.sleap_anipose import read_sleap_anipose
    from pose3d.formats.tables import write_tables
    from pose3d.formats.trc import read_trc, write_trc

_HOMES = {
    "CANDIDATE_FORMATS": "candidates",
    "FORMATS": "_registry",
    "LABEL_FORMATS": "labels",
    "LabelFormat": "labels.label_format",
    "POSE3D_FORMATS": "_registry3d",
    "Pose3DFormat": "pose3d_format",
    "PoseFormat": "pose_format",
    "Session": "session",
    "SessionWriter": "session",
    "are_told_apart": "instances",
    "detect_format3d": "_registry3d",
    "holds_candidates": "candidates",
    "instances_of_poses2d": "poses_as_instances",
    "load_candidates": "candidates",
    "load_detections": "netcdf",
    "load_instances": "instances",
    "load_poses2d": "loading",
    "load_poses3d": "loading3d",
    "open_session": "session",
    "provenance_of": "provenance",
    "read_anchors": "anchors",
    "read_anipose": "anipose",
    "read_anipose3d": "anipose3d",
    "read_c3d": "c3d",
    "read_c3d_angles": "c3d",
    "read_c3d_events": "c3d",
    "read_corners_csv": "corners_csv",
    "read_deeplabcut": "deeplabcut",
    "read_deeplabcut3d": "deeplabcut3d",
    "read_deeplabcut_full": "deeplabcut_full",
    "read_label3d": "label3d",
    "read_labels": "labels.loading",
    "read_lightning_pose": "lightning_pose",
    "read_mot": "opensim",
    "read_movement": "movement",
    "read_netcdf": "netcdf",
    "read_netcdf3d": "netcdf3d",
    "read_openpose": "openpose",
    "read_sleap": "sleap",
    "read_sleap_analysis": "sleap",
    "read_sleap_anipose": "sleap_anipose",
    "read_trc": "trc",
    "save_session": "session",
    "write_anchors": "anchors",
    "write_anipose3d": "anipose3d",
    "write_c3d": "c3d_writing",
    "write_csv": "csv_table",
    "write_deeplabcut3d": "deeplabcut3d",
    "write_labels": "labels.loading",
    "write_marker_set": "opensim",
    "write_mot": "opensim",
    "write_tables": "tables",
    "write_trc": "trc",
}

__all__ = [
    "CANDIDATE_FORMATS",
    "FORMATS",
    "LABEL_FORMATS",
    "POSE3D_FORMATS",
    "LabelFormat",
    "Pose3DFormat",
    "PoseFormat",
    "Session",
    "SessionWriter",
    "are_told_apart",
    "detect_format3d",
    "holds_candidates",
    "instances_of_poses2d",
    "load_candidates",
    "load_detections",
    "load_instances",
    "load_poses2d",
    "load_poses3d",
    "open_session",
    "provenance_of",
    "read_anchors",
    "read_anipose",
    "read_anipose3d",
    "read_c3d",
    "read_c3d_angles",
    "read_c3d_events",
    "read_corners_csv",
    "read_deeplabcut",
    "read_deeplabcut3d",
    "read_deeplabcut_full",
    "read_label3d",
    "read_labels",
    "read_lightning_pose",
    "read_mot",
    "read_movement",
    "read_netcdf",
    "read_netcdf3d",
    "read_openpose",
    "read_sleap",
    "read_sleap_analysis",
    "read_sleap_anipose",
    "read_trc",
    "save_session",
    "write_anchors",
    "write_anipose3d",
    "write_c3d",
    "write_csv",
    "write_deeplabcut3d",
    "write_labels",
    "write_marker_set",
    "write_mot",
    "write_tables",
    "write_trc",
]

# A format's module, and the library it needs, is loaded when its name is first used.
__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
