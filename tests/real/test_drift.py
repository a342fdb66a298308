"""Whether cameras have moved, by keypoints of recordings that others made."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.drift import check_drift
from calibration.errors import SuiteWarning
from calibration.formats import load_rig
from calibration.rig import Rig
from pose3d.formats import load_poses2d
from pose3d.reconstruction import match_cameras


def keypoints(
    rig_file: Path, poses: Path, confidence: float, **settings: str | float
) -> tuple[Rig, NDArray[np.float64]]:
    """The cameras, and (row, keypoint, camera, 2) of the first individual."""
    rig = load_rig(rig_file)
    poses2d, rig = match_cameras(load_poses2d([poses], rig=rig, **settings), rig)  # type: ignore[arg-type]  # names and numbers
    ordered = poses2d.transpose("time", "individual", "keypoint", "camera", "space", ...)
    sure = ordered["confidence"].values >= confidence
    return rig, np.where(sure[..., None], ordered["position"].values.astype(np.float64), np.nan)[:, 0]


@pytest.mark.filterwarnings("ignore::calibration.errors.SuiteWarning")
def test_a_camera_of_the_human_recording_does_not_fit_its_calibration(real_data: Path) -> None:
    """Camera 3 misses the others by 14 px, which agree to 5 to 7 px. Its pose from half of the keypoints, or of the
    frames, makes the other half agree to 7 px as well: that is no bias of a detector."""
    folder = real_data / "human_4cam"
    rig, pixels = keypoints(folder / "Calib_qualisys.toml", folder / "openpose_json", 0.3, frame_rate=60)
    drift = check_drift(rig, pixels)
    assert drift.moved == ("cam_03",)
    found = drift.cameras[2]
    assert found.certain
    assert found.start == 0
    assert found.before > 12.0
    assert found.after < 7.0
    assert 20.0 < found.shift < 40.0  # px
    again = check_drift(drift.rig, pixels)
    assert again.moved == ()


def test_the_mouse_from_behind_is_seen_elsewhere_and_that_is_no_move(real_data: Path) -> None:
    """A turn of the camera by 40 degrees explains it, for half of the keypoints; the others fit worse by it."""
    session = real_data / "mouse_4cam" / "minimal_session"
    with pytest.warns(SuiteWarning, match="the rig has no camera for .*side"):
        rig, pixels = keypoints(session / "calibration_3cam.toml", session, 1e-12, format="sleap-analysis")
    with pytest.warns(SuiteWarning, match="what back saw disagrees with the other cameras, but no new pose explains"):
        drift = check_drift(rig, pixels)
    assert drift.moved == ()
    assert drift.unexplained == ("back",)
