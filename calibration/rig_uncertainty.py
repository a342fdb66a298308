"""How uncertain the cameras of a rig are, all together: what their errors do to points is the same in every frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import InvalidValueError, MismatchError
from calibration.lens import Fisheye
from calibration.lens_models import lens_from_vector, lens_vector, parameter_names
from calibration.rig import Rig
from calibration.transforms import RigidTransform

__all__ = ["RigUncertainty", "move_cameras"]

Array = NDArray[np.float64]

_POSE = ("rx", "ry", "rz", "tx", "ty", "tz")
# Two rigs are the same but for the choice of the world where distances between cameras agree to this share.
_SAME = 1e-6
# Modes with less than this share of the variance of the largest, in units of their own deviations, are rounding.
_NEGLIGIBLE = 1e-12


@dataclass(frozen=True, eq=False)
class RigUncertainty:
    """Covariance of the parameters of cameras.

    Poses change on the side of the camera, x_cam = exp(r) x + t, so that the choice of the world does not matter. They
    are those relative to the camera that held the world when the rig was calibrated: that camera has no uncertain pose.

    Attributes:
        labels: (camera, parameter) of every row; rx, ry, rz in radians, tx, ty, tz in the unit, f or fx, fy, cx, cy in
            px, and coefficients of the lens.
        covariance: (parameter, parameter).
        unit: length unit.
        centers: camera -> (3,) center, by which a rig is known again.

    Raises:
        InvalidValueError: the covariance is not symmetric, finite, or of the number of labels.
    """

    labels: tuple[tuple[str, str], ...]
    covariance: Array
    unit: str
    centers: Mapping[str, Array]

    def __post_init__(self) -> None:
        matrix = np.asarray(self.covariance, dtype=np.float64)
        fine = matrix.shape == (len(self.labels),) * 2 and bool(np.isfinite(matrix).all())
        if not fine or not np.allclose(matrix, matrix.T, rtol=1e-6, atol=0.0):
            raise InvalidValueError(
                "uncertainty of a rig",
                expected=f"a symmetric, finite matrix of {len(self.labels)} parameters",
                got=f"shape {matrix.shape}",
                remedy="Calibrate again.",
            )
        object.__setattr__(self, "covariance", matrix)

    @classmethod
    def of(cls, rig: Rig, labels: tuple[tuple[str, str], ...], covariance: Array) -> RigUncertainty:
        """Of a rig, as an adjustment gives it."""
        return cls(labels, 0.5 * (covariance + covariance.T), rig.unit, {one.name: one.center for one in rig})

    def check(self, rig: Rig) -> None:
        """Raise unless it is of this rig, or of some cameras of it, wherever its world is.

        Raises:
            MismatchError: a camera is unknown, the unit is another, or the cameras stand elsewhere.
        """
        names = [name for name in rig.names if name in self.centers]
        here = np.stack([rig[name].center for name in names]) if names else np.zeros((0, 3))
        there = np.stack([self.centers[name] for name in names]) if names else np.zeros((0, 3))
        apart = [np.linalg.norm(centers[:, None] - centers, axis=-1) for centers in (here, there)]
        size = max((float(matrix.max()) for matrix in apart if matrix.size), default=0.0)
        missing = [name for name in rig.names if name not in self.centers]
        if missing or rig.unit != self.unit or np.abs(apart[0] - apart[1]).max(initial=0.0) > _SAME * size:
            raise MismatchError(
                "uncertainty of the rig",
                expected=f"the one of this rig, with the cameras {', '.join(rig.names)}, in {rig.unit}",
                got=f"one of another calibration, with {', '.join(self.centers)}, in {self.unit}",
                remedy="Give the rig that was written together with it, or calibrate again.",
            )

    def modes(self, rig: Rig) -> list[Rig]:
        """Rigs that differ from this one by one standard deviation in independent directions.

        What moves with them, squared and summed, is the variance that the uncertainty of the rig gives to anything.

        Raises:
            MismatchError: see `check`.
        """
        self.check(rig)
        chosen = [number for number, (camera, _) in enumerate(self.labels) if camera in rig.names]
        if not chosen:
            return []
        labels = [self.labels[number] for number in chosen]
        covariance = self.covariance[np.ix_(chosen, chosen)]
        deviation = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        scale = np.where(deviation > 0, deviation, 1.0)
        # of the correlations: parameters have units that cannot be compared
        values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
        kept = values > _NEGLIGIBLE * values.max(initial=0.0)
        steps = scale[:, None] * vectors[:, kept] * np.sqrt(values[kept])
        return [move_cameras(rig, labels, step) for step in steps.T]


def move_cameras(rig: Rig, labels: list[tuple[str, str]], step: Array) -> Rig:
    """The rig with parameters changed.

    Args:
        rig: the cameras.
        labels: (camera, parameter) of every number of the step, see `RigUncertainty`.
        step: (parameter,).

    Raises:
        MismatchError: the rig has no such camera, or its lens no such parameter.
    """
    changes: dict[str, dict[str, float]] = {}
    for (camera, name), value in zip(labels, step, strict=True):
        changes.setdefault(camera, {})[name] = float(value)
    for camera in changes:
        rig[camera]  # raises where there is none
    cameras = tuple(_moved(camera, changes.get(camera.name, {})) for camera in rig)
    return Rig(cameras, unit=rig.unit, metadata=rig.metadata)


def _moved(camera: Camera, change: Mapping[str, float]) -> Camera:
    if not change:
        return camera
    twist = np.array([change.get(name, 0.0) for name in _POSE])
    pose = RigidTransform.from_rotation_vector(twist[:3], twist[3:]) @ camera.cam_from_world
    fisheye = isinstance(camera.lens, Fisheye)
    names = parameter_names(fisheye=fisheye)
    known = {*_POSE, "f", *names}
    strange = sorted(set(change) - known)
    if strange:
        raise MismatchError(
            f"camera '{camera.name}'",
            expected=f"parameters out of {', '.join(sorted(known))}",
            got=", ".join(strange),
            remedy="Give the uncertainty that was written together with this rig.",
        )
    vector = lens_vector(camera.lens)
    vector += [change.get(name, 0.0) + (change.get("f", 0.0) if name in ("fx", "fy") else 0.0) for name in names]
    count = len(camera.lens.coefficients) if not vector[4 + len(camera.lens.coefficients) :].any() else 14
    lens = lens_from_vector(vector, fisheye=fisheye, count=count, skew=float(camera.lens.camera_matrix[0, 1]))
    return Camera(camera.name, camera.size, lens, pose)
