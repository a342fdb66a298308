"""Poses without outliers, without short gaps, without jitter: filters along time.

Every filter takes a Poses3D or Poses2D Dataset and returns a new one of the same schema; the one it was given stays as
it is. Every keypoint of every individual (and camera) is filtered by itself. A position that lacks a coordinate counts
as missing.

**Frames.** Arguments in frames count the usual step of the recording: the most common distance between two rows. Where
every row is the next frame, that is a frame of the video; where every fifth frame was triangulated, it is five. A frame
that was skipped (its number, or the time that it should have had, is not there) counts as a frame without positions.

**What stays beside the positions.** `confidence` and `status` always stay: they say what was found. A filter that only
removes or adds positions keeps the other variables as well, and the covariance becomes NaN where a position was removed
or filled. A filter that moves positions drops what no longer describes them: `covariance` (which `kalman_smoother`
replaces by its own), `reprojection_error`, `residual`, `inlier`, `n_cameras`.

**Records.** The attribute `filters` is a JSON list of what was done, in order, with all settings. The variable `filled`
is 1 where a position was filled in.
"""

from __future__ import annotations

from pose3d.filtering._gaps import fill_gaps
from pose3d.filtering._kalman import kalman_smoother
from pose3d.filtering._outliers import filter_by_confidence, hampel_filter
from pose3d.filtering._smoothing import butterworth, median_filter, savitzky_golay

__all__ = [
    "butterworth",
    "fill_gaps",
    "filter_by_confidence",
    "hampel_filter",
    "kalman_smoother",
    "median_filter",
    "savitzky_golay",
]
