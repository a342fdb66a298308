"""Derivatives and covariance of bundle adjustment, against finite differences, dense algebra and Monte Carlo."""

from dataclasses import replace

import numpy as np
import pytest

from calibration._bundle_kernels import evaluate_views
from calibration._bundle_problem import camera_table, make_layout, rows_of
from calibration.boards.geometry import Chessboard
from calibration.bundle import (
    BundleSettings,
    BundleStatus,
    RigidLengths,
    adjust_boards,
    adjust_points,
)
from calibration.lens_models import LENS_MODELS, LensModel, lens_from_vector, lens_vector, parameter_names
from calibration.rig import Rig
from calibration.synthetic import make_board_scene, make_points, make_rig
from calibration.transforms import RigidTransform

EVERYTHING = LensModel("everything", parameter_names(fisheye=False))
TIED = LensModel("tied", ("f", "cx", "cy", "k1", "k2"))
BOARD = Chessboard(columns=7, rows=6, square=40.0)


def small_scene(cameras=2, frames=5, lens="brown5", noise=0.3, seed=0):
    return make_board_scene(make_rig(cameras, lens=lens, seed=seed), BOARD, frames=frames, noise=noise, seed=seed)


def moved(camera, label, step):
    """The camera with one parameter changed by a step, in the convention of the module."""
    if label in ("rx", "ry", "rz", "tx", "ty", "tz"):
        motion = np.zeros(6)
        motion[("rx", "ry", "rz", "tx", "ty", "tz").index(label)] = step
        return replace(
            camera,
            cam_from_world=RigidTransform.from_rotation_vector(motion[:3], motion[3:]) @ camera.cam_from_world,
        )
    fisheye = camera.lens.model == "fisheye"
    vector = lens_vector(camera.lens)
    for name in ("fx", "fy") if label == "f" else (label,):
        vector[parameter_names(fisheye=fisheye).index(name)] += step
    skew = camera.lens.camera_matrix[0, 1]
    return replace(camera, lens=lens_from_vector(vector, fisheye=fisheye, skew=float(skew)))


def board_moved(pose, axis, step):
    motion = np.zeros(6)
    motion[axis] = step
    return pose @ RigidTransform.from_rotation_vector(motion[:3], motion[3:])


def kernel_derivatives(rig, models, fixed, pose, points):
    """(camera, corner, 2, parameter) analytic derivatives by pose of the board in the camera (6) and lens."""
    layout = make_layout(rig, models, fixed)
    table, width = camera_table(rig, layout), layout.width
    n = len(points)
    result = np.zeros((len(rig), n, 2, width))
    for camera in range(len(rig)):
        pixels = rig.cameras[camera].project(pose(points))
        for axis in range(2):
            # with a residual of one pixel along one axis, J^T e is that row of J
            off = np.zeros(2)
            off[axis] = 1.0
            vector = np.zeros((n, width))
            evaluate_views(
                0, n, table, rows_of(RigidTransform(pose.rotation[None], pose.translation[None])), points,
                layout.places, layout.sizes, np.full(n, camera), np.zeros(n, dtype=np.int64), np.arange(n + 1),
                np.arange(n), pixels - off, np.ones(n, dtype=np.bool_), np.ones(len(rig)), 0, 1.0, 1.0,
                np.zeros((n, width, width)), vector, np.zeros(n), np.zeros(n, dtype=np.int64), np.zeros(n),
                np.zeros((n, 2)), np.zeros((n, 0, 1)),
            )  # fmt: skip
            result[camera, :, axis] = vector
    return layout, result


@pytest.mark.parametrize("lens", ["pinhole", "brown5", "brown8", "brown14", "fisheye"])
def test_the_derivatives_by_every_parameter_are_those_of_finite_differences(lens):
    rig = make_rig(2, lens=lens, seed=3)
    cameras = [replace(c, lens=lens_from_vector(lens_vector(c.lens), fisheye=lens == "fisheye", skew=3.0)) for c in rig]
    rig = Rig(tuple(cameras))
    model = LENS_MODELS["fisheye"] if lens == "fisheye" else EVERYTHING
    pose = RigidTransform.from_rotation_vector([0.3, -0.4, 0.2], [-80.0, -60.0, 40.0])
    points = BOARD.points[::5]
    layout, found = kernel_derivatives(rig, dict.fromkeys(rig.names, model), (), pose, points)
    steps = {"f": 1e-2, "fx": 1e-2, "fy": 1e-2, "cx": 1e-2, "cy": 1e-2, "tx": 1e-2, "ty": 1e-2, "tz": 1e-2}
    for camera, name in layout.labels:
        index = rig.names.index(camera)
        step = steps.get(name, 1e-5 if name[0] == "r" else 1e-4)
        above = moved(rig[camera], name, step).project(pose(points))
        below = moved(rig[camera], name, -step).project(pose(points))
        expected = (above - below) / (2 * step)
        row = (*("rx", "ry", "rz", "tx", "ty", "tz"), *model.free).index(name)
        # the rounding of a pixel coordinate, and the third derivative
        tolerance = 1e-12 / step + 1e-6 * np.abs(expected).max()
        np.testing.assert_allclose(found[index, :, :, row], expected, rtol=0, atol=tolerance, err_msg=name)


def test_one_focal_length_moves_both():
    camera = make_rig(1, lens="brown5").cameras[0]
    vector = lens_vector(camera.lens)
    vector[1] = vector[0]
    rig = Rig((replace(camera, lens=lens_from_vector(vector, fisheye=False)),))
    pose = RigidTransform.from_rotation_vector([0.3, -0.4, 0.2], [-80.0, -60.0, 40.0])
    _, tied = kernel_derivatives(rig, {"cam_1": TIED}, (), pose, BOARD.points)
    _, free = kernel_derivatives(rig, {"cam_1": LENS_MODELS["brown5"]}, (), pose, BOARD.points)
    np.testing.assert_allclose(tied[0, :, :, 6], free[0, :, :, 6] + free[0, :, :, 7])


def dense_covariance(scene, result, models, fixed, sigma):
    """Inverse of the full information matrix; the derivatives are those that are tested above."""
    rig, labels = result.rig, result.labels
    n_frames = len(result.world_from_board.translation)
    size = len(labels) + 6 * n_frames
    information = np.zeros((size, size))
    layout = make_layout(rig, models, fixed)
    seen = np.isfinite(scene.corners.position.values[..., 0])
    for frame in range(n_frames):
        pose = RigidTransform(result.world_from_board.rotation[frame], result.world_from_board.translation[frame])
        _, slopes = kernel_derivatives(rig, models, fixed, pose, result.board_points)
        for camera in range(len(rig)):
            whole = rig.cameras[camera].cam_from_world @ pose
            x, y, z = whole.translation
            cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
            adjoint = np.block([[whole.rotation, np.zeros((3, 3))], [cross @ whole.rotation, whole.rotation]])
            jacobian = np.zeros((len(result.board_points), 2, size))
            count = layout.sizes[camera] - layout.offset[camera]
            if count:
                first = layout.first[camera]
                jacobian[..., first : first + count] = slopes[camera][..., layout.offset[camera] : layout.sizes[camera]]
            place = len(labels) + 6 * frame
            jacobian[..., place : place + 6] = slopes[camera][..., :6] @ adjoint
            rows = jacobian[seen[camera, frame]].reshape(-1, size) / sigma
            information += rows.T @ rows
    scale = 1 / np.sqrt(np.diag(information))
    return np.linalg.inv(information * np.outer(scale, scale)) * np.outer(scale, scale)


@pytest.mark.parametrize("lens", ["brown5", "fisheye"])
def test_the_covariance_is_the_inverse_of_the_full_information_matrix(lens):
    scene = small_scene(lens=lens, frames=6)
    models = dict.fromkeys(scene.rig.names, LENS_MODELS["fisheye" if lens == "fisheye" else "brown4"])
    settings = BundleSettings(loss="none", noise=0.3, local_covariance=True)
    result = adjust_boards(
        scene.rig, BOARD.points, scene.world_from_board, scene.corners.position.values, models=models, settings=settings
    )
    assert result.status == BundleStatus.CONVERGED
    dense = dense_covariance(scene, result, models, ("cam_1",), 0.3)
    n = len(result.labels)
    deviation = np.sqrt(np.diag(dense))
    np.testing.assert_allclose(
        result.covariance / np.outer(deviation[:n], deviation[:n]),
        dense[:n, :n] / np.outer(deviation[:n], deviation[:n]),
        atol=1e-8,
    )
    for frame in range(6):
        own = slice(n + 6 * frame, n + 6 * frame + 6)
        np.testing.assert_allclose(
            result.board_covariance[frame] / np.outer(deviation[own], deviation[own]),
            dense[own, own] / np.outer(deviation[own], deviation[own]),
            atol=1e-8,
        )


def difference(found, true, labels):
    """Found minus true, in the parameters of the labels."""
    result = []
    for camera, name in labels:
        one, other = found[camera], true[camera]
        motion = one.cam_from_world @ other.cam_from_world.inverse()
        vector = np.concatenate([motion.rotation_vector, motion.translation])
        names = parameter_names(fisheye=False)
        if name in ("rx", "ry", "rz", "tx", "ty", "tz"):
            result.append(vector[("rx", "ry", "rz", "tx", "ty", "tz").index(name)])
        else:
            place = 0 if name == "f" else names.index(name)
            result.append(lens_vector(one.lens)[place] - lens_vector(other.lens)[place])
    return np.array(result)


@pytest.mark.parametrize("loss", ["none", "cauchy"])
def test_the_covariance_is_that_of_repeated_trials(loss):
    rig = make_rig(3, lens="brown5", seed=1)
    models = dict.fromkeys(rig.names, LENS_MODELS["brown4"])
    scores, count = [], 60
    scene = make_board_scene(rig, BOARD, frames=20, noise=0.0, seed=0)
    clean = scene.truth
    for seed in range(count):
        noisy = clean + np.random.default_rng(seed).normal(0, 0.03, clean.shape)
        result = adjust_boards(
            rig, BOARD.points, scene.world_from_board, noisy, models=models, settings=BundleSettings(loss=loss)
        )
        error = difference(result.rig, rig, result.labels)
        scores.append(error @ np.linalg.solve(result.covariance, error) / len(error))
    # chi-square over its freedom; so little noise that the problem is linear
    assert abs(np.mean(scores) - 1) < 4 * np.sqrt(2 / (count * len(error))) + 0.03


def test_points_that_nobody_else_determines_have_the_covariance_of_repeated_trials():
    rig = make_rig(4, seed=2)
    first = make_points(40, seed=0)
    way = np.random.default_rng(1).normal(size=(40, 3))
    points = np.concatenate([first, first + 60 * way / np.linalg.norm(way, axis=1, keepdims=True)])
    pairs = np.column_stack([np.arange(40), np.arange(40) + 40])
    lengths = RigidLengths(pairs, np.zeros(40, dtype=int), np.array([60.0]), np.array([0.2]))
    truth = rig.project(points)
    scores, spread, count = [], [], 60
    for seed in range(count):
        rng = np.random.default_rng(seed)
        # the distance is soft: the true one varies as much as is said
        stretch = rng.normal(0, 0.2, 40)
        there = points.copy()
        there[40:] += stretch[:, None] * way / np.linalg.norm(way, axis=1, keepdims=True)
        pixels = rig.project(there) + rng.normal(0, 0.5, truth.shape)
        result = adjust_points(
            rig, there, pixels, lengths=lengths,
            settings=BundleSettings(loss="none", noise=0.5, local_covariance=True),
        )  # fmt: skip
        error = difference(result.rig, rig, result.labels)
        scores.append(error @ np.linalg.solve(result.covariance, error) / len(error))
        off = result.points - there
        spread.append(np.einsum("pi,pij,pj->p", off, np.linalg.inv(result.point_covariance), off).mean() / 3)
    assert abs(np.mean(scores) - 1) < 4 * np.sqrt(2 / (count * len(error)))
    assert abs(np.mean(spread) - 1) < 0.1


def test_the_scale_has_no_spread_where_it_is_fixed_by_the_start():
    rig = make_rig(4, seed=2)
    points = make_points(60, seed=0)
    pixels = rig.project(points)
    errors = []
    for seed in range(40):
        noisy = pixels + np.random.default_rng(seed).normal(0, 0.5, pixels.shape)
        result = adjust_points(rig, points, noisy, settings=BundleSettings(loss="none", noise=0.5))
        error = difference(result.rig, rig, result.labels)
        # singular along the scale: compare in the space of the others
        values, vectors = np.linalg.eigh(result.covariance / np.outer(*[np.sqrt(np.diag(result.covariance))] * 2))
        scaled = error / np.sqrt(np.diag(result.covariance))
        errors.append(((vectors[:, 1:].T @ scaled) ** 2 / values[1:]).mean())
        assert values[0] < 1e-6
    assert abs(np.mean(errors) - 1) < 4 * np.sqrt(2 / (40 * (len(error) - 1)))
