"""Rotations along time: quaternions, angular velocity, ranges of motion."""

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calibration.errors import InvalidValueError
from pose3d.datasets import poses3d
from pose3d.kinematics.angles import joint_angles
from pose3d.kinematics.joints import joint_coordinates
from pose3d.kinematics.rotations import AngularVelocitySettings, angular_velocity, quaternions, range_of_motion
from pose3d.kinematics.segments import segment_frames
from pose3d.skeleton import WORLD, Anatomy, Joint, Segment, Skeleton

Array = NDArray[np.float64]

RATE = 100.0
SHAPE = np.array([[0.0, 0, 0], [300, 20, 10], [30, 200, -20]])
KEYPOINTS = ("a", "b", "c")
BODY = Segment("body", ("a",), ("x", ("a",), ("b",)), ("y", ("a",), ("c",)))
ANIMAL = Skeleton(
    "animal",
    KEYPOINTS,
    (("a", "b"), ("a", "c")),
    anatomy=Anatomy(segments=(BODY,), joints=(Joint("j", WORLD, "body"),)),
)
IN_BODY = (
    SHAPE
    @ segment_frames(poses3d(SHAPE.T[None, ..., None], individuals=["x"], keypoints=KEYPOINTS, unit="mm"), [BODY])[
        "world_from_segment"
    ].values[0, 0, ..., 0]
)


def moving(
    turn: Rotation,
    noise: float = 0.0,
    animals: int = 1,
    frames: NDArray[np.int64] | None = None,
    rate: float | None = RATE,
) -> xr.Dataset:
    """Poses3D of stiff animals, each with errors of its own; their segment has these rotations."""
    position = np.einsum("tij,kj->tik", turn.as_matrix(), IN_BODY)[..., None] + np.zeros(animals)
    position = position + noise * np.random.default_rng(0).normal(size=position.shape)
    names = ["ann", *(f"{number}" for number in range(1, animals))]
    poses = poses3d(position, individuals=names, keypoints=KEYPOINTS, unit="mm", frames=frames, frame_rate=rate)
    if noise:
        spread = np.broadcast_to(noise**2 * np.eye(3)[None, :, :, None, None], (len(position), 3, 3, 3, animals))
        poses["covariance"] = (("time", "space", "space_", "keypoint", "individual"), spread, {"units": "mm^2"})
    return poses


def frames_of(turn: Rotation, **changed: object) -> xr.Dataset:
    return segment_frames(moving(turn, **changed), [BODY])  # type: ignore[arg-type]  # of moving


def velocity(frames: xr.Dataset, window: AngularVelocitySettings | None = None, frame: str = "world") -> Array:
    """(time, 3)."""
    return angular_velocity(frames, window, frame=frame)["angular_velocity"].isel(segment=0, individual=0).values  # type: ignore[arg-type]  # two words


TIME = np.arange(200) / RATE


def tumbling(time: Array) -> tuple[Rotation, Array]:
    """Rotations about z and then x, and their angular velocity in the world."""
    about_z, about_x = 2 * np.sin(3 * time), 1.5 * time
    outer = Rotation.from_euler("Z", about_z[:, None])
    along = np.array([0.0, 0, 1]) * (6 * np.cos(3 * time))[:, None] + outer.apply([1.5, 0, 0])
    return outer * Rotation.from_euler("X", about_x[:, None]), along


def test_quaternions_are_those_of_scipy_and_keep_their_sign() -> None:
    turn = Rotation.from_rotvec(7 * TIME[:, None] * np.array([0.6, 0.0, 0.8]))
    found = quaternions(frames_of(turn))["quaternion"]
    assert found.dims == ("time", "segment", "component", "individual")
    assert found["component"].values.tolist() == ["x", "y", "z", "w"]
    values = found.isel(segment=0, individual=0).values
    np.testing.assert_allclose(Rotation.from_quat(values).as_matrix(), turn.as_matrix(), rtol=0, atol=1e-9)
    assert ((values[1:] * values[:-1]).sum(-1) > 0.9).all()
    assert (values[:, 3] < -0.9).any()  # a full turn: the sign of scipy's would have changed
    assert values[0, 3] > 0


def test_a_gap_in_quaternions_begins_a_run() -> None:
    frames = frames_of(Rotation.from_rotvec(7 * TIME[:, None] * np.array([0.6, 0.0, 0.8])))
    frames["world_from_segment"][90] = np.nan
    values = quaternions(frames)["quaternion"].isel(segment=0, individual=0).values
    assert np.isnan(values[90]).all()
    assert values[91, 3] >= 0


@settings(max_examples=25)
@given(st.floats(0.1, 280.0), st.integers(0, 100))
def test_a_steady_rotation_is_found_exactly(speed: float, seed: int) -> None:
    axis = np.random.default_rng(seed).normal(size=3)
    axis /= np.linalg.norm(axis)
    start = Rotation.random(rng=np.random.default_rng(seed))
    frames = frames_of(Rotation.from_rotvec(speed * TIME[:20, None] * axis) * start)
    truth = np.broadcast_to(speed * axis, (20, 3))
    inside = velocity(frames)[1:-1]
    np.testing.assert_allclose(inside, truth[1:-1], rtol=0, atol=1e-9 * speed)
    in_segment = velocity(frames, frame="segment")[1:-1]
    np.testing.assert_allclose(in_segment, np.broadcast_to(start.inv().apply(speed * axis), (18, 3)), atol=1e-9 * speed)


@pytest.mark.parametrize(("window", "close"), [((1, 2), 3e-3), ((2, 4), 1e-5), ((4, 4), 2e-4)])
def test_an_analytic_motion_has_its_angular_velocity(window: tuple[int, int], close: float) -> None:
    turn, along = tumbling(TIME)
    chosen = AngularVelocitySettings(*window)
    np.testing.assert_allclose(velocity(frames_of(turn), chosen), along, rtol=0, atol=close)
    np.testing.assert_allclose(
        velocity(frames_of(turn), chosen, "segment"), turn.inv().apply(along), rtol=0, atol=close
    )


def test_the_error_falls_with_the_square_of_the_step() -> None:
    errors = []
    for rate in (100.0, 200.0):
        time = np.arange(100) / rate
        turn, along = tumbling(time)
        errors.append(np.abs(velocity(frames_of(turn, rate=rate)) - along)[1:-1].max())
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.3)


def test_time_turned_back_turns_the_velocity_around() -> None:
    turn, _ = tumbling(TIME)
    forward, backward = velocity(frames_of(turn)), velocity(frames_of(turn[::-1]))
    np.testing.assert_allclose(backward[::-1], -forward, rtol=0, atol=1e-9)


def test_windows_stay_within_runs() -> None:
    turn, along = tumbling(TIME[:40])
    frames = np.arange(40, dtype=np.int64)
    frames[20:] += 3
    frames[38:] += 3
    gone = frames_of(turn, frames=frames)
    gone["world_from_segment"][8] = np.nan
    found = velocity(gone, AngularVelocitySettings(2, 2))
    expected = np.zeros(40, dtype=bool)
    expected[[8, 38, 39]] = True  # missing, and a run of two frames
    np.testing.assert_array_equal(np.isnan(found).any(-1), expected)
    assert np.abs(found - along)[~expected].max() < 0.05


def test_turns_that_may_have_gone_the_other_way_have_no_velocity() -> None:
    found = velocity(frames_of(Rotation.from_rotvec(310 * TIME[:10, None] * np.array([0.0, 0, 1]))))
    assert np.isnan(found).all()


@pytest.mark.parametrize("frame", ["world", "segment"])
@pytest.mark.parametrize("window", [(1, 2), (3, 2)])
def test_standard_deviations_are_those_of_simulated_errors(frame: str, window: tuple[int, int]) -> None:
    turn = Rotation.from_rotvec(20 * TIME[:30, None] * np.array([0.6, 0.0, 0.8]))
    chosen = AngularVelocitySettings(*window)
    truth = velocity(frames_of(turn), chosen, frame)
    found = angular_velocity(frames_of(turn, noise=1.0, animals=400), chosen, frame=frame).isel(segment=0)  # type: ignore[arg-type]  # two words
    error = found["angular_velocity"].values - truth[..., None]
    simulated, told = (np.sqrt(np.mean(each**2, axis=-1)) for each in (error, found["angular_velocity_std"].values))
    np.testing.assert_allclose(simulated, told, rtol=0.15)  # each of 400
    np.testing.assert_allclose(np.mean(simulated / told), 1.0, rtol=0.02)


def test_without_a_frame_rate_it_is_told_per_frame() -> None:
    frames = frames_of(Rotation.from_rotvec(0.02 * np.arange(9)[:, None] * np.array([0.0, 0, 1])), rate=None)
    found = angular_velocity(frames)["angular_velocity"]
    assert found.attrs["units"] == "rad/frame"
    np.testing.assert_allclose(found.values[1:-1, 0, 2, 0], 0.02)


def test_errors_that_are_alike_from_frame_to_frame_give_no_standard_deviation() -> None:
    poses = moving(tumbling(TIME)[0], noise=1.0)
    poses["smoothness"] = (("keypoint", "individual"), np.ones((3, 1)))
    found = angular_velocity(segment_frames(poses, [BODY]))
    assert set(found.data_vars) == {"angular_velocity"}
    assert "not independent" in found["angular_velocity"].attrs["without_std"]


def test_lazy_frames_give_the_same_lazily() -> None:
    poses = moving(tumbling(TIME)[0], noise=1.0)
    poses["position"] = poses["position"].copy()
    poses["position"][60] = np.nan
    whole, lazy = segment_frames(poses, [BODY]), segment_frames(poses.chunk(time=13), [BODY])
    for window in (AngularVelocitySettings(), AngularVelocitySettings(4, 2), AngularVelocitySettings(9, 3)):
        found = angular_velocity(lazy, window)
        assert all(each.chunks is not None for each in found.data_vars.values())
        xr.testing.assert_identical(found.compute(), angular_velocity(whole, window))
    assert quaternions(lazy)["quaternion"].chunks is not None
    xr.testing.assert_identical(quaternions(lazy).compute(), quaternions(whole))


def test_the_range_of_motion_is_from_the_least_to_the_largest_angle() -> None:
    poses = moving(Rotation.identity(101))
    angles = joint_angles(poses, ANIMAL)
    angles["joint_angle"][:, 0, 0] = np.linspace(0.5, 1.5, 101)
    angles["joint_angle"][50:60] = np.nan
    found = range_of_motion(angles).sel(angle="a", individual="ann")
    assert found["minimum"] == pytest.approx(0.5)
    assert found["maximum"] == pytest.approx(1.5)
    assert found["range"] == pytest.approx(1.0)
    known = angles["joint_angle"].values.ravel()
    lower, upper = np.nanpercentile(known, [5, 95])
    assert found["lower"] == pytest.approx(lower)
    assert found["upper"] == pytest.approx(upper)
    assert found["inner_range"] == pytest.approx(upper - lower)
    assert found["share"] == pytest.approx(91 / 101)
    assert found["range"].attrs["units"] == "rad"


def test_angles_near_a_singularity_do_not_count() -> None:
    second = np.deg2rad([0.0, 20.0, 85.0])
    turn = Rotation.from_euler("ZXY", np.stack([np.array([0.1, 0.2, 3.0]), second, np.zeros(3)], -1))
    found = range_of_motion(joint_coordinates(moving(turn), ANIMAL)).isel(joint=0, individual=0)
    assert found["maximum"].sel(component="first") == pytest.approx(0.2)
    assert found["maximum"].sel(component="second") == pytest.approx(second[2])
    marked = range_of_motion(joint_coordinates(moving(turn), ANIMAL), keep_marked=True).isel(joint=0, individual=0)
    assert marked["maximum"].sel(component="first") == pytest.approx(3.0)


def test_angles_that_are_never_there_have_no_range() -> None:
    poses = moving(Rotation.identity(3))
    poses["position"][:] = np.nan
    found = range_of_motion(joint_angles(poses, ANIMAL))
    assert np.isnan(found["range"].item())
    assert found["share"].item() == 0
    assert math.isnan(range_of_motion(joint_angles(poses.isel(time=slice(0)), ANIMAL))["range"].item())


def test_wrong_input_is_refused() -> None:
    frames = frames_of(Rotation.identity(5))
    with pytest.raises(InvalidValueError, match="'world' or 'segment'"):
        angular_velocity(frames, frame="body")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(InvalidValueError, match="world_from_segment"):
        quaternions(moving(Rotation.identity(5)))
    with pytest.raises(InvalidValueError, match="one variable in rad"):
        range_of_motion(moving(Rotation.identity(5)))
    for window in ((0, 0), (1, 3), (2, 0)):
        with pytest.raises(InvalidValueError, match="Widen the window"):
            AngularVelocitySettings(*window)
    with pytest.raises(InvalidValueError, match="largest turn"):
        AngularVelocitySettings(largest_turn=4.0)
