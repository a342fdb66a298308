"""How good a calibration is, in numbers: errors on used and left-out frames, coverage, residual maps, lengths.

Everything is computed from a `Calibration`; `calibration.verdict` says in words what the numbers mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
# Names of the thirds of the volume along x, y and z of the first camera.
REGION_WORDS = (("left", "middle", "right"), ("upper", "middle", "lower"), ("near", "middle", "far"))
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
class LengthErrors:
    """Lengths of the board's edges between triangulated corners of left-out frames, against the printed ones.

    Corners that are outliers in a camera are not used; else the board is not known to the triangulation.

    Attributes:
        region: where in the volume, as "near, left, low"; "everywhere" for all of it.
        center: (3,) middle of the region in the world.
        count: number of edges.
        mean: measured minus printed length, in the unit of the rig.
        error: standard error of the mean, as if edges were independent.
        rms: root of the mean squared difference.
        mean_length: mean measured length.
    """

    region: str
    center: tuple[float, float, float]
    count: int
    mean: float
    error: float
    rms: float
    mean_length: float


@dataclass(frozen=True)
class WorstView:
    """A board in one camera that fits worst.

    Attributes:
        camera: its name.
        frame: number of the frame in the Corners.
        picture: number of the picture in the camera's video or folder; None for a view of another video.
        rms: px, of all its corners.
    """

    camera: str
    frame: int
    picture: int | None
    rms: float


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
    overall, regions = _lengths(calibration)
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
    edges = radius[known].max(initial=1.0) * np.sqrt(np.linspace(0, 1, _RADIAL_BINS + 1))
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
    squared = (calibration.adjustment.residuals**2).sum(axis=-1)
    count = np.isfinite(squared).sum(axis=-1)
    rms = np.sqrt(np.nansum(squared, axis=-1) / np.maximum(count, 1))
    order = np.argsort(np.where(count > 0, rms, -1.0), axis=None, kind="stable")[::-1][:_WORST]
    frames, pictures = calibration.corners["frame"].values, calibration.corners["source_frame"].values
    found = []
    for camera, frame in zip(*np.unravel_index(order, rms.shape), strict=True):
        if count[camera, frame]:
            shared = bool(calibration.shared[frame]) and np.isfinite(pictures[camera, frame])
            picture = int(pictures[camera, frame]) if shared else None
            name = calibration.rig.names[camera]
            found.append(WorstView(name, int(frames[frame]), picture, float(rms[camera, frame])))
    return tuple(found)


def _lengths(calibration: Calibration) -> tuple[LengthErrors | None, tuple[LengthErrors, ...]]:
    """Length errors everywhere, and in each region of the volume."""
    if calibration.held_out is None:
        return None, ()
    points, edges = calibration.held_out.points, calibration.board.edges
    ends = points[:, edges]
    length = np.linalg.norm(ends[..., 1, :] - ends[..., 0, :], axis=-1)
    printed = np.linalg.norm(np.diff(calibration.board.points[edges], axis=1)[:, 0], axis=-1)
    known = np.isfinite(length)
    if not known.any():
        return None, ()
    difference = (length - printed)[known]
    middle, measured = ends.mean(axis=-2)[known], length[known]
    everywhere = _length_errors("everywhere", middle, difference, measured)
    cells = _cells(calibration, middle)
    regions = [
        _length_errors(name, middle[inside], difference[inside], measured[inside])
        for name, inside in cells.items()
        if inside.sum() >= _FEWEST
    ]
    return everywhere, tuple(regions)


def _cells(calibration: Calibration, middle: Array) -> dict[str, NDArray[np.bool_]]:
    """Thirds of the volume along the axes of the first camera, named as it sees them."""
    seen = calibration.rig.cameras[0].cam_from_world(middle)
    low, high = np.percentile(seen, (2, 98), axis=0)
    third = np.clip((3 * (seen - low) / np.maximum(high - low, 1e-12)).astype(np.intp), 0, 2)
    cells = {}
    for cell in np.ndindex(3, 3, 3):
        name = ", ".join(REGION_WORDS[axis][cell[axis]] for axis in (2, 1, 0))
        cells[name] = np.asarray((third == cell).all(axis=-1))
    return cells


def _length_errors(region: str, middle: Array, difference: Array, measured: Array) -> LengthErrors:
    x, y, z = (float(value) for value in middle.mean(axis=0))
    return LengthErrors(
        region=region,
        center=(x, y, z),
        count=len(difference),
        mean=float(difference.mean()),
        error=float(difference.std() / np.sqrt(len(difference))),
        rms=float(np.sqrt((difference**2).mean())),
        mean_length=float(measured.mean()),
    )
