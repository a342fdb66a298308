"""What is counted while a recording is reconstructed piece by piece, in constant memory."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.rig import Rig
from pose3d.datasets import flag_words
from pose3d.metrics import ResidualHistogram
from pose3d.metrics.reprojection import is_displaced
from pose3d.pipeline._disagreements import Disagreement, DisagreementSearch
from pose3d.pipeline._recording_checks import add_residuals

__all__ = ["ReconstructionSummary", "Tally"]

# A camera disagrees where its 2D position is more probably lost than of the keypoint.
_DISAGREES = 0.5
_BY_CAMERA = ("time", "camera", "keypoint", "individual")
_BY_KEYPOINT = ("keypoint", "time", "individual")
_ERRORS = ["used", "median", "p95"]
_LEARNED = ("noise", "smoothness", "bone_length", "bone_deviation", "bone_length_std")


@dataclass(frozen=True, eq=False)
class ReconstructionSummary:
    """How a reconstruction went.

    Attributes:
        frames: number of frames.
        cameras: names of the cameras that took part.
        individuals: names.
        unit: length unit of the rig.
        motion: see `TrajectorySettings.motion`; what was chosen, where that was left to the recording.
        learned: `noise` (keypoint, camera), `smoothness` (keypoint, individual), and, with a skeleton, `bone_length`,
            `bone_deviation` and `bone_length_std` (bone, individual), with their units.
        histogram: reprojection errors of the 2D positions that were used, per keypoint and camera.
        points: by keypoint, shares of the positions: `bridged`, `missing`; share of the 2D positions: `repaired`; and
            `deviation`, the median of the standard deviation of a position along an axis, in the unit.
        all_points: the same of all keypoints together.
        explained: (camera,) mean probability that a 2D position is of its keypoint.
        offset: (camera, space) px, mean of 2D position minus projection, over the 2D positions that were used as they
            were reported.
        missing: how many positions are missing for which reason.
        contradicted: by keypoint, how many positions all cameras contradict that see the keypoint, two at least; only
            keypoints with any. The motion is more sudden there than its smoothness allows, or all cameras are wrong.
        disagreements: the longest stretches of frames in which a camera disagrees with the others.
        disagreement_count: how many there are, listed or not.
    """

    frames: int
    cameras: tuple[str, ...]
    individuals: tuple[str, ...]
    unit: str
    motion: str
    learned: xr.Dataset
    histogram: ResidualHistogram
    points: xr.Dataset
    all_points: xr.Dataset
    explained: xr.DataArray
    offset: xr.DataArray
    missing: dict[str, int]
    contradicted: dict[str, int]
    disagreements: tuple[Disagreement, ...]
    disagreement_count: int

    def overall(self) -> xr.Dataset:
        """Statistics of everything: `used`, `median` and `p95` as of `ResidualHistogram.summary`, and `all_points`."""
        return xr.merge([self.histogram.summary(())[_ERRORS], self.all_points])

    def by_keypoint(self) -> xr.Dataset:
        """Statistics (keypoint).

        Returns:
            `used`, `median` and `p95` as of `ResidualHistogram.summary`; `noise`, the median over cameras, and
            `smoothness`, the median over individuals, of what was learned; and all of `points`.
        """
        errors = self.histogram.summary(("keypoint",))[_ERRORS]
        learned = {
            name: self.learned[name].median(dim).assign_attrs(self.learned[name].attrs)
            for name, dim in (("noise", "camera"), ("smoothness", "individual"))
        }
        return errors.merge(self.points).assign(learned)

    def by_camera(self) -> xr.Dataset:
        """Statistics (camera).

        Returns:
            `used`, `median` and `p95` as of `ResidualHistogram.summary`; `explained`; and of `offset` the coordinates
            `offset_x` and `offset_y` and the length `offset`, in px.
        """
        errors = self.histogram.summary(("camera",))[_ERRORS]
        x, y = (self.offset.sel(space=axis, drop=True) for axis in "xy")
        length = xr.DataArray(np.hypot(x.values, y.values), x.coords, x.dims, attrs={"units": "px"})
        return errors.assign(explained=self.explained, offset_x=x, offset_y=y, offset=length)

    def displaced(self) -> tuple[str, ...]:
        """The cameras that see everything elsewhere than the others do, see `is_displaced`."""
        far = is_displaced(self.offset.transpose("camera", "space").values, self.by_camera()["median"].values)
        return tuple(name for name, one in zip(self.cameras, far.tolist(), strict=True) if one)


@dataclass(eq=False)
class Tally:
    """Counts that grow with every piece.

    Attributes:
        first: the trajectories of the first piece, of which names and what was learned are taken.
        rig: the cameras.
    """

    first: xr.Dataset
    rig: Rig
    _histogram: ResidualHistogram = field(init=False)
    _deviations: ResidualHistogram = field(init=False)
    _search: DisagreementSearch = field(init=False)
    _statuses: NDArray[np.int64] = field(init=False)
    _bridged: NDArray[np.int64] = field(init=False)
    _repaired: NDArray[np.int64] = field(init=False)
    _contradicted: NDArray[np.int64] = field(init=False)
    _probability: NDArray[np.float64] = field(init=False)
    _judged: NDArray[np.int64] = field(init=False)
    _offset: NDArray[np.float64] = field(init=False)
    _measured: NDArray[np.int64] = field(init=False)
    _frames: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        keypoints, cameras, individuals = (_names(self.first, dim) for dim in ("keypoint", "camera", "individual"))
        self._histogram = ResidualHistogram.empty(keypoints, cameras)
        # A histogram of lengths is one whatever their unit is; the bins go from a hundred-thousandth to 30,000.
        self._deviations = ResidualHistogram.empty(keypoints, ["position"])
        self._search = DisagreementSearch([(c, k, i) for c in cameras for k in keypoints for i in individuals])
        self._statuses = np.zeros(len(self._codes()), dtype=np.int64)
        self._bridged, self._repaired, self._contradicted = (np.zeros(len(keypoints), dtype=np.int64) for _ in range(3))
        self._probability, self._judged = np.zeros(len(cameras)), np.zeros(len(cameras), dtype=np.int64)
        self._offset, self._measured = np.zeros((len(cameras), 2)), np.zeros(len(cameras), dtype=np.int64)

    def add(self, poses2d: xr.Dataset, solid: xr.Dataset) -> None:
        """Count the frames that follow, whose 2D poses and trajectories these are."""
        self._frames += solid.sizes["time"]
        self._histogram = add_residuals(self._histogram, poses2d, solid)
        variance = sum(
            solid["covariance"].sel(space=axis, space_=axis).transpose("time", "individual", "keypoint").values
            for axis in "xyz"
        )
        deviation = np.sqrt(variance / 3)[..., None]
        known = np.isfinite(deviation)
        self._deviations = self._deviations.add(deviation, known, known)
        statuses = solid["status"].values
        self._statuses += [int((statuses == code).sum()) for code in self._codes()]
        self._bridged += solid["bridged"].transpose(*_BY_KEYPOINT).values.sum((1, 2))
        self._repaired += (solid["repair"].transpose("keypoint", ...).values > 0).sum((1, 2, 3))
        probability = solid["view_probability"].transpose(*_BY_CAMERA).values
        judged = np.isfinite(probability)
        self._judged += judged.sum((0, 2, 3))
        self._probability += np.where(judged, probability, 0.0).sum((0, 2, 3))
        with np.errstate(invalid="ignore"):
            disagrees = probability < _DISAGREES
        against, seen = disagrees.sum(1), judged.sum(1)
        self._contradicted += ((against == seen) & (seen > 1)).sum((0, 2))
        self._search.add(solid["frame"].values, disagrees.reshape(len(disagrees), -1))
        self._add_offsets(poses2d, solid)

    def _add_offsets(self, poses2d: xr.Dataset, solid: xr.Dataset) -> None:
        cameras = _names(self.first, "camera")
        order = ("time", "keypoint", "individual", "camera")
        pixels = poses2d["position"].sel(camera=cameras).transpose(*order, "space").values
        points = solid["position"].transpose(*order[:-1], "space").values
        residual = pixels - self.rig.select(cameras).project(points)
        used = solid["inlier"].transpose(*order).values.astype(bool) & (solid["repair"].transpose(*order).values == 0)
        used &= np.isfinite(residual).all(-1)
        self._offset += np.where(used[..., None], residual, 0.0).sum((0, 1, 2))
        self._measured += used.sum((0, 1, 2))

    def summary(self) -> ReconstructionSummary:
        """What was counted."""
        cameras = _names(self.first, "camera")
        with np.errstate(invalid="ignore", divide="ignore"):
            explained = self._probability / self._judged
            offset = self._offset / self._measured[:, None]
        return ReconstructionSummary(
            frames=self._frames,
            cameras=tuple(cameras),
            individuals=tuple(_names(self.first, "individual")),
            unit=str(self.first["position"].attrs["units"]),
            motion=str(json.loads(str(self.first.attrs["reconstruction"]))["motion"]),
            learned=self.first[[name for name in _LEARNED if name in self.first]].drop_attrs(deep=False).load(),
            histogram=self._histogram,
            points=self._points(),
            all_points=self._points(together=True),
            explained=xr.DataArray(explained, {"camera": cameras}, ("camera",), attrs={"units": "1"}),
            offset=xr.DataArray(
                offset, {"camera": cameras, "space": ["x", "y"]}, ("camera", "space"), attrs={"units": "px"}
            ),
            missing={
                meaning: int(count)
                for (code, meaning), count in zip(self._codes().items(), self._statuses, strict=True)
                if code and count
            },
            contradicted={
                name: int(count)
                for name, count in zip(_names(self.first, "keypoint"), self._contradicted, strict=True)
                if count
            },
            disagreements=self._search.longest(),
            disagreement_count=self._search.total(),
        )

    def _points(self, *, together: bool = False) -> xr.Dataset:
        """See `ReconstructionSummary.points`."""
        dims = () if together else ("keypoint",)
        counts = self._bridged, self._deviations.points, self._repaired, self._histogram.reported.sum(1)
        bridged, there, repaired, reported = (count.sum() if together else count for count in counts)
        total = self._deviations.total.sum() if together else self._deviations.total
        unit = {"units": str(self.first["position"].attrs["units"])}
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = {"bridged": bridged / total, "missing": 1 - there / total, "repaired": repaired / reported}
        return xr.Dataset(
            {name: (dims, values, {"units": "1"}) for name, values in shares.items()}
            | {"deviation": self._deviations.summary(dims)["median"].assign_attrs(unit)},
            coords={} if together else {"keypoint": _names(self.first, "keypoint")},
        )

    def _codes(self) -> dict[int, str]:
        """What the statuses mean."""
        return {code: word.replace("_", " ") for code, word in flag_words(self.first["status"]).items()}


def _names(dataset: xr.Dataset, dim: str) -> list[str]:
    return [str(name) for name in dataset[dim].values]
