"""Angles between lines of the body: known truth, laws, uncertainty, and what is no angle."""

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calibration.errors import InvalidValueError
from pose3d.datasets import poses2d, poses3d
from pose3d.kinematics.angles import angle_to_axis, angle_to_plane, joint_angles
from pose3d.skeleton import Anatomy, Angle, Point, Segment, Skeleton

Array = NDArray[np.float64]

KEYPOINTS = ("hip", "knee", "ankle", "toe", "rump")
FOUND, MISSING, DEGENERATE, NEARLY = range(4)


def points(*names: str) -> tuple[Point, ...]:
    return tuple((name,) for name in names)


PELVIS = Segment("pelvis", ("hip",), ("x", ("rump",), ("hip",)), ("y", ("knee",), ("hip",)))
ANGLES = (
    Angle("knee", points("hip", "knee", "ankle")),
    Angle("foot to thigh", points("hip", "knee", "ankle", "toe")),
    Angle("middle", (("hip", "rump"), ("knee",), ("ankle", "toe"))),
    Angle("in the sagittal plane", points("hip", "knee", "ankle"), ("x", "z")),
    Angle("in the pelvis", points("hip", "knee", "ankle", "toe"), ("z", "y"), "pelvis"),
)
LEG = Skeleton(
    "leg",
    KEYPOINTS,
    (("rump", "hip"), ("hip", "knee"), ("knee", "ankle"), ("ankle", "toe")),
    anatomy=Anatomy(angles=ANGLES, segments=(PELVIS,)),
)


def recording(
    position: Array, *, covariance: Array | None = None, frames: NDArray[np.int64] | None = None
) -> xr.Dataset:
    """Poses3D of the five keypoints of one animal from (time, keypoint, 3)."""
    poses = poses3d(
        np.swapaxes(position, 1, 2)[..., None],
        individuals=["ann"],
        keypoints=KEYPOINTS,
        unit="mm",
        frames=frames,
        frame_rate=100.0,
    )
    if covariance is not None:
        spread = np.broadcast_to(covariance[None, :, :, None, None], (len(position), 3, 3, len(KEYPOINTS), 1))
        poses["covariance"] = (("time", "space", "space_", "keypoint", "individual"), spread, {"units": "mm^2"})
    return poses


def random_legs(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(count, len(KEYPOINTS), 3)) * 100


def plane_leg(knee: Array, sense: float = 1.0) -> Array:
    """(time, keypoint, 3) a leg in the plane of x and z whose knee has these angles."""
    zero = np.zeros_like(knee)
    hip = np.stack([zero, zero, zero + 400], axis=-1)
    shank = np.stack([np.sin(knee) * sense, zero, np.cos(knee)], axis=-1) * 300
    middle = np.zeros_like(hip)
    return np.stack([hip, middle, shank, shank + np.array([100.0, 0, 0]), hip - np.array([100.0, 0, 0])], axis=1)


def test_a_rotating_hinge_has_the_angle_it_was_given() -> None:
    truth = np.linspace(0.0, math.pi, 301)
    found = joint_angles(recording(plane_leg(truth)), LEG)["joint_angle"]
    np.testing.assert_allclose(found.sel(angle="knee", individual="ann"), truth, rtol=0, atol=1e-9)
    assert found.dims == ("time", "angle", "individual")
    assert found.attrs["units"] == "rad"
    assert {"time", "frame", "angle", "individual"} <= set(found.coords)


def test_four_points_are_an_angle_between_directions() -> None:
    pose = np.zeros((1, 5, 3))
    pose[0, 0], pose[0, 1], pose[0, 2] = (0, 0, 0), (1, 0, 0), (5, 5, 5)
    for direction, angle in (((2, 0, 0), 0.0), ((0, 3, 0), math.pi / 2), ((-1, 0, 0), math.pi)):
        pose[0, 3] = pose[0, 2] + direction
        found = joint_angles(recording(pose), LEG, angles=["foot to thigh"])["joint_angle"]
        assert found.item() == pytest.approx(angle, abs=1e-12)


def test_angles_are_those_of_plain_numpy() -> None:
    position = random_legs(600)  # more than a block of the kernel, and not a whole number of them
    a, b, c = position[:, 0], position[:, 1], position[:, 2]
    u, v = a - b, c - b
    cosine = (u * v).sum(-1) / np.linalg.norm(u, axis=-1) / np.linalg.norm(v, axis=-1)
    found = joint_angles(recording(position), LEG, angles=["knee"])["joint_angle"]
    np.testing.assert_allclose(found.values.ravel(), np.arccos(cosine), rtol=0, atol=1e-9)
    middle = joint_angles(recording(position), LEG, angles=["middle"])["joint_angle"]
    u, v = (position[:, 0] + position[:, 4]) / 2 - b, (c + position[:, 3]) / 2 - b
    exact = np.arctan2(np.linalg.norm(np.cross(u, v), axis=-1), (u * v).sum(-1))
    np.testing.assert_allclose(middle.values.ravel(), exact, rtol=0, atol=1e-13)


@given(st.floats(0, math.pi), st.floats(-6, 6))
def test_the_arc_tangent_is_exact_for_all_angles_and_sizes(angle: float, power: float) -> None:
    pose = plane_leg(np.array([angle])) * 10**power
    found = joint_angles(recording(pose), LEG, angles=["knee"])["joint_angle"].item()
    shank, thigh = pose[0, 2], pose[0, 0]
    exact = math.atan2(float(np.linalg.norm(np.cross(thigh, shank))), float(thigh @ shank))
    assert found == pytest.approx(exact, rel=1e-14, abs=1e-15)


@settings(max_examples=25)
@given(st.integers(0, 1000))
def test_angles_do_not_depend_on_where_the_world_is(seed: int) -> None:
    position = random_legs(5, seed)
    rng = np.random.default_rng(seed + 1)
    turn = Rotation.random(rng=rng)
    moved = turn.apply(position.reshape(-1, 3)).reshape(position.shape) + rng.normal(size=3) * 1000
    names = ["knee", "foot to thigh", "middle", "in the pelvis"]
    covariance = np.diag([1.0, 2.0, 3.0])
    first = joint_angles(recording(position, covariance=covariance), LEG, angles=names)
    matrix = turn.as_matrix()
    second = joint_angles(recording(moved, covariance=matrix @ covariance @ matrix.T), LEG, angles=names)
    np.testing.assert_allclose(first["joint_angle"], second["joint_angle"], rtol=0, atol=1e-8)
    np.testing.assert_allclose(first["joint_angle_std"], second["joint_angle_std"], rtol=1e-6)


def test_a_mirrored_body_has_mirrored_signs() -> None:
    position = random_legs(20)
    mirrored = position * [-1.0, 1.0, 1.0]
    first, second = (joint_angles(recording(each), LEG, unwrap=False)["joint_angle"] for each in (position, mirrored))
    unsigned = ["knee", "foot to thigh", "middle"]
    np.testing.assert_allclose(first.sel(angle=unsigned), second.sel(angle=unsigned), rtol=0, atol=1e-12)
    sagittal = "in the sagittal plane"
    np.testing.assert_allclose(first.sel(angle=sagittal), -second.sel(angle=sagittal), rtol=0, atol=1e-12)


def test_a_projected_angle_is_positive_from_the_first_axis_towards_the_second() -> None:
    pose = plane_leg(np.array([0.3]))
    pose[0, :, 1] = [10, 20, -30, 5, 7]  # across the plane: not seen
    # the thigh points along z, the shank turns towards x
    assert joint_angles(recording(pose), LEG, angles=[ANGLES[3]])["joint_angle"].item() == pytest.approx(-0.3)
    other = Angle("the other way", ANGLES[3].points, ("z", "x"))
    assert joint_angles(recording(pose), LEG, angles=[other])["joint_angle"].item() == pytest.approx(0.3)


def test_the_plane_of_a_segment_moves_with_it() -> None:
    position = random_legs(10)
    found = joint_angles(recording(position), LEG, angles=["in the pelvis"], unwrap=False)["joint_angle"].values.ravel()
    hip, knee, ankle, toe, rump = np.moveaxis(position, 1, 0)
    x = hip - rump
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    z = np.cross(x, hip - knee)
    z /= np.linalg.norm(z, axis=-1, keepdims=True)
    y = np.cross(z, x)
    thigh, foot = knee - hip, toe - ankle
    direction = [np.arctan2((line * y).sum(-1), (line * z).sum(-1)) for line in (thigh, foot)]
    difference = np.angle(np.exp(1j * (direction[1] - direction[0] - found)))
    np.testing.assert_allclose(difference, 0, rtol=0, atol=1e-12)


def test_signed_angles_go_on_beyond_half_a_turn_within_runs_of_frames() -> None:
    truth = np.linspace(2.0, 5.0, 61)
    position = plane_leg(truth, sense=-1.0)
    frames = np.arange(61, dtype=np.int64)
    frames[30:] += 5  # a gap: the run after it begins anew
    name = "in the sagittal plane"
    whole = joint_angles(recording(position), LEG, angles=[name])["joint_angle"].values.ravel()
    np.testing.assert_allclose(whole, truth, rtol=0, atol=1e-9)
    cut = joint_angles(recording(position, frames=frames), LEG, angles=[name])["joint_angle"].values.ravel()
    np.testing.assert_allclose(cut[:30], truth[:30], rtol=0, atol=1e-9)
    np.testing.assert_allclose(cut[30:], truth[30:] - 2 * math.pi, rtol=0, atol=1e-9)
    wrapped = joint_angles(recording(position), LEG, angles=[name], unwrap=False)["joint_angle"].values.ravel()
    assert np.abs(wrapped).max() <= math.pi


def test_without_angles_there_are_those_where_two_edges_meet() -> None:
    bare = Skeleton("bare", KEYPOINTS, (*LEG.edges, ("ankle", "rump")))
    found = joint_angles(recording(random_legs(3)), bare)
    assert found["angle"].values.tolist() == ["hip", "knee", "rump"]  # three edges meet at the ankle, one at the toe
    expected = joint_angles(recording(random_legs(3)), LEG, angles=["knee"])["joint_angle"]
    np.testing.assert_array_equal(found["joint_angle"].sel(angle=["knee"]), expected)


def test_what_has_no_angle_says_why() -> None:
    position = np.repeat(random_legs(1), 5, axis=0)
    position[1, 0] = np.nan
    position[2, 0] = position[2, 1]  # no thigh
    position[3, 0] = position[3, 1] + [0, 50, 0]  # a thigh across the plane of x and z
    position[4, 0] = position[4, 1] + [5, 50, 0]  # nearly so
    found = joint_angles(recording(position), LEG)
    status = found["joint_angle_status"].isel(individual=0)
    assert status.sel(angle="knee").values.tolist() == [FOUND, MISSING, DEGENERATE, FOUND, FOUND]
    expected = [FOUND, MISSING, DEGENERATE, DEGENERATE, NEARLY]
    assert status.sel(angle="in the sagittal plane").values.tolist() == expected
    values = found["joint_angle"].isel(individual=0)
    np.testing.assert_array_equal(values.isnull(), (status == MISSING) | (status == DEGENERATE))
    words = found["joint_angle_status"].attrs["flag_meanings"].split()
    assert words == ["found", "keypoint_missing", "degenerate", "nearly_degenerate"]


def test_missing_comes_before_degenerate() -> None:
    position = random_legs(1)
    position[0, 0] = position[0, 1]
    position[0, 2] = np.nan
    status = joint_angles(recording(position), LEG)["joint_angle_status"].isel(individual=0, time=0)
    assert status.sel(angle=["knee", "in the sagittal plane"]).values.tolist() == [MISSING, MISSING]


def test_a_segment_without_a_system_leaves_no_angle_in_its_plane() -> None:
    position = random_legs(1)
    position[0, 4] = 2 * position[0, 0] - position[0, 1]  # rump, hip and knee in a line
    found = joint_angles(recording(position, covariance=np.eye(3)), LEG, angles=["in the pelvis"])
    assert np.isnan(found["joint_angle"].item())
    assert np.isnan(found["joint_angle_std"].item())
    assert found["joint_angle_status"].item() == DEGENERATE


def test_standard_deviations_are_those_of_simulated_errors() -> None:
    rng = np.random.default_rng(3)
    truth = random_legs(1, seed=5)
    root = rng.normal(size=(3, 3))
    covariance = root @ root.T
    noisy = truth + rng.normal(size=(20_000, *truth.shape[1:])) @ root.T
    exact = joint_angles(recording(truth, covariance=covariance), LEG)
    spread = (joint_angles(recording(noisy), LEG, unwrap=False)["joint_angle"] - exact["joint_angle"].isel(time=0)).std(
        "time"
    )
    # 20,000 of them tell a standard deviation to 0.5 percent; what is not linear is as small
    np.testing.assert_allclose(exact["joint_angle_std"].isel(time=0), spread, rtol=0.03)


@pytest.mark.parametrize("end", [0.0, math.pi])
def test_intervals_hold_the_truth_near_the_ends_of_the_range(end: float) -> None:
    rng = np.random.default_rng(7)
    for away in (0.0, 0.01, 0.03, 0.06, 0.1, 0.2, 0.5):
        angle = abs(end - away)
        truth = plane_leg(np.array([angle]))
        noisy = truth + 5.0 * rng.normal(size=(4000, *truth.shape[1:]))
        found = joint_angles(recording(noisy, covariance=25.0 * np.eye(3)), LEG, angles=["knee"])
        error = np.abs(found["joint_angle"] - angle)
        assert 0.93 < float((error <= 1.96 * found["joint_angle_std"]).mean()) < 0.99


def test_a_keypoint_in_several_points_counts_once() -> None:
    # the line from the middle of hip and knee to the knee is half of that from hip to knee, and as uncertain
    position, covariance = random_legs(4), np.diag([1.0, 4.0, 9.0])
    half = Angle("half", (("hip", "knee"), ("knee",), ("ankle",)))
    found = joint_angles(recording(position, covariance=covariance), LEG, angles=["knee", half])
    for variable in ("joint_angle", "joint_angle_std"):
        pair = found[variable].isel(individual=0)
        np.testing.assert_allclose(pair.isel(angle=0), pair.isel(angle=1), rtol=1e-9)


def test_a_covariance_that_is_missing_leaves_the_angle_without_a_standard_deviation() -> None:
    poses = recording(random_legs(2), covariance=np.eye(3))
    poses["covariance"] = poses["covariance"].copy()
    poses["covariance"][0, :, :, 2] = np.nan
    found = joint_angles(poses, LEG, angles=["knee"])
    assert np.isnan(found["joint_angle_std"].values.ravel()).tolist() == [True, False]
    assert found["joint_angle"].notnull().all()


def test_without_covariance_there_is_no_standard_deviation() -> None:
    assert set(joint_angles(recording(random_legs(2)), LEG).data_vars) == {"joint_angle", "joint_angle_status"}


def flat_poses(position: Array) -> xr.Dataset:
    """Poses2D of one camera from (time, keypoint, 2)."""
    poses = poses2d(position[:, None, None], cameras=["cam"], individuals=["ann"], keypoints=KEYPOINTS, frame_rate=50.0)
    spread = np.broadcast_to(4.0 * np.eye(2), (*position.shape[:1], 1, 1, len(KEYPOINTS), 2, 2))
    poses["covariance"] = ((*poses["position"].dims, "space_"), spread, {"units": "px^2"})
    return poses


def test_angles_in_images_are_those_of_the_same_points_in_space() -> None:
    position = random_legs(6)
    position[..., 2] = 0.0
    names: list[str | Angle] = [
        "knee",
        "foot to thigh",
        "middle",
        Angle("in the image", points("hip", "knee", "ankle"), ("x", "y")),
    ]
    covariance = 4.0 * np.diag([1.0, 1.0, 0.0])
    solid = joint_angles(recording(position, covariance=covariance), LEG, angles=names)
    flat = joint_angles(flat_poses(position[..., :2]), LEG, angles=names)
    assert flat["joint_angle"].dims == ("time", "camera", "angle", "individual")
    for name in ("joint_angle", "joint_angle_std", "joint_angle_status"):
        np.testing.assert_allclose(flat[name].isel(camera=0).values, solid[name].values, rtol=1e-12, atol=1e-12)


def test_images_have_no_planes_but_their_own() -> None:
    for name in ("in the pelvis", "in the sagittal plane"):
        with pytest.raises(InvalidValueError, match="the plane of x and y of the world"):
            joint_angles(flat_poses(random_legs(2)[..., :2]), LEG, angles=[name])


def test_the_angle_to_an_axis_and_to_the_plane_across_it_add_up_to_a_right_angle() -> None:
    position = random_legs(30)
    poses = recording(position, covariance=np.eye(3))
    line = position[:, 2] - position[:, 1]
    up = angle_to_axis(poses, "knee", "ankle", (0, 0, 5))
    expected = np.arccos(line[:, 2] / np.linalg.norm(line, axis=-1))
    np.testing.assert_allclose(up["angle_to_axis"].values.ravel(), expected, rtol=0, atol=1e-9)
    assert up["angle_to_axis"].dims == ("time", "individual")
    ground = angle_to_plane(poses, "knee", "ankle", (0, 0, 1))
    np.testing.assert_allclose(up["angle_to_axis"] + ground["angle_to_plane"], math.pi / 2, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(np.sign(ground["angle_to_plane"].values.ravel()), np.sign(line[:, 2]))
    np.testing.assert_array_equal(ground["angle_to_plane_std"], up["angle_to_axis_std"])
    assert ground["angle_to_plane"].attrs == {"units": "rad", "long_name": "angle to the plane"}


def test_an_axis_may_run_between_points_of_the_body() -> None:
    poses = recording(random_legs(8), covariance=np.eye(3))
    found = angle_to_axis(poses, "hip", "knee", ("ankle", "toe"))
    expected = joint_angles(poses, LEG, angles=["foot to thigh"])
    np.testing.assert_array_equal(found["angle_to_axis"], expected["joint_angle"].isel(angle=0))
    np.testing.assert_array_equal(found["angle_to_axis_std"], expected["joint_angle_std"].isel(angle=0))
    middle = angle_to_plane(poses, ("hip", "rump"), "knee", (("hip", "knee"), "toe"))
    assert middle["angle_to_plane"].notnull().all()


def test_lazy_poses_give_the_same_lazily() -> None:
    poses = recording(random_legs(50), covariance=np.eye(3))
    lazy = joint_angles(poses.chunk(time=7, keypoint=2), LEG)
    assert all(each.chunks is not None for each in lazy.data_vars.values())
    xr.testing.assert_identical(lazy.compute(), joint_angles(poses, LEG))


def test_single_precision_and_many_frames_give_the_same() -> None:
    position = random_legs(40_000)  # enough for several threads
    poses = recording(position)
    found = joint_angles(poses, LEG, unwrap=False)["joint_angle"]
    some = joint_angles(poses.isel(time=slice(20_000, 20_010)), LEG, unwrap=False)["joint_angle"]
    np.testing.assert_array_equal(found[20_000:20_010], some)
    single = poses.assign(position=poses["position"].astype(np.float32))
    of_single = joint_angles(single, LEG, angles=["knee"])["joint_angle"]
    assert of_single.dtype == np.float64
    np.testing.assert_allclose(of_single, found.sel(angle=["knee"]), rtol=0, atol=1e-4)


def test_no_frames_give_no_angles() -> None:
    assert joint_angles(recording(random_legs(0)), LEG)["joint_angle"].shape == (0, 5, 1)


def test_wrong_names_and_definitions_are_refused() -> None:
    poses = recording(random_legs(2))
    with pytest.raises(InvalidValueError, match="Did you mean 'knee'"):
        joint_angles(poses, LEG, angles=["kne"])
    with pytest.raises(InvalidValueError, match="Did you mean 'ankle'"):
        angle_to_axis(poses, "knee", "ankel", (0, 0, 1))
    with pytest.raises(InvalidValueError, match="expected three points or four"):
        joint_angles(poses, LEG, angles=[Angle("two", points("hip", "knee"))])
    with pytest.raises(InvalidValueError, match="skeleton 'points', angles"):
        joint_angles(poses, Skeleton("points", KEYPOINTS))
    with pytest.raises(InvalidValueError, match="a keypoint 'toe'"):
        joint_angles(poses.sel(keypoint=["hip", "knee", "ankle"]), LEG, angles=["foot to thigh"])
    for vector in ((0, 0, 0), (0, 0, np.nan), (1, 0), "up"):
        with pytest.raises(InvalidValueError, match="axis"):
            angle_to_axis(poses, "hip", "knee", vector)
    with pytest.raises(InvalidValueError):
        joint_angles(xr.Dataset(), LEG)


def test_angles_of_keypoints_that_the_poses_lack_are_left_out() -> None:
    poses = recording(random_legs(2)).sel(keypoint=["hip", "knee", "ankle"])
    assert joint_angles(poses, LEG)["angle"].values.tolist() == ["knee", "in the sagittal plane"]
