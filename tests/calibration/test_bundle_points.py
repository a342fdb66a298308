"""Bundle adjustment of free points: known truth, lengths, scale, boards and priors beside them, bad input."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares

from calibration.boards.geometry import Chessboard
from calibration.bundle import (
    BoardFrames,
    BundleSettings,
    BundleStatus,
    RigidLengths,
    adjust_boards,
    adjust_points,
)
from calibration.errors import CalibrationError, InvalidValueError, MismatchError, SuiteWarning
from calibration.lens_models import LENS_MODELS
from calibration.rig import Rig
from calibration.synthetic import make_board_scene, make_points, make_rig, observe
from calibration.transforms import RigidTransform

PLAIN = BundleSettings(loss="none", noise=0.5)
COUNT = 150


def astray(rig, seed=0, angle=0.004, distance=4.0):
    rng = np.random.default_rng(seed)
    cameras = [rig.cameras[0]]
    for camera in rig.cameras[1:]:
        off = RigidTransform.from_rotation_vector(rng.normal(size=3) * angle, rng.normal(size=3) * distance)
        cameras.append(replace(camera, cam_from_world=off @ camera.cam_from_world))
    return Rig(tuple(cameras))


def bones(length=40.0, count=COUNT, seed=1):
    """Two ends of a bone at many places: points (2 count, 3), and which belong together."""
    first = make_points(count, seed=seed)
    way = np.random.default_rng(seed).normal(size=(count, 3))
    points = np.concatenate([first, first + length * way / np.linalg.norm(way, axis=1, keepdims=True)])
    return points, np.column_stack([np.arange(count), np.arange(count) + count])


def rigid(pairs, value, deviation=0.1):
    return RigidLengths(pairs, np.zeros(len(pairs), dtype=int), np.array([value]), np.array([deviation]))


def scaled_error(found, true):
    """RMS distance of the camera centers, as they are and after the best scale about the first camera."""
    origin = true.cameras[0].center
    ours = np.stack([camera.center - origin for camera in found])
    right = np.stack([camera.center - origin for camera in true])
    scale = (ours * right).sum() / (ours * ours).sum()
    return np.sqrt(((ours - right) ** 2).mean()), np.sqrt(((scale * ours - right) ** 2).mean())


def test_noise_free_points_give_the_truth_but_for_the_scale():
    rig, (points, _) = make_rig(4), bones()
    result = adjust_points(astray(rig), points + 1.0, rig.project(points), settings=BundleSettings(loss="none"))
    assert result.status == BundleStatus.CONVERGED
    _, error = scaled_error(result.rig, rig)
    assert error < 1e-4
    assert np.nanmax(np.abs(result.residuals)) < 1e-5


def test_without_anything_that_says_the_scale_the_cameras_stay_as_far_apart():
    rig, (points, _) = make_rig(4), bones()
    start = astray(rig)
    result = adjust_points(start, points, rig.project(points), settings=PLAIN)
    before = [np.linalg.norm(camera.center - start.cameras[0].center) for camera in start]
    after = [np.linalg.norm(camera.center - start.cameras[0].center) for camera in result.rig]
    assert np.sum(np.square(after)) == pytest.approx(np.sum(np.square(before)), rel=1e-12)
    np.testing.assert_allclose(result.residuals, rig.project(points) - result.rig.project(result.points), atol=1e-6)


@pytest.mark.parametrize("outliers", [0.0, 0.05])
def test_known_lengths_give_the_scale(outliers):
    rig, (points, pairs) = make_rig(4), bones()
    seen = observe(rig, points, noise=0.5, outlier_rate=outliers, dropout_rate=0.1, seed=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SuiteWarning)
        result = adjust_points(astray(rig), points + 1.0, seen.pixels, lengths=rigid(pairs, 40.0))
    assert result.status == BundleStatus.CONVERGED
    error, after_scale = scaled_error(result.rig, rig)
    assert error < 2.5
    assert after_scale < 2.0
    np.testing.assert_allclose(result.noise, 0.5, rtol=0.15)
    if outliers:
        assert np.nanmedian(result.weights[seen.outlier]) < 0.02


def test_unknown_lengths_are_found_and_make_the_cameras_better():
    rig = make_rig(3)
    points, pairs = bones(length=120.0, count=60)
    alone, tied, lengths = [], [], []
    for seed in range(8):
        pixels = observe(rig, points, noise=1.0, seed=seed).pixels
        settings = BundleSettings(loss="none", noise=1.0)
        start = points + np.random.default_rng(seed).normal(size=points.shape)
        alone.append(scaled_error(adjust_points(rig, start, pixels, settings=settings).rig, rig)[1])
        result = adjust_points(rig, start, pixels, lengths=rigid(pairs, np.nan, 0.05), settings=settings)
        assert result.status == BundleStatus.CONVERGED
        tied.append(scaled_error(result.rig, rig)[1])
        lengths.append((result.lengths[0] - 120.0) / max(result.length_deviations[0], 1e-9))
    assert np.mean(tied) < np.mean(alone)
    # the distance of the cameras is held, so the length has the spread of what is measured
    assert np.abs(lengths).max() < 4


def test_blocks_of_tied_points_reach_the_minimum_that_scipy_reaches():
    rig = make_rig(3)
    points, pairs = bones(count=6)
    pairs = np.concatenate([pairs, [[0, 1], [7, 8]]])
    parts = np.array([0] * 6 + [1, 2])
    values = np.array([40.0, np.linalg.norm(points[0] - points[1]), np.nan])
    lengths = RigidLengths(pairs, parts, values, np.array([0.5, 0.5, 0.5]))
    pixels = observe(rig, points, noise=0.5, seed=3).pixels
    result = adjust_points(rig, points, pixels, lengths=lengths, settings=PLAIN)

    def residuals(vector):
        cameras = [rig.cameras[0]]
        for index, camera in enumerate(rig.cameras[1:]):
            part = vector[6 * index : 6 * index + 6]
            cameras.append(replace(camera, cam_from_world=RigidTransform.from_rotation_vector(part[:3], part[3:])))
        there = vector[12:48].reshape(-1, 3)
        seen = (Rig(tuple(cameras)).project(there) - pixels)[np.isfinite(pixels)] / 0.5
        distance = np.linalg.norm(there[pairs[:, 0]] - there[pairs[:, 1]], axis=1)
        given = np.array([*values[:2], vector[48]])[parts]
        # the deviation of a free length is a share of it
        width = np.where(parts == 2, 0.5 * vector[48] / np.linalg.norm(points[7] - points[8]), 0.5)
        return np.concatenate([seen, (distance - given) / width])

    start = np.concatenate(
        [np.concatenate([c.cam_from_world.rotation_vector, c.cam_from_world.translation]) for c in rig.cameras[1:]]
        + [points.ravel(), [np.linalg.norm(points[7] - points[8])]]
    )
    theirs = least_squares(residuals, start, x_scale="jac", ftol=1e-13, xtol=1e-13, gtol=1e-13, max_nfev=40)
    assert result.status == BundleStatus.CONVERGED
    assert result.cost == pytest.approx(theirs.cost, rel=1e-8)


def test_points_with_boards_are_better_than_boards_alone():
    rig = make_rig(4)
    board = Chessboard(columns=7, rows=6, square=40.0)
    scene = make_board_scene(rig, board, frames=8, noise=0.5, seed=0)
    points, _ = bones()
    pixels = observe(rig, points, noise=0.5, seed=5).pixels
    frames = BoardFrames(board.points, scene.world_from_board, scene.corners.position.values)
    alone = adjust_boards(rig, board.points, frames.world_from_board, frames.position, settings=PLAIN)
    both = adjust_points(astray(rig), points, pixels, boards=frames, settings=PLAIN)
    assert both.status == BundleStatus.CONVERGED
    assert both.world_from_board is not None
    assert np.nanstd(both.board_residuals) == pytest.approx(0.5, rel=0.1)
    for camera in rig.names[1:]:
        ours, theirs = both.standard_deviations(camera), alone.standard_deviations(camera)
        assert all(ours[name] < theirs[name] for name in ours)
    # and the same from a prior that is the adjustment of the boards
    known = adjust_points(alone.rig, points, pixels, prior=alone, settings=PLAIN)
    assert known.status == BundleStatus.CONVERGED
    deviation = np.sqrt(np.diag(both.covariance))
    np.testing.assert_allclose(np.sqrt(np.diag(known.covariance)), deviation, rtol=0.1)
    for name in rig.names:
        np.testing.assert_allclose(known.rig[name].center, both.rig[name].center, atol=1.0)


def test_lenses_can_be_free_too():
    rig = make_rig(4, lens="brown4")
    points, pairs = bones(count=400)
    pixels = observe(rig, points, noise=0.3, seed=1).pixels
    models = dict.fromkeys(rig.names, LENS_MODELS["radial1"])
    result = adjust_points(rig, points, pixels, models=models, lengths=rigid(pairs, 40.0), settings=PLAIN)
    assert result.status == BundleStatus.CONVERGED
    assert [name for camera, name in result.labels if camera == "cam_1"] == ["f", "cx", "cy", "k1"]


def test_repetition_is_exact_for_any_number_of_threads():
    rig = make_rig(5)
    points, pairs = bones(count=1500)
    pixels = observe(rig, points, noise=0.5, outlier_rate=0.02, seed=1).pixels
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SuiteWarning)
        results = [
            adjust_points(
                rig, points, pixels, lengths=rigid(pairs, 40.0), settings=BundleSettings(loss="huber", workers=workers)
            )
            for workers in (1, 2, 3)
        ]
    for result in results[1:]:
        assert result.rig == results[0].rig
        np.testing.assert_array_equal(result.points, results[0].points)


def test_points_that_are_not_determined_are_left_out():
    rig, (points, pairs) = make_rig(3), bones(count=30)
    pixels = rig.project(points)
    pixels[4, 1:] = np.nan  # one camera, and a length to a point that is known: nothing is left over for the cameras
    start = points.copy()
    start[7] = np.nan
    result = adjust_points(rig, start, pixels, lengths=rigid(pairs, 40.0), settings=PLAIN)
    assert np.flatnonzero(np.isnan(result.points[:, 0])).tolist() == [4, 7]
    assert np.isnan(result.residuals[4]).all()
    assert np.isfinite(result.points[34]).all()


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"position": np.zeros((60, 2, 2))}, MismatchError, "one pixel per point and camera"),
        ({"position": np.full((60, 3, 2), np.inf)}, InvalidValueError, "infinities"),
        ({"points": np.zeros((60, 2))}, InvalidValueError, "points"),
        ({"points": np.full((60, 3), np.nan)}, InvalidValueError, "two cameras see"),
        ({"lengths": rigid(np.array([[0, 99]]), 1.0)}, InvalidValueError, "numbers of points"),
        ({"lengths": rigid(np.array([[3, 3]]), 1.0)}, InvalidValueError, "two different points"),
        ({"lengths": rigid(np.array([[0, 1]]), -1.0)}, InvalidValueError, "values"),
        ({"lengths": rigid(np.array([[0, 1]]), 1.0, 0.0)}, InvalidValueError, "deviations"),
        ({"fixed_poses": ()}, CalibrationError, "hold the world"),
        ({"settings": BundleSettings(bend=True)}, InvalidValueError, "bend"),
        ({"models": {"nobody": LENS_MODELS["f"]}}, MismatchError, "nobody"),
    ],
)
def test_bad_input_is_named(changes, error, words):
    rig, (points, _) = make_rig(3), bones(count=30)
    arguments = {"points": points, "position": rig.project(points)} | changes
    with pytest.raises(error, match=words):
        adjust_points(rig, arguments.pop("points"), arguments.pop("position"), **arguments)


def test_a_camera_that_sees_nothing_is_named():
    rig, (points, _) = make_rig(3), bones(count=30)
    pixels = rig.project(points)
    pixels[:, 2] = np.nan
    with pytest.raises(CalibrationError, match="cam_3"):
        adjust_points(rig, points, pixels)
