"""The polished point is the most likely one and its covariance that of the likelihood, by independent computation."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import least_squares

from calibration.rig import Rig
from calibration.synthetic import LENSES, make_points, make_rig, observe
from calibration.triangulation import Status, triangulate

FLOATS = NDArray[np.float64]


def most_likely(rig: Rig, pixels: FLOATS, weights: FLOATS, start: FLOATS) -> FLOATS:
    """The point (3,) that scipy finds: least squares of the reprojection error, weights (camera,) of its square."""
    used = weights > 0
    root = np.sqrt(weights[used])[:, None]

    def residual(point: FLOATS) -> FLOATS:
        return (root * (rig.project(point)[used] - pixels[used])).ravel()

    outcome = least_squares(residual, start, xtol=1e-15, ftol=1e-15, gtol=1e-15, jac="3-point", x_scale=100.0)
    return np.asarray(outcome.x)


def covariance_by_differences(rig: Rig, point: FLOATS, weights: FLOATS, step: float = 1e-3) -> FLOATS:
    """(3, 3) inverse of J^T W J, J by central differences of the projection."""
    moved = point + step * np.concatenate([np.eye(3), -np.eye(3)])
    projected = rig.project(moved)
    jacobian = ((projected[:3] - projected[3:]) / (2 * step))[:, weights > 0]
    information = np.einsum("ick,jck,c->ij", jacobian, jacobian, weights[weights > 0])
    return np.linalg.inv(information)


@pytest.mark.parametrize("method", ["robust", "linear"])
@pytest.mark.parametrize("lens", LENSES)
def test_the_point_is_the_most_likely_one_and_has_its_covariance(lens: str, method: str) -> None:
    rig = make_rig(5, lens=lens, seed=3)
    noise = np.array([0.5, 0.8, 1.0, 1.5, 2.0])
    points = make_points(12, seed=4)
    outliers = 0.15 if method == "robust" else 0.0
    seen = observe(rig, points, noise=noise, outlier_rate=outliers, dropout_rate=0.2, seed=5)
    outcome = triangulate(rig, seen.pixels, seen.confidence, method=method, noise=tuple(noise), threshold=8.0)
    found = np.flatnonzero(outcome.status == Status.OK)
    assert len(found) >= 9
    assert outcome.covariance is not None
    for index in found:
        weights = np.where(outcome.inliers[index], seen.confidence[index] / noise**2, 0.0)
        expected = most_likely(rig, seen.pixels[index], weights, points[index])
        # in units of its own uncertainty; scipy stops at about 1e-8 of it
        deviation = np.linalg.cholesky(np.linalg.inv(outcome.covariance[index])).T @ (outcome.points[index] - expected)
        assert np.linalg.norm(deviation) < 1e-6
        np.testing.assert_allclose(
            outcome.covariance[index],
            covariance_by_differences(rig, outcome.points[index], weights),
            rtol=1e-5,
            atol=1e-6 * np.trace(outcome.covariance[index]),
        )


def test_most_points_are_the_most_likely_ones_to_1e_7_px() -> None:
    """With one pixel of noise and six cameras, nothing else: the usual case."""
    rig = make_rig(6, seed=1)
    points = make_points(40, seed=2)
    seen = observe(rig, points, noise=1.0, seed=3)
    outcome = triangulate(rig, seen.pixels, noise=1.0)
    expected = np.stack([most_likely(rig, *each) for each in zip(seen.pixels, np.ones((40, 6)), points, strict=True)])
    off = np.abs(rig.project(outcome.points) - rig.project(expected)).max((-1, -2))
    assert np.median(off) < 1e-7
    assert off.max() < 1e-5


def test_confidence_of_all_cameras_times_a_factor_scales_the_covariance_alone() -> None:
    rig = make_rig(5, seed=3)
    seen = observe(rig, make_points(300, seed=4), noise=1.0, outlier_rate=0.1, dropout_rate=0.2, seed=5)
    full = triangulate(rig, seen.pixels, seen.confidence, noise=1.0)
    for factor in (0.5, 1e-3):
        less = triangulate(rig, seen.pixels, seen.confidence * factor, noise=1.0)
        np.testing.assert_array_equal(full.inliers, less.inliers)
        np.testing.assert_allclose(rig.project(full.points), rig.project(less.points), rtol=0, atol=1e-4)
        np.testing.assert_allclose(full.covariance, less.covariance * factor, rtol=1e-3)


def test_noise_of_all_cameras_times_a_factor_scales_the_covariance_alone() -> None:
    rig = make_rig(4, seed=3)
    seen = observe(rig, make_points(300, seed=4), noise=1.0, outlier_rate=0.1, dropout_rate=0.2, seed=5)
    one = triangulate(rig, seen.pixels, noise=(1.0, 2.0, 3.0, 4.0), threshold=6.0)
    ten = triangulate(rig, seen.pixels, noise=(10.0, 20.0, 30.0, 40.0), threshold=6.0)
    np.testing.assert_array_equal(one.points, ten.points)
    np.testing.assert_allclose(one.covariance * 100, ten.covariance, rtol=1e-12)


def projection_matrices(rig: Rig) -> list[FLOATS]:
    poses = [camera.cam_from_world for camera in rig]
    return [
        camera.lens.camera_matrix @ np.column_stack([pose.rotation, pose.translation])
        for camera, pose in zip(rig, poses, strict=True)
    ]


def by_opencv(rig: Rig, pixels: FLOATS) -> FLOATS:
    """(point, 3) from pixels (point, 2 cameras, 2) by cv2.triangulatePoints, which minimizes an algebraic error."""
    first, second = projection_matrices(rig)
    homogeneous = np.asarray(cv2.triangulatePoints(first, second, pixels[:, 0].T, pixels[:, 1].T)).reshape(4, -1)
    return (homogeneous[:3] / homogeneous[3]).T


class TestAgainstOpenCV:
    """Two cameras without distortion."""

    @pytest.fixture
    def pair(self) -> Rig:
        return make_rig(5, lens="pinhole", seed=7).select(["cam_1", "cam_2"])

    @pytest.mark.parametrize("method", ["robust", "linear"])
    def test_the_same_points_without_noise(self, pair: Rig, method: str) -> None:
        points = make_points(200, seed=8)
        pixels = pair.project(points)
        outcome = triangulate(pair, pixels, method=method, noise=1.0)
        np.testing.assert_allclose(by_opencv(pair, pixels), points, rtol=0, atol=1e-8)
        np.testing.assert_allclose(outcome.points, points, rtol=0, atol=1e-8)

    def test_nearly_the_same_points_with_noise_and_never_a_larger_error(self, pair: Rig) -> None:
        points = make_points(500, seed=8)
        seen = observe(pair, points, noise=1.0, seed=9)
        outcome = triangulate(pair, seen.pixels, noise=1.0, threshold=10.0)
        other = by_opencv(pair, seen.pixels)
        spread = np.sqrt(np.trace(outcome.covariance, axis1=-2, axis2=-1))
        assert (np.linalg.norm(outcome.points - other, axis=-1) < 0.3 * spread).all()
        ours, theirs = (
            (np.linalg.norm(pair.project(each) - seen.pixels, axis=-1) ** 2).sum(-1) for each in (outcome.points, other)
        )
        assert (ours <= theirs + 1e-9).all()
        assert np.median(theirs - ours) > 0

    def test_the_same_cameras_in_opencvs_own_optimal_correction(self, pair: Rig) -> None:
        """cv2.correctMatches moves the pixels the least (Hartley and Sturm, 1997): the most likely point."""
        seen = observe(pair, make_points(100, seed=8), noise=1.0, seed=9)
        first, second = pair.cameras
        relative = second.cam_from_world @ first.cam_from_world.inverse()
        x, y, z = relative.translation
        essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ relative.rotation
        inverse = [np.linalg.inv(camera.lens.camera_matrix) for camera in pair]
        fundamental = inverse[1].T @ essential @ inverse[0]
        moved = cv2.correctMatches(fundamental, seen.pixels[None, :, 0], seen.pixels[None, :, 1])
        corrected = np.stack([np.asarray(each).reshape(-1, 2) for each in moved], axis=1)
        outcome = triangulate(pair, seen.pixels, noise=1.0, threshold=10.0)
        np.testing.assert_allclose(pair.project(outcome.points), corrected, rtol=0, atol=1e-4)
