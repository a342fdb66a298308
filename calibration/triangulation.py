"""From pixels of several cameras to points in the world, with covariance and a reason for every missing point.

Both methods end in the same maximum-likelihood polish: Gauss-Newton on the reprojection error in distorted pixels,
weighted by confidence and noise (Hartley and Zisserman, Multiple View Geometry, 2nd edition, sections 12.3 and 18.1).
They differ in which cameras take part:

- `linear` uses every camera that sees the point.
- `robust` keeps that fit where it explains every camera within the threshold. Elsewhere pairs of cameras make
  hypotheses, the one with the smallest truncated squared error over all cameras wins (Torr and Zisserman, MLESAC,
  2000), and the fit is repeated on its inliers until they stay the same. Of two pairs that each agree with nothing but
  themselves neither is believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration._triangulation_engine import Fit, Plan, run
from calibration.errors import InvalidValueError, MismatchError

if TYPE_CHECKING:
    from calibration.rig import Rig

__all__ = ["Noise", "Status", "Triangulation", "TriangulationSettings", "estimate_noise", "prepare", "triangulate"]

# Used where the noise cannot be learned because there are too few observations.
_DEFAULT_THRESHOLD = 10.0
# The length of a residual with Gaussian noise exceeds 4.5 sigma once in 25,000.
_THRESHOLD_IN_SIGMA = 4.5
_SMALLEST_THRESHOLD = 1.0
_PILOT_THRESHOLD = 0.02  # of the image diagonal: 29 px at 1280 x 720, above the noise of any usable detector
_PILOT_POINTS = 20_000
_ENOUGH_FREEDOM = 200.0  # degrees of freedom for a standard deviation that is right to 5 % (1 / sqrt(2 n))
_MEDIAN_OF_CHI2_2 = 1.3863  # of the squared length of a standard normal vector in the plane


class Status(IntEnum):
    """Why a point is missing; `OK` where it is not."""

    OK = 0
    TOO_FEW_VIEWS = 1
    NO_CONSENSUS = 2
    PARALLEL_RAYS = 3
    BEHIND_CAMERA = 4

    @property
    def meaning(self) -> str:
        """The reason in words."""
        return _MEANINGS[self]


_MEANINGS = {
    Status.OK: "triangulated",
    Status.TOO_FEW_VIEWS: "seen by fewer than two cameras",
    Status.NO_CONSENSUS: "the cameras do not agree on a point",
    Status.PARALLEL_RAYS: "the rays are too parallel",
    Status.BEHIND_CAMERA: "the rays meet behind a camera",
}


@dataclass(frozen=True)
class TriangulationSettings:
    """How to triangulate.

    Attributes:
        method: "robust" or "linear".
        threshold: largest residual of an inlier in pixels; None: 4.5 times the noise, see `estimate_noise`.
        noise: standard deviation of a pixel coordinate at confidence 1, one number or one per camera; None: estimated
            from the residuals.
        minimum_confidence: a camera with less confidence in a point counts as not seeing it.
        minimum_angle: radians between the two widest rays in use, below which there is no point. At the default of one
            degree the depth is 57 times as uncertain as the other directions.
        seed: chooses the pairs of cameras where more than eight see a point; up to eight all pairs are tried.
    """

    method: Literal["robust", "linear"] = "robust"
    threshold: float | None = None
    noise: float | tuple[float, ...] | None = None
    minimum_confidence: float = 0.0
    minimum_angle: float = float(np.deg2rad(1.0))
    seed: int = 0

    def __post_init__(self) -> None:
        _require("method", self.method in ("robust", "linear"), "'robust' or 'linear'", self.method)
        numeric = self.threshold is None or (np.isfinite(self.threshold) and self.threshold > 0)
        _require("threshold", bool(numeric), "a positive number of pixels", self.threshold)
        if self.noise is not None:
            sigma = np.asarray(self.noise, dtype=np.float64)
            fine = sigma.ndim <= 1 and bool(np.all(np.isfinite(sigma) & (sigma > 0)))
            _require("noise", fine, "positive pixels, one number or one per camera", self.noise)
        _require("minimum_confidence", 0 <= self.minimum_confidence <= 1, "0 to 1", self.minimum_confidence)
        angle = 0 <= self.minimum_angle < np.pi / 2
        _require("minimum_angle", bool(angle), "radians from 0 to less than pi / 2", self.minimum_angle)


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


@dataclass(frozen=True)
class Triangulation:
    """The outcome of `triangulate`; batch axes are those of the input.

    Attributes:
        points: (..., 3) in the rig's unit, NaN where there is no point.
        covariance: (..., 3, 3) in the squared unit, None where not asked for.
        inliers: (..., camera) True where a camera was used.
        residuals: (..., camera) reprojection error in pixels of every camera that saw the point, used or not.
        n_cameras: (...) number of cameras used.
        status: (...) values of `Status`.
        noise: noise and threshold that were used.
    """

    points: NDArray[np.float64]
    covariance: NDArray[np.float64] | None
    inliers: NDArray[np.bool_]
    residuals: NDArray[np.float64]
    n_cameras: NDArray[np.int8]
    status: NDArray[np.int8]
    noise: Noise


def triangulate(
    rig: Rig,
    pixels: ArrayLike,
    confidence: ArrayLike | None = None,
    *,
    method: Literal["robust", "linear"] = TriangulationSettings.method,
    threshold: float | None = TriangulationSettings.threshold,
    noise: float | tuple[float, ...] | None = TriangulationSettings.noise,
    minimum_confidence: float = TriangulationSettings.minimum_confidence,
    minimum_angle: float = TriangulationSettings.minimum_angle,
    seed: int = TriangulationSettings.seed,
    covariance: bool = True,
    workers: int | None = None,
    engine: Literal["numba", "numpy"] = "numba",
) -> Triangulation:
    """Triangulate points seen by the cameras of a rig.

    Args:
        rig: the cameras, in the order of the camera axis.
        pixels: (..., camera, 2) distorted pixels, NaN where a camera does not see the point.
        confidence: (..., camera) in [0, 1]; weights the squared error, 0 and NaN count as not seen. 1 by default.
        method, threshold, noise, minimum_confidence, minimum_angle, seed: see `TriangulationSettings`.
        covariance: whether to compute it.
        workers: threads; as many as processors by default.
        engine: "numba" for compiled kernels, "numpy" for the same method without compilation, a hundred times slower.

    Raises:
        InvalidValueError: a shape or setting is wrong; pixels are infinite; confidence is out of range.
        MismatchError: the number of cameras is not that of the rig.
    """
    settings = TriangulationSettings(method, threshold, noise, minimum_confidence, minimum_angle, seed)
    _require("engine", engine in ("numba", "numpy"), "'numba' or 'numpy'", engine)
    _require("workers", workers is None or workers >= 1, "a positive number of threads", workers)
    positions, scores = _as_observations(rig, pixels, confidence)
    learned = _noise(rig, positions, scores, settings, engine)
    plan = _plan(settings, learned, engine, covariance=covariance, workers=workers)
    fit = run(rig, positions, scores, plan)
    batch = positions.shape[:-2]
    return Triangulation(
        points=fit.points.reshape(*batch, 3),
        covariance=fit.covariance.reshape(*batch, 3, 3) if covariance else None,
        inliers=fit.inliers.reshape(*batch, len(rig)),
        residuals=fit.residuals.reshape(*batch, len(rig)),
        n_cameras=fit.inliers.sum(-1, dtype=np.int8).reshape(batch),
        status=fit.status.reshape(batch),
        noise=learned,
    )


def estimate_noise(
    rig: Rig,
    pixels: ArrayLike,
    confidence: ArrayLike | None = None,
    *,
    settings: TriangulationSettings | None = None,
    engine: Literal["numba", "numpy"] = "numba",
) -> Noise:
    """Noise of the pixels and the threshold of inliers, learned from at most 20,000 evenly spaced points.

    A first robust triangulation with a wide threshold (2 % of the image diagonal) gives the core noise from the median
    residual, which outliers do not move; 4.5 times it, but at least 1 px, is the threshold. A second one with that
    threshold gives each camera's noise from the squared residuals of its inliers, divided by their degrees of freedom
    (a camera's share is 2 minus the leverage of its observation). A camera with fewer than 200 of them gets
    the common noise. Where all together have fewer, the threshold is 10 px.

    Args:
        rig, pixels, confidence: as for `triangulate`.
        settings: what is given there is not estimated.
        engine: as for `triangulate`.

    Raises:
        InvalidValueError, MismatchError: as for `triangulate`.
    """
    positions, scores = _as_observations(rig, pixels, confidence)
    return _noise(rig, positions, scores, settings or TriangulationSettings(), engine)


def prepare() -> None:
    """Load the compiled kernels, or compile them on first use (seconds), by triangulating one made-up point."""
    from calibration.synthetic import make_rig

    rig = make_rig(3)
    triangulate(rig, rig.project(np.zeros((1, 3))), noise=1.0, threshold=1.0)


def _noise(
    rig: Rig,
    pixels: NDArray[np.float64],
    confidence: NDArray[np.float64] | None,
    settings: TriangulationSettings,
    engine: str,
) -> Noise:
    n_cameras = len(rig)
    if settings.noise is not None:
        _require("noise", np.size(settings.noise) in (1, n_cameras), f"1 or {n_cameras} numbers", settings.noise)
        sigma = np.broadcast_to(np.asarray(settings.noise, dtype=np.float64), n_cameras).copy()
        if settings.threshold is not None or settings.method == "linear":
            return Noise(sigma, settings.threshold or np.inf, np.zeros(n_cameras))
        return Noise(sigma, max(_SMALLEST_THRESHOLD, _THRESHOLD_IN_SIGMA * float(sigma.max())), np.zeros(n_cameras))
    sample, sample_confidence = _pilot_sample(pixels, confidence)
    given = settings.threshold
    threshold = _learn_threshold(rig, sample, sample_confidence, settings, engine) if given is None else given
    pilot = Noise(np.ones(n_cameras), threshold, np.zeros(n_cameras))
    fit = run(rig, sample, sample_confidence, _plan(settings, pilot, engine))
    squares, freedom = _squares_and_freedom(rig, sample_confidence, fit)
    common = squares.sum() / freedom.sum() if freedom.sum() > 0 else 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.where(freedom >= _ENOUGH_FREEDOM, squares / freedom, common)
    # Noise-free input has no spread to scale by: any small number serves, zero would divide.
    sigma = np.sqrt(np.maximum(variance, 1e-24))
    return Noise(sigma, threshold, freedom)


def _learn_threshold(
    rig: Rig,
    pixels: NDArray[np.float64],
    confidence: NDArray[np.float64] | None,
    settings: TriangulationSettings,
    engine: str,
) -> float:
    """4.5 times the core noise; see `estimate_noise`."""
    wide = _PILOT_THRESHOLD * float(np.median([np.hypot(*camera.size) for camera in rig]))
    fit = run(rig, pixels, confidence, _plan(settings, Noise(np.ones(len(rig)), wide, np.zeros(len(rig))), engine))
    leverage, weights = _leverage(rig, confidence, fit)
    counted = fit.inliers & (fit.inliers.sum(-1) >= 3)[:, None]
    freedom = float((2.0 - leverage)[counted].sum())
    if freedom < _ENOUGH_FREEDOM:
        return _DEFAULT_THRESHOLD
    scaled = weights * fit.residuals**2 / np.maximum(1.0 - leverage / 2.0, 0.05)
    core = float(np.sqrt(np.median(scaled[counted]) / _MEDIAN_OF_CHI2_2))
    return float(np.clip(_THRESHOLD_IN_SIGMA * core, _SMALLEST_THRESHOLD, wide))


def _squares_and_freedom(
    rig: Rig, confidence: NDArray[np.float64] | None, fit: Fit
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(camera,) sums of the weighted squared residuals of inliers, and of their degrees of freedom.

    Points of two cameras have one degree of freedom, and where an outlier came through it is there: they count only
    where there is nothing better.
    """
    leverage, weights = _leverage(rig, confidence, fit)
    counted = fit.inliers & (fit.inliers.sum(-1) >= 3)[:, None]
    if not counted.any():
        counted = fit.inliers
    squares = np.where(counted, weights * np.where(counted, fit.residuals, 0.0) ** 2, 0.0).sum(0)
    return squares, np.where(counted, 2.0 - leverage, 0.0).sum(0)


def _leverage(
    rig: Rig, confidence: NDArray[np.float64] | None, fit: Fit
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leverage (point, camera) in [0, 2] of each observation on its own residual, and its weight."""
    weights = np.ones(fit.inliers.shape) if confidence is None else confidence.reshape(fit.inliers.shape)
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
    pixels: NDArray[np.float64], confidence: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """At most about `_PILOT_POINTS` points, evenly spaced along the first batch axis."""
    if pixels.ndim == 2:
        return pixels[None], None if confidence is None else confidence[None]
    per_row = max(1, int(np.prod(pixels.shape[1:-2])))
    rows = max(1, _PILOT_POINTS // per_row)
    if pixels.shape[0] > rows:
        chosen = np.linspace(0, pixels.shape[0] - 1, rows).round().astype(np.int64)
        pixels = pixels[chosen]
        confidence = None if confidence is None else confidence[chosen]
    return pixels, confidence


def _plan(
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


def _as_observations(
    rig: Rig, pixels: ArrayLike, confidence: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Pixels and confidence as float64 of fitting shapes, or an error."""
    positions = np.asarray(pixels, dtype=np.float64)
    _require("pixels", positions.ndim >= 2 and positions.shape[-1] == 2, "shape (..., camera, 2)", positions.shape)
    if positions.shape[-2] != len(rig):
        raise MismatchError(
            "pixels",
            expected=f"{len(rig)} cameras on the axis before the last: {', '.join(rig.names)}",
            got=f"{positions.shape[-2]}, in shape {positions.shape}",
            remedy="Select and order the cameras with rig.select, or fill missing cameras with NaN.",
        )
    # one pass without a temporary as large as the input: infinities and NaN are told apart only where there are any
    if not np.isfinite(positions.sum()) and bool(np.isinf(positions).any()):
        _require("pixels", False, "finite pixels, NaN where missing", f"{int(np.isinf(positions).sum())} infinities")
    if confidence is None:
        return positions, None
    scores = np.asarray(confidence, dtype=np.float64)
    _require("confidence", scores.shape == positions.shape[:-1], f"shape {positions.shape[:-1]}", scores.shape)
    if scores.size:
        low, high = np.fmin.reduce(scores, axis=None), np.fmax.reduce(scores, axis=None)
        _require("confidence", not (low < 0 or high > 1), "values in [0, 1], NaN where missing", f"{low:g} to {high:g}")
    return positions, scores


def _require(subject: str, fine: bool, expected: str, got: object) -> None:
    if not fine:
        raise InvalidValueError(
            f"triangulate, {subject}", expected=expected, got=str(got), remedy="Correct the argument."
        )
