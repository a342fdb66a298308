"""A recording as the windows of `_trajectory_problem`, and where it may be cut so that the cut does not matter."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.rig import Rig
from pose3d.reconstruction._bodies import Joints
from pose3d.reconstruction._trajectory_learning import Links
from pose3d.reconstruction._trajectory_model import TrajectoryModel
from pose3d.reconstruction._trajectory_problem import Frame, Window
from pose3d.reconstruction._trajectory_settings import TrajectorySettings
from pose3d.reconstruction._views import Views, camera_table, covariance_floor, make_views
from pose3d.reconstruction.framewise import PixelNoise, triangulate
from pose3d.skeleton import Skeleton

__all__ = ["Part", "Recording", "links_of", "mirrored_keypoints"]

Array = NDArray[np.float64]

_PILOT_BLOCK = 100  # frames; smoothness is learned from what moves within a block
_DECAY = 1e-8  # what is left, at the edge of what is kept, of the influence of where a window ends
_LONGEST_MARGIN = 300  # a keypoint that hardly moves must not make the windows of all others long


@dataclass(frozen=True, eq=False)
class Part:
    """A stretch of a recording.

    Attributes:
        poses2d: its 2D poses.
        views: of all individuals.
        windows: one per individual.
        framewise: the triangulated poses that the windows start from.
        candidates: views of the other peaks, the candidates in the place of individuals; or None.
    """

    poses2d: xr.Dataset
    views: Views
    windows: tuple[Window, ...]
    framewise: xr.Dataset
    candidates: Views | None = None


@dataclass(frozen=True, eq=False)
class Recording:
    """2D poses with the cameras that saw them.

    Attributes:
        poses2d: may be lazily loaded; its cameras are those of the rig.
        rig: the cameras.
        noise: of the pixels, as triangulation learns it.
        settings: how to reconstruct.
        interval: between frames, in s, or frames where the rate is unknown.
        floor: (keypoint,) see `covariance_floor`.
        candidates: Detections of the same frames, cameras and keypoints without the most probable candidate, or None.
    """

    poses2d: xr.Dataset
    rig: Rig
    noise: PixelNoise
    settings: TrajectorySettings
    interval: float
    floor: Array | None
    candidates: xr.Dataset | None

    @classmethod
    def of(
        cls,
        poses2d: xr.Dataset,
        rig: Rig,
        noise: PixelNoise,
        settings: TrajectorySettings,
        candidates: xr.Dataset | None,
    ) -> Recording:
        steps = np.diff(poses2d["time"].values)
        sample = poses2d.isel(time=slice(0, settings.pilot_frames)) if "covariance" in poses2d else poses2d
        interval = float(np.median(steps)) if len(steps) else 1.0
        return cls(poses2d, rig, noise, settings, interval, covariance_floor(sample), candidates)

    def read(self, first: int, last: int) -> tuple[xr.Dataset, xr.Dataset | None]:
        """2D poses and candidates of the frames from `first` to before `last`; files are read by one thread only."""
        chosen = slice(first, last)
        others = None if self.candidates is None else self.candidates.isel(time=chosen).load()
        return self.poses2d.isel(time=chosen).load(), others

    def part(self, poses2d: xr.Dataset, candidates: xr.Dataset | None = None, *, covariance: bool = False) -> Part:
        """A stretch of the 2D poses, triangulated as a start."""
        framewise = triangulate(
            poses2d, self.rig, settings=self.settings.triangulation, noise=self.noise, covariance=covariance, workers=1
        )
        lowest = self.settings.minimum_confidence
        views = make_views(poses2d, self.rig, minimum_confidence=lowest, floor=self.floor)
        others = None
        if candidates is not None:
            renamed = candidates.rename(candidate="individual")
            others = make_views(renamed, self.rig, minimum_confidence=lowest, floor=self.floor)
        points = framewise["position"].transpose("individual", "time", "keypoint", "space").values
        inlier = framewise["inlier"].transpose("individual", "time", "keypoint", "camera").values.astype(bool)
        times = poses2d["time"].values.astype(np.float64)
        windows = tuple(
            Window.of(times, views.table[number], points[number], inlier[number], self.settings.longest_gap)
            for number in range(len(points))
        )
        return Part(poses2d, views, windows, framewise, others)

    def pilot(self) -> list[Part]:
        """Blocks of frames spread evenly over the recording, or all of a short one."""
        length, wanted = self.poses2d.sizes["time"], self.settings.pilot_frames
        if length <= wanted:
            return [self.part(self.read(0, length)[0], covariance=True)]
        starts = np.linspace(0, length - _PILOT_BLOCK, max(wanted // _PILOT_BLOCK, 1)).round().astype(int)
        return [self.part(self.read(start, start + _PILOT_BLOCK)[0], covariance=True) for start in starts.tolist()]

    def frame(self, pilot: list[Part], joints: Joints | None) -> Frame:
        """What all windows have in common."""
        centers = np.stack([camera.center for camera in self.rig])
        points = np.concatenate([window.start.reshape(-1, 3) for part in pilot for window in part.windows])
        points = points[np.isfinite(points[:, 0])]
        apart = (
            np.linalg.norm(points[:, None] - centers, axis=-1)
            if len(points)
            else np.linalg.norm(centers - centers.mean(0), axis=-1)
        )
        return Frame(camera_table(self.rig), float(np.median(apart)), self.settings, joints)

    def deviation(self) -> Array:
        """(keypoint, camera) see `NoiseModel`, before anything better is learned."""
        if self.floor is None:
            return self.noise.sigma
        # covariances of twice the floor are usual, see `covariance_floor`
        return self.noise.sigma / np.sqrt(2 * self.floor)[:, None]

    def area(self) -> Array:
        """(keypoint,) see `NoiseModel`."""
        pixels = float(np.mean([np.prod(camera.size) for camera in self.rig]))
        return pixels / (2 * np.pi * (self.deviation() ** 2).mean(1))

    def alone(self, pilot: list[Part]) -> Array:
        """(individual, keypoint) median variance of the triangulated positions, the sum over the axes."""
        sums = np.concatenate(
            [
                np.trace(
                    part.framewise["covariance"].transpose("individual", "keypoint", "time", ...).values, 0, -2, -1
                )
                for part in pilot
            ],
            axis=-1,
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN slice encountered", RuntimeWarning)
            return np.asarray(np.nanmedian(sums, axis=-1))

    def margin(self, model: TrajectoryModel, pilot: list[Part], order: int) -> int:
        """So many frames beyond an edge of a window have no say in what is kept.

        The influence of a frame decays with the slowest root of the smoother: 1 + strength / information times
        (2 - z - 1 / z)^order = 0.
        """
        slowest = 0.0
        for number in range(model.smoothness.shape[0]):
            for keypoint, smoothness in enumerate(model.smoothness[number]):
                worst = [np.linalg.eigvalsh(_covariances(part.framewise, keypoint, number))[:, -1] for part in pilot]
                variances = np.concatenate(worst)
                if not len(variances):
                    continue
                ratio = (smoothness * self.interval**order) ** 2 / float(np.median(variances))
                slowest = max(slowest, _slowest_root(ratio, order))
        decay = _LONGEST_MARGIN if slowest >= 1 - 1e-6 else int(np.ceil(np.log(_DECAY) / np.log(max(slowest, 0.05))))
        return min(decay, _LONGEST_MARGIN) + self.settings.longest_gap + 1


def _covariances(framewise: xr.Dataset, keypoint: int, individual: int) -> Array:
    """(n, 3, 3) those of the positions that there are."""
    values = framewise["covariance"].isel(keypoint=keypoint, individual=individual).values
    return np.asarray(values[np.isfinite(values[:, 0, 0])])


def _slowest_root(ratio: float, order: int) -> float:
    angles = np.pi * (2 * np.arange(order) + 1) / order
    w = ratio ** (1.0 / order) * np.exp(1j * angles)
    half = 1 - w / 2
    root = np.sqrt(half**2 - 1)
    # of both roots, whose product is 1, the one outside the circle is known without cancellation
    return float(np.max(1 / np.maximum(np.abs(half + root), np.abs(half - root))))


def links_of(
    skeleton: Skeleton | None, keypoints: list[str], settings: TrajectorySettings
) -> tuple[Links, Joints | None]:
    """What the skeleton says of the keypoints that the poses have."""
    if skeleton is None:
        return Links(np.zeros((0, 2), dtype=np.int64), np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int64)), None
    place = {name: number for number, name in enumerate(keypoints)}
    edges = [edge for edge in skeleton.edges if set(edge) <= set(place)] if settings.bones else []
    rigid = {frozenset(bone) for bone in skeleton.bones}
    other = {a: b for pair in skeleton.mirrored_pairs for a, b in (pair, pair[::-1])}
    names = [frozenset(edge) for edge in edges]
    mirrored = [frozenset(other.get(name, name) for name in edge) for edge in edges]
    links = Links(
        np.array([[place[a], place[b]] for a, b in edges], dtype=np.int64).reshape(-1, 2),
        np.array([name in rigid for name in names], dtype=bool),
        np.array(
            [names.index(name) if name in names else number for number, name in enumerate(mirrored)], dtype=np.int64
        ),
    )
    limits = [limit for limit in skeleton.joint_limits if set(limit.keypoints) <= set(place)]
    if not limits:
        return links, None
    triples = np.array([[place[name] for name in limit.keypoints] for limit in limits], dtype=np.int64)
    bounds = np.array(
        [[np.deg2rad(limit.smallest), np.deg2rad(limit.largest), settings.joint_spread**-2] for limit in limits]
    )
    return links, Joints(triples, bounds)


def mirrored_keypoints(skeleton: Skeleton | None, keypoints: list[str]) -> NDArray[np.int64]:
    """(pair, 2) numbers of the keypoints that are left and right."""
    pairs = () if skeleton is None else skeleton.mirrored_pairs
    numbers = [[keypoints.index(a), keypoints.index(b)] for a, b in pairs if a in keypoints and b in keypoints]
    return np.array(numbers, dtype=np.int64).reshape(-1, 2)
