"""Joint coordinates: against scipy and the formulas of Grood and Suntay; signs, uncertainty and singularities."""

import itertools

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calibration.errors import InvalidValueError, SuiteWarning
from pose3d.datasets import poses3d
from pose3d.kinematics.joints import joint_coordinates, joint_rotations, neutral_pose
from pose3d.skeleton import WORLD, Anatomy, Joint, Segment, Skeleton

Array = NDArray[np.float64]

# Two stiff bodies of three points: where they are in the system of their segment.
SHAPE = np.array([[0.0, 0, 0], [0, 300, 0], [0, 0, 200]])
KEYPOINTS = tuple(f"{part}_{point}" for part in ("upper", "lower") for point in ("origin", "up", "right"))
SEGMENTS = tuple(
    Segment(
        part,
        (f"{part}_origin",),
        ("y", (f"{part}_origin",), (f"{part}_up",)),
        ("z", (f"{part}_origin",), (f"{part}_right",)),
    )
    for part in ("upper", "lower")
)
SEQUENCES = tuple("".join(each) for each in itertools.product("XYZ", repeat=3) if each[0] != each[1] != each[2])
GIMBAL_LOCK = 4


def skeleton(*joints: Joint) -> Skeleton:
    return Skeleton("limb", KEYPOINTS, anatomy=Anatomy(segments=SEGMENTS, joints=joints))


def joint(sequence: str = "ZXY", **changed: object) -> Joint:
    return Joint("knee", "upper", "lower", sequence, **changed)  # type: ignore[arg-type]  # of Joint


def recording(upper: Rotation, lower: Rotation, covariance: Array | None = None, noise: float = 0.0) -> xr.Dataset:
    """Poses3D of two bodies, turned so in the world."""
    bodies = [
        np.einsum("tij,kj->tki", turn.as_matrix(), SHAPE) + shift for turn, shift in ((upper, 0.0), (lower, 500.0))
    ]
    position = np.concatenate(np.broadcast_arrays(*bodies), axis=1)
    position = position + noise * np.random.default_rng(0).normal(size=position.shape)
    poses = poses3d(
        np.swapaxes(position, 1, 2)[..., None], individuals=["ann"], keypoints=KEYPOINTS, unit="mm", frame_rate=100.0
    )
    if covariance is not None:
        spread = np.broadcast_to(covariance[None, :, :, None, None], (len(position), 3, 3, len(KEYPOINTS), 1))
        poses["covariance"] = (("time", "space", "space_", "keypoint", "individual"), spread, {"units": "mm^2"})
    return poses


def values(found: xr.Dataset, name: str = "joint_coordinate") -> Array:
    """(time, component) of the only joint of the only animal."""
    return found[name].isel(joint=0, individual=0).values


def turns(count: int, seed: int = 0) -> Rotation:
    return Rotation.random(count, rng=np.random.default_rng(seed))


def apart(first: Array, second: Array) -> float:
    """The largest difference of angles, full turns aside."""
    return float(np.abs(np.angle(np.exp(1j * (first - second)))).max())


@pytest.mark.parametrize("sequence", SEQUENCES)
@pytest.mark.parametrize("proximal", ["upper", WORLD])
def test_angles_are_those_of_scipy(sequence: str, proximal: str) -> None:
    upper, lower = turns(200), turns(200, 1)
    signs, neutral = (1, -1, -1), (10.0, -20.0, 5.0)
    part = Joint("j", proximal, "lower", sequence, signs=signs, neutral=neutral)
    relative = lower if proximal == WORLD else upper.inv() * lower
    expected = relative.as_euler(sequence) * signs - np.deg2rad(neutral)
    assert apart(values(joint_coordinates(recording(upper, lower), skeleton(part))), expected) < 1e-9


def test_the_knee_is_that_of_grood_and_suntay() -> None:
    """Their formulas (1983, equations 7 to 9) in our axes: z to the right, x forward, y up; a right knee."""
    truth = np.deg2rad(np.stack([np.linspace(0, 120, 50), np.linspace(-10, 10, 50), np.linspace(-15, 20, 50)], -1))
    upper = turns(50)
    lower = upper * Rotation.from_euler("ZXY", truth * [-1, 1, 1])
    poses = recording(upper, lower)
    found = values(joint_coordinates(poses, skeleton(joint(signs=(-1, 1, 1)))))
    # e1 is the mediolateral axis of the femur, e3 the long axis of the tibia, e2 their common perpendicular
    femur, tibia = upper.as_matrix(), lower.as_matrix()
    right, forward, e3 = femur[..., 2], femur[..., 0], tibia[..., 1]
    e2 = np.cross(e3, right)
    e2 /= np.linalg.norm(e2, axis=-1, keepdims=True)
    flexion = np.arcsin(-(e2 * femur[..., 1]).sum(-1))  # cos(alpha) = e2 . forward; its sine gives the sign
    flexion = np.where((e2 * forward).sum(-1) < 0, np.pi - flexion, flexion)
    adduction = np.pi / 2 - np.arccos((right * e3).sum(-1))
    internal = np.arcsin((e2 * tibia[..., 2]).sum(-1))
    np.testing.assert_allclose(found, np.stack([flexion, adduction, internal], -1), rtol=0, atol=1e-9)
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-9)


def test_the_right_shoulder_is_that_of_the_isb() -> None:
    """Wu 2005: plane of elevation 0 is abduction, 90 degrees flexion; elevation is negative."""
    told = joint("YXY", signs=(1, -1, 1), neutral=(180.0, 0.0, 180.0))
    for arm, plane in ((np.array([0, 0, 1.0]), 0.0), (np.array([1.0, 0, 0]), 90.0)):
        humerus = Rotation.from_euler("YXY", np.deg2rad([plane, -80.0, 0.0]))
        pointing = humerus.apply([0, -1.0, 0])  # from the shoulder down to the elbow
        assert pointing @ arm > 0.98
        lower = Rotation.from_matrix(humerus.as_matrix()[None])
        found = values(joint_coordinates(recording(Rotation.identity(1), lower), skeleton(told)))[0]
        np.testing.assert_allclose(np.rad2deg(found), [plane, -80.0, 0.0], rtol=0, atol=1e-9)


def test_a_mirrored_body_has_the_same_coordinates_with_mirrored_signs() -> None:
    upper, lower = turns(30), turns(30, 1)
    mirror = np.diag([1.0, 1.0, -1.0])

    def mirrored(turn: Rotation) -> Rotation:
        # what points to the right goes on to do so on both sides
        return Rotation.from_matrix(mirror @ turn.as_matrix() @ mirror)

    right = values(joint_coordinates(recording(upper, lower), skeleton(joint())))
    left = joint_coordinates(recording(mirrored(upper), mirrored(lower)), skeleton(joint(signs=(1, -1, -1))))
    np.testing.assert_allclose(values(left), right, rtol=0, atol=1e-9)
    shoulder = joint("YXY", signs=(1, -1, 1), neutral=(180.0, 0.0, 180.0))
    right = values(joint_coordinates(recording(upper, lower), skeleton(shoulder)))
    other = skeleton(joint("YXY", signs=(-1, -1, -1)))
    assert apart(values(joint_coordinates(recording(mirrored(upper), mirrored(lower)), other)), right) < 1e-9


@settings(max_examples=25)
@given(st.integers(0, 1000))
def test_coordinates_do_not_depend_on_where_the_world_is(seed: int) -> None:
    upper, lower = turns(4, seed), turns(4, seed + 1)
    world = Rotation.random(rng=np.random.default_rng(seed))
    first = joint_coordinates(recording(upper, lower, np.eye(3)), skeleton(joint()))
    second = joint_coordinates(recording(world * upper, world * lower, np.eye(3)), skeleton(joint()))
    # a frame near gimbal lock magnifies rounding
    assert apart(values(first), values(second)) < 1e-6
    np.testing.assert_allclose(first["joint_coordinate_std"], second["joint_coordinate_std"], rtol=1e-4)


def test_angles_go_on_beyond_half_a_turn() -> None:
    truth = np.zeros((200, 3))
    truth[:, 0] = np.linspace(0, 4 * np.pi, 200)
    poses = recording(Rotation.identity(200), Rotation.from_euler("ZXY", truth))
    found = values(joint_coordinates(poses, skeleton(joint())))
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-9)
    poses["position"][100] = np.nan
    cut = values(joint_coordinates(poses, skeleton(joint())))
    assert np.isnan(cut[100]).all()
    assert -np.pi < cut[101, 0] <= np.pi
    assert apart(cut[101:], truth[101:]) < 1e-9


def test_the_neutral_value_is_subtracted_before_a_run_begins() -> None:
    poses = recording(Rotation.identity(1), Rotation.from_euler("ZXY", [[170.0, 0, 0]], degrees=True))
    found = values(joint_coordinates(poses, skeleton(joint(neutral=(-170.0, 0.0, 0.0)))))
    np.testing.assert_allclose(np.rad2deg(found), [[-20.0, 0, 0]], rtol=0, atol=1e-9)


@pytest.mark.parametrize(("sequence", "lock"), [("ZXY", 90.0), ("YXY", 0.0)])
def test_gimbal_lock_is_marked_and_what_it_leaves_open_is_missing(sequence: str, lock: float) -> None:
    away = np.array([0.0, 4.0, 9.0, 11.0, 40.0])
    truth = np.stack([away * 0 + 20, np.abs(lock - away), away * 0 + 30], axis=-1)
    lower = Rotation.from_euler(sequence, truth, degrees=True)
    found = joint_coordinates(recording(Rotation.identity(5), lower, np.eye(3)), skeleton(joint(sequence)))
    assert values(found, "joint_coordinate_status").tolist() == [GIMBAL_LOCK] * 3 + [0, 0]
    np.testing.assert_allclose(np.rad2deg(values(found)[1:]), truth[1:], rtol=0, atol=1e-9)
    assert np.isnan(values(found)[0]).tolist() == [True, False, True]
    assert np.rad2deg(values(found)[0, 1]) == pytest.approx(lock, abs=1e-5)
    std = values(found, "joint_coordinate_std")
    assert np.isnan(std[0, [0, 2]]).all()
    assert std[1, 0] > 3 * std[4, 0]
    assert found["joint_coordinate_status"].attrs["flag_meanings"].endswith("gimbal_lock")


@pytest.mark.parametrize("sequence", ["ZXY", "YXY", "XYZ", "ZYZ"])
def test_standard_deviations_are_those_of_simulated_errors(sequence: str) -> None:
    rng = np.random.default_rng(2)
    root = rng.normal(size=(3, 3))
    truth = np.deg2rad([[25.0, 50.0, -40.0]])
    upper = turns(1)
    lower = upper * Rotation.from_euler(sequence, truth)
    exact = recording(upper, lower, root @ root.T)
    many = exact.isel(time=np.zeros(20_000, int)).drop_vars("covariance")
    many = many.assign_coords(time=np.arange(20_000) / 100, frame=("time", np.arange(20_000)))
    many["time"].attrs["units"] = "s"
    error = rng.normal(size=many["position"].shape)
    many["position"] = many["position"] + np.einsum("sj,tjki->tski", root, error)
    parts = skeleton(joint(sequence), Joint("in the world", WORLD, "lower", sequence))
    expected, found = joint_coordinates(exact, parts), joint_coordinates(many, parts)
    away = np.angle(np.exp(1j * (found["joint_coordinate"].values - expected["joint_coordinate"].values)))
    np.testing.assert_allclose(away.std(axis=0), expected["joint_coordinate_std"].isel(time=0), rtol=0.03)
    rotation, noisy = joint_rotations(exact, parts), joint_rotations(many, parts)
    np.testing.assert_allclose(
        noisy["joint_rotation"].std("time"), rotation["joint_rotation_std"].isel(time=0), rtol=0.03
    )


def test_the_standard_deviation_of_joints_that_share_keypoints_knows_it() -> None:
    # a joint between segments that share two keypoints only turns about the line between them
    twin = Segment(
        "twin", ("upper_origin",), ("y", ("upper_origin",), ("upper_up",)), ("z", ("upper_origin",), ("lower_up",))
    )
    anatomy = Anatomy(segments=(*SEGMENTS, twin), joints=(Joint("hinge", "upper", "twin", "YXZ"),))
    poses = recording(turns(5), turns(5, 1), np.eye(3))
    found = joint_coordinates(poses, Skeleton("shared", KEYPOINTS, anatomy=anatomy))
    std = values(found, "joint_coordinate_std")
    np.testing.assert_allclose(std[:, 1:], 0, rtol=0, atol=1e-9)
    assert (std[:, 0] > 1e-4).all()


def test_components_have_the_names_of_the_joint() -> None:
    names = ("plane of elevation", "elevation", "axial rotation")
    found = joint_coordinates(recording(turns(2), turns(2, 1)), skeleton(joint("YXY", angles=names)))
    assert found["joint_coordinate"].dims == ("time", "joint", "component", "individual")
    assert tuple(found["angle_name"].sel(joint="knee").values) == names
    assert found["joint_coordinate"].attrs["units"] == "rad"


def test_a_joint_turns_out_of_its_neutral_pose_by_one_angle() -> None:
    neutral = (15.0, -10.0, 20.0)
    upper = turns(40)
    resting = Rotation.from_euler("ZXY", np.deg2rad(neutral))
    turn = Rotation.random(40, rng=np.random.default_rng(9))
    part = joint(neutral=(15.0, 10.0, 20.0), signs=(1, -1, 1))
    found = joint_rotations(recording(upper, upper * turn * resting), skeleton(part))
    np.testing.assert_allclose(values(found, "joint_rotation"), turn.magnitude(), rtol=0, atol=1e-9)
    vector = values(found, "helical_axis") * values(found, "joint_rotation")[:, None]
    np.testing.assert_allclose(vector, turn.as_rotvec(), rtol=0, atol=1e-6)
    still = joint_rotations(recording(upper, upper * resting, np.eye(3)), skeleton(part))
    np.testing.assert_allclose(values(still, "joint_rotation"), 0, atol=1e-9)
    assert np.isnan(values(still, "helical_axis")).all()
    assert np.isnan(values(still, "joint_rotation_std")).all()


def test_a_static_trial_gives_the_neutral_pose() -> None:
    still = Rotation.from_euler("ZXY", np.deg2rad([175.0, 10.0, -20.0]))
    upper = turns(60)
    poses = recording(upper, upper * still, noise=0.5)
    body = skeleton(joint(neutral=(1.0, 2.0, 3.0), signs=(1, 1, -1)))
    settled = neutral_pose(poses, body)
    np.testing.assert_allclose(settled.anatomy.joints[0].neutral, [175.0, 10.0, 20.0], rtol=0, atol=0.1)
    again = values(joint_coordinates(poses, settled))
    np.testing.assert_allclose(again.mean(axis=0), 0, rtol=0, atol=1e-3)
    for frames in (slice(10, 20), range(10, 20)):
        part = neutral_pose(poses, body, frames)
        mean = values(joint_coordinates(poses.isel(time=slice(10, 20)), part)).mean(axis=0)
        np.testing.assert_allclose(mean, 0, rtol=0, atol=1e-4)


def test_a_trial_that_is_none_is_told() -> None:
    moving = Rotation.from_euler("ZXY", np.stack([np.linspace(0, 2, 50), np.zeros(50), np.zeros(50)], -1))
    poses = recording(Rotation.identity(50), moving)
    with pytest.warns(SuiteWarning, match="'knee': flexion moves"):
        neutral_pose(poses, skeleton(joint()))
    with pytest.raises(InvalidValueError, match="50 frames, 0 to 49"):
        neutral_pose(poses, skeleton(joint()), slice(60, 70))
    two = xr.concat([poses, poses.assign_coords(individual=["ben"])], "individual")
    two = two.assign(position=two["position"].transpose(*poses["position"].dims))
    two = two.assign(confidence=two["confidence"].transpose(*poses["confidence"].dims))
    for name in (None, "eve"):
        with pytest.raises(InvalidValueError, match="one out of ann, ben"):
            neutral_pose(two, skeleton(joint()), individual=name)
    assert neutral_pose(two, skeleton(joint()), [3], individual="ben").anatomy.joints[0].neutral[0] > 0


def test_angles_at_gimbal_lock_keep_their_neutral_value() -> None:
    hanging = Rotation.from_euler("YXY", np.deg2rad([[40.0, 2.0, 10.0]]))
    poses = recording(Rotation.identity(1), hanging)
    with pytest.warns(SuiteWarning, match="flexion stays, it has no value, rotation stays"):
        found = neutral_pose(poses, skeleton(joint("YXY", neutral=(180.0, 0.0, 180.0))))
    np.testing.assert_allclose(found.anatomy.joints[0].neutral, [180.0, 2.0, 180.0], rtol=0, atol=1e-9)


def test_lazy_poses_give_the_same_lazily() -> None:
    truth = np.stack([np.linspace(0, 15, 90), np.zeros(90), np.zeros(90)], -1)
    poses = recording(turns(90), turns(90) * Rotation.from_euler("ZXY", truth), np.eye(3))
    poses["position"] = poses["position"].copy()
    poses["position"][40] = np.nan
    for work in (joint_coordinates, joint_rotations):
        lazy = work(poses.chunk(time=13), skeleton(joint()))
        assert all(each.chunks is not None for each in lazy.data_vars.values())
        xr.testing.assert_identical(lazy.compute(), work(poses, skeleton(joint())))


def test_wrong_joints_are_refused() -> None:
    poses = recording(turns(2), turns(2, 1))
    with pytest.raises(InvalidValueError, match="Did you mean 'knee'"):
        joint_coordinates(poses, skeleton(joint()), ["kneee"])
    with pytest.raises(InvalidValueError, match="at least one"):
        joint_coordinates(poses, skeleton())
    for wrong in (joint("ZZY"), Joint("j", "upper", "foot"), joint(signs=(1, 2, 1))):
        with pytest.raises(InvalidValueError, match="joint '"):
            joint_coordinates(poses, skeleton(), [wrong])
