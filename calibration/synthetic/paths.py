"""The way of a board that a person carries through a rig: smooth, slow, and turned toward every camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.boards.geometry import Board
from calibration.errors import InvalidValueError
from calibration.rig import Rig
from calibration.schema import as_floats
from calibration.transforms import RigidTransform

if TYPE_CHECKING:
    from scipy.interpolate import CubicSpline
    from scipy.spatial.transform import RotationSpline

__all__ = ["BoardPath", "make_board_path"]

# Seconds from one pose that the path goes through to the next, where the path is long enough to see every camera. A
# board of 300 mm moves at 150 to 300 mm/s then, as people do who know about motion blur.
_PACE = 1.0
# The board is held upright but for so much, in radians either way.
_LARGEST_ROLL = float(np.deg2rad(40.0))
# A board is turned halfway between two cameras that stand farther apart than this, in radians.
_CLOSE = float(np.deg2rad(50.0))


@dataclass(frozen=True, eq=False)
class BoardPath:
    """Where a board is at any time.

    Attributes:
        duration: seconds that the path was made for.
        middle: time -> position of the middle of the board in the world.
        turn: time -> rotation from the board to the world.
        center: (3,) the middle of the board, in its own frame.
    """

    duration: float
    middle: CubicSpline
    turn: RotationSpline
    center: NDArray[np.float64]

    def __call__(self, time: ArrayLike) -> RigidTransform:
        """`world_from_board` (...) at times (...) in seconds.

        Raises:
            InvalidValueError: a time is not finite.
        """
        seconds = as_floats(time, "time")
        if not np.isfinite(seconds).all():
            raise InvalidValueError("time", expected="finite seconds", got="NaN", remedy="Leave out missing pictures.")
        flat = seconds.ravel()
        rotation = np.asarray(self.turn(flat).as_matrix()) if flat.size else np.zeros((0, 3, 3))
        position = np.asarray(self.middle(flat)).reshape(-1, 3) - rotation @ self.center
        return RigidTransform(rotation.reshape(*seconds.shape, 3, 3), position.reshape(*seconds.shape, 3))


def make_board_path(
    rig: Rig,
    board: Board,
    *,
    duration: float = 10.0,
    radius: float | None = None,
    tilt: float = float(np.deg2rad(35.0)),
    seed: int = 0,
) -> BoardPath:
    """A path that turns the board to one camera after the other, and between two of them to both.

    It goes through random places of the volume, and the board is tilted and rolled differently at each; both are
    interpolated by cubic splines. A path too short for one place a second is faster instead of seeing less.

    Args:
        rig: the cameras.
        board: the board, in the unit of the rig.
        duration: seconds.
        radius: of the ball about the origin that the places are in; by default a bit more than a quarter of the
            height or width that the cameras see there, whichever is less. Between the places the spline may leave it
            a little.
        tilt: the board is turned away from where it should face by up to this angle, in radians.
        seed: the same seed and arguments give the same path.

    Raises:
        InvalidValueError: the duration, the radius or the tilt is not a positive number.
    """
    from scipy.interpolate import CubicSpline
    from scipy.spatial.transform import Rotation, RotationSpline

    centers = np.stack([camera.center for camera in rig])
    reach = 0.27 * _field(rig, centers) if radius is None else radius
    for name, value in (("duration", duration), ("radius", reach), ("tilt", tilt)):
        if not 0 < value < np.inf:
            raise InvalidValueError(name, expected="a positive number", got=str(value), remedy="Change the setting.")
    rng = np.random.default_rng(seed)
    toward, up = _aims(rig, centers, round(duration / _PACE))
    count = len(toward)
    time = duration * (np.arange(count) - 1) / (count - 3)
    middle = rng.standard_normal((count, 3))
    middle *= reach * np.cbrt(rng.random((count, 1))) / np.linalg.norm(middle, axis=-1, keepdims=True)
    angle, direction = tilt * np.sqrt(rng.random(count)), 2 * np.pi * rng.random(count)
    lean = angle[:, None] * np.stack([np.cos(direction), np.sin(direction), np.zeros(count)], axis=-1)
    roll = np.zeros((count, 3))
    roll[:, 2] = rng.uniform(-_LARGEST_ROLL, _LARGEST_ROLL, count)
    turns = Rotation.from_matrix(_facing(toward, up)) * Rotation.from_rotvec(lean) * Rotation.from_rotvec(roll)
    return BoardPath(
        duration=float(duration),
        middle=CubicSpline(time, middle),
        turn=RotationSpline(time, turns),
        center=board.points.mean(axis=0),
    )


def _field(rig: Rig, centers: NDArray[np.float64]) -> float:
    """The shorter side of what the cameras see about the origin, on average."""
    angle = [min(camera.size) / camera.lens.camera_matrix[0, 0] for camera in rig]
    return float(np.mean(np.linalg.norm(centers, axis=-1) * angle))


def _aims(rig: Rig, centers: NDArray[np.float64], places: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(place, 3) where the board faces, and what is up there: cameras in turn, and between two of them halfway.

    One place more stands at either end, outside the time of the path, so that exposures may begin before it.
    """
    directions = centers / np.maximum(np.linalg.norm(centers, axis=-1, keepdims=True), 1e-12)
    ups = np.stack([-camera.cam_from_world.rotation[1] for camera in rig])
    tour = _tour(directions)
    stops = np.array([*tour, tour[0]])
    toward, up = np.zeros((2, 2 * len(stops) - 1, 3))
    toward[::2], up[::2] = directions[stops], ups[stops]
    toward[1::2] = directions[stops[:-1]] + directions[stops[1:]]
    up[1::2] = ups[stops[:-1]] + ups[stops[1:]]
    # Between cameras that face each other anywhere across is halfway: up is one of these.
    lost = np.linalg.norm(toward, axis=-1) < 0.1
    toward[lost] = up[lost]
    up[lost] = np.roll(toward, 1, axis=0)[lost]
    # Neighbors see the board that faces one of them anyway where they are close together.
    wide = np.append((directions[stops[:-1]] * directions[stops[1:]]).sum(axis=-1) < np.cos(_CLOSE), [False])
    kept = np.flatnonzero(np.stack([np.ones(len(stops), dtype=bool), wide], axis=-1).ravel()[:-1])
    rounds = max(1, round(places / (len(kept) - 1)))
    order = np.array([kept[0], *np.tile(kept[:-1], rounds), kept[-1], kept[-1]])
    return toward[order] / np.linalg.norm(toward[order], axis=-1, keepdims=True), up[order]


def _tour(directions: NDArray[np.float64]) -> list[int]:
    """The cameras, each followed by the nearest one that was not there yet."""
    tour, left = [0], set(range(1, len(directions)))
    while left:
        nearest = max(sorted(left), key=lambda other: float(directions[tour[-1]] @ directions[other]))
        tour.append(nearest)
        left.remove(nearest)
    return tour


def _facing(toward: NDArray[np.float64], up: NDArray[np.float64]) -> NDArray[np.float64]:
    """(place, 3, 3) rotations to the world of boards that face a direction and stand upright."""
    down = (up * toward).sum(axis=-1, keepdims=True) * toward - up
    size = np.linalg.norm(down, axis=-1, keepdims=True)
    # Facing straight up, every direction is as good as another: take any that is level.
    spare = np.cross(toward, np.where(np.abs(toward[:, :1]) < 0.8, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]))
    down = np.where(size < 1e-3, spare, down)
    down /= np.linalg.norm(down, axis=-1, keepdims=True)
    return np.stack([np.cross(down, -toward), down, -toward], axis=-1)
