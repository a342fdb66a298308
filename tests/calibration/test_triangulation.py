"""What `triangulate` returns, why points are missing, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import InvalidValueError, MismatchError, SuiteError
from calibration.lens import BrownConrady
from calibration.rig import Rig
from calibration.synthetic import make_points, make_rig, observe
from calibration.transforms import RigidTransform
from calibration.triangulation import (
    Noise,
    Status,
    Triangulation,
    TriangulationSettings,
    estimate_noise,
    prepare,
    triangulate,
)

FLOATS = NDArray[np.float64]


def camera_at(
    name: str,
    center: tuple[float, float, float],
    target: tuple[float, float, float],
    *,
    lens: BrownConrady | None = None,
) -> Camera:
    """A camera of focal length 1000 px that looks from `center` at `target`, upright."""
    forward = np.subtract(target, center).astype(float)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    lens = lens or BrownConrady(np.array([[1000.0, 0, 640], [0, 1000, 512], [0, 0, 1]]))
    return Camera(name, (1280, 1024), lens, RigidTransform(rotation, -rotation @ np.array(center, dtype=float)))


# looks away from what the cameras of `trio` see
AWAY = camera_at("away", (-300, 20, 0), (-900, 0, 0))
POINT = np.array([10.0, 20.0, 30.0])


def mirrored(camera: Camera, point: FLOATS) -> FLOATS:
    """The pixel (2,) of a point behind the camera by the formula of projection."""
    in_camera = camera.cam_from_world(point)
    assert in_camera[2] < 0
    return camera.lens.distort(in_camera[:2] / in_camera[2])


def two_pairs() -> tuple[Rig, FLOATS]:
    """One point on the ray of the first camera for the second camera, another one on it for the third."""
    right = camera_at("right", (1000, 0, 0), (0, 0, 0))
    rig = Rig((right, camera_at("back", (0, 1000, 0), (0, 0, 0)), camera_at("top", (0, 300, 1000), (0, 0, 0))))
    one, other = 0.1 * right.center, -0.1 * right.center
    return rig, np.stack([right.project(one), rig["back"].project(one), rig["top"].project(other)])


@pytest.fixture
def ring() -> Rig:
    return make_rig(7, lens="brown5", seed=5)


@pytest.fixture
def trio() -> Rig:
    """Three cameras a right angle apart, each 1000 from the origin."""
    return Rig(
        (
            camera_at("right", (1000, 0, 0), (0, 0, 0)),
            camera_at("back", (0, 1000, 0), (0, 0, 0)),
            camera_at("left", (-1000, 0, 0), (0, 0, 0)),
        )
    )


def reason(rig: Rig, pixels: FLOATS, **settings: object) -> Status:
    """The status of one point (camera, 2), alike for both engines; NaN and no inliers where it is missing."""
    found = [
        triangulate(rig, pixels, engine=engine, **{"noise": 1.0, "threshold": 5.0, **settings})
        for engine in ("numba", "numpy")
    ]
    assert found[0].status == found[1].status
    for each in found:
        missing = each.status != Status.OK
        assert missing == np.isnan(each.points).all() == np.isnan(each.covariance).all()
        assert missing == (not each.inliers.any()) == (each.n_cameras == 0) == np.isnan(each.residuals).all()
    return Status(int(found[0].status))


class TestOutcome:
    @pytest.mark.parametrize("batch", [(), (1,), (5,), (2, 3), (2, 1, 3), (0,), (0, 4), (4, 0), (3, 0, 2)])
    @pytest.mark.parametrize("engine", ["numba", "numpy"])
    @pytest.mark.parametrize("noise", [1.0, None])
    def test_has_the_batch_axes_of_the_input(self, batch: tuple[int, ...], engine: str, noise: float | None) -> None:
        rig, points = make_rig(4), make_points(batch, seed=1)
        outcome = triangulate(rig, rig.project(points), np.ones((*batch, 4)), noise=noise, engine=engine)
        np.testing.assert_allclose(outcome.points, points, rtol=0, atol=1e-6)
        assert outcome.covariance is not None
        assert outcome.covariance.shape == (*batch, 3, 3)
        assert outcome.inliers.shape == outcome.residuals.shape == (*batch, 4)
        assert outcome.n_cameras.shape == outcome.status.shape == batch
        types = (outcome.points, outcome.covariance, outcome.inliers, outcome.residuals, outcome.status)
        assert [str(each.dtype) for each in types] == ["float64", "float64", "bool", "float64", "int8"]
        assert np.issubdtype(outcome.n_cameras.dtype, np.integer)

    def test_residuals_are_those_of_the_projected_point_also_for_cameras_that_were_not_used(self, ring: Rig) -> None:
        seen = observe(ring, make_points(2000, seed=2), noise=1.0, outlier_rate=0.2, dropout_rate=0.2, seed=3)
        outcome = triangulate(ring, seen.pixels, noise=1.0)
        expected = np.linalg.norm(ring.project(outcome.points) - seen.pixels, axis=-1)
        np.testing.assert_allclose(outcome.residuals, expected, rtol=0, atol=3e-5)
        assert (np.isfinite(outcome.residuals) & ~outcome.inliers).any()

    def test_inliers_are_within_the_threshold_and_counted(self, ring: Rig) -> None:
        seen = observe(ring, make_points(2000, seed=2), noise=1.0, outlier_rate=0.2, dropout_rate=0.2, seed=3)
        outcome = triangulate(ring, seen.pixels, noise=1.0, threshold=4.0)
        # decided on the fit before the polish, with the lens straight around the observation
        assert outcome.residuals[outcome.inliers].max() < 4.0 * 1.05
        np.testing.assert_array_equal(outcome.n_cameras, outcome.inliers.sum(-1))
        assert not (outcome.inliers & ~seen.reported).any()
        assert set(np.unique(outcome.n_cameras)) <= {0, 2, 3, 4, 5, 6, 7}

    def test_what_agrees_with_the_point_is_used(self) -> None:
        """Also cameras that the pair behind the point, less certain than all together, would have left out."""
        rig = make_rig(8)
        seen = observe(rig, make_points(4000, seed=1), noise=1.0, outlier_rate=0.15, seed=2)
        outcome = triangulate(rig, seen.pixels, noise=1.0, threshold=2.5)
        left_out = ~outcome.inliers & (outcome.status == Status.OK)[:, None]
        assert (outcome.residuals[left_out] < 0.95 * 2.5).mean() < 0.002

    def test_covariance_is_left_out_when_not_asked_for_and_nothing_else_changes(self, ring: Rig) -> None:
        seen = observe(ring, make_points(300, seed=2), noise=1.0, outlier_rate=0.2, seed=3)
        with_it, without = (triangulate(ring, seen.pixels, noise=1.0, covariance=wanted) for wanted in (True, False))
        assert without.covariance is None
        np.testing.assert_array_equal(with_it.points, without.points)
        np.testing.assert_array_equal(with_it.inliers, without.inliers)

    def test_covariance_is_symmetric_and_positive(self, ring: Rig) -> None:
        seen = observe(ring, make_points(300, seed=2), noise=1.0, outlier_rate=0.2, dropout_rate=0.3, seed=3)
        outcome = triangulate(ring, seen.pixels, noise=1.0)
        assert outcome.covariance is not None
        covariance = outcome.covariance[outcome.status == Status.OK]
        np.testing.assert_array_equal(covariance, np.swapaxes(covariance, -1, -2))
        assert (np.linalg.eigvalsh(covariance) > 0).all()

    def test_the_input_is_not_changed(self, ring: Rig) -> None:
        seen = observe(ring, make_points(300, seed=2), noise=1.0, outlier_rate=0.2, dropout_rate=0.3, seed=3)
        pixels, confidence = seen.pixels.copy(), seen.confidence.copy()
        triangulate(ring, pixels, confidence)
        np.testing.assert_array_equal(pixels, seen.pixels)
        np.testing.assert_array_equal(confidence, seen.confidence)

    def test_a_rig_of_200_cameras_counts_them_all(self) -> None:
        rig = make_rig(200, lens="pinhole")
        outcome = triangulate(rig, rig.project(np.zeros((2, 3))), noise=1.0)
        np.testing.assert_array_equal(outcome.n_cameras, 200)

    def test_prepare_says_nothing_and_returns_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        prepare()
        assert capsys.readouterr() == ("", "")

    def test_every_reason_has_its_words(self) -> None:
        assert len({status.meaning for status in Status}) == len(Status) == 5


class TestInputLayouts:
    """The same numbers, laid out in memory in other ways, give the same bytes."""

    @pytest.fixture
    def seen(self) -> tuple[Rig, FLOATS, FLOATS, Triangulation]:
        rig = make_rig(5, lens="brown5", seed=5)
        seen = observe(rig, make_points((700, 30), seed=2), noise=1.0, outlier_rate=0.1, dropout_rate=0.2, seed=3)
        return rig, seen.pixels, seen.confidence, triangulate(rig, seen.pixels, seen.confidence, noise=1.0)

    @staticmethod
    def assert_equal(one: Triangulation, other: Triangulation, *, residual: float = 0.0) -> None:
        for name in ("points", "inliers", "status", "n_cameras"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        np.testing.assert_allclose(one.residuals, other.residuals, rtol=0, atol=residual)

    def test_other_strides(self, seen: tuple[Rig, FLOATS, FLOATS, Triangulation]) -> None:
        rig, pixels, confidence, expected = seen
        camera_first = np.moveaxis(np.ascontiguousarray(np.moveaxis(pixels, 2, 0)), 0, 2)
        spread = np.repeat(pixels, 2, axis=0)[::2]
        backward = np.ascontiguousarray(pixels[::-1])[::-1]
        for each in (camera_first, spread, backward, np.asfortranarray(pixels)):
            assert not each.flags.c_contiguous
            self.assert_equal(triangulate(rig, each, np.asfortranarray(confidence), noise=1.0), expected)

    def test_read_only_unaligned_and_lists(self, seen: tuple[Rig, FLOATS, FLOATS, Triangulation]) -> None:
        from calibration._triangulation_kernels import triangulate_range

        rig, pixels, confidence, expected = seen
        frozen = pixels.copy()
        frozen.setflags(write=False)
        unaligned = np.frombuffer(b"1" + pixels.tobytes(), dtype=np.float64, offset=1).reshape(pixels.shape)
        for each in (frozen, unaligned):
            self.assert_equal(triangulate(rig, each, confidence, noise=1, threshold=np.float32(4.5)), expected)
        few = triangulate(rig, pixels[:2].tolist(), confidence[:2].tolist(), noise=1.0)
        np.testing.assert_array_equal(few.points, expected.points[:2])
        assert len(triangulate_range.signatures) == 1, "another type of input was compiled anew, which takes seconds"

    def test_missing_of_a_masked_array_is_missing(self, seen: tuple[Rig, FLOATS, FLOATS, Triangulation]) -> None:
        rig, pixels, confidence, expected = seen
        hidden = np.repeat(confidence[..., None] == 0, 2, axis=-1)
        masked = np.ma.masked_array(np.nan_to_num(pixels, nan=-1.0), mask=hidden)
        self.assert_equal(triangulate(rig, masked, noise=1.0), triangulate(rig, pixels, noise=1.0))
        doubted = np.ma.masked_array(np.nan_to_num(confidence, nan=0.5), mask=hidden[..., 0])
        self.assert_equal(triangulate(rig, np.nan_to_num(pixels, nan=-1.0), doubted, noise=1.0), expected)

    @pytest.mark.parametrize("kind", ["float32", "float16", "int32", "uint16"])
    def test_other_numbers(self, kind: str) -> None:
        rig = make_rig(4)
        pixels = np.round(rig.project(make_points(50, seed=1))).astype(kind)
        outcome = triangulate(rig, pixels, np.ones((50, 4), dtype=np.float32), noise=1.0)
        np.testing.assert_array_equal(outcome.points, triangulate(rig, pixels.astype(float), noise=1.0).points)

    def test_long_and_short_axes_first(self, seen: tuple[Rig, FLOATS, FLOATS, Triangulation]) -> None:
        """Tasks are cut along whatever axis is long; the points come back in their places."""
        rig, pixels, _, _ = seen
        pixels = np.concatenate([pixels.reshape(-1, 5, 2), pixels[::-1].reshape(-1, 5, 2)])
        expected = triangulate(rig, pixels, noise=1.0)
        for shape in ((1, 42_000), (2, 21_000), (1, 2, 1, 21_000), (2, 3, 7000), (42_000, 1), (6, 7000)):
            outcome = triangulate(rig, pixels.reshape(*shape, 5, 2), noise=1.0, workers=2)
            assert outcome.points.shape == (*shape, 3)
            np.testing.assert_array_equal(outcome.points.ravel(), expected.points.ravel())
            np.testing.assert_array_equal(outcome.status.ravel(), expected.status.ravel())

    def test_the_number_of_workers_does_not_matter(self, seen: tuple[Rig, FLOATS, FLOATS, Triangulation]) -> None:
        rig, pixels, confidence, expected = seen
        for workers in (1, 2, 5):
            outcome = triangulate(rig, pixels, confidence, noise=1.0, workers=workers)
            self.assert_equal(outcome, expected)
            np.testing.assert_array_equal(outcome.covariance, expected.covariance)

    def test_a_part_of_the_input_gives_that_part_of_the_outcome(
        self, seen: tuple[Rig, FLOATS, FLOATS, Triangulation]
    ) -> None:
        rig, pixels, confidence, expected = seen
        for part in (slice(0, 1), slice(3, 4), slice(0, 350), slice(350, 700), slice(5, 700, 7)):
            outcome = triangulate(rig, pixels[part], confidence[part], noise=1.0)
            np.testing.assert_array_equal(outcome.points, expected.points[part])
            np.testing.assert_array_equal(outcome.inliers, expected.inliers[part])
            np.testing.assert_allclose(outcome.residuals, expected.residuals[part], rtol=0, atol=3e-5)
            np.testing.assert_allclose(outcome.covariance, expected.covariance[part], rtol=1e-4)


class TestReasons:
    """Every status in a case made for it, alike for both engines."""

    def test_nothing_seen(self, trio: Rig) -> None:
        assert reason(trio, np.full((3, 2), np.nan)) == Status.TOO_FEW_VIEWS

    def test_one_view(self, trio: Rig) -> None:
        pixels = trio.project(np.zeros(3))
        pixels[1:] = np.nan
        assert reason(trio, pixels) == Status.TOO_FEW_VIEWS

    def test_half_a_pixel_is_no_view(self, trio: Rig) -> None:
        pixels = trio.project(np.zeros(3))
        pixels[1, 0], pixels[2, 1] = np.nan, np.nan
        assert reason(trio, pixels) == Status.TOO_FEW_VIEWS

    def test_a_rig_of_one_camera_sees_nothing_in_depth(self, trio: Rig) -> None:
        assert reason(trio.select(["back"]), np.array([[640.0, 512.0]])) == Status.TOO_FEW_VIEWS

    def test_two_views(self, trio: Rig) -> None:
        pixels = trio.project([10.0, 20.0, 30.0])
        pixels[0] = np.nan
        assert reason(trio, pixels) == Status.OK

    @pytest.mark.parametrize("confidence", [0.0, np.nan])
    def test_no_confidence_is_no_view(self, trio: Rig, confidence: float) -> None:
        outcome = triangulate(trio, trio.project(np.zeros((1, 3))), [[1.0, confidence, confidence]], noise=1.0)
        assert outcome.status == [Status.TOO_FEW_VIEWS]
        outcome = triangulate(trio, trio.project(np.zeros((1, 3))), [[1.0, 1.0, confidence]], noise=1.0)
        np.testing.assert_array_equal(outcome.inliers, [[True, True, False]])
        assert np.isnan(outcome.residuals[0, 2])

    def test_less_confidence_than_asked_for_is_no_view(self, trio: Rig) -> None:
        confidence = [[0.5, 0.49, 0.9]]
        pixels = trio.project([[10.0, 20.0, 30.0]])
        outcome = triangulate(trio, pixels, confidence, noise=1.0, minimum_confidence=0.5)
        np.testing.assert_array_equal(outcome.inliers, [[True, False, True]])
        outcome = triangulate(trio, pixels, confidence, noise=1.0, minimum_confidence=0.6)
        assert outcome.status == [Status.TOO_FEW_VIEWS]

    def test_two_cameras_that_disagree_are_never_believed(self, ring: Rig) -> None:
        """30 px across the epipolar line, in both directions and for every pair of neighbors."""
        for first in range(7):
            pair = Rig((ring.cameras[first], ring.cameras[(first + 1) % 7]))
            points = make_points(50, seed=first)
            pixels = pair.project(points)
            along = pair.cameras[1].project(points + 0.01 * (points - pair.cameras[0].center)) - pixels[:, 1]
            along /= np.linalg.norm(along, axis=-1, keepdims=True)
            across = along[:, ::-1] * [1, -1]
            for shift in (30.0, -30.0):
                moved = pixels.copy()
                moved[:, 1] += shift * across
                status = triangulate(pair, moved, noise=1.0, threshold=5.0).status
                np.testing.assert_array_equal(status, Status.NO_CONSENSUS)
                assert (triangulate(pair, moved, noise=1.0, threshold=30.0).status == Status.OK).all()

    def test_two_pairs_that_each_agree_are_both_not_believed(self) -> None:
        rig, pixels = two_pairs()
        apart = triangulate(rig.select(["back", "top"]), pixels[1:], noise=1.0, threshold=5.0)
        assert apart.status == Status.NO_CONSENSUS, "the case needs that the other two cameras disagree"
        assert reason(rig, pixels) == Status.NO_CONSENSUS

    def test_a_pair_that_agrees_is_believed_against_a_camera_that_agrees_with_none(self, ring: Rig) -> None:
        rig = ring.select(ring.names[:3])
        pixels = rig.project([20.0, 30.0, 40.0])
        pixels[2] += [200.0, 150.0]
        for one in (0, 1):  # the case needs that the third camera agrees with neither
            pair = rig.select([rig.names[one], rig.names[2]])
            assert reason(pair, pixels[[one, 2]]) == Status.NO_CONSENSUS
        assert reason(rig, pixels) == Status.OK
        outcome = triangulate(rig, pixels, noise=1.0, threshold=5.0)
        np.testing.assert_array_equal(outcome.inliers, [True, True, False])
        np.testing.assert_allclose(outcome.points, [20.0, 30.0, 40.0], atol=1e-8)

    def test_a_large_consistent_set_beats_a_small_perfect_one(self, ring: Rig) -> None:
        """Five cameras see one point with noise, two see another one without any."""
        rng = np.random.default_rng(4)
        for _ in range(20):
            point, other = make_points(2, seed=int(rng.integers(1000)))
            pixels = ring.project(point) + rng.uniform(-1.5, 1.5, (7, 2))
            perfect = rng.permutation(7)[:2]
            pixels[perfect] = ring.project(other)[perfect]
            expected = ~np.isin(np.arange(7), perfect)
            for engine in ("numba", "numpy"):
                outcome = triangulate(ring, pixels, noise=1.0, threshold=5.0, engine=engine)
                np.testing.assert_array_equal(outcome.inliers, expected)

    def test_more_confident_cameras_count_for_more(self, ring: Rig) -> None:
        """Three sure cameras against three that hardly believe what they see themselves."""
        rig = ring.select(ring.names[:6])
        point, other = make_points(2, seed=8)
        pixels = np.concatenate([rig.project(point)[:3], rig.project(other)[3:]])
        for sure in (slice(0, 3), slice(3, 6)):
            confidence = np.full(6, 0.1)
            confidence[sure] = 1.0
            outcome = triangulate(rig, pixels, confidence, noise=1.0, threshold=5.0)
            np.testing.assert_array_equal(outcome.inliers, confidence == 1.0)

    @pytest.mark.parametrize("method", ["robust", "linear"])
    def test_parallel_rays(self, method: str) -> None:
        """Two cameras side by side that see the same pixel: a point at infinity."""
        rig = Rig((camera_at("a", (1000, 0, 0), (0, 0, 0)), camera_at("b", (1000, 50, 0), (0, 50, 0))))
        pixels = np.array([[700.0, 500.0], [700.0, 500.0]])
        assert reason(rig, pixels, method=method) == Status.PARALLEL_RAYS
        noisy = pixels + np.random.default_rng(1).normal(0, 1, (500, 2, 2))
        status = triangulate(rig, noisy, noise=1.0, threshold=5.0, method=method).status
        np.testing.assert_array_equal(status, Status.PARALLEL_RAYS)

    def test_rays_closer_than_the_smallest_angle(self) -> None:
        rig = Rig((camera_at("a", (1000, 0, 0), (0, 0, 0)), camera_at("b", (1000, 100, 0), (0, 0, 0))))
        angle = np.arctan(0.1)
        pixels = rig.project(np.zeros(3))
        assert reason(rig, pixels, minimum_angle=float(angle) * 1.01) == Status.PARALLEL_RAYS
        assert reason(rig, pixels, minimum_angle=float(angle) * 0.99) == Status.OK

    def test_cameras_that_face_each_other_do_not_fix_a_point_between_them(self, trio: Rig) -> None:
        """The angle between the rays is 180 degrees, and the depth is as open as with 0."""
        facing = trio.select(["right", "left"])
        assert reason(facing, facing.project([100.0, 0.0, 0.0])) == Status.PARALLEL_RAYS
        assert reason(facing, facing.project([100.0, 5.0, 0.0])) == Status.PARALLEL_RAYS
        assert reason(facing, facing.project([100.0, 50.0, 0.0])) == Status.OK
        assert reason(trio, trio.project([100.0, 0.0, 0.0])) == Status.OK

    @pytest.mark.parametrize("method", ["robust", "linear"])
    def test_rays_that_meet_behind_the_cameras(self, method: str) -> None:
        """Two cameras side by side whose rays diverge by 16 degrees."""
        rig = Rig((camera_at("a", (1000, 0, 0), (0, 0, 0)), camera_at("b", (1000, 200, 0), (0, 200, 0))))
        diverging = np.array([[500.0, 512.0], [780.0, 512.0]])
        assert reason(rig, diverging, method=method) == Status.BEHIND_CAMERA
        assert reason(rig, diverging[::-1], method=method) == Status.OK

    @pytest.mark.parametrize("others", [2, 3])
    def test_a_camera_that_the_point_is_behind_cannot_have_seen_it(self, trio: Rig, others: int) -> None:
        """One more camera stands before the point and looks away, and reports the mirrored pixel."""
        rig = Rig((*trio.cameras[:others], AWAY))
        pixels = np.concatenate([rig.project(POINT)[:-1], mirrored(AWAY, POINT)[None]])
        assert reason(rig, pixels) == Status.OK
        for engine in ("numba", "numpy"):
            outcome = triangulate(rig, pixels, noise=1.0, threshold=5.0, engine=engine)
            np.testing.assert_array_equal(outcome.inliers, [True] * others + [False])
            assert np.isnan(outcome.residuals[-1]), "there is no projection behind a camera"

    def test_a_camera_that_the_point_is_behind_does_not_decide_between_two_pairs(self) -> None:
        """As two pairs that each agree, with a camera that looks away and reports the mirror of one of the points."""
        rig, pixels = two_pairs()
        rig = Rig((*rig.cameras, AWAY))
        for one in (rig["right"].center * 0.1, rig["right"].center * -0.1):
            assert reason(rig, np.concatenate([pixels, mirrored(AWAY, one)[None]])) == Status.NO_CONSENSUS

    @pytest.mark.parametrize("depth", [0.0, 1e-25, -1e-25])
    def test_an_unseen_camera_may_have_the_point_in_its_focal_plane(self, depth: float) -> None:
        """Its projection is infinite or next to it, and must not spoil the others."""
        lens = BrownConrady(np.array([[1000.0, 0, 640], [0, 1000, 512], [0, 0, 1]]), [-0.1, 0.01, 0, 0, 0.001])
        flat = Camera("c", (1280, 1024), lens, RigidTransform(np.eye(3), [30.0, 20.0, depth]))
        rig = Rig((camera_at("a", (1000, 0, 0), (0, 0, 0)), camera_at("b", (0, 1000, 0), (0, 0, 0)), flat))
        pixels = rig.project(np.zeros(3))
        pixels[2] = np.nan
        for engine in ("numba", "numpy"):
            for method in ("robust", "linear"):
                outcome = triangulate(rig, pixels, noise=1.0, threshold=5.0, engine=engine, method=method)
                np.testing.assert_allclose(outcome.points, 0.0, atol=1e-9)
                np.testing.assert_allclose(outcome.covariance, np.diag([1.0, 1.0, 0.5]), atol=1e-9)

    def test_a_pixel_without_a_ray_is_not_seen(self) -> None:
        """Barrel distortion of a radius of at most 1.15 * 2 / 3 reaches 767 px from the center."""
        matrix = np.array([[1000.0, 0, 640], [0, 1000, 512], [0, 0, 1]])
        lens = BrownConrady(matrix, [-0.25, 0, 0, 0])
        rig = Rig(tuple(camera_at(n, c, (0, 0, 0), lens=lens) for n, c in (("a", (900, 0, 0)), ("b", (0, 900, 0)))))
        inside, outside = 2 / 3 * np.sqrt(4 / 3) * 1000 * 0.999, 2 / 3 * np.sqrt(4 / 3) * 1000 * 1.001
        pixels = np.array([[640.0, 512.0], [640.0, 512.0 + outside]])
        assert reason(rig, pixels) == Status.TOO_FEW_VIEWS
        pixels[1, 1] = 512.0 + inside
        assert reason(rig, pixels) != Status.TOO_FEW_VIEWS

    def test_the_linear_method_uses_every_camera(self, ring: Rig) -> None:
        pixels = ring.project([20.0, 30.0, 40.0])
        pixels[3] += 50.0
        outcome = triangulate(ring, pixels, method="linear", noise=1.0)
        assert outcome.inliers.all()
        assert outcome.residuals.max() > 20

    @pytest.mark.parametrize("cameras", [3, 9, 20])
    def test_noise_alone_never_looks_like_a_consensus_of_many(self, cameras: int) -> None:
        rig = make_rig(cameras, seed=1)
        pixels = np.random.default_rng(2).uniform(0, 1000, (2000, cameras, 2))
        outcome = triangulate(rig, pixels, noise=1.0, threshold=5.0)
        assert (outcome.n_cameras <= 2 if cameras == 3 else outcome.n_cameras <= 5).all()
        assert (outcome.status == Status.NO_CONSENSUS).mean() > 0.6


class TestRefusals:
    """Bad input is refused by name, with what was expected, what was found, and what to do."""

    @pytest.fixture
    def rig(self) -> Rig:
        return make_rig(3)

    @staticmethod
    def refused(call: Callable[[], object], kind: type[SuiteError] = InvalidValueError) -> SuiteError:
        with pytest.raises(kind) as caught:
            call()
        error = caught.value
        assert all([error.subject, error.expected, error.got, error.remedy])
        assert all(part in str(error) for part in (error.subject, error.expected, error.got, error.remedy))
        return error

    def test_another_number_of_cameras(self, rig: Rig) -> None:
        error = self.refused(lambda: triangulate(rig, np.zeros((5, 4, 2))), MismatchError)
        assert "cam_1, cam_2, cam_3" in error.expected
        assert "(5, 4, 2)" in error.got
        self.refused(lambda: estimate_noise(rig, np.zeros((5, 4, 2))), MismatchError)

    @pytest.mark.parametrize("shape", [(), (2,), (5, 3), (5, 3, 3), (5, 3, 1)])
    def test_shapes_of_pixels(self, rig: Rig, shape: tuple[int, ...]) -> None:
        assert "pixels" in self.refused(lambda: triangulate(rig, np.zeros(shape))).subject

    @pytest.mark.parametrize("value", [np.inf, -np.inf])
    @pytest.mark.parametrize("missing", [True, False])
    def test_infinite_pixels(self, rig: Rig, value: float, missing: bool) -> None:
        pixels = rig.project(make_points(10))
        pixels[4, 1, 0] = value
        if missing:
            pixels[3, 0] = np.nan
        assert "1 infinities" in self.refused(lambda: triangulate(rig, pixels, noise=1.0)).got

    def test_no_numbers(self, rig: Rig) -> None:
        for pixels in ("here", [[["a", "b"]] * 3], [[1.0, 2.0], [1.0], [2.0]], np.zeros((5, 3, 2), dtype=complex)):
            self.refused(lambda pixels=pixels: triangulate(rig, pixels))

    @pytest.mark.parametrize("shape", [(5,), (5, 4), (5, 3, 1), (3, 5), ()])
    def test_shapes_of_confidence(self, rig: Rig, shape: tuple[int, ...]) -> None:
        assert "confidence" in self.refused(lambda: triangulate(rig, np.zeros((5, 3, 2)), np.ones(shape))).subject

    @pytest.mark.parametrize("value", [-0.1, 1.1, np.inf, -np.inf])
    def test_confidence_out_of_range(self, rig: Rig, value: float) -> None:
        confidence = np.full((5, 3), 0.5)
        confidence[0, 0], confidence[2, 1] = np.nan, value
        assert "[0, 1]" in self.refused(lambda: triangulate(rig, np.zeros((5, 3, 2)), confidence)).expected

    @pytest.mark.parametrize(
        "settings",
        [
            {"method": "ransac"},
            {"engine": "fortran"},
            {"workers": 0},
            {"workers": -1},
            {"workers": 1.5},
            {"threshold": 0.0},
            {"threshold": -1.0},
            {"threshold": np.nan},
            {"threshold": np.inf},
            {"noise": 0.0},
            {"noise": -1.0},
            {"noise": np.nan},
            {"noise": (1.0, 2.0)},
            {"noise": (1.0, 1.0, 0.0)},
            {"noise": ((1.0,), (1.0,), (1.0,))},
            {"minimum_confidence": -0.1},
            {"minimum_confidence": 1.1},
            {"minimum_confidence": np.nan},
            {"minimum_angle": -0.1},
            {"minimum_angle": np.pi / 2},
            {"minimum_angle": np.nan},
            {"seed": -1},
            {"seed": 0.5},
        ],
    )
    def test_settings(self, rig: Rig, settings: dict[str, object]) -> None:
        (name,) = settings
        assert name in self.refused(lambda: triangulate(rig, np.zeros((5, 3, 2)), **settings)).subject

    def test_noise_of_another_number_of_cameras_in_the_settings(self, rig: Rig) -> None:
        settings = TriangulationSettings(noise=(1.0, 2.0))
        assert (
            "one per camera"
            in self.refused(lambda: estimate_noise(rig, np.zeros((5, 3, 2)), settings=settings)).expected
        )


class TestNoiseIsGivenOrLearned:
    def test_given_noise_sets_the_threshold(self, ring: Rig) -> None:
        pixels = ring.project(make_points(5))
        assert triangulate(ring, pixels, noise=2.0).noise.threshold == pytest.approx(9.0)
        assert triangulate(ring, pixels, noise=(1, 1, 1, 1, 1, 1, 3)).noise.threshold == pytest.approx(13.5)
        assert triangulate(ring, pixels, noise=0.01).noise.threshold == 1.0
        assert triangulate(ring, pixels, noise=2.0, threshold=3.0).noise.threshold == 3.0

    def test_too_little_to_learn_from(self) -> None:
        rig = make_rig(3)
        noise = estimate_noise(rig, rig.project(make_points(5)))
        assert isinstance(noise, Noise)
        assert noise.threshold == 10.0
        nothing = estimate_noise(rig, np.full((5, 3, 2), np.nan))
        np.testing.assert_array_equal(nothing.sigma, 1.0)
        np.testing.assert_array_equal(nothing.freedom, 0.0)

    def test_the_outcome_carries_what_was_used(self, ring: Rig) -> None:
        seen = observe(ring, make_points(1000), noise=1.0, outlier_rate=0.1)
        learned = estimate_noise(ring, seen.pixels)
        used = triangulate(ring, seen.pixels).noise
        np.testing.assert_array_equal(used.sigma, learned.sigma)
        assert used.threshold == learned.threshold
        again = triangulate(ring, seen.pixels, noise=tuple(learned.sigma), threshold=learned.threshold)
        np.testing.assert_array_equal(again.points, triangulate(ring, seen.pixels).points)

    def test_the_sample_is_taken_from_everywhere(self) -> None:
        """Half of the keypoints are good, half are bad, in order or in turn: no layout may hide the bad half."""
        rig = make_rig(4)
        for bad in (slice(100, None), slice(1, None, 2)):
            deviation = np.ones((200, 200, 1))
            deviation[:, bad] = 3.0
            seen = observe(rig, make_points((200, 200), seed=1), noise=deviation, seed=2)
            for pixels in (seen.pixels, seen.pixels.swapaxes(0, 1), seen.pixels.reshape(1, -1, 4, 2)):
                sigma = estimate_noise(rig, pixels, settings=TriangulationSettings(threshold=30.0)).sigma
                np.testing.assert_allclose(sigma, np.sqrt((1 + 9) / 2), rtol=0.03)
