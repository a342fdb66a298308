"""Trajectories of whole recordings: known truth, honest uncertainty, gaps, bodies, repairs, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from calibration import InvalidValueError, MismatchError, Rig, Status, SuiteWarning
from calibration.schema import check
from calibration.synthetic import make_rig
from pose3d.datasets import POSES3D
from pose3d.reconstruction import NOT_DETERMINED, TrajectorySettings, plan, reconstruct, reconstruct_pieces, trajectory
from pose3d.reconstruction._trajectory_problem import differences, solve_window
from pose3d.reconstruction._trajectory_settings import ORDERS, Motion
from pose3d.skeleton import JointLimit, Skeleton
from pose3d.synthetic import SimulationSettings, simulate
from tests.pose3d.reconstruction.trajectory_scenes import (
    ARMS,
    LENGTHS,
    LIMIT,
    RATE,
    arms,
    coverage,
    covariances,
    drawn_motion,
    positions,
    seen,
    squared_distances,
    wave,
)

Array = NDArray[np.float64]

Found = tuple[Array, xr.Dataset, xr.Dataset]  # truth, 2D poses, trajectory

MOTIONS = pytest.mark.parametrize("motion", list(ORDERS))
# Standard deviation of the derivative, so that motions of 200 frames stay within 200 mm.
LIVELY = {"velocity": 2e3, "acceleration": 1.2e4, "jerk": 1e5}


@pytest.fixture(scope="module")
def rig() -> Rig:
    return make_rig(4, seed=1)


@pytest.fixture(scope="module")
def found(rig: Rig) -> Found:
    """What most tests of the output look at: the truth, the 2D poses and the trajectory of two arms."""
    truth = arms(120, seed=2)
    poses = seen(rig, truth, outliers=0.05, missing=0.1, keypoints=ARMS.keypoints, seed=2)
    return truth, poses, reconstruct(poses, rig, skeleton=ARMS)


def hidden(poses: xr.Dataset, frames: slice, keypoint: int, cameras: slice = slice(None)) -> xr.Dataset:
    """The poses of which cameras lost a keypoint for some frames."""
    result = poses.copy(deep=True)
    result["position"][frames, cameras, :, keypoint] = np.nan
    result["confidence"][frames, cameras, :, keypoint] = 0.0
    return result


def errors(found: xr.Dataset, truth: Array) -> Array:
    return np.linalg.norm(positions(found) - truth, axis=-1)


class TestOutput:
    def test_it_follows_the_schema_and_names_everything(self, rig: Rig, found: Found) -> None:
        _, poses, result = found
        check(result, POSES3D)
        by_camera, by_keypoint = ("time", "camera", "keypoint", "individual"), ("time", "keypoint", "individual")
        for name, dims, units in (
            ("position", ("time", "space", "keypoint", "individual"), "mm"),
            ("covariance", ("time", "space", "space_", "keypoint", "individual"), "mm^2"),
            ("view_probability", by_camera, "1"),
            ("bridged", by_keypoint, "1"),
            ("noise", ("keypoint", "camera"), "px"),
            ("smoothness", ("keypoint", "individual"), "mm/s^3"),
            ("bone_length", ("bone", "individual"), "mm"),
            ("bone_deviation", ("bone", "individual"), "mm"),
            ("bone_length_std", ("bone", "individual"), "mm"),
        ):
            assert result[name].dims == dims, name
            assert result[name].attrs["units"] == units, name
        assert result["repair"].dims == by_camera
        assert list(result["bone"].values) == ["-".join(edge) for edge in ARMS.edges]
        assert json.loads(result.attrs["reconstruction"])["motion"] == "acceleration"
        for name in ("time", "frame"):
            np.testing.assert_array_equal(result[name], poses[name])
        assert result.attrs["fps"] == RATE
        assert list(result["camera"].values) == list(rig.names)

    def test_residuals_and_cameras_are_those_of_the_positions(self, rig: Rig, found: Found) -> None:
        _, poses, result = found
        projected = rig.project(positions(result))
        pixels = poses["position"].isel(individual=0).transpose("time", "keypoint", "camera", "space").values
        residual = np.linalg.norm(projected - pixels, axis=-1)
        order = ("time", "keypoint", "camera")
        np.testing.assert_allclose(result["residual"].isel(individual=0).transpose(*order), residual, atol=1e-9)
        used = result["inlier"].isel(individual=0).transpose(*order).values
        probability = result["view_probability"].isel(individual=0).transpose(*order).values
        np.testing.assert_array_equal(used, probability > 0.5)
        assert (np.isnan(probability) == np.isnan(residual)).all()
        np.testing.assert_array_equal(result["n_cameras"].isel(individual=0), used.sum(-1))
        np.testing.assert_array_equal(result["bridged"].isel(individual=0), used.sum(-1) < 2)
        with np.errstate(invalid="ignore"):  # no camera was used where frames around decide
            rms = np.sqrt(np.where(used, residual**2, 0).sum(-1) / used.sum(-1))
        np.testing.assert_allclose(result["reprojection_error"].isel(individual=0), rms, rtol=1e-9)

    def test_the_input_stays_as_it_is(self, rig: Rig, found: Found) -> None:
        _, poses, _ = found
        before = poses.copy(deep=True)
        reconstruct(poses, rig, skeleton=ARMS)
        xr.testing.assert_identical(poses, before)

    def test_outliers_are_named(self, rig: Rig, found: Found) -> None:
        """Views that are far off are lost, the others are not."""
        truth, poses, result = found
        off = np.linalg.norm(
            rig.project(truth)
            - poses["position"].isel(individual=0).transpose("time", "keypoint", "camera", "space").values,
            axis=-1,
        )
        probability = result["view_probability"].isel(individual=0).transpose("time", "keypoint", "camera").values
        assert (probability[off > 15.0] < 0.05).all()
        assert (probability[off < 2.0] > 0.9).mean() > 0.999
        assert (off > 15.0).sum() > 50

    def test_frame_numbers_stand_for_time_where_the_rate_is_unknown(self, rig: Rig) -> None:
        truth = arms(80)
        with_rate, without = (reconstruct(seen(rig, truth, rate=rate), rig) for rate in (RATE, None))
        np.testing.assert_allclose(positions(without), positions(with_rate), atol=1e-6)
        np.testing.assert_allclose(without["smoothness"], with_rate["smoothness"] / RATE**3, rtol=1e-6)

    def test_individuals_do_not_know_of_each_other(self, rig: Rig) -> None:
        both = [seen(rig, arms(80, seed=seed), seed=seed).assign_coords(individual=[f"a{seed}"]) for seed in (1, 2)]
        settings = TrajectorySettings(motion="acceleration", noise=1.0, smoothness=1e6)
        together = reconstruct(xr.concat(both, dim="individual"), rig, settings=settings)
        assert list(together["individual"].values) == ["a1", "a2"]
        for number, poses in enumerate(both):
            alone = reconstruct(poses, rig, settings=settings)
            np.testing.assert_allclose(positions(together.isel(individual=[number])), positions(alone), atol=0.05)


class TestTruth:
    @MOTIONS
    @pytest.mark.parametrize("learned", [False, True])
    def test_a_motion_that_the_model_knows_is_reproduced(self, rig: Rig, motion: Motion, learned: bool) -> None:
        """Constant velocity, acceleration or jerk without noise: at irregular times, with frames missing."""
        rng = np.random.default_rng(3)
        time = (np.arange(60) + rng.uniform(-0.3, 0.3, 60) + 7 * (np.arange(60) > 45)) / RATE
        powers = [1, *np.cumprod(time[None].repeat(ORDERS[motion] - 1, 0), axis=0)]
        truth = np.stack([sum(100 * rng.uniform(-1, 1, 3) * np.ravel(p)[:, None] for p in powers) for _ in range(3)], 1)
        poses = seen(rig, truth, noise=0.0, missing=0.2).assign_coords(time=("time", time, {"units": "s"}))
        poses = hidden(hidden(poses, slice(20, 35), 1), slice(30, 33), 2, slice(1, None))
        smoothness = None if learned else 1e3
        settings = TrajectorySettings(motion=motion, noise=1.0, smoothness=smoothness)
        result = reconstruct(poses, rig, settings=settings)
        assert np.isfinite(positions(result)[3:-3]).all()
        known = np.isfinite(positions(result))
        np.testing.assert_allclose(positions(result)[known], truth[known], rtol=0, atol=1e-5)
        assert bool(result["bridged"][20:35, 1].all())

    @pytest.mark.parametrize("hertz", [2.0, 10.0, 12.5])
    def test_oscillations_are_kept(self, rig: Rig, hertz: float) -> None:
        """As of a paw or a whisker: eight frames are a period of the fastest."""
        truth = np.tile(20.0 * np.arange(3)[:, None], (200, 1, 3))
        truth[..., 2] += 10.0 * np.sin(2 * np.pi * hertz * np.arange(200) / RATE)[:, None]
        assert errors(reconstruct(seen(rig, truth), rig), truth).max() < 4.0

    @pytest.mark.parametrize("noise", [0.3, 1.0])
    def test_impacts_are_kept_but_for_a_few_frames(self, rig: Rig, noise: float) -> None:
        """A body that bounces at 400 mm/s: beside the frames of the impacts all is as precise as elsewhere."""
        phase = (np.arange(300) / 50.0) % 1.0
        truth = np.zeros((300, 3, 3))
        truth[..., 2] = 100.0 * (1 - np.abs(2 * phase - 1))[:, None]
        truth[..., 0] = 20.0 * np.arange(3)
        found = reconstruct(seen(rig, truth, noise=noise), rig)
        impact = np.abs((np.arange(300) + 2) % 25 - 2) <= 2
        assert np.sqrt((errors(found, truth)[~impact] ** 2).mean()) < 1.0 * noise
        assert errors(found, truth).max() < 4.5

    def test_with_outliers_it_starts_right(self, rig: Rig) -> None:
        """From starts that are off, and from the truth, no lower cost is reached."""
        truth = arms(60)
        rig = make_rig(6, distance=700.0, seed=0)
        poses = seen(rig, truth, noise=1.5, outliers=0.1, missing=0.15, seed=4)
        planned = plan(poses, rig)
        part = planned.recording.part(poses)
        best = solve_window(part.windows[0], planned.frame, planned.model, 0)
        rng = np.random.default_rng(0)
        costs = []
        for size in (1.0, 5.0, 30.0, 30.0, 100.0):
            off = best.places + size * rng.standard_normal(best.places.shape)
            start = replace(best, places=off, weight=np.ones(best.weight.shape))  # believes all views
            costs.append(solve_window(part.windows[0], planned.frame, planned.model, 0, solution=start).cost)
        start = replace(best, places=truth)
        costs.append(solve_window(part.windows[0], planned.frame, planned.model, 0, solution=start).cost)
        assert min(costs) > best.cost - 1e-6
        assert np.median(errors(reconstruct(poses, rig), truth)) < 0.36  # mm


class TestSame:
    def test_whatever_the_length_of_a_piece(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        truth = arms(500, seed=3)
        poses = seen(rig, truth, outliers=0.05, missing=0.1, keypoints=ARMS.keypoints)
        poses = hidden(hidden(poses, slice(95, 115), 2), slice(205, 240), 3)
        settings = TrajectorySettings(longest_gap=30)
        planned = plan(poses, rig, skeleton=ARMS, settings=settings)
        assert planned.margin < 200

        def cut(size: int) -> xr.Dataset:
            monkeypatch.setattr(trajectory, "_piece_size", lambda *_: size)
            pieces = list(reconstruct_pieces(planned))
            assert len(pieces) == -(-500 // size)
            return xr.concat([solid for _, solid in pieces], dim="time", data_vars="minimal", coords="minimal")

        whole = cut(500)
        for size in (100, 131, 250):
            parts = cut(size)
            np.testing.assert_allclose(parts["position"], whole["position"], rtol=0, atol=1e-6)
            np.testing.assert_allclose(parts["covariance"], whole["covariance"], rtol=1e-5, atol=1e-8)
            for name in ("status", "bridged", "inlier", "repair"):
                np.testing.assert_array_equal(parts[name], whole[name])

    def test_bytes_in_every_run_and_by_any_number_of_workers(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trajectory, "_piece_size", lambda *_: 100)
        poses = seen(rig, arms(240), outliers=0.05, keypoints=ARMS.keypoints)
        one, two, again = (reconstruct(poses, rig, skeleton=ARMS, workers=workers) for workers in (1, 2, 2))
        for other in (two, again):
            xr.testing.assert_identical(one, other)
            assert one["position"].values.tobytes() == other["position"].values.tobytes()


class TestUncertainty:
    @MOTIONS
    def test_ellipsoids_hold_their_share_of_the_truth(self, rig: Rig, motion: Motion) -> None:
        """95 %, where noise and motion are as assumed; nothing of both is told."""
        shares = []
        for seed in range(4):
            truth = drawn_motion(motion, LIVELY[motion], (200, 10), seed=seed)
            poses = seen(rig, truth, missing=0.1, seed=seed)
            shares.append(coverage(reconstruct(poses, rig, settings=TrajectorySettings(motion=motion)), truth))
        assert 0.93 < np.mean(shares) < 0.97, shares

    @pytest.mark.parametrize("seed", [0, 1])
    def test_with_outliers_and_occlusion_it_stays_honest(self, seed: int) -> None:
        scene = simulate(SimulationSettings(duration=2.0, seed=seed))
        result = reconstruct(scene.poses2d, scene.rig, skeleton=scene.skeleton)
        truth = scene.poses3d["position"].isel(individual=0).transpose("time", "keypoint", "space").values
        assert 0.90 < coverage(result, truth) < 0.99
        assert np.isfinite(positions(result)).mean() > 0.98

    def test_it_is_smaller_than_that_of_single_frames(self, rig: Rig) -> None:
        from pose3d.reconstruction import triangulate

        truth = drawn_motion("acceleration", LIVELY["acceleration"], (200, 5))
        poses = seen(rig, truth)
        smooth, single = reconstruct(poses, rig), triangulate(poses, rig)
        assert np.sqrt((errors(smooth, truth) ** 2).mean()) < 0.6 * np.sqrt((errors(single, truth) ** 2).mean())
        assert (
            np.trace(covariances(smooth), axis1=-2, axis2=-1) < np.trace(covariances(single), axis1=-2, axis2=-1)
        ).all()


class TestLearned:
    @MOTIONS
    def test_noise_and_smoothness(self, rig: Rig, motion: Motion) -> None:
        """Noise of every keypoint and camera, smoothness of every keypoint, of motions drawn from the model."""
        shares = np.array([0.5, 1.0, 2.0])
        truth = drawn_motion(motion, LIVELY[motion], (500, 3)) * 0.05 * shares[:, None]
        sigma = np.array([[0.7, 0.9, 1.1, 1.3], [2.0, 1.5, 1.2, 1.0], [1.0, 1.0, 3.0, 0.6]])
        result = reconstruct(seen(rig, truth, noise=sigma), rig, settings=TrajectorySettings(motion=motion))
        np.testing.assert_allclose(result["noise"], sigma, rtol=0.1)
        np.testing.assert_allclose(result["smoothness"][:, 0], 0.05 * shares * LIVELY[motion], rtol=0.25)

    def test_the_share_that_is_lost(self, rig: Rig) -> None:
        poses = seen(rig, arms(400), outliers=0.1)
        noise = plan(poses, rig).model.noise
        np.testing.assert_allclose(noise.lost, 0.1, atol=0.02)
        assert (noise.tail < 0.03).all()

    @pytest.mark.parametrize("noise", [1.0, 4.0])
    def test_bones(self, rig: Rig, noise: float) -> None:
        """To half a percent, also where the noise is a tenth of the length: left and right the same, or each its own."""
        truth = arms(400, seed=1)
        poses = seen(rig, truth, noise=noise, keypoints=ARMS.keypoints, outliers=0.03)
        lengths = np.array([*LENGTHS.values(), *LENGTHS.values()])
        same = reconstruct(poses, rig, skeleton=ARMS)["bone_length"][:, 0].values
        own = reconstruct(poses, rig, skeleton=ARMS, settings=TrajectorySettings(symmetric=False))
        np.testing.assert_allclose(same, lengths, rtol=0.005)
        np.testing.assert_array_equal(same[:2], same[2:])
        other = own["bone_length"][:, 0].values
        assert (other[:2] != other[2:]).all()
        assert (np.abs(other - lengths) < 4 * own["bone_length_std"][:, 0].values + 0.002 * lengths).all()

    @MOTIONS
    def test_smoothness_is_where_the_marginal_likelihood_is_largest(self, rig: Rig, motion: Motion) -> None:
        """By Laplace's approximation, from the cost and the determinant of the information of a dense computation."""
        truth = drawn_motion(motion, 0.2 * LIVELY[motion], (60, 1))
        planned = plan(seen(rig, truth), rig, settings=TrajectorySettings(motion=motion, noise=1.0))
        window = planned.recording.part(planned.recording.read(0, 60)[0]).windows[0]
        rows = differences(window.times, ORDERS[motion], planned.model.interval)
        matrix = np.zeros((len(rows), 60))
        for number, row in enumerate(rows):
            matrix[number, number : number + len(row)] = row

        def evidence(factor: float) -> float:
            smoothness = planned.model.smoothness * factor
            found = solve_window(window, planned.frame, replace(planned.model, smoothness=smoothness), 0)
            views, cameras = window.table[:, 0], planned.frame.cameras
            total = np.kron(matrix.T @ matrix, np.eye(3)) / smoothness[0, 0] ** 2
            for t, place in enumerate(found.places[:, 0]):
                for camera, view in zip(cameras, views[t], strict=True):
                    rotation = camera[:9].reshape(3, 3)
                    x, y, z = rotation @ place + camera[9:]
                    slope = np.array([[1 / z, 0, -x / z**2], [0, 1 / z, -y / z**2]]) @ rotation
                    weight = np.array([[view[2], view[3]], [view[3], view[4]]])
                    total[3 * t : 3 * t + 3, 3 * t : 3 * t + 3] += slope.T @ weight @ slope
            return -found.cost - np.linalg.slogdet(total)[1] / 2 - 3 * len(rows) * np.log(smoothness[0, 0])

        best = evidence(1.0)
        assert evidence(1.25) < best
        assert evidence(0.8) < best

    def test_what_is_given_is_not_learned(self, rig: Rig) -> None:
        settings = TrajectorySettings(noise=2.0, smoothness=5e3)
        result = reconstruct(seen(rig, arms(80)), rig, settings=settings)
        assert (result["noise"] == 2.0).all()
        assert (result["smoothness"] == 5e3).all()
        assert "bone_length" not in result


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
        squared = squared_distances(reconstruct(poses, rig), truth)
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
    return np.stack([middle + [0, 0, 60.0], middle, middle + shank], axis=1)


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
        clean, result = (reconstruct(each, rig, skeleton=ARMS) for each in (poses, changed))
        np.testing.assert_allclose(positions(result), positions(clean), atol=0.2)
        assert errors(result, truth).mean() < 1.01 * errors(clean, truth).mean()
        repair = result["repair"].isel(individual=0).transpose("time", "camera", "keypoint").values
        there = np.isfinite(poses["position"].isel(individual=0).values[..., 0])
        pair = there[:, :, [1, 2]] & there[:, :, [3, 4]]
        np.testing.assert_array_equal(
            repair[:, :, 1:3][pair] == 1, np.broadcast_to(chosen[..., None], pair.shape)[pair]
        )
        assert not repair[:, :, 0].any()
        np.testing.assert_array_equal(clean["repair"], 0)
        assert result["repair"].attrs["flag_meanings"].split()[1].endswith("exchanged")

    def test_not_where_it_is_not_wanted_or_nobody_knows_left_from_right(self, rig: Rig, swapped: Swapped) -> None:
        _, _, changed, _ = swapped
        off = TrajectorySettings(repair_swaps=False)
        for result in (reconstruct(changed, rig, skeleton=ARMS, settings=off), reconstruct(changed, rig)):
            assert not result["repair"].any()


class TestBadInput:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("motion", "position"), ("smoothness", 0.0), ("smoothness", -1.0), ("smoothness", float("nan")),
            ("bone_spread", 0.0), ("joint_spread", -0.1), ("largest_deviation", 0.0), ("longest_gap", -1),
            ("noise", 0.0), ("noise", float("inf")), ("minimum_confidence", 1.5), ("minimum_confidence", -0.1),
            ("pilot_frames", 10), ("seed", -1), ("lag", -1),
        ],
    )  # fmt: skip
    def test_settings_out_of_range_are_refused_by_name(self, name: str, value: object) -> None:
        with pytest.raises(InvalidValueError, match=rf"TrajectorySettings, {name}: expected .+, got .+\. .+"):
            TrajectorySettings(**{name: value})  # type: ignore[arg-type]

    def test_what_is_no_poses2d_is_refused(self, rig: Rig) -> None:
        with pytest.raises(InvalidValueError, match="'confidence'"):
            reconstruct(seen(rig, arms(5)).drop_vars("confidence"), rig)

    def test_one_common_camera_is_an_error(self, rig: Rig) -> None:
        poses = seen(rig, arms(5)).assign_coords(camera=["cam_1", "b", "c", "d"])
        with pytest.raises(MismatchError, match="at least two of the rig's cameras"):
            reconstruct(poses, rig)

    def test_projections_in_place_of_measurements_are_noticed(self, rig: Rig) -> None:
        with pytest.warns(SuiteWarning, match="no measurements"):
            reconstruct(seen(rig, arms(60), noise=0.0), rig)
