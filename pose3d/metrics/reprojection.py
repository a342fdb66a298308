"""How well 3D poses fit the 2D poses they came from: reprojection errors per camera and keypoint.

The statistics are gathered in histograms, so that a recording of any length is summarized in constant memory, chunk by
chunk and in parts that are merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from calibration.errors import InvalidValueError, MismatchError
from calibration.rig import Rig

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "ResidualHistogram",
    "is_displaced",
    "repaired_residuals",
    "reprojection_histogram",
    "reprojection_summary",
]

# The bins follow the bits of a float32: its exponent and the first 6 bits of its mantissa, 64 bins per octave, from
# 2^-17 px (smaller ones share the first bin) to 2^15 px. A bin is at most 1.6 % wide, its middle off by 0.8 %.
_MANTISSA_BITS = 6
_SHIFT = 23 - _MANTISSA_BITS
_LOWEST = (127 - 17) << _MANTISSA_BITS
_BINS = 32 << _MANTISSA_BITS

# A camera sees everything elsewhere where the mean of its residual vectors is more than noise and chance (px), and more
# than this share of the median residual of its own: residuals in all directions have none.
_LEAST_OFFSET = 5.0
_OFFSET_SHARE = 0.5

_CHUNK = 4096  # frames that are projected at once
_ORDER = ("time", "individual", "keypoint", "camera")


def is_displaced(offset: ArrayLike, median: ArrayLike) -> NDArray[np.bool_]:
    """Whether a camera sees everything elsewhere than the others do: its calibration or its clock is off.

    The mean of its residual vectors is then longer than 5 px and than half of its median residual.

    Args:
        offset: (..., 2) px, mean of 2D position minus projection.
        median: (...) px, median length of these.
    """
    length = np.linalg.norm(np.asarray(offset), axis=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray((length > _LEAST_OFFSET) & (length > _OFFSET_SHARE * np.asarray(median)))


def _zeros(*shape: int) -> NDArray[np.int64]:
    return np.zeros(shape, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class ResidualHistogram:
    """Reprojection errors of the 2D positions that were used, per keypoint and camera, in constant memory.

    A value: `add` and `merge` return new ones.

    Attributes:
        keypoints, cameras: names.
        counts: (keypoint, camera, bin) number of used 2D positions by their reprojection error.
        squares: (keypoint, camera) sum of their squared errors in px².
        reported: (keypoint, camera) number of 2D positions that are not NaN.
        total: (keypoint) number of positions there could be: frames times individuals.
        points: (keypoint) number of 3D positions that are not NaN.
    """

    keypoints: tuple[str, ...]
    cameras: tuple[str, ...]
    counts: NDArray[np.int64] = field(repr=False)
    squares: NDArray[np.float64] = field(repr=False)
    reported: NDArray[np.int64] = field(repr=False)
    total: NDArray[np.int64] = field(repr=False)
    points: NDArray[np.int64] = field(repr=False)

    @classmethod
    def empty(cls, keypoints: Sequence[str], cameras: Sequence[str]) -> ResidualHistogram:
        """A histogram of nothing yet."""
        names, shape = (tuple(keypoints), tuple(cameras)), (len(keypoints), len(cameras))
        return cls(*names, _zeros(*shape, _BINS), np.zeros(shape), _zeros(*shape), _zeros(shape[0]), _zeros(shape[0]))

    def add(
        self, residuals: ArrayLike, inliers: ArrayLike, reported: ArrayLike, points: ArrayLike | None = None
    ) -> ResidualHistogram:
        """With more positions, (..., keypoint, camera) each, as `calibration.triangulate` returns them.

        Args:
            residuals: reprojection errors in px; only those of inliers are read.
            inliers: True where the 2D position was used.
            reported: True where there is a 2D position.
            points: (..., keypoint) True where there is a 3D position; where any camera was used, by default.

        Raises:
            InvalidValueError: the shapes differ, or do not end in (keypoint, camera).
        """
        shape = (len(self.keypoints), len(self.cameras))
        length = np.asarray(residuals, dtype=np.float64)
        used, seen = np.asarray(inliers, dtype=bool), np.asarray(reported, dtype=bool)
        if not length.shape == used.shape == seen.shape or length.shape[-2:] != shape:
            raise InvalidValueError(
                "residuals, inliers, reported",
                expected=f"three arrays of one shape (..., {shape[0]} keypoints, {shape[1]} cameras)",
                got=f"shapes {length.shape}, {used.shape}, {seen.shape}",
                remedy="Move the keypoints and cameras to the last two axes.",
            )
        there = used.any(-1) if points is None else np.asarray(points, dtype=bool)
        length, used, seen = (values.reshape(-1, *shape) for values in (length, used, seen))
        finite = used & np.isfinite(length)
        length = np.where(finite, length, 0.0)
        cell = np.broadcast_to(np.arange(shape[0] * shape[1]).reshape(shape), length.shape)[finite]
        counts = np.bincount(cell * _BINS + _bin(length[finite]), minlength=self.counts.size)
        return ResidualHistogram(
            self.keypoints,
            self.cameras,
            self.counts + counts.reshape(self.counts.shape),
            self.squares + np.einsum("nkc,nkc->kc", length, length),
            self.reported + seen.sum(0),
            self.total + len(length),
            self.points + there.reshape(-1, shape[0]).sum(0),
        )

    def merge(self, other: ResidualHistogram) -> ResidualHistogram:
        """Both together.

        Raises:
            MismatchError: they have other keypoints or cameras, or in another order.
        """
        for name in ("keypoints", "cameras"):
            mine, others = getattr(self, name), getattr(other, name)
            if mine != others:
                raise MismatchError(
                    f"{name} of two histograms",
                    expected=", ".join(mine),
                    got=", ".join(others),
                    remedy="Merge histograms of the same recording.",
                )
        values = (getattr(self, name) + getattr(other, name) for name in _SUMS)
        return ResidualHistogram(self.keypoints, self.cameras, *values)

    def summary(self, by: Sequence[str] = ("keypoint", "camera")) -> xr.Dataset:
        """Statistics along the dimensions `by`, any of "keypoint" and "camera"; of everything where it is empty.

        Returns:
            `used`, share of the reported 2D positions that were used; `rms` (exact), `median` and `p95` (to 1 %) of
            their reprojection errors in px; `missing_2d`, share of the 2D positions that are NaN; and, unless `by`
            names the camera, `missing_3d`, the same of the 3D positions. NaN where nothing was counted.

        Raises:
            InvalidValueError: `by` names something else.
        """
        import xarray as xr

        names = {"keypoint": list(self.keypoints), "camera": list(self.cameras)}
        if not set(by) <= set(names):
            raise InvalidValueError(
                "by", expected="keypoint, camera, both or none", got=", ".join(by), remedy="Change the dimensions."
            )
        dropped = tuple(axis for axis, name in enumerate(names) if name not in by)
        kept = [name for name in names if name in by]
        counts, squares, reported = (values.sum(dropped) for values in (self.counts, self.squares, self.reported))
        total = np.broadcast_to(self.total[:, None], self.reported.shape).sum(dropped)
        used = counts.sum(-1)
        table = {
            "used": (_divide(used, reported), "1"),
            "rms": (np.sqrt(_divide(squares, used)), "px"),
            "median": (_quantile(counts, 0.5), "px"),
            "p95": (_quantile(counts, 0.95), "px"),
            "missing_2d": (1 - _divide(reported, total), "1"),
        }
        if "camera" not in by:
            points, all_points = (values.sum(dropped[:-1]) for values in (self.points, self.total))
            table["missing_3d"] = (1 - _divide(points, all_points), "1")
        return xr.Dataset(
            {name: (kept, values, {"units": units}) for name, (values, units) in table.items()},
            coords={name: names[name] for name in kept},
        )


_SUMS = ("counts", "squares", "reported", "total", "points")


def reprojection_histogram(poses3d: xr.Dataset, poses2d: xr.Dataset, rig: Rig) -> ResidualHistogram:
    """Reprojection errors of 3D poses in the 2D poses, chunk by chunk.

    Frames are matched by number, keypoints, individuals and cameras by name; counted are the frames, keypoints and
    individuals of the 3D poses and the cameras that the 2D poses and the rig share. A 2D position counts as used where
    `inlier` of the 3D poses says so, or, without it, wherever the 3D position exists. A view that a reconstruction
    repaired (`repair`) has the error that is stored (`residual`): the 2D poses hold what stood there before.

    Args:
        poses3d: Poses3D; may be lazily loaded, as 2D poses may.
        poses2d: Poses2D.
        rig: the cameras.

    Raises:
        MismatchError: no frame, keypoint, individual or camera is common.
    """
    seen_by = {str(name) for name in poses2d["camera"].values}
    if "inlier" in poses3d:
        seen_by &= {str(name) for name in poses3d["camera"].values}
    cameras = rig.select([name for name in rig.names if name in seen_by]) if seen_by & set(rig.names) else None
    if cameras is None:
        raise MismatchError(
            "cameras of the poses",
            expected=f"some of the rig's: {', '.join(rig.names)}",
            got=", ".join(sorted(seen_by)) or "none in common",
            remedy="Give the rig that the poses were triangulated with.",
        )
    frames, keypoints, individuals = (_lookup(poses2d, poses3d, label) for label in ("frame", "keypoint", "individual"))
    result = ResidualHistogram.empty([str(name) for name in poses3d["keypoint"].values], cameras.names)
    names = {"camera": list(cameras.names)}
    for first in range(0, len(frames), _CHUNK):
        solid = poses3d.isel(time=slice(first, first + _CHUNK))
        rows = frames[first : first + _CHUNK]
        flat = (
            poses2d["position"]
            .isel(time=np.maximum(rows, 0))
            .sel(names)
            .isel(keypoint=np.maximum(keypoints, 0), individual=np.maximum(individuals, 0))
        )
        pixels = flat.transpose(*_ORDER, "space").values
        known = (rows >= 0)[:, None, None] & (individuals >= 0)[:, None] & (keypoints >= 0)
        result = result.add(*_compare(solid, pixels, known, cameras))
    return result


def _compare(
    solid: xr.Dataset, pixels: NDArray[np.float64], known: NDArray[np.bool_], cameras: Rig
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """What `ResidualHistogram.add` wants of 3D poses and pixels (time, individual, keypoint, camera, 2).

    `known` (time, individual, keypoint) says what the 2D poses have.
    """
    points = solid["position"].transpose("time", "individual", "keypoint", "space").values
    residuals = np.linalg.norm(cameras.project(points) - pixels, axis=-1)
    reported = np.isfinite(pixels).all(-1) & known[..., None]
    used = reported & np.isfinite(points).all(-1)[..., None]
    if "repair" in solid:
        repaired, stored = repaired_residuals(solid, cameras.names)
        repaired &= known[..., None]
        residuals = np.where(repaired, stored, residuals)
        # where left and right were exchanged, a view can be used of a keypoint that the camera does not report
        used = np.where(repaired, np.isfinite(residuals), used)
    if "inlier" in solid:
        used &= solid["inlier"].sel(camera=list(cameras.names)).transpose(*_ORDER).values.astype(bool)
    there = used.any(-1)
    if "bridged" in solid:
        there |= solid["bridged"].transpose(*_ORDER[:-1]).values.astype(bool)
    return residuals, used, reported, there


def repaired_residuals(poses3d: xr.Dataset, cameras: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which views were repaired, and the reprojection errors (px) of the views that were put in their place.

    Args:
        poses3d: Poses3D with `repair`.
        cameras: names; those that the poses lack were not repaired.

    Returns:
        Two arrays (time, individual, keypoint, camera). The errors are NaN where they are not stored, as in files
        whose positions were changed afterwards.
    """
    names = {"camera": list(cameras)}
    kind = poses3d["repair"].reindex(names, fill_value=0).transpose(*_ORDER).values
    if "residual" not in poses3d:
        return kind > 0, np.full(kind.shape, np.nan)
    stored = poses3d["residual"].reindex(names).transpose(*_ORDER).values
    return kind > 0, stored.astype(np.float64)


def reprojection_summary(
    poses3d: xr.Dataset, poses2d: xr.Dataset, rig: Rig, *, by: Sequence[str] = ("keypoint", "camera")
) -> xr.Dataset:
    """Statistics of the reprojection errors; see `reprojection_histogram` and `ResidualHistogram.summary`.

    Raises:
        InvalidValueError: `by` names something else than keypoint and camera.
        MismatchError: no frame, keypoint, individual or camera is common.
    """
    return reprojection_histogram(poses3d, poses2d, rig).summary(by)


def _lookup(poses2d: xr.Dataset, poses3d: xr.Dataset, label: str) -> NDArray[np.intp]:
    """Where the 2D poses have what the 3D poses have; -1 where they do not."""
    have, want = (pd.Index(poses.coords[label].values) for poses in (poses2d, poses3d))
    rows = np.asarray(have.get_indexer(want), dtype=np.intp)
    if not (rows >= 0).any():
        raise MismatchError(
            f"{label} of the 3D and the 2D poses",
            expected="some in common",
            got=f"{', '.join(map(str, want[:3]))} and {', '.join(map(str, have[:3]))}",
            remedy="Give the 2D poses that the 3D poses were triangulated from.",
        )
    return rows


def _bin(length: NDArray[np.float64]) -> NDArray[np.int64]:
    bits = length.astype(np.float32).view(np.int32) >> _SHIFT
    return np.clip(bits - _LOWEST, 0, _BINS - 1).astype(np.int64)


def _edges() -> NDArray[np.float64]:
    """(bin + 1,) lower ends of the bins and the upper end of the last; the first bin starts at 0."""
    bits = (np.arange(_BINS + 1, dtype=np.int32) + _LOWEST) << _SHIFT
    edges = bits.astype(np.int32).view(np.float32).astype(np.float64)
    edges[0] = 0.0
    return edges


def _quantile(counts: NDArray[np.int64], level: float) -> NDArray[np.float64]:
    """(...) quantile of histograms (..., bin), by linear interpolation in the bin."""
    edges = _edges()
    cumulated = counts.cumsum(-1)
    total = cumulated[..., -1]
    rank = level * total
    index = np.minimum((cumulated < rank[..., None]).sum(-1), _BINS - 1)
    inside = np.take_along_axis(counts, index[..., None], -1)[..., 0]
    before = np.take_along_axis(cumulated, index[..., None], -1)[..., 0] - inside
    result = edges[index] + _divide(rank - before, inside) * (edges[index + 1] - edges[index])
    return np.where(total > 0, result, np.nan)


def _divide(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    """Shares; NaN of nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(whole) > 0, np.asarray(part, dtype=np.float64) / np.asarray(whole), np.nan)
