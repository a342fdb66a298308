"""The boards of the real recordings: what is found of them, and that their corners are in one order."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.boards import Charuco, Chessboard, Detection, detect_board, guess_board, load_board

CALIBRATION = "charuco_4cam/charuco_calibration"
MOUSE = "mouse_4cam/minimal_session"


def _gray(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    return np.asarray(image, dtype=np.uint8)


def _frames(path: Path, every: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    video, number = cv2.VideoCapture(str(path)), 0
    while True:
        read, frame = video.read()
        if not read:
            return
        if number % every == 0:
            yield number, np.asarray(frame, dtype=np.uint8)
        number += 1


def _rms(detections: list[Detection], board: Chessboard | Charuco, size: tuple[int, int]) -> tuple[float, float]:
    """What OpenCV's lens model leaves, px, and the focal length."""
    objects = [board.points[found.seen].astype(np.float32) for found in detections]
    places = [found.position[found.seen].astype(np.float32) for found in detections]
    rms, matrix, *_ = cv2.calibrateCamera(objects, places, size, None, None)  # type: ignore[call-overload]
    return float(rms), float(matrix[0, 0])


def test_the_stereo_chessboard_is_found_in_every_picture_and_never_turned(real_data: Path) -> None:
    board = Chessboard(10, 7, 30.0)
    folder = real_data / "stereo_chessboard"
    sides = {}
    for side, focal in (("left", 533.0), ("right", 533.2)):
        sides[side] = [detect_board(_gray(path), board) for path in sorted(folder.glob(f"{side}*.jpg"))]
        assert len(sides[side]) == 14
        assert all(detection.seen.all() for detection in sides[side])
        rms, found = _rms(sides[side], board, (640, 480))
        assert rms < 0.21
        assert found == pytest.approx(focal, rel=0.01)
    # A board that is turned in one camera only gives 45 px here; the two cameras stand side by side.
    points = [board.points.astype(np.float32)] * 14
    left, right = ([found.position.astype(np.float32) for found in sides[side]] for side in ("left", "right"))
    cameras = [cv2.calibrateCamera(points, place, (640, 480), None, None)[1:3] for place in (left, right)]  # type: ignore[call-overload]
    rms, *_, translation, _, _ = cv2.stereoCalibrate(
        points, left, right, *cameras[0], *cameras[1], (640, 480), flags=cv2.CALIB_FIX_INTRINSIC
    )
    assert rms < 0.3
    assert translation.ravel() == pytest.approx([-99.85, 0.82, 0.44], abs=1.0)


@pytest.mark.parametrize("camera", [1, 2, 3, 4])
def test_the_chessboards_of_the_human_cameras_are_found(camera: int, real_data: Path) -> None:
    board = Chessboard(8, 5, 60.0)
    paths = sorted((real_data / f"human_4cam/intrinsics/int_cam0{camera}_img").glob("*.jpg"))
    found = [detection for path in paths if (detection := detect_board(_gray(path), board)).found]
    # one picture of three of the cameras does not show the whole board
    assert len(found) == (7 if camera == 1 else 6)
    rms, _ = _rms(found, board, (1088, 1920))
    assert rms < 0.35


@pytest.mark.parametrize("camera", ["back", "mid", "side", "top"])
def test_the_charuco_board_of_the_mouse_is_found_in_every_picture(camera: str, real_data: Path) -> None:
    board = load_board(real_data / MOUSE / "board.toml")
    assert isinstance(board, Charuco)
    paths = sorted((real_data / MOUSE / camera / "calibration_images").glob("*.jpg"))
    found = [detect_board(_gray(path), board) for path in paths]
    assert len(found) == 21
    assert all(detection.found for detection in found)
    assert np.mean([detection.seen.mean() for detection in found]) > 0.95
    rms, _ = _rms(found, board, (1280, 1024))
    assert rms < 0.5


def test_the_inverted_board_is_found_wherever_it_is_held_up(real_data: Path) -> None:
    board = load_board(real_data / CALIBRATION / "charuco.toml")
    for camera, least in ((0, 7), (1, 5), (2, 7), (3, 7)):
        path = real_data / CALIBRATION / f"calibration/extrinsic/cam_{camera}.mp4"
        found = [detection for _, frame in _frames(path, 6) if (detection := detect_board(frame, board)).found]
        assert len(found) >= least
        assert all(detection.inverted for detection in found)
        assert np.mean([detection.seen.mean() for detection in found]) > 0.9


def test_the_inverted_board_is_recognized_when_it_is_named_wrongly(real_data: Path) -> None:
    path = real_data / CALIBRATION / "calibration/extrinsic/cam_2.mp4"
    frames = [frame for number, frame in _frames(path, 1) if number in (78, 84, 90)]
    guess = guess_board(frames, Charuco(5, 4, 54.0))
    assert isinstance(guess.board, Charuco)
    assert (guess.board.columns, guess.board.rows, guess.board.inverted) == (4, 5, True)
    assert "columns and rows are exchanged, inverted is true" in guess.message


def test_the_stereo_chessboard_is_recognized_when_its_inner_corners_are_given(real_data: Path) -> None:
    pictures = [_gray(real_data / f"stereo_chessboard/left0{number}.jpg") for number in (1, 2, 3)]
    guess = guess_board(pictures, Chessboard(9, 6, 30.0))
    assert guess.board == Chessboard(10, 7, 30.0)
    assert "9 x 6 inner corners" in guess.message
