"""The first pose of the two cameras of J.-Y. Bouguet's stereo example, against the result of his own toolbox."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from calibration.boards.detection import detect_board
from calibration.boards.geometry import Chessboard
from calibration.extrinsics import estimate_extrinsics
from calibration.lens import BrownConrady
from calibration.transforms import matrix_from_rotation_vector, rotation_vector_from_matrix

FOLDER = "stereo_chessboard"
SIDES = ("left", "right")
BOARD = Chessboard(10, 7, 30.0)
# of the toolbox's stereo result, which refines the lenses jointly
TRANSLATION = np.array([-99.85, 0.82, 0.44])


def lens_of(path: Path) -> BrownConrady:
    values = loadmat(path)
    fc, cc, kc = (values[name].ravel() for name in ("fc", "cc", "kc"))
    return BrownConrady(np.array([[fc[0], 0, cc[0]], [0, fc[1], cc[1]], [0, 0, 1.0]]), kc)


def found_corners(folder: Path) -> NDArray[np.float64]:
    views = []
    for side in SIDES:
        for path in sorted(folder.glob(f"{side}[0-9]*.jpg")):
            picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            assert picture is not None
            views.append(detect_board(picture, BOARD).position)
    return np.array(views).reshape(2, -1, len(BOARD.points), 2)


def test_the_baseline_of_the_stereo_example_is_found(real_data: Path) -> None:
    folder = real_data / FOLDER
    position = found_corners(folder)
    lenses = [lens_of(folder / f"Calib_Results_{side}.mat") for side in SIDES]
    found = estimate_extrinsics(SIDES, [(640, 480)] * 2, lenses, position, BOARD)
    pose = found.rig.cameras[1].cam_from_world
    assert np.abs(pose.translation - TRANSLATION).max() < 1.5
    assert found.status == "ok"
    assert found.pairs[0].support == found.pairs[0].frames >= 12
    # every view's own pose by the toolbox
    rotations = []
    for side in SIDES:
        values = loadmat(folder / f"Calib_Results_{side}.mat")
        rotations.append([matrix_from_rotation_vector(values[f"omc_{view}"].ravel()) for view in range(1, 15)])
    off = [
        np.linalg.norm(rotation_vector_from_matrix(right @ left.T @ pose.rotation.T))
        for left, right in zip(*rotations, strict=True)
    ]
    assert np.rad2deg(np.median(off)) < 0.3
