"""What frames that have left the window of `causal` say of the first frames that are still in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Carry"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Carry:
    """Gaussians on the first frames of a window, one for each of several groups of as many keypoints.

    Attributes:
        groups: (group, member) numbers of the keypoints.
        order: of the differences.
        information: (group, frame, n, frame, n), n being three times the members; frames are as many as the order, or
            none as long as nothing was eliminated.
        slope: (group, frame, n) of the cost at `place`.
        place: (group, frame, n).
    """

    groups: NDArray[np.int64]
    order: int
    information: Array
    slope: Array
    place: Array

    @classmethod
    def nothing(cls, groups: NDArray[np.int64], order: int) -> Carry:
        """Nothing is known yet."""
        count, n = len(groups), 3 * groups.shape[1]
        return cls(groups, order, np.zeros((count, 0, n, 0, n)), np.zeros((count, 0, n)), np.zeros((count, 0, n)))

    def arrays(self) -> tuple[Array, Array, Array]:
        """(group, p, p, n, n), (group, p, n) and (group, p, n), as the kernels want it."""
        # in one piece, as they are elsewhere: another layout would be another kernel to compile
        information = np.ascontiguousarray(self.information.transpose(0, 1, 3, 2, 4))
        return information, np.ascontiguousarray(self.slope), np.ascontiguousarray(self.place)

    def eliminate(self, block: Array, slope: Array, row: Array, whole: Mask, strength: Array, places: Array) -> Carry:
        """What stays known once the first frame is gone: the Schur complement of its block.

        Args:
            block, slope: (3 K, 3 K) and (3 K,) what that frame says by itself, of all K keypoints.
            row: (order + 1,) coefficients of the difference that begins there; whole: (keypoint,) who has it.
            strength: (keypoint,) of smoothness.
            places: (order + 1, keypoint, 3) of the first frames.
        """
        p, count, n = self.order, len(self.groups), 3 * self.groups.shape[1]
        at = (3 * self.groups[:, :, None] + np.arange(3)).reshape(count, n)
        here = np.moveaxis(places[:, self.groups], 0, 1).reshape(count, p + 1, n)
        matrix, right = np.zeros((count, p + 1, n, p + 1, n)), np.zeros((count, p + 1, n))
        held = self.place.shape[1]
        if held:
            matrix[:, :held, :, :held] += self.information
            right[:, :held] += self.slope + np.einsum("gaibj,gbj->gai", self.information, here[:, :held] - self.place)
        matrix[:, 0, :, 0] += block[at[:, :, None], at[:, None, :]]
        right[:, 0] += slope[at]
        weight = np.repeat(np.where(whole, strength, 0.0)[self.groups], 3, axis=1)
        each = np.arange(n)
        # numpy puts the axes of two index arrays that are apart in front
        matrix[:, :, each, :, each] += weight.T[:, :, None, None] * np.multiply.outer(row, row)
        right += row[:, None] * (weight * np.einsum("t,gtn->gn", row, here))[:, None]
        first = matrix[:, 0, :, 0]
        # a keypoint that is not there says nothing: its block was made regular
        reach = np.linalg.solve(first, matrix[:, 0, :, 1:].reshape(count, n, p * n))
        rest = matrix[:, 1:, :, 1:].reshape(count, p * n, p * n)
        rest = rest - matrix[:, 1:, :, 0].reshape(count, p * n, n) @ reach
        moved = right[:, 1:].reshape(count, p * n) - np.einsum("gij,gi->gj", reach, right[:, 0])
        rest = 0.5 * (rest + np.swapaxes(rest, 1, 2))
        return Carry(self.groups, p, rest.reshape(count, p, n, p, n), moved.reshape(count, p, n), here[:, 1:])

    def without(self, keypoint: int) -> Carry:
        """What is known of the others."""
        found = np.argwhere(self.groups == keypoint)
        if not len(found) or not self.place.shape[1]:
            return self
        group, member = found[0]
        information, slope = self.information.copy(), self.slope.copy()
        rows = np.zeros(self.slope.shape[1:], dtype=bool)
        rows[:, 3 * member : 3 * member + 3] = True
        lost, size = rows.ravel(), rows.size
        kept, matrix, right = ~lost, information[group].reshape(size, size), slope[group].ravel()
        inner = matrix[np.ix_(lost, lost)]
        reach = matrix[np.ix_(kept, lost)] @ np.linalg.pinv(inner, hermitian=True)
        left, rest = np.zeros((size, size)), np.zeros(size)
        left[np.ix_(kept, kept)] = matrix[np.ix_(kept, kept)] - reach @ matrix[np.ix_(lost, kept)]
        rest[kept] = right[kept] - reach @ right[lost]
        information[group], slope[group] = left.reshape(information.shape[1:]), rest.reshape(slope.shape[1:])
        return Carry(self.groups, self.order, information, slope, self.place)
