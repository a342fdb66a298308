"""What 2D positions say about themselves: what is found, how sure it is, what jumps, and which frames are worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pose3d.labeling.suggestions import doubt, spread_choice
from pose3d.metrics import body_length, jump_limits, jumps
from pose3d.visualization._tracks import Tracks, camera_names, tracks_of

__all__ = ["CameraEvidence", "WorstFrame", "collect_detection_evidence"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Seconds that a jump lasts at most: 3 frames at 30 frames/s.
_LONGEST_JUMP = 0.1
# Shares of jumps that end on one other keypoint, from which on that one is named.
_CONFUSED = 0.5
_FEWEST_JUMPS = 3


@dataclass(frozen=True)
class WorstFrame:
    """A frame to look at.

    Attributes:
        row: in the tracks; frame, time: its number, and seconds (or the number).
        reason: in words.
    """

    row: int
    frame: int
    time: float
    reason: str


@dataclass(frozen=True, eq=False)
class CameraEvidence:
    """The 2D positions of one camera, and what is wrong with them.

    Attributes:
        tracks: the positions, up to the last frame that was seen.
        minimum_confidence: below it a keypoint counts as not found.
        shown: (time, individual, keypoint, 2) px of what was found.
        jumped: (time, individual, keypoint) see `pose3d.metrics.jumps`.
        limits: (individual, keypoint) px, from which on a step is far.
        length: of the body in px; NaN where unknown.
        longest: frames that a jump lasts at most.
    """

    tracks: Tracks
    minimum_confidence: float
    shown: Array
    jumped: Mask
    limits: Array
    length: float
    longest: int

    @property
    def found(self) -> Mask:
        """(time, individual, keypoint) whether it was found."""
        return np.asarray(np.isfinite(self.shown[..., 0]))

    def share_found(self) -> Array:
        """(keypoint,) share of frames and individuals; NaN without frames."""
        return _share(self.found, np.ones_like(self.found))

    def share_jumped(self) -> Array:
        """(keypoint,) share of what was found; NaN where nothing was."""
        return _share(self.jumped, self.found)

    def median_confidence(self) -> Array:
        """(keypoint,) of what was found; NaN where nothing was."""
        return np.array(
            [
                np.median(self.tracks.confidence[..., k][self.found[..., k]]) if self.found[..., k].any() else np.nan
                for k in range(len(self.tracks.keypoints))
            ]
        )

    def longest_gap(self) -> list[int]:
        """(keypoint,) frames in a row in which it was not found, of any individual."""
        return [
            max((_longest_run(~self.found[:, i, k]) for i in range(self.found.shape[1])), default=0)
            for k in range(self.found.shape[2])
        ]

    def confused_with(self) -> list[str]:
        """(keypoint,) name of the other keypoint on which most of its jumps end; empty where there is none."""
        names = []
        for k in range(len(self.tracks.keypoints)):
            rows, individuals = np.nonzero(self.jumped[..., k])
            here = self.shown[rows, individuals]  # (jump, keypoint, 2)
            near = np.linalg.norm(here - here[:, [k]], axis=-1) < self.limits[individuals, k][:, None] / 2
            near[:, k] = False
            share = near.mean(axis=0) if len(rows) >= _FEWEST_JUMPS else np.zeros(near.shape[1])
            names.append(self.tracks.keypoints[int(share.argmax())] if share.max(initial=0) >= _CONFUSED else "")
        return names

    def came_from(self, row: int) -> Array:
        """(individual, keypoint, 2) px, for each that jumps in this frame, of where it was before; NaN for others."""
        first = max(row - self.longest, 0)
        result = np.full(self.shown.shape[1:], np.nan)
        for individual, k in np.argwhere(self.jumped[row]):
            calm = np.flatnonzero(~self.jumped[first:row, individual, k])
            if len(calm):
                result[individual, k] = self.shown[first + calm[-1], individual, k]
        return result

    def worst(self, count: int) -> list[WorstFrame]:
        """Frames that are unsure or in which keypoints jump, apart in time, the worst first; as `refine` chooses."""
        if not len(self.tracks.frames):
            return []
        sure = np.where(self.found, self.tracks.confidence, np.nan)
        scores = doubt(sure) + self.jumped.reshape(len(sure), -1).mean(axis=1)
        rows = spread_choice(scores, self.tracks.time, count)
        return [
            WorstFrame(row, int(self.tracks.frames[row]), float(self.tracks.time[row]), self._reason(row))
            for row in rows
        ]

    def _reason(self, row: int) -> str:
        names = self.tracks.keypoints
        jumping = [name for k, name in enumerate(names) if self.jumped[row, :, k].any()]
        missing = [name for k, name in enumerate(names) if not self.found[row, :, k].any()]
        if jumping or missing:
            parts = [f"{_listed(jumping)} {'jumps' if len(jumping) == 1 else 'jump'}"] if jumping else []
            return ", ".join([*parts, *([f"{_listed(missing)} not found"] if missing else [])])
        least = np.nanmin(self.tracks.confidence[row], axis=0)
        return f"unsure of {names[int(least.argmin())]} ({least.min():.2f})"


def collect_detection_evidence(
    found: xr.Dataset, minimum_confidence: float, cameras: Sequence[str] | None = None
) -> list[CameraEvidence]:
    """What there is to say of every camera.

    Args:
        found: Detections or Poses2D Dataset.
        minimum_confidence: below it a keypoint counts as not found.
        cameras: names; all by default.

    Raises:
        InvalidValueError: the Dataset breaks its schema.
        MismatchError: a camera is unknown.
    """
    return [_of_camera(tracks_of(found, name), minimum_confidence) for name in cameras or camera_names(found)]


def _of_camera(tracks: Tracks, minimum_confidence: float) -> CameraEvidence:
    tracks = tracks.until(tracks.end)
    shown = tracks.shown(minimum_confidence)
    lengths = np.array([body_length(shown[:, number]) for number in range(shown.shape[1])])
    length = float(np.nanmedian(lengths)) if np.isfinite(lengths).any() else float("nan")
    limits = jump_limits(shown, length) if len(shown) else np.full(shown.shape[1:3], np.inf)
    longest = max(1, round(_LONGEST_JUMP * (tracks.frame_rate or 30.0)))
    jumped = jumps(shown, limits, frames=tracks.frames, longest=longest)
    return CameraEvidence(tracks, minimum_confidence, shown, jumped, limits, length, longest)


def _share(part: Mask, whole: Mask) -> Array:
    counts = whole.sum(axis=(0, 1))
    return np.where(counts > 0, part.sum(axis=(0, 1)) / np.maximum(counts, 1), np.nan)


def _longest_run(mask: Mask) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _listed(names: Sequence[str]) -> str:
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 2 else ", ".join(names)
