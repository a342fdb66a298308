"""Triangulation of 2D poses frame by frame: Poses2D and Rig to Poses3D."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from json import dumps

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import MismatchError, SuiteWarning
from calibration.rig import Rig
from calibration.schema import check
from calibration.triangulation import Noise, Status, Triangulation, TriangulationSettings
from calibration.triangulation import estimate_noise as estimate_pixel_noise
from calibration.triangulation import triangulate as triangulate_pixels
from pose3d.datasets import POSES2D, POSES3D, poses3d

__all__ = ["estimate_noise", "match_cameras", "triangulate"]


def triangulate(
    poses2d: xr.Dataset,
    rig: Rig,
    *,
    settings: TriangulationSettings | None = None,
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
        covariance: whether to compute the covariance of every position.
        workers: threads; as many as processors by default.

    Returns:
        A Poses3D Dataset with position, confidence (mean over the cameras that were used), reprojection_error (RMS over
        them, px), n_cameras, status, inlier, and covariance; `noise` (camera) holds the standard deviation of the
        pixels that the covariance follows from, and the attributes the settings as they were used.

    Raises:
        InvalidValueError: the Dataset does not follow the schema Poses2D.
        MismatchError: fewer than two cameras are common, or an image size is not that of the rig's camera.
    """
    check(poses2d, POSES2D)
    poses2d, rig = match_cameras(poses2d, rig)
    settings = settings or TriangulationSettings()
    pixels, confidence = _observations(poses2d)
    outcome = triangulate_pixels(
        rig,
        pixels,
        confidence,
        method=settings.method,
        threshold=settings.threshold,
        noise=settings.noise,
        minimum_confidence=settings.minimum_confidence,
        minimum_angle=settings.minimum_angle,
        seed=settings.seed,
        covariance=covariance,
        workers=workers,
    )
    return _dataset(poses2d, rig, confidence, outcome, settings)


def estimate_noise(poses2d: xr.Dataset, rig: Rig, *, settings: TriangulationSettings | None = None) -> Noise:
    """Noise of the pixels and the threshold of inliers, learned from the poses; cameras are those of `match_cameras`.

    Raises:
        InvalidValueError, MismatchError: as for `triangulate`.
    """
    check(poses2d, POSES2D)
    poses2d, rig = match_cameras(poses2d, rig)
    pixels, confidence = _observations(poses2d)
    return estimate_pixel_noise(rig, pixels, confidence, settings=settings)


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
    """Views of pixels (time, individual, keypoint, camera, 2) and confidence (time, individual, keypoint, camera)."""
    pixels = np.moveaxis(np.asarray(poses2d["position"].values, dtype=np.float64), 1, 3)
    return pixels, np.moveaxis(np.asarray(poses2d["confidence"].values, dtype=np.float64), 1, 3)


def _dataset(
    poses2d: xr.Dataset,
    rig: Rig,
    confidence: NDArray[np.float64],
    outcome: Triangulation,
    settings: TriangulationSettings,
) -> xr.Dataset:
    with np.errstate(invalid="ignore", divide="ignore"):
        used = outcome.n_cameras
        score = np.where(outcome.inliers, confidence, 0.0).sum(-1) / used
        squares = np.where(outcome.inliers, outcome.residuals, 0.0) ** 2
        error = np.sqrt(squares.sum(-1) / used)
    points = np.transpose(outcome.points, (0, 3, 2, 1))
    dataset = poses3d(
        points,
        _keypoint_first(score),
        individuals=[str(name) for name in poses2d["individual"].values],
        keypoints=[str(name) for name in poses2d["keypoint"].values],
        unit=rig.unit,
        frames=poses2d["frame"].values,
        frame_rate=poses2d.attrs.get("fps"),
        source_file=str(poses2d.attrs.get("source_file", "")),
    )
    dataset = dataset.assign_coords(camera=list(rig.names))
    by_keypoint = POSES3D.variables["status"].dims
    dataset["reprojection_error"] = (by_keypoint, _keypoint_first(error), {"units": "px"})
    dataset["n_cameras"] = (by_keypoint, _keypoint_first(used), {"units": "1"})
    dataset["status"] = (by_keypoint, _keypoint_first(outcome.status), _status_attributes())
    dataset["inlier"] = (
        POSES3D.variables["inlier"].dims,
        np.transpose(outcome.inliers, (0, 3, 2, 1)),
        {"units": "1"},
    )
    if outcome.covariance is not None:
        dataset["covariance"] = (
            POSES3D.variables["covariance"].dims,
            np.transpose(outcome.covariance, (0, 3, 4, 2, 1)),
            {"units": f"{rig.unit}^2"},
        )
        dataset = dataset.assign_coords(space_=["x", "y", "z"])
    dataset["noise"] = ("camera", outcome.noise.sigma, {"units": "px"})
    dataset.attrs["triangulation"] = dumps({**asdict(settings), "threshold": outcome.noise.threshold})
    return dataset


def _keypoint_first(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """(time, keypoint, individual) of (time, individual, keypoint)."""
    return np.swapaxes(values, 1, 2)


def _status_attributes() -> dict[str, object]:
    # the attributes of the CF conventions for coded values
    return {
        "flag_values": np.array([int(status) for status in Status], dtype=np.int8),
        "flag_meanings": " ".join(status.meaning.replace(" ", "_") for status in Status),
    }
