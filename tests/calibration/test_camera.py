"""One camera: equal to OpenCV's projection, honest behind itself, strict in what it is made of."""

import pickle

import cv2
import numpy as np
import pytest

from calibration.camera import Camera
from calibration.errors import InvalidValueError
from calibration.lens import BrownConrady, Fisheye, Lens
from calibration.transforms import RigidTransform

MATRIX = np.array([[900.0, 0.0, 640.0], [0.0, 880.0, 360.0], [0.0, 0.0, 1.0]])
COEFFICIENTS = np.array([-0.2, 0.1, 1e-3, -2e-3, 0.02, 0.1, -0.05, 0.01, 1e-3, -2e-3, 1e-3, 2e-3, 0.02, -0.03])
POSE = RigidTransform.from_rotation_vector([0.4, -0.3, 0.2], [50.0, -30.0, 800.0])
PINHOLE = BrownConrady(MATRIX)


def camera(lens: Lens = PINHOLE, pose: RigidTransform = POSE) -> Camera:
    return Camera("top", (1280, 720), lens, pose)


@pytest.mark.parametrize("count", [0, 4, 5, 8, 12, 14])
def test_projection_is_that_of_opencv(count: int) -> None:
    world = np.random.default_rng(count).uniform(-300, 300, (500, 3))
    one = camera(BrownConrady(MATRIX, COEFFICIENTS[:count]))
    coefficients = COEFFICIENTS[:count] if count else None
    translation = POSE.translation.copy()
    expected = cv2.projectPoints(world, POSE.rotation_vector, translation, MATRIX, coefficients)[0].reshape(-1, 2)
    np.testing.assert_allclose(one.project(world), expected, rtol=0, atol=1e-10)


def test_fisheye_projection_is_that_of_opencv() -> None:
    world = np.random.default_rng(0).uniform(-600, 600, (500, 3))
    coefficients = np.array([0.05, -0.01, 0.003, -0.0005])
    rotation, translation = POSE.rotation_vector, POSE.translation.copy()
    shaped = world.reshape(-1, 1, 3)
    expected = cv2.fisheye.projectPoints(shaped, rotation, translation, MATRIX, coefficients)[0].reshape(-1, 2)
    pixels = camera(Fisheye(MATRIX, coefficients)).project(world)
    seen = POSE(world)[:, 2] > 0
    np.testing.assert_allclose(pixels[seen], expected[seen], rtol=0, atol=1e-10)
    assert np.isnan(pixels[~seen]).all()


def test_the_optical_axis_meets_the_principal_point() -> None:
    one = camera()
    axis = POSE.rotation[2]
    np.testing.assert_allclose(one.project(one.center + 500 * axis), [640, 360], rtol=0, atol=1e-9)
    origin, direction = one.ray([640, 360])
    np.testing.assert_allclose(origin, one.center, rtol=0, atol=0)
    np.testing.assert_allclose(direction, axis, rtol=0, atol=1e-14)


def test_the_center_is_where_the_camera_stands() -> None:
    np.testing.assert_allclose(POSE(camera().center), [0, 0, 0], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(camera(pose=RigidTransform(np.eye(3), [0, 0, 5])).center, [0, 0, -5])


def test_x_is_right_and_y_is_down() -> None:
    pixel = camera(pose=RigidTransform.identity()).project([[0.1, 0, 1], [0, 0.1, 1]])
    np.testing.assert_allclose(pixel, [[730, 360], [640, 448]], rtol=0, atol=1e-12)


@pytest.mark.parametrize("lens", [PINHOLE, BrownConrady(MATRIX, COEFFICIENTS), Fisheye(MATRIX)])
@pytest.mark.parametrize("depth", [-1e-300, -1.0, -1e9, 0.0, -0.0, -np.inf, np.nan])
def test_behind_and_in_the_plane_of_the_camera_nothing_is_seen(lens: Lens, depth: float) -> None:
    one = camera(lens, RigidTransform.identity())
    assert np.isnan(one.project([[0, 0, depth], [1, 2, depth]])).all()


def test_a_point_that_a_mirrored_lens_would_show_is_not_shown() -> None:
    # x / z of a point behind is that of one in front
    one = camera(pose=RigidTransform.identity())
    assert np.isfinite(one.project([10, 5, 100])).all()
    assert np.isnan(one.project([-10, -5, -100])).all()


@pytest.mark.parametrize("lens", [PINHOLE, BrownConrady(MATRIX, COEFFICIENTS), Fisheye(MATRIX)])
def test_far_off_the_axis_and_absurd_points_give_nan_without_a_sound(lens: Lens) -> None:
    one = camera(lens)
    for value in (np.inf, -np.inf, 1e308, np.nan):
        for axis in np.eye(3):
            point = np.where(axis > 0, value, 1.0)
            pixel = one.project(point)
            assert np.isnan(pixel).all() or np.isfinite(pixel).all()
            if not np.isfinite(value):
                assert np.isnan(pixel).all()


def test_in_front_but_outside_the_image_coordinates_are_kept() -> None:
    pixel = camera(pose=RigidTransform.identity()).project([2, 0, 1])
    np.testing.assert_allclose(pixel, [2440, 360])


def test_pixels_without_a_ray_have_none() -> None:
    one = camera(BrownConrady(MATRIX, [-0.5, 0, 0, 0]))
    origin, direction = one.ray([[640, 360], [640 + 0.6 * 900, 360], [np.nan, 0]])
    assert np.isfinite(origin).all()
    np.testing.assert_array_equal(np.isnan(direction).any(-1), [False, True, True])
    assert np.isnan(direction[1:]).all()


@pytest.mark.parametrize("batch", [(), (0,), (5,), (2, 3)])
def test_batch_axes_are_kept(batch: tuple[int, ...]) -> None:
    one = camera()
    pixels = one.project(np.zeros((*batch, 3)))
    assert pixels.shape == (*batch, 2)
    origin, direction = one.ray(pixels)
    assert origin.shape == (3,)
    assert direction.shape == (*batch, 3)


def test_a_camera_is_a_value() -> None:
    assert camera() == camera(BrownConrady(MATRIX.copy()), RigidTransform(POSE.rotation, POSE.translation))
    assert hash(camera()) == hash(camera())
    assert camera() != camera(Fisheye(MATRIX))
    assert camera() != camera(pose=POSE.inverse())
    assert pickle.loads(pickle.dumps(camera())) == camera()


@pytest.mark.parametrize("size", [(1280.0, 720.0), [1280, 720], np.array([1280, 720]), np.array([1280.0, 720.0])])
def test_the_size_is_kept_as_two_whole_numbers(size: object) -> None:
    stored = Camera("top", size, PINHOLE, POSE).size
    assert stored == (1280, 720)
    assert all(type(side) is int for side in stored)


@pytest.mark.parametrize(
    "size",
    [
        (0, 720),
        (-1280, 720),
        (1280,),
        (1280, 720, 3),
        (),
        (np.nan, 720),
        (np.inf, 720),
        (1280.5, 720),
        None,
        "large",
        ("wide", "high"),
        ((1280, 720), (3,)),
        ((1280, 720),),
    ],
)
def test_what_is_no_size_is_refused(size: object) -> None:
    with pytest.raises(InvalidValueError, match=r"^camera 'top', size: expected .+, got .+\. .+"):
        Camera("top", size, PINHOLE, POSE)


@pytest.mark.parametrize("name", ["", "  ", "\n", None, 1, ("top",)])
def test_a_camera_needs_a_name(name: object) -> None:
    with pytest.raises(InvalidValueError, match=r"^camera: expected a name, got .+\. .+"):
        Camera(name, (1280, 720), PINHOLE, POSE)


@pytest.mark.parametrize("lens", [None, MATRIX, "fisheye", BrownConrady])
def test_a_camera_needs_a_lens(lens: object) -> None:
    with pytest.raises(InvalidValueError, match=r"^camera 'top', lens: expected .+, got .+\. .+"):
        Camera("top", (1280, 720), lens, POSE)


@pytest.mark.parametrize("pose", [None, np.eye(4), RigidTransform(np.stack([np.eye(3)] * 2), np.zeros((2, 3)))])
def test_a_camera_needs_one_pose(pose: object) -> None:
    with pytest.raises(InvalidValueError, match=r"^camera 'top', cam_from_world: expected .+, got .+\. .+"):
        Camera("top", (1280, 720), PINHOLE, pose)


def test_points_and_pixels_have_three_and_two_numbers() -> None:
    with pytest.raises(InvalidValueError, match=r"^points: expected .+, got shape \(4, 2\)\. .+"):
        camera().project(np.zeros((4, 2)))
    with pytest.raises(InvalidValueError, match=r"^pixels: expected .+, got shape \(4, 3\)\. .+"):
        camera().ray(np.zeros((4, 3)))
