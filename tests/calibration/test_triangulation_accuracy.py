"""Points, uncertainties and learned noise against the truth of synthetic scenes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.rig import Rig
from calibration.synthetic import make_points, make_rig, observe
from calibration.triangulation import Noise, Status, Triangulation, TriangulationSettings, estimate_noise, triangulate

FLOATS = NDArray[np.float64]
POINTS = 10_000
CHI2_3_AT_95 = 7.8147  # 95 % of the squared lengths of a standard normal vector in space lie below


def error(outcome: Triangulation, truth: FLOATS) -> FLOATS:
    return np.linalg.norm(outcome.points - truth, axis=-1)


def coverage(outcome: Triangulation, truth: FLOATS) -> float:
    """Share of the points whose 95 % ellipsoid contains the truth."""
    found = outcome.status == Status.OK
    assert outcome.covariance is not None
    off = (outcome.points - truth)[found]
    squared = np.einsum("pi,pi->p", off, np.linalg.solve(outcome.covariance[found], off[..., None])[..., 0])
    return float((squared <= CHI2_3_AT_95).mean())


def uneven(cameras: int) -> FLOATS:
    """(camera,) noise from 0.7 to 2 px."""
    return np.linspace(0.7, 2.0, cameras)


class TestAgainstTheOracle:
    """The oracle knows the inliers and uses them all, by the linear method."""

    @pytest.mark.parametrize(("cameras", "seed"), [(6, 0), (6, 1), (12, 0)])
    def test_robust_is_within_5_percent(self, cameras: int, seed: int) -> None:
        rig, points = make_rig(cameras, seed=seed), make_points(POINTS, seed=1)
        seen = observe(rig, points, noise=1.0, outlier_rate=0.1, dropout_rate=0.2, seed=2)
        robust = triangulate(rig, seen.pixels)
        clean = np.where(seen.inlier[..., None], seen.pixels, np.nan)
        oracle = triangulate(rig, clean, method="linear", noise=1.0)
        known = oracle.status == Status.OK
        found = known & (robust.status == Status.OK)
        assert found.sum() > 0.985 * known.sum()
        for summary in (np.median, lambda values: np.percentile(values, 95), lambda values: np.percentile(values, 99)):
            assert summary(error(robust, points)[found]) < 1.05 * summary(error(oracle, points)[found])
        # where robust gives up the oracle would have little to say either: two cameras or three
        assert (seen.inlier.sum(-1)[known & ~found] <= 3).all()

    def test_inliers_are_kept_and_outliers_are_left_out(self) -> None:
        rig, points = make_rig(6), make_points(POINTS, seed=1)
        seen = observe(rig, points, noise=1.0, outlier_rate=0.1, dropout_rate=0.2, seed=2)
        outcome = triangulate(rig, seen.pixels)
        found = (outcome.status == Status.OK)[:, None]
        assert outcome.inliers[found & seen.inlier].mean() > 0.998
        # an outlier may fall within the threshold by chance
        assert outcome.inliers[found & seen.outlier].mean() < 0.01

    def test_a_third_of_outliers_in_twelve_cameras(self) -> None:
        rig, points = make_rig(12), make_points(5000, seed=1)
        seen = observe(rig, points, noise=1.0, outlier_rate=0.33, dropout_rate=0.2, seed=2)
        outcome = triangulate(rig, seen.pixels)
        found = outcome.status == Status.OK
        assert found.mean() > 0.995
        clean = np.where(seen.inlier[..., None], seen.pixels, np.nan)
        oracle = triangulate(rig, clean, method="linear", noise=1.0)
        both = found & (oracle.status == Status.OK)
        ours, best = (np.percentile(error(each, points)[both], [50, 95]) for each in (outcome, oracle))
        assert (ours < 1.05 * best).all()


class TestUncertainty:
    """The 95 % ellipsoid contains the truth 93 to 97 times of 100."""

    @staticmethod
    def check(rig: Rig, noise: FLOATS | float, confidence: FLOATS | None, given: bool, **rates: float) -> Triangulation:
        points = make_points(POINTS, seed=1)
        deviation = noise if confidence is None else noise / np.sqrt(confidence)
        seen = observe(rig, points, noise=deviation, seed=2, **rates)
        known = tuple(np.broadcast_to(noise, len(rig)).tolist()) if given else None
        outcome = triangulate(rig, seen.pixels, confidence, noise=known)
        assert 0.93 <= coverage(outcome, points) <= 0.97
        return outcome

    @pytest.mark.parametrize("given", [True, False], ids=["given", "learned"])
    @pytest.mark.parametrize("cameras", [3, 4, 6, 12])
    def test_of_even_cameras(self, cameras: int, given: bool) -> None:
        self.check(make_rig(cameras), 1.0, None, given, outlier_rate=0.1, dropout_rate=0.2)

    @pytest.mark.parametrize("given", [True, False], ids=["given", "learned"])
    @pytest.mark.parametrize("cameras", [3, 4, 6, 12])
    def test_of_uneven_cameras(self, cameras: int, given: bool) -> None:
        self.check(make_rig(cameras), uneven(cameras), None, given, outlier_rate=0.1, dropout_rate=0.2)

    @pytest.mark.parametrize("given", [True, False], ids=["given", "learned"])
    @pytest.mark.parametrize("cameras", [4, 6, 12])
    def test_of_one_camera_four_times_worse(self, cameras: int, given: bool) -> None:
        noise = np.full(cameras, 1.0)
        noise[1] = 4.0
        self.check(make_rig(cameras), noise, None, given, outlier_rate=0.05, dropout_rate=0.2)

    @pytest.mark.parametrize("given", [True, False], ids=["given", "learned"])
    @pytest.mark.parametrize("cameras", [3, 4, 6, 12])
    def test_with_noise_that_confidence_tells(self, cameras: int, given: bool) -> None:
        """Variance = noise^2 / confidence."""
        confidence = np.random.default_rng(3).uniform(0.2, 1.0, (POINTS, cameras))
        self.check(make_rig(cameras), 1.0, confidence, given, outlier_rate=0.05, dropout_rate=0.2)

    @pytest.mark.parametrize("lens", ["pinhole", "brown8", "fisheye"])
    def test_of_other_lenses_and_noise(self, lens: str) -> None:
        outcome = self.check(make_rig(5, lens=lens), 0.4, None, False, outlier_rate=0.1, dropout_rate=0.2)
        np.testing.assert_allclose(outcome.noise.sigma, 0.4, rtol=0.04)

    @pytest.mark.parametrize("noise", [0.1, 1.0, 4.0])
    def test_of_the_linear_method(self, noise: float) -> None:
        rig, points = make_rig(4), make_points(POINTS, seed=1)
        outcome = triangulate(rig, observe(rig, points, noise=noise, dropout_rate=0.2, seed=2).pixels, method="linear")
        assert 0.93 <= coverage(outcome, points) <= 0.97

    def test_of_two_cameras(self) -> None:
        rig, points = make_rig(5).select(["cam_1", "cam_2"]), make_points(POINTS, seed=1)
        outcome = triangulate(rig, observe(rig, points, noise=1.0, seed=2).pixels)
        assert 0.93 <= coverage(outcome, points) <= 0.97

    def test_weighting_by_confidence_pays(self) -> None:
        rig, points = make_rig(6), make_points(POINTS, seed=1)
        confidence = np.random.default_rng(3).uniform(0.05, 1.0, (POINTS, 6))
        seen = observe(rig, points, noise=1.0 / np.sqrt(confidence), seed=2)
        with_it, without = (triangulate(rig, seen.pixels, each, threshold=15.0) for each in (confidence, None))
        assert np.median(error(with_it, points)) < 0.9 * np.median(error(without, points))


class TestLearnedNoise:
    @staticmethod
    def learn(rig: Rig, noise: FLOATS | float, **settings: object) -> Noise:
        seen = observe(rig, make_points(POINTS, seed=1), noise=noise, outlier_rate=0.1, dropout_rate=0.2, seed=2)
        return estimate_noise(rig, seen.pixels, settings=TriangulationSettings(**settings))

    @pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
    @pytest.mark.parametrize("cameras", [3, 4, 6, 12])
    def test_is_right_to_3_percent(self, cameras: int, noise: float) -> None:
        learned = self.learn(make_rig(cameras), noise)
        np.testing.assert_allclose(learned.sigma, noise, rtol=0.03)
        assert learned.threshold == pytest.approx(max(4.5 * noise, 1.0), rel=0.05)
        assert (learned.freedom > 200).all()

    @pytest.mark.parametrize(("cameras", "tolerance"), [(3, 0.2), (4, 0.08), (6, 0.04), (12, 0.03)])
    def test_of_uneven_cameras(self, cameras: int, tolerance: float) -> None:
        learned = self.learn(make_rig(cameras), uneven(cameras))
        np.testing.assert_allclose(learned.sigma, uneven(cameras), rtol=tolerance)

    def test_of_one_camera_four_times_better(self) -> None:
        """It draws the points to itself, and its noise shows in the others' disagreement with it."""
        noise = np.array([1.0, 1.0, 0.25, 1.0, 1.0, 1.0])
        np.testing.assert_allclose(self.learn(make_rig(6), noise).sigma, noise, rtol=0.12)

    @pytest.mark.parametrize(("threshold", "tolerance"), [(2.5, 0.07), (3.5, 0.03), (8.0, 0.03)])
    def test_allows_for_what_the_threshold_cuts_off(self, threshold: float, tolerance: float) -> None:
        """Else a threshold of 2.5 sigma would make the noise look 13 % smaller."""
        learned = self.learn(make_rig(6), 1.0, threshold=threshold)
        assert learned.threshold == threshold
        np.testing.assert_allclose(learned.sigma, 1.0, rtol=tolerance)

    def test_of_pixels_without_noise_is_nothing(self) -> None:
        rig = make_rig(4)
        points = make_points(2000)
        outcome = triangulate(rig, rig.project(points))
        assert (outcome.noise.sigma < 1e-6).all()
        np.testing.assert_allclose(outcome.points, points, rtol=0, atol=1e-6)

    def test_a_camera_that_sees_too_little_gets_the_common_noise(self) -> None:
        rig = make_rig(5)
        seen = observe(rig, make_points(2000, seed=1), noise=1.0, seed=2)
        pixels = seen.pixels.copy()
        pixels[30:, 2] = np.nan
        learned = estimate_noise(rig, pixels)
        assert 0 < learned.freedom[2] < 200 < learned.freedom[[0, 1, 3, 4]].min()
        assert learned.sigma[2] == pytest.approx(np.sqrt(np.mean(learned.sigma[[0, 1, 3, 4]] ** 2)), rel=0.02)

    def test_a_camera_of_junk_does_not_spoil_the_others(self) -> None:
        rig = make_rig(6)
        seen = observe(rig, make_points(POINTS, seed=1), noise=1.0, dropout_rate=0.2, seed=2)
        pixels = seen.pixels.copy()
        pixels[:, 3] = np.random.default_rng(4).uniform(0, 1000, (POINTS, 2))
        learned = estimate_noise(rig, pixels)
        np.testing.assert_allclose(np.delete(learned.sigma, 3), 1.0, rtol=0.04)
