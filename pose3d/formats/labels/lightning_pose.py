"""Lightning Pose's labels: CollectedData.csv, whose rows are images relative to the folder of the file.

The table is DeepLabCut's. A column `visible` may stand after x and y: 0 not labeled, 1 occluded, 2 visible, as in COCO
(Lightning Pose, pull request 440). Pixels are as in DeepLabCut, see docs/pose-formats.md.
"""

from __future__ import annotations

from pathlib import Path

from calibration.errors import InvalidValueError
from calibration.files import write_text
from pose3d.formats._pose_csv import peek_pose_csv, read_pose_csv
from pose3d.formats._pose_table import looks_2d
from pose3d.formats.labels._export import copy_images, frame_names, one_annotator, warn_visibility
from pose3d.formats.labels._images import root_of_images, videos_of_folders
from pose3d.formats.labels._tables import labels_of_table, table_of_labels
from pose3d.formats.labels.deeplabcut import belongs_to_deeplabcut
from pose3d.formats.labels.label_format import LabelFormat
from pose3d.labeling.labels import Labels, Visibility

__all__ = ["FORMAT", "read_lightning_pose_labels", "write_lightning_pose_labels"]


def read_lightning_pose_labels(path: Path) -> Labels:
    """Labels of a CollectedData.csv, or of a folder with one.

    Raises:
        FileFormatError: the file is missing, damaged, or has no labels.
    """
    path = path / "CollectedData.csv" if path.is_dir() else path
    table = read_pose_csv(path, also=("visible",))
    return labels_of_table(
        table,
        path,
        lambda names: root_of_images(names, [path.parent, *path.parent.parents[:1]]),
        videos_of_folders,
    )


def write_lightning_pose_labels(labels: Labels, folder: Path) -> None:
    """Write CollectedData.csv and labeled-data with the images into a folder.

    The column `visible` is written where keypoints are occluded.

    Raises:
        InvalidValueError: there are several animals, or several annotators labeled the same image.
        OutputError: a file cannot be written.

    Warns:
        SuiteWarning: absent keypoints get lost; image files are missing.
    """
    if len(labels.individuals) > 1:
        raise InvalidValueError(
            "labels for Lightning Pose",
            expected="one animal",
            got=f"{len(labels.individuals)}: {', '.join(labels.individuals)}",
            remedy="Export to DeepLabCut, SLEAP, COCO or CVAT.",
        )
    annotator = one_annotator(labels, "Lightning Pose")
    warn_visibility(labels, occluded=True, unplaced=True)
    names = frame_names(labels)
    copy_images(labels, names, folder)
    table = table_of_labels(labels, annotator, names, visible=bool((labels.visibility == Visibility.OCCLUDED).any()))
    write_text(folder / "CollectedData.csv", table.to_csv(lineterminator="\n"))


def _sniff(path: Path) -> bool:
    path = path / "CollectedData.csv" if path.is_dir() else path
    if not path.is_file() or path.suffix.lower() != ".csv" or belongs_to_deeplabcut(path):
        return False
    table = peek_pose_csv(path)
    return table is not None and looks_2d(table) and set(table.level("coords") or ()) <= {"x", "y", "visible"}


FORMAT = LabelFormat(
    name="lightning-pose",
    description="Lightning Pose CollectedData.csv, with or without the column visible",
    sniff=_sniff,
    read=read_lightning_pose_labels,
    write=write_lightning_pose_labels,
)
