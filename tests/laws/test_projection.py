"""Projection and rays are inverse, do not depend on the choice of the world, and rigs survive as Datasets."""

from random import Random

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.rig import Rig
from calibration.transforms import RigidTransform
from tests.laws.strategies import cameras, inside, numbers, points, rigs, transforms


def in_front(camera: Camera, normalized: NDArray[np.float64], depth: float) -> NDArray[np.float64]:
    """World points (n, 3) at these normalized coordinates and depth."""
    return camera.cam_from_world.inverse()(np.concatenate([normalized, np.ones((len(normalized), 1))], axis=-1) * depth)


@given(cameras(), st.data(), numbers(1e-3, 1e5))
def test_a_projected_point_lies_on_its_ray(camera: Camera, data: st.DataObject, depth: float) -> None:
    world = in_front(camera, data.draw(inside(camera.lens, share=0.9)), depth)
    origin, direction = camera.ray(camera.project(world))
    offset = world - origin
    distance = np.linalg.norm(offset, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(direction, axis=-1), 1.0, rtol=0, atol=1e-14)
    # The world coordinates have 1e-13 of rounding in them, the pixels 1e-9 px at most; near the fold of a lens a pixel
    # is a wide angle.
    slope = np.linalg.norm(camera.lens.jacobian(camera.lens.undistort(camera.project(world))), -2, axis=(-2, -1))
    tolerance = 1e-11 * (1000 + distance) + distance * 1e-8 / np.maximum(slope, 1e-3)
    assert (np.linalg.norm(offset - distance[:, None] * direction, axis=-1) <= tolerance).all()


@given(cameras(), st.data(), numbers(0.1, 1e4))
def test_every_point_of_a_ray_is_seen_at_its_pixel(camera: Camera, data: st.DataObject, distance: float) -> None:
    still = Camera(camera.name, camera.size, camera.lens, RigidTransform(camera.cam_from_world.rotation, np.zeros(3)))
    pixels = camera.lens.distort(data.draw(inside(camera.lens, share=0.98)))
    origin, direction = still.ray(pixels)
    np.testing.assert_allclose(still.project(origin + distance * direction), pixels, rtol=0, atol=1e-9)


@given(cameras(), points(2, 5000.0), numbers(0.1, 1e4))
def test_a_pixel_has_a_ray_that_comes_back_or_none(
    camera: Camera, pixels: NDArray[np.float64], distance: float
) -> None:
    still = Camera(camera.name, camera.size, camera.lens, RigidTransform.identity())
    origin, direction = still.ray(pixels)
    back = still.project(origin + distance * direction)
    # only at the very edge of the valid disc may rounding decide; there it gives NaN, never another pixel
    known = np.isfinite(back).all(-1)
    np.testing.assert_allclose(back[known], pixels[known], rtol=0, atol=1e-8)
    assert np.isnan(back[np.isnan(direction).any(-1)]).all()


@given(cameras(), points(3, 2000.0))
def test_behind_and_beside_the_camera_nothing_is_seen(camera: Camera, world: NDArray[np.float64]) -> None:
    depth = camera.cam_from_world(world)[:, 2]
    assert np.isnan(camera.project(world)[depth <= 0]).all()


@given(cameras(), transforms(), st.data(), numbers(10, 1e4))
def test_another_world_frame_gives_the_same_pixels(
    camera: Camera, new_from_old: RigidTransform, data: st.DataObject, depth: float
) -> None:
    world = in_front(camera, data.draw(inside(camera.lens, share=0.5)), depth)
    moved = Camera(camera.name, camera.size, camera.lens, camera.cam_from_world @ new_from_old.inverse())
    before = camera.project(world)
    scale = np.linalg.norm(camera.lens.jacobian(camera.lens.undistort(before)), axis=(-2, -1)).max(initial=1)
    np.testing.assert_allclose(moved.project(new_from_old(world)), before, rtol=0, atol=1e-11 * scale * 1000)
    np.testing.assert_allclose(moved.center, new_from_old(camera.center), rtol=0, atol=1e-8)


@given(cameras(), points(3, 2000.0), st.sampled_from([2.0**-10, 0.5, 1024.0]))
def test_the_unit_does_not_matter(camera: Camera, world: NDArray[np.float64], factor: float) -> None:
    pose = RigidTransform(camera.cam_from_world.rotation, camera.cam_from_world.translation * factor)
    scaled = Camera(camera.name, camera.size, camera.lens, pose)
    np.testing.assert_array_equal(scaled.project(world * factor), camera.project(world))


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(rigs(), points(3, 2000.0, at_most=5))
def test_a_rig_sees_what_its_cameras_see(rig: Rig, world: NDArray[np.float64]) -> None:
    pixels = rig.project(world)
    assert pixels.shape == (len(world), len(rig), 2)
    for index, name in enumerate(rig.names):
        np.testing.assert_array_equal(pixels[:, index], rig[name].project(world))


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(rigs())
def test_a_rig_comes_back_from_its_dataset_bit_by_bit(rig: Rig) -> None:
    back = Rig.from_dataset(rig.to_dataset())
    assert back == rig
    assert hash(back) == hash(rig)
    assert back.to_dataset().identical(rig.to_dataset())


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(rigs(), st.randoms(use_true_random=False))
def test_selection_reorders_cameras_and_nothing_else(rig: Rig, random: Random) -> None:
    names = list(rig.names)
    random.shuffle(names)
    chosen = rig.select(names)
    assert chosen.names == tuple(names)
    assert all(chosen[name] == rig[name] for name in names)
    assert chosen.select(rig.names) == rig
