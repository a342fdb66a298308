"""BlazePose: its geometry, and files that are not its models. The models themselves are not part of this repository."""

from pathlib import Path

import numpy as np
import pytest

from calibration.errors import FileFormatError
from pose3d.detection import BlazePoseDetector, _blazepose_geometry
from pose3d.detection._blazepose_geometry import Window, anchors, best_person, cut, decode_landmarks, window_around
from pose3d.detection.blazepose import LANDMARKS


def test_landmarks_have_names_of_their_own_in_mirrored_pairs() -> None:
    assert len(set(LANDMARKS)) == 33
    assert (LANDMARKS[0], LANDMARKS[2], LANDMARKS[11], LANDMARKS[32]) == (
        "nose",
        "left_eye",
        "left_shoulder",
        "right_foot_index",
    )
    for name in LANDMARKS:
        if name.startswith("left_"):
            assert name.replace("left_", "right_") in LANDMARKS


def test_the_detector_has_an_anchor_per_output() -> None:
    centers = anchors()
    assert centers.shape == (2254, 2)
    np.testing.assert_allclose(centers[:4], [[0.5 / 28, 0.5 / 28]] * 2 + [[1.5 / 28, 0.5 / 28]] * 2, atol=1e-6)
    assert ((centers > 0) & (centers < 1)).all()


def test_an_upright_person_has_an_upright_window_and_a_lying_one_a_turned_one() -> None:
    upright = window_around(np.array([100.0, 200.0]), np.array([100.0, 120.0]))
    assert (upright.center, upright.angle) == ((100.0, 200.0), 0.0)
    assert upright.side == pytest.approx(2 * 1.25 * 80)
    lying = window_around(np.array([100.0, 200.0]), np.array([180.0, 200.0]))  # the head is to the right
    assert lying.angle == pytest.approx(np.pi / 2)


@pytest.mark.parametrize("angle", [0.0, 0.7, -2.0])
def test_landmarks_found_in_a_window_are_where_they_are_in_the_image(angle: float) -> None:
    window = Window((300.0, 200.0), 200.0, angle)
    image = np.zeros((400, 600, 3), dtype=np.uint8)
    y, x = np.mgrid[:400, :600]
    image[np.hypot(x - 330, y - 180) < 6] = 255
    seen = cut(image, window)[0, ..., 0]
    rows, columns = np.mgrid[:256, :256]
    point = np.array([(columns * seen).sum(), (rows * seen).sum()]) / seen.sum() + 0.5
    raw = np.array([[*point, 0.0, 9.0, 9.0]], dtype=np.float32)
    position, confidence = decode_landmarks(raw, np.full((64, 64, 1), -9.0, np.float32), window)
    np.testing.assert_allclose(position[0], [330, 180], atol=0.1)
    assert confidence[0] > 0.99


def test_the_person_nearest_to_where_one_was_is_taken() -> None:
    centers = anchors()
    scores = np.full(2254, -9.0, dtype=np.float32)
    boxes = np.zeros((2254, 12), dtype=np.float32)
    near_middle = int(np.abs(centers - 0.5).sum(axis=1).argmin())
    scores[near_middle], scores[0] = 1.0, 3.0
    boxes[[0, near_middle], 7] = -30.0  # the circle around the body
    surest = best_person(boxes, scores, centers, None)
    nearest = best_person(boxes, scores, centers, np.array([110.0, 110.0]))
    assert surest is not None
    assert nearest is not None
    np.testing.assert_allclose(surest[0], centers[0] * 224, atol=1e-3)
    np.testing.assert_allclose(nearest[0], centers[near_middle] * 224, atol=1e-3)
    assert best_person(boxes, scores - 9, centers, None) is None


def test_a_heatmap_moves_a_landmark_to_its_peak() -> None:
    heatmap = np.full((64, 64), -9.0, dtype=np.float32)
    heatmap[20, 31] = 9.0
    moved = _blazepose_geometry._refined(np.array([121.0, 82.0]), heatmap, 4.0)
    np.testing.assert_allclose(moved, [124, 80], atol=0.1)
    unsure = _blazepose_geometry._refined(np.array([121.0, 82.0]), heatmap - 10, 4.0)
    np.testing.assert_array_equal(unsure, [121, 82])


def test_missing_files_are_named_with_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"got no pose_landmark_full.tflite and pose_detection.tflite.*npm pack"):
        BlazePoseDetector(tmp_path)
    for name in ("pose_detection.tflite", "pose_landmark_lite.tflite"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(FileFormatError, match="got no such file or folder"):
        BlazePoseDetector(tmp_path / "pose_landmark_ful.tflite")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and more", b"\x1c\x00\x00\x00TFL3" + b"\x00" * 64])
def test_a_file_that_is_no_model_is_an_error_in_words(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("ai_edge_litert")
    for name in ("pose_detection.tflite", "pose_landmark_lite.tflite"):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FileFormatError, match=r"expected a \.tflite model of BlazePose"):
        BlazePoseDetector(tmp_path)
