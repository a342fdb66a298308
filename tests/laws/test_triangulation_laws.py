"""Laws of triangulation: truth without noise, and independence of frame, order and unit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibration.rig import Rig
from calibration.synthetic import LENSES, make_points, make_rig, observe
from calibration.transforms import RigidTransform
from calibration.triangulation import Triangulation, triangulate

EXAMPLES = 25
SEEDS = st.integers(0, 10_000)
CAMERAS = st.integers(2, 8)
METHODS = st.sampled_from(["robust", "linear"])
LENS = st.sampled_from(LENSES)
TURN = st.tuples(*[st.floats(-3, 3)] * 3)
SHIFT = st.tuples(*[st.floats(-5000, 5000)] * 3)


def scene(cameras: int, lens: str, seed: int) -> tuple[Rig, NDArray[np.float64], NDArray[np.float64]]:
    """A rig, and what it saw of 200 points: pixels and confidence."""
    rig = make_rig(cameras, lens=lens, seed=seed)
    seen = observe(rig, make_points(200, seed=seed), noise=1.0, outlier_rate=0.1, dropout_rate=0.2, seed=seed)
    return rig, seen.pixels, seen.confidence


def moved(rig: Rig, new_from_old: RigidTransform) -> Rig:
    """The same cameras in another world frame."""
    old_from_new = new_from_old.inverse()
    return Rig(
        tuple(replace(camera, cam_from_world=camera.cam_from_world @ old_from_new) for camera in rig), unit=rig.unit
    )


def scaled(rig: Rig, factor: float) -> Rig:
    """The same cameras in another unit of length."""
    poses = [RigidTransform(c.cam_from_world.rotation, c.cam_from_world.translation * factor) for c in rig]
    return Rig(tuple(replace(c, cam_from_world=pose) for c, pose in zip(rig, poses, strict=True)))


def covariance_of(outcome: Triangulation) -> NDArray[np.float64]:
    assert outcome.covariance is not None
    return outcome.covariance


def assert_same_decisions(one: Triangulation, other: Triangulation) -> None:
    np.testing.assert_array_equal(one.status, other.status)
    np.testing.assert_array_equal(one.inliers, other.inliers)
    np.testing.assert_allclose(one.residuals, other.residuals, rtol=0, atol=1e-4)


@settings(max_examples=3 * EXAMPLES)
@given(cameras=st.integers(2, 12), lens=LENS, method=METHODS, seed=SEEDS, offset=SHIFT)
def test_without_noise_the_points_are_true(
    cameras: int, lens: str, method: str, seed: int, offset: tuple[float, float, float]
) -> None:
    """To 1e-9 of the distance of the cameras, wherever the origin of the world is."""
    shift = RigidTransform(np.eye(3), np.array(offset))
    rig, points = moved(make_rig(cameras, lens=lens, seed=seed), shift), shift(make_points(100, seed=seed))
    outcome = triangulate(rig, rig.project(points), method=method, noise=1.0, minimum_angle=0.02)
    known = outcome.status == 0
    assert known.mean() > 0.9
    np.testing.assert_allclose(outcome.points[known], points[known], rtol=0, atol=1e-9 * 1000)
    assert np.nanmax(outcome.residuals) < 1e-6


@settings(max_examples=EXAMPLES)
@given(cameras=CAMERAS, lens=LENS, method=METHODS, seed=SEEDS, turn=TURN, shift=SHIFT)
def test_another_world_frame_moves_points_and_covariance_with_it(
    cameras: int,
    lens: str,
    method: str,
    seed: int,
    turn: tuple[float, float, float],
    shift: tuple[float, float, float],
) -> None:
    rig, pixels, confidence = scene(cameras, lens, seed)
    new_from_old = RigidTransform.from_rotation_vector(turn, shift)
    old = triangulate(rig, pixels, confidence, method=method, noise=1.0, threshold=6.0)
    new = triangulate(moved(rig, new_from_old), pixels, confidence, method=method, noise=1.0, threshold=6.0)
    assert_same_decisions(old, new)
    spread = np.sqrt(np.trace(covariance_of(old), axis1=-2, axis2=-1))
    off = np.linalg.norm(new_from_old(old.points) - new.points, axis=-1)
    assert (off[old.status == 0] < 1e-4 * spread[old.status == 0]).all()
    turned = new_from_old.rotation @ covariance_of(old) @ new_from_old.rotation.T
    np.testing.assert_allclose(
        turned / spread[:, None, None] ** 2, covariance_of(new) / spread[:, None, None] ** 2, atol=1e-4
    )


@settings(max_examples=EXAMPLES)
@given(cameras=CAMERAS, lens=LENS, method=METHODS, seed=SEEDS, shuffle=st.permutations(range(8)))
@example(cameras=5, lens="pinhole", method="robust", seed=0, shuffle=[0, 3, 2, 1, 4, 5, 6, 7])  # the search stops early
def test_the_order_of_the_cameras_does_not_matter(
    cameras: int, lens: str, method: str, seed: int, shuffle: list[int]
) -> None:
    rig, pixels, confidence = scene(cameras, lens, seed)
    order = [index for index in shuffle if index < cameras]
    back = np.argsort(order)
    straight = triangulate(rig, pixels, confidence, method=method, noise=1.0, threshold=6.0)
    shuffled = triangulate(
        rig.select([rig.names[index] for index in order]),
        pixels[:, order],
        confidence[:, order],
        method=method,
        noise=1.0,
        threshold=6.0,
    )
    np.testing.assert_array_equal(straight.status, shuffled.status)
    np.testing.assert_array_equal(straight.inliers, shuffled.inliers[:, back])
    spread = np.sqrt(np.trace(covariance_of(straight), axis1=-2, axis2=-1))
    off = np.linalg.norm(straight.points - shuffled.points, axis=-1)
    assert (off[straight.status == 0] < 1e-4 * spread[straight.status == 0]).all()


@settings(max_examples=EXAMPLES)
@given(cameras=CAMERAS, lens=LENS, method=METHODS, seed=SEEDS, factor=st.sampled_from([1e-3, 0.3, 1e3]))
def test_another_unit_scales_points_and_covariance(
    cameras: int, lens: str, method: str, seed: int, factor: float
) -> None:
    rig, pixels, confidence = scene(cameras, lens, seed)
    one = triangulate(rig, pixels, confidence, method=method, noise=1.0, threshold=6.0)
    other = triangulate(scaled(rig, factor), pixels, confidence, method=method, noise=1.0, threshold=6.0)
    assert_same_decisions(one, other)
    spread = np.sqrt(np.trace(covariance_of(one), axis1=-2, axis2=-1))
    off = np.linalg.norm(one.points - other.points / factor, axis=-1)
    assert (off[one.status == 0] < 1e-4 * spread[one.status == 0]).all()
    np.testing.assert_allclose(covariance_of(one), covariance_of(other) / factor**2, rtol=1e-3, atol=1e-4)


@settings(max_examples=EXAMPLES)
@given(cameras=st.integers(2, 12), method=METHODS, seed=SEEDS, cut=st.integers(0, 200))
def test_cutting_the_input_in_two_changes_nothing(cameras: int, method: str, seed: int, cut: int) -> None:
    rig, pixels, confidence = scene(cameras, "brown5", seed)
    whole = triangulate(rig, pixels, confidence, method=method, noise=1.0, threshold=6.0)
    parts = [
        triangulate(rig, pixels[part], confidence[part], method=method, noise=1.0, threshold=6.0)
        for part in (slice(None, cut), slice(cut, None))
    ]
    for name in ("points", "status", "inliers"):
        np.testing.assert_array_equal(getattr(whole, name), np.concatenate([getattr(part, name) for part in parts]))
    np.testing.assert_allclose(whole.residuals, np.concatenate([part.residuals for part in parts]), rtol=0, atol=3e-5)


@settings(max_examples=EXAMPLES)
@given(cameras=CAMERAS, seed=SEEDS, factor=st.floats(0.1, 10))
def test_learned_noise_scales_with_the_residuals(cameras: int, seed: int, factor: float) -> None:
    """Residuals of a linear fit without outliers are proportional to the noise, and so is what is learned of it."""
    rig, points = make_rig(max(cameras, 3), lens="pinhole", seed=seed), make_points(200, seed=seed)
    learned = [
        triangulate(rig, observe(rig, points, noise=noise, seed=seed).pixels, method="linear").noise.sigma
        for noise in (1e-3, 1e-3 * factor)
    ]
    np.testing.assert_allclose(learned[1], factor * learned[0], rtol=0.03)
