"""Clocks from moving points: simulated cameras whose offset, drift and dropped frames are known."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from calibration.boards import Charuco
from calibration.corners import corners
from calibration.errors import CalibrationError, MismatchError, SuiteWarning
from calibration.synchronization import (
    MotionSettings,
    Synchronization,
    Timing,
    Track,
    synchronize_motion,
    tracks_of_corners,
    verify,
)
from calibration.synthetic import make_rig

RATE = 60.0


def make_paths(points, seed, fastest=2.5):
    """(time,) -> (time, point, 3): smooth random paths, periods from 0.4 s on."""
    rng = np.random.default_rng(seed)
    frequency = rng.uniform(0.1, fastest, (40, 1, 1))
    size = 240 * rng.normal(size=(40, points, 3)) / np.sqrt(40) / (1 + frequency)
    phase = rng.uniform(0, 2 * np.pi, (40, points, 3))
    center = 45 * rng.normal(size=(points, 3))

    def at(times):
        return (np.sin(2 * np.pi * frequency * times[:, None, None, None] + phase) * size).sum(1) + center

    return at


def record(rig, offsets, *, count=600, drifts=None, drops=None, points=6, noise=1.0, bias=0.0, seed=0, paths=None):
    """Tracks of the cameras as detectors report them: noise, 5 % outliers, 5 % missing, and a habit of each camera."""
    rng = np.random.default_rng(seed + 100)
    paths = paths or make_paths(points, seed)
    tracks = {}
    for index, camera in enumerate(rig):
        timing = Timing(RATE, count, (drops or {}).get(index, ()))
        times = offsets[index] + (1 + (drifts or {}).get(index, 0.0)) * timing.at()
        pixels = camera.project(paths(times))
        pixels = pixels + rng.normal(size=pixels.shape) * noise + rng.normal(size=(1, pixels.shape[1], 2)) * bias
        outlier = rng.random(pixels.shape[:2]) < 0.05
        pixels[outlier] = rng.uniform((0, 0), camera.size, (int(outlier.sum()), 2))
        pixels[rng.random(pixels.shape[:2]) < 0.05] = np.nan
        tracks[camera.name] = Track(Timing(RATE, count), pixels)
    return tracks


def errors(sync, offsets):
    """Of the offsets, in frames."""
    return np.array([(clock.offset - truth) * RATE for clock, truth in zip(sync, offsets, strict=True)])


@pytest.fixture(scope="module")
def rig():
    return make_rig(3, seed=3)


@pytest.mark.parametrize("seed", range(2))
def test_offsets_are_found_to_a_small_part_of_a_frame(rig, seed):
    offsets = [0.0, *np.random.default_rng(seed).uniform(-2, 2, 2)]
    tracks = record(rig, offsets, seed=seed)
    sync = verify(synchronize_motion(tracks, rig), tracks, rig)
    assert np.abs(errors(sync, offsets)).max() < 0.03
    for clock, error in zip(sync, errors(sync, offsets), strict=True):
        assert abs(error) <= 5 * clock.offset_std * RATE
        assert clock.verification.status == "verified"
        assert clock.verification.after < 0.2 * clock.verification.before
        assert clock.timing.dropped == ()
    assert sync.reference == "cam_1"


def test_habits_of_a_detector_are_no_offset(rig):
    # 5 px of error that differ from camera to camera but stay: without the fixed effect up to 0.3 frames
    offsets = [0.0, 0.5, -0.25]
    sync = synchronize_motion(record(rig, offsets, bias=5.0, seed=4), rig, settings=MotionSettings(maximum_offset=2))
    assert np.abs(errors(sync, offsets)).max() < 0.1


def test_drift_and_dropped_frames_are_found(rig):
    drops = {1: ((700, 2), (1400, 1)), 2: ((1000, 2),)}
    offsets = [0.0, 0.4, -0.2]
    tracks = record(rig, offsets, count=1800, drifts={1: 100e-6}, drops=drops, seed=5)
    sync = synchronize_motion(tracks, rig, settings=MotionSettings(maximum_offset=2))
    assert np.abs(errors(sync, offsets)).max() < 0.05
    for clock, drift, truth in zip(sync, (0, 100e-6, 0), ((), *drops.values()), strict=True):
        assert abs(clock.rate - 1 - drift) < 10e-6
        assert [number for _, number in clock.timing.dropped] == [number for _, number in truth]
        for (frame, _), (true, _) in zip(clock.timing.dropped, truth, strict=True):
            assert abs(frame - true) <= 2


def test_frames_that_the_reference_dropped_are_its_own(rig):
    two = rig.select(rig.names[:2])
    tracks = record(two, [0.0, 0.4], count=1200, drops={0: ((600, 3),)}, seed=6)
    sync = synchronize_motion(tracks, two, settings=MotionSettings(maximum_offset=2))
    ((frame, number),) = sync["cam_1"].timing.dropped
    assert (number, sync["cam_2"].timing.dropped) == (3, ())
    assert abs(frame - 600) <= 4
    assert abs(errors(sync, [0.0, 0.4])[1]) < 0.05


def test_without_a_rig_a_tenth_of_a_frame_and_a_warning(rig):
    offsets = [0.0, 0.317, -0.2]
    tracks = record(rig, offsets, seed=7)
    with pytest.warns(SuiteWarning, match="without a rig"):
        sync = synchronize_motion(tracks, settings=MotionSettings(maximum_offset=2))
    assert np.abs(errors(sync, offsets)).max() < 0.1
    assert {clock.verification.status for clock in sync} == {"not verified"}


def test_the_same_input_gives_the_same_clocks(rig):
    tracks = record(rig, [0.0, 0.1, 0.2], count=300, seed=8)
    settings = MotionSettings(maximum_offset=1)
    one, two = (synchronize_motion(tracks, rig, settings=settings) for _ in range(2))
    assert [(clock.offset, clock.rate) for clock in one] == [(clock.offset, clock.rate) for clock in two]


def test_wrong_clocks_are_contradicted_and_right_ones_verified(rig):
    offsets = [0.0, 0.4, -0.3]
    tracks = record(rig, offsets, seed=9)
    right = synchronize_motion(tracks, rig, settings=MotionSettings(maximum_offset=2))
    clocks = tuple(
        replace(clock, offset=clock.offset + (3 / RATE if clock.camera == "cam_2" else 0), method="timestamps")
        for clock in right
    )
    checked = verify(Synchronization(clocks, "cam_1"), tracks, rig)
    assert {clock.camera: clock.verification.status for clock in checked} == {
        "cam_1": "verified",
        "cam_2": "contradicted",
        "cam_3": "verified",
    }
    assert checked["cam_2"].verification.error == pytest.approx(-3, abs=0.2)


def test_corners_of_a_board_are_moving_points_too(rig):
    board = Charuco(columns=4, rows=5, square=40.0)
    offsets = [0.0, 0.25, 0.0]
    tracks = record(rig, offsets, count=400, points=len(board.points), seed=10)
    position = np.stack([track.position for track in tracks.values()])
    sizes = [camera.size for camera in rig]
    dataset = corners(position, board=board, cameras=rig.names, image_size=sizes)
    sync = synchronize_motion(tracks_of_corners(dataset, RATE), rig, settings=MotionSettings(maximum_offset=1))
    assert np.abs(errors(sync, offsets)).max() < 0.05


# What does not determine an offset


def test_points_that_do_not_move_are_told(rig):
    tracks = record(rig, [0.0, 0.1, 0.2], count=200, paths=lambda times: np.ones((len(times), 4, 3)) * [[10.0, 20, 30]])
    with pytest.raises(CalibrationError, match="points that move"):
        synchronize_motion(tracks, rig)


def test_a_motion_that_repeats_itself_is_told(rig):
    def around(times):
        angle = 2 * np.pi * times[:, None] * 2
        steps = np.arange(4) * 0.5
        return 100 * np.stack([np.sin(angle + steps), np.cos(angle + steps), np.sin(angle - steps)], axis=-1)

    tracks = record(rig, [0.0, 0.1, 0.2], count=400, paths=around)
    with pytest.raises(CalibrationError, match="repeats itself"):
        synchronize_motion(tracks, rig, settings=MotionSettings(maximum_offset=3))


def test_recordings_without_overlap_are_told(rig):
    tracks = record(rig, [0.0, 30.0, 60.0], count=300)
    with pytest.raises(CalibrationError):
        synchronize_motion(tracks, rig)


def test_a_camera_that_sees_nothing_is_named(rig):
    tracks = record(rig, [0.0, 0.1, 0.2], count=200)
    tracks["cam_2"] = Track(Timing(RATE, 200), np.full((200, 6, 2), np.nan))
    with pytest.raises(CalibrationError, match="cam_2"):
        synchronize_motion(tracks, rig)


def test_cut_videos_are_synchronized_by_what_they_share(rig):
    tracks = record(rig, [0.0, 0.1, 0.2], count=600, seed=11)
    tracks["cam_3"] = Track(Timing(RATE, 250), tracks["cam_3"].position[:250])
    sync = synchronize_motion(tracks, rig, settings=MotionSettings(maximum_offset=2))
    assert np.abs(errors(sync, [0.0, 0.1, 0.2])).max() < 0.1


def test_cameras_must_be_several_and_known(rig):
    tracks = record(rig, [0.0, 0.1, 0.2], count=100)
    with pytest.raises(MismatchError, match="at least two"):
        synchronize_motion({"cam_1": tracks["cam_1"]}, rig)
    with pytest.raises(MismatchError, match="left"):
        synchronize_motion({**tracks, "left": tracks["cam_1"]}, rig)
    with pytest.raises(MismatchError, match="same points"):
        synchronize_motion({**tracks, "cam_2": Track(Timing(RATE, 100), np.zeros((100, 2, 2)))}, rig)
    with pytest.raises(MismatchError, match="reference"), warnings.catch_warnings():
        synchronize_motion(tracks, rig, reference="left")
