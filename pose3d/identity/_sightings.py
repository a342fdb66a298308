"""Instances as rays, ready for the kernels: from here on there is no lens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.rig import Rig
from calibration.triangulation import normalize_pixels
from pose3d.identity._identity_kernels import aim_rays

__all__ = ["FAR", "Sightings", "Stage", "make_sightings", "rig_stage", "single_stage"]

Array = NDArray[np.float64]

# A camera alone looks at its own image from so far away, in image widths: nearly parallel rays, and digits to spare.
FAR = 200.0


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
        whole: (time, camera, instance) false for fragments, which are too little of an animal.
        frame: (time,) frame numbers.
    """

    ray: Array
    conf: Array
    angle: Array
    track: NDArray[np.int64]
    whole: NDArray[np.bool_]
    frame: NDArray[np.int64]

    def part(self, rows: slice) -> Sightings:
        """Some of the frames."""
        return Sightings(
            self.ray[rows], self.conf[rows], self.angle[rows], self.track[rows], self.whole[rows], self.frame[rows]
        )


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
    height = FAR * max(1000.0, float(2 * middle.max()))
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
    conf = np.array(instances["confidence"].transpose(*order).values, dtype=np.float64, order="C")
    frames = np.asarray(instances["frame"].values, dtype=np.int64)
    if np.isinf(pixels).any():
        time, camera = np.argwhere(np.isinf(pixels))[0][:2]
        raise InvalidValueError(
            f"instances, camera '{stage.names[camera]}', frame {frames[time]}",
            expected="finite pixels, NaN where missing",
            got="an infinite one",
            remedy="Set what is missing to NaN.",
        )
    track = np.full(conf.shape[:3], -1, dtype=np.int64)
    if "track" in instances:
        track = np.array(instances["track"].transpose(*order[:3]).values, dtype=np.int64, order="C")
    whole = np.ones(conf.shape[:3], dtype=np.bool_)
    if "fragment" in instances:
        whole = instances["fragment"].transpose(*order[:3]).values == 0
    if stage.rig is None:
        ray, angle = _parallel_rays(pixels, stage)
        with np.errstate(invalid="ignore"):
            seen = np.isfinite(ray).all(-1) & (conf > 0) & (conf >= minimum_confidence)
        conf[~seen] = ray[~seen] = 0.0
        return Sightings(ray, conf, angle, track, whole, frames)
    normalized, slope = normalize_pixels(stage.rig, np.moveaxis(pixels, 1, -2))
    rotation = np.stack([camera.cam_from_world.rotation for camera in stage.rig])
    ray, angle = np.empty((*conf.shape, 3)), np.empty(conf.shape)
    aim_rays(normalized, slope, rotation, minimum_confidence, conf, ray, angle)
    return Sightings(ray, conf, angle, track, whole, frames)


def _parallel_rays(pixels: Array, stage: Stage) -> tuple[Array, Array]:
    height = -float(stage.center[0, 2])
    toward = np.concatenate([pixels - stage.middle, np.full((*pixels.shape[:-1], 1), height)], axis=-1)
    toward /= np.linalg.norm(toward, axis=-1, keepdims=True)
    return toward, np.full(pixels.shape[:-1], 1.0 / height)
