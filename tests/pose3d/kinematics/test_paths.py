"""Path length, curvature, heading and how fast it turns: known paths, laws, movement, Monte Carlo."""

import warnings

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.transform import Rotation

from calibration.errors import InvalidValueError
from pose3d.datasets import poses2d, poses3d
from pose3d.kinematics.derivatives import DerivativeSettings
from pose3d.kinematics.paths import angular_speed, curvature, heading, path_length

RATE = 100.0
RADIUS, TURN = 40.0, 2.0  # mm, rad/s
DIMS = ("time", "space", "space_", "keypoint", "individual")
LINE = (("rear",), ("left", "right"))


def make_poses(position, *, frames=None, spread=None):
    names = ["rear", "left", "right"] if position.shape[2] == 3 else [f"k{i}" for i in range(position.shape[2])]
    animals = [f"a{i}" for i in range(position.shape[3])]
    poses = poses3d(position, individuals=animals, keypoints=names, unit="mm", frames=frames, frame_rate=RATE)
    if spread is not None:
        shape = (*position.shape[:2], 3, *position.shape[2:])
        poses["covariance"] = (DIMS, np.broadcast_to(np.asarray(spread)[:, :, None, None], shape).copy())
    return poses


def circle(rows=400, count=1, noise=0.0, seed=0):
    t = np.arange(rows) / RATE
    one = np.stack([RADIUS * np.cos(TURN * t), RADIUS * np.sin(TURN * t), 0 * t], axis=1)[..., None, None]
    return one + noise * np.random.default_rng(seed).standard_normal((rows, 3, count, 1))


def walker(rows=300, noise=0.0, count=1):
    """A body that turns about its rear: left and right are 10 mm in front of it."""
    t = np.arange(rows) / RATE
    front = np.stack([np.cos(TURN * t), np.sin(TURN * t), 0.3 + 0 * t], axis=1)
    side = np.stack([-np.sin(TURN * t), np.cos(TURN * t), 0 * t], axis=1)
    position = np.stack([0 * front, 10 * front + 3 * side, 10 * front - 3 * side], axis=2)[..., None]
    return position + noise * np.random.default_rng(0).standard_normal((*position.shape[:3], count))


# Path length


def test_the_path_of_a_circle_is_its_circumference():
    found = path_length(make_poses(circle(315)))
    chord = 2 * RADIUS * np.sin(TURN / RATE / 2)
    np.testing.assert_allclose(found.path_length[:, 0, 0], chord * np.arange(315), atol=1e-9)
    np.testing.assert_allclose(found.total_path_length, chord * 314)
    assert found.path_length.attrs["units"] == "mm"
    assert found.walked_share.item() == 1.0
    assert found.missing_time.item() == 0.0


def test_the_path_is_that_of_movement():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from movement import kinematics as movement
    poses = make_poses(np.cumsum(circle(200, 4, 1.0), axis=0))
    expected = movement.compute_path_length(poses.position)
    np.testing.assert_allclose(path_length(poses).total_path_length, expected, rtol=1e-12)


def test_gaps_are_not_walked_and_that_is_said():
    position = np.zeros((11, 3, 2, 1))
    position[:, 0] = np.arange(11.0)[:, None, None]
    position[4:6, :, 0] = np.nan
    found = path_length(make_poses(position, frames=np.r_[0:8, 10:13])).isel(individual=0)
    np.testing.assert_array_equal(found.path_length[:, 0], [0, 1, 2, 3, np.nan, np.nan, 3, 4, 4, 5, 6])
    np.testing.assert_array_equal(found.total_path_length, [6, 9])
    np.testing.assert_allclose(found.walked_share, [6 / 12, 9 / 12])
    np.testing.assert_allclose(found.missing_time, [6 / RATE, 3 / RATE])


def test_a_keypoint_that_is_never_seen_twice_in_a_row_went_nobody_knows_how_far():
    position = circle(20, 2)
    position[::2, :, 0] = np.nan
    found = path_length(make_poses(position))
    assert np.isnan(found.total_path_length[0])
    assert found.walked_share[0].item() == 0.0


def test_the_length_scatters_as_told():
    spread = np.diag([0.04, 0.02, 0.01]) * 1e-2
    noise = np.sqrt(np.diag(spread))[:, None, None] * np.random.default_rng(0).standard_normal((60, 3, 3000, 1))
    found = path_length(make_poses(circle(60) + noise, spread=spread))
    np.testing.assert_allclose(
        found.path_length.std("keypoint")[1:], found.path_length_std.mean("keypoint")[1:], rtol=0.06
    )
    np.testing.assert_allclose(
        found.total_path_length.std("keypoint"), found.total_path_length_std.mean("keypoint"), rtol=0.06
    )


# Curvature


@pytest.mark.parametrize("method", ["savgol", "central", "spline", "trajectory"])
def test_the_curvature_of_a_circle_is_one_over_its_radius(method):
    turn = Rotation.from_rotvec([0.4, -1.0, 0.7]).as_matrix()
    position = np.einsum("ab,tbki->taki", turn, circle()) + 100.0
    found = curvature(make_poses(position), DerivativeSettings(method, smoothing=1e-4)).curvature
    np.testing.assert_allclose(found[5:-5], 1 / RADIUS, rtol=2e-3)
    assert found.attrs["units"] == "1/mm"


def test_a_straight_path_has_no_curvature_and_a_resting_one_none_that_is_known():
    position = np.zeros((30, 3, 2, 1))
    position[:, 1, 0, 0] = np.arange(30)
    found = curvature(make_poses(position), DerivativeSettings("central")).curvature[..., 0]
    np.testing.assert_allclose(found[:, 0], 0.0, atol=1e-12)
    assert np.isnan(found[:, 1]).all()


def test_the_curvature_scatters_as_told():
    noise = 0.02
    poses = make_poses(circle(60, 3000, noise), spread=noise**2 * np.eye(3))
    found = curvature(poses, DerivativeSettings("savgol", 21))
    np.testing.assert_allclose(
        found.curvature.std("keypoint")[10:-10], found.curvature_std.mean("keypoint")[10:-10], rtol=0.06
    )
    np.testing.assert_allclose(found.curvature.std("keypoint"), found.curvature_std.mean("keypoint"), rtol=0.35)


# Heading


def test_the_heading_of_motion_goes_on_past_pi():
    t = np.arange(400) / RATE
    found = heading(make_poses(circle()), DerivativeSettings("trajectory")).heading[:, 0, 0]
    np.testing.assert_allclose(found, np.pi / 2 + TURN * t, atol=1e-3)
    assert found.attrs["units"] == "rad"


def test_the_heading_of_the_body_axis_is_from_rear_to_front():
    found = heading(make_poses(walker()), axis=LINE)
    assert found.heading.dims == ("time", "individual")
    np.testing.assert_allclose(found.heading[:, 0], TURN * np.arange(300) / RATE, atol=1e-9)


def test_a_gap_starts_the_heading_anew():
    position = walker()
    position[200] = np.nan
    found = heading(make_poses(position), axis=LINE).heading[:, 0].values
    expected = TURN * np.arange(300) / RATE
    np.testing.assert_allclose(found[:200], expected[:200], atol=1e-9)
    np.testing.assert_allclose(found[201:], expected[201:] - 2 * np.pi, atol=1e-9)


def test_what_is_slow_has_no_heading():
    found = heading(make_poses(circle()), minimum_speed=1.01 * RADIUS * TURN).heading
    assert np.isnan(found).all()
    assert np.isfinite(heading(make_poses(circle()), minimum_speed=0.9 * RADIUS * TURN).heading).all()
    assert np.isnan(heading(make_poses(np.zeros((20, 3, 1, 1)))).heading).all()


def test_of_what_rests_the_heading_may_be_anything():
    noise = 0.1 * np.random.default_rng(0).standard_normal((50, 3, 1, 1))
    found = heading(make_poses(noise, spread=0.01 * np.eye(3)))
    assert (found.heading_std <= np.pi / np.sqrt(3)).all()
    assert found.heading_std.median() > 0.5


@pytest.mark.parametrize("function", [heading, angular_speed])
@pytest.mark.parametrize("axis", [None, LINE])
def test_headings_scatter_as_told(function, axis):
    noise, name = 0.02, function.__name__
    poses = make_poses(walker(40, noise, 2000), spread=noise**2 * np.eye(3))
    if axis is None:
        poses = poses.sel(keypoint=["left"])
    found = function(poses, DerivativeSettings("savgol"), axis=axis)
    np.testing.assert_allclose(found[name].std("individual"), found[f"{name}_std"].mean("individual"), rtol=0.08)


@pytest.mark.parametrize("axis", [None, LINE])
def test_the_turning_of_a_circle_is_constant(axis):
    poses = make_poses(walker())
    if axis is None:
        poses = poses.sel(keypoint=["left", "right"])
    found = angular_speed(poses, DerivativeSettings("trajectory"), axis=axis).angular_speed
    np.testing.assert_allclose(found, TURN, rtol=1e-4)
    assert found.attrs["units"] == "rad/s"


def test_in_images_the_direction_is_that_of_the_pixels():
    position = np.zeros((20, 1, 1, 1, 2))
    position[..., 1] = np.arange(20)[:, None, None, None]
    poses = poses2d(position, cameras=["c"], individuals=["i"], keypoints=["k"], frame_rate=RATE)
    np.testing.assert_allclose(heading(poses).heading, np.pi / 2)
    np.testing.assert_allclose(curvature(poses).curvature, 0.0, atol=1e-9)
    np.testing.assert_allclose(path_length(poses).total_path_length, 19.0)


# Laws, Dask, bad input


def test_turning_the_world_about_z_turns_headings_and_leaves_the_rest():
    rng = np.random.default_rng(0)
    position = np.cumsum(np.cumsum(rng.standard_normal((50, 3, 3, 1)), axis=0), axis=0)
    turned = np.einsum("ab,tbki->taki", Rotation.from_euler("z", 0.8).as_matrix(), position) + 7.0
    one, two = make_poses(position), make_poses(turned)
    for function, name in ((curvature, "curvature"), (angular_speed, "angular_speed")):
        np.testing.assert_allclose(function(one)[name], function(two)[name], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(path_length(one).path_length, path_length(two).path_length)
    change = heading(two).heading - heading(one).heading - 0.8
    np.testing.assert_allclose(np.cos(change), 1.0, atol=1e-9)


@pytest.mark.parametrize("function", [path_length, curvature, heading, angular_speed])
def test_lazy_poses_give_the_same(function):
    position = walker(200, 0.1)
    position[50:55] = np.nan
    poses = make_poses(position, spread=0.01 * np.eye(3))
    found = function(poses.chunk(time=33, keypoint=2))
    xr.testing.assert_allclose(found.compute(), function(poses), rtol=1e-9)
    if function in (path_length, curvature, angular_speed):
        assert all(variable.chunks is not None for variable in found.data_vars.values())


def test_a_keypoint_that_is_unknown_is_refused():
    with pytest.raises(InvalidValueError, match="rear"):
        heading(make_poses(walker()), axis=(("reer",), ("left",)))


def test_a_negative_speed_is_refused():
    with pytest.raises(InvalidValueError, match="minimum_speed"):
        heading(make_poses(circle()), minimum_speed=-1.0)
