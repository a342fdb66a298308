"""Systems of segments: what their axes are, their uncertainty, and what has none."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calibration.errors import InvalidValueError
from pose3d.datasets import poses2d, poses3d
from pose3d.kinematics.segments import segment_frames
from pose3d.skeleton import Anatomy, Segment, Skeleton

Array = NDArray[np.float64]

KEYPOINTS = ("hip", "knee", "ankle", "other_hip")
THIGH = Segment("thigh", ("hip",), ("y", ("knee",), ("hip",)), ("z", ("other_hip",), ("hip",)))
SHANK = Segment("shank", ("knee", "ankle"), ("z", ("knee",), ("ankle",)), ("x", ("hip",), ("knee", "ankle")))
LEG = Skeleton("leg", KEYPOINTS, anatomy=Anatomy(segments=(THIGH, SHANK)))


def recording(position: Array, covariance: Array | None = None) -> xr.Dataset:
    """Poses3D of the four keypoints of one animal from (time, keypoint, 3)."""
    poses = poses3d(
        np.swapaxes(position, 1, 2)[..., None], individuals=["ann"], keypoints=KEYPOINTS, unit="mm", frame_rate=100.0
    )
    if covariance is not None:
        spread = np.broadcast_to(covariance[None, :, :, None, None], (len(position), 3, 3, len(KEYPOINTS), 1))
        poses["covariance"] = (("time", "space", "space_", "keypoint", "individual"), spread, {"units": "mm^2"})
    return poses


def random_legs(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(count, len(KEYPOINTS), 3)) * 100


def matrices(frames: xr.Dataset) -> Array:
    """(time, segment, 3, 3)."""
    return frames["world_from_segment"].isel(individual=0).transpose("time", "segment", "space", "axis").values


def test_a_standing_person_has_the_axes_of_the_world() -> None:
    # x forward, y up, z to the right; the knee before the hip, so that the second line is not across the first
    position = np.array([[[0, 900, 100], [0, 500, 100], [0, 100, 100], [30, 950, -100.0]]])
    found = segment_frames(recording(position), [THIGH])
    np.testing.assert_allclose(matrices(found)[0, 0, :, 1], [0, 1, 0], rtol=0, atol=1e-15)
    assert matrices(found)[0, 0, 2, 2] > 0.98
    assert found["origin"].values.ravel().tolist() == [0, 900, 100]
    assert found["world_from_segment"].dims == ("time", "segment", "space", "axis", "individual")
    assert found["origin"].attrs["units"] == "mm"


@settings(max_examples=25)
@given(st.integers(0, 1000), st.permutations("xyz"))
def test_axes_are_a_right_handed_system_with_the_first_line_as_it_is(seed: int, axes: list[str]) -> None:
    position = random_legs(3, seed)
    first, second = axes[:2]
    segment = Segment("any", ("hip",), (first, ("knee",), ("hip",)), (second, ("ankle",), ("other_hip",)))  # type: ignore[arg-type]  # letters
    matrix = matrices(segment_frames(recording(position), [segment]))[:, 0]
    np.testing.assert_allclose(
        matrix @ np.swapaxes(matrix, -1, -2), np.broadcast_to(np.eye(3), matrix.shape), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(matrix), 1.0)
    p, q = position[:, 0] - position[:, 1], position[:, 3] - position[:, 2]
    a, b, c = (matrix[..., "xyz".index(axis)] for axis in axes)
    np.testing.assert_allclose(a, p / np.linalg.norm(p, axis=-1, keepdims=True), rtol=0, atol=1e-12)
    assert ((b * q).sum(-1) > 0).all()
    np.testing.assert_allclose((c * q).sum(-1), 0, rtol=0, atol=1e-8)


@settings(max_examples=25)
@given(st.integers(0, 1000))
def test_segments_turn_with_the_world(seed: int) -> None:
    position = random_legs(4, seed)
    turn = Rotation.random(rng=np.random.default_rng(seed))
    moved = turn.apply(position.reshape(-1, 3)).reshape(position.shape) + 10.0
    first, second = (matrices(segment_frames(recording(each), LEG)) for each in (position, moved))
    np.testing.assert_allclose(turn.as_matrix() @ first, second, rtol=0, atol=1e-9)


def test_points_of_the_segment_are_given_back_in_the_world() -> None:
    position = random_legs(5)
    found = segment_frames(recording(position), LEG).sel(segment="shank").isel(individual=0)
    origin = found["origin"].values
    np.testing.assert_allclose(origin, position[:, 1:3].mean(axis=1))
    length = np.linalg.norm(position[:, 2] - position[:, 1], axis=-1) / 2
    in_segment = np.stack([0 * length, 0 * length, length], axis=-1)
    matrix = found["world_from_segment"].transpose("time", "space", "axis").values
    np.testing.assert_allclose(np.einsum("tsa,ta->ts", matrix, in_segment) + origin, position[:, 2], atol=1e-9)


def test_what_has_no_system_says_why() -> None:
    position = np.repeat(random_legs(1), 5, axis=0)
    position[1, 3] = np.nan
    position[2, 0] = position[2, 1]
    position[3, 3] = 2 * position[3, 0] - position[3, 1]  # the other hip in line with the thigh
    position[4, 3] = position[3, 3] + [3.0, 0, 0]
    found = segment_frames(recording(position, np.eye(3)), LEG).isel(individual=0)
    assert found["segment_status"].sel(segment="thigh").values.tolist() == [0, 1, 2, 2, 3]
    assert found["segment_status"].sel(segment="shank").values.tolist() == [0, 0, 2, 0, 0]
    for name in ("world_from_segment", "orientation_std", "orientation_covariance"):
        missing = found[name].sel(segment="thigh").isnull()
        assert missing.any([dim for dim in missing.dims if dim != "time"]).values.tolist() == [
            False,
            True,
            True,
            True,
            False,
        ]
    assert found["orientation_std"].sel(segment="thigh", axis="y")[4] > 20 * found["orientation_std"].sel(
        segment="thigh", axis="y"
    ).isel(time=0)


def test_uncertainty_is_that_of_simulated_errors() -> None:
    rng = np.random.default_rng(1)
    truth, root = random_legs(1, seed=2), rng.normal(size=(3, 3))
    noisy = truth + rng.normal(size=(20_000, 4, 3)) @ root.T
    exact = segment_frames(recording(truth, root @ root.T), LEG)
    found = segment_frames(recording(noisy), LEG)
    for place in range(2):
        turns = Rotation.from_matrix(matrices(exact)[0, place].T @ matrices(found)[:, place]).as_rotvec()
        spread = exact["orientation_covariance"].isel(time=0, segment=place, individual=0).values
        np.testing.assert_allclose(np.cov(turns.T), spread, rtol=0, atol=0.05 * np.trace(spread))
        std = exact["orientation_std"].isel(time=0, segment=place, individual=0).values
        np.testing.assert_allclose(turns.std(axis=0), std, rtol=0.03)
    np.testing.assert_allclose(found["origin"].std("time"), exact["origin_std"].isel(time=0), rtol=0.03)
    assert exact["orientation_std"].attrs["units"] == "rad"
    assert exact["orientation_covariance"].attrs["units"] == "rad^2"


def test_lazy_poses_give_the_same_lazily() -> None:
    poses = recording(random_legs(30), np.eye(3))
    lazy = segment_frames(poses.chunk(time=8), LEG)
    assert all(each.chunks is not None for each in lazy.data_vars.values())
    xr.testing.assert_identical(lazy.compute(), segment_frames(poses, LEG))


def test_wrong_segments_are_refused() -> None:
    poses = recording(random_legs(2))
    assert segment_frames(poses, LEG, ["shank"])["segment"].values.tolist() == ["shank"]
    with pytest.raises(InvalidValueError, match="Did you mean 'shank'"):
        segment_frames(poses, LEG, ["shnak"])
    with pytest.raises(InvalidValueError, match="at least one"):
        segment_frames(poses, [])
    with pytest.raises(InvalidValueError, match="two different axes"):
        segment_frames(poses, [Segment("bad", ("hip",), ("x", ("hip",), ("knee",)), ("x", ("hip",), ("ankle",)))])
    with pytest.raises(InvalidValueError, match="a keypoint 'toe'"):
        segment_frames(poses, [Segment("foot", ("toe",), ("x", ("ankle",), ("toe",)), ("y", ("ankle",), ("knee",)))])
    flat = poses2d(np.zeros((1, 1, 1, 1, 2)), cameras=["c"], individuals=["i"], keypoints=["k"])
    with pytest.raises(InvalidValueError, match="expected 3D poses"):
        segment_frames(flat, LEG)


def test_segments_of_keypoints_that_the_poses_lack_are_left_out() -> None:
    poses = recording(random_legs(2)).sel(keypoint=["hip", "knee", "ankle"])
    assert segment_frames(poses, LEG)["segment"].values.tolist() == ["shank"]
