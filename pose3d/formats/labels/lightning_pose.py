"""Lightning Pose's labels: CollectedData.csv, whose rows are images relative to the folder of the file.

The table is DeepLabCut's. A column `visible` may stand after x and y: 0 not labeled, 1 occluded, 2 visible, as in COCO
(Lightning Pose, pull request 440). Pixels are as in DeepLabCut, see docs/pose-formats.md.
"""

from __future__ import annotations

from pathlib import Path

from pose3d.formats._pose_csv import peek_pose_csv, read_pose_csv
from pose3d.formats._pose_table import looks_2d
from pose3d.formats.labels._images import root_of_images
from pose3d.formats.labels._tables import labels_of_table
from pose3d.formats.labels.deeplabcut import belongs_to_deeplabcut
from pose3d.formats.labels.label_format import LabelFormat
from pose3d.labeling.labels import Labels

__all__ = ["FORMAT", "read_lightning_pose_labels"]


def read_lightning_pose_labels(path: Path) -> Labels:
    """Labels of a CollectedData.csv.

    Raises:
        FileFormatError: the file is missing, damaged, or has no labels.
    """
    table = read_pose_csv(path, also=("visible",))
    return labels_of_table(
        table,
        path,
        lambda names: root_of_images(names, [path.parent, *path.parent.parents[:1]]),
        lambda root: _videos(root),
    )


def _videos(root: Path) -> dict[str, str]:
    from calibration.video import VIDEO_SUFFIXES

    found = sorted((root / "videos").glob("*")) if (root / "videos").is_dir() else []
    return {
        f"labeled-data/{file.stem}": f"videos/{file.name}" for file in found if file.suffix.lower() in VIDEO_SUFFIXES
    }


def _sniff(path: Path) -> bool:
    if not path.is_file() or path.suffix.lower() != ".csv" or belongs_to_deeplabcut(path):
        return False
    table = peek_pose_csv(path)
    return table is not None and looks_2d(table) and set(table.level("coords") or ()) <= {"x", "y", "visible"}


FORMAT = LabelFormat(
    name="lightning-pose",
    description="Lightning Pose CollectedData.csv, with or without the column visible",
    sniff=_sniff,
    read=read_lightning_pose_labels,
)
