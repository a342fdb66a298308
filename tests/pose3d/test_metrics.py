"""Metrics: known errors are found, alignment takes out what it should, missing values follow the written rules."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from calibration.errors import InvalidValueError, MismatchError
from calibration.synthetic import make_points, make_rig, observe
from pose3d.datasets import poses2d, poses3d
from pose3d.metrics import (
    ResidualHistogram,
    align,
    bone_lengths,
    bone_statistics,
    coverage,
    percentage_correct,
    position_error,
    procrustes,
    reprojection_histogram,
    reprojection_summary,
    summary,
)
from pose3d.reconstruction import triangulate
from pose3d.skeleton import Skeleton

KEYPOINTS = ("nose", "neck", "hip", "tail")
INDIVIDUALS = ("a", "b")


def poses(position: np.ndarray, **names: object) -> xr.Dataset:
    """Poses3D of (time, individual, keypoint, 3)."""
    chosen = {"keypoints": KEYPOINTS, "individuals": INDIVIDUALS, "unit": "mm"} | names
    return poses3d(np.moveaxis(position, (1, 3), (3, 1)), **chosen)


def random_position(frames: int = 30, seed: int = 0) -> np.ndarray:
    return make_points((frames, len(INDIVIDUALS), len(KEYPOINTS)), radius=100.0, seed=seed)


def with_covariance(dataset: xr.Dataset, covariance: np.ndarray) -> xr.Dataset:
    """`covariance` (3, 3) for every position."""
    shape = dataset["confidence"].shape
    values = np.broadcast_to(covariance[None, :, :, None, None], (shape[0], 3, 3, *shape[1:]))
    return dataset.assign(covariance=(("time", "space", "space_", "keypoint", "individual"), values.copy()))


class TestPositionError:
    def test_a_known_shift_is_the_error(self) -> None:
        truth = random_position()
        error = position_error(poses(truth + np.array([3.0, 0.0, 4.0])), poses(truth))
        assert error.dims == ("time", "keypoint", "individual")
        assert error.attrs["units"] == "mm"
        np.testing.assert_allclose(error, 5.0, rtol=1e-12)

    def test_frames_keypoints_and_individuals_are_matched_by_number_and_name(self) -> None:
        truth = random_position(10)
        estimate = poses(
            truth[4:, ::-1][:, :, ::-1],
            frames=np.arange(4, 10),
            keypoints=KEYPOINTS[::-1],
            individuals=INDIVIDUALS[::-1],
        )
        error = position_error(estimate, poses(truth))
        np.testing.assert_array_equal(error["frame"], np.arange(10))
        assert error[:4].isnull().all()
        assert (error[4:] == 0).all()

    def test_frames_that_truth_lacks_are_left_out(self) -> None:
        position = random_position(10)
        error = position_error(poses(position), poses(position[[2, 5]], frames=[2, 5]))
        assert error.sizes["time"] == 2
        assert (error == 0).all()

    def test_the_only_individual_needs_no_name(self) -> None:
        position = random_position()[:, :1]
        error = position_error(poses(position, individuals=["x"]), poses(position, individuals=["y"]))
        assert (error == 0).all()

    @pytest.mark.parametrize(
        "names", [{"keypoints": ["p", "q", "r", "s"]}, {"individuals": ["c", "d"]}, {"frames": np.arange(100, 130)}]
    )
    def test_nothing_in_common_is_an_error(self, names: dict[str, object]) -> None:
        with pytest.raises(MismatchError, match=next(iter(names)).rstrip("s")):
            position_error(poses(random_position(), **names), poses(random_position()))

    def test_other_units_are_an_error(self) -> None:
        with pytest.raises(MismatchError, match="unit"):
            position_error(poses(random_position(), unit="m"), poses(random_position()))

    def test_an_unknown_alignment_is_an_error(self) -> None:
        with pytest.raises(InvalidValueError, match="affine"):
            position_error(poses(random_position()), poses(random_position()), alignment="affine")


class TestSummary:
    def test_it_agrees_with_numpy_on_the_positions_both_have(self) -> None:
        rng = np.random.default_rng(1)
        truth = random_position(200)
        estimate = truth + rng.standard_normal(truth.shape)
        estimate[rng.random(truth.shape[:3]) < 0.2] = np.nan
        truth[rng.random(truth.shape[:3]) < 0.1] = np.nan
        result = summary(poses(estimate), poses(truth))
        for index, name in enumerate(KEYPOINTS):
            error = np.linalg.norm(estimate - truth, axis=-1)[:, :, index]
            known = np.isfinite(truth[:, :, index, 0])
            row = result.sel(keypoint=name)
            assert float(row["mean"]) == pytest.approx(np.nanmean(error))
            assert float(row["median"]) == pytest.approx(np.nanmedian(error))
            assert float(row["p95"]) == pytest.approx(np.nanquantile(error, 0.95))
            assert float(row["rmse"]) == pytest.approx(np.sqrt(np.nanmean(error**2)))
            assert float(row["missing"]) == pytest.approx(np.isnan(estimate[:, :, index, 0])[known].mean())
            assert int(row["count"]) == known.sum()
        assert result["rmse"].attrs["units"] == "mm"

    def test_over_everything_is_one_number(self) -> None:
        truth = random_position()
        result = summary(
            poses(truth + np.array([0.0, 2.0, 0.0])), poses(truth), over=("time", "keypoint", "individual")
        )
        assert result["rmse"].dims == ()
        assert float(result["rmse"]) == pytest.approx(2.0)

    def test_a_keypoint_without_estimates_is_all_missing_and_has_no_error(self) -> None:
        truth = random_position()
        estimate = truth.copy()
        estimate[:, :, 2] = np.nan
        row = summary(poses(estimate), poses(truth)).sel(keypoint="hip")
        assert float(row["missing"]) == 1.0
        assert all(np.isnan(float(row[name])) for name in ("mean", "median", "p95", "rmse"))

    def test_a_keypoint_without_truth_has_no_share_either(self) -> None:
        truth = random_position()
        truth[:, :, 1] = np.nan
        row = summary(poses(random_position()), poses(truth)).sel(keypoint="neck")
        assert int(row["count"]) == 0
        assert np.isnan(float(row["missing"]))


class TestPercentageCorrect:
    def test_missing_is_not_correct_and_unknown_truth_does_not_count(self) -> None:
        truth = random_position(10)
        estimate = truth + np.array([1.0, 0.0, 0.0])
        estimate[:5] += 9.0
        estimate[5] = np.nan
        truth[6] = np.nan
        result = percentage_correct(poses(estimate), poses(truth), 1.0 + 1e-9)
        np.testing.assert_allclose(result, 3 / 9)

    def test_a_threshold_that_is_not_positive_is_refused(self) -> None:
        with pytest.raises(InvalidValueError, match="threshold"):
            percentage_correct(poses(random_position()), poses(random_position()), 0.0)


motions = st.tuples(
    st.integers(0, 2**32 - 1), st.floats(0.1, 10.0), st.tuples(*[st.floats(-1000, 1000, allow_subnormal=False)] * 3)
)


class TestProcrustes:
    @settings(max_examples=50, deadline=None)
    @given(motions)
    def test_it_recovers_a_similarity(self, motion: tuple[int, float, tuple[float, float, float]]) -> None:
        seed, scale, shift = motion
        rotation = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
        points = make_points(12, seed=seed)
        found = procrustes(points, scale * points @ rotation.T + shift, scale=True)
        for value, expected in zip(found, (rotation, shift, scale), strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-8)

    @pytest.mark.parametrize("mirror", [1.0, -1.0])
    def test_it_is_no_worse_than_any_nearby_motion(self, mirror: float) -> None:
        rng = np.random.default_rng(3)
        source = make_points(20, radius=10.0)
        target = source * np.array([mirror, 1.0, 1.0]) @ Rotation.random(rng=rng).as_matrix().T + rng.standard_normal(
            source.shape
        )

        def cost(rotation: np.ndarray, translation: np.ndarray, scale: float) -> float:
            return float(np.square(scale * source @ rotation.T + translation - target).sum())

        rotation, translation, scale = procrustes(source, target, scale=True)
        best = cost(rotation, translation, float(scale))
        for _ in range(100):
            turn = Rotation.from_rotvec(rng.normal(0, 0.01, 3)).as_matrix()
            moved = translation + rng.normal(0, 0.01, 3)
            assert best <= cost(turn @ rotation, moved, float(scale) * (1 + rng.normal(0, 0.01)))

    def test_a_mirror_image_is_not_aligned_by_mirroring(self) -> None:
        points = make_points(10)
        rotation, _, _ = procrustes(points, points * np.array([1, 1, -1]))
        assert np.linalg.det(rotation) == pytest.approx(1.0)

    def test_points_that_are_missing_in_one_are_left_out(self) -> None:
        points = make_points(10)
        target = points + np.array([1.0, 2.0, 3.0])
        points[2], target[7] = np.nan, np.nan
        rotation, translation, _ = procrustes(points, target)
        np.testing.assert_allclose(rotation, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(translation, [1.0, 2.0, 3.0], atol=1e-9)

    def test_batches_are_independent_and_too_few_points_give_nan(self) -> None:
        points = make_points((3, 6))
        target = points.copy()
        target[1, 2:] = np.nan
        rotation, translation, scale = procrustes(points, target, scale=True)
        assert np.isnan(rotation[1]).all()
        assert np.isnan(translation[1]).all()
        assert np.isnan(scale[1])
        np.testing.assert_allclose(rotation[[0, 2]], np.broadcast_to(np.eye(3), (2, 3, 3)), atol=1e-12)


class TestAlignment:
    ROTATION = Rotation.from_rotvec([0.3, -1.0, 0.5]).as_matrix()

    def test_the_motion_of_the_recording_is_taken_out(self) -> None:
        truth = random_position()
        moved = poses(truth @ self.ROTATION.T + 50.0)
        assert position_error(moved, poses(truth)).max() > 10
        assert position_error(moved, poses(truth), alignment="rigid").max() < 1e-9

    def test_scale_is_taken_out_by_a_similarity_only(self) -> None:
        truth = random_position()
        scaled = poses(1.1 * truth @ self.ROTATION.T)
        assert position_error(scaled, poses(truth), alignment="rigid").max() > 1
        assert position_error(scaled, poses(truth), alignment="similarity").max() < 1e-9

    def test_motion_of_every_frame_is_taken_out_per_frame_only(self) -> None:
        truth = random_position()
        drifting = poses(truth + np.arange(30.0)[:, None, None, None])
        assert position_error(drifting, poses(truth), alignment="rigid").max() > 1
        assert position_error(drifting, poses(truth), alignment="rigid per frame").max() < 1e-9

    def test_errors_do_not_change_with_the_frame_of_the_estimate(self) -> None:
        truth, noisy = random_position(), random_position() + np.random.default_rng(0).normal(0, 5, (30, 2, 4, 3))
        for alignment in ("rigid", "similarity", "rigid per frame", "similarity per frame"):
            errors = [
                position_error(poses(estimate), poses(truth), alignment=alignment)
                for estimate in (noisy, noisy @ self.ROTATION.T + 7.0)
            ]
            np.testing.assert_allclose(errors[0], errors[1], atol=1e-9)

    def test_a_frame_with_two_keypoints_has_no_error_per_frame(self) -> None:
        truth = random_position()
        estimate = truth.copy()
        estimate[3, 0, 2:] = np.nan
        error = position_error(poses(estimate), poses(truth), alignment="rigid per frame")
        assert error[3].isnull().sel(individual="a").all()
        assert int(error.isnull().sum()) == 4

    def test_align_gives_the_moved_poses_on_the_frames_of_truth(self) -> None:
        truth = random_position()
        moved = align(poses(truth[5:] + 3.0, frames=np.arange(5, 30)), poses(truth), alignment="rigid")
        assert moved["position"].dims == ("time", "space", "keypoint", "individual")
        assert moved.sizes["time"] == 30
        np.testing.assert_allclose(moved["position"][5:], poses(truth)["position"][5:], atol=1e-9)


class TestCoverage:
    COVARIANCE = np.array([[4.0, 1.0, 0.0], [1.0, 2.0, -0.5], [0.0, -0.5, 9.0]])

    def estimate(self, scale: float = 1.0) -> tuple[xr.Dataset, xr.Dataset]:
        truth = random_position(5000)
        noise = np.random.default_rng(2).multivariate_normal(np.zeros(3), self.COVARIANCE, truth.shape[:3])
        return with_covariance(poses(truth + noise), scale * self.COVARIANCE), poses(truth)

    @pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
    def test_an_honest_covariance_covers_the_level(self, level: float) -> None:
        share = coverage(*self.estimate(), level)
        np.testing.assert_allclose(share, level, atol=5 * np.sqrt(level * (1 - level) / 10_000))

    def test_too_small_and_too_large_covariances_show(self) -> None:
        assert (coverage(*self.estimate(0.5)) < 0.9).all()
        assert (coverage(*self.estimate(2.0)) > 0.98).all()

    def test_missing_positions_do_not_count_and_indefinite_covariances_hold_nothing(self) -> None:
        estimate, truth = self.estimate()
        estimate["position"][:2500] = np.nan
        assert (abs(coverage(estimate, truth) - 0.95) < 0.03).all()
        estimate["covariance"][2500:, 0, 0] = -1.0
        assert (coverage(estimate, truth) == 0).all()

    def test_without_covariance_it_is_refused(self) -> None:
        with pytest.raises(InvalidValueError, match="covariance"):
            coverage(poses(random_position()), poses(random_position()))

    def test_a_level_out_of_range_is_refused(self) -> None:
        with pytest.raises(InvalidValueError, match="level"):
            coverage(*self.estimate(), 1.0)


class TestBones:
    SKELETON = Skeleton("s", (*KEYPOINTS, "paw"), (("nose", "neck"), ("neck", "hip"), ("hip", "paw")))

    def test_lengths_are_distances_and_edges_without_keypoints_are_left_out(self) -> None:
        position = random_position()
        length = bone_lengths(poses(position), self.SKELETON)
        assert list(length["edge"].values) == ["nose-neck", "neck-hip"]
        np.testing.assert_allclose(
            length.sel(edge="neck-hip", individual="b"), np.linalg.norm(position[:, 1, 1] - position[:, 1, 2], axis=-1)
        )

    def test_statistics_find_a_known_spread_in_spite_of_outliers(self) -> None:
        rng = np.random.default_rng(0)
        position = np.zeros((4000, 2, 4, 3))
        position[:, :, 1, 0] = 20.0 + rng.normal(0, 0.5, (4000, 2))
        position[:200, :, 1, 0] = 300.0
        position[200:400, :, 1] = np.nan
        one = bone_statistics(poses(position), self.SKELETON).sel(edge="nose-neck", individual="a")
        assert float(one["median"]) == pytest.approx(20.0, abs=0.1)
        assert float(one["spread"]) == pytest.approx(0.5, rel=0.1)
        assert float(one["relative_spread"]) == pytest.approx(0.025, rel=0.1)
        assert float(one["sd"]) > 10
        assert float(one["missing"]) == pytest.approx(0.05)

    def test_a_bone_that_is_never_there_is_nan(self) -> None:
        position = random_position()
        position[:, :, 0] = np.nan
        one = bone_statistics(poses(position), self.SKELETON).sel(edge="nose-neck")
        assert one["median"].isnull().all()
        assert one["sd"].isnull().all()
        assert (one["missing"] == 1).all()

    def test_a_skeleton_of_something_else_is_refused(self) -> None:
        with pytest.raises(MismatchError, match="fish"):
            bone_lengths(poses(random_position()), Skeleton("fish", ("fin", "tail"), (("fin", "tail"),)))


class TestReprojection:
    RIG = make_rig(4)

    def scene(self, frames: int = 300, noise: float = 1.0) -> tuple[xr.Dataset, xr.Dataset, np.ndarray]:
        """Poses3D with inliers, Poses2D, and the residuals (time, individual, keypoint, camera)."""
        truth = random_position(frames)
        seen = observe(self.RIG, truth, noise=noise, outlier_rate=0.1, dropout_rate=0.2, seed=1)
        flat = poses2d(
            np.moveaxis(seen.pixels, 3, 1), cameras=self.RIG.names, individuals=INDIVIDUALS, keypoints=KEYPOINTS
        )
        solid = poses(truth).assign_coords(camera=list(self.RIG.names))
        solid["inlier"] = (("time", "camera", "keypoint", "individual"), np.transpose(seen.inlier, (0, 3, 2, 1)))
        residuals = np.linalg.norm(seen.pixels - seen.truth, axis=-1)
        return solid, flat, np.where(seen.inlier, residuals, np.nan)

    def test_it_agrees_with_numpy(self) -> None:
        solid, flat, residuals = self.scene()
        result = reprojection_summary(solid, flat, self.RIG)
        assert result["rms"].dims == ("keypoint", "camera")
        reported = flat["position"].notnull().all("space")
        np.testing.assert_allclose(result["rms"], np.sqrt(np.nanmean(residuals**2, (0, 1))), rtol=1e-9)
        np.testing.assert_allclose(result["median"], np.nanmedian(residuals, (0, 1)), rtol=0.02)
        np.testing.assert_allclose(result["p95"], np.nanquantile(residuals, 0.95, (0, 1)), rtol=0.02)
        count = reported.sum(("time", "individual")).transpose("keypoint", "camera")
        np.testing.assert_allclose(result["used"], np.isfinite(residuals).sum((0, 1)) / count)
        np.testing.assert_allclose(result["missing_2d"], 1 - count / 600)

    @pytest.mark.parametrize("by", [("camera",), ("keypoint",), ()])
    def test_parts_put_together_agree_with_numpy(self, by: tuple[str, ...]) -> None:
        solid, flat, residuals = self.scene()
        over = (0, 1, *(axis for axis, name in ((2, "keypoint"), (3, "camera")) if name not in by))
        result = reprojection_summary(solid, flat, self.RIG, by=by)
        np.testing.assert_allclose(result["rms"], np.sqrt(np.nanmean(residuals**2, over)), rtol=1e-9)
        np.testing.assert_allclose(result["median"], np.nanmedian(residuals, over), rtol=0.015)
        missing = np.isnan(flat["position"].values[..., 0]).transpose(0, 2, 3, 1).mean(over)
        np.testing.assert_allclose(result["missing_2d"], missing, atol=1e-12)
        assert ("missing_3d" in result) == ("camera" not in by)

    def test_frames_and_names_are_matched(self) -> None:
        solid, flat, _ = self.scene()
        shuffled = flat.isel(camera=[2, 0, 3, 1], keypoint=[3, 1, 0, 2], individual=[1, 0], time=slice(100, None))
        expected = reprojection_summary(solid.isel(time=slice(100, None)), flat, self.RIG)
        xr.testing.assert_allclose(
            reprojection_summary(solid.isel(time=slice(100, None)), shuffled, self.RIG), expected
        )
        partly = reprojection_summary(solid, shuffled, self.RIG)
        np.testing.assert_allclose(partly["rms"], expected["rms"])
        assert (partly["missing_2d"] > expected["missing_2d"]).all()

    def test_missing_3d_positions_are_counted_per_keypoint(self) -> None:
        solid, flat, _ = self.scene()
        solid["inlier"][:90, :, 1] = False
        result = reprojection_summary(solid, flat, self.RIG, by=("keypoint",))
        np.testing.assert_allclose(result["missing_3d"], [0.0, 0.3, 0.0, 0.0], atol=0.01)

    def test_without_inliers_every_reported_position_counts(self) -> None:
        solid, flat, _ = self.scene()
        result = reprojection_summary(solid.drop_vars(["inlier", "camera"]), flat, self.RIG)
        np.testing.assert_allclose(result["used"], 1.0)

    def repaired(self) -> tuple[xr.Dataset, xr.Dataset, np.ndarray]:
        """As `scene`, but that a tenth of the views stood 100 px elsewhere, or nowhere, before they were repaired."""
        solid, flat, residuals = self.scene()
        dims = ("time", "camera", "keypoint", "individual")
        kind = np.random.default_rng(3).choice(3, (300, 4, 4, 2), p=[0.9, 0.05, 0.05]).astype(np.int8)
        solid["repair"] = (dims, kind, {"units": "1"})
        lengths = np.linalg.norm(
            flat["position"].transpose(*dims, "space").values
            - self.RIG.project(solid["position"].transpose("time", "keypoint", "individual", "space").values).transpose(
                0, 3, 1, 2, 4
            ),
            axis=-1,
        )
        solid["residual"] = (dims, lengths, {"units": "px"})
        wrong = (solid["repair"] > 0).transpose("time", "camera", "individual", "keypoint").values
        before = flat.copy(deep=True)
        before["position"].values[wrong] += 100.0
        before["position"].values[wrong & (np.arange(300) % 2 == 0)[:, None, None, None]] = np.nan
        return solid, before, residuals

    def test_repaired_views_have_the_error_of_what_was_put_in_their_place(self) -> None:
        solid, before, residuals = self.repaired()
        result = reprojection_summary(solid, before, self.RIG, by=())
        assert result["rms"] == pytest.approx(np.sqrt(np.nanmean(residuals**2)), rel=1e-9)
        assert result["p95"] == pytest.approx(np.nanquantile(residuals, 0.95), rel=0.02)
        assert (reprojection_histogram(solid, before, self.RIG).counts.sum()) == np.isfinite(residuals).sum()
        assert reprojection_summary(solid.drop_vars("repair"), before, self.RIG, by=())["rms"] > 10

    def test_repaired_views_whose_error_is_not_stored_are_not_counted(self) -> None:
        solid, before, residuals = self.repaired()
        kept = np.where(solid["repair"].transpose("time", "individual", "keypoint", "camera") > 0, np.nan, residuals)
        result = reprojection_summary(solid.drop_vars("residual"), before, self.RIG, by=())
        assert result["rms"] == pytest.approx(np.sqrt(np.nanmean(kept**2)), rel=1e-9)

    def test_what_was_triangulated_has_the_numbers_of_its_projections(self) -> None:
        _, flat, _ = self.scene(60)
        solid = triangulate(flat, self.RIG)
        found = reprojection_histogram(solid, flat, self.RIG)
        plain = reprojection_histogram(solid.drop_vars("residual"), flat, self.RIG)
        for name in ("counts", "squares", "reported", "total", "points"):
            np.testing.assert_array_equal(getattr(found, name), getattr(plain, name))
        inlier = solid["inlier"].transpose("time", "camera", "keypoint", "individual").values
        stored = solid["residual"].transpose("time", "camera", "keypoint", "individual").values[inlier]
        overall = found.summary(())
        assert overall["rms"] == pytest.approx(np.sqrt(np.mean(stored**2)), rel=1e-9)
        assert overall["median"] == pytest.approx(np.median(stored), rel=0.015)

    def test_a_bridged_position_is_not_missing(self) -> None:
        solid, flat, _ = self.scene()
        solid["inlier"][:90, :, 1] = False
        bridged = np.zeros((300, 4, 2), dtype=bool)
        bridged[:60, 1] = True
        solid["bridged"] = (("time", "keypoint", "individual"), bridged, {"units": "1"})
        result = reprojection_summary(solid, flat, self.RIG, by=("keypoint",))
        np.testing.assert_allclose(result["missing_3d"], [0.0, 0.1, 0.0, 0.0], atol=0.01)

    def test_nothing_in_common_is_an_error(self) -> None:
        solid, flat, _ = self.scene()
        with pytest.raises(MismatchError, match="cam_1"):
            reprojection_summary(solid, flat.assign_coords(camera=list("wxyz")), self.RIG)
        with pytest.raises(MismatchError, match="keypoint"):
            reprojection_summary(solid, flat.assign_coords(keypoint=list("wxyz")), self.RIG)


class TestResidualHistogram:
    def filled(self, residuals: np.ndarray) -> ResidualHistogram:
        used = np.isfinite(residuals)
        empty = ResidualHistogram.empty([f"k{i}" for i in range(residuals.shape[-2])], ["a", "b", "c"])
        return empty.add(residuals, used, np.ones_like(used))

    def residuals(self, count: int = 2000) -> np.ndarray:
        rng = np.random.default_rng(4)
        values = rng.lognormal(0.0, 2.0, (count, 5, 3))
        return np.where(rng.random(values.shape) < 0.3, np.nan, values)

    @pytest.mark.parametrize("spread", [0.3, 3.0])
    def test_quantiles_are_right_to_one_percent(self, spread: float) -> None:
        values = np.random.default_rng(0).lognormal(0.0, spread, (20_000, 1, 3))
        result = self.filled(values).summary()
        np.testing.assert_allclose(result["median"][0], np.median(values, (0, 1)), rtol=0.01)
        np.testing.assert_allclose(result["p95"][0], np.quantile(values, 0.95, (0, 1)), rtol=0.01)

    def test_adding_in_chunks_and_merging_equal_adding_at_once(self) -> None:
        values = self.residuals()
        whole = self.filled(values)
        halves = self.filled(values[:700]).merge(self.filled(values[700:]))
        chunks = self.filled(values[:10])
        for first in range(10, 2000, 398):
            part = values[first : first + 398]
            chunks = chunks.add(part, np.isfinite(part), np.ones(part.shape, dtype=bool))
        for other in (halves, chunks):
            np.testing.assert_array_equal(other.counts, whole.counts)
            np.testing.assert_allclose(other.squares, whole.squares)
            xr.testing.assert_allclose(other.summary(), whole.summary())

    def test_adding_leaves_the_histogram_as_it_was(self) -> None:
        first = self.filled(self.residuals(10))
        before = first.counts.copy()
        first.add(np.ones((5, 3)), np.ones((5, 3)), np.ones((5, 3)))
        np.testing.assert_array_equal(first.counts, before)

    def test_extremes_are_kept(self) -> None:
        values = np.array([0.0, 1e-12, 1e6]).reshape(3, 1, 1) * np.ones((1, 1, 3))
        result = self.filled(values).summary(by=())
        assert float(result["median"]) < 1e-4
        assert float(result["p95"]) > 3e4
        assert float(result["rms"]) == pytest.approx(1e6 / np.sqrt(3))

    def test_of_nothing_everything_is_nan(self) -> None:
        result = ResidualHistogram.empty(["k"], ["a", "b"]).summary()
        assert all(result[name].isnull().all() for name in result.data_vars)

    def test_shapes_and_names_that_do_not_fit_are_refused(self) -> None:
        histogram = self.filled(self.residuals(10))
        with pytest.raises(InvalidValueError, match="keypoints"):
            histogram.add(np.ones((4, 3)), np.ones((4, 3)), np.ones((4, 3)))
        with pytest.raises(MismatchError, match="cameras"):
            histogram.merge(ResidualHistogram.empty(histogram.keypoints, ["x", "y", "z"]))
        with pytest.raises(InvalidValueError, match="frame"):
            histogram.summary(by=("frame",))


def test_a_histogram_of_chunks_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    solid, flat, _ = TestReprojection().scene()
    whole = reprojection_histogram(solid, flat, TestReprojection.RIG)
    monkeypatch.setattr("pose3d.metrics.reprojection._CHUNK", 37)
    chunked = reprojection_histogram(solid, flat, TestReprojection.RIG)
    np.testing.assert_array_equal(chunked.counts, whole.counts)
    np.testing.assert_array_equal(chunked.total, whole.total)
