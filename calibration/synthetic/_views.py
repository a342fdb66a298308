"""What of a board a camera can see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.boards.geometry import Board
from calibration.transforms import RigidTransform

__all__ = ["bent_points", "front_seen"]

# Detectors lose a board that is seen at more than about 70 degrees from its normal.
_STEEPEST_VIEW = float(np.deg2rad(70.0))


def bent_points(board: Board, bend: float) -> NDArray[np.float64]:
    """(corner, 3) the corners on a sheet that is curved along x: a parabola that is `bend` high in its middle."""
    points = board.points.copy()
    along = np.ptp(points[:, 0]) or 1.0
    share = 2 * (points[:, 0] - points[:, 0].mean()) / along
    points[:, 2] = -bend * (1 - share**2)
    return points


def front_seen(
    world_from_board: RigidTransform,
    centers: NDArray[np.float64],
    points: NDArray[np.float64],
    steepest: float = _STEEPEST_VIEW,
) -> NDArray[np.bool_]:
    """(camera, frame) whether cameras at `centers` (camera, 3) see the front of the board, and not too steeply.

    Args:
        world_from_board: (frame,) poses.
        centers: (camera, 3).
        points: (frame, corner, 3) the corners in the world.
        steepest: largest angle between the normal of the board and the way to the camera, in radians.
    """
    normal = -world_from_board.rotation[..., 2]
    toward = centers[:, None] - points.mean(axis=1)
    toward /= np.linalg.norm(toward, axis=-1, keepdims=True)
    return np.asarray((normal * toward).sum(axis=-1) > np.cos(steepest))
