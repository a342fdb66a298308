"""Pictures of boards with known corners, made by warping the drawn board."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calibration.boards import Board, draw_board

Picture = tuple[NDArray[np.uint8], NDArray[np.float64]]


@dataclass(frozen=True)
class View:
    """How a board is seen: by a pinhole camera, its longer side so large against the shorter side of the image."""

    seed: int = 0
    size: tuple[int, int] = (960, 720)
    fill: tuple[float, float] = (0.6, 0.9)
    tilt: float = 50.0
    blur: float = 0.8
    noise: float = 2.0
    dark: float = 40.0
    bright: float = 200.0
    whole: bool = True


def _homography(board: Board, view: View, rng: np.random.Generator) -> NDArray[np.float64]:
    """Pixels of the board's x, y: turned about all axes, its front to the camera, whole in the image if asked."""
    width, height = view.size
    focal, extent, margin = 1.2 * width, np.array(board.extent), np.array(board.margin)
    outline = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]) * extent - margin
    for _ in range(1000):
        axis, tilt = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(0, view.tilt))
        lean = Rotation.from_rotvec(tilt * np.array([np.cos(axis), np.sin(axis), 0]))
        rotation = (lean * Rotation.from_euler("z", rng.uniform(-180, 180), degrees=True)).as_matrix()
        depth = focal * extent.max() / (rng.uniform(*view.fill) * min(view.size))
        shift = depth / focal * rng.uniform(-0.5, 0.5, 2) * view.size
        origin = np.append(shift, depth) - rotation @ np.append(extent / 2 - margin, 0)
        camera = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        homography = camera @ np.column_stack([rotation[:, :2], origin])
        place = np.column_stack([outline, np.ones(4)]) @ homography.T
        place = place[:, :2] / place[:, 2:]
        if not view.whole or ((place > 8).all() and (place < np.array(view.size) - 9).all()):
            return homography
    raise AssertionError("no such view")


def _picture(board: Board, view: View) -> Picture:
    rng = np.random.default_rng(view.seed)
    homography = _homography(board, view, rng)
    width, height = view.size
    fine, border = 3, board.square
    span = max(np.linalg.norm(np.ptp(_mapped(homography, board.points), axis=0)), 1.0)
    scale = 1.3 * fine * span / np.linalg.norm(np.ptp(board.points[:, :2], axis=0))
    drawn = draw_board(board, scale, border=border)
    shift = (np.array(board.margin) + border) * scale - 0.5
    onto = np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1]])
    finer = np.array([[fine, 0, (fine - 1) / 2], [0, fine, (fine - 1) / 2], [0, 0, 1.0]])
    warp = finer @ homography @ np.linalg.inv(onto)
    large = cv2.warpPerspective(drawn, warp, (width * fine, height * fine), borderValue=110)
    image = cv2.resize(large, view.size, interpolation=cv2.INTER_AREA).astype(float)
    if view.blur:
        image = cv2.GaussianBlur(image, (0, 0), view.blur)
    image = view.dark + (view.bright - view.dark) * image / 255 + rng.normal(0, view.noise, image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), _mapped(homography, board.points)


def _mapped(homography: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    mapped = np.column_stack([points[:, :2], np.ones(len(points))]) @ homography.T
    return mapped[:, :2] / mapped[:, 2:]


@pytest.fixture(scope="session")
def view() -> type[View]:
    """Makes the description of a view."""
    return View


@pytest.fixture(scope="session")
def picture() -> Callable[[Board, View], Picture]:
    """Draws a view: (height, width) gray and (corner, 2) px."""
    return _picture
