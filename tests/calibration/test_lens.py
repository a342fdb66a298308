"""Lenses: equal to OpenCV's, and honest where the model folds or has a pole. Laws: tests/laws/test_lens.py."""

import pickle

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.lens import BrownConrady, Fisheye, Lens

MATRIX = np.array([[1200.0, 0.0, 640.0], [0.0, 1180.0, 360.0], [0.0, 0.0, 1.0]])
SKEWED = MATRIX + np.array([[0, 7.0, 0], [0, 0, 0], [0, 0, 0]])
COUNTS = (0, 4, 5, 8, 12, 14)
LARGEST = np.array([0.4, 0.2, 0.005, 0.005, 0.1, 0.2, 0.1, 0.05, 0.01, 0.005, 0.01, 0.005, 0.05, 0.05])


def brown_conrady_lenses(count: int, matrix: NDArray[np.float64] = SKEWED, many: int = 20) -> list[BrownConrady]:
    generator = np.random.default_rng(count)
    return [BrownConrady(matrix, (generator.uniform(-1, 1, 14) * LARGEST)[:count]) for _ in range(many)]


def fisheye_lenses(matrix: NDArray[np.float64] = SKEWED, many: int = 20) -> list[Fisheye]:
    generator = np.random.default_rng(99)
    return [Fisheye(matrix, generator.uniform(-1, 1, 4) * [0.2, 0.1, 0.05, 0.02]) for _ in range(many)]


def disc(radius: float, count: int = 400) -> NDArray[np.float64]:
    generator = np.random.default_rng(5)
    r, angle = radius * np.sqrt(generator.uniform(0, 1, count)), generator.uniform(0, 2 * np.pi, count)
    return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=-1)


def opencv_pixels(lens: Lens, normalized: NDArray[np.float64]) -> NDArray[np.float64]:
    """By OpenCV, which knows no skew in the one model and has an argument for it in the other."""
    plain, skew = lens.camera_matrix.copy(), lens.camera_matrix[0, 1]
    plain[0, 1] = 0
    if isinstance(lens, Fisheye):
        shaped = normalized.reshape(-1, 1, 2)
        return cv2.fisheye.distortPoints(shaped, plain, lens.coefficients, alpha=skew / plain[0, 0]).reshape(-1, 2)
    objects = np.concatenate([normalized, np.ones((len(normalized), 1))], axis=-1)
    coefficients = lens.coefficients if len(lens.coefficients) else None
    pixels = cv2.projectPoints(objects, np.zeros(3), np.zeros(3), plain, coefficients)[0].reshape(-1, 2)
    pixels[:, 0] += skew * (pixels[:, 1] - plain[1, 2]) / plain[1, 1]
    return pixels


class TestEqualToOpenCV:
    @pytest.mark.parametrize("count", COUNTS)
    def test_distortion(self, count: int) -> None:
        for lens in brown_conrady_lenses(count):
            normalized = disc(min(0.95 * lens.valid_radius, 0.9))
            np.testing.assert_allclose(lens.distort(normalized), opencv_pixels(lens, normalized), rtol=0, atol=1e-10)

    def test_fisheye_distortion(self) -> None:
        for lens in fisheye_lenses():
            normalized = disc(min(0.95 * lens.valid_radius, 4.0))
            np.testing.assert_allclose(lens.distort(normalized), opencv_pixels(lens, normalized), rtol=0, atol=1e-10)

    @pytest.mark.parametrize("count", COUNTS)
    def test_undistortion_where_that_of_opencv_converges(self, count: int) -> None:
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 500, 1e-15)
        compared = 0
        for lens in brown_conrady_lenses(count, MATRIX):
            pixels = lens.distort(disc(min(0.8 * lens.valid_radius, 0.5)))
            coefficients = lens.coefficients if count else None
            if hasattr(cv2, "undistortPointsIter"):  # OpenCV 4
                found = cv2.undistortPointsIter(pixels, MATRIX, coefficients, None, None, criteria).reshape(-1, 2)
            else:
                found = cv2.undistortPoints(pixels, MATRIX, coefficients, criteria=criteria).reshape(-1, 2)
            converged = np.linalg.norm(lens.distort(found) - pixels, axis=-1) < 1e-9
            compared += int(converged.sum())
            np.testing.assert_allclose(lens.undistort(pixels)[converged], found[converged], rtol=0, atol=1e-11)
        assert compared > 0.9 * 20 * 400

    def test_fisheye_undistortion_where_that_of_opencv_converges(self) -> None:
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 500, 1e-15)
        compared = 0
        for lens in fisheye_lenses(MATRIX):
            pixels = lens.distort(disc(min(0.8 * lens.valid_radius, 3.0)))
            shaped = pixels.reshape(-1, 1, 2)
            found = cv2.fisheye.undistortPoints(shaped, MATRIX, lens.coefficients, criteria=criteria).reshape(-1, 2)
            converged = np.linalg.norm(lens.distort(found) - pixels, axis=-1) < 1e-9
            compared += int(converged.sum())
            np.testing.assert_allclose(lens.undistort(pixels)[converged], found[converged], rtol=0, atol=1e-10)
        assert compared > 0.5 * 20 * 400

    @pytest.mark.parametrize("count", [4, 5, 8, 12, 14])
    def test_jacobian(self, count: int) -> None:
        # OpenCV gives the derivative by the translation: at depth 1 the first two columns are ours.
        for lens in brown_conrady_lenses(count, MATRIX, many=5):
            normalized = disc(min(0.9 * lens.valid_radius, 0.9), 50)
            objects = np.concatenate([normalized, np.ones((50, 1))], axis=-1)
            derivatives = cv2.projectPoints(objects, np.zeros(3), np.zeros(3), MATRIX, lens.coefficients)[1]
            expected = derivatives[:, 3:5].reshape(50, 2, 2)
            np.testing.assert_allclose(lens.jacobian(normalized), expected, rtol=1e-10, atol=1e-8)


class TestValidRadius:
    """Where the model stops being one-to-one, by hand."""

    @pytest.mark.parametrize("k1", [-0.5, -0.3, -0.05])
    def test_a_barrel_ends_at_its_turning_point(self, k1: float) -> None:
        lens = BrownConrady(MATRIX, [k1, 0, 0, 0])
        turning = np.sqrt(-1 / (3 * k1))  # d/dr (r + k1 r^3) = 0
        assert lens.valid_radius == pytest.approx(turning, rel=1e-8)
        largest = turning * (1 + k1 * turning**2)
        assert np.isnan(lens.distort([1.01 * turning, 0])).all()
        assert np.isfinite(lens.distort([0.99 * turning, 0])).all()
        assert np.isnan(lens.undistort(lens._to_pixels(np.array([1.01 * largest, 0])))).all()
        assert np.isfinite(lens.undistort(lens._to_pixels(np.array([0.999 * largest, 0])))).all()

    def test_the_image_of_the_other_side_of_a_fold_is_not_taken_for_its_own(self) -> None:
        lens = BrownConrady(MATRIX, [-0.5, 0, 0, 0])
        far = np.array([1.2, 0.0])  # beyond the fold, with an image inside
        pixel = lens._to_pixels(lens._distort_normalized(far))
        near = lens.undistort(pixel)
        assert np.linalg.norm(near) < lens.valid_radius
        np.testing.assert_allclose(lens.distort(near), pixel, rtol=0, atol=1e-9)
        assert np.isnan(lens.distort(far)).all()

    @pytest.mark.parametrize("coefficients", [[], [0] * 5, [0.3, 0.1, 0, 0], [0.2, 0, 0, 0, 0, 0.1, 0, 0]])
    def test_a_growing_model_ends_at_85_degrees(self, coefficients: list[float]) -> None:
        lens = BrownConrady(MATRIX, coefficients)
        assert np.degrees(np.arctan(lens.valid_radius)) == pytest.approx(85, abs=0.01)
        back = lens.undistort(lens.distort([lens.valid_radius * 0.999, 0]))
        np.testing.assert_allclose(back, [lens.valid_radius * 0.999, 0], rtol=1e-9)

    def test_a_rational_model_ends_before_its_pole(self) -> None:
        lens = BrownConrady(MATRIX, [0, 0, 0, 0, 0, -1, 0, 0])  # r / (1 - r^2)
        assert lens.valid_radius == pytest.approx(1, rel=1e-8)
        assert lens.valid_radius < 1
        assert np.isnan(lens.distort([1.5, 0])).all()  # a finite number of the other branch
        np.testing.assert_allclose(lens.undistort(lens.distort([0.99, 0.01])), [0.99, 0.01], rtol=1e-9)

    def test_a_pole_of_even_order_counts_too(self) -> None:
        assert BrownConrady(MATRIX, [0, 0, 0, 0, 0, -2, 1, 0]).valid_radius == pytest.approx(1, rel=1e-6)  # (1 - r^2)^2

    def test_a_turning_point_before_the_pole_comes_first(self) -> None:
        # r (1 - 2 r^2) / (1 - r^2): slope (1 - 5 s + 2 s^2) / (1 - s)^2 with s = r^2
        lens = BrownConrady(MATRIX, [-2, 0, 0, 0, 0, -1, 0, 0])
        assert lens.valid_radius == pytest.approx(np.sqrt((5 - np.sqrt(17)) / 4), rel=1e-8)

    def test_the_decentering_shortens_it(self) -> None:
        plain, decentered = BrownConrady(MATRIX, [-0.3, 0, 0, 0]), BrownConrady(MATRIX, [-0.3, 0, 0.02, 0.03])
        assert decentered.valid_radius < plain.valid_radius
        # exact in the worst direction: 1 - 0.9 r^2 = 6 |p| r
        p = np.hypot(0.02, 0.03)
        assert decentered.valid_radius == pytest.approx((-6 * p + np.sqrt(36 * p**2 + 3.6)) / 1.8, rel=1e-5)
        direction = -np.array([0.03, 0.02]) / p
        at = direction * decentered.valid_radius
        assert np.linalg.det(decentered.jacobian(0.999 * at)) > 0 > np.linalg.det(decentered.jacobian(1.001 * at))

    def test_the_prism_shortens_it(self) -> None:
        prism = BrownConrady(MATRIX, [-0.3, 0, 0, 0, 0, 0, 0, 0, 0.1, 0, 0, 0])
        assert prism.valid_radius == pytest.approx((-0.2 + np.sqrt(0.04 + 3.6)) / 1.8, rel=1e-5)

    def test_the_horizon_of_a_tilted_sensor_ends_it(self) -> None:
        tilted = BrownConrady(MATRIX, [0] * 13 + [1.2])
        assert tilted.valid_radius < 1
        edge = 0.9999 * tilted.valid_radius * np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
        assert np.isfinite(tilted.distort(edge)).all()
        assert (np.linalg.det(tilted.jacobian(edge)) > 0).all()
        np.testing.assert_allclose(tilted.undistort(tilted.distort(edge * 0.99)), edge * 0.99, rtol=1e-9, atol=1e-12)

    def test_a_fisheye_ends_where_its_angle_turns(self) -> None:
        lens = Fisheye(MATRIX, [-0.2, 0, 0, 0])
        assert np.arctan(lens.valid_radius) == pytest.approx(np.sqrt(1 / 0.6), rel=1e-8)
        assert np.degrees(np.arctan(Fisheye(MATRIX, [0.1, 0, 0, 0]).valid_radius)) == pytest.approx(89.94, abs=0.01)

    @pytest.mark.parametrize("leading", [1e-3, 1e-9, 1e-17, 1e-40, 1e-200, 1e-308])
    def test_coefficients_that_vanish_do_no_harm(self, leading: float) -> None:
        lens = BrownConrady(MATRIX, [-0.3, 0, 0, 0, leading, 0, 0, leading])
        assert lens.valid_radius == pytest.approx(np.sqrt(1 / 0.9), rel=0.01)
        assert Fisheye(MATRIX, [-0.2, 0, 0, leading]).valid_radius > 1


@pytest.mark.parametrize(
    "coefficients",
    [
        pytest.param([0.5, -0.3, 0, 0], id="moustache: the distorted radius is beyond the valid one"),
        pytest.param([0.4, 0.1, 0.005, -0.005, 0.05], id="pincushion"),
        pytest.param([-0.5, 0.25, 0.003, -0.002, -0.05], id="strong barrel"),
        pytest.param([9.1, 4.4, 1e-4, -2e-4, 0.2, 9.4, 7.6, 1.3], id="rational with large coefficients"),
        pytest.param([-0.2, 0.1, 5e-3, 5e-3, 0, 0, 0, 0, 0.02, -0.01, 0.02, -0.01, 0.1, -0.1], id="all terms"),
    ],
)
def test_every_lens_is_undone_to_the_edge(coefficients: list[float]) -> None:
    lens = BrownConrady(MATRIX, coefficients)
    normalized = disc(0.999 * min(lens.valid_radius, 2.0), 2000)
    back = lens.undistort(lens.distort(normalized))
    np.testing.assert_allclose(lens.distort(back), lens.distort(normalized), rtol=0, atol=1e-9)
    np.testing.assert_allclose(back, normalized, rtol=0, atol=1e-9)


@pytest.mark.parametrize("lens", [BrownConrady(MATRIX), BrownConrady(MATRIX, LARGEST), Fisheye(MATRIX)])
def test_missing_and_absurd_input_gives_nan_without_a_sound(lens: Lens) -> None:
    for value in (np.nan, np.inf, -np.inf, 1e300, 1e20):
        assert np.isnan(lens.distort([[value, 0], [0, value], [value, value]])).all()
        assert np.isnan(lens.undistort([[value, 0], [0, value], [value, value]])).all()
    mixed = lens.undistort([[np.nan, 0], [640, 360]])
    assert np.isnan(mixed[0]).all()
    assert np.isfinite(mixed[1]).all()


@pytest.mark.parametrize("lens", [BrownConrady(MATRIX, LARGEST[:5]), Fisheye(MATRIX, [0.1, 0, 0, 0])])
@pytest.mark.parametrize("shape", [(2,), (0, 2), (1, 2), (3, 4, 2), (3, 0, 2)])
def test_batch_axes_are_kept(lens: Lens, shape: tuple[int, ...]) -> None:
    values = np.full(shape, 0.1)
    assert lens.distort(values).shape == shape
    assert lens.undistort(lens.distort(values)).shape == shape
    assert lens.jacobian(values).shape == (*shape, 2)
    np.testing.assert_array_equal(values, 0.1)  # input is not touched


def test_the_center_is_the_principal_point() -> None:
    for lens in (*brown_conrady_lenses(12, SKEWED), *fisheye_lenses(SKEWED)):
        np.testing.assert_allclose(lens.distort([0, 0]), [640, 360], rtol=0, atol=1e-12)
        np.testing.assert_allclose(lens.undistort([640, 360]), [0, 0], rtol=0, atol=1e-14)


def test_a_fisheye_without_coefficients_is_equidistant() -> None:
    angle = np.radians(np.array([0.0, 1e-6, 10, 45, 80, 89]))
    pixels = Fisheye(np.diag([100.0, 100.0, 1.0])).distort(np.stack([np.tan(angle), 0 * angle], axis=-1))
    np.testing.assert_allclose(pixels, np.stack([100 * angle, 0 * angle], axis=-1), rtol=1e-12, atol=0)


def test_lenses_are_values() -> None:
    lens = BrownConrady(MATRIX, [0.1, 0, 0, 0])
    assert lens == BrownConrady(MATRIX.copy(), [0.1, -0.0, 0, 0])
    assert hash(lens) == hash(BrownConrady(MATRIX, [0.1, -0.0, 0, 0]))
    assert lens != BrownConrady(MATRIX, [0.1, 0, 0, 0, 0])  # the count is kept: a file is written as it was read
    assert lens != Fisheye(MATRIX, [0.1, 0, 0, 0])
    assert pickle.loads(pickle.dumps(lens)) == lens
    with pytest.raises(ValueError, match="read-only"):
        lens.coefficients[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        lens.camera_matrix[0, 0] = 1


def test_a_change_of_the_given_array_does_not_change_the_lens() -> None:
    matrix, coefficients = MATRIX.copy(), np.zeros(4)
    lens = BrownConrady(matrix, coefficients)
    matrix[0, 0], coefficients[0] = 1, 1
    assert lens == BrownConrady(MATRIX, np.zeros(4))


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(2),
        np.zeros((3, 3)),
        MATRIX.T,
        -MATRIX,
        MATRIX * 2,
        np.diag([1200.0, -1200.0, 1.0]),
        np.diag([1200.0, np.nan, 1.0]),
        np.diag([np.inf, 1200.0, 1.0]),
        MATRIX[None],
        np.zeros((0, 0)),
        [[1, 2, 3], [4, 5]],
        "matrix",
        None,
        np.arange(10_000.0),
    ],
)
@pytest.mark.parametrize("cls", [BrownConrady, Fisheye])
def test_what_is_no_camera_matrix_is_refused(cls: type[Lens], matrix: object) -> None:
    with pytest.raises(InvalidValueError, match=r"^camera matrix: expected .+, got .+\. .+") as caught:
        cls(matrix)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "coefficients",
    [
        [0.1],
        [0.0] * 6,
        [0.0] * 15,
        [np.nan, 0, 0, 0],
        [np.inf, 0, 0, 0],
        [1e200, 0, 0, 0],
        [*[0.0] * 12, np.pi / 2, 0],
        [[1, 2], [3]],
        "abcd",
        None,
    ],
)
def test_what_are_no_coefficients_is_refused(coefficients: object) -> None:
    with pytest.raises(InvalidValueError, match=r"^distortion coefficients: expected .+, got .+\. .+"):
        BrownConrady(MATRIX, coefficients)


@pytest.mark.parametrize("count", [0, 1, 5, 8, 14])
def test_a_fisheye_has_four_coefficients(count: int) -> None:
    with pytest.raises(InvalidValueError, match="expected 4 finite numbers"):
        Fisheye(MATRIX, np.zeros(count))


@pytest.mark.parametrize("values", [np.zeros(3), np.zeros((2, 1)), 1.0, [[1, 2], [3]], "ab"])
def test_what_are_no_pairs_is_refused(values: object) -> None:
    lens = BrownConrady(MATRIX)
    for method in (lens.distort, lens.undistort, lens.jacobian):
        with pytest.raises(InvalidValueError, match=r"^(pixels|normalized coordinates): expected .+, got .+\. .+"):
            method(values)
