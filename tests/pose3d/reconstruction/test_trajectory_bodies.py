"""Trajectories where cameras lose a keypoint, of bodies whose bones and angles are known, and with sides exchanged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from calibration import Rig, Status
from calibration.synthetic import make_rig
from pose3d.reconstruction import NOT_DETERMINED, TrajectorySettings, reconstruct
from pose3d.skeleton import JointLimit, Skeleton
from tests.pose3d.reconstruction.trajectory_scenes import (
    ARMS,
    LENGTHS,
    LIMIT,
    LIVELY,
    arms,
    covariances,
    drawn_motion,
    errors,
    hidden,
    positions,
    seen,
    squared_distances,
    wave,
)

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def rig() -> Rig:
    return make_rig(4, seed=1)


class TestGaps:
    def test_they_are_bridged_up_to_the_longest_and_flagged(self, rig: Rig) -> None:
        truth = drawn_motion("acceleration", LIVELY["acceleration"], (200, 3))
        poses = hidden(hidden(seen(rig, truth), slice(40, 60), 0), slice(100, 121), 0)
        result = reconstruct(poses, rig, settings=TrajectorySettings(longest_gap=20))
        known = np.isfinite(positions(result)[:, 0, 0])
        np.testing.assert_array_equal(np.flatnonzero(~known), np.arange(100, 121))
        np.testing.assert_array_equal(np.flatnonzero(result["bridged"][:, 0, 0]), np.arange(40, 60))
        status = result["status"]
        assert (status[100:121, 0, 0] == Status.TOO_FEW_VIEWS).all()
        assert (status.values[:, 1:] == 0).all()
        meanings = dict(zip(status.attrs["flag_values"].tolist(), status.attrs["flag_meanings"].split(), strict=True))
        assert meanings[Status.TOO_FEW_VIEWS] == "seen_by_fewer_than_two_cameras"
        assert meanings[NOT_DETERMINED] == "too_uncertain"
        size = np.trace(covariances(result)[:, 0], axis1=-2, axis2=-1)
        assert (np.diff(size[38:50]) > 0).all()
        assert (np.diff(size[50:62]) < 0).all()
        assert size[49] > 10 * size[30]
        assert (result["n_cameras"][40:60, 0] == 0).all()

    def test_uncertainty_within_them_is_honest(self, rig: Rig) -> None:
        truth = drawn_motion("acceleration", LIVELY["acceleration"], (200, 40), seed=5)
        poses, inside = seen(rig, truth), np.zeros((200, 40), dtype=bool)
        for keypoint in range(40):
            for start in range(20 + keypoint % 15, 180, 40):
                poses["position"][start : start + 14, :, :, keypoint] = np.nan
                poses["confidence"][start : start + 14, :, :, keypoint] = 0.0
                inside[start : start + 14, keypoint] = True
        found = reconstruct(poses, rig, settings=TrajectorySettings(motion="acceleration"))
        squared = squared_distances(found, truth)
        assert 0.92 < (squared[inside] < LIMIT).mean() < 0.98

    def test_nothing_is_known_before_the_first_and_after_the_last_position(self, rig: Rig) -> None:
        poses = hidden(hidden(seen(rig, arms(80)), slice(0, 7), 1), slice(71, None), 2)
        known = np.isfinite(positions(reconstruct(poses, rig))[..., 0])
        np.testing.assert_array_equal(np.flatnonzero(~known[:, 1]), np.arange(7))
        np.testing.assert_array_equal(np.flatnonzero(~known[:, 2]), np.arange(71, 80))
        assert known[:, [0, 3, 4]].all()

    def test_one_camera_alone_finds_nothing(self, rig: Rig) -> None:
        poses = hidden(seen(rig, arms(80), keypoints=ARMS.keypoints), slice(None), 2, slice(1, None))
        result = reconstruct(poses, rig, skeleton=ARMS)
        assert np.isnan(positions(result)[:, 2]).all()
        assert np.isnan(covariances(result)[:, 2]).all()
        assert (result["status"][:, 2] == Status.TOO_FEW_VIEWS).all()
        assert (result["n_cameras"][:, 2] == 0).all()
        assert not result["bridged"][:, 2].any()
        assert np.isfinite(positions(result)[:, [0, 1, 3, 4]]).all()

    def test_one_camera_in_a_gap_helps(self, rig: Rig) -> None:
        truth = drawn_motion("acceleration", LIVELY["acceleration"], (120, 3))
        poses = seen(rig, truth)
        none, one = (reconstruct(hidden(poses, slice(40, 60), 0, slice(first, None)), rig) for first in (0, 1))
        size = [np.trace(covariances(result)[50, 0]) for result in (none, one)]
        assert size[1] < 0.7 * size[0]
        assert bool(one["bridged"][40:60, 0].all())
        assert (one["n_cameras"][40:60, 0] == 1).all()

    def test_what_is_too_uncertain_is_not_determined(self, rig: Rig) -> None:
        truth = drawn_motion("acceleration", LIVELY["acceleration"], (150, 2))
        poses = hidden(seen(rig, truth), slice(40, 90), 0)
        result = reconstruct(poses, rig, settings=TrajectorySettings(largest_deviation=0.001))
        lost = np.flatnonzero(np.isnan(positions(result)[:, 0, 0]))
        assert 60 in lost
        assert 42 not in lost
        status = result["status"][:, 0, 0].values
        assert (status[lost] != 0).all()

    def test_nothing_at_all_gives_nothing_and_no_warning_of_numpy(self, rig: Rig) -> None:
        poses = seen(rig, arms(60), keypoints=ARMS.keypoints)
        poses["position"][:] = np.nan
        poses["confidence"][:] = 0.0
        result = reconstruct(poses, rig, skeleton=ARMS)
        assert np.isnan(result["position"]).all()
        assert (result["status"] == Status.TOO_FEW_VIEWS).all()

    @pytest.mark.parametrize("frames", [1, 2, 3, 4])
    def test_a_recording_of_few_frames_is_triangulated(self, rig: Rig, frames: int) -> None:
        truth = arms(frames)
        result = reconstruct(seen(rig, truth, keypoints=ARMS.keypoints), rig, skeleton=ARMS)
        assert errors(result, truth).max() < 3.0


class TestBodies:
    def test_bones_keep_their_lengths_and_help(self, rig: Rig) -> None:
        truth = arms(200, seed=6)
        poses = seen(rig, truth, noise=4.0, keypoints=ARMS.keypoints, seed=6)
        held, free = (reconstruct(poses, rig, skeleton=skeleton) for skeleton in (ARMS, None))

        def spread(result: xr.Dataset) -> float:
            place = positions(result)
            return float(np.linalg.norm(place[:, 2] - place[:, 1], axis=-1).std())

        assert spread(held) < 0.015 * LENGTHS["left_elbow-left_wrist"]
        assert spread(free) > 2 * spread(held)
        assert errors(held, truth).mean() < errors(free, truth).mean()

    def test_a_knee_stays_within_its_range(self, rig: Rig) -> None:
        truth = knee(np.deg2rad(120.0 + 30.0 * np.sin(np.arange(200) / 15.0)))
        legs = Skeleton("leg", ("hip", "knee", "ankle"), (("hip", "knee"), ("knee", "ankle")))
        limited = replace(legs, joint_limits=(JointLimit(("hip", "knee", "ankle"), 90.0, 150.0),))
        poses = seen(rig, truth, noise=8.0, keypoints=legs.keypoints)
        settings = TrajectorySettings(smoothness=1e6)
        free, held = (
            angles(positions(reconstruct(poses, rig, skeleton=skeleton, settings=settings)))
            for skeleton in (legs, limited)
        )
        assert free.max() > np.deg2rad(156.0)
        assert held.max() < np.deg2rad(152.0)
        assert held.min() > np.deg2rad(88.0)
        middle = np.abs(angles(truth) - np.deg2rad(120.0)) < np.deg2rad(10.0)
        np.testing.assert_allclose(held[middle], free[middle], atol=np.deg2rad(4.0))


def knee(angle: Array) -> Array:
    """(time, 3, 3) hip, knee and ankle with this angle."""
    middle = wave(len(angle), 1, size=60.0)
    shank = 45.0 * np.stack([np.sin(angle), np.zeros(len(angle)), np.cos(angle)], axis=-1)
    return np.stack([middle + np.array([0, 0, 60.0]), middle, middle + shank], axis=1)


def angles(places: Array) -> Array:
    u, v = places[:, 0] - places[:, 1], places[:, 2] - places[:, 1]
    return np.arccos((u * v).sum(-1) / np.linalg.norm(u, axis=-1) / np.linalg.norm(v, axis=-1))


Swapped = tuple[Array, xr.Dataset, xr.Dataset, NDArray[np.bool_]]


@pytest.fixture(scope="module")
def swapped(rig: Rig) -> Swapped:
    truth = arms(200, seed=8)
    poses = seen(rig, truth, missing=0.05, keypoints=ARMS.keypoints, seed=8)
    chosen = np.random.default_rng(8).random((200, 4)) < 0.08
    chosen[100:120, 2] = True  # a camera errs for long
    changed = poses.copy(deep=True)
    for a, b in ((1, 3), (2, 4)):
        for name in ("position", "confidence"):
            values, old = changed[name].values, poses[name].values
            values[:, :, :, a][chosen], values[:, :, :, b][chosen] = old[:, :, :, b][chosen], old[:, :, :, a][chosen]
    return truth, poses, changed, chosen


class TestRepair:
    def test_left_and_right_are_put_right(self, rig: Rig, swapped: Swapped) -> None:
        truth, poses, changed, chosen = swapped
        settings = TrajectorySettings(motion="acceleration")
        clean, result = (reconstruct(each, rig, skeleton=ARMS, settings=settings) for each in (poses, changed))
        assert errors(result, truth).max() < 3.0
        assert errors(result, truth).mean() < 2.0 * errors(clean, truth).mean()
        repair = result["repair"].isel(individual=0).transpose("time", "camera", "keypoint").values
        there = np.isfinite(poses["position"].isel(individual=0).values[..., 0])
        pair = there[:, :, [1, 2]] & there[:, :, [3, 4]]
        np.testing.assert_array_equal(
            repair[:, :, 1:3][pair] == 1, np.broadcast_to(chosen[..., None], pair.shape)[pair]
        )
        assert not repair[:, :, 0].any()
        np.testing.assert_array_equal(clean["repair"], 0)
        assert result["repair"].attrs["flag_meanings"].split()[1].endswith("exchanged")

    def test_after_repairs_all_is_as_precise_as_without_exchanges(self, rig: Rig, swapped: Swapped) -> None:
        truth, poses, changed, _ = swapped
        settings = TrajectorySettings(motion="acceleration")
        clean, result = (reconstruct(each, rig, skeleton=ARMS, settings=settings) for each in (poses, changed))
        assert errors(result, truth).mean() < 1.1 * errors(clean, truth).mean()

    def test_not_where_it_is_not_wanted_or_nobody_knows_left_from_right(self, rig: Rig, swapped: Swapped) -> None:
        _, _, changed, _ = swapped
        off = TrajectorySettings(repair_swaps=False)
        for result in (reconstruct(changed, rig, skeleton=ARMS, settings=off), reconstruct(changed, rig)):
            assert not result["repair"].any()
