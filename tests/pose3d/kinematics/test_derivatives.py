"""Velocity, acceleration, jerk and speed: known motions, laws, independent implementations, bad input."""

import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.interpolate import make_smoothing_spline
from scipy.signal import savgol_filter
from scipy.spatial.transform import Rotation

from calibration.errors import InvalidValueError
from pose3d.datasets import poses2d, poses3d
from pose3d.kinematics.derivatives import DerivativeSettings, acceleration, jerk, speed, velocity

RATE = 50.0
DERIVATIVES = {"velocity": velocity, "acceleration": acceleration, "jerk": jerk}
METHODS = ("savgol", "central", "spline", "trajectory")


def make_poses(position, *, frames=None, rate=RATE, unit="mm", covariance=None):
    position = np.asarray(position, dtype=float)
    _, space, keypoints, individuals = position.shape
    poses = poses3d(
        position,
        individuals=[f"animal_{i}" for i in range(individuals)],
        keypoints=[f"keypoint_{i}" for i in range(keypoints)],
        unit=unit,
        frames=frames,
        frame_rate=rate,
    )
    if covariance is not None:
        dims = ("time", "space", "space_", "keypoint", "individual")
        poses["covariance"] = (dims, np.broadcast_to(covariance, (len(position), space, space, keypoints, individuals)))
        poses = poses.assign_coords(space_=["x", "y", "z"])
    return poses


def random_walk(rows=80, keypoints=3, individuals=2, seed=0):
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.standard_normal((rows, 3, keypoints, individuals)), axis=0)


def parabola(rows=40):
    t = np.arange(rows)[:, None, None, None] / RATE
    return np.array([1.0, -2.0, 3.0])[:, None, None] * t + np.array([4.0, 5.0, -6.0])[:, None, None] * t**2


# Known motions


@pytest.mark.parametrize("method", METHODS)
def test_a_parabola_has_its_derivatives_up_to_the_ends(method):
    poses = make_poses(parabola())
    chosen = DerivativeSettings(method, smoothing=1e-4)
    t = np.arange(40)[:, None] / RATE
    skip = slice(None) if method in ("savgol", "trajectory") else slice(4, -4)
    a = 2 * np.array([4.0, 5.0, -6.0])
    np.testing.assert_allclose(
        velocity(poses, chosen).velocity[skip, :, 0, 0], (np.array([1.0, -2, 3]) + a * t)[skip], atol=2e-2
    )
    np.testing.assert_allclose(
        acceleration(poses, chosen).acceleration[skip, :, 0, 0], np.broadcast_to(a, (40, 3))[skip], atol=0.5
    )


def test_the_acceleration_of_central_differences_is_right_at_the_ends_too():
    found = acceleration(make_poses(parabola()), DerivativeSettings("central")).acceleration
    np.testing.assert_allclose(found[:, :, 0, 0], np.broadcast_to([8.0, 10.0, -12.0], (40, 3)), atol=1e-9)


def test_the_jerk_of_a_cubic_is_constant():
    t = np.arange(30)[:, None, None, None] / RATE
    poses = make_poses(np.concatenate([t**3, -(t**3), t], axis=1))
    for method in ("savgol", "central", "trajectory"):
        found = jerk(poses, DerivativeSettings(method)).jerk
        np.testing.assert_allclose(found[:, :, 0, 0], np.broadcast_to([6.0, -6.0, 0.0], (30, 3)), atol=1e-6)


def test_units_follow_the_position_and_the_time():
    poses = make_poses(random_walk(), unit="m")
    assert velocity(poses).velocity.attrs["units"] == "m/s"
    assert acceleration(poses).acceleration.attrs["units"] == "m/s^2"
    assert jerk(poses).jerk.attrs["units"] == "m/s^3"
    assert speed(poses).speed.attrs["units"] == "m/s"
    assert velocity(make_poses(random_walk(), rate=None)).velocity.attrs["units"] == "mm/frame"


def test_dimensions_and_coordinates_are_those_of_the_position():
    poses = make_poses(random_walk())
    found = velocity(poses).velocity
    assert found.dims == poses.position.dims
    for name in ("time", "frame", "keypoint", "individual", "space"):
        xr.testing.assert_equal(found[name].drop_vars(found[name].coords), poses[name].drop_vars(poses[name].coords))
    assert speed(poses).speed.dims == ("time", "keypoint", "individual")
    assert "7 frames" in found.attrs["method"]


# Independent implementations


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize(("frames", "degree"), [(7, 3), (11, 4), (5, 3)])
def test_savgol_is_that_of_scipy(order, frames, degree):
    position = random_walk()
    name = list(DERIVATIVES)[order - 1]
    found = DERIVATIVES[name](make_poses(position), DerivativeSettings("savgol", frames, polynomial=degree))[name]
    expected = savgol_filter(position, frames, degree, deriv=order, delta=1 / RATE, axis=0, mode="interp")
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_central_differences_are_those_of_movement():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from movement import kinematics as movement
    poses = make_poses(random_walk())
    chosen = DerivativeSettings("central")
    ours, theirs = velocity(poses, chosen).velocity, movement.compute_velocity(poses.position)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        acceleration(poses, chosen).acceleration[2:-2],
        movement.compute_acceleration(poses.position)[2:-2],
        rtol=1e-9,
        atol=1e-9,
    )
    np.testing.assert_allclose(speed(poses, chosen).speed, movement.compute_speed(poses.position), rtol=1e-9)


def test_central_jerk_is_the_gradient_of_the_gradient_of_the_gradient():
    position = random_walk()
    expected = position
    for _ in range(3):
        expected = np.gradient(expected, 1 / RATE, axis=0)
    found = jerk(make_poses(position), DerivativeSettings("central")).jerk
    np.testing.assert_allclose(found[3:-3], expected[3:-3], rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_spline_is_that_of_scipy(weighted):
    position = random_walk(60, 1, 1)
    rng = np.random.default_rng(1)
    variance = rng.uniform(0.5, 2.0, 60) if weighted else np.ones(60)
    covariance = variance[:, None, None, None, None] * np.eye(3)[:, :, None, None]
    poses = make_poses(position, covariance=covariance if weighted else None)
    chosen = DerivativeSettings("spline", smoothing=3.0)
    weight = 1 / variance / np.mean(1 / variance)
    for axis in range(3):
        spline = make_smoothing_spline(np.arange(60.0), position[:, axis, 0, 0], weight, 3.0)
        for order, (name, function) in enumerate(DERIVATIVES.items(), 1):
            if order < 3:  # of the third they have one from one side
                expected = spline.derivative(order)(np.arange(60.0)) * RATE**order
                np.testing.assert_allclose(function(poses, chosen)[name][:, axis, 0, 0], expected, atol=1e-6)


def test_the_smoothing_is_that_of_scipys_cross_validation():
    t = np.arange(300.0)
    rng = np.random.default_rng(0)
    one = np.sin(t / 5) + 0.2 * rng.standard_normal(300)
    poses = make_poses(np.stack([one] * 3, axis=1)[..., None, None], rate=None)
    expected = make_smoothing_spline(t, one).derivative()(t)
    np.testing.assert_allclose(velocity(poses, DerivativeSettings("spline")).velocity[:, 0, 0, 0], expected, atol=2e-3)


# Laws


@settings(max_examples=8)
@given(angles=arrays(float, 3, elements=st.floats(-3, 3)), shift=arrays(float, 3, elements=st.floats(-100, 100)))
@pytest.mark.parametrize("method", METHODS)
def test_the_velocity_turns_with_the_world(method, angles, shift):
    chosen = DerivativeSettings(method)
    turn = Rotation.from_rotvec(angles).as_matrix()
    position = random_walk(30, 2, 1)
    moved = np.einsum("ab,tbki->taki", turn, position) + shift[:, None, None]
    expected = np.einsum("ab,tbki->taki", turn, velocity(make_poses(position), chosen).velocity)
    np.testing.assert_allclose(velocity(make_poses(moved), chosen).velocity, expected, atol=1e-4)
    np.testing.assert_allclose(
        speed(make_poses(moved), chosen).speed, speed(make_poses(position), chosen).speed, atol=1e-4
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("rows", [4, 5, 6, 7, 9, 25])
def test_backward_in_time_odd_derivatives_change_their_sign(method, order, rows):
    name = list(DERIVATIVES)[order - 1]
    position = random_walk(rows)
    there, back = (
        DERIVATIVES[name](make_poses(some), DerivativeSettings(method))[name].values
        for some in (position, position[::-1])
    )
    np.testing.assert_allclose(
        back[::-1], (-1) ** order * there, rtol=1e-6, atol=1e-6 * np.nanmax([1, *abs(there).flat])
    )


@settings(max_examples=12)
@given(missing=arrays(bool, (25, 2), elements=st.booleans()), skipped=st.sets(st.integers(1, 23), max_size=6))
def test_a_run_is_differentiated_as_if_nothing_else_were_there(missing, skipped):
    position = random_walk(25, 2, 1)
    position[np.broadcast_to(missing[:, None, :, None], position.shape)] = np.nan
    frames = np.array([frame for frame in range(25) if frame not in skipped])
    for chosen in (DerivativeSettings("savgol", 5), DerivativeSettings("central"), DerivativeSettings("trajectory")):
        found = acceleration(make_poses(position[frames], frames=frames), chosen).acceleration
        for keypoint in range(2):
            known = [f for f in frames if not missing[f, keypoint]]
            runs = np.split(known, np.flatnonzero(np.diff(known) != 1) + 1) if known else []
            expected = np.full((25, 3), np.nan)
            for run in runs:
                alone = acceleration(make_poses(position[run][:, :, [keypoint]]), chosen).acceleration
                expected[run] = alone[:, :, 0, 0]
            np.testing.assert_allclose(found[:, :, keypoint, 0], expected[frames], rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize(("method", "needed"), [("savgol", 4), ("central", 2), ("trajectory", 5), ("spline", 5)])
def test_too_short_runs_have_no_derivative(method, needed):
    for rows in range(1, 9):
        known = np.isfinite(velocity(make_poses(random_walk(rows)), DerivativeSettings(method)).velocity)
        assert bool(known.all()) is (rows >= needed)
        assert bool(known.any()) is (rows >= needed)


def test_what_is_missing_stays_missing():
    position = random_walk()
    position[20, :, 0, 0] = np.nan
    for method in METHODS:
        found = velocity(make_poses(position), DerivativeSettings(method)).velocity
        assert np.isnan(found[20, :, 0, 0]).all()
        assert np.isnan(found).sum() == 3


def test_a_keypoint_that_is_never_seen_is_nan_everywhere():
    position = random_walk()
    position[:, :, 1] = np.nan
    for method in METHODS:
        assert np.isnan(speed(make_poses(position), DerivativeSettings(method)).speed[:, 1]).all()


def test_speed_is_the_length_of_the_velocity():
    position = random_walk()
    position[::9, :, 1] = np.nan
    for method in METHODS:
        poses = make_poses(position)
        moving = velocity(poses, DerivativeSettings(method)).velocity
        expected = np.sqrt((moving**2).sum("space", skipna=False))
        np.testing.assert_allclose(speed(poses, DerivativeSettings(method)).speed, expected, rtol=1e-12)


def test_times_in_seconds_scale_the_window():
    poses = make_poses(random_walk())
    by_time, by_frames = DerivativeSettings("savgol", window=0.18), DerivativeSettings("savgol", 9)
    xr.testing.assert_identical(velocity(poses, by_time), velocity(poses, by_frames))
    short = velocity(poses, DerivativeSettings("savgol", window=0.001))
    assert "5 frames" in short.velocity.attrs["method"]


def test_2d_poses_are_differentiated_in_each_camera():
    rng = np.random.default_rng(0)
    position = np.cumsum(rng.standard_normal((30, 2, 1, 4, 2)), axis=0)
    poses = poses2d(position, cameras=["a", "b"], individuals=["i"], keypoints=list("abcd"), frame_rate=RATE)
    found = velocity(poses, DerivativeSettings("central"))
    np.testing.assert_allclose(found.velocity, np.gradient(position, 1 / RATE, axis=0), atol=1e-9)
    assert found.velocity.attrs["units"] == "px/s"
    length = np.linalg.norm(np.gradient(position, 1 / RATE, axis=0), axis=-1)
    np.testing.assert_allclose(speed(poses, DerivativeSettings("central")).speed, length)


def test_positions_of_32_bit_in_another_layout_are_taken():
    position = random_walk().astype(np.float32)
    poses = make_poses(position)
    poses["position"] = (poses.position.dims, np.asfortranarray(position), {"units": "mm"})
    expected = velocity(make_poses(position.astype(float))).velocity
    np.testing.assert_allclose(velocity(poses).velocity, expected, rtol=1e-9, atol=1e-9)


# Dask


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("chunks", [{"time": 7}, {"time": (1, 50, 29), "space": 1, "keypoint": 2}])
def test_lazy_poses_give_the_same_lazily(method, chunks):
    position = random_walk()
    position[30:33, :, 0] = np.nan
    poses = make_poses(position, frames=np.r_[0:40, 42:82], covariance=np.eye(3)[:, :, None, None])
    lazy = poses.chunk(chunks)
    for function in (velocity, acceleration, speed):
        found = function(lazy, DerivativeSettings(method))
        assert all(found[name].chunks is not None for name in found.data_vars)
        xr.testing.assert_allclose(found.compute(), function(poses, DerivativeSettings(method)), rtol=1e-9)


def test_only_the_rows_that_are_needed_are_loaded():
    poses = make_poses(random_walk(1000))
    loaded = []

    def count(block, block_info=None):
        loaded.append(block_info[0]["chunk-location"][0])
        return block

    lazy = poses.chunk(time=100)
    lazy["position"] = lazy.position.copy(data=lazy.position.data.map_blocks(count, meta=np.empty((0,) * 4)))
    loaded.clear()
    speed(lazy).speed[450:460].compute()
    assert set(loaded) == {3, 4, 5}


# Bad input


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"method": "savgool"}, "savgol"),
        ({"frames": 6}, "odd"),
        ({"frames": 3}, "from 4"),
        ({"frames": 999}, "201"),
        ({"polynomial": 0}, "degree"),
        ({"window": -1.0}, "positive"),
        ({"window": np.nan}, "positive"),
        ({"smoothing": 0.0}, "positive"),
        ({"error_correlation": -1.0}, "from 0"),
        ({"error_correlation": "long"}, "from 0"),
    ],
)
def test_settings_out_of_range_are_refused(arguments, word):
    with pytest.raises(InvalidValueError, match=word):
        DerivativeSettings(**arguments)


def test_a_degree_below_the_order_is_refused():
    with pytest.raises(InvalidValueError, match="polynomial"):
        jerk(make_poses(random_walk()), DerivativeSettings("savgol", polynomial=2))


def test_a_window_that_is_too_long_is_refused():
    with pytest.raises(InvalidValueError, match="at most 201"):
        velocity(make_poses(random_walk()), DerivativeSettings("savgol", window=10.0))


def test_what_is_no_poses_is_refused():
    with pytest.raises(InvalidValueError, match="Poses3D"):
        velocity(xr.Dataset())


def test_smoothness_without_its_order_is_refused():
    poses = make_poses(random_walk())
    poses["smoothness"] = (("keypoint", "individual"), np.ones((3, 2)), {"units": "mm"})
    with pytest.raises(InvalidValueError, match=r"mm/s\^3"):
        velocity(poses)


@pytest.mark.parametrize("method", METHODS)
def test_no_frames_give_no_derivatives(method):
    poses = make_poses(random_walk()).isel(time=slice(0))
    assert velocity(poses, DerivativeSettings(method)).velocity.shape == (0, 3, 3, 2)
