"""Whether cameras have moved: named, when, by how much and how surely; and nothing of that where nothing moved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration._sampson import _linearized, _scales, _seen_by, apply_move, distances, make_pairs
from calibration.drift import CameraDrift, Drift, DriftSettings, check_drift
from calibration.errors import CalibrationError, InvalidValueError, SuiteWarning
from calibration.rig import Rig
from calibration.synthetic import make_rig, observe
from calibration.transforms import RigidTransform

Array = NDArray[np.float64]

# A camera that somebody has bumped into: by 0.015 rad and 6 mm.
BUMP = RigidTransform.from_rotation_vector([0.008, -0.012, 0.005], [4.0, -3.0, 3.3])


def walk(rng: np.random.Generator, rows: int, points: int = 8) -> Array:
    """(row, point, 3) an animal of 12 cm that walks about in 30 cm."""
    phase, speed = rng.random(3), rng.uniform(1, 3, 3)
    middle = 150 * np.sin(2 * np.pi * (np.linspace(0, 1, rows)[:, None] * speed + phase))
    return np.asarray(middle[:, None] + rng.uniform(-60, 60, (points, 3)))


def moved(rig: Rig, moves: dict[str, RigidTransform]) -> Rig:
    cameras = [
        replace(camera, cam_from_world=moves[camera.name] @ camera.cam_from_world) if camera.name in moves else camera
        for camera in rig
    ]
    return Rig(tuple(cameras), unit=rig.unit)


def recording(
    rig: Rig,
    moves: dict[str, tuple[int, RigidTransform]] | None = None,
    *,
    rows: int = 200,
    noise: float = 2.0,
    outliers: float = 0.05,
    bias: float = 0.0,
    seed: int = 0,
) -> Array:
    """(row, point, camera, 2) keypoints with noise, outliers, dropouts, and a bias of each camera in some direction."""
    moves, rng = moves or {}, np.random.default_rng(seed)
    points = walk(rng, rows)
    seen = [
        observe(each, points, noise=noise, outlier_rate=outliers, dropout_rate=0.1, seed=seed + 1).pixels
        for each in (rig, moved(rig, {name: move for name, (_, move) in moves.items()}))
    ]
    pixels = seen[0].copy()
    for name, (start, _) in moves.items():
        camera = rig.names.index(name)
        pixels[start:, :, camera] = seen[1][start:, :, camera]
    angle = rng.uniform(0, 2 * np.pi, len(rig))
    return np.asarray(pixels + bias * np.stack([np.cos(angle), np.sin(angle)], axis=-1))


def of(drift: Drift, name: str) -> CameraDrift:
    return next(camera for camera in drift.cameras if camera.name == name)


def deviations_off(camera: CameraDrift, truth: RigidTransform) -> tuple[float, float]:
    """How many standard deviations rotation and distance are off."""
    turn, shift = (float(np.linalg.norm(vector)) for vector in (truth.rotation_vector, truth.translation))
    return (camera.rotation[0] - turn) / camera.rotation[1], (camera.distance[0] - shift) / camera.distance[1]


@pytest.mark.parametrize(
    ("cameras", "noise", "bias", "seeds"),
    [(2, 1.5, 1.0, 4), (3, 1.5, 0.0, 2), (3, 1.5, 1.0, 3), (4, 3.0, 1.0, 2), (6, 1.5, 1.0, 1)],
)
def test_nothing_is_said_to_move_where_nothing_does(cameras: int, noise: float, bias: float, seeds: int) -> None:
    """Tried once with 6 seeds of each of 2, 3, 4, 6 cameras, noise 1.5 and 3 px, bias 0 and 1 px: none."""
    for seed in range(seeds):
        rig = make_rig(cameras, seed=seed)
        drift = check_drift(rig, recording(rig, rows=120, noise=noise, bias=bias, seed=10 * seed))
        assert drift.moved == ()
        assert drift.rig == rig
        assert all(camera.start is None and camera.shift == 0.0 for camera in drift.cameras)
        assert drift.noise == pytest.approx(noise, rel=0.25)


@pytest.mark.parametrize("cameras", [3, 4, 6])
def test_a_moved_camera_is_named_with_moment_and_size(cameras: int) -> None:
    rig = make_rig(cameras)
    drift = check_drift(rig, recording(rig, {"cam_2": (137, BUMP)}))
    assert drift.moved == ("cam_2",)
    found = of(drift, "cam_2")
    assert found.certain
    assert found.start is not None
    assert abs(found.start - 137) <= 2
    assert max(map(abs, deviations_off(found, BUMP))) < 3.0
    assert found.before > 3 * found.after
    assert found.after < 2.0
    true = moved(rig, {"cam_2": BUMP})
    np.testing.assert_allclose(drift.rig["cam_2"].center, true["cam_2"].center, atol=4 * found.distance[1])


def test_standard_deviations_are_honest() -> None:
    """Of 8 recordings, every second with outliers, which make naive ones three times too small."""
    off = []
    for seed in range(8):
        rig, rng = make_rig(3, seed=seed), np.random.default_rng(seed)
        move = RigidTransform.from_rotation_vector(rng.choice([-0.012, 0.012], 3), rng.normal(0, 5, 3))
        pixels = recording(rig, {"cam_3": (0, move)}, rows=90, outliers=0.05 * (seed % 2), seed=seed)
        off.append(deviations_off(of(check_drift(rig, pixels), "cam_3"), move))
    spread = np.sqrt(np.mean(np.square(off), axis=0))
    assert (spread > 0.5).all()
    assert (spread < 1.6).all()


def test_a_camera_that_moved_before_the_recording_is_told_from_its_first_row_on() -> None:
    rig = make_rig(4)
    drift = check_drift(rig, recording(rig, {"cam_1": (0, BUMP)}))
    assert drift.moved == ("cam_1",)
    assert of(drift, "cam_1").start == 0
    assert max(map(abs, deviations_off(of(drift, "cam_1"), BUMP))) < 3.0


def test_two_moved_cameras_are_both_named_with_their_moments() -> None:
    rig, other = make_rig(4), RigidTransform.from_rotation_vector([-0.01, 0.004, 0.01], [-2.0, 6.0, 1.0])
    drift = check_drift(rig, recording(rig, {"cam_2": (60, BUMP), "cam_4": (170, other)}))
    assert drift.moved == ("cam_2", "cam_4")
    for name, start, move in (("cam_2", 60, BUMP), ("cam_4", 170, other)):
        found = of(drift, name)
        assert found.certain
        assert found.start is not None
        assert abs(found.start - start) <= 3
        assert max(map(abs, deviations_off(found, move))) < 3.0


def test_a_camera_that_gives_way_slowly_is_named() -> None:
    rig, rows = make_rig(3), 160
    points = walk(np.random.default_rng(3), rows)
    pixels = observe(rig, points, noise=2.0, seed=4).pixels
    for row in range(rows):
        sagging = RigidTransform.from_rotation_vector([0.02 * row / rows, 0.0, 0.0], np.zeros(3))
        seen = observe(moved(rig, {"cam_3": sagging}), points[row], noise=2.0, seed=row).pixels
        pixels[row, :, 2] = seen[:, 2]
    drift = check_drift(rig, pixels)
    assert drift.moved == ("cam_3",)
    assert of(drift, "cam_3").after < of(drift, "cam_3").before
    residual = drift.residual[:, 2]
    assert residual[-3:].min() > 2 * residual[:3].max()


@pytest.mark.parametrize("start", [0, 100])
def test_of_two_cameras_one_moved_but_which_is_not_known(start: int) -> None:
    rig = make_rig(2)
    drift = check_drift(rig, recording(rig, {"cam_2": (start, BUMP)}))
    assert len(drift.moved) == 1
    found = of(drift, drift.moved[0])
    assert not found.certain
    assert found.start is not None
    assert abs(found.start - start) <= 3
    assert found.after < 2.0
    centers = [np.linalg.norm(each.cameras[1].center - each.cameras[0].center) for each in (rig, drift.rig)]
    assert centers[0] == pytest.approx(centers[1])  # how far apart they are, they cannot see


def test_where_all_but_one_of_three_moved_it_is_not_known_which() -> None:
    rig, other = make_rig(3), RigidTransform.from_rotation_vector([-0.02, 0.01, 0.01], [-2.0, 6.0, 1.0])
    with pytest.warns(SuiteWarning, match="2 of 3 cameras seem to have moved: more likely .* not synchronized"):
        drift = check_drift(rig, recording(rig, {"cam_1": (0, BUMP), "cam_3": (0, other)}, rows=120))
    assert len(drift.moved) == 2
    assert not any(camera.certain for camera in drift.cameras if camera.moved)


def test_keypoints_that_one_camera_sees_elsewhere_are_no_move() -> None:
    """Each keypoint of the mouse is off in its own direction, as where a detector saw few pictures from behind."""
    rig, rng = make_rig(3), np.random.default_rng(5)
    pixels = recording(rig, rows=150)
    pixels[:, :, 1] += rng.normal(0.0, 10.0, (8, 2))
    with pytest.warns(SuiteWarning, match="what cam_2 saw disagrees with the other cameras, but no new pose explains"):
        drift = check_drift(rig, pixels)
    assert drift.moved == ()
    assert drift.unexplained == ("cam_2",)


def test_recordings_that_are_not_synchronized_are_not_silently_called_moved() -> None:
    rig = make_rig(3)
    pixels = recording(rig, rows=160, noise=0.5)
    late = np.stack([np.roll(pixels[:, :, camera], 3 * camera, axis=0) for camera in range(3)], axis=2)[10:]
    with pytest.warns(SuiteWarning, match="synchronized"):
        drift = check_drift(rig, late)
    assert not any(camera.certain for camera in drift.cameras if camera.moved)


def test_corners_of_a_board_show_moves_of_a_third_of_a_pixel_of_the_residual() -> None:
    rig = make_rig(3)
    slight = RigidTransform.from_rotation_vector([0.0, 0.001, 0.0], np.zeros(3))  # 1.4 px
    assert check_drift(rig, recording(rig, rows=100, noise=0.15, outliers=0.01)).moved == ()
    drift = check_drift(rig, recording(rig, {"cam_3": (0, slight)}, rows=100, noise=0.15, outliers=0.01))
    assert drift.moved == ("cam_3",)
    assert of(drift, "cam_3").shift == pytest.approx(1.4, abs=0.2)


def test_residuals_over_time_rise_where_the_camera_moved() -> None:
    rig = make_rig(4)
    drift = check_drift(rig, recording(rig, {"cam_2": (100, BUMP)}), settings=DriftSettings(windows=10))
    assert drift.rows.tolist() == list(range(0, 201, 20))
    assert drift.residual.shape == (10, 4)
    before, after = drift.residual[:5], drift.residual[5:]
    assert before.max() < 2.5
    assert after[:, 1].min() > 4.0
    assert after[:, [0, 2, 3]].max() < after[:, 1].min()


def test_lengths_in_meters_and_in_millimeters_say_the_same() -> None:
    rig = make_rig(3)
    pixels = recording(rig, {"cam_2": (100, BUMP)})
    small = Rig(
        tuple(
            replace(
                each,
                cam_from_world=RigidTransform(each.cam_from_world.rotation, each.cam_from_world.translation / 1000),
            )
            for each in rig
        ),
        unit="m",
    )
    found, again = (of(check_drift(each, pixels), "cam_2") for each in (rig, small))
    np.testing.assert_allclose(again.rotation, found.rotation, rtol=1e-5)
    np.testing.assert_allclose(again.distance, np.array(found.distance) / 1000, rtol=1e-5)
    assert again.start == found.start


def test_the_same_arguments_give_the_same_numbers() -> None:
    rig = make_rig(3)
    pixels = recording(rig, {"cam_2": (100, BUMP)}, rows=150)
    one, two = (check_drift(rig, pixels, settings=DriftSettings(maximum_points=300)) for _ in range(2))
    assert one.rig == two.rig
    assert of(one, "cam_2").distance == of(two, "cam_2").distance
    np.testing.assert_array_equal(one.residual, two.residual)


def test_projections_without_noise_are_no_reason_to_stop() -> None:
    rig = make_rig(3)
    points = walk(np.random.default_rng(0), 60)
    assert check_drift(rig, rig.project(points)).moved == ()
    pixels = rig.project(points)
    pixels[30:, :, 0] = moved(rig, {"cam_1": BUMP}).project(points)[30:, :, 0]
    drift = check_drift(rig, pixels)
    assert drift.moved == ("cam_1",)
    assert of(drift, "cam_1").start == 30
    assert of(drift, "cam_1").rotation[0] == pytest.approx(np.linalg.norm(BUMP.rotation_vector), rel=1e-3)


def test_derivatives_are_those_of_the_distances() -> None:
    rig = make_rig(3)
    pairs = make_pairs(rig, recording(rig, rows=10), maximum=100, seed=0)
    poses = [camera.cam_from_world for camera in rig]
    own, scales = [pair for pair in pairs if 1 in (pair.first, pair.second)], _scales(poses)
    residual, jacobian = _linearized(list(_seen_by(1, own, poses, {})), poses[1], scales)
    signed = np.concatenate([distances(pair, poses, {}) for pair in own])
    np.testing.assert_allclose(np.abs(residual), np.abs(signed), rtol=1e-9)
    for axis, step in enumerate(1e-6 * np.eye(6)):
        ahead, behind = (
            _linearized(list(_seen_by(1, own, poses, {})), apply_move(poses[1], sign * step * scales), scales)[0]
            for sign in (1, -1)
        )
        np.testing.assert_allclose((ahead - behind) / 2e-6, jacobian[:, axis], atol=1e-5 * np.abs(jacobian).max())


def test_a_camera_that_shares_too_little_is_warned_about_and_not_judged() -> None:
    rig = make_rig(3)
    pixels = recording(rig)
    pixels[1:, :, 2] = np.nan
    with pytest.warns(SuiteWarning, match="'cam_3' shares fewer than 30 points"):
        drift = check_drift(rig, pixels)
    assert drift.moved == ()


@pytest.mark.parametrize("cameras", [2, 3])
def test_too_few_shared_points_name_the_cameras_and_what_they_share(cameras: int) -> None:
    rig = make_rig(cameras)
    pixels = recording(rig)
    pixels[2:] = np.nan
    with pytest.raises(CalibrationError, match=r"cam_1, cam_2.*see 30 points at the same instants.*cam_1: \d+"):
        check_drift(rig, pixels)


def test_one_camera_cannot_be_checked() -> None:
    rig = make_rig(1)
    with pytest.raises(CalibrationError, match="two cameras or more"):
        check_drift(rig, np.zeros((5, 3, 1, 2)))


@pytest.mark.parametrize("shape", [(5, 3, 2), (5, 8, 3, 3), (5, 8, 2, 2), (2,)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidValueError, match="pixels"):
        check_drift(make_rig(3), np.zeros(shape))


@pytest.mark.parametrize(
    ("name", "value"),
    [("minimum_change", -1.0), ("noise_share", np.nan), ("windows", 0), ("maximum_points", 3)],
)
def test_wrong_settings_are_refused(name: str, value: float) -> None:
    with pytest.raises(InvalidValueError, match=name):
        DriftSettings(**{name: value})  # type: ignore[arg-type]  # one of them
