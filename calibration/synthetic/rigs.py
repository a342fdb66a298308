"""Rigs and observations with known truth, for tests, benchmarks and power analyses.

`make_rig` places cameras on a dome around the origin; `observe` takes their pictures of points: noise, outliers and
dropouts as asked for, each of them known. Everything is a pure function of its arguments and the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.camera import Camera
from calibration.errors import InvalidValueError
from calibration.lens import BrownConrady, Fisheye, Lens
from calibration.rig import Rig
from calibration.transforms import RigidTransform

__all__ = ["LENSES", "Observation", "make_points", "make_rig", "observe"]

LENSES = ("pinhole", "brown4", "brown5", "brown8", "brown12", "brown14", "fisheye")

# How far real cameras stray from the plan, as shares (of the distance, of the gap between neighbors, of the focal
# length, of the image) and in radians.
_DISTANCE_JITTER = 0.05
_AIM_JITTER = 0.02
_AZIMUTH_JITTER = 0.1
_ELEVATION_JITTER = 0.05
_ROLL_JITTER = 0.05
_FOCAL_JITTER = 0.02
_CENTER_JITTER = 0.01


@dataclass(frozen=True, eq=False)
class Observation:
    """What the cameras of a rig report of points, and what is true of it.

    Attributes:
        pixels: (..., camera, 2) px, NaN where nothing is reported.
        confidence: (..., camera) in [0, 1]; 0 where nothing is reported.
        outlier: (..., camera) bool, True where the reported pixel has nothing to do with the point.
        visible: (..., camera) bool, True where the point is in the image; dropouts and outliers are visible too.
        truth: (..., camera, 2) px, the noise-free projection; NaN where the camera cannot see the point, finite
            outside the image.
    """

    pixels: NDArray[np.float64]
    confidence: NDArray[np.float64]
    outlier: NDArray[np.bool_]
    visible: NDArray[np.bool_]
    truth: NDArray[np.float64]

    @property
    def reported(self) -> NDArray[np.bool_]:
        """(..., camera) True where a pixel is reported, outliers included."""
        return np.isfinite(self.pixels[..., 0])

    @property
    def inlier(self) -> NDArray[np.bool_]:
        """(..., camera) True where a pixel is reported and is no outlier: what an oracle would use."""
        return self.reported & ~self.outlier


def make_rig(
    cameras: int = 6,
    *,
    distance: float = 1000.0,
    size: tuple[int, int] = (1280, 1024),
    focal_length: float = 1400.0,
    lens: str = "brown5",
    elevation: tuple[float, float] = (0.35, 0.9),
    unit: str = "mm",
    seed: int = 0,
) -> Rig:
    """Cameras around the origin of a world whose z axis points up, all looking at it.

    They stand at equal steps of azimuth, alternately low and high, at about the same distance; position, aim, roll,
    focal length, principal point and distortion stray a little from the plan, as in real rigs. With the defaults a ball
    of radius 250 about the origin is in every image.

    Args:
        cameras: how many; they are named cam_1, cam_2, ...
        distance: from the origin, in `unit`.
        size: width and height of the images in pixels.
        focal_length: in pixels.
        lens: one of `LENSES`; the number is the count of distortion coefficients. The distortion shifts the corners of
            the image by up to 12 % of their distance from the center.
        elevation: of the low and of the high cameras above the floor, in radians, within -pi/2 and pi/2.
        unit: length unit of the world.
        seed: the same seed and arguments give the same rig.

    Raises:
        InvalidValueError: an argument is out of its range.
    """
    _check_number("cameras", cameras, "a whole number from 1", cameras == int(cameras) and cameras >= 1)
    for name, value in (("distance", distance), ("focal_length", focal_length)):
        _check_number(name, value, "a positive number", np.isfinite(value) and value > 0)
    _check_number("lens", lens, f"one of {', '.join(LENSES)}", lens in LENSES)
    _check_number("elevation", elevation, "angles within ±pi/2", max(map(abs, elevation)) < np.pi / 2 - 0.05)
    rng = np.random.default_rng(seed)
    aims = np.random.default_rng([seed, 1]).uniform(-_AIM_JITTER, _AIM_JITTER, (int(cameras), 2)) * distance
    spacing = 2 * np.pi / cameras
    return Rig(
        tuple(
            _make_camera(
                f"cam_{index + 1}",
                size,
                _make_lens(lens, focal_length * _jitter(rng, 1.0, _FOCAL_JITTER), size, rng),
                distance=distance * _jitter(rng, 1.0, _DISTANCE_JITTER),
                azimuth=spacing * _jitter(rng, index + 0.5, _AZIMUTH_JITTER),
                elevation=_jitter(rng, elevation[index % 2], _ELEVATION_JITTER),
                roll=_jitter(rng, 0.0, _ROLL_JITTER),
                aim=aims[index],
            )
            for index in range(int(cameras))
        ),
        unit=unit,
        metadata={"source": "synthetic", "seed": int(seed)},
    )


def make_points(shape: int | Sequence[int], *, radius: float = 250.0, seed: int = 0) -> NDArray[np.float64]:
    """Points (*shape, 3), uniformly distributed in a ball about the origin.

    Raises:
        InvalidValueError: the radius is not positive.
    """
    _check_number("radius", radius, "a positive length", np.isfinite(radius) and radius > 0)
    rng = np.random.default_rng(seed)
    leading = (shape,) if isinstance(shape, int) else tuple(shape)
    direction = rng.standard_normal((*leading, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    return direction * (radius * np.cbrt(rng.random((*leading, 1))))


def observe(
    rig: Rig,
    points: ArrayLike,
    *,
    noise: ArrayLike = 0.0,
    outlier_rate: float = 0.0,
    dropout_rate: float = 0.0,
    seed: int = 0,
) -> Observation:
    """What the cameras report of world points (..., 3).

    A point is visible where its projection lies in the image. Of the visible points each camera loses the share
    `dropout_rate`, and of those it reports the share `outlier_rate` is replaced by a pixel drawn uniformly from its
    image; the others get Gaussian noise, which may carry them slightly out of the image. All draws are independent.
    Confidence is 5/6 on average for inliers, 1/3 for outliers, and overlaps.

    Args:
        rig: the cameras.
        points: (..., 3) in the rig's unit; NaN is not seen.
        noise: standard deviation per pixel axis; a number, or an array that broadcasts against (..., camera).
        outlier_rate, dropout_rate: shares in [0, 1].
        seed: the same seed and arguments give the same bytes.

    Raises:
        InvalidValueError: a rate or the noise is out of range, or the points are not (..., 3).
    """
    for name, rate in (("outlier_rate", outlier_rate), ("dropout_rate", dropout_rate)):
        _check_number(name, rate, "a share from 0 to 1", 0.0 <= rate <= 1.0)
    deviation = np.asarray(noise, dtype=np.float64)
    _check_number("noise", noise, "pixels from 0", bool((np.isfinite(deviation) & (deviation >= 0)).all()))
    truth = rig.project(points)
    try:
        deviation = np.broadcast_to(deviation, truth.shape[:-1])
    except ValueError:
        _check_number("noise", deviation.shape, f"a shape that broadcasts against {truth.shape[:-1]}", fits=False)
    rng = np.random.default_rng(seed)
    size = np.array([camera.size for camera in rig], dtype=np.float64)
    with np.errstate(invalid="ignore"):
        visible = np.asarray(((truth >= -0.5) & (truth < size - 0.5)).all(axis=-1))
    shape = visible.shape
    reported = visible & (rng.random(shape) >= dropout_rate)
    outlier = reported & (rng.random(shape) < outlier_rate)
    pixels = rng.standard_normal(truth.shape)
    pixels *= deviation[..., None]
    pixels += truth
    camera = np.nonzero(outlier)[-1]
    pixels[outlier] = rng.random((len(camera), 2)) * size[camera] - 0.5
    pixels[~reported] = np.nan
    return Observation(pixels, _draw_confidence(reported, outlier, rng), outlier, visible, truth)


def _draw_confidence(
    reported: NDArray[np.bool_], outlier: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float64]:
    # Of a uniform u, u^(1/5) has the mean 5/6 and the density 5 c^4; 1 - sqrt(1 - u) has 1/3 and 2 - 2c: they overlap.
    uniform = rng.random(reported.shape)
    confidence = np.where(outlier, 1.0 - np.sqrt(1.0 - uniform), uniform**0.2)
    confidence[~reported] = 0.0
    return confidence


def _make_camera(
    name: str,
    size: tuple[int, int],
    lens: Lens,
    *,
    distance: float,
    azimuth: float,
    elevation: float,
    roll: float,
    aim: NDArray[np.float64],
) -> Camera:
    """A camera whose optical axis passes the origin at `aim` (2,) to its right and below."""
    outward = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    # Without roll x is level and y points down (pixel rows grow downward).
    level = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    center = distance * outward
    z = aim[0] * level + aim[1] * np.cross(-outward, level) - center
    z /= np.linalg.norm(z)
    x = level - (level @ z) * z
    x /= np.linalg.norm(x)
    rolled_x = np.cos(roll) * x + np.sin(roll) * np.cross(z, x)
    rotation = np.stack([rolled_x, np.cross(z, rolled_x), z])
    return Camera(name, size, lens, RigidTransform(rotation, -rotation @ center))


def _make_lens(kind: str, focal_length: float, size: tuple[int, int], rng: np.random.Generator) -> Lens:
    aspect = _jitter(rng, 1.0, 0.001)
    center = (np.array(size) - 1) / 2 + np.array(size) * rng.uniform(-_CENTER_JITTER, _CENTER_JITTER, 2)
    matrix = np.array([[focal_length, 0.0, center[0]], [0.0, focal_length * aspect, center[1]], [0.0, 0.0, 1.0]])
    corner = float(np.hypot(*size)) / 2 / focal_length  # normalized radius of the corner of the image
    # Drawn whether the lens has them or not, so that rigs of one seed differ in the lens only.
    fisheye = rng.uniform(-1, 1, 4) * np.array([0.03, 0.01, 0.003, 0.001])
    radial = rng.uniform([-0.12, 0.0, -0.005], [-0.03, 0.03, 0.005]) / corner ** np.array([2.0, 4.0, 6.0])
    tangential = rng.uniform(-1, 1, 2) * 5e-4
    rational = rng.uniform(-1, 1, 3) * np.array([0.02, 0.005, 0.001]) / corner ** np.array([2.0, 4.0, 6.0])
    prism = rng.uniform(-1, 1, 4) * 5e-4
    tilt = rng.uniform(-1, 1, 2) * 0.01
    if kind == "fisheye":
        return Fisheye(matrix, fisheye)
    coefficients = np.concatenate([radial[:2], tangential, radial[2:], rational, prism, tilt])
    return BrownConrady(matrix, coefficients[: int(kind.removeprefix("brown"))] if kind != "pinhole" else np.zeros(0))


def _jitter(rng: np.random.Generator, value: float, spread: float) -> float:
    return value + float(rng.uniform(-spread, spread))


def _check_number(name: str, value: object, expected: str, fits: bool | np.bool_) -> None:
    if not fits:
        raise InvalidValueError(name, expected=expected, got=str(value), remedy="Change the setting.")
