"""Bundle adjustment of boards: known truth, an independent solver, invariances, outliers, bad input."""

import warnings
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.optimize import least_squares

from calibration.boards.geometry import Chessboard
from calibration.bundle import BundleSettings, BundleStatus, adjust_boards, fit_board_poses
from calibration.errors import CalibrationError, InvalidValueError, MismatchError, SuiteWarning
from calibration.lens_models import LENS_MODELS, LensModel, lens_from_vector, lens_vector
from calibration.rig import Rig
from calibration.synthetic import make_board_scene, make_rig
from calibration.transforms import RigidTransform

BOARD = Chessboard(columns=7, rows=6, square=40.0)
PLAIN = BundleSettings(loss="none")


def scene_of(cameras=4, frames=30, seed=0, **options):
    return make_board_scene(make_rig(cameras, seed=seed), BOARD, frames=frames, seed=seed, **options)


def pixels_of(scene):
    return scene.corners.position.values


def models_of(rig, name="brown5"):
    return dict.fromkeys(rig.names, LENS_MODELS[name])


def astray(scene, seed=0, angle=0.01, distance=5.0, focal=1.02):
    """Starting values that are off; the first camera, which is the world, is not."""
    rng = np.random.default_rng(seed)
    cameras = []
    for index, camera in enumerate(scene.rig):
        vector = lens_vector(camera.lens)
        vector[:2] *= focal
        vector[4:] *= 0.5
        off = RigidTransform.from_rotation_vector(
            rng.normal(size=3) * angle * (index > 0), rng.normal(size=3) * distance * (index > 0)
        )
        cameras.append(
            replace(camera, lens=lens_from_vector(vector, fisheye=False), cam_from_world=off @ camera.cam_from_world)
        )
    count = len(scene.world_from_board.translation)
    off = RigidTransform.from_rotation_vector(
        rng.normal(size=(count, 3)) * angle, rng.normal(size=(count, 3)) * distance
    )
    return Rig(tuple(cameras)), scene.world_from_board @ off


def adjust(scene, start, settings=PLAIN, pixels=None, **options):
    rig, boards = start
    options.setdefault("models", models_of(rig))
    pixels = pixels_of(scene) if pixels is None else pixels
    return adjust_boards(rig, BOARD.points, boards, pixels, settings=settings, **options)


def volume_error(found, true, rng=None):
    """RMS distance of points of the volume, triangulated by the found rig from what the true one sees."""
    from calibration.triangulation import triangulate

    points = np.random.default_rng(0).uniform(-150, 150, (200, 3))
    there = triangulate(found, true.project(points), noise=1.0).points
    # the world may be turned: compare distances between the points
    pairs = np.random.default_rng(1).integers(200, size=(500, 2))
    length = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    found_length = np.linalg.norm(there[pairs[:, 0]] - there[pairs[:, 1]], axis=1)
    return float(np.sqrt(np.nanmean((found_length - length) ** 2)))


def test_noise_free_corners_give_the_truth():
    scene = scene_of(noise=0.0)
    result = adjust(scene, astray(scene))
    assert result.status == BundleStatus.CONVERGED
    for found, true in zip(result.rig, scene.rig, strict=True):
        np.testing.assert_allclose(lens_vector(found.lens)[:4], lens_vector(true.lens)[:4], atol=1e-5)
        np.testing.assert_allclose(found.cam_from_world.matrix, true.cam_from_world.matrix, atol=1e-5)
    np.testing.assert_allclose(result.world_from_board.matrix, scene.world_from_board.matrix, atol=1e-5)
    assert np.nanmax(np.abs(result.residuals)) < 1e-6


def test_the_residuals_are_what_the_returned_cameras_leave():
    scene = scene_of(frames=10)
    result = adjust(scene, astray(scene), BundleSettings())
    board = result.world_from_board
    world = np.einsum("fij,cj->fci", board.rotation, BOARD.points) + board.translation[:, None]
    projected = np.moveaxis(result.rig.project(world), 2, 0)
    np.testing.assert_allclose(result.residuals, pixels_of(scene) - projected, atol=1e-9)


def test_the_cost_is_that_of_an_independent_solver():
    """The same minimum as scipy's with OpenCV's projection and finite differences."""
    scene = scene_of(cameras=2, frames=6, noise=0.5)
    rig, boards = start = astray(scene)
    pixels = pixels_of(scene)

    def residuals(vector):
        turns, shifts = vector[24:42].reshape(6, 3), vector[42:60].reshape(6, 3)
        board = RigidTransform.from_rotation_vector(turns, shifts)
        world = np.einsum("fij,cj->fci", board.rotation, BOARD.points) + board.translation[:, None]
        parts, poses = [], (rig.cameras[0].cam_from_world, RigidTransform.from_rotation_vector(vector[:3], vector[3:6]))
        for index, pose in enumerate(poses):
            fx, fy, cx, cy, *k = vector[6 + 9 * index : 15 + 9 * index]
            matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
            found, _ = cv2.projectPoints(world.reshape(-1, 3), pose.rotation, pose.translation, matrix, np.array(k))
            parts.append(found.reshape(6, -1, 2) - pixels[index])
        difference = np.stack(parts)
        return difference[np.isfinite(pixels)]

    def vector_of(rig, boards):
        pose = rig.cameras[1].cam_from_world
        return np.concatenate(
            [pose.rotation_vector, pose.translation]
            + [lens_vector(camera.lens)[:9] for camera in rig]
            + [boards.rotation_vector.ravel(), boards.translation.ravel()]
        )

    ours = adjust(scene, start)
    theirs = least_squares(
        residuals, vector_of(rig, boards), jac="3-point", x_scale="jac", ftol=1e-14, xtol=1e-14, gtol=1e-14, max_nfev=60
    )
    found = vector_of(ours.rig, ours.world_from_board)
    np.testing.assert_allclose(ours.cost, 0.5 * (residuals(found) ** 2).sum(), rtol=1e-9)
    np.testing.assert_allclose(ours.cost, theirs.cost, rtol=1e-9)


def test_the_gradient_is_gone_and_says_so():
    scene = scene_of()
    result = adjust(scene, astray(scene))
    assert result.status == BundleStatus.CONVERGED
    assert result.gradient_norm < 1e-5
    early = adjust(scene, astray(scene), BundleSettings(loss="none", maximum_iterations=2))
    assert early.status == BundleStatus.NOT_CONVERGED
    assert early.gradient_norm > 1e-3


def test_the_measured_noise_is_that_of_each_camera():
    scene = scene_of(frames=60, noise=0.0)
    noise = np.array([0.1, 0.2, 0.4, 0.8])
    pixels = (
        pixels_of(scene) + np.random.default_rng(0).normal(size=pixels_of(scene).shape) * noise[:, None, None, None]
    )
    for loss in ("none", "cauchy", "huber", "tukey"):
        result = adjust(scene, astray(scene), BundleSettings(loss=loss), pixels=pixels)
        assert result.status == BundleStatus.CONVERGED
        np.testing.assert_allclose(result.noise, noise, rtol=0.1)


@pytest.mark.parametrize("rate", [0.05, 0.2])
@pytest.mark.parametrize("loss", ["cauchy", "tukey"])
def test_outliers_cost_little_beyond_their_number(rate, loss):
    scene = scene_of(frames=50, outlier_rate=rate)
    inliers = np.where(scene.outlier[..., None], np.nan, pixels_of(scene))
    oracle = adjust(scene, astray(scene), pixels=inliers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SuiteWarning)
        result = adjust(scene, astray(scene), BundleSettings(loss=loss))
    assert result.status == BundleStatus.CONVERGED
    assert np.nanmedian(result.weights[scene.outlier]) < 0.01
    assert volume_error(result.rig, scene.rig) < 1.5 * volume_error(oracle.rig, scene.rig) + 0.02
    np.testing.assert_allclose(result.noise, 0.3, rtol=0.1)


def test_a_bent_board_is_recovered_and_its_cameras_with_it():
    scene = scene_of(frames=60, bend=1.5, noise=0.2)
    flat = adjust(scene, astray(scene), BundleSettings())
    bent = adjust(scene, astray(scene), BundleSettings(bend=True))
    assert bent.status == BundleStatus.CONVERGED
    heights = bent.board_points[:, 2]
    # but for the plane that is the pose of the board
    design = np.column_stack([np.ones(len(heights)), BOARD.points[:, :2]])
    share = 2 * (BOARD.points[:, 0] - BOARD.points[:, 0].mean()) / np.ptp(BOARD.points[:, 0])
    true = -1.5 * (1 - share**2)
    true -= design @ np.linalg.lstsq(design, true, rcond=None)[0]
    np.testing.assert_allclose(design.T @ heights, 0, atol=1e-9)
    deviation = np.sqrt(np.diag(bent.height_covariance))
    assert np.abs(heights - true).max() < 5 * deviation.max() < 0.5
    assert volume_error(bent.rig, scene.rig) < 0.5 * volume_error(flat.rig, scene.rig)
    np.testing.assert_array_equal(flat.board_points, BOARD.points)


def test_another_world_gives_the_same_cameras():
    scene = scene_of()
    rig, boards = astray(scene)
    shift = RigidTransform.from_rotation_vector([0.4, -1.0, 0.3], [900.0, -200.0, 4000.0])
    elsewhere = Rig(tuple(replace(c, cam_from_world=c.cam_from_world @ shift.inverse()) for c in rig))
    one = adjust(scene, (rig, boards))
    other = adjust(scene, (elsewhere, shift @ boards))
    assert one.cost == pytest.approx(other.cost, rel=1e-9)
    for first, second in zip(one.rig, other.rig, strict=True):
        np.testing.assert_allclose(lens_vector(first.lens), lens_vector(second.lens), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            (second.cam_from_world @ shift).matrix, first.cam_from_world.matrix, rtol=1e-5, atol=1e-4
        )


def test_another_order_of_cameras_gives_the_same_cameras():
    scene = scene_of()
    rig, boards = astray(scene)
    order = [2, 0, 3, 1]
    turned = rig.select([rig.names[index] for index in order])
    one = adjust(scene, (rig, boards))
    other = adjust(scene, (turned, boards), pixels=pixels_of(scene)[order], fixed_poses=["cam_1"])
    assert one.cost == pytest.approx(other.cost, rel=1e-9)
    for camera in one.rig:
        np.testing.assert_allclose(
            lens_vector(other.rig[camera.name].lens), lens_vector(camera.lens), rtol=1e-5, atol=1e-6
        )
        assert one.standard_deviations(camera.name) == pytest.approx(other.standard_deviations(camera.name), rel=1e-4)


def test_repetition_is_exact_for_any_number_of_threads():
    scene = scene_of(frames=120, outlier_rate=0.05)
    start = astray(scene)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SuiteWarning)
        results = [adjust(scene, start, BundleSettings(workers=workers)) for workers in (1, 1, 2, 3)]
    for result in results[1:]:
        assert result.cost == results[0].cost
        assert result.rig == results[0].rig
        assert result.world_from_board == results[0].world_from_board
        np.testing.assert_array_equal(result.covariance, results[0].covariance)


def test_what_is_fixed_stays():
    scene = scene_of(frames=20)
    rig, boards = astray(scene)
    models = {"cam_2": LENS_MODELS["brown4"]}
    result = adjust(scene, (rig, boards), models=models, fixed_poses=["cam_1", "cam_3"])
    assert result.rig["cam_1"] == rig["cam_1"]
    assert result.rig["cam_3"] == rig["cam_3"]
    assert result.rig["cam_4"].lens == rig["cam_4"].lens
    assert lens_vector(result.rig["cam_2"].lens)[8] == lens_vector(rig["cam_2"].lens)[8]  # k3 is not in the model
    assert {camera for camera, _ in result.labels} == {"cam_2", "cam_4"}
    still = adjust(scene, (rig, scene.world_from_board), fixed_boards=True, fixed_poses=())
    np.testing.assert_allclose(still.world_from_board.matrix, scene.world_from_board.matrix, atol=1e-12)
    assert still.status == BundleStatus.CONVERGED
    assert len(still.labels) == 4 * 15


def test_one_camera_is_calibrated_with_its_pose_fixed():
    scene = scene_of(cameras=1, frames=40)
    result = adjust(scene, astray(scene), BundleSettings())
    deviation = result.standard_deviations("cam_1")
    assert list(deviation) == list(LENS_MODELS["brown5"].free)
    error = lens_vector(result.rig["cam_1"].lens)[:9] - lens_vector(scene.rig["cam_1"].lens)[:9]
    names = ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3")
    assert all(abs(value) < 5 * deviation[name] for value, name in zip(error, names, strict=True))


def test_a_tilted_sensor_is_recovered():
    camera = make_rig(1, lens="brown14", seed=4).cameras[0]
    scene = make_board_scene(Rig((camera,)), BOARD, frames=60, noise=0.0, seed=1)
    model = LensModel("tilt", ("f", "cx", "cy", "k1", "k2", "tau_x", "tau_y"))
    vector = lens_vector(camera.lens)
    vector[1] = vector[0]
    true = replace(camera, lens=lens_from_vector(vector, fisheye=False))
    board = scene.world_from_board
    world = np.einsum("fij,cj->fci", board.rotation, BOARD.points) + board.translation[:, None]
    pixels = true.project(world)[None]
    vector[16:] = 0.0
    start = Rig((replace(camera, lens=lens_from_vector(vector, fisheye=False)),))
    result = adjust_boards(start, BOARD.points, board, pixels, models={"cam_1": model}, settings=PLAIN)
    np.testing.assert_allclose(lens_vector(result.rig["cam_1"].lens)[16:], lens_vector(true.lens)[16:], atol=1e-4)
    assert np.nanmax(np.abs(result.residuals)) < 1e-4


def test_a_prior_pulls_with_the_weight_that_it_has():
    scene = scene_of(frames=60)
    start = astray(scene)
    pixels = pixels_of(scene)
    settings = BundleSettings(loss="none", noise=0.3)
    rig, boards = start

    def half(first, last, **options):
        part = RigidTransform(boards.rotation[first:last], boards.translation[first:last])
        return adjust_boards(
            rig,
            BOARD.points,
            part,
            pixels[:, first:last],
            models=models_of(rig, "brown4"),
            settings=settings,
            **options,
        )

    first = half(0, 30)
    both, together = half(30, 60, prior=first), half(0, 60)
    alone = half(30, 60)
    assert both.status == BundleStatus.CONVERGED
    # information adds up, to first order
    np.testing.assert_allclose(np.diag(both.covariance), np.diag(together.covariance), rtol=0.2)
    for camera in scene.rig.names[1:]:
        deviation = np.array(list(together.standard_deviations(camera).values()))
        near = lens_vector(both.rig[camera].lens)[:8] - lens_vector(together.rig[camera].lens)[:8]
        far = lens_vector(alone.rig[camera].lens)[:8] - lens_vector(together.rig[camera].lens)[:8]
        assert np.abs(near / deviation[6:]).max() < 0.3
        assert np.abs(near).sum() < np.abs(far).sum()


def test_boards_are_fitted_to_cameras_that_are_held():
    scene = scene_of(frames=40, noise=0.3, outlier_rate=0.05)
    held = fit_board_poses(scene.rig, BOARD.points, pixels_of(scene))
    assert (held.status == BundleStatus.CONVERGED).all()
    off = scene.world_from_board.inverse() @ held.world_from_board
    assert np.linalg.norm(off.rotation_vector, axis=-1).max() < 0.02
    np.testing.assert_allclose(held.noise, 0.3, rtol=0.15)
    assert np.nanmedian(held.weights[scene.outlier]) < 0.01
    started = fit_board_poses(scene.rig, BOARD.points, pixels_of(scene), scene.world_from_board)
    np.testing.assert_allclose(started.world_from_board.matrix, held.world_from_board.matrix, atol=1e-3)


def test_held_boards_are_where_an_adjustment_with_all_cameras_fixed_puts_them():
    scene = scene_of(frames=10)
    settings = BundleSettings(loss="none", noise=0.3)
    held = fit_board_poses(scene.rig, BOARD.points, pixels_of(scene), settings=settings)
    result = adjust_boards(
        scene.rig,
        BOARD.points,
        scene.world_from_board,
        pixels_of(scene),
        fixed_poses=scene.rig.names,
        settings=settings,
    )
    np.testing.assert_allclose(held.world_from_board.matrix, result.world_from_board.matrix, atol=1e-5)
    np.testing.assert_allclose(held.residuals, result.residuals, atol=1e-5)


def test_corners_that_no_camera_can_see_are_left_out_with_a_warning():
    scene = scene_of(frames=20)
    rig, boards = scene.rig, scene.world_from_board
    turned = boards.rotation.copy()
    # a board behind the camera that reports it
    centers = rig.cameras[1].center
    place = boards.translation.copy()
    place[3] = centers * 1.5
    pixels = pixels_of(scene).copy()
    pixels[0, 3] = np.nan
    pixels[2:, 3] = np.nan
    pixels[1, 3] = np.random.default_rng(0).uniform(0, 1000, (len(BOARD.points), 2))
    with pytest.warns(SuiteWarning, match="camera 'cam_2'.*left out"):
        result = adjust_boards(rig, BOARD.points, RigidTransform(turned, place), pixels, models=models_of(rig))
    assert (result.weights[1, 3] == 0).all()


def test_a_start_far_off_never_ends_higher_than_it_began():
    scene = scene_of(frames=15)
    for seed in range(5):
        rig, boards = astray(scene, seed=seed, angle=0.2, distance=60.0, focal=1.3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SuiteWarning)
            result = adjust(scene, (rig, boards), PLAIN)
        board = RigidTransform(boards.rotation, boards.translation)
        world = np.einsum("fij,cj->fci", board.rotation, BOARD.points) + board.translation[:, None]
        before = np.moveaxis(rig.project(world), 2, 0) - pixels_of(scene)
        assert result.cost <= 0.5 * np.nansum(before**2) * (1 + 1e-12)
        assert np.isfinite(result.gradient_norm)


def test_parameters_that_nothing_determines_are_named():
    """Boards all parallel to the image: the focal length and the distance are one."""
    camera = make_rig(1, lens="pinhole").cameras[0]
    vector = lens_vector(camera.lens)
    vector[1] = vector[0]
    camera = replace(camera, lens=lens_from_vector(vector, fisheye=False), cam_from_world=RigidTransform.identity())
    rig = Rig((camera,))
    boards = RigidTransform(
        np.tile(np.eye(3), (6, 1, 1)),
        np.column_stack([np.linspace(-200, 100, 6), np.linspace(-150, 50, 6), np.full(6, 1e3)]),
    )
    world = BOARD.points + boards.translation[:, None]
    pixels = rig.project(world)[:, :, 0][None]
    result = adjust_boards(rig, BOARD.points, boards, pixels, models={"cam_1": LENS_MODELS["pinhole"]}, settings=PLAIN)
    assert result.status == BundleStatus.SINGULAR
    assert result.covariance is None
    assert result.undetermined[0][0] == "cam_1"
    assert all(np.isnan(value) for value in result.standard_deviations("cam_1").values())


def bad(**changes):
    scene = scene_of(frames=6)
    arguments = {
        "rig": scene.rig,
        "board_points": BOARD.points,
        "world_from_board": scene.world_from_board,
        "position": pixels_of(scene),
    }
    settings = changes.pop("settings", None)
    options = {name: changes.pop(name) for name in ("models", "fixed_poses") if name in changes}
    arguments |= changes
    return adjust_boards(**arguments, settings=settings, **options)


def blind(camera=None, frame=None):
    pixels = pixels_of(scene_of(frames=6)).copy()
    if camera is not None:
        pixels[camera] = np.nan
    if frame is not None:
        pixels[:, frame] = np.nan
    return pixels


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"position": np.zeros((4, 6, 5, 2))}, MismatchError, "6 poses of the board, 30 corners"),
        ({"position": np.zeros((4, 6, 30))}, InvalidValueError, "position"),
        ({"position": np.full((4, 6, 30, 2), np.inf)}, InvalidValueError, "infinities"),
        ({"board_points": np.full((30, 3), np.nan)}, InvalidValueError, "board points"),
        ({"board_points": np.zeros((30, 2))}, InvalidValueError, "board points"),
        ({"world_from_board": RigidTransform.identity()}, InvalidValueError, "world_from_board"),
        ({"models": {"nobody": LENS_MODELS["brown4"]}}, MismatchError, "camera 'nobody'"),
        ({"models": {"cam_1": LENS_MODELS["fisheye"]}}, MismatchError, "camera 'cam_1'"),
        ({"models": {"cam_1": LensModel("odd", ("k9",))}}, InvalidValueError, "k9"),
        ({"fixed_poses": ["nobody"]}, MismatchError, "camera 'nobody'"),
        ({"fixed_poses": ()}, CalibrationError, "hold the world"),
        ({"settings": BundleSettings(noise=(1.0, 2.0))}, InvalidValueError, "one per camera"),
    ],
)
def test_bad_input_is_named(changes, error, words):
    with pytest.raises(error, match=words):
        bad(**changes)


def test_a_camera_that_sees_nothing_is_named():
    with pytest.raises(CalibrationError, match="camera 'cam_3'"):
        bad(position=blind(camera=2))


def test_a_frame_that_nobody_sees_is_named():
    with pytest.raises(CalibrationError, match="frame 4"):
        bad(position=blind(frame=4))
    with pytest.raises(CalibrationError, match="frame 4"):
        fit_board_poses(scene_of(frames=6).rig, BOARD.points, blind(frame=4))


@pytest.mark.parametrize(
    "settings",
    [{"loss": "l1"}, {"noise": -1.0}, {"maximum_iterations": 0}, {"gradient_tolerance": 0.0}, {"workers": 0}],
)
def test_bad_settings_are_named(settings):
    with pytest.raises(InvalidValueError, match=next(iter(settings))):
        BundleSettings(**settings)
