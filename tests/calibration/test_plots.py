"""The point of view, the ground, the frusta, and the picture of a rig."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from calibration.camera import Camera
from calibration.errors import InvalidValueError
from calibration.lens import BrownConrady
from calibration.plots import View, choose_view, frustum, ground_grid, rig_figure, round_step, up_direction
from calibration.rig import Rig
from calibration.synthetic import make_points, make_rig
from calibration.transforms import RigidTransform

SIZE = (640, 480)
Z = np.array([0.0, 0.0, 1.0])


def moved(rig: Rig, rotation: np.ndarray, shift: np.ndarray) -> Rig:
    """The same rig in a world that is turned and shifted: new = rotation @ old + shift."""
    cameras = []
    for camera in rig:
        old = camera.cam_from_world
        turned = old.rotation @ rotation.T
        cameras.append(
            Camera(camera.name, camera.size, camera.lens, RigidTransform(turned, old.translation - turned @ shift))
        )
    return Rig(tuple(cameras), unit=rig.unit)


@pytest.mark.parametrize("seed", range(5))
def test_a_view_projects_as_the_camera_it_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    up = rng.normal(size=3)
    view = View(rng.normal(size=3), up / np.linalg.norm(up), *rng.uniform(-1, 1, 2), distance=7.0)
    axes = view.axes()
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)
    focal = SIZE[1] / 2 / np.tan(view.field_of_view / 2)
    lens = BrownConrady(np.array([[focal, 0, 319.5], [0, focal, 239.5], [0, 0, 1]]), np.zeros(0))
    pose = RigidTransform(axes, np.array([0, 0, 7.0]) - axes @ view.center)
    points = view.center + rng.uniform(-2, 2, (50, 3))
    pixels, depth = view.project(points, SIZE)
    np.testing.assert_allclose(pixels, Camera("eye", SIZE, lens, pose).project(points), atol=1e-9)
    np.testing.assert_allclose(depth, pose(points)[:, 2] / 7.0, atol=1e-12)


def test_up_is_up_and_the_center_is_in_the_middle() -> None:
    view = View(np.array([1.0, 2.0, 3.0]), Z, azimuth=0.7, elevation=0.4, distance=10.0)
    (middle, above), depth = view.project(np.stack([view.center, view.center + Z]), SIZE)
    np.testing.assert_allclose(middle, (319.5, 239.5))
    assert above[0] == pytest.approx(319.5)
    assert above[1] < middle[1]
    assert depth[0] == pytest.approx(1)


def test_the_eye_stands_at_its_azimuth_and_elevation() -> None:
    view = View(np.zeros(3), Z, azimuth=np.pi / 2, elevation=0.0, distance=5.0)
    np.testing.assert_allclose(-5.0 * view.axes()[2], (0, 5, 0), atol=1e-12)


def test_points_behind_the_eye_are_not_drawn_and_lines_are_cut_there() -> None:
    view = View(np.zeros(3), Z, azimuth=0.0, elevation=0.0, distance=1.0)  # the eye is at (1, 0, 0)
    pixels, _ = view.project(np.array([[2.0, 0.0, 0.0], [0.5, 0.0, 0.0]]), SIZE)
    assert np.isnan(pixels[0]).all()
    assert np.isfinite(pixels[1]).all()
    segments = np.array([[[3.0, 0, 0], [0.0, 0, 0]], [[2.0, 0, 0], [3.0, 1, 0]], [[0.0, 0, 0], [0.1, 0, 0]]])
    cut = view.clip(segments)
    assert len(cut) == 2
    assert np.isfinite(view.project(cut, SIZE)[0]).all()
    np.testing.assert_array_equal(cut[1], segments[2])


@pytest.mark.parametrize("cameras", [2, 3, 4, 6, 12])
@pytest.mark.parametrize("seed", range(4))
def test_up_is_found_from_the_cameras_in_any_world(cameras: int, seed: int) -> None:
    rig = make_rig(cameras, seed=seed)
    np.testing.assert_array_equal(up_direction(rig), Z)
    rotation = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    found = up_direction(moved(rig, rotation, np.array([100.0, -50.0, 30.0])))
    assert np.degrees(np.arccos(np.clip(found @ rotation @ Z, -1, 1))) < 26


def test_up_is_z_without_cameras_and_minus_y_of_a_single_level_camera() -> None:
    np.testing.assert_array_equal(up_direction(None), Z)
    lens = BrownConrady(np.diag([500.0, 500.0, 1.0]), np.zeros(0))
    alone = Rig((Camera("a", SIZE, lens, RigidTransform.identity()),))
    np.testing.assert_array_equal(up_direction(alone), (0, -1, 0))


@pytest.mark.parametrize("shape", [(300, 3), (20, 15, 3), (2, 3)])
@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.0])
def test_a_chosen_view_shows_the_points_and_they_fill_it(shape: tuple[int, ...], aspect: float) -> None:
    points = np.random.default_rng(0).uniform(-1, 1, shape) * (300, 100, 20) + (1000, 500, 200)
    view = choose_view(points, aspect=aspect)
    size = (round(400 * aspect), 400)
    pixels, _ = view.project(points.reshape(-1, 3), size)
    share = np.ptp(pixels, axis=0) / size
    assert 0.6 < share.max() < 1.0
    assert (pixels > 0).all()
    assert (pixels < size).all()


def test_one_stray_does_not_shrink_the_view() -> None:
    points = np.random.default_rng(0).normal(0, 10, (500, 3))
    stray = points.copy()
    stray[7] = (1e6, 0, 0)
    assert choose_view(stray).distance == pytest.approx(choose_view(points).distance, rel=0.05)


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.full((4, 3), np.nan), np.zeros((1, 3)), np.ones((5, 3)) * 1e6])
def test_too_little_to_choose_from_still_gives_a_view(points: np.ndarray) -> None:
    view = choose_view(points)
    assert np.isfinite([view.distance, view.azimuth, *view.center]).all()
    assert view.distance > 0


@pytest.mark.parametrize(("points", "up"), [(np.zeros((3, 2)), Z), (np.zeros((3, 3)), np.zeros(3))])
def test_a_view_of_nonsense_is_refused(points: np.ndarray, up: np.ndarray) -> None:
    with pytest.raises(InvalidValueError, match="view"):
        choose_view(points, up=up)


def test_the_view_is_from_the_side_of_the_cameras() -> None:
    rig = make_rig(6).select(["cam_1", "cam_2"])
    toward = np.mean([camera.center for camera in rig], axis=0)
    view = choose_view(make_points(200), rig=rig)
    assert -view.axes()[2] @ toward > 0


def test_the_ground_lies_under_the_feet_at_round_distances() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform((-200, -100, 10), (200, 100, 60), (400, 6, 3))
    points[:, 0, 2] = 10.0  # a foot on the floor
    points[3, 1, 2] = -500.0  # a stray below it
    ground = ground_grid(points, Z)
    np.testing.assert_allclose(ground.segments[..., 2], 10.0, atol=1e-6)
    assert ground.step == 50.0
    np.testing.assert_allclose(np.mod(ground.segments[..., :2], 50.0) % 50.0, 0, atol=1e-6)
    assert not len(ground_grid(np.full((3, 2, 3), np.nan), Z).segments)


@pytest.mark.parametrize(("value", "step"), [(0.9, 1), (1, 1), (1.1, 2), (21, 50), (0.003, 0.005), (501, 1000)])
def test_steps_are_round(value: float, step: float) -> None:
    assert round_step(value) == pytest.approx(step)


def test_a_frustum_ends_at_the_corners_of_the_image() -> None:
    camera = make_rig(1, lens="pinhole").cameras[0]
    ends = frustum(camera, 300.0)
    np.testing.assert_allclose(ends[:4, 0], np.broadcast_to(camera.center, (4, 3)))
    width, height = camera.size
    corners = [(-0.5, -0.5), (width - 0.5, -0.5), (width - 0.5, height - 0.5), (-0.5, height - 0.5)]
    np.testing.assert_allclose(camera.project(ends[:4, 1]), corners, atol=1e-6)
    assert camera.project(ends[8, 1])[1] < 0  # the mark is above the image


def test_the_picture_of_a_rig_names_every_camera_and_the_unit() -> None:
    rig = make_rig(5, unit="m")
    figure = rig_figure(rig, points=make_points(3000))
    perspective, above = figure.axes
    for axes in (perspective, above):
        assert set(rig.names) <= {text.get_text() for text in axes.texts}
    assert (above.get_xlabel(), above.get_ylabel()) == ("x (m)", "y (m)")


@pytest.mark.parametrize("points", [None, np.zeros((0, 3)), np.full((2, 3), np.nan)])
def test_a_rig_without_points_and_a_single_camera_are_drawn(points: np.ndarray | None) -> None:
    for cameras in (1, 3):
        rig_figure(make_rig(cameras), points=points).canvas.draw()


def test_names_are_text_and_no_formula() -> None:
    camera = make_rig(1).cameras[0]
    rig = Rig((Camera(r"$\frac{$", camera.size, camera.lens, camera.cam_from_world),))
    rig_figure(rig).canvas.draw()


def test_points_of_a_wrong_shape_are_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"\(\.\.\., 3\)"):
        rig_figure(make_rig(2), points=np.zeros((4, 2)))


def test_figures_leave_no_global_trace() -> None:
    before = dict(mpl.rcParams)
    rig_figure(make_rig(2))
    assert dict(mpl.rcParams) == before
    code = "import sys, calibration.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
