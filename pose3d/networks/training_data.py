"""Labels as what training reads."""

from __future__ import annotations

import numpy as np

from calibration.errors import InvalidValueError
from calibration.video import read_image
from pose3d.labeling.labels import Labels, Visibility
from pose3d.networks.targets import ABSENT, UNKNOWN
from pose3d.networks.training import TrainingData

__all__ = ["training_data"]


def training_data(labels: Labels, *, missing: str = "unknown") -> TrainingData:
    """Labels as training reads them.

    Args:
        labels: with image files that exist.
        missing: what a keypoint without a label means, see `TrainingSettings`.

    Raises:
        InvalidValueError: image files are missing.
    """
    lost = [frame.image for frame in labels.frames if frame.size is None]
    if lost:
        raise InvalidValueError(
            "labels",
            expected="an image file for every label",
            got=f"{len(lost)} of {len(labels)} are missing, first {lost[0]}",
            remedy="Put the images back, or select the labels that have one.",
        )
    code = labels.visibility.astype(np.float32)
    placed = np.asarray(np.isfinite(labels.position).all(axis=-1))
    code[(labels.visibility == Visibility.OCCLUDED) & ~placed] = UNKNOWN
    code[labels.visibility == Visibility.UNLABELED] = UNKNOWN if missing == "unknown" else ABSENT
    if len(labels.individuals) > 1:  # an animal without any label is not in the image
        nobody = (labels.visibility == Visibility.UNLABELED).all(axis=-1)
        code[nobody] = ABSENT
    position = np.where(placed[..., None], labels.position, 0.0)
    assert labels.skeleton is not None
    place = {name: number for number, name in enumerate(labels.keypoints)}
    return TrainingData(
        read=lambda index: read_image(labels.root / labels.frames[index].image),
        points=np.concatenate([position, code[..., None]], axis=-1).astype(np.float32),
        sizes=tuple(frame.size for frame in labels.frames if frame.size is not None),
        keypoints=labels.keypoints,
        mirrored=tuple((place[a], place[b]) for a, b in labels.skeleton.mirrored_pairs),
    )
