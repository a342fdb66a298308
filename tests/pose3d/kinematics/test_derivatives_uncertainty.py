"""Standard deviations of derivatives: Monte Carlo, exact covariances of smoothers, and simulated recordings."""

import numpy as np
import pytest
import xarray as xr

import pose3d.reconstruction as reconstruction
from pose3d.datasets import poses3d
from pose3d.kinematics._derivative_filters import central_filter, polynomial_filter
from pose3d.kinematics._error_correlation import lasting_errors, smoother_errors, transfer_of
from pose3d.kinematics.derivatives import DerivativeSettings, acceleration, jerk, speed, velocity
from pose3d.synthetic import SimulationSettings, simulate

RATE = 50.0
ROWS = 40
FUNCTIONS = {"velocity": velocity, "acceleration": acceleration, "jerk": jerk, "speed": speed}
SPREAD = np.array([[4.0, 1.0, 0.5], [1.0, 2.0, -0.3], [0.5, -0.3, 1.0]]) * 1e-4


def make_poses(position, covariance):
    """Poses of many keypoints with the same covariance (time, 3, 3)."""
    count = position.shape[2]
    poses = poses3d(
        position,
        individuals=["animal"],
        keypoints=[f"k{i}" for i in range(count)],
        unit="mm",
        frame_rate=RATE,
    )
    dims = ("time", "space", "space_", "keypoint", "individual")
    poses["covariance"] = (dims, np.repeat(covariance[..., None, None], count, axis=3))
    return poses


def path(rows=ROWS):
    t = np.arange(rows) / RATE
    return np.stack([20 * np.sin(6 * t), 15 * np.cos(5 * t), 30 * t], axis=1)


def noisy(covariance, count=2000, seed=0, correlation=None):
    """Positions (time, 3, keypoint, 1) of a path with this noise, alike in time where a correlation matrix is given."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((len(covariance), 3, count))
    if correlation is not None:
        white = np.einsum("tu,usk->tsk", np.linalg.cholesky(correlation), white)
    noise = np.einsum("tab,tbk->tak", np.linalg.cholesky(covariance), white)
    return (path(len(covariance))[..., None] + noise)[..., None]


@pytest.mark.parametrize("name", list(FUNCTIONS))
@pytest.mark.parametrize("method", ["savgol", "central", "trajectory"])
def test_noise_of_single_frames_scatters_as_told(name, method):
    covariance = SPREAD * np.linspace(0.5, 2, ROWS)[:, None, None]
    poses = make_poses(noisy(covariance), covariance)
    found = FUNCTIONS[name](poses, DerivativeSettings(method))
    scatter = found[name].std("keypoint")
    told = np.sqrt((found[f"{name}_std"] ** 2).mean("keypoint"))
    np.testing.assert_allclose(scatter, told, rtol=0.08)
    assert found[f"{name}_std"].attrs["units"] == found[name].attrs["units"]


@pytest.mark.parametrize("name", ["velocity", "acceleration"])
def test_noise_that_lasts_scatters_as_told(name):
    lag = np.abs(np.subtract.outer(np.arange(ROWS), np.arange(ROWS)))
    covariance = np.repeat(SPREAD[None], ROWS, axis=0)
    poses = make_poses(noisy(covariance, correlation=np.exp(-lag / 5.0)), covariance)
    settings = DerivativeSettings("savgol", error_correlation=5.0 / RATE)
    found = FUNCTIONS[name](poses, settings)
    np.testing.assert_allclose(found[name].std("keypoint"), found[f"{name}_std"].isel(keypoint=0), rtol=0.08)
    alone = FUNCTIONS[name](poses, DerivativeSettings("savgol", error_correlation=0.0))
    xr.testing.assert_identical(alone, FUNCTIONS[name](poses, DerivativeSettings("savgol")))
    assert (alone[f"{name}_std"] > 1.2 * found[f"{name}_std"]).all()


def test_the_interval_of_a_spline_holds_the_truth():
    covariance = SPREAD * np.linspace(0.5, 2, 100)[:, None, None]
    covariance = covariance * 100
    poses = make_poses(noisy(covariance, 60), covariance)
    found = velocity(poses, DerivativeSettings("spline"))
    t = np.arange(100) / RATE
    truth = np.stack([120 * np.cos(6 * t), -75 * np.sin(5 * t), np.full(100, 30.0)], axis=1)[..., None, None]
    # z goes straight, and would need less freedom than x and y get for it
    assert 0.93 < (np.abs(found.velocity - truth) < 1.96 * found.velocity_std).mean() < 0.995


@pytest.mark.parametrize(("order", "strength"), [(1, 50.0), (2, 1e4), (3, 1e2), (3, 1e6), (4, 1e6)])
@pytest.mark.parametrize("coefficients", [[-0.5, 0.0, 0.5], [1.0, -2.0, 1.0], [1 / 12, -8 / 12, 0, 8 / 12, -1 / 12]])
def test_the_errors_of_a_smoother_are_those_of_the_inverse_of_its_matrix(order, strength, coefficients):
    rough = np.diff(np.eye(801), order, axis=0)
    inverse = np.linalg.inv(2.0 * np.eye(801) + strength * rough.T @ rough)
    c, around = np.array(coefficients), slice(400 - len(coefficients) // 2, 401 + len(coefficients) // 2)
    variance = inverse[400, 400]
    correlation = smoother_errors(order)
    transfer = transfer_of(c)
    # nothing is missed where the filter itself is what is asked for
    spectrum = correlation.stopped**2 * correlation.motion + (1 - correlation.stopped) ** 2 * correlation.noise
    flat = lasting_errors(1e-3)
    np.testing.assert_allclose(flat.table((0, transfer), (0, transfer)), c @ c, rtol=1e-9)
    table = spectrum * np.abs(transfer) ** 2 @ quadrature_weights()
    found = correlation.at(table, np.array([variance * strength]))
    np.testing.assert_allclose(found, c @ inverse[around, around] @ c / variance, rtol=1e-4)


def quadrature_weights():
    from pose3d.kinematics._error_correlation import _quadrature

    return _quadrature()[1]


@pytest.mark.parametrize(
    ("order", "strength", "derivative"), [(2, 1e4, 1), (3, 1e4, 1), (3, 1e4, 2), (4, 1e6, 1), (4, 1e6, 2)]
)
def test_a_smoothed_random_motion_is_as_far_off_as_told_up_to_its_ends(order, strength, derivative):
    """Motion whose differences are white is seen with noise of one, smoothed, and differentiated."""
    rows, rng = 300, np.random.default_rng(0)
    rough = np.diff(np.eye(rows), order, axis=0)
    motion = np.linalg.lstsq(rough, rng.standard_normal((rows - order, 200)) / np.sqrt(strength), rcond=None)[0]
    inverse = np.linalg.inv(np.eye(rows) + strength * rough.T @ rough)
    seen = inverse @ (motion + rng.standard_normal(motion.shape))
    position = np.repeat(seen[:, None, :, None], 3, axis=1)
    covariance = np.diag(inverse)[:, None, None] * np.eye(3)
    poses = make_poses(position, covariance)
    deviation = RATE**order / np.sqrt(strength)
    poses["smoothness"] = (("keypoint", "individual"), np.full((200, 1), deviation), {"units": f"mm/s^{order}"})
    name = ("velocity", "acceleration")[derivative - 1]
    found = FUNCTIONS[name](poses)
    assert "trajectory" in found[name].attrs["method"]
    truth = motion
    for _ in range(derivative):
        truth = np.gradient(truth, 1 / RATE, axis=0, edge_order=2)
    error = (found[name][:, 0, :, 0] - truth).std("keypoint")
    ratio = (error / found[f"{name}_std"][:, 0, 0, 0]).values
    assert 0.75 < np.median(ratio) < 1.1
    assert (ratio[2:-2] < 1.4).all()
    assert (ratio[2:-2] > 0.6).all()


def test_without_the_variance_of_a_frame_the_derivatives_around_it_have_none():
    covariance = np.repeat(SPREAD[None], ROWS, axis=0)
    covariance[20] = np.nan
    poses = make_poses(noisy(np.repeat(SPREAD[None], ROWS, axis=0), 2), covariance)
    found = velocity(poses, DerivativeSettings("savgol", 5))
    assert np.isfinite(found.velocity).all()
    assert np.isnan(found.velocity_std[18:23]).all()
    assert np.isfinite(found.velocity_std[:18]).all()
    assert np.isfinite(found.velocity_std[23:]).all()


def test_poses_without_covariance_have_no_deviations():
    covariance = np.repeat(SPREAD[None], ROWS, axis=0)
    poses = make_poses(noisy(covariance, 2), covariance).drop_vars("covariance")
    for name, function in FUNCTIONS.items():
        assert list(function(poses)) == [name]


def test_filters_are_those_of_their_order():
    for order in (0, 1, 2, 3):
        for one in (central_filter(order, 3), polynomial_filter(7, 4, order)):
            for length in range(max(order + 1, 5), 8):
                place = np.arange(length)
                for at in range(length):
                    row = one.ends[length - 1, at, :length]
                    expected = [0.0] * order + [float(np.prod(np.arange(1, order + 1)))]
                    powers = [row @ (place - at) ** power for power in range(order + 1)]
                    np.testing.assert_allclose(powers, expected, atol=1e-9)


@pytest.fixture(scope="module")
def recording():
    scene = simulate(
        SimulationSettings(duration=5.0, noise=1.5, outlier_rate=0.0, dropout_rate=0.0, occlusion="none", seed=3)
    )
    return scene.poses3d, reconstruction.reconstruct(scene.poses2d, scene.rig, skeleton=scene.skeleton)


@pytest.mark.parametrize("method", ["automatic", "savgol", "central", "spline"])
def test_the_velocity_of_a_reconstruction_is_as_certain_as_told(recording, method):
    truth, poses = recording
    true = velocity(truth, DerivativeSettings("trajectory")).velocity
    found = velocity(poses, DerivativeSettings(method))
    off = (found.velocity - true) / found.velocity_std
    assert 0.90 < (np.abs(off) < 1.96).mean() < 0.99
    assert np.abs((found.velocity - true).mean()) < 0.01 * np.sqrt((true**2).mean())
