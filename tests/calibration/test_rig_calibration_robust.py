"""What goes wrong with recordings of boards: the rig is right all the same, or it is said that it may not be."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from calibration.boards.geometry import Board, Charuco, Chessboard
from calibration.bundle import BundleSettings
from calibration.corners import corners as make_corners
from calibration.diagnosis import diagnose
from calibration.errors import CalibrationError, InvalidValueError, MismatchError
from calibration.findings import Level
from calibration.lens import BrownConrady, Lens
from calibration.rig import Rig
from calibration.rig_calibration import Calibration, CalibrationSettings, calibrate
from calibration.synthetic import BoardScene, make_board_scene, make_rig, observe
from calibration.synthetic.recordings import BoardRecording, RecordingSettings, record_board
from calibration.synthetic.volume import volume_errors
from calibration.transforms import RigidTransform
from calibration.verdict import judge

BOARD = Charuco(8, 6, 50.0)
SYMMETRIC = Chessboard(8, 6, 45.0)


def rig_of(count: int, seed: int, *, of: int = 6, **settings: object) -> Rig:
    """Neighbors of a ring."""
    rig = make_rig(of, seed=seed, **settings)  # type: ignore[arg-type]  # as given
    return rig.select(rig.names[:count])


def lenses_of(rig: Rig) -> dict[str, Lens]:
    return {camera.name: camera.lens for camera in rig}


def mean_error(rig: Rig, found: Calibration, radius: float = 150.0) -> float:
    return float(volume_errors(rig, found.rig, radius=radius).mean())


def level(found: Calibration) -> Level:
    return judge(diagnose(found), found).level


def changed(dataset: xr.Dataset, position: NDArray[np.float64]) -> xr.Dataset:
    return dataset.assign(position=(dataset["position"].dims, position, dataset["position"].attrs))


def of_first_frames(made: BoardScene, camera: int, count: int) -> xr.Dataset:
    """The corners, with those of one camera in its first frames only."""
    position = made.corners["position"].values.copy()
    seen = np.flatnonzero(np.isfinite(position[camera, ..., 0]).any(axis=-1))
    position[camera, seen[count:]] = np.nan
    return changed(made.corners, position)


# --- boards that are turned, missing, few ---


@pytest.mark.parametrize(("cameras", "seed"), [(3, 0), (6, 1)])
def test_turned_boards_and_missing_ones_do_no_harm(cameras: int, seed: int) -> None:
    """20 % of the boards of a symmetric chessboard are reported upside down, 10 % not at all."""
    rig = rig_of(cameras, seed)
    made = make_board_scene(
        rig, SYMMETRIC, frames=80, radius=150.0, turn_rate=0.2, missing_rate=0.1, outlier_rate=0.02, seed=seed
    )
    found = calibrate(made.corners)
    assert mean_error(rig, found) < 0.05
    assert level(found) <= Level.LOOK


@pytest.mark.parametrize("seed", range(2))
def test_a_camera_with_five_frames_is_right_within_its_uncertainty_and_the_verdict_is_bad(seed: int) -> None:
    rig = rig_of(4, seed)
    made = make_board_scene(
        rig, SYMMETRIC, frames=60, radius=150.0, turn_rate=0.2, missing_rate=0.1, outlier_rate=0.02, seed=seed
    )
    found = calibrate(of_first_frames(made, 3, 5))
    assert mean_error(rig, found) < 0.3
    last = rig.names[3]
    assert any(text.startswith(f"{last}: only 5 views") for text in found.warnings)
    verdict = judge(diagnose(found), found)
    assert verdict.level == Level.BROKEN
    assert last in verdict.headline
    # its frames are left out one by one, so that they are predicted all the same
    assert found.held_out is not None
    assert np.isfinite(found.held_out.residuals[3]).any()


def test_a_camera_that_others_see_with_in_one_frame_only_is_not_joined_silently() -> None:
    rig = rig_of(3, 0)
    made = make_board_scene(rig, BOARD, frames=60, radius=150.0, seed=0)
    position = made.corners["position"].values.copy()
    seen = np.isfinite(position[..., 0]).any(axis=-1)
    position[:2, np.flatnonzero(seen[2] & seen[:2].any(axis=0))[1:]] = np.nan
    with pytest.raises(CalibrationError, match="cam_3"):
        calibrate(changed(made.corners, position))


# --- worlds that could be mirrored ---


@pytest.mark.parametrize(("square", "noise"), [(10.0, 0.3), (10.0, 0.8), (5.0, 0.5)])
def test_small_frontal_boards_are_refused_or_told(square: float, noise: float) -> None:
    """Two mirrored poses fit every view about as well. Free lenses are refused, given ones make a rig and words."""
    rig = rig_of(2, 0, of=24, elevation=(0.2, 0.22))
    board = Chessboard(6, 5, square)
    made = make_board_scene(rig, board, frames=40, radius=100.0, tilt=np.deg2rad(5), noise=noise, seed=0)
    with pytest.raises(CalibrationError, match=", lens"):
        calibrate(made.corners)
    found = calibrate(made.corners, lenses=lenses_of(rig), fixed_lenses=rig.names)
    assert any("two mirrored poses of the board fit equally well" in text for text in found.warnings)
    assert level(found) >= Level.LOOK
    # not mirrored: the second camera stands where it is, not on the other side of the board
    assert mean_error(rig, found, radius=80.0) < 3.0


def test_frontal_boards_that_are_large_enough_make_no_mirrored_world() -> None:
    rig = rig_of(3, 0, of=24, elevation=(0.2, 0.22))
    made = make_board_scene(rig, Chessboard(8, 6, 25.0), frames=60, radius=100.0, tilt=np.deg2rad(3), seed=0)
    found = calibrate(made.corners, lenses=lenses_of(rig), fixed_lenses=rig.names)
    assert mean_error(rig, found, radius=80.0) < 0.1


# --- clocks ---


def filmed(seed: int, *, delay: float, jitter: float = 0.0, frames: int = 100) -> tuple[BoardRecording, xr.Dataset]:
    """A recording whose clocks are apart, and its corners with the times that were meant."""
    settings = RecordingSettings(frames=frames, delay=delay, drop_rate=0.02, seed=seed)
    recording = record_board(make_rig(4, seed=seed), Charuco(8, 6, 40.0), settings)
    rng = np.random.default_rng(seed)
    dataset = recording.corners.drop_vars("occluded")
    position = dataset["position"].values
    if jitter:  # the pixels of the next picture but one tell how fast the board moves
        late = jitter * rng.standard_normal(position.shape[:2])
        speed = (np.roll(position, -1, axis=1) - np.roll(position, 1, axis=1)) * recording.settings.frame_rate / 2
        position = position + np.nan_to_num(speed) * late[..., None, None]
    position = position + 0.3 * rng.standard_normal(position.shape)
    meant = np.where(np.isfinite(recording.time), recording.instants, np.nan)
    return recording, changed(dataset, position).assign(time=(("camera", "frame"), meant, {"units": "s"}))


@pytest.mark.parametrize("seed", [1, 2])
def test_clocks_that_are_apart_are_found_from_the_motion_of_the_board(seed: int) -> None:
    """Offsets of up to 60 ms at 15 pictures per second. Of the first recording so few boards agree that the cameras
    cannot be joined before the clocks are known."""
    recording, dataset = filmed(seed, delay=0.06)
    found = calibrate(dataset)  # pytest makes errors of warnings: what steps in between say is no longer true
    assert found.clocks is not None
    np.testing.assert_allclose(found.clocks.offsets, recording.delay - recording.delay[0], atol=2e-3)
    assert found.clocks.error[1] < 0.9 * found.clocks.error[0]
    assert mean_error(recording.rig, found) < 0.05
    assert any("were not taken at the same instants" in text for text in found.warnings)
    assert len(set(found.warnings)) == len(found.warnings)
    assert level(found) >= Level.LOOK


def test_clocks_are_found_beside_videos_of_single_cameras() -> None:
    recording, dataset = filmed(2, delay=0.06)
    own = make_board_scene(recording.rig, Charuco(8, 6, 40.0), frames=8, seed=8).corners
    found = calibrate(dataset, own_corners=own)
    assert found.clocks is not None
    np.testing.assert_allclose(found.clocks.offsets, recording.delay - recording.delay[0], atol=2e-3)
    assert mean_error(recording.rig, found) < 0.05


def test_times_that_jitter_are_told() -> None:
    recording, dataset = filmed(1, delay=0.0, jitter=0.01, frames=60)
    found = calibrate(dataset)
    assert mean_error(recording.rig, found) < 0.3
    assert found.excess > 1.5
    assert any("miss the board by" in text for text in found.warnings)
    assert level(found) >= Level.LOOK


def test_clocks_that_agree_are_left_alone() -> None:
    _, dataset = filmed(1, delay=0.0, frames=90)
    found = calibrate(dataset)
    assert found.clocks is None
    assert found.excess < 1.2


# --- boards that are not flat ---


@pytest.mark.parametrize(("cameras", "frames"), [(1, 30), (2, 30)])
def test_flat_boards_are_not_accused_however_few_views_there_are(cameras: int, frames: int) -> None:
    """Heights that are estimated are never all zero, and lower the errors: with one camera by up to 3 %."""
    for seed in range(6):
        rig = rig_of(cameras, seed, elevation=(0.35, 0.9))
        made = make_board_scene(rig, BOARD, frames=frames, radius=250.0, outlier_rate=0.05, seed=seed)
        assert calibrate(made.corners, settings=CalibrationSettings(folds=2)).bend == 0.0, seed


@pytest.mark.parametrize("bend", [0.5, 1.0])
@pytest.mark.parametrize(("cameras", "frames"), [(1, 30), (4, 60)])
def test_a_bend_of_half_a_millimeter_is_told(bend: float, cameras: int, frames: int) -> None:
    """The board is 350 mm long; the noise in the heights of few views, 0.3 mm with 30 of one camera, is taken off."""
    rig = rig_of(cameras, 1, elevation=(0.35, 0.9))
    made = make_board_scene(rig, BOARD, frames=frames, radius=250.0, outlier_rate=0.05, bend=bend, seed=1)
    found = calibrate(made.corners, settings=CalibrationSettings(folds=2))
    assert found.bend == pytest.approx(bend, abs=0.25)


def test_a_bend_that_does_not_matter_is_not_told() -> None:
    """A tenth of a millimeter is told from chance by 400 views, and moves positions by less than noise does."""
    rig = rig_of(6, 0)
    made = make_board_scene(rig, BOARD, frames=100, radius=250.0, noise=0.1, bend=0.1, seed=0)
    found = calibrate(made.corners, settings=CalibrationSettings(folds=2))
    assert found.bend == 0.0
    assert mean_error(rig, found, 250.0) < 0.02


def test_a_bent_board_is_told_and_its_shape_is_estimated_where_asked_for() -> None:
    rig = rig_of(4, 0)
    made = make_board_scene(rig, BOARD, frames=60, radius=200.0, bend=2.0, seed=0)
    flat = calibrate(made.corners)
    # the parabola that the corners lie on, seen from the plane through them
    assert flat.bend == pytest.approx(2.0, rel=0.2)
    assert any("the board is not flat" in text for text in flat.warnings)
    assert level(flat) >= Level.LOOK
    bent = calibrate(made.corners, settings=CalibrationSettings(bundle=BundleSettings(bend=True)))
    assert bent.bend == 0.0
    assert np.ptp(bent.board_points[:, 2]) == pytest.approx(2.0, rel=0.1)
    assert mean_error(rig, bent, 200.0) < 0.03 < mean_error(rig, flat, 200.0)


# --- lenses that are known, and videos for lenses alone ---


def test_given_lenses_are_kept_bit_by_bit_or_are_a_start() -> None:
    rig = rig_of(3, 2)
    made = make_board_scene(rig, BOARD, frames=50, seed=2)
    known = lenses_of(rig)
    kept = calibrate(made.corners, lenses=known, fixed_lenses=rig.names)
    for name, lens in known.items():
        assert np.array_equal(kept.rig[name].lens.camera_matrix, lens.camera_matrix)
        assert np.array_equal(kept.rig[name].lens.coefficients, lens.coefficients)
    assert kept.models == {}
    assert mean_error(rig, kept) < 0.03
    begun = calibrate(made.corners, lenses=known)
    assert not np.array_equal(begun.rig.cameras[1].lens.camera_matrix, rig.cameras[1].lens.camera_matrix)
    assert mean_error(rig, begun) < 0.05
    one = calibrate(made.corners, lenses=known, fixed_lenses=["cam_2"])
    assert np.array_equal(one.rig["cam_2"].lens.camera_matrix, known["cam_2"].camera_matrix)
    assert set(one.models) == {"cam_1", "cam_3"}


def test_a_wrong_lens_that_is_kept_is_told_and_as_a_start_it_does_no_harm() -> None:
    rig = rig_of(3, 2)
    made = make_board_scene(rig, BOARD, frames=50, seed=2)
    lens = rig["cam_2"].lens
    wrong = BrownConrady(lens.camera_matrix * np.array([[1.05], [1.05], [1.0]]), lens.coefficients)
    kept = calibrate(made.corners, lenses={"cam_2": wrong}, fixed_lenses=["cam_2"])
    assert any("cam_2: the given focal length" in text for text in kept.warnings)
    assert level(kept) >= Level.LOOK
    begun = calibrate(made.corners, lenses={"cam_2": wrong})
    assert mean_error(rig, begun) < 0.05


def test_videos_of_single_cameras_serve_their_lenses_only() -> None:
    """The frames of `own_corners` are of no common instant, though they look it: cameras stood elsewhere."""
    rig, before = rig_of(3, 1), rig_of(3, 1, elevation=(0.7, 0.2))
    for camera, earlier in zip(rig, before, strict=True):
        assert camera.lens == earlier.lens
    made = make_board_scene(rig, BOARD, frames=25, seed=1)
    own = make_board_scene(before, BOARD, frames=40, seed=5).corners
    alone, helped = calibrate(made.corners), calibrate(made.corners, own_corners=own)
    assert mean_error(rig, helped) < 0.05
    several = np.isfinite(helped.corners["position"].values[..., 0]).any(axis=-1).sum(axis=0) > 1
    assert not several[~helped.shared].any()
    assert (~helped.shared).any()
    for name in rig.names:
        focal = "f" if "f" in helped.models[name].free else "fx"
        focal_alone = "f" if "f" in alone.models[name].free else "fx"
        deviations = helped.adjustment.standard_deviations(name), alone.adjustment.standard_deviations(name)
        assert deviations[0][focal] < deviations[1][focal_alone]


def test_a_single_camera_gets_its_lens() -> None:
    rig = make_rig(1, seed=2)
    made = make_board_scene(rig, BOARD, frames=40, radius=250.0, outlier_rate=0.02, seed=4)
    found = calibrate(made.corners)
    assert found.extrinsics is None
    assert len(found.rig) == 1
    focal = found.rig.cameras[0].lens.camera_matrix[0, 0]
    assert focal == pytest.approx(rig.cameras[0].lens.camera_matrix[0, 0], rel=2e-3)
    assert found.held_out is not None
    assert np.isnan(found.held_out.points).all()
    assert level(found) == Level.LOOK


# --- input that determines nothing ---


def test_groups_without_a_common_frame_are_named() -> None:
    made = make_board_scene(rig_of(4, 1), BOARD, frames=60, seed=3)
    position = made.corners["position"].values.copy()
    position[:2, 30:] = np.nan
    position[2:, :30] = np.nan
    with pytest.raises(CalibrationError, match=r"2 groups: cam_1 and cam_2; cam_3 and cam_4"):
        calibrate(changed(made.corners, position))


def test_two_cameras_that_never_see_the_board_together_are_named() -> None:
    made = make_board_scene(rig_of(2, 1), BOARD, frames=80, seed=3)
    position = made.corners["position"].values.copy()
    position[0, ::2], position[1, 1::2] = np.nan, np.nan
    with pytest.raises(CalibrationError, match=r"cam_1.*cam_2") as caught:
        calibrate(changed(made.corners, position))
    assert "Film the board" in str(caught.value)


def test_a_camera_that_sees_nothing_is_named() -> None:
    made = make_board_scene(rig_of(3, 1), BOARD, frames=40, seed=3)
    position = made.corners["position"].values.copy()
    position[1] = np.nan
    with pytest.raises(CalibrationError, match="camera 'cam_2'"):
        calibrate(changed(made.corners, position))


def test_views_that_are_all_parallel_are_an_error_that_says_how_to_film() -> None:
    places = np.random.default_rng(0).uniform([-300, -250, 900], [0, 0, 1100], (30, 3))
    points = BOARD.points + places[:, None]
    cameras = []
    for index, camera in enumerate(rig_of(2, 1)):
        pose = RigidTransform(np.eye(3), np.array([-150.0 * index, 0.0, 0.0]))
        cameras.append(type(camera)(camera.name, camera.size, camera.lens, pose))
    rig = Rig(tuple(cameras), unit="mm")
    dataset = seen_by(rig, BOARD, points)
    with pytest.raises(CalibrationError, match="tilted") as caught:
        calibrate(dataset)
    assert "cam_1" in str(caught.value)
    found = calibrate(dataset, lenses=lenses_of(rig), fixed_lenses=rig.names)
    assert any("nearly parallel" in text for text in found.warnings)


def seen_by(rig: Rig, board: Board, points: NDArray[np.float64]) -> xr.Dataset:
    pixels = np.moveaxis(observe(rig, points, noise=0.3, seed=1).pixels, 2, 0)
    return make_corners(pixels, board=board, cameras=rig.names, image_size=[camera.size for camera in rig])


def test_one_video_under_two_names_is_refused() -> None:
    made = make_board_scene(rig_of(3, 1), BOARD, frames=40, seed=3)
    position = made.corners["position"].values.copy()
    position[2] = position[0]
    with pytest.raises(MismatchError, match="'cam_1' and 'cam_3'"):
        calibrate(changed(made.corners, position))
    position[2] += 0.05 * np.random.default_rng(0).standard_normal(position[2].shape)  # compressed once more
    found = calibrate(changed(made.corners, position))
    assert any("cam_1 and cam_3 stand at the same place" in text for text in found.warnings)
    assert level(found) >= Level.LOOK


def test_frames_that_do_not_belong_together_are_not_joined() -> None:
    made = make_board_scene(rig_of(3, 1), BOARD, frames=60, seed=3)
    position = made.corners["position"].values.copy()
    position[1] = np.roll(position[1], 7, axis=0)
    with pytest.raises(CalibrationError, match="cam_2") as caught:
        calibrate(changed(made.corners, position))
    assert "same instants" in str(caught.value)


@pytest.mark.parametrize("frames", [0, 3])
def test_too_few_frames_are_an_error(frames: int) -> None:
    made = make_board_scene(rig_of(3, 1), BOARD, frames=10, seed=3)
    with pytest.raises(CalibrationError, match="views of the board"):
        calibrate(made.corners.isel(frame=slice(0, frames)))


@pytest.mark.parametrize(
    "arguments",
    [{"lenses": {"cam_9": make_rig(1).cameras[0].lens}}, {"fixed_lenses": ["cam_1"]}, {"models": {"x": None}}],
    ids=lambda arguments: next(iter(arguments)),
)
def test_names_of_no_camera_are_refused(arguments: dict[str, object]) -> None:
    made = make_board_scene(rig_of(2, 1), BOARD, frames=5, seed=3)
    with pytest.raises(InvalidValueError, match=next(iter(arguments))):
        calibrate(made.corners, **arguments)  # type: ignore[arg-type]  # wrong on purpose


def test_settings_out_of_range_are_refused() -> None:
    for wrong in ({"folds": 1}, {"maximum_frames": 2}):
        with pytest.raises(InvalidValueError, match=next(iter(wrong))):
            CalibrationSettings(**wrong)
