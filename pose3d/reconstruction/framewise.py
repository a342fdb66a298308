"""Triangulation of 2D poses frame by frame: Poses2D and Rig to Poses3D."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from json import dumps

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import MismatchError, SuiteWarning
from calibration.processors import available_processors
from calibration.rig import Rig
from calibration.schema import check
from calibration.triangulation import Status, Triangulation, TriangulationSettings
from calibration.triangulation import estimate_noise as estimate_pixel_noise
from calibration.triangulation import triangulate as triangulate_pixels
from pose3d.datasets import POSES2D
from pose3d.reconstruction._outcome import Outcome, as_dataset

__all__ = ["PixelNoise", "estimate_noise", "match_cameras", "triangulate"]

_NOTABLE_SHARE = 0.001  # uniform outliers in the corners of an image must not raise the alarm
_NOTABLE_CONFIDENCE_SHARE = 0.5
# The noise is learned from this many points, in blocks of frames spread over the recording: reading scattered single
# frames would touch every block of the file.
_PILOT_POINTS = 20_000
_PILOT_BLOCKS = 20
_SMALLEST_CREDIBLE_NOISE = 1e-3  # px; the best subpixel corners are found to 0.01 px


@dataclass(frozen=True, eq=False)
class PixelNoise:
    """Noise of the 2D positions of every keypoint in every camera, and the threshold that follows from it.

    A nose is found to a pixel, the middle of a trunk to ten: with one noise for all, the nose would look less certain
    than it is, and a trunk on which three cameras agree as well as they can would be refused.

    Attributes:
        sigma: (keypoint, camera) standard deviation of a pixel coordinate at confidence 1, px.
        threshold: (keypoint,) largest residual of an inlier, px; infinite for the linear method.
        freedom: (keypoint, camera) degrees of freedom behind sigma; 0 where it was given.
    """

    sigma: NDArray[np.float64]
    threshold: NDArray[np.float64]
    freedom: NDArray[np.float64]


def triangulate(
    poses2d: xr.Dataset,
    rig: Rig,
    *,
    settings: TriangulationSettings | None = None,
    noise: PixelNoise | None = None,
    covariance: bool = True,
    workers: int | None = None,
) -> xr.Dataset:
    """3D poses of 2D poses, each keypoint in each frame by itself.

    Cameras are matched by name. Individuals are those that the 2D poses name: the same name in two cameras is the same
    animal.

    Args:
        poses2d: Poses2D Dataset.
        rig: the calibrated cameras.
        settings: how to triangulate; noise and threshold that are not given are learned from these poses.
        noise: what was learned before, by `estimate_noise` from the poses of a longer recording.
        covariance: whether to compute the covariance of every position.
        workers: threads; as many as processors by default.

    Returns:
        A Poses3D Dataset with position, confidence (mean over the cameras that were used), reprojection_error (RMS over
        them, px), n_cameras, status, inlier and residual (per camera), and covariance; `noise` (keypoint, camera) is
        the standard deviation of the pixels that the covariance follows from, `threshold` (keypoint) the largest
        residual of an inlier, and the attribute `triangulation` holds the settings as JSON.

    Raises:
        InvalidValueError: the Dataset does not follow the schema Poses2D.
        MismatchError: fewer than two cameras are common, or an image size is not that of the rig's camera.
    """
    check(poses2d, POSES2D)
    poses2d, rig = match_cameras(poses2d, rig)
    settings = settings or TriangulationSettings()
    pixels, confidence = _observations(poses2d)
    learned = noise or _learn(rig, _sample(poses2d), settings)
    outcome = Outcome.empty(pixels.shape[:-1], covariance=covariance)

    def work(keypoint: int) -> None:
        """Triangulate one keypoint; the compiled kernels let the threads run side by side."""
        threshold = float(learned.threshold[keypoint])
        _put(
            outcome,
            keypoint,
            triangulate_pixels(
                rig,
                pixels[keypoint],
                confidence[keypoint],
                method=settings.method,
                threshold=threshold if np.isfinite(threshold) else None,
                noise=tuple(float(sigma) for sigma in learned.sigma[keypoint]),
                minimum_confidence=settings.minimum_confidence,
                minimum_angle=settings.minimum_angle,
                seed=settings.seed,
                covariance=covariance,
                workers=1,
            ),
            confidence[keypoint],
        )

    with ThreadPoolExecutor(workers or available_processors()) as pool:
        for _ in pool.map(work, range(len(pixels))):
            pass
    return _dataset(poses2d, rig, outcome, settings, learned)


def estimate_noise(
    poses2d: xr.Dataset, rig: Rig, *, settings: TriangulationSettings | None = None, points: int = _PILOT_POINTS
) -> PixelNoise:
    """Noise of every keypoint in every camera, learned from the poses; see `calibration.triangulation.estimate_noise`.

    Of a long recording twenty blocks of frames, spread evenly, are read: the poses may be lazily loaded. A keypoint
    with fewer than 200 degrees of freedom gets the noise of all keypoints. Cameras are those of `match_cameras`.

    Args:
        poses2d: Poses2D Dataset.
        rig: the calibrated cameras.
        settings: what is given there is not estimated.
        points: it is learned from about so many.

    Raises:
        InvalidValueError, MismatchError: as for `triangulate`.
    """
    check(poses2d, POSES2D, values=False)
    poses2d, rig = match_cameras(poses2d, rig)
    return _learn(rig, check(_sample(poses2d, points), POSES2D), settings or TriangulationSettings())


def _sample(poses2d: xr.Dataset, points: int = _PILOT_POINTS) -> xr.Dataset:
    """Blocks of frames spread evenly over the recording, or all of a short one."""
    length = poses2d.sizes["time"]
    wanted = max(_PILOT_BLOCKS, points // (poses2d.sizes["keypoint"] * poses2d.sizes["individual"]))
    if length <= wanted:
        return poses2d.load()
    size = wanted // _PILOT_BLOCKS
    starts = np.linspace(0, length - size, _PILOT_BLOCKS).round().astype(np.int64)
    blocks = [poses2d.isel(time=slice(start, start + size)).load() for start in np.unique(starts)]
    # blocks never overlap: each is a twentieth of less than the whole
    return xr.concat(blocks, dim="time", data_vars="minimal", coords="minimal", compat="override", join="override")


def _learn(rig: Rig, sample: xr.Dataset, settings: TriangulationSettings) -> PixelNoise:
    pixels, confidence = _observations(sample)
    _warn_of_confidence(rig, pixels, confidence, settings.minimum_confidence)
    shape = (pixels.shape[0], pixels.shape[3])
    _warn_of_lenses(rig, pixels)
    by_time = np.moveaxis(pixels, 0, 2), np.moveaxis(confidence, 0, 2)  # a sample is taken along the first axis
    common = estimate_pixel_noise(rig, *by_time, settings=settings)
    noise = PixelNoise(np.tile(common.sigma, (shape[0], 1)), np.full(shape[0], common.threshold), np.zeros(shape))
    if settings.noise is None and common.freedom.any() and common.sigma.max() < _SMALLEST_CREDIBLE_NOISE:
        warnings.warn(
            "the 2D positions of the cameras agree to less than 0.001 px: they are projections of 3D positions, no "
            "measurements, and the covariance that follows from their agreement means nothing; give the noise instead",
            SuiteWarning,
            stacklevel=3,
        )
    given = settings.noise is not None and (settings.threshold is not None or settings.method == "linear")
    for keypoint in () if given else range(shape[0]):
        one = estimate_pixel_noise(rig, pixels[keypoint], confidence[keypoint], settings=settings)
        if one.is_well_known:
            noise.sigma[keypoint], noise.freedom[keypoint] = one.sigma, one.freedom
            noise.threshold[keypoint] = one.threshold
    return noise


def _warn_of_confidence(rig: Rig, pixels: NDArray[np.float64], confidence: NDArray[np.float64], lowest: float) -> None:
    """Say where a camera's 2D positions count as not seen because of their confidence, not because they are missing."""
    reported = np.asarray(np.isfinite(pixels).all(-1))
    ignored = reported & ~((confidence > 0) & (confidence >= lowest))
    for index, camera in enumerate(rig):
        share = ignored[..., index].sum() / max(1, reported[..., index].sum())
        if share > _NOTABLE_CONFIDENCE_SHARE:
            warnings.warn(
                f"camera {camera.name}: {100 * share:.0f} % of the 2D positions have no confidence (0 or NaN) or less "
                f"than the minimum of {lowest:g}, and count as not seen",
                SuiteWarning,
                stacklevel=4,
            )


def _warn_of_lenses(rig: Rig, pixels: NDArray[np.float64]) -> None:
    """Say where 2D positions lie beyond the reach of a lens model, because they silently count as not seen."""
    for index, camera in enumerate(rig):
        found = pixels[..., index, :].reshape(-1, 2)
        found = found[np.isfinite(found).all(-1)]
        outside = np.isnan(camera.lens.undistort(found)[:, 0])
        if len(found) and outside.mean() >= _NOTABLE_SHARE:
            warnings.warn(
                f"camera {camera.name}: {100 * outside.mean():.1f} % of the 2D positions lie where its lens model is "
                "not defined (it folds inside the image), and count as not seen; calibrate it with more coefficients",
                SuiteWarning,
                stacklevel=4,
            )


def match_cameras(poses2d: xr.Dataset, rig: Rig) -> tuple[xr.Dataset, Rig]:
    """The poses and the rig with the cameras that both have, in the rig's order.

    What is left out is named in a SuiteWarning.

    Raises:
        MismatchError: fewer than two cameras are common, or the images the poses were found in have another size than
            the camera was calibrated with.
    """
    of_poses = [str(name) for name in poses2d["camera"].values]
    common = [name for name in rig.names if name in of_poses]
    if len(common) < 2:
        raise MismatchError(
            "cameras of the 2D poses and of the rig",
            expected=f"at least two of the rig's cameras: {', '.join(rig.names)}",
            got=f"poses of: {', '.join(of_poses)}",
            remedy="Name the cameras as in the calibration file, or give NAME=PATH for every file of poses.",
        )
    for names, owner, other in ((of_poses, "2D poses", "rig"), (rig.names, "rig", "2D poses")):
        extra = [name for name in names if name not in common]
        if extra:
            warnings.warn(
                f"camera {', '.join(extra)} of the {owner} is not in the {other}: left out", SuiteWarning, stacklevel=3
            )
    matched = poses2d if of_poses == common else poses2d.sel(camera=common)
    chosen = rig if common == list(rig.names) else rig.select(common)
    _check_image_size(matched, chosen)
    return matched, chosen


def _check_image_size(poses2d: xr.Dataset, rig: Rig) -> None:
    if "image_size" not in poses2d:
        return
    for camera, size in zip(rig, poses2d["image_size"].values, strict=True):
        if np.isfinite(size).all() and tuple(size) != camera.size:
            raise MismatchError(
                f"camera '{camera.name}', image size",
                expected=f"{camera.size[0]} x {camera.size[1]} px, as calibrated",
                got=f"{size[0]:g} x {size[1]:g} px in the 2D poses",
                remedy="Calibrate at the size of the videos, or scale or shift the 2D poses to the calibrated image.",
            )


def _observations(poses2d: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels (keypoint, time, individual, camera, 2) and confidence (keypoint, time, individual, camera).

    Keypoint first and in one piece, because each keypoint is worked on by itself.
    """
    order = ("keypoint", "time", "individual", "camera")
    pixels = poses2d["position"].transpose(*order, "space").values
    confidence = poses2d["confidence"].transpose(*order).values
    return np.ascontiguousarray(pixels, dtype=np.float64), np.ascontiguousarray(confidence, dtype=np.float64)


def _put(outcome: Outcome, keypoint: int, one: Triangulation, confidence: NDArray[np.float64]) -> None:
    """Keep the triangulation of one keypoint."""
    outcome.points[keypoint] = one.points
    outcome.inliers[keypoint] = one.inliers
    outcome.residuals[keypoint] = one.residuals
    outcome.n_cameras[keypoint] = one.n_cameras
    outcome.status[keypoint] = one.status
    if outcome.covariance is not None:
        outcome.covariance[keypoint] = one.covariance
    outcome.summarize(keypoint, confidence)


def _dataset(
    poses2d: xr.Dataset, rig: Rig, outcome: Outcome, settings: TriangulationSettings, noise: PixelNoise
) -> xr.Dataset:
    dataset = as_dataset(poses2d, rig, outcome, {int(status): status.meaning for status in Status})
    dataset["noise"] = (("keypoint", "camera"), noise.sigma, {"units": "px"})
    dataset["threshold"] = (
        "keypoint",
        np.where(np.isfinite(noise.threshold), noise.threshold, np.nan),
        {"units": "px"},
    )
    dataset.attrs["triangulation"] = dumps(asdict(settings))
    return dataset
