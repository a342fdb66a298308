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
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration._inversion import first_failure, invert_in_disc, invert_increasing, positive_roots
from calibration.errors import InvalidValueError
from calibration.schema import as_floats

__all__ = ["BrownConrady", "Fisheye", "Lens"]

COEFFICIENT_COUNTS = (0, 4, 5, 8, 12, 14)

_PIXEL_TOLERANCE = 1e-9
# Newton goes on to here, so that the rounding of what follows (ray, point, projection) stays below the tolerance.
_PIXEL_AIM = 1e-11
# Where the model has no turning point it is still meaningless at grazing angles: tan(85 degrees).
_LARGEST_RADIUS = 11.43
# No lens comes near; beyond it, products of the coefficients would overflow.
_LARGEST_COEFFICIENT = 1e9
# The valid radius is kept this much inside a turning point or pole, so that the slope is positive and finite on it.
_MARGIN = 1e-9


@dataclass(frozen=True, eq=False)
class _Lens(ABC):
    camera_matrix: NDArray[np.float64]
    coefficients: NDArray[np.float64]

    model: ClassVar[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "camera_matrix", _as_camera_matrix(self.camera_matrix))
        object.__setattr__(self, "coefficients", self._as_coefficients(self.coefficients))

    @cached_property
    def valid_radius(self) -> float:
        """Radius of the disc of normalized coordinates on which the model is one-to-one."""
        # Found when it is needed: a lens of every step of an adjustment would take a millisecond longer.
        return self._find_valid_radius()

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is type(self)
            and isinstance(other, _Lens)
            and np.array_equal(self.camera_matrix, other.camera_matrix)
            and np.array_equal(self.coefficients, other.coefficients)
        )

    def __hash__(self) -> int:
        # Adding 0 makes one zero of 0 and -0, which are equal.
        return hash((self.model, (self.camera_matrix + 0.0).tobytes(), (self.coefficients + 0.0).tobytes()))

    def distort(self, normalized: ArrayLike) -> NDArray[np.float64]:
        """Pixels (..., 2) of normalized image coordinates (..., 2); NaN beyond the valid radius.

        Raises:
            InvalidValueError: the last axis is not 2.
        """
        values = as_floats(normalized, "normalized coordinates", ends=(2,))
        inside = np.hypot(values[..., 0], values[..., 1]) <= self.valid_radius
        return self._to_pixels(self._distort_normalized(np.where(inside[..., None], values, np.nan)))

    def undistort(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """Normalized image coordinates (..., 2) of pixels (..., 2).

        Solved by a damped Newton method to 1e-9 px. NaN where the pixel lies outside the image of the valid disc, so
        that no normalized point maps to it.

        Raises:
            InvalidValueError: the last axis is not 2.
        """
        values = as_floats(pixels, "pixels", ends=(2,))
        with np.errstate(all="ignore"):
            target = self._from_pixels(values).reshape(-1, 2)
            result = np.full_like(target, np.nan)
            known = np.flatnonzero(np.isfinite(target).all(-1))
            focal_length = float(max(self.camera_matrix[0, 0], self.camera_matrix[1, 1]))
            result[known] = invert_in_disc(
                self._distort_normalized,
                self._jacobian_normalized,
                target[known],
                self._starting_value(target[known]),
                radius=self.valid_radius,
                aim=_PIXEL_AIM / focal_length,
                tolerance=_PIXEL_TOLERANCE / focal_length,
            )
        return result.reshape(values.shape)

    def jacobian(self, normalized: ArrayLike) -> NDArray[np.float64]:
        """(..., 2, 2) derivative of the pixels by the normalized coordinates (..., 2).

        The derivative of the formula, also beyond the valid radius.

        Raises:
            InvalidValueError: the last axis is not 2.
        """
        values = as_floats(normalized, "normalized coordinates", ends=(2,))
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

    def _starting_value(self, target: NDArray[np.float64]) -> NDArray[np.float64]:
        """The solution for the radial terms alone, a little inside the valid disc."""
        bent = np.hypot(target[:, 0], target[:, 1])
        radius = np.minimum(self._undo_radial(bent), 0.999 * self.valid_radius)
        return target * np.where(bent > 1e-8, radius / bent, 1.0)[:, None]

    @abstractmethod
    def _as_coefficients(self, coefficients: ArrayLike) -> NDArray[np.float64]:
        """The coefficients as read-only float64, or an error where their count is not of this model."""

    @abstractmethod
    def _find_valid_radius(self) -> float:
        """The normalized radius up to which the model is one-to-one."""

    @abstractmethod
    def _undo_radial(self, bent: NDArray[np.float64]) -> NDArray[np.float64]:
        """Radii (n,) that the radial terms alone bend to `bent` (n,); at most the valid radius."""

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
        valid_radius: radius of the disc of normalized coordinates on which the model, with all its terms, is proved
            one-to-one; at most 11.43, which is 85 degrees from the optical axis.

    Raises:
        InvalidValueError: the matrix is not a camera matrix, a value is not finite, n is not a known count, or the
            sensor is tilted by 90 degrees or more.
    """

    coefficients: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    model: ClassVar[str] = "brown_conrady"

    @property
    def padded_coefficients(self) -> NDArray[np.float64]:
        """(14,) the coefficients, filled with zeros."""
        return np.concatenate([self.coefficients, np.zeros(14 - len(self.coefficients))])

    @property
    def tilt(self) -> NDArray[np.float64] | None:
        """(3, 3) homography of the tilted sensor, None where both tilts are 0 (OpenCV, computeTiltProjectionMatrix)."""
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

    def _as_coefficients(self, coefficients: ArrayLike) -> NDArray[np.float64]:
        return _as_coefficients(coefficients, COEFFICIENT_COUNTS, "OpenCV's order k1, k2, p1, p2, k3, ...")

    def _find_valid_radius(self) -> float:
        k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4, _, _ = self.padded_coefficients
        numerator = np.array([k3, k2, k1, 1.0])  # in r^2, highest power first
        denominator = np.array([k6, k5, k4, 1.0])
        # d/dr (r N / D) = 0, times D^2 and with s = r^2:  (N + 2 s N') D - 2 s N D' = 0
        slope = np.polysub(
            np.polymul(np.polyadd(numerator, 2 * np.append(np.polyder(numerator), 0.0)), denominator),
            2 * np.append(np.polymul(numerator, np.polyder(denominator)), 0.0),
        )
        limit = np.sqrt(min([_LARGEST_RADIUS**2, *positive_roots(slope), *positive_roots(denominator)]))
        tangential, tilt = np.hypot(p1, p2), self.tilt

        def one_to_one(radius: NDArray[np.float64]) -> NDArray[np.bool_]:
            # The radial Jacobian is symmetric with the eigenvalues bent / radius and d bent / d radius; the
            # decentering and the prism terms can take away so much, in the worst direction of each. What is left is
            # positive, so the Jacobian is positive definite, and on a convex set such a map is one-to-one.
            bent, radial_slope = self._bend(radius)
            prism = np.hypot(s1 + 2 * s2 * radius**2, s3 + 2 * s4 * radius**2)
            proved = np.minimum(bent / radius, radial_slope) > 6 * tangential * radius + 2 * prism * radius
            if tilt is not None:  # one-to-one as well, in front of its horizon
                offset = np.hypot(s1 + s2 * radius**2, s3 + s4 * radius**2)
                proved &= tilt[2, 2] > np.hypot(*tilt[2, :2]) * (bent + (3 * tangential + offset) * radius**2)
            return proved

        return first_failure(one_to_one, float(limit) * (1 - _MARGIN))

    def _bend(self, radius: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The bent radius by the radial terms alone, and its derivative by the radius."""
        with np.errstate(all="ignore"):
            factor, slope = self._radial_factor(radius * radius)
            return radius * factor, factor + 2 * radius * radius * slope

    def _radial_factor(self, r2: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The radial factor at the squared radius `r2`, and its derivative by it."""
        k1, k2, _, _, k3, k4, k5, k6 = self.padded_coefficients[:8]
        denominator = 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
        factor = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / denominator
        slope = (k1 + r2 * (2 * k2 + 3 * r2 * k3) - factor * (k4 + r2 * (2 * k5 + 3 * r2 * k6))) / denominator
        return factor, slope

    def _undo_radial(self, bent: NDArray[np.float64]) -> NDArray[np.float64]:
        return invert_increasing(self._bend, bent, self.valid_radius)

    def _distort_normalized(self, normalized: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(all="ignore"):
            bent, tilt = self._distort_untilted(normalized), self.tilt
            if tilt is None:
                return bent
            mapped = np.einsum("ij,...j->...i", tilt[:, :2], bent) + tilt[:, 2]
            return mapped[..., :2] / mapped[..., 2:]

    def _distort_untilted(self, normalized: NDArray[np.float64]) -> NDArray[np.float64]:
        _, _, p1, p2, _, _, _, _, s1, s2, s3, s4, _, _ = self.padded_coefficients
        x, y = normalized[..., 0], normalized[..., 1]
        r2 = x * x + y * y
        factor, _ = self._radial_factor(r2)
        bent_x = x * factor + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) + r2 * (s1 + r2 * s2)
        bent_y = y * factor + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y + r2 * (s3 + r2 * s4)
        return np.stack([bent_x, bent_y], axis=-1)

    def _jacobian_normalized(self, normalized: NDArray[np.float64]) -> NDArray[np.float64]:
        _, _, p1, p2, _, _, _, _, s1, s2, s3, s4, _, _ = self.padded_coefficients
        x, y = normalized[..., 0], normalized[..., 1]
        r2 = x * x + y * y
        with np.errstate(all="ignore"):
            factor, slope = self._radial_factor(r2)
            prism_x, prism_y = s1 + 2 * r2 * s2, s3 + 2 * r2 * s4
            result = np.empty((*normalized.shape, 2))
            result[..., 0, 0] = factor + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x + 2 * x * prism_x
            result[..., 0, 1] = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y + 2 * y * prism_x
            result[..., 1, 0] = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y + 2 * x * prism_y
            result[..., 1, 1] = factor + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x + 2 * y * prism_y
            tilt = self.tilt
            if tilt is None:
                return result
            mapped = np.einsum("ij,...j->...i", tilt[:, :2], self._distort_untilted(normalized)) + tilt[:, 2]
            depth = mapped[..., 2, None, None]
            by_bent = (tilt[:2, :2] - mapped[..., :2, None] / depth * tilt[2, :2]) / depth
            return by_bent @ result

    def _starting_value(self, target: NDArray[np.float64]) -> NDArray[np.float64]:
        tilt = self.tilt
        if tilt is None:
            return super()._starting_value(target)
        inverse = np.linalg.inv(tilt)
        straight = target @ inverse[:, :2].T + inverse[:, 2]
        return super()._starting_value(straight[:, :2] / straight[:, 2:])


@dataclass(frozen=True, eq=False)
class Fisheye(_Lens):
    """The equidistant fisheye: theta_d = theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8).

    Works on normalized coordinates, so for rays up to less than 90 degrees from the optical axis, as OpenCV's.

    Attributes:
        camera_matrix: (3, 3), pixels; may have a skew in its element (0, 1).
        coefficients: (4,) k1 to k4.
        valid_radius: tangent of the angle up to which theta_d grows; at most 1000, which is 89.94 degrees.

    Raises:
        InvalidValueError: the matrix is not a camera matrix, a value is not finite, or there are not 4 coefficients.
    """

    coefficients: NDArray[np.float64] = field(default_factory=lambda: np.zeros(4))

    model: ClassVar[str] = "fisheye"

    def _as_coefficients(self, coefficients: ArrayLike) -> NDArray[np.float64]:
        return _as_coefficients(coefficients, (4,), "k1 to k4 of the fisheye model")

    def _find_valid_radius(self) -> float:
        k1, k2, k3, k4 = self.coefficients
        roots = positive_roots(np.array([9 * k4, 7 * k3, 5 * k2, 3 * k1, 1.0]))  # slope in theta^2
        largest_angle = min([np.arctan(1e3), *np.sqrt(roots) * (1 - _MARGIN)])
        return float(np.tan(largest_angle))

    def _bend(self, theta: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """theta_d, and its derivative by theta."""
        k1, k2, k3, k4 = self.coefficients
        t2 = theta * theta
        bent = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
        return bent, 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))

    def _undo_radial(self, bent: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.tan(invert_increasing(self._bend, bent, float(np.arctan(self.valid_radius)))))

    def _distort_normalized(self, normalized: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(all="ignore"):
            radius = np.hypot(normalized[..., 0], normalized[..., 1])
            bent, _ = self._bend(np.arctan(radius))
            return normalized * np.where(radius > 1e-8, bent / radius, 1.0)[..., None]

    def _jacobian_normalized(self, normalized: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(all="ignore"):
            radius = np.hypot(normalized[..., 0], normalized[..., 1])
            bent, bent_slope = self._bend(np.arctan(radius))
            small = radius <= 1e-8
            # radial direction stretches by the slope, the tangential one by the scale
            scale, slope = np.where(small, 1.0, bent / radius), bent_slope / (1 + radius * radius)
            direction = normalized / np.where(small, 1.0, radius)[..., None]
            outer = direction[..., :, None] * direction[..., None, :]
            return scale[..., None, None] * np.eye(2) + np.where(small, 0.0, slope - scale)[..., None, None] * outer


Lens = BrownConrady | Fisheye


def _as_camera_matrix(matrix: ArrayLike) -> NDArray[np.float64]:
    result = as_floats(matrix, "camera matrix", copy=True)
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
            got=np.array2string(result, precision=4, separator=", ", threshold=20).replace("\n", ""),
            remedy="Correct the calibration file (is the matrix transposed, as MATLAB writes it?).",
        )
    result.setflags(write=False)
    return result


def _as_coefficients(coefficients: ArrayLike, counts: tuple[int, ...], order: str) -> NDArray[np.float64]:
    result = as_floats(coefficients, "distortion coefficients", copy=True).ravel()
    tilted = len(result) == 14 and bool((np.abs(result[12:]) >= np.pi / 2).any())
    # NaN and infinity fail this too
    if len(result) not in counts or not (np.abs(result) <= _LARGEST_COEFFICIENT).all() or tilted:
        raise InvalidValueError(
            "distortion coefficients",
            expected=f"{' or '.join(map(str, counts))} finite numbers ({order}), below 1e9, tilts below pi / 2",
            got=f"{len(result)}: {np.array2string(result, precision=4, threshold=20)}",
            remedy="Fill missing coefficients with 0 up to one of these counts, or calibrate with fewer terms.",
        )
    result.setflags(write=False)
    return result
