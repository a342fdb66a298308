"""Labels: what fits together, and labels of several sources in one value."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.errors import InvalidValueError
from pose3d.labeling import LabeledImage, Labels, Visibility, joined
from pose3d.skeleton import JointLimit, Skeleton

NOSE, TAIL = 0, 1


def labels(images: tuple[str, ...] = ("a.png", "b.png"), keypoints: tuple[str, ...] = ("nose", "tail")) -> Labels:
    """Everything visible, at (row, keypoint)."""
    rows, columns = np.mgrid[: len(images), : len(keypoints)]
    position = np.stack([rows, columns], axis=-1)[:, None].astype(float)
    frames = tuple(LabeledImage(name, "video.mp4", index) for index, name in enumerate(images))
    return Labels(keypoints, frames, position, np.ones(position.shape[:-1], dtype=np.int8))


def changed(visibility: int, *, placed: bool) -> Labels:
    """Labels whose first nose has this visibility, with a position or without."""
    good = labels()
    position, seen = good.position.copy(), good.visibility.copy()
    seen[0, 0, NOSE] = visibility
    if not placed:
        position[0, 0, NOSE] = np.nan
    return replace(good, position=position, visibility=seen)


@pytest.mark.parametrize(
    ("visibility", "placed"),
    [
        (Visibility.VISIBLE, True),
        (Visibility.OCCLUDED, True),
        (Visibility.OCCLUDED, False),
        (Visibility.ABSENT, False),
        (Visibility.UNLABELED, False),
    ],
)
def test_what_can_be_said_of_a_keypoint(visibility: Visibility, placed: bool) -> None:
    assert changed(visibility, placed=placed).has_position[0, 0, NOSE] == placed


@pytest.mark.parametrize(
    ("visibility", "placed", "expected"),
    [
        (Visibility.VISIBLE, False, "a position where a keypoint is visible"),
        (Visibility.ABSENT, True, "no position where a keypoint is absent or unlabeled"),
        (Visibility.UNLABELED, True, "no position where a keypoint is absent or unlabeled"),
        (7, True, "a visibility from 0 to 3"),
    ],
)
def test_what_contradicts_itself_is_refused(visibility: int, placed: bool, expected: str) -> None:
    with pytest.raises(InvalidValueError, match=rf"image 'a\.png', keypoint 'nose'.*expected {expected}"):
        changed(visibility, placed=placed)


def test_an_infinite_position_is_refused() -> None:
    good = labels()
    position = good.position.copy()
    position[1, 0, TAIL] = np.inf
    with pytest.raises(InvalidValueError, match=r"image 'b\.png', keypoint 'tail'.*both coordinates finite"):
        replace(good, position=position)


def test_an_image_is_there_once_per_annotator() -> None:
    twice = labels(("a.png", "b.png"))
    same = (twice.frames[0], twice.frames[0])
    with pytest.raises(InvalidValueError, match=r"image 'a\.png'.*once per annotator.*2 times"):
        replace(twice, frames=same)
    two_people = replace(twice, frames=same, annotator=("anna", "ben"))
    assert two_people.of_annotator("ben").position[0, 0, NOSE].tolist() == [1, 0]


def test_shapes_and_skeleton_must_fit() -> None:
    good = labels()
    with pytest.raises(InvalidValueError, match="labels, visibility: expected shape"):
        replace(good, visibility=good.visibility[:1])
    with pytest.raises(InvalidValueError, match="labels, skeleton"):
        replace(good, skeleton=Skeleton("other", ("tail", "nose")))


def test_labels_do_not_change_under_who_holds_them() -> None:
    position = np.zeros((1, 1, 1, 2))
    held = Labels(("nose",), (LabeledImage("a.png"),), position, np.ones((1, 1, 1)))
    position[:] = 5
    assert held.position.sum() == 0
    with pytest.raises(ValueError, match="read-only"):
        held.position[:] = 5


def test_selection_by_number_and_by_mask() -> None:
    good = labels(("a.png", "b.png", "c.png"))
    assert [frame.image for frame in good.select([2, 0]).frames] == ["c.png", "a.png"]
    assert [frame.image for frame in good.select(np.array([False, True, False])).frames] == ["b.png"]
    assert len(good.select([])) == 0


def test_joined_labels_are_matched_by_name() -> None:
    first = replace(labels(("a.png",)), skeleton=Skeleton("mouse", ("nose", "tail"), (("nose", "tail"),)))
    second = replace(labels(("b.png",), ("tail", "ear")), individuals=("anna",))
    both = joined([first, second])
    assert both.keypoints == ("nose", "tail", "ear")
    assert both.individuals == ("individual_0", "anna")
    assert both.visibility[0].tolist() == [[1, 1, 0], [0, 0, 0]]
    assert both.visibility[1].tolist() == [[0, 0, 0], [0, 1, 1]]
    assert both.position[1, 1, 1].tolist() == [0, 0]  # tail, the first keypoint of the second
    assert both.skeleton is not None
    assert both.skeleton.edges == (("nose", "tail"),)


def test_joined_labels_keep_bones_and_ranges_of_angles_each_once() -> None:
    names = ("nose", "neck", "tail")
    edges = (("nose", "neck"), ("neck", "tail"))
    first = Skeleton("mouse", names, edges, (), edges[:1], (JointLimit(("nose", "neck", "tail"), 60.0, 180.0),))
    turned = (JointLimit(("tail", "neck", "nose"), 10.0, 90.0), JointLimit(("neck", "tail", "tip"), 20.0, 180.0))
    more = (("neck", "nose"), ("neck", "tail"), ("tail", "tip"))
    second = Skeleton("other", ("nose", "neck", "tail", "tip"), more, (), more[:2], turned)
    both = joined(
        [
            replace(labels(("a.png",), names), skeleton=first),
            replace(labels(("b.png",), second.keypoints), skeleton=second),
        ]
    )
    assert both.skeleton is not None
    assert both.skeleton.bones == (("nose", "neck"), ("neck", "tail"))
    assert both.skeleton.joint_limits == (first.joint_limits[0], turned[1])


def test_labels_of_two_roots_are_not_joined() -> None:
    with pytest.raises(InvalidValueError, match="the same root"):
        joined([labels(("a.png",)), replace(labels(("b.png",)), root=Path("elsewhere"))])
