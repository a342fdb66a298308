"""Lightning Pose's csv: predictions, labels, and the smoothed predictions of its ensemble Kalman smoother (EKS).

The table is DeepLabCut's (scorer / bodyparts / coords). Beyond it: a column `set` beside predictions on labeled frames
and `visible` beside labels, which are not used, and in files of EKS the posterior variances of x and y, which become
the covariance of the position.
"""

from __future__ import annotations

import os
from pathlib import Path

import xarray as xr

from pose3d.formats._pose_csv import peek_pose_csv, read_pose_csv
from pose3d.formats._pose_table import VARIANCES, PoseTable, looks_2d, poses_of_table
from pose3d.formats.pose_format import PoseFormat

__all__ = ["FORMAT", "looks_like_lightning_pose", "read_lightning_pose"]

_OWN_COORDS = frozenset({"visible", "x_ens_median", *VARIANCES})


def read_lightning_pose(
    path: str | os.PathLike[str], *, camera: str | None = None, frame_rate: float | None = None
) -> xr.Dataset:
    """Poses2D of one camera from Lightning Pose's csv file, with `covariance` from files of EKS.

    Args:
        path: the file.
        camera: the name of the camera; the name of the file by default.
        frame_rate: frames per second, where it is known.

    Raises:
        FileFormatError: the file is missing, damaged or not of this format, or its rows are of several videos.
        InvalidValueError: a likelihood is out of [0, 1], or a position is infinite.
    """
    file = Path(path)
    return poses_of_table(read_pose_csv(file), file, "Lightning Pose", camera=camera, frame_rate=frame_rate)


def looks_like_lightning_pose(table: PoseTable) -> bool:
    """True if a table is Lightning Pose's rather than DeepLabCut's: its models are scorers called `..._tracker`."""
    scorers = table.level("scorer") or []
    coords = set(table.level("coords") or [])
    return any(scorer.endswith("_tracker") for scorer in scorers) or bool(coords & _OWN_COORDS)


def _sniff(path: Path) -> bool:
    table = peek_pose_csv(path)
    return table is not None and looks_2d(table) and looks_like_lightning_pose(table)


FORMAT = PoseFormat(
    name="lightning-pose",
    description="Lightning Pose csv: predictions, labels, and EKS with its variances",
    suffixes=(".csv",),
    sniff=_sniff,
    read=read_lightning_pose,
)
