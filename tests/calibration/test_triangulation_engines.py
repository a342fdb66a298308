"""The compiled kernels and the plain NumPy reference are the same method, written twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.lens import BrownConrady, Fisheye
from calibration.rig import Rig
from calibration.synthetic import LENSES, make_points, make_rig, observe
from calibration.triangulation import Status, Triangulation, estimate_noise, triangulate

# Both take the same steps, so points differ by rounding only. Residuals and covariances are those before the last
# step, which moves a pixel by less than 1e-5 px; the kernels take them a step later where a neighbor still moves.
SAME_PIXEL = 1e-9
SAME_RESIDUAL = 3e-5
POINTS = 120


def assert_same(rig: Rig, one: Triangulation, other: Triangulation) -> None:
    """Equal decisions everywhere; points, residuals and covariances equal up to the convergence of the polish."""
    np.testing.assert_array_equal(one.status, other.status)
    np.testing.assert_array_equal(one.inliers, other.inliers)
    np.testing.assert_array_equal(one.n_cameras, other.n_cameras)
    np.testing.assert_array_equal(np.isnan(one.points), np.isnan(other.points))
    np.testing.assert_allclose(rig.project(one.points), rig.project(other.points), rtol=1e-12, atol=SAME_PIXEL)
    np.testing.assert_allclose(one.residuals, other.residuals, rtol=1e-8, atol=SAME_RESIDUAL)
    assert one.covariance is not None
    assert other.covariance is not None
    scale = np.trace(other.covariance, axis1=-2, axis2=-1)[..., None, None]
    np.testing.assert_allclose(one.covariance / scale, other.covariance / scale, rtol=0, atol=1e-6)


def with_skew(rig: Rig, skew: float) -> Rig:
    """The same cameras with a sheared pixel grid."""
    cameras = []
    for camera in rig:
        matrix = np.array(camera.lens.camera_matrix)
        matrix[0, 1] = skew
        cameras.append(replace(camera, lens=type(camera.lens)(matrix, camera.lens.coefficients)))
    return Rig(tuple(cameras), unit=rig.unit)


def both(
    rig: Rig, pixels: NDArray[np.float64], confidence: NDArray[np.float64] | None, **settings: object
) -> tuple[Triangulation, Triangulation]:
    engines: tuple[Literal["numba"], Literal["numpy"]] = ("numba", "numpy")
    compiled, plain = (triangulate(rig, pixels, confidence, engine=engine, **settings) for engine in engines)
    return compiled, plain


@pytest.mark.parametrize("method", ["robust", "linear"])
@pytest.mark.parametrize("lens", LENSES)
def test_the_engines_agree_for_every_lens_and_number_of_cameras(lens: str, method: str) -> None:
    for cameras in range(2, 13):
        rig = make_rig(cameras, lens=lens, seed=cameras)
        seen = observe(rig, make_points(POINTS, seed=cameras), noise=1.0, outlier_rate=0.15, dropout_rate=0.2, seed=1)
        confidence = seen.confidence.copy()
        confidence[::7] = np.nan
        compiled, plain = both(rig, seen.pixels, confidence, method=method, noise=1.0, threshold=6.0)
        assert_same(rig, compiled, plain)
        assert (compiled.status == Status.OK).mean() > 0.2


def test_the_engines_agree_on_a_rig_of_all_lenses_with_skew_and_uneven_noise() -> None:
    mixed = Rig(tuple(make_rig(len(LENSES), lens=lens).cameras[i] for i, lens in enumerate(LENSES)))
    rig = with_skew(mixed, 4.0)
    noise = np.linspace(0.5, 2.0, len(rig))
    seen = observe(rig, make_points(400, seed=3), noise=noise, outlier_rate=0.2, dropout_rate=0.3, seed=4)
    compiled, plain = both(
        rig, seen.pixels, seen.confidence, noise=tuple(noise), threshold=8.0, minimum_confidence=0.2, minimum_angle=0.3
    )
    assert_same(rig, compiled, plain)
    found = compiled.status == Status.OK
    assert found.mean() > 0.5
    assert set(np.unique(compiled.status)) >= {Status.OK, Status.TOO_FEW_VIEWS, Status.NO_CONSENSUS}


@pytest.mark.parametrize("rate", [0.3, 0.5, 0.8])
def test_the_engines_agree_where_most_is_wrong(rate: float) -> None:
    rig = make_rig(6, seed=2)
    seen = observe(rig, make_points(600, seed=5), noise=1.0, outlier_rate=rate, dropout_rate=0.2, seed=6)
    compiled, plain = both(rig, seen.pixels, None, noise=1.0, threshold=5.0)
    assert_same(rig, compiled, plain)
    assert (compiled.status == Status.NO_CONSENSUS).any()


def test_the_engines_agree_on_why_a_point_of_two_cameras_is_missing() -> None:
    """Pixels drawn at random in two cameras side by side: rays diverge, are parallel, cross, or pass each other."""
    rig = make_rig(12, lens="brown5").select(["cam_1", "cam_2"])
    pixels = np.random.default_rng(7).uniform(0, 1000, (3000, 2, 2))
    for method in ("robust", "linear"):
        compiled, plain = both(rig, pixels, None, method=method, noise=1.0, threshold=5.0, minimum_angle=0.2)
        np.testing.assert_array_equal(compiled.status, plain.status)
        assert len(np.unique(compiled.status)) >= 3


@pytest.mark.parametrize("lens", LENSES)
def test_the_engines_agree_beyond_the_edge_of_the_lens(lens: str) -> None:
    """Pixels far outside the image, where some lenses have no ray."""
    rig = make_rig(4, lens=lens)
    pixels = np.random.default_rng(8).uniform(-3000, 4000, (1000, 4, 2))
    compiled, plain = both(rig, pixels, None, noise=1.0, threshold=5.0)
    np.testing.assert_array_equal(compiled.status, plain.status)


@pytest.mark.parametrize("lens", LENSES)
def test_a_pixel_is_seen_exactly_where_the_lens_has_a_ray(lens: str) -> None:
    """The first camera sees the whole plane, the second one its principal point: two views where there is a ray."""
    rig = make_rig(2, lens=lens)
    pixels = np.random.default_rng(9).uniform(-3000, 4000, (2000, 2, 2))
    pixels[:, 1] = rig.cameras[1].lens.camera_matrix[:2, 2]
    has_ray = np.isfinite(rig.cameras[0].lens.undistort(pixels[:, 0])).all(-1)
    seen = triangulate(rig, pixels, noise=1.0, threshold=5.0).status != Status.TOO_FEW_VIEWS
    np.testing.assert_array_equal(seen, has_ray)


def test_both_engines_learn_the_same_noise() -> None:
    rig = make_rig(5, lens="brown8")
    seen = observe(rig, make_points(800, seed=9), noise=[0.5, 1, 1, 1, 2], outlier_rate=0.1, dropout_rate=0.2, seed=10)
    compiled = estimate_noise(rig, seen.pixels, seen.confidence)
    plain = estimate_noise(rig, seen.pixels, seen.confidence, engine="numpy")
    np.testing.assert_allclose(compiled.sigma, plain.sigma, rtol=1e-6)
    np.testing.assert_allclose(compiled.threshold, plain.threshold, rtol=1e-6)
    np.testing.assert_allclose(compiled.freedom, plain.freedom, rtol=1e-6)


def test_the_rigs_of_these_tests_have_the_lenses_they_say() -> None:
    kinds = {type(make_rig(2, lens=lens).cameras[0].lens) for lens in LENSES}
    assert kinds == {BrownConrady, Fisheye}
