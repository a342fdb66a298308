"""Lens models: normalized image coordinates (x / z, y / z of the camera frame) to pixels and back.

`BrownConrady` is OpenCV's model with 0, 4, 5, 8, 12 or 14 coefficients in OpenCV's order
(k1, k2, p1, p2[, k3[, k4, k5, k6[, s1, s2, s3, s4[, tau_x, tau_y]]]]): radial and decentering terms of Brown (1966),
a rational radial factor, the thin prism of Weng et al. (1992) and the tilted sensor of Louhichi et al. (2007).
`Fisheye` is the equidistant model of Kannala and Brandt (2006) with four coefficients.

Both are one-to-one only up to a radius. Beyond it `distort` and `undistort` give NaN, never a wrong number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.errors import InvalidValueError

__all__ = ["BrownConrady", "Fisheye", "Lens"]

COEFFICIENT_COUNTS = (0, 4, 5, 8, 12, 14)

# Newton from a starting value inside the valid radius converges quadratically; 4 to 7 steps were enough for every lens
# of the real recordings and of the tests, up to 99 % of the valid radius. 30 leaves room at the very edge, where the slope vanishes.
_MAXIMUM_STEPS = 30
_PIXEL_TOLERANCE = 1e-9
# Where the model has no turning point it is still meaningless at grazing angles: tan(85 degrees).
_LARGEST_RADIUS = 11.43


@dataclass(frozen=True, eq=False)
class _Lens(ABC):
    camera_matrix: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    valid_radius: float = field(init=False)

    model: ClassVar[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "camera_matrix", _as_camera_matrix(self.camera_matrix))
        object.__setattr__(self, "coefficients", self._as_coefficients(self.coefficients))
        object.__setattr__(self, "valid_radius", self._find_valid_radius())

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is type(self)
            and isinstance(other, _Lens)
            and np.array_equal(self.camera_matrix, other.camera_matrix)
            and np.array_equal(self.coefficients, other.coefficients)
        )

    def __hash__(self) -> int:
        return hash((self.model, self.camera_matrix.tobytes(), self.coefficients.tobytes()))

    def distort(self, normalized: ArrayLike) -> NDArray[np.float64]:
        """Pixels (..., 2) of normalized image coordinates (..., 2); NaN beyond the valid radius.

        Raises:
            InvalidValueError: the last axis is not 2.
        """
        values = _as_pairs(normalized, "normalized coordinates")
        bent = self._distort_normalized(values)
        bent[~(np.hypot(values[..., 0], values[..., 1]) <= self.valid_radius)] = np.nan
        return self._to_pixels(bent)

    def undistort(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """Normalized image coordinates (..., 2) of pixels (..., 2).

        Solved by Newton's method to 1e-9 px. NaN where the pixel lies outside the image of the valid radius, so that no
        normalized point maps to it.

        Raises:
            InvalidValueError: the last axis is not 2.
        """
        values = _as_pairs(pixels, "pixels")
        target = self._from_pixels(values)
        result = self._starting_value(target)
        tolerance = _PIXEL_TOLERANCE / float(max(self.camera_matrix[0, 0], self.camera_matrix[1, 1]))
        converged = np.zeros(target.shape[:-1], dtype=bool)
        with np.errstate(all="ignore"):
            for _ in range(_MAXIMUM_STEPS):
                residual = self._distort_normalized(result) - target
                converged = np.hypot(residual[..., 0], residual[..., 1]) <= tolerance
                if bool((converged | ~np.isfinite(residual).all(-1)).all()):
                    break
                step = _solve_2x2(self._jacobian_normalized(result), residual)
                result = np.where(converged[..., None], result, self._limit(result - step))
            radius = np.hypot(result[..., 0], result[..., 1])
        result[~(converged & (radius <= self.valid_radius))] = np.nan
        return result

    def jacobian(self, normalized: ArrayLike) -> NDArray[np.float64]:
        """(..., 2, 2) derivative of the pixels by the normalized coordinates (..., 2).

        Raises:
            InvalidValueError: the last axis is not 2.
        """
        values = _as_pairs(normalized, "normalized coordinates")
        return self.camera_matrix[:2, :2] @ self._jacobian_normalized(values)

    def _to_pixels(self, bent: NDArray[np.float64]) -> NDArray[np.float64]:
        matrix = self.camera_matrix
        u = matrix[0, 0] * bent[..., 0] + matrix[0, 1] * bent[..., 1] + matrix[0, 2]
        v = matrix[1, 1] * bent[..., 1] + matrix[1, 2]
        return np.stack([u, v], axis=-1)

    def _from_pixels(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        matrix = self.camera_matrix
        y = (pixels[..., 1] - matrix[1, 2]) / matrix[1, 1]
        x = (pixels[..., 0] - matrix[0, 2] - matrix[0, 1] * y) / matrix[0, 0]
        return np.stack([x, y], axis=-1)

    def _limit(self, normalized: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pull a Newton step that left the valid disc back to its edge, so that it cannot reach a second solution."""
        radius = np.hypot(normalized[..., 0], normalized[..., 1])
        return normalized * np.minimum(1.0, self.valid_radius / np.maximum(radius, 1e-300))[..., None]

    def _starting_value(self, target: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._limit(target.copy())

    @abstractmethod
    def _as_coefficients(self, coefficients: ArrayLike) -> NDArray[np.float64]:
        """The coefficients as read-only float64, or an error where their count is not of this model."""

    @abstractmethod
    def _find_valid_radius(self) -> float:
        """The normalized radius up to which the model is one-to-one."""

    @abstractmethod
    def _distort_normalized(self, normalized: NDArray[np.float64]) -> NDArray[np.float64]:
        """Normalized coordinates bent by the lens."""

    @abstractmethod
    def _jacobian_normalized(self, normalized: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 2, 2) derivative of `_distort_normalized`."""


@dataclass(frozen=True, eq=False)
class BrownConrady(_Lens):
    """OpenCV's lens model with 0, 4, 5, 8, 12 or 14 coefficients.

    Attributes:
        camera_matrix: (3, 3), pixels; may have a skew in its element (0, 1).
        coefficients: (n,) in OpenCV's order; 0 and 4 are kept as given.
        valid_radius: normalized radius up to which the radial distortion is one-to-one.

    Raises:
        InvalidValueError: the matrix is not a camera matrix, a value is not finite, or n is not a known count.
    """

    coefficients: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    model: ClassVar[str] = "brown_conrady"

    @property
    def padded_coefficients(self) -> NDArray[np.float64]:
        """(14,) the coefficients, filled with zeros."""
        return np.concatenate([self.coefficients, np.zeros(14 - len(self.coefficients))])

    def _as_coefficients(self, coefficients: ArrayLike) -> NDArray[np.float64]:
        return _as_coefficients(coefficients, COEFFICIENT_COUNTS, "OpenCV's order k1, k2, p1, p2, k3, ...")

    def _find_valid_radius(self) -> float:
        k1, k2, _, _, k3, k4, k5, k6 = self.padded_coefficients[:8]
        numerator = np.array([k3, k2, k1, 1.0])  # in r^2, highest power first
        denominator = np.array([k6, k5, k4, 1.0])
        # d/dr (r N / D) = 0, times D^2 and with s = r^2:  (N + 2 s N') D - 2 s N D' = 0
        slope = np.polysub(
            np.polymul(np.polyadd(numerator, 2 * np.append(np.polyder(numerator), 0.0)), denominator),
            2 * np.append(np.polymul(numerator, np.polyder(denominator)), 0.0),
        )
        limits = [_LARGEST_RADIUS**2, *_positive_roots(slope), *_positive_roots(denominator)]
        return float(np.sqrt(min(limits)))

    def _distort_normalized(self, normalized: NDArray[np.float64]) -> NDArray[np.float64]:
        k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4, _, _ = self.padded_coefficients
        x, y = normalized[..., 0], normalized[..., 1]
        r2 = x * x + y * y
        with np.errstate(all="ignore"):
            radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
            bent_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) + r2 * (s1 + r2 * s2)
            bent_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y + r2 * (s3 + r2 * s4)
            tilt = self.tilt
            if tilt is not None:
                w = tilt[2, 0] * bent_x + tilt[2, 1] * bent_y + tilt[2, 2]
                bent_x, bent_y = (
                    (tilt[0, 0] * bent_x + tilt[0, 1] * bent_y + tilt[0, 2]) / w,
                    (tilt[1, 0] * bent_x + tilt[1, 1] * bent_y + tilt[1, 2]) / w,
                )
        return np.stack([bent_x, bent_y], axis=-1)

    def _jacobian_normalized(self, normalized: NDArray[np.float64]) -> NDArray[np.float64]:
        k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4, _, _ = self.padded_coefficients
        x, y = normalized[..., 0], normalized[..., 1]
        r2 = x * x + y * y
        with np.errstate(all="ignore"):
            numerator = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
            denominator = 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
            radial = numerator / denominator
            # derivative of the radial factor by r^2
            slope = (k1 + r2 * (2 * k2 + 3 * r2 * k3) - radial * (k4 + r2 * (2 * k5 + 3 * r2 * k6))) / denominator
            prism_x, prism_y = s1 + 2 * r2 * s2, s3 + 2 * r2 * s4
            result = np.empty((*normalized.shape, 2))
            result[..., 0, 0] = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x + 2 * x * prism_x
            result[..., 0, 1] = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y + 2 * y * prism_x
            result[..., 1, 0] = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y + 2 * x * prism_y
            result[..., 1, 1] = radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x + 2 * y * prism_y
            tilt = self.tilt
            if tilt is not None:
                result = self._tilt_jacobian(normalized, tilt) @ result
        return result

    @property
    def tilt(self) -> NDArray[np.float64] | None:
        """(3, 3) homography of the tilted sensor, None where both tilts are zero (OpenCV, computeTiltProjectionMatrix)."""
        tau_x, tau_y = self.padded_coefficients[12:]
        if tau_x == 0 and tau_y == 0:
            return None
        cos_x, sin_x, cos_y, sin_y = np.cos(tau_x), np.sin(tau_x), np.cos(tau_y), np.sin(tau_y)
        about_x = np.array([[1, 0, 0], [0, cos_x, sin_x], [0, -sin_x, cos_x]])
        about_y = np.array([[cos_y, 0, -sin_y], [0, 1, 0], [sin_y, 0, cos_y]])
        rotation = about_y @ about_x
        to_sensor = np.array(
            [[rotation[2, 2], 0, -rotation[0, 2]], [0, rotation[2, 2], -rotation[1, 2]], [0, 0, 1.0]],
        )
        return to_sensor @ rotation

    def _tilt_jacobian(self, normalized: NDArray[np.float64], tilt: NDArray[np.float64]) -> NDArray[np.float64]:
        bent = BrownConrady(np.eye(3), self.coefficients[:12])._distort_normalized(normalized)
        mapped = np.einsum("ij,...j->...i", tilt[:, :2], bent) + tilt[:, 2]
        result = np.empty((*normalized.shape, 2))
        for row in range(2):
            for column in range(2):
                result[..., row, column] = (
                    tilt[row, column] - mapped[..., row] / mapped[..., 2] * tilt[2, column]
                ) / mapped[..., 2]
        return result

    def _starting_value(self, target: NDArray[np.float64]) -> NDArray[np.float64]:
        tilt = self.tilt
        if tilt is None:
            return self._limit(target.copy())
        homogeneous = np.einsum("ij,...j->...i", np.linalg.inv(tilt)[:, :2], target) + np.linalg.inv(tilt)[:, 2]
        return self._limit(homogeneous[..., :2] / homogeneous[..., 2:])


@dataclass(frozen=True, eq=False)
class Fisheye(_Lens):
    """The equidistant fisheye: theta_d = theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8).

    Works on normalized coordinates, so for rays up to less than 90 degrees from the optical axis, as OpenCV's.

    Attributes:
        camera_matrix: (3, 3), pixels.
        coefficients: (4,) k1 to k4.
        valid_radius: tangent of the angle up to which theta_d grows.

    Raises:
        InvalidValueError: the matrix is not a camera matrix, a value is not finite, or there are not 4 coefficients.
    """

    coefficients: NDArray[np.float64] = field(default_factory=lambda: np.zeros(4))

    model: ClassVar[str] = "fisheye"

    def _as_coefficients(self, coefficients: ArrayLike) -> NDArray[np.float64]:
        return _as_coefficients(coefficients, (4,), "k1 to k4 of the fisheye model")

    def _find_valid_radius(self) -> float:
        k1, k2, k3, k4 = self.coefficients
        roots = _positive_roots(np.array([9 * k4, 7 * k3, 5 * k2, 3 * k1, 1.0]))  # slope in theta^2
        largest_angle = min([np.arctan(1e3), *np.sqrt(roots)])
        return float(np.tan(largest_angle))

    def _distort_normalized(self, normalized: NDArray[np.float64]) -> NDArray[np.float64]:
        radius = np.hypot(normalized[..., 0], normalized[..., 1])
        theta = np.arctan(radius)
        with np.errstate(all="ignore"):
            scale = np.where(radius > 1e-8, self._bend(theta) / radius, 1.0)
        return normalized * scale[..., None]

    def _jacobian_normalized(self, normalized: NDArray[np.float64]) -> NDArray[np.float64]:
        k1, k2, k3, k4 = self.coefficients
        radius = np.hypot(normalized[..., 0], normalized[..., 1])
        theta = np.arctan(radius)
        t2 = theta * theta
        with np.errstate(all="ignore"):
            small = radius <= 1e-8
            scale = np.where(small, 1.0, self._bend(theta) / radius)
            slope = (1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))) / (1 + radius * radius)
            # radial direction stretches by the slope, the tangential one by the scale
            outer = normalized[..., :, None] * normalized[..., None, :] / np.where(small, 1.0, radius**2)[..., None, None]
        return scale[..., None, None] * np.eye(2) + np.where(small, 0.0, slope - scale)[..., None, None] * outer

    def _bend(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        k1, k2, k3, k4 = self.coefficients
        t2 = theta * theta
        return np.asarray(theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4)))))

    def _starting_value(self, target: NDArray[np.float64]) -> NDArray[np.float64]:
        # theta_d is the radius of the target; undo the polynomial by Newton on the angle alone, which is the whole model.
        bent = np.hypot(target[..., 0], target[..., 1])
        largest = np.arctan(self.valid_radius)
        theta = np.minimum(bent, largest)
        k1, k2, k3, k4 = self.coefficients
        with np.errstate(all="ignore"):
            for _ in range(_MAXIMUM_STEPS):
                t2 = theta * theta
                slope = 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))
                theta = np.clip(theta - (self._bend(theta) - bent) / slope, 0.0, largest)
            scale = np.where(bent > 1e-8, np.tan(theta) / bent, 1.0)
        return target * scale[..., None]


Lens = BrownConrady | Fisheye


def _as_camera_matrix(matrix: ArrayLike) -> NDArray[np.float64]:
    result = np.array(matrix, dtype=np.float64)
    fits = (
        result.shape == (3, 3)
        and bool(np.isfinite(result).all())
        and result[0, 0] > 0
        and result[1, 1] > 0
        and result[1, 0] == 0
        and np.array_equal(result[2], [0.0, 0.0, 1.0])
    )
    if not fits:
        raise InvalidValueError(
            "camera matrix",
            expected="[[fx, skew, cx], [0, fy, cy], [0, 0, 1]] with fx, fy > 0",
            got=np.array2string(result, precision=4, separator=", ").replace("\n", ""),
            remedy="Correct the calibration file (is the matrix transposed, as MATLAB writes it?).",
        )
    result.setflags(write=False)
    return result


def _as_coefficients(coefficients: ArrayLike, counts: tuple[int, ...], order: str) -> NDArray[np.float64]:
    result = np.array(coefficients, dtype=np.float64).ravel()
    if len(result) not in counts or not np.isfinite(result).all():
        raise InvalidValueError(
            "distortion coefficients",
            expected=f"{' or '.join(map(str, counts))} finite numbers ({order})",
            got=f"{len(result)}: {result}",
            remedy="Fill missing coefficients with 0 up to one of these counts.",
        )
    result.setflags(write=False)
    return result


def _as_pairs(values: ArrayLike, name: str) -> NDArray[np.float64]:
    result = np.asarray(values, dtype=np.float64)
    if result.shape[-1:] != (2,):
        raise InvalidValueError(
            name, expected="shape (..., 2)", got=f"shape {result.shape}", remedy="Put x and y on the last axis."
        )
    return result


def _positive_roots(polynomial: NDArray[np.float64]) -> NDArray[np.float64]:
    roots = np.roots(np.trim_zeros(polynomial, "f"))
    real = roots[np.abs(roots.imag) <= 1e-9 * np.abs(roots)].real
    return np.asarray(real[real > 0])


def _solve_2x2(matrix: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    (a, b), (c, d) = np.moveaxis(matrix, (-2, -1), (0, 1))
    determinant = a * d - b * c
    x, y = vector[..., 0], vector[..., 1]
    return np.stack([(d * x - b * y) / determinant, (a * y - c * x) / determinant], axis=-1)
