"""The numba kernels of `pose3d.networks.decoding`."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["decode_maps"]

_jit = njit(nogil=True, cache=True, error_model="numpy")


@_jit
def decode_maps(heatmap, offset, visible, stride, sigma, lowest, position, logit, sight, covariance):
    images, _, _, keypoints = heatmap.shape
    wanted = logit.shape[1]
    top = np.empty((keypoints, wanted), dtype=np.float32)
    place = np.empty((keypoints, wanted, 2), dtype=np.int64)
    for image in range(images):
        maps = heatmap[image]
        if wanted == 1:
            _highest(maps, top, place)
        else:
            _peaks(maps, lowest, top, place)
        for keypoint in range(keypoints):
            for number in range(wanted):
                peak = top[keypoint, number]
                if not peak > -np.inf:
                    break
                row, column = place[keypoint, number]
                logit[image, number, keypoint] = peak
                sight[image, number, keypoint] = visible[image, row, column, keypoint]
                _vote(
                    maps,
                    offset[image],
                    keypoint,
                    row,
                    column,
                    stride,
                    sigma,
                    position[image, number, keypoint],
                    covariance[image, number, keypoint],
                )


@_jit
def _highest(maps, top, place):
    """The highest cell of every keypoint: one pass in the order of the memory."""
    rows, columns, keypoints = maps.shape
    top[:] = -np.inf
    place[:] = 0
    for row in range(rows):
        for column in range(columns):
            for keypoint in range(keypoints):
                value = maps[row, column, keypoint]
                if value > top[keypoint, 0]:
                    top[keypoint, 0] = value
                    place[keypoint, 0, 0] = row
                    place[keypoint, 0, 1] = column


@_jit
def _peaks(maps, lowest, top, place):
    """The highest local maxima of every keypoint, sorted."""
    rows, columns, keypoints = maps.shape
    wanted = top.shape[1]
    top[:] = -np.inf
    for row in range(rows):
        for column in range(columns):
            for keypoint in range(keypoints):
                value = maps[row, column, keypoint]
                if value <= lowest or value <= top[keypoint, wanted - 1]:
                    continue
                highest = True
                for r in range(max(row - 1, 0), min(row + 2, rows)):
                    for c in range(max(column - 1, 0), min(column + 2, columns)):
                        other = maps[r, c, keypoint]
                        # of equal neighbors the first one is the peak
                        if other > value or (other == value and (r < row or (r == row and c < column))):
                            highest = False
                if not highest:
                    continue
                number = wanted - 1
                while number > 0 and top[keypoint, number - 1] < value:
                    top[keypoint, number] = top[keypoint, number - 1]
                    place[keypoint, number] = place[keypoint, number - 1]
                    number -= 1
                top[keypoint, number] = value
                place[keypoint, number, 0] = row
                place[keypoint, number, 1] = column


@_jit
def _vote(maps, offset, keypoint, row, column, stride, sigma, position, covariance):
    rows, columns, keypoints = maps.shape
    # mean and scatter of the votes of 3 x 3 cells; spread of the probability over 5 x 5 cells
    total = x = y = xx = xy = yy = 0.0
    mass = px = py = pxx = pxy = pyy = 0.0
    for r in range(max(row - 2, 0), min(row + 3, rows)):
        for c in range(max(column - 2, 0), min(column + 3, columns)):
            weight = 1.0 / (1.0 + np.exp(-maps[r, c, keypoint]))
            mass += weight
            px += weight * c
            py += weight * r
            pxx += weight * c * c
            pxy += weight * c * r
            pyy += weight * r * r
            if abs(r - row) > 1 or abs(c - column) > 1:
                continue
            u = c + offset[r, c, keypoint]
            v = r + offset[r, c, keypoints + keypoint]
            total += weight
            x += weight * u
            y += weight * v
            xx += weight * u * u
            xy += weight * u * v
            yy += weight * v * v
    x, y, px, py = x / total, y / total, px / mass, py / mass
    first = (stride - 1.0) / 2.0
    position[0] = stride * x + first
    position[1] = stride * y + first
    # A Gaussian of unit height that is cut at 5 x 5 cells has this second moment; what is wider is uncertainty.
    own = 0.0
    base = 0.0
    for step in range(-2, 3):
        height = np.exp(-0.5 * step * step / (sigma * sigma))
        base += height
        own += height * step * step
    own /= base
    square = stride * stride
    covariance[0, 0] = square * (max(xx / total - x * x, 0.0) + max(pxx / mass - px * px - own, 0.0))
    covariance[1, 1] = square * (max(yy / total - y * y, 0.0) + max(pyy / mass - py * py - own, 0.0))
    covariance[0, 1] = covariance[1, 0] = square * (xy / total - x * y)
