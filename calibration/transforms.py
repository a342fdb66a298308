"""Rigid transforms and rotations, with leading batch axes.

Names are `b_from_a`: `x_b = b_from_a(x_a)`. Rotation matrices and rotation vectors are scipy's
(`scipy.spatial.transform.Rotation`); this module adds the translation and the batch rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.errors import InvalidValueError
from calibration.schema import as_floats

__all__ = ["RigidTransform", "matrix_from_rotation_vector", "rotation_vector_from_matrix"]

# Files store rotations with few digits: Qualisys and caliscope matrices deviate from orthogonality by up to 1e-9,
# hand-typed ones by 1e-4. A mirrored or sheared matrix deviates by order 1.
_ORTHOGONALITY_TOLERANCE = 1e-3
# Beyond this the nearest rotation replaces the matrix, so that the transpose is the inverse. Below it is rounding: the
# matrix is kept bit by bit, so that what is saved and loaded stays the same.
_ROUNDING = 1e-13


@dataclass(frozen=True, eq=False)
class RigidTransform:
    """`x_b = rotation @ x_a + translation`. Two of them are equal if their numbers are.

    Attributes:
        rotation: (..., 3, 3) rotation matrix; one that was written with few digits is replaced by the nearest rotation.
        translation: (..., 3), in the length unit of b and a.

    Raises:
        InvalidValueError: a matrix is not a rotation (to 1e-3), a shape is wrong or a value is not finite.
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    # Without it NumPy would try to make an array of the transform in `transform @ array`, with an obscure error.
    __array_ufunc__: ClassVar[None] = None

    def __post_init__(self) -> None:
        rotation = _as_rotation(self.rotation)
        translation = as_floats(self.translation, "translation", copy=True)
        if translation.shape[-1:] != (3,) or translation.shape[:-1] != rotation.shape[:-2]:
            raise InvalidValueError(
                "translation",
                expected=f"shape {(*rotation.shape[:-2], 3)} to go with the rotation",
                got=f"shape {translation.shape}",
                remedy="Give one translation (x, y, z) per rotation.",
            )
        if not np.isfinite(translation).all():
            raise InvalidValueError(
                "translation", expected="finite numbers", got=str(translation), remedy="Correct the calibration file."
            )
        translation.setflags(write=False)
        object.__setattr__(self, "rotation", rotation)
        object.__setattr__(self, "translation", translation)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, RigidTransform)
            and np.array_equal(self.rotation, other.rotation)
            and np.array_equal(self.translation, other.translation)
        )

    def __hash__(self) -> int:
        # Adding 0 makes one zero of 0 and -0, which are equal.
        return hash(((self.rotation + 0.0).tobytes(), (self.translation + 0.0).tobytes()))

    @classmethod
    def identity(cls) -> RigidTransform:
        """The transform that changes nothing."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_rotation_vector(cls, rotation_vector: ArrayLike, translation: ArrayLike) -> RigidTransform:
        """From a rotation vector (..., 3), radians (OpenCV's rvec), and a translation (..., 3).

        Raises:
            InvalidValueError: a shape is wrong or a value is not finite.
        """
        return cls(matrix_from_rotation_vector(rotation_vector), as_floats(translation, "translation"))

    @property
    def rotation_vector(self) -> NDArray[np.float64]:
        """(..., 3) rotation vector in radians."""
        return rotation_vector_from_matrix(self.rotation)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(..., 4, 4) homogeneous matrix."""
        result = np.zeros((*self.rotation.shape[:-2], 4, 4))
        result[..., :3, :3] = self.rotation
        result[..., :3, 3] = self.translation
        result[..., 3, 3] = 1.0
        return result

    def inverse(self) -> RigidTransform:
        """`a_from_b` of this `b_from_a`."""
        transposed = np.swapaxes(self.rotation, -1, -2)
        return RigidTransform(transposed, -np.einsum("...ij,...j->...i", transposed, self.translation))

    def __call__(self, points: ArrayLike) -> NDArray[np.float64]:
        """Apply to points (..., 3); batch axes broadcast. NaN stays NaN.

        Raises:
            InvalidValueError: the last axis is not 3.
        """
        values = as_floats(points, "points", ends=(3,))
        return np.asarray(np.einsum("...ij,...j->...i", self.rotation, values) + self.translation)

    def __matmul__(self, other: RigidTransform) -> RigidTransform:
        """`c_from_b @ b_from_a` is `c_from_a`."""
        if not isinstance(other, RigidTransform):
            return NotImplemented
        return RigidTransform(self.rotation @ other.rotation, self(other.translation))


def matrix_from_rotation_vector(rotation_vector: ArrayLike) -> NDArray[np.float64]:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3), radians.

    Raises:
        InvalidValueError: the last axis is not 3 or a value is not finite.
    """
    from scipy.spatial.transform import Rotation

    vector = as_floats(rotation_vector, "rotation vector", ends=(3,))
    if not np.isfinite(vector).all():
        raise InvalidValueError(
            "rotation vector",
            expected="finite numbers",
            got=f"values {vector[~np.isfinite(vector).all(-1)].ravel()[:6]}",
            remedy="Give a rotation vector in radians, as OpenCV's rvec.",
        )
    return np.asarray(Rotation.from_rotvec(vector.reshape(-1, 3)).as_matrix().reshape(*vector.shape, 3))


def rotation_vector_from_matrix(rotation: ArrayLike) -> NDArray[np.float64]:
    """Rotation vectors (..., 3), radians, of rotation matrices (..., 3, 3).

    Raises:
        InvalidValueError: a matrix is not a rotation.
    """
    from scipy.spatial.transform import Rotation

    matrix = _as_rotation(rotation)
    return np.asarray(Rotation.from_matrix(matrix.reshape(-1, 3, 3)).as_rotvec().reshape(matrix.shape[:-1]))


def _as_rotation(rotation: ArrayLike) -> NDArray[np.float64]:
    """The nearest rotation as read-only float64, or an error where the matrix is no rotation."""
    matrix = as_floats(rotation, "rotation", copy=True)
    if matrix.shape[-2:] != (3, 3) or not np.isfinite(matrix).all():
        raise InvalidValueError(
            "rotation",
            expected="finite 3 x 3 matrices",
            got=f"shape {matrix.shape}" + ("" if np.isfinite(matrix).all() else " with values that are not finite"),
            remedy="Give a rotation matrix, or convert a rotation vector first.",
        )
    with np.errstate(over="ignore", invalid="ignore"):
        gram = np.swapaxes(matrix, -1, -2) @ matrix
        deviation = float(np.abs(gram - np.eye(3)).max(initial=0.0))
        determinant = np.linalg.det(matrix)
    if not deviation <= _ORTHOGONALITY_TOLERANCE or bool((determinant < 0).any()):
        raise InvalidValueError(
            "rotation",
            expected="a rotation matrix (orthonormal, determinant +1)",
            got=f"deviation from orthonormality {deviation:.2g}, determinant {determinant.min():.4g}",
            remedy="Correct the calibration: the matrix is scaled, sheared or mirrored, or is not a rotation at all.",
        )
    if deviation > _ROUNDING:
        left, _, right = np.linalg.svd(matrix)
        matrix = left @ right
    matrix.setflags(write=False)
    return matrix
