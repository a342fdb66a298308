"""Whole calibrations of real recordings, from pictures to the rig, beside what is known of them from elsewhere.

The figures, and those of the tools that made the recordings, are on docs/accuracy.md; limits leave about a tenth of
room, unless a requirement is what they are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from calibration import load_rig
from calibration.boards import Charuco, Chessboard
from calibration.diagnosis import diagnose
from calibration.findings import Level
from calibration.observations import ObservationSettings, detect_corners, find_sources
from calibration.rig_calibration import calibrate
from calibration.transforms import rotation_vector_from_matrix
from calibration.verdict import judge

MOUSE = Charuco(8, 11, 24.0, marker=18.75, dictionary="DICT_4X4_1000")


def test_the_stereo_example_comes_out_as_by_the_toolbox(real_data: Path) -> None:
    """14 pairs of pictures. The toolbox's stereo result: T = (-99.85, 0.82, 0.44), om = (0.0067, 0.0045, -0.0035)."""
    folder = real_data / "stereo_chessboard"
    corners = detect_corners(find_sources(folder), Chessboard(10, 7, 30.0), workers=1, cache=False)
    found = calibrate(corners)
    for side in ("left", "right"):
        reference = loadmat(folder / f"Calib_Results_{side}.mat")["fc"].ravel()
        np.testing.assert_allclose(np.diag(found.rig[side].lens.camera_matrix)[:2], reference, rtol=0.005)
    pose = found.rig["right"].cam_from_world
    np.testing.assert_allclose(pose.translation, [-99.85, 0.82, 0.44], atol=0.5)
    assert np.linalg.norm(pose.translation) == pytest.approx(99.85, abs=0.1)
    turned = np.array([0.0067, 0.0045, -0.0035])
    np.testing.assert_allclose(rotation_vector_from_matrix(pose.rotation), turned, atol=1e-3)
    diagnosis = diagnose(found)
    assert diagnosis.used.rms < 0.21
    assert diagnosis.held_out is not None
    assert diagnosis.held_out.rms < 0.22
    assert diagnosis.used.count == 2 * 14 * 54
    assert diagnosis.lengths is not None
    assert diagnosis.lengths.mean_length == pytest.approx(30.0, abs=0.02)
    # Heights of 0.56 mm have twice the squares that chance gives them; 14 frames tell a bend from five times on.
    assert found.bend == 0.0
    assert judge(diagnosis, found).level == Level.LOOK


def test_webcams_whose_clocks_are_apart_make_a_right_rig(real_data: Path) -> None:
    """The table of the recorder matches pictures that are up to 150 ms apart; the motion of the board tells so."""
    folder = real_data / "charuco_4cam/charuco_calibration/calibration/extrinsic"
    board = Charuco(4, 5, 54.0, marker=40.5, dictionary="DICT_4X4_1000", inverted=True)
    corners = detect_corners(find_sources(folder), board, timestamps=folder / "timestamps.csv", workers=1, cache=False)
    found = calibrate(corners)
    assert found.clocks is not None
    np.testing.assert_allclose(found.clocks.offsets, [0.0, -0.122, 0.025, 0.025], atol=0.005)
    diagnosis = diagnose(found)
    assert diagnosis.used.rms < 0.5
    assert diagnosis.used.outliers < 0.03
    assert diagnosis.held_out is not None
    assert diagnosis.held_out.rms < 0.5
    assert diagnosis.lengths is not None
    assert diagnosis.lengths.mean_length == pytest.approx(54.0, abs=0.1)  # 0.3 is asked for
    assert diagnosis.lengths.rms < 0.25
    # another tool, with pictures taken for simultaneous: focal lengths to 2 %, distances to 2 %
    reference = load_rig(real_data / "charuco_4cam/charuco_calibration/camera_array.toml")
    for camera in found.rig:
        theirs = reference[camera.name]
        ratio = camera.lens.camera_matrix[0, 0] / theirs.lens.camera_matrix[0, 0]
        assert ratio == pytest.approx(1.0, abs=0.02)
        if camera.name != "cam_0":
            distance = np.linalg.norm(theirs.center - reference["cam_0"].center) * 1000
            assert np.linalg.norm(camera.center - found.rig["cam_0"].center) == pytest.approx(distance, rel=0.02)
    verdict = judge(diagnosis, found)
    assert verdict.level == Level.LOOK
    assert any("not taken at the same instants" in text for text in found.warnings)


@pytest.mark.parametrize("camera", [1, 2, 3, 4])
def test_lenses_of_few_pictures_are_those_of_qualisys(camera: int, real_data: Path) -> None:
    folder = real_data / "human_4cam"
    source = find_sources([f"cam={folder / 'intrinsics' / f'int_cam0{camera}_img' / '*.jpg'}"])
    settings = ObservationSettings(synchronized=False)
    corners = detect_corners(source, Chessboard(5, 8, 60.0), settings=settings, workers=1, cache=False)
    found = calibrate(corners)
    reference = load_rig(folder / "Calib_qualisys.toml").cameras[camera - 1].lens.camera_matrix
    ours = found.rig.cameras[0].lens.camera_matrix
    np.testing.assert_allclose(np.diag(ours)[:2], np.diag(reference)[:2], rtol=0.005)  # 1 % is asked for
    assert found.lenses["cam"].rms < 0.21
    assert any("record 20 or more" in text for text in found.warnings)
    assert judge(diagnose(found), found).level >= Level.UNKNOWN


def test_the_mouse_rig_measures_the_board_better_than_that_of_its_makers(real_data: Path) -> None:
    """21 pictures of a board that is bent by 1.3 mm; their lens model is one focal length and k1."""
    session = real_data / "mouse_4cam/minimal_session"
    names = ("back", "mid", "top", "side")
    sources = find_sources([f"{name}={session / name / 'calibration_images' / '*.jpg'}" for name in names])
    corners = detect_corners(sources, MOUSE, settings=ObservationSettings(still=0), workers=1, cache=False)
    found = calibrate(corners)
    diagnosis = diagnose(found)
    assert diagnosis.used.rms < 0.23
    assert diagnosis.held_out is not None
    assert diagnosis.held_out.rms < 0.25
    assert diagnosis.lengths is not None
    assert diagnosis.lengths.mean_length == pytest.approx(24.0, abs=0.01)
    assert diagnosis.lengths.rms < 0.06  # theirs: 0.13
    assert 1.0 < found.bend < 1.6
    reference = load_rig(session / "calibration_3cam.toml")
    for name in reference.names[1:]:
        first = reference.names[0]
        relative = [
            rig[name].cam_from_world.rotation @ rig[first].cam_from_world.rotation.T for rig in (found.rig, reference)
        ]
        turned = np.linalg.norm(rotation_vector_from_matrix(relative[0] @ relative[1].T))
        assert np.rad2deg(turned) < 0.8
        distances = [np.linalg.norm(rig[name].center - rig[first].center) for rig in (found.rig, reference)]
        assert distances[0] == pytest.approx(distances[1], rel=0.012)
