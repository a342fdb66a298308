"""Rigid transforms: known values, an independent implementation, and what is refused. Laws: tests/laws."""

import copy
import pickle

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.transforms import RigidTransform, matrix_from_rotation_vector, rotation_vector_from_matrix

QUARTER_TURN = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # about z: x becomes y


def test_a_quarter_turn_about_z_takes_x_to_y() -> None:
    np.testing.assert_allclose(matrix_from_rotation_vector([0, 0, np.pi / 2]), QUARTER_TURN, atol=1e-15)
    b_from_a = RigidTransform(QUARTER_TURN, [10, 20, 30])
    np.testing.assert_array_equal(b_from_a([1, 0, 0]), [10, 21, 30])
    np.testing.assert_array_equal(b_from_a.inverse()([10, 21, 30]), [1, 0, 0])
    np.testing.assert_allclose(b_from_a.rotation_vector, [0, 0, np.pi / 2], atol=1e-15)


def test_rotations_are_those_of_opencv() -> None:
    generator = np.random.default_rng(3)
    vectors = np.concatenate([generator.normal(size=(50, 3)), 1e-7 * generator.normal(size=(5, 3)), np.zeros((1, 3))])
    expected = np.stack([cv2.Rodrigues(vector)[0] for vector in vectors])
    np.testing.assert_allclose(matrix_from_rotation_vector(vectors), expected, rtol=0, atol=1e-14)
    # The way back only for turns that are not small: OpenCV takes those below 1e-5 for none.
    back = np.stack([cv2.Rodrigues(matrix)[0].ravel() for matrix in expected[:50]])
    np.testing.assert_allclose(rotation_vector_from_matrix(expected[:50]), back, rtol=0, atol=1e-12)


@pytest.mark.parametrize("axis", [[1, 0, 0], [0, 0, -1], [0.6, 0, 0.8], [2 / 3, 1 / 3, -2 / 3]])
@pytest.mark.parametrize("below", [0.0, 1e-9, 1e-4])
def test_half_a_turn_has_a_vector(axis: list[float], below: float) -> None:
    matrix = matrix_from_rotation_vector(np.array(axis) * (np.pi - below))
    vector = rotation_vector_from_matrix(matrix)
    assert np.linalg.norm(vector) == pytest.approx(np.pi - below, abs=1e-12)
    np.testing.assert_allclose(matrix_from_rotation_vector(vector), matrix, rtol=0, atol=1e-14)


@pytest.mark.parametrize("batch", [(), (1,), (4,), (2, 3), (0,), (3, 0)])
def test_batch_axes_lead(batch: tuple[int, ...]) -> None:
    vectors = np.random.default_rng(0).normal(size=(*batch, 3))
    transform = RigidTransform.from_rotation_vector(vectors, vectors)
    assert transform.rotation.shape == (*batch, 3, 3)
    assert transform.rotation_vector.shape == (*batch, 3)
    assert transform.matrix.shape == (*batch, 4, 4)
    assert transform.inverse().translation.shape == (*batch, 3)
    assert (transform @ transform).rotation.shape == (*batch, 3, 3)
    assert transform(np.zeros((5, *(1 for _ in batch), 3))).shape == (5, *batch, 3)


def test_missing_points_stay_missing() -> None:
    transform = RigidTransform(QUARTER_TURN, [1, 2, 3])
    moved = transform([[np.nan, 0, 0], [1, 0, 0]])
    assert np.isnan(moved[0]).any()
    np.testing.assert_array_equal(moved[1], [1, 3, 3])


def test_values_cannot_be_changed_afterwards() -> None:
    given = np.eye(3)
    transform = RigidTransform(given, np.zeros(3))
    given[0, 0] = 5
    assert transform.rotation[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        transform.rotation[0, 0] = 5
    with pytest.raises(ValueError, match="read-only"):
        transform.translation[0] = 5


def test_equal_numbers_are_equal_transforms() -> None:
    a, b = RigidTransform(np.eye(3), [0.0, 1, 2]), RigidTransform(np.eye(3), [-0.0, 1, 2])
    assert a == b
    assert hash(a) == hash(b)
    assert a != RigidTransform(np.eye(3), [0, 1, 3])
    assert a != RigidTransform(QUARTER_TURN, [0, 1, 2])
    assert a != "a transform"


def test_transforms_survive_pickling_and_copying() -> None:
    transform = RigidTransform(QUARTER_TURN, [1, 2, 3])
    assert pickle.loads(pickle.dumps(transform)) == transform
    assert copy.deepcopy(transform) == transform


def test_a_matrix_of_few_digits_becomes_the_nearest_rotation() -> None:
    exact = matrix_from_rotation_vector([0.3, -0.2, 0.9])
    read = RigidTransform(np.round(exact, 4), np.zeros(3)).rotation
    assert np.abs(read.T @ read - np.eye(3)).max() < 1e-15 * 10
    assert np.abs(read - exact).max() < 1e-4


def test_an_exact_rotation_is_kept_bit_by_bit() -> None:
    exact = matrix_from_rotation_vector([0.3, -0.2, 0.9])
    np.testing.assert_array_equal(RigidTransform(exact, np.zeros(3)).rotation, exact)


@pytest.mark.parametrize(
    ("rotation", "got"),
    [
        (np.eye(3) * 2, "deviation"),
        (np.diag([1.0, 1.0, -1.0]), "determinant -1"),
        (np.eye(3)[[1, 0, 2]], "determinant -1"),
        (np.zeros((3, 3)), "deviation"),
        (np.full((3, 3), 1e200), "deviation"),
        (np.eye(3) + np.eye(3, k=1) * 0.01, "deviation"),
        (np.stack([np.eye(3), -np.eye(3)]), "determinant -1"),
        (np.full((3, 3), np.nan), "not finite"),
        (np.diag([1, 1, np.inf]), "not finite"),
        (np.eye(4), "shape (4, 4)"),
        (np.eye(2), "shape (2, 2)"),
        (np.zeros(3), "shape (3,)"),
        (np.zeros((0, 0)), "shape (0, 0)"),
        (5.0, "shape ()"),
        ([[1, 0, 0], [0, 1]], "inhomogeneous"),
        ("identity", "could not convert"),
    ],
)
def test_what_is_no_rotation_is_refused(rotation: object, got: str) -> None:
    with pytest.raises(InvalidValueError, match=r"^rotation: expected .+, got .+\. .+") as caught:
        RigidTransform(rotation, np.zeros(3))
    assert got in caught.value.got
    with pytest.raises(InvalidValueError):
        rotation_vector_from_matrix(rotation)


@pytest.mark.parametrize(
    ("translation", "got"),
    [
        (np.zeros(2), "shape (2,)"),
        (np.zeros((3, 1)), "shape (3, 1)"),
        (np.zeros((2, 3)), "shape (2, 3)"),
        ([], "shape (0,)"),
        ([0, 0, np.nan], "nan"),
        ([0, 0, np.inf], "inf"),
        ([1, [2], 3], "inhomogeneous"),
        (["x", "y", "z"], "could not convert"),
    ],
)
def test_what_is_no_translation_is_refused(translation: object, got: str) -> None:
    with pytest.raises(InvalidValueError, match=r"^translation: expected .+, got .+\. .+") as caught:
        RigidTransform(np.eye(3), translation)
    assert got in caught.value.got


@pytest.mark.parametrize("vector", [[0, 0], [], [np.nan, 0, 0], [0, np.inf, 0], np.zeros((3, 1)), "abc", 1.0])
def test_what_is_no_rotation_vector_is_refused(vector: object) -> None:
    with pytest.raises(InvalidValueError, match=r"^rotation vector: expected .+, got .+\. .+"):
        RigidTransform.from_rotation_vector(vector, np.zeros(3))


@pytest.mark.parametrize("points", [np.zeros(2), np.zeros((3, 2)), 1.0, [[1, 2, 3], [4]]])
def test_what_are_no_points_is_refused(points: NDArray[np.float64]) -> None:
    with pytest.raises(InvalidValueError, match=r"^points: expected .+, got .+\. .+"):
        RigidTransform.identity()(points)


def test_composing_with_something_else_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        RigidTransform.identity() @ np.eye(4)
    with pytest.raises(TypeError):
        np.eye(4) @ RigidTransform.identity()
