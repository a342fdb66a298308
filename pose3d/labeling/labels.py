"""Labels as a value: which images, which keypoints, where they are, and what could be seen of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.skeleton import JointLimit, Skeleton

__all__ = ["LabeledImage", "Labels", "Visibility", "joined"]


class Visibility(IntEnum):
    """What an annotator said about one keypoint of one animal in one image.

    `OCCLUDED` means: it is inside the image, but something hides it; its position is a guess, or missing. `ABSENT`
    means: somebody looked, and it is not in the image. `UNLABELED` means: nobody said anything.
    """

    UNLABELED = 0
    VISIBLE = 1
    OCCLUDED = 2
    ABSENT = 3


@dataclass(frozen=True, order=True)
class LabeledImage:
    """One image that has labels, or waits for them.

    Attributes:
        image: path of the image file, POSIX, relative to the root of the labels.
        video: path of the video that it was taken from, POSIX, relative; of a set of images their folder.
        frame: number of the frame in the video, in the order of presentation, from 0; -1 where it is not known.
        session: name of the session; empty where there is none.
        camera: name of the camera; empty where it is not known.
        size: width and height in pixels; None where the image file cannot be found.
    """

    image: str
    video: str = ""
    frame: int = 0
    session: str = ""
    camera: str = ""
    size: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of n images; an image that several annotators labeled stands there once for each of them.

    Attributes:
        keypoints: their names, each once.
        frames: n images.
        position: (n, individual, keypoint, 2) pixels, the center of the top-left pixel is (0, 0); NaN where missing.
        visibility: (n, individual, keypoint) int8, values of `Visibility`.
        individuals: names of the animals; one that is not in an image is UNLABELED there.
        annotator: n names; empty where it is not known who labeled.
        root: the folder that paths of images and videos are relative to.
        skeleton: keypoints with edges and mirrored pairs; without edges by default.

    Raises:
        InvalidValueError: shapes do not fit together; a visible keypoint has no position; an absent or unlabeled one
            has one; a position is infinite; one annotator labeled an image twice.
    """

    keypoints: tuple[str, ...]
    frames: tuple[LabeledImage, ...]
    position: NDArray[np.float64]
    visibility: NDArray[np.int8]
    individuals: tuple[str, ...] = ("individual_0",)
    annotator: tuple[str, ...] = ()
    root: Path = field(default_factory=Path)
    skeleton: Skeleton | None = None

    def __post_init__(self) -> None:
        setter = object.__setattr__
        setter(self, "position", np.array(self.position, dtype=np.float64))
        setter(self, "visibility", np.array(self.visibility, dtype=np.int8))
        setter(self, "annotator", tuple(self.annotator) or ("",) * len(self.frames))
        setter(self, "skeleton", self.skeleton or Skeleton("labels", self.keypoints))
        self._check_shapes()
        self._check_values()
        self.position.setflags(write=False)
        self.visibility.setflags(write=False)

    def _check_shapes(self) -> None:
        shape = (len(self.frames), len(self.individuals), len(self.keypoints))
        got = {
            "position": (self.position.shape, (*shape, 2)),
            "visibility": (self.visibility.shape, shape),
            "annotator": ((len(self.annotator),), shape[:1]),
        }
        for name, (found, expected) in got.items():
            if found != expected:
                raise InvalidValueError(
                    f"labels, {name}",
                    expected=f"shape {expected}: image, individual, keypoint",
                    got=f"shape {found}",
                    remedy="Give one entry per image, individual and keypoint.",
                )
        assert self.skeleton is not None
        if self.skeleton.keypoints != self.keypoints:
            raise InvalidValueError(
                "labels, skeleton",
                expected=f"the keypoints {', '.join(self.keypoints)}",
                got=", ".join(self.skeleton.keypoints),
                remedy="Give the skeleton of these keypoints, in the same order.",
            )
        pairs = list(zip((frame.image for frame in self.frames), self.annotator, strict=True))
        if len(set(pairs)) < len(pairs):
            twice = next(pair for pair in pairs if pairs.count(pair) > 1)
            raise InvalidValueError(
                f"labels, image '{twice[0]}'",
                expected="every image once per annotator",
                got=f"it stands there {pairs.count(twice)} times for annotator '{twice[1]}'",
                remedy="Keep one of them, or give every annotator a name.",
            )

    def _check_values(self) -> None:
        known = np.isin(self.visibility, list(Visibility))
        placed = np.isfinite(self.position).all(axis=-1)
        free = np.isnan(self.position).all(axis=-1)
        wrong = {
            "a visibility from 0 to 3": ~known,
            "both coordinates finite, or both NaN": ~(placed | free),
            "a position where a keypoint is visible": (self.visibility == Visibility.VISIBLE) & free,
            "no position where a keypoint is absent or unlabeled": placed
            & np.isin(self.visibility, (Visibility.UNLABELED, Visibility.ABSENT)),
        }
        for expected, where in wrong.items():
            if where.any():
                row, individual, keypoint = (int(index[0]) for index in np.nonzero(where))
                raise InvalidValueError(
                    f"labels, image '{self.frames[row].image}', keypoint '{self.keypoints[keypoint]}' of "
                    f"'{self.individuals[individual]}'",
                    expected=expected,
                    got=f"position {self.position[row, individual, keypoint].tolist()}, visibility "
                    f"{int(self.visibility[row, individual, keypoint])}",
                    remedy="Correct this label.",
                )

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def has_position(self) -> NDArray[np.bool_]:
        """(n, individual, keypoint) True where a keypoint has a position."""
        return np.asarray(np.isfinite(self.position[..., 0]))

    @property
    def image_paths(self) -> tuple[Path, ...]:
        """Paths of the n image files."""
        return tuple(self.root / frame.image for frame in self.frames)

    def select(self, indices: Sequence[int] | NDArray[np.integer] | NDArray[np.bool_]) -> Labels:
        """The labels of these images, by their numbers or by a mask of n truth values."""
        chosen = np.arange(len(self))[np.asarray(indices)] if len(indices) else np.empty(0, dtype=np.intp)
        return replace(
            self,
            frames=tuple(self.frames[index] for index in chosen),
            position=self.position[chosen],
            visibility=self.visibility[chosen],
            annotator=tuple(self.annotator[index] for index in chosen),
        )

    def of_annotator(self, name: str) -> Labels:
        """What one annotator labeled."""
        return self.select(np.array([annotator == name for annotator in self.annotator], dtype=bool))


def joined(parts: Sequence[Labels]) -> Labels:
    """Several labels in one: keypoints and individuals are matched by name, new ones are added at the end.

    Paths stay as they are, so all parts need the same root.

    Raises:
        InvalidValueError: there is no part, roots differ, or an image is there twice for one annotator.
    """
    if not parts or len({part.root for part in parts}) > 1:
        raise InvalidValueError(
            "labels",
            expected="at least one part, all with the same root",
            got=f"{len(parts)} parts with the roots {', '.join(sorted({str(part.root) for part in parts}))}",
            remedy="Join the labels of one project.",
        )
    keypoints = tuple(dict.fromkeys(name for part in parts for name in part.keypoints))
    individuals = tuple(dict.fromkeys(name for part in parts for name in part.individuals))
    count = sum(map(len, parts))
    position = np.full((count, len(individuals), len(keypoints), 2), np.nan)
    visibility = np.zeros(position.shape[:-1], dtype=np.int8)
    start = 0
    for part in parts:
        rows = np.arange(start, start + len(part))
        animals = np.array([individuals.index(name) for name in part.individuals], dtype=np.intp)
        points = np.array([keypoints.index(name) for name in part.keypoints], dtype=np.intp)
        places = np.ix_(rows, animals, points)
        position[places] = part.position
        visibility[places] = part.visibility
        start += len(part)
    return Labels(
        keypoints,
        tuple(frame for part in parts for frame in part.frames),
        position,
        visibility,
        individuals,
        tuple(name for part in parts for name in part.annotator),
        parts[0].root,
        _joined_skeleton(parts, keypoints),
    )


def _joined_skeleton(parts: Sequence[Labels], keypoints: tuple[str, ...]) -> Skeleton:
    skeletons = [part.skeleton for part in parts if part.skeleton is not None]
    edges = dict.fromkeys(edge for skeleton in skeletons for edge in skeleton.edges)
    # A bone or a joint that is named from its other end is the same; what stands first stays.
    bones: dict[frozenset[str], tuple[str, str]] = {}
    limits: dict[tuple[str, frozenset[str]], JointLimit] = {}
    for skeleton in skeletons:
        for bone in skeleton.bones:
            bones.setdefault(frozenset(bone), bone)
        for limit in skeleton.joint_limits:
            limits.setdefault((limit.keypoints[1], frozenset(limit.keypoints)), limit)
    pairs: list[tuple[str, str]] = []
    for pair in dict.fromkeys(pair for skeleton in skeletons for pair in skeleton.mirrored_pairs):
        if not any(set(pair) & set(other) for other in pairs):
            pairs.append(pair)
    return Skeleton(
        skeletons[0].name, keypoints, tuple(edges), tuple(pairs), tuple(bones.values()), tuple(limits.values())
    )
