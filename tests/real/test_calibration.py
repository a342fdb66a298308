"""Calibrations of real recordings against printed squares and what other programs made of the same pictures."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from calibration import load_rig
from calibration.boards import Chessboard
from calibration.boards.files import load_board
from calibration.diagnosis import Diagnosis, diagnose
from calibration.errors import SuiteWarning
from calibration.observations import ObservationSettings, detect_corners, find_sources
from calibration.rig_calibration import Calibration, calibrate


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSE3D_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))


def run(*arguments: object, **options: object) -> tuple[Calibration, Diagnosis]:
    """Calibrate from pictures; what is noticed on the way is in the result, too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SuiteWarning)
        corners = detect_corners(*arguments, **options)  # type: ignore[arg-type]  # passed on as given
        calibration = calibrate(corners)
    return calibration, diagnose(calibration)


def test_stereo_chessboard_is_what_the_caltech_toolbox_found(real_data: Path) -> None:
    calibration, diagnosis = run(find_sources(real_data / "stereo_chessboard"), Chessboard(10, 7, 30.0))
    left = calibration.rig["left"].lens.camera_matrix
    np.testing.assert_allclose([left[0, 0], left[1, 1]], [533.0, 533.2], rtol=0.005)
    relative = calibration.rig["right"].cam_from_world @ calibration.rig["left"].cam_from_world.inverse()
    assert float(np.linalg.norm(relative.translation)) == pytest.approx(np.linalg.norm([-99.85, 0.82, 0.44]), abs=0.5)
    assert diagnosis.used.rms < 0.3
    assert diagnosis.held_out is not None
    assert diagnosis.held_out.rms < 0.3


def test_squares_of_54_mm_measure_54_mm_although_the_cameras_were_apart_in_time(real_data: Path) -> None:
    folder = real_data / "charuco_4cam" / "charuco_calibration"
    videos = folder / "calibration" / "extrinsic"
    calibration, diagnosis = run(
        find_sources(videos), load_board(folder / "charuco.toml"), timestamps=videos / "timestamps.csv"
    )
    assert diagnosis.lengths is not None
    assert diagnosis.lengths.mean_length == pytest.approx(54.0, abs=0.3)
    assert diagnosis.used.rms < 0.5
    assert diagnosis.held_out is not None
    assert diagnosis.held_out.rms < 0.5
    # webcams: cam_1 is a tenth of a second late, which nobody had noticed
    assert calibration.clocks is not None
    np.testing.assert_allclose(calibration.clocks.offsets, [0.0, -0.122, 0.025, 0.025], atol=0.015)
    # caliscope's result, which knows nothing of the clocks, is in meters
    others = load_rig(folder / "camera_array.toml")
    for ours, theirs in zip(calibration.rig, others, strict=True):
        assert ours.lens.camera_matrix[0, 0] == pytest.approx(theirs.lens.camera_matrix[0, 0], rel=0.03)
    to_ours, to_theirs = calibration.rig.cameras[0].cam_from_world, others.cameras[0].cam_from_world
    for ours, theirs in zip(calibration.rig, others, strict=True):
        distance = np.linalg.norm(to_ours(ours.center))
        assert distance == pytest.approx(1000 * np.linalg.norm(to_theirs(theirs.center)), rel=0.03, abs=1e-6)


def test_lenses_of_human_4cam_are_those_of_qualisys(real_data: Path) -> None:
    session = real_data / "human_4cam"
    settings = ObservationSettings(synchronized=False)
    sources = find_sources(session / "intrinsics")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SuiteWarning)
        corners = detect_corners(sources, Chessboard(5, 8, 60.0), settings=settings)
        reference = load_rig(session / "Calib_qualisys.toml")
    for name, theirs in zip(map(str, corners["camera"].values), reference, strict=True):
        own = corners.sel(camera=[name])
        ours = calibrate(own.isel(frame=own["position"].notnull().any(("camera", "corner", "space")).values))
        focal = ours.rig.cameras[0].lens.camera_matrix[0, 0]
        assert focal == pytest.approx(theirs.lens.camera_matrix[0, 0], rel=0.01)


def test_photographs_of_the_mouse_rig_make_the_rig_that_anipose_made(real_data: Path) -> None:
    session = real_data / "mouse_4cam" / "minimal_session"
    others = load_rig(session / "calibration_3cam.toml", unit="mm")
    sources = [f"{name}={session / name / 'calibration_images' / '*.jpg'}" for name in others.names]
    calibration, diagnosis = run(find_sources(sources), load_board(session / "board.toml"))
    assert diagnosis.used.rms < 0.3
    assert diagnosis.lengths is not None
    assert diagnosis.lengths.mean_length == pytest.approx(24.0, abs=0.1)
    first, second = (rig.cameras for rig in (calibration.rig, others))
    for a, b in ((0, 1), (0, 2), (1, 2)):
        ours = np.linalg.norm(first[a].center - first[b].center)
        assert ours == pytest.approx(np.linalg.norm(second[a].center - second[b].center), rel=0.05)
