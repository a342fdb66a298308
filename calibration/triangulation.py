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

from calibration._triangulation_engine import normalize, run
from calibration._triangulation_noise import Noise, learn_noise, make_plan
from calibration._triangulation_settings import TriangulationSettings, is_whole, require
from calibration.errors import MismatchError
from calibration.schema import as_floats

if TYPE_CHECKING:
    from calibration.rig import Rig

__all__ = [
    "Noise",
    "Status",
    "Triangulation",
    "TriangulationSettings",
    "estimate_noise",
    "kernel_cache",
    "normalize_pixels",
    "prepare",
    "triangulate",
]


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
class Triangulation:
    """The outcome of `triangulate`; batch axes are those of the input.

    Attributes:
        points: (..., 3) in the rig's unit, NaN where there is no point.
        covariance: (..., 3, 3) in the squared unit, None where not asked for.
        inliers: (..., camera) True where a camera was used.
        residuals: (..., camera) reprojection error in pixels of every camera that saw the point, used or not; NaN
            where the point that was found lies behind the camera or outside the valid radius of its lens.
        n_cameras: (...) number of cameras used.
        status: (...) values of `Status`.
        noise: noise and threshold that were used.
    """

    points: NDArray[np.float64]
    covariance: NDArray[np.float64] | None
    inliers: NDArray[np.bool_]
    residuals: NDArray[np.float64]
    n_cameras: NDArray[np.int16]
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
    require("engine", engine in ("numba", "numpy"), "'numba' or 'numpy'", engine)
    require("workers", workers is None or is_whole(workers, 1), "a whole number of threads from 1", workers)
    _check_noise(rig, settings)
    positions, scores = _as_observations(rig, pixels, confidence)
    learned = learn_noise(rig, positions, scores, settings, engine)
    plan = make_plan(settings, learned, engine, covariance=covariance, workers=workers)
    fit = run(rig, positions, scores, plan)
    batch = positions.shape[:-2]
    return Triangulation(
        points=fit.points.reshape(*batch, 3),
        covariance=fit.covariance.reshape(*batch, 3, 3) if covariance else None,
        inliers=fit.inliers.reshape(*batch, len(rig)),
        residuals=fit.residuals.reshape(*batch, len(rig)),
        n_cameras=fit.inliers.sum(-1, dtype=np.int16).reshape(batch),
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
    """Noise of the pixels and the threshold of inliers, learned from at most 10,000 points, spread evenly.

    A first robust triangulation with a wide threshold (2 % of the image diagonal) gives the core noise from the median
    residual, which outliers do not move; 4.5 times it, but at least 1 px, is the threshold. Then each camera's noise
    follows from the squared residuals of its inliers, divided by their degrees of freedom (a camera's share is 2 minus
    the leverage of its observation) and by what the threshold cuts off; repeated with weights of that noise until it
    stays (estimation of variance components, Foerstner 1979). A camera with fewer than 200 degrees gets the common
    noise. Where all together have fewer, the threshold is 10 px.

    Args:
        rig, pixels, confidence: as for `triangulate`.
        settings: what is given there is not estimated.
        engine: as for `triangulate`.

    Raises:
        InvalidValueError, MismatchError: as for `triangulate`.
    """
    settings = settings or TriangulationSettings()
    _check_noise(rig, settings)
    positions, scores = _as_observations(rig, pixels, confidence)
    return learn_noise(rig, positions, scores, settings, engine)


def normalize_pixels(rig: Rig, pixels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normalized image coordinates of the pixels of all cameras, and the slope of the lens there, by compiled kernels.

    The same as `lens.undistort` and `lens.jacobian` of each camera, about ten times as fast.

    Args:
        rig: the cameras, in the order of the camera axis.
        pixels: (..., camera, 2) distorted pixels, NaN where a camera does not see the point.

    Returns:
        (..., camera, 2) normalized coordinates, NaN also where a pixel lies outside the valid radius of its lens, and
        (..., camera, 2, 2) the derivative of the pixels by them.

    Raises:
        InvalidValueError: the shape is wrong, or pixels are infinite.
        MismatchError: the number of cameras is not that of the rig.
    """
    return normalize(rig, _as_observations(rig, pixels, None)[0])


def _check_noise(rig: Rig, settings: TriangulationSettings) -> None:
    count = len(rig)
    fits = settings.noise is None or np.size(settings.noise) in (1, count)
    require("noise", fits, f"one number, or {count}: one per camera", settings.noise)


def prepare() -> None:
    """Load the compiled kernels, or compile them on first use (seconds), by triangulating one made-up point."""
    from calibration.synthetic import make_rig

    rig = make_rig(3)
    triangulate(rig, rig.project(np.zeros((1, 3))), noise=1.0, threshold=1.0)


def kernel_cache() -> str | None:
    """The folder in which the compiled kernels are kept; None where they are compiled at every start.

    NUMBA_CACHE_DIR chooses another one.
    """
    from calibration._triangulation_kernels import cache_folder

    return cache_folder()


def _as_observations(
    rig: Rig, pixels: ArrayLike, confidence: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Pixels and confidence as float64 of fitting shapes, or an error."""
    positions = _as_numbers("pixels", pixels)
    require("pixels", positions.ndim >= 2 and positions.shape[-1] == 2, "shape (..., camera, 2)", positions.shape)
    if positions.shape[-2] != len(rig):
        raise MismatchError(
            "triangulate, pixels",
            expected=f"{len(rig)} cameras on the axis before the last: {', '.join(rig.names)}",
            got=f"{positions.shape[-2]}, in shape {positions.shape}",
            remedy="Select and order the cameras with rig.select, or fill missing cameras with NaN.",
        )
    if positions.size and not all(abs(limit) < np.inf for limit in _range(positions)):
        infinite = int(np.isinf(positions).sum())
        require("pixels", infinite == 0, "finite pixels, NaN where missing", f"{infinite} infinities")
    if confidence is None:
        return positions, None
    scores = _as_numbers("confidence", confidence)
    require("confidence", scores.shape == positions.shape[:-1], f"shape {positions.shape[:-1]}", scores.shape)
    if scores.size:
        low, high = _range(scores)
        require("confidence", not (low < 0 or high > 1), "values in [0, 1], NaN where missing", f"{low:g} to {high:g}")
    return positions, scores


def _as_numbers(subject: str, values: ArrayLike) -> NDArray[np.float64]:
    """The values as an array; floats of another precision stay, and become float64 chunk by chunk."""
    if isinstance(values, np.ma.MaskedArray):  # as netCDF4 gives them
        return np.ma.filled(values.astype(np.float64), np.nan)
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return values
    return as_floats(values, f"triangulate, {subject}")


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    """Smallest and largest value but for NaN, with no temporary of the size of the input."""
    return float(np.fmin.reduce(values, axis=None)), float(np.fmax.reduce(values, axis=None))
