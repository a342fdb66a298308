"""The sheet that a board is printed on, as textures from fine to coarse, and the hand that holds it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.boards.geometry import Board
from calibration.boards.printing import draw_board

__all__ = ["PAPER", "Hand", "Sheet", "hand_at", "make_sheet"]

# Texels along the edge of a square in the finest texture: a square of 80 px in the image with 3 samples per pixel.
_FINEST = 240
_LEVELS = 5
# Samples per pixel along x and y, at least where the texture is as fine; up to twice as many.
_SAMPLES = 2.5
# Empty border around the pattern, in squares.
_BORDER = 0.6
# Share of the light that comes back from paper, from ink and from the back of the board.
PAPER, _INK, _BACK = 0.9, 0.06, 0.55


@dataclass(frozen=True, eq=False)
class Sheet:
    """A printed board.

    Attributes:
        corner: (2,) the upper left corner of the sheet, in the frame of the board.
        size: (2,) width and height of the sheet.
        scales: (level,) texels per unit, falling.
        textures: per level (height, width) float32, the share of the light that comes back.
        back: the same of the back.
        bend: how far the middle of the corners stands out toward the viewer.
        bend_middle, bend_half: x of that middle, and from there to where the sheet is at z = 0 again.
    """

    corner: NDArray[np.float64]
    size: NDArray[np.float64]
    scales: NDArray[np.float64]
    textures: tuple[NDArray[np.float32], ...]
    back: float
    bend: float
    bend_middle: float
    bend_half: float

    def depth(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """How deep the sheet lies at x, in the frame of the board: a parabola."""
        return -self.bend * (1 - ((x - self.bend_middle) / self.bend_half) ** 2)

    def outline(self, steps: int = 12) -> NDArray[np.float64]:
        """(point, 3) points along the edge of the sheet."""
        along = np.linspace(0, 1, steps)
        zero, one = np.zeros(steps), np.ones(steps)
        x = np.concatenate([along, one, along, zero])
        y = np.concatenate([zero, along, one, along])
        place = self.corner + np.stack([x, y], axis=-1) * self.size
        return np.concatenate([place, self.depth(place[:, :1])], axis=-1)

    def sample(self, place: NDArray[np.float64], pixel: float) -> NDArray[np.float32]:
        """(h, w) light that comes back from the pixels whose centers are at places (h, w, 2) of the board.

        The mean of several places per pixel, as far apart as the texels, so that interpolation between these weighs
        all of them alike; beyond the edge of the sheet it goes on as at the edge.

        Args:
            place: in the frame of the board.
            pixel: what a pixel covers of the board, as an edge.
        """
        density = self.scales * pixel
        level = int(np.clip((density >= _SAMPLES).sum() - 1, 0, len(density) - 1))
        samples = int(np.clip(np.rint(density[level]), 2, 2 * _SAMPLES))
        texture, scale = self.textures[level], self.scales[level]
        height, width = place.shape[:2]
        texels = [((place[..., axis] - self.corner[axis]) * scale - 0.5).astype(np.float32) for axis in (0, 1)]
        x, y = (cv2.resize(each, (samples * width, samples * height)) for each in texels)
        light = cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(cv2.resize(light, (width, height), interpolation=cv2.INTER_AREA), dtype=np.float32)

    def cover(self, place: NDArray[np.float64]) -> NDArray[np.float32]:
        """(h, w) share of the pixels whose centers are at places (h, w, 2) of the board that the sheet covers."""
        total = np.ones(place.shape[:2], dtype=np.float32)
        for axis in (0, 1):
            along = (place[..., axis] - self.corner[axis] - self.size[axis] / 2).astype(np.float32)
            beyond = np.abs(along) - np.float32(self.size[axis] / 2)
            pixel = np.hypot(*(np.gradient(along, axis=way) for way in (0, 1)))
            # Far away, where a pixel may cover more than the sheet, nothing is seen of it.
            total *= np.where(
                beyond < self.size[axis] / 4, np.clip(np.float32(0.5) - beyond / np.maximum(pixel, 1e-9), 0, 1), 0
            )
        return total


def make_sheet(board: Board, *, bend: float = 0.0) -> Sheet:
    """The sheet of a board; a bend is that of `make_board_scene`."""
    scales = np.asarray(_FINEST / board.square / 2.0 ** np.arange(_LEVELS), dtype=np.float64)
    border = _BORDER * board.square
    textures = tuple(
        (_INK + (PAPER - _INK) / 255 * draw_board(board, scale, border=border)).astype(np.float32) for scale in scales
    )
    x = board.points[:, 0]
    return Sheet(
        corner=-np.array(board.margin) - border,
        size=np.array(textures[0].shape[::-1]) / scales[0],
        scales=scales,
        textures=textures,
        back=_BACK,
        bend=bend,
        bend_middle=float(x.mean()),
        bend_half=float(np.ptp(x)) / 2 or 0.5,
    )


@dataclass(frozen=True, eq=False)
class Hand:
    """A hand that lies on a board: rounded strokes.

    Attributes:
        begin, end: (stroke, 2) ends of the strokes, in the frame of the board.
        radius: (stroke,) half their width.
    """

    begin: NDArray[np.float64]
    end: NDArray[np.float64]
    radius: NDArray[np.float64]

    def outline(self) -> NDArray[np.float64]:
        """(point, 3) points around all strokes."""
        around = self.radius.max() * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
        points = (np.concatenate([self.begin, self.end])[:, None] + around).reshape(-1, 2)
        return np.concatenate([points, np.zeros((len(points), 1))], axis=-1)

    def distance(self, place: NDArray[np.float64]) -> NDArray[np.float32]:
        """Distance of places (..., 2) from the outline of the hand, negative inside it."""
        x, y = place[..., 0].astype(np.float32), place[..., 1].astype(np.float32)
        nearest = np.full(x.shape, np.inf, dtype=np.float32)
        strokes = np.concatenate([self.begin, self.end - self.begin, self.radius[:, None]], axis=-1).astype(np.float32)
        for x0, y0, along_x, along_y, radius in strokes:
            from_x, from_y = x - x0, y - y0
            share = (from_x * along_x + from_y * along_y) / (along_x**2 + along_y**2)
            np.clip(share, 0, 1, out=share)
            from_x -= share * along_x
            from_y -= share * along_y
            np.minimum(nearest, np.sqrt(from_x**2 + from_y**2) - radius, out=nearest)
        return nearest


def hand_at(sheet: Sheet, time: float, *, reach: float, phase: float) -> Hand | None:
    """The hand at a time in seconds: it grips the board at its edge, wanders along it and lets go now and then.

    Args:
        sheet: what it holds.
        time: seconds.
        reach: how far onto the sheet the fingers come at most, as a share of its shorter side.
        phase: in radians; another hand.
    """
    short = float(sheet.size.min())
    # Two seconds on the board, and two beside it.
    depth = reach * short * np.sin(2 * np.pi * time / 4.3 + phase)
    if reach <= 0 or depth <= 0.02 * short:
        return None
    # Where along the edge: 0 to 4, a side each.
    side, share = divmod(2.0 + 2.0 * np.sin(2 * np.pi * time / 23.0 + 1.7 * phase), 1.0)
    inward, along = np.array([[(0, 1), (1, 0)], [(-1, 0), (0, 1)], [(0, -1), (-1, 0)], [(1, 0), (0, -1)]])[
        int(side) % 4
    ]
    start = sheet.corner + sheet.size * np.array([(0, 0), (1, 0), (1, 1), (0, 1)])[int(side) % 4]
    grip = start + along * (0.15 + 0.7 * share) * sheet.size
    width = 0.055 * short
    knuckle = grip + np.outer(np.linspace(-1.5, 1.5, 4) * 2.1 * width, along) - 0.02 * short * inward
    length = depth * np.array([0.78, 1.0, 0.95, 0.7]) - width
    splay = np.outer(np.linspace(-0.18, 0.18, 4) * np.abs(length), along)
    tip = (
        grip
        + np.outer(np.maximum(length, 0.0), inward)
        + np.linspace(-1.5, 1.5, 4)[:, None] * 2.1 * width * along
        + splay
    )
    palm = [grip - inward * 0.2 * short - along * 0.05 * short, grip - inward * 0.2 * short + along * 0.05 * short]
    arm = grip - inward * 1.1 * short - along * 0.1 * short
    return Hand(
        begin=np.stack([*knuckle, palm[0], palm[0]]),
        end=np.stack([*tip, palm[1], arm]),
        radius=np.array([width] * 4 + [3.2 * width, 2.6 * width]),
    )
