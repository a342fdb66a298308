"""Trajectories of whole recordings: known truth, honest uncertainty, what is learned, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from calibration import InvalidValueError, MismatchError, Rig, SuiteWarning
from calibration.schema import check
from calibration.synthetic import make_rig
from pose3d.datasets import POSES3D
from pose3d.reconstruction import TrajectorySettings, plan, reconstruct, reconstruct_pieces, trajectory
from pose3d.reconstruction._trajectory_problem import differences, solve_window
from pose3d.reconstruction._trajectory_settings import ORDERS, Motion
from pose3d.synthetic import SimulationSettings, simulate
from tests.pose3d.reconstruction.trajectory_scenes import (
    ARMS,
    LENGTHS,
    LIVELY,
    RATE,
    arms,
    covariances,
    coverage,
    drawn_motion,
    errors,
    hidden,
    positions,
    seen,
)

Array = NDArray[np.float64]

Found = tuple[Array, xr.Dataset, xr.Dataset]  # truth, 2D poses, trajectory

MOTIONS = pytest.mark.parametrize("motion", list(ORDERS))


@pytest.fixture(scope="module")
def rig() -> Rig:
    return make_rig(4, seed=1)


@pytest.fixture(scope="module")
def found(rig: Rig) -> Found:
    """What most tests of the output look at: the truth, the 2D poses and the trajectory of two arms."""
    truth = arms(120, seed=2)
    poses = seen(rig, truth, outliers=0.05, missing=0.1, keypoints=ARMS.keypoints, seed=2)
    return truth, poses, reconstruct(poses, rig, skeleton=ARMS)


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
    @pytest.mark.parametrize("learned", [False, pytest.param(True)])
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
        np.testing.assert_allclose(result["smoothness"][:, 0], 0.05 * shares * LIVELY[motion], rtol=0.35)

    def test_the_share_that_is_lost(self, rig: Rig) -> None:
        poses = seen(rig, arms(400), outliers=0.1)
        noise = plan(poses, rig).model.noise
        np.testing.assert_allclose(noise.lost, 0.1, atol=0.02)
        assert (noise.tail < 0.03).all()

    @pytest.mark.parametrize("noise", [1.0, 4.0])
    def test_bones(self, rig: Rig, noise: float) -> None:
        """To half a percent, also where noise is large beside the length: left and right alike, or each its own."""
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
