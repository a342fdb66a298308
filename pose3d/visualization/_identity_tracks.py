"""The ways of two animals around a moment, in two dimensions."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pose3d.visualization._identity_overview import Risk

__all__ = ["Way", "ways_around"]

Array = NDArray[np.float64]

# Frames that are averaged, so that a keypoint that is missing does not move the way.
_SMOOTH = 7
# Animals that meet are seen within as many times the duration of the meeting, or frames, before and after it.
_BESIDE, _LEAST_BESIDE = 1, 8


@dataclass(frozen=True, eq=False)
class Way:
    """Where the animals of a risk were.

    Attributes:
        frames: (time,) numbers.
        tracks: (time, 2) of both animals.
        label: of the picture.
        image: whether y points down.
    """

    frames: NDArray[np.int64]
    tracks: list[Array]
    label: str
    image: bool

    def parts(self, risk: Risk) -> tuple[slice, slice, slice]:
        """Rows before, within (with a row on either side, so that lines join) and after a risk."""
        first, end = (int(row) for row in np.searchsorted(self.frames, (risk.first, risk.last + 1)))
        return slice(0, first), slice(max(first - 1, 0), end + 1), slice(end, None)

    def crossing(self, risk: Risk, index: int) -> Array:
        """(n, 2) from where one was last seen before a risk to where the other was first seen after it.

        Empty where either was seen too long before or after: they did not meet there.
        """
        before, _, after = self.parts(risk)
        start = np.flatnonzero(np.isfinite(self.tracks[index][before]).all(-1))
        end = np.flatnonzero(np.isfinite(self.tracks[1 - index][after]).all(-1))
        longest = max(_BESIDE * (after.start - (before.stop or 0)), _LEAST_BESIDE)
        if not len(start) or not len(end) or before.stop - start[-1] > longest or end[0] > longest:
            return np.empty((0, 2))
        return np.stack([self.tracks[index][before][start[-1]], self.tracks[1 - index][after][end[0]]])


def ways_around(
    risk: Risk, around: int, poses3d: xr.Dataset | None, poses2d: xr.Dataset | None, up: Array | None
) -> Way | None:
    """From above, or in the camera that has most of both; None where neither knows the animals there.

    Args:
        risk: the moment.
        around: frames before and after it.
        poses3d, poses2d: Datasets; only these frames are loaded.
        up: (3,) unit vector; z by default.
    """
    names = [risk.individual, risk.other]
    if poses3d is not None:
        own = _part(poses3d, risk, around, names)
        if own is not None:
            points = own["position"].transpose("individual", "time", "keypoint", "space").values
            axes = _from_above(np.array([0.0, 0.0, 1.0]) if up is None else up)
            tracks = [_middle(one) @ axes.T for one in points]
            if all(np.isfinite(track).all(-1).sum() > 1 for track in tracks):
                unit = str(poses3d["position"].attrs.get("units", ""))
                return Way(own["frame"].values.astype(np.int64), tracks, f"from above ({unit})", image=False)
    if poses2d is not None:
        own = _part(poses2d, risk, around, names)
        if own is not None:
            points = own["position"].transpose("camera", "individual", "time", "keypoint", "space").values
            seen = np.isfinite(points).all(-1).any(-1).sum(-1).min(-1)
            best = int(np.argmax(seen)) if len(seen) else -1
            if best >= 0 and seen[best] > 1:
                tracks = [_middle(one) for one in points[best]]
                camera = str(own["camera"].values[best])
                return Way(own["frame"].values.astype(np.int64), tracks, f"image of {camera} (px)", image=True)
    return None


def _part(poses: xr.Dataset, risk: Risk, around: int, names: list[str]) -> xr.Dataset | None:
    known = [str(name) for name in poses["individual"].values]
    if any(name not in known for name in names):
        return None
    frames = poses["frame"].values
    rows = slice(*(int(row) for row in np.searchsorted(frames, (risk.first - around, risk.last + around + 1))))
    return poses[["position"]].isel(time=rows, individual=[known.index(name) for name in names])


def _middle(points: Array) -> Array:
    """(time, space) smoothed median of the keypoints (time, keypoint, space), NaN where there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an empty frame has no middle
        middle = np.asarray(np.nanmedian(points.astype(np.float64), axis=1))
        half = _SMOOTH // 2
        padded = np.pad(middle, [(half, half), (0, 0)], constant_values=np.nan)
        smooth = np.nanmean(np.lib.stride_tricks.sliding_window_view(padded, _SMOOTH, axis=0), axis=-1)
    return np.where(np.isfinite(middle), smooth, np.nan)


def _from_above(up: Array) -> Array:
    """(2, 3) axes of the picture: x right where up is z, y up."""
    nearest = int(np.argmin(np.abs(np.round(up, 6))))
    east = np.eye(3)[nearest] - up[nearest] * up
    east /= np.linalg.norm(east)
    return np.stack([east, np.cross(up, east)])
