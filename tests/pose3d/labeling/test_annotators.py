"""Images that several people labeled."""

import numpy as np

from pose3d.labeling.annotators import annotator_distances, one_per_image
from pose3d.labeling.labels import LabeledImage, Labels, Visibility

NAN = np.nan


def labels() -> Labels:
    frames = (LabeledImage("a.png"), LabeledImage("a.png"), LabeledImage("b.png"))
    position = [[[1.0, 2.0], [5.0, 5.0]], [[3.0, 2.0], [NAN, NAN]], [[7.0, 7.0], [NAN, NAN]]]
    visibility = np.array([[1, 1], [2, 0], [1, 3]])[:, None]
    return Labels(("x", "y"), frames, np.array(position)[:, None], visibility, annotator=("p", "q", "p"))


def test_one_label_is_made_of_those_of_several_annotators() -> None:
    made = one_per_image(labels())
    assert [frame.image for frame in made.frames] == ["a.png", "b.png"]
    assert made.annotator == ("p and q", "p")
    np.testing.assert_array_equal(made.position[:, 0], [[[2, 2], [5, 5]], [[7, 7], [NAN, NAN]]])
    assert made.visibility[:, 0].tolist() == [[Visibility.VISIBLE, Visibility.VISIBLE], [1, Visibility.ABSENT]]


def test_a_keypoint_that_most_call_absent_is_absent() -> None:
    frames = (LabeledImage("a.png"),) * 3
    position = np.array([[[1.0, 2.0]], [[NAN, NAN]], [[NAN, NAN]]])[:, None]
    made = one_per_image(Labels(("x",), frames, position, np.array([[[1]], [[3]], [[3]]]), annotator=("p", "q", "r")))
    assert made.visibility.ravel().tolist() == [Visibility.ABSENT]
    assert np.isnan(made.position).all()


def test_labels_of_one_annotator_stay_as_they_are() -> None:
    single = labels().of_annotator("p")
    assert one_per_image(single) is single
    assert annotator_distances(single).shape == (0, 1, 2)


def test_distances_between_annotators() -> None:
    np.testing.assert_array_equal(annotator_distances(labels()), [[[2.0, NAN]]])
