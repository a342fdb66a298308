"""Relative poses of pairs of cameras, voted by the frames in which both see the board."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration._extrinsics_kernels import vote_pairs
from calibration._extrinsics_settings import ExtrinsicsSettings
from calibration._extrinsics_views import Views

__all__ = ["LIMIT", "Votes", "turned_rotations", "vote"]

Array = NDArray[np.float64]

# Of the cost of a vote: the 99.9 % point of a squared deviation of six numbers is 22; the excess may add to it.
LIMIT = 25.0
# Frames whose candidates are tried as hypotheses, and frames that judge them. With 20 % of wrong frames in each camera,
# 36 % of a pair's frames are wrong: all of 16 are with a probability of 1e-7.
_SOURCES = 16
_JUDGES = 100


class Votes(NamedTuple):
    """Poses of pairs of cameras that have a frame in common.

    Attributes:
        cameras: (pair, 2) numbers of the cameras a < b.
        rotation, translation: (pair, 2, 3, 3), (pair, 2, 3) of b_from_a: the best pose, and the best one that is
            clearly another; NaN where there is none.
        common: (pair,) frames that both cameras see the board in.
        score: (pair, 2) votes, weighted by how well they agree: at most the support.
        support: (pair, 2) frames that agree.
        turn_spread, shift_spread: (pair, 2) rad and length, weighted root mean square among those that agree.
        middle: (pair, 3) mean position of the board in camera a, of the best pose.
    """

    cameras: NDArray[np.intp]
    rotation: Array
    translation: Array
    common: NDArray[np.intp]
    score: Array
    support: NDArray[np.intp]
    turn_spread: Array
    shift_spread: Array
    middle: Array

    @property
    def ambiguity(self) -> Array:
        """(pair,) share of the weighted votes that the other pose gets of those of the best one; 0 without another."""
        return self.score[:, 1] / np.maximum(self.score[:, 0], 1e-300)

    @property
    def turn_error(self) -> Array:
        """(pair,) rad, standard deviation of the mean rotation; no better than 0.1 degrees over the root of votes."""
        return np.maximum(self.turn_spread[:, 0], np.deg2rad(0.2)) / np.sqrt(np.maximum(self.support[:, 0], 1))

    @property
    def shift_error(self) -> Array:
        """(pair,) standard deviation of the mean position of the board in camera b."""
        least = 0.002 * np.linalg.norm(self.middle, axis=-1)
        return np.maximum(self.shift_spread[:, 0], least) / np.sqrt(np.maximum(self.support[:, 0], 1))


def turned_rotations(views: Views, turns: Array) -> Array:
    """(view, 2, turn, 3, 3) rotations of both poses of the views, with every turn of the board undone."""
    return np.ascontiguousarray(views.rotation[:, :, None] @ turns[None, None].swapaxes(-1, -2))


def vote(views: Views, rotations: Array, settings: ExtrinsicsSettings) -> Votes:
    """Let all frames vote on the relative pose of every pair of cameras that have one in common.

    Both poses of both views and every turn of the board make the candidates of a frame. The pose that most frames can
    agree with, each with its best candidate, wins, and becomes the robust chordal mean of these candidates.

    Args:
        views: poses of all views.
        rotations: of `turned_rotations`.
        settings: as for `estimate_extrinsics`.
    """
    seen = (views.row >= 0).astype(np.intp)
    count = seen @ seen.T
    first, second = np.nonzero(np.triu(count, 1))
    pairs = np.stack([first, second], axis=-1)
    starts = np.concatenate([[0], np.cumsum(count[first, second])]).astype(np.intp)
    lists = [_common_views(views, a, b) for a, b in pairs]
    common = np.concatenate([np.zeros((0, 2), dtype=np.intp), *lists])
    rotation, translation = np.empty((len(pairs), 2, 3, 3)), np.empty((len(pairs), 2, 3))
    numbers = np.zeros((len(pairs), 2, 7))
    vote_pairs(
        starts,
        common,
        rotations,
        views.translation,
        views.turn_variance,
        views.shift_variance,
        views.excess,
        (LIMIT, float(_SOURCES), float(_JUDGES), settings.contradiction),
        rotation,
        translation,
        numbers,
    )
    return Votes(
        cameras=pairs,
        rotation=rotation,
        translation=translation,
        common=count[first, second],
        score=numbers[..., 0] / LIMIT,
        support=numbers[..., 1].astype(np.intp),
        turn_spread=numbers[..., 2],
        shift_spread=numbers[..., 3],
        middle=numbers[:, 0, 4:7],
    )


def _common_views(views: Views, a: int, b: int) -> NDArray[np.intp]:
    """(n, 2) the views of both cameras in their common frames; those first that fix the pose best."""
    both = views.row[[a, b]]
    common = both[:, (both >= 0).all(axis=0)].T
    return np.asarray(common[np.argsort(views.turn_variance[common, 0].sum(axis=-1), kind="stable")])
