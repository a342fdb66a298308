"""A lens is one-to-one on its valid disc, is inverted there to 1e-9 px, and gives no number beyond."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibration.lens import BrownConrady, Fisheye, Lens
from tests.laws.strategies import COUNTS, brown_conrady_lenses, fisheye_lenses, inside, lenses, points

MODELS = [pytest.param(brown_conrady_lenses((count,)), id=f"{count} coefficients") for count in COUNTS]
MODELS.append(pytest.param(fisheye_lenses(), id="fisheye"))

every_model = pytest.mark.parametrize("model", MODELS)
fewer = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@every_model
@fewer
@given(data=st.data())
def test_undistort_finds_what_was_distorted(model: st.SearchStrategy[Lens], data: st.DataObject) -> None:
    lens = data.draw(model)
    normalized = data.draw(inside(lens))
    pixels = lens.distort(normalized)
    back = lens.undistort(pixels)
    assert np.isfinite(back).all()
    np.testing.assert_allclose(lens.distort(back), pixels, rtol=0, atol=1e-9)
    # The same point, not another that looks alike: off by no more than 1e-9 px and the slope there explain.
    slope = np.linalg.norm(lens.jacobian(normalized), -2, axis=(-2, -1))
    assert (np.linalg.norm(back - normalized, axis=-1) * slope <= 1e-8).all()


@every_model
@fewer
@given(data=st.data())
def test_whatever_undistort_returns_maps_back(model: st.SearchStrategy[Lens], data: st.DataObject) -> None:
    lens = data.draw(model)
    pixels = lens.camera_matrix[:2, 2] + data.draw(points(2, 4.0)) * lens.camera_matrix[0, 0]
    normalized = lens.undistort(pixels)
    found = np.isfinite(normalized).all(-1)
    np.testing.assert_allclose(lens.distort(normalized[found]), pixels[found], rtol=0, atol=1e-9)
    assert (np.hypot(*normalized[found].T) <= lens.valid_radius).all()
    assert np.isnan(normalized[~found]).all()


@every_model
@fewer
@given(data=st.data())
def test_two_points_of_the_valid_disc_have_two_images(model: st.SearchStrategy[Lens], data: st.DataObject) -> None:
    lens = data.draw(model)
    plain = (
        Fisheye(np.eye(3), lens.coefficients)
        if isinstance(lens, Fisheye)
        else BrownConrady(np.eye(3), lens.coefficients[:12])
    )  # without the tilt, which is one-to-one by itself
    a = data.draw(inside(lens, share=1.0))
    b = a[::-1]
    # A monotone map: images of two points never lie the other way round.
    product = ((plain.distort(a) - plain.distort(b)) * (a - b)).sum(-1)
    apart = np.linalg.norm(a - b, axis=-1) > 1e-6
    assert (product[apart] > 0).all()


@every_model
@fewer
@given(data=st.data())
def test_the_jacobian_is_the_slope(model: st.SearchStrategy[Lens], data: st.DataObject) -> None:
    lens = data.draw(model)
    normalized = data.draw(inside(lens, share=0.9))
    step = 1e-5 * min(1.0, lens.valid_radius)
    columns = [(lens.distort(normalized + d) - lens.distort(normalized - d)) / (2 * step) for d in step * np.eye(2)]
    jacobian = lens.jacobian(normalized)
    # Central differences: rounding of pixels / step, and step^2 times the third derivative, which a pole makes large.
    third = np.linalg.norm(jacobian, axis=(-2, -1)) / (0.1 * min(1.0, lens.valid_radius)) ** 2
    tolerance = 1e-12 * 20 * lens.camera_matrix[0, 0] / step + 10 * step**2 * third
    assert (np.abs(np.stack(columns, axis=-1) - jacobian).max(axis=(-2, -1)) <= tolerance).all()
    assert (np.linalg.det(jacobian) > 0).all()


@given(lenses(), st.floats(0, 2 * np.pi), st.floats(1 + 1e-9, 1e6))
def test_beyond_the_valid_radius_there_is_no_pixel(lens: Lens, angle: float, excess: float) -> None:
    normalized = excess * lens.valid_radius * np.array([np.cos(angle), np.sin(angle)])
    assert np.isnan(lens.distort(normalized)).all()


@given(lenses(), st.floats(0, 2 * np.pi), st.floats(1e-4, 10))
def test_outside_the_image_of_the_valid_disc_there_is_no_ray(lens: Lens, angle: float, excess: float) -> None:
    directions = np.linspace(0, 2 * np.pi, 720)
    edge = 0.999999 * lens.valid_radius * np.stack([np.cos(directions), np.sin(directions)], axis=-1)
    center = lens.distort(np.zeros(2))
    reach = np.linalg.norm(lens.distort(edge) - center, axis=-1).max()
    pixel = center + (1 + excess) * reach * np.array([np.cos(angle), np.sin(angle)])
    assert np.isnan(lens.undistort(pixel)).all()


@given(lenses(), points(2, 3000.0))
def test_one_pixel_at_a_time_gives_the_same(lens: Lens, pixels: NDArray[np.float64]) -> None:
    together = lens.undistort(pixels)
    for pixel, normalized in zip(pixels, together, strict=True):
        np.testing.assert_allclose(lens.undistort(pixel), normalized, rtol=1e-9, atol=1e-12)


@given(brown_conrady_lenses((14,)))
def test_missing_coefficients_are_zeros(lens: BrownConrady) -> None:
    normalized = np.random.default_rng(0).uniform(-0.3, 0.3, (20, 2))
    for count in COUNTS:
        short = BrownConrady(lens.camera_matrix, lens.coefficients[:count])
        padded = BrownConrady(lens.camera_matrix, short.padded_coefficients)
        np.testing.assert_array_equal(short.distort(normalized), padded.distort(normalized))
        assert short.valid_radius == padded.valid_radius
