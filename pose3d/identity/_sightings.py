"""Instances as rays, ready for the kernels: from here on there is no lens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.rig import Rig
from calibration.triangulation import normalize_pixels

__all__ = ["Sightings", "Stage", "make_sightings", "rig_stage", "single_stage"]

Array = NDArray[np.float64]

# A camera alone looks at its own image from so far away, in image widths: nearly parallel rays, and digits to spare.
_FAR = 200.0


@dataclass(frozen=True, eq=False)
class Stage:
    """The cameras as the kernels know them.

    Attributes:
        names: of the cameras.
        rig: the cameras, or None for one camera alone, whose world is its image plane in pixels.
        center: (camera, 3).
        base: (camera, camera, 3) unit vectors from the first camera to the second.
        middle: (2,) of the image, for one camera alone.
    """

    names: tuple[str, ...]
    rig: Rig | None
    center: Array
    base: Array
    middle: Array

    @property
    def planar(self) -> bool:
        """True where one camera looks at a plane."""
        return self.rig is None


@dataclass(frozen=True, eq=False)
class Sightings:
    """What the cameras saw in some frames; the axes are (time, camera, instance, keypoint).

    Attributes:
        ray: (..., 3) unit rays in the world.
        conf: 0 where not seen.
        angle: radians per pixel there.
        track: (time, camera, instance) track of the source, -1 for none.
        frame: (time,) frame numbers.
    """

    ray: Array
    conf: Array
    angle: Array
    track: NDArray[np.int64]
    frame: NDArray[np.int64]

    def part(self, rows: slice) -> Sightings:
        """Some of the frames."""
        return Sightings(self.ray[rows], self.conf[rows], self.angle[rows], self.track[rows], self.frame[rows])


def rig_stage(rig: Rig) -> Stage:
    """The cameras of a rig."""
    center = np.stack([camera.center for camera in rig])
    between = center[None] - center[:, None]
    length = np.linalg.norm(between, axis=-1, keepdims=True)
    base = np.divide(between, length, out=np.zeros_like(between), where=length > 0)
    return Stage(rig.names, rig, center, base, np.zeros(2))


def single_stage(instances: xr.Dataset) -> Stage:
    """One camera without a calibration: its world is its image, in pixels, with z = 0."""
    middle = np.zeros(2)
    if "image_size" in instances and np.isfinite(instances["image_size"].values).all():
        middle = 0.5 * instances["image_size"].values[0].astype(np.float64)
    height = _FAR * max(1000.0, float(2 * middle.max()))
    center = np.array([[middle[0], middle[1], -height]])
    return Stage((str(instances["camera"].values[0]),), None, center, np.zeros((1, 1, 3)), middle)


def make_sightings(instances: xr.Dataset, stage: Stage, minimum_confidence: float) -> Sightings:
    """The rays of Instances whose cameras are those of the stage; values are loaded.

    Args:
        instances: Instances Dataset, some of its frames.
        stage: the cameras.
        minimum_confidence: keypoints with less count as not seen.
    """
    order = ("time", "camera", "instance", "keypoint")
    pixels = np.asarray(instances["position"].transpose(*order, "space").values, dtype=np.float64)
    conf = np.array(instances["confidence"].transpose(*order).values, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        conf[~(np.isfinite(pixels).all(-1) & (conf > 0) & (conf >= minimum_confidence))] = 0.0
    if stage.rig is None:
        ray, angle = _parallel_rays(pixels, stage)
    else:
        ray, angle = _rays(pixels, stage.rig)
    seen = np.isfinite(angle) & np.isfinite(ray).all(-1)
    conf[~seen] = 0.0
    ray[~seen] = 0.0
    angle[~seen] = 1.0
    frames = np.asarray(instances["frame"].values, dtype=np.int64)
    track = np.full(conf.shape[:3], -1, dtype=np.int64)
    if "track" in instances:
        track = np.asarray(instances["track"].transpose(*order[:3]).values, dtype=np.int64)
    return Sightings(np.ascontiguousarray(ray), conf, np.ascontiguousarray(angle), np.ascontiguousarray(track), frames)


def _rays(pixels: Array, rig: Rig) -> tuple[Array, Array]:
    normalized, slope = normalize_pixels(rig, np.moveaxis(pixels, 1, -2))
    normalized, slope = np.moveaxis(normalized, -2, 1), np.moveaxis(slope, -3, 1)
    squared = 1.0 + (normalized**2).sum(-1)
    with np.errstate(invalid="ignore"):
        area = np.abs(slope[..., 0, 0] * slope[..., 1, 1] - slope[..., 0, 1] * slope[..., 1, 0])
        # a solid angle is dx dy / (1 + r^2)^1.5
        angle = squared**-0.75 / np.sqrt(area)
    # in the frame of the camera, then of the world: R^T, row by row
    toward = np.concatenate([normalized, np.ones((*normalized.shape[:-1], 1))], axis=-1) / np.sqrt(squared)[..., None]
    turned = np.empty_like(toward)
    for index, camera in enumerate(rig):
        turned[:, index] = toward[:, index] @ camera.cam_from_world.rotation
    return turned, angle


def _parallel_rays(pixels: Array, stage: Stage) -> tuple[Array, Array]:
    height = -float(stage.center[0, 2])
    toward = np.concatenate([pixels - stage.middle, np.full((*pixels.shape[:-1], 1), height)], axis=-1)
    toward /= np.linalg.norm(toward, axis=-1, keepdims=True)
    return toward, np.full(pixels.shape[:-1], 1.0 / height)
