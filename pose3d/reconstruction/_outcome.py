"""The outcome of a reconstruction as arrays, and the Poses3D Dataset made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.rig import Rig
from pose3d.datasets import POSES3D, poses3d

__all__ = ["Outcome", "as_dataset"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What is known of every position, batch axes (keypoint, time, individual).

    Attributes:
        points: (..., 3).
        inliers, residuals: (..., camera) whether the camera was used, and its reprojection error in px.
        n_cameras: (...) how many were used.
        status: (...) 0, or why there is no position.
        covariance: (..., 3, 3), or None.
        confidence: (...) mean 2D confidence of the cameras that were used.
        error: (...) RMS of their residuals, px.
    """

    points: NDArray[np.float64]
    inliers: NDArray[np.bool_]
    residuals: NDArray[np.float64]
    n_cameras: NDArray[np.int16]
    status: NDArray[np.int8]
    covariance: NDArray[np.float64] | None
    confidence: NDArray[np.float64]
    error: NDArray[np.float64]

    @classmethod
    def empty(cls, shape: tuple[int, ...], *, covariance: bool) -> Outcome:
        """Room for observations of shape (keypoint, time, individual, camera)."""
        batch = shape[:-1]
        return cls(
            points=np.empty((*batch, 3)),
            inliers=np.empty(shape, dtype=np.bool_),
            residuals=np.empty(shape),
            n_cameras=np.empty(batch, dtype=np.int16),
            status=np.empty(batch, dtype=np.int8),
            covariance=np.empty((*batch, 3, 3)) if covariance else None,
            confidence=np.empty(batch),
            error=np.empty(batch),
        )

    def summarize(self, keypoint: int, confidence: NDArray[np.float64]) -> None:
        """Fill in the mean confidence (time, individual, camera) and the RMS residual of the cameras in use."""
        inliers, count = self.inliers[keypoint], self.n_cameras[keypoint]
        with np.errstate(invalid="ignore", divide="ignore"):
            used = np.where(inliers, self.residuals[keypoint], 0.0)
            self.error[keypoint] = np.sqrt(np.einsum("...c,...c->...", used, used) / count)
            self.confidence[keypoint] = np.where(inliers, confidence, 0.0).sum(-1) / count


def as_dataset(poses2d: xr.Dataset, rig: Rig, outcome: Outcome, reasons: Mapping[int, str]) -> xr.Dataset:
    """Poses3D of an outcome; frames and names are those of the 2D poses, `reasons` says what a status means."""
    dataset = poses3d(
        np.transpose(outcome.points, (1, 3, 0, 2)),
        np.swapaxes(outcome.confidence, 0, 1),
        individuals=[str(name) for name in poses2d["individual"].values],
        keypoints=[str(name) for name in poses2d["keypoint"].values],
        unit=rig.unit,
        frames=poses2d["frame"].values,
        frame_rate=poses2d.attrs.get("fps"),
        source_file=str(poses2d.attrs.get("source_file", "")),
    )
    # the time of the poses, which need not be the frame number over the frame rate: frames may have been dropped
    dataset = dataset.assign_coords(camera=list(rig.names), time=poses2d["time"].variable)
    by_keypoint = POSES3D.variables["status"].dims
    dataset["reprojection_error"] = (by_keypoint, np.swapaxes(outcome.error, 0, 1), {"units": "px"})
    dataset["n_cameras"] = (by_keypoint, np.swapaxes(outcome.n_cameras, 0, 1), {"units": "1"})
    dataset["status"] = (by_keypoint, np.swapaxes(outcome.status, 0, 1), _flags(reasons))
    by_camera = POSES3D.variables["inlier"].dims
    dataset["inlier"] = (by_camera, np.transpose(outcome.inliers, (1, 3, 0, 2)), {"units": "1"})
    dataset["residual"] = (by_camera, np.transpose(outcome.residuals, (1, 3, 0, 2)), {"units": "px"})
    if outcome.covariance is not None:
        dataset["covariance"] = (
            POSES3D.variables["covariance"].dims,
            np.transpose(outcome.covariance, (1, 3, 4, 0, 2)),
            {"units": f"{rig.unit}^2"},
        )
        dataset = dataset.assign_coords(space_=["x", "y", "z"])
    return dataset


def _flags(reasons: Mapping[int, str]) -> dict[str, object]:
    # the attributes of the CF conventions for coded values
    return {
        "flag_values": np.array(list(reasons), dtype=np.int8),
        "flag_meanings": " ".join(text.replace(" ", "_") for text in reasons.values()),
    }
