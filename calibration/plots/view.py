"""From where to look at a scene: a perspective view chosen from the data, the ground, and cameras as frusta."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.camera import Camera
from calibration.errors import InvalidValueError
from calibration.rig import Rig

__all__ = ["Ground", "View", "choose_view", "frustum", "ground_grid", "round_step", "up_direction"]

Array = NDArray[np.float64]

# A world axis this close to the up of the cameras is taken for the true up.
_SNAP_ANGLE = np.deg2rad(25.0)
_LEAST_SPREAD = 0.15  # of x axes, below which they count as parallel: 9 degrees
_FILLED = 0.8  # share of the picture, in the tighter direction, that the points fill
_NEAR = 0.02  # of the distance: what is nearer to the eye is not drawn


@dataclass(frozen=True, eq=False)
class View:
    """A perspective view of the world.

    Attributes:
        center: (3,) the point in the middle of the picture.
        up: (3,) unit vector that points up in the picture.
        azimuth: direction from the center to the eye, in radians around `up`.
        elevation: of the eye above the horizon, in radians.
        distance: from the eye to the center, in the world's unit.
        field_of_view: vertical, in radians.
    """

    center: Array
    up: Array
    azimuth: float
    elevation: float
    distance: float
    field_of_view: float = float(np.deg2rad(30.0))

    def axes(self) -> Array:
        """(3, 3) right, down and forward of the picture as rows, in the world."""
        east, north = horizontal_axes(self.up)
        outward = np.cos(self.azimuth) * east + np.sin(self.azimuth) * north
        forward = -np.cos(self.elevation) * outward - np.sin(self.elevation) * self.up
        right = np.sin(self.azimuth) * -east + np.cos(self.azimuth) * north
        return np.stack([right, np.cross(forward, right), forward])

    def project(self, points: ArrayLike, size: tuple[int, int]) -> tuple[Array, Array]:
        """Pixels (..., 2) and depth (...) of world points (..., 3) in a picture of `size` (width, height).

        Depth is relative to the distance of the center: 1 at the center. NaN behind the eye.
        """
        width, height = size
        seen = (np.asarray(points, dtype=np.float64) - self.center) @ self.axes().T
        depth = seen[..., 2] / self.distance + 1.0
        focal = height / 2 / np.tan(self.field_of_view / 2)
        with np.errstate(invalid="ignore"):
            depth = np.where(depth > _NEAR, depth, np.nan)
        pixels = focal * seen[..., :2] / (self.distance * depth[..., None])
        return pixels + np.array([width - 1, height - 1]) / 2, depth

    def clip(self, segments: ArrayLike) -> Array:
        """Segments (n, 2, 3) in front of the eye: ends behind it are moved forward, whole segments dropped."""
        ends = np.asarray(segments, dtype=np.float64)
        depth = (ends - self.center) @ self.axes()[2] / self.distance + 1.0
        first, second = depth[:, 0], depth[:, 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = np.clip((2 * _NEAR - first) / (second - first), 0.0, 1.0)
        cut = ends[:, 0] + crossing[:, None] * (ends[:, 1] - ends[:, 0])
        result = ends.copy()
        result[first < 2 * _NEAR, 0] = cut[first < 2 * _NEAR]
        result[second < 2 * _NEAR, 1] = cut[second < 2 * _NEAR]
        return result[np.maximum(first, second) > 2 * _NEAR]


@dataclass(frozen=True, eq=False)
class Ground:
    """Grid lines on the ground.

    Attributes:
        segments: (n, 2, 3) ends of the lines, in the world.
        step: distance between lines, in the world's unit.
    """

    segments: Array
    step: float


def horizontal_axes(up: Array) -> tuple[Array, Array]:
    """Two unit vectors (3,) that form a right-handed frame with `up`; x and y where up is z."""
    # The world axis that is farthest from up, in the order x, y, z, so that z-up gives exactly x and y.
    axis = np.eye(3)[int(np.argmin(np.round(np.abs(up), 6)))]
    east = axis - axis @ up * up
    east /= np.linalg.norm(east)
    return east, np.cross(up, east)


def up_direction(rig: Rig | None) -> Array:
    """(3,) unit vector that most likely points up: z, unless the rig says otherwise.

    Cameras are rarely rolled, so that up is perpendicular to the x axes of all images (as panoramas are straightened:
    Brown and Lowe 2007), on the side where their image rows begin. Where they are rolled and look the same way, that
    way is taken for down. A world axis close to the result is preferred.
    """
    if rig is None:
        return np.array([0.0, 0.0, 1.0])
    rotations = np.stack([camera.cam_from_world.rotation for camera in rig])
    candidate = skyward = -rotations[:, 1].mean(axis=0)
    backward = -rotations[:, 2].mean(axis=0)
    if len(rig) > 1:
        _, (_, second, third), directions = np.linalg.svd(np.vstack([rotations[:, 0], np.zeros(3)]))
        # Of parallel x axes every direction in a plane is perpendicular to all; of rolled cameras' none is.
        if second > _LEAST_SPREAD * len(rig) ** 0.5 and third < 0.5 * second:
            candidate = directions[-1] * (-1.0 if directions[-1] @ skyward < 0 else 1.0)
        elif third >= 0.5 * second and second > _LEAST_SPREAD and np.linalg.norm(backward) > 0.5:
            candidate = backward
    length = float(np.linalg.norm(candidate))
    if length < 1e-6:
        return np.array([0.0, 0.0, 1.0])
    candidate = candidate / length
    nearest = int(np.argmax(np.abs(candidate)))
    if abs(candidate[nearest]) > np.cos(_SNAP_ANGLE):
        return np.eye(3)[nearest] * np.sign(candidate[nearest])
    return candidate


def choose_view(
    points: ArrayLike,
    *,
    up: ArrayLike | None = None,
    rig: Rig | None = None,
    elevation: float = float(np.deg2rad(18.0)),
    azimuth: float | None = None,
    aspect: float = 4 / 3,
    whole_orbit: bool = False,
) -> View:
    """A view that shows all but the farthest strays of the points (..., 3).

    It looks at the middle of the box between the 1st and 99th percentile, 60 degrees off the longest horizontal extent,
    from the side where the cameras of the rig are.

    Args:
        points: (..., 3); NaN is ignored. Without any point the view is of the unit ball.
        up: (3,), by default `up_direction(rig)`.
        rig: the cameras, if known.
        elevation, azimuth: of the eye, in radians; the azimuth is chosen from the points by default.
        aspect: width by height of the picture.
        whole_orbit: stay far enough away for every azimuth; by default the view is tight for this one.

    Raises:
        InvalidValueError: `up` is no direction, or the points are not (..., 3).
    """
    values = np.asarray(points, dtype=np.float64)
    upward = up_direction(rig) if up is None else np.asarray(up, dtype=np.float64)
    if values.shape[-1:] != (3,) or upward.shape != (3,) or not np.linalg.norm(upward) > 0:
        raise InvalidValueError(
            "view",
            expected="points of shape (..., 3) and a direction up of shape (3,)",
            got=f"shapes {values.shape} and {upward.shape}",
            remedy="Put x, y and z on the last axis; up must not be zero.",
        )
    upward = upward / np.linalg.norm(upward)
    frame = np.stack([*horizontal_axes(upward), upward])
    values = values.reshape(-1, 3)
    local = values[np.isfinite(values).all(axis=-1)] @ frame.T
    low, high = np.percentile(local, (1, 99), axis=0) if len(local) else (-np.ones(3), np.ones(3))
    center = frame.T @ ((low + high) / 2)
    extent = np.maximum(high - low, 1e-6 * max(1.0, float(np.abs(high).max())))
    view = View(
        center,
        upward,
        _azimuth(local, center, frame, rig) if azimuth is None else azimuth,
        elevation,
        distance=1.0,
    )
    # First the ball around the box touches the narrower edge of the picture, which holds from every side.
    half = np.arctan(np.tan(view.field_of_view / 2) * min(aspect, 1.0))
    view = replace(view, distance=1.05 * float(np.linalg.norm(extent)) / 2 / float(np.sin(half)))
    return view if whole_orbit or len(local) < 2 else _tighten(view, local @ frame, aspect)


def _tighten(view: View, points: Array, aspect: float) -> View:
    """Move the eye so that the middle 98 % of the points fill most of the picture, in its middle."""
    size = (2 * aspect, 2.0)
    for _ in range(4):  # perspective changes with the distance; a few rounds settle it to a percent
        pixels, depth = view.project(points, (round(1000 * size[0]), round(1000 * size[1])))
        inside = pixels[np.isfinite(depth)] / 1000
        low, high = np.percentile(inside, (1, 99), axis=0)
        middle = ((low + high) - size) / 2
        scale = view.distance * np.tan(view.field_of_view / 2)
        right, down, _ = view.axes()
        center = view.center + scale * (middle[0] * right + middle[1] * down)
        share = float(((high - low) / size).max())
        view = replace(view, center=center, distance=view.distance * max(share / _FILLED, 0.05))
    return view


def _azimuth(local: Array, center: Array, frame: Array, rig: Rig | None) -> float:
    if len(local) < 2:
        return float(np.deg2rad(-60.0))
    flat = local[:, :2] - np.median(local[:, :2], axis=0)
    _, directions = np.linalg.eigh(flat.T @ flat)
    along = float(np.arctan2(directions[1, 1], directions[0, 1]))
    azimuth = along + float(np.deg2rad(60.0))
    if rig is None:
        # The direction of an extent has no sign: take the one that looks along y, as on a page.
        return azimuth if np.sin(azimuth) < 0 else azimuth + np.pi
    toward = frame[:2] @ (np.mean([camera.center for camera in rig], axis=0) - center)
    return azimuth if np.cos(azimuth) * toward[0] + np.sin(azimuth) * toward[1] >= 0 else azimuth + np.pi


def ground_grid(points: ArrayLike, up: ArrayLike, *, lines: int = 8) -> Ground:
    """Grid lines under points (time, keypoint, 3), at round distances.

    The ground lies at the 5th percentile of the lowest point of each row, so that a few strays do not lower it.

    Args:
        points: (time, keypoint, 3); NaN is ignored.
        up: (3,) unit vector.
        lines: about how many lines cross the longer side.
    """
    upward = np.asarray(up, dtype=np.float64)
    frame = np.stack([*horizontal_axes(upward), upward])
    local = np.asarray(points, dtype=np.float64) @ frame.T
    rows = local[np.isfinite(local).all(axis=-1).any(axis=-1)] if local.size else local[:0]
    if not len(rows):
        return Ground(np.zeros((0, 2, 3)), 1.0)
    level = float(np.percentile(np.nanmin(rows[..., 2], axis=-1), 5))
    flat = rows[..., :2].reshape(-1, 2)
    low, high = np.nanpercentile(flat, (1, 99), axis=0)
    step = round_step(float(max((high - low).max(), 1e-9)) / lines)
    start, stop = np.floor(low / step - 1.0) * step, np.ceil(high / step + 1.0) * step
    segments = []
    for axis in (0, 1):
        for value in np.arange(start[axis], stop[axis] + step / 2, step):
            ends = np.empty((2, 3))
            ends[:, axis], ends[:, 1 - axis], ends[:, 2] = value, (start[1 - axis], stop[1 - axis]), level
            segments.append(ends)
    return Ground(np.stack(segments) @ frame, step)


def round_step(value: float) -> float:
    """The next larger number of the form 1, 2 or 5 times a power of ten."""
    magnitude = 10.0 ** np.floor(np.log10(value))
    return float(next(step for step in (1, 2, 5, 10) if step * magnitude >= value * (1 - 1e-9)) * magnitude)


def frustum(camera: Camera, depth: float) -> Array:
    """(9, 2, 3) segments of a pyramid from the camera's center to the corners of its image, `depth` in front of it.

    The last segment marks the upper edge of the image. Lens distortion is left out.
    """
    width, height = camera.size
    matrix = camera.lens.camera_matrix
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64) - 0.5
    y = (corners[:, 1] - matrix[1, 2]) / matrix[1, 1]
    x = (corners[:, 0] - matrix[0, 2] - matrix[0, 1] * y) / matrix[0, 0]
    tip = np.array([x.mean(), (y[0] + y[3]) / 2 - 1.4 * (y[3] - y[0]) / 2, 1.0])
    rim = np.stack([x, y, np.ones(4)], axis=-1)
    ends = [(np.zeros(3), corner) for corner in rim]
    ends += [(rim[i], rim[(i + 1) % 4]) for i in range(4)]
    ends.append(((rim[0] + rim[1]) / 2, tip))
    return camera.cam_from_world.inverse()(depth * np.array(ends))
