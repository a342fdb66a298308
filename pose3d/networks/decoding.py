"""From maps to keypoints: peaks, their subpixel position, candidates and covariance.

Around a local maximum of the heatmap every cell votes for a position: its center plus its offset. The position is the
mean of the votes of 3 x 3 cells, weighed by their probability; their scatter is one part of the covariance. The other
is the width of the heatmap beyond that of its target: a detector that is unsure where the keypoint is along an edge
draws the peak out along it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose3d.networks._decoding_kernels import decode_maps

__all__ = ["Candidates", "decode"]

Floats = NDArray[np.float32]

# Logit below which a maximum is no candidate: a probability of 1 %.
_LOWEST = -4.6


@dataclass(frozen=True, eq=False)
class Candidates:
    """Possible places of every keypoint, the most probable first.

    Attributes:
        position: (image, candidate, keypoint, 2) x and y in pixels of the network's input, NaN where there is none.
        logit: (image, candidate, keypoint) of the peak; -inf where there is none.
        visible: (image, candidate, keypoint) logit that it is in sight.
        covariance: (image, candidate, keypoint, 2, 2) px^2, not calibrated yet.
    """

    position: Floats
    logit: Floats
    visible: Floats
    covariance: Floats


def decode(
    heatmap: Floats, offset: Floats, visible: Floats, *, stride: int, sigma: float, candidates: int = 1
) -> Candidates:
    """Candidates of a batch of maps.

    Args:
        heatmap: (image, row, column, keypoint) logits.
        offset: (image, row, column, 2 * keypoint) cells, all x before all y.
        visible: (image, row, column, keypoint) logits.
        stride: pixels per cell.
        sigma: of the peaks that the network was taught, cells.
        candidates: how many places of a keypoint are kept.
    """
    images, _, _, keypoints = heatmap.shape
    position = np.full((images, candidates, keypoints, 2), np.nan, dtype=np.float32)
    logit = np.full((images, candidates, keypoints), -np.inf, dtype=np.float32)
    sight = np.full((images, candidates, keypoints), np.nan, dtype=np.float32)
    covariance = np.full((images, candidates, keypoints, 2, 2), np.nan, dtype=np.float32)
    decode_maps(
        np.ascontiguousarray(heatmap, dtype=np.float32),
        np.ascontiguousarray(offset, dtype=np.float32),
        np.ascontiguousarray(visible, dtype=np.float32),
        np.float32(stride),
        np.float32(sigma),
        np.float32(_LOWEST) if candidates > 1 else np.float32(-np.inf),
        position,
        logit,
        sight,
        covariance,
    )
    return Candidates(position, logit, sight, covariance)
