"""How good a calibration is, in numbers: errors on used and left-out frames, coverage, residual maps, lengths.

Everything is computed from a `Calibration`; `calibration.verdict` says in words what the numbers mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration._lengths import REGION_WORDS, LengthErrors, length_errors
from calibration.lens import Lens
from calibration.lens_models import LensModel, parameter_names
from calibration.rig_calibration import Calibration

__all__ = [
    "PARTS",
    "POSE_PARAMETERS",
    "REGION_WORDS",
    "CameraDiagnosis",
    "Diagnosis",
    "Errors",
    "LengthErrors",
    "RadialTrend",
    "WorstView",
    "diagnose",
    "lens_values",
]

Array = NDArray[np.float64]

# Free parameters of a camera that are not of its lens: see `calibration.bundle`.
POSE_PARAMETERS = ("rx", "ry", "rz", "tx", "ty", "tz")
# Ninths of an image, row by row.
PARTS = ("upper left", "upper", "upper right", "left", "middle", "right", "lower left", "lower", "lower right")
# Cells of the coverage map: small enough to show a bare corner, large enough that some boards fill them.
_COVERAGE = (8, 12)
_RADIAL_BINS = 10
# Corners of less weight do not say how far out the board was.
_BELIEVED = 0.2
# Fewest corners in a bin of a residual map.
_FEWEST = 12
# A radial trend counts where it stands out of its standard error by this factor in some bin, and is larger than a
# twentieth of the noise: below that nobody sees it in 3D.
_TREND_SIGNIFICANCE = 5.0
_TREND_SHARE = 0.2
# A corner this many standard deviations off is no noise: of Gaussian noise in two axes, 1.5 in 10^8 are.
_OUTLIER = 6.0
# Nor is it a mistake where it is off by less than this (px): detectors err so far where a board blurs.
_LEAST_OUTLIER = 0.5
_WORST = 6


@dataclass(frozen=True)
class Errors:
    """Reprojection errors in pixels: distances between corners as seen and as projected.

    Attributes:
        count: number of corners.
        outliers: share of those that are farther off than six times the noise, which not one in ten million is by
            chance, and than half a pixel.
        rms, median, p95: of the others; NaN where there are none.
    """

    count: int
    outliers: float
    rms: float
    median: float
    p95: float


@dataclass(frozen=True, eq=False)
class RadialTrend:
    """Mean residual along the radius, by distance from the principal point: what the lens model leaves over.

    Attributes:
        radius: (bin,) px, mean distance in each bin.
        mean: (bin,) px, positive where corners are farther out than projected; NaN where there are few.
        error: (bin,) px, its standard error.
        advice: what would take the trend away, as "add k3"; empty where there is none.
    """

    radius: Array
    mean: Array
    error: Array
    advice: str


@dataclass(frozen=True, eq=False)
class CameraDiagnosis:
    """One camera.

    Attributes:
        name: of the camera.
        boards, corners: how many it saw, of those that were used.
        used: errors of the frames that the rig was fitted to.
        held_out: errors of frames that it was fitted without; None where none were left out.
        coverage: (rows, columns) corners in each cell of the image.
        bare: names of the parts of the image without any, as "upper left".
        reach: distance of the outermost corner from the middle of the image, as a share of half the diagonal.
        trend: what the lens model leaves over.
        model: of the lens, None where the lens was given and kept.
        focal_length: px, along x.
        deviations: standard deviations of the free parameters of the camera.
    """

    name: str
    boards: int
    corners: int
    used: Errors
    held_out: Errors | None
    coverage: NDArray[np.intp]
    bare: tuple[str, ...]
    reach: float
    trend: RadialTrend
    model: LensModel | None
    focal_length: float
    deviations: Mapping[str, float]

    @property
    def covered(self) -> float:
        """Share of the cells of the image in which corners were seen."""
        return float((self.coverage > 0).mean())


@dataclass(frozen=True)
class WorstView:
    """A board in one camera that fits worst.

    Attributes:
        camera: its name.
        frame: number of the frame in the Corners.
        picture: number of the picture in the camera's video or folder; None for a view of another video.
        median: px, of the distances between its corners as seen and as projected.
        outliers: how many of its corners are outliers.
    """

    camera: str
    frame: int
    picture: int | None
    median: float
    outliers: int


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """How good a calibration is.

    Attributes:
        unit: of lengths.
        square: the printed edge that lengths are compared with.
        cameras: in the order of the rig.
        used, held_out: errors of all cameras together.
        lengths: of all edges; None where no corner was triangulated.
        regions: of the edges in each region of the volume in which there are enough.
        overlap: (camera, camera) number of frames in which both saw the board; on the diagonal, the camera itself.
        noise: (camera,) px, standard deviation of a corner along each axis.
        worst: the views that fit worst.
        points: (n, 3) corners of the boards in the world, for pictures.
    """

    unit: str
    square: float
    cameras: tuple[CameraDiagnosis, ...]
    used: Errors
    held_out: Errors | None
    lengths: LengthErrors | None
    regions: tuple[LengthErrors, ...]
    overlap: NDArray[np.intp]
    noise: Array
    worst: tuple[WorstView, ...]
    points: Array


def diagnose(calibration: Calibration) -> Diagnosis:
    """Measure how good a calibration is."""
    residuals, noise = calibration.adjustment.residuals, calibration.adjustment.noise
    left_out = None if calibration.held_out is None else calibration.held_out.residuals
    overall, regions = length_errors(calibration)
    poses = calibration.world_from_board
    points = np.einsum("fij,cj->fci", poses.rotation, calibration.board_points) + poses.translation[:, None]
    return Diagnosis(
        unit=calibration.rig.unit,
        square=calibration.board.square,
        cameras=tuple(_camera(calibration, index) for index in range(len(calibration.rig))),
        used=_errors(residuals, noise),
        held_out=None if left_out is None else _errors(left_out, noise),
        lengths=overall,
        regions=regions,
        overlap=_overlap(calibration),
        noise=noise,
        worst=_worst(calibration),
        points=points.reshape(-1, 3),
    )


def lens_values(lens: Lens) -> dict[str, float]:
    """The numbers of a lens by their names: focal lengths, principal point, coefficients."""
    matrix = lens.camera_matrix
    numbers = (matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2], *lens.coefficients)
    names = parameter_names(fisheye=lens.model == "fisheye")
    return {name: float(value) for name, value in zip(names, numbers, strict=False)}


def _errors(residuals: Array, noise: Array) -> Errors:
    """Errors of residuals (camera, frame, corner, 2), with the noise of each camera (camera,)."""
    distance = np.hypot(residuals[..., 0], residuals[..., 1])
    limit = np.broadcast_to(_outlier_limit(noise)[:, None, None], distance.shape)
    seen = np.isfinite(distance)
    distance, limit = distance[seen], limit[seen]
    if not len(distance):
        return Errors(0, np.nan, np.nan, np.nan, np.nan)
    inlier = distance <= limit
    return Errors(
        count=len(distance),
        outliers=float(1 - inlier.mean()),
        rms=float(np.sqrt((distance[inlier] ** 2).mean())) if inlier.any() else np.nan,
        median=float(np.median(distance[inlier])) if inlier.any() else np.nan,
        p95=float(np.percentile(distance[inlier], 95)) if inlier.any() else np.nan,
    )


def _outlier_limit(noise: Array) -> Array:
    """(camera,) px, beyond which a corner is an outlier."""
    return np.maximum(_OUTLIER * noise, _LEAST_OUTLIER)


def _camera(calibration: Calibration, index: int) -> CameraDiagnosis:
    camera = calibration.rig.cameras[index]
    position = calibration.corners["position"].values[index]
    residuals = calibration.adjustment.residuals[index]
    left_out = None if calibration.held_out is None else calibration.held_out.residuals[index]
    noise = calibration.adjustment.noise[[index]]
    weights = calibration.adjustment.weights[index]
    seen = np.isfinite(position[..., 0])
    deviations = calibration.adjustment.standard_deviations(camera.name)
    believed = position[np.hypot(*np.moveaxis(residuals, -1, 0)) <= _outlier_limit(noise)]
    coverage = _coverage(believed, camera.size)
    offset = believed - (np.array(camera.size) - 1) / 2
    model = calibration.models.get(camera.name)
    return CameraDiagnosis(
        name=camera.name,
        boards=int(seen.any(axis=-1).sum()),
        corners=int(seen.sum()),
        used=_errors(residuals[None], noise),
        held_out=None if left_out is None else _errors(left_out[None], noise),
        coverage=coverage,
        bare=_bare(coverage),
        reach=float(np.hypot(*offset.T).max(initial=0.0) / (np.hypot(*camera.size) / 2)),
        trend=_trend(position, residuals, weights, camera.lens.camera_matrix[:2, 2], model),
        model=model,
        focal_length=float(camera.lens.camera_matrix[0, 0]),
        deviations=deviations,
    )


def _coverage(pixels: Array, size: tuple[int, int]) -> NDArray[np.intp]:
    rows, columns = _COVERAGE if size[0] >= size[1] else _COVERAGE[::-1]
    limits = ((-0.5, size[1] - 0.5), (-0.5, size[0] - 0.5))
    counts, _, _ = np.histogram2d(pixels[:, 1], pixels[:, 0], bins=(rows, columns), range=limits)
    return counts.astype(np.intp)


def _bare(coverage: NDArray[np.intp]) -> tuple[str, ...]:
    """Ninths of the image of which less than a quarter of the cells was covered."""
    ninths = [cells for row in np.array_split(coverage, 3, axis=0) for cells in np.array_split(row, 3, axis=1)]
    return tuple(part for part, cells in zip(PARTS, ninths, strict=True) if (cells > 0).mean() < 0.25)


def _trend(position: Array, residuals: Array, weights: Array, center: Array, model: LensModel | None) -> RadialTrend:
    """Weighted mean of the radial residual in bins of equal area, its standard error, and what it advises."""
    offset = position - center
    radius = np.hypot(offset[..., 0], offset[..., 1])
    with np.errstate(invalid="ignore"):
        along = (residuals * offset).sum(axis=-1) / radius
    known = np.isfinite(along) & (radius > 0)
    believed = known & (weights > _BELIEVED)
    edges = radius[believed].max(initial=1.0) * np.sqrt(np.linspace(0, 1, _RADIAL_BINS + 1))
    place = np.clip(np.searchsorted(edges, radius[known], side="right") - 1, 0, _RADIAL_BINS - 1)
    weight, value = np.nan_to_num(weights[known]), along[known]
    count = np.bincount(place, weight, minlength=_RADIAL_BINS)
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = np.bincount(place, weight * radius[known], minlength=_RADIAL_BINS) / count
        mean = np.bincount(place, weight * value, minlength=_RADIAL_BINS) / count
        scatter = np.bincount(place, weight * value**2, minlength=_RADIAL_BINS) / count
        error = np.sqrt(np.maximum(scatter - mean**2, 0.0) / count)
    few = count < _FEWEST
    mean, error, middle = (np.where(few, np.nan, each) for each in (mean, error, middle))
    noise = float(np.sqrt(np.average(value**2, weights=weight))) if weight.sum() > 0 else np.nan
    with np.errstate(invalid="ignore"):
        shown = (np.abs(mean) > _TREND_SIGNIFICANCE * error) & (np.abs(mean) > _TREND_SHARE * noise)
    return RadialTrend(middle, mean, error, _advice(model) if shown.any() else "")


def _advice(model: LensModel | None) -> str:
    """The next richer description of the radius."""
    if model is None:
        return "free the lens"
    if model.fisheye:
        return "film the border"
    for name in ("k1", "k2", "k3"):
        if name not in model.free:
            return f"add {name}"
    return "try the fisheye" if "k4" in model.free else "add k4 to k6"


def _overlap(calibration: Calibration) -> NDArray[np.intp]:
    seen = np.isfinite(calibration.corners["position"].values[..., 0]).any(axis=-1).astype(np.intp)
    return np.asarray(seen @ seen.T)


def _worst(calibration: Calibration) -> tuple[WorstView, ...]:
    """The views with the largest root mean square, to which an outlier counts no more than another one."""
    distance = np.hypot(*np.moveaxis(calibration.adjustment.residuals, -1, 0))
    limit = _OUTLIER * calibration.adjustment.noise[:, None, None]
    known = np.isfinite(distance)
    capped = np.where(known, np.minimum(distance, limit), 0.0)
    rms = np.sqrt((capped**2).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1))
    order = np.argsort(rms / limit[..., 0], axis=None, kind="stable")[::-1][:_WORST]
    frames, pictures = calibration.corners["frame"].values, calibration.corners["source_frame"].values
    found = []
    for camera, frame in zip(*np.unravel_index(order, rms.shape), strict=True):
        seen = distance[camera, frame][known[camera, frame]]
        if not len(seen):
            continue
        shared = bool(calibration.shared[frame]) and np.isfinite(pictures[camera, frame])
        found.append(
            WorstView(
                camera=calibration.rig.names[camera],
                frame=int(frames[frame]),
                picture=int(pictures[camera, frame]) if shared else None,
                median=float(np.median(seen)),
                outliers=int((seen > limit[camera, 0, 0]).sum()),
            )
        )
    return tuple(found)
