"""The world frame and the scale of a rig: by a board that lies still, by three points, by a ground plane, by gravity.

A calibration knows the cameras relative to each other; where the world's origin is and which way is up must be said.
Every function gives `new_from_world`, to be applied with `move_rig`; the new z axis points up.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.errors import CalibrationError, InvalidValueError
from calibration.rig import Rig
from calibration.schema import as_floats
from calibration.transforms import RigidTransform

__all__ = [
    "frame_from_board",
    "frame_from_ground",
    "frame_from_points",
    "frame_from_up",
    "move_rig",
    "scale_rig",
    "up_from_fall",
]

# z of the frame of a board points into the board: turned by half about x it points out of it, up where it lies.
_BOARD_UP = np.diag([1.0, -1.0, -1.0])
# Points of a ground that lie within this share of their extent of a line determine no plane.
_FLATTEST = 0.02
# Robust fits of a plane: points farther from it than this many robust standard deviations count less (Tukey's constant
# keeps 95 % efficiency with Gaussian noise).
_TUKEY = 4.685
_ROUNDS = 20


def move_rig(rig: Rig, new_from_world: RigidTransform) -> Rig:
    """The same cameras in another world frame."""
    world_from_new = new_from_world.inverse()
    cameras = tuple(replace(camera, cam_from_world=camera.cam_from_world @ world_from_new) for camera in rig)
    return Rig(cameras, unit=rig.unit, metadata=rig.metadata)


def scale_rig(rig: Rig, factor: float) -> Rig:
    """The rig with all distances multiplied, as known length / measured length.

    Raises:
        InvalidValueError: the factor is not a positive number.
    """
    if not (np.isfinite(factor) and factor > 0):
        raise InvalidValueError(
            "factor", expected="a positive number", got=str(factor), remedy="Give known length / measured length."
        )
    cameras = tuple(
        replace(
            camera,
            cam_from_world=RigidTransform(camera.cam_from_world.rotation, factor * camera.cam_from_world.translation),
        )
        for camera in rig
    )
    return Rig(cameras, unit=rig.unit, metadata=rig.metadata)


def frame_from_board(world_from_board: RigidTransform) -> RigidTransform:
    """The frame of a board that lies on the ground, face up: origin at its first corner, x along its rows, z up.

    Args:
        world_from_board: pose of the board at that instant.
    """
    return RigidTransform(_BOARD_UP, np.zeros(3)) @ world_from_board.inverse()


def frame_from_points(origin: ArrayLike, along_x: ArrayLike, toward_y: ArrayLike) -> RigidTransform:
    """The frame with one point at the origin, one on the positive x axis, and one in the x-y plane at positive y.

    Args:
        origin, along_x, toward_y: (3,) points of the present world; the median over frames where there are several.

    Raises:
        CalibrationError: two points coincide, or all lie on a line (to 3 degrees).
    """
    first, second, third = (as_floats(point, "points of the frame", ends=(3,)) for point in (origin, along_x, toward_y))
    x, y = second - first, third - first
    lengths = np.linalg.norm(x), np.linalg.norm(y)
    sine = np.linalg.norm(np.cross(x, y)) / (lengths[0] * lengths[1]) if min(lengths) > 0 else 0.0
    if not sine > np.sin(np.deg2rad(3.0)):
        raise CalibrationError(
            "points of the world frame",
            expected="three points that make a corner",
            got="two that coincide, or three on a line" if np.isfinite(sine) else "a point without a position",
            remedy="Choose an origin, a point along x, and one off that line toward y.",
        )
    return _frame(first, x, np.cross(x, y))


def frame_from_up(rig: Rig, up: ArrayLike, origin: ArrayLike | None = None) -> RigidTransform:
    """The frame whose z axis is `up`; x points to the right of the first camera, as far as it is level.

    Args:
        rig: the cameras.
        up: (3,) direction against gravity in the present world, of any length.
        origin: (3,) of the new frame; by default the origin stays.

    Raises:
        InvalidValueError: `up` has no direction.
    """
    upward = as_floats(up, "up", ends=(3,))
    length = float(np.linalg.norm(upward))
    if not (np.isfinite(length) and length > 0):
        raise InvalidValueError(
            "up", expected="a direction", got=str(upward), remedy="Give the direction against gravity in the world."
        )
    right, forward = rig.cameras[0].cam_from_world.rotation[[0, 2]]
    # A camera that lies on its side has no level right; what it looks at then gives the direction.
    level = right if abs(right @ upward) < 0.9 * length else forward
    start = np.zeros(3) if origin is None else as_floats(origin, "origin", ends=(3,))
    return _frame(start, level - (level @ upward) / length**2 * upward, upward)


def frame_from_ground(rig: Rig, points: ArrayLike) -> RigidTransform:
    """The frame whose x-y plane is the ground through points; z points to the side on which the cameras are.

    The plane is fitted by least squares with Tukey's weights, so that some points above the ground do not tilt it. The
    origin is the middle of the points.

    Args:
        rig: the cameras.
        points: (..., 3) points on the ground; NaN is ignored.

    Raises:
        CalibrationError: there are fewer than three points, they lie on a line, or cameras stand on both sides.
    """
    cloud = as_floats(points, "points of the ground", ends=(3,)).reshape(-1, 3)
    cloud = cloud[np.isfinite(cloud).all(axis=-1)]
    if len(cloud) < 3:
        raise _no_ground(f"{len(cloud)} points")
    center, axes, spread = _fit_plane(cloud)
    if spread[1] < _FLATTEST * spread[0]:
        raise _no_ground("points along a line")
    normal = axes[2]
    sides = np.array([camera.center - center for camera in rig]) @ normal
    if (sides > 0).any() and (sides < 0).any():
        below = [camera.name for camera, side in zip(rig, sides, strict=True) if side * sides.sum() < 0]
        raise CalibrationError(
            "ground plane",
            expected="all cameras on one side of the ground",
            got=f"{', '.join(below)} on the other side",
            remedy="Choose points that lie on the ground, or say which way is up with gravity.",
        )
    return frame_from_up(rig, normal * np.sign(sides.sum()), center)


def up_from_fall(points: ArrayLike, times: ArrayLike) -> NDArray[np.float64]:
    """(3,) unit vector against gravity, from the flight of something thrown or dropped.

    Its acceleration by a fit of a parabola; air is neglected.

    Args:
        points: (time, 3) in any unit; NaN is ignored.
        times: (time,) in seconds.

    Raises:
        CalibrationError: fewer than five positions, or no acceleration that stands out of the noise by five times its
            standard error.
    """
    path = as_floats(points, "points of the fall", ends=(3,))
    when = as_floats(times, "times of the fall")
    known = np.isfinite(path).all(axis=-1) & np.isfinite(when)
    if known.sum() < 5:
        raise _no_fall(f"{int(known.sum())} positions")
    t = when[known] - when[known].mean()
    design = np.stack([np.ones_like(t), t, t * t / 2], axis=-1)
    solution, _, rank, _ = np.linalg.lstsq(design, path[known], rcond=None)
    if rank < 3:
        raise _no_fall("positions at too few instants")
    residual = path[known] - design @ solution
    scatter = float(np.sqrt((residual**2).sum() / (3 * max(len(t) - 3, 1))))
    error = scatter * float(np.sqrt(np.linalg.inv(design.T @ design)[2, 2]))
    acceleration = float(np.linalg.norm(solution[2]))
    if not acceleration > 5 * error:
        raise _no_fall("a motion without an acceleration that stands out of the noise")
    return np.asarray(-solution[2] / acceleration)


def _frame(origin: NDArray[np.float64], x: NDArray[np.float64], z: NDArray[np.float64]) -> RigidTransform:
    """new_from_world with this origin, these x and z directions (x at a right angle to z), and y to the left of x."""
    right, upward = x / np.linalg.norm(x), z / np.linalg.norm(z)
    rotation = np.stack([right, np.cross(upward, right), upward])
    return RigidTransform(rotation, -rotation @ origin)


def _fit_plane(cloud: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Center (3,), axes (3, 3) as rows from the widest to the normal, and extent (3,) along them."""
    weights = np.ones(len(cloud))
    for _ in range(_ROUNDS):
        center = weights @ cloud / weights.sum()
        offset = cloud - center
        values, vectors = np.linalg.eigh((offset * weights[:, None]).T @ offset / weights.sum())
        distance = np.abs(offset @ vectors[:, 0])
        scale = 1.4826 * float(np.median(distance))
        if scale <= 1e-12 * float(np.sqrt(values[2])):
            break
        weights = np.maximum(1 - (distance / (_TUKEY * scale)) ** 2, 0.0) ** 2
    return center, vectors.T[::-1], np.sqrt(np.maximum(values[::-1], 0.0))


def _no_ground(got: str) -> CalibrationError:
    return CalibrationError(
        "ground plane",
        expected="at least three points of the ground, not on a line",
        got=got,
        remedy="Lay the board on the ground at several places, or name more keypoints that touch it.",
    )


def _no_fall(got: str) -> CalibrationError:
    return CalibrationError(
        "gravity from a fall",
        expected="at least five positions of something that flies freely",
        got=got,
        remedy="Cut the recording to the flight, or give the direction of gravity itself.",
    )
