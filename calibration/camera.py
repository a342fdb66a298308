"""One calibrated camera: name, image size, lens and pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.errors import InvalidValueError
from calibration.lens import BrownConrady, Fisheye, Lens
from calibration.schema import as_floats
from calibration.transforms import RigidTransform

__all__ = ["Camera"]


@dataclass(frozen=True)
class Camera:
    """A calibrated camera.

    Attributes:
        name: its name, as in file names and tables.
        size: width and height of its images in pixels.
        lens: the lens model.
        cam_from_world: `x_cam = R x_world + t`; z points forward.

    Raises:
        InvalidValueError: the name is empty, the size is not two positive whole numbers, the lens or the pose is of
            another type, or the pose is a batch.
    """

    name: str
    size: tuple[int, int]
    lens: Lens
    cam_from_world: RigidTransform

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise InvalidValueError(
                "camera", expected="a name", got=repr(self.name), remedy="Give every camera a name that is not empty."
            )
        width_height = as_floats(self.size, f"camera '{self.name}', size")
        whole = width_height.shape == (2,) and bool(np.all(np.isfinite(width_height) & (width_height > 0)))
        if not whole or not np.array_equal(width_height, np.round(width_height)):
            raise InvalidValueError(
                f"camera '{self.name}', size",
                expected="width and height as positive whole pixels",
                got=str(self.size),
                remedy="Take them from the video (or the calibration images) of this camera.",
            )
        object.__setattr__(self, "size", (int(width_height[0]), int(width_height[1])))
        if not isinstance(self.lens, BrownConrady | Fisheye):
            raise InvalidValueError(
                f"camera '{self.name}', lens",
                expected="a BrownConrady or Fisheye lens",
                got=type(self.lens).__name__,
                remedy="Build the lens first.",
            )
        pose = self.cam_from_world
        if not isinstance(pose, RigidTransform) or pose.translation.shape != (3,):
            batch = isinstance(pose, RigidTransform)
            raise InvalidValueError(
                f"camera '{self.name}', cam_from_world",
                expected="one RigidTransform",
                got=f"a batch of shape {pose.translation.shape[:-1]}" if batch else type(pose).__name__,
                remedy="Make one Camera per transform, from a rotation and a translation.",
            )

    @property
    def center(self) -> NDArray[np.float64]:
        """(3,) position of the camera in the world, in the rig's unit."""
        return self.cam_from_world.inverse().translation

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """Pixels (..., 2) of world points (..., 3).

        NaN where a point lies behind the camera or so far off the axis that the lens model does not reach it. Points
        in front of the camera but outside its image keep their coordinates.

        Raises:
            InvalidValueError: the last axis is not 3.
        """
        with np.errstate(all="ignore"):
            in_camera = self.cam_from_world(points)
            depth = in_camera[..., 2]
            normalized = in_camera[..., :2] / np.where(depth > 0, depth, np.nan)[..., None]
        return self.lens.distort(normalized)

    def ray(self, pixels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Origin (3,) and unit directions (..., 3), in the world, of the rays through pixels (..., 2).

        NaN where the pixel lies outside the valid radius of the lens.

        Raises:
            InvalidValueError: the last axis is not 2.
        """
        normalized = self.lens.undistort(pixels)
        direction = np.concatenate([normalized, np.ones((*normalized.shape[:-1], 1))], axis=-1)
        direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
        return self.center, direction @ self.cam_from_world.rotation
