"""Cameras refined by the keypoints of one small animal: repaired where they are off, left alone where they are good."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.bundle import CameraPrior
from calibration.errors import CalibrationError, InvalidValueError
from calibration.rig import Rig
from calibration.synthetic.volume import volume_errors
from calibration.transforms import RigidTransform
from pose3d.pipeline import RefinementSettings, refine_rig, refinement
from pose3d.synthetic import SimulationSettings, simulate


def recording(cameras, seed, duration=1.0):
    """One animal of 80 mm in the middle of cameras 1.1 m away, with guessed keypoints, outliers and gaps."""
    return simulate(
        SimulationSettings(cameras=cameras, duration=duration, size=(640, 480), focal_length=700.0, seed=seed)
    )


def disturbed(rig, degrees, millimeters, seed=0):
    """Every camera turned and shifted in a random direction."""
    rng = np.random.default_rng(seed)
    cameras = []
    for camera in rig:
        turn, shift = (vector / np.linalg.norm(vector) for vector in rng.normal(size=(2, 3)))
        move = RigidTransform.from_rotation_vector(np.deg2rad(degrees) * turn, millimeters * shift)
        cameras.append(replace(camera, cam_from_world=move @ camera.cam_from_world))
    return Rig(tuple(cameras), unit=rig.unit)


def error(true, estimated, radius=80.0):
    """RMS error of positions in the volume, mm."""
    return float(np.sqrt((volume_errors(true, estimated, radius=radius) ** 2).mean()))


@pytest.mark.parametrize(("cameras", "seed"), [(3, 1), (4, 2)])
def test_a_good_rig_stays_as_it_is_and_that_is_said(cameras, seed):
    scene = recording(cameras, seed)
    found = refine_rig(scene.rig, scene.poses2d)
    assert not found.accepted
    assert "do not fit better" in found.reason
    assert found.rig is scene.rig
    # what it would have moved is within what is known of the cameras
    assert all(move.rotation[0] < np.deg2rad(0.4) for move in found.moves)


@pytest.mark.parametrize(("cameras", "seed"), [(3, 3), (6, 4)])
def test_a_rig_off_by_a_degree_and_5_mm_is_repaired(cameras, seed):
    scene = recording(cameras, seed)
    before = disturbed(scene.rig, 1.0, 5.0, seed)
    found = refine_rig(before, scene.poses2d)
    assert found.accepted
    assert "fit better" in found.reason
    assert np.median(found.after) < 0.5 * np.median(found.before)
    assert np.all(found.after < 1.5)  # px; the detector's own noise is 1
    for radius in (80.0, 250.0):
        assert error(scene.rig, found.rig, radius) < 0.6 * error(scene.rig, before, radius)


def test_the_move_of_a_camera_is_told_with_its_uncertainty():
    scene = recording(4, 5)
    turn = RigidTransform.from_rotation_vector(np.deg2rad([0.0, 1.0, 0.0]), np.zeros(3))
    last = scene.rig.cameras[-1]
    before = Rig(
        (*scene.rig.cameras[:-1], replace(last, cam_from_world=turn @ last.cam_from_world)), unit=scene.rig.unit
    )
    moves = refine_rig(before, scene.poses2d).moves
    assert [move.name for move in moves] == list(scene.rig.names)
    *others, moved = moves
    assert moved.rotation[0] == pytest.approx(np.deg2rad(1.0), abs=3 * moved.rotation[1])
    assert 0 < moved.rotation[1] < np.deg2rad(0.2)  # points and calibration together know more than each
    assert all(move.rotation[0] < 0.3 * moved.rotation[0] for move in others)


def test_a_prior_that_is_sure_holds_the_cameras():
    scene = recording(3, 1)
    before = disturbed(scene.rig, 1.0, 5.0)
    labels = tuple((name, each) for name in before.names for each in ("rx", "ry", "rz", "tx", "ty", "tz"))
    sure = CameraPrior(before, labels, np.diag(np.tile([1e-7] * 3 + [1e-4] * 3, 3)) ** 2)
    moves = refine_rig(before, scene.poses2d, prior=sure).moves
    assert max(move.rotation[0] for move in moves) < np.deg2rad(0.02)


def test_a_fit_that_has_not_ended_changes_nothing(monkeypatch):
    scene = recording(3, 3)
    before = disturbed(scene.rig, 1.0, 5.0, 3)
    monkeypatch.setattr(refinement, "_FIT", replace(refinement._FIT, maximum_iterations=1, gradient_tolerance=1e-9))
    found = refine_rig(before, scene.poses2d)
    assert not found.accepted
    assert "has not come to its end" in found.reason
    assert found.rig is before


def test_too_few_frames_to_leave_some_out_change_nothing():
    scene = recording(4, 2)
    found = refine_rig(disturbed(scene.rig, 1.0, 5.0), scene.poses2d.isel(time=slice(4)))
    assert not found.accepted
    assert "fewer than 5 frames" in found.reason


def test_poses_of_other_cameras_are_refused():
    scene = recording(3, 1)
    strange = scene.poses2d.copy()
    strange["position"] = strange["position"] * np.nan
    with pytest.raises(CalibrationError, match="agree on"):
        refine_rig(scene.rig, strange)


@pytest.mark.parametrize("wrong", [{"rotation": 0.0}, {"position": float("nan")}, {"blocks": 1}, {"gain": 1.0}])
def test_settings_out_of_range_are_named(wrong):
    with pytest.raises(InvalidValueError, match=next(iter(wrong))):
        RefinementSettings(**wrong)
