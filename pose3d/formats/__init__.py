"""Files of poses and labels: readers of 2D poses, the session file, writers of 3D poses, labels both ways.

Packages add formats of 2D poses through the entry-point group `pose3d.pose_formats`, whose entries are `PoseFormat`s,
and formats of labels through `pose3d.label_formats`, whose entries are `LabelFormat`s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration.lazy import lazy_names

if TYPE_CHECKING:
    from pose3d.formats._registry import FORMATS
    from pose3d.formats.anipose import read_anipose
    from pose3d.formats.anipose3d import write_anipose3d
    from pose3d.formats.corners_csv import read_corners_csv
    from pose3d.formats.csv_table import write_csv
    from pose3d.formats.deeplabcut import read_deeplabcut
    from pose3d.formats.deeplabcut3d import write_deeplabcut3d
    from pose3d.formats.label3d import read_label3d
    from pose3d.formats.labels import LABEL_FORMATS
    from pose3d.formats.labels.label_format import LabelFormat
    from pose3d.formats.labels.loading import read_labels, write_labels
    from pose3d.formats.lightning_pose import read_lightning_pose
    from pose3d.formats.loading import load_poses2d
    from pose3d.formats.netcdf import load_detections, read_netcdf
    from pose3d.formats.openpose import read_openpose
    from pose3d.formats.pose_format import PoseFormat
    from pose3d.formats.provenance import provenance_of
    from pose3d.formats.session import Session, SessionWriter, open_session, save_session
    from pose3d.formats.sleap import read_sleap, read_sleap_analysis
    from pose3d.formats.trc import read_trc, write_trc

_HOMES = {
    "FORMATS": "_registry",
    "LABEL_FORMATS": "labels",
    "LabelFormat": "labels.label_format",
    "PoseFormat": "pose_format",
    "Session": "session",
    "SessionWriter": "session",
    "load_detections": "netcdf",
    "load_poses2d": "loading",
    "open_session": "session",
    "provenance_of": "provenance",
    "read_anipose": "anipose",
    "read_corners_csv": "corners_csv",
    "read_deeplabcut": "deeplabcut",
    "read_label3d": "label3d",
    "read_labels": "labels.loading",
    "read_lightning_pose": "lightning_pose",
    "read_netcdf": "netcdf",
    "read_openpose": "openpose",
    "read_sleap": "sleap",
    "read_sleap_analysis": "sleap",
    "read_trc": "trc",
    "save_session": "session",
    "write_anipose3d": "anipose3d",
    "write_csv": "csv_table",
    "write_deeplabcut3d": "deeplabcut3d",
    "write_labels": "labels.loading",
    "write_trc": "trc",
}

__all__ = [
    "FORMATS",
    "LABEL_FORMATS",
    "LabelFormat",
    "PoseFormat",
    "Session",
    "SessionWriter",
    "load_detections",
    "load_poses2d",
    "open_session",
    "provenance_of",
    "read_anipose",
    "read_corners_csv",
    "read_deeplabcut",
    "read_label3d",
    "read_labels",
    "read_lightning_pose",
    "read_netcdf",
    "read_openpose",
    "read_sleap",
    "read_sleap_analysis",
    "read_trc",
    "save_session",
    "write_anipose3d",
    "write_csv",
    "write_deeplabcut3d",
    "write_labels",
    "write_trc",
]

# A format's module, and the library it needs, is loaded when its name is first used.
__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
