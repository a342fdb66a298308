"""Files of labels: DeepLabCut, Lightning Pose, SLEAP, COCO and CVAT, read and written.

Packages add formats of labels through the entry-point group `pose3d.label_formats`, whose entries are `LabelFormat`s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration.lazy import lazy_names

if TYPE_CHECKING:
    from pose3d.formats.labels._registry import LABEL_FORMATS
    from pose3d.formats.labels.label_format import LabelFormat
    from pose3d.formats.labels.loading import read_labels, write_labels

_HOMES = {
    "LABEL_FORMATS": "_registry",
    "LabelFormat": "label_format",
    "read_labels": "loading",
    "write_labels": "loading",
}

__all__ = ["LABEL_FORMATS", "LabelFormat", "read_labels", "write_labels"]

# A format's module is loaded when its name is first used.
__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
