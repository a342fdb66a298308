"""2D poses of cameras with clocks of their own, brought to common instants."""

import numpy as np
import pytest

from calibration.errors import MismatchError, SuiteWarning
from calibration.synchronization import Clock, Synchronization, Timing
from calibration.synthetic import make_rig
from pose3d.datasets import POSES2D, poses2d
from pose3d.reconstruction import apply_synchronization, camera_frames, tracks_of_poses, triangulate

RATE, COUNT = 50.0, 200


def path(times):
    """(time, 4, 3) points on curves of up to 1.5 m/s and 15 m/s^2."""
    phase = np.arange(4) * 0.8
    angle = 2 * np.pi * times[:, None] + phase
    return 150 * np.stack([np.sin(angle), np.cos(1.3 * angle), np.sin(0.7 * angle + 1)], axis=-1)


@pytest.fixture(scope="module")
def recording():
    """Poses of three cameras of which two run apart, the clocks, and the rig."""
    rig = make_rig(3, seed=2)
    clocks = (
        Clock("cam_1", Timing(RATE, COUNT)),
        Clock("cam_2", Timing(RATE, COUNT, ((80, 2),)), offset=0.333 / RATE, rate=1 + 50e-6),
        Clock("cam_3", Timing(RATE, COUNT), offset=-2.5 / RATE),
    )
    pixels = [rig[clock.camera].project(path(clock.reference_time())) for clock in clocks]
    position = np.stack(pixels, axis=1)[:, :, None]
    dataset = poses2d(
        position, cameras=rig.names, individuals=["a"], keypoints=[f"k{i}" for i in range(4)], frame_rate=RATE
    )
    return dataset, Synchronization(clocks, "cam_1"), rig


def test_rays_meet_once_the_clocks_are_applied(recording):
    poses, sync, rig = recording
    together = apply_synchronization(poses, sync)
    assert together["position"].dims == POSES2D.variables["position"].dims
    np.testing.assert_array_equal(together["position"].sel(camera="cam_1"), poses["position"].sel(camera="cam_1"))
    np.testing.assert_array_equal(together["frame"], poses["frame"])
    solid = triangulate(together, rig)["position"].isel(individual=0).transpose("time", "keypoint", "space")
    error = np.linalg.norm(solid.values - path(np.arange(COUNT) / RATE), axis=-1)
    # straight beside the ends and the gap, where a curve has no fourth frame: 0.36 mm; 0.01 mm elsewhere
    assert np.nanmax(error) < 0.5
    assert np.nanpercentile(error, 95) < 0.02
    apart = triangulate(poses, rig)["position"].isel(individual=0).transpose("time", "keypoint", "space")
    assert np.nanmedian(np.linalg.norm(apart.values - path(np.arange(COUNT) / RATE), axis=-1)) > 5


def test_the_frame_of_a_file_that_belongs_to_an_instant_is_known(recording):
    """The numbers with which overlays find the picture of a pose."""
    poses, sync, _ = recording
    together, file = apply_synchronization(poses, sync), np.arange(COUNT) / RATE
    np.testing.assert_array_equal(camera_frames(together, "cam_1", file), np.arange(COUNT))
    second = camera_frames(together, "cam_2", file)
    # a third of a frame late: the nearest has the same number until two are dropped, and none is near these
    np.testing.assert_array_equal(second[:80], np.arange(80))
    assert (second[80:82] == -1).all()
    np.testing.assert_array_equal(second[82:], np.arange(80, COUNT - 2))
    third = camera_frames(together, "cam_3", file)
    assert set(third[:3] - np.arange(3)) <= {2, 3}
    assert (third[-2:] == -1).all()
    np.testing.assert_array_equal(camera_frames(poses, "cam_3", file[:150]), [*range(150), *[-1] * 50])


def test_irregular_frames_are_found_by_the_times_of_the_file(recording):
    poses, sync, _ = recording
    times = np.arange(COUNT) / RATE
    times[50:] += 0.04
    clocks = (sync["cam_1"], sync["cam_2"], Clock("cam_3", Timing(RATE, COUNT, times=times)))
    third = camera_frames(apply_synchronization(poses, Synchronization(clocks, "cam_1")), "cam_3", times + 7)
    np.testing.assert_array_equal(third[:50], np.arange(50))
    np.testing.assert_array_equal(third[60:], np.arange(60, COUNT) - np.array([2] * 140))


def test_what_was_not_filmed_is_missing(recording):
    poses, sync, _ = recording
    seen = np.isfinite(apply_synchronization(poses, sync)["position"].values[:, :, 0, 0, 0])
    assert seen[:, 0].all()
    # frames 80 and 81 of the second camera's count were dropped, and it starts a third of a frame late
    np.testing.assert_array_equal(np.flatnonzero(~seen[:, 1]), [0, 80, 81, 82])
    np.testing.assert_array_equal(np.flatnonzero(~seen[:, 2]), [197, 198, 199])


def test_a_dropped_frame_of_the_reference_keeps_its_time(recording):
    poses, sync, rig = recording
    moved = sync.with_reference("cam_2")
    together = apply_synchronization(poses, moved)
    steps = np.diff(together["time"].values) * RATE
    assert steps[79] == pytest.approx(3)
    solid = triangulate(together, rig)
    np.testing.assert_array_equal(solid["time"], together["time"])
    assert "cam_2" in together.attrs["synchronization"]


def test_cameras_that_run_together_keep_their_numbers(recording):
    poses, _, _ = recording
    clocks = tuple(Clock(name, Timing(RATE, COUNT)) for name in ("cam_1", "cam_2", "cam_3"))
    together = apply_synchronization(poses, Synchronization(clocks, "cam_1"))
    np.testing.assert_array_equal(together["position"], poses["position"])


def test_clocks_of_another_recording_are_refused(recording):
    poses, sync, _ = recording
    with pytest.raises(MismatchError, match="cam_3"):
        apply_synchronization(poses, Synchronization(sync.clocks[:2], "cam_1"))
    short = tuple(Clock(name, Timing(RATE, 50)) for name in ("cam_1", "cam_2", "cam_3"))
    with pytest.raises(MismatchError, match="at most 50 frames"):
        apply_synchronization(poses, Synchronization(short, "cam_1"))
    with pytest.raises(MismatchError, match="at most 50 frames"):
        tracks_of_poses(poses, {"cam_1": Timing(RATE, 50)})


def test_recordings_that_do_not_overlap_are_told(recording):
    poses, sync, _ = recording
    far = (*sync.clocks[:2], Clock("cam_3", Timing(RATE, COUNT), offset=100.0))
    with pytest.warns(SuiteWarning, match="camera cam_3"):
        apply_synchronization(poses, Synchronization(far, "cam_1"))


def test_tracks_are_rows_of_the_video(recording):
    poses, _, _ = recording
    doubtful = poses.copy(deep=True)
    doubtful["confidence"][5, 0, 0, 1] = 0.1
    tracks = tracks_of_poses(doubtful.isel(time=slice(3, 50)), {"cam_1": Timing(RATE, 60)}, minimum_confidence=0.5)
    position = tracks["cam_1"].position
    assert position.shape == (60, 4, 2)
    assert np.isnan(position[[0, 2, 50, 59]]).all()
    assert np.isnan(position[5, 1]).all()
    np.testing.assert_array_equal(position[10], poses["position"].values[10, 0, 0])
