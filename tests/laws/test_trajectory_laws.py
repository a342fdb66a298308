"""Laws of trajectories: independence of the world frame, its unit, the direction of time, and all orders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibration.rig import Rig
from calibration.synthetic import make_rig
from calibration.transforms import RigidTransform
from pose3d.reconstruction import TrajectorySettings, reconstruct
from pose3d.reconstruction._trajectory_settings import ORDERS, Motion
from tests.pose3d.reconstruction.trajectory_scenes import ARMS, RATE, arms, covariances, positions, seen

Array = NDArray[np.float64]

# A failing example is not made smaller: that takes minutes, and seeds are all alike.
EXAMPLES = settings(max_examples=6, phases=(Phase.explicit, Phase.generate))
SEEDS = st.integers(0, 10_000)
MOTIONS: st.SearchStrategy[Motion] = st.sampled_from(list(ORDERS))
TRIPLE = st.tuples(*[st.floats(-3, 3)] * 3)
LIVELY = {"velocity": 2e3, "acceleration": 3e4, "jerk": 5e5}
CLOSE = 2e-4  # of the uncertainty of a position: learning stops early, and carries rounding on


def scene(seed: int) -> tuple[Rig, xr.Dataset]:
    """Two arms in front of four cameras, with a gap, outliers, missing views, and left taken for right."""
    rig = make_rig(4, seed=seed)
    poses = seen(
        rig, arms(60, seed=seed), outliers=0.05, missing=0.1, keypoints=ARMS.keypoints, seed=seed
    )  # fmt: skip
    poses["position"][20:26, :, :, 2] = np.nan
    poses["confidence"][20:26, :, :, 2] = 0.0
    exchanged = poses["position"][30:33, 1].values.copy()
    poses["position"][30:33, 1] = exchanged[:, :, [0, 3, 4, 1, 2]]
    confidence = poses["confidence"][30:33, 1].values.copy()
    poses["confidence"][30:33, 1] = confidence[:, :, [0, 3, 4, 1, 2]]
    return rig, poses


def solved(rig: Rig, poses: xr.Dataset, motion: Motion) -> xr.Dataset:
    return reconstruct(poses, rig, skeleton=ARMS, settings=TrajectorySettings(motion=motion))


def moved(rig: Rig, new_from_old: RigidTransform) -> Rig:
    """The same cameras in another world frame."""
    poses = [camera.cam_from_world @ new_from_old.inverse() for camera in rig]
    return Rig(tuple(replace(c, cam_from_world=pose) for c, pose in zip(rig, poses, strict=True)), unit=rig.unit)


def assert_same(one: xr.Dataset, other: xr.Dataset, places: Array, covariance: Array) -> None:
    """The decisions of two trajectories are the same, and so are places and covariances that belong to the second."""
    for name in ("status", "inlier", "bridged", "repair"):
        np.testing.assert_array_equal(one[name], other[name])
    known = np.isfinite(places[..., 0])
    assert known.mean() > 0.9
    assert bool(one["repair"].any())
    assert bool(one["bridged"].any())
    size = np.sqrt(np.trace(covariance[known], axis1=-2, axis2=-1))
    off = np.linalg.norm(places[known] - positions(other)[known], axis=-1)
    assert (off < CLOSE * size).all(), (off / size).max()
    scale = size[:, None, None] ** 2
    np.testing.assert_allclose(
        covariances(other)[known] / scale, covariance[known] / scale, rtol=0, atol=CLOSE
    )  # fmt: skip
    np.testing.assert_allclose(one["noise"], other["noise"], rtol=CLOSE)


@EXAMPLES
@given(seed=SEEDS, motion=MOTIONS, turn=TRIPLE, shift=TRIPLE)
def test_another_world_frame_moves_positions_and_covariances_with_it(
    seed: int, motion: Motion, turn: tuple[float, float, float], shift: tuple[float, float, float]
) -> None:
    """What is given is the same in every frame; to a ten-thousandth of the uncertainty."""
    rig, poses = scene(seed)
    new_from_old = RigidTransform.from_rotation_vector(turn, 1000 * np.array(shift))
    chosen = TrajectorySettings(motion=motion, smoothness=LIVELY[motion])
    old, new = (reconstruct(poses, each, skeleton=ARMS, settings=chosen) for each in (rig, moved(rig, new_from_old)))
    turned = new_from_old.rotation @ covariances(old) @ new_from_old.rotation.T
    assert_same(old, new, new_from_old(positions(old)), turned)
    np.testing.assert_allclose(new["bone_length"], old["bone_length"], rtol=1e-7)


@EXAMPLES
@given(seed=SEEDS, motion=MOTIONS, turn=TRIPLE, shift=TRIPLE)
def test_what_is_learned_is_the_same_in_another_world_frame(
    seed: int, motion: Motion, turn: tuple[float, float, float], shift: tuple[float, float, float]
) -> None:
    rig, poses = scene(seed)
    new_from_old = RigidTransform.from_rotation_vector(turn, 1000 * np.array(shift))
    old, new = solved(rig, poses, motion), solved(moved(rig, new_from_old), poses, motion)
    turned = new_from_old.rotation @ covariances(old) @ new_from_old.rotation.T
    assert_same(old, new, new_from_old(positions(old)), turned)
    np.testing.assert_allclose(new["smoothness"], old["smoothness"], rtol=CLOSE)
    np.testing.assert_allclose(new["bone_length"], old["bone_length"], rtol=1e-5)


@EXAMPLES
@given(seed=SEEDS, motion=MOTIONS, factor=st.sampled_from([1e-3, 0.3, 1e3]))
def test_another_unit_scales_everything(seed: int, motion: Motion, factor: float) -> None:
    rig, poses = scene(seed)
    far = [RigidTransform(c.cam_from_world.rotation, c.cam_from_world.translation * factor) for c in rig]
    scaled = Rig(tuple(replace(c, cam_from_world=pose) for c, pose in zip(rig, far, strict=True)), unit="m")
    old, new = solved(rig, poses, motion), solved(scaled, poses, motion)
    assert_same(old, new, positions(old) * factor, covariances(old) * factor**2)
    np.testing.assert_allclose(new["smoothness"], old["smoothness"] * factor, rtol=CLOSE)
    np.testing.assert_allclose(new["bone_length"], old["bone_length"] * factor, rtol=1e-5)
    assert new["position"].attrs["units"] == "m"


@EXAMPLES
@given(seed=SEEDS, motion=MOTIONS, rate=st.sampled_from([1.0, 30.0, 1e4]))
def test_another_unit_of_time_changes_nothing_but_the_smoothness(seed: int, motion: Motion, rate: float) -> None:
    rig, poses = scene(seed)
    other = poses.assign_coords(time=("time", poses["time"].values * RATE / rate, {"units": "s"}))
    old, new = solved(rig, poses, motion), solved(rig, other, motion)
    assert_same(old, new, positions(old), covariances(old))
    np.testing.assert_allclose(new["smoothness"], old["smoothness"] * (rate / RATE) ** ORDERS[motion], rtol=CLOSE)


@EXAMPLES
@given(seed=SEEDS, motion=MOTIONS)
def test_backward_in_time_it_is_the_same(seed: int, motion: Motion) -> None:
    rig, poses = scene(seed)
    backward = poses.isel(time=slice(None, None, -1)).assign_coords(time=poses["time"], frame=poses["frame"])
    old, new = solved(rig, poses, motion), solved(rig, backward, motion)
    again = new.isel(time=slice(None, None, -1)).assign_coords(time=old["time"], frame=old["frame"])
    assert_same(old, again, positions(old), covariances(old))


@EXAMPLES
@given(seed=SEEDS, motion=MOTIONS, shuffle=st.permutations(range(4)))
def test_the_order_of_the_cameras_does_not_matter(seed: int, motion: Motion, shuffle: list[int]) -> None:
    rig, poses = scene(seed)
    other = rig.select([rig.names[number] for number in shuffle])
    old, new = solved(rig, poses, motion), solved(other, poses, motion)
    assert_same(old, new.isel(camera=np.argsort(shuffle)), positions(old), covariances(old))


@EXAMPLES
@given(seed=SEEDS, motion=MOTIONS, shuffle=st.permutations(range(5)))
def test_the_order_of_the_keypoints_does_not_matter(seed: int, motion: Motion, shuffle: list[int]) -> None:
    rig, poses = scene(seed)
    old, new = solved(rig, poses, motion), solved(rig, poses.isel(keypoint=shuffle), motion)
    assert_same(old, new.isel(keypoint=np.argsort(shuffle)), positions(old), covariances(old))
