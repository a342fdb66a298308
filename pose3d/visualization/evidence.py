"""What the cameras say about 3D poses: which detections were used, how far they are from the reprojection, and when.

Everything that the figures, the tables and the verdict of a report are made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.rig import Rig
from calibration.schema import check
from calibration.triangulation import Status
from pose3d.datasets import POSES2D, POSES3D
from pose3d.metrics import ResidualHistogram
from pose3d.visualization._motion import Motion

__all__ = ["Evidence", "collect_evidence", "match_poses2d"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Frames that are projected at once: bounds the memory of the intermediate float64 arrays.
_CHUNK = 4096
# Motion is measured over a stretch of time in which animals hardly accelerate, so that the noise of the 3D positions is
# small beside the motion.
_MOTION_SECONDS = 0.03


@dataclass(frozen=True, eq=False)
class Evidence:
    """2D detections beside reprojected 3D positions; the leading axis is that of the 3D poses.

    Attributes:
        frames, time: (time,) frame numbers, and seconds (or frame numbers).
        time_label: label of a time axis.
        cameras, individuals, keypoints: names. There are no cameras where the 2D poses or the rig are unknown.
        error: (time, camera, individual, keypoint) px, float32; NaN without a detection or a 3D position.
        detected, used: the same shape; a 2D position is reported, and was used for the 3D position.
        missing: (time, individual, keypoint) there is no 3D position.
        status: (time, individual, keypoint) values of `calibration.triangulation.Status`, or None where unknown.
        mean_error: (time, individual, keypoint) px, RMS over the used cameras, or None where unknown.
        diagonals: (camera,) of the images, px.
        shifts: (camera, 3) by how many frames a camera is ahead of the reprojection, the standard error, and the share
            of the residuals that this explains: frame n of the camera shows what the others show at n + shift. NaN
            where the animals move too little to tell.
    """

    frames: NDArray[np.int64]
    time: Array
    time_label: str
    cameras: tuple[str, ...]
    individuals: tuple[str, ...]
    keypoints: tuple[str, ...]
    error: NDArray[np.float32]
    detected: Mask
    used: Mask
    missing: Mask
    status: NDArray[np.int64] | None
    mean_error: Array | None
    diagonals: Array
    shifts: Array

    def histogram(self, individuals: Sequence[int] | None = None) -> ResidualHistogram:
        """Histogram of the errors of the used detections, of some of the individuals or of all."""
        chosen = list(range(len(self.individuals))) if individuals is None else list(individuals)
        result = ResidualHistogram.empty(self.keypoints, self.cameras)
        for start in range(0, len(self.frames), _CHUNK):
            part = np.s_[start : start + _CHUNK, :, chosen]
            result = result.add(*(np.moveaxis(array[part], 1, -1) for array in (self.error, self.used, self.detected)))
        return result

    def summary(self, by: Sequence[str], individuals: Sequence[int] | None = None) -> xr.Dataset:
        """`ResidualHistogram.summary`, also where there are no 2D poses: then of the errors stored in the 3D poses.

        Args:
            by: any of "keypoint" and "camera".
            individuals: positions of the individuals to count; all by default.
        """
        if self.cameras or "camera" in by:
            table = self.histogram(individuals).summary(by)
        else:
            table = self._stored_summary(by, individuals)
        if "camera" not in by:
            missing = self._chosen(self.missing, individuals)
            table["missing_3d"] = (tuple(by), _share(missing, by), {"units": "1"})
        return table

    def reasons(self) -> dict[str, Array]:
        """Why 3D positions are missing: by reason, the share (keypoint,) of all frames and individuals."""
        if self.status is None or not self.missing.size:
            return {}
        codes = np.unique(self.status[self.missing]).tolist()
        return {_meaning(code): _share(self.missing & (self.status == code), ("keypoint",)) for code in codes}

    def relative_shifts(self) -> Array:
        """`shifts` relative to the median of the other cameras, with the standard error of that difference.

        A camera out of step pulls the 3D positions along, and the others seem to be shifted the other way.
        """
        result = self.shifts.copy()
        for index in range(len(result)):
            others = np.delete(self.shifts, index, axis=0)
            others = others[np.isfinite(others[:, 0])]
            if len(others):
                middle, error = np.median(others[:, 0]), np.median(others[:, 1])
                result[index, :2] = self.shifts[index, 0] - middle, np.hypot(self.shifts[index, 1], error)
            else:
                result[index] = np.nan
        return result

    def _stored_summary(self, by: Sequence[str], individuals: Sequence[int] | None) -> xr.Dataset:
        stored = self.mean_error if self.mean_error is not None else np.full(self.missing.shape, np.nan)
        error = self._chosen(stored, individuals)
        columns = [error[..., index] for index in range(len(self.keypoints))] if "keypoint" in by else [error]
        spreads = np.array([_spread(column) for column in columns]).reshape(-1, 3)
        none = np.full(len(columns), np.nan)
        table = {"used": none, "rms": spreads[:, 0], "median": spreads[:, 1], "p95": spreads[:, 2], "missing_2d": none}
        coords = {"keypoint": list(self.keypoints)} if by else {}
        dims = tuple(by)
        return xr.Dataset({name: (dims, values if by else values[0]) for name, values in table.items()}, coords=coords)

    @staticmethod
    def _chosen(values: NDArray[Any], individuals: Sequence[int] | None) -> NDArray[Any]:
        return values if individuals is None else values[:, list(individuals)]


def collect_evidence(poses3d: xr.Dataset, poses2d: xr.Dataset | None = None, rig: Rig | None = None) -> Evidence:
    """Bring 3D poses, 2D poses and cameras together, by frame number and by names.

    Args:
        poses3d: Poses3D Dataset.
        poses2d: the Poses2D Dataset it was made from, if at hand.
        rig: the cameras, if at hand.

    Raises:
        InvalidValueError: a Dataset breaks its schema.
    """
    check(poses3d, POSES3D, values=False)
    if poses2d is not None:
        check(poses2d, POSES2D, values=False)
    cameras = _common_cameras(poses2d, rig)
    keypoints, individuals = (tuple(str(name) for name in poses3d[dim].values) for dim in ("keypoint", "individual"))
    points = poses3d["position"].transpose("time", "individual", "keypoint", "space").values
    count = len(points)
    shape = (count, len(cameras), len(individuals), len(keypoints))
    error = np.full(shape, np.nan, np.float32)
    detected = np.zeros(shape, bool)
    motion = Motion(len(cameras), max(1, round(_MOTION_SECONDS * float(poses3d.attrs.get("fps", 0.0)))))
    if poses2d is not None and rig is not None and cameras:
        chosen = rig.select(cameras)
        for start in range(0, count, _CHUNK):
            rows = slice(start, min(start + _CHUNK, count))
            frames = poses3d["frame"].values[rows]
            observed = match_poses2d(poses2d, frames, cameras, individuals, keypoints)
            projected = np.moveaxis(chosen.project(points[rows]), -2, 1)
            residual = observed - projected
            detected[rows] = np.isfinite(observed).all(axis=-1)
            error[rows] = np.hypot(residual[..., 0], residual[..., 1])
            motion.add(residual, projected, frames)
    seconds = poses3d.attrs.get("time_unit") != "frames"
    return Evidence(
        frames=poses3d["frame"].values,
        time=poses3d["time"].values.astype(np.float64),
        time_label="time (s)" if seconds else "frame",
        cameras=cameras,
        individuals=individuals,
        keypoints=keypoints,
        error=error,
        detected=detected,
        used=_used(poses3d, cameras, error),
        missing=~np.isfinite(points).all(axis=-1),
        status=None if "status" not in poses3d else _by_keypoint(poses3d["status"]).astype(np.int64),
        mean_error=None if "reprojection_error" not in poses3d else _by_keypoint(poses3d["reprojection_error"]),
        diagonals=np.array([np.hypot(*rig[name].size) for name in cameras] if rig is not None else []),
        shifts=motion.shifts(),
    )


def _common_cameras(poses2d: xr.Dataset | None, rig: Rig | None) -> tuple[str, ...]:
    if poses2d is None or rig is None:
        return ()
    known = {str(name) for name in poses2d["camera"].values}
    return tuple(name for name in rig.names if name in known)


def match_poses2d(
    poses2d: xr.Dataset,
    frames: NDArray[np.int64],
    cameras: Sequence[str],
    individuals: Sequence[str],
    keypoints: Sequence[str],
) -> Array:
    """(time, camera, individual, keypoint, 2) positions by frame number and names; NaN where `poses2d` has none."""
    named = poses2d["position"].assign_coords(time=("time", poses2d["frame"].values))
    matched = named.reindex(time=frames, camera=list(cameras), individual=list(individuals), keypoint=list(keypoints))
    return matched.transpose(*POSES2D.variables["position"].dims).values.astype(np.float64)


def _used(poses3d: xr.Dataset, cameras: Sequence[str], error: NDArray[np.float32]) -> Mask:
    """Where an inlier mask names a camera, that; else every detection with a 3D position counts as used."""
    used = np.isfinite(error)
    if "inlier" not in poses3d or "camera" not in poses3d.coords:
        return used
    inlier = poses3d["inlier"].transpose("time", "camera", "individual", "keypoint")
    names = [str(name) for name in poses3d["camera"].values]
    for index, name in enumerate(cameras):
        if name in names:
            used[:, index] &= inlier.values[:, names.index(name)].astype(bool)
        else:
            used[:, index] = False
    return used


def _by_keypoint(array: xr.DataArray) -> NDArray[Any]:
    return array.transpose("time", "individual", "keypoint").values


def _share(mask: Mask, by: Sequence[str]) -> Array:
    """Share that is true of a mask (time, individual, keypoint), by keypoint or of everything; NaN of nothing."""
    parts = np.moveaxis(mask, 2, 0).reshape(mask.shape[2], -1) if "keypoint" in by else mask.reshape(1, -1)
    shares = parts.mean(axis=1) if parts.shape[1] else np.full(len(parts), np.nan)
    return np.asarray(shares if "keypoint" in by else shares[0], dtype=np.float64)


def _spread(values: Array) -> tuple[float, float, float]:
    """RMS, median and 95th percentile of what is not NaN."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return float("nan"), float("nan"), float("nan")
    median, p95 = np.percentile(finite, (50, 95))
    return float(np.sqrt(np.mean(finite**2))), float(median), float(p95)


def _meaning(code: int) -> str:
    known = {int(status) for status in Status}
    if code == Status.OK:
        return "removed after triangulation"
    return Status(code).meaning if code in known else f"status {code}"
