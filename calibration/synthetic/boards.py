"""A board carried through the volume of a rig, and what the cameras report of its corners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.boards.geometry import Board
from calibration.corners import corners
from calibration.errors import InvalidValueError
from calibration.rig import Rig
from calibration.synthetic._views import bent_points, front_seen
from calibration.synthetic.rigs import observe
from calibration.transforms import RigidTransform

__all__ = ["BoardScene", "make_board_scene"]


@dataclass(frozen=True, eq=False)
class BoardScene:
    """What the cameras of a rig report of a board, and what is true of it.

    Attributes:
        rig: the true cameras.
        board: the board.
        world_from_board: (frame,) true poses of the board.
        corners: Corners Dataset, with noise, outliers and turned boards.
        outlier: (camera, frame, corner) bool, True where the reported pixel has nothing to do with the corner.
        turned: (camera, frame) bool, True where a symmetric board is reported turned.
        truth: (camera, frame, corner, 2) px, the noise-free pixels of what is reported, in the true order of corners.
    """

    rig: Rig
    board: Board
    world_from_board: RigidTransform
    corners: xr.Dataset
    outlier: NDArray[np.bool_]
    turned: NDArray[np.bool_]
    truth: NDArray[np.float64]


def make_board_scene(
    rig: Rig,
    board: Board,
    *,
    frames: int = 100,
    radius: float | None = None,
    tilt: float = float(np.deg2rad(45.0)),
    noise: float = 0.3,
    outlier_rate: float = 0.0,
    missing_rate: float = 0.0,
    turn_rate: float = 0.0,
    bend: float = 0.0,
    seed: int = 0,
) -> BoardScene:
    """A board at random places of the volume, each time turned toward one of the cameras.

    A camera sees the corners of the board that are in its image, if it stands in front of the board and less than 70
    degrees from its normal. Boards that do not tell their corners apart when cut off are seen whole or not at all.

    Args:
        rig: the cameras.
        board: the board, in the unit of the rig.
        frames: number of instants.
        radius: of the ball about the origin that the middle of the board stays in; by default a fifth of the mean
            distance of the cameras from the origin.
        tilt: the board is turned from the camera it faces by up to this angle, in radians.
        noise: standard deviation per pixel axis.
        outlier_rate: share of corners replaced by a pixel anywhere in the image.
        missing_rate: share of the boards that a camera does not report although it sees them.
        turn_rate: share of boards that are reported with their corners in a turned order; needs a symmetric board.
        bend: the middle of the real board stands out by so much, in the unit of the rig, as that of a bent sheet.
        seed: the same seed and arguments give the same bytes.

    Raises:
        InvalidValueError: a number is out of range, or a board that is not symmetric is to be turned.
    """
    for name, value, expected, fits in (
        ("frames", frames, "a whole number from 1", isinstance(frames, int | np.integer) and frames >= 1),
        ("radius", radius, "a length from 0", radius is None or 0 <= radius < np.inf),
        ("tilt", tilt, "an angle from 0", 0 <= tilt < np.inf),
        ("bend", bend, "a length", np.isfinite(bend)),
        ("missing_rate", missing_rate, "a share from 0 to 1", 0 <= missing_rate <= 1),
        ("turn_rate", turn_rate, "a share from 0 to 1", 0 <= turn_rate <= 1),
    ):
        if not fits:
            raise InvalidValueError(name, expected=expected, got=str(value), remedy="Change the setting.")
    if turn_rate and not len(board.symmetries):
        raise InvalidValueError(
            "turn_rate", expected="0 for a board that can be told", got=str(turn_rate), remedy="Change the setting."
        )
    rng = np.random.default_rng(seed)
    centers = np.stack([camera.center for camera in rig])
    reach = 0.2 * float(np.linalg.norm(centers, axis=-1).mean()) if radius is None else radius
    world_from_board = _poses(board, centers, frames, reach, tilt, rng)
    shape = bent_points(board, bend)
    points = world_from_board.rotation[:, None] @ shape[:, :, None]
    points = points[..., 0] + world_from_board.translation[:, None]
    observed = observe(rig, points, noise=noise, outlier_rate=outlier_rate, seed=seed + 1)
    pixels = np.moveaxis(observed.pixels, 2, 0).copy()
    pixels[~front_seen(world_from_board, centers, points)] = np.nan
    if not board.partial:
        pixels[~np.isfinite(pixels[..., 0]).all(axis=-1)] = np.nan
    pixels[rng.random(pixels.shape[:2]) < missing_rate] = np.nan
    reported = np.isfinite(pixels[..., 0])
    truth = np.where(reported[..., None], np.moveaxis(observed.truth, 2, 0), np.nan)
    outlier = np.moveaxis(observed.outlier, 2, 0) & reported
    turned = (rng.random(pixels.shape[:2]) < turn_rate) & reported.any(axis=-1)
    for camera, frame in np.argwhere(turned):
        pixels[camera, frame] = pixels[camera, frame, rng.choice(board.symmetries)]
    return BoardScene(
        rig=rig,
        board=board,
        world_from_board=world_from_board,
        corners=corners(pixels, board=board, cameras=rig.names, image_size=np.array([camera.size for camera in rig])),
        outlier=outlier,
        turned=turned,
        truth=truth,
    )


def _poses(
    board: Board, centers: NDArray[np.float64], frames: int, reach: float, tilt: float, rng: np.random.Generator
) -> RigidTransform:
    """The middle of the board anywhere in the ball; its back turned away from a camera, but for the tilt."""
    middle = rng.standard_normal((frames, 3))
    middle *= reach * np.cbrt(rng.random((frames, 1))) / np.linalg.norm(middle, axis=-1, keepdims=True)
    away = middle - centers[rng.integers(len(centers), size=frames)]
    away /= np.linalg.norm(away, axis=-1, keepdims=True)
    x = np.cross(away, rng.standard_normal((frames, 3)))
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    facing = np.stack([x, np.cross(away, x), away], axis=-1)
    angle, direction = tilt * np.sqrt(rng.random(frames)), 2 * np.pi * rng.random(frames)
    turn = RigidTransform.from_rotation_vector(
        angle[:, None] * np.stack([np.cos(direction), np.sin(direction), np.zeros(frames)], axis=-1),
        np.zeros((frames, 3)),
    )
    rotation = facing @ turn.rotation
    return RigidTransform(rotation, middle - rotation @ board.points.mean(axis=0))
