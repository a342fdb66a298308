"""Lenses of the real recordings beside what other tools say of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import loadmat

from calibration import load_rig
from calibration.boards import Board, Charuco, Chessboard
from calibration.boards.detection import detect_board
from calibration.intrinsics import LensCalibration, calibrate_lens

CHARUCO_4CAM = Charuco(4, 5, 54.0, dictionary="DICT_4X4_1000", inverted=True)
MOUSE = Charuco(8, 11, 24.0, marker=18.75, dictionary="DICT_4X4_1000")


def calibrate(images: list[NDArray[np.uint8]], board: Board, name: str) -> LensCalibration:
    position = np.stack([detect_board(image, board).position for image in images])
    height, width = images[0].shape
    return calibrate_lens(name, (width, height), position, board.points)


def pictures(folder: Path, pattern: str) -> list[NDArray[np.uint8]]:
    files = sorted(folder.glob(pattern))
    assert files
    return [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files]


def frames(path: Path, step: int) -> list[NDArray[np.uint8]]:
    video, found = cv2.VideoCapture(str(path)), []
    while True:
        fine, image = video.read()
        if not fine:
            return found[::step]
        found.append(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_focal_length_is_that_of_the_caltech_toolbox(side: str, real_data: Path) -> None:
    """14 views; the reference is 533.0 and 533.2 px."""
    found = calibrate(pictures(real_data / "stereo_chessboard", f"{side}*.jpg"), Chessboard(10, 7, 30.0), side)
    reference = loadmat(real_data / f"stereo_chessboard/Calib_Results_{side}.mat")["fc"].ravel()
    np.testing.assert_allclose(np.diag(found.lens.camera_matrix)[:2], reference, rtol=0.005)
    assert len(found.views) == 14
    assert found.rms < 0.3


@pytest.mark.parametrize("camera", [1, 2, 3, 4])
def test_the_focal_length_is_that_of_qualisys(camera: int, real_data: Path) -> None:
    """Seven views only: within 1 %, and it is said that they are few."""
    folder = real_data / f"human_4cam/intrinsics/int_cam0{camera}_img"
    found = calibrate(pictures(folder, "*.jpg"), Chessboard(5, 8, 60.0), f"cam_0{camera}")
    reference = load_rig(real_data / "human_4cam/Calib_qualisys.toml")[f"cam_0{camera}"].lens.camera_matrix
    np.testing.assert_allclose(np.diag(found.lens.camera_matrix), np.diag(reference), rtol=0.01)
    assert found.rms < 0.6
    assert any("record 20 or more" in text for text in found.warnings)


@pytest.mark.parametrize("camera", [0, 1, 2, 3])
def test_the_focal_length_is_near_caliscopes(camera: int, real_data: Path) -> None:
    """A board of 12 corners in a tenth of the image: as near as it is sure, and it is said that the rest is a guess.

    Neither is the truth: caliscope's comes from the same videos.
    """
    folder = real_data / "charuco_4cam/charuco_calibration"
    video = folder / f"calibration/extrinsic/cam_{camera}.mp4"
    found = calibrate(frames(video, step=2), CHARUCO_4CAM, f"cam_{camera}")
    reference = load_rig(folder / "camera_array.toml")[f"cam_{camera}"].lens.camera_matrix
    sigma = max(found.standard_deviations.get(name, 0.0) for name in ("f", "fx", "fy"))
    np.testing.assert_allclose(np.diag(found.lens.camera_matrix), np.diag(reference), rtol=0.01, atol=3 * sigma)
    assert sigma < 12.0
    assert found.rms < 0.3
    assert any("of the image only" in text for text in found.warnings)


@pytest.mark.parametrize(("camera", "tolerance"), [("back", 0.02), ("mid", 0.01), ("top", 0.025)])
def test_the_focal_length_is_near_sleap_anipose(camera: str, tolerance: float, real_data: Path) -> None:
    """Its model is one focal length and k1 with the principal point held: it predicts three times worse."""
    session = real_data / "mouse_4cam/minimal_session"
    found = calibrate(pictures(session / f"{camera}/calibration_images", "*.jpg"), MOUSE, camera)
    reference = load_rig(session / "calibration_3cam.toml")[camera].lens.camera_matrix[0, 0]
    assert found.lens.camera_matrix[0, 0] == pytest.approx(reference, rel=tolerance)
    assert found.rms < 0.3
