"""Angles of rotations about three axes, one after the other, and the axes that each of them turns about."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["angles_of_sequence", "axes_of_sequence", "rotation_of_sequence"]

Array = NDArray[np.float64]


def angles_of_sequence(rotation: Array, sequence: str) -> Array:
    """(..., 3) angles of intrinsic rotations, in radians.

    The second is from -pi/2 to pi/2 where the axes are three different ones (Cardan), and from 0 to pi where the last
    is the first again (proper Euler); the others from -pi to pi. Where the second is at an end of its range the others
    mean nothing.

    Args:
        rotation: (..., 3, 3) proximal_from_distal, the product of the three in their order.
        sequence: three letters, as "ZXY".
    """
    i, j, k, sign = _axes(sequence)
    R = rotation
    if sequence[0] != sequence[2]:
        first = np.arctan2(-sign * R[..., j, k], R[..., k, k])
        second = np.arctan2(sign * R[..., i, k], np.hypot(R[..., i, i], R[..., i, j]))
        third = np.arctan2(-sign * R[..., i, j], R[..., i, i])
    else:
        first = np.arctan2(R[..., j, i], -sign * R[..., k, i])
        second = np.arctan2(np.hypot(R[..., i, j], R[..., i, k]), R[..., i, i])
        third = np.arctan2(R[..., i, j], sign * R[..., i, k])
    return np.stack([first, second, third], axis=-1)


def axes_of_sequence(rotation: Array, sequence: str, first: Array) -> tuple[Array, Array]:
    """What the angles gain when the distal segment turns.

    Args:
        rotation, sequence: as for `angles_of_sequence`.
        first: (...) the first angle.

    Returns:
        (..., 3, 3) for each angle the direction, in the proximal system, whose product with a small turn is the change
        of the angle: the reciprocals of the three axes; and (...) the sine of the angle between the first and the last
        axis, 0 at gimbal lock, where they are infinite.
    """
    i, j, k, sign = _axes(sequence)
    last = rotation[..., i if sequence[0] == sequence[2] else k]
    axis, floating = np.zeros_like(last), np.zeros_like(last)
    axis[..., i] = 1.0
    floating[..., j], floating[..., k] = np.cos(first), sign * np.sin(first)
    across = np.cross(floating, last)
    volume = (axis * across).sum(-1)
    reciprocal = np.stack([across, np.cross(last, axis), np.cross(axis, floating)], axis=-2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return reciprocal / volume[..., None, None], np.abs(volume)


def rotation_of_sequence(angles: Array, sequence: str) -> Array:
    """(..., 3, 3) product of the three rotations by (..., 3) angles in radians."""
    result = np.broadcast_to(np.eye(3), (*angles.shape[:-1], 3, 3))
    for place, letter in enumerate(sequence):
        axis = "XYZ".index(letter)
        b, c = (axis + 1) % 3, (axis + 2) % 3
        turn = np.zeros_like(result)
        cosine, sine = np.cos(angles[..., place]), np.sin(angles[..., place])
        turn[..., axis, axis] = 1.0
        turn[..., b, b] = turn[..., c, c] = cosine
        turn[..., c, b], turn[..., b, c] = sine, -sine
        result = result @ turn
    return result


def _axes(sequence: str) -> tuple[int, int, int, float]:
    """The first axis, the second, the one that is neither, and 1 where they are right-handed in this order."""
    i, j = ("XYZ".index(letter) for letter in sequence[:2])
    return i, j, 3 - i - j, 1.0 if (j - i) % 3 == 1 else -1.0
