"""Rigid transforms are a group that acts on points, and rotations have one matrix and one shortest vector."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibration.transforms import RigidTransform, matrix_from_rotation_vector, rotation_vector_from_matrix
from tests.laws.strategies import points, transforms, vectors

CLOSE = 1e-10  # for coordinates up to a few thousand


def assert_same(first: RigidTransform, second: RigidTransform) -> None:
    np.testing.assert_allclose(first.matrix, second.matrix, rtol=0, atol=CLOSE)


@given(transforms(), transforms(), transforms())
def test_composition_is_associative(a: RigidTransform, b: RigidTransform, c: RigidTransform) -> None:
    assert_same((a @ b) @ c, a @ (b @ c))


@given(transforms())
def test_the_identity_changes_nothing(a: RigidTransform) -> None:
    assert_same(a @ RigidTransform.identity(), a)
    assert_same(RigidTransform.identity() @ a, a)


@given(transforms())
def test_the_inverse_undoes(a: RigidTransform) -> None:
    assert_same(a @ a.inverse(), RigidTransform.identity())
    assert_same(a.inverse() @ a, RigidTransform.identity())
    assert_same(a.inverse().inverse(), a)


@given(transforms(), transforms())
def test_the_inverse_of_a_composition_is_composed_in_reverse(a: RigidTransform, b: RigidTransform) -> None:
    assert_same((a @ b).inverse(), b.inverse() @ a.inverse())


@given(transforms(), transforms(), points(3, 1000.0))
def test_composition_is_application_one_after_the_other(
    a: RigidTransform, b: RigidTransform, x: NDArray[np.float64]
) -> None:
    np.testing.assert_allclose((a @ b)(x), a(b(x)), rtol=0, atol=CLOSE)


@given(transforms(), points(3, 1000.0))
def test_the_matrix_acts_as_the_transform(a: RigidTransform, x: NDArray[np.float64]) -> None:
    homogeneous = np.concatenate([x, np.ones((len(x), 1))], axis=-1)
    np.testing.assert_allclose((homogeneous @ a.matrix.T)[:, :3], a(x), rtol=0, atol=CLOSE)


@given(transforms(), points(3, 1000.0, at_most=6))
def test_distances_and_handedness_stay(a: RigidTransform, x: NDArray[np.float64]) -> None:
    moved = a(x)
    before = np.linalg.norm(x[:, None] - x, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(moved[:, None] - moved, axis=-1), before, rtol=0, atol=CLOSE)
    assert np.linalg.det(a.rotation) > 0


@given(transforms(batch=(2, 3)), points(3, 1000.0, at_most=4))
def test_a_batch_does_what_its_members_do(batch: RigidTransform, x: NDArray[np.float64]) -> None:
    together = batch(x[:, None, None, :])
    inverse = batch.inverse()
    for i, j in np.ndindex(2, 3):
        one = RigidTransform(batch.rotation[i, j], batch.translation[i, j])
        np.testing.assert_allclose(together[:, i, j], one(x), rtol=0, atol=CLOSE)
        np.testing.assert_allclose(inverse.matrix[i, j], one.inverse().matrix, rtol=0, atol=CLOSE)
        np.testing.assert_allclose(batch.rotation_vector[i, j], one.rotation_vector, rtol=0, atol=CLOSE)


@given(vectors(3, 10.0))
def test_a_rotation_vector_becomes_a_matrix_and_comes_back(vector: NDArray[np.float64]) -> None:
    matrix = matrix_from_rotation_vector(vector)
    back = rotation_vector_from_matrix(matrix)
    assert np.linalg.norm(back) <= np.pi + 1e-12
    np.testing.assert_allclose(matrix_from_rotation_vector(back), matrix, rtol=0, atol=1e-13)
    if np.linalg.norm(vector) < 3.1:  # below half a turn the vector itself is unique
        np.testing.assert_allclose(back, vector, rtol=0, atol=1e-12)


@given(vectors(3, 1.0), st.floats(1e-12, 1e-3))
def test_small_rotations_keep_their_digits(direction: NDArray[np.float64], angle: float) -> None:
    back = rotation_vector_from_matrix(matrix_from_rotation_vector(direction * angle))
    np.testing.assert_allclose(back, direction * angle, rtol=1e-9, atol=1e-16)


@given(transforms(), vectors(9, 2e-4))
def test_a_matrix_of_few_digits_gives_exact_inverses(a: RigidTransform, noise: NDArray[np.float64]) -> None:
    read = RigidTransform(a.rotation + noise.reshape(3, 3), a.translation)
    assert np.abs(read.rotation - a.rotation).max() < 1e-3
    assert_same(read @ read.inverse(), RigidTransform.identity())
    again = RigidTransform(read.rotation, read.translation)
    assert again == read
    assert hash(again) == hash(read)
