"""The solver of trajectories: equal to a dense one, derivatives, blocks of the inverse, differences, segments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from pose3d.reconstruction import _trajectory_kernels, _trajectory_learning
from pose3d.reconstruction._trajectory_problem import Window, differences, explain_views, solve_window
from pose3d.reconstruction._trajectory_settings import ORDERS, Motion
from tests.pose3d.reconstruction.dense_trajectory import FRAMES, KEYPOINTS, REACH, Dense, Scene, make_scene, stepped

Array = NDArray[np.float64]

kernels: Any = _trajectory_kernels  # numba's decorators have no types

MOTIONS = pytest.mark.parametrize("motion", list(ORDERS))
LINKS = pytest.mark.parametrize(("bones", "limits"), [(False, False), (True, False), (True, True), (False, True)])
RNG_SEED = 5


def blocks(matrix: NDArray[Any]) -> Array:
    """(n / 3, 3, 3) of the diagonal of a matrix (n, n)."""
    count = len(matrix) // 3
    return matrix.reshape(count, 3, count, 3)[np.arange(count), :, np.arange(count)]


class TestAgainstADenseSolver:
    """A window with dropped frames, gaps, segments, missing cameras, wrong positions, bones, and a limited angle."""

    @MOTIONS
    @LINKS
    @pytest.mark.parametrize("adaptive", [False, True])
    def test_no_place_can_be_better(self, motion: Motion, bones: bool, limits: bool, adaptive: bool) -> None:
        """Newton's step from the answer is nothing, and the cost is the same number."""
        scene = make_scene(motion, bones=bones, limits=limits, adaptive=adaptive)
        dense, found = Dense(scene), scene.solve()
        at = dense.unknowns(found.places)
        information = dense.information(at)
        assert found.converged
        np.testing.assert_allclose(dense.slope(at), stepped(lambda x: dense.cost(x), at), rtol=0, atol=1e-9)
        assert np.abs(np.linalg.solve(information, dense.slope(at))).max() < 1e-8  # mm
        assert np.linalg.eigvalsh(information)[0] > 0
        np.testing.assert_allclose(found.cost, dense.cost(at.astype(np.complex128)).real, rtol=1e-10)

    def test_a_dense_search_from_the_same_start_ends_there(self) -> None:
        scene = make_scene("acceleration", seed=1)
        dense, found = Dense(scene), scene.solve()
        searched = minimize(
            lambda x: dense.cost(x.astype(np.complex128)).real,
            dense.unknowns(dense.anchor),
            jac=dense.slope,
            hess=dense.information,
            method="trust-exact",
            options={"initial_trust_radius": 3.0, "max_trust_radius": 30.0, "gtol": 1e-3},
        )
        at = searched.x
        for _ in range(4):  # scipy stops where the cost no longer changes
            at = at - np.linalg.solve(dense.information(at), dense.slope(at))
        assert np.abs(at - dense.unknowns(dense.anchor)).max() > 1.0
        np.testing.assert_allclose(dense.unknowns(found.places), at, rtol=0, atol=1e-8)

    @MOTIONS
    @LINKS
    def test_covariances_are_blocks_of_the_inverse(self, motion: Motion, bones: bool, limits: bool) -> None:
        scene = make_scene(motion, bones=bones, limits=limits, adaptive=True)
        dense, found = Dense(scene), scene.solve()
        covariance = np.linalg.inv(dense.information(dense.unknowns(found.places)))
        expected = blocks(covariance)
        size = np.trace(expected, axis1=-2, axis2=-1)[:, None, None]
        np.testing.assert_allclose(found.covariance[dense.active] / size, expected / size, rtol=0, atol=1e-7)
        # how many numbers of a difference smoothness decides: their variances, over those that smoothness gives them
        whole = np.zeros((FRAMES, KEYPOINTS, 3, FRAMES, KEYPOINTS, 3))
        at = np.argwhere(np.broadcast_to(dense.active[..., None], whole.shape[:3]))
        for number, (t, k, x) in enumerate(at):
            whole[t, k, x][tuple(at.T)] = covariance[number]
        decided = np.einsum("rkt,rks,tkxskx->rk", dense.rows, dense.rows, whole)
        np.testing.assert_allclose(found.absorbed, decided, rtol=1e-7, atol=1e-12)

    def test_what_a_covariance_adds_to_residuals_and_to_lengths(self) -> None:
        """By first-order propagation through the derivatives of all errors and lengths."""
        scene = make_scene()
        dense, found = Dense(scene), scene.solve()
        at = dense.unknowns(found.places)
        covariance = np.linalg.inv(dense.information(at))
        errors = dense.errors(dense.places(at.astype(complex))).real
        seen = np.isfinite(found.squared)
        np.testing.assert_array_equal(seen, np.isfinite(scene.pixels[..., 0]) & dense.active[..., None])
        np.testing.assert_allclose(found.squared[seen], (errors**2).sum(-1)[seen], rtol=1e-7, atol=1e-12)
        slope = stepped(lambda x: dense.errors(dense.places(x)), at)
        spread = np.einsum("tkcin,nm,tkcim->tkc", slope, covariance, slope, optimize=True)
        np.testing.assert_allclose(found.spread[seen], spread[seen], rtol=1e-6)
        bones = scene.model.bones
        assert bones is not None
        slope = stepped(lambda x: dense.lengths(dense.places(x)), at) * bones.deviation[0][:, None]
        variance = np.einsum("tbn,nm,tbm->tb", slope, covariance, slope, optimize=True)
        there = (slope**2).sum(-1) > 0
        assert there.sum() > 20
        np.testing.assert_allclose(found.bone_variance[there], variance[there], rtol=1e-6)

    def test_views_are_explained_as_in_the_solution(self) -> None:
        scene = make_scene()
        found = scene.solve()
        squared, spread = explain_views(
            scene.window.table, scene.window, found, scene.frame, scene.model.noise.deviation
        )
        np.testing.assert_allclose(squared, found.squared)
        np.testing.assert_allclose(spread, found.spread)

    def test_the_default_tolerance_leaves_a_ten_thousandth_of_the_uncertainty(self) -> None:
        scene = make_scene()
        rough, found = solve_window(scene.window, scene.frame, scene.model, 0), scene.solve()
        active = scene.window.segment >= 0
        size = np.sqrt(np.linalg.eigvalsh(found.covariance[active])[:, 0])
        assert (np.linalg.norm(rough.places - found.places, axis=-1)[active] < 3e-4 * size).all()

    def test_shares_are_probabilities_by_bayes(self) -> None:
        """Of densities per square pixel, of views whose covariances differ."""
        noise = make_scene().model.noise
        squared = np.linspace(0, 60, 16).reshape(4, 4)
        root = np.random.default_rng(RNG_SEED).uniform(0.5, 5.0, (4, 4))  # of the determinant of the covariance
        tail, width, lost, area = (each[:, None] for each in (noise.tail, noise.width, noise.lost, noise.area))
        gauss = np.exp(-squared / 2) / (2 * np.pi * root)
        wide = np.exp(-squared / 2 / width) / (2 * np.pi * width * root)
        joint = np.stack([(1 - tail - lost) * gauss, tail * wide, lost / (2 * np.pi * area) + 0 * gauss])
        np.testing.assert_allclose(noise.shares(squared, root), joint / joint.sum(0), rtol=1e-10)


class TestDerivatives:
    """Slope and curvature of each term against differences of its cost and slope; the kernels run as plain Python."""

    STEP = 1e-5

    def differences(self, cost: Callable[[Array], tuple[Any, ...]], places: Array) -> tuple[Array, Array]:
        """Slope, and second derivatives, of a function that returns (cost, slope)."""
        count = places.size
        slope, second = np.empty(count), np.empty((count, count))
        for number in range(count):
            ahead, behind = places.copy(), places.copy()
            ahead.flat[number] += self.STEP
            behind.flat[number] -= self.STEP
            one, other = cost(ahead), cost(behind)
            slope[number] = (one[0] - other[0]) / (2 * self.STEP)
            second[:, number] = (one[1] - other[1]) / (2 * self.STEP)
        return slope, second

    @pytest.mark.parametrize("temper", [1.0, 16.0])
    def test_views(self, temper: float) -> None:
        """Second derivatives are exact but for the small second derivatives of the projection."""
        scene = make_scene(seed=2)
        loss = scene.model.noise.loss()[1]
        views = scene.window.table[2, 1].copy()
        views[:, 2:] /= 1.3**2
        place = scene.window.start[2, 1].copy()

        def cost(at: Array) -> tuple[float, Array, Array]:
            block, slope, weight = np.empty((3, 3)), np.empty(3), np.zeros(len(views))
            value = kernels._point.py_func(
                scene.frame.cameras, views, loss, temper, False, kernels._EXACT, at, weight, block, slope
            )
            return value, slope, block

        _, slope, block = cost(place)
        by_cost, by_slope = self.differences(cost, place)
        np.testing.assert_allclose(slope, by_cost, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(block, by_slope, rtol=0, atol=0.02 * np.abs(by_slope).max())

    def test_the_loss(self) -> None:
        tail, width, lost = 0.02, 9.0, 1e-4
        squared, h = np.linspace(0.1, 80, 50), 1e-4

        def loss(s: float) -> tuple[float, float, float]:
            return kernels._loss.py_func(s, tail, width, lost)

        for s in squared:
            ahead, behind = loss(s + h), loss(s - h)
            np.testing.assert_allclose(loss(s)[1] / 2, (ahead[0] - behind[0]) / (2 * h), rtol=1e-6, atol=1e-10)
            np.testing.assert_allclose(loss(s)[2] / 2, (ahead[1] - behind[1]) / (2 * h), rtol=1e-5, atol=1e-10)
        assert loss(0.0)[0] == 0.0
        assert loss(1e4)[1] < 1e-12  # it redescends

    @pytest.mark.parametrize("length", [8.0, 20.0])
    def test_bones(self, length: float) -> None:
        """Exact where wanted; where not, a compressed bone is stiff along and nothing across."""
        ends = np.array([[1.0, 2.0, 3.0], [4.0, -5.0, 9.0]])  # 9.7 apart

        def cost(at: Array, exact: bool = True) -> tuple[float, Array, Array]:
            block, slope = np.zeros((6, 6)), np.zeros(6)
            value = kernels._bone.py_func(at[0], at[1], length, 2.5, 0, 1, exact, block, slope)
            return value, slope, block

        _, slope, block = cost(ends)
        by_cost, by_slope = self.differences(cost, ends)
        np.testing.assert_allclose(slope, by_cost, rtol=1e-7)
        np.testing.assert_allclose(block, by_slope, rtol=1e-6, atol=1e-8)
        assert np.linalg.eigvalsh(cost(ends, exact=False)[2])[0] > -1e-12

    @pytest.mark.parametrize("bounds", [(0.2, 1.0), (2.5, 3.0)])
    def test_limits_of_angles(self, bounds: tuple[float, float]) -> None:
        places = np.array([[10.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 12.0, 3.0]])  # 85 degrees
        bound = np.array([*bounds, 30.0])

        def cost(at: Array) -> tuple[float, Array, Array]:
            block, slope = np.zeros((9, 9)), np.zeros(9)
            value = kernels._limit.py_func(at, np.array([0, 1, 2]), bound, np.empty(9), block, slope)
            return value, slope, block

        value, slope, block = cost(places)
        np.testing.assert_allclose(slope, self.differences(cost, places)[0], rtol=1e-7, atol=1e-9)
        # 2 cost = stiffness error^2, so that the slope squared over twice the cost is the curvature along it
        np.testing.assert_allclose(block, np.outer(slope, slope) / (2 * value), rtol=1e-10, atol=1e-12)
        inside = np.array([1.0, 2.0, 30.0])
        bound[:] = inside
        assert cost(places)[0] == 0.0
        assert not cost(places)[1].any()

    def test_smoothness_and_what_is_carried(self) -> None:
        rng = np.random.default_rng(RNG_SEED)
        frames, order, count = 7, 2, 2
        difference, places = rng.standard_normal((frames - order, order + 1)), rng.standard_normal((frames, count, 3))
        strength = rng.uniform(0.5, 2.0, (frames - order, count)) * (rng.random((frames - order, count)) < 0.8)
        root = rng.standard_normal((order * 6, order * 6))
        carry = (root @ root.T).reshape(order, 6, order, 6).swapaxes(1, 2).copy()
        carry_slope, carry_place = rng.standard_normal((order, 6)), rng.standard_normal((order, 6))

        def cost(at: Array) -> tuple[float, Array]:
            slope = np.zeros((frames, 6))
            value = kernels._smoothness.py_func(difference, strength, at, slope)
            value += kernels._carried.py_func(carry, carry_slope, carry_place, at, slope)
            return value, slope.ravel()

        by_cost, by_slope = self.differences(cost, places)
        np.testing.assert_allclose(cost(places)[1], by_cost, rtol=1e-6, atol=1e-7)
        beside = kernels.prior_blocks.py_func(difference, strength)
        expected = np.zeros((frames, 6, frames, 6))
        for t in range(frames):
            for s in range(min(order, t) + 1):
                expected[t, :, t - s] = expected[t - s, :, t] = np.diag(np.repeat(beside[t, s], 3))
        expected[:order, :, :order] += carry.swapaxes(1, 2)
        np.testing.assert_allclose(expected.reshape(len(by_slope), -1), by_slope, rtol=1e-6, atol=1e-6)


class TestBlocks:
    @pytest.mark.parametrize("keypoints", [1, 2])
    @pytest.mark.parametrize("carried", [False, True])
    def test_factor_solution_and_inverse_are_those_of_the_dense_matrix(self, keypoints: int, carried: bool) -> None:
        rng = np.random.default_rng(RNG_SEED)
        frames, order, n = 9, 3, 3 * keypoints
        difference, strength = (
            rng.standard_normal((frames - order, order + 1)),
            rng.uniform(0.0, 2.0, (frames - order, keypoints)),
        )
        beside = kernels.prior_blocks.py_func(difference, strength)
        root = rng.standard_normal((frames, n, n))
        diagonal = root @ root.swapaxes(1, 2) + 0.3 * np.eye(n)
        size = order if carried else 0
        wide = rng.standard_normal((size * n, size * n))
        carry = (wide @ wide.T).reshape(size, n, size, n).swapaxes(1, 2).copy()
        matrix = np.zeros((frames, n, frames, n))
        for t in range(frames):
            matrix[t, :, t] += diagonal[t]
            for s in range(min(order, t) + 1):
                matrix[t, :, t - s] += np.diag(np.repeat(beside[t, s], 3))
                if s:
                    matrix[t - s, :, t] += np.diag(np.repeat(beside[t, s], 3))
        matrix[:size, :, :size] += carry.swapaxes(1, 2)
        whole = matrix.reshape(frames * n, -1)
        lower, inverse = np.empty((frames, order + 1, n, n)), np.empty((frames, n, n))
        assert kernels._factorize.py_func(diagonal, beside, carry, lower, inverse, np.empty((n, n)))
        factor = np.zeros_like(matrix)
        for t in range(frames):
            for s in range(min(order, t) + 1):
                factor[t, :, t - s] = lower[t, s]
        np.testing.assert_allclose(factor.reshape(frames * n, -1), np.linalg.cholesky(whole), atol=1e-10)
        right = rng.standard_normal((2, frames, n))
        solved = right.copy()
        for one in solved:
            kernels._solve.py_func(lower, inverse, one)
        np.testing.assert_allclose(solved.reshape(2, -1), np.linalg.solve(whole, right.reshape(2, -1).T).T, rtol=1e-8)
        covariance, absorbed = np.empty((frames, keypoints, 3, 3)), np.empty(strength.shape)
        none, places = np.zeros((0, 2), dtype=np.int64), np.zeros((frames, keypoints, 3))
        kernels.inverse_blocks.py_func(
            lower, inverse, difference, strength, none, places, covariance, np.empty((frames, 0)), absorbed
        )
        np.testing.assert_allclose(covariance.reshape(-1, 3, 3), blocks(np.linalg.inv(whole)), rtol=1e-8, atol=1e-12)

    def test_what_is_not_positive_definite_has_no_factor(self) -> None:
        beside, carry = np.zeros((2, 1, 1)), np.zeros((0, 0, 3, 3))
        diagonal = np.stack([np.eye(3), np.diag([1.0, -1.0, 1.0])])
        room = np.empty((2, 1, 3, 3)), np.empty((2, 3, 3)), np.empty((3, 3))
        assert not kernels._factorize.py_func(diagonal, beside, carry, *room)


class TestDifferences:
    @MOTIONS
    def test_they_are_derivatives_of_polynomials_at_any_times(self, motion: Motion) -> None:
        order = ORDERS[motion]
        times = np.cumsum(np.random.default_rng(RNG_SEED).uniform(0.5, 3.0, 20))
        coefficients = differences(times, order, 1.0)
        span = (times[order:] - times[:-order]) / order
        for power, expected in ((order - 1, 0.0), (order, float(np.prod(np.arange(1, order + 1))))):
            values = times**power
            found = sum(coefficients[:, a] * values[a : a + len(coefficients)] for a in range(order + 1))
            np.testing.assert_allclose(found / np.sqrt(span), expected, rtol=1e-6, atol=1e-6)

    def test_they_do_not_depend_on_the_unit_of_time(self) -> None:
        """Per interval: in seconds and in frames a difference is the same number of its own deviation."""
        times = np.array([0.0, 1.0, 2.0, 4.0, 5.0])
        frames, seconds = differences(times, 2, 1.0), differences(times / 50.0, 2, 1 / 50.0)
        np.testing.assert_allclose(seconds, frames * 50.0**2)

    def test_too_few_times_have_none(self) -> None:
        assert differences(np.arange(3.0), 3, 1.0).shape == (0, 4)
        assert differences(np.arange(1.0), 3, 1.0).shape == (0, 4)


class TestSegments:
    @staticmethod
    def of(known: list[int], longest_gap: int) -> list[int]:
        start = np.where(np.array(known, dtype=bool)[:, None, None], np.zeros(3), np.nan)
        frames = len(known)
        window = Window.of(
            np.arange(float(frames)), np.zeros((frames, 1, 2, 5)), start, np.zeros((frames, 1, 2), bool), longest_gap
        )
        return window.segment[:, 0].tolist()

    def test_they_end_at_longer_gaps_and_at_the_last_position(self) -> None:
        known = [0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0]
        assert self.of(known, 2) == [-1, 0, 0, 0, 0, 0, -1, -1, -1, 1, -1]
        assert self.of(known, 3) == [-1, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1]
        assert self.of(known, 0) == [-1, 0, -1, -1, 1, 1, -1, -1, -1, 2, -1]
        assert self.of([0, 0, 0], 2) == [-1, -1, -1]


class TestLengths:
    def test_noise_across_a_bone_does_not_make_it_longer(self) -> None:
        """Of places with known noise, an eighth of the length; uncorrected, it would be 3 % longer."""
        rng = np.random.default_rng(RNG_SEED)
        truth = np.zeros((20_000, 2, 3))
        truth[:, 1] = [15.0, 20.0, 0.0]
        root = np.array([[3.0, 0.0, 0.0], [1.0, 2.5, 0.0], [0.0, -1.0, 3.0]])
        covariance = np.broadcast_to(root @ root.T, (20_000, 2, 3, 3))
        places = truth + rng.standard_normal(truth.shape) @ root.T
        found: Any = SimpleNamespace(places=places, covariance=covariance)
        known: Any = SimpleNamespace(start=truth)
        length, variance = _trajectory_learning._lengths(known, found, 0, 1)
        assert np.linalg.norm(places[:, 1] - places[:, 0], axis=-1).mean() > 1.02 * 25.0
        np.testing.assert_allclose(length.mean(), 25.0, rtol=0.004)
        np.testing.assert_allclose(variance.mean(), length.var(), rtol=0.1)


class TestStarts:
    def test_a_start_that_is_given_leads_to_the_same_place(self) -> None:
        scene = make_scene()
        found = scene.solve()
        off = replace(found, places=found.places + 0.5 * np.random.default_rng(RNG_SEED).standard_normal((3,)))
        active = scene.window.segment >= 0
        again = scene.solve(solution=off)
        np.testing.assert_allclose(again.places[active], found.places[active], rtol=0, atol=1e-7)

    def test_a_window_of_one_frame_is_triangulated(self) -> None:
        scene = make_scene(bones=False, limits=False)
        window = scene.window
        cut = [getattr(window, name)[:1] for name in ("times", "table", "start", "agreeing", "segment")]
        found = Scene(scene.rig, scene.pixels, scene.confidence, Window(*cut), scene.frame, scene.model, None).solve()
        assert found.converged
        assert np.isfinite(found.covariance).all()
        assert found.places.shape == (1, KEYPOINTS, 3)
        assert np.abs(found.places - window.start[:1]).max() < 10.0 < REACH
        assert FRAMES > 1
