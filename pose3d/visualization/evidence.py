"""What the cameras say about 3D poses: which detections were used, how far they are from the reprojection, and when.

Everything that the figures, the tables and the verdict of a report are made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.rig import Rig
from calibration.schema import check
from calibration.triangulation import Status
from pose3d.datasets import POSES2D, POSES3D, flag_words
from pose3d.metrics import ResidualHistogram
from pose3d.metrics.reprojection import repaired_residuals
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
        error: (time, camera, individual, keypoint) px, float32; NaN without a detection or a 3D position. Where a view
            was repaired, that of the view that was put in its place.
        detected, used: the same shape; a 2D position is reported, and was used for the 3D position.
        missing: (time, individual, keypoint) there is no 3D position.
        status: (time, individual, keypoint) why a position is missing, or None where unknown.
        reason_words: what the values of `status` mean.
        bridged: (time, individual, keypoint) fewer than two cameras were used for the 3D position; None where unknown.
        repair: (time, camera, individual, keypoint) 0, or 1 where a reconstruction exchanged left and right, 2 where it
            took another candidate; None where none repaired.
        mean_error: (time, individual, keypoint) px, RMS over the used cameras, or None where unknown.
        diagonals: (camera,) of the images, px.
        shifts: (camera, 3) by how many frames a camera is ahead of the reprojection, the standard error, and the share
            of the residuals that this explains: frame n of the camera shows what the others show at n + shift. NaN
            where the animals move too little to tell.
        offsets: (camera, 2) px, mean of 2D position minus projection, over the 2D positions that were used as they are.
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
    reason_words: Mapping[int, str]
    bridged: Mask | None
    repair: NDArray[np.int8] | None
    mean_error: Array | None
    diagonals: Array
    shifts: Array
    offsets: Array

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
        return {
            self.reason_words.get(code, f"status {code}"): _share(self.missing & (self.status == code), ("keypoint",))
            for code in codes
        }

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
    repair = np.zeros(shape, np.int8) if "repair" in poses3d else None
    motion = Motion(len(cameras), max(1, round(_MOTION_SECONDS * float(poses3d.attrs.get("fps", 0.0)))))
    total, counted = np.zeros((len(cameras), 2)), np.zeros((len(cameras), 1))
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
            if repair is not None:
                known = np.isin(frames, poses2d["frame"].values)
                repair[rows] = _take_repaired(poses3d.isel(time=rows), cameras, known, error[rows])
                residual[repair[rows] > 0] = np.nan  # of what was put in their place only the length is stored
            motion.add(residual, projected, frames)
            measured = _used(poses3d.isel(time=rows), cameras, error[rows]) & np.isfinite(residual).all(-1)
            total += np.where(measured[..., None], residual, 0.0).sum(axis=(0, 2, 3))
            counted += measured.sum(axis=(0, 2, 3))[:, None]
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
        reason_words=_reason_words(poses3d),
        bridged=None if "bridged" not in poses3d else _by_keypoint(poses3d["bridged"]).astype(bool),
        repair=repair,
        mean_error=None if "reprojection_error" not in poses3d else _by_keypoint(poses3d["reprojection_error"]),
        diagonals=np.array([np.hypot(*rig[name].size) for name in cameras] if rig is not None else []),
        shifts=motion.shifts(),
        offsets=np.divide(total, counted, out=np.full_like(total, np.nan), where=counted > 0),
    )


def _common_cameras(poses2d: xr.Dataset | None, rig: Rig | None) -> tuple[str, ...]:
    if poses2d is None or rig is None:
        return ()
    known = {str(name) for name in poses2d["camera"].values}
    return tuple(name for name in rig.names if name in known)


def _take_repaired(
    poses3d: xr.Dataset, cameras: Sequence[str], known: Mask, error: NDArray[np.float32]
) -> NDArray[np.int8]:
    """Put the errors of repaired views in the place of those of the 2D poses.

    Args:
        poses3d: with `repair`.
        cameras: names along the second axis of the error.
        known: (time,) frames that the 2D poses have.
        error: (time, camera, individual, keypoint) px; changed in place.

    Returns:
        What was repaired, as of `Evidence.repair`.
    """
    repaired, stored = repaired_residuals(poses3d, cameras)
    rows = np.moveaxis(repaired, -1, 1) & known[:, None, None, None]
    error[rows] = np.moveaxis(stored, -1, 1)[rows]
    kind = poses3d["repair"].reindex(camera=list(cameras), fill_value=0)
    return np.asarray(kind.transpose("time", "camera", "individual", "keypoint").values, dtype=np.int8)


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


def _reason_words(poses3d: xr.Dataset) -> dict[int, str]:
    """What the values of `status` mean: as the poses say, or, where they do not, as of a triangulation."""
    words = {int(status): status.meaning for status in Status}
    if "status" in poses3d:
        words |= {code: word.replace("_", " ") for code, word in flag_words(poses3d["status"]).items()}
    made = "reconstruction" if "reconstruction" in poses3d.attrs else "triangulation"
    return words | {int(Status.OK): f"removed after {made}"}
