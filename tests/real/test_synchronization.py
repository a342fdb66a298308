"""Synchronization of real recordings: webcams with time stamps, and a person in four synchronized cameras."""

import warnings

import numpy as np
import pytest

from calibration.formats import load_rig
from calibration.synchronization import (
    MotionSettings,
    Timing,
    Track,
    read_timestamps,
    resample_positions,
    synchronize_motion,
    synchronize_timestamps,
    video_timing,
)
from pose3d.formats import load_poses2d
from pose3d.reconstruction import tracks_of_poses

BOARD = "charuco_4cam/charuco_calibration/calibration/extrinsic"
RECORDING = "charuco_4cam/4_cam_recording/recordings/recording_1/timestamps.csv"


def test_stamps_of_webcams_say_when_each_started(real_data):
    stamps = read_timestamps(real_data / BOARD / "timestamps.csv")
    assert sorted(stamps) == ["cam_0", "cam_1", "cam_2", "cam_3"]
    timing = {name: video_timing(real_data / BOARD / f"{name}.mp4") for name in stamps}
    names = sorted(stamps)
    sync = synchronize_timestamps(
        {name: stamps[name] for name in names},
        frame_rates={name: timing[name].frame_rate for name in names},
        counts={name: timing[name].count for name in names},
    )
    for clock in sync:
        # stamps scatter by 2.5 to 6 ms around the line, which knows the offset to 1 ms
        assert clock.timing.dropped == ()
        assert clock.timing.times is None
        assert abs(clock.offset) < 0.005
        assert clock.offset_std < 0.0015
        rest = stamps[clock.camera] - stamps["cam_0"][0] - clock.reference_time()
        assert np.abs(np.median(rest)) < 0.01


def test_frames_that_webcams_dropped_are_located(real_data):
    # The recorder grouped the frames as they came; the groups that lack a camera say where it dropped one.
    rows = np.genfromtxt(real_data / RECORDING, delimiter=",", names=True)
    sync = synchronize_timestamps(read_timestamps(real_data / RECORDING))
    for number, drops in ((0, 0), (1, 5), (2, 0), (3, 1)):
        own = np.sort(rows["sync_index"][rows["cam_id"] == number])
        missing = np.setdiff1d(np.arange(1549, 1818), own)
        found = sync[f"cam_{number}"].timing.dropped
        assert len(missing) == drops
        assert [count for _, count in found] == [1] * drops
        np.testing.assert_allclose([frame for frame, _ in found], np.searchsorted(own, missing), atol=1)


def test_a_webcam_that_loses_its_pace_keeps_its_own_times(real_data):
    stamps = read_timestamps(real_data / RECORDING)
    clock = synchronize_timestamps(stamps)["cam_1"]
    assert clock.timing.times is not None
    np.testing.assert_allclose(np.diff(clock.reference_time()), np.diff(stamps["cam_1"]), rtol=1e-6)


@pytest.fixture(scope="module")
def person(real_data):
    """The more confident person of every frame and camera, which is mostly the one in front."""
    rig = load_rig(real_data / "human_4cam/Calib_qualisys.toml")
    with warnings.catch_warnings(action="ignore"):
        poses = load_poses2d(real_data / "human_4cam/openpose_json", rig=rig, frame_rate=60.0)
    poses = poses.load()
    score = poses["confidence"].fillna(0).sum("keypoint")
    chosen = (
        poses.isel(individual=score.argmax("individual")).drop_vars("individual").expand_dims(individual=["person"])
    )
    timing = {name: Timing(60.0, 100) for name in rig.names}
    return rig, tracks_of_poses(chosen, timing, minimum_confidence=0.3)


def frames(sync):
    return np.array([clock.offset_frames for clock in sync])


def test_cameras_that_ran_together_are_found_together(person):
    # 1.7 s, detections that disagree by 7 to 13 px between views: half a frame, not the tenth of longer recordings
    rig, tracks = person
    found = synchronize_motion(tracks, rig, settings=MotionSettings(maximum_offset=0.5))
    assert np.abs(frames(found)).max() < 0.5
    assert all(clock.timing.dropped == () for clock in found)


@pytest.mark.parametrize("camera", ["cam_02", "cam_04"])
def test_a_camera_that_is_moved_by_three_frames_and_four_tenths_is_found_there(person, camera):
    rig, tracks = person
    settings = MotionSettings(maximum_offset=0.5, drift=False)
    before = synchronize_motion(tracks, rig, settings=settings)
    own = tracks[camera].timing.at()
    moved = resample_positions(tracks[camera].position, own, own + 3.4 / 60)
    after = synchronize_motion({**tracks, camera: Track(tracks[camera].timing, moved)}, rig, settings=settings)
    change = (after[camera].offset - before[camera].offset) * 60
    assert change == pytest.approx(3.4, abs=0.15)
