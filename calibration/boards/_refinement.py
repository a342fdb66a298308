"""Corners to a fraction of a pixel, and whether they hang together as corners of one board do.

A corner is where two straight edges cross. At every pixel of an edge the gradient of the image is perpendicular to
the line from the corner to it, so the corner is the point that minimizes the sum of (gradient . line)^2 (Foerstner and
Guelch, A fast operator for detection and precise location of distinct points, corners and centres of circular
features, 1987). The sum runs over narrow strips along the four edges that meet in the corner instead of a square
window: markers that are printed 1/8 of a square beside an edge stay outside, and the whole edge takes part. On
rendered ChArUco boards the error is 0.01 to 0.04 px where OpenCV's own refinement has 0.03 to 0.12 px.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.boards.geometry import AprilGrid, Board, Charuco

__all__ = ["LocalShape", "agrees", "expected", "first_is_black", "local_shape", "refine", "sampled"]

# How far along an edge a corner looks, in shares of a square and in px: beyond, the next corner comes near, and edges
# that a lens bends are no longer straight. Of the chessboards of two real recordings (squares of 36 and 110 px) a lens
# model leaves 0.18 and 0.19 px so, 0.19 and 0.28 px at 40 px and more, and 0.19 px by the best window of cornerSubPix,
# which is another one for each.
_REACH = 0.4
_LONGEST = 25.0
_ALONG = 16
# px. What a lens model leaves of a real recording with hard edges falls from 0.20 to 0.19 px, and of rendered ones too;
# only the short edges of an AprilGrid lose by it.
_SMOOTHING = 0.7
_ACROSS = 7
_ITERATIONS = 8

# A corner that is farther than this share of a square from where its neighbors say is a wrong one: such are off by a
# square or more. In 720 views by a lens that moves the rim of the image by 25 %, one in 200 has such a corner, and one
# in 20 of 800 views by a fisheye of 166 degrees, all of them nearly from the side.
_DEVIATION = 0.5
_NEIGHBORS = 8
# Neighbors count less the farther they are: to a third at one and a half squares.
_NEAR = 1.5


class LocalShape(NamedTuple):
    """How the board looks around some of its corners.

    Attributes:
        homography: (3, 3) px of the board's x, y, for the board as a whole.
        axes: (n, 2, 2) px per length unit of the board; `axes[i, 0]` is where its x axis goes, `axes[i, 1]` its y axis.
        offset: (n, 2) px, of the corner from the homography of the whole board.
        height: (n,) px, the smaller height of the parallelogram that a square is seen as.
    """

    homography: NDArray[np.float64]
    axes: NDArray[np.float64]
    offset: NDArray[np.float64]
    height: NDArray[np.float64]


def local_shape(board: Board, seen: NDArray[np.intp], position: NDArray[np.float64]) -> LocalShape | None:
    """The shape around corners; None where they determine no homography.

    Args:
        board: the board.
        seen: (n,) numbers of corners, at least four.
        position: (n, 2) px.
    """
    points = board.points[seen, :2]
    if np.linalg.matrix_rank(points - points.mean(axis=0), tol=0.5 * board.square) < 2:
        return None
    middle = board.square * 0.25 * _scale(points, position)
    matrix, _ = cv2.findHomography(points, position, cv2.RANSAC, max(3.0, middle))
    homography = np.asarray(matrix, dtype=np.float64)
    if homography.shape != (3, 3) or not np.isfinite(homography).all():  # none was found
        return None
    place = _mapped(homography, points)
    if place is None:
        return None
    offset = np.asarray(position - place[0], dtype=np.float64)
    # derivative of the homography, and that of the offset from neighbor to neighbor, which is the lens' part
    axes = place[1] + _slopes(board, seen, offset)
    return LocalShape(homography, axes, offset, board.square * _height(axes))


def expected(
    board: Board, seen: NDArray[np.intp], shape: LocalShape, wanted: NDArray[np.intp]
) -> tuple[NDArray[np.float64], LocalShape] | None:
    """(m, 2) px and shape of corners that were not seen, from those that were; None where the board has no front."""
    place = _mapped(shape.homography, board.points[wanted, :2])
    if place is None:
        return None
    distance = np.linalg.norm(board.points[wanted, None] - board.points[seen], axis=-1)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :4]
    offset = np.median(shape.offset[nearest], axis=1)
    own = _mapped(shape.homography, board.points[seen, :2])
    assert own is not None
    axes = place[1] + (shape.axes - own[1])[nearest].mean(axis=1)
    return place[0] + offset, LocalShape(shape.homography, axes, offset, board.square * _height(axes))


def agrees(board: Board, seen: NDArray[np.intp], position: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) whether a corner is where its neighbors say; the worst is left out until all that are left agree.

    What a lens does to the board changes little from neighbor to neighbor and is allowed. Without a homography no
    corner agrees.
    """
    good = np.ones(len(seen), dtype=np.bool_)
    while good.sum() >= 4:
        shape = local_shape(board, seen[good], position[good])
        if shape is None:
            break
        deviation = _deviation(board, seen[good], shape)
        # where the board is seen so small that a share of a square is below a pixel, a pixel is allowed
        excess = deviation - np.maximum(_DEVIATION * shape.height, 1.0)
        if excess.max() <= 0:
            return good
        good[np.flatnonzero(good)[np.argmax(deviation / shape.height)]] = False
    return np.zeros(len(seen), dtype=np.bool_)


def _deviation(board: Board, seen: NDArray[np.intp], shape: LocalShape) -> NDArray[np.float64]:
    """(n,) px from where the plane through the offsets of the nearest neighbors has a corner."""
    points = board.points[seen, :2] / board.square
    distance = np.linalg.norm(points[:, None] - points, axis=-1)
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, : min(_NEIGHBORS, len(points) - 1)]
    weight = np.exp(-np.take_along_axis(distance, nearest, axis=1) / _NEAR)[..., None]
    there = np.concatenate([np.ones((*nearest.shape, 1)), points[nearest] - points[:, None]], axis=-1)
    normal = np.einsum("nki,nkj->nij", weight * there, there)
    # neighbors on one line say nothing of the slope across it
    normal += 1e-3 * np.diag([0.0, 1.0, 1.0])
    plane = np.linalg.solve(normal, np.einsum("nki,nkj->nij", weight * there, shape.offset[nearest]))
    return np.asarray(np.linalg.norm(shape.offset - plane[:, 0], axis=-1))


def sampled(
    image: NDArray[np.uint8] | NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(m, n) values of an image at (m, n) px, between the pixels too; beyond its border it goes on as there."""
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.float32)


def refine(
    image: NDArray[np.uint8],
    board: Board,
    numbers: NDArray[np.intp],
    position: NDArray[np.float64],
    shape: LocalShape,
    *,
    uncertainty: float = 1.0,
    inverted: bool = False,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Corners moved to the crossing of their edges, and how clearly they are printed so.

    Args:
        image: (height, width) gray.
        board: the board, which says how far from an edge the next thing is printed.
        numbers: (n,) which corners.
        position: (n, 2) px, within a few pixels.
        shape: of the board around each corner.
        uncertainty: px, how far the positions may be off; the strips begin that wide.
        inverted: black and white are exchanged in the image.

    Returns:
        (n, 2) px, NaN where there is no crossing near; and (n,) the step from black to white across the weakest of the
        four edges, in gray levels per px, negative where it goes the wrong way.
    """
    left, top = np.maximum(np.floor(position.min(axis=0) - shape.height.max()).astype(int) - 4, 0)
    right, bottom = np.maximum(np.ceil(position.max(axis=0) + shape.height.max()).astype(int) + 5, [left + 1, top + 1])
    part = image[top:bottom, left:right].astype(np.float32)
    if not part.size:
        return np.full_like(position, np.nan), np.zeros(len(position))
    if not isinstance(board, AprilGrid):
        part = np.asarray(cv2.GaussianBlur(part, (0, 0), _SMOOTHING), dtype=np.float32)
    gradient = [
        np.asarray(cv2.Sobel(part, cv2.CV_32F, *order, scale=0.125, borderType=cv2.BORDER_REPLICATE), dtype=np.float32)
        for order in ((1, 0), (0, 1))
    ]
    half = _half_width(board, shape.height)
    corner = np.array([left, top])
    wide = np.maximum(half, np.minimum(uncertainty, 0.2 * shape.height))
    moved, _ = _cross(gradient, board, position - corner, shape.axes, wide, 3)
    moved, steps = _cross(gradient, board, moved, shape.axes, half, _ITERATIONS)
    moved = moved + corner
    # beyond this the crossing belongs to something else
    far = np.linalg.norm(moved - position, axis=-1) > np.maximum(3 * uncertainty, 0.15 * shape.height)
    inside = (moved >= 0).all(axis=-1) & (moved <= np.array(image.shape[::-1]) - 1).all(axis=-1)
    # seen from the corner along each edge, white is to the left and to the right in turn
    sign = np.where(first_is_black(board, numbers) != inverted, 1, -1)[:, None] * np.array([-1, 1, -1, 1])
    return np.where((far | ~inside)[:, None], np.nan, moved), (steps * sign).min(axis=1)


def first_is_black(board: Board, numbers: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(n,) whether the squares to the upper left and lower right of a corner are the black ones, as printed."""
    long = 2 * board.columns if isinstance(board, AprilGrid) else board.columns - 1
    row, column = np.divmod(numbers, long)
    begins_white = isinstance(board, Charuco) and board.legacy and board.rows % 2 == 0
    return np.asarray((row + column) % 2 == (1 if begins_white else 0)) != bool(getattr(board, "inverted", False))


def _half_width(board: Board, height: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) px on each side of an edge: half of the way to what is printed beside it, at least what the blur needs.

    Measured on rendered boards with a blur of 0.6 to 2 px: chessboards are best with 2.5 px and more, whereas ChArUco
    boards lose with more than half the gap between square and marker.
    """
    if isinstance(board, Charuco):
        gap = (board.square - board.marker) / (2 * board.square)
        return np.clip(0.48 * gap * height, 1.25, 5.0)
    if isinstance(board, AprilGrid):
        return np.clip(0.09 * height, 1.25, 5.0)
    return np.clip(0.09 * height, 2.0, 5.0)


def _cross(
    gradient: list[NDArray[np.float32]],
    board: Board,
    position: NDArray[np.float64],
    axes: NDArray[np.float64],
    half: NDArray[np.float64],
    iterations: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Crossings of the edges by repeated least squares on the strips around the last ones.

    Returns also (n, 4) the mean step of the image across the edges to +x, +y, -x, -y of the board, from the left of
    one who looks from the corner along the edge to the right in a picture with y down.
    """
    reach = _REACH if not isinstance(board, AprilGrid) else min(_REACH, 0.75 * board.spacing)
    arms = board.square * np.stack([axes[:, 0], axes[:, 1], -axes[:, 0], -axes[:, 1]], axis=1)
    # edges that a lens bends are straight over a short way only
    arms *= np.minimum(1.0, _LONGEST / np.maximum(reach * np.linalg.norm(arms, axis=-1, keepdims=True), 1e-12))
    normal = np.stack([-arms[..., 1], arms[..., 0]], axis=-1)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    along, across = np.linspace(0, reach, _ALONG), np.linspace(-1, 1, _ACROSS)
    lengthwise = along[:, None, None] * arms[:, :, None, None, :]
    crosswise = (half[:, None, None] * across)[..., None] * normal[:, :, None, :]
    # single precision: what is sampled between pixels is known to a thousandth of a gray level at most
    line = np.moveaxis((lengthwise + crosswise[:, :, None]).reshape(len(position), -1, 2), -1, 0).astype(np.float32)
    weight = np.tile(np.repeat(np.exp(-((along / reach) ** 2)), _ACROSS), 4).astype(np.float32)
    result, slope = position.copy(), np.zeros_like(line)
    moving = np.arange(len(position))
    for _ in range(iterations):
        dx, dy = line[:, moving]
        place = result[moving].astype(np.float32)
        gx, gy = slope[:, moving] = [sampled(each, place[:, :1] + dx, place[:, 1:] + dy) for each in gradient]
        wx, wy, reached = weight * gx, weight * gy, gx * dx + gy * dy
        pairs = ((wx, gx), (wx, gy), (wy, gy), (wx, reached), (wy, reached))
        xx, xy, yy, x, y = (np.einsum("ij,ij->i", *pair).astype(np.float64) for pair in pairs)
        determinant = xx * yy - xy * xy
        # flat strips have no crossing; 1e-3 of the squared trace is a crossing at about 4 degrees
        weak = determinant <= 1e-3 * (xx + yy) ** 2
        safe = np.where(weak, 1.0, determinant)
        step = np.stack([(yy * x - xy * y) / safe, (xx * y - xy * x) / safe], axis=-1)
        step[weak] = np.nan
        result[moving] += step
        moving = moving[np.abs(step).max(axis=-1) > 2e-3]
        if not len(moving):
            break
    shape = (len(result), 4, _ALONG, _ACROSS)
    return result, _steps(slope[0].reshape(shape), slope[1].reshape(shape), normal)


def _steps(gx: NDArray[np.float32], gy: NDArray[np.float32], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 4) the mean along each edge of the strongest slope across it, with its sign: edges are thinner than strips.

    Args:
        gx, gy: (n, 4, along, across) slope of the image; the beginnings, where all edges come together, do not count.
        normal: (n, 4, 2) across each edge.
    """
    across = (gx * normal[..., 0, None, None] + gy * normal[..., 1, None, None])[:, :, _ALONG // 4 :]
    strongest = np.where(across.max(axis=-1) > -across.min(axis=-1), across.max(axis=-1), across.min(axis=-1))
    return np.asarray(strongest.mean(axis=-1), dtype=np.float64)


def _mapped(
    homography: NDArray[np.float64], points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """(n, 2) px of points of the board and (n, 2, 2) axes there; None where some would lie behind the camera."""
    mapped = np.column_stack([points, np.ones(len(points))]) @ homography.T
    depth = mapped[:, 2]
    if not ((depth > 1e-9).all() or (depth < -1e-9).all()):
        return None
    flat = mapped[:, :2] / depth[:, None]
    jacobian = (homography[:2, :2] - flat[..., None] * homography[2, :2]) / depth[:, None, None]
    return flat, np.swapaxes(jacobian, 1, 2)


def _height(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) px per length unit: the smaller height of the parallelogram that the axes span."""
    area = np.abs(axes[:, 0, 0] * axes[:, 1, 1] - axes[:, 0, 1] * axes[:, 1, 0])
    longest = np.linalg.norm(axes, axis=-1).max(axis=-1)
    return np.asarray(area / np.maximum(longest, 1e-12))


def _slopes(board: Board, seen: NDArray[np.intp], offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 2, 2) change of the offset per length along x and along y, mean over the edges that end in a corner."""
    place = np.full(len(board.points), -1)
    place[seen] = np.arange(len(seen))
    first, second = place[board.edges].T
    both = (first >= 0) & (second >= 0)
    first, second = first[both], second[both]
    run = board.points[seen[second], :2] - board.points[seen[first], :2]
    along = np.abs(run).argmax(axis=-1)
    slope = (offset[second] - offset[first]) / np.take_along_axis(run, along[:, None], axis=-1)
    total, count = np.zeros((len(seen), 2, 2)), np.zeros((len(seen), 2, 1))
    for end in (first, second):
        np.add.at(total, (end, along), slope)
        np.add.at(count, (end, along), 1.0)
    return total / np.maximum(count, 1)


def _scale(points: NDArray[np.float64], position: NDArray[np.float64]) -> float:
    """Pixels per length unit, roughly: ratio of the spreads."""
    return float(np.sqrt(position.var(axis=0).sum() / max(points.var(axis=0).sum(), 1e-12)))
