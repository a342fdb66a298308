"""Learning the noise of the pixels from the residuals of a triangulation; see `triangulation.estimate_noise`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration._triangulation_engine import Fit, Plan, run
from calibration._triangulation_settings import TriangulationSettings

if TYPE_CHECKING:
    from calibration.rig import Rig

__all__ = ["Noise", "learn_noise", "make_plan"]

# Used where the noise cannot be learned because there are too few observations.
_DEFAULT_THRESHOLD = 10.0
# The length of a residual with Gaussian noise exceeds 4.5 sigma once in 25,000.
_THRESHOLD_IN_SIGMA = 4.5
_SMALLEST_THRESHOLD = 1.0
_PILOT_THRESHOLD = 0.02  # of the image diagonal: 29 px at 1280 x 720, above the noise of any usable detector
_PILOT_POINTS = 10_000  # at six cameras and 20 % missing, 1 % of a standard deviation
_ENOUGH_FREEDOM = 200.0  # degrees of freedom for a standard deviation that is right to 5 % (1 / sqrt(2 n))
_MEDIAN_OF_CHI2_2 = 1.3863  # of the squared length of a standard normal vector in the plane
_NOISE_ROUNDS = 10
_NOISE_TOLERANCE = 0.01  # of a standard deviation
_LARGEST_RATE = 0.8
# Residuals cut off closer than this many standard deviations look the same whatever their noise.
_SMALLEST_CUT = 1.5


@dataclass(frozen=True)
class Noise:
    """What the observations say of their own noise.

    Attributes:
        sigma: (camera,) standard deviation of a pixel coordinate at confidence 1, in pixels.
        threshold: largest residual of an inlier, in pixels.
        freedom: (camera,) degrees of freedom behind each sigma; 0 where it was given or could not be estimated.
    """

    sigma: NDArray[np.float64]
    threshold: float
    freedom: NDArray[np.float64]

    @property
    def is_well_known(self) -> bool:
        """Whether there were degrees of freedom enough to learn a noise common to all cameras."""
        return bool(self.freedom.sum() >= _ENOUGH_FREEDOM)


def learn_noise(
    rig: Rig,
    pixels: NDArray[np.float64],
    confidence: NDArray[np.float64] | None,
    settings: TriangulationSettings,
    engine: str,
) -> Noise:
    """Noise and threshold: what the settings give, and the rest learned; see `triangulation.estimate_noise`."""
    n_cameras = len(rig)
    if settings.noise is not None:
        sigma = np.broadcast_to(np.asarray(settings.noise, dtype=np.float64), n_cameras).copy()
        if settings.threshold is not None or settings.method == "linear":
            return Noise(sigma, settings.threshold or np.inf, np.zeros(n_cameras))
        return Noise(sigma, max(_SMALLEST_THRESHOLD, _THRESHOLD_IN_SIGMA * float(sigma.max())), np.zeros(n_cameras))
    sample, sample_confidence = _pilot_sample(pixels, confidence, settings.seed)
    if settings.threshold is not None or settings.method == "linear":
        threshold = settings.threshold or np.inf
    else:
        threshold = _learn_threshold(rig, sample, sample_confidence, settings, engine)
    noise, step = Noise(np.ones(n_cameras), threshold, np.zeros(n_cameras)), np.full(n_cameras, np.inf)
    for rounds in range(_NOISE_ROUNDS):
        fit = run(rig, sample, sample_confidence, make_plan(settings, noise, engine))
        renewed = _renewed(rig, sample_confidence, fit, noise)
        last, step = step, np.log(renewed.sigma / noise.sigma)
        # The steps shrink by about the same factor, a slow one for a camera much better than the others: every other
        # time go the whole way that they announce (Aitken).
        rate = np.clip(step / np.where(last == 0, np.inf, last), 0.0, _LARGEST_RATE) if rounds % 2 else 0.0
        noise = replace(renewed, sigma=renewed.sigma * np.exp(step * rate / (1.0 - rate)))
        if np.abs(step).max() < _NOISE_TOLERANCE:
            break
    return noise


def _learn_threshold(
    rig: Rig,
    pixels: NDArray[np.float64],
    confidence: NDArray[np.float64] | None,
    settings: TriangulationSettings,
    engine: str,
) -> float:
    """4.5 times the core noise; see `estimate_noise`."""
    wide = _PILOT_THRESHOLD * float(np.median([np.hypot(*camera.size) for camera in rig]))
    fit = run(rig, pixels, confidence, make_plan(settings, Noise(np.ones(len(rig)), wide, np.zeros(len(rig))), engine))
    leverage, weights = _leverage(rig, confidence, fit, np.ones(len(rig)))
    counted = fit.inliers & np.isfinite(fit.residuals) & (fit.inliers.sum(-1) >= 3)[:, None]
    freedom = float((2.0 - leverage)[counted].sum())
    if freedom < _ENOUGH_FREEDOM:
        return _DEFAULT_THRESHOLD
    scaled = weights * fit.residuals**2 / np.maximum(1.0 - leverage / 2.0, 0.05)
    core = float(np.sqrt(np.median(scaled[counted]) / _MEDIAN_OF_CHI2_2))
    return float(np.clip(_THRESHOLD_IN_SIGMA * core, _SMALLEST_THRESHOLD, wide))


def _renewed(rig: Rig, confidence: NDArray[np.float64] | None, fit: Fit, noise: Noise) -> Noise:
    """The noise that the residuals of a fit show, which was made with `noise`.

    Points of two cameras have one degree of freedom, and where an outlier came through it is there: they count only
    where there is nothing better.
    """
    leverage, weights = _leverage(rig, confidence, fit, noise.sigma)
    visible = fit.inliers & np.isfinite(fit.residuals)
    counted = visible & (visible.sum(-1) >= 3)[:, None]
    if not counted.any():
        counted = visible
    squares = np.where(counted, weights * np.where(counted, fit.residuals, 0.0) ** 2, 0.0).sum(0)
    # E(r^2 | r < c) = 2 - c^2 / (exp(c^2 / 2) - 1) for the length r of a standard normal vector in the plane
    share = np.where(counted, np.maximum(2.0 - leverage, 0.0), 0.0)
    with np.errstate(all="ignore"):
        half = np.clip(weights * noise.threshold**2 / share, _SMALLEST_CUT**2 / 2, 500.0)
        expected = np.where(counted, share * (1.0 - half / np.expm1(half)), 0.0).sum(0)
        freedom = share.sum(0)
        own, common = squares / expected, squares.sum() / expected.sum() if counted.any() else 1.0
    variance = noise.sigma**2 * np.where(freedom >= _ENOUGH_FREEDOM, own, common)
    # Noise-free input has no spread to scale by: any small number serves, zero would divide.
    return Noise(np.clip(np.sqrt(variance), 1e-12, noise.threshold / _SMALLEST_CUT), noise.threshold, freedom)


def _leverage(
    rig: Rig, confidence: NDArray[np.float64] | None, fit: Fit, sigma: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leverage (point, camera) in [0, 2] of each observation on its own residual, and its weight."""
    weights = np.ones(fit.inliers.shape) if confidence is None else confidence.reshape(fit.inliers.shape)
    weights = weights / sigma**2
    leverage = np.zeros(fit.inliers.shape)
    for index, camera in enumerate(rig):
        in_camera = camera.cam_from_world(fit.points)
        with np.errstate(invalid="ignore", divide="ignore"):
            normalized = in_camera[:, :2] / in_camera[:, 2:]
            by_point = camera.cam_from_world.rotation[:2] - normalized[:, :, None] * camera.cam_from_world.rotation[2]
            jacobian = camera.lens.jacobian(normalized) @ (by_point / in_camera[:, 2, None, None])
        leverage[:, index] = weights[:, index] * np.einsum("pij,pjk,pik->p", jacobian, fit.covariance, jacobian)
    return leverage, weights


def _pilot_sample(
    pixels: NDArray[np.float64], confidence: NDArray[np.float64] | None, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """At most `_PILOT_POINTS` points: one at random from each of as many equal stretches of the batch."""
    batch = pixels.shape[:-2]
    count = int(np.prod(batch))
    if count <= _PILOT_POINTS:
        return pixels, confidence
    # Even steps could meet the same keypoint every time.
    stretch = np.arange(_PILOT_POINTS) + np.random.default_rng(seed).random(_PILOT_POINTS)
    chosen = np.unravel_index((stretch * (count / _PILOT_POINTS)).astype(np.int64), batch)
    return pixels[chosen], None if confidence is None else confidence[chosen]


def make_plan(
    settings: TriangulationSettings, noise: Noise, engine: str, *, covariance: bool = True, workers: int | None = None
) -> Plan:
    return Plan(
        robust=settings.method == "robust",
        sigma=noise.sigma,
        threshold=noise.threshold,
        minimum_confidence=settings.minimum_confidence,
        minimum_angle=settings.minimum_angle,
        seed=settings.seed,
        engine=engine,
        covariance=covariance,
        workers=workers,
    )
