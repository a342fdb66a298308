"""Labels as what training reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.video import read_image
from pose3d.labeling.labels import Labels, Visibility
from pose3d.networks.targets import ABSENT, UNKNOWN
from pose3d.networks.training import TrainingData

__all__ = ["groups_of", "training_data"]

# Labels that are this far outside are on the border: tools that count from the corner of a pixel say 640 of 640.
_BORDER = 1.0


def training_data(labels: Labels, *, missing: str = "unknown") -> TrainingData:
    """Labels as training reads them.

    Args:
        labels: with image files that exist.
        missing: what a keypoint without a label means, see `TrainingSettings`.

    Raises:
        InvalidValueError: image files are missing, or labels are outside of their image.
    """
    _check_files(labels)
    _check_inside(labels)
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


def _check_files(labels: Labels) -> None:
    lost = [frame.image for frame in labels.frames if frame.size is None or not (labels.root / frame.image).is_file()]
    if lost:
        raise InvalidValueError(
            "labels",
            expected="an image file for every label",
            got=f"{len(lost)} of {len(labels)} are missing, first {lost[0]}",
            remedy="Put the images back (`pose3d extract-frames` writes those of videos again), or select the labels "
            "that have one.",
        )


def _check_inside(labels: Labels) -> None:
    sizes = np.array([frame.size for frame in labels.frames], dtype=np.float64).reshape(-1, 1, 1, 2)
    position = labels.position
    outside = ((position < -0.5 - _BORDER) | (position > sizes - 0.5 + _BORDER)).any(axis=-1)
    if outside.any():
        row, individual, keypoint = (int(index[0]) for index in np.nonzero(outside))
        width, height = labels.frames[row].size or (0, 0)
        x, y = position[row, individual, keypoint]
        raise InvalidValueError(
            f"labels, image '{labels.frames[row].image}', keypoint '{labels.keypoints[keypoint]}'",
            expected=f"a position inside of {width} x {height} pixels",
            got=f"({x:.1f}, {y:.1f}); {int(outside.sum())} labels are outside of their image",
            remedy="Correct these labels, or call them absent; `pose3d labels check` lists them.",
        )


def groups_of(labels: Labels, by: str) -> tuple[str, ...]:
    """(image,) name of what is kept together when images are held out.

    Args:
        labels: n images.
        by: "session": all cameras of a session, which see the same moments; the video where there is no session.
            "session and animal": also all sessions in which an animal of the same name is labeled, as long as this
            leaves two groups. "image": every image alone.
    """
    if by == "image":
        return tuple(frame.image for frame in labels.frames)
    sessions = tuple(frame.session or frame.video or frame.image for frame in labels.frames)
    if by == "session" or len(labels.individuals) < 2:
        return sessions
    seen = np.asarray((labels.visibility > Visibility.UNLABELED).any(axis=-1))
    joined = _with_animals(sessions, seen)
    return joined if len(set(joined)) > 1 else sessions


def _with_animals(sessions: tuple[str, ...], seen: NDArray[np.bool_]) -> tuple[str, ...]:
    """Sessions with a common animal under one name: that of the first."""
    owner = {name: name for name in sessions}

    def root(name: str) -> str:
        while owner[name] != name:
            name = owner[name]
        return name

    for animal in range(seen.shape[1]):
        together = [name for name, there in zip(sessions, seen[:, animal], strict=True) if there]
        for name in together[1:]:
            first, second = sorted((root(together[0]), root(name)), key=sessions.index)
            owner[second] = first
    return tuple(root(name) for name in sessions)
